//! What admins and operators change about users: roles, bans, addresses, everything; and deleting
//! them. That the last admin stays one is decided on locked rows, in the transaction of the change;
//! who may touch whom by the rows as they were just read.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::app::App;
use crate::model::account::permission::{Action, Field};
use crate::model::account::user::User;
use crate::model::audit::event::{Kind, Peer};
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::mail::Template;
use crate::model::session::session::RevokedReason;
pub use crate::store::account::user_changes::{Ban, Changes};
pub use crate::store::account::user_search::{
    Column, Condition, Operator, Search, Value as Operand,
};
use crate::store::session::endings::Which;
use crate::store::{self, Conn};

use crate::flows::audit::recorder::{Recorder, detail};
use crate::flows::authority::{Authority, check_roles};
use crate::flows::session::end_session::end;
use crate::flows::{Error, Result};

/// What Better Auth writes where an admin gives no reason.
const NO_REASON: &str = "No reason";

/// A page of users and how many there are in all.
pub async fn search(app: &App, by: Authority<'_>, search: Search) -> Result<(Vec<User>, i64)> {
    by.may(app, Action::ListUsers)?;
    Ok(app
        .db
        .read(move |conn| {
            Box::pin(async move { store::account::user_search::search(conn, &search).await })
        })
        .await?)
}

/// The user of this id.
pub async fn get(app: &App, by: Authority<'_>, id: UserId) -> Result<User> {
    by.may(app, Action::GetUser)?;
    find(app, id).await
}

/// The user, if this may be done to them.
pub async fn target(app: &App, by: Authority<'_>, action: Action, id: UserId) -> Result<User> {
    by.may(app, action)?;
    let user = find(app, id).await?;
    by.may_to(app, action, &user)?;
    Ok(user)
}

async fn find(app: &App, id: UserId) -> Result<User> {
    let found = app
        .db
        .read(move |conn| Box::pin(store::account::users::by_id(conn, id)))
        .await?;
    found.map(|f| f.user).ok_or(Error::UserNotFound)
}

/// Changes whatever is said of a user.
pub async fn update(
    app: &App,
    by: Authority<'_>,
    id: UserId,
    mut changes: Changes,
    peer: &Peer,
) -> Result<User> {
    if changes.is_empty() {
        return Err(Error::NoDataToUpdate);
    }
    let target = find(app, id).await?;
    by.may_to(app, Action::UpdateUser, &target)?;
    for field in changes.fields() {
        by.may_set(app, field, &target)?;
    }
    if let Some(role) = &changes.role {
        may_give(app, by, &target, role)?;
    }
    if matches!(changes.ban, Some(Ban::Set { .. })) && by.names(&target) {
        return Err(Error::CannotBanYourself);
    }
    if changes
        .email
        .as_ref()
        .is_some_and(|new| *new != target.email)
    {
        // The new mailbox is not proven, unless the request vouches for it.
        changes.email_verified.get_or_insert(false);
    }
    carry_out(app, by, id, changes, peer).await
}

/// Replaces the roles.
pub async fn set_role(
    app: &App,
    by: Authority<'_>,
    id: UserId,
    role: String,
    peer: &Peer,
) -> Result<User> {
    by.may(app, Action::SetRole)?;
    let target = find(app, id).await?;
    may_give(app, by, &target, &role)?;
    carry_out(
        app,
        by,
        id,
        Changes {
            role: Some(role),
            ..Changes::default()
        },
        peer,
    )
    .await
}

fn may_give(app: &App, by: Authority<'_>, target: &User, role: &str) -> Result<()> {
    by.may_set(app, Field::Role, target)?;
    check_roles(app, role)?;
    // Setting roles takes away those that were there.
    if by.may_give(app, role) && by.may_give(app, &target.role) {
        Ok(())
    } else {
        Err(Error::NotAllowed(Action::SetRole))
    }
}

/// Shuts a user out for a time or for ever; every session ends in the same transaction.
pub async fn ban(
    app: &App,
    by: Authority<'_>,
    id: UserId,
    reason: Option<String>,
    expires_in: Option<Duration>,
    peer: &Peer,
) -> Result<User> {
    by.may(app, Action::BanUser)?;
    let target = find(app, id).await?;
    if by.names(&target) {
        return Err(Error::CannotBanYourself);
    }
    by.may_to(app, Action::BanUser, &target)?;
    let ends_at = expires_in.map(|time| app.now() + time);
    let ban = Ban::Set {
        reason: reason
            .filter(|r| !r.is_empty())
            .unwrap_or_else(|| NO_REASON.into()),
        ends_at,
    };
    carry_out(
        app,
        by,
        id,
        Changes {
            ban: Some(ban),
            ..Changes::default()
        },
        peer,
    )
    .await
}

/// Lets a banned user in again.
pub async fn unban(app: &App, by: Authority<'_>, id: UserId, peer: &Peer) -> Result<User> {
    by.may(app, Action::BanUser)?;
    by.may_to(app, Action::BanUser, &find(app, id).await?)?;
    carry_out(
        app,
        by,
        id,
        Changes {
            ban: Some(Ban::Lifted),
            ..Changes::default()
        },
        peer,
    )
    .await
}

