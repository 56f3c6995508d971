//! Rate limits, as pure functions. There are two kinds: a steady pace (the generic cell rate
//! algorithm: a burst, then one by one), and a growing wait for guesses: after some free failures
//! every further one doubles the wait, up to a quarter of an hour, so that a stranger can delay the
//! owner of an account but never lock the owner out.

use std::str::FromStr;
use std::time::Duration;

pub use super::rule::Rule;
use crate::model::kernel::time::Timestamp;
use crate::model::session::refresh::MAX_CLOCK_SKEW;

/// The first wait after a failure that is not free; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait after a failure.
const LAST_WAIT: Duration = Duration::from_secs(15 * 60);

/// A limit of `count` in `period`, written `5/15m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The allowed number, at least one.
    pub count: u32,
    /// The period of the limit.
    pub period: Duration,
}

/// The text is not a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a number and a period, such as 5/15m, or off")]
pub struct InvalidQuota;

impl FromStr for Quota {
    type Err = InvalidQuota;

    fn from_str(text: &str) -> Result<Self, InvalidQuota> {
        let (count, period) = text.split_once('/').ok_or(InvalidQuota)?;
        let count = count
            .trim()
            .parse()
            .ok()
            .filter(|n| (1..=1_000_000).contains(n))
            .ok_or(InvalidQuota)?;
        let period = humantime::parse_duration(period.trim()).map_err(|_| InvalidQuota)?;
        let good = Duration::from_secs(1) <= period && period <= Duration::from_secs(86_400);
        if good {
            Ok(Self { count, period })
        } else {
            Err(InvalidQuota)
        }
    }
}

/// The stored state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The number of failures in a row.
    pub level: i64,
    /// For growing waits: when the next attempt is allowed. For a steady pace: when the full burst
    /// is available again.
    pub free_at: Timestamp,
    /// When the state can be forgotten.
    pub expires_at: Timestamp,
}

/// Counts one more; returns the state after it, or `Err` with the time to wait.
pub fn decide(
    rule: Rule,
    quota: Quota,
    state: Option<State>,
    now: Timestamp,
) -> Result<State, Duration> {
    let state = state.filter(|s| now < s.expires_at);
    if rule.grows() {
        grow(quota, state, now)
    } else {
        steadily(quota, state, now)
    }
}

fn grow(quota: Quota, state: Option<State>, now: Timestamp) -> Result<State, Duration> {
    if let Some(state) = state {
        let (left, most) = (state.free_at.since(now), wait_after(quota, state.level));
        // If it is further away than this count can cause, it was written by a clock that was
        // ahead, and the rest of the wait is unknown: the count stays and the next attempt is
        // allowed. Clocks of replicas differ a little: what one of them wrote is cut to what the
        // count can cause.
        if !left.is_zero() && !most.is_zero() && left <= most + MAX_CLOCK_SKEW {
            return Err(left.min(most));
        }
    }
    let level = state.map_or(0, |s| s.level).saturating_add(1);
    let wait = wait_after(quota, level);
    Ok(State {
        level,
        free_at: now + wait,
        expires_at: now + wait + quota.period,
    })
}

/// Returns the wait after this many failures.
fn wait_after(quota: Quota, level: i64) -> Duration {
    u32::try_from(level - i64::from(quota.count)).map_or(Duration::ZERO, |beyond| {
        FIRST_WAIT
            .saturating_mul(1 << beyond.min(20))
            .min(LAST_WAIT)
    })
}

fn steadily(quota: Quota, state: Option<State>, now: Timestamp) -> Result<State, Duration> {
    let full_at = state.map_or(now, |s| full_at(quota, s, now));
    let free_at = full_at + every(quota);
    let debt = free_at.since(now);
    if debt > quota.period {
        return Err(debt.saturating_sub(quota.period));
    }
    Ok(State {
        level: state.map_or(0, |s| s.level).saturating_add(1),
        free_at,
        expires_at: free_at,
    })
}

/// Returns when the full burst is available again. An empty burst takes the whole period: a later
/// time was written by a clock that was ahead and is ignored.
fn full_at(quota: Quota, state: State, now: Timestamp) -> Timestamp {
    let debt = state.free_at.since(now);
    if debt > quota.period + MAX_CLOCK_SKEW {
        now
    } else {
        now + debt.min(quota.period)
    }
}

