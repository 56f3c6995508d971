//! Events of the audit trail, and the hash chain that reveals a gap or an edit. An event never
//! contains a secret. `store::audit::events` writes them.

use crate::encoding::sha256;
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use serde_json::{Map, Value};

macro_rules! kinds {
    ($($kind:ident => $text:literal,)*) => {
        /// The kinds of events; their names are an interface.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names are the texts")]
        pub enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// Lists all kinds, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// Returns the name that is stored.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)*
                }
            }
        }
    };
}

kinds! {
    Started => "process.started",
    UserCreated => "user.created",
    SignInRefused => "session.refused",
    PasswordRefused => "password.refused",
    EmailChangeApproved => "email.change_approved",
    SignedUpAgain => "user.signed_up_again",
    UserInvited => "user.invited",
    LinkSent => "user.link_sent",
    UserUpdated => "user.updated",
    EmailVerified => "email.verified",
    EmailChanged => "email.changed",
    AccountReclaimed => "account.reclaimed",
    UserDeleted => "user.deleted",
    UserBanned => "user.banned",
    UserUnbanned => "user.unbanned",
    RoleChanged => "user.role_changed",
    ImpersonationStarted => "impersonation.started",
    ImpersonationStopped => "impersonation.stopped",
    UserDisabled => "user.disabled",
    UserEnabled => "user.enabled",
    SignedIn => "session.created",
    SignedOut => "session.signed_out",
    SessionRevoked => "session.revoked",
    PasswordChanged => "password.changed",
    PasswordRequired => "password.required",
    FactorEnrolled => "factor.enrolled",
    FactorRemoved => "factor.removed",
    FactorsReset => "factor.reset",
    FactorRefused => "factor.refused",
    RecoveryCodeUsed => "recovery.used",
    RecoveryCodesRenewed => "recovery.renewed",
    PasskeyAdded => "passkey.added",
    PasskeyRemoved => "passkey.removed",
    PasskeyCloned => "passkey.cloned",
    UpstreamLinked => "upstream.linked",
    UpstreamUnlinked => "upstream.unlinked",
    SessionSteppedUp => "session.stepped_up",
    LoginGuessed => "login.guessed",
    RefreshTokenReused => "refresh_token.reused",
    RefreshTokenHealed => "refresh_token.healed",
    RefreshTokenLost => "refresh_token.lost",
    RefreshTokenShadowed => "refresh_token.shadowed",
    KeysRotated => "keys.rotated",
    KeyRevoked => "keys.revoked",
    KeyImported => "keys.imported",
    KeysRemoved => "keys.removed",
    KeysClosed => "keys.closed",
    MasterKeyChanged => "keys.rewrapped",
    MasterKeyAbandoned => "keys.abandoned",
    ClockConfirmed => "clock.confirmed",
    Reapplied => "audit.reapplied",
    LimitsCleared => "limits.cleared",
    NetworkBlocked => "network.blocked",
    NetworkUnblocked => "network.unblocked",
    ImportStarted => "import.started",
    ImportFinished => "import.finished",
    ImportRolledBack => "import.rolled_back",
}

impl Kind {
    /// Parses a stored name; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// Who acts, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requester {
    /// `user:ID`, `user` before the user is known, `cli:NAME`, `schedule` or `process`.
    pub actor: String,
    /// The client's IP address; empty if unknown.
    pub ip_address: String,
    /// The client's user agent; empty if unknown.
    pub user_agent: String,
    /// The value of `Accept-Language`; empty if unknown. It chooses the language of mails, and is
    /// not a part of events.
    pub accept_language: String,
    /// The origin of the page that sends the request; empty if unknown. It is not a part of events.
    pub origin: String,
    /// The id of the request; empty if there is none.
    pub request_id: String,
}

impl Requester {
    /// Makes an actor of the service itself, such as `schedule`, without a request.
    pub fn named(actor: &str) -> Self {
        Self {
            actor: actor.to_owned(),
            ..Self::default()
        }
    }
}

/// One event before it gets its position in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The id of the event.
    pub id: EventId,
    /// The time of the event.
    pub at: Timestamp,
    /// What happened, by its kind.
    pub kind: Kind,
    /// Who acted, and from where.
    pub requester: Requester,
    /// The user whom it concerns.
    pub subject: Option<UserId>,
    /// The session that it concerns.
    pub session: Option<SessionId>,
    /// Further details; never a secret.
    pub detail: Map<String, Value>,
}

