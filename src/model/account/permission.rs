//! What may be done to users, sessions and keys, and who may do it. The role `admin` holds every
//! permission of this service but [`Action::ImpersonateAdmins`]; any other role holds what
//! `[roles]` in the settings lists for it. Only an admin may change another admin.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::user::User;
use crate::model::kernel::id::UserId;

/// The role that holds every permission of ours but [`Action::ImpersonateAdmins`].
pub const ADMIN: &str = "admin";

/// Known to clients of Better Auth's admin plugin, which asks for it; nothing here needs it.
const DELETE_SESSION: &str = "session:delete";

/// Something that is done to other users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the texts")]
pub enum Action {
    CreateUser,
    ListUsers,
    GetUser,
    UpdateUser,
    SetRole,
    SetEmail,
    SetEmailVerified,
    SetMetadata,
    BanUser,
    DeleteUser,
    SetPassword,
    Impersonate,
    ImpersonateAdmins,
    ListSessions,
    RevokeSessions,
    ReadAudit,
    ListKeys,
    RotateKeys,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::CreateUser,
        Self::ListUsers,
        Self::GetUser,
        Self::UpdateUser,
        Self::SetRole,
        Self::SetEmail,
        Self::SetEmailVerified,
        Self::SetMetadata,
        Self::BanUser,
        Self::DeleteUser,
        Self::SetPassword,
        Self::Impersonate,
        Self::ImpersonateAdmins,
        Self::ListSessions,
        Self::RevokeSessions,
        Self::ReadAudit,
        Self::ListKeys,
        Self::RotateKeys,
    ];

    /// Whether it only looks.
    pub fn only_looks(self) -> bool {
        matches!(
            self,
            Self::ListUsers | Self::GetUser | Self::ListSessions | Self::ReadAudit | Self::ListKeys
        )
    }

    /// The permission's name, as Better Auth's admin plugin has it: resource and action.
    pub fn permission(self) -> &'static str {
        match self {
            Self::CreateUser => "user:create",
            Self::ListUsers => "user:list",
            Self::GetUser => "user:get",
            Self::UpdateUser => "user:update",
            Self::SetRole => "user:set-role",
            Self::SetEmail => "user:set-email",
            Self::SetEmailVerified => "user:set-email-verified",
            Self::SetMetadata => "user:set-metadata",
            Self::BanUser => "user:ban",
            Self::DeleteUser => "user:delete",
            Self::SetPassword => "user:set-password",
            Self::Impersonate => "user:impersonate",
            Self::ImpersonateAdmins => "user:impersonate-admins",
            Self::ListSessions => "session:list",
            Self::RevokeSessions => "session:revoke",
            Self::ReadAudit => "audit:list",
            Self::ListKeys => "key:list",
            Self::RotateKeys => "key:rotate",
        }
    }
}

/// A field of a user that a request may set, on whichever path it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the texts")]
pub enum Field {
    Name,
    Image,
    Email,
    EmailVerified,
    Role,
    Ban,
    Metadata,
    Password,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Name,
        Self::Image,
        Self::Email,
        Self::EmailVerified,
        Self::Role,
        Self::Ban,
        Self::Metadata,
        Self::Password,
    ];

    /// What setting it on another user needs.
    pub fn action(self) -> Action {
        match self {
            Self::Name | Self::Image => Action::UpdateUser,
            Self::Email => Action::SetEmail,
            Self::EmailVerified => Action::SetEmailVerified,
            Self::Role => Action::SetRole,
            Self::Ban => Action::BanUser,
            Self::Metadata => Action::SetMetadata,
            Self::Password => Action::SetPassword,
        }
    }

    /// Whether `user:create` includes giving a new user a first value of it.
    pub fn comes_with_creation(self) -> bool {
        matches!(
            self,
            Self::Name | Self::Image | Self::Email | Self::Password
        )
    }

    /// As the API and the audit trail call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Image => "image",
            Self::Email => "email",
            Self::EmailVerified => "emailVerified",
            Self::Role => "role",
            Self::Ban => "banned",
            Self::Metadata => "metadata",
            Self::Password => "password",
        }
    }
}

/// The roles of the settings, each with its permissions.
pub type Grants = [(String, Vec<String>)];

