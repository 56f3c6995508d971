//! Deleting sessions and links of mails that ended long ago, and accounts that were never proven,
//! in small pieces in the background; nothing is cleaned per refresh and nothing waits for it. Each
//! piece asks anew whether the clock is confirmed: one that jumps in the middle deletes nothing
//! more.

use std::time::Duration;

use crate::app::{App, Pace};
use crate::model::kernel::trusted_clock::ConfirmedNow;
use crate::store::{self, Conn, Work};

use super::background::Background;
use super::confirm_clock;
use crate::flows::Result;
use crate::flows::account::delete_user;
use crate::flows::audit::{deliver_webhooks, read_audit};

/// How long an ended session is still known, so that its tokens are refused with the right reason.
const KEEP: Duration = Duration::from_secs(7 * 86_400);
/// Accounts that are looked at together.
const ACCOUNTS: i64 = 1_000;

/// Deletes everything that is due; tells how many sessions. On a clock that is not confirmed
/// nothing is.
pub async fn prune(app: &App) -> Result<u64> {
    app.refresh_pace.forget_idle();
    app.mint_pace.iter().for_each(Pace::forget_idle);
    if let Some(now) = confirm_clock::confirm(app).await? {
        let work = app.db.write(move |conn| {
            Box::pin(async move {
                Ok(store::session::old_sessions::end_unbegun(conn, now).await?
                    + store::mails::end_unbegun(conn, now).await?)
            })
        });
        let ended = work.await?;
        if ended > 0 {
            tracing::warn!(
                ended,
                "sessions and links that a clock which was ahead has made are over"
            );
        }
    }
    let absolute = in_pieces(app, |conn, now, limit| {
        Box::pin(store::session::old_sessions::prune(conn, now, KEEP, limit))
    })
    .await?;
    let sessions = absolute + prune_idle(app).await?;
    in_pieces(app, |conn, now, limit| {
        Box::pin(store::limit::limits::prune(conn, now, limit))
    })
    .await?;
    in_pieces(app, |conn, now, limit| {
        Box::pin(store::mails::prune_tokens(conn, now, KEEP, limit))
    })
    .await?;
    while let Some(now) = confirm_clock::confirm(app).await? {
        if delete_user::unproven(app, now, ACCOUNTS).await? < ACCOUNTS.unsigned_abs() {
            break;
        }
    }
    // Also where no webhook is configured any more.
    in_pieces(app, |conn, now, limit| {
        Box::pin(store::audit::webhooks::prune(
            conn,
            now,
            deliver_webhooks::GIVE_UP,
            limit,
        ))
    })
    .await?;
    read_audit::prune(app).await?;
    Ok(sessions)
}

/// Deletes piece by piece until one is not full; returns how many rows.
async fn in_pieces(
    app: &App,
    delete: impl for<'c> Fn(&'c mut Conn, ConfirmedNow, i64) -> Work<'c, u64>
    + Copy
    + Send
    + Sync
    + 'static,
) -> Result<u64> {
    let (mut total, mut background) = (0, Background::deleting(app));
    while let Some(now) = confirm_clock::confirm(app).await? {
        let (deleted, limit) = background
            .piece(move |conn, limit| {
                Box::pin(async move { Ok((delete(conn, now, limit).await?, limit)) })
            })
            .await?;
        total += deleted;
        if deleted < limit.unsigned_abs() {
            break;
        }
        background.pause().await?;
    }
    Ok(total)
}

/// Sessions that are looked at together.
const PAGE: i64 = 500;

/// Deletes the sessions whose end without use lies long enough ago. No index holds that end, since
/// every refresh would have to write it: the table is read in pages, and only a page in which
/// something is due is written to.
async fn prune_idle(app: &App) -> Result<u64> {
    let (mut total, mut after, mut background) = (0, None, Background::deleting(app));
    while let Some(now) = confirm_clock::confirm(app).await? {
        let before = now.now() - KEEP;
        let page = app
            .db
            .read(move |conn| {
                Box::pin(store::session::old_sessions::idle_page(
                    conn, after, before, PAGE,
                ))
            })
            .await?;
        let Some((last, due)) = page else { break };
        if due > 0 {
            let (deleted, limit) = background
                .piece(move |conn, limit| {
                    Box::pin(async move {
                        let page = (after, last);
                        let deleted =
                            store::session::old_sessions::prune_idle(conn, page, now, KEEP, limit)
                                .await?;
                        Ok((deleted, limit))
                    })
                })
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
