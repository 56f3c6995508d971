//! The gate of every sign-in, as a pure function: from what was proven, what the account has and
//! what the settings require, to a session, to the steps that would lead there, or to a refusal.
//! Only its word opens a session: [`Cleared`] has no other maker, and the one statement that
//! inserts sessions takes it.

use std::time::Duration;

pub use super::facts::{Account, Evidence, Factors, Standing, Steps};
use super::level::Level;
use super::policy::{Demand, Policy, Rules};
use super::proof::{Proof, Proofs};
use super::strength::level;
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;

/// The permission to open one session: of this user, by these proofs, as long as the user's
/// `login_epoch` stays the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleared {
    user: UserId,
    epoch: i64,
    proofs: Proofs,
}

impl Cleared {
    /// Returns whose session may begin.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// Returns the `users.login_epoch` that must still be in force when the session begins.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Returns what was proven.
    pub fn proofs(&self) -> &Proofs {
        &self.proofs
    }
}

/// The reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A sign-in cannot begin with these proofs, or they are those of another user.
    NotProven,
    /// The password, the email address or a factor was changed since the first proof.
    Outdated,
    /// The user is banned.
    Banned,
    /// The account is disabled.
    Disabled,
    /// The account has nothing that reaches the required level, and may not enrol it now.
    OutOfReach,
}

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one lives for a moment, and the large variant is the usual one"
)]
pub enum Decision {
    /// A session may begin.
    Open(Cleared),
    /// One of these steps leads further.
    Ask(Steps),
    /// No session begins.
    Refuse(Refusal),
}

/// Decides about a sign-in, or about a session that is to be lifted or to go on.
pub fn decide(
    evidence: &Evidence,
    account: &Account,
    policy: Policy,
    demand: Demand,
    now: Timestamp,
) -> Decision {
    let given = &evidence.proofs;
    if evidence.user != account.user || level(given, policy).is_none() {
        return Decision::Refuse(Refusal::NotProven);
    }
    match account.standing {
        Standing::Good => {}
        Standing::Banned => return Decision::Refuse(Refusal::Banned),
        Standing::Disabled => return Decision::Refuse(Refusal::Disabled),
    }
    if evidence.epoch != account.epoch {
        return Decision::Refuse(Refusal::Outdated);
    }
    let is_verified = account.mailbox_verified || given.contains(Proof::Mailbox);
    if policy.rules.contains(Rules::VERIFIED_MAILBOX) && !is_verified {
        return Decision::Ask(Steps::MAILBOX);
    }
    let need = policy
        .need(account.two_step)
        .max(demand.level.unwrap_or(Level::One));
    let fresh = young_enough(given, need, demand.max_age, now);
    let Some(have) = level(&fresh, policy) else {
        return Decision::Ask(first_steps(account));
    };
    let is_remembered = need == Level::Two
        && demand.is_empty()
        && policy.rules.contains(Rules::REMEMBERED_DEVICE)
        && given.contains(Proof::RememberedDevice);
    if have >= need || is_remembered {
        return Decision::Open(Cleared {
            user: account.user,
            epoch: account.epoch,
            proofs: *given,
        });
    }
    ask(&fresh, account, policy, need)
}

/// Decides about an impersonation: the admin's own session must be one that the gate would open
/// now, and the user must be allowed to sign in. The user has proven nothing.
pub fn vouch(admin: &Decision, account: &Account, now: Timestamp) -> Decision {
    match (admin, account.standing) {
        (Decision::Open(_), Standing::Good) => Decision::Open(Cleared {
            user: account.user,
            epoch: account.epoch,
            proofs: Proofs::of(Proof::Vouched, now),
        }),
        (Decision::Open(_), Standing::Banned) => Decision::Refuse(Refusal::Banned),
        (Decision::Open(_), Standing::Disabled) => Decision::Refuse(Refusal::Disabled),
        (other, _) => *other,
    }
}

/// Returns whether a live session still meets the policy. It says nothing about a session that was
/// vouched for: that one ends with the session of the admin.
pub fn still_meets(proofs: &Proofs, two_step: bool, policy: Policy) -> bool {
    let need = policy.need(two_step);
    proofs.contains(Proof::Vouched)
        || level(proofs, policy).is_some_and(|have| have >= need)
        || need == Level::Two
            && policy.rules.contains(Rules::REMEMBERED_DEVICE)
            && proofs.contains(Proof::RememberedDevice)
}

/// Returns whether what a session needs was proven within `max_age`. A remembered device is no proof.
pub fn is_fresh(
    proofs: &Proofs,
    two_step: bool,
    policy: Policy,
    max_age: Duration,
    now: Timestamp,
) -> bool {
    let need = policy.need(two_step);
    let young = young_enough(proofs, need, Some(max_age), now);
    level(&young, policy).is_some_and(|have| have >= need)
}

