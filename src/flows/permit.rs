//! Permission as a value: a flow that must not be called by everyone takes the proof that its
//! caller may call it, so a caller cannot forget the check.
//!
//! - [`Permitted`]: the caller may take an action on other people's accounts or on the service.
//! - `PermittedOn`: the caller may take it on this user. Flows make it from the user's row.
//! - [`OwnAccount`]: a signed-in user on their own account, not an admin who impersonates them.
//! - [`OwnWayIn`]: the same with a second factor that was proven a short time ago, for changes of the
//!   ways to sign in.
//! - [`OnBehalf`]: a signed-in user on their own account, or an impersonator who may do the same
//!   to other users.
//!
//! The action is a type, one of those in [`to`]: a proof for one action is not accepted for
//! another. The fields are private, so only the checks of this file make a proof.

use std::marker::PhantomData;
use std::ops::Deref;

use crate::app::App;
use crate::model::account::action::Action;
use crate::model::account::user::User;
use crate::model::kernel::id::UserId;

use super::authority::Caller;
use super::find_user;
use super::{Error, Result};
use crate::flows::authenticated::Authenticated;

/// An action that a proof is for.
pub trait Permission {}

/// An action that roles can allow.
pub trait Grantable: Permission {
    /// The action of the roles.
    const ACTION: Action;
}

/// Actions as types.
pub mod to {
    use super::{Action, Grantable, Permission};

    macro_rules! grantable {
        ($($name:ident)+) => {$(
            #[doc = concat!("Needs [`Action::", stringify!($name), "`].")]
            #[derive(Debug, Clone, Copy)]
            pub enum $name {}
            impl Permission for $name {}
            impl Grantable for $name {
                const ACTION: Action = Action::$name;
            }
        )+};
    }
    grantable! {
        CreateUser ListUsers GetUser UpdateUser SetRole SetEmail BanUser DisableUser DeleteUser
        SetPassword ResetFactors Impersonate ListSessions RevokeSessions ReadAudit ListKeys RotateKeys RevokeKeys
    }

    macro_rules! operator_only {
        ($($(#[$doc:meta])+ $name:ident)+) => {$(
            $(#[$doc])+
            #[derive(Debug, Clone, Copy)]
            pub enum $name {}
            impl Permission for $name {}
        )+};
    }
    operator_only! {
        /// Requires new passwords. Operators only.
        RequirePassword
        /// Ends sessions of any choice, up to every session. Operators only.
        EndAnySession
        /// Changes signing keys in every way, not just by a rotation or a revocation. Operators only.
        ChangeKeys
        /// Reads and changes rate limits and blocked networks. Operators only.
        OperateLimits
        /// Reads the queue of mails and makes them due. Operators only.
        OperateMails
        /// Does lost events of an exported audit trail again. Operators only.
        ReapplyEvents
        /// Imports users from other software, and takes imports back. Operators only.
        ImportUsers
        /// Confirms that the clock is right although the database contradicts it. Operators only.
        ConfirmClock
    }
}

/// Proof that the caller may take the action `A`.
#[must_use = "a permit is passed to the flow that needs it"]
pub struct Permitted<'a, A> {
    caller: Caller<'a>,
    action: PhantomData<A>,
}

impl<A> Clone for Permitted<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Permitted<'_, A> {}

impl<A: Permission> Permitted<'static, A> {
    /// Permits an operator at a shell, who has the database and the keys, and the service's own
    /// work. Requests cannot use it: a test checks that `http` does not call it.
    pub fn as_operator() -> Self {
        Self {
            caller: Caller::Operator,
            action: PhantomData,
        }
    }
}

impl<'a, A: Permission> Permitted<'a, A> {
    /// Returns the caller of the flow.
    pub(in crate::flows) fn caller(self) -> Caller<'a> {
        self.caller
    }
}

impl<'a, A: Grantable> Permitted<'a, A> {
    /// Permits the action on the user of this id.
    ///
    /// # Errors
    /// [`Error::UserNotFound`]; [`Error::NotAllowed`] if the user is above the caller.
    pub(in crate::flows) async fn on_user(
        self,
        app: &App,
        id: UserId,
    ) -> Result<PermittedOn<'a, A>> {
        self.on(app, find_user::by_id(app, id).await?)
    }

    /// Permits the action on this user.
    ///
    /// # Errors
    /// [`Error::NotAllowed`] if the user is above the caller.
    pub(in crate::flows) fn on(self, app: &App, target: User) -> Result<PermittedOn<'a, A>> {
        self.caller.require_on(app, A::ACTION, &target)?;
        Ok(PermittedOn {
            caller: self.caller,
            target,
            action: PhantomData,
        })
    }
}

