//! `[database]`: the URL, timeouts and the size of the pool.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::model::kernel::database_url::{DatabaseUrl, InvalidDatabaseUrl, PostgresUrl};
use crate::model::kernel::loopback::is_loopback;

use super::reader::Reader;
use super::{Config, Database, mask};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn read(r: &mut Reader, environment: &[(String, String)]) -> Database {
    let parse = |text: &str| text.parse().map_err(|e: InvalidDatabaseUrl| e.to_string());
    r.resolve("database.url", "sqlite://");
    let url = r
        .parsed("database.url", "sqlite://data/countersign.db", parse)
        .unwrap_or_else(|| DatabaseUrl::Sqlite(PathBuf::new()));
    let direct = |text: &str| match text {
        "" => Ok(None),
        text => match text.parse() {
            Ok(url) => Ok(Some(url)),
            Err(InvalidDatabaseUrl::Form) => Err(
                "write postgres://user@host/database, a URL that bypasses the pooler".to_owned(),
            ),
            Err(error) => Err(error.to_string()),
        },
    };
    let database = Database {
        url,
        max_connections: r.number("database.max_connections", 16, 1..=1000),
        acquire_timeout: r.duration(
            "database.acquire_timeout",
            "1s",
            Duration::from_millis(100)..=MINUTE,
        ),
        statement_timeout: r.duration(
            "database.statement_timeout",
            "3s",
            Duration::from_millis(100)..=MINUTE,
        ),
        lock_timeout: r.duration(
            "database.lock_timeout",
            "3s",
            Duration::from_millis(100)..=MINUTE,
        ),
        prepared_statements: r.flag("database.prepared_statements", true),
        direct_url: r.parsed("database.direct_url", "", direct).flatten(),
        migrate: r.flag("database.migrate", true),
        max_clock_skew: r.duration("database.max_clock_skew", "5s", Duration::ZERO..=HOUR),
    };
    let server = database.url.server();
    if server.is_none() && (database.direct_url.is_some() || !database.prepared_statements) {
        r.problem(
            "database.url",
            "database.direct_url and database.prepared_statements can only be set with a postgres:// URL".into(),
        );
    }
    if server.is_some() && !database.prepared_statements && database.direct_url.is_none() {
        r.problem(
            "database.direct_url",
            "behind a pooler, migrations and notifications need a URL that bypasses it".into(),
        );
    }
    for (key, url) in [
        ("database.url", server),
        ("database.direct_url", database.direct_url.as_ref()),
    ] {
        if url.is_some_and(|url| travels_in_the_clear(url, environment)) {
            r.warnings.push(format!("{key}: the server is on another machine and sslmode does not ask for encryption; add sslmode=verify-full"));
        }
    }
    database
}

impl Config {
    /// Returns the database in a form that may be printed: the absolute path of an SQLite file, or
    /// the URL of a server without its password.
    pub fn database_name(&self) -> String {
        match &self.database.url {
            DatabaseUrl::Sqlite(path) => std::path::absolute(path)
                .unwrap_or_else(|_| path.clone())
                .display()
                .to_string(),
            DatabaseUrl::Postgres(url) => mask::url(url.as_str()),
        }
    }
}

/// Returns whether a connection to another machine may be made unencrypted or unverified. Without
/// `sslmode` in the URL `PGSSLMODE` counts, and without a host `PGHOST`, as in libpq.
fn travels_in_the_clear(url: &PostgresUrl, environment: &[(String, String)]) -> bool {
    let Ok(url) = Url::parse(url.as_str()) else {
        return false;
    };
    let variable = |name: &str| {
        environment
            .iter()
            .find(|(n, v)| n == name && !v.is_empty())
            .map(|(_, v)| v.clone())
    };
    let parameter = |name: &str| {
        url.query_pairs()
            .filter(|(n, _)| n == name)
            .last()
            .map(|(_, value)| value.into_owned())
    };
    let named = url
        .host_str()
        .filter(|host| !host.is_empty())
        .map(|host| host.replace("%2F", "/").replace("%2f", "/"));
    let host = parameter("hostaddr")
        .or_else(|| parameter("host"))
        .or(named)
        .or_else(|| variable("PGHOSTADDR"))
        .or_else(|| variable("PGHOST"));
    let is_near = host.is_none_or(|host| host.starts_with(['/', '@']) || is_loopback(&host));
    let mode = parameter("sslmode")
        .or_else(|| parameter("ssl-mode"))
        .or_else(|| variable("PGSSLMODE"));
    !is_near
        && mode.is_none_or(|mode| {
            matches!(
                mode.to_ascii_lowercase().as_str(),
                "" | "disable" | "allow" | "prefer"
            )
        })
}
