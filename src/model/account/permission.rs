//! Permissions; `action` lists the actions. The role `admin` has every permission of this service
//! except [`Action::ImpersonateAdmins`]; any other role has what `[roles]` in the settings lists
//! for it. Only an admin may change another admin.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::action::Action;
use super::user::{ADMIN, User};
use crate::model::kernel::id::UserId;

/// Clients of Better Auth's admin plugin know and request it; no action here needs it.
const DELETE_SESSION: &str = "session:delete";

/// The roles of the settings, each with its permissions.
pub type Grants = [(String, Vec<String>)];

/// Returns the permissions that the settings give to these roles, sorted.
pub fn granted(roles: &[&str], grants: &Grants) -> BTreeSet<String> {
    grants
        .iter()
        .filter(|(role, _)| roles.contains(&role.as_str()))
        .flat_map(|(_, permissions)| permissions.iter().cloned())
        .collect()
}

/// What a session may do: what the roles of its user allow. In an impersonation session these are
/// the permissions that **both** users have, so that impersonation never adds to what the admin may
/// do.
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
    /// Returns what a user may do in a session of their own.
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

    /// Returns the powers of the user in a session in which the actor impersonates the user.
    #[must_use]
    pub fn within(self, actor: Self, grants: &Grants) -> Self {
        // In an impersonation session no further user can be impersonated.
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

    /// Returns whether the session has the permission.
    pub fn holds(&self, permission: &str) -> bool {
        self.held.contains(permission)
    }

    /// Returns whether the action is allowed.
    pub fn allow(&self, action: Action) -> bool {
        self.holds(action.permission())
    }

    /// Returns whether the session counts as an admin's.
    pub fn is_admin(&self) -> bool {
        self.admin
    }

    /// Returns whether all of these comma-joined roles may be given: they allow only what is
    /// allowed here. Only an admin makes admins, and may give every role.
    pub fn may_give(&self, role: &str, grants: &Grants) -> bool {
        let roles: Vec<&str> = role.split(',').collect();
        self.admin
            || !roles.contains(&ADMIN)
                && granted(&roles, grants)
                    .iter()
                    .all(|permission| self.holds(permission))
    }

    /// Returns whether these powers allow impersonating the user.
    pub fn may_act_as(&self, target: &User, grants: &Grants) -> bool {
        let all_of_it = if target.is_admin() {
            self.allow(Action::ImpersonateAdmins)
        } else {
            self.may_give(&target.role, grants)
        };
        self.allow(Action::Impersonate) && all_of_it
    }

    /// Returns the roles that apply in this session.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// Returns the permissions that the settings give to them, sorted: `permissions` of access
    /// tokens.
    pub fn granted(&self) -> impl Iterator<Item = &str> {
        self.granted.iter().map(String::as_str)
    }

    /// Returns the powers of the admin who acts; `None` in the user's own session.
    pub fn actor(&self) -> Option<&Self> {
        self.actor.as_deref()
    }

    /// Returns the user whose powers these are.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// Returns whether the powers cover a permission. An admin may give every role and so has every
    /// permission of an application; of this service's permissions, the given ones.
    fn covers(&self, permission: &str) -> bool {
        self.holds(permission)
            || self.admin
                && Action::ALL
                    .iter()
                    .all(|action| action.permission() != permission)
    }
}
