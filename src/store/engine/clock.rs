//! What the database knows of the time: its own clock, where it has one, and the newest time that a
//! job confirmed.

use crate::model::kernel::time::{Timestamp, millis};
use crate::model::kernel::trusted_clock::{ConfirmedNow, Evidence, MAX_GAP};

use super::server;
use crate::store::{Conn, Result, on};

/// Both.
pub async fn evidence(conn: &mut Conn) -> Result<Evidence> {
    let (confirmed,): (Option<i64>,) = on!(conn, c => sqlx::query_as("SELECT confirmed_at FROM clock WHERE id = 1").fetch_one(c).await)?;
    Ok(Evidence {
        database: server::clock(conn).await?,
        last_confirmed: confirmed.map(Timestamp),
    })
}

/// A job runs at this moment. The noted time never moves back.
pub async fn note(conn: &mut Conn, now: ConfirmedNow) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE clock SET confirmed_at = $1 WHERE id = 1 AND (confirmed_at IS NULL OR confirmed_at < $1)")
        .bind(now.now().0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// An operator says that this is the time, forwards or backwards.
pub async fn set(conn: &mut Conn, now: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE clock SET confirmed_at = $1 WHERE id = 1").bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Whether the database, at this moment, accepts the time: every function that destroys asks this
/// first, in the same transaction. A process whose check was made too long ago, or on a clock that
/// jumped meanwhile, destroys nothing. A time that lies behind is harmless: less is due by it.
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
