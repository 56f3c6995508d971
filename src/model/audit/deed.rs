//! What has to be done about a lost event, and which later decision makes that unnecessary.

use ipnet::IpNet;

use super::event::Kind;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::Timestamp;

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
