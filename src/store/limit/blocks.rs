//! Networks that an operator has blocked, and the version number by which running processes notice
//! changes of blocks and limits.

use ipnet::IpNet;

use crate::model::kernel::time::Timestamp;
use crate::model::limit::block::Block;

use crate::store::{Conn, Error, Result, on};

/// Returns the version, which rises with every change by an operator; processes poll it.
pub async fn version(conn: &mut Conn) -> Result<i64> {
    Ok(
        on!(conn, c => sqlx::query_scalar("SELECT version FROM limits_state WHERE id = 1").fetch_one(c).await)?,
    )
}

/// Raises the version, so that every process reloads.
pub async fn advance(conn: &mut Conn) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE limits_state SET version = version + 1 WHERE id = 1").execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns the blocks that have not ended, in the order of their ends.
pub async fn list(conn: &mut Conn, now: Timestamp) -> Result<Vec<Block>> {
    let rows: Vec<(String, String, i64, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT network, reason, created_at, ends_at FROM network_blocks WHERE ends_at > $1 ORDER BY ends_at, network")
        .bind(now.0).fetch_all(c).await)?;
    let block = |(network, reason, created_at, ends_at): (String, String, i64, i64)| {
        let network: IpNet = network.parse().map_err(|_| Error::Corrupt {
            table: "network_blocks",
            column: "network",
        })?;
        Ok(Block {
            network,
            reason,
            created_at: Timestamp(created_at),
            ends_at: Timestamp(ends_at),
        })
    };
    rows.into_iter().map(block).collect()
}

/// Adds a block or replaces that of the same network; deletes blocks that have ended.
pub async fn put(conn: &mut Conn, block: &Block) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO network_blocks (network, reason, created_at, ends_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (network) DO UPDATE SET reason = excluded.reason, created_at = excluded.created_at, ends_at = excluded.ends_at")
        .bind(block.network.to_string()).bind(&block.reason).bind(block.created_at.0).bind(block.ends_at.0)
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Lifts a block; returns `false` if there was none.
pub async fn remove(conn: &mut Conn, network: IpNet) -> Result<bool> {
    let removed = on!(conn, c => sqlx::query("DELETE FROM network_blocks WHERE network = $1")
        .bind(network.to_string()).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(removed == 1)
}
