//! Texts that users, admins and operators write into an account. Each has one rule, which the API,
//! the pages and the command line share.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// A text has more characters than its field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is longer than {longest} characters")]
pub struct TooLong {
    /// The greatest number of characters.
    pub longest: usize,
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $longest:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The greatest number of characters.
            pub const LONGEST: usize = $longest;
        }

        impl FromStr for $name {
            type Err = TooLong;

            fn from_str(text: &str) -> Result<Self, TooLong> {
                if text.chars().count() <= Self::LONGEST {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(TooLong { longest: Self::LONGEST })
                }
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    )*};
}

texts! {
    /// A user's name as the user wrote it; may be empty.
    DisplayName: 256;
    /// The URL of a user's picture; an empty text stands for none. Better Auth accepts any text.
    ImageUrl: 2_048;
    /// Why an admin or an operator banned a user; may be empty.
    BanReason: 1_024;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_counted_in_characters_and_kept_as_it_was_written() {
        let longest = "👩".repeat(DisplayName::LONGEST);
        let name: DisplayName = longest.parse().unwrap();
        assert_eq!((&*name, name.to_string()), (&*longest, longest.clone()));
        assert_eq!(String::from(name), longest);
        let refused = format!("{longest}x").parse::<DisplayName>().unwrap_err();
        assert_eq!(refused.to_string(), "is longer than 256 characters");
        assert_eq!("".parse(), Ok(ImageUrl::default()));
        assert!("x".repeat(1_024).parse::<BanReason>().is_ok());
        assert!("x".repeat(1_025).parse::<BanReason>().is_err());
    }
}
