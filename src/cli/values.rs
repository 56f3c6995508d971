//! Parsers of argument values.

use std::time::Duration;

use ipnet::IpNet;

use crate::model::kernel::time::Timestamp;
use crate::model::limit::block;

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

/// Parses a network such as `198.51.100.0/24`, or a single IP address.
pub(super) fn network(text: &str) -> std::result::Result<IpNet, String> {
    block::network(text).map_err(|error| error.to_string())
}

/// A moment in the past, as an operator names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl Moment {
    /// Returns the time, counted back from `now` if it is a duration.
    pub(super) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(time) => now - time,
        }
    }
}

/// Parses a moment: a time with a time zone, a day (in UTC), or a duration back from now.
pub(super) fn moment(text: &str) -> std::result::Result<Moment, String> {
    let day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
    if let Some(time) = Timestamp::parse(text).or_else(day) {
        return Ok(Moment::At(time));
    }
    duration(text)
        .map(Moment::Ago)
        .map_err(|_| "write 2026-11-01T00:00:00Z, 2026-11-01, or a duration back such as 3h".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_a_day_or_a_duration_back() {
        let time = |text: &str| Timestamp::parse(text).unwrap();
        let now = time("2026-11-29T12:00:00Z");
        for (text, expected) in [
            ("2026-11-28T01:02:03+01:00", "2026-11-28T00:02:03Z"),
            ("2026-11-28", "2026-11-28T00:00:00Z"),
            ("3h", "2026-11-29T09:00:00Z"),
            ("1d 12h", "2026-11-28T00:00:00Z"),
        ] {
            assert_eq!(moment(text).unwrap().before(now), time(expected), "{text}");
        }
        for text in ["", "soon", "2026-13-01", "2026-11-28T01:02:03", "-3h"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
