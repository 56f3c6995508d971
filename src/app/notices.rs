//! Limits what is logged about refused requests: once a minute for each subject, and only for so
//! many subjects, so that a flood of requests fills neither the log nor the memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The subjects that were logged in the last minute.
#[derive(Debug, Default)]
pub struct Notices(Mutex<Logged>);

#[derive(Debug, Default)]
struct Logged {
    /// The uptime at which each subject was logged.
    at: HashMap<String, Duration>,
    /// The uptime at which it was logged that there are too many subjects.
    full_at: Option<Duration>,
}

/// What to log about a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It has not been logged in the last minute.
    Log,
    /// Too many other subjects have been: that is to be logged, once a minute.
    TooMany,
    /// Nothing is to be logged.
    Silent,
}

impl Notices {
    /// How long until a subject is logged again.
    pub const PAUSE: Duration = Duration::from_secs(60);
    /// How many subjects are logged in that time.
    pub const MOST: usize = 64;

    /// Returns what to log about the subject at this uptime, and records that it is logged. The
    /// caller limits the length of the subject.
    pub fn turn(&self, subject: &str, uptime: Duration) -> Turn {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Duration| uptime.saturating_sub(*at) < Self::PAUSE;
        if logged.at.get(subject).is_some_and(is_recent) {
            return Turn::Silent;
        }
        logged.at.retain(|_, at| is_recent(at));
        if logged.at.len() < Self::MOST {
            logged.at.insert(subject.to_owned(), uptime);
            return Turn::Log;
        }
        if logged.full_at.as_ref().is_some_and(is_recent) {
            return Turn::Silent;
        }
        logged.full_at = Some(uptime);
        Turn::TooMany
    }

    /// Returns how many subjects are kept in memory.
    pub fn kept(&self) -> usize {
        let logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logged.at.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_subject_is_logged_once_a_minute() {
        let notices = Notices::default();
        let at = |seconds: u64| notices.turn("a", SECOND * u32::try_from(seconds).unwrap());
        assert_eq!(at(5), Turn::Log);
        assert_eq!(at(64), Turn::Silent);
        assert_eq!(at(65), Turn::Log);
        assert_eq!(at(66), Turn::Silent);
        assert_eq!(notices.turn("b", SECOND * 66), Turn::Log);
    }

    #[test]
    fn a_flood_of_subjects_is_one_line_more_and_no_memory() {
        let notices = Notices::default();
        let flood = |uptime: Duration| {
            let turns = (0..10_000).map(|n| notices.turn(&format!("flood {n}"), uptime));
            let turns: Vec<Turn> = turns.collect();
            let count = |turn| turns.iter().filter(|one| **one == turn).count();
            (count(Turn::Log), count(Turn::TooMany))
        };
        assert_eq!(flood(SECOND), (Notices::MOST, 1));
        assert_eq!(flood(SECOND * 2), (0, 0));
        assert_eq!(notices.kept(), Notices::MOST);
        assert_eq!(flood(SECOND * 61), (Notices::MOST, 1));
        assert_eq!(notices.kept(), Notices::MOST);
    }
}
