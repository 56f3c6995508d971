//! A session: one row, which stands for the whole family of its refresh tokens.
//! `model::session::refresh` decides how a refresh changes it.

use std::time::Duration;

use super::ticket::Retry;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::login::policies::Bounds;
use crate::model::login::proof::Proofs;

/// How the tokens of a session travel; fixed at sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// HttpOnly cookies, for browsers.
    Cookie,
    /// Members of JSON bodies, for native clients.
    Body,
}

impl Delivery {
    /// Returns the text that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Body => "body",
        }
    }

    /// Parses the stored text; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "cookie" => Some(Self::Cookie),
            "body" => Some(Self::Body),
            _ => None,
        }
    }
}

/// The reason why a session ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedReason {
    /// Its user signed out.
    SignOut,
    /// A new sign-in in the same browser replaced it.
    Replaced,
    /// Its user ended it from another session, or an operator ended it.
    Revoked,
    /// The password was changed.
    PasswordChanged,
    /// A second factor was enrolled, removed or reset.
    FactorsChanged,
    /// It does not meet what the settings or its user require of sign-ins now.
    Policy,
    /// The email address was changed.
    EmailChanged,
    /// The account was disabled.
    UserDisabled,
    /// The user was banned.
    UserBanned,
    /// The admin who impersonated the user may no longer do so.
    ActorNotAllowed,
    /// The issuer at which the user had signed in ended its session.
    UpstreamLogout,
    /// The user had more sessions than `sessions.max_per_user` allows.
    TooMany,
    /// A spent refresh token was used again, which indicates theft.
    Reuse,
    /// A token was ahead of the row: the database lost commits. Not theft.
    Lost,
}

impl RevokedReason {
    /// Returns the text that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignOut => "sign_out",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::PasswordChanged => "password_changed",
            Self::FactorsChanged => "factors_changed",
            Self::Policy => "policy",
            Self::EmailChanged => "email_changed",
            Self::UserDisabled => "user_disabled",
            Self::UserBanned => "user_banned",
            Self::ActorNotAllowed => "actor_not_allowed",
            Self::UpstreamLogout => "upstream_logout",
            Self::TooMany => "too_many",
            Self::Reuse => "reuse",
            Self::Lost => "lost",
        }
    }
}

/// How a session ended, as far as its client is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It reached its end.
    Expired,
    /// It was ended before its time.
    Revoked,
    /// Its user signed out at this time. The answer to the sign-out cleared the cookies.
    SignedOut(Timestamp),
    /// A newer session of the same browser replaced it or began there after its end. Answers for
    /// the old session must leave the cookies alone: when they arrive, the cookies are those of the
    /// newer session.
    Replaced,
    /// The session does not exist, or not any more.
    Unknown,
}

/// How long a request or its answer may take to arrive: reading headers may take 30 s, the body 10
/// s, and proxies give up after 60 s.
const UNDER_WAY: Duration = Duration::from_secs(60);

impl End {
    /// Returns whether an answer about the session clears its cookies.
    pub fn clears(self) -> bool {
        self != Self::Replaced
    }

    /// Returns whether the refusal of a refresh clears the cookies. Clients refresh on their own,
    /// also while their user signs out and in again. For a minute after a sign-out, whose answer
    /// cleared the cookies, such a refusal may arrive when the cookies are those of the next
    /// session. If the answer to the sign-out was lost, any other answer clears the cookies, or a
    /// refresh after that minute.
    pub fn clears_after_refresh(self, now: Timestamp) -> bool {
        match self {
            // A sign-out in the future was recorded by a clock that was ahead.
            Self::SignedOut(at) => now >= at + UNDER_WAY || at > now + UNDER_WAY,
            end => end.clears(),
        }
    }
}

/// The part of a session that a client may see. No member changes with a refresh, so that it does
/// not reveal the schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The `sid` of access tokens. It identifies the session and is not a credential.
    pub id: SessionId,
    /// The user whose session it is.
    pub user_id: UserId,
    /// How its tokens travel.
    pub delivery: Delivery,
    /// Whether its cookies outlive the browser.
    pub remember: bool,
    /// What was proven for it, and when.
    pub proofs: Proofs,
    /// When the user last proved anything; of an impersonation, when the admin did.
    pub auth_time: Timestamp,
    /// When the session began.
    pub created_at: Timestamp,
    /// When the idle end was last written for the session cookie.
    pub updated_at: Timestamp,
    /// The absolute end of the session.
    pub expires_at: Timestamp,
    /// IP address of the sign-in; empty if unknown.
    pub ip_address: String,
    /// User agent of the sign-in; empty if unknown.
    pub user_agent: String,
    /// The admin who impersonates the user; `None` for the user's own session.
    pub impersonated_by: Option<UserId>,
    /// How its refreshes are retried.
    pub retry: Retry,
    /// The longest time without use, if a role of its user bounds it.
    pub idle: Option<Duration>,
}

