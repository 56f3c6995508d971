//! The part of an ending that is left to a background job: a note in `session_endings` for each, so
//! that nothing is lost if a process dies. The job handles the oldest note, piece by piece.

use super::marks::{Kind, Scope, is_any_left, mark, mark_page};
use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::RevokedReason;
use crate::store::engine::row_locks::Locking;
use crate::store::{Conn, Error, Result, on, skipping};
use sqlx::FromRow;

/// The reason and time of an ending, and the ids of the notes that are left if not all rows are
/// marked at once.
#[derive(Debug, Clone, Copy)]
pub struct Cause {
    /// The reason why the sessions end.
    pub reason: RevokedReason,
    /// When the sessions end.
    pub at: Timestamp,
    /// The ids of the notes.
    pub note: [EventId; 2],
}

/// A user with more rows than this is deleted in pieces.
const MANY: i64 = 500;

/// The result of one piece of the job's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// No work is left.
    Nothing,
    /// Another process does the work.
    Elsewhere,
    /// This many rows were written, and there may be more.
    Rows(usize),
}

/// What remains to be done for an ending.
#[derive(FromRow)]
struct Note {
    id: String,
    kind: String,
    user_id: Option<String>,
    epoch: i64,
    reason: String,
    ended_at: i64,
    done_to: String,
}

pub(super) async fn insert_note(
    conn: &mut Conn,
    id: EventId,
    kind: Kind,
    user: Option<UserId>,
    epoch: i64,
    cause: &Cause,
    done_to: &str,
) -> Result<()> {
    on!(conn, c => sqlx::query("INSERT INTO session_endings (id, kind, user_id, epoch, reason, ended_at, done_to) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(id.to_string()).bind(kind.as_str()).bind(user.map(|u| u.to_string())).bind(epoch).bind(cause.reason.as_str()).bind(cause.at.0).bind(done_to)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Leaves the rows of a user whose sessions have ended, and then the user's own row, to the job.
pub(in crate::store) async fn delete_later(
    conn: &mut Conn,
    user: UserId,
    cause: &Cause,
) -> Result<()> {
    insert_note(conn, cause.note[0], Kind::Deleted, Some(user), 0, cause, "").await
}

/// Returns whether a user has more rows in `sessions`, live or not, than are deleted at once.
pub(in crate::store) async fn has_many_rows(conn: &mut Conn, user: UserId) -> Result<bool> {
    let (found,): (i64,) = on!(conn, c => sqlx::query_as("SELECT COUNT(*) FROM (SELECT id FROM sessions WHERE user_id = $1 LIMIT $2) found")
        .bind(user.to_string()).bind(MANY + 1).fetch_one(c).await)?;
    Ok(found > MANY)
}

/// Does the next piece, of at most `limit` rows, of the oldest ending that is not complete.
pub async fn do_piece(conn: &mut Conn, limit: i64) -> Result<Piece> {
    if conn.is_postgres() {
        const LEAD: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended('countersign session_endings ' || current_schema(), 0)) AND $1";
        let (leads,): (bool,) = on!(conn, c => sqlx::query_as(LEAD).bind(true).fetch_one(c).await)?;
        if !leads {
            return Ok(Piece::Elsewhere);
        }
    }
    let note: Option<Note> = on!(conn, c => sqlx::query_as(
        "SELECT id, kind, user_id, epoch, reason, ended_at, done_to FROM session_endings ORDER BY id LIMIT 1").fetch_optional(c).await)?;
    let Some(note) = note else {
        return Ok(Piece::Nothing);
    };
    let spoilt = |column| Error::Corrupt {
        table: "session_endings",
        column,
    };
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == note.kind)
        .ok_or_else(|| spoilt("kind"))?;
    let user = note.user_id.as_deref().unwrap_or_default();
    let at = Timestamp(note.ended_at);
    let (rows, done_to, is_done) = match kind {
        Kind::Everybody => {
            let (marked, last) = mark_page(conn, &note.done_to, limit, &note.reason, at).await?;
            let is_done = last.is_none();
            (marked.len(), last.unwrap_or_default(), is_done)
        }
        Kind::OfUser | Kind::ActedBy => {
            let scope = Scope {
                kind,
                user,
                epoch: note.epoch,
                after: &note.done_to,
            };
            let (marked, last) = mark(conn, &scope, limit, &note.reason, at).await?;
            if is_full(marked.len(), limit) {
                (marked.len(), last, false)
            } else {
                // At the end, skipped rows are looked for from the beginning.
                let scope = Scope { after: "", ..scope };
                let is_done = !is_any_left(conn, &scope).await?;
                (marked.len(), String::new(), is_done)
            }
        }
        Kind::Deleted => {
            let limit = rows_to_delete(conn, limit);
            let deleted = delete_rows(conn, user, &note.done_to, limit).await?;
            if is_full(deleted.len(), limit) {
                let last = deleted.iter().max().cloned().unwrap_or_default();
                (deleted.len(), last, false)
            } else {
                let is_done = delete_empty_user(conn, user).await?;
                (deleted.len(), String::new(), is_done)
            }
        }
    };
    if is_done {
        on!(conn, c => sqlx::query("DELETE FROM session_endings WHERE id = $1").bind(note.id.as_str()).execute(c).await.map(|_| ()))?;
    } else {
        on!(conn, c => sqlx::query("UPDATE session_endings SET done_to = $1 WHERE id = $2")
            .bind(done_to.as_str()).bind(note.id.as_str()).execute(c).await.map(|_| ()))?;
    }
    Ok(Piece::Rows(rows))
}

/// Returns how many rows are deleted where this many would be marked: on SQLite a deleted row touches
/// a page of each index of its table, about as many pages as several marked rows.
fn rows_to_delete(conn: &Conn, limit: i64) -> i64 {
    if conn.is_postgres() {
        limit
    } else {
        (limit / 2).max(1)
    }
}

fn is_full(rows: usize, limit: i64) -> bool {
    i64::try_from(rows).is_ok_and(|rows| rows >= limit)
}

/// Deletes the next rows of a user after an id; returns their ids.
async fn delete_rows(conn: &mut Conn, user: &str, after: &str, limit: i64) -> Result<Vec<String>> {
    const DELETE: Locking = skipping!(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        ") RETURNING id"
    );
    let sql = DELETE.on(conn);
    let deleted: Vec<(String,)> =
        on!(conn, c => sqlx::query_as(sql).bind(user).bind(after).bind(limit).fetch_all(c).await)?;
    Ok(deleted.into_iter().map(|(id,)| id).collect())
}

/// Deletes the row of a deleted user once no session is left; returns whether it was deleted.
async fn delete_empty_user(conn: &mut Conn, user: &str) -> Result<bool> {
    const DELETE: &str = "DELETE FROM users WHERE id = $1 AND deleted_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = users.id)";
    on!(conn, c => sqlx::query(DELETE).bind(user).execute(c).await.map(|_| ()))?;
    let left: Option<(String,)> = on!(conn, c => sqlx::query_as("SELECT id FROM sessions WHERE user_id = $1 LIMIT 1").bind(user).fetch_optional(c).await)?;
    Ok(left.is_none())
}
