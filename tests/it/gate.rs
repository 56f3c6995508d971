//! The gate over every combination of accounts, policies, demands and up to three proofs.

use std::collections::BTreeMap;
use std::time::Duration;

use countersign::model::kernel::id::UserId;
use countersign::model::kernel::time::Timestamp;
use countersign::model::login::gate::{
    Account, Decision, Evidence, Factors, Refusal, Standing, Steps, decide, still_meets, vouch,
};
use countersign::model::login::level::Level;
use countersign::model::login::policy::{Demand, Policy, Rules};
use countersign::model::login::proof::{Proof, Proofs};
use countersign::model::login::strength::level;

const NOW: Timestamp = Timestamp(1_795_219_200_000);

/// The proofs of a sign-in, by the bit of each in a set.
const KINDS: [Proof; 9] = [
    Proof::Password,
    Proof::Mailbox,
    Proof::Upstream,
    Proof::UpstreamWithFactors,
    Proof::Totp,
    Proof::RecoveryCode,
    Proof::Passkey,
    Proof::VerifiedPasskey,
    Proof::MailedCode,
];

fn proofs(set: usize) -> Proofs {
    (0..KINDS.len())
        .filter(|bit| set & (1 << bit) != 0)
        .fold(Proofs::default(), |all, bit| all.and(KINDS[bit], NOW))
}

fn bit(proof: Proof) -> usize {
    1 << KINDS.iter().position(|kind| *kind == proof).unwrap()
}

/// Returns the proof by which a step is done; `None` for an enrolment.
fn proof_of(step: Steps) -> Option<Proof> {
    [
        (Steps::PASSWORD, Proof::Password),
        (Steps::MAILBOX, Proof::Mailbox),
        (Steps::TOTP, Proof::Totp),
        (Steps::RECOVERY_CODE, Proof::RecoveryCode),
        (Steps::PASSKEY, Proof::Passkey),
        (Steps::VERIFIED_PASSKEY, Proof::VerifiedPasskey),
        (Steps::MAILED_CODE, Proof::MailedCode),
    ]
    .into_iter()
    .find_map(|(one, proof)| (one == step).then_some(proof))
}

fn user() -> UserId {
    UserId::random([1; 16])
}

/// Accounts as they can be: recovery codes and an authenticator app only with two-step sign-in,
/// and two-step sign-in only with a device.
fn accounts() -> Vec<Account> {
    let devices = Factors::TOTP | Factors::PASSKEY | Factors::VERIFIED_PASSKEY;
    let mut all = Vec::new();
    for (bits, two_step, mailbox_verified) in
        itertools(Factors::all().bits() + 1, [false, true], [false, true])
    {
        let factors = Factors::from_bits_truncate(bits);
        let with_two_step = factors.intersects(Factors::TOTP | Factors::RECOVERY_CODE);
        if with_two_step && !two_step || two_step && !factors.intersects(devices) {
            continue;
        }
        all.push(Account {
            user: user(),
            epoch: 3,
            standing: Standing::Good,
            two_step,
            mailbox_verified,
            factors,
        });
    }
    all
}

fn itertools(end: u8, a: [bool; 2], b: [bool; 2]) -> impl Iterator<Item = (u8, bool, bool)> {
    (0..end).flat_map(move |n| a.into_iter().flat_map(move |x| b.map(|y| (n, x, y))))
}

fn policies() -> Vec<Policy> {
    let rules = 0..=Rules::all().bits();
    Level::ALL
        .into_iter()
        .flat_map(|least| {
            rules.clone().map(move |bits| Policy {
                least,
                rules: Rules::from_bits_truncate(bits),
            })
        })
        .collect()
}

const DEMANDS: [Option<Level>; 3] = [None, Some(Level::Two), Some(Level::PhishingResistant)];

/// What one account, policy, demand and browser give for every set of proofs.
struct World<'w> {
    account: &'w Account,
    policy: Policy,
    demand: Demand,
    is_remembered: bool,
    known: Vec<Option<Decision>>,
    faults: BTreeMap<&'static str, String>,
    decisions: u64,
}

