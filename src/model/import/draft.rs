//! The fields of a row as a reader found them, and the check that makes a candidate of them. All
//! formats share the check, so that no format is more permissive than another.

use serde_json::{Map, Value};

use super::candidate::{Candidate, SourceAccount, SourceBan, SourceHash};
use super::reason::{Note, Place, Reason, RowError};
use crate::model::account::email::Email;
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;

/// The most bytes of an id in the source or at a provider.
const MAX_ID: usize = 255;
/// The most accounts at providers that one user has.
const MAX_ACCOUNTS: usize = 50;
/// The latest time that is accepted: the year 9999.
const MAX_TIME: i64 = 253_402_300_799_999;

/// The fields of a row; an empty text stands for a missing one.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields of `Candidate`, not yet checked")]
pub struct Draft {
    pub id: String,
    /// The id in the source where it differs from the id that the user keeps.
    pub foreign_id: String,
    pub email: String,
    pub email_verified: bool,
    pub name: String,
    pub image: String,
    pub roles: Vec<String>,
    pub metadata: Map<String, Value>,
    pub ban: Option<DraftBan>,
    pub disabled: bool,
    pub created_at: Option<Timestamp>,
    pub hash: Option<SourceHash>,
    /// Provider and user there.
    pub accounts: Vec<(String, String)>,
    pub factors: Factors,
    /// Whether the row has data that users of the source write themselves.
    pub user_data: bool,
}

/// A ban, not yet checked.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields of `SourceBan`, not yet checked")]
pub struct DraftBan {
    pub reason: String,
    pub ends_at: Option<Timestamp>,
}

/// The factors that the source asks the user for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Factors {
    /// A password or another single factor.
    #[default]
    One,
    /// A second one after the first.
    Two,
}

impl Factors {
    /// Returns whether the source asks for a second factor, as a value that is not a bool.
    pub fn two_if(has_second: bool) -> Self {
        if has_second { Self::Two } else { Self::One }
    }
}

impl Draft {
    /// Checks the fields.
    ///
    /// # Errors
    /// The first thing that is wrong with the row.
    pub fn check(self, place: Place) -> Result<Candidate, RowError> {
        let named = [&self.foreign_id, &self.id]
            .into_iter()
            .find(|id| !id.is_empty())
            .cloned();
        self.checked(place).map_err(|reason| RowError {
            place,
            foreign_id: named,
            reason,
        })
    }

    fn checked(self, place: Place) -> Result<Candidate, Reason> {
        if self.texts().any(|text| text.contains('\0')) || holds_nul(&self.metadata) {
            return Err(Reason::NulCharacter);
        }
        if self.email.is_empty() {
            return Err(Reason::NoEmail);
        }
        let email: Email = self.email.parse().map_err(|_| Reason::InvalidEmail)?;
        let kept_id: Option<UserId> = self.id.parse().ok();
        let mut notes = Vec::new();
        if !self.id.is_empty() && kept_id.is_none() {
            notes.push(Note::NewId);
        }
        if self.user_data {
            notes.push(Note::UserDataDropped);
        }
        let foreign_id = id_in_source(self.foreign_id, self.id, &email)?;
        let created_at = self.created_at.map(time).transpose()?;
        let ban = self.ban.as_ref().map(checked_ban).transpose()?;
        let image = Some(self.image).filter(|image| !image.is_empty());
        let image = image.map(|image| image.parse()).transpose();
        Ok(Candidate {
            place,
            foreign_id,
            kept_id,
            email,
            email_verified: self.email_verified,
            name: self.name.parse().map_err(|_| field("name"))?,
            image: image.map_err(|_| field("image"))?,
            roles: self.roles,
            metadata: self.metadata,
            ban,
            disabled: self.disabled,
            created_at,
            hash: self.hash,
            accounts: checked_accounts(self.accounts)?,
            second_factor: self.factors == Factors::Two,
            notes,
        })
    }

    /// Returns the texts that are stored.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let accounts = self.accounts.iter().flat_map(|(a, b)| [a, b]);
        [
            &self.id,
            &self.foreign_id,
            &self.email,
            &self.name,
            &self.image,
        ]
        .into_iter()
        .chain(&self.roles)
        .chain(self.ban.iter().map(|ban| &ban.reason))
        .chain(accounts)
        .map(String::as_str)
        .chain(self.hash.iter().map(|hash| hash.text.as_str()))
    }
}

fn field(name: &'static str) -> Reason {
    Reason::InvalidField(name)
}

/// Returns the id by which a later import finds the user again.
fn id_in_source(foreign_id: String, id: String, email: &Email) -> Result<String, Reason> {
    let found = [foreign_id, id].into_iter().find(|id| !id.is_empty());
    let found = found.unwrap_or_else(|| email.to_string());
    let is_good = found.len() <= MAX_ID && !found.chars().any(char::is_control);
    is_good.then_some(found).ok_or(field("id"))
}

fn time(at: Timestamp) -> Result<Timestamp, Reason> {
    let is_good = (0..=MAX_TIME).contains(&at.0);
    is_good.then_some(at).ok_or(field("createdAt"))
}

fn checked_ban(ban: &DraftBan) -> Result<SourceBan, Reason> {
    Ok(SourceBan {
        reason: ban.reason.parse().map_err(|_| field("banReason"))?,
        ends_at: ban.ends_at,
    })
}

