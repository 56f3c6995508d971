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

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u8, role: &str) -> User {
        let at = crate::model::kernel::time::Timestamp(0);
        User {
            id: UserId::random([id; 16]),
            email: "ana@example.com".parse().unwrap(),
            email_verified: true,
            name: String::new(),
            image: None,
            role: role.into(),
            banned: false,
            ban_reason: None,
            ban_expires_at: None,
            disabled_at: None,
            metadata: serde_json::Map::new(),
            version: 1,
            login_epoch: 0,
            two_factor: false,
            created_at: at,
            updated_at: at,
        }
    }

    fn grants() -> Vec<(String, Vec<String>)> {
        let role = |name: &str, permissions: &[&str]| {
            let permissions = permissions.iter().map(ToString::to_string).collect();
            (name.to_owned(), permissions)
        };
        vec![
            role("support", &["user:list", "user:impersonate", "notes:read"]),
            role("editor", &["notes:read", "notes:write"]),
            role("root", &["user:impersonate-admins"]),
        ]
    }

    fn powers(id: u8, role: &str) -> Powers {
        Powers::of(&user(id, role), &grants())
    }

    #[test]
    fn an_admin_holds_every_permission_of_ours_but_one_and_a_role_what_the_settings_list() {
        let admin = powers(1, "admin");
        for action in Action::ALL {
            let expected = action != Action::ImpersonateAdmins;
            assert_eq!(admin.allow(action), expected, "{action:?}");
        }
        assert!(admin.is_admin() && admin.holds("session:delete"));
        assert!(powers(1, "admin,root").allow(Action::ImpersonateAdmins));
        assert!(
            !admin.holds("notes:read"),
            "an application's permissions are listed"
        );
        let support = powers(2, "support,editor");
        assert!(!support.is_admin() && support.allow(Action::ListUsers));
        assert!(!support.allow(Action::GetUser));
        assert_eq!(support.roles(), ["support", "editor"]);
        assert_eq!(
            support.granted().collect::<Vec<_>>(),
            ["notes:read", "notes:write", "user:impersonate", "user:list"]
        );
        assert_eq!(support.user(), user(2, "").id);
        assert!(support.actor().is_none());
    }

    #[test]
    fn a_role_is_given_by_who_holds_all_that_it_allows_and_admin_by_admins_alone() {
        for (giver, role, may) in [
            ("admin", "admin", true),
            ("admin", "support,editor", true),
            ("support", "support", true),
            ("support", "user", true),
            ("support", "editor", false),
            ("support", "support,editor", false),
            ("support", "admin", false),
            ("support,editor", "editor", true),
            ("support,editor", "user,admin", false),
        ] {
            let given = powers(1, giver).may_give(role, &grants());
            assert_eq!(given, may, "{giver} gives {role}");
        }
        for (actor, target, may) in [
            ("support", "user", true),
            ("support", "editor", false),
            ("support,editor", "editor", true),
            ("support", "admin", false),
            ("admin", "admin", false),
            ("admin,root", "admin", true),
            ("admin", "editor", true),
            ("editor", "user", false),
            ("root", "admin", false),
        ] {
            let acts = powers(1, actor).may_act_as(&user(2, target), &grants());
            assert_eq!(acts, may, "{actor} acts as {target}");
        }
    }

    #[test]
    fn who_acts_as_another_may_do_what_both_may_do() {
        let within = |user, actor| powers(2, user).within(powers(1, actor), &grants());
        let acting = within("support,editor", "support");
        assert_eq!(acting.user(), user(2, "").id);
        assert_eq!(acting.actor().map(Powers::user), Some(user(1, "").id));
        assert_eq!(acting.roles(), ["support"], "editor allows more");
        assert_eq!(
            acting.granted().collect::<Vec<_>>(),
            ["notes:read", "user:impersonate", "user:list"]
        );
        assert!(acting.allow(Action::ListUsers));
        assert!(
            !acting.allow(Action::Impersonate),
            "a second user cannot be acted as"
        );
        assert!(!acting.holds("notes:write"));

        let by_admin = within("editor", "admin");
        assert!(by_admin.holds("notes:write"), "an admin may give the role");
        assert!(!by_admin.is_admin() && by_admin.roles() == ["editor"]);
        assert!(!by_admin.allow(Action::ListUsers), "the user may not");

        let of_admin = within("admin", "admin,root");
        assert!(of_admin.is_admin() && of_admin.allow(Action::BanUser));
        assert!(!of_admin.allow(Action::Impersonate));
        let root = within("admin,root", "admin,root");
        assert!(!root.allow(Action::ImpersonateAdmins));
        assert!(!within("admin", "support").is_admin());
        // A permission of ours that the admin does not hold comes from no one.
        assert!(
            !within("root", "admin")
                .granted()
                .any(|p| p.contains("admins"))
        );
    }
}
