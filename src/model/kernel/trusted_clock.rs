//! Whether this machine's clock may be trusted with what cannot be undone: deleting, rotating,
//! giving up. A pure function of what the database knows about the time. Only this module makes a
//! `ConfirmedNow`, and everything destructive takes one, so that the check cannot be forgotten.

use std::time::Duration;

use super::time::Timestamp;

/// How far the clock may be from the last confirmed time before an operator has to confirm it.
pub const MAX_GAP: Duration = Duration::from_secs(86_400);

/// The time of a clock that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmedNow {
    now: Timestamp,
    max_skew: Option<Duration>,
}

impl ConfirmedNow {
    /// Returns the time that was checked.
    pub fn now(self) -> Timestamp {
        self.now
    }

    /// Returns how far this time may be ahead of the database's own clock when a statement uses it;
    /// `None` means that it is not compared.
    pub fn max_skew(self) -> Option<Duration> {
        self.max_skew
    }
}

/// What the database knows about the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    /// The database server's clock; `None` if it has none of its own (SQLite).
    pub database: Option<Timestamp>,
    /// The newest time at which a job ran on a confirmed clock; `None` before the first run.
    pub last_confirmed: Option<Timestamp>,
}

/// Why a clock is not trusted. Differences are in milliseconds; positive means that the clock is
/// ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The difference to the database server's clock is too large.
    #[error("this machine's clock is {} {} the database's", distance(*.0), direction(*.0))]
    Database(i64),
    /// The difference to the last confirmed time is too large.
    #[error("this machine's clock is {} {} the last confirmed time; if it is right, run `countersign clock confirm`", distance(*.0), direction(*.0))]
    LastRun(i64),
    /// The wall clock was set while the process ran: its difference to the monotonic clock, counted
    /// from when the wall clock was last confirmed, is too large.
    #[error("this machine's clock was set while the process ran and is {} {} the time that has passed; if it is right, run `countersign clock confirm`", distance(*.0), direction(*.0))]
    Uptime(i64),
}

impl Doubt {
    /// Returns how far the clock is ahead, in milliseconds; negative if it is behind.
    pub fn ahead_ms(self) -> i64 {
        match self {
            Self::Database(ms) | Self::LastRun(ms) | Self::Uptime(ms) => ms,
        }
    }
}

/// Formats a difference: in whole days from two days on, exactly below that.
fn distance(ms: i64) -> String {
    let exact = Duration::from_millis(ms.unsigned_abs());
    match exact.as_secs() / MAX_GAP.as_secs() {
        0 | 1 => humantime::format_duration(exact).to_string(),
        days => format!("{days} days"),
    }
}

fn direction(ms: i64) -> &'static str {
    if ms > 0 { "ahead of" } else { "behind" }
}

/// Checks the clock. `max_skew` is the allowed difference to the database server's clock; zero
/// turns that comparison off.
///
/// # Errors
/// The reason why nothing destructive may be done at this time.
pub fn confirm(
    now: Timestamp,
    evidence: Evidence,
    max_skew: Duration,
) -> Result<ConfirmedNow, Doubt> {
    let compared = evidence.database.filter(|_| !max_skew.is_zero());
    if let Some(ahead) = compared.and_then(|theirs| beyond(now, theirs, max_skew)) {
        return Err(Doubt::Database(ahead));
    }
    if let Some(ahead) = evidence
        .last_confirmed
        .and_then(|last| beyond(now, last, MAX_GAP))
    {
        return Err(Doubt::LastRun(ahead));
    }
    Ok(ConfirmedNow {
        now,
        max_skew: compared.map(|_| max_skew),
    })
}

/// Returns whether the wall clock was set by more than the tolerance. `passed` is the time that the
/// monotonic clock has counted since the wall clock was right.
pub fn set_since(now: Timestamp, was_right_at: Timestamp, passed: Duration) -> Option<Doubt> {
    beyond(now, was_right_at + passed, MAX_GAP).map(Doubt::Uptime)
}

