//! The key plan: which steps an operation takes on the signing keys of one algorithm. A pure
//! function; `slots` applies it to each algorithm, and `flows::key` applies the steps in one
//! transaction.

use super::algorithm::Algorithm;
use super::key::{Key, Policy, Ring, State};
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock::ConfirmedNow;
use std::time::Duration;

/// A requested operation on the key ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOperation {
    /// Create missing keys and nothing else; this is allowed on a clock that is not confirmed.
    Missing,
    /// Do what is due at this time, including rotation and removal.
    Scheduled(ConfirmedNow),
    /// Rotate now; within Λ only with force.
    Rotate {
        /// Whether to skip the waiting time.
        force: bool,
    },
    /// The master key leaked: replace every key.
    ReplaceAll,
    /// This key leaked: revoke it.
    Revoke(String),
    /// A key that was made elsewhere replaces the standby key.
    ImportStandby,
    /// The algorithm is not used any more: its keys sign no longer and leave after their time.
    Close,
}

/// One step. The steps of a plan are applied in order, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Create a new key in this state.
    Create(State),
    /// Let the standby key sign.
    Activate(String),
    /// Stop signing with the key; it stays published.
    Retire(String),
    /// Remove the key from the JWKS at once, with its private part.
    Revoke(String),
    /// Remove the key, whose time has passed.
    Remove(String),
    /// Set the time of the second rotation after an emergency; `None` when it was done.
    RotateAfter(Option<Timestamp>),
}

/// Why an operation was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The standby key has not been published for long enough.
    #[error(
        "the standby key has been published for {age:?} only and verifiers may need {needed:?} to fetch it; wait until {ripe_at}, or use --force"
    )]
    TooEarly {
        /// How long it has been published.
        age: Duration,
        /// Λ, the time that verifiers may need to fetch it.
        needed: Duration,
        /// When it may sign.
        ripe_at: Timestamp,
    },
    /// No published key has this kid.
    #[error("no published key has the kid {0:?}; see `countersign keys list`")]
    UnknownKid(String),
    /// There is no key to rotate.
    #[error("there are no keys yet; `countersign serve` makes the first")]
    Empty,
    /// The refusal of one algorithm where several are in use.
    #[error("{0}: {1}")]
    Of(Algorithm, Box<Refused>),
    /// No key of this algorithm signs or will sign.
    #[error("there are no keys of {0} that sign; an audience in the settings opens the algorithm")]
    NotOpen(Algorithm),
    /// An audience of the settings still uses the algorithm.
    #[error(
        "the settings of this process still use {0}: remove it from tokens.algorithm and [[audiences]] first, on every replica"
    )]
    InUse(Algorithm),
}

/// Decides the steps of an operation; returns no steps if nothing is due.
pub fn plan(
    now: Timestamp,
    ring: &Ring,
    policy: &Policy,
    operation: &KeyOperation,
) -> Result<Vec<Step>, Refused> {
    match operation {
        KeyOperation::Missing => Ok(plan_missing(ring)),
        KeyOperation::Scheduled(now) => Ok(plan_due(now.now(), ring, policy)),
        KeyOperation::Rotate { force } => plan_rotation(now, ring, policy, *force),
        KeyOperation::ReplaceAll => plan_replacement(ring),
        KeyOperation::Revoke(kid) => plan_revocation(now, ring, policy, kid),
        KeyOperation::ImportStandby => Ok(ring
            .in_state(State::Standby)
            .map(|k| Step::Retire(k.kid.clone()))
            .into_iter()
            .collect()),
        KeyOperation::Close => plan_closing(ring),
    }
}

fn plan_missing(ring: &Ring) -> Vec<Step> {
    match (ring.in_state(State::Active), ring.in_state(State::Standby)) {
        (None, None) => vec![Step::Create(State::Active), Step::Create(State::Standby)],
        (None, Some(standby)) => vec![
            Step::Activate(standby.kid.clone()),
            Step::Create(State::Standby),
        ],
        (Some(_), None) => vec![Step::Create(State::Standby)],
        (Some(_), Some(_)) => vec![],
    }
}

fn plan_due(now: Timestamp, ring: &Ring, policy: &Policy) -> Vec<Step> {
    let mut steps = match (ring.in_state(State::Active), ring.in_state(State::Standby)) {
        (Some(active), Some(standby)) if ring.next_rotation(policy).is_some_and(|at| at <= now) => {
            rotation(active, standby, ring)
        }
        (Some(_), Some(_)) | (None, _) | (_, None) => plan_missing(ring),
    };
    steps.extend(removals(now, ring));
    steps
}

