//! Copies whole tables from one database into another: pages in the order of the primary key, one
//! statement a page on either side. All columns are TEXT or BIGINT, so a cell is a text or a
//! number.

pub use super::copy_tables::{Cell, Cells, RING, TABLES, Table};
use crate::store::{Conn, Result, on};
use sqlx::{AssertSqlSafe, Row};

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

/// Inserts the rows, either all of them or none.
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

/// Clears the record of the master key in a database that no process has ever served from.
pub async fn release(conn: &mut Conn) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE key_ring SET master_version = NULL WHERE id = 1 AND version = 0").execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Deletes all rows of the table.
pub async fn clear(conn: &mut Conn, table: &Table) -> Result<()> {
    let sql = format!("DELETE FROM {}", table.name);
    on!(conn, c => sqlx::query(AssertSqlSafe(sql)).execute(c).await.map(|_| ()))?;
    Ok(())
}
