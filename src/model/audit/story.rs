//! What an event says to people: the key of its sentence in the catalogue, and the values that the
//! sentence names. The pages write the sentence in the reader's language.

use serde_json::Value;

use super::event::{Entry, Kind};
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::user_agent::parts;

/// The party that acted, or that an event concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// A user, by the text of the id.
    User(String),
    /// A visitor whose account is not known.
    Visitor,
    /// An operator at a shell, by the name of the account there.
    Operator(String),
    /// The schedule of the service.
    Schedule,
    /// A process of the service.
    Process,
    /// A user whom the event does not name.
    Unnamed,
    /// An actor that a later version writes.
    Other(String),
}

impl Party {
    fn of_actor(actor: &str) -> Self {
        match actor.split_once(':') {
            Some(("user", id)) => Self::User(id.to_owned()),
            Some(("cli", name)) => Self::Operator(name.to_owned()),
            _ => match actor {
                "user" | "" => Self::Visitor,
                "schedule" => Self::Schedule,
                "process" => Self::Process,
                other => Self::Other(other.to_owned()),
            },
        }
    }

    fn of_user(id: Option<&str>) -> Self {
        id.map_or(Self::Unnamed, |id| Self::User(id.to_owned()))
    }
}

/// One value that a sentence names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A person, an operator or a part of the service.
    Party(Party),
    /// A text as it was recorded.
    Text(String),
    /// Texts of the catalogue, by their keys.
    Words(Vec<String>),
    /// A point in time.
    At(Timestamp),
    /// A number.
    Count(u64),
    /// The device of this user agent.
    Device(String),
}

/// An event as its sentence tells it.
#[derive(Debug)]
pub struct Story<'e> {
    entry: &'e Entry,
    kind: Option<Kind>,
    detail: Value,
    by: Party,
    of: Party,
}

impl<'e> Story<'e> {
    /// Reads an event. An unknown kind, or details that cannot be read, give a sentence as well.
    pub fn of(entry: &'e Entry) -> Self {
        Self {
            entry,
            kind: Kind::parse(&entry.kind),
            detail: serde_json::from_str(&entry.detail).unwrap_or_default(),
            by: Party::of_actor(&entry.actor),
            of: Party::of_user(entry.subject.as_deref()),
        }
    }

