//! What a user has proven, and when. A sign-in collects proofs, and its session keeps them.

use crate::model::kernel::time::Timestamp;

/// One thing that a user can prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proof {
    /// The password.
    Password,
    /// Access to the mailbox, by a link or a code that began the sign-in.
    Mailbox,
    /// An identity of another issuer.
    Upstream,
    /// An identity of another issuer that says it checked several factors.
    UpstreamWithFactors,
    /// A passkey whose authenticator did not verify its user.
    Passkey,
    /// A passkey whose authenticator verified its user, by a PIN or a fingerprint.
    VerifiedPasskey,
    /// A code of an authenticator app (RFC 6238).
    Totp,
    /// A recovery code.
    RecoveryCode,
    /// A code that was sent to the mailbox as the second step.
    MailedCode,
    /// This browser passed the second step before and was to be remembered. It proves nothing by
    /// itself.
    RememberedDevice,
    /// An admin acts as the user, who has proven nothing.
    Vouched,
}

impl Proof {
    /// Lists all proofs in the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::Password,
        Self::Mailbox,
        Self::Upstream,
        Self::UpstreamWithFactors,
        Self::Passkey,
        Self::VerifiedPasskey,
        Self::Totp,
        Self::RecoveryCode,
        Self::MailedCode,
        Self::RememberedDevice,
        Self::Vouched,
    ];

    /// Returns the text that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Mailbox => "mailbox",
            Self::Upstream => "upstream",
            Self::UpstreamWithFactors => "upstream-with-factors",
            Self::Passkey => "passkey",
            Self::VerifiedPasskey => "verified-passkey",
            Self::Totp => "totp",
            Self::RecoveryCode => "recovery-code",
            Self::MailedCode => "mailed-code",
            Self::RememberedDevice => "remembered-device",
            Self::Vouched => "vouched",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|proof| proof.as_str() == text)
    }

    /// Returns whether a sign-in can begin with it.
    pub fn is_first(self) -> bool {
        match self {
            Self::Password
            | Self::Mailbox
            | Self::Upstream
            | Self::UpstreamWithFactors
            | Self::Passkey
            | Self::VerifiedPasskey => true,
            Self::Totp
            | Self::RecoveryCode
            | Self::MailedCode
            | Self::RememberedDevice
            | Self::Vouched => false,
        }
    }

    /// Returns whether it shows that the user holds an enrolled device. A recovery code stands for
    /// a lost one.
    pub fn is_of_a_device(self) -> bool {
        matches!(
            self,
            Self::Passkey | Self::VerifiedPasskey | Self::Totp | Self::RecoveryCode
        )
    }

    /// Returns its values of the claim `amr`: those of RFC 8176 where it has one.
    fn amr(self) -> &'static [&'static str] {
        match self {
            Self::Password => &["pwd"],
            Self::Mailbox | Self::MailedCode => &["email"],
            Self::Upstream => &["fed"],
            Self::UpstreamWithFactors => &["fed", "mfa"],
            Self::Passkey => &["pop"],
            Self::VerifiedPasskey => &["pop", "user"],
            Self::Totp => &["otp"],
            Self::RecoveryCode => &["recovery"],
            Self::RememberedDevice => &["device"],
            Self::Vouched => &[],
        }
    }
}

/// Proofs with the time of each. A proof that is made again has the later time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proofs([Option<Timestamp>; Proof::ALL.len()]);

impl Proofs {
    /// Begins with one proof.
    pub fn of(proof: Proof, at: Timestamp) -> Self {
        Self::default().and(proof, at)
    }

    /// Adds a proof to these.
    #[must_use]
    pub fn and(mut self, proof: Proof, at: Timestamp) -> Self {
        let slot = &mut self.0[proof as usize];
        *slot = Some(slot.map_or(at, |before| before.max(at)));
        self
    }

    /// Returns whether this was proven.
    pub fn contains(&self, proof: Proof) -> bool {
        self.at(proof).is_some()
    }

    /// Returns whether one of these was proven.
    pub fn contains_any(&self, proofs: &[Proof]) -> bool {
        proofs.iter().any(|proof| self.contains(*proof))
    }

    /// Returns when this was proven.
    pub fn at(&self, proof: Proof) -> Option<Timestamp> {
        self.0[proof as usize]
    }

