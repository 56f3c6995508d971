//! Decides who may do what to whom. An operator at a shell may do everything; a signed-in user may
//! do what the powers of the session allow ([`crate::model::account::permission::Powers`]); only an
//! admin may change another admin.

use crate::app::App;
use crate::model::account::action::{Action, Field};
use crate::model::account::user::User;
use crate::model::kernel::id::SessionId;

use super::{Error, Result};
use crate::flows::authenticated::Authenticated;

/// The caller of a flow. Only [`super::permit`] makes one.
#[derive(Clone, Copy)]
pub(in crate::flows) enum Caller<'a> {
    /// An operator at a shell, who has the database and the keys.
    Operator,
    /// A signed-in user.
    Session(&'a Authenticated),
}

impl<'a> Caller<'a> {
    /// Refuses what the session's powers do not allow, and every change if the session was proven too
    /// long ago (`policies.ROLE.fresh_for`).
    pub(in crate::flows) fn require(self, app: &App, action: Action) -> Result<()> {
        let Self::Session(who) = self else {
            return Ok(());
        };
        if !who.powers.allow(action) {
            return Err(Error::NotAllowed(action));
        }
        who.admit_change(app, action)
    }

    /// Refuses an action that is not allowed on this user: only an admin may do anything to an
    /// admin.
    pub(in crate::flows) fn require_on(
        self,
        app: &App,
        action: Action,
        target: &User,
    ) -> Result<()> {
        self.require(app, action)?;
        let Self::Session(who) = self else {
            return Ok(());
        };
        let above = target.is_admin() && !who.powers.is_admin();
        // Setting the password or the email address of an account, or removing its second factors,
        // makes it possible to sign in to it, so this requires the permission to impersonate its
        // user.
        let takes_over = matches!(
            action,
            Action::Impersonate | Action::SetPassword | Action::SetEmail | Action::ResetFactors
        ) && !self.is(target);
        let too_much = takes_over
            && if target.is_admin() {
                !who.powers.allow(Action::ImpersonateAdmins)
            } else {
                !self.may_give(app, &target.role)
            };
        if above || too_much {
            Err(Error::NotAllowed(action))
        } else {
            Ok(())
        }
    }

    /// Refuses to set a field of this user that the caller may not set.
    pub(in crate::flows) fn require_to_set(
        self,
        app: &App,
        field: Field,
        target: &User,
    ) -> Result<()> {
        self.require_on(app, field.action(), target)?;
        let vouches_for_oneself = match field {
            // Claims of access tokens come from it: users who can write their own metadata could
            // choose their own tenant.
            Field::Metadata => self.names(target),
            // Applications trust a verified email address, and read roles, including those that
            // allow nothing here.
            Field::Email | Field::EmailVerified | Field::Role => {
                self.names(target) && !self.is_admin()
            }
            Field::Name | Field::Image | Field::Ban | Field::Password => false,
        };
        if vouches_for_oneself {
            Err(Error::NotAllowed(field.action()))
        } else {
            Ok(())
        }
    }

    /// Refuses an initial value of a new user's field that the caller may not set.
    pub(in crate::flows) fn require_to_begin_with(self, app: &App, field: Field) -> Result<()> {
        if field.comes_with_creation() {
            self.require(app, Action::CreateUser)
        } else {
            self.require(app, field.action())
        }
    }

    /// Returns whether the caller has the rights of an admin.
    pub(in crate::flows) fn is_admin(self) -> bool {
        match self {
            Self::Operator => true,
            Self::Session(who) => who.powers.is_admin(),
        }
    }

    /// Returns whether these roles allow only what the caller may do; only an admin makes admins.
    pub(in crate::flows) fn may_give(self, app: &App, role: &str) -> bool {
        match self {
            Self::Operator => true,
            Self::Session(who) => who.powers.may_give(role, &app.config.roles),
        }
    }

    /// Returns the signed-in user, or `None` for an operator.
    pub(in crate::flows) fn signed_in(self) -> Option<&'a Authenticated> {
        match self {
            Self::Operator => None,
            Self::Session(who) => Some(who),
        }
    }

    /// Returns the id of the session that asks; `None` for an operator.
    pub(in crate::flows) fn session(self) -> Option<SessionId> {
        match self {
            Self::Operator => None,
            Self::Session(who) => Some(who.session.id),
        }
    }

    /// Returns whether the user is the caller, in a session of their own.
    pub(in crate::flows) fn is(self, user: &User) -> bool {
        matches!(self, Self::Session(who) if who.user.id == user.id && who.powers.actor().is_none())
    }

    /// Returns whether the user is the one of the session, or the admin who acts in it.
    pub(in crate::flows) fn names(self, user: &User) -> bool {
        let Self::Session(who) = self else {
            return false;
        };
        who.user.id == user.id
            || who
                .powers
                .actor()
                .is_some_and(|actor| actor.user() == user.id)
    }
}

/// Refuses role names that are defined neither by the program nor by the settings.
pub fn check_roles(app: &App, role: &str) -> Result<()> {
    let known = |name: &str| {
        matches!(name, "user" | "admin") || app.config.roles.iter().any(|(role, _)| role == name)
    };
    if !role.is_empty() && role.split(',').all(known) {
        Ok(())
    } else {
        Err(Error::NonExistentRole)
    }
}
