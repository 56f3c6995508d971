//! Deleting sessions and links of mails that ended long ago, and accounts that nobody proved, in batches; nothing is cleaned per refresh and nothing waits for it.

use std::time::Duration;

use crate::app::{App, Pace};
use crate::store;

use super::{Result, delete_user, deliver_webhooks};

/// How long an ended session is still known, so that its tokens are refused with the right reason.
const KEEP: Duration = Duration::from_secs(7 * 86_400);
const BATCH: i64 = 1_000;

/// Deletes everything that is due; tells how many sessions.
pub async fn prune(app: &App) -> Result<u64> {
    app.refresh_pace.forget_idle();
    app.mint_pace.iter().for_each(Pace::forget_idle);
    let before = app.now() - KEEP;
    let mut total = 0;
    loop {
        let deleted = app.db.write_statement(move |conn| Box::pin(store::sessions::prune(conn, before, BATCH))).await?;
        total += deleted;
        if deleted < BATCH.unsigned_abs() {
            break;
        }
    }
    let now = app.now();
    while app.db.write_statement(move |conn| Box::pin(store::limits::prune(conn, now, BATCH))).await? == BATCH.unsigned_abs() {}
    loop {
        let deleted = app.db.write_statement(move |conn| Box::pin(store::mails::prune_tokens(conn, before, BATCH))).await?;
        if deleted < BATCH.unsigned_abs() {
            break;
        }
    }
    while delete_user::unproven(app, BATCH).await? == BATCH.unsigned_abs() {}
    // Also where no webhook is told of anything any more.
    let stale = app.now() - deliver_webhooks::GIVE_UP;
    while app.db.write_statement(move |conn| Box::pin(store::webhooks::prune(conn, stale, BATCH))).await? == BATCH.unsigned_abs() {}
    super::read_audit::prune(app).await?;
    Ok(total)
}
