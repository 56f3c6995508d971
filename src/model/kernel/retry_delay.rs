//! The delay before a failed action is tried again.

use std::time::Duration;

/// Returns the delay after this many attempts: `first` after one attempt, doubled after each
/// further one, and at most `longest`.
pub fn retry_delay(attempts: u32, first: Duration, longest: Duration) -> Duration {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    first.saturating_mul(doubled).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_with_each_attempt_up_to_the_longest() {
        let seconds = Duration::from_secs;
        let delay = |attempts| retry_delay(attempts, seconds(10), seconds(3_600));
        for (attempts, expected) in [(0, 10), (1, 10), (2, 20), (3, 40), (9, 2_560), (10, 3_600)] {
            assert_eq!(delay(attempts), seconds(expected), "{attempts}");
        }
        assert_eq!(delay(u32::MAX), seconds(3_600));
    }
}
