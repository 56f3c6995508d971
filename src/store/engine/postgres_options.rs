//! How a Postgres server is connected to, and what limits each session or transaction has.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::store::{Error, Result};

use super::db::Options;

/// The server gives up a transaction in which nothing happens for so long, whatever a statement may
/// take: its client is gone.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

/// How a URL is connected to.
pub(in crate::store) fn connect_options(url: &str, options: &Options) -> Result<PgConnectOptions> {
    let parsed = PgConnectOptions::from_str(url)
        .map_err(|e| Error::Unsupported(format!("the database URL is not usable: {e}")))?;
    let parsed = parsed
        .application_name("countersign")
        .log_statements(tracing::log::LevelFilter::Trace);
    if !options.prepared_statements {
        // A pooler in between refuses what it cannot give every client: session settings and named
        // statements.
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

/// Behind a pooler the limits belong to the transaction, because the session is not ours; they go
/// in the same message.
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
