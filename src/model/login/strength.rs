//! How strong the proofs of a sign-in are together.

use super::level::Level;
use super::policy::{Policy, Rules};
use super::proof::{Proof, Proofs};

/// Returns the level of proofs; `None` without a proof that a sign-in can begin with. A device
/// counts beside a password, a mailbox or another issuer: two devices are one kind of factor,
/// and so are the mailbox and a code that was sent to it.
pub fn level(proofs: &Proofs, policy: Policy) -> Option<Level> {
    if !proofs.iter().any(|(proof, _)| proof.is_first()) {
        return None;
    }
    let beside_a_device = proofs.contains_any(&[
        Proof::Password,
        Proof::Mailbox,
        Proof::Upstream,
        Proof::UpstreamWithFactors,
    ]);
    let has_code = proofs.contains_any(&[Proof::Totp, Proof::RecoveryCode]);
    let has_upstream_factors = proofs.contains(Proof::UpstreamWithFactors)
        && policy.rules.contains(Rules::UPSTREAM_FACTORS);
    let has_mailed_step = policy.rules.contains(Rules::MAILED_CODE)
        && proofs.contains(Proof::MailedCode)
        && proofs.contains_any(&[Proof::Password, Proof::Passkey]);
    Some(
        if proofs.contains(Proof::VerifiedPasskey)
            || proofs.contains(Proof::Passkey) && beside_a_device
        {
            Level::PhishingResistant
        } else if has_code && beside_a_device || has_upstream_factors || has_mailed_step {
            Level::Two
        } else {
            Level::One
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::time::Timestamp;

    #[test]
    fn a_level_follows_from_the_kinds_of_the_proofs_and_the_rules() {
        use Proof as P;
        let every = Rules::MAILED_CODE | Rules::UPSTREAM_FACTORS;
        for (proofs, strict, open) in [
            (&[][..], None, None),
            (&[P::Totp], None, None),
            (&[P::RecoveryCode, P::MailedCode], None, None),
            (&[P::Vouched], None, None),
            (&[P::Password], Some(Level::One), Some(Level::One)),
            (
                &[P::Password, P::Mailbox],
                Some(Level::One),
                Some(Level::One),
            ),
            (
                &[P::Mailbox, P::MailedCode],
                Some(Level::One),
                Some(Level::One),
            ),
            (
                &[P::Upstream, P::MailedCode],
                Some(Level::One),
                Some(Level::One),
            ),
            (
                &[P::Password, P::MailedCode],
                Some(Level::One),
                Some(Level::Two),
            ),
            (
                &[P::UpstreamWithFactors],
                Some(Level::One),
                Some(Level::Two),
            ),
            (&[P::Password, P::Totp], Some(Level::Two), Some(Level::Two)),
            (
                &[P::Mailbox, P::RecoveryCode],
                Some(Level::Two),
                Some(Level::Two),
            ),
            (&[P::Passkey], Some(Level::One), Some(Level::One)),
            (&[P::Passkey, P::Totp], Some(Level::One), Some(Level::One)),
            (
                &[P::Passkey, P::MailedCode],
                Some(Level::One),
                Some(Level::Two),
            ),
            (
                &[P::Passkey, P::Password],
                Some(Level::PhishingResistant),
                Some(Level::PhishingResistant),
            ),
            (
                &[P::VerifiedPasskey],
                Some(Level::PhishingResistant),
                Some(Level::PhishingResistant),
            ),
        ] {
            let all = proofs
                .iter()
                .fold(Proofs::default(), |all, p| all.and(*p, Timestamp(1)));
            let of = |rules| {
                let least = Level::One;
                level(&all, Policy { least, rules })
            };
            assert_eq!(of(Rules::empty()), strict, "{proofs:?}");
            assert_eq!(of(every), open, "{proofs:?}");
        }
    }
}
