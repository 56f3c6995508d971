//! The name of a provider: an issuer of identities that the settings name.

use std::fmt;
use std::str::FromStr;

/// The id of a provider, which is its section in the settings and `providerId` on the wire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderId(String);

/// The text is no id of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write 1 to {} lowercase letters, digits and hyphens; credential is the name of passwords",
    ProviderId::LONGEST
)]
pub struct InvalidProviderId;

impl ProviderId {
    /// The greatest number of characters.
    pub const LONGEST: usize = 32;

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProviderId {
    type Err = InvalidProviderId;

    fn from_str(text: &str) -> Result<Self, InvalidProviderId> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_good = (1..=Self::LONGEST).contains(&text.len())
            && text.chars().all(is_plain)
            && text != "credential";
        is_good
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidProviderId)
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_short_name_and_not_that_of_passwords() {
        for good in ["google", "acme-2", "a", &"x".repeat(32)] {
            assert_eq!(good.parse::<ProviderId>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "credential",
            "Google",
            "a b",
            "a/b",
            "ä",
            &"x".repeat(33),
        ] {
            assert!(bad.parse::<ProviderId>().is_err(), "{bad}");
        }
    }
}
