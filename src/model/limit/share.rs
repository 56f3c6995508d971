//! How a bounded number of slots is shared between networks, as a pure function: no network can
//! take all of them from the others.

use std::time::Duration;

/// The load at the time when a network asks for one more slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// The number of slots.
    pub slots: usize,
    /// How many of them are processed at a time.
    pub threads: usize,
    /// The usual duration of the work of one slot; zero while it is unknown.
    pub usual: Duration,
    /// The longest time that a request may wait until its work begins.
    pub max_wait: Duration,
    /// The number of slots in use.
    pub taken: usize,
    /// How many of the used slots belong to the network that asks.
    pub held: usize,
}

impl Load {
    /// Returns how many slots can be given: at most `slots`, and none whose work would begin after
    /// `max_wait`.
    fn capacity(&self) -> usize {
        let in_time = self
            .max_wait
            .as_nanos()
            .saturating_mul(self.threads as u128)
            .checked_div(self.usual.as_nanos());
        let in_time = in_time
            .and_then(|slots| usize::try_from(slots).ok())
            .unwrap_or(usize::MAX);
        self.slots.min(in_time.saturating_add(self.threads))
    }

    /// Returns whether the network gets the slot: it does while it holds fewer slots than are free.
    /// One network alone gets half of them, two that ask for all get a third each, and a network
    /// that holds none gets the last one. Some slots are always left for the next network.
    pub fn admits(&self) -> bool {
        self.held < self.capacity().saturating_sub(self.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Load = Load {
        slots: 100,
        threads: 4,
        usual: Duration::ZERO,
        max_wait: Duration::from_secs(2),
        taken: 0,
        held: 0,
    };

    /// Computes how many slots each of so many networks has after all of them have asked by turns
    /// until none gets another one.
    /// gets another.
    fn greedy(networks: usize, load: Load) -> Vec<usize> {
        let mut held = vec![0; networks];
        loop {
            let before = held.clone();
            for network in 0..networks {
                if (Load {
                    taken: held.iter().sum(),
                    held: held[network],
                    ..load
                })
                .admits()
                {
                    held[network] += 1;
                }
            }
            if held == before {
                return held;
            }
        }
    }

    #[test]
    fn whatever_networks_ask_for_another_one_still_gets_a_place() {
        for slots in 2..60 {
            let load = Load { slots, ..IDLE };
            for networks in 1..slots {
                let held = greedy(networks, load);
                let taken = held.iter().sum();
                assert!(
                    held.iter()
                        .all(|n| *n >= 1 && *n <= slots.div_ceil(networks + 1)),
                    "{slots} slots, {networks} networks: {held:?}"
                );
                assert!(
                    taken >= slots
                        || Load {
                            taken,
                            held: 0,
                            ..load
                        }
                        .admits(),
                    "{slots} slots, {networks} networks: {held:?}"
                );
            }
            assert_eq!(
                greedy(1, load),
                [slots.div_ceil(2)],
                "one alone has half of them"
            );
            assert!(greedy(1, load)[0] < slots, "but never all");
        }
    }

    #[test]
    fn a_place_whose_turn_would_come_too_late_is_none() {
        // A hash takes a quarter of a second: eight of them begin within two seconds, after those
        // that are being computed.
        let slow = Load {
            threads: 1,
            usual: Duration::from_millis(250),
            ..IDLE
        };
        let admitted = |taken| {
            Load {
                taken,
                held: 0,
                ..slow
            }
            .admits()
        };
        assert_eq!((admitted(8), admitted(9)), (true, false));
        assert_eq!(greedy(1, slow), [5], "a share of those nine");
        // However slow hashing is, an idle thread takes a request.
        let slowest = Load {
            usual: Duration::from_secs(60),
            ..slow
        };
        assert!(
            slowest.admits()
                && !Load {
                    taken: 1,
                    ..slowest
                }
                .admits()
        );
        assert_eq!(
            greedy(
                3,
                Load {
                    slots: 1,
                    threads: 1,
                    ..IDLE
                }
            ),
            [1, 0, 0]
        );
    }
}