    /// Returns the ids of the users whom the sentence may name.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        let parties = [&self.by, &self.of].into_iter();
        let named = parties.filter_map(|party| match party {
            Party::User(id) => Some(id.as_str()),
            _ => None,
        });
        named.chain(self.text("admin"))
    }

    /// Returns the key of the sentence; for a sentence with a number, without its plural category.
    pub fn key(&self) -> String {
        match self.kind {
            Some(kind) => format!("event.{}{}", kind.as_str(), self.form(kind)),
            None => "event.unknown".to_owned(),
        }
    }

    /// Returns the number that decides the plural category; `None` for a sentence without one.
    pub fn count(&self) -> Option<u64> {
        let counts = self.kind == Some(Kind::SessionRevoked) && !self.is_of_everybody();
        counts.then(|| self.detail["sessions"].as_u64().unwrap_or(1))
    }

    /// Returns the value of a placeholder; an empty text for an unknown one.
    pub fn value(&self, placeholder: &str) -> Named {
        match placeholder {
            "by" => Named::Party(self.by.clone()),
            "user" => Named::Party(self.of.clone()),
            "admin" => Named::Party(Party::of_user(self.text("admin"))),
            "count" => Named::Count(self.count().unwrap_or(0)),
            "device" => Named::Device(self.entry.user_agent.clone()),
            "until" => match self.detail["endsAt"].as_i64() {
                Some(at) => Named::At(Timestamp(at)),
                None => Named::Text(String::new()),
            },
            "reason" => self.reason(),
            "role" => Named::Text(self.text("role").unwrap_or_default().replace(',', ", ")),
            "fields" => Named::Words(self.fields()),
            "what" => Named::Words(vec![format!(
                "kind.{}",
                self.text("kind").unwrap_or_default()
            )]),
            other => Named::Text(self.text(other).unwrap_or_default().to_owned()),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.detail[name].as_str().filter(|text| !text.is_empty())
    }

    fn is_of_everybody(&self) -> bool {
        self.detail["of"] == "everybody"
    }

    /// Returns whether users did it to themselves, or a visitor whom nothing else names.
    fn is_own(&self) -> bool {
        self.by == self.of || self.by == Party::Visitor
    }

    /// Returns which of the sentences of a kind tells the event.
    fn form(&self, kind: Kind) -> &'static str {
        let by_another = |form: &'static str| if self.is_own() { "" } else { form };
        match kind {
            Kind::PasswordRequired if self.is_of_everybody() => ".everybody",
            Kind::SignedIn if !self.is_own() && matches!(self.by, Party::User(_)) => ".by",
            Kind::SignedIn if parts(&self.entry.user_agent) == (None, None) => ".anywhere",
            Kind::SignInRefused if self.of == Party::Unnamed => ".unknown",
            Kind::UserDeleted if self.text("reason").is_some() => ".unproven",
            Kind::UserBanned if self.detail["endsAt"].is_i64() => ".until",
            Kind::ImpersonationStopped if self.text("reason").is_some() => ".not_allowed",
            Kind::PasswordChanged if self.by == Party::Visitor => ".link",
            Kind::UserCreated
            | Kind::UserUpdated
            | Kind::UserDeleted
            | Kind::PasswordChanged
            | Kind::SignedOut => by_another(".by"),
            Kind::LinkSent if self.text("purpose") == Some("verify_email") => ".verify",
            Kind::KeyRevoked if self.text("reason").is_some() => ".because",
            Kind::SessionRevoked => self.revocation(),
            _ => "",
        }
    }

    fn revocation(&self) -> &'static str {
        let decided = self.text("reason") == Some("revoked");
        if self.is_of_everybody() {
            ".everybody"
        } else if self.detail["of"] == "acting" {
            ".acting"
        } else if decided && self.by == self.of {
            ".own"
        } else if decided && self.by != Party::Visitor {
            ".by"
        } else {
            ""
        }
    }

    fn reason(&self) -> Named {
        let reason = self.text("reason").unwrap_or_default();
        match self.kind {
            Some(Kind::SignInRefused) => refusal(reason).map_or_else(
                || Named::Text(reason.to_owned()),
                |key| Named::Words(vec![key.to_owned()]),
            ),
            Some(Kind::SessionRevoked) => Named::Words(vec![format!("ended.{reason}")]),
            _ => Named::Text(reason.to_owned()),
        }
    }

    /// Returns the keys of the names of the fields that were changed: a list of names, or a member
    /// for each field.
    fn fields(&self) -> Vec<String> {
        let names: Vec<&str> = match (self.detail["fields"].as_array(), self.detail.as_object()) {
            (Some(list), _) => list.iter().filter_map(Value::as_str).collect(),
            (None, Some(members)) => members
                .iter()
                .filter(|(_, changed)| **changed == Value::Bool(true))
                .map(|(name, _)| name.as_str())
                .collect(),
            (None, None) => Vec::new(),
        };
        names
            .into_iter()
            .map(|name| format!("field.{name}"))
            .collect()
    }
}

