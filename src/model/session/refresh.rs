//! The refresh decision: a pure function of a session's row and a presented token.
//!
//! Promise: a client that loses an answer or opens ten tabs is not signed out if it comes back
//! within the grace, or at any age with the ticket of its refresh; a thief who replays a spent token
//! ends the session. `docs/decisions/0003-refresh.md` gives the reasons, RFC 9700 section 4.14.2 the
//! requirement.
//! `crypto::token` computes tokens and tags, `flows::session::refresh` carries a decision out.

use std::time::Duration;

use super::session::Delivery;
use super::ticket::{Sent, Tickets};
use crate::model::kernel::standstill::Standstills;
use crate::model::kernel::time::Timestamp;

/// SHA-256 of a token's secret; the secret itself is never stored.
pub type SecretHash = [u8; 32];

/// The greatest clock difference between replicas that is tolerated. A time stamp further in the
/// future was made by a clock that has been set back since.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5);

/// The settings of an operator that the decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long the parent of the current token still gets its successor. Zero means never, not
    /// even in the same millisecond.
    pub grace: Duration,
    /// How long the current token is kept before it may rotate again.
    pub cooldown: Duration,
    /// What a retry after the grace gets.
    pub late_retry: LateRetry,
}

/// The values of `sessions.late_retry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateRetry {
    /// `Supersede` for sessions whose tokens travel in bodies, `Revoke` for cookies: an app may be
    /// suspended in the middle of a refresh, whereas a browser's tabs share one cookie jar. With a
    /// grace of zero every token is used once, and a retry ends the session.
    Auto,
    /// The session ends: either the answer was lost and every retry came too late, or the token was
    /// stolen.
    Revoke,
    /// Another child of the parent replaces the unused successor, once.
    Supersede,
}

/// The columns of a session's row that the decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// Generation of the current token, counted from 1.
    pub generation: u32,
    /// Hash of the current token's secret.
    pub refresh_hash: SecretHash,
    /// When the current token became current.
    pub rotated_at: Timestamp,
    /// The absolute end of the session.
    pub expires_at: Timestamp,
    /// The idle end of the session.
    pub idle_expires_at: Timestamp,
    /// Whether the session was ended before its time.
    pub revoked: bool,
    /// How the session's tokens travel.
    pub delivery: Delivery,
    /// Whether the session has tickets, and the one with which the current token was made.
    pub tickets: Tickets,
}

/// The successors of the presented token, computed under one loaded master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SuccessorHashes {
    /// Hash of the successor that this key computes.
    pub successor: SecretHash,
    /// Hash of the late successor that this key computes.
    pub late_successor: SecretHash,
}

/// What the caller knows of a presented token whose tag was valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The generation that it claims; the tag authenticates it.
    pub generation: u32,
    /// Hash of its secret.
    pub hash: SecretHash,
    /// Hash of the secret of its parent.
    pub parent_hash: SecretHash,
    /// Whether its secret really is a child of the parent field under a loaded master key.
    pub descends_from_parent: bool,
    /// Its successors, one entry for each loaded master key. The first is that of the key that made
    /// the token.
    pub successors: Vec<SuccessorHashes>,
}

/// Identifies one child of the presented token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// Index of the master key in [`Presented::successors`].
    pub key: usize,
    /// Whether it is the late successor.
    pub late: bool,
}

/// What to do. The numbers are the rows of the table in `docs/decisions/0003-refresh.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// 1 to 3: the session is unknown or has ended.
    Refuse(Refusal),
    /// 3d: a refresh of a session with tickets came without one. Nothing is changed.
    TicketMissing,
    /// 4: a new access token; the client keeps the refresh token that it has.
    Keep,
    /// 5: the successor becomes current.
    Rotate,
    /// 6: the same successor is returned once more.
    Repeat(Child),
    /// 6a: the same successor is returned once more past the grace: the client has the ticket, or the
    /// grace is not over by the time in which the service answered. The grace begins again.
    Resume(Child),
    /// 6b: another child of the parent becomes current.
    Supersede,
    /// 7: the row has lost a commit and moves forward to the token. Answered like `Keep`.
    Heal,
    /// 8: the row has lost more than one commit. The session ends, without an alarm of reuse.
    Ahead,
    /// 6c: the parent is presented for something other than a refresh, in a session with tickets. To
    /// vouch, while the answer with its successor may be under way: the client refreshes and asks again.
    /// To end the session, at any age.
    Superseding,
    /// 9a: this would be reuse, but the process stood still a moment ago and the request may have
    /// waited since before that. Nothing is changed; the client's retry is decided.
    Wait,
    /// 9: a spent token was used again. The session ends.
    Reuse,
}

