//! What is worth remembering, and the chain that shows a gap or an edit. Never holds a secret.
//! Writing is `store::audit::events`'s business.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::kernel::time::Timestamp;

macro_rules! kinds {
    ($($kind:ident => $text:literal,)*) => {
        /// What happened; the texts are an interface.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names are the texts")]
        pub enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// As stored.
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
    RefreshTokenReused => "refresh_token.reused",
    RefreshTokenHealed => "refresh_token.healed",
    RefreshTokenLost => "refresh_token.lost",
    RefreshTokenShadowed => "refresh_token.shadowed",
    KeysRotated => "keys.rotated",
    KeyRevoked => "keys.revoked",
    KeyImported => "keys.imported",
    KeysRemoved => "keys.removed",
    MasterKeyChanged => "keys.rewrapped",
    MasterKeyAbandoned => "keys.abandoned",
    ClockConfirmed => "clock.confirmed",
    Reapplied => "audit.reapplied",
    LimitsCleared => "limits.cleared",
    NetworkBlocked => "network.blocked",
    NetworkUnblocked => "network.unblocked",
}

impl Kind {
    /// As stored; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// Who did it, from where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// `user:ID`, `user` where nobody is known yet, `cli:NAME`, `schedule` or `process`.
    pub actor: String,
    /// The client's address; empty if unknown.
    pub ip_address: String,
    /// Its user agent; empty if unknown.
    pub user_agent: String,
    /// The request that carried it; empty if none.
    pub request_id: String,
}

impl Peer {
    /// An actor of the service itself, such as `schedule`, without a request.
    pub fn named(actor: &str) -> Self {
        Self {
            actor: actor.to_owned(),
            ..Self::default()
        }
    }
}

/// One event before it has its place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its own id.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: Kind,
    /// Who, from where.
    pub peer: Peer,
    /// Whom it concerns.
    pub subject: Option<UserId>,
    /// Which session it concerns.
    pub session: Option<SessionId>,
    /// Anything else; never a secret.
    pub detail: Map<String, Value>,
}

/// One event as it stands in the table: texts, so that one of a newer version or a spoilt one can
/// be looked at too.
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
    /// SHA-256, base64url.
    pub link: String,
}

impl Entry {
    /// The link that it should have: SHA-256 over the writer, the place, the link before and every
    /// field, each with its length in front.
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
        let mut hash = Sha256::new();
        hash.update(previous);
        hash.update(self.sequence.to_be_bytes());
        hash.update(self.at.0.to_be_bytes());
        for field in fields {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field.as_bytes());
        }
        hash.finalize().into()
    }
}

impl Event {
    /// As it goes into the table; the link is still empty.
    pub fn entry(&self, writer: &str, sequence: i64) -> Entry {
        Entry {
            id: self.id.to_string(),
            writer: writer.to_owned(),
            sequence,
            at: self.at,
            kind: self.kind.as_str().to_owned(),
            actor: self.peer.actor.clone(),
            subject: self.subject.map(|u| u.to_string()),
            session: self.session.map(|s| s.to_string()),
            ip_address: self.peer.ip_address.clone(),
            user_agent: self.peer.user_agent.clone(),
            request_id: self.peer.request_id.clone(),
            detail: Value::Object(self.detail.clone()).to_string(),
            link: String::new(),
        }
    }

    /// The link in the writer's chain, at this place, after this link.
    pub fn link(&self, writer: &str, sequence: i64, previous: &[u8; 32]) -> [u8; 32] {
        self.entry(writer, sequence).expected_link(previous)
    }
}
