//! A passkey as it is stored: the public key of an authenticator, and what is known of it.

use crate::model::kernel::id::{EventId, UserId};
use crate::model::kernel::time::Timestamp;

/// How many passkeys a user may have.
pub const MOST: usize = 20;

/// The longest id of a credential, in bytes (WebAuthn level 3, section 4).
pub const LONGEST_ID: usize = 1_023;

/// How an authenticator can be reached; other words of a browser are dropped.
pub const TRANSPORTS: [&str; 6] = ["usb", "nfc", "ble", "smart-card", "hybrid", "internal"];

/// A passkey of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Id of the row.
    pub id: EventId,
    /// The user who signs in with it.
    pub user: UserId,
    /// The id that the authenticator gave it.
    pub credential_id: Vec<u8>,
    /// The public key in COSE form (RFC 9052).
    pub public_key: Vec<u8>,
    /// The signatures that the authenticator has counted; 0 if it does not count.
    pub counter: u32,
    /// The model of the authenticator, as it says itself; a UUID.
    pub aaguid: String,
    /// How the authenticator can be reached: words of [`TRANSPORTS`] with commas between them.
    pub transports: String,
    /// Whether the authenticator may copy it to other devices. This never changes.
    pub backup_eligible: bool,
    /// Whether it was copied, when it was last used.
    pub backed_up: bool,
    /// Whether the authenticator has ever verified its user.
    pub verifies: bool,
    /// By what the authenticator knows the user; `None` in an imported row that was not used yet.
    pub user_handle: Option<Vec<u8>>,
    /// The name that the user gave it.
    pub name: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the user last signed in with it.
    pub last_used_at: Option<Timestamp>,
}

/// Returns whether a count of signatures follows on the stored one: an authenticator that counts
/// always counts up, and one that does not count says 0. Otherwise two authenticators have the same
/// key.
pub fn follows(stored: u32, shown: u32) -> bool {
    shown > stored || shown == 0 && stored == 0
}

/// Returns the words of a list of transports that are known, each once and in the order of
/// [`TRANSPORTS`].
pub fn known_transports<'t>(words: impl Iterator<Item = &'t str>) -> String {
    let words: Vec<&str> = words
        .map(|word| if word == "cable" { "hybrid" } else { word })
        .collect();
    TRANSPORTS
        .into_iter()
        .filter(|known| words.contains(known))
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_goes_up_or_stays_at_zero() {
        for (stored, shown, good) in [
            (0, 0, true),
            (0, 1, true),
            (1, 2, true),
            (1, 1, false),
            (2, 1, false),
            (1, 0, false),
            (u32::MAX, u32::MAX, false),
            (u32::MAX - 1, u32::MAX, true),
        ] {
            assert_eq!(follows(stored, shown), good, "{stored} {shown}");
        }
    }

    #[test]
    fn transports_are_known_words_in_one_order() {
        let words = ["internal", "carrier-pigeon", "cable", "usb", "usb"];
        assert_eq!(known_transports(words.into_iter()), "usb,hybrid,internal");
        assert_eq!(known_transports([].into_iter()), "");
    }
}
