//! The link between an identity and an account that is written when the gate has opened a session: who
//! cannot give the second factor has linked nothing.

use serde_json::{Value, json};

use super::identity::Identity;
use super::provider::ProviderId;

/// An identity for the row that links it to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingLink {
    /// The provider of the settings.
    pub provider: ProviderId,
    /// The issuer that vouches for it.
    pub issuer: String,
    /// The user at the issuer.
    pub subject: String,
    /// The session at the issuer, which is kept with the session that the identity opens.
    pub session: Option<String>,
    /// The email address that the issuer names, for the list of linked accounts.
    pub email: Option<String>,
    /// The scopes that were granted, with spaces between them.
    pub scopes: String,
}

impl PendingLink {
    /// Makes the link of an identity.
    pub fn of(identity: &Identity) -> Self {
        Self {
            provider: identity.provider.clone(),
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            session: identity.session.clone(),
            email: identity
                .mailbox
                .as_ref()
                .map(|mailbox| mailbox.email.to_string()),
            scopes: identity.scopes.join(" "),
        }
    }

    /// Returns the text that is stored.
    pub fn to_text(&self) -> String {
        json!({
            "provider": self.provider.as_str(),
            "issuer": self.issuer,
            "subject": self.subject,
            "session": self.session,
            "email": self.email,
            "scopes": self.scopes,
        })
        .to_string()
    }

    /// Parses the stored text; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let stored: Value = serde_json::from_str(text).ok()?;
        let member = |name: &str| stored[name].as_str().map(str::to_owned);
        Some(Self {
            provider: stored["provider"].as_str()?.parse().ok()?,
            issuer: member("issuer")?,
            subject: member("subject")?,
            session: member("session"),
            email: member("email"),
            scopes: member("scopes")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_reads_back_and_other_text_does_not() {
        for text in [None, Some("ana@example.com".to_owned())] {
            let link = PendingLink {
                provider: "google".parse().unwrap(),
                issuer: "https://accounts.google.com".into(),
                subject: "a \"quoted\" 10".into(),
                session: text.clone(),
                email: text,
                scopes: "openid email".into(),
            };
            assert_eq!(PendingLink::parse(&link.to_text()), Some(link));
        }
        for text in [
            "",
            "{}",
            "[]",
            r#"{"provider":"credential","issuer":"x","subject":"x","scopes":""}"#,
        ] {
            assert_eq!(PendingLink::parse(text), None, "{text}");
        }
    }
}
