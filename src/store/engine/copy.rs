//! Copies whole tables from one database into another: pages in the order of the primary key, one
//! transaction a page. All columns are TEXT or BIGINT, so a cell is a text or a number.

pub use super::copy_table::{Cell, Cells, Table};
pub use super::copy_tables::{RING, TABLES};
use crate::store::{Conn, Result, on};
use sqlx::{AssertSqlSafe, Row};

/// Returns whether a copy into this database began and was not completed: a database gets its first
/// users after its key ring, and a copy writes the key ring last.
pub async fn is_unfinished(conn: &mut Conn) -> Result<bool> {
    let sql = "SELECT COUNT(*) FROM key_ring WHERE version = 0 AND EXISTS (SELECT 1 FROM users)";
    let (rows,): (i64,) = on!(conn, c => sqlx::query_as(sql).fetch_one(c).await)?;
    Ok(rows > 0)
}

/// Returns the number of rows.
pub async fn count(conn: &mut Conn, table: &Table) -> Result<i64> {
    let sql = format!("SELECT COUNT(*) FROM {}", table.name);
    let (rows,): (i64,) = on!(conn, c => sqlx::query_as(AssertSqlSafe(sql)).fetch_one(c).await)?;
    Ok(rows)
}

/// Returns the sums of all number columns of a table, each modulo a prime so that no sum overflows.
/// Used to find out whether the table changed meanwhile.
pub async fn sum(conn: &mut Conn, table: &Table) -> Result<String> {
    let all: Vec<String> = table
        .numbers
        .iter()
        .map(|c| format!("COALESCE(CAST(SUM({c} % 1000003) AS TEXT), '0')"))
        .collect();
    if all.is_empty() {
        return Ok(String::new());
    }
    let sql = format!("SELECT {} FROM {}", all.join(" || ' ' || "), table.name);
    let (sum,): (String,) = on!(conn, c => sqlx::query_as(AssertSqlSafe(sql)).fetch_one(c).await)?;
    Ok(sum)
}

/// Returns up to `limit` rows after a key, in the order of the key.
pub async fn page(
    conn: &mut Conn,
    table: &Table,
    after: Option<&Cells>,
    limit: i64,
) -> Result<Vec<Cells>> {
    let key = table.key.join(", ");
    let marks: Vec<String> = (1..=table.key.len()).map(|n| format!("${n}")).collect();
    let behind = if after.is_some() {
        format!("WHERE ({key}) > ({})", marks.join(", "))
    } else {
        String::new()
    };
    let sql = format!(
        "SELECT {} FROM {} {behind} ORDER BY {key} LIMIT {limit}",
        table.column_list(),
        table.name
    );
    let after = after.cloned().unwrap_or_default();
    let rows: Vec<Cells> = on!(conn, c => {
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for cell in after {
            query = match cell { Cell::Text(text) => query.bind(text), Cell::Number(number) => query.bind(number) };
        }
        let texts = table.texts.len();
        query.fetch_all(c).await.and_then(|rows| {
            let cells = |row| -> std::result::Result<Cells, sqlx::Error> {
                let texts_of = (0..texts).map(|at| Ok(Cell::Text(Row::try_get(row, at)?)));
                let numbers = (texts..table.columns().count()).map(|at| Ok(Cell::Number(Row::try_get(row, at)?)));
                texts_of.chain(numbers).collect()
            };
            rows.iter().map(cells).collect()
        })
    })?;
    Ok(rows)
}

/// Rows of one statement on SQLite. sqlx sends each statement to another thread, so one row a
/// statement is slower; more than this is not faster.
const ROWS_ON_SQLITE: usize = 50;

/// Rows of one statement on Postgres: with 23 columns these are fewer parameters than it allows
/// (65,535).
const ROWS_ON_POSTGRES: usize = 1_000;

/// Inserts the rows by several statements, within the transaction of the work. On SQLite all but
/// the last have the same text, which is prepared once for a table.
pub async fn insert(conn: &mut Conn, table: &Table, rows: Vec<Cells>) -> Result<()> {
    let at_once = if conn.is_postgres() {
        ROWS_ON_POSTGRES
    } else {
        ROWS_ON_SQLITE
    };
    let mut rows = rows.into_iter();
    loop {
        let group: Vec<Cells> = rows.by_ref().take(at_once).collect();
        if group.is_empty() {
            return Ok(());
        }
        insert_group(conn, table, group).await?;
    }
}

async fn insert_group(conn: &mut Conn, table: &Table, rows: Vec<Cells>) -> Result<()> {
    let width = table.columns().count();
    let numbered = conn.is_postgres();
    // SQLite searches the names of all parameters for each `$1`, and again for each bound value:
    // the time grows with the square of their number. A `?` has no name.
    let mark = |row: usize, column: usize| {
        if numbered {
            format!("${}", row * width + column + 1)
        } else {
            "?".to_owned()
        }
    };
    let tuple = |row: usize| {
        let marks: Vec<String> = (0..width).map(|column| mark(row, column)).collect();
        format!("({})", marks.join(", "))
    };
    let tuples: Vec<String> = (0..rows.len()).map(tuple).collect();
    let sql = format!(
        "INSERT INTO {} ({}) VALUES {}",
        table.name,
        table.column_list(),
        tuples.join(", ")
    );
    let repeated = !numbered && rows.len() == ROWS_ON_SQLITE;
    on!(conn, c => {
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(repeated);
        for cell in rows.into_iter().flatten() {
            query = match cell { Cell::Text(text) => query.bind(text), Cell::Number(number) => query.bind(number) };
        }
        query.execute(c).await.map(|_| ())
    })?;
    Ok(())
}

/// Clears the record of the master key in a database that no process has ever served from.
pub async fn release(conn: &mut Conn) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE key_ring SET master_version = NULL WHERE id = 1 AND version = 0").execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Gives the connection memory for the indexes of large tables, whose rows come in no order of
/// theirs: at most 256 MiB instead of 2. Does nothing on Postgres.
pub async fn enlarge_cache(conn: &mut Conn) -> Result<()> {
    if conn.is_postgres() {
        return Ok(());
    }
    conn.execute("PRAGMA cache_size = -262144").await
}

/// Deletes all rows of the table.
pub async fn clear(conn: &mut Conn, table: &Table) -> Result<()> {
    let sql = format!("DELETE FROM {}", table.name);
    on!(conn, c => sqlx::query(AssertSqlSafe(sql)).execute(c).await.map(|_| ()))?;
    Ok(())
}