/// Deletes a user with every session and account.
pub async fn remove(app: &App, by: Authority<'_>, id: UserId, peer: &Peer) -> Result<()> {
    by.may(app, Action::DeleteUser)?;
    let target = find(app, id).await?;
    if by.names(&target) {
        return Err(Error::CannotRemoveYourself);
    }
    by.may_to(app, Action::DeleteUser, &target)?;
    let recorder = Recorder::new(app, peer);
    let work = app.db.write_unless_refused(move |conn| {
        Box::pin(async move {
            store::account::user_changes::lock_account(conn, id).await?;
            if is_last_admin(conn, id, &recorder).await? {
                return Ok(Err(Error::LastAdmin));
            }
            end(conn, &recorder, Which::ActedBy(id), RevokedReason::Revoked).await?;
            if !store::account::user_changes::delete(
                conn,
                id,
                &recorder.cause(conn.now(), RevokedReason::Revoked),
            )
            .await?
            {
                return Ok(Err(Error::UserNotFound));
            }
            recorder
                .record(conn, Kind::UserDeleted, Some(id), None, Map::new())
                .await?;
            Ok(Ok(()))
        })
    });
    work.await?
}

/// Whether nobody else could sign in as an admin; admins are locked first, so that two who remove
/// each other wait for one another.
pub(in crate::flows) async fn is_last_admin(
    conn: &mut Conn,
    id: UserId,
    recorder: &Recorder,
) -> store::Result<bool> {
    let admins =
        store::account::user_changes::lock_admins(conn, recorder.proven_mailboxes, conn.now())
            .await?;
    Ok(admins.len() == 1 && admins.iter().any(|a| a.id == id))
}

async fn carry_out(
    app: &App,
    by: Authority<'_>,
    id: UserId,
    changes: Changes,
    peer: &Peer,
) -> Result<User> {
    let recorder = Recorder::new(app, peer);
    let spared = by.session();
    let done = app
        .db
        .write_unless_refused(move |conn| Box::pin(change(conn, id, changes, spared, recorder)))
        .await;
    app.mail_waits.notify_one();
    match done {
        Ok(outcome) => outcome,
        Err(store::Error::Conflict) => Err(Error::EmailTaken),
        Err(error) => Err(error.into()),
    }
}

async fn change(
    conn: &mut Conn,
    id: UserId,
    changes: Changes,
    spared: Option<SessionId>,
    recorder: Recorder,
) -> store::Result<Result<User>> {
    let bans = matches!(changes.ban, Some(Ban::Set { .. }));
    let demotes = changes.role.as_ref().is_some_and(|role| {
        role.split(',')
            .all(|r| r != crate::model::account::permission::ADMIN)
    });
    if (bans || demotes) && is_last_admin(conn, id, &recorder).await? {
        return Ok(Err(Error::LastAdmin));
    }
    let Some(before) = store::account::user_changes::lock(conn, id).await? else {
        return Ok(Err(Error::UserNotFound));
    };
    let Some(user) = store::account::user_changes::change(conn, id, &changes, conn.now()).await?
    else {
        return Ok(Err(Error::UserNotFound));
    };
    if bans {
        end(
            conn,
            &recorder,
            Which::OfUser {
                user: id,
                except: None,
            },
            RevokedReason::UserBanned,
        )
        .await?;
    } else if changes.role.is_some() {
        // What the old roles allowed is over: also what somebody does in another one's name.
        end(conn, &recorder, Which::ActedBy(id), RevokedReason::Revoked).await?;
    }
    if changes.email.is_some() || changes.email_verified.is_some() {
        // What was sent to the mailbox of before is worth nothing, also if it becomes the user's
        // again.
        store::mails::end_tokens(conn, id, conn.now()).await?;
    }
    if user.email != before.email {
        end(
            conn,
            &recorder,
            Which::OfUser {
                user: id,
                except: spared,
            },
            RevokedReason::EmailChanged,
        )
        .await?;
        recorder
            .outbox()
            .notice(
                conn,
                Template::EmailChanged,
                &before,
                detail([("newEmail", user.email.as_str().into())]),
            )
            .await?;
    }
    for (kind, detail) in events(&changes) {
        recorder.record(conn, kind, Some(id), None, detail).await?;
    }
    Ok(Ok(user))
}

/// What the audit trail hears; no addresses and names.
fn events(changes: &Changes) -> Vec<(Kind, Map<String, Value>)> {
    let mut events = Vec::new();
    if let Some(role) = &changes.role {
        events.push((Kind::RoleChanged, detail([("role", role.as_str().into())])));
    }
    match &changes.ban {
        Some(Ban::Set { ends_at, .. }) => events.push((
            Kind::UserBanned,
            detail([("endsAt", ends_at.map(|t| t.0).into())]),
        )),
        Some(Ban::Lifted) => events.push((Kind::UserUnbanned, Map::new())),
        None => {}
    }
    // A role and a ban have events of their own.
    let named: Vec<Value> = changes
        .fields()
        .into_iter()
        .filter(|field| !matches!(field, Field::Role | Field::Ban))
        .map(|field| field.name().into())
        .collect();
    if !named.is_empty() {
        events.push((Kind::UserUpdated, detail([("fields", named.into())])));
    }
    events
}
