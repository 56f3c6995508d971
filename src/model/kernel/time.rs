//! Points in time: Unix milliseconds inside the service, ISO 8601 with exactly three fractional
//! digits and `Z` outside (the Better Auth client misreads six digits by minutes). `clock` reads
//! the time.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

/// Unix time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Returns whole seconds, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns how long after `earlier` this is; zero if it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Parses an ISO 8601 text with a time zone, within the bounds of [`Self::from_outside`].
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .and_then(|time| Self::from_outside(time.timestamp_millis()))
    }

    /// Checks a time in Unix milliseconds that a client or an operator names: years 1970 to 9999.
    /// Outside of this range the year does not have four digits, and clients, databases and
    /// additions of durations fail.
    pub fn from_outside(ms: i64) -> Option<Self> {
        (0..=Self::LATEST.0).contains(&ms).then_some(Self(ms))
    }

    /// The latest time, 9999-12-31T23:59:59.999Z.
    pub const LATEST: Self = Self(253_402_300_799_999);

    /// Converts to the type of the cron library; `None` outside the years that it supports.
    pub fn to_utc(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.0)
    }
}

/// Converts a duration to whole milliseconds, as stored.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    /// Adds a duration. The sum is at most [`Timestamp::LATEST`], unless `self` was later before.
    fn add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(millis(duration))
                .min(Self::LATEST.0.max(self.0)),
        )
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_utc() {
            Some(utc) => f.write_str(&utc.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_exactly_three_digits() {
        assert_eq!(
            Timestamp(1_795_244_107_000).to_string(),
            "2026-11-21T06:55:07.000Z"
        );
        assert_eq!(
            Timestamp(1_795_244_107_050).to_string(),
            "2026-11-21T06:55:07.050Z"
        );
    }

    #[test]
    fn a_time_from_outside_has_a_year_of_four_digits() {
        assert_eq!(Timestamp::LATEST.to_string(), "9999-12-31T23:59:59.999Z");
        for ms in [0, 1_795_244_107_000, Timestamp::LATEST.0] {
            assert_eq!(Timestamp::from_outside(ms), Some(Timestamp(ms)));
        }
        for ms in [
            -1,
            Timestamp::LATEST.0 + 1,
            i64::MAX,
            i64::MIN,
            8_640_000_000_000_001,
        ] {
            assert_eq!(Timestamp::from_outside(ms), None, "{ms}");
        }
        assert_eq!(Timestamp::parse("1969-12-31T23:59:59Z"), None);
        assert_eq!(Timestamp::parse("0000-01-01T00:00:00Z"), None);
        assert_eq!(Timestamp::parse("9999-12-31T23:59:59.999-01:00"), None);
        assert_eq!(Timestamp(1) + Duration::MAX, Timestamp::LATEST);
    }

    #[test]
    fn differences_are_never_negative_and_seconds_are_rounded_down() {
        let ms = Duration::from_millis;
        let time = Timestamp(1_500);
        assert_eq!(time.since(Timestamp(200)), ms(1_300));
        assert_eq!(Timestamp(200).since(time), Duration::ZERO);
        for (at, seconds) in [(1_999, 1), (2_000, 2), (0, 0), (-1, -1), (-1_001, -2)] {
            assert_eq!(Timestamp(at).seconds(), seconds, "{at} ms");
        }
        assert_eq!(time + ms(500), Timestamp(2_000));
        assert_eq!(time - ms(2_000), Timestamp(-500));
        assert_eq!(Timestamp(i64::MAX) + ms(1), Timestamp(i64::MAX));
        assert_eq!(millis(Duration::from_micros(2_999)), 2);
        assert_eq!(millis(Duration::MAX), i64::MAX);
    }

    #[test]
    fn a_time_reads_back_from_its_text_and_in_json_it_is_that_text() {
        let time = Timestamp(1_795_244_107_050);
        let text = time.to_string();
        assert_eq!(Timestamp::parse(&text), Some(time));
        let other_zone = Timestamp::parse("2026-11-21T07:55:07.050+01:00");
        assert_eq!(other_zone, Some(time));
        assert_eq!(Timestamp::parse("2026-11-21"), None);
        assert_eq!(serde_json::json!(time), serde_json::json!(text));
        assert_eq!(Timestamp(i64::MAX).to_string(), format!("{} ms", i64::MAX));
        assert_eq!(Timestamp(i64::MAX).to_utc(), None);
    }
}
