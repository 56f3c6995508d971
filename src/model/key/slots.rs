//! The signing keys of every algorithm that is in use: a slot for each, with one active key, one
//! standby key and any number of retired ones. `plan` decides for one slot, this file for all of
//! them: which slots an operation concerns, and when a slot opens.
//!
//! A slot is opened by an audience of the settings and closed only by an operator, so two processes
//! with different settings do not undo each other's work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::algorithm::Algorithm;
use super::key::{Key, Policy, Ring, State};
use super::plan::{self, KeyOperation, Refused, Step};
use crate::model::kernel::time::Timestamp;

/// The keys by algorithm.
#[derive(Debug, Clone, Default)]
pub struct Slots(BTreeMap<Algorithm, Ring>);

/// The bounds of a slot that are stored beside its keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// When the second rotation after an emergency is due.
    pub rotate_after: Option<Timestamp>,
    /// The largest verifier cache of the settings so far.
    pub verifier_cache: Duration,
}

/// What the settings of this process say about keys.
#[derive(Debug, Clone)]
pub struct Policies {
    /// The policy that all slots share; its verifier cache is that of the default audience.
    pub base: Policy,
    /// The algorithm of the default audience, which is always in use.
    pub default: Algorithm,
    /// The algorithms of the settings, each with the longest verifier cache of its audiences.
    pub algorithms: BTreeMap<Algorithm, Duration>,
}

/// A step on the keys of one algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotStep {
    /// The algorithm whose keys the step changes.
    pub algorithm: Algorithm,
    /// The step on those keys.
    pub step: Step,
}

impl Policies {
    /// Returns the policy of one slot.
    pub fn of(&self, algorithm: Algorithm) -> Policy {
        let cache = self.algorithms.get(&algorithm);
        Policy {
            verifier_cache: cache.copied().unwrap_or(self.base.verifier_cache),
            ..self.base.clone()
        }
    }

    /// Returns the policy of the slot that signs for the default audience.
    pub fn of_default(&self) -> Policy {
        self.of(self.default)
    }
}

impl Slots {
    /// Sorts keys and bounds by algorithm.
    pub fn new(keys: impl IntoIterator<Item = Key>, bounds: &BTreeMap<Algorithm, Bounds>) -> Self {
        let mut slots: BTreeMap<Algorithm, Ring> = BTreeMap::new();
        for (algorithm, bounds) in bounds {
            let ring = slots.entry(*algorithm).or_default();
            ring.rotate_after = bounds.rotate_after;
            ring.verifier_cache = bounds.verifier_cache;
        }
        for key in keys {
            slots.entry(key.algorithm).or_default().keys.push(key);
        }
        Self(slots)
    }

    /// Returns the keys of an algorithm; none if it has never been in use.
    pub fn of(&self, algorithm: Algorithm) -> Option<&Ring> {
        self.0.get(&algorithm)
    }

    /// Returns the slots with their algorithms, in the order of the algorithms.
    pub fn iter(&self) -> impl Iterator<Item = (Algorithm, &Ring)> {
        self.0.iter().map(|(algorithm, ring)| (*algorithm, ring))
    }

    /// Returns every key, tombstones included.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.values().flat_map(|ring| &ring.keys)
    }

    /// Returns the slots that have a published key.
    pub fn published(&self) -> impl Iterator<Item = (Algorithm, &Ring)> {
        self.iter()
            .filter(|(_, ring)| ring.keys.iter().any(|key| key.state.is_published()))
    }

    /// Returns the kids of the keys that sign, by algorithm.
    pub fn active_kids(&self) -> BTreeMap<Algorithm, String> {
        let active = |(algorithm, ring): (Algorithm, &Ring)| {
            Some((algorithm, ring.in_state(State::Active)?.kid.clone()))
        };
        self.iter().filter_map(active).collect()
    }

    /// Returns when a slot that does not sign yet begins to; `None` if it signs, or if nothing of it
    /// is published.
    pub fn opens_at(&self, algorithm: Algorithm, policies: &Policies) -> Option<Timestamp> {
        let ring = self.of(algorithm)?;
        match ring.in_state(State::Active) {
            None => ring.ripe_at(&policies.of(algorithm)),
            Some(_) => None,
        }
    }

    /// Returns whether a key of another algorithm signs: then verifiers exist, and this slot has to
    /// wait until they have its first key.
    fn is_served_beside(&self, algorithm: Algorithm) -> bool {
        self.iter()
            .any(|(other, ring)| other != algorithm && ring.in_state(State::Active).is_some())
    }

    /// Returns the algorithm of a published key.
    fn algorithm_of(&self, kid: &str) -> Option<Algorithm> {
        let published = |key: &&Key| key.kid == kid && key.state.is_published();
        Some(self.keys().find(published)?.algorithm)
    }
}

