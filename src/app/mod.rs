//! Everything that is built once from the settings and passed down. A plain struct: no trait stands
//! between the layers. `flows::key::load_keys` swaps the key ring.

mod bootstrap;
mod memory;
mod pace;
mod process;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::breached::BreachedHashes;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::master_key::MasterKey;
use crate::crypto::password::Hasher;
use crate::mail::Mailer;
use crate::metrics::Metrics;
use crate::model::kernel::id::SessionId;
use crate::model::kernel::time::Timestamp;
use crate::outbound_http;
use crate::random::Random;
use crate::store::Db;

pub use memory::{Blocks, ClockTrust, RevokedKids, ToldEnds, UserCache};
pub use pace::Pace;
pub use process::{PROGRAM, Process, has_ended};

/// The program, but for its key ring ready to serve.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The only source of chance.
    pub random: Arc<dyn Random>,
    /// The database.
    pub db: Db,
    /// The password threads.
    pub hasher: Hasher,
    /// Master keys as loaded at start, the primary one first.
    pub loaded_keys: Vec<Arc<MasterKey>>,
    /// Users as of some version; a short-lived copy for access tokens.
    pub users: UserCache,
    /// How often one refresh token may be kept or repeated. By token and not by session, or a thief
    /// could drown the owner's reuse in refusals.
    pub refresh_pace: Pace<[u8; 32]>,
    /// How often a session may have access tokens made; `None`: as often as it likes.
    pub mint_pace: Option<Pace<SessionId>>,
    /// Keys of limits that say no, and until which uptime: a flood is answered from memory.
    pub refused: moka::sync::Cache<String, Duration>,
    /// Which address each session last rotated from, for the shadow alarm.
    pub rotations: moka::sync::Cache<SessionId, Rotated>,
    /// When this process, and the service, stood still.
    pub standstills: Arc<crate::model::kernel::standstill::Watch>,
    /// Words and ways of mails.
    pub mailer: Mailer,
    /// Told when a mail has come into the queue.
    pub mail_waits: Notify,
    /// The operator's list of breached passwords.
    pub breached: Option<Arc<BreachedHashes>>,
    /// Names this process in the audit trail.
    pub writer: String,
    /// This process as others of the service know it.
    pub process: Process,
    /// Makes requests, where the settings name somebody to make them to.
    pub outgoing: Option<outbound_http::Client>,
    /// What happened here, counted.
    pub metrics: Arc<Metrics>,
    /// Held while the ring is read from the database and put in place.
    pub reloading: tokio::sync::Mutex<()>,
    /// Keys that this process has known as revoked.
    pub revoked_kids: RevokedKids,
    /// Networks that an operator has shut out.
    pub blocks: Blocks,
    /// Which ends of audit chains stand in the log already.
    pub told_ends: ToldEnds,
    /// Whether the clock was confirmed when that was last asked.
    pub clock_trust: ClockTrust,
    next_count: AtomicU64,
    clock: Arc<dyn Clock>,
    ring: ArcSwapOption<KeyRing>,
    ring_confirmed_at: AtomicU64,
    ring_unusable: AtomicBool,
    draining: AtomicBool,
}

/// The last rotation of a session, as far as this process saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The generation it made.
    pub generation: u32,
    /// The network it came from.
    pub network: String,
    /// How many rotations in a row were followed by a repeat from elsewhere.
    pub shadowed: u32,
}

impl App {
    /// The time.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    /// Time since a fixed moment of this process. Ages and intervals are measured by it: nobody can
    /// set it.
    pub fn uptime(&self) -> Duration {
        self.clock.uptime()
    }

    /// The clock itself, for work that outlives a borrow of the app.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The key ring; `None` until it is loaded.
    pub fn ring(&self) -> Option<Arc<KeyRing>> {
        self.ring.load_full()
    }

    /// Takes the ring that was read last, also one of an earlier version: the database may have
    /// gone back. The reloads come one after another (`reloading`), so that none puts a ring in
    /// place that was read before another one's.
    pub fn set_ring(&self, ring: KeyRing) {
        self.ring.store(Some(Arc::new(ring)));
        self.confirm_ring();
    }

    /// The database has just said which version of the ring is current, and ours is.
    pub fn confirm_ring(&self) {
        self.ring_confirmed_at
            .store(whole_ms(self.uptime()), Ordering::Relaxed);
        self.ring_unusable.store(false, Ordering::Relaxed);
    }

    /// The database has a newer ring that this process cannot open.
    pub fn mark_ring_unusable(&self) {
        self.ring_unusable.store(true, Ordering::Relaxed);
    }

    /// Whether the database has a newer ring that this process cannot open.
    pub fn is_ring_unusable(&self) -> bool {
        self.ring_unusable.load(Ordering::Relaxed)
    }

    /// How long ago the database confirmed that the ring is current.
    pub fn ring_age(&self) -> Duration {
        self.uptime().saturating_sub(Duration::from_millis(
            self.ring_confirmed_at.load(Ordering::Relaxed),
        ))
    }

    /// Whether sessions may be counted again at this uptime. If so, the caller counts, and nobody
    /// else before `then`.
    pub fn begin_count(&self, now: Duration, then: Duration) -> bool {
        let due = self.next_count.load(Ordering::Relaxed);
        due <= whole_ms(now)
            && self
                .next_count
                .compare_exchange(due, whole_ms(then), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Counting took long: sessions are not counted again before this uptime.
    pub fn count_again_at(&self, then: Duration) {
        self.next_count.store(whole_ms(then), Ordering::Relaxed);
    }

    /// From now on `/health/ready` says no.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the process is shutting down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
