//! How connections to a Postgres server are made, and the limits of each session or transaction.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::model::kernel::database_url::PostgresUrl;
use crate::store::{Error, Result};

use crate::store::engine::options::Options;

/// The server ends a transaction that has been idle for this long, whatever the limit of a
/// statement: its client is gone.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

/// Returns the connection options for a URL.
pub(in crate::store) fn connect_options(
    url: &PostgresUrl,
    options: &Options,
) -> Result<PgConnectOptions> {
    let parsed = PgConnectOptions::from_str(url.as_str())
        .map_err(|e| Error::Unsupported(format!("the database URL is not usable: {e}")))?;
    let parsed = parsed
        .application_name("countersign")
        .log_statements(tracing::log::LevelFilter::Trace);
    if !options.prepared_statements {
        // A pooler refuses what it cannot give every client: session settings and named statements.
        return Ok(parsed.statement_cache_capacity(0).extra_float_digits(None));
    }
    let ms = |time: Duration| time.as_millis().to_string();
    Ok(parsed.options([
        ("statement_timeout", ms(options.statement_timeout)),
        ("lock_timeout", ms(options.lock_timeout)),
        (
            "idle_in_transaction_session_timeout",
            ms(IDLE_IN_TRANSACTION),
        ),
    ]))
}

/// Returns the options of a connection that bypasses the pooler and has a session of its own.
pub(in crate::store) fn direct_connect_options(
    url: &PostgresUrl,
    options: &Options,
) -> Result<PgConnectOptions> {
    let direct = Options {
        prepared_statements: true,
        ..options.clone()
    };
    connect_options(options.direct_url.as_ref().unwrap_or(url), &direct)
}

/// Returns the statement that begins a transaction. Behind a pooler the limits are set for the
/// transaction, because sessions are shared; they are sent in the same message.
pub(super) fn begin(options: &Options) -> Cow<'static, str> {
    if options.prepared_statements {
        return "BEGIN".into();
    }
    let (statement, lock) = (
        options.statement_timeout.as_millis(),
        options.lock_timeout.as_millis(),
    );
    let idle = IDLE_IN_TRANSACTION.as_millis();
    format!("BEGIN; SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock}; SET LOCAL idle_in_transaction_session_timeout = {idle}").into()
}
