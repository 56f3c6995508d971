//! Sets the pace of background work on many rows. The work is done in pieces with pauses between
//! them: a request that meets a piece waits no longer than it would for another request, and most
//! of the time is left to requests.

use std::time::Duration;

/// Rows of a piece while the database is fast, unless the caller asks for another number. A piece
/// never has less than half of them, because the work has to finish on a slow disk, too.
const ROWS: i64 = 20;
/// A piece that took longer than this is followed by a smaller one.
const LONG: Duration = Duration::from_millis(5);
/// A piece that took at most this long is followed by a larger one.
const SHORT: Duration = Duration::from_millis(2);
/// A piece grows by this fraction of its full size: one tenth.
const STEP: i64 = 10;
/// A pause is this many times as long as the piece before it. While a piece takes at most 12.5 ms,
/// a fifth of the time is spent on the work.
const PAUSES: u32 = 4;
/// The shortest pause between pieces.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause, so that the work finishes on a slow machine, too.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Computes the size of the next piece from the time that the last ones took.
#[derive(Debug, Clone)]
pub struct Pace {
    rows: i64,
    most: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self::of(ROWS)
    }
}

impl Pace {
    /// Starts with pieces of this many rows; no later piece is larger.
    pub fn of(rows: i64) -> Self {
        Self { rows, most: rows }
    }

    /// Returns how many rows the next piece may write.
    pub fn rows(&self) -> i64 {
        self.rows
    }

    /// Adapts the size of the next piece to the time that the database spent on the last one, its
    /// commit included. Returns the pause between the two.
    pub fn pause_after(&mut self, took: Duration) -> Duration {
        if took > LONG {
            self.rows = self.most / 2;
        } else if took <= SHORT {
            self.rows = (self.rows + self.most / STEP).min(self.most);
        }
        (took * PAUSES).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Marks this many rows and returns the time that the pieces took and the time of the pauses.
    fn simulate(rows: i64, took: impl Fn(i64) -> Duration) -> (Duration, Duration) {
        let (mut pace, mut left) = (Pace::default(), rows);
        let (mut work, mut pauses) = (Duration::ZERO, Duration::ZERO);
        while left > 0 {
            let piece = took(pace.rows());
            left -= pace.rows();
            work += piece;
            pauses += pace.pause_after(piece);
        }
        (work, pauses)
    }

    #[test]
    fn at_least_four_fifths_of_the_time_belong_to_the_requests() {
        for micros in [10, 400, 1_000, 2_500, 6_000, 12_500] {
            let (work, pauses) = simulate(100_000, |_| Duration::from_micros(micros));
            assert!(
                pauses >= work * 4,
                "{micros} µs: {work:?} of work, {pauses:?} of pauses"
            );
        }
    }

    #[test]
    fn a_piece_that_takes_long_is_followed_by_smaller_ones_until_they_are_short_again() {
        let mut pace = Pace::default();
        let mut after = |took| (pace.pause_after(took), pace.rows());
        assert_eq!(after(MS), (MS * 10, 20), "never larger than at first");
        assert_eq!(after(MS * 6), (MS * 24, 10));
        assert_eq!(after(MS * 90), (MS * 50, 10), "both have a bound");
        assert_eq!(after(MS * 3), (MS * 12, 10));
        assert_eq!(after(MS), (MS * 10, 12));
    }

    #[test]
    fn a_million_rows_take_ten_minutes_and_have_a_bound_on_a_slow_disk() {
        let total = |took: Duration| {
            let (work, pauses) = simulate(1_000_000, |_| took);
            (work + pauses).as_secs() / 60
        };
        assert_eq!(total(MS), 9);
        assert_eq!(total(MS * 2), 10);
        assert_eq!(total(MS * 5), 20);
        assert_eq!(total(MS * 25), 124);
    }
}
