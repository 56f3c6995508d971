//! What may be done to users, sessions and keys, and which permission each field of a user needs.
//! `permission` decides who has a permission.

/// An action on other users or on the service.
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
    DisableUser,
    DeleteUser,
    SetPassword,
    ResetFactors,
    Impersonate,
    ImpersonateAdmins,
    ListSessions,
    RevokeSessions,
    ReadAudit,
    ListKeys,
    RotateKeys,
    RevokeKeys,
}

impl Action {
    /// Lists all actions, in the order of their declaration.
    pub const ALL: [Self; 21] = [
        Self::CreateUser,
        Self::ListUsers,
        Self::GetUser,
        Self::UpdateUser,
        Self::SetRole,
        Self::SetEmail,
        Self::SetEmailVerified,
        Self::SetMetadata,
        Self::BanUser,
        Self::DisableUser,
        Self::DeleteUser,
        Self::SetPassword,
        Self::ResetFactors,
        Self::Impersonate,
        Self::ImpersonateAdmins,
        Self::ListSessions,
        Self::RevokeSessions,
        Self::ReadAudit,
        Self::ListKeys,
        Self::RotateKeys,
        Self::RevokeKeys,
    ];

    /// Returns whether the action changes nothing.
    pub fn only_looks(self) -> bool {
        matches!(
            self,
            Self::ListUsers | Self::GetUser | Self::ListSessions | Self::ReadAudit | Self::ListKeys
        )
    }

    /// Returns the name of the permission, resource and action, as in Better Auth's admin plugin.
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
            Self::DisableUser => "user:disable",
            Self::DeleteUser => "user:delete",
            Self::SetPassword => "user:set-password",
            Self::ResetFactors => "user:reset-factors",
            Self::Impersonate => "user:impersonate",
            Self::ImpersonateAdmins => "user:impersonate-admins",
            Self::ListSessions => "session:list",
            Self::RevokeSessions => "session:revoke",
            Self::ReadAudit => "audit:list",
            Self::ListKeys => "key:list",
            Self::RotateKeys => "key:rotate",
            Self::RevokeKeys => "key:revoke",
        }
    }
}

/// A field of a user that a request may set, on any path.
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
    /// Lists all fields, in the order of their declaration.
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

    /// Returns the action that setting the field of another user needs.
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

    /// Returns whether `user:create` includes setting the field of a new user.
    pub fn comes_with_creation(self) -> bool {
        matches!(
            self,
            Self::Name | Self::Image | Self::Email | Self::Password
        )
    }

    /// Returns the name of the field in the API and the audit trail.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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

    #[test]
    fn looking_is_what_a_session_may_do_that_is_no_longer_fresh() {
        let looks: Vec<_> = Action::ALL
            .into_iter()
            .filter(|action| action.only_looks())
            .map(Action::permission)
            .collect();
        assert_eq!(
            looks,
            [
                "user:list",
                "user:get",
                "session:list",
                "audit:list",
                "key:list"
            ]
        );
    }

    #[test]
    fn each_field_needs_its_permission_and_some_come_with_the_creation() {
        use Field::{Ban, Email, EmailVerified, Image, Metadata, Name, Password, Role};
        for (field, name, permission, comes_with_creation) in [
            (Name, "name", "user:update", true),
            (Image, "image", "user:update", true),
            (Email, "email", "user:set-email", true),
            (Password, "password", "user:set-password", true),
            (
                EmailVerified,
                "emailVerified",
                "user:set-email-verified",
                false,
            ),
            (Role, "role", "user:set-role", false),
            (Ban, "banned", "user:ban", false),
            (Metadata, "metadata", "user:set-metadata", false),
        ] {
            assert_eq!(field.name(), name);
            assert_eq!(field.action().permission(), permission);
            assert_eq!(field.comes_with_creation(), comes_with_creation, "{name}");
        }
    }
}
