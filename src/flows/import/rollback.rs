//! Takes a batch back: deletes the users that it created and that are as they came, and removes what
//! its links added. Users who have been here since stay, and are listed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::run;
use crate::app::App;
use crate::flows::permit::{Permitted, to};
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::{Tx, tx};
use crate::flows::{Error, Result};
use crate::model::audit::event::{Kind, Requester};
use crate::model::import::batch::{Batch, DoneRow, State};
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::RevokedReason;
use crate::store::import::rollback;
use crate::store::{self, work};

/// Rows that are taken back in one transaction.
const PAGE: i64 = 200;

/// How long a batch can be taken back; afterwards its rows are deleted.
pub const KEEP: Duration = Duration::from_secs(30 * 86_400);

/// What taking a batch back did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenBack {
    /// The number of users that were deleted.
    pub deleted: u64,
    /// The number of links that were removed.
    pub unlinked: u64,
    /// The users who stay, because they have been here since, or use what the link added.
    pub kept: Vec<UserId>,
}

impl TakenBack {
    fn add(&mut self, other: Self) {
        self.deleted += other.deleted;
        self.unlinked += other.unlinked;
        self.kept.extend(other.kept);
    }
}

/// Finds a batch that can be taken back.
///
/// # Errors
/// [`Error::ImportRefused`] if there is none, if it was taken back, or if it is too old.
pub async fn find(app: &App, _: Permitted<'_, to::ImportUsers>, id: &str) -> Result<Batch> {
    let batch = run::find(app, id).await?;
    let refused = |text: &str| Err(Error::ImportRefused(text.to_owned()));
    if batch.state == State::RolledBack {
        return refused("the batch was taken back before");
    }
    if app.now().since(batch.started_at) >= KEEP {
        return refused("the batch is older than 30 days, and what it did is no longer stored");
    }
    Ok(batch)
}

/// Returns what taking the batch back would do, and writes nothing.
pub async fn foresee(
    app: &App,
    _: Permitted<'_, to::ImportUsers>,
    batch: &Batch,
) -> Result<TakenBack> {
    let (id, since) = (batch.id, batch.started_at);
    let touched = touched(app, id, since).await?;
    let (mut after, mut all) = (0, TakenBack::default());
    loop {
        let touched = Arc::clone(&touched);
        let read = app.db.read(work!(conn => {
            let mut found = TakenBack::default();
            let rows = store::import::rows::page(conn, id, after, PAGE).await?;
            for row in &rows {
                let Some(user) = row.user else { continue };
                if row.verdict == "link" {
                    found.unlinked += 1;
                } else if !touched.contains(&user.to_string())
                    && rollback::is_untouched(conn, user, id).await?
                {
                    found.deleted += 1;
                } else {
                    found.kept.push(user);
                }
            }
            Ok((rows.last().map(|row| row.number), found))
        }));
        let (last, found) = read.await?;
        all.add(found);
        match last {
            Some(last) => after = last,
            None => return Ok(all),
        }
    }
}

async fn touched(app: &App, batch: EventId, since: Timestamp) -> Result<Arc<BTreeSet<String>>> {
    Ok(app
        .db
        .read(work!(conn => rollback::with_events(conn, batch, since).await.map(Arc::new)))
        .await?)
}

/// Takes the batch back; `progress` is called with the number of rows of each page.
///
/// # Errors
/// [`Error::ImportRefused`] if another process took it back.
pub async fn take_back(
    app: &App,
    _: Permitted<'_, to::ImportUsers>,
    batch: &Batch,
    requester: &Requester,
    mut progress: impl FnMut(u64),
) -> Result<TakenBack> {
    let (id, mut after, mut all) = (batch.id, 0, TakenBack::default());
    stop(app, batch, requester).await?;
    loop {
        let since = app.now();
        let touched = touched(app, id, batch.started_at).await?;
        let page = app.transaction(
            requester,
            tx!(tx => take_page_back(tx, id, after, &touched, since).await),
        );
        let (last, rows, found) = Box::pin(page).await?;
        all.add(found);
        progress(rows);
        match last {
            Some(last) => after = last,
            None => break,
        }
    }
    let about = told(batch, &all);
    app.transaction(
        requester,
        tx!(tx => {
            let now = tx.now();
            let (done, back) = (State::Done, State::RolledBack);
            if !store::import::batches::end(tx.conn, id, done, back, now).await? {
                return Err(Error::ImportRefused("another process took the batch back".into()));
            }
            tx.record(Kind::ImportRolledBack, None, None, about).await
        }),
    )
    .await?;
    Ok(all)
}

/// Ends a batch that has not reached the end of its file, so that no process goes on with it. If
/// taking it back is interrupted, it can be begun again.
async fn stop(app: &App, batch: &Batch, requester: &Requester) -> Result<()> {
    let id = batch.id;
    app.transaction(
        requester,
        tx!(tx => {
            let now = tx.now();
            let (running, done) = (State::Running, State::Done);
            store::import::batches::end(tx.conn, id, running, done, now).await?;
            Ok(())
        }),
    )
    .await
}

/// Takes a page of rows back; returns the number of the last one, how many there were, and what was
/// done.
async fn take_page_back(
    tx: &mut Tx<'_>,
    batch: EventId,
    after: u64,
    touched: &BTreeSet<String>,
    since: Timestamp,
) -> Result<(Option<u64>, u64, TakenBack)> {
    let rows = store::import::rows::page(tx.conn, batch, after, PAGE).await?;
    // Events of the time since the users were looked up.
    let lately = rollback::with_events(tx.conn, batch, since).await?;
    let (mut found, mut deleted) = (TakenBack::default(), Vec::new());
    for row in &rows {
        let Some(user) = row.user else { continue };
        store::account::user_changes::lock_account(tx.conn, user).await?;
        store::account::user_changes::lock(tx.conn, user).await?;
        if row.verdict == "link" {
            if unlink(tx, batch, user, row).await? {
                found.unlinked += 1;
            } else {
                found.kept.push(user);
            }
            continue;
        }
        let name = user.to_string();
        let is_untouched = !touched.contains(&name)
            && !lately.contains(&name)
            && rollback::is_untouched(tx.conn, user, batch).await?;
        let cause = tx.cause(RevokedReason::Revoked);
        if is_untouched && store::account::user_changes::delete(tx.conn, user, &cause).await? {
            let about = detail([("batch", batch.to_string().into())]);
            deleted.push((user, about));
        } else {
            found.kept.push(user);
        }
    }
    found.deleted = deleted.len() as u64;
    let recorder = Arc::clone(&tx.recorder);
    recorder
        .record_users(tx.conn, Kind::UserDeleted, deleted)
        .await?;
    Ok((rows.last().map(|row| row.number), rows.len() as u64, found))
}

/// Removes what a link added; returns whether all of it is gone.
async fn unlink(tx: &mut Tx<'_>, batch: EventId, user: UserId, row: &DoneRow) -> Result<bool> {
    let mut all_gone = true;
    for account in &row.added {
        all_gone &= rollback::remove_account(tx.conn, user, *account).await?;
    }
    store::import::foreign_ids::remove(tx.conn, user, batch).await?;
    Ok(all_gone)
}

/// Returns the details of the event.
fn told(batch: &Batch, done: &TakenBack) -> Map<String, Value> {
    detail([
        ("batch", json!(batch.id)),
        ("source", json!(batch.source)),
        ("deleted", json!(done.deleted)),
        ("unlinked", json!(done.unlinked)),
        ("kept", json!(done.kept.len())),
    ])
}
