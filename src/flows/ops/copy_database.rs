//! Moves to another database: copies every row of one into another that is not in use yet. The row
//! of `key_ring` comes last, so that an interrupted copy can be started again and cannot be
//! mistaken for a complete one. At the end both sides are counted and summed again, which shows
//! whether the source was written to meanwhile.

use crate::model::kernel::database_url::DatabaseUrl;
use crate::store::engine::copy;
use crate::store::engine::copy::{Cells, RING, TABLES, Table};
use crate::store::engine::copy_target;
use crate::store::engine::copy_target::CopyTarget;
use crate::store::{self, Db, WriteOptions, work};

use crate::flows::{Error, Result};

/// Rows that are read at once and written in one transaction. Each transaction writes every page of
/// an index that its rows touch, so larger ones write less.
const PAGE: i64 = 10_000;

/// What was copied, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The number of rows by table.
    pub rows: Vec<(&'static str, i64)>,
}

/// Returns how many rows there are to copy, after checking that they may be copied.
pub async fn survey(from: &Db, to: Option<&Db>) -> Result<Copied> {
    if ring_version(from).await? == 0 {
        return Err(Error::WrongDatabase(
            "the source has no key ring: it was never served from".into(),
        ));
    }
    if let Some(to) = to
        && ring_version(to).await? != 0
    {
        return Err(Error::WrongDatabase(
            "the target is already in use: it has a key ring; nothing was written".into(),
        ));
    }
    let mut rows = Vec::new();
    for table in &TABLES {
        rows.push((table.name, count(from, table).await?));
    }
    Ok(Copied { rows })
}

/// Returns what a copy would find at its target, after checking that it may go there: the database
/// can be reached and written, was never served from, and has this program's schema or can get it.
/// Writes nothing, so it can be called while the source is served from.
///
/// # Errors
/// [`Error::WrongDatabase`] with the reason.
pub async fn examine(url: &DatabaseUrl, options: &store::Options) -> Result<CopyTarget> {
    let refused = |reason: String| Error::WrongDatabase(format!("the target: {reason}"));
    let found = copy_target::examine(url, options)
        .await
        .map_err(|error| refused(error.to_string()))?;
    if found.ring_version != 0 {
        return Err(refused(
            "it is already in use: it has a key ring; nothing was written".into(),
        ));
    }
    Ok(found)
}

/// Copies everything; `progress` is called with the number of rows of each page.
pub async fn copy(
    from: &Db,
    to: &Db,
    mut progress: impl FnMut(&'static str, u64),
) -> Result<Copied> {
    survey(from, Some(to)).await?;
    to.write(work!(conn => {
        copy::enlarge_cache(conn).await?;
        copy::release(conn).await?;
        for table in TABLES.iter().rev() {
            copy::clear(conn, table).await?;
        }
        Ok(())
    }))
    .await?;
    for table in &TABLES {
        let mut after: Option<Cells> = None;
        loop {
            let seen = after.clone();
            let rows = from
                .read(work!(conn => copy::page(conn, table, seen.as_ref(), PAGE).await))
                .await?;
            let Some(last) = rows.last() else { break };
            after = Some(table.key_of(last));
            let found = rows.len() as u64;
            // The last write, which makes the copy a database in use, waits for the disk, and so
            // for all pages before it.
            to.write_with(
                WriteOptions::UNSYNCED,
                work!(conn => copy::insert(conn, table, rows).await),
            )
            .await?;
            progress(table.name, found);
        }
    }
    let copied = compare(from, to).await?;
    let ring = from
        .read(work!(conn => copy::page(conn, &RING, None, 1).await))
        .await?;
    to.write(work!(conn => {
        if store::key::signing_keys::id(conn).await?.version != 0 {
            return Err(store::Error::Conflict);
        }
        copy::clear(conn, &RING).await?;
        copy::insert(conn, &RING, ring).await
    }))
    .await?;
    Ok(copied)
}

async fn compare(from: &Db, to: &Db) -> Result<Copied> {
    let mut rows = Vec::new();
    for table in &TABLES {
        let (here, there) = (count(from, table).await?, count(to, table).await?);
        let sum = |db: &Db| {
            let db = db.clone();
            async move { db.read(work!(conn => copy::sum(conn, table).await)).await }
        };
        if here != there || sum(from).await? != sum(to).await? {
            let name = table.name;
            return Err(Error::WrongDatabase(format!(
                "{name} changed while it was copied ({here} rows here, {there} there); stop every countersign on the source and run the command again"
            )));
        }
        rows.push((table.name, there));
    }
    Ok(Copied { rows })
}

async fn count(db: &Db, table: &'static Table) -> Result<i64> {
    Ok(db
        .read(work!(conn => copy::count(conn, table).await))
        .await?)
}

async fn ring_version(db: &Db) -> Result<i64> {
    Ok(db
        .read(work!(conn => store::key::signing_keys::id(conn).await))
        .await?
        .version)
}