impl Decision {
    /// Returns the name for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse(_) => "refused",
            Self::TicketMissing => "ticket_missing",
            Self::Superseding => "superseding",
            Self::Keep => "kept",
            Self::Rotate => "rotated",
            Self::Repeat(_) => "repeated",
            Self::Resume(_) => "resumed",
            Self::Supersede => "superseded",
            Self::Heal => "healed",
            Self::Ahead => "ahead",
            Self::Wait => "postponed",
            Self::Reuse => "reused",
        }
    }
}

/// The reason why a session gets no refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such session.
    Unknown,
    /// The session was ended before its time.
    Revoked,
    /// The session has reached its end.
    Expired,
}

impl Row {
    /// Returns whether the time stamp of the rotation is in the future: it comes from a clock that
    /// has been set back since and proves nothing about the past.
    fn stamped_ahead(&self, now: Timestamp) -> bool {
        self.rotated_at > now + MAX_CLOCK_SKEW
    }

    /// Returns whether the current token is too young to rotate. The first one has no cool-down.
    fn is_cooling(&self, now: Timestamp, policy: &Policy) -> bool {
        self.generation > 1 && now < self.rotated_at + policy.cooldown && !self.stamped_ahead(now)
    }
}

/// Decides what a presented token gets. The order of the questions is essential for security:
/// whether the session has ended is asked before any time window is considered. `sent` is the ticket
/// that came with the token; `standstills` are the times before `now` in which the service stood still.
pub fn decide(
    row: Option<&Row>,
    token: &Presented,
    sent: Sent,
    now: Timestamp,
    policy: &Policy,
    standstills: &Standstills,
) -> Decision {
    let Some(row) = row else {
        return Decision::Refuse(Refusal::Unknown);
    };
    if row.revoked {
        return Decision::Refuse(Refusal::Revoked);
    }
    if now >= row.expires_at || now >= row.idle_expires_at {
        return Decision::Refuse(Refusal::Expired);
    }
    if row.tickets != Tickets::Unused && sent == Sent::Nothing {
        return Decision::TicketMissing;
    }
    let (presented, current) = (u64::from(token.generation), u64::from(row.generation));
    if presented == current && token.hash == row.refresh_hash {
        return if row.is_cooling(now, policy) {
            Decision::Keep
        } else {
            Decision::Rotate
        };
    }
    if presented + 1 == current
        && let Some(child) = child_of(row, token)
        && let Some(decision) = decide_parent(row, child, sent, now, policy, standstills)
    {
        return decision;
    }
    if presented == current + 1
        && token.descends_from_parent
        && token.parent_hash == row.refresh_hash
    {
        return Decision::Heal;
    }
    if presented > current {
        return Decision::Ahead;
    }
    if standstills.is_settling() {
        Decision::Wait
    } else {
        Decision::Reuse
    }
}

/// Decides rows 6 to 6c: the parent of the current token was presented. A ticket decides at any age,
/// and without a ticket of the current token the window does.
fn decide_parent(
    row: &Row,
    child: Child,
    sent: Sent,
    now: Timestamp,
    policy: &Policy,
    standstills: &Standstills,
) -> Option<Decision> {
    let within_grace = !policy.grace.is_zero() && now <= row.rotated_at + policy.grace;
    if let Tickets::Used(Some(ticket)) = row.tickets {
        return match sent {
            Sent::Ticket(sent) if sent == ticket && within_grace => Some(Decision::Repeat(child)),
            Sent::Ticket(sent) if sent == ticket => Some(Decision::Resume(child)),
            Sent::Vouching if row.is_cooling(now, policy) => Some(Decision::Superseding),
            // Its client may have lost the answer long ago.
            Sent::Ending => Some(Decision::Superseding),
            Sent::Ticket(_) | Sent::Nothing | Sent::Vouching => None,
        };
    }
    if within_grace {
        return Some(Decision::Repeat(child));
    }
    if !policy.grace.is_zero() && standstills.served_since(row.rotated_at, now) <= policy.grace {
        return Some(Decision::Resume(child));
    }
    let forgives = match policy.late_retry {
        LateRetry::Auto => row.delivery == Delivery::Body && !policy.grace.is_zero(),
        LateRetry::Revoke => false,
        LateRetry::Supersede => true,
    };
    let may_supersede = forgives && !child.late && row.tickets == Tickets::Unused;
    may_supersede.then_some(Decision::Supersede)
}

