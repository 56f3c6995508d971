//! Why a row of an imported file is refused or skipped, and what of a row is left behind. The codes
//! stand in reports and in `import_rows`.

use std::fmt;

/// Where a row stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The number of the row, from 1; several rows may share a line.
    pub number: u64,
    /// The line on which the row begins, from 1.
    pub line: u64,
}

/// Why a row is refused or skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The row has more bytes than a row may have.
    RowTooLong,
    /// The row is not UTF-8.
    NotUtf8,
    /// The row is not JSON, or is no object; the text says where it stops being one.
    NotJson(String),
    /// The file ends inside the row.
    Truncated,
    /// The row has another number of fields than the header.
    FieldCount,
    /// The format has no rule for this member, and `--drop` does not name it.
    UnknownField(String),
    /// The value of this field has another form than the format asks for.
    InvalidField(&'static str),
    /// A text of the row has a NUL character, which cannot be stored.
    NulCharacter,
    /// The row has no email address.
    NoEmail,
    /// The email address has a form that is not supported.
    InvalidEmail,
    /// The password hash is of this kind, which cannot be verified.
    UnsupportedHash(String),
    /// The password hash is not what its kind prescribes.
    MalformedHash(String),
    /// The source has deleted the user.
    DeletedThere,
    /// Another row of the file, which begins on this line, has the same email address.
    RepeatedEmail(u64),
    /// Another row of the file, which begins on this line, has the same id.
    RepeatedId(u64),
    /// Another row of the file, which begins on this line, has the same account at a provider.
    RepeatedAccount(u64),
    /// A user here has the email address.
    EmailTaken,
    /// Another user here has the id that the user would keep.
    IdTaken,
    /// The account of this provider belongs to another user here.
    AccountTaken(String),
    /// The settings do not have this provider, or its issuer depends on the user.
    UnknownProvider(String),
    /// The source asks the user for a second factor, which cannot be taken over.
    SecondFactor,
    /// The account here has not verified the email address, so nothing may be linked to it.
    NotVerifiedHere,
    /// The source has not verified the email address, or its word does not count.
    NotVerifiedThere,
    /// The source has banned or disabled the user, who may not sign in here by a link.
    BannedThere,
}

impl Reason {
    /// Returns the code that reports show.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RowTooLong => "row_too_long",
            Self::NotUtf8 => "not_utf8",
            Self::NotJson(_) => "not_json",
            Self::Truncated => "truncated",
            Self::FieldCount => "field_count",
            Self::UnknownField(_) => "unknown_field",
            Self::InvalidField(_) => "invalid_field",
            Self::NulCharacter => "nul_character",
            Self::NoEmail => "no_email",
            Self::InvalidEmail => "invalid_email",
            Self::UnsupportedHash(_) => "unsupported_hash",
            Self::MalformedHash(_) => "malformed_hash",
            Self::DeletedThere => "deleted_there",
            Self::RepeatedEmail(_) => "repeated_email",
            Self::RepeatedId(_) => "repeated_id",
            Self::RepeatedAccount(_) => "repeated_account",
            Self::EmailTaken => "email_taken",
            Self::IdTaken => "id_taken",
            Self::AccountTaken(_) => "account_taken",
            Self::UnknownProvider(_) => "unknown_provider",
            Self::SecondFactor => "second_factor",
            Self::NotVerifiedHere => "not_verified_here",
            Self::NotVerifiedThere => "not_verified_there",
            Self::BannedThere => "banned_there",
        }
    }
}

impl fmt::Display for Reason {
    /// Writes the code and, after a colon, what it is about.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())?;
        match self {
            Self::NotJson(about)
            | Self::UnknownField(about)
            | Self::UnsupportedHash(about)
            | Self::MalformedHash(about)
            | Self::AccountTaken(about)
            | Self::UnknownProvider(about) => write!(f, ": {}", shortened(about)),
            Self::InvalidField(field) => write!(f, ": {field}"),
            Self::RepeatedEmail(line) | Self::RepeatedId(line) | Self::RepeatedAccount(line) => {
                write!(f, ": line {line}")
            }
            _ => Ok(()),
        }
    }
}

/// The most characters of a foreign text that a report repeats.
const LONGEST: usize = 100;

/// Returns the beginning of a foreign text, without control characters.
fn shortened(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(LONGEST)
        .collect()
}

/// A row that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Where the row stands.
    pub place: Place,
    /// The user's id in the source, if it could be read.
    pub foreign_id: Option<String>,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What of a row is not taken over although its user is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The id of the source has a form that ids here cannot have; the user gets a new one.
    NewId,
    /// Verifying the password hash would cost too much; the user has no password.
    HashTooCostly,
    /// `--role-map` does not name this role.
    RoleNotMapped(String),
    /// The second factor of the source, by `--without-second-factor`.
    SecondFactorDropped,
    /// Data that users of the source write themselves, which no claim may come from.
    UserDataDropped,
    /// The user's email address here is another one than in the file.
    EmailDiffers,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewId => f.write_str("new_id"),
            Self::HashTooCostly => f.write_str("hash_too_costly"),
            Self::RoleNotMapped(role) => write!(f, "role_not_mapped: {}", shortened(role)),
            Self::SecondFactorDropped => f.write_str("second_factor_dropped"),
            Self::UserDataDropped => f.write_str("user_data_dropped"),
            Self::EmailDiffers => f.write_str("email_differs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_code_and_what_it_is_about() {
        for (reason, text) in [
            (Reason::RowTooLong, "row_too_long"),
            (Reason::RepeatedEmail(7), "repeated_email: line 7"),
            (
                Reason::InvalidField("createdAt"),
                "invalid_field: createdAt",
            ),
            (Reason::UnknownField("plan".into()), "unknown_field: plan"),
        ] {
            assert_eq!(reason.to_string(), text);
            assert!(text.starts_with(reason.code()));
        }
    }

    #[test]
    fn a_foreign_text_does_not_break_or_flood_a_report() {
        let long = format!("a\n\u{1b}[31m{}", "b".repeat(1_000));
        let text = Reason::UnknownProvider(long).to_string();
        assert!(text.starts_with("unknown_provider: a[31mbb"), "{text}");
        assert_eq!(text.chars().count(), "unknown_provider: ".len() + 100);
        assert_eq!(
            Note::RoleNotMapped("a\tb".into()).to_string(),
            "role_not_mapped: ab"
        );
    }
}
