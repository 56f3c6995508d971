//! Batches: one run over one file.

use sqlx::FromRow;

use crate::model::import::batch::{Batch, Counts, State};
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::store::{Conn, Error, Result, on};

#[derive(FromRow)]
struct Row {
    id: String,
    source: String,
    file_hash: String,
    options: String,
    state: String,
    cursor: i64,
    created: i64,
    unchanged: i64,
    linked: i64,
    skipped: i64,
    refused: i64,
    actor: String,
    started_at: i64,
    ended_at: Option<i64>,
}

fn corrupt(column: &'static str) -> Error {
    Error::Corrupt {
        table: "import_batches",
        column,
    }
}

impl TryFrom<Row> for Batch {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        let count = |number: i64, column| u64::try_from(number).map_err(|_| corrupt(column));
        Ok(Self {
            id: row.id.parse().map_err(|_| corrupt("id"))?,
            source: row.source,
            file_hash: row.file_hash,
            options: row.options,
            state: State::parse(&row.state).ok_or(corrupt("state"))?,
            cursor: count(row.cursor, "cursor")?,
            counts: Counts {
                created: count(row.created, "created")?,
                unchanged: count(row.unchanged, "unchanged")?,
                linked: count(row.linked, "linked")?,
                skipped: count(row.skipped, "skipped")?,
                refused: count(row.refused, "refused")?,
            },
            actor: row.actor,
            started_at: Timestamp(row.started_at),
            ended_at: row.ended_at.map(Timestamp),
        })
    }
}

macro_rules! batches {
    ($rest:literal) => {
        concat!("SELECT id, source, file_hash, options, state, cursor, created, unchanged, linked, skipped, refused, actor, started_at, ended_at FROM import_batches ", $rest)
    };
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Inserts a batch that begins.
pub async fn insert(conn: &mut Conn, batch: &Batch) -> Result<()> {
    let counts = batch.counts;
    on!(conn, c => sqlx::query(
        "INSERT INTO import_batches (id, source, file_hash, options, state, cursor, created, unchanged, linked, skipped, refused, actor, started_at, ended_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)")
        .bind(batch.id.to_string())
        .bind(batch.source.as_str())
        .bind(batch.file_hash.as_str())
        .bind(batch.options.as_str())
        .bind(batch.state.as_str())
        .bind(number(batch.cursor))
        .bind(number(counts.created))
        .bind(number(counts.unchanged))
        .bind(number(counts.linked))
        .bind(number(counts.skipped))
        .bind(number(counts.refused))
        .bind(batch.actor.as_str())
        .bind(batch.started_at.0)
        .bind(batch.ended_at.map(|at| at.0))
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Moves the cursor of a running batch from `from` on, and adds to its counts. Returns `false` if the
/// cursor is elsewhere, because another process goes on with the batch, or if the batch has ended.
pub async fn advance(
    conn: &mut Conn,
    id: EventId,
    from: u64,
    to: u64,
    more: Counts,
) -> Result<bool> {
    let moved = on!(conn, c => sqlx::query(
        "UPDATE import_batches SET cursor = $1, created = created + $2, unchanged = unchanged + $3, linked = linked + $4, skipped = skipped + $5, refused = refused + $6
          WHERE id = $7 AND cursor = $8 AND state = 'running'")
        .bind(number(to))
        .bind(number(more.created))
        .bind(number(more.unchanged))
        .bind(number(more.linked))
        .bind(number(more.skipped))
        .bind(number(more.refused))
        .bind(id.to_string())
        .bind(number(from))
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(moved == 1)
}

/// Ends a batch that is in the state `from`; returns whether it was.
pub async fn end(
    conn: &mut Conn,
    id: EventId,
    from: State,
    to: State,
    now: Timestamp,
) -> Result<bool> {
    let ended = on!(conn, c => sqlx::query("UPDATE import_batches SET state = $1, ended_at = $2 WHERE id = $3 AND state = $4")
        .bind(to.as_str()).bind(now.0).bind(id.to_string()).bind(from.as_str())
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(ended == 1)
}

/// Returns the batch with this id.
pub async fn find(conn: &mut Conn, id: EventId) -> Result<Option<Batch>> {
    let row: Option<Row> = on!(conn, c => sqlx::query_as(batches!("WHERE id = $1"))
        .bind(id.to_string()).fetch_optional(c).await)?;
    row.map(Batch::try_from).transpose()
}

/// Returns the newest batches, newest first.
pub async fn list(conn: &mut Conn, limit: i64) -> Result<Vec<Batch>> {
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(batches!("ORDER BY started_at DESC, id DESC LIMIT $1"))
        .bind(limit).fetch_all(c).await)?;
    rows.into_iter().map(Batch::try_from).collect()
}
