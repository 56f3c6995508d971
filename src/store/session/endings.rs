//! Ending sessions. Those of a user, or of everybody, end by their epoch (`epochs`): one row
//! changes, and no session of them is served any more. Their rows are marked for whoever looks at
//! the table: the first ones in the same transaction, the others by a background job, piece by
//! piece. What it still has to do stands in `session_endings`, so that a process that dies loses
//! nothing of it.

use sqlx::FromRow;

use crate::model::kernel::id::{EventId, SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::RevokedReason;

use super::epochs::{in_force, raise_acting, raise_everybody, raise_of_user};
use crate::store::{Conn, Error, Result, on};

/// How many rows a transaction marks before its answer.
pub const AT_ONCE: i64 = 100;

/// A user with more rows than this is deleted in pieces.
const MANY: i64 = 500;

/// Which sessions to end.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// This one, and those in which an admin acts as another user and which began in it.
    One(SessionId),
    /// All of a user, and those in which the user acts as another one, but for one.
    OfUser {
        /// Whose.
        user: UserId,
        /// Spared.
        except: Option<SessionId>,
    },
    /// Those in which this admin acts as another user.
    ActedBy(UserId),
    /// Everybody's, and with them every link that was sent in a mail.
    Everybody,
}

/// What was ended.
#[derive(Debug, Clone, Default)]
pub struct Ended {
    /// The sessions whose rows were marked, with their users. Of one that was ended by its id that
    /// first, then those in which its user acted as another one.
    pub marked: Vec<(SessionId, UserId)>,
    /// Whether these are all; the others have ended too, and their rows are marked later.
    pub complete: bool,
}

impl Ended {
    /// Whether no session was ended.
    pub fn is_empty(&self) -> bool {
        self.complete && self.marked.is_empty()
    }
}

/// Why and when sessions end, and the id of the note that is left where their rows are not all
/// marked at once.
#[derive(Debug, Clone, Copy)]
pub struct Cause {
    /// Why.
    pub reason: RevokedReason,
    /// When.
    pub at: Timestamp,
    /// The id of the note.
    pub note: [EventId; 2],
}

/// Ends sessions: the answer is that they are over. A bounded number of rows is written, whatever
/// their number.
pub async fn end(conn: &mut Conn, which: Which, cause: &Cause) -> Result<Ended> {
    match which {
        Which::One(id) => end_one(conn, id, cause).await,
        Which::OfUser { user, except } => {
            let Some(epochs) = raise_of_user(conn, user, except).await? else {
                return Ok(Ended {
                    complete: true,
                    ..Ended::default()
                });
            };
            let own = first_rows(
                conn,
                Kind::OfUser,
                user,
                epochs.session - 1,
                cause,
                cause.note[0],
            )
            .await?;
            let acted = first_rows(
                conn,
                Kind::ActedBy,
                user,
                epochs.acting - 1,
                cause,
                cause.note[1],
            )
            .await?;
            Ok(Ended {
                complete: own.complete && acted.complete,
                marked: [own.marked, acted.marked].concat(),
            })
        }
        Which::ActedBy(admin) => match raise_acting(conn, admin).await? {
            Some(epoch) => {
                first_rows(conn, Kind::ActedBy, admin, epoch - 1, cause, cause.note[0]).await
            }
            None => Ok(Ended {
                complete: true,
                ..Ended::default()
            }),
        },
        Which::Everybody => {
            raise_everybody(conn).await?;
            let (marked, last) =
                mark_page(conn, "", AT_ONCE, cause.reason.as_str(), cause.at).await?;
            if let Some(last) = &last {
                insert_note(conn, cause.note[0], Kind::Everybody, None, 0, cause, last).await?;
            }
            Ok(Ended {
                marked,
                complete: last.is_none(),
            })
        }
    }
}

fn corrupt(column: &'static str) -> Error {
    Error::Corrupt {
        table: "sessions",
        column,
    }
}

type Rows = Vec<(String, String)>;

fn parse(rows: Rows) -> Result<Vec<(SessionId, UserId)>> {
    let parse = |(id, user): (String, String)| {
        Ok((
            id.parse().map_err(|_| corrupt("id"))?,
            user.parse().map_err(|_| corrupt("user_id"))?,
        ))
    };
    rows.into_iter().map(parse).collect()
}

async fn end_one(conn: &mut Conn, id: SessionId, cause: &Cause) -> Result<Ended> {
    const END: &str = concat!(
        "UPDATE sessions SET revoked_at = $1, revoked_reason = $2 WHERE id = $3 AND ",
        in_force!("sessions"),
        " RETURNING id, user_id"
    );
    let rows: Rows = on!(conn, c => sqlx::query_as(END)
        .bind(cause.at.0).bind(cause.reason.as_str()).bind(id.to_string()).fetch_all(c).await)?;
    let mut marked = parse(rows)?;
    if !marked.is_empty() {
        marked.extend(mark_acting_in(conn, id, cause.reason, cause.at).await?);
    }
    Ok(Ended {
        marked,
        complete: true,
    })
}

