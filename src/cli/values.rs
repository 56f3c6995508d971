//! How the values of arguments are read.

use std::time::Duration;

/// `KEY=VALUE`, without the spaces around either.
pub(super) fn key_value(text: &str) -> std::result::Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// A duration such as `15m` or `7d`, of a hundred years at most.
pub(super) fn duration(text: &str) -> std::result::Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);
    let parsed = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if parsed <= LONGEST {
        Ok(parsed)
    } else {
        Err("is longer than a hundred years".into())
    }
}

/// How long something lasts: as [`duration`], but not nothing, for that would be over at once.
pub(super) fn span(text: &str) -> std::result::Result<Duration, String> {
    let parsed = duration(text)?;
    if parsed >= Duration::from_millis(1) {
        Ok(parsed)
    } else {
        Err("write a time longer than nothing".into())
    }
}