impl Session {
    /// Returns when the session ends if it is not used before: the nearer one of its two ends.
    pub fn ends_at(&self, idle_expires_at: Timestamp) -> Timestamp {
        nearer_end(idle_expires_at, self.expires_at)
    }
}

/// Returns the nearer one of the end without use and the absolute end.
pub fn nearer_end(idle: Timestamp, absolute: Timestamp) -> Timestamp {
    idle.min(absolute)
}

/// The lifetimes of sessions.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime {
    /// The time without use after which a session ends.
    pub idle: Duration,
    /// The time after which a session ends in any case.
    pub absolute: Duration,
    /// How often the idle end of a session cookie is written.
    pub update_age: Duration,
}

/// The absolute lifetime of an impersonation session.
pub const IMPERSONATION_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The absolute lifetime of a session that is not to be remembered.
pub const FORGETFUL_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

impl Lifetime {
    /// Returns these lifetimes within bounds. The idle end of a session cookie is written often
    /// enough for a short one.
    #[must_use]
    pub fn within(self, bounds: Bounds) -> Self {
        let idle = bounds.idle.map_or(self.idle, |idle| idle.min(self.idle));
        Self {
            idle,
            absolute: bounds
                .absolute
                .map_or(self.absolute, |absolute| absolute.min(self.absolute)),
            update_age: self.update_age.min(idle / 10),
        }
    }

    /// Returns the absolute end of a session that begins at `now`.
    pub fn absolute_end(&self, now: Timestamp, remember: bool) -> Timestamp {
        now + if remember {
            self.absolute
        } else {
            self.absolute.min(FORGETFUL_LIFETIME)
        }
    }

    /// Returns the idle end of a session that is used at `now`; never later than the absolute end.
    pub fn idle_end(&self, now: Timestamp, absolute_end: Timestamp) -> Timestamp {
        nearer_end(now + self.idle, absolute_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_219_200_000);
    const MS: Duration = Duration::from_millis(1);
    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn what_is_stored_reads_back_and_every_reason_has_its_own_name() {
        use RevokedReason as R;

        for delivery in [Delivery::Cookie, Delivery::Body] {
            assert_eq!(Delivery::parse(delivery.as_str()), Some(delivery));
        }
        assert_eq!(Delivery::parse("header"), None);
        for (reason, text) in [
            (R::SignOut, "sign_out"),
            (R::Replaced, "replaced"),
            (R::Revoked, "revoked"),
            (R::PasswordChanged, "password_changed"),
            (R::FactorsChanged, "factors_changed"),
            (R::Policy, "policy"),
            (R::EmailChanged, "email_changed"),
            (R::UserDisabled, "user_disabled"),
            (R::UserBanned, "user_banned"),
            (R::ActorNotAllowed, "actor_not_allowed"),
            (R::UpstreamLogout, "upstream_logout"),
            (R::TooMany, "too_many"),
            (R::Reuse, "reuse"),
            (R::Lost, "lost"),
        ] {
            assert_eq!(reason.as_str(), text);
        }
    }

    #[test]
    fn the_cookies_of_a_replaced_session_are_left_alone() {
        for (end, clears) in [
            (End::Expired, true),
            (End::Revoked, true),
            (End::SignedOut(NOW), true),
            (End::Unknown, true),
            (End::Replaced, false),
        ] {
            assert_eq!(end.clears(), clears, "{end:?}");
            if !matches!(end, End::SignedOut(_)) {
                assert_eq!(end.clears_after_refresh(NOW), clears, "{end:?}");
            }
        }
    }

    #[test]
    fn a_refused_refresh_clears_nothing_for_a_minute_after_a_sign_out() {
        let clears = |signed_out_at| End::SignedOut(signed_out_at).clears_after_refresh(NOW);
        assert!(!clears(NOW));
        assert!(!clears(NOW - UNDER_WAY + MS));
        assert!(clears(NOW - UNDER_WAY));
        // By the clock of another replica; further ahead it was a clock that was wrong.
        assert!(!clears(NOW + UNDER_WAY));
        assert!(clears(NOW + UNDER_WAY + MS));
    }

    #[test]
    fn a_session_ends_by_its_settings_or_after_a_day_and_is_idle_no_later_than_that() {
        let lifetime = |absolute| Lifetime {
            idle: 2 * HOUR,
            absolute,
            update_age: HOUR,
        };
        let month = 30 * 24 * HOUR;
        assert_eq!(lifetime(month).absolute_end(NOW, true), NOW + month);
        assert_eq!(lifetime(month).absolute_end(NOW, false), NOW + 24 * HOUR);
        assert_eq!(lifetime(HOUR).absolute_end(NOW, false), NOW + HOUR);
        let end = NOW + month;
        assert_eq!(lifetime(month).idle_end(NOW, end), NOW + 2 * HOUR);
        assert_eq!(lifetime(month).idle_end(end - HOUR, end), end);
    }
}
