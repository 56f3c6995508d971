//! What is worth remembering, and the chain that shows a gap or an edit. Never holds a secret. Writing is `store::audit`'s business.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::id::{EventId, SessionId, UserId};
use super::time::Timestamp;

/// What happened; the texts are an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the texts")]
pub enum Kind {
    UserCreated,
    SignedUpAgain,
    UserInvited,
    UserUpdated,
    EmailVerified,
    EmailChanged,
    UserDeleted,
    UserBanned,
    UserUnbanned,
    RoleChanged,
    ImpersonationStarted,
    ImpersonationStopped,
    UserDisabled,
    UserEnabled,
    SignedIn,
    SignedOut,
    SessionRevoked,
    PasswordChanged,
    RefreshTokenReused,
    RefreshTokenHealed,
    RefreshTokenLost,
    RefreshTokenShadowed,
    KeysRotated,
    KeyRevoked,
    KeyImported,
    KeysRemoved,
    MasterKeyChanged,
}

impl Kind {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserCreated => "user.created",
            Self::SignedUpAgain => "user.signed_up_again",
            Self::UserInvited => "user.invited",
            Self::UserUpdated => "user.updated",
            Self::EmailVerified => "email.verified",
            Self::EmailChanged => "email.changed",
            Self::UserDeleted => "user.deleted",
            Self::UserBanned => "user.banned",
            Self::UserUnbanned => "user.unbanned",
            Self::RoleChanged => "user.role_changed",
            Self::ImpersonationStarted => "impersonation.started",
            Self::ImpersonationStopped => "impersonation.stopped",
            Self::UserDisabled => "user.disabled",
            Self::UserEnabled => "user.enabled",
            Self::SignedIn => "session.created",
            Self::SignedOut => "session.signed_out",
            Self::SessionRevoked => "session.revoked",
            Self::PasswordChanged => "password.changed",
            Self::RefreshTokenReused => "refresh_token.reused",
            Self::RefreshTokenHealed => "refresh_token.healed",
            Self::RefreshTokenLost => "refresh_token.lost",
            Self::RefreshTokenShadowed => "refresh_token.shadowed",
            Self::KeysRotated => "keys.rotated",
            Self::KeyRevoked => "keys.revoked",
            Self::KeyImported => "keys.imported",
            Self::KeysRemoved => "keys.removed",
            Self::MasterKeyChanged => "keys.rewrapped",
        }
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