/// Returns the time for one unit at the steady pace.
fn every(quota: Quota) -> Duration {
    (quota.period / quota.count).max(Duration::from_millis(1))
}

/// Returns the state after a success; `None` if nothing has to be stored.
pub fn reset(rule: Rule, quota: Quota, state: State, now: Timestamp) -> Option<State> {
    if rule.grows() {
        None
    } else {
        refund(rule, quota, state, now)
    }
}

/// Undoes one charge for an attempt that was never evaluated; earlier failures keep counting.
pub fn refund(rule: Rule, quota: Quota, state: State, now: Timestamp) -> Option<State> {
    if rule.grows() {
        let level = state.level - 1;
        let free_at = state.free_at.min(now + wait_after(quota, level));
        return (level > 0).then_some(State {
            level,
            free_at,
            ..state
        });
    }
    let free_at =
        full_at(quota, state, now).0 - i64::try_from(every(quota).as_millis()).unwrap_or(i64::MAX);
    (free_at > now.0).then(|| State {
        level: state.level - 1,
        free_at: Timestamp(free_at),
        expires_at: Timestamp(free_at),
    })
}

/// The refusal by a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// The key of the count, in the table and in the memory of this process.
    pub key: String,
    /// The rule that refuses.
    pub rule: Rule,
    /// The limit of the rule.
    pub quota: Quota,
    /// How long until it may allow the action.
    pub wait: Duration,
}

#[cfg(test)]
mod tests {
    use super::super::network::{Reach, network, networks};
    use super::*;

    const FIVE: Quota = Quota {
        count: 5,
        period: Duration::from_secs(900),
    };

    #[test]
    fn five_failures_are_free_and_then_the_wait_doubles_to_a_quarter_of_an_hour() {
        let mut now = Timestamp(1_000_000);
        let (mut state, mut waits) = (None, Vec::new());
        for _ in 0..20 {
            let next = decide(Rule::SignIn, FIVE, state, now).expect("the wait was kept");
            waits.push(next.free_at.since(now).as_secs());
            now = next.free_at;
            state = Some(next);
        }
        assert_eq!(
            waits,
            [
                0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900, 900
            ]
        );
        let early = decide(Rule::SignIn, FIVE, state, now + Duration::from_secs(0))
            .map(|s| s.free_at.since(now));
        assert_eq!(early, Ok(LAST_WAIT), "at the end of the wait it is allowed");
        assert_eq!(
            decide(
                Rule::SignIn,
                FIVE,
                state.map(|s| State {
                    free_at: s.free_at + FIRST_WAIT,
                    ..s
                }),
                now
            ),
            Err(FIRST_WAIT)
        );
        // After a quarter of an hour without attempts, everything is forgotten.
        let later = now + FIVE.period;
        assert_eq!(
            decide(Rule::SignIn, FIVE, state, later).map(|s| (s.level, s.free_at)),
            Ok((1, later))
        );
        assert_eq!(reset(Rule::SignIn, FIVE, state.unwrap(), now), None);
    }

    #[test]
    fn an_attempt_that_was_not_evaluated_is_refunded_and_earlier_failures_count() {
        let now = Timestamp(1_000_000);
        let mut state = None;
        for _ in 0..4 {
            state = decide(Rule::SignIn, FIVE, state, now).ok();
        }
        // However often the service was too busy: the fifth attempt costs a second, as before.
        for _ in 0..100 {
            let charged = decide(Rule::SignIn, FIVE, state, now).unwrap();
            assert_eq!(charged.free_at.since(now), FIRST_WAIT);
            state = refund(Rule::SignIn, FIVE, charged, now);
            assert_eq!(state.map(|s| (s.level, s.free_at)), Some((4, now)));
        }
        let first = decide(Rule::SignIn, FIVE, None, now).unwrap();
        assert_eq!(refund(Rule::SignIn, FIVE, first, now), None);
        let two = decide(
            Rule::SignUp,
            FIVE,
            decide(Rule::SignUp, FIVE, None, now).ok(),
            now,
        )
        .unwrap();
        assert_eq!(
            refund(Rule::SignUp, FIVE, two, now).map(|s| s.level),
            Some(1)
        );
    }

