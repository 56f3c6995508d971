//! The database of a test, and looking at and changing it behind the program's back; such helpers
//! are called `db_…`. `TEST_DATABASE_URL=postgres://…` puts every test there, each into a schema of
//! its own.

use std::path::Path;
use std::sync::OnceLock;

use countersign::model::audit::event::{Event, Kind, Requester};
use countersign::model::kernel::time::Timestamp;
use countersign::model::session::ticket::Retry;
use countersign::store::{Db, Options};
use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use super::TestApp;

/// Where a test's rows are.
pub struct Place {
    pub url: String,
    /// The server's URL and the schema to drop.
    schema: Option<(String, String)>,
    /// How the clients of the processes there retry their refreshes.
    pub retry: OnceLock<Retry>,
}

impl Place {
    pub async fn make(dir: &Path) -> Self {
        install_default_drivers();
        let Ok(server) = std::env::var("TEST_DATABASE_URL") else {
            return Self {
                url: format!("sqlite://{}", dir.join("test.db").display()),
                schema: None,
                retry: OnceLock::new(),
            };
        };
        // As unique as the folder, whose name may differ from another one's in case alone.
        let schema = dir
            .file_name()
            .unwrap()
            .as_encoded_bytes()
            .iter()
            .fold("test_".to_owned(), |name, byte| format!("{name}{byte:02x}"));
        execute(&server, format!("CREATE SCHEMA {schema}"))
            .await
            .unwrap();
        Self {
            url: format!("{server}?options[search_path]={schema}"),
            schema: Some((server, schema)),
            retry: OnceLock::new(),
        }
    }
}

impl Drop for Place {
    /// A test that failed leaves its rows to look at.
    fn drop(&mut self) {
        let Some((server, schema)) = self.schema.take().filter(|_| !std::thread::panicking())
        else {
            return;
        };
        let dropping = async move {
            execute(
                &server,
                format!("DROP SCHEMA {schema} CASCADE; DROP SCHEMA IF EXISTS {schema}_2 CASCADE"),
            )
            .await
        };
        let thread = std::thread::spawn(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(dropping)
        });
        thread.join().unwrap().unwrap();
    }
}

async fn execute(url: &str, sql: String) -> Result<(), sqlx::Error> {
    let mut connection = AnyConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await?;
    connection.close().await
}

pub fn on_postgres() -> bool {
    std::env::var_os("TEST_DATABASE_URL").is_some()
}

/// A session's row but for its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    pub generation: i64,
    pub refresh_hash: String,
    pub rotated_at: i64,
    pub idle_expires_at: i64,
    pub revoked_reason: Option<String>,
    pub ticket: Option<String>,
}

impl TestApp {
    pub async fn db(&self) -> AnyConnection {
        AnyConnection::connect(&self.place.url).await.unwrap()
    }

    pub async fn db_session(&self, id: &str) -> SessionRow {
        let row = sqlx::query("SELECT generation, refresh_hash, rotated_at, idle_expires_at, revoked_reason, ticket FROM sessions WHERE id = $1")
            .bind(id.to_owned())
            .fetch_one(&mut self.db().await)
            .await
            .unwrap();
        SessionRow {
            generation: row.get(0),
            refresh_hash: row.get(1),
            rotated_at: row.get(2),
            idle_expires_at: row.get(3),
            revoked_reason: row.get(4),
            ticket: row.get(5),
        }
    }

    /// What a failover or a restored backup does: the row is as it was.
    pub async fn db_roll_back(&self, id: &str, row: &SessionRow) {
        sqlx::query("UPDATE sessions SET generation = $1, refresh_hash = $2, rotated_at = $3, idle_expires_at = $4, revoked_at = NULL, revoked_reason = NULL, ticket = $6 WHERE id = $5")
            .bind(row.generation)
            .bind(row.refresh_hash.clone())
            .bind(row.rotated_at)
            .bind(row.idle_expires_at)
            .bind(id.to_owned())
            .bind(row.ticket.clone())
            .execute(&mut self.db().await)
            .await
            .unwrap();
    }