/// Decides the steps of an operation on all slots, or on `only` one of them. Returns no steps if
/// nothing is due. An operation that one slot refuses is refused as a whole.
///
/// # Errors
/// The reason of the first slot that refuses; it names the slot if there are several.
pub fn plan(
    now: Timestamp,
    slots: &Slots,
    policies: &Policies,
    operation: &KeyOperation,
    only: Option<Algorithm>,
) -> Result<Vec<SlotStep>, Refused> {
    let empty = Ring::default();
    let in_slot = |algorithm: Algorithm| -> Result<Vec<SlotStep>, Refused> {
        let ring = slots.of(algorithm).unwrap_or(&empty);
        let steps = plan_slot(now, slots, algorithm, ring, policies, operation);
        let steps = steps.map_err(|refused| match refused {
            refused if slots.published().count() < 2 => refused,
            refused => Refused::Of(algorithm, Box::new(refused)),
        })?;
        let on = |step| SlotStep { algorithm, step };
        Ok(steps.into_iter().map(on).collect())
    };
    let concerned = concerned(slots, policies, operation, only)?;
    let planned: Result<Vec<_>, _> = concerned.into_iter().map(in_slot).collect();
    Ok(planned?.concat())
}

/// Returns the slots that an operation concerns.
fn concerned(
    slots: &Slots,
    policies: &Policies,
    operation: &KeyOperation,
    only: Option<Algorithm>,
) -> Result<BTreeSet<Algorithm>, Refused> {
    let published = || slots.published().map(|(algorithm, _)| algorithm);
    let found: BTreeSet<Algorithm> = match operation {
        KeyOperation::Missing | KeyOperation::Scheduled(_) => {
            let in_settings = policies.algorithms.keys().copied();
            in_settings.chain(published()).collect()
        }
        KeyOperation::Revoke(kid) => {
            let algorithm = slots.algorithm_of(kid);
            let unknown = || Refused::UnknownKid(kid.clone());
            BTreeSet::from([algorithm.ok_or_else(unknown)?])
        }
        // A slot that has not opened yet opens by itself, or if it is named.
        KeyOperation::Rotate { .. } => slots.active_kids().into_keys().collect(),
        KeyOperation::ReplaceAll => published().collect(),
        KeyOperation::ImportStandby | KeyOperation::Close => BTreeSet::new(),
    };
    let found = only.map_or(found, |one| BTreeSet::from([one]));
    if found.is_empty() {
        return Err(Refused::Empty);
    }
    Ok(found)
}

fn plan_slot(
    now: Timestamp,
    slots: &Slots,
    algorithm: Algorithm,
    ring: &Ring,
    policies: &Policies,
    operation: &KeyOperation,
) -> Result<Vec<Step>, Refused> {
    let policy = policies.of(algorithm);
    let (active, standby) = (ring.in_state(State::Active), ring.in_state(State::Standby));
    let is_open = active.is_some() || standby.is_some();
    let is_opening = active.is_none() && slots.is_served_beside(algorithm);
    match operation {
        KeyOperation::Missing | KeyOperation::Scheduled(_)
            if !is_open && !policies.algorithms.contains_key(&algorithm) =>
        {
            Ok(due_removals(ring, operation))
        }
        KeyOperation::Missing | KeyOperation::Scheduled(_) if is_opening => {
            Ok(plan_opening(ring, &policy, operation))
        }
        KeyOperation::Rotate { force } => match (active, standby) {
            (None, Some(standby)) => match ring.ripe_at(&policy) {
                Some(ripe_at) if now < ripe_at && !force => Err(Refused::TooEarly {
                    age: now.since(standby.published_at),
                    needed: policy.publish_before_use(ring),
                    ripe_at,
                }),
                _ => Ok(first_activation(standby)),
            },
            (None, None) => Err(Refused::NotOpen(algorithm)),
            (Some(_), _) => plan::plan(now, ring, &policy, operation),
        },
        KeyOperation::Close if policies.algorithms.contains_key(&algorithm) => {
            Err(Refused::InUse(algorithm))
        }
        KeyOperation::Close if !is_open => Err(Refused::NotOpen(algorithm)),
        // A slot that was closed has retired keys only, which nothing replaces; one that has not
        // opened yet begins to wait again.
        KeyOperation::ReplaceAll if !is_open || is_opening => {
            let published = ring.keys.iter().filter(|key| key.state.is_published());
            let revoke = published.map(|key| Step::Revoke(key.kid.clone()));
            let create = is_open.then_some(Step::Create(State::Standby));
            Ok(revoke.chain(create).collect())
        }
        KeyOperation::Missing
        | KeyOperation::Scheduled(_)
        | KeyOperation::ReplaceAll
        | KeyOperation::Revoke(_)
        | KeyOperation::ImportStandby
        | KeyOperation::Close => plan::plan(now, ring, &policy, operation),
    }
}