    /// Returns what was proven, in the order of [`Proof::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Proof, Timestamp)> {
        Proof::ALL
            .into_iter()
            .zip(self.0)
            .filter_map(|(proof, at)| at.map(|at| (proof, at)))
    }

    /// Returns when the user last proved anything; `None` if there is no proof of the user.
    pub fn latest(&self) -> Option<Timestamp> {
        self.iter()
            .filter(|(proof, _)| !matches!(proof, Proof::RememberedDevice | Proof::Vouched))
            .map(|(_, at)| at)
            .max()
    }

    /// Returns the time of the claim `auth_time`: that of the second factor where one was proven, so that
    /// a password that is proven again does not make it look younger; otherwise of the latest proof.
    pub fn auth_time(&self) -> Option<Timestamp> {
        let mailed = self.at(Proof::MailedCode);
        self.latest_of_a_device().max(mailed).or(self.latest())
    }

    /// Returns when the user last proved to hold an enrolled device.
    pub fn latest_of_a_device(&self) -> Option<Timestamp> {
        self.iter()
            .filter(|(proof, _)| proof.is_of_a_device())
            .map(|(_, at)| at)
            .max()
    }

    /// Returns the proofs that are not older than this time.
    #[must_use]
    pub fn since(&self, earliest: Timestamp) -> Self {
        Self(self.0.map(|at| at.filter(|at| *at >= earliest)))
    }

    /// Returns the values of the claim `amr`, each once.
    pub fn amr(&self) -> Vec<&'static str> {
        let mut values: Vec<&'static str> = Vec::with_capacity(4);
        for value in self.iter().flat_map(|(proof, _)| proof.amr()) {
            if !values.contains(value) {
                values.push(value);
            }
        }
        values
    }

    /// Returns the text that is stored: pairs `PROOF:TIME` with spaces between them.
    pub fn to_text(&self) -> String {
        let pairs: Vec<String> = self
            .iter()
            .map(|(proof, at)| format!("{}:{}", proof.as_str(), at.0))
            .collect();
        pairs.join(" ")
    }

    /// Parses the stored text; `None` for any other text. A proof that a later release stored and
    /// this one does not know makes the text unreadable: it could be one that must not be ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let mut proofs = Self::default();
        for pair in text.split(' ').filter(|pair| !pair.is_empty()) {
            let (proof, at) = pair.split_once(':')?;
            proofs = proofs.and(Proof::parse(proof)?, Timestamp(at.parse().ok()?));
        }
        Some(proofs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_219_200_000);

    #[test]
    fn what_is_stored_reads_back_and_other_text_does_not() {
        let mut all = Proofs::default();
        assert_eq!(Proofs::parse(""), Some(all));
        for (n, proof) in Proof::ALL.into_iter().enumerate() {
            assert_eq!(Proof::ALL[proof as usize], proof);
            let at = Timestamp(NOW.0 + i64::try_from(n).unwrap());
            let one = Proofs::of(proof, at);
            assert_eq!(Proofs::parse(&one.to_text()), Some(one), "{proof:?}");
            all = all.and(proof, at);
        }
        assert_eq!(Proofs::parse(&all.to_text()), Some(all));
        assert_eq!(all.iter().count(), Proof::ALL.len());
        for text in [
            "password",
            "password:",
            "password:x",
            "word:1",
            "password:1,totp:2",
        ] {
            assert_eq!(Proofs::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_proof_that_is_made_again_has_the_later_time() {
        let later = Timestamp(NOW.0 + 5);
        for proofs in [
            Proofs::of(Proof::Totp, NOW).and(Proof::Totp, later),
            Proofs::of(Proof::Totp, later).and(Proof::Totp, NOW),
        ] {
            assert_eq!(proofs.at(Proof::Totp), Some(later));
            assert_eq!(proofs.iter().count(), 1);
        }
        let proofs = Proofs::of(Proof::Password, NOW).and(Proof::Totp, later);
        assert_eq!(proofs.since(later), Proofs::of(Proof::Totp, later));
        assert_eq!(proofs.since(NOW), proofs);
        assert_eq!(proofs.latest(), Some(later));
        assert_eq!(proofs.latest_of_a_device(), Some(later));
        assert_eq!(Proofs::of(Proof::Password, NOW).latest_of_a_device(), None);
        assert_eq!(Proofs::of(Proof::Vouched, NOW).latest(), None);
        assert_eq!(Proofs::of(Proof::Vouched, NOW).auth_time(), None);
        assert_eq!(proofs.auth_time(), Some(later));
        let again = Timestamp(later.0 + 5);
        let renewed = proofs.and(Proof::Password, again);
        assert_eq!(
            (renewed.latest(), renewed.auth_time()),
            (Some(again), Some(later))
        );
        let mailed = Proofs::of(Proof::Mailbox, again).and(Proof::MailedCode, NOW);
        assert_eq!(mailed.auth_time(), Some(NOW));
        assert_eq!(Proofs::of(Proof::Password, NOW).auth_time(), Some(NOW));
    }

    #[test]
    fn amr_names_each_method_once_and_of_an_admin_who_acts_none() {
        let amr = |proofs: &[Proof]| {
            let all = proofs
                .iter()
                .fold(Proofs::default(), |all, p| all.and(*p, NOW));
            all.amr().join(" ")
        };
        assert_eq!(amr(&[Proof::Password, Proof::Totp]), "pwd otp");
        assert_eq!(amr(&[Proof::Mailbox, Proof::MailedCode]), "email");
        assert_eq!(amr(&[Proof::Passkey, Proof::VerifiedPasskey]), "pop user");
        assert_eq!(
            amr(&[Proof::Password, Proof::RememberedDevice]),
            "pwd device"
        );
        assert_eq!(amr(&[Proof::Password, Proof::RecoveryCode]), "pwd recovery");
        assert_eq!(amr(&[Proof::Upstream]), "fed");
        assert_eq!(
            amr(&[Proof::Upstream, Proof::UpstreamWithFactors]),
            "fed mfa"
        );
        assert_eq!(amr(&[Proof::Vouched]), "");
    }
}
