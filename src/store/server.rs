//! What the database server says of itself.

use crate::model::time::Timestamp;

use super::{Conn, Result, on};

/// The server's clock; `None` where the database has none but ours (SQLite).
pub async fn clock(conn: &mut Conn) -> Result<Option<Timestamp>> {
    if !conn.is_postgres() {
        return Ok(None);
    }
    let (ms,): (i64,) = on!(conn, c => sqlx::query_as("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)").fetch_one(c).await)?;
    Ok(Some(Timestamp(ms)))
}
