//! The audit trail: append-only, the events of each writer form a chain of hashes. An event is
//! written in the transaction of what it records.

use std::time::Duration;

use sqlx::FromRow;

use crate::model::audit::event::{Entry, Event};
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock::ConfirmedNow;

use crate::store::engine::copy;
use crate::store::engine::copy_table::{Cell, Cells};
use crate::store::engine::copy_tables::AUDIT_EVENTS;
use crate::store::engine::row_locks::Locking;
use crate::store::{Conn, Error, Result, hash_text, locking, on, parse_hash};

/// Appends an event to the writer's chain.
pub async fn append(conn: &mut Conn, writer: &str, event: &Event) -> Result<()> {
    append_all(conn, writer, std::slice::from_ref(event)).await
}

/// Appends events to the writer's chain, in this order.
pub async fn append_all(conn: &mut Conn, writer: &str, events: &[Event]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    // Connections that write concurrently would fork one chain, so each has its own.
    let writer = &conn
        .chain
        .map_or_else(|| writer.to_owned(), |chain| format!("{writer}.{chain}"));
    let (mut sequence, mut previous) = tail(conn, writer).await?;
    let mut entries = Vec::with_capacity(events.len());
    for event in events {
        sequence += 1;
        let entry = event.entry(writer, sequence);
        let link = entry.expected_link(&previous);
        entries.push((entry, link));
        previous = link;
    }
    match entries.as_slice() {
        [(entry, link)] => insert(conn, entry, link).await?,
        many => {
            let cells = many.iter().map(|(entry, link)| cells(entry, link));
            copy::insert(conn, &AUDIT_EVENTS, cells.collect()).await?;
        }
    }
    on!(conn, c => sqlx::query(
        "INSERT INTO audit_chains (writer, sequence, link, pruned_sequence, pruned_link) VALUES ($1, $2, $3, 0, NULL)
         ON CONFLICT (writer) DO UPDATE SET sequence = excluded.sequence, link = excluded.link")
        .bind(writer.as_str())
        .bind(sequence)
        .bind(hash_text(&previous))
        .execute(c).await.map(|_| ()))?;
    conn.audit_tail = Some((sequence, previous));
    Ok(())
}

/// Returns the cells of an event's row, in the order of the table's columns.
fn cells(entry: &Entry, link: &[u8; 32]) -> Cells {
    let text = |text: &str| Cell::Text(Some(text.to_owned()));
    vec![
        text(&entry.id),
        text(&entry.writer),
        text(&entry.kind),
        text(&entry.actor),
        Cell::Text(entry.subject.clone()),
        Cell::Text(entry.session.clone()),
        text(&entry.ip_address),
        text(&entry.user_agent),
        text(&entry.request_id),
        text(&entry.detail),
        text(&hash_text(link)),
        Cell::Number(Some(entry.sequence)),
        Cell::Number(Some(entry.at.0)),
    ]
}

async fn insert(conn: &mut Conn, entry: &Entry, link: &[u8; 32]) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO audit_events (id, writer, sequence, at, kind, actor, subject, session_id, ip_address, user_agent, request_id, detail, link)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)")
        .bind(&entry.id)
        .bind(&entry.writer)
        .bind(entry.sequence)
        .bind(entry.at.0)
        .bind(&entry.kind)
        .bind(&entry.actor)
        .bind(&entry.subject)
        .bind(&entry.session)
        .bind(&entry.ip_address)
        .bind(&entry.user_agent)
        .bind(&entry.request_id)
        .bind(&entry.detail)
        .bind(hash_text(link))
        .execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Returns the end of the writer's chain. No other process writes it, so the connection caches it
/// until a rollback.
async fn tail(conn: &mut Conn, writer: &str) -> Result<(i64, [u8; 32])> {
    if let Some(tail) = conn.audit_tail {
        return Ok(tail);
    }
    let last: Option<(i64, String)> = on!(conn, c => sqlx::query_as("SELECT sequence, link FROM audit_chains WHERE writer = $1")
        .bind(writer).fetch_optional(c).await)?;
    match last {
        None => Ok((0, [0; 32])),
        Some((sequence, link)) => Ok((
            sequence,
            parse_hash(&link).ok_or(Error::Corrupt {
                table: "audit_chains",
                column: "link",
            })?,
        )),
    }
}

#[derive(FromRow)]
pub(super) struct Row {
    id: String,
    writer: String,
    sequence: i64,
    at: i64,
    kind: String,
    actor: String,
    subject: Option<String>,
    session_id: Option<String>,
    ip_address: String,
    user_agent: String,
    request_id: String,
    detail: String,
    link: String,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            writer: row.writer,
            sequence: row.sequence,
            at: Timestamp(row.at),
            kind: row.kind,
            actor: row.actor,
            subject: row.subject,
            session: row.session_id,
            ip_address: row.ip_address,
            user_agent: row.user_agent,
            request_id: row.request_id,
            detail: row.detail,
            link: row.link,
        }
    }
}

macro_rules! entries {
    ($rest:literal) => {
        concat!("SELECT id, writer, sequence, at, kind, actor, subject, session_id, ip_address, user_agent, request_id, detail, link FROM audit_events ", $rest)
    };
}

/// A filter for events; `None` matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The user whom the event concerns.
    pub subject: Option<String>,
    /// A kind such as `session.created`, or a prefix such as `session.`.
    pub kind: Option<String>,
    /// Only events from this time on.
    pub since: Option<Timestamp>,
    /// Only events after this position, oldest first; otherwise the newest come first.
    pub after: Option<(Timestamp, String)>,
    /// Only events before this position.
    pub before: Option<(Timestamp, String)>,
}

