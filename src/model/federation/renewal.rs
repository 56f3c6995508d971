//! When the tokens that are kept of an identity are renewed, and what can come of it.

use std::time::Duration;

use crate::model::kernel::time::Timestamp;

/// How long before its end an access token is renewed: who is given one has time to use it.
const BEFORE: Duration = Duration::from_secs(60);

/// What came of the renewal of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Newer tokens are kept, by this renewal or by another one.
    Done,
    /// The issuer refuses, and would again.
    Refused,
    /// It is not known what came of it: the former tokens are kept.
    Unknown,
    /// It is too soon for another one; how long to wait.
    TooSoon(Duration),
}

/// Returns whether an access token of this end is to be renewed, which is since `since` as it is. One
/// that lives for less than two minutes is renewed when half of its life is over.
pub fn is_due(expires_at: Option<Timestamp>, since: Timestamp, now: Timestamp) -> bool {
    expires_at.is_some_and(|end| now >= end - BEFORE.min(end.since(since) / 2))
}

/// Returns whether an access token of this end is good. One without an end is.
pub fn lives(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_none_or(|end| now < end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_a_minute_before_its_end_or_after_half_of_its_life() {
        let since = Timestamp(1_000_000);
        for (life, due) in [(3_600, 3_540), (120, 60), (60, 30), (10, 5), (0, 0)] {
            let end = Some(since + Duration::from_secs(life));
            let at = since + Duration::from_secs(due);
            assert!(is_due(end, since, at), "{life}");
            let before = at - Duration::from_millis(1);
            assert!(!is_due(end, since, before), "{life}");
        }
        assert!(!is_due(None, since, Timestamp::LATEST));
    }

    #[test]
    fn a_token_lives_up_to_its_end() {
        let end = Timestamp(1_000_000);
        assert!(lives(Some(end), end - Duration::from_millis(1)));
        assert!(!lives(Some(end), end));
        assert!(lives(None, Timestamp::LATEST));
    }
}