fn checked_accounts(accounts: Vec<(String, String)>) -> Result<Vec<SourceAccount>, Reason> {
    if accounts.len() > MAX_ACCOUNTS {
        return Err(field("accounts"));
    }
    let mut checked: Vec<SourceAccount> = Vec::new();
    for (provider, subject) in accounts {
        let is_id = (1..=MAX_ID).contains(&subject.len()) && !subject.chars().any(char::is_control);
        let provider = provider
            .parse()
            .map_err(|_| Reason::UnknownProvider(provider))?;
        let account = SourceAccount { provider, subject };
        if !is_id {
            return Err(field("accounts"));
        }
        if !checked.contains(&account) {
            checked.push(account);
        }
    }
    Ok(checked)
}

/// Returns whether a name or a text of this object has a NUL character.
fn holds_nul(members: &Map<String, Value>) -> bool {
    fn value_holds(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(value_holds),
            Value::Object(members) => holds_nul(members),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    members
        .iter()
        .any(|(name, member)| name.contains('\0') || value_holds(member))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLACE: Place = Place { number: 3, line: 4 };

    fn draft() -> Draft {
        Draft {
            id: "auth0|1".into(),
            email: "Ana@Example.com".into(),
            ..Draft::default()
        }
    }

    fn refused(draft: Draft) -> Reason {
        let error = draft.check(PLACE).unwrap_err();
        assert_eq!(error.place, PLACE);
        error.reason
    }

    #[test]
    fn a_user_keeps_an_id_that_ids_here_can_have() {
        let candidate = draft().check(PLACE).unwrap();
        assert_eq!(candidate.foreign_id, "auth0|1");
        assert_eq!(candidate.kept_id, "auth0|1".parse().ok());
        assert_eq!(candidate.email.as_str(), "ana@example.com");
        assert!(candidate.notes.is_empty());
        let odd = Draft {
            id: "a b".into(),
            ..draft()
        };
        let candidate = odd.check(PLACE).unwrap();
        assert_eq!(
            (candidate.kept_id, candidate.foreign_id),
            (None, "a b".into())
        );
        assert_eq!(candidate.notes, [Note::NewId]);
    }

    #[test]
    fn a_user_without_an_id_is_found_again_by_the_email_address() {
        let candidate = Draft {
            id: String::new(),
            ..draft()
        }
        .check(PLACE)
        .unwrap();
        assert_eq!(candidate.foreign_id, "ana@example.com");
        assert_eq!((candidate.kept_id, candidate.notes.len()), (None, 0));
        let both = Draft {
            foreign_id: "17".into(),
            ..draft()
        };
        let candidate = both.check(PLACE).unwrap();
        assert_eq!(candidate.foreign_id, "17");
        assert_eq!(candidate.kept_id, "auth0|1".parse().ok());
    }

    #[test]
    fn what_cannot_be_stored_is_refused_with_its_field() {
        let with = |change: fn(&mut Draft)| {
            let mut draft = draft();
            change(&mut draft);
            refused(draft)
        };
        let accounts = |n| vec![("google".to_owned(), "1".to_owned()); n];
        assert_eq!(with(|d| d.email.clear()), Reason::NoEmail);
        assert_eq!(with(|d| d.email = "ana".into()), Reason::InvalidEmail);
        assert_eq!(with(|d| d.email = "ä@x.com".into()), Reason::InvalidEmail);
        assert_eq!(with(|d| d.name = "x".repeat(257)), field("name"));
        assert_eq!(with(|d| d.image = "x".repeat(2_049)), field("image"));
        assert_eq!(with(|d| d.id = "x".repeat(256)), field("id"));
        assert_eq!(with(|d| d.id = "a\tb".into()), field("id"));
        assert_eq!(
            with(|d| d.created_at = Some(Timestamp(-1))),
            field("createdAt")
        );
        assert_eq!(
            with(|d| d.created_at = Some(Timestamp(MAX_TIME + 1))),
            field("createdAt")
        );
        let too_many = Draft {
            accounts: accounts(51),
            ..draft()
        };
        assert_eq!(refused(too_many), field("accounts"));
        let empty = Draft {
            accounts: vec![("google".into(), String::new())],
            ..draft()
        };
        assert_eq!(refused(empty), field("accounts"));
        let unknown = Draft {
            accounts: vec![("Face Book".into(), "1".into())],
            ..draft()
        };
        assert_eq!(
            refused(unknown),
            Reason::UnknownProvider("Face Book".into())
        );
        let ban = DraftBan {
            reason: "x".repeat(1_025),
            ends_at: None,
        };
        let banned = Draft {
            ban: Some(ban),
            ..draft()
        };
        assert_eq!(refused(banned), field("banReason"));
        let twice = Draft {
            accounts: accounts(2),
            ..draft()
        };
        assert_eq!(twice.check(PLACE).unwrap().accounts.len(), 1);
    }

    #[test]
    fn a_nul_character_is_refused_wherever_it_stands() {
        let nul = || "a\0b".to_owned();
        let changes: [fn(&mut Draft, String); 7] = [
            |d, nul| d.id = nul,
            |d, nul| d.email = nul,
            |d, nul| d.name = nul,
            |d, nul| d.roles.push(nul),
            |d, nul| d.accounts.push(("google".into(), nul)),
            |d, nul| d.metadata = Map::from_iter([("a".into(), json!([{ "b": nul }]))]),
            |d, nul| d.metadata = Map::from_iter([(nul, json!(1))]),
        ];
        for change in changes {
            let mut draft = draft();
            change(&mut draft, nul());
            assert_eq!(refused(draft), Reason::NulCharacter);
        }
        assert!(draft().check(PLACE).is_ok());
    }
}
