//! Whole tables from one database into another: pages in the order of the primary key, one
//! statement a page on either side. Columns are TEXT or BIGINT and nothing else, so that a cell is
//! a text or a number.

use sqlx::{AssertSqlSafe, Row};

use crate::store::{Conn, Result, on};

/// A table and its columns; a test holds the list to the schema.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    key: &'static [&'static str],
    texts: &'static [&'static str],
    numbers: &'static [&'static str],
}

/// Every table but `key_ring`, referenced ones first and `sessions` last: they are what changes
/// when somebody still serves from the source.
pub const TABLES: [Table; 19] = [
    Table {
        name: "users",
        key: &["id"],
        texts: &[
            "id",
            "email",
            "name",
            "image",
            "role",
            "ban_reason",
            "metadata",
        ],
        numbers: &[
            "email_verified",
            "banned",
            "ban_expires_at",
            "disabled_at",
            "version",
            "login_epoch",
            "created_at",
            "updated_at",
            "unproven_until",
            "session_epoch",
            "acting_epoch",
            "deleted_at",
        ],
    },
    Table {
        name: "accounts",
        key: &["id"],
        texts: &[
            "id",
            "user_id",
            "provider_id",
            "account_id",
            "password_hash",
        ],
        numbers: &["created_at", "updated_at"],
    },
    Table {
        name: "mail_tokens",
        key: &["id"],
        texts: &[
            "id",
            "purpose",
            "user_id",
            "email",
            "new_email",
            "session_id",
        ],
        numbers: &["created_at", "expires_at", "ended_at", "epoch"],
    },
    Table {
        name: "audit_chains",
        key: &["writer"],
        texts: &["writer", "link", "pruned_link"],
        numbers: &["sequence", "pruned_sequence"],
    },
    Table {
        name: "clock",
        key: &["id"],
        texts: &[],
        numbers: &["id", "confirmed_at"],
    },
    Table {
        name: "network_blocks",
        key: &["network"],
        texts: &["network", "reason"],
        numbers: &["created_at", "ends_at"],
    },
    Table {
        name: "limits_state",
        key: &["id"],
        texts: &[],
        numbers: &["id", "version"],
    },
    Table {
        name: "rate_limits",
        key: &["key"],
        texts: &["key"],
        numbers: &["level", "free_at", "expires_at"],
    },
    Table {
        name: "heartbeats",
        key: &["writer"],
        texts: &["writer"],
        numbers: &["beat_at", "stopped"],
    },
    Table {
        name: "processes",
        key: &["writer"],
        texts: &["writer", "host", "mark", "program", "master_keys"],
        numbers: &["pid", "started_at", "seen_at"],
    },
    Table {
        name: "standstills",
        key: &["writer", "began_at"],
        texts: &["writer"],
        numbers: &["began_at", "ended_at"],
    },
    Table {
        name: "mails",
        key: &["id"],
        texts: &["id", "template", "recipient", "token_id", "detail"],
        numbers: &["attempts", "created_at", "due_at"],
    },
    Table {
        name: "session_endings",
        key: &["id"],
        texts: &["id", "kind", "user_id", "reason", "done_to"],
        numbers: &["epoch", "ended_at"],
    },
    Table {
        name: "webhooks",
        key: &["id"],
        texts: &["id", "kind", "body"],
        numbers: &["attempts", "created_at", "due_at"],
    },
    Table {
        name: "signing_keys",
        key: &["kid"],
        texts: &[
            "kid",
            "algorithm",
            "state",
            "public_jwk",
            "private_jwe",
            "reason",
        ],
        numbers: &[
            "published_at",
            "activated_at",
            "retired_at",
            "ended_at",
            "max_ttl",
        ],
    },
    Table {
        name: "master_keys",
        key: &["version"],
        texts: &["key_id"],
        numbers: &["version", "created_at", "compromised_at"],
    },
    Table {
        name: "write_probes",
        key: &["id"],
        texts: &[],
        numbers: &["id", "at"],
    },
    Table {
        name: "audit_events",
        key: &["writer", "sequence"],
        texts: &[
            "id",
            "writer",
            "kind",
            "actor",
            "subject",
            "session_id",
            "ip_address",
            "user_agent",
            "request_id",
            "detail",
            "link",
        ],
        numbers: &["sequence", "at"],
    },
    Table {
        name: "sessions",
        key: &["id"],
        texts: &[
            "id",
            "user_id",
            "token_hash",
            "refresh_hash",
            "revoked_reason",
            "delivery",
            "ip_address",
            "user_agent",
            "impersonated_by",
            "presenters",
            "acting_session",
        ],
        numbers: &[
            "generation",
            "rotated_at",
            "idle_expires_at",
            "expires_at",
            "revoked_at",
            "remember",
            "auth_time",
            "created_at",
            "updated_at",
            "epoch",
            "acting_epoch",
            "left_at",
        ],
    },
];

/// The one row that makes a database somebody's: copied last, so that a copy that was interrupted
/// is nobody's and may begin anew.
pub const RING: Table = Table {
    name: "key_ring",
    key: &["id"],
    texts: &[],
    numbers: &[
        "id",
        "version",
        "master_version",
        "rotate_after",
        "verifier_cache",
        "identity",
        "epoch",
    ],
};

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

impl Table {
    /// The columns in the order of a row's cells.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.texts.iter().chain(self.numbers).copied()
    }

    fn column_list(&self) -> String {
        self.columns().collect::<Vec<_>>().join(", ")
    }

    /// The cells of the primary key.
    pub fn key_of(&self, row: &Cells) -> Cells {
        let find = |key: &&str| {
            self.columns()
                .position(|c| c == *key)
                .and_then(|at| row.get(at))
                .cloned()
        };
        self.key.iter().filter_map(find).collect()
    }
}

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