/// Returns the key for the reason of a refused sign-in, which the trail holds as the error's message.
fn refusal(message: &str) -> Option<&'static str> {
    Some(match message {
        "Invalid email or password" => "refused.password",
        "Email not verified" => "refused.unverified",
        "This account is disabled" => "refused.disabled",
        text if text.starts_with("A new password is required") => "refused.password_required",
        "wrong password at a link of a mail" => "refused.link",
        text if text.contains("banned") => "refused.banned",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::locale::Locales;

    const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

    fn entry(kind: &str, actor: &str, subject: Option<&str>, detail: &str) -> Entry {
        Entry {
            id: "id".into(),
            writer: "w".into(),
            sequence: 1,
            at: Timestamp(1_795_219_200_000),
            kind: kind.into(),
            actor: actor.into(),
            subject: subject.map(Into::into),
            session: None,
            ip_address: "192.0.2.1".into(),
            user_agent: CHROME.into(),
            request_id: String::new(),
            detail: detail.into(),
            link: String::new(),
        }
    }

    /// The details that one of the kinds has.
    const DETAILS: [&str; 14] = [
        "{}",
        "not JSON",
        r#"{"endsAt":1795219200000,"network":"192.0.2.0/24"}"#,
        r#"{"reason":"Invalid email or password"}"#,
        r#"{"reason":"revoked"}"#,
        r#"{"reason":"revoked","of":"user","sessions":3}"#,
        r#"{"reason":"password_changed","sessions":3}"#,
        r#"{"reason":"revoked","of":"everybody"}"#,
        r#"{"reason":"revoked","of":"acting","sessions":1}"#,
        r#"{"fields":["name","metadata","email","image","emailVerified"]}"#,
        r#"{"name":true,"image":false}"#,
        r#"{"admin":"root","role":"admin,user"}"#,
        r#"{"purpose":"verify_email"}"#,
        r#"{"kind":"user.banned","version":"1"}"#,
    ];

    fn placeholders(text: &str) -> Vec<String> {
        let rest = text.split('{').skip(1);
        rest.filter_map(|rest| rest.split_once('}'))
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// Walks every kind, actor, subject and detail, so that a kind without a sentence, a form
    /// without one, or a value without words fails here in each of the three languages.
    #[test]
    fn every_kind_has_its_sentences_in_all_three_languages() {
        let locales = Locales::build(&[]).unwrap();
        for language in ["en", "de", "es"] {
            let words = locales.of(Some(language));
            let said = |key: &str, count: Option<u64>| match count {
                Some(count) => words.plural(key, count).to_owned(),
                None => words.text(key).to_owned(),
            };
            for kind in Kind::ALL {
                let label = format!("kind.{}", kind.as_str());
                assert_ne!(words.text(&label), label, "{language}");
                for actor in [
                    "user:ana",
                    "user:root",
                    "user",
                    "cli:op",
                    "schedule",
                    "process",
                    "x",
                ] {
                    for (subject, detail) in [Some("ana"), None]
                        .into_iter()
                        .flat_map(|subject| DETAILS.map(|detail| (subject, detail)))
                    {
                        for agent in [CHROME, ""] {
                            let mut entry = entry(kind.as_str(), actor, subject, detail);
                            entry.user_agent = agent.into();
                            let story = Story::of(&entry);
                            let key = story.key();
                            let text = said(&key, story.count());
                            assert_ne!(text, key, "{language}: {key} has no sentence");
                            assert!(text.ends_with('.'), "{language}: {key} is no sentence");
                            for name in placeholders(&text) {
                                if let Named::Words(keys) = story.value(&name) {
                                    let odd = |key: &&String| {
                                        words.find(key).is_none()
                                            && !key.ends_with('.')
                                            && !key.starts_with("ended.Invalid")
                                    };
                                    assert_eq!(keys.iter().find(odd), None, "{language}: {key}");
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_form_of_a_sentence_depends_on_who_acted_and_why() {
        for (kind, actor, subject, detail, key) in [
            (
                "session.created",
                "user:ana",
                Some("ana"),
                "{}",
                "event.session.created",
            ),
            (
                "session.created",
                "user:root",
                Some("ana"),
                "{}",
                "event.session.created.by",
            ),
            (
                "session.refused",
                "user",
                None,
                "{}",
                "event.session.refused.unknown",
            ),
            (
                "user.banned",
                "user:root",
                Some("ana"),
                "{}",
                "event.user.banned",
            ),
            (
                "user.banned",
                "user:root",
                Some("ana"),
                r#"{"endsAt":7}"#,
                "event.user.banned.until",
            ),
            (
                "user.deleted",
                "user:root",
                Some("ana"),
                "{}",
                "event.user.deleted.by",
            ),
            (
                "user.deleted",
                "schedule",
                Some("ana"),
                r#"{"reason":"never proven"}"#,
                "event.user.deleted.unproven",
            ),
            (
                "session.revoked",
                "user:ana",
                Some("ana"),
                r#"{"reason":"revoked"}"#,
                "event.session.revoked.own",
            ),
            (
                "session.revoked",
                "user:root",
                Some("ana"),
                r#"{"reason":"revoked"}"#,
                "event.session.revoked.by",
            ),
            (
                "session.revoked",
                "user:root",
                Some("ana"),
                r#"{"reason":"user_banned"}"#,
                "event.session.revoked",
            ),
            (
                "user.teleported",
                "user:ana",
                Some("ana"),
                "{}",
                "event.unknown",
            ),
        ] {
            let entry = entry(kind, actor, subject, detail);
            assert_eq!(Story::of(&entry).key(), key);
        }
    }

    #[test]
    fn the_values_of_a_sentence_come_from_the_event() {
        let banned = entry("user.banned", "cli:op", Some("ana"), r#"{"endsAt":7}"#);
        let story = Story::of(&banned);
        assert_eq!(
            story.value("by"),
            Named::Party(Party::Operator("op".into()))
        );
        assert_eq!(story.value("user"), Named::Party(Party::User("ana".into())));
        assert_eq!(story.value("until"), Named::At(Timestamp(7)));
        assert_eq!(story.users().collect::<Vec<_>>(), ["ana"]);
        let ended = entry(
            "session.revoked",
            "user:root",
            Some("ana"),
            r#"{"reason":"too_many","sessions":3}"#,
        );
        let story = Story::of(&ended);
        assert_eq!(story.count(), Some(3));
        assert_eq!(
            story.value("reason"),
            Named::Words(vec!["ended.too_many".into()])
        );
        let changed = entry(
            "user.updated",
            "user:root",
            Some("ana"),
            r#"{"fields":["name"]}"#,
        );
        assert_eq!(
            Story::of(&changed).value("fields"),
            Named::Words(vec!["field.name".into()])
        );
    }
}
