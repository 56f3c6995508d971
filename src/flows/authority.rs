//! Who may do what to whom: operators at a shell everything, a signed-in user what the roles allow, and only an admin anything to an admin.

use crate::app::App;
use crate::model::id::SessionId;
use crate::model::permission::{ADMIN, Action, holds};
use crate::model::user::User;

use super::read_session::Authenticated;
use super::{Error, Result};

/// By whose word something is done.
#[derive(Clone, Copy)]
pub enum Authority<'a> {
    /// At a shell, with the database and the keys in hand.
    Operator,
    /// Signed in.
    Session(&'a Authenticated),
}

impl Authority<'_> {
    /// Refuses what the roles do not allow, and every change where the password was not proven of late.
    pub fn may(self, app: &App, action: Action) -> Result<()> {
        let Self::Session(who) = self else { return Ok(()) };
        if !holds(&who.user, action.permission(), &app.config.permissions(&who.user.roles())) {
            return Err(Error::NotAllowed(action));
        }
        // A laptop left open, a stolen cookie: the password was proven too long ago to change anything of others.
        let stale = app.config.sessions.admin_fresh_for.is_some_and(|fresh| app.now().since(who.session.auth_time) >= fresh);
        if stale && !action.only_looks() { Err(Error::SessionNotFresh) } else { Ok(()) }
    }

    /// The same for an action on this user: nobody who is no admin touches one who is.
    pub fn may_to(self, app: &App, action: Action, target: &User) -> Result<()> {
        self.may(app, action)?;
        // Whoever takes an account over has what its roles allow.
        let takes_over = matches!(action, Action::Impersonate | Action::SetPassword | Action::SetEmail);
        let too_much = takes_over && !self.is(target) && !self.may_give(app, &target.role);
        if target.is_admin() && !self.is_admin() || too_much { Err(Error::NotAllowed(action)) } else { Ok(()) }
    }

    /// Whether an admin's word counts here.
    pub fn is_admin(self) -> bool {
        match self {
            Self::Operator => true,
            Self::Session(who) => who.user.is_admin(),
        }
    }

    /// Whether these roles allow nothing that the one who gives them may not do; only an admin makes admins.
    pub fn may_give(self, app: &App, role: &str) -> bool {
        let Self::Session(who) = self else { return true };
        let own = app.config.permissions(&who.user.roles());
        let given = app.config.permissions(&role.split(',').collect::<Vec<_>>());
        let makes_admin = role.split(',').any(|r| r == ADMIN);
        who.user.is_admin() || (!makes_admin && given.iter().all(|permission| holds(&who.user, permission, &own)))
    }

    /// The session that asks.
    pub fn session(self) -> Option<SessionId> {
        match self {
            Self::Operator => None,
            Self::Session(who) => Some(who.session.id),
        }
    }

    /// Whether the user is the one who asks.
    pub fn is(self, user: &User) -> bool {
        matches!(self, Self::Session(who) if who.user.id == user.id)
    }
}

/// Refuses role names that nobody has said anything of.
pub fn check_roles(app: &App, role: &str) -> Result<()> {
    let known = |name: &str| matches!(name, "user" | "admin") || app.config.roles.iter().any(|(role, _)| role == name);
    if !role.is_empty() && role.split(',').all(known) { Ok(()) } else { Err(Error::NonExistentRole) }
}