fn beyond(now: Timestamp, other: Timestamp, most: Duration) -> Option<i64> {
    let ahead = now.0.saturating_sub(other.0);
    (Duration::from_millis(ahead.unsigned_abs()) > most).then_some(ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_244_107_000);
    const SKEW: Duration = Duration::from_secs(5);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_clock_is_trusted_within_a_day_of_the_last_run_and_within_the_skew_of_the_database() {
        let by = |database, last_confirmed| {
            confirm(
                NOW,
                Evidence {
                    database,
                    last_confirmed,
                },
                SKEW,
            )
            .map(ConfirmedNow::now)
        };
        assert_eq!(by(None, None), Ok(NOW), "no job has run before");
        for last in [NOW - MAX_GAP, NOW, NOW + MAX_GAP] {
            assert_eq!(by(None, Some(last)), Ok(NOW));
        }
        let day = 86_400_000;
        assert_eq!(
            by(None, Some(NOW - MAX_GAP - MS)),
            Err(Doubt::LastRun(day + 1))
        );
        assert_eq!(
            by(None, Some(NOW + MAX_GAP + MS)),
            Err(Doubt::LastRun(-day - 1))
        );
        assert_eq!(by(Some(NOW + SKEW), Some(NOW)), Ok(NOW));
        assert_eq!(
            by(Some(NOW - SKEW - MS), Some(NOW)),
            Err(Doubt::Database(5_001))
        );
        assert_eq!(
            by(Some(NOW + SKEW + MS), Some(NOW)),
            Err(Doubt::Database(-5_001))
        );
        // Both clocks of one machine are wrong by the same amount.
        assert_eq!(
            by(Some(NOW), Some(NOW - MAX_GAP * 100)),
            Err(Doubt::LastRun(100 * day))
        );
        assert_eq!(
            confirm(
                NOW,
                Evidence {
                    database: Some(NOW + MAX_GAP),
                    last_confirmed: None
                },
                Duration::ZERO
            )
            .map(ConfirmedNow::max_skew),
            Ok(None)
        );
        assert_eq!(
            Doubt::LastRun(100 * day).to_string(),
            "this machine's clock is 100 days ahead of the last confirmed time; if it is right, run `countersign clock confirm`"
        );
    }

    #[test]
    fn a_clock_that_was_set_is_noticed_beside_the_time_that_has_passed() {
        let hour = Duration::from_secs(3_600);
        let set = |now| set_since(now, NOW, hour);
        for now in [NOW + hour, NOW + hour + MAX_GAP, NOW + hour - MAX_GAP] {
            assert_eq!(set(now), None);
        }
        let day = 86_400_000;
        assert_eq!(set(NOW + hour + MAX_GAP + MS), Some(Doubt::Uptime(day + 1)));
        assert_eq!(
            set(NOW + hour - MAX_GAP - MS),
            Some(Doubt::Uptime(-day - 1))
        );
    }

    #[test]
    fn a_doubt_says_how_far_and_in_which_direction() {
        for (ms, says) in [
            (1_500, "1s 500ms ahead of"),
            (-1_500, "1s 500ms behind"),
            (100_000_000, "1day 3h 46m 40s ahead of"),
            (2 * 86_400_000, "2 days ahead of"),
            (-3 * 86_400_000 - 1, "3 days behind"),
        ] {
            for doubt in [Doubt::Database(ms), Doubt::LastRun(ms), Doubt::Uptime(ms)] {
                assert_eq!(doubt.ahead_ms(), ms);
                let text = doubt.to_string();
                assert!(text.contains(&format!(" {says} ")), "{text}");
            }
        }
    }

    #[test]
    fn the_skew_that_was_compared_is_kept_for_the_statement_that_uses_the_moment() {
        let evidence = Evidence {
            database: Some(NOW),
            last_confirmed: None,
        };
        let skew = confirm(NOW, evidence, SKEW).map(ConfirmedNow::max_skew);
        assert_eq!(skew, Ok(Some(SKEW)));
        let alone = confirm(NOW, Evidence::default(), SKEW).map(ConfirmedNow::max_skew);
        assert_eq!(alone, Ok(None));
    }
}
