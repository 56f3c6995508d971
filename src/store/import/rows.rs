//! What was done about the rows of a batch.

use std::time::Duration;

use sqlx::FromRow;

use crate::model::import::batch::DoneRow;
use crate::model::kernel::id::EventId;
use crate::model::kernel::trusted_clock::ConfirmedNow;
use crate::store::engine::copy;
use crate::store::engine::copy_import_tables::IMPORT_ROWS;
use crate::store::engine::copy_table::Cell;
use crate::store::{Conn, Error, Result, on};

fn corrupt(column: &'static str) -> Error {
    Error::Corrupt {
        table: "import_rows",
        column,
    }
}

#[derive(FromRow)]
struct Row {
    number: i64,
    line: i64,
    verdict: String,
    reason: String,
    user_id: Option<String>,
    added: String,
}

impl TryFrom<Row> for DoneRow {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        let count = |number: i64, column| u64::try_from(number).map_err(|_| corrupt(column));
        let user = row.user_id.map(|id| id.parse());
        let added = row.added.split_whitespace().map(str::parse);
        Ok(Self {
            number: count(row.number, "number")?,
            line: count(row.line, "line")?,
            verdict: row.verdict,
            reason: row.reason,
            user: user.transpose().map_err(|_| corrupt("user_id"))?,
            added: added
                .collect::<std::result::Result<_, _>>()
                .map_err(|_| corrupt("added"))?,
        })
    }
}

/// Inserts rows of a batch.
pub async fn insert_all(conn: &mut Conn, batch: EventId, rows: &[DoneRow]) -> Result<()> {
    let number = |count: u64| Cell::Number(Some(i64::try_from(count).unwrap_or(i64::MAX)));
    let text = |text: &str| Cell::Text(Some(text.to_owned()));
    let cells = rows.iter().map(|row| {
        let added: Vec<String> = row.added.iter().map(EventId::to_string).collect();
        vec![
            text(&batch.to_string()),
            text(&row.verdict),
            text(&row.reason),
            Cell::Text(row.user.map(|user| user.to_string())),
            text(&added.join(" ")),
            number(row.number),
            number(row.line),
        ]
    });
    copy::insert(conn, &IMPORT_ROWS, cells.collect()).await
}

/// Returns the rows of a batch after a number, in the order of the file.
pub async fn page(conn: &mut Conn, batch: EventId, after: u64, limit: i64) -> Result<Vec<DoneRow>> {
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(
        "SELECT number, line, verdict, reason, user_id, added FROM import_rows WHERE batch_id = $1 AND number > $2 ORDER BY number LIMIT $3")
        .bind(batch.to_string()).bind(i64::try_from(after).unwrap_or(i64::MAX)).bind(limit)
        .fetch_all(c).await)?;
    rows.into_iter().map(DoneRow::try_from).collect()
}

/// Returns how many users of a batch still have the password hash of other software.
pub async fn on_foreign_hashes(conn: &mut Conn, batch: EventId) -> Result<u64> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*) FROM import_rows r JOIN accounts a ON a.user_id = r.user_id AND a.provider_id = 'credential'
          WHERE r.batch_id = $1 AND r.verdict = 'create' AND a.password_hash NOT LIKE '$argon2id$%'")
        .bind(batch.to_string()).fetch_one(c).await)?;
    Ok(count.unsigned_abs())
}

/// Deletes rows of batches that began longer than `keep` ago, at most `limit`; returns how many.
pub async fn prune(conn: &mut Conn, now: ConfirmedNow, keep: Duration, limit: i64) -> Result<u64> {
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(0);
    }
    let before = now.now().0 - i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let deleted = on!(conn, c => sqlx::query(
        "DELETE FROM import_rows WHERE (batch_id, number) IN
                (SELECT r.batch_id, r.number FROM import_rows r JOIN import_batches b ON b.id = r.batch_id WHERE b.started_at < $1 LIMIT $2)")
        .bind(before).bind(limit)
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(deleted)
}
