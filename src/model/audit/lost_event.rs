//! An event of the audit trail that a database lost because an older backup was restored, read from
//! an export, and what has to be done about it. Pure functions.

use ipnet::IpNet;
use serde_json::Value;

use super::event::{Entry, Kind};
use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::limit::block;

/// One event of an export.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The id of the event.
    pub id: EventId,
    /// The user whom it concerned.
    pub subject: Option<UserId>,
    /// The session that it concerned.
    pub session: Option<SessionId>,
    /// The further details, as JSON.
    pub detail: Value,
    /// The whole row, as it stood in the table.
    pub entry: Entry,
}

impl Exported {
    /// Parses a line of `audit export`. Returns `None` if the line is not an event with its
    /// position in a chain and its link.
    pub fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| value[name].as_str();
        let owned = |name: &str| text(name).map(ToOwned::to_owned);
        let detail = value["detail"].clone();
        let entry = Entry {
            id: owned("id")?,
            writer: owned("writer")?,
            sequence: value["sequence"].as_i64()?,
            at: Timestamp::parse(text("at")?)?,
            kind: owned("kind")?,
            actor: owned("actor").unwrap_or_default(),
            subject: owned("subject"),
            session: owned("session"),
            ip_address: owned("ipAddress").unwrap_or_default(),
            user_agent: owned("userAgent").unwrap_or_default(),
            request_id: owned("requestId").unwrap_or_default(),
            detail: detail.to_string(),
            link: owned("link")?,
        };
        let (subject, session) = (
            text("subject").and_then(|id| id.parse().ok()),
            text("session").and_then(|id| id.parse().ok()),
        );
        Some(Self {
            id: entry.id.parse().ok()?,
            subject,
            session,
            detail,
            entry,
        })
    }

    /// Returns what has to be done again.
    pub fn deed(&self) -> Deed {
        let kind = Kind::parse(&self.entry.kind);
        match (kind, self.subject, self.session) {
            (
                Some(Kind::SignedOut | Kind::SessionRevoked | Kind::RefreshTokenReused | Kind::RefreshTokenLost | Kind::ImpersonationStopped),
                _,
                Some(session),
            ) => Deed::EndSession(session),
            (Some(Kind::SignedOut | Kind::SessionRevoked), subject, None) => self.of_many(subject),
            (Some(Kind::UserBanned), Some(user), _) => Deed::Ban(user, self.detail["endsAt"].as_i64().map(Timestamp)),
            (Some(Kind::UserUnbanned), Some(user), _) => Deed::Unban(user),
            (Some(Kind::UserDisabled), Some(user), _) => Deed::Disable(user, true),
            (Some(Kind::UserEnabled), Some(user), _) => Deed::Disable(user, false),
            (Some(Kind::UserDeleted), Some(user), _) => Deed::Delete(user),
            (Some(Kind::RoleChanged), Some(user), _) => match self.detail["role"].as_str() {
                Some(role) => Deed::SetRole(user, role.to_owned()),
                None => Deed::Say("the audit trail does not hold the role; look at `countersign users show`"),
            },
            (Some(Kind::PasswordChanged), Some(user), _) => Deed::EndSessions(
                user,
                "the old password is valid again, and the audit trail does not hold passwords: set one with `countersign users set-password`, or let the user reset it",
            ),
            (Some(Kind::EmailChanged), Some(user), _) => {
                Deed::EndSessions(user, "the old email address is back, and the audit trail does not hold email addresses: the user has to change it again")
            }
            (Some(Kind::AccountReclaimed), Some(user), _) => Deed::Reclaim { user, forget_profile: self.detail["profile"] == "forgotten" },
            (Some(Kind::NetworkBlocked), _, _) => match (self.network(), self.detail["endsAt"].as_i64()) {
                (Some(network), Some(end)) => Deed::Block(network, Timestamp(end), self.detail["reason"].as_str().unwrap_or_default().to_owned()),
                _ => Deed::Say("the network cannot be read; run `countersign limits block` again"),
            },
            (Some(Kind::NetworkUnblocked), _, _) => match self.network() {
                Some(network) => Deed::Unblock(network),
                None => Deed::Say("the network cannot be read; run `countersign limits unblock` again"),
            },
            (Some(Kind::KeyRevoked), _, _) => Deed::RevokeKeys(revoked_kids(&self.detail)),
            (Some(Kind::UserCreated | Kind::UserInvited), _, _) => Deed::Say("the account is gone; the user has to sign up, or be invited, again"),
            (Some(Kind::EmailVerified), _, _) => Deed::Say("the email address is unverified again; the user has to open a new link"),
            (Some(Kind::UserUpdated), _, _) => Deed::Say("the audit trail does not hold the new values; change them again"),
            (Some(Kind::MasterKeyChanged), _, _) => Deed::Say("the keys are sealed under the former master key; run `countersign keys rewrap` again"),
            (Some(Kind::KeyImported), _, _) => Deed::Say("the imported key is gone; run `countersign keys import` again"),
            (None, _, _) => Deed::Say("this version does not know this kind of event"),
            (Some(Kind::MasterKeyAbandoned), _, _) => {
                Deed::Say("the lost master key counts as current again; with the new master key, run `countersign keys abandon` again")
            }
            (Some(Kind::ClockConfirmed), _, _) => Deed::Say("the time that an operator confirmed is gone; look at `countersign clock show`"),
            // Every kind is named, so that the compiler asks for a decision about a new one.
            (
                // Refusals and notes: no state depends on them.
                Some(
                    Kind::Started
                    | Kind::SignInRefused
                    | Kind::PasswordRefused
                    | Kind::SignedUpAgain
                    | Kind::RefreshTokenHealed
                    | Kind::RefreshTokenShadowed
                    | Kind::Reapplied
                    // Sessions and links that are lost: the user has to sign in or ask for a link
                    // again, as after any sign-out.
                    | Kind::SignedIn
                    | Kind::ImpersonationStarted
                    | Kind::EmailChangeApproved
                    // Counts that came back expire by themselves after their period.
                    | Kind::LimitsCleared
                    // The schedule repeats it without help.
                    | Kind::KeysRotated
                    | Kind::KeysRemoved
                    // Events without the session or the user that they always name.
                    | Kind::RefreshTokenReused
                    | Kind::RefreshTokenLost
                    | Kind::ImpersonationStopped
                    | Kind::UserBanned
                    | Kind::UserUnbanned
                    | Kind::UserDisabled
                    | Kind::UserEnabled
                    | Kind::UserDeleted
                    | Kind::RoleChanged
                    | Kind::PasswordChanged
                    | Kind::EmailChanged
                    | Kind::AccountReclaimed,
                ),
                _,
                _,
            ) => Deed::Nothing,
        }
    }
}

