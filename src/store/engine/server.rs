//! What the database server reports about itself.

use crate::model::kernel::time::Timestamp;

use crate::store::{Conn, Result, on};

/// Returns the server's clock; `None` if the database has none of its own (SQLite).
pub async fn clock(conn: &mut Conn) -> Result<Option<Timestamp>> {
    if !conn.is_postgres() {
        return Ok(None);
    }
    let (ms,): (i64,) = on!(conn, c => sqlx::query_as("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)").fetch_one(c).await)?;
    Ok(Some(Timestamp(ms)))
}

/// Facts about the database.
#[derive(Debug, Clone)]
pub struct About {
    /// Name and version of the database.
    pub version: String,
    /// Whether autovacuum is on (Postgres).
    pub autovacuum: Option<bool>,
}

/// Asks the database for facts about itself.
pub async fn about(conn: &mut Conn) -> Result<About> {
    if conn.is_postgres() {
        let (version, autovacuum): (String, String) = on!(conn, c => sqlx::query_as("SELECT 'PostgreSQL ' || current_setting('server_version'), current_setting('autovacuum')").fetch_one(c).await)?;
        return Ok(About {
            version,
            autovacuum: Some(autovacuum == "on"),
        });
    }
    let (version,): (String,) =
        on!(conn, c => sqlx::query_as("SELECT 'SQLite ' || sqlite_version()").fetch_one(c).await)?;
    Ok(About {
        version,
        autovacuum: None,
    })
}

/// Runs SQLite's own check of the file and returns `ok` or the first damage. Returns `None` for
/// Postgres, which has checksums instead.
pub async fn quick_check(conn: &mut Conn) -> Result<Option<String>> {
    if conn.is_postgres() {
        return Ok(None);
    }
    let (says,): (String,) =
        on!(conn, c => sqlx::query_as("PRAGMA quick_check(1)").fetch_one(c).await)?;
    Ok(Some(says))
}

/// The size of a table and statistics of its writes.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TableSize {
    /// Name of the table.
    pub name: String,
    /// Bytes of its rows.
    pub bytes: i64,
    /// Bytes of its indexes.
    pub index_bytes: i64,
    /// Dead rows, which no transaction sees any more (Postgres).
    pub dead_rows: i64,
    /// Live rows (Postgres, estimated).
    pub live_rows: i64,
    /// Updates since the statistics were reset (Postgres).
    pub updates: i64,
    /// Updates that touched no index: heap-only tuples (Postgres).
    pub hot_updates: i64,
    /// 0 if autovacuum is off for this table (Postgres).
    pub autovacuum: i64,
}

/// Returns the tables, the largest first.
pub async fn tables(conn: &mut Conn) -> Result<Vec<TableSize>> {
    const POSTGRES: &str = "SELECT c.relname::text AS name, pg_table_size(c.oid) AS bytes, pg_indexes_size(c.oid) AS index_bytes,
                COALESCE(s.n_dead_tup, 0) AS dead_rows, COALESCE(s.n_live_tup, 0) AS live_rows, COALESCE(s.n_tup_upd, 0) AS updates,
                COALESCE(s.n_tup_hot_upd, 0) AS hot_updates,
                COALESCE((SELECT o.option_value::boolean::int::bigint FROM pg_options_to_table(c.reloptions) o WHERE o.option_name = 'autovacuum_enabled'), 1)
                    AS autovacuum
           FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
          WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' ORDER BY 2 DESC, 1";
    const SQLITE: &str = "SELECT m.tbl_name AS name, SUM(CASE WHEN m.type = 'table' THEN s.pgsize ELSE 0 END) AS bytes,
                SUM(CASE WHEN m.type = 'index' THEN s.pgsize ELSE 0 END) AS index_bytes,
                0 AS dead_rows, 0 AS live_rows, 0 AS updates, 0 AS hot_updates, 1 AS autovacuum
           FROM dbstat s JOIN sqlite_master m ON m.name = s.name GROUP BY m.tbl_name ORDER BY 2 DESC, 1";
    let sql = if conn.is_postgres() { POSTGRES } else { SQLITE };
    Ok(on!(conn, c => sqlx::query_as(sql).fetch_all(c).await)?)
}