/// Returns the removal of every retired key whose time has passed.
pub(super) fn removals(now: Timestamp, ring: &Ring) -> impl Iterator<Item = Step> {
    let over = ring
        .keys
        .iter()
        .filter(move |k| k.leaves_at().is_some_and(|at| at <= now));
    over.map(|k| Step::Remove(k.kid.clone()))
}

fn plan_closing(ring: &Ring) -> Result<Vec<Step>, Refused> {
    let retire = ring.in_state(State::Active);
    let retire = retire.map(|key| Step::Retire(key.kid.clone()));
    // A standby key has never signed here, so no token needs it, unless it was used elsewhere.
    let remove = ring.in_state(State::Standby);
    let remove = remove.map(|key| match key.max_ttl {
        Duration::ZERO => Step::Remove(key.kid.clone()),
        _ => Step::Retire(key.kid.clone()),
    });
    let cancel = ring.rotate_after.map(|_| Step::RotateAfter(None));
    let steps: Vec<_> = retire.into_iter().chain(remove).chain(cancel).collect();
    if steps.is_empty() {
        return Err(Refused::Empty);
    }
    Ok(steps)
}

fn rotation(active: &Key, standby: &Key, ring: &Ring) -> Vec<Step> {
    let mut steps = vec![
        Step::Retire(active.kid.clone()),
        Step::Activate(standby.kid.clone()),
        Step::Create(State::Standby),
    ];
    if ring.rotate_after.is_some() {
        steps.push(Step::RotateAfter(None));
    }
    steps
}

fn plan_rotation(
    now: Timestamp,
    ring: &Ring,
    policy: &Policy,
    force: bool,
) -> Result<Vec<Step>, Refused> {
    let (Some(active), Some(standby)) =
        (ring.in_state(State::Active), ring.in_state(State::Standby))
    else {
        return Err(Refused::Empty);
    };
    let needed = policy.publish_before_use(ring);
    let ripe_at = standby.published_at + needed;
    if now < ripe_at && !force {
        return Err(Refused::TooEarly {
            age: now.since(standby.published_at),
            needed,
            ripe_at,
        });
    }
    Ok(rotation(active, standby, ring))
}

fn plan_replacement(ring: &Ring) -> Result<Vec<Step>, Refused> {
    let mut steps: Vec<Step> = ring
        .keys
        .iter()
        .filter(|k| k.state.is_published())
        .map(|k| Step::Revoke(k.kid.clone()))
        .collect();
    if steps.is_empty() {
        return Err(Refused::Empty);
    }
    steps.extend([
        Step::Create(State::Active),
        Step::Create(State::Standby),
        Step::RotateAfter(None),
    ]);
    Ok(steps)
}

