//! Reads what imports did.

use super::run;
use crate::app::App;
use crate::flows::Result;
use crate::flows::permit::{Permitted, to};
use crate::model::import::batch::{Batch, DoneRow};
use crate::store::{self, work};

/// The most batches of a list.
const MOST: i64 = 1_000;
/// Rows that are read at once.
const PAGE: i64 = 1_000;

/// Returns the newest batches, newest first.
pub async fn batches(app: &App, _: Permitted<'_, to::ImportUsers>) -> Result<Vec<Batch>> {
    Ok(app
        .db
        .read(work!(conn => store::import::batches::list(conn, MOST).await))
        .await?)
}

/// Finds a batch by its id.
///
/// # Errors
/// [`crate::flows::Error::ImportRefused`] if there is none.
pub async fn find(app: &App, _: Permitted<'_, to::ImportUsers>, id: &str) -> Result<Batch> {
    run::find(app, id).await
}

/// Calls `each` for every row of a batch that is still stored, in the order of the file.
pub async fn rows(
    app: &App,
    _: Permitted<'_, to::ImportUsers>,
    batch: &Batch,
    mut each: impl FnMut(DoneRow),
) -> Result<()> {
    let (id, mut after) = (batch.id, 0);
    loop {
        let page = app
            .db
            .read(work!(conn => store::import::rows::page(conn, id, after, PAGE).await))
            .await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.number;
        page.into_iter().for_each(&mut each);
    }
}

/// Returns how many users whom the batch created still have the password hash of other software,
/// because they have not signed in since.
pub async fn on_foreign_hashes(
    app: &App,
    _: Permitted<'_, to::ImportUsers>,
    batch: &Batch,
) -> Result<u64> {
    let id = batch.id;
    let count = work!(conn => store::import::rows::on_foreign_hashes(conn, id).await);
    Ok(app.db.read(count).await?)
}
