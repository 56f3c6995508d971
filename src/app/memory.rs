//! What a process remembers: users as of a version, whether its clock was trusted, which keys were
//! revoked. Ages are measured by the uptime.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::model::account::user::User;
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;
use crate::model::kernel::trusted_clock;
use crate::model::kernel::trusted_clock::Doubt;
use crate::model::key::key::{Ring, State};
use crate::model::limit::block::Block;

/// Users by id **and** version, so a stale entry cannot be used on any replica; entries live for
/// seconds of uptime.
pub struct UserCache(pub(super) moka::sync::Cache<(UserId, i64), (Duration, Arc<User>)>);

impl UserCache {
    const LIFE: Duration = Duration::from_secs(10);

    /// The user as of this version, unless the copy is too old.
    pub fn get(&self, id: UserId, version: i64, uptime: Duration) -> Option<Arc<User>> {
        let (read_at, user) = self.0.get(&(id, version))?;
        (uptime.saturating_sub(read_at) < Self::LIFE).then_some(user)
    }

    /// Keeps a copy.
    pub fn put(&self, user: &Arc<User>, uptime: Duration) {
        self.0
            .insert((user.id, user.version), (uptime, Arc::clone(user)));
    }
}

/// What this process knows of its wall clock. The jobs look at it every few seconds; between two
/// looks the monotonic clock tells when it was set.
#[derive(Debug, Default)]
pub struct ClockTrust(Mutex<Trust>);

#[derive(Debug, Default)]
struct Trust {
    /// The doubt that the last look found, and the uptime at which the log was last told.
    doubt: Option<(Doubt, Duration)>,
    /// The wall clock and the uptime when the clock was last found right.
    right: Option<(Timestamp, Duration)>,
}

impl ClockTrust {
    /// How often the log hears of a doubt that lasts.
    const REMIND: Duration = Duration::from_secs(3_600);

    fn lock(&self) -> MutexGuard<'_, Trust> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock is in doubt at this uptime; `true`: the log should be told.
    pub fn doubted(&self, doubt: Doubt, uptime: Duration) -> bool {
        let mut trust = self.lock();
        let told = trust.doubt.map(|(_, told)| told);
        let due = told.is_none_or(|at| uptime >= at + Self::REMIND);
        trust.doubt = Some((doubt, if due { uptime } else { told.unwrap_or(uptime) }));
        due
    }

    /// The clock is confirmed; `true`: it was in doubt before.
    pub fn confirmed(&self, now: Timestamp, uptime: Duration) -> bool {
        self.is_right(now, uptime);
        self.lock().doubt.take().is_some()
    }

    /// Another clock agrees with this one.
    pub fn is_right(&self, now: Timestamp, uptime: Duration) {
        self.lock().right = Some((now, uptime));
    }

    /// Whether the clock was in doubt at the last look.
    pub fn is_doubted(&self) -> bool {
        self.doubt().is_some()
    }

    /// What the last look found.
    pub fn doubt(&self) -> Option<Doubt> {
        self.lock().doubt.map(|(doubt, _)| doubt)
    }

    /// Which other clock says that this one is wrong: the database server's, or the monotonic clock
    /// of this process. A long time since the last run is no such contradiction: the machine may
    /// have been off.
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

/// Keys that this process has known as revoked. It never forgets one: a database that goes back may
/// bring it to life again.
#[derive(Debug, Default)]
pub struct RevokedKids(Mutex<HashSet<String>>);

impl RevokedKids {
    /// Remembers the revoked keys of a ring, and returns those that it publishes although they were
    /// revoked before, the active one last.
    pub fn learn(&self, ring: &Ring) -> Vec<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(
            ring.keys
                .iter()
                .filter(|key| key.state == State::Revoked)
                .map(|key| key.kid.clone()),
        );
        let mut revived: Vec<_> = ring
            .keys
            .iter()
            .filter(|key| key.state.is_published() && known.contains(&key.kid))
            .collect();
        // Revoking the active key puts the standby in its place: that one must not be a revoked one
        // either.
        revived.sort_by_key(|key| key.state == State::Active);
        revived.into_iter().map(|key| key.kid.clone()).collect()
    }
}

/// The ends of audit chains that this process has written into the log: the place, and the uptime
/// at which it did.
#[derive(Debug, Default)]
pub struct ToldEnds(Mutex<HashMap<String, (i64, Duration)>>);

impl ToldEnds {
    /// Whether nothing was told yet.
    pub fn is_empty(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Forgets what was told longer ago than `longest`.
    pub fn forget(&self, uptime: Duration, longest: Duration) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, (_, at)| *at + longest > uptime);
    }

    /// Whether this end is to be written into the log; from now on it is there. A chain that is new
    /// is told at once, one that has grown not before `pause` is over.
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

/// The networks that are shut out, as of one version of the database's list.
#[derive(Debug, Default)]
pub struct Blocks(ArcSwap<Shut>);

#[derive(Debug, Default)]
struct Shut {
    version: i64,
    /// Each with the uptime at which it ends.
    blocks: Vec<(Duration, Block)>,
}

impl Blocks {
    /// Which version this is; 0 before the first.
    pub fn version(&self) -> i64 {
        self.0.load().version
    }

    /// Takes another list.
    pub fn replace(&self, version: i64, blocks: Vec<(Duration, Block)>) {
        self.0.store(Arc::new(Shut { version, blocks }));
    }

    /// How long an address is still shut out at this uptime.
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