fn plan_revocation(
    now: Timestamp,
    ring: &Ring,
    policy: &Policy,
    kid: &str,
) -> Result<Vec<Step>, Refused> {
    let published = ring
        .keys
        .iter()
        .find(|k| k.kid == kid && k.state.is_published());
    let key = published.ok_or_else(|| Refused::UnknownKid(kid.to_owned()))?;
    let mut steps = vec![Step::Revoke(key.kid.clone())];
    match key.state {
        State::Active => {
            steps.push(
                ring.in_state(State::Standby)
                    .map_or(Step::Create(State::Active), |s| {
                        Step::Activate(s.kid.clone())
                    }),
            );
            steps.push(Step::Create(State::Standby));
            // Verifiers that only fetch after an unknown kid would trust the revoked key without
            // end: a second rotation shows them one soon.
            steps.push(Step::RotateAfter(Some(
                now + policy.publish_before_use(ring),
            )));
        }
        State::Standby => steps.push(Step::Create(State::Standby)),
        State::Retired | State::Revoked | State::Removed => {}
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp(1_795_244_107_000);

    fn policy() -> Policy {
        let cron = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Required)
            .build()
            .parse("0 0 3 * * Sun");
        let minute = Duration::from_secs(60);
        Policy {
            rotation: cron.expect("cron"),
            jwks_max_age: 5 * minute,
            verifier_cache: 60 * minute,
            access_ttl: 15 * minute,
        }
    }

    fn key(kid: &str, state: State, at: Timestamp) -> Key {
        let (activated_at, retired_at) = match state {
            State::Standby => (None, None),
            State::Active => (Some(at), None),
            State::Retired | State::Revoked | State::Removed => (Some(at), Some(at)),
        };
        let max_ttl = Duration::from_secs(900);
        Key {
            kid: kid.into(),
            algorithm: Algorithm::EdDsa,
            state,
            published_at: at,
            activated_at,
            retired_at,
            ended_at: None,
            reason: None,
            max_ttl,
        }
    }

    fn ring(keys: &[(&str, State, Timestamp)]) -> Ring {
        Ring {
            keys: keys
                .iter()
                .map(|(kid, state, at)| key(kid, *state, *at))
                .collect(),
            ..Ring::default()
        }
    }

    #[test]
    fn an_empty_ring_gets_an_active_and_a_standby() {
        assert_eq!(
            plan_due(T0, &Ring::default(), &policy()),
            [Step::Create(State::Active), Step::Create(State::Standby)]
        );
    }

    #[test]
    fn a_due_rotation_waits_for_the_standby_to_be_seen() {
        let (policy, week) = (policy(), Duration::from_secs(7 * 86_400));
        let (now, old) = (T0 + week, T0);
        let lambda = Duration::from_secs(10 + 300 + 3600 + 5);
        assert_eq!(policy.publish_before_use(&Ring::default()), lambda);
        let young = ring(&[("a", State::Active, old), ("s", State::Standby, now)]);
        assert!(plan_due(now, &young, &policy).is_empty());
        assert!(plan_due(now + lambda - Duration::from_millis(1), &young, &policy).is_empty());
        let rotated = [
            Step::Retire("a".into()),
            Step::Activate("s".into()),
            Step::Create(State::Standby),
        ];
        assert_eq!(plan_due(now + lambda, &young, &policy), rotated);
        assert_eq!(
            plan(now, &young, &policy, &KeyOperation::Rotate { force: true }),
            Ok(rotated.to_vec())
        );
        let refused = plan(now, &young, &policy, &KeyOperation::Rotate { force: false });
        assert_eq!(
            refused,
            Err(Refused::TooEarly {
                age: Duration::ZERO,
                needed: lambda,
                ripe_at: now + lambda
            })
        );
    }

    #[test]
    fn a_retired_key_leaves_when_its_last_token_is_dead() {
        let keep = Duration::from_secs(900 + 60 + 5 + 10);
        let ring = ring(&[
            ("r", State::Retired, T0),
            ("a", State::Active, T0),
            ("s", State::Standby, T0),
        ]);
        assert!(plan_due(T0 + keep - Duration::from_millis(1), &ring, &policy()).is_empty());
        assert_eq!(
            plan_due(T0 + keep, &ring, &policy()),
            [Step::Remove("r".into())]
        );
    }

    #[test]
    fn revoking_the_active_key_uses_the_standby_and_schedules_a_second_rotation() {
        let policy = policy();
        let ring = ring(&[
            ("r", State::Retired, T0),
            ("a", State::Active, T0),
            ("s", State::Standby, T0),
        ]);
        let second = T0 + policy.publish_before_use(&ring);
        let expected = [
            Step::Revoke("a".into()),
            Step::Activate("s".into()),
            Step::Create(State::Standby),
            Step::RotateAfter(Some(second)),
        ];
        assert_eq!(
            plan(T0, &ring, &policy, &KeyOperation::Revoke("a".into())),
            Ok(expected.to_vec())
        );
        assert_eq!(
            plan(T0, &ring, &policy, &KeyOperation::Revoke("s".into())),
            Ok(vec![Step::Revoke("s".into()), Step::Create(State::Standby)])
        );
        assert_eq!(
            plan(T0, &ring, &policy, &KeyOperation::Revoke("r".into())),
            Ok(vec![Step::Revoke("r".into())])
        );
        assert_eq!(
            plan(T0, &ring, &policy, &KeyOperation::Revoke("x".into())),
            Err(Refused::UnknownKid("x".into()))
        );
    }

    #[test]
    fn states_are_stored_by_their_names_and_a_tombstone_is_not_published() {
        for (state, name, is_published) in [
            (State::Active, "active", true),
            (State::Standby, "standby", true),
            (State::Retired, "retired", true),
            (State::Revoked, "revoked", false),
            (State::Removed, "removed", false),
        ] {
            assert_eq!(state.as_str(), name);
            assert_eq!(State::parse(name), Some(state));
            assert_eq!(state.is_published(), is_published, "{name}");
        }
        assert_eq!(State::parse("Active"), None);
    }

    #[test]
    fn a_rotation_is_due_by_the_schedule_or_by_an_emergency_whichever_comes_first() {
        let (policy, hour) = (policy(), Duration::from_secs(3_600));
        let sunday = Timestamp::parse("2026-11-22T03:00:00Z").unwrap();
        let activated = T0 + Duration::from_millis(500);
        let mut ring = ring(&[
            ("a", State::Active, activated),
            ("s", State::Standby, T0 - 24 * hour),
        ]);
        assert_eq!(ring.next_rotation(&policy), Some(sunday));
        for (rotate_after, due) in [(sunday - hour, sunday - hour), (sunday + hour, sunday)] {
            ring.rotate_after = Some(rotate_after);
            assert_eq!(ring.next_rotation(&policy), Some(due));
        }
        // Both are over: the standby is used, and the emergency with it.
        assert_eq!(
            plan_due(sunday, &ring, &policy),
            [
                Step::Retire("a".into()),
                Step::Activate("s".into()),
                Step::Create(State::Standby),
                Step::RotateAfter(None),
            ]
        );
        ring.keys.remove(0);
        assert_eq!(ring.next_rotation(&policy), Some(sunday + hour));
        ring.keys.clear();
        assert_eq!(ring.next_rotation(&policy), None, "there is no next key");
    }

    #[test]
    fn keys_that_are_missing_are_made_and_a_standby_signs_where_no_key_does() {
        let missing = |keys: &[(&str, State, Timestamp)]| {
            plan(T0, &ring(keys), &policy(), &KeyOperation::Missing).unwrap()
        };
        let (active, standby) = (("a", State::Active, T0), ("s", State::Standby, T0));
        let make = Step::Create;
        assert_eq!(missing(&[]), [make(State::Active), make(State::Standby)]);
        assert_eq!(missing(&[active]), [make(State::Standby)]);
        let activate = Step::Activate("s".into());
        assert_eq!(missing(&[standby]), [activate, make(State::Standby)]);
        assert!(missing(&[active, standby]).is_empty());
    }

    #[test]
    fn an_operator_rotates_as_soon_as_verifiers_have_the_next_key() {
        let policy = policy();
        let ring = ring(&[("a", State::Active, T0), ("s", State::Standby, T0)]);
        let rotate = |now, force| plan(now, &ring, &policy, &KeyOperation::Rotate { force });
        let ripe = T0 + policy.publish_before_use(&ring);
        assert!(rotate(ripe - Duration::from_millis(1), false).is_err());
        let now = rotate(ripe, false);
        assert_eq!(now.as_ref().map(Vec::len), Ok(3));
        assert_eq!(rotate(ripe, true), now);
        let nothing = KeyOperation::Rotate { force: true };
        let refused = plan(T0, &Ring::default(), &policy, &nothing);
        assert_eq!(refused, Err(Refused::Empty));
    }

    #[test]
    fn a_leaked_master_key_replaces_every_published_key_and_an_import_the_standby() {
        let ring = ring(&[
            ("gone", State::Revoked, T0),
            ("r", State::Retired, T0),
            ("a", State::Active, T0),
            ("s", State::Standby, T0),
        ]);
        let plan = |ring: &Ring, wish| plan(T0, ring, &policy(), &wish);
        assert_eq!(
            plan(&ring, KeyOperation::ReplaceAll).unwrap(),
            [
                Step::Revoke("r".into()),
                Step::Revoke("a".into()),
                Step::Revoke("s".into()),
                Step::Create(State::Active),
                Step::Create(State::Standby),
                Step::RotateAfter(None),
            ]
        );
        let empty = Ring::default();
        let refused = plan(&empty, KeyOperation::ReplaceAll);
        assert_eq!(refused, Err(Refused::Empty));
        let imported = plan(&ring, KeyOperation::ImportStandby);
        assert_eq!(imported, Ok(vec![Step::Retire("s".into())]));
        assert_eq!(plan(&empty, KeyOperation::ImportStandby), Ok(vec![]));
        let again = plan(&ring, KeyOperation::Revoke("gone".into()));
        assert_eq!(again, Err(Refused::UnknownKid("gone".into())));
    }
}