/// Marks the sessions in which an admin acts as another user and which began in this one.
/// `in_force!` has them end with it; this says so in their rows. Never many: an admin acts in at
/// most `sessions.max_per_user` of them.
pub(in crate::store) async fn mark_acting_in(
    conn: &mut Conn,
    own: SessionId,
    reason: RevokedReason,
    at: Timestamp,
) -> Result<Vec<(SessionId, UserId)>> {
    const MARK: &str = "UPDATE sessions SET revoked_at = $1, revoked_reason = $2 WHERE acting_session = $3 AND revoked_at IS NULL RETURNING id, user_id";
    let rows: Rows = on!(conn, c => sqlx::query_as(MARK).bind(at.0).bind(reason.as_str()).bind(own.to_string()).fetch_all(c).await)?;
    parse(rows)
}

/// What a note in `session_endings` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    OfUser,
    ActedBy,
    Everybody,
    Deleted,
}

impl Kind {
    const ALL: [Self; 4] = [Self::OfUser, Self::ActedBy, Self::Everybody, Self::Deleted];

    fn as_str(self) -> &'static str {
        match self {
            Self::OfUser => "of_user",
            Self::ActedBy => "acted_by",
            Self::Everybody => "everybody",
            Self::Deleted => "deleted",
        }
    }
}

/// Marks the first rows of a user, and leaves a note where there are more.
async fn first_rows(
    conn: &mut Conn,
    kind: Kind,
    user: UserId,
    epoch: i64,
    cause: &Cause,
    note: EventId,
) -> Result<Ended> {
    let scope = Scope {
        kind,
        user: &user.to_string(),
        epoch,
        after: "",
    };
    let (marked, _) = mark(conn, &scope, AT_ONCE, cause.reason.as_str(), cause.at).await?;
    let complete = i64::try_from(marked.len()).is_ok_and(|n| n < AT_ONCE);
    if !complete {
        insert_note(conn, note, kind, Some(user), epoch, cause, "").await?;
    }
    Ok(Ended { marked, complete })
}

/// The rows that an ending is about.
struct Scope<'a> {
    kind: Kind,
    user: &'a str,
    /// The rows up to this epoch.
    epoch: i64,
    /// The epoch and the id of the last row that was read; empty: none was.
    after: &'a str,
}

impl Scope<'_> {
    fn after(&self) -> (i64, &str) {
        let parts = self.after.split_once(' ');
        parts
            .and_then(|(epoch, id)| Some((epoch.parse().ok()?, id)))
            .unwrap_or((i64::MIN, ""))
    }
}

/// The rows of a user, or of those in whose name the user acts, up to an epoch; `$1` is the user,
/// `$2` the epoch, `$3` how many, `$4` and `$5` the epoch and the id of the last row before them.
/// Postgres keeps the index entries of marked rows until a vacuum: without the last row every piece
/// would read those of all pieces before it.
macro_rules! rows_of {
    (user) => {
        "SELECT id FROM sessions WHERE user_id = $1 AND epoch <= $2 AND (epoch, id) > ($4, $5) AND revoked_at IS NULL ORDER BY epoch, id LIMIT $3"
    };
    (actor) => {
        "SELECT id FROM sessions WHERE impersonated_by = $1 AND acting_epoch <= $2 AND (acting_epoch, id) > ($4, $5) AND revoked_at IS NULL ORDER BY acting_epoch, id LIMIT $3"
    };
}

macro_rules! mark_rows {
    ($rows:expr, $epoch:literal) => {
        concat!(
            "UPDATE sessions SET revoked_at = $6, revoked_reason = $7 WHERE id IN (",
            $rows,
            ") RETURNING id, user_id, ",
            $epoch
        )
    };
}

/// Marks the next rows; returns them, and the last one as [`Scope::after`]. On Postgres rows that a
/// request holds are passed over: the job waits for no request, and no request waits for a job that
/// waits.
async fn mark(
    conn: &mut Conn,
    scope: &Scope<'_>,
    limit: i64,
    reason: &str,
    at: Timestamp,
) -> Result<(Vec<(SessionId, UserId)>, String)> {
    let sql = match (scope.kind, conn.is_postgres()) {
        (Kind::ActedBy, false) => mark_rows!(rows_of!(actor), "acting_epoch"),
        (Kind::ActedBy, true) => mark_rows!(
            concat!(rows_of!(actor), " FOR UPDATE SKIP LOCKED"),
            "acting_epoch"
        ),
        (_, false) => mark_rows!(rows_of!(user), "epoch"),
        (_, true) => mark_rows!(concat!(rows_of!(user), " FOR UPDATE SKIP LOCKED"), "epoch"),
    };
    let (after_epoch, after_id) = scope.after();
    let marked: Vec<(String, String, i64)> = on!(conn, c => sqlx::query_as(sql)
        .bind(scope.user).bind(scope.epoch).bind(limit).bind(after_epoch).bind(after_id).bind(at.0).bind(reason).fetch_all(c).await)?;
    let last = marked.iter().map(|(id, _, epoch)| (*epoch, id)).max();
    let last = last.map_or_else(String::new, |(epoch, id)| format!("{epoch} {id}"));
    let rows = marked.into_iter().map(|(id, user, _)| (id, user)).collect();
    Ok((parse(rows)?, last))
}

