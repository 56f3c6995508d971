//! Deletes sessions and links that ended long ago, and accounts that were never verified, in small
//! pieces in the background, so that no refresh has to clean up or wait for it. Each piece checks
//! again whether the clock is confirmed: if it jumps meanwhile, nothing more is deleted. At the end
//! SQLite's write-ahead log is emptied, so that what was deleted can no longer be read there.

use std::time::Duration;

use crate::app::{App, Pace};
use crate::model::audit::event::Requester;
use crate::model::kernel::trusted_clock::{ConfirmedNow, MAX_GAP};
use crate::store::{self, Work, work};

use crate::flows::account::delete_user;
use crate::flows::audit::{deliver_webhooks, read_audit};
use crate::flows::confirm_clock;
use crate::flows::import::rollback;
use crate::flows::transaction::background::Background;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};

/// How long an ended session is kept, so that its tokens are refused with the right reason.
const KEEP: Duration = Duration::from_secs(7 * 86_400);
/// The number of accounts that are checked together.
const ACCOUNTS: i64 = 1_000;

/// Deletes everything that is due; returns how many sessions. Deletes nothing on a clock that is
/// not confirmed.
pub async fn prune(app: &App) -> Result<u64> {
    app.refresh_pace.forget_idle();
    app.strength_pace.forget_idle();
    app.renewal_pace.forget_idle();
    app.mint_pace.iter().for_each(Pace::forget_idle);
    if let Some(now) = confirm_clock::confirm(app).await? {
        let end = tx!(tx => {
            let sessions = store::session::old_sessions::end_unbegun(tx.conn, now).await?;
            let codes = store::login::old_codes::end_unbegun(tx.conn, now).await?;
            Ok(sessions + codes + store::mails::end_unbegun(tx.conn, now).await?)
        });
        let ended = app.transaction(&Requester::named("schedule"), end).await?;
        if ended > 0 {
            tracing::warn!(
                ended,
                "ended sessions and links that were made by a clock that was ahead"
            );
        }
    }
    let absolute = in_pieces(app, |now| tx!(tx, limit => Ok(store::session::old_sessions::prune(tx.conn, now, KEEP, limit).await?)))
    .await?;
    let sessions = absolute + prune_idle(app).await?;
    in_pieces(
        app,
        |now| tx!(tx, limit => Ok(store::limit::limits::prune(tx.conn, now, limit).await?)),
    )
    .await?;
    in_pieces(
        app,
        |now| tx!(tx, limit => Ok(store::mails::prune_tokens(tx.conn, now, KEEP, limit).await?)),
    )
    .await?;
    in_pieces(
        app,
        |now| tx!(tx, limit => Ok(store::login::challenges::prune(tx.conn, now, limit).await?)),
    )
    .await?;
    in_pieces(app, |now| {
        tx!(tx, limit => Ok(store::login::old_codes::prune(tx.conn, now, KEEP, limit).await?))
    })
    .await?;
    in_pieces(app, |now| {
        tx!(tx, limit => Ok(store::login::used_assertions::prune(tx.conn, now, MAX_GAP, limit).await?))
    })
    .await?;
    in_pieces(app, |now| {
        tx!(tx, limit => Ok(store::import::rows::prune(tx.conn, now, rollback::KEEP, limit).await?))
    })
    .await?;
    while let Some(now) = confirm_clock::confirm(app).await? {
        if delete_user::unproven(app, now, ACCOUNTS).await? < ACCOUNTS.unsigned_abs() {
            break;
        }
    }
    // Even if no webhook is configured any more.
    in_pieces(app, |now| {
        tx!(tx, limit => Ok(store::audit::webhooks::prune(
            tx.conn,
            now,
            deliver_webhooks::GIVE_UP,
            limit,
        ).await?))
    })
    .await?;
    read_audit::prune(app).await?;
    match app.db.empty_log().await {
        Ok(true) => {}
        Ok(false) => tracing::debug!("the write-ahead log is in use and was not emptied"),
        Err(error) => tracing::warn!(%error, "the write-ahead log could not be emptied"),
    }
    Ok(sessions)
}

/// Deletes piece by piece until a piece is not full; returns how many rows.
async fn in_pieces<F>(app: &App, delete: impl Fn(ConfirmedNow) -> F) -> Result<u64>
where
    F: for<'t, 'c> FnOnce(&'t mut Tx<'c>, i64) -> Work<'t, u64, Error> + Clone + Send + 'static,
{
    let (mut total, mut background) = (0, Background::deleting(app));
    while let Some(now) = confirm_clock::confirm(app).await? {
        let delete = delete(now);
        let (deleted, limit) = background
            .piece(tx!(tx, limit => Ok((delete(tx, limit).await?, limit))))
            .await?;
        total += deleted;
        if deleted < limit.unsigned_abs() {
            break;
        }
        background.pause().await?;
    }
    Ok(total)
}

/// The number of sessions that are checked together.
const PAGE: i64 = 500;

/// Deletes the sessions whose idle end is long enough ago. No index covers the idle end, since
/// every refresh would have to write it: the table is read in pages, and a page is only written to
/// if something in it is due.
async fn prune_idle(app: &App) -> Result<u64> {
    let (mut total, mut after, mut background) = (0, None, Background::deleting(app));
    while let Some(now) = confirm_clock::confirm(app).await? {
        let before = now.now() - KEEP;
        let page = app
            .db
            .read(work!(conn => {
                store::session::old_sessions::idle_page(conn, after, before, PAGE).await
            }))
            .await?;
        let Some((last, due)) = page else { break };
        if due > 0 {
            let (deleted, limit) = background
                .piece(tx!(tx, limit => {
                    let page = (after, last);
                    let prune = store::session::old_sessions::prune_idle;
                    Ok((prune(tx.conn, page, now, KEEP, limit).await?, limit))
                }))
                .await?;
            total += deleted;
            background.pause().await?;
            if deleted == limit.unsigned_abs() {
                // The rest of the page is read again.
                continue;
            }
        }
        after = Some(last);
    }
    Ok(total)
}
