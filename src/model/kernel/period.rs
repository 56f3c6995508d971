//! Lengths of time and moments as people write them.

use std::str::FromStr;
use std::time::Duration;

use chrono::{NaiveDate, NaiveTime};

use super::time::Timestamp;

const DAY: Duration = Duration::from_secs(86_400);

/// A length of time, longer than zero and at most a hundred years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(Duration);

/// The text or the number is not such a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a time longer than zero and at most a hundred years, such as 15m, 12h or 7d")]
pub struct InvalidPeriod;

impl Period {
    /// The greatest length of time: a hundred years.
    pub const LONGEST: Duration = Duration::from_secs(36_525 * 86_400);

    /// Checks a length of time; what is shorter than a millisecond counts as zero.
    ///
    /// # Errors
    /// [`InvalidPeriod`] for zero and for more than a hundred years.
    pub fn new(length: Duration) -> Result<Self, InvalidPeriod> {
        if (Duration::from_millis(1)..=Self::LONGEST).contains(&length) {
            Ok(Self(length))
        } else {
            Err(InvalidPeriod)
        }
    }

    /// Returns the length of time.
    pub fn length(self) -> Duration {
        self.0
    }
}

impl FromStr for Period {
    type Err = InvalidPeriod;

    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        let length = humantime::parse_duration(text).map_err(|_| InvalidPeriod)?;
        Self::new(length)
    }
}

/// A moment in the past or the future, which may depend on the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A point in time.
    At(Timestamp),
    /// So long before the present.
    Ago(Duration),
    /// The first moment of a day in UTC, so many days before the present one.
    StartOfDay {
        /// 0 for the present day.
        days_ago: u32,
    },
}

/// The text does not name a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", Moment::RULE)]
pub struct InvalidMoment;

impl Moment {
    /// How a moment is written.
    pub const RULE: &str = "expected a time such as 2026-11-01T00:00:00Z, 2026-11-01 (UTC), today, yesterday or 3d (three days ago)";

    /// Returns the point in time that is meant at `now`.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(length) => now - length,
            Self::StartOfDay { days_ago } => {
                let day = i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX);
                let start = Timestamp(now.0 - now.0.rem_euclid(day));
                start - DAY * days_ago
            }
        }
    }
}

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        match text {
            "today" => return Ok(Self::StartOfDay { days_ago: 0 }),
            "yesterday" => return Ok(Self::StartOfDay { days_ago: 1 }),
            _ => {}
        }
        if let Some(time) = Timestamp::parse(text) {
            return Ok(Self::At(time));
        }
        if let Ok(date) = text.parse::<NaiveDate>() {
            let start = date.and_time(NaiveTime::MIN).and_utc();
            let time = Timestamp::from_outside(start.timestamp_millis());
            return time.map(Self::At).ok_or(InvalidMoment);
        }
        humantime::parse_duration(text)
            .ok()
            .filter(|length| *length <= Period::LONGEST)
            .map(Self::Ago)
            .ok_or(InvalidMoment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_244_107_050);

    #[test]
    fn a_period_is_longer_than_zero_and_at_most_a_hundred_years() {
        let length = |text: &str| text.parse::<Period>().map(Period::length);
        assert_eq!(length("7d"), Ok(DAY * 7));
        assert_eq!(length("1ms"), Ok(Duration::from_millis(1)));
        assert_eq!(length("36525d"), Ok(Period::LONGEST));
        for text in ["0s", "1us", "36525d 1ms", "", "7", "-7d", "soon"] {
            assert_eq!(length(text), Err(InvalidPeriod), "{text}");
        }
    }

    #[test]
    fn a_moment_is_a_time_a_date_a_day_or_a_distance() {
        for (text, expected) in [
            ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00.000Z"),
            ("2026-11-01T01:00:00+01:00", "2026-11-01T00:00:00.000Z"),
            ("2026-11-01", "2026-11-01T00:00:00.000Z"),
            ("today", "2026-11-21T00:00:00.000Z"),
            ("yesterday", "2026-11-20T00:00:00.000Z"),
            ("3d", "2026-11-18T06:55:07.050Z"),
            ("90m", "2026-11-21T05:25:07.050Z"),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.at(NOW).to_string(), expected, "{text}");
        }
        for text in [
            "",
            "now",
            "2026-11",
            "2026-11-01T00:00:00",
            "2026-13-01",
            "1969-12-31",
            "tomorrow",
            "1000000d",
        ] {
            assert_eq!(text.parse::<Moment>(), Err(InvalidMoment), "{text}");
        }
    }
}
