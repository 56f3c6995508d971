//! An event of the audit trail that a database has lost by going back, as an export kept elsewhere holds it, and what it asks for. Decided purely.

use serde_json::Value;

use super::audit::Kind;
use super::id::{EventId, SessionId, UserId};
use super::time::Timestamp;

/// One event of an export.
#[derive(Debug, Clone)]
pub struct Exported {
    /// Its own id.
    pub id: EventId,
    /// Whose chain it stood in.
    pub writer: String,
    /// Its place there.
    pub sequence: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: String,
    /// Whom it concerned.
    pub subject: Option<UserId>,
    /// Which session it concerned.
    pub session: Option<SessionId>,
    /// Anything else.
    pub detail: Value,
}

impl Exported {
    /// From a line of `audit export`; `None`: the line is none.
    pub fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| value[name].as_str();
        Some(Self {
            id: text("id")?.parse().ok()?,
            writer: text("writer")?.to_owned(),
            sequence: value["sequence"].as_i64()?,
            at: Timestamp::parse(text("at")?)?,
            kind: text("kind")?.to_owned(),
            subject: text("subject").and_then(|id| id.parse().ok()),
            session: text("session").and_then(|id| id.parse().ok()),
            detail: value["detail"].clone(),
        })
    }

    /// What has to be done again.
    pub fn deed(&self) -> Deed {
        let kind = Kind::parse(&self.kind);
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
                None => Deed::Say("the trail does not say which role; look at `countersign users show`"),
            },
            (Some(Kind::PasswordChanged), Some(user), _) => Deed::EndSessions(
                user,
                "the old password is valid again, and the trail holds no password: set one with `countersign users set-password`, or let the user reset it",
            ),
            (Some(Kind::EmailChanged), Some(user), _) => {
                Deed::EndSessions(user, "the old address is back, and the trail holds no address: the user has to change it again")
            }
            (Some(Kind::KeyRevoked), _, _) => Deed::RevokeKeys(revoked_kids(&self.detail)),
            (Some(Kind::UserCreated | Kind::UserInvited), _, _) => Deed::Say("the account is gone; the user has to sign up, or be invited, again"),
            (Some(Kind::EmailVerified), _, _) => Deed::Say("the address counts as unproven again; the user has to open a new link"),
            (Some(Kind::UserUpdated), _, _) => Deed::Say("the trail does not hold the new values; change them again"),
            (Some(Kind::MasterKeyChanged), _, _) => Deed::Say("the keys are sealed under the master key of before; run `countersign keys rewrap` again"),
            (Some(Kind::KeyImported), _, _) => Deed::Say("the imported key is gone; run `countersign keys import` again"),
            (None, _, _) => Deed::Say("this version does not know this kind of event"),
            // Refusals, notes, and what the schedule does again by itself.
            (Some(_), _, _) => Deed::Nothing,
        }
    }
}

impl Exported {
    /// One event that tells of many sessions: `detail.of` says whose (`flows::end_session`).
    fn of_many(&self, subject: Option<UserId>) -> Deed {
        match (self.detail["of"].as_str(), subject) {
            (Some("everybody"), _) => Deed::Say("every session had ended, and every link in a mail; run `countersign sessions revoke --all` again"),
            // Room was made for a newer session.
            (Some("user"), Some(_)) if self.detail["reason"] == "too_many" => Deed::Nothing,
            (Some("user"), Some(user)) => Deed::EndSessions(user, "also those that began since, and one that the user had kept"),
            // In the name of another user: the change of roles that ended them is done again by its own event.
            _ => Deed::Nothing,
        }
    }
}

/// What has to be done so that a lost event holds again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// End the session.
    EndSession(SessionId),
    /// End every session of the user, and say what an operator has to do beside it.
    EndSessions(UserId, &'static str),
    /// Ban the user, for ever or until then.
    Ban(UserId, Option<Timestamp>),
    /// Lift the ban.
    Unban(UserId),
    /// Disable the user, or enable.
    Disable(UserId, bool),
    /// Replace the roles.
    SetRole(UserId, String),
    /// Delete the user.
    Delete(UserId),
    /// Revoke these keys.
    RevokeKeys(Vec<String>),
    /// It cannot be done; say so.
    Say(&'static str),
    /// Nothing hangs on it.
    Nothing,
}

/// The kids in the steps of a change of keys, as `change_keys::describe` writes them.
fn revoked_kids(detail: &Value) -> Vec<String> {
    let steps = detail["steps"].as_array().cloned().unwrap_or_default();
    steps.iter().filter_map(|step| step.as_str()?.strip_prefix("revoke ").map(ToOwned::to_owned)).collect()
}
