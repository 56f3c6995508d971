//! In-memory state of a process: cached users, whether its clock is trusted, which keys were
//! revoked, blocked networks. Ages are measured by the uptime.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::model::account::user::User;
use crate::model::audit::event::Entry;
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock;
use crate::model::kernel::trusted_clock::Doubt;
use crate::model::key::key::State;
use crate::model::key::slots::Slots;
use crate::model::limit::block::Block;

/// Cached users by id **and** version, so that a stale entry cannot be used on any replica; entries
/// live for seconds of uptime.
pub struct UserCache(pub(super) moka::sync::Cache<(UserId, i64), (Duration, Arc<User>)>);

impl UserCache {
    const LIFE: Duration = Duration::from_secs(10);

    /// Returns the user at this version, unless the copy is too old.
    pub fn get(&self, id: UserId, version: i64, uptime: Duration) -> Option<Arc<User>> {
        let (read_at, user) = self.0.get(&(id, version))?;
        (uptime.saturating_sub(read_at) < Self::LIFE).then_some(user)
    }

    /// Adds a copy of the user.
    pub fn put(&self, user: &Arc<User>, uptime: Duration) {
        self.0
            .insert((user.id, user.version), (uptime, Arc::clone(user)));
    }
}

/// What this process knows about its wall clock. Jobs check the clock every few seconds; between
/// two checks the monotonic clock shows whether it was set.
#[derive(Debug, Default)]
pub struct ClockTrust(Mutex<Trust>);

#[derive(Debug, Default)]
struct Trust {
    /// The doubt that the last check found, and the uptime at which it was last logged.
    doubt: Option<(Doubt, Duration)>,
    /// The wall clock and the uptime when the clock was last found right.
    right: Option<(Timestamp, Duration)>,
}

impl ClockTrust {
    /// How often a doubt that lasts is logged again.
    const REMIND: Duration = Duration::from_secs(3_600);

    fn lock(&self) -> MutexGuard<'_, Trust> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records at this uptime that the clock is in doubt; returns whether to log it.
    pub fn doubted(&self, doubt: Doubt, uptime: Duration) -> bool {
        let mut trust = self.lock();
        let told = trust.doubt.map(|(_, told)| told);
        let due = told.is_none_or(|at| uptime >= at + Self::REMIND);
        trust.doubt = Some((doubt, if due { uptime } else { told.unwrap_or(uptime) }));
        due
    }

    /// Records that the clock is confirmed; returns whether it was in doubt before.
    pub fn confirmed(&self, now: Timestamp, uptime: Duration) -> bool {
        self.is_right(now, uptime);
        self.lock().doubt.take().is_some()
    }

    /// Records that another clock agrees with this one.
    pub fn is_right(&self, now: Timestamp, uptime: Duration) {
        self.lock().right = Some((now, uptime));
    }

    /// Returns whether the clock was in doubt at the last check.
    pub fn is_doubted(&self) -> bool {
        self.doubt().is_some()
    }

    /// Returns the doubt that the last check found.
    pub fn doubt(&self) -> Option<Doubt> {
        self.lock().doubt.map(|(doubt, _)| doubt)
    }

    /// Returns which other clock contradicts this one: the database server's, or the monotonic
    /// clock of this process. A long time since the last run is not a contradiction, because the
    /// machine may have been off.
    pub fn contradiction(&self, now: Timestamp, uptime: Duration) -> Option<Doubt> {
        let trust = self.lock();
        let set = trust.right.and_then(|(right, at)| {
            trusted_clock::set_since(now, right, uptime.saturating_sub(at))
        });
        set.or_else(|| {
            trust
                .doubt
                .map(|(doubt, _)| doubt)
                .filter(|doubt| matches!(doubt, Doubt::Database(_)))
        })
    }
}

/// Keys that this process has known as revoked. It never forgets one, because a database that is
/// restored to an earlier state may contain it as valid again.
#[derive(Debug, Default)]
pub struct RevokedKids(Mutex<HashSet<String>>);

impl RevokedKids {
    /// Records the revoked keys of a ring. Returns the keys that the ring publishes although they
    /// were revoked before, the active one last.
    pub fn learn(&self, slots: &Slots) -> Vec<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(
            slots
                .keys()
                .filter(|key| key.state == State::Revoked)
                .map(|key| key.kid.clone()),
        );
        let mut revived: Vec<_> = slots
            .keys()
            .filter(|key| key.state.is_published() && known.contains(&key.kid))
            .collect();
        // Revoking the active key makes the standby key active, so a standby key that was revoked
        // has to go first.
        revived.sort_by_key(|key| key.state == State::Active);
        revived.into_iter().map(|key| key.kid.clone()).collect()
    }
}

/// The ids of the recent changes of the command line that have been logged; `None` before the first
/// check.
#[derive(Debug, Default)]
pub struct ToldChanges(Mutex<Option<HashSet<String>>>);

impl ToldChanges {
    /// Marks these events, which are all recent ones, as logged, and returns those that were not;
    /// none at the first call.
    pub fn take_new(&self, recent: Vec<Entry>) -> Vec<Entry> {
        let ids = recent.iter().map(|event| event.id.clone()).collect();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match told.replace(ids) {
            None => Vec::new(),
            Some(before) => {
                let is_new = |event: &Entry| !before.contains(&event.id);
                recent.into_iter().filter(is_new).collect()
            }
        }
    }
}

/// The ends of audit chains that this process has logged: the position, and the uptime at which it
/// was logged.
#[derive(Debug, Default)]
pub struct ToldEnds(Mutex<HashMap<String, (i64, Duration)>>);

impl ToldEnds {
    /// Returns whether nothing has been logged yet.
    pub fn is_empty(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Forgets ends that were logged longer ago than `longest`.
    pub fn forget(&self, uptime: Duration, longest: Duration) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, (_, at)| *at + longest > uptime);
    }

    /// Returns whether this end is to be logged, and records it as logged. A new chain is logged at
    /// once, a longer one only after `pause`.
    pub fn is_due(&self, writer: &str, sequence: i64, uptime: Duration, pause: Duration) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told
            .get(writer)
            .is_none_or(|(known, at)| *known != sequence && *at + pause <= uptime);
        if is_due {
            told.insert(writer.to_owned(), (sequence, uptime));
        }
        is_due
    }
}

/// The blocked networks, as of one version of the list in the database.
#[derive(Debug, Default)]
pub struct Blocks(ArcSwap<Shut>);

#[derive(Debug, Default)]
struct Shut {
    version: i64,
    /// Each block with the uptime at which it ends.
    blocks: Vec<(Duration, Block)>,
}

impl Blocks {
    /// Returns the version of the list; 0 before the first.
    pub fn version(&self) -> i64 {
        self.0.load().version
    }

    /// Replaces the list with that of another version.
    pub fn replace(&self, version: i64, blocks: Vec<(Duration, Block)>) {
        self.0.store(Arc::new(Shut { version, blocks }));
    }

    /// Returns how much longer an IP address is blocked at this uptime; `None` if it is not.
    pub fn left(&self, address: IpAddr, uptime: Duration) -> Option<Duration> {
        let shut = self.0.load();
        let left = |(until, block): &(Duration, Block)| {
            block
                .holds(address)
                .then(|| until.saturating_sub(uptime))
                .filter(|left| !left.is_zero())
        };
        shut.blocks.iter().filter_map(left).max()
    }
}
