//! Parsers of argument values.

use std::time::Duration;

/// Parses `KEY=VALUE`, and removes spaces around both.
pub(super) fn key_value(text: &str) -> std::result::Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Parses a duration such as `15m` or `7d`, at most a hundred years.
pub(super) fn duration(text: &str) -> std::result::Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);
    let parsed = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if parsed <= LONGEST {
        Ok(parsed)
    } else {
        Err("is longer than a hundred years".into())
    }
}

/// Parses a duration as [`duration`] does, but refuses zero.
pub(super) fn span(text: &str) -> std::result::Result<Duration, String> {
    let parsed = duration(text)?;
    if parsed >= Duration::from_millis(1) {
        Ok(parsed)
    } else {
        Err("write a duration longer than zero".into())
    }
}
