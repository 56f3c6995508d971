//! Everything that is built once from the settings and passed down. A plain struct: no trait is
//! needed between the layers. `flows::key::load_keys` replaces the key ring.

mod bootstrap;
mod decoys;
mod flights;
mod memory;
mod notices;
mod pace;
mod process;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

pub use decoys::Decoys;
pub use flights::{Flight, Flights};

pub use memory::{Blocks, ClockTrust, RevokedKids, ToldChanges, ToldEnds, UserCache};

pub use notices::{Notices, Turn};

pub use pace::Pace;

pub use process::{PROGRAM, Process, has_ended};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::breached::BreachedHashes;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::master_key::MasterKey;
use crate::crypto::password::Hasher;
use crate::mail::Mailer;
use crate::metrics::Metrics;
use crate::model::federation::renewal::Renewal;
use crate::model::kernel::id::{EventId, SessionId};
use crate::model::kernel::time::Timestamp;
use crate::outbound_http;
use crate::random::Random;
use crate::store::Db;
use crate::upstream::Upstream;

/// Why a request that needs the keys is refused before they are loaded.
pub const KEYS_NOT_LOADED: &str = "the keys are not loaded";

/// The program. Apart from its key ring it is ready to serve.
pub struct App {
    /// The settings of this process.
    pub config: Config,
    /// The only source of randomness.
    pub random: Arc<dyn Random>,
    /// The database of the settings.
    pub db: Db,
    /// The password hashing threads.
    pub hasher: Hasher,
    /// The master keys that were loaded at start, the primary one first.
    pub loaded_keys: Vec<Arc<MasterKey>>,
    /// Users by version: a short-lived cache for access tokens.
    pub users: UserCache,
    /// How often one refresh token may be kept or repeated. Limited by token and not by session;
    /// otherwise a thief could hide the owner's reuse among refusals.
    pub refresh_pace: Pace<[u8; 32]>,
    /// How often access tokens may be minted for a session; `None` for no limit.
    pub mint_pace: Option<Pace<SessionId>>,
    /// How often a network may ask how strong a password is.
    pub strength_pace: Pace<String>,
    /// Keys of limits that refuse, each with the uptime until which it does: a flood is answered
    /// from memory.
    pub refused: moka::sync::Cache<String, Duration>,
    /// The network that each session last rotated from, for the alarm of repeated rotations.
    pub rotations: moka::sync::Cache<SessionId, Rotated>,
    /// The times at which this process, or the service, stood still.
    pub standstills: Arc<crate::model::kernel::standstill::Watch>,
    /// Renders and sends mails.
    pub mailer: Mailer,
    /// Notified when a mail was added to the queue.
    pub mail_waits: Notify,
    /// The operator's list of breached passwords.
    pub breached: Option<Arc<BreachedHashes>>,
    /// The name of this process in the audit trail.
    pub writer: String,
    /// The identity of this process for other processes of the service.
    pub process: Process,
    /// Makes outgoing requests; `None` if the settings need none.
    pub outgoing: Option<outbound_http::Client>,
    /// The connections to other issuers.
    pub upstream: Upstream,
    /// The renewals of tokens of other issuers that are under way, by the account.
    pub renewals: Flights<EventId, Renewal>,
    /// How often the tokens of an account are renewed.
    pub renewal_pace: Pace<EventId>,
    /// The counters of this process.
    pub metrics: Arc<Metrics>,
    /// Held while the ring is read from the database and put in place.
    pub reloading: tokio::sync::Mutex<()>,
    /// Keys that this process has known as revoked.
    pub revoked_kids: RevokedKids,
    /// Networks that an operator has blocked.
    pub blocks: Blocks,
    /// What the passwords of absent users are compared with.
    pub decoys: Decoys,
    /// Which ends of audit chains have been logged.
    pub told_ends: ToldEnds,
    /// Which changes of the command line have been logged.
    pub told_changes: ToldChanges,
    /// The origins that were refused and logged.
    pub refused_origins: Notices,
    /// Whether it was logged that a request was refused because no mail is sent.
    pub refused_mails: Notices,
    /// When a session cookie of another service was logged.
    pub foreign_cookies: Notices,
    /// Whether the clock was confirmed at the last check.
    pub clock_trust: ClockTrust,
    next_count: AtomicU64,
    clock: Arc<dyn Clock>,
    ring: ArcSwapOption<KeyRing>,
    ring_confirmed_at: AtomicU64,
    ring_unusable: AtomicBool,
    draining: AtomicBool,
}

/// The last rotation of a session that this process saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The generation that the rotation made.
    pub generation: u32,
    /// The network that it came from.
    pub network: String,
    /// The number of rotations in a row that were followed by a repeat from another network.
    pub shadowed: u32,
}

impl App {
    /// Returns the current time of the wall clock.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    /// Returns the time since a fixed moment of this process. It measures ages and intervals,
    /// because it cannot be set.
    pub fn uptime(&self) -> Duration {
        self.clock.uptime()
    }

    /// Returns the clock, for work that outlives a borrow of the app.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Returns the key ring; `None` until it is loaded.
    pub fn ring(&self) -> Option<Arc<KeyRing>> {
        self.ring.load_full()
    }

    /// Sets the ring that was read last, even if its version is lower: the database may have been
    /// restored to an earlier state. Reloads run one after another (`reloading`), so that none
    /// replaces a ring that was read later.
    pub fn set_ring(&self, ring: KeyRing) {
        self.ring.store(Some(Arc::new(ring)));
        self.confirm_ring();
    }

    /// Records that the database has just confirmed the version of this process's ring.
    pub fn confirm_ring(&self) {
        self.ring_confirmed_at
            .store(whole_ms(self.uptime()), Ordering::Relaxed);
        self.ring_unusable.store(false, Ordering::Relaxed);
    }

    /// Marks the ring as unusable: the database has a newer one that this process cannot open.
    pub fn mark_ring_unusable(&self) {
        self.ring_unusable.store(true, Ordering::Relaxed);
    }

    /// Returns whether the database has a newer ring that this process cannot open.
    pub fn is_ring_unusable(&self) -> bool {
        self.ring_unusable.load(Ordering::Relaxed)
    }

    /// Returns how long ago the database confirmed that the ring is current.
    pub fn ring_age(&self) -> Duration {
        self.uptime().saturating_sub(Duration::from_millis(
            self.ring_confirmed_at.load(Ordering::Relaxed),
        ))
    }

    /// Returns whether sessions may be counted again at this uptime. If so, the caller counts, and
    /// no other caller may before `then`.
    pub fn begin_count(&self, now: Duration, then: Duration) -> bool {
        let due = self.next_count.load(Ordering::Relaxed);
        due <= whole_ms(now)
            && self
                .next_count
                .compare_exchange(due, whole_ms(then), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Postpones the next count of sessions to this uptime, because the last one took long.
    pub fn count_again_at(&self, then: Duration) {
        self.next_count.store(whole_ms(then), Ordering::Relaxed);
    }

    /// Marks the process as draining: from now on `/health/ready` answers 503.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Returns whether the process is shutting down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
