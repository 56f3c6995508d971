//! What an issuer has ended: one of its sessions, or all of a user.

use super::pending_link::PendingLink;
use super::provider::ProviderId;

/// The word of an issuer that a user is no longer signed in there. At least one of `subject` and
/// `session` is there; if both are, both have to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logout {
    /// The provider of the settings.
    pub provider: ProviderId,
    /// The issuer whose word it is.
    pub issuer: String,
    /// The user at the issuer.
    pub subject: Option<String>,
    /// The session at the issuer.
    pub session: Option<String>,
    /// The id of this word, which counts once.
    pub id: String,
}

impl Logout {
    /// Returns whether it ends what this identity has begun.
    pub fn ends(&self, link: &PendingLink) -> bool {
        let is_session = |ended: &String| link.session.as_ref() == Some(ended);
        self.provider == link.provider
            && self.issuer == link.issuer
            && self.subject.iter().all(|ended| *ended == link.subject)
            && self.session.iter().all(is_session)
            && (self.subject.is_some() || self.session.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_what_matches_in_everything_that_it_names() {
        let link = |session: Option<&str>| PendingLink {
            provider: "acme".parse().unwrap(),
            issuer: "https://id.acme.example".into(),
            subject: "ana-1".into(),
            session: session.map(str::to_owned),
            email: None,
            scopes: String::new(),
        };
        for (provider, issuer, subject, session, ends) in [
            ("acme", "https://id.acme.example", Some("ana-1"), None, true),
            ("acme", "https://id.acme.example", None, Some("s-1"), true),
            (
                "acme",
                "https://id.acme.example",
                Some("ana-1"),
                Some("s-1"),
                true,
            ),
            (
                "acme",
                "https://id.acme.example",
                Some("ana-1"),
                Some("s-2"),
                false,
            ),
            (
                "acme",
                "https://id.acme.example",
                Some("ben-1"),
                Some("s-1"),
                false,
            ),
            (
                "acme",
                "https://id.acme.example",
                Some("ben-1"),
                None,
                false,
            ),
            ("acme", "https://id.acme.example", None, Some("s-2"), false),
            ("acme", "https://id.acme.example", None, None, false),
            ("other", "https://id.acme.example", None, Some("s-1"), false),
            ("acme", "https://other.example", None, Some("s-1"), false),
        ] {
            let logout = Logout {
                provider: provider.parse().unwrap(),
                issuer: issuer.into(),
                subject: subject.map(str::to_owned),
                session: session.map(str::to_owned),
                id: "j-1".into(),
            };
            assert_eq!(logout.ends(&link(Some("s-1"))), ends, "{logout:?}");
            let without = ends && session.is_none();
            assert_eq!(logout.ends(&link(None)), without, "{logout:?}");
        }
    }
}