    #[test]
    fn a_steady_pace_is_a_burst_and_then_one_by_one_and_forgiveness_gives_one_back() {
        let now = Timestamp(5_000_000);
        let mut state = None;
        for _ in 0..5 {
            state = Some(decide(Rule::SignUp, FIVE, state, now).unwrap());
        }
        assert_eq!(
            decide(Rule::SignUp, FIVE, state, now),
            Err(Duration::from_secs(180))
        );
        let back = reset(Rule::SignUp, FIVE, state.unwrap(), now);
        assert!(decide(Rule::SignUp, FIVE, back, now).is_ok());
        let later = now + Duration::from_secs(180);
        state = Some(decide(Rule::SignUp, FIVE, state, later).unwrap());
        assert_eq!(
            decide(Rule::SignUp, FIVE, state, later),
            Err(Duration::from_secs(180))
        );
        assert!(
            (0..5)
                .try_fold(None, |s, _| decide(
                    Rule::SignUp,
                    FIVE,
                    s,
                    now + FIVE.period * 9
                )
                .map(Some))
                .is_ok()
        );
    }

    /// Counts many, each as soon as it is allowed, until one is refused; returns the state and that
    /// time.
    fn exhaust(rule: Rule, mut now: Timestamp) -> (State, Timestamp) {
        let mut state = None;
        for _ in 0..40 {
            match decide(rule, FIVE, state, now) {
                Ok(next) => state = Some(next),
                Err(wait) => now = now + wait,
            }
        }
        while let Ok(next) = decide(rule, FIVE, state, now) {
            state = Some(next);
        }
        (state.expect("something was charged"), now)
    }

    #[test]
    fn a_clock_that_jumped_ahead_and_back_lengthens_no_wait_beyond_the_rule() {
        let now = Timestamp(1_795_219_200_000);
        for rule in Rule::ALL {
            // The longest wait of a refused client by a clock that never jumped.
            let (state, then) = exhaust(rule, now);
            let usual = decide(rule, FIVE, Some(state), then).expect_err("refused");
            for jump in
                [1, 2, 10, 60, 900, 3_600, 43_200, 86_400, 100 * 86_400].map(Duration::from_secs)
            {
                let (state, then) = exhaust(rule, now + jump);
                let set_back = then - jump;
                let mut at = set_back;
                // The client follows the answer: it waits and tries again.
                while let Err(wait) = decide(rule, FIVE, Some(state), at) {
                    assert!(
                        wait <= LAST_WAIT.max(FIVE.period),
                        "{rule:?} {jump:?}: {wait:?}"
                    );
                    at = at + wait;
                }
                let most = (LAST_WAIT * 2).max(usual) + MAX_CLOCK_SKEW;
                assert!(
                    at.since(set_back) <= most,
                    "{rule:?}, a jump of {jump:?}: locked out for {:?}",
                    at.since(set_back)
                );
                if jump >= Duration::from_secs(86_400) {
                    assert_eq!(at, set_back, "{rule:?}, a jump of {jump:?}");
                }
            }
        }
    }

    #[test]
    fn replicas_that_are_two_seconds_apart_give_no_guess_away() {
        let (now, apart) = (Timestamp(1_795_219_200_000), Duration::from_secs(2));
        let mut state = None;
        for _ in 0..8 {
            state = decide(
                Rule::SignIn,
                FIVE,
                state,
                state.map_or(now, |s: State| s.free_at),
            )
            .ok();
        }
        let state = state.expect("eight failures cost eight seconds");
        let cost = Duration::from_secs(8);
        let written = state.free_at - cost;
        assert_eq!(
            decide(Rule::SignIn, FIVE, Some(state), written - apart),
            Err(cost),
            "cut to what the count costs"
        );
        assert_eq!(
            decide(Rule::SignIn, FIVE, Some(state), written + apart),
            Err(Duration::from_secs(6))
        );
    }

    #[test]
    fn quotas_are_read_and_networks_are_whole() {
        assert_eq!("5/15m".parse(), Ok(FIVE));
        for text in ["5", "0/1m", "5/0s", "5/2d", "-1/1m", "five/1m", ""] {
            assert_eq!(text.parse::<Quota>(), Err(InvalidQuota), "{text:?}");
        }
        for (one, same) in [
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("192.0.2.1", "64:ff9b::192.0.2.1"),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"),
            ("", "somewhere"),
        ] {
            assert_eq!(network(one), network(same));
        }
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        let names = |address: &str| {
            networks(address)
                .into_iter()
                .map(|(_, name)| name)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names("2001:db8:1:2ff::1"),
            [
                "2001:db8:1:2ff::/64",
                "2001:db8:1:200::/56",
                "2001:db8:1::/48"
            ]
        );
        assert_eq!(names("::ffff:192.0.2.1"), ["192.0.2.1"]);
    }

