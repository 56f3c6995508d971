//! What a sign-in has to reach, by the settings and the user's own wish.

use std::time::Duration;

use bitflags::bitflags;

use super::level::Level;

bitflags! {
    /// What the settings allow or require in a sign-in.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Rules: u8 {
        /// A code that is sent to the mailbox counts as a second step beside a password or a passkey.
        const MAILED_CODE = 1;
        /// The factors that another issuer says it checked count here.
        const UPSTREAM_FACTORS = 2;
        /// A browser that is to be remembered needs no second step for a time.
        const REMEMBERED_DEVICE = 4;
        /// A user without a factor may enrol one during the sign-in.
        const ENROLMENT = 8;
        /// The mailbox must be verified before the first session.
        const VERIFIED_MAILBOX = 16;
    }
}

/// The rules for one user, from all of the user's roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The least level that opens a session.
    pub least: Level,
    /// What is allowed besides.
    pub rules: Rules,
}

impl Policy {
    /// Returns the level that the user's sessions need: two factors if the user turned two-step
    /// sign-in on.
    pub fn need(&self, two_step: bool) -> Level {
        let own = if two_step { Level::Two } else { Level::One };
        self.least.max(own)
    }
}

/// What a request asks for beyond the policy (RFC 9470).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// The level that is asked for.
    pub level: Option<Level>,
    /// How old the proofs may be. Where more than one factor is needed, this is about the second
    /// one.
    pub max_age: Option<Duration>,
}

impl Demand {
    /// Reads the parameter `acr_values`: values with spaces between them, any of which is enough.
    /// Values that this service does not have are passed over; `None` if it has no value of several.
    pub fn of_acr_values(values: &str) -> Option<Self> {
        let mut values = values
            .split(' ')
            .filter(|value| !value.is_empty())
            .peekable();
        if values.peek().is_none() {
            return Some(Self::default());
        }
        let least = values.filter_map(Level::of_acr).min();
        least.map(|level| Self {
            level: Some(level),
            max_age: None,
        })
    }

    /// Returns whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_acr_values_the_weakest_known_one_is_enough() {
        let level = |text: &str| Demand::of_acr_values(text).map(|demand| demand.level);
        let (two, phr) = (Level::Two.acr(), Level::PhishingResistant.acr());
        assert_eq!(level(""), Some(None));
        assert_eq!(level("  "), Some(None));
        assert_eq!(level(two), Some(Some(Level::Two)));
        assert_eq!(level(&format!("{phr}  {two}")), Some(Some(Level::Two)));
        assert_eq!(
            level(&format!("urn:other {phr}")),
            Some(Some(Level::PhishingResistant))
        );
        for unknown in ["urn:other", "2fa", "URN:COUNTERSIGN:ACR:2FA", "phr,2fa"] {
            assert_eq!(level(unknown), None, "{unknown}");
        }
    }
}