impl Exported {
    /// Returns the network of a block.
    pub fn network(&self) -> Option<IpNet> {
        block::network(self.detail["network"].as_str()?).ok()
    }

    /// Decides about an event that concerns many sessions: `detail.of` says whose they are
    /// (`flows::session::end_session`).
    fn of_many(&self, subject: Option<UserId>) -> Deed {
        match (self.detail["of"].as_str(), subject) {
            (Some("everybody"), _) => Deed::EndEverything,
            // A session that made room for a newer one.
            (Some("user"), Some(_)) if self.detail["reason"] == "too_many" => Deed::Nothing,
            (Some("user"), Some(user)) => Deed::EndSessions(
                user,
                "this includes sessions that began later and one that the user had kept",
            ),
            (Some("acting"), Some(user)) => Deed::EndActing(user),
            _ => Deed::Nothing,
        }
    }
}

/// What has to be done so that a lost event takes effect again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// End one session.
    EndSession(SessionId),
    /// End every session of the user. The text says what an operator has to do besides.
    EndSessions(UserId, &'static str),
    /// End the sessions in which the user impersonates another user.
    EndActing(UserId),
    /// An operator has to end every session of all users again, unless that has been done since.
    EndEverything,
    /// Ban the user, until the given time or without end.
    Ban(UserId, Option<Timestamp>),
    /// Lift the ban of the user.
    Unban(UserId),
    /// Disable (`true`) or enable (`false`) the user.
    Disable(UserId, bool),
    /// Replace the roles of the user.
    SetRole(UserId, String),
    /// Delete the user.
    Delete(UserId),
    /// Remove the password that was set before the owner of the mailbox proved it.
    Reclaim {
        /// The user whose account it is.
        user: UserId,
        /// Whether the name and the picture were removed too.
        forget_profile: bool,
    },
    /// Block the network until the given time, for the given reason.
    Block(IpNet, Timestamp, String),
    /// Lift the block of the network.
    Unblock(IpNet),
    /// Revoke the keys with these kids.
    RevokeKeys(Vec<String>),
    /// It cannot be done automatically; the text tells the operator what to do.
    Say(&'static str),
    /// Nothing has to be done.
    Nothing,
}

/// What a decision is about. Of several decisions about one topic only the last one counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The roles of the user.
    Role(UserId),
    /// Whether the user is banned.
    Ban(UserId),
    /// Whether the user is disabled.
    Disabled(UserId),
    /// Whether the network is blocked.
    Network(IpNet),
}