    #[test]
    fn a_quota_is_a_number_up_to_a_million_and_a_time_of_a_second_up_to_a_day() {
        for text in ["1/1s", "1000000/1d", " 5 / 15m "] {
            assert!(text.parse::<Quota>().is_ok(), "{text:?}");
        }
        for text in ["1000001/1d", "5/999ms", "5/86401s"] {
            assert_eq!(text.parse::<Quota>(), Err(InvalidQuota), "{text:?}");
        }
    }

    #[test]
    fn each_rule_has_its_name_and_its_pace_and_allows_more_to_networks_that_reach_further() {
        for (rule, name, grows) in [
            (Rule::SignIn, "sign-in", true),
            (Rule::SignInDevice, "sign-in-device", true),
            (Rule::SignInDevices, "sign-in-devices", true),
            (Rule::Confirm, "confirm", true),
            (Rule::SignInAccount, "sign-in-account", true),
            (Rule::SignInNetwork, "sign-in-network", false),
            (Rule::SignInSuccess, "sign-in-success", false),
            (Rule::SignUp, "sign-up", false),
            (Rule::MailAddress, "mail-address", false),
            (Rule::MailRecipient, "mail-recipient", false),
            (Rule::MailNetwork, "mail-network", false),
            (Rule::Mint, "token", false),
        ] {
            assert_eq!(rule.as_str(), name);
            assert_eq!(rule.grows(), grows, "{name}");
            let reaches = [Reach::Link, Reach::Customer, Reach::Site];
            let counts = reaches.map(|reach| reach.quota(rule, FIVE).count);
            let customer = if grows { 10 } else { 7 };
            assert_eq!(counts, [5, customer, 20], "{name}");
        }
    }

    #[test]
    fn a_wait_that_the_count_does_not_cost_was_written_by_a_clock_that_was_ahead() {
        let (now, ms) = (Timestamp(1_795_219_200_000), Duration::from_millis(1));
        let state = |level, ahead: Duration| State {
            level,
            free_at: now + ahead,
            expires_at: now + Duration::from_secs(86_400),
        };
        // The seventh failure costs four seconds.
        let cost = Duration::from_secs(4);
        let guess = |level, ahead| decide(Rule::SignIn, FIVE, Some(state(level, ahead)), now);
        assert_eq!(guess(7, cost), Err(cost));
        assert_eq!(guess(7, cost + MAX_CLOCK_SKEW), Err(cost));
        assert!(guess(7, cost + MAX_CLOCK_SKEW + ms).is_ok());
        assert_eq!(guess(7, ms), Err(ms));
        assert!(guess(4, cost).is_ok(), "four failures cost nothing");

        let full = FIVE.period;
        let sign_up = |ahead| decide(Rule::SignUp, FIVE, Some(state(5, ahead)), now);
        let one = Duration::from_secs(180);
        assert_eq!(sign_up(full), Err(one));
        assert_eq!(sign_up(full + MAX_CLOCK_SKEW), Err(one));
        assert!(sign_up(full + MAX_CLOCK_SKEW + ms).is_ok());
    }

    #[test]
    fn what_is_given_back_at_the_steady_pace_is_one_and_nothing_is_left_of_the_last() {
        let now = Timestamp(5_000_000);
        let one = Duration::from_secs(180);
        let state = |count: u32| State {
            level: i64::from(count),
            free_at: now + one * count,
            expires_at: now + one * count,
        };
        assert_eq!(refund(Rule::SignUp, FIVE, state(3), now), Some(state(2)));
        assert_eq!(reset(Rule::SignUp, FIVE, state(3), now), Some(state(2)));
        assert_eq!(refund(Rule::SignUp, FIVE, state(1), now), None);
        // A failure more cost its wait; without it the wait is that of the failures before.
        let guesses = |level, wait| State {
            level,
            free_at: now + Duration::from_secs(wait),
            expires_at: now + one,
        };
        for (before, after) in [
            (guesses(7, 4), Some(guesses(6, 2))),
            (guesses(7, 1), Some(guesses(6, 1))),
            (guesses(1, 0), None),
        ] {
            assert_eq!(refund(Rule::SignIn, FIVE, before, now), after);
        }
    }
}
