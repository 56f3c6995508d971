//! Everything that is built once from the settings and passed down. A plain struct: no trait stands between the layers. `flows::load_keys` swaps the key ring.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::config::{Config, MailTransport};
use crate::crypto::breached::BreachedHashes;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::master_key::MasterKey;
use crate::crypto::password::{Cost, Hasher};
use crate::mail::{Inbox, Mailer, Transport, Wording};
use crate::metrics::Metrics;
use crate::model::id::{EventId, SessionId, UserId};
use crate::model::limit::{self, Rule};
use crate::model::time::Timestamp;
use crate::model::user::User;
use crate::outgoing;
use crate::random::{self, Random};
use crate::store::{self, Db};

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
    /// How often one refresh token may be kept or repeated. By token and not by session, or a thief could drown the owner's reuse in refusals.
    pub refresh_pace: Pace<[u8; 32]>,
    /// How often a session may have access tokens made; `None`: as often as it likes.
    pub mint_pace: Option<Pace<SessionId>>,
    /// Keys of limits that say no, and until when: a flood is answered from memory.
    pub refused: moka::sync::Cache<String, Timestamp>,
    /// Which address each session last rotated from, for the shadow alarm.
    pub rotations: moka::sync::Cache<SessionId, Rotated>,
    /// When this process, and the service, stood still.
    pub standstills: Arc<crate::model::standstill::Watch>,
    /// Words and ways of mails.
    pub mailer: Mailer,
    /// Told when a mail has come into the queue.
    pub mail_waits: Notify,
    /// The operator's list of breached passwords.
    pub breached: Option<Arc<BreachedHashes>>,
    /// Names this process in the audit trail.
    pub writer: String,
    /// Makes requests, where the settings name somebody to make them to.
    pub outgoing: Option<outgoing::Client>,
    /// What happened here, counted.
    pub metrics: Arc<Metrics>,
    next_count: AtomicI64,
    clock: Arc<dyn Clock>,
    ring: ArcSwapOption<KeyRing>,
    ring_confirmed_at: AtomicI64,
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
    /// Opens the database and starts the password threads; keys are `flows::load_keys`'s business.
    pub fn build(config: Config, clock: Arc<dyn Clock>, random: Arc<dyn Random>, loaded_keys: Vec<Arc<MasterKey>>, db: Db) -> Result<Self, store::Error> {
        let p = &config.passwords;
        let cost = Cost { memory: p.memory_kib, iterations: p.iterations, parallelism: p.parallelism };
        let hasher =
            Hasher::start(cost, p.threads, p.queue, Arc::clone(&random)).map_err(|e| store::Error::Unavailable(format!("cannot start a thread: {e}")))?;
        let now = Timestamp(clock.now_ms());
        let writer = EventId::at(now, random::bytes(&*random)).to_string();
        Ok(Self {
            mailer: mailer(&config)?,
            outgoing: config.webhooks.as_ref().map(|_| outgoing::Client::new().map_err(|e| unusable("webhooks.url", &e))).transpose()?,
            breached: breached(&config)?,
            mail_waits: Notify::new(),
            refresh_pace: Pace::new(presented_pace(), Arc::clone(&clock)),
            mint_pace: config.rate_limits.quota(Rule::Mint).and_then(pace).map(|pace| Pace::new(pace, Arc::clone(&clock))),
            refused: moka::sync::Cache::new(100_000),
            rotations: moka::sync::Cache::new(100_000),
            standstills: Arc::default(),
            users: UserCache(moka::sync::Cache::new(100_000)),
            ring: ArcSwapOption::empty(),
            ring_confirmed_at: AtomicI64::new(now.0),
            ring_unusable: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            config,
            random,
            db,
            hasher,
            loaded_keys,
            writer,
            metrics: Arc::new(Metrics::new()),
            next_count: AtomicI64::new(i64::MIN),
            clock,
        })
    }

    /// Opens the database that the settings name.
    pub async fn open_db(config: &Config, clock: Arc<dyn Clock>) -> Result<Db, store::Error> {
        Db::open(&config.database.url, &store::Options { clock: clock.into(), ..Self::db_options(config) }).await
    }

    /// How the settings want the database used.
    pub fn db_options(config: &Config) -> store::Options {
        let d = config.database.clone();
        store::Options {
            max_connections: d.max_connections,
            acquire_timeout: d.acquire_timeout,
            statement_timeout: d.statement_timeout,
            lock_timeout: d.lock_timeout,
            prepared_statements: d.prepared_statements,
            direct_url: d.direct_url,
            migrate: d.migrate,
            clock: store::TimeSource::default(),
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    /// The key ring; `None` until it is loaded.
    pub fn ring(&self) -> Option<Arc<KeyRing>> {
        self.ring.load_full()
    }

    /// Takes a newer ring; an older one, read before another task's, is dropped.
    pub fn set_ring(&self, ring: KeyRing) {
        let new = Arc::new(ring);
        let before = self.ring.rcu(|old| match old {
            Some(old) if old.version > new.version => Some(Arc::clone(old)),
            Some(_) | None => Some(Arc::clone(&new)),
        });
        if before.is_none_or(|before| before.version <= new.version) {
            self.confirm_ring();
        }
    }

    /// The database has just said which version of the ring is current, and ours is.
    pub fn confirm_ring(&self) {
        self.ring_confirmed_at.store(self.now().0, Ordering::Relaxed);
        self.ring_unusable.store(false, Ordering::Relaxed);
    }

    /// The database has a newer ring that this process cannot open.
    pub fn condemn_ring(&self) {
        self.ring_unusable.store(true, Ordering::Relaxed);
    }

    /// Whether the database has a newer ring that this process cannot open.
    pub fn is_ring_unusable(&self) -> bool {
        self.ring_unusable.load(Ordering::Relaxed)
    }

    /// How long nobody could say whether the ring is current.
    pub fn ring_age(&self) -> Duration {
        self.now().since(Timestamp(self.ring_confirmed_at.load(Ordering::Relaxed)))
    }

    /// Whether sessions may be counted again now, and next `then` at the earliest; one who asks is told so.
    pub fn begin_count(&self, now: Timestamp, then: Timestamp) -> bool {
        let due = self.next_count.load(Ordering::Relaxed);
        due <= now.0 && self.next_count.compare_exchange(due, then.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// It took long: not before then.
    pub fn count_again_at(&self, then: Timestamp) {
        self.next_count.store(then.0, Ordering::Relaxed);
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

fn unusable(key: &str, reason: &str) -> store::Error {
    store::Error::Unsupported(format!("{key}: {reason}"))
}

fn breached(config: &Config) -> Result<Option<Arc<BreachedHashes>>, store::Error> {
    let Some(path) = &config.passwords.breached_file else { return Ok(None) };
    let list = BreachedHashes::open(path).map_err(|e| unusable("passwords.breached_file", &format!("{}: {e}", path.display())))?;
    Ok(Some(Arc::new(list)))
}

fn mailer(config: &Config) -> Result<Mailer, store::Error> {
    let transport = match &config.mail.transport {
        MailTransport::Smtp { url, timeout } => Transport::smtp(&url.0, *timeout).map_err(|e| unusable("mail.smtp_url", &e))?,
        MailTransport::File(dir) => Transport::File(dir.clone()),
        MailTransport::Log => Transport::Log,
        MailTransport::Inbox => Transport::Inbox(Inbox::default()),
        MailTransport::Off => Transport::Off,
    };
    Transport::check_sender(&config.mail.from).map_err(|e| unusable("mail.from", &e))?;
    let wording = Wording::load(config.mail.templates_dir.as_deref()).map_err(|e| unusable("mail.templates_dir", &e.to_string()))?;
    Ok(Mailer { wording, transport, from: config.mail.from.clone() })
}

/// Users by id **and** version, so a stale entry cannot be used on any replica; entries live for seconds on the injected clock.
pub struct UserCache(moka::sync::Cache<(UserId, i64), (Timestamp, Arc<User>)>);

impl UserCache {
    const LIFE: Duration = Duration::from_secs(10);

    /// The user as of this version, unless the copy is too old.
    pub fn get(&self, id: UserId, version: i64, now: Timestamp) -> Option<Arc<User>> {
        let (read_at, user) = self.0.get(&(id, version))?;
        (now.since(read_at) < Self::LIFE).then_some(user)
    }

    /// Keeps a copy.
    pub fn put(&self, user: &Arc<User>, now: Timestamp) {
        self.0.insert((user.id, user.version), (now, Arc::clone(user)));
    }
}

struct LimitClock(Arc<dyn Clock>);

impl Clone for LimitClock {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl governor::clock::Clock for LimitClock {
    type Instant = Nanos;
    fn now(&self) -> Nanos {
        Nanos::from(Duration::from_millis(u64::try_from(self.0.now_ms()).unwrap_or(0)))
    }
}

/// How often one key may do something, as this process counts it; in memory alone, on the injected clock.
pub struct Pace<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, LimitClock, NoOpMiddleware<Nanos>>,
    clock: LimitClock,
}

impl<K: Hash + Eq + Clone> Pace<K> {
    fn new(pace: Quota, clock: Arc<dyn Clock>) -> Self {
        let clock = LimitClock(clock);
        Self { limiter: RateLimiter::new(pace, DashMapStateStore::default(), clock.clone()), clock }
    }

    /// `Err`: how long to wait.
    pub fn check(&self, key: &K) -> Result<(), Duration> {
        use governor::clock::Clock as _;
        self.limiter.check_key(key).map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Forgets keys whose bucket is full again.
    pub fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// Of one refresh token: a burst of 100, then 20 a minute.
fn presented_pace() -> Quota {
    const BURST: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
    const PER_MINUTE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
    Quota::per_minute(PER_MINUTE).allow_burst(BURST)
}

/// What the settings say, as a burst that comes back one by one.
fn pace(quota: limit::Quota) -> Option<Quota> {
    let burst = NonZeroU32::new(quota.count)?;
    Some(Quota::with_period(quota.period / quota.count)?.allow_burst(burst))
}
