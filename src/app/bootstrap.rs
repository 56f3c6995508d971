//! Builds the `App` from the settings: opens the database, starts the password threads, loads the
//! templates of mails and the list of breached passwords.

use super::decoys::Decoys;
use super::flights::Flights;
use super::memory::{Blocks, ClockTrust, RevokedKids, ToldChanges, ToldEnds, UserCache};
use super::notices::Notices;
use super::pace::{Pace, pace, presented_pace, renewal_pace, strength_pace};
use super::process::Process;
use super::{App, whole_ms};
use crate::clock::Clock;
use crate::config::{Config, MailTransport};
use crate::crypto::argon2id::Cost;
use crate::crypto::breached::BreachedHashes;
use crate::crypto::foreign::Pepper;
use crate::crypto::master_key::MasterKey;
use crate::crypto::password::Hasher;
use crate::mail::{Inbox, Mailer, Templates, Transport};
use crate::metrics::Metrics;
use crate::model::kernel::id::EventId;
use crate::model::kernel::time::Timestamp;
use crate::model::limit::rate::Rule;
use crate::outbound_http;
use crate::random::{self, Random};
use crate::store::{self, Db};
use crate::upstream::Upstream;
use arc_swap::ArcSwapOption;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use tokio::sync::Notify;

impl App {
    /// Opens the database and starts the password threads; `flows::key::load_keys` loads the keys.
    pub fn build(
        config: Config,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        loaded_keys: Vec<Arc<MasterKey>>,
        db: Db,
    ) -> Result<Self, store::Error> {
        let p = &config.passwords;
        let cost = Cost {
            memory: p.memory_kib,
            iterations: p.iterations,
            parallelism: p.parallelism,
        };
        let hasher = Hasher::start(cost, p.threads, p.queue, Arc::clone(&random))
            .map_err(|e| store::Error::Unavailable(format!("cannot start a thread: {e}")))?
            .with_pepper(
                p.pepper
                    .as_ref()
                    .map(|pepper| Pepper::new(pepper.0.as_bytes())),
            );
        let metrics = Metrics::new();
        for provider in config.upstream.iter() {
            metrics.upstream.know(provider.id.as_str());
        }
        let now = Timestamp(clock.now_ms());
        let writer = EventId::at(now, random::bytes(&*random)).to_string();
        Ok(Self {
            mailer: mailer(&config)?,
            outgoing: config
                .webhooks
                .as_ref()
                .map(|_| outbound_http::Client::new().map_err(|e| unusable("webhooks.url", &e)))
                .transpose()?,
            upstream: Upstream::new(&config.upstream, Arc::clone(&clock))
                .map_err(|e| unusable("upstream", &e))?,
            breached: breached(&config)?,
            mail_waits: Notify::new(),
            refresh_pace: Pace::new(presented_pace(), Arc::clone(&clock)),
            strength_pace: Pace::new(strength_pace(), Arc::clone(&clock)),
            renewal_pace: Pace::new(renewal_pace(), Arc::clone(&clock)),
            renewals: Flights::default(),
            mint_pace: config
                .rate_limits
                .quota(Rule::Mint)
                .and_then(pace)
                .map(|pace| Pace::new(pace, Arc::clone(&clock))),
            refused: moka::sync::Cache::new(100_000),
            rotations: moka::sync::Cache::new(100_000),
            standstills: Arc::default(),
            users: UserCache(moka::sync::Cache::new(100_000)),
            ring: ArcSwapOption::empty(),
            ring_confirmed_at: AtomicU64::new(whole_ms(clock.uptime())),
            ring_unusable: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            config,
            random,
            db,
            hasher,
            loaded_keys,
            writer,
            process: Process::this(now),
            metrics: Arc::new(metrics),
            next_count: AtomicU64::new(0),
            reloading: tokio::sync::Mutex::default(),
            revoked_kids: RevokedKids::default(),
            blocks: Blocks::default(),
            decoys: Decoys::default(),
            told_ends: ToldEnds::default(),
            told_changes: ToldChanges::default(),
            refused_origins: Notices::default(),
            refused_mails: Notices::default(),
            foreign_cookies: Notices::default(),
            clock_trust: ClockTrust::default(),
            clock,
        })
    }

    /// Opens the database that the settings name.
    pub async fn open_db(config: &Config, clock: Arc<dyn Clock>) -> Result<Db, store::Error> {
        Db::open(
            &config.database.url,
            &store::Options {
                clock: clock.into(),
                ..Self::db_options(config)
            },
        )
        .await
    }

    /// Returns the database options of the settings.
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
            ..store::Options::default()
        }
    }
}

fn unusable(key: &str, reason: &str) -> store::Error {
    store::Error::Unsupported(format!("{key}: {reason}"))
}

fn breached(config: &Config) -> Result<Option<Arc<BreachedHashes>>, store::Error> {
    let Some(path) = &config.passwords.breached_file else {
        return Ok(None);
    };
    let list = BreachedHashes::open(path).map_err(|e| {
        unusable(
            "passwords.breached_file",
            &format!("{}: {e}", path.display()),
        )
    })?;
    Ok(Some(Arc::new(list)))
}

fn mailer(config: &Config) -> Result<Mailer, store::Error> {
    let transport = match &config.mail.transport {
        MailTransport::Smtp { url, timeout, helo } => {
            Transport::smtp(&url.0, *timeout, helo).map_err(|e| unusable("mail.smtp_url", &e))?
        }
        MailTransport::File(dir) => Transport::File(dir.clone()),
        MailTransport::Log => Transport::Log,
        MailTransport::Inbox => Transport::Inbox(Inbox::default()),
        MailTransport::Off => Transport::Off,
    };
    let from = Transport::sender(&config.mail.from).map_err(|e| unusable("mail.from", &e))?;
    let templates = Templates::load(config.mail.templates_dir.as_deref(), &config.pages.locales)
        .map_err(|e| unusable("mail.templates_dir", &e.to_string()))?;
    Ok(Mailer {
        templates,
        transport,
        from,
    })
}
