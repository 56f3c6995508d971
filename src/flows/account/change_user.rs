//! Changes of a user by an admin or operator, in their transaction: what they end, which notices
//! are sent, and that the last admin stays an admin.

use serde_json::{Map, Value};

use crate::model::account::action::Field;
use crate::model::account::user::User;
use crate::model::audit::event::Kind;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::mail::Template;
use crate::model::session::session::RevokedReason;
use crate::store;
use crate::store::account::user_changes::{Ban, Changes};
use crate::store::session::endings::Which;

use crate::flows::error::if_conflict;
use crate::flows::session::end_session::end;
use crate::flows::transaction::Tx;
use crate::flows::transaction::recorder::detail;
use crate::flows::{Error, Result};

/// Deletes the account with every session, including those in which its user impersonates another
/// one, and records it. Locks the account and the admins. `missing` is the error if the user does
/// not exist.
pub(in crate::flows) async fn delete_account(
    tx: &mut Tx<'_>,
    id: UserId,
    missing: Error,
) -> Result<()> {
    end(tx, Which::ActedBy(id), RevokedReason::Revoked).await?;
    let cause = tx.cause(RevokedReason::Revoked);
    if !store::account::user_changes::delete(tx.conn, id, &cause).await? {
        return Err(missing);
    }
    tx.record(Kind::UserDeleted, Some(id), None, Map::new())
        .await
}

/// Refuses a change that would leave no other user who can sign in as an admin. Locks the admins
/// first, so that two who remove each other wait for each other.
///
/// # Errors
/// [`Error::LastAdmin`]
pub(in crate::flows) async fn keep_an_admin(tx: &mut Tx<'_>, id: UserId) -> Result<()> {
    let (now, proven) = (tx.now(), tx.recorder.proven_mailboxes);
    let admins = store::account::user_changes::lock_admins(tx.conn, proven, now).await?;
    if admins.len() == 1 && admins.iter().any(|admin| admin.id == id) {
        Err(Error::LastAdmin)
    } else {
        Ok(())
    }
}

pub(super) async fn change(
    tx: &mut Tx<'_>,
    id: UserId,
    changes: &Changes,
    spared: Option<SessionId>,
) -> Result<User> {
    let bans = matches!(changes.ban, Some(Ban::Set { .. }));
    let demotes = changes.role.as_ref().is_some_and(|role| {
        role.split(',')
            .all(|r| r != crate::model::account::user::ADMIN)
    });
    if bans || demotes {
        keep_an_admin(tx, id).await?;
    }
    let before = store::account::user_changes::lock(tx.conn, id)
        .await?
        .ok_or(Error::UserNotFound)?;
    let now = tx.now();
    let user = store::account::user_changes::change(tx.conn, id, changes, now)
        .await
        .map_err(if_conflict(Error::EmailTaken))?
        .ok_or(Error::UserNotFound)?;
    if bans {
        end(
            tx,
            Which::OfUser {
                user: id,
                except: None,
            },
            RevokedReason::UserBanned,
        )
        .await?;
    } else if changes.role.is_some() {
        // The permissions of the old roles have ended, and with them the sessions in which this
        // user impersonates another one.
        end(tx, Which::ActedBy(id), RevokedReason::Revoked).await?;
    }
    if changes.email.is_some() || changes.email_verified.is_some() {
        // Links that were sent to the old mailbox stay invalid, even if it becomes the user's
        // again.
        store::mails::end_tokens(tx.conn, id, now).await?;
    }
    if user.email != before.email {
        store::login::codes::end_at(tx.conn, &before.email, now).await?;
        end(
            tx,
            Which::OfUser {
                user: id,
                except: spared,
            },
            RevokedReason::EmailChanged,
        )
        .await?;
        tx.queue_notice(
            Template::EmailChanged,
            &before,
            detail([("newEmail", user.email.as_str().into())]),
        )
        .await?;
    }
    for (kind, detail) in events(changes) {
        tx.record(kind, Some(id), None, detail).await?;
    }
    Ok(user)
}

/// Returns the audit events of a change; they contain no email addresses and names.
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
    // Roles and bans have events of their own.
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
