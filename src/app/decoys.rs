//! What an absent user's password is compared with: the counts of the kinds of password hashes in the
//! database, as of the last count, and when they are to be counted again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{App, whole_ms};
use crate::crypto::foreign::decoy::Shares;
use crate::crypto::password::Against;
use crate::model::account::email::Email;

/// The counts of this process.
#[derive(Debug, Default)]
pub struct Decoys {
    shares: ArcSwap<Shares>,
    /// The uptime at which hashes are counted again, in milliseconds.
    due: AtomicU64,
}

impl Decoys {
    /// How long a count is used.
    const LIFE: Duration = Duration::from_secs(3_600);

    /// Returns whether hashes are to be counted at this uptime: an hour after the last count, or once a
    /// hash was met whose class is not among the counted ones, as after an import.
    pub fn is_due(&self, uptime: Duration) -> bool {
        self.due.load(Ordering::Relaxed) <= whole_ms(uptime)
    }

    /// Replaces the counts by those of this uptime.
    pub fn replace(&self, shares: Shares, uptime: Duration) {
        self.shares.store(Arc::new(shares));
        self.due
            .store(whole_ms(uptime + Self::LIFE), Ordering::Relaxed);
    }

    fn met(&self, stored: &str) {
        if !self.shares.load().knows(stored) {
            self.due.store(0, Ordering::Relaxed);
        }
    }
}

impl App {
    /// Returns what the password of this email address is compared with. Where no hash is stored, that is
    /// as costly as one of the stored hashes, and the same for the same email address.
    pub fn against(&self, stored: Option<String>, email: &Email) -> Against {
        if let Some(stored) = stored {
            self.decoys.met(&stored);
            return Against::Stored(stored);
        }
        let shares = self.decoys.shares.load();
        let drawn = self.ring().and_then(|ring| {
            let key = &ring.masters.current().key;
            shares.draw(key, email).map(ToOwned::to_owned)
        });
        Against::Absent(drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_counted_each_hour_and_after_an_import() {
        let decoys = Decoys::default();
        let at = Duration::from_secs;
        assert!(decoys.is_due(at(0)), "at the start");
        decoys.replace(Shares::new([("$2b$10$".to_owned(), 3)]), at(10));
        assert!(!decoys.is_due(at(3_609)) && decoys.is_due(at(3_610)));
        decoys.met(&format!("$2b$10${}", ".".repeat(53)));
        assert!(!decoys.is_due(at(10)), "a known class");
        decoys.met(&format!("$2b$12${}", ".".repeat(53)));
        assert!(decoys.is_due(at(10)), "an imported class");
    }
}