impl Deed {
    /// Returns the user whom the topic concerns.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::EndSessions(user, _)
            | Self::EndActing(user)
            | Self::Ban(user, _)
            | Self::Unban(user)
            | Self::Disable(user, _)
            | Self::SetRole(user, _)
            | Self::Delete(user)
            | Self::Reclaim { user, .. } => Some(*user),
            Self::EndSession(_)
            | Self::EndEverything
            | Self::Block(..)
            | Self::Unblock(_)
            | Self::RevokeKeys(_)
            | Self::Say(_)
            | Self::Nothing => None,
        }
    }

    /// Returns the topic of the decision. Returns `None` for a deed that takes something away for
    /// good, which no later decision can restore.
    pub fn topic(&self) -> Option<Topic> {
        match self {
            Self::SetRole(user, _) => Some(Topic::Role(*user)),
            Self::Ban(user, _) | Self::Unban(user) => Some(Topic::Ban(*user)),
            Self::Disable(user, _) => Some(Topic::Disabled(*user)),
            Self::Block(network, ..) | Self::Unblock(network) => Some(Topic::Network(*network)),
            _ => None,
        }
    }

    /// Returns the kinds of later events after which the deed is not done any more. A later ban or
    /// block does not overrule a lost one: its author did not know of the lost one, so the longer
    /// of the two applies.
    pub fn overruled_by(&self) -> &'static [Kind] {
        match self {
            Self::SetRole(..) => &[Kind::RoleChanged],
            Self::Ban(..) => &[Kind::UserUnbanned],
            Self::Unban(_) => &[Kind::UserBanned, Kind::UserUnbanned],
            Self::Disable(..) => &[Kind::UserDisabled, Kind::UserEnabled],
            Self::Block(..) => &[Kind::NetworkUnblocked],
            Self::Unblock(_) => &[Kind::NetworkBlocked, Kind::NetworkUnblocked],
            _ => &[],
        }
    }
}

/// Returns the kids in the steps of a key change, as `change_keys::describe` writes them.
fn revoked_kids(detail: &Value) -> Vec<String> {
    let steps = detail["steps"].as_array().cloned().unwrap_or_default();
    steps
        .iter()
        .filter_map(|step| {
            step.as_str()?
                .strip_prefix("revoke ")
                .map(ToOwned::to_owned)
        })
        .collect()
}
