//! What the database knows about the time: its own clock, if it has one, and the newest time that a
//! job confirmed.

use crate::model::kernel::time::{Timestamp, millis};
use crate::model::kernel::trusted_clock::{ConfirmedNow, Evidence, MAX_GAP};

use super::server;
use crate::store::{Conn, Result, on};

/// Reads both times from the database.
pub async fn evidence(conn: &mut Conn) -> Result<Evidence> {
    let (confirmed,): (Option<i64>,) = on!(conn, c => sqlx::query_as("SELECT confirmed_at FROM clock WHERE id = 1").fetch_one(c).await)?;
    Ok(Evidence {
        database: server::clock(conn).await?,
        last_confirmed: confirmed.map(Timestamp),
    })
}

/// Records the time at which a job runs. The recorded time never moves back.
pub async fn note(conn: &mut Conn, now: ConfirmedNow) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE clock SET confirmed_at = $1 WHERE id = 1 AND (confirmed_at IS NULL OR confirmed_at < $1)")
        .bind(now.now().0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records the time that an operator has confirmed, which may be earlier or later.
pub async fn set(conn: &mut Conn, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE clock SET confirmed_at = $1 WHERE id = 1").bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns whether the database accepts the time at this moment. Every function that destroys data
/// asks this first, in the same transaction, so that a process whose check was made too long ago,
/// or whose clock has jumped since, destroys nothing. A time that is behind is harmless, because
/// less data is due by it.
pub async fn holds(conn: &mut Conn, now: ConfirmedNow) -> Result<bool> {
    macro_rules! accepted {
        ($and:literal) => {
            concat!("SELECT COUNT(*) FROM clock WHERE id = 1 AND (confirmed_at IS NULL OR CAST($1 AS BIGINT) <= confirmed_at + CAST($2 AS BIGINT))", $and)
        };
    }
    const BY_SERVER: &str = accepted!(
        " AND CAST($1 AS BIGINT) <= CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) + CAST($3 AS BIGINT)"
    );
    let (now, skew) = (now.now().0, now.max_skew());
    let (rows,): (i64,) = match skew.filter(|_| conn.is_postgres()) {
        Some(skew) => {
            on!(conn, c => sqlx::query_as(BY_SERVER).bind(now).bind(millis(MAX_GAP)).bind(millis(skew)).fetch_one(c).await)?
        }
        None => {
            on!(conn, c => sqlx::query_as(accepted!("")).bind(now).bind(millis(MAX_GAP)).fetch_one(c).await)?
        }
    };
    Ok(rows == 1)
}
