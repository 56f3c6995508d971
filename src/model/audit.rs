//! What is worth remembering, and the chain that shows a gap or an edit. Never holds a secret. Writing is `store::audit`'s business.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::id::{EventId, SessionId, UserId};
use super::time::Timestamp;

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
    UserCreated => "user.created",
    SignedUpAgain => "user.signed_up_again",
    UserInvited => "user.invited",
    UserUpdated => "user.updated",
    EmailVerified => "email.verified",
    EmailChanged => "email.changed",
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
    /// `user`, `cli:NAME` or `schedule`.
    pub actor: String,
    /// The client's address; empty if unknown.
    pub ip_address: String,
    /// Its user agent; empty if unknown.
    pub user_agent: String,
    /// The request that carried it; empty if none.
    pub request_id: String,
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

impl Event {
    /// The link: SHA-256 over the writer, the place, the link before and every field, each with its length in front.
    pub fn link(&self, writer: &str, sequence: i64, previous: &[u8; 32]) -> [u8; 32] {
        let detail = Value::Object(self.detail.clone()).to_string();
        let (subject, session) = (self.subject.map(|u| u.to_string()), self.session.map(|s| s.to_string()));
        let fields: [&str; 10] = [
            writer,
            &self.id.to_string(),
            self.kind.as_str(),
            &self.peer.actor,
            &self.peer.ip_address,
            &self.peer.user_agent,
            &self.peer.request_id,
            subject.as_deref().unwrap_or(""),
            session.as_deref().unwrap_or(""),
            &detail,
        ];
        let mut hash = Sha256::new();
        hash.update(previous);
        hash.update(sequence.to_be_bytes());
        hash.update(self.at.0.to_be_bytes());
        for field in fields {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field.as_bytes());
        }
        hash.finalize().into()
    }
}