/// One event as it is stored: texts, so that an event of a newer version or a damaged one can be
/// read, too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns; `Event` says what they hold")]
pub struct Entry {
    pub id: String,
    pub writer: String,
    pub sequence: i64,
    pub at: Timestamp,
    pub kind: String,
    pub actor: String,
    pub subject: Option<String>,
    pub session: Option<String>,
    pub ip_address: String,
    pub user_agent: String,
    pub request_id: String,
    pub detail: String,
    /// SHA-256 of the event and the previous link, in base64url.
    pub link: String,
}

impl Entry {
    /// Computes the link that the event should have: SHA-256 of the writer, the number, the
    /// previous link and every field, each preceded by its length.
    pub fn expected_link(&self, previous: &[u8; 32]) -> [u8; 32] {
        let fields: [&str; 10] = [
            &self.writer,
            &self.id,
            &self.kind,
            &self.actor,
            &self.ip_address,
            &self.user_agent,
            &self.request_id,
            self.subject.as_deref().unwrap_or(""),
            self.session.as_deref().unwrap_or(""),
            &self.detail,
        ];
        let mut bytes = previous.to_vec();
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.at.0.to_be_bytes());
        for field in fields {
            bytes.extend((field.len() as u64).to_be_bytes());
            bytes.extend(field.as_bytes());
        }
        sha256(&bytes)
    }
}

impl Event {
    /// Returns the row for the table; its link is still empty.
    pub fn entry(&self, writer: &str, sequence: i64) -> Entry {
        Entry {
            id: self.id.to_string(),
            writer: writer.to_owned(),
            sequence,
            at: self.at,
            kind: self.kind.as_str().to_owned(),
            actor: self.requester.actor.clone(),
            subject: self.subject.map(|u| u.to_string()),
            session: self.session.map(|s| s.to_string()),
            ip_address: self.requester.ip_address.clone(),
            user_agent: self.requester.user_agent.clone(),
            request_id: self.requester.request_id.clone(),
            detail: Value::Object(self.detail.clone()).to_string(),
            link: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event at this place, with another text in every field.
    fn entry(sequence: i64) -> Entry {
        Entry {
            id: format!("id-{sequence}"),
            writer: "w".into(),
            sequence,
            at: Timestamp(1_795_219_200_000),
            kind: "session.created".into(),
            actor: "user:1".into(),
            subject: Some("subject".into()),
            session: Some("session".into()),
            ip_address: "192.0.2.1".into(),
            user_agent: "Firefox".into(),
            request_id: "request".into(),
            detail: r#"{"a":1}"#.into(),
            link: String::new(),
        }
    }

    /// Chains that are stored already depend on it: computed with Python's `hashlib`.
    #[test]
    fn a_link_is_the_hash_that_stored_chains_were_written_with() {
        assert_eq!(
            hex::encode(entry(1).expected_link(&[0; 32])),
            "b45ade7317b348078c9b7b3af698eceacc9d80280dc69dfc7cd071f96f2ca61a"
        );
    }

    #[test]
    fn a_link_covers_every_field_its_length_the_place_and_the_link_before() {
        let link = |entry: &Entry| entry.expected_link(&[0; 32]);
        let written = link(&entry(1));
        let edits: [fn(&mut Entry); 12] = [
            |e| e.id.push('x'),
            |e| e.writer.push('x'),
            |e| e.sequence += 1,
            |e| e.at = e.at + std::time::Duration::from_millis(1),
            |e| e.kind.push('x'),
            |e| e.actor.push('x'),
            |e| e.subject = None,
            |e| e.session = None,
            |e| e.ip_address.push('x'),
            |e| e.user_agent.push('x'),
            |e| e.request_id.push('x'),
            |e| e.detail.push('x'),
        ];
        for (number, edit) in edits.into_iter().enumerate() {
            let mut changed = entry(1);
            edit(&mut changed);
            assert_ne!(link(&changed), written, "edit {number}");
        }
        assert_ne!(entry(1).expected_link(&[1; 32]), written);
        // A character that moves from the end of one field to the start of the next.
        let moved = Entry {
            user_agent: "Firefo".into(),
            request_id: "xrequest".into(),
            ..entry(1)
        };
        assert_ne!(link(&moved), written);
    }

    #[test]
    fn kinds_are_stored_by_names_that_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(Kind::parse("session.creat"), None);
    }

    #[test]
    fn an_event_becomes_a_row_at_its_place_in_the_chain() {
        let event = Event {
            id: EventId::at(Timestamp(1), [0; 10]),
            at: Timestamp(2),
            kind: Kind::Started,
            requester: Requester::named("process"),
            subject: None,
            session: None,
            detail: Map::new(),
        };
        assert_eq!(event.requester.actor, "process");
        let row = event.entry("w", 3);
        assert_eq!((row.sequence, row.detail.as_str()), (3, "{}"));
        assert_eq!(row.link, "", "the store computes it");
    }
}