/// Marks what has ended among the next `limit` rows behind `after`, in the order of their ids;
/// returns the last id where there may be more.
async fn mark_page(
    conn: &mut Conn,
    after: &str,
    limit: i64,
    reason: &str,
    at: Timestamp,
) -> Result<(Vec<(SessionId, UserId)>, Option<String>)> {
    const MARK: &str = concat!(
        "UPDATE sessions SET revoked_at = $1, revoked_reason = $2 WHERE id > $3 AND id <= $4 AND revoked_at IS NULL AND NOT ",
        in_force!("sessions"),
        " RETURNING id, user_id"
    );
    let page: Vec<(String,)> = on!(conn, c => sqlx::query_as("SELECT id FROM sessions WHERE id > $1 ORDER BY id LIMIT $2").bind(after).bind(limit).fetch_all(c).await)?;
    let Some((last,)) = page.last() else {
        return Ok((Vec::new(), None));
    };
    let rows: Rows = on!(conn, c => sqlx::query_as(MARK).bind(at.0).bind(reason).bind(after).bind(last.as_str()).fetch_all(c).await)?;
    let is_last = i64::try_from(page.len()).is_ok_and(|n| n < limit);
    Ok((parse(rows)?, (!is_last).then(|| last.clone())))
}

async fn insert_note(
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

/// What is left to be done of an ending.
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

/// How far a piece of the job's work got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Nothing is left to do.
    Nothing,
    /// Another process is at it.
    Elsewhere,
    /// So many rows were written, and there may be more.
    Rows(usize),
}

/// Does the next piece, of at most `limit` rows, of the oldest ending that is not done.
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
                // At the end: what was passed over is looked for from the beginning.
                let scope = Scope { after: "", ..scope };
                let is_done = !is_any_left(conn, &scope).await?;
                (marked.len(), String::new(), is_done)
            }
        }
        Kind::Deleted => {
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

fn is_full(rows: usize, limit: i64) -> bool {
    i64::try_from(rows).is_ok_and(|rows| rows >= limit)
}

/// Whether there is a row that is not marked; one that a request holds counts.
async fn is_any_left(conn: &mut Conn, scope: &Scope<'_>) -> Result<bool> {
    let sql = if scope.kind == Kind::ActedBy {
        rows_of!(actor)
    } else {
        rows_of!(user)
    };
    let (after_epoch, after_id) = scope.after();
    let row: Option<(String,)> = on!(conn, c => sqlx::query_as(sql)
        .bind(scope.user).bind(scope.epoch).bind(1_i64).bind(after_epoch).bind(after_id).fetch_optional(c).await)?;
    Ok(row.is_some())
}

/// Whether a user has more rows in `sessions`, live or not, than are deleted at once.
pub(in crate::store) async fn has_many_rows(conn: &mut Conn, user: UserId) -> Result<bool> {
    let (found,): (i64,) = on!(conn, c => sqlx::query_as("SELECT COUNT(*) FROM (SELECT id FROM sessions WHERE user_id = $1 LIMIT $2) found")
        .bind(user.to_string()).bind(MANY + 1).fetch_one(c).await)?;
    Ok(found > MANY)
}

/// Leaves the rows of a user whose sessions have ended, and then the user's own, to the job.
pub(in crate::store) async fn delete_later(
    conn: &mut Conn,
    user: UserId,
    cause: &Cause,
) -> Result<()> {
    insert_note(conn, cause.note[0], Kind::Deleted, Some(user), 0, cause, "").await
}

/// Deletes the next rows of a user behind an id; returns their ids.
async fn delete_rows(conn: &mut Conn, user: &str, after: &str, limit: i64) -> Result<Vec<String>> {
    const DELETE: &str = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3) RETURNING id";
    const SKIPPING: &str = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING id";
    let sql = if conn.is_postgres() { SKIPPING } else { DELETE };
    let deleted: Vec<(String,)> =
        on!(conn, c => sqlx::query_as(sql).bind(user).bind(after).bind(limit).fetch_all(c).await)?;
    Ok(deleted.into_iter().map(|(id,)| id).collect())
}

/// Deletes the row of a user who was deleted, once no session is left; tells whether it is gone.
async fn delete_empty_user(conn: &mut Conn, user: &str) -> Result<bool> {
    const DELETE: &str = "DELETE FROM users WHERE id = $1 AND deleted_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = users.id)";
    on!(conn, c => sqlx::query(DELETE).bind(user).execute(c).await.map(|_| ()))?;
    let left: Option<(String,)> = on!(conn, c => sqlx::query_as("SELECT id FROM sessions WHERE user_id = $1 LIMIT 1").bind(user).fetch_optional(c).await)?;
    Ok(left.is_none())
}