impl World<'_> {
    fn decide(&mut self, set: usize) -> Decision {
        if let Some(known) = self.known[set] {
            return known;
        }
        let given = proofs(set);
        let given = if self.is_remembered {
            given.and(Proof::RememberedDevice, NOW)
        } else {
            given
        };
        let evidence = Evidence {
            user: user(),
            epoch: 3,
            proofs: given,
        };
        let decision = decide(&evidence, self.account, self.policy, self.demand, NOW);
        self.known[set] = Some(decision);
        decision
    }

    fn fault(&mut self, what: &'static str, set: usize) {
        let (account, policy, demand) = (self.account, self.policy, self.demand);
        let shown = format!("{:?} {account:?} {policy:?} {demand:?}", proofs(set));
        self.faults.entry(what).or_insert(shown);
    }

    fn need(&self) -> Level {
        let own = self.policy.need(self.account.two_step);
        own.max(self.demand.level.unwrap_or(Level::One))
    }

    /// Lists what the user of this account can present at all.
    fn able(&self) -> Vec<usize> {
        let has = |factor| self.account.factors.contains(factor);
        let mailed = self.policy.rules.contains(Rules::MAILED_CODE) && self.account.two_step;
        let can = |proof: Proof| match proof {
            Proof::Password => has(Factors::PASSWORD),
            Proof::Totp => has(Factors::TOTP),
            Proof::RecoveryCode => has(Factors::RECOVERY_CODE),
            Proof::Passkey => has(Factors::PASSKEY),
            Proof::VerifiedPasskey => has(Factors::VERIFIED_PASSKEY),
            Proof::MailedCode => mailed,
            _ => true,
        };
        (0..KINDS.len())
            .filter(|n| can(KINDS[*n]))
            .map(|n| 1 << n)
            .collect()
    }

    fn check(&mut self) {
        let able = self.able();
        for set in 0..1_usize << KINDS.len() {
            let within = able.iter().fold(0, |all, one| all | one);
            if set.count_ones() > 3 || set & !within != 0 {
                continue;
            }
            self.decisions += 1;
            match self.decide(set) {
                Decision::Open(cleared) => {
                    assert_eq!((cleared.user(), cleared.epoch()), (user(), 3));
                    self.check_opened(set, &able);
                }
                Decision::Ask(steps) => self.check_asked(set, steps),
                Decision::Refuse(_) => {}
            }
        }
        self.check_thief();
    }

    fn check_opened(&mut self, set: usize, able: &[usize]) {
        let given = proofs(set);
        let (have, need) = (level(&given, self.policy), self.need());
        let by_memory = self.is_remembered && need == Level::Two && self.demand.is_empty();
        if have.is_none() {
            self.fault("opened without a first proof", set);
        }
        if have < Some(need) && !by_memory {
            self.fault("opened below what is required", set);
        }
        let of = |proofs: &[Proof]| given.contains_any(proofs);
        let has_device = given.latest_of_a_device().is_some();
        let mailed = of(&[Proof::MailedCode]) && of(&[Proof::Password, Proof::Passkey]);
        if have >= Some(Level::Two) && !(has_device || of(&[Proof::UpstreamWithFactors]) || mailed)
        {
            self.fault("two factors without a device", set);
        }
        let only = |kinds: &[Proof]| given.iter().all(|(proof, _)| kinds.contains(&proof));
        if have >= Some(Level::Two) && only(&[Proof::Mailbox, Proof::MailedCode]) {
            self.fault("the mailbox counts twice", set);
        }
        if have == Some(Level::Two) && only(&[Proof::Passkey, Proof::Totp, Proof::RecoveryCode]) {
            self.fault("two devices and nothing else", set);
        }
        if have == Some(Level::PhishingResistant) && !of(&[Proof::Passkey, Proof::VerifiedPasskey])
        {
            self.fault("resistant to phishing without a passkey", set);
        }
        for more in able {
            if !matches!(self.decide(set | more), Decision::Open(_)) {
                self.fault("one more proof closes the door", set);
            }
        }
    }

    fn check_asked(&mut self, set: usize, steps: Steps) {
        if steps.is_empty() {
            self.fault("asks for nothing", set);
        }
        let given = proofs(set);
        for step in steps.iter() {
            let Some(proof) = proof_of(step) else {
                let is_sure = given.latest_of_a_device().is_some()
                    || given.contains_any(&[Proof::Mailbox, Proof::UpstreamWithFactors]);
                if !is_sure {
                    self.fault("enrols on a password alone", set);
                }
                continue;
            };
            if given.contains(proof) {
                self.fault("asks for what was proven", set);
            }
            match self.decide(set | bit(proof)) {
                Decision::Ask(next) if next == steps => self.fault("walks in a circle", set),
                Decision::Refuse(_) if self.policy.rules.contains(Rules::ENROLMENT) => {
                    self.fault("leads into a refusal", set);
                }
                _ => {}
            }
        }
    }

    /// Tries a thief who has the password, the mailbox and the account at another issuer, but no
    /// device.
    fn check_thief(&mut self) {
        let devices = Factors::TOTP | Factors::PASSKEY | Factors::VERIFIED_PASSKEY;
        if !self.account.factors.intersects(devices)
            || self.need() < Level::Two
            || self.policy.rules.contains(Rules::MAILED_CODE)
        {
            return;
        }
        let all = [Proof::Password, Proof::Mailbox, Proof::Upstream].map(bit);
        for set in 1..1_usize << all.len() {
            let set = (0..all.len())
                .filter(|n| set & (1 << n) != 0)
                .fold(0, |found, n| found | all[n]);
            let by_memory = self.is_remembered
                && self.need() == Level::Two
                && self.demand.is_empty()
                && self.policy.rules.contains(Rules::REMEMBERED_DEVICE);
            let enrols = Steps::ENROL_TOTP | Steps::ENROL_PASSKEY;
            match self.decide(set) {
                Decision::Open(_) if !by_memory => self.fault("a thief without a device", set),
                Decision::Ask(steps) if steps.intersects(enrols) => {
                    self.fault("a thief enrols a device", set);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn no_combination_opens_below_its_level_walks_in_a_circle_or_shuts_the_owner_out() {
    let (accounts, policies) = (accounts(), policies());
    let (mut decisions, mut faults) = (0, BTreeMap::new());
    for account in &accounts {
        for policy in &policies {
            for (level, is_remembered) in DEMANDS
                .iter()
                .flat_map(|level| [false, true].map(|r| (*level, r)))
            {
                let mut world = World {
                    account,
                    policy: *policy,
                    demand: Demand {
                        level,
                        max_age: None,
                    },
                    is_remembered,
                    known: vec![None; 1 << KINDS.len()],
                    faults: BTreeMap::new(),
                    decisions: 0,
                };
                world.check();
                decisions += world.decisions;
                faults.extend(world.faults);
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    // A space that has become smaller would prove less.
    assert!(decisions >= 1_700_000, "{decisions} decisions");
    println!("{decisions} decisions");
}

fn account(factors: Factors, two_step: bool) -> Account {
    Account {
        user: user(),
        epoch: 3,
        standing: Standing::Good,
        two_step,
        mailbox_verified: true,
        factors,
    }
}

fn policy(least: Level, rules: Rules) -> Policy {
    Policy { least, rules }
}

fn by(proofs: Proofs) -> Evidence {
    Evidence {
        user: user(),
        epoch: 3,
        proofs,
    }
}

#[test]
fn proofs_of_another_user_or_of_another_epoch_or_of_a_user_who_may_not_open_nothing() {
    let one = policy(Level::One, Rules::empty());
    let own = account(Factors::PASSWORD, false);
    let good = by(Proofs::of(Proof::Password, NOW));
    let say = |evidence: &Evidence, account: &Account| {
        decide(evidence, account, one, Demand::default(), NOW)
    };
    assert!(matches!(say(&good, &own), Decision::Open(_)));
    let other = Evidence {
        user: UserId::random([2; 16]),
        ..good
    };
    assert_eq!(say(&other, &own), Decision::Refuse(Refusal::NotProven));
    let outdated = Evidence { epoch: 2, ..good };
    assert_eq!(say(&outdated, &own), Decision::Refuse(Refusal::Outdated));
    for (standing, refusal) in [
        (Standing::Banned, Refusal::Banned),
        (Standing::Disabled, Refusal::Disabled),
    ] {
        let shut_out = Account { standing, ..own };
        assert_eq!(say(&good, &shut_out), Decision::Refuse(refusal));
        let vouched = vouch(&say(&good, &own), &shut_out, NOW);
        assert_eq!(vouched, Decision::Refuse(refusal));
    }
    for nothing in [
        Proof::Totp,
        Proof::RecoveryCode,
        Proof::RememberedDevice,
        Proof::Vouched,
    ] {
        let evidence = by(Proofs::of(nothing, NOW));
        let refused = Decision::Refuse(Refusal::NotProven);
        assert_eq!(say(&evidence, &own), refused, "{nothing:?}");
    }
}

#[test]
fn an_admin_vouches_only_in_a_session_that_meets_the_policy_of_admins() {
    let strict = policy(Level::Two, Rules::empty());
    let admin = account(Factors::PASSWORD | Factors::TOTP, true);
    let target = account(Factors::PASSWORD | Factors::TOTP, true);
    let password = Proofs::of(Proof::Password, NOW);
    let say = |proofs| {
        let own = decide(&by(proofs), &admin, strict, Demand::default(), NOW);
        vouch(&own, &target, NOW)
    };
    let Decision::Open(cleared) = say(password.and(Proof::Totp, NOW)) else {
        panic!("the admin has proven both");
    };
    assert_eq!(*cleared.proofs(), Proofs::of(Proof::Vouched, NOW));
    assert_eq!(say(password), Decision::Ask(Steps::TOTP));
}

#[test]
fn a_demand_for_young_proofs_is_about_the_device_where_there_is_one() {
    let one = policy(Level::One, Rules::REMEMBERED_DEVICE);
    let minute = Duration::from_secs(60);
    let demand = Demand {
        level: None,
        max_age: Some(minute),
    };
    let old = NOW - 2 * minute;
    let with_device = account(Factors::PASSWORD | Factors::TOTP, true);
    let without = account(Factors::PASSWORD, false);
    let say = |proofs, account: &Account| decide(&by(proofs), account, one, demand, NOW);
    let password = Proofs::of(Proof::Password, old);
    let young = password.and(Proof::Totp, NOW - minute);
    assert!(matches!(say(young, &with_device), Decision::Open(_)));
    let tired = password.and(Proof::Totp, old);
    assert_eq!(say(tired, &with_device), Decision::Ask(Steps::TOTP));
    let remembered = password.and(Proof::RememberedDevice, NOW);
    assert_eq!(say(remembered, &with_device), Decision::Ask(Steps::TOTP));
    assert_eq!(
        say(password, &without),
        Decision::Ask(Steps::PASSWORD | Steps::MAILBOX)
    );
    let again = password.and(Proof::Password, NOW);
    assert!(matches!(say(again, &without), Decision::Open(_)));
}

#[test]
fn a_live_session_goes_on_exactly_while_the_gate_would_open_it() {
    for least in Level::ALL {
        for rules in 0..=Rules::all().bits() {
            let rules = Rules::from_bits_truncate(rules) - Rules::VERIFIED_MAILBOX;
            let policy = policy(least, rules);
            for (set, two_step) in (0..1 << KINDS.len()).flat_map(|set| [(set, false), (set, true)])
            {
                for remembered in [false, true] {
                    let mut given = proofs(set);
                    if remembered {
                        given = given.and(Proof::RememberedDevice, NOW);
                    }
                    let account = account(Factors::all(), two_step);
                    let opens = decide(&by(given), &account, policy, Demand::default(), NOW);
                    // A remembered browser opens nothing without a first proof, and no session has
                    // one without.
                    if level(&given, policy).is_some() {
                        assert_eq!(
                            still_meets(&given, two_step, policy),
                            matches!(opens, Decision::Open(_)),
                            "{given:?} {two_step} {policy:?}"
                        );
                    }
                }
            }
        }
    }
}

/// What an issuer says of a mailbox is decided with the identity (`model::federation::decide`); the proof
/// of the identity itself says nothing of it.
#[test]
fn an_identity_of_another_issuer_is_no_proof_of_the_mailbox() {
    let verifying = policy(Level::One, Rules::VERIFIED_MAILBOX);
    let unverified = Account {
        mailbox_verified: false,
        ..account(Factors::PASSWORD, false)
    };
    let say =
        |proofs, account: &Account| decide(&by(proofs), account, verifying, Demand::default(), NOW);
    for proof in [Proof::Upstream, Proof::UpstreamWithFactors] {
        let given = Proofs::of(proof, NOW);
        assert_eq!(say(given, &unverified), Decision::Ask(Steps::MAILBOX));
        let verified = account(Factors::PASSWORD, false);
        assert!(matches!(say(given, &verified), Decision::Open(_)));
        // Beside a proof of the mailbox it opens.
        let both = given.and(Proof::Mailbox, NOW);
        assert!(matches!(say(both, &unverified), Decision::Open(_)));
    }
}
