//! A user, and the facts about a user that an access token carries.

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
    /// Permanent id; never reassigned to another user.
    pub id: UserId,
    /// Canonical email address, unique.
    pub email: Email,
    /// Whether the user has proven access to the mailbox.
    pub email_verified: bool,
    /// Display name as the user wrote it; may be empty.
    pub name: String,
    /// URL of a picture.
    pub image: Option<String>,
    /// Comma-joined role names; `user` by default.
    pub role: String,
    /// Whether an admin has banned the user.
    pub banned: bool,
    /// The reason that the admin gave for the ban.
    pub ban_reason: Option<String>,
    /// When the ban ends; `None` for a ban without end.
    pub ban_expires_at: Option<Timestamp>,
    /// When an operator or an admin disabled the account; `None` if it is not disabled.
    pub disabled_at: Option<Timestamp>,
    /// JSON object that only admins and the command line write; a source of custom claims.
    pub metadata: Map<String, Value>,
    /// Rises with every change of the row; part of the cache key of sessions.
    pub version: i64,
    /// Rises with every change of the password, the email address or another factor. What was bound
    /// to an older value is no longer valid.
    pub login_epoch: i64,
    /// Whether the user turned two-step sign-in on: then a password alone opens no session.
    pub two_factor: bool,
    /// When the account was created.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

impl User {
    /// Returns the role names.
    pub fn roles(&self) -> Vec<&str> {
        self.role.split(',').filter(|r| !r.is_empty()).collect()
    }

    /// Returns whether one of the roles is `admin`.
    pub fn is_admin(&self) -> bool {
        self.roles().contains(&ADMIN)
    }

    /// Returns whether a ban is in force at `now`.
    pub fn is_banned(&self, now: Timestamp) -> bool {
        self.banned && self.ban_expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_219_200_000);

    fn user(role: &str) -> User {
        User {
            id: UserId::random([1; 16]),
            email: "ana@example.com".parse().unwrap(),
            email_verified: true,
            name: "Ana".into(),
            image: None,
            role: role.into(),
            banned: false,
            ban_reason: None,
            ban_expires_at: None,
            disabled_at: None,
            metadata: Map::new(),
            version: 1,
            login_epoch: 0,
            two_factor: false,
            created_at: NOW,
            updated_at: NOW,
        }
    }

    #[test]
    fn roles_are_names_between_commas_and_only_the_whole_name_makes_an_admin() {
        assert_eq!(user("user,,editor").roles(), ["user", "editor"]);
        assert!(user("").roles().is_empty());
        assert!(user("admin").is_admin() && user("user,admin").is_admin());
        for role in ["", "user", "admins", "Admin", " admin"] {
            assert!(!user(role).is_admin(), "{role:?}");
        }
    }

    #[test]
    fn a_ban_stands_until_its_end_and_one_without_an_end_for_ever() {
        let banned = |banned, ban_expires_at| {
            User {
                banned,
                ban_expires_at,
                ..user("user")
            }
            .is_banned(NOW)
        };
        assert!(banned(true, None));
        assert!(banned(true, Some(Timestamp(NOW.0 + 1))));
        assert!(!banned(true, Some(NOW)));
        assert!(!banned(false, None));
    }
}