/// Returns a page of events by time: newest first, or oldest first after a position.
pub async fn list(conn: &mut Conn, filter: &Filter, limit: i64) -> Result<Vec<Entry>> {
    const BACKWARD: &str = entries!(
        "WHERE at >= $1 AND (at, id) < ($2, $3) AND ($4 = '' OR subject = $4) AND ($5 = '' OR substr(kind, 1, length($5)) = $5) ORDER BY at DESC, id DESC LIMIT $6"
    );
    const FORWARD: &str = entries!(
        "WHERE at >= $1 AND (at, id) > ($2, $3) AND ($4 = '' OR subject = $4) AND ($5 = '' OR substr(kind, 1, length($5)) = $5) ORDER BY at, id LIMIT $6"
    );
    let (sql, place) = match (&filter.after, &filter.before) {
        (Some(after), _) => (FORWARD, after.clone()),
        (None, before) => (
            BACKWARD,
            before
                .clone()
                .unwrap_or((Timestamp(i64::MAX), String::new())),
        ),
    };
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(sql)
        .bind(filter.since.map_or(i64::MIN, |t| t.0))
        .bind(place.0.0)
        .bind(place.1)
        .bind(filter.subject.clone().unwrap_or_default())
        .bind(filter.kind.clone().unwrap_or_default())
        .bind(limit)
        .fetch_all(c).await)?;
    Ok(rows.into_iter().map(Entry::from).collect())
}

/// Returns the number of events that match the filter, whatever position it names.
pub async fn count(conn: &mut Conn, filter: &Filter) -> Result<i64> {
    Ok(on!(conn, c => sqlx::query_scalar(
        "SELECT COUNT(*) FROM audit_events WHERE at >= $1 AND ($2 = '' OR subject = $2) AND ($3 = '' OR substr(kind, 1, length($3)) = $3)")
        .bind(filter.since.map_or(i64::MIN, |t| t.0))
        .bind(filter.subject.clone().unwrap_or_default())
        .bind(filter.kind.clone().unwrap_or_default())
        .fetch_one(c).await)?)
}

/// Returns events after a position that the command line has caused, oldest first.
pub async fn of_command_line(
    conn: &mut Conn,
    after: &(Timestamp, String),
    limit: i64,
) -> Result<Vec<Entry>> {
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(entries!("WHERE (at, id) > ($1, $2) AND actor LIKE 'cli:%' ORDER BY at, id LIMIT $3"))
        .bind(after.0.0).bind(after.1.as_str()).bind(limit).fetch_all(c).await)?;
    Ok(rows.into_iter().map(Entry::from).collect())
}

/// Returns writers of events that are older than `before`.
pub async fn writers_before(conn: &mut Conn, before: Timestamp, limit: i64) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as("SELECT DISTINCT writer FROM (SELECT writer FROM audit_events WHERE at < $1 ORDER BY at, id LIMIT $2) old")
        .bind(before.0).bind(limit).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(writer,)| writer).collect())
}

/// Returns the next events of a writer, in the order of their numbers, each with its link.
pub async fn of_writer(
    conn: &mut Conn,
    writer: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<(Entry, Option<[u8; 32]>)>> {
    let rows: Vec<Row> = on!(conn, c => sqlx::query_as(entries!("WHERE writer = $1 AND sequence > $2 ORDER BY sequence LIMIT $3"))
        .bind(writer).bind(after).bind(limit).fetch_all(c).await)?;
    let with_link = |row: Row| {
        let link = parse_hash(&row.link);
        (Entry::from(row), link)
    };
    Ok(rows.into_iter().map(with_link).collect())
}

/// Deletes up to `limit` of a writer's oldest events that are older than `keep`, and records where
/// the chain begins now; returns how many.
pub async fn prune(
    conn: &mut Conn,
    writer: &str,
    now: ConfirmedNow,
    keep: Duration,
    limit: i64,
) -> Result<u64> {
    // Locked for each chain: a slower process must not record an earlier beginning afterwards.
    const FIND: Locking = locking!("SELECT writer FROM audit_chains WHERE writer = $1");
    if !crate::store::engine::clock::holds(conn, now).await? {
        return Ok(0);
    }
    let before = now.now() - keep;
    let sql = FIND.on(conn);
    let noted: Option<(String,)> =
        on!(conn, c => sqlx::query_as(sql).bind(writer).fetch_optional(c).await)?;
    if noted.is_none() {
        // A chain that an older version wrote with this schema.
        on!(conn, c => sqlx::query(
            "INSERT INTO audit_chains (writer, sequence, link, pruned_sequence, pruned_link)
             SELECT writer, sequence, link, 0, NULL FROM audit_events WHERE writer = $1 ORDER BY sequence DESC LIMIT 1 ON CONFLICT (writer) DO NOTHING")
            .bind(writer).execute(c).await.map(|_| ()))?;
    }
    let old: Vec<(i64, i64, String)> = on!(conn, c => sqlx::query_as("SELECT sequence, at, link FROM audit_events WHERE writer = $1 ORDER BY sequence LIMIT $2")
        .bind(writer).bind(limit).fetch_all(c).await)?;
    let Some((sequence, _, link)) = old
        .into_iter()
        .take_while(|(_, at, _)| *at < before.0)
        .last()
    else {
        return Ok(0);
    };
    on!(conn, c => sqlx::query("UPDATE audit_chains SET pruned_sequence = $1, pruned_link = $2 WHERE writer = $3")
        .bind(sequence).bind(link).bind(writer).execute(c).await.map(|_| ()))?;
    Ok(
        on!(conn, c => sqlx::query("DELETE FROM audit_events WHERE writer = $1 AND sequence <= $2")
        .bind(writer).bind(sequence).execute(c).await.map(|done| done.rows_affected()))?,
    )
}
