//! Statements that mark the rows of sessions that have ended, a bounded number at a time: those of
//! a user, those in which an admin impersonates another user, and every row by pages.

use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::RevokedReason;
use crate::store::{Conn, Error, Result, on, skipping};

use super::epochs::in_force;

pub(super) fn corrupt(column: &'static str) -> Error {
    Error::Corrupt {
        table: "sessions",
        column,
    }
}

pub(super) type Rows = Vec<(String, String)>;

pub(super) fn parse(rows: Rows) -> Result<Vec<(SessionId, UserId)>> {
    let parse = |(id, user): (String, String)| {
        Ok((
            id.parse().map_err(|_| corrupt("id"))?,
            user.parse().map_err(|_| corrupt("user_id"))?,
        ))
    };
    rows.into_iter().map(parse).collect()
}

/// Marks the impersonation sessions that began in this one. `in_force!` ends them with it; this
/// records it in their rows. There are never many: an admin has at most `sessions.max_per_user` of
/// them.
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

/// Which rows an ending concerns, as in `session_endings.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    OfUser,
    ActedBy,
    Everybody,
    Deleted,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::OfUser, Self::ActedBy, Self::Everybody, Self::Deleted];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::OfUser => "of_user",
            Self::ActedBy => "acted_by",
            Self::Everybody => "everybody",
            Self::Deleted => "deleted",
        }
    }
}

/// The rows that an ending concerns.
pub(super) struct Scope<'a> {
    pub(super) kind: Kind,
    pub(super) user: &'a str,
    /// The rows up to this epoch.
    pub(super) epoch: i64,
    /// The epoch and the id of the last row that was read; empty before the first.
    pub(super) after: &'a str,
}

impl Scope<'_> {
    fn after(&self) -> (i64, &str) {
        let parts = self.after.split_once(' ');
        parts
            .and_then(|(epoch, id)| Some((epoch.parse().ok()?, id)))
            .unwrap_or((i64::MIN, ""))
    }
}

/// The rows of a user, or of the users whom that user impersonates, up to an epoch; `$1` is the
/// user, `$2` the epoch, `$3` how many, `$4` and `$5` the epoch and the id of the last row before
/// them. Postgres keeps the index entries of marked rows until a vacuum: without the last row every
/// piece would read those of all pieces before it.
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
        skipping!(
            concat!(
                "UPDATE sessions SET revoked_at = $6, revoked_reason = $7 WHERE id IN (",
                $rows
            ),
            concat!(") RETURNING id, user_id, ", $epoch)
        )
    };
}

/// Marks the next rows; returns them, and the last one as [`Scope::after`]. On Postgres rows that a
/// request has locked are skipped, so that the job waits for no request, and no request waits for a
/// waiting job.
pub(super) async fn mark(
    conn: &mut Conn,
    scope: &Scope<'_>,
    limit: i64,
    reason: &str,
    at: Timestamp,
) -> Result<(Vec<(SessionId, UserId)>, String)> {
    let sql = match scope.kind {
        Kind::ActedBy => mark_rows!(rows_of!(actor), "acting_epoch"),
        _ => mark_rows!(rows_of!(user), "epoch"),
    };
    let sql = sql.on(conn);
    let (after_epoch, after_id) = scope.after();
    let marked: Vec<(String, String, i64)> = on!(conn, c => sqlx::query_as(sql)
        .bind(scope.user).bind(scope.epoch).bind(limit).bind(after_epoch).bind(after_id).bind(at.0).bind(reason).fetch_all(c).await)?;
    let last = marked.iter().map(|(id, _, epoch)| (*epoch, id)).max();
    let last = last.map_or_else(String::new, |(epoch, id)| format!("{epoch} {id}"));
    let rows = marked.into_iter().map(|(id, user, _)| (id, user)).collect();
    Ok((parse(rows)?, last))
}

/// Marks ended sessions among the next `limit` rows after `after`, in the order of their ids;
/// returns the last id if there may be more.
pub(super) async fn mark_page(
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

/// Returns whether any row is not marked; rows that a request has locked count.
pub(super) async fn is_any_left(conn: &mut Conn, scope: &Scope<'_>) -> Result<bool> {
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
