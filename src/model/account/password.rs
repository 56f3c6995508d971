//! Passwords before they are hashed: normalised to NFC (SP 800-63B-4), counted in code points, not
//! altered in any other way, and never printed. `crypto::password` hashes them.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// The allowed length of a password, in code points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// The smallest allowed length; at least 8.
    pub min: usize,
    /// The largest allowed length.
    pub max: usize,
}

/// A password in NFC. Its `Debug` output is `Password(…)`.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// The shortest word of letters that is compared with a password; shorter ones match too many.
const SHORTEST_WORD: usize = 3;

/// Returns the letters of a text in lower case, without anything else.
fn letters(text: &str) -> Zeroizing<String> {
    Zeroizing::new(
        text.chars()
            .filter(|c| c.is_alphabetic())
            .flat_map(char::to_lowercase)
            .collect(),
    )
}

/// The reason why a password was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has fewer code points than the minimum.
    #[error("password too short")]
    TooShort,
    /// It has more code points than the maximum.
    #[error("password too long")]
    TooLong,
}

impl Password {
    /// Reads a password that is to be compared with a hash. Only the upper bound is checked, which
    /// bounds the cost of hashing.
    pub fn attempt(text: &str, length: Length) -> Result<Self, Refused> {
        // NFC normalisation makes a text at most three times shorter in code points, so this bound
        // on the raw input is checked before normalising.
        if text.chars().count() > length.max.saturating_mul(4) {
            return Err(Refused::TooLong);
        }
        let normal: Zeroizing<String> = Zeroizing::new(text.nfc().collect());
        if normal.chars().count() > length.max {
            Err(Refused::TooLong)
        } else {
            Ok(Self(normal))
        }
    }

    /// Reads a newly chosen password; both bounds are checked.
    pub fn chosen(text: &str, length: Length) -> Result<Self, Refused> {
        let password = Self::attempt(text, length)?;
        if password.0.chars().count() < length.min {
            Err(Refused::TooShort)
        } else {
            Ok(password)
        }
    }

    /// Returns the password as text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Returns whether the password is one of these words, or the local part of one that is an
    /// email address, apart from case, punctuation, and digits around it.
    pub fn resembles<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> bool {
        let own = letters(&self.0);
        let parts = |word: &'a str| [Some(word), word.split_once('@').map(|(local, _)| local)];
        words
            .into_iter()
            .flat_map(parts)
            .flatten()
            .map(letters)
            .any(|word| word.chars().count() >= SHORTEST_WORD && *word == *own)
    }

    /// Returns the bytes to hash.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Length = Length { min: 8, max: 128 };

    #[test]
    fn counts_code_points_after_nfc() {
        assert_eq!(
            Password::chosen("1234567", LENGTH).unwrap_err(),
            Refused::TooShort
        );
        assert!(Password::chosen("😀😀😀😀😀😀😀😀", LENGTH).is_ok());
        assert_eq!(
            Password::chosen("e\u{301}".repeat(7).as_str(), LENGTH).unwrap_err(),
            Refused::TooShort
        );
        assert!(Password::chosen(&"é".repeat(128), LENGTH).is_ok());
        assert_eq!(
            Password::attempt(&"x".repeat(129), LENGTH).unwrap_err(),
            Refused::TooLong
        );
        let (composed, decomposed) = (
            Password::attempt("é", LENGTH).unwrap(),
            Password::attempt("e\u{301}", LENGTH).unwrap(),
        );
        assert_eq!(composed.expose(), decomposed.expose());
        assert_eq!(composed.text(), "é");
        assert_eq!(format!("{composed:?}"), "Password(…)");
    }

    #[test]
    fn resembles_a_name_in_other_clothes_and_nothing_longer() {
        let own = ["ana.silva@example.com", "Ana Silva", "Notes", "Jo"];
        for alike in [
            "ana.silva@example.com",
            "AnaSilva2024!",
            "ana silva",
            "1234notes",
            "notes!!!",
            "ana_silva@example.com",
        ] {
            assert!(
                Password::attempt(alike, LENGTH).unwrap().resembles(own),
                "{alike}"
            );
        }
        for other in [
            "ana silva likes tea",
            "jo123456",
            "12345678",
            "notesnotes",
            "silva-ana",
        ] {
            assert!(
                !Password::attempt(other, LENGTH).unwrap().resembles(own),
                "{other}"
            );
        }
    }
}