/// Plans a slot beside others that are served: its first key is published, and signs once every
/// verifier has it.
fn plan_opening(ring: &Ring, policy: &Policy, operation: &KeyOperation) -> Vec<Step> {
    let now = match operation {
        KeyOperation::Scheduled(now) => Some(now.now()),
        _ => None,
    };
    let mut steps = match ring.in_state(State::Standby) {
        None => vec![Step::Create(State::Standby)],
        Some(standby) => {
            let is_ripe = now
                .zip(ring.ripe_at(policy))
                .is_some_and(|(now, ripe_at)| ripe_at <= now);
            if is_ripe {
                first_activation(standby)
            } else {
                vec![]
            }
        }
    };
    steps.extend(due_removals(ring, operation));
    steps
}

fn first_activation(standby: &Key) -> Vec<Step> {
    vec![
        Step::Activate(standby.kid.clone()),
        Step::Create(State::Standby),
    ]
}

fn due_removals(ring: &Ring, operation: &KeyOperation) -> Vec<Step> {
    match operation {
        KeyOperation::Scheduled(now) => plan::removals(now.now(), ring).collect(),
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::trusted_clock::{Evidence, confirm};

    const T0: Timestamp = Timestamp(1_795_244_107_000);
    const HOUR: Duration = Duration::from_secs(3_600);
    use Algorithm::{EdDsa, Es256, Rs256};

    fn policies(algorithms: &[Algorithm]) -> Policies {
        let cron = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Required)
            .build()
            .parse("0 0 3 * * Sun");
        Policies {
            base: Policy {
                rotation: cron.unwrap(),
                jwks_max_age: HOUR / 12,
                verifier_cache: HOUR,
                access_ttl: HOUR / 4,
            },
            default: EdDsa,
            algorithms: algorithms.iter().map(|a| (*a, HOUR)).collect(),
        }
    }

    fn key(kid: &str, algorithm: Algorithm, state: State, at: Timestamp) -> Key {
        Key {
            kid: kid.into(),
            algorithm,
            state,
            published_at: at,
            activated_at: (state != State::Standby).then_some(at),
            retired_at: (state == State::Retired).then_some(at),
            ended_at: None,
            reason: None,
            max_ttl: if state == State::Standby {
                Duration::ZERO
            } else {
                HOUR / 4
            },
        }
    }

    fn slots(keys: &[(&str, Algorithm, State, Timestamp)]) -> Slots {
        let keys = keys.iter();
        Slots::new(
            keys.map(|(kid, a, s, at)| key(kid, *a, *s, *at)),
            &BTreeMap::new(),
        )
    }

    fn due(now: Timestamp) -> KeyOperation {
        let confirmed = confirm(now, Evidence::default(), Duration::ZERO);
        KeyOperation::Scheduled(confirmed.unwrap())
    }

    /// The steps of an operation as texts, such as `RS256 Create(Standby)`.
    fn steps(
        now: Timestamp,
        slots: &Slots,
        in_settings: &[Algorithm],
        operation: &KeyOperation,
        only: Option<Algorithm>,
    ) -> Result<Vec<String>, Refused> {
        let planned = plan(now, slots, &policies(in_settings), operation, only)?;
        let text = |slot: &SlotStep| format!("{} {:?}", slot.algorithm, slot.step);
        Ok(planned.iter().map(text).collect())
    }

    #[test]
    fn in_an_empty_database_every_algorithm_signs_at_once() {
        let empty = Slots::default();
        for operation in [due(T0), KeyOperation::Missing] {
            assert_eq!(
                steps(T0, &empty, &[EdDsa, Rs256], &operation, None).unwrap(),
                [
                    "EdDSA Create(Active)",
                    "EdDSA Create(Standby)",
                    "RS256 Create(Active)",
                    "RS256 Create(Standby)",
                ]
            );
        }
        let rotate = KeyOperation::Rotate { force: true };
        let refused = steps(T0, &empty, &[EdDsa], &rotate, None);
        assert_eq!(refused, Err(Refused::Empty));
    }

    #[test]
    fn an_algorithm_beside_others_signs_when_every_verifier_has_its_first_key() {
        let served = [
            ("a", EdDsa, State::Active, T0),
            ("s", EdDsa, State::Standby, T0),
        ];
        let both = [EdDsa, Rs256];
        let first = steps(T0, &slots(&served), &both, &due(T0), None);
        assert_eq!(first.unwrap(), ["RS256 Create(Standby)"]);
        let opening = slots(&[&served[..], &[("r", Rs256, State::Standby, T0)]].concat());
        let opens = T0
            + policies(&both)
                .of(Rs256)
                .publish_before_use(&Ring::default());
        assert_eq!(opening.opens_at(Rs256, &policies(&both)), Some(opens));
        assert_eq!(opening.opens_at(EdDsa, &policies(&both)), None);
        let before = opens - Duration::from_millis(1);
        for operation in [due(before), KeyOperation::Missing] {
            assert!(
                steps(before, &opening, &both, &operation, None)
                    .unwrap()
                    .is_empty()
            );
        }
        let activated = ["RS256 Activate(\"r\")", "RS256 Create(Standby)"];
        assert_eq!(
            steps(opens, &opening, &both, &due(opens), None).unwrap(),
            activated
        );
        // A process without the setting does the same: it does not close what it does not know.
        assert_eq!(
            steps(opens, &opening, &[EdDsa], &due(opens), None).unwrap(),
            activated
        );
        // On a clock that is not confirmed nothing begins to sign.
        assert!(
            steps(opens, &opening, &both, &KeyOperation::Missing, None)
                .unwrap()
                .is_empty()
        );
        // An operator who has no verifier yet need not wait, and has to name the algorithm.
        let rotate = |force| KeyOperation::Rotate { force };
        let forced = steps(T0, &opening, &both, &rotate(true), Some(Rs256));
        assert_eq!(forced.unwrap(), activated);
        assert!(matches!(
            steps(T0, &opening, &both, &rotate(false), Some(Rs256)),
            Err(Refused::Of(Rs256, inner)) if matches!(*inner, Refused::TooEarly { .. })
        ));
        let replaced = steps(T0, &opening, &both, &KeyOperation::ReplaceAll, None).unwrap();
        let of_it: Vec<_> = replaced.iter().filter(|s| s.starts_with("RS256")).collect();
        assert_eq!(
            of_it,
            ["RS256 Revoke(\"r\")", "RS256 Create(Standby)"],
            "it waits again"
        );
        let all = steps(T0, &opening, &both, &rotate(true), None).unwrap();
        assert!(all.iter().all(|step| step.starts_with("EdDSA")), "{all:?}");
    }

    #[test]
    fn a_rotation_of_all_is_refused_as_a_whole_by_the_one_that_is_too_young() {
        let keys = slots(&[
            ("a", EdDsa, State::Active, T0),
            ("s", EdDsa, State::Standby, T0),
            ("r", Rs256, State::Active, T0),
            ("t", Rs256, State::Standby, T0 + 2 * HOUR),
        ]);
        let both = [EdDsa, Rs256];
        let now = T0 + 2 * HOUR;
        let rotate = KeyOperation::Rotate { force: false };
        assert!(matches!(
            steps(now, &keys, &both, &rotate, None),
            Err(Refused::Of(Rs256, _))
        ));
        let one = steps(now, &keys, &both, &rotate, Some(EdDsa)).unwrap();
        assert_eq!(
            one,
            [
                "EdDSA Retire(\"a\")",
                "EdDSA Activate(\"s\")",
                "EdDSA Create(Standby)"
            ]
        );
        let all = steps(now + 2 * HOUR, &keys, &both, &rotate, None).unwrap();
        assert_eq!(all.len(), 6);
        let unknown = steps(now, &keys, &both, &rotate, Some(Es256));
        assert_eq!(
            unknown,
            Err(Refused::Of(Es256, Box::new(Refused::NotOpen(Es256))))
        );
    }

    #[test]
    fn a_revocation_touches_only_the_keys_of_its_algorithm() {
        let keys = slots(&[
            ("a", EdDsa, State::Active, T0),
            ("s", EdDsa, State::Standby, T0),
            ("r", Rs256, State::Active, T0),
            ("t", Rs256, State::Standby, T0),
        ]);
        let both = [EdDsa, Rs256];
        let revoked = steps(T0, &keys, &both, &KeyOperation::Revoke("r".into()), None).unwrap();
        assert_eq!(revoked[0], "RS256 Revoke(\"r\")");
        assert!(
            revoked.iter().all(|step| step.starts_with("RS256")),
            "{revoked:?}"
        );
        let unknown = steps(T0, &keys, &both, &KeyOperation::Revoke("x".into()), None);
        assert_eq!(unknown, Err(Refused::UnknownKid("x".into())));
        let all = steps(T0, &keys, &both, &KeyOperation::ReplaceAll, None).unwrap();
        assert_eq!(all.iter().filter(|step| step.contains("Revoke")).count(), 4);
        let one = steps(T0, &keys, &both, &KeyOperation::ReplaceAll, Some(Rs256)).unwrap();
        assert_eq!(one.iter().filter(|step| step.contains("Revoke")).count(), 2);
    }

    #[test]
    fn an_algorithm_is_closed_by_an_operator_and_only_when_no_audience_uses_it() {
        let keys = slots(&[
            ("a", EdDsa, State::Active, T0),
            ("s", EdDsa, State::Standby, T0),
            ("r", Rs256, State::Active, T0),
            ("t", Rs256, State::Standby, T0),
        ]);
        let close = |keys: &Slots, in_settings: &[Algorithm], which| {
            steps(T0, keys, in_settings, &KeyOperation::Close, Some(which))
        };
        let in_use = Refused::Of(Rs256, Box::new(Refused::InUse(Rs256)));
        assert_eq!(close(&keys, &[EdDsa, Rs256], Rs256), Err(in_use));
        assert_eq!(
            close(&keys, &[EdDsa], Rs256).unwrap(),
            ["RS256 Retire(\"r\")", "RS256 Remove(\"t\")"]
        );
        // A standby key that signed elsewhere stays as long as its tokens from there.
        let imported = Key {
            max_ttl: 24 * HOUR,
            ..key("t", Rs256, State::Standby, T0)
        };
        let beside = [key("a", EdDsa, State::Active, T0), imported];
        let with_import = Slots::new(beside, &BTreeMap::new());
        assert_eq!(
            close(&with_import, &[EdDsa], Rs256).unwrap(),
            ["RS256 Retire(\"t\")"]
        );
        let not_open = Refused::Of(Es256, Box::new(Refused::NotOpen(Es256)));
        assert_eq!(close(&keys, &[EdDsa], Es256), Err(not_open));
        // What is left of it leaves in its time, and nothing replaces it.
        let closed = slots(&[
            ("a", EdDsa, State::Active, T0),
            ("s", EdDsa, State::Standby, T0),
            ("r", Rs256, State::Retired, T0),
        ]);
        let leaves = T0 + HOUR / 4 + Duration::from_secs(300 + 5 + 10);
        let before = leaves - Duration::from_millis(1);
        assert!(
            steps(before, &closed, &[EdDsa], &due(before), None)
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            steps(leaves, &closed, &[EdDsa], &due(leaves), None).unwrap(),
            ["RS256 Remove(\"r\")"]
        );
        let all = steps(T0, &closed, &[EdDsa], &KeyOperation::ReplaceAll, None).unwrap();
        assert!(!all.contains(&"RS256 Create(Active)".to_owned()), "{all:?}");
        // Opened again, it waits again: its new key is unknown, whatever was before.
        let again = steps(T0, &closed, &[EdDsa, Rs256], &due(T0), None).unwrap();
        assert_eq!(again, ["RS256 Create(Standby)"]);
    }

    #[test]
    fn each_algorithm_waits_for_its_own_verifiers() {
        let mut policies = policies(&[EdDsa, Rs256]);
        policies.algorithms.insert(Rs256, 24 * HOUR);
        assert_eq!(policies.of(EdDsa).verifier_cache, HOUR);
        assert_eq!(policies.of(Rs256).verifier_cache, 24 * HOUR);
        assert_eq!(policies.of(Es256).verifier_cache, HOUR);
        assert_eq!(policies.of_default().verifier_cache, HOUR);
        // The largest value of all times is kept for each algorithm.
        let bounds = Bounds {
            rotate_after: Some(T0),
            verifier_cache: 48 * HOUR,
        };
        let keys = [key("t", Rs256, State::Standby, T0)];
        let slots = Slots::new(keys, &BTreeMap::from([(Rs256, bounds)]));
        let ring = slots.of(Rs256).unwrap();
        let needed = policies.of(Rs256).publish_before_use(ring);
        assert!(needed > 48 * HOUR);
        assert_eq!(ring.rotate_after, Some(T0));
    }
}
