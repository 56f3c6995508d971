//! The URL of a database: a file of SQLite or a server of Postgres.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

/// Names a database. Both forms were checked, so code that opens one does not check them again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The file of an SQLite database, written as `sqlite://PATH`.
    Sqlite(PathBuf),
    /// A Postgres server, written as `postgres://…` or `postgresql://…`.
    Postgres(PostgresUrl),
}

/// The URL of a Postgres server. It may contain a password, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

/// Why a text is no usable URL of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// The text names neither a file nor a server.
    #[error(
        "write sqlite://PATH, such as sqlite://data/countersign.db, or postgres://user@host/database"
    )]
    Form,
    /// The text begins as the URL of a Postgres server and cannot be parsed.
    #[error("it is not a URL of the form postgres://user:password@host/database: {0}")]
    Postgres(url::ParseError),
    /// The schemas in `options[search_path]` would need quotes.
    #[error(
        "options[search_path] must be one schema or several, separated by commas, each of letters, digits and _, such as countersign"
    )]
    SearchPath,
}

impl DatabaseUrl {
    /// Returns the server; `None` for an SQLite file.
    pub fn server(&self) -> Option<&PostgresUrl> {
        match self {
            Self::Postgres(url) => Some(url),
            Self::Sqlite(_) => None,
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        if is_postgres(text) {
            return text.parse().map(Self::Postgres);
        }
        text.strip_prefix("sqlite://")
            .filter(|path| !path.is_empty() && !path.contains(['?', '#']))
            .map(|path| Self::Sqlite(path.into()))
            .ok_or(InvalidDatabaseUrl::Form)
    }
}

impl PostgresUrl {
    /// Returns the text of the URL, with its password.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PostgresUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        if !is_postgres(text) {
            return Err(InvalidDatabaseUrl::Form);
        }
        let url = Url::parse(text).map_err(InvalidDatabaseUrl::Postgres)?;
        let is_usable = url
            .query_pairs()
            .filter(|(name, _)| name == "options[search_path]")
            .all(|(_, path)| is_search_path(&path));
        if !is_usable {
            return Err(InvalidDatabaseUrl::SearchPath);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresUrl(***)")
    }
}

fn is_postgres(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

/// Returns whether the text consists of schema names that need no quotes. They are sent in the
/// options of the connection, where spaces and backslashes have a meaning.
fn is_search_path(path: &str) -> bool {
    let is_name = |name: &str| {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        plain && (1..=63).contains(&name.len()) && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    path.split(',').all(|name| name == "$user" || is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_file_or_a_server() {
        let file: DatabaseUrl = "sqlite:///var/lib/x.db".parse().unwrap();
        assert_eq!(file, DatabaseUrl::Sqlite("/var/lib/x.db".into()));
        assert_eq!(file.server(), None);
        for text in [
            "postgres://u@h/db",
            "postgresql://u@h/db?options[search_path]=a,$user",
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert_eq!(url.server().map(PostgresUrl::as_str), Some(text));
        }
    }

    #[test]
    fn what_names_neither_is_refused_with_the_reason() {
        use InvalidDatabaseUrl::{Form, SearchPath};
        for (text, reason) in [
            ("", Form),
            ("sqlite://", Form),
            ("sqlite://x.db?mode=ro", Form),
            ("mysql://localhost/x", Form),
            ("postgres://h/db?options[search_path]=a b", SearchPath),
            ("postgres://h/db?options[search_path]=1a", SearchPath),
        ] {
            assert_eq!(text.parse::<DatabaseUrl>(), Err(reason), "{text}");
        }
        let unparsable = "postgres://h:port/db".parse::<DatabaseUrl>();
        assert!(matches!(unparsable, Err(InvalidDatabaseUrl::Postgres(_))));
        assert_eq!("sqlite://x.db".parse::<PostgresUrl>(), Err(Form));
    }

    #[test]
    fn the_password_of_a_server_is_not_shown() {
        let url: DatabaseUrl = "postgres://u:geheim@h/db".parse().unwrap();
        assert!(!format!("{url:?}").contains("geheim"));
    }
}
