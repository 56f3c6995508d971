//! What admins do, and who may. A role `admin` may do everything but act as another admin; other roles may what `[roles]` in the settings
//! grants them of the names here, and nobody who is no admin may touch one who is.

use super::user::User;

/// The role that holds every permission of ours but [`Action::ImpersonateAdmins`].
pub const ADMIN: &str = "admin";

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
    pub const ALL: [Self; 16] = [
        Self::CreateUser,
        Self::ListUsers,
        Self::GetUser,
        Self::UpdateUser,
        Self::SetRole,
        Self::SetEmail,
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
        matches!(self, Self::ListUsers | Self::GetUser | Self::ListSessions | Self::ReadAudit | Self::ListKeys)
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

/// Whether a user holds a permission; `granted` is what `[roles]` in the settings gives to the user's roles.
pub fn holds(user: &User, permission: &str, granted: &[String]) -> bool {
    let own = user.is_admin() && permission != Action::ImpersonateAdmins.permission();
    granted.iter().any(|p| p == permission) || own && (Action::ALL.iter().any(|a| a.permission() == permission) || permission == "session:delete")
}