/// Proof that the caller may take the action `A` on one user.
#[must_use = "a permit is passed to what carries the action out"]
pub(in crate::flows) struct PermittedOn<'a, A> {
    caller: Caller<'a>,
    target: User,
    action: PhantomData<A>,
}

impl<'a, A: Grantable> PermittedOn<'a, A> {
    /// Returns the caller of the flow.
    pub(in crate::flows) fn caller(&self) -> Caller<'a> {
        self.caller
    }

    /// Returns the user whom the action is on, as the check read the row.
    pub(in crate::flows) fn target(&self) -> &User {
        &self.target
    }
}

/// Proof that users act on their own account in a session of their own.
#[must_use = "the proof is passed to the flow that needs it"]
pub struct OwnAccount<'a, A> {
    who: &'a Authenticated,
    action: PhantomData<A>,
}

/// Proof that users act on their own account in a session of their own, and that the second factor, if
/// their sign-ins need one, was proven a short time ago. What changes a way to sign in, or ends the
/// account, takes it.
#[must_use = "the proof is passed to the flow that needs it"]
pub struct OwnWayIn<'a, A> {
    who: &'a Authenticated,
    action: PhantomData<A>,
}

impl<'a, A> OwnWayIn<'a, A> {
    /// Returns the proof without its age.
    pub fn own_account(self) -> OwnAccount<'a, A> {
        OwnAccount {
            who: self.who,
            action: PhantomData,
        }
    }
}

/// Proof that the action `A` may be taken on the account of the session's user: by the user, or by
/// an impersonator who may take it on other users.
#[must_use = "the proof is passed to the flow that needs it"]
pub struct OnBehalf<'a, A> {
    who: &'a Authenticated,
    action: PhantomData<A>,
}

macro_rules! proof_of_a_session {
    ($($proof:ident)+) => {$(
        impl<A> Clone for $proof<'_, A> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<A> Copy for $proof<'_, A> {}

        impl<A> Deref for $proof<'_, A> {
            type Target = Authenticated;
            fn deref(&self) -> &Authenticated {
                self.who
            }
        }
    )+};
}
proof_of_a_session! { OwnAccount OwnWayIn OnBehalf }

impl Authenticated {
    /// Permits an action on other people's accounts or on the service.
    ///
    /// # Errors
    /// [`Error::NotAllowed`] if the powers of the session do not allow the action;
    /// [`Error::SessionNotFresh`] if it changes something and the session was proven too long ago
    /// (`policies.ROLE.fresh_for`), [`Error::AdminNotFresh`] in the session of an impersonator.
    pub fn require<A: Grantable>(&self, app: &App) -> Result<Permitted<'_, A>> {
        let caller = Caller::Session(self);
        caller.require(app, A::ACTION)?;
        Ok(Permitted {
            caller,
            action: PhantomData,
        })
    }

    /// Permits users to act on their own account, and refuses an impersonator: passwords, email
    /// addresses and the account itself are the user's own to change.
    ///
    /// # Errors
    /// [`Error::NotAllowed`] if an impersonator acts as the user.
    pub fn own_account<A: Grantable>(&self) -> Result<OwnAccount<'_, A>> {
        if self.session.impersonated_by.is_some() {
            return Err(Error::NotAllowed(A::ACTION));
        }
        Ok(OwnAccount {
            who: self,
            action: PhantomData,
        })
    }

    /// Permits users to change a way in which they sign in.
    ///
    /// # Errors
    /// [`Error::NotAllowed`] if an impersonator acts as the user; [`Error::SessionNotFresh`] if the
    /// second factor, where the user's sign-ins need one, was proven longer ago than
    /// `sessions.fresh_for`.
    pub fn own_way_in<A: Grantable>(&self, app: &App) -> Result<OwnWayIn<'_, A>> {
        let OwnAccount { who, action } = self.own_account::<A>()?;
        if who.has_fresh_factor(app) {
            Ok(OwnWayIn { who, action })
        } else {
            Err(Error::SessionNotFresh(app.config.sessions.fresh_for))
        }
    }

    /// Permits users to act on their own account, and an impersonator who has the permission to do
    /// the same to other users.
    ///
    /// # Errors
    /// [`Error::NotAllowed`] and [`Error::AdminNotFresh`] for an impersonator, as
    /// [`Self::require`] returns them.
    pub fn on_behalf<A: Grantable>(&self, app: &App) -> Result<OnBehalf<'_, A>> {
        match self.powers.actor() {
            None => {}
            Some(actor) if actor.allow(A::ACTION) => self.admit_change(app, A::ACTION)?,
            Some(_) => return Err(Error::NotAllowed(A::ACTION)),
        }
        Ok(OnBehalf {
            who: self,
            action: PhantomData,
        })
    }
}
