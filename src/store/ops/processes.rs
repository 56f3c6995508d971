//! The processes that run `serve`, and which master keys each of them has loaded: public ids, no
//! key material.

use std::time::Duration;

use crate::model::kernel::time::Timestamp;

use crate::store::engine::server;
use crate::store::{Conn, Result, on};

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its machine or container.
    pub host: String,
    /// Its process id there.
    pub pid: i64,
    /// Tells on the same machine whether it has ended.
    pub mark: Option<String>,
    /// The version of the program.
    pub program: String,
    /// The public ids of the master keys that it has loaded, the primary one first.
    pub master_keys: Vec<String>,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
}

/// A process, and how long ago it wrote its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningProcess {
    /// What it said.
    pub about: About,
    /// How long ago, by the database's clock where it has one.
    pub ago: Duration,
}

/// The database's clock; on SQLite this machine's.
async fn clock(conn: &mut Conn) -> Result<Timestamp> {
    Ok(server::clock(conn).await?.unwrap_or_else(|| conn.now()))
}

/// This process runs, now.
pub async fn announce(conn: &mut Conn, writer: &str, about: &About) -> Result<()> {
    let (now, keys) = (clock(conn).await?, about.master_keys.join(" "));
    on!(conn, c => sqlx::query(
        "INSERT INTO processes (writer, host, pid, mark, program, master_keys, started_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (writer) DO UPDATE SET seen_at = excluded.seen_at")
        .bind(writer).bind(&about.host).bind(about.pid).bind(&about.mark).bind(&about.program).bind(keys).bind(about.started_at.0).bind(now.0)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// This process stops.
pub async fn leave(conn: &mut Conn, writer: &str) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM processes WHERE writer = $1").bind(writer).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Forgets processes that wrote nothing for so long.
pub async fn forget(conn: &mut Conn, silent_for: Duration) -> Result<()> {
    let now = clock(conn).await?;
    on!(conn, c => sqlx::query("DELETE FROM processes WHERE seen_at < $1").bind((now - silent_for).0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Those that wrote their row within this time, the one that started first at the front.
pub async fn seen_within(conn: &mut Conn, within: Duration) -> Result<Vec<RunningProcess>> {
    type Row = (String, i64, Option<String>, String, String, i64, i64);
    let now = clock(conn).await?;
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(
        "SELECT host, pid, mark, program, master_keys, started_at, seen_at FROM processes WHERE seen_at >= $1 AND seen_at <= $2 ORDER BY started_at, writer")
        .bind((now - within).0).bind((now + within).0).fetch_all(c).await)?;
    let seen = |(host, pid, mark, program, keys, started_at, seen_at): Row| {
        let master_keys = keys.split_whitespace().map(ToOwned::to_owned).collect();
        RunningProcess {
            about: About {
                host,
                pid,
                mark,
                program,
                master_keys,
                started_at: Timestamp(started_at),
            },
            ago: now.since(Timestamp(seen_at)),
        }
    };
    Ok(rows.into_iter().map(seen).collect())
}
