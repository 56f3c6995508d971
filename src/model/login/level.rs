//! How strong a sign-in is: one factor, two, or resistant to phishing.

/// The strength of a sign-in, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// One factor.
    One,
    /// Two factors of different kinds.
    Two,
    /// A passkey that verified its user, or a passkey beside a factor of another kind.
    PhishingResistant,
}

impl Level {
    /// Lists all levels, weakest first.
    pub const ALL: [Self; 3] = [Self::One, Self::Two, Self::PhishingResistant];

    /// Returns the value of the claim `acr`.
    pub fn acr(self) -> &'static str {
        match self {
            Self::One => "urn:countersign:acr:1fa",
            Self::Two => "urn:countersign:acr:2fa",
            Self::PhishingResistant => "urn:countersign:acr:phr",
        }
    }

    /// Returns the level of a value of the claim `acr`; `None` for any other value.
    pub fn of_acr(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.acr() == value)
    }
}