/// The permissions that the settings give to these roles, sorted.
pub fn granted(roles: &[&str], grants: &Grants) -> BTreeSet<String> {
    grants
        .iter()
        .filter(|(role, _)| roles.contains(&role.as_str()))
        .flat_map(|(_, permissions)| permissions.iter().cloned())
        .collect()
}

/// What a session may do: what the roles of its user allow. In a session in which one user acts as
/// another these are the permissions that **both** hold, so that acting as another never adds to
/// what the actor may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Powers {
    user: UserId,
    roles: Vec<String>,
    granted: BTreeSet<String>,
    held: BTreeSet<String>,
    admin: bool,
    actor: Option<Arc<Powers>>,
}

impl Powers {
    /// What a user may do in a session of their own.
    pub fn of(user: &User, grants: &Grants) -> Self {
        let granted = granted(&user.roles(), grants);
        let mut held = granted.clone();
        if user.is_admin() {
            let ours = Action::ALL
                .into_iter()
                .filter(|action| *action != Action::ImpersonateAdmins)
                .map(Action::permission);
            held.extend(ours.chain([DELETE_SESSION]).map(ToOwned::to_owned));
        }
        let roles = user.roles().into_iter().map(ToOwned::to_owned).collect();
        Self {
            user: user.id,
            roles,
            granted,
            held,
            admin: user.is_admin(),
            actor: None,
        }
    }

    /// The same user's powers in a session in which the actor acts as the user.
    #[must_use]
    pub fn within(self, actor: Self, grants: &Grants) -> Self {
        // From here on nobody else can be acted as.
        let chains = [
            Action::Impersonate.permission(),
            Action::ImpersonateAdmins.permission(),
        ];
        let both = |permissions: BTreeSet<String>| {
            permissions
                .into_iter()
                .filter(|p| actor.covers(p))
                .collect::<BTreeSet<_>>()
        };
        let mut held = both(self.held);
        held.retain(|permission| !chains.contains(&permission.as_str()));
        Self {
            user: self.user,
            roles: self
                .roles
                .into_iter()
                .filter(|role| actor.may_give(role, grants))
                .collect(),
            granted: both(self.granted),
            held,
            admin: self.admin && actor.admin,
            actor: Some(Arc::new(actor)),
        }
    }

    /// Whether the permission is held.
    pub fn holds(&self, permission: &str) -> bool {
        self.held.contains(permission)
    }

    /// Whether the action may be done.
    pub fn allow(&self, action: Action) -> bool {
        self.holds(action.permission())
    }

    /// Whether the session counts as an admin's.
    pub fn is_admin(&self) -> bool {
        self.admin
    }

    /// Whether all of these comma-joined roles may be given: they allow nothing that is not held
    /// here. Only an admin makes admins, and may give every role.
    pub fn may_give(&self, role: &str, grants: &Grants) -> bool {
        let roles: Vec<&str> = role.split(',').collect();
        self.admin
            || !roles.contains(&ADMIN)
                && granted(&roles, grants)
                    .iter()
                    .all(|permission| self.holds(permission))
    }

    /// Whether these powers allow to act as the user.
    pub fn may_act_as(&self, target: &User, grants: &Grants) -> bool {
        let all_of_it = if target.is_admin() {
            self.allow(Action::ImpersonateAdmins)
        } else {
            self.may_give(&target.role, grants)
        };
        self.allow(Action::Impersonate) && all_of_it
    }

    /// The roles that count in this session.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// What the settings grant for them, sorted: the `permissions` of access tokens.
    pub fn granted(&self) -> impl Iterator<Item = &str> {
        self.granted.iter().map(String::as_str)
    }

    /// What the user who really acts may do, where it is not the session's own user.
    pub fn actor(&self) -> Option<&Self> {
        self.actor.as_deref()
    }

    /// Whose powers these are.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// An admin may give every role and so hold every permission of an application; of ours, what
    /// is held.
    fn covers(&self, permission: &str) -> bool {
        self.holds(permission)
            || self.admin
                && Action::ALL
                    .iter()
                    .all(|action| action.permission() != permission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_and_every_field_is_in_its_list_once() {
        let names: BTreeSet<&str> = Action::ALL
            .iter()
            .map(|action| action.permission())
            .collect();
        assert_eq!(names.len(), Action::ALL.len());
        let fields: BTreeSet<&str> = Field::ALL.iter().map(|field| field.name()).collect();
        assert_eq!(fields.len(), Field::ALL.len());
    }
}
