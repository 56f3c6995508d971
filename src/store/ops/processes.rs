//! The processes that run `serve`, and the public ids of the master keys that each has loaded; no
//! key material.

use std::time::Duration;

use crate::model::kernel::time::Timestamp;

use crate::store::engine::server;
use crate::store::{Conn, Result, on};

/// What a process reports about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The host name of its machine or container.
    pub host: String,
    /// The process id on that host.
    pub pid: i64,
    /// Shows a process on the same host whether this one has ended.
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
    /// What the process reported.
    pub about: About,
    /// The time since its last report, by the database's clock if it has one.
    pub ago: Duration,
}

/// Reads the database's clock; on SQLite that of this machine.
async fn clock(conn: &mut Conn) -> Result<Timestamp> {
    Ok(server::clock(conn).await?.unwrap_or_else(|| conn.now()))
}

/// Writes or renews the row of this process.
pub async fn announce(conn: &mut Conn, writer: &str, about: &About) -> Result<()> {
    let (now, keys) = (clock(conn).await?, about.master_keys.join(" "));
    on!(conn, c => sqlx::query(
        "INSERT INTO processes (writer, host, pid, mark, program, master_keys, started_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (writer) DO UPDATE SET seen_at = excluded.seen_at")
        .bind(writer).bind(&about.host).bind(about.pid).bind(&about.mark).bind(&about.program).bind(keys).bind(about.started_at.0).bind(now.0)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Deletes the row of this process, which stops.
pub async fn leave(conn: &mut Conn, writer: &str) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM processes WHERE writer = $1").bind(writer).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Deletes the rows of processes that have not reported for this long.
pub async fn forget(conn: &mut Conn, silent_for: Duration) -> Result<()> {
    let now = clock(conn).await?;
    on!(conn, c => sqlx::query("DELETE FROM processes WHERE seen_at < $1").bind((now - silent_for).0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns the processes that have reported within this time, in the order of their start.
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
