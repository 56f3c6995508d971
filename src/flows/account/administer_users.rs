//! What admins and operators change about users: roles, bans, email addresses and all other fields;
//! and deletion. Whether the last admin stays an admin is decided on locked rows, in the
//! transaction of the change; who may change whom is decided by rows that were read just before.

use crate::app::App;
use crate::flows::authority::{Caller, check_roles};
use crate::flows::find_user;
use crate::flows::permit::{Grantable, Permitted, PermittedOn, to};
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};
use crate::model::account::action::{Action, Field};
use crate::model::account::profile::BanReason;
use crate::model::account::user::User;
use crate::model::audit::event::Requester;
use crate::model::kernel::id::UserId;

use crate::model::kernel::period::Period;
pub use crate::store::account::user_changes::{Ban, Changes};

pub use crate::store::account::user_search::{
    Column, Condition, Operator, Search, Value as Operand,
};
use crate::store::{self, work};

use super::change_user::{change, delete_account, keep_an_admin};

/// The ban reason that Better Auth stores if an admin gives none.
const NO_REASON: &str = "No reason";

/// Returns a page of users and the number of all users that match.
pub async fn search(
    app: &App,
    _: Permitted<'_, to::ListUsers>,
    search: Search,
) -> Result<(Vec<User>, i64)> {
    Ok(app
        .db
        .read(work!(conn => store::account::user_search::search(conn, &search).await))
        .await?)
}

/// Returns the user with this id.
pub async fn get(app: &App, _: Permitted<'_, to::GetUser>, id: UserId) -> Result<User> {
    find_user::by_id(app, id).await
}

/// Changes the given fields of a user.
pub async fn update(
    app: &App,
    permitted: Permitted<'_, to::UpdateUser>,
    id: UserId,
    mut changes: Changes,
    requester: &Requester,
) -> Result<User> {
    if changes.is_empty() {
        return Err(Error::NoDataToUpdate);
    }
    let on = permitted.on_user(app, id).await?;
    let (by, target) = (on.caller(), on.target());
    for field in changes.fields() {
        by.require_to_set(app, field, target)?;
    }
    if let Some(role) = &changes.role {
        require_role_change(app, by, target, role)?;
    }
    if matches!(changes.ban, Some(Ban::Set { .. })) && by.names(target) {
        return Err(Error::CannotBanYourself);
    }
    if changes
        .email
        .as_ref()
        .is_some_and(|new| *new != target.email)
    {
        // The new mailbox is not verified, unless the request says that it is.
        changes.email_verified.get_or_insert(false);
    }
    carry_out(app, &on, changes, requester).await
}

/// Replaces the roles of a user.
pub async fn set_role(
    app: &App,
    permitted: Permitted<'_, to::SetRole>,
    id: UserId,
    role: String,
    requester: &Requester,
) -> Result<User> {
    let on = permitted.on_user(app, id).await?;
    require_role_change(app, on.caller(), on.target(), &role)?;
    carry_out(
        app,
        &on,
        Changes {
            role: Some(role),
            ..Changes::default()
        },
        requester,
    )
    .await
}

fn require_role_change(app: &App, by: Caller<'_>, target: &User, role: &str) -> Result<()> {
    by.require_to_set(app, Field::Role, target)?;
    check_roles(app, role)?;
    // Setting roles also removes the previous ones, so both sets have to be the caller's to give.
    if by.may_give(app, role) && by.may_give(app, &target.role) {
        Ok(())
    } else {
        Err(Error::NotAllowed(Action::SetRole))
    }
}

/// Bans a user, with or without an end; every session ends in the same transaction.
pub async fn ban(
    app: &App,
    permitted: Permitted<'_, to::BanUser>,
    id: UserId,
    reason: Option<BanReason>,
    expires_in: Option<Period>,
    requester: &Requester,
) -> Result<User> {
    let target = find_user::by_id(app, id).await?;
    if permitted.caller().names(&target) {
        return Err(Error::CannotBanYourself);
    }
    let on = permitted.on(app, target)?;
    let ends_at = expires_in.map(|time| app.now() + time.length());
    let ban = Ban::Set {
        reason: reason
            .filter(|r| !r.is_empty())
            .map_or_else(|| NO_REASON.into(), String::from),
        ends_at,
    };
    carry_out(
        app,
        &on,
        Changes {
            ban: Some(ban),
            ..Changes::default()
        },
        requester,
    )
    .await
}

/// Lifts the ban of a user.
pub async fn unban(
    app: &App,
    permitted: Permitted<'_, to::BanUser>,
    id: UserId,
    requester: &Requester,
) -> Result<User> {
    let on = permitted.on_user(app, id).await?;
    carry_out(
        app,
        &on,
        Changes {
            ban: Some(Ban::Lifted),
            ..Changes::default()
        },
        requester,
    )
    .await
}

/// Deletes a user with every session and account.
pub async fn remove(
    app: &App,
    permitted: Permitted<'_, to::DeleteUser>,
    id: UserId,
    requester: &Requester,
) -> Result<()> {
    let target = find_user::by_id(app, id).await?;
    if permitted.caller().names(&target) {
        return Err(Error::CannotRemoveYourself);
    }
    let id = permitted.on(app, target)?.target().id;
    app.transaction(
        requester,
        tx!(tx => {
            store::account::user_changes::lock_account(tx.conn, id).await?;
            keep_an_admin(tx, id).await?;
            delete_account(tx, id, Error::UserNotFound).await
        }),
    )
    .await
}

/// Deletes a user as [`remove`] does, if `typed` is the user's email address: a person confirms
/// whom the deletion is about.
///
/// # Errors
/// [`Error::EmailMismatch`] if it is not.
pub async fn remove_confirmed(
    app: &App,
    permitted: Permitted<'_, to::DeleteUser>,
    id: UserId,
    typed: &str,
    requester: &Requester,
) -> Result<()> {
    let target = find_user::by_id(app, id).await?;
    if typed.trim().parse().ok() == Some(target.email) {
        remove(app, permitted, id, requester).await
    } else {
        Err(Error::EmailMismatch)
    }
}

async fn carry_out<A: Grantable>(
    app: &App,
    on: &PermittedOn<'_, A>,
    changes: Changes,
    requester: &Requester,
) -> Result<User> {
    let (id, spared) = (on.target().id, on.caller().session());
    app.transaction(requester, tx!(tx => change(tx, id, &changes, spared).await))
        .await
}