    pub async fn db_count_events(&self, kind: &str) -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM audit_events WHERE kind = $1")
            .bind(kind.to_owned())
            .fetch_one(&mut self.db().await)
            .await
            .unwrap()
    }

    pub async fn db_execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        sqlx::query(AssertSqlSafe(sql.to_owned()))
            .execute(&mut self.db().await)
            .await
            .map(|_| ())
    }

    /// Runs several statements as one transaction.
    pub async fn db_script(&self, sql: &str) {
        let sql = format!("BEGIN; {sql} ; COMMIT");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut self.db().await)
            .await
            .unwrap();
    }

    pub async fn db_text(&self, sql: &str) -> Option<String> {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_optional(&mut self.db().await)
            .await
            .unwrap()
            .flatten()
    }

    /// One text of each row, in the order of the query.
    pub async fn db_texts(&self, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql)
            .fetch_all(&mut self.db().await)
            .await
            .unwrap()
    }

    pub async fn db_number(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut self.db().await)
            .await
            .unwrap()
    }

    pub async fn live_sessions(&self) -> i64 {
        self.db_number("SELECT COUNT(*) FROM sessions WHERE revoked_at IS NULL")
            .await
    }

    /// A second database beside this one's: the tables are there, nothing is in them.
    pub async fn empty_database(&self) -> Db {
        let url = self.second_url();
        if let Some((server, schema)) = &self.place.schema {
            execute(server, format!("CREATE SCHEMA {schema}_2"))
                .await
                .unwrap();
        }
        Db::open(&url.parse().unwrap(), &Options::default())
            .await
            .unwrap()
    }

    pub fn second_url(&self) -> String {
        match &self.place.schema {
            Some((server, schema)) => format!("{server}?options[search_path]={schema}_2"),
            None => format!("sqlite://{}", self.path("second.db").display()),
        }
    }

    /// `table.column`, all of them but the migrations' own, sorted.
    pub async fn db_columns(&self) -> Vec<String> {
        let catalogue = if on_postgres() {
            "SELECT (table_name || '.' || column_name)::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name NOT LIKE '\\_%'"
        } else {
            "SELECT m.name || '.' || p.name FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table' AND substr(m.name, 1, 1) <> '_'"
        };
        let mut columns: Vec<String> = sqlx::query_scalar(catalogue)
            .fetch_all(&mut self.db().await)
            .await
            .unwrap();
        columns.sort();
        columns
    }

    /// Every text that stands anywhere.
    pub async fn db_dump(&self) -> Vec<String> {
        let mut db = self.db().await;
        let catalogue = if on_postgres() {
            "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = current_schema() AND data_type = 'text' AND table_name NOT LIKE '\\_%'"
        } else {
            "SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table' AND substr(m.name, 1, 1) <> '_' AND p.type = 'TEXT'"
        };
        let columns: Vec<(String, String)> =
            sqlx::query_as(catalogue).fetch_all(&mut db).await.unwrap();
        let mut cells = Vec::new();
        for (table, column) in columns {
            let sql = format!("SELECT COALESCE({column}, '') FROM {table}");
            let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(&mut db)
                .await
                .unwrap();
            cells.extend(found);
        }
        cells
    }

    /// The audit trail as it stands, in the order of its chain.
    pub async fn db_events(&self) -> Vec<StoredEvent> {
        let rows: Vec<EventRow> = sqlx::query_as(
            "SELECT writer, id, at, kind, actor, subject, session_id, ip_address, user_agent, request_id, detail, link FROM audit_events ORDER BY writer, sequence",
        )
        .fetch_all(&mut self.db().await)
        .await
        .unwrap();
        rows.into_iter().map(stored_event).collect()
    }
}

pub struct StoredEvent {
    pub writer: String,
    pub event: Event,
    pub link: [u8; 32],
}

type EventRow = (
    String,
    String,
    i64,
    String,
    String,
    Option<String>,
    Option<String>,
    String,
    String,
    String,
    String,
    String,
);

fn stored_event(row: EventRow) -> StoredEvent {
    use base64::Engine;
    let (
        writer,
        id,
        at,
        kind,
        actor,
        subject,
        session,
        ip_address,
        user_agent,
        request_id,
        detail,
        link,
    ) = row;
    let event = Event {
        id: id.parse().unwrap(),
        at: Timestamp(at),
        kind: Kind::parse(&kind).unwrap(),
        requester: Requester {
            actor,
            ip_address,
            user_agent,
            request_id,
            ..Requester::default()
        },
        subject: subject.map(|s| s.parse().unwrap()),
        session: session.map(|s| s.parse().unwrap()),
        detail: serde_json::from_str(&detail).unwrap(),
    };
    let link = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(link)
        .unwrap()
        .try_into()
        .unwrap();
    StoredEvent {
        writer,
        event,
        link,
    }
}
