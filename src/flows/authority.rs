//! Who may do what to whom. An operator at a shell may do everything; a signed-in user may do what
//! the powers of the session allow ([`crate::model::account::permission::Powers`]); only an admin may change
//! another admin.

use crate::app::App;
use crate::model::account::action::{Action, Field};
use crate::model::account::user::User;
use crate::model::kernel::id::SessionId;

use super::{Error, Result};
use crate::flows::session::read_session::Authenticated;

/// Who calls a flow. Only [`super::permit`] makes one.
#[derive(Clone, Copy)]
pub(in crate::flows) enum Caller<'a> {
    /// An operator at a shell, with the database and the keys at hand.
    Operator,
    /// A signed-in user.
    Session(&'a Authenticated),
}

impl<'a> Caller<'a> {
    /// Refuses what the session's powers do not allow, and every change where the password was
    /// proven too long ago (`sessions.admin_fresh_for`).
    pub(in crate::flows) fn require(self, app: &App, action: Action) -> Result<()> {
        let Self::Session(who) = self else {
            return Ok(());
        };
        if !who.powers.allow(action) {
            return Err(Error::NotAllowed(action));
        }
        who.fresh_for(app, action)
    }

    /// Refuses what is not allowed on this user: only an admin may do anything to an admin.
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
        // Who sets the password or the address of an account can sign in to it: that needs the
        // right to act as its user.
        let takes_over = matches!(
            action,
            Action::Impersonate | Action::SetPassword | Action::SetEmail
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

    /// Refuses to set a field of this user that is not the caller's to set.
    pub(in crate::flows) fn require_to_set(
        self,
        app: &App,
        field: Field,
        target: &User,
    ) -> Result<()> {
        self.require_on(app, field.action(), target)?;
        let vouches_for_oneself = match field {
            // Claims of access tokens come from it: who could write one's own would choose one's
            // own tenant.
            Field::Metadata => self.names(target),
            // Applications trust a proven address, and read roles, also those that allow nothing
            // here.
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

    /// Refuses to give a new user a first value of a field that is not the caller's to give.
    pub(in crate::flows) fn require_to_begin_with(self, app: &App, field: Field) -> Result<()> {
        if field.comes_with_creation() {
            self.require(app, Action::CreateUser)
        } else {
            self.require(app, field.action())
        }
    }

    /// Whether this is done with the rights of an admin.
    pub(in crate::flows) fn is_admin(self) -> bool {
        match self {
            Self::Operator => true,
            Self::Session(who) => who.powers.is_admin(),
        }
    }

    /// Whether these roles allow nothing that is not allowed here; only an admin makes admins.
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

    /// The session that asks.
    pub(in crate::flows) fn session(self) -> Option<SessionId> {
        match self {
            Self::Operator => None,
            Self::Session(who) => Some(who.session.id),
        }
    }

    /// Whether the user is the one who asks, in a session of their own.
    pub(in crate::flows) fn is(self, user: &User) -> bool {
        matches!(self, Self::Session(who) if who.user.id == user.id && who.powers.actor().is_none())
    }

    /// Whether the user is the one of the session, or the one who acts in it.
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

/// Refuses role names that neither the program nor the settings know.
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