/// Returns the child of the presented token that is current, if there is one.
fn child_of(row: &Row, token: &Presented) -> Option<Child> {
    let find = |late: bool| {
        let hash_of = |k: &SuccessorHashes| if late { k.late_successor } else { k.successor };
        token
            .successors
            .iter()
            .position(|k| hash_of(k) == row.refresh_hash)
            .map(|key| Child { key, late })
    };
    find(false).or_else(|| find(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::session::ticket::TicketHash;

    const POLICY: Policy = Policy {
        grace: Duration::from_secs(30),
        cooldown: Duration::from_secs(50),
        late_retry: LateRetry::Revoke,
    };
    const T0: Timestamp = Timestamp(1_000_000);

    fn hash(generation: u32) -> SecretHash {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&generation.to_be_bytes());
        hash
    }

    fn row(generation: u32) -> Row {
        let end = T0 + Duration::from_secs(86_400);
        Row {
            generation,
            refresh_hash: hash(generation),
            rotated_at: T0,
            expires_at: end,
            idle_expires_at: end,
            revoked: false,
            delivery: Delivery::Body,
            tickets: Tickets::Unused,
        }
    }

    fn token(generation: u32) -> Presented {
        let successors = SuccessorHashes {
            successor: hash(generation + 1),
            late_successor: [0xFF; 32],
        };
        Presented {
            generation,
            hash: hash(generation),
            parent_hash: hash(generation - 1),
            descends_from_parent: true,
            successors: vec![successors],
        }
    }

    fn after(row: &Row, token: &Presented, ms: i64, policy: &Policy) -> Decision {
        decide(
            Some(row),
            token,
            Sent::Nothing,
            Timestamp(T0.0 + ms),
            policy,
            &Standstills::default(),
        )
    }

    #[test]
    fn windows_end_to_the_millisecond() {
        let repeat = Decision::Repeat(Child {
            key: 0,
            late: false,
        });
        for (generation, ms, expected) in [
            (2, 0, Decision::Keep),
            (2, 49_999, Decision::Keep),
            (2, 50_000, Decision::Rotate),
            (1, 30_000, repeat),
            (1, 30_001, Decision::Reuse),
            (3, 0, Decision::Heal),
            (4, 0, Decision::Ahead),
        ] {
            assert_eq!(
                after(&row(2), &token(generation), ms, &POLICY),
                expected,
                "generation {generation} after {ms} ms"
            );
        }
        assert_eq!(
            after(&row(1), &token(1), 0, &POLICY),
            Decision::Rotate,
            "the first token has no cool-down"
        );
        assert_eq!(
            after(&row(3), &token(1), 0, &POLICY),
            Decision::Reuse,
            "two generations old"
        );
    }

    #[test]
    fn zero_grace_never_repeats() {
        let strict = Policy {
            grace: Duration::ZERO,
            cooldown: Duration::ZERO,
            ..POLICY
        };
        assert_eq!(after(&row(2), &token(1), 0, &strict), Decision::Reuse);
        assert_eq!(after(&row(2), &token(2), 0, &strict), Decision::Rotate);
    }

    #[test]
    fn what_is_over_stays_over_before_any_window() {
        let revoked = Row {
            revoked: true,
            ..row(2)
        };
        for generation in 1..5 {
            assert_eq!(
                after(&revoked, &token(generation), 0, &POLICY),
                Decision::Refuse(Refusal::Revoked)
            );
        }
        let idle = Row {
            idle_expires_at: T0,
            ..row(2)
        };
        let absolute = Row {
            expires_at: T0,
            ..row(2)
        };
        for ended in [idle, absolute] {
            assert_eq!(
                after(&ended, &token(1), 0, &POLICY),
                Decision::Refuse(Refusal::Expired)
            );
        }
        assert_eq!(
            decide(
                None,
                &token(1),
                Sent::Nothing,
                T0,
                &POLICY,
                &Standstills::default()
            ),
            Decision::Refuse(Refusal::Unknown)
        );
    }

    #[test]
    fn a_forged_lineage_heals_nothing() {
        let forged = Presented {
            descends_from_parent: false,
            ..token(3)
        };
        assert_eq!(after(&row(2), &forged, 0, &POLICY), Decision::Ahead);
        let foreign = Presented {
            parent_hash: [9; 32],
            ..token(3)
        };
        assert_eq!(after(&row(2), &foreign, 0, &POLICY), Decision::Ahead);
        let wrong = Presented {
            hash: [9; 32],
            ..token(2)
        };
        assert_eq!(
            after(&row(2), &wrong, 0, &POLICY),
            Decision::Reuse,
            "current generation with a wrong secret"
        );
    }

    #[test]
    fn a_clock_set_back_neither_keeps_nor_waits() {
        let ahead = Row {
            rotated_at: T0 + Duration::from_secs(6),
            ..row(2)
        };
        assert_eq!(after(&ahead, &token(2), 0, &POLICY), Decision::Rotate);
        let skewed = Row {
            rotated_at: T0 + Duration::from_secs(5),
            ..row(2)
        };
        assert_eq!(after(&skewed, &token(2), 0, &POLICY), Decision::Keep);
    }

    #[test]
    fn a_late_retry_supersedes_once() {
        let lenient = Policy {
            late_retry: LateRetry::Supersede,
            ..POLICY
        };
        assert_eq!(
            after(&row(2), &token(1), 30_001, &lenient),
            Decision::Supersede
        );
        let superseded = Row {
            refresh_hash: [0xFF; 32],
            rotated_at: Timestamp(T0.0 + 30_001),
            ..row(2)
        };
        assert_eq!(
            after(&superseded, &token(1), 60_001, &lenient),
            Decision::Repeat(Child { key: 0, late: true })
        );
        assert_eq!(
            after(&superseded, &token(1), 60_002, &lenient),
            Decision::Reuse,
            "a second late one"
        );
        assert_eq!(
            after(&superseded, &token(2), 30_002, &lenient),
            Decision::Reuse,
            "the unused successor is dead"
        );
    }

    #[test]
    fn by_default_a_late_retry_is_forgiven_in_bodies_and_not_in_cookies() {
        let auto = Policy {
            late_retry: LateRetry::Auto,
            ..POLICY
        };
        let in_cookie = Row {
            delivery: Delivery::Cookie,
            ..row(2)
        };
        assert_eq!(
            after(&row(2), &token(1), 30_001, &auto),
            Decision::Supersede
        );
        assert_eq!(after(&in_cookie, &token(1), 30_001, &auto), Decision::Reuse);
        let strict = Policy {
            grace: Duration::ZERO,
            cooldown: Duration::ZERO,
            ..auto
        };
        assert_eq!(
            after(&row(2), &token(1), 0, &strict),
            Decision::Reuse,
            "single use is single use"
        );
    }

    #[test]
    fn a_repeat_is_found_under_any_loaded_master_key() {
        let mut two_keys = token(1);
        two_keys.successors.insert(
            0,
            SuccessorHashes {
                successor: [7; 32],
                late_successor: [8; 32],
            },
        );
        assert_eq!(
            after(&row(2), &two_keys, 1, &POLICY),
            Decision::Repeat(Child {
                key: 1,
                late: false
            })
        );
    }

    #[test]
    fn generations_at_the_edge_do_not_overflow() {
        let last = Row {
            generation: u32::MAX,
            ..row(2)
        };
        assert_eq!(after(&last, &token(1), 0, &POLICY), Decision::Reuse);
        let mut newest = token(2);
        newest.generation = u32::MAX;
        assert_eq!(after(&row(1), &newest, 0, &POLICY), Decision::Ahead);
    }

    #[test]
    fn every_decision_is_counted_under_its_own_word() {
        let child = Child {
            key: 0,
            late: false,
        };
        for (decision, word) in [
            (Decision::Refuse(Refusal::Unknown), "refused"),
            (Decision::TicketMissing, "ticket_missing"),
            (Decision::Superseding, "superseding"),
            (Decision::Keep, "kept"),
            (Decision::Rotate, "rotated"),
            (Decision::Repeat(child), "repeated"),
            (Decision::Resume(child), "resumed"),
            (Decision::Supersede, "superseded"),
            (Decision::Heal, "healed"),
            (Decision::Ahead, "ahead"),
            (Decision::Wait, "postponed"),
            (Decision::Reuse, "reused"),
        ] {
            assert_eq!(decision.as_str(), word);
        }
    }

    const MINE: Sent = Sent::Ticket(TicketHash([1; 32]));
    const OTHER: Sent = Sent::Ticket(TicketHash([2; 32]));

    fn ticketed(generation: u32, made_with: Option<TicketHash>) -> Row {
        Row {
            tickets: Tickets::Used(made_with),
            ..row(generation)
        }
    }

    fn asked(row: &Row, generation: u32, sent: Sent, ms: i64, policy: &Policy) -> Decision {
        let now = Timestamp(T0.0 + ms);
        let none = Standstills::default();
        decide(Some(row), &token(generation), sent, now, policy, &none)
    }

    #[test]
    fn the_ticket_of_the_current_token_repeats_it_at_any_age_and_another_ends_the_session() {
        let child = Child {
            key: 0,
            late: false,
        };
        let made_with = ticketed(2, MINE.hash());
        let days = 13 * 86_400_000;
        let row = Row {
            expires_at: Timestamp(T0.0 + 2 * days),
            idle_expires_at: Timestamp(T0.0 + 2 * days),
            ..made_with
        };
        for lenient in [LateRetry::Auto, LateRetry::Revoke, LateRetry::Supersede] {
            let policy = Policy {
                late_retry: lenient,
                ..POLICY
            };
            for (sent, ms, expected) in [
                (MINE, 0, Decision::Repeat(child)),
                (MINE, 30_000, Decision::Repeat(child)),
                (MINE, 30_001, Decision::Resume(child)),
                (MINE, days, Decision::Resume(child)),
                (OTHER, 0, Decision::Reuse),
                (OTHER, 1, Decision::Reuse),
                (OTHER, 30_001, Decision::Reuse),
                (Sent::Nothing, 1, Decision::TicketMissing),
                (Sent::Nothing, days, Decision::TicketMissing),
                (Sent::Vouching, 1, Decision::Superseding),
                (Sent::Vouching, 49_999, Decision::Superseding),
                (Sent::Vouching, 50_000, Decision::Reuse),
                (Sent::Ending, 1, Decision::Superseding),
                (Sent::Ending, days, Decision::Superseding),
            ] {
                let decision = asked(&row, 1, sent, ms, &policy);
                assert_eq!(decision, expected, "{sent:?} after {ms} ms, {lenient:?}");
            }
        }
        assert_eq!(
            asked(&ticketed(3, MINE.hash()), 1, MINE, 1, &POLICY),
            Decision::Reuse,
            "two generations old, whatever the ticket"
        );
        let strict = Policy {
            grace: Duration::ZERO,
            cooldown: Duration::ZERO,
            ..POLICY
        };
        assert_eq!(asked(&row, 1, MINE, 0, &strict), Decision::Resume(child));
        assert_eq!(asked(&row, 1, OTHER, 0, &strict), Decision::Reuse);
        assert_eq!(asked(&row, 1, Sent::Vouching, 0, &strict), Decision::Reuse);
    }

    #[test]
    fn the_current_token_needs_a_ticket_to_refresh_and_none_to_vouch() {
        let row = ticketed(2, MINE.hash());
        for sent in [MINE, OTHER, Sent::Vouching, Sent::Ending] {
            assert_eq!(asked(&row, 2, sent, 1, &POLICY), Decision::Keep, "{sent:?}");
            let later = asked(&row, 2, sent, 50_000, &POLICY);
            assert_eq!(later, Decision::Rotate, "{sent:?}");
        }
        for ms in [1, 50_000] {
            let without = asked(&row, 2, Sent::Nothing, ms, &POLICY);
            assert_eq!(without, Decision::TicketMissing);
        }
        let over = Row {
            revoked: true,
            ..row
        };
        let refused = asked(&over, 2, Sent::Nothing, 1, &POLICY);
        assert_eq!(
            refused,
            Decision::Refuse(Refusal::Revoked),
            "the end comes first"
        );
    }

    #[test]
    fn without_a_ticket_of_the_current_token_the_window_counts() {
        let healed = ticketed(2, None);
        let child = Child {
            key: 0,
            late: false,
        };
        for sent in [MINE, OTHER, Sent::Vouching, Sent::Ending] {
            let within = asked(&healed, 1, sent, 30_000, &POLICY);
            assert_eq!(within, Decision::Repeat(child), "{sent:?}");
            let lenient = Policy {
                late_retry: LateRetry::Supersede,
                ..POLICY
            };
            let late = asked(&healed, 1, sent, 30_001, &lenient);
            assert_eq!(late, Decision::Reuse, "{sent:?}");
        }
    }

    #[test]
    fn a_session_without_tickets_reads_none() {
        for sent in [MINE, OTHER, Sent::Nothing, Sent::Vouching, Sent::Ending] {
            for (generation, ms) in [(2, 0), (2, 50_000), (1, 30_000), (1, 30_001), (3, 0)] {
                let usual = after(&row(2), &token(generation), ms, &POLICY);
                assert_eq!(asked(&row(2), generation, sent, ms, &POLICY), usual);
            }
        }
    }
}
