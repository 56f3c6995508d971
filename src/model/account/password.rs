//! Passwords before they are hashed: NFC (SP 800-63B-4), counted in code points, never altered
//! otherwise, never printed. Hashing is `crypto::password`'s business.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// How long a password may be, in code points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// At least so many; the floor is 8.
    pub min: usize,
    /// At most so many.
    pub max: usize,
}

/// A password in NFC. Prints as `Password(…)`.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// With fewer letters than that, a name tells nothing of a password.
const SHORTEST_WORD: usize = 3;

/// Lower case, and nothing but letters.
fn letters(text: &str) -> Zeroizing<String> {
    Zeroizing::new(
        text.chars()
            .filter(|c| c.is_alphabetic())
            .flat_map(char::to_lowercase)
            .collect(),
    )
}

/// Why a password was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Fewer code points than the minimum.
    #[error("password too short")]
    TooShort,
    /// More code points than the maximum.
    #[error("password too long")]
    TooLong,
}

impl Password {
    /// A password that somebody offers as proof: only the upper bound is checked, so that hashing
    /// is bounded.
    pub fn attempt(text: &str, length: Length) -> Result<Self, Refused> {
        // An NFC form has at most three times fewer code points than its input: look at the raw
        // bound before normalising.
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

    /// A password that somebody chooses: both bounds are checked.
    pub fn chosen(text: &str, length: Length) -> Result<Self, Refused> {
        let password = Self::attempt(text, length)?;
        if password.0.chars().count() < length.min {
            Err(Refused::TooShort)
        } else {
            Ok(password)
        }
    }

    /// Its words.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether it is one of these words, or an address's first part, but for case, signs, and
    /// digits around it.
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

    /// The bytes to hash.
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
