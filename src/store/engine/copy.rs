//! Whole tables from one database into another: pages in the order of the primary key, one
//! statement a page on either side. Columns are TEXT or BIGINT and nothing else, so that a cell is
//! a text or a number.

use sqlx::{AssertSqlSafe, Row};

use crate::store::{Conn, Result, on};

pub use super::copy_tables::{RING, TABLES, Table};

/// What stands in one column of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// TEXT.
    Text(Option<String>),
    /// BIGINT.
    Number(Option<i64>),
}

/// The cells of one row: texts, then numbers.
pub type Cells = Vec<Cell>;

/// How many rows there are.
pub async fn count(conn: &mut Conn, table: &Table) -> Result<i64> {
    let sql = format!("SELECT COUNT(*) FROM {}", table.name);
    let (rows,): (i64,) = on!(conn, c => sqlx::query_as(AssertSqlSafe(sql)).fetch_one(c).await)?;
    Ok(rows)
}

/// The sums of all numbers in a table, each taken modulo a prime so that no sum overflows: what a
/// change meanwhile would change.
pub async fn sum(conn: &mut Conn, table: &Table) -> Result<String> {
    let all: Vec<String> = table
        .numbers
        .iter()
        .map(|c| format!("COALESCE(CAST(SUM({c} % 1000003) AS TEXT), '0')"))
        .collect();
    let sql = format!("SELECT {} FROM {}", all.join(" || ' ' || "), table.name);
    let (sum,): (String,) = on!(conn, c => sqlx::query_as(AssertSqlSafe(sql)).fetch_one(c).await)?;
    Ok(sum)
}

/// Up to `limit` rows behind a key, in the key's order.
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

/// Inserts the rows, all or none.
pub async fn insert(conn: &mut Conn, table: &Table, rows: Vec<Cells>) -> Result<()> {
    let width = table.columns().count();
    let tuple = |row: usize| {
        format!(
            "({})",
            (1..=width)
                .map(|n| format!("${}", row * width + n))
                .collect::<Vec<_>>()
                .join(", ")
        )
    };
    let tuples: Vec<String> = (0..rows.len()).map(tuple).collect();
    if tuples.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO {} ({}) VALUES {}",
        table.name,
        table.column_list(),
        tuples.join(", ")
    );
    on!(conn, c => {
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for cell in rows.into_iter().flatten() {
            query = match cell { Cell::Text(text) => query.bind(text), Cell::Number(number) => query.bind(number) };
        }
        query.execute(c).await.map(|_| ())
    })?;
    Ok(())
}

/// Forgets which master key a database that nobody ever served from was given.
pub async fn release(conn: &mut Conn) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE key_ring SET master_version = NULL WHERE id = 1 AND version = 0").execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Empties the table.
pub async fn clear(conn: &mut Conn, table: &Table) -> Result<()> {
    let sql = format!("DELETE FROM {}", table.name);
    on!(conn, c => sqlx::query(AssertSqlSafe(sql)).execute(c).await.map(|_| ()))?;
    Ok(())
}
