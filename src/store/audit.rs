//! The audit trail: append-only, each writer's events a chain of hashes. Written in the transaction of what it records.

use serde_json::Value;

use crate::model::audit::Event;

use super::{Conn, Error, Result, hash_text, on, parse_hash};

/// Appends an event to the writer's chain.
pub async fn append(conn: &mut Conn, writer: &str, event: &Event) -> Result<()> {
    // Connections that write side by side would fork one chain: each has its own.
    let writer = &conn.chain.map_or_else(|| writer.to_owned(), |chain| format!("{writer}.{chain}"));
    let (sequence, previous) = tail(conn, writer).await?;
    let sequence = sequence + 1;
    let link = event.link(writer, sequence, &previous);
    on!(conn, c => sqlx::query(
        "INSERT INTO audit_events (id, writer, sequence, at, kind, actor, subject, session_id, ip_address, user_agent, request_id, detail, link)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)")
        .bind(event.id.to_string())
        .bind(writer.as_str())
        .bind(sequence)
        .bind(event.at.0)
        .bind(event.kind.as_str())
        .bind(event.peer.actor.as_str())
        .bind(event.subject.map(|u| u.to_string()))
        .bind(event.session.map(|s| s.to_string()))
        .bind(event.peer.ip_address.as_str())
        .bind(event.peer.user_agent.as_str())
        .bind(event.peer.request_id.as_str())
        .bind(Value::Object(event.detail.clone()).to_string())
        .bind(hash_text(&link))
        .execute(c).await.map(|_| ()))?;
    conn.audit_tail = Some((sequence, link));
    Ok(())
}

/// Where the writer's chain ends. Nobody else writes it, so the connection may remember it until something is rolled back.
async fn tail(conn: &mut Conn, writer: &str) -> Result<(i64, [u8; 32])> {
    if let Some(tail) = conn.audit_tail {
        return Ok(tail);
    }
    let last: Option<(i64, String)> = on!(conn, c => sqlx::query_as("SELECT sequence, link FROM audit_events WHERE writer = $1 ORDER BY sequence DESC LIMIT 1")
        .bind(writer).fetch_optional(c).await)?;
    match last {
        None => Ok((0, [0; 32])),
        Some((sequence, link)) => Ok((sequence, parse_hash(&link).ok_or(Error::Corrupt { table: "audit_events", column: "link" })?)),
    }
}
