//! Statements about the ends of audit chains: where each writer's events begin and end.

use crate::model::kernel::time::Timestamp;
use crate::store::{Conn, Result, on, parse_hash};

/// The ends of a chain: the last event that was written, and the last one that was deleted because
/// of its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The writer of the chain.
    pub writer: String,
    /// The number of the last event; 0 if it was never recorded.
    pub sequence: i64,
    /// The link of that event.
    pub link: Option<[u8; 32]>,
    /// The number of the last deleted event; 0 if none was deleted.
    pub pruned_sequence: i64,
    /// The link of that deleted event.
    pub pruned_link: Option<[u8; 32]>,
}

/// Returns every chain, including those of which only events remain.
pub async fn chains(conn: &mut Conn) -> Result<Vec<Chain>> {
    let rows: Vec<ChainRow> = on!(conn, c => sqlx::query_as(
        "SELECT writer, sequence, link, pruned_sequence, pruned_link FROM audit_chains
         UNION ALL
         SELECT DISTINCT e.writer, CAST(0 AS BIGINT), CAST(NULL AS TEXT), CAST(0 AS BIGINT), CAST(NULL AS TEXT) FROM audit_events e
          WHERE NOT EXISTS (SELECT 1 FROM audit_chains c WHERE c.writer = e.writer) ORDER BY 1")
        .fetch_all(c).await)?;
    Ok(rows.into_iter().map(chain_of).collect())
}

type ChainRow = (String, i64, Option<String>, i64, Option<String>);

fn chain_of((writer, sequence, link, pruned_sequence, pruned_link): ChainRow) -> Chain {
    let hash = |text: Option<String>| text.as_deref().and_then(parse_hash);
    Chain {
        writer,
        sequence,
        link: hash(link),
        pruned_sequence,
        pruned_link: hash(pruned_link),
    }
}

/// Returns the present ends of a chain.
pub async fn chain(conn: &mut Conn, writer: &str) -> Result<Option<Chain>> {
    let row: Option<ChainRow> = on!(conn, c => sqlx::query_as("SELECT writer, sequence, link, pruned_sequence, pruned_link FROM audit_chains WHERE writer = $1")
        .bind(writer).fetch_optional(c).await)?;
    Ok(row.map(chain_of))
}

/// What the database has of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its link, if the event exists.
    pub link: Option<String>,
    /// Whether its number is in the part of the chain that was deleted because of its age.
    pub is_pruned: bool,
}

/// Returns whether an event exists, or was deleted because of its age.
pub async fn held(
    conn: &mut Conn,
    at: Timestamp,
    id: &str,
    writer: &str,
    sequence: i64,
) -> Result<Held> {
    let (link, pruned): (Option<String>, i64) = on!(conn, c => sqlx::query_as(
        "SELECT (SELECT link FROM audit_events WHERE at = $1 AND id = $2), (SELECT COUNT(*) FROM audit_chains WHERE writer = $3 AND pruned_sequence >= $4)")
        .bind(at.0).bind(id).bind(writer).bind(sequence).fetch_one(c).await)?;
    Ok(Held {
        link,
        is_pruned: pruned > 0,
    })
}

/// Returns the ends of the chains with an event since that time, unless all their events were
/// deleted because of their age: writer, number, link.
pub async fn ends(conn: &mut Conn, since: Timestamp) -> Result<Vec<(String, i64, String)>> {
    const SQL: &str = "SELECT writer, sequence, link FROM audit_chains
         WHERE pruned_sequence < sequence AND writer IN (SELECT writer FROM audit_events WHERE at >= $1) ORDER BY writer";
    Ok(on!(conn, c => sqlx::query_as(SQL).bind(since.0).fetch_all(c).await)?)
}
