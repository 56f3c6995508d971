//! Passwords before they are hashed: normalised to NFC (SP 800-63B-4), counted in code points, not
//! altered in any other way, and never printed. `crypto::password` hashes them. Other software hashed
//! other forms of the text, so what was typed is kept beside it.

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

/// A password in NFC, and as it was typed. Its `Debug` output is `Password(…)`.
#[derive(Clone)]
pub struct Password {
    normal: Zeroizing<String>,
    /// What was typed; `None` if that is the text in NFC.
    typed: Option<Zeroizing<String>>,
}

/// Returns a text in a normal form, in one allocation: a text that grows would leave copies behind
/// that are not zeroized.
fn collected(chars: impl Iterator<Item = char> + Clone) -> Zeroizing<String> {
    let bytes = chars.clone().map(char::len_utf8).sum();
    let mut text = Zeroizing::new(String::with_capacity(bytes));
    text.extend(chars);
    text
}

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
        let normal = collected(text.nfc());
        if normal.chars().count() > length.max {
            return Err(Refused::TooLong);
        }
        let typed = (*normal != *text).then(|| Zeroizing::new(text.to_owned()));
        Ok(Self { normal, typed })
    }

    /// Reads a newly chosen password; both bounds are checked.
    pub fn chosen(text: &str, length: Length) -> Result<Self, Refused> {
        let password = Self::attempt(text, length)?;
        if password.normal.chars().count() < length.min {
            Err(Refused::TooShort)
        } else {
            Ok(password)
        }
    }

    /// Returns the password as text.
    pub fn text(&self) -> &str {
        &self.normal
    }

    /// Returns what was typed, in no normal form.
    pub fn typed(&self) -> &str {
        self.typed.as_ref().unwrap_or(&self.normal)
    }

    /// Returns what was typed in NFKC, the form that Better Auth hashes.
    pub fn compatible(&self) -> Zeroizing<String> {
        collected(self.typed().nfkc())
    }

    /// Returns whether the password is one of these words, or the local part of one that is an
    /// email address, apart from case, punctuation, and digits around it.
    pub fn resembles<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> bool {
        let own = letters(&self.normal);
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
        self.normal.as_bytes()
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
    fn what_was_typed_is_kept_beside_the_normal_form() {
        let (composed, decomposed) = ("p\u{e9} \u{2167}\u{fb01}", "pe\u{301} \u{2167}\u{fb01}");
        for typed in [composed, decomposed] {
            let password = Password::attempt(typed, LENGTH).unwrap();
            assert_eq!(password.text(), composed);
            assert_eq!(password.typed(), typed);
            assert_eq!(*password.compatible(), "p\u{e9} VIIIfi");
        }
        let password = Password::attempt(composed, LENGTH).unwrap();
        assert!(password.typed.is_none(), "one copy is enough");
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
