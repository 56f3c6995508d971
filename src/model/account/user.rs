//! A user, and the few facts of one that an access token carries.

use serde_json::{Map, Value};

use super::email::Email;
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;

/// The role that holds every permission of ours but
/// [`Action::ImpersonateAdmins`](super::action::Action::ImpersonateAdmins).
pub const ADMIN: &str = "admin";

/// A person who may sign in.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// For ever; never reassigned.
    pub id: UserId,
    /// Canonical address, unique.
    pub email: Email,
    /// Whether the mailbox was proven.
    pub email_verified: bool,
    /// As the user wrote it; may be empty.
    pub name: String,
    /// Address of a picture.
    pub image: Option<String>,
    /// Comma-joined role names; `user` by default.
    pub role: String,
    /// Whether an admin has shut the user out.
    pub banned: bool,
    /// What the admin said.
    pub ban_reason: Option<String>,
    /// When the ban ends; `None` = never.
    pub ban_expires_at: Option<Timestamp>,
    /// When an operator disabled the account.
    pub disabled_at: Option<Timestamp>,
    /// What only an admin or the command line writes; feeds custom claims.
    pub metadata: Map<String, Value>,
    /// Rises with every change; half of the cache key.
    pub version: i64,
    /// Rises with every change of the password, the address or another factor: what was bound to an
    /// older value counts no longer.
    pub login_epoch: i64,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl User {
    /// The role names.
    pub fn roles(&self) -> Vec<&str> {
        self.role.split(',').filter(|r| !r.is_empty()).collect()
    }

    /// Whether one of the roles is `admin`.
    pub fn is_admin(&self) -> bool {
        self.roles().contains(&ADMIN)
    }

    /// Whether a ban stands now.
    pub fn is_banned(&self, now: Timestamp) -> bool {
        self.banned && self.ban_expires_at.is_none_or(|end| now < end)
    }
}
