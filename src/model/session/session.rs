//! A session: one row, and the whole family of its refresh tokens. How a refresh moves it is
//! `model::session::refresh`.

use std::time::Duration;

use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::Timestamp;

/// How the tokens of a session travel; fixed at sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// HttpOnly cookies, for browsers.
    Cookie,
    /// Members of JSON bodies, for native clients.
    Body,
}

impl Delivery {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Body => "body",
        }
    }

    /// As stored; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "cookie" => Some(Self::Cookie),
            "body" => Some(Self::Body),
            _ => None,
        }
    }
}

/// Why a session ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedReason {
    /// Its user signed out.
    SignOut,
    /// A sign-in took its place.
    Replaced,
    /// Its user ended it from another session, or an operator did.
    Revoked,
    /// The password changed.
    PasswordChanged,
    /// The address changed.
    EmailChanged,
    /// The account was disabled.
    UserDisabled,
    /// The user was banned.
    UserBanned,
    /// The actor may no longer act as the session's user.
    ActorNotAllowed,
    /// The user had more sessions than `sessions.max_per_user` allows.
    TooMany,
    /// A spent refresh token was used again: theft.
    Reuse,
    /// A token came from the future of this row: commits were lost. Not theft.
    Lost,
}

impl RevokedReason {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignOut => "sign_out",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::UserDisabled => "user_disabled",
            Self::UserBanned => "user_banned",
            Self::ActorNotAllowed => "actor_not_allowed",
            Self::TooMany => "too_many",
            Self::Reuse => "reuse",
            Self::Lost => "lost",
        }
    }
}

/// How a session came to its end, as far as its client is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its time was over.
    Expired,
    /// It was ended before its time.
    Revoked,
    /// Its user signed out at this time. The answer to the sign-out has cleared the cookies.
    SignedOut(Timestamp),
    /// A newer session of the same browser took its place, or has begun there after its end. What
    /// answers for the old one must leave the cookies alone: by the time the answer arrives, they
    /// are those of the newer session.
    Replaced,
    /// There is no such session, or none any more.
    Unknown,
}

/// How long a request or its answer may be under way: headers have 30 s, the body 10 s, and proxies
/// give up after 60 s.
const UNDER_WAY: Duration = Duration::from_secs(60);

impl End {
    /// Whether an answer about the session clears its cookies.
    pub fn clears(self) -> bool {
        self != Self::Replaced
    }

    /// Whether the refusal of a refresh clears them. Clients refresh on their own, also while their
    /// user signs out and in again: for a minute after a sign-out, whose answer has cleared the
    /// cookies, such a refusal may arrive when they are those of the next session. A browser to
    /// which the answer of the sign-out was lost is cleared by any other answer, or by a refresh
    /// after that minute.
    pub fn clears_after_refresh(self, now: Timestamp) -> bool {
        match self {
            // One from the future was noted by a clock that was ahead.
            Self::SignedOut(at) => now >= at + UNDER_WAY || at > now + UNDER_WAY,
            end => end.clears(),
        }
    }
}

/// What a client may know of a session. Nothing here moves with a refresh (no schedule oracle).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The `sid` of access tokens; a handle, no credential.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// How its tokens travel.
    pub delivery: Delivery,
    /// Whether its cookies outlive the browser.
    pub remember: bool,
    /// When the password was last proven.
    pub auth_time: Timestamp,
    /// When it began.
    pub created_at: Timestamp,
    /// When its sliding end was last written for its cookie.
    pub updated_at: Timestamp,
    /// The absolute end.
    pub expires_at: Timestamp,
    /// Address it was opened from; empty if unknown.
    pub ip_address: String,
    /// User agent it was opened with; empty if unknown.
    pub user_agent: String,
    /// The admin who acts as this user, if it is not the user's own.
    pub impersonated_by: Option<UserId>,
}

/// How long sessions live.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime {
    /// Without any use.
    pub idle: Duration,
    /// At most.
    pub absolute: Duration,
    /// How often the sliding end of a session cookie is written.
    pub update_age: Duration,
}

/// The absolute end of a session in which an admin acts as somebody else.
pub const IMPERSONATION_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The absolute end of a session that is not to be remembered.
pub const FORGETFUL_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

impl Lifetime {
    /// The absolute end of a session that begins now.
    pub fn absolute_end(&self, now: Timestamp, remember: bool) -> Timestamp {
        now + if remember {
            self.absolute
        } else {
            self.absolute.min(FORGETFUL_LIFETIME)
        }
    }

    /// The idle end of a session used now, never after the absolute one.
    pub fn idle_end(&self, now: Timestamp, absolute_end: Timestamp) -> Timestamp {
        (now + self.idle).min(absolute_end)
    }
}