/// Returns the proofs that count where they may not be older than `max_age`. Where one factor is
/// needed, it has to be young. Where more are needed, the second one has to be young, and the first one
/// may be as old as the session.
fn young_enough(given: &Proofs, need: Level, max_age: Option<Duration>, now: Timestamp) -> Proofs {
    let Some(max_age) = max_age else {
        return *given;
    };
    let earliest = now - max_age;
    if need == Level::One {
        return given.since(earliest);
    }
    given.iter().fold(Proofs::default(), |kept, (proof, at)| {
        let is_second = proof.is_of_a_device() || proof == Proof::MailedCode;
        if at >= earliest || !is_second && proof != Proof::UpstreamWithFactors {
            kept.and(proof, at)
        } else if proof == Proof::UpstreamWithFactors {
            // The factors behind it were checked too long ago; the identity is still proven.
            kept.and(Proof::Upstream, at)
        } else {
            kept
        }
    })
}

/// Returns what the account can begin with, after every older proof was too old.
fn first_steps(account: &Account) -> Steps {
    let mut steps = Steps::MAILBOX;
    for (factor, step) in [
        (Factors::PASSWORD, Steps::PASSWORD),
        (Factors::PASSKEY, Steps::PASSKEY),
        (Factors::VERIFIED_PASSKEY, Steps::VERIFIED_PASSKEY),
    ] {
        steps.set(step, account.factors.contains(factor));
    }
    steps
}

/// Returns the enrolled factors that lead to the level, or else nearer to it; without any, the
/// enrolment of one.
fn ask(fresh: &Proofs, account: &Account, policy: Policy, need: Level) -> Decision {
    let have = level(fresh, policy);
    let (mut there, mut nearer) = (Steps::empty(), Steps::empty());
    for (step, proof) in offers(fresh, account, policy) {
        let reached = level(&fresh.and(proof, Timestamp(0)), policy);
        there.set(step, reached >= Some(need));
        nearer.set(step, reached > have);
    }
    if !there.is_empty() {
        return Decision::Ask(there);
    }
    if !nearer.is_empty() {
        return Decision::Ask(nearer);
    }
    // A new factor is not enrolled on the word of a password alone: a thief of the password would
    // enrol a device of theirs.
    let is_sure = fresh.iter().any(|(proof, _)| {
        proof.is_of_a_device() || matches!(proof, Proof::Mailbox | Proof::UpstreamWithFactors)
    });
    let knows = fresh.contains(Proof::Password) || !account.factors.contains(Factors::PASSWORD);
    if !is_sure {
        Decision::Ask(Steps::MAILBOX)
    } else if account.two_step && !knows {
        // Two-step sign-in that is on without a device rests on the password and the mailbox: the
        // mailbox alone does not replace the password by a device.
        Decision::Ask(Steps::PASSWORD)
    } else if !policy.rules.contains(Rules::ENROLMENT) {
        Decision::Refuse(Refusal::OutOfReach)
    } else if need == Level::PhishingResistant {
        Decision::Ask(Steps::ENROL_PASSKEY)
    } else {
        Decision::Ask(Steps::ENROL_TOTP | Steps::ENROL_PASSKEY)
    }
}

/// Returns what the account could prove besides.
fn offers(
    fresh: &Proofs,
    account: &Account,
    policy: Policy,
) -> impl Iterator<Item = (Steps, Proof)> {
    let has = |factor| account.factors.contains(factor);
    let lacks = |proof| !fresh.contains(proof);
    let has_passkey = fresh.contains(Proof::Passkey);
    let mailed =
        policy.rules.contains(Rules::MAILED_CODE) && account.two_step && account.mailbox_verified;
    [
        (has(Factors::TOTP), Steps::TOTP, Proof::Totp),
        (
            has(Factors::RECOVERY_CODE),
            Steps::RECOVERY_CODE,
            Proof::RecoveryCode,
        ),
        (
            has(Factors::VERIFIED_PASSKEY),
            Steps::VERIFIED_PASSKEY,
            Proof::VerifiedPasskey,
        ),
        (
            has(Factors::PASSKEY) && lacks(Proof::VerifiedPasskey),
            Steps::PASSKEY,
            Proof::Passkey,
        ),
        (
            mailed && lacks(Proof::Mailbox),
            Steps::MAILED_CODE,
            Proof::MailedCode,
        ),
        // A device wants a factor of another kind beside it.
        (
            has_passkey && has(Factors::PASSWORD),
            Steps::PASSWORD,
            Proof::Password,
        ),
        (has_passkey, Steps::MAILBOX, Proof::Mailbox),
    ]
    .into_iter()
    .filter(move |(is_there, _, proof)| *is_there && lacks(*proof))
    .map(|(_, step, proof)| (step, proof))
}
