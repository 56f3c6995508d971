//! Heartbeats of the serving processes, and the gaps between them.

use std::time::Duration;

use crate::model::kernel::standstill::{SILENCE_COUNTED, SILENT, Standstill, Whose};
use crate::model::kernel::time::{Timestamp, millis};
use crate::model::session::refresh::MAX_CLOCK_SKEW;

use crate::store::{Conn, Result, on};

/// Returns the standstills of other processes: those that ended at most `keep` ago, and processes
/// that are silent now. A standstill that ends in the future was recorded by a clock that was ahead
/// and is ignored.
pub async fn of_others(conn: &mut Conn, writer: &str, keep: Duration) -> Result<Vec<Standstill>> {
    let now = conn.now();
    let over: Vec<(i64, i64)> = on!(conn, c => sqlx::query_as("SELECT began_at, ended_at FROM standstills WHERE writer <> $1 AND ended_at > $2 AND ended_at <= $3")
        .bind(writer).bind((now - keep).0).bind((now + MAX_CLOCK_SKEW).0).fetch_all(c).await)?;
    let silent: Vec<(i64,)> = on!(conn, c => sqlx::query_as("SELECT beat_at FROM heartbeats WHERE writer <> $1 AND stopped = 0 AND beat_at < $2 AND beat_at > $3")
        .bind(writer).bind((now - SILENT).0).bind((now - SILENCE_COUNTED - keep).0).fetch_all(c).await)?;
    let silent = silent
        .into_iter()
        .map(|(last,)| (last, last.saturating_add(millis(SILENCE_COUNTED))));
    let standstill = |(from, to)| Standstill {
        began_at: Timestamp(from),
        ended_at: Timestamp(to),
        whose: Whose::AnotherReplica,
    };
    Ok(over.into_iter().chain(silent).map(standstill).collect())
}

/// Returns the newest heartbeat of any process. One in the future was written by a clock that was
/// ahead and is ignored.
pub async fn newest(conn: &mut Conn) -> Result<Option<Timestamp>> {
    let latest = (conn.now() + MAX_CLOCK_SKEW).0;
    let (newest,): (Option<i64>,) = on!(conn, c => sqlx::query_as("SELECT MAX(beat_at) FROM heartbeats WHERE beat_at <= $1").bind(latest).fetch_one(c).await)?;
    Ok(newest.map(Timestamp))
}

/// Records a standstill of this process, or of the whole service, that has ended.
pub async fn note(conn: &mut Conn, writer: &str, standstill: Standstill) -> Result<()> {
    on!(conn, c => sqlx::query("INSERT INTO standstills (writer, began_at, ended_at) VALUES ($1, $2, $3) ON CONFLICT (writer, began_at) DO NOTHING")
        .bind(writer).bind(standstill.began_at.0).bind(standstill.ended_at.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Writes a heartbeat of this process.
pub async fn beat(conn: &mut Conn, writer: &str) -> Result<()> {
    let now = conn.now();
    on!(conn, c => sqlx::query(
        "INSERT INTO heartbeats (writer, beat_at, stopped) VALUES ($1, $2, 0) ON CONFLICT (writer) DO UPDATE SET beat_at = excluded.beat_at, stopped = 0")
        .bind(writer).bind(now.0).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Records that this process stops and has no open requests.
pub async fn stop(conn: &mut Conn, writer: &str) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE heartbeats SET stopped = 1 WHERE writer = $1").bind(writer).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Deletes processes whose last heartbeat was before `last_heard`, and standstills that ended
/// before it.
pub async fn forget(conn: &mut Conn, writer: &str, last_heard: Timestamp) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM heartbeats WHERE writer <> $1 AND beat_at <= $2").bind(writer).bind(last_heard.0).execute(c).await.map(|_| ()))?;
    on!(conn, c => sqlx::query("DELETE FROM standstills WHERE ended_at <= $1").bind(last_heard.0).execute(c).await.map(|_| ()))?;
    Ok(())
}
