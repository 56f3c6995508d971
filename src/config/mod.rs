//! The settings. `sources` collects the texts of the file, the environment and flags, `reader` types
//! them one by one and records every problem, `settings` and the file of each section name them with
//! their bounds. This file defines the result. Secrets are named here but read by `crypto`.

mod audiences;
mod database;
mod effective;
mod environment;
mod keys;
mod limits;
mod mail;
mod mask;
mod names;
mod pages;
mod passkeys;
mod passwords;
mod paths;
mod policies;
mod problem;
mod profile;
mod reader;
mod secret;
pub mod secret_file;
mod server;
mod sessions;
mod settings;
mod sources;
mod text;
mod token_values;
mod tokens;
mod traces;
mod two_factor;
mod units;
pub mod upstream;
mod webhooks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

pub use effective::{Became, Effective};
pub use environment::texts as texts_of_environment;
pub use limits::RateLimits;
pub use mail::{Mail, MailLifetimes, MailTransport};
pub use mask::{holds_secret, refuse_secrets};
pub use pages::{Logo, Pages};
pub use passkeys::Passkeys;
pub use passwords::Passwords;
pub use problem::Problem;
pub use secret::Secret;
pub use sessions::SameSite;
pub use sources::Sources;
pub use traces::Traces;
pub use two_factor::TwoFactor;
pub use webhooks::Webhooks;

use crate::model::account::domain::DomainRules;
use crate::model::kernel::cookie_domain::CookieDomain;
use crate::model::kernel::database_url::{DatabaseUrl, PostgresUrl};
use crate::model::kernel::mount::Mount;
use crate::model::kernel::naming::CookiePrefix;
use crate::model::kernel::origin::TrustedOrigins;
use crate::model::kernel::web_url::Issuer;
use crate::model::key::algorithm::RsaSize;
use crate::model::key::slots::Policies as KeyPolicies;
use crate::model::login::level::Level;
use crate::model::login::policies::Policies;
use crate::model::session::ticket::Retry;
use crate::model::session::{refresh, session};
use crate::model::token::claims::{Audience, ClaimSource};
use crate::model::token::target::Targets;

/// All settings, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[database]`
    pub database: Database,
    /// `[keys]`
    pub keys: Keys,
    /// `[tokens]`
    pub tokens: Tokens,
    /// `[sessions]`
    pub sessions: Sessions,
    /// `[two_factor]`
    pub two_factor: TwoFactor,
    /// What sign-ins and sessions have to meet, from several sections.
    pub policies: Arc<Policies>,
    /// `[passkeys]`
    pub passkeys: Passkeys,
    /// `[passwords]`
    pub passwords: Passwords,
    /// `[sign_up]`
    pub sign_up: SignUp,
    /// `[sign_in]`
    pub sign_in: SignIn,
    /// `[mail]`
    pub mail: Mail,
    /// `[rate_limits]`
    pub rate_limits: RateLimits,
    /// `[upstream.ID]`: the other issuers at which users may sign in.
    pub upstream: upstream::Upstreams,
    /// `[webhooks]`; `None` if no webhook is set.
    pub webhooks: Option<Webhooks>,
    /// `audit.retention`; `None` to keep events without limit.
    pub audit_retention: Option<Duration>,
    /// `[pages]`
    pub pages: Pages,
    /// `[log]`
    pub log: Log,
    /// `[traces]`
    pub traces: Traces,
    /// `[roles]`: permissions by role.
    pub roles: Vec<(String, Vec<String>)>,
    /// The sources of master keys.
    pub master_key: MasterKeySources,
    /// The output of `config show`: key, value and source of each setting, and what it became.
    pub effective: Vec<Effective>,
    /// The warnings besides the problems; the start-up checklist has them.
    pub warnings: Vec<String>,
}

/// `[server]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Server {
    pub listen: SocketAddr,
    pub ops_listen: Option<OpsListen>,
    pub public_url: Url,
    pub base_path: String,
    pub mount: Mount,
    pub trusted_origins: TrustedOrigins,
    pub trusted_proxies: Vec<IpNet>,
    pub max_connections: usize,
    pub max_connections_per_network: usize,
    pub max_requests: usize,
    pub header_timeout: Duration,
    pub keep_alive: Duration,
}

/// `server.ops_listen`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpsListen {
    /// The address on which metrics are served.
    pub address: SocketAddr,
    /// Whether the operator has set it: then it is an error if the address is in use.
    pub asked: bool,
}

/// `[database]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Database {
    pub url: DatabaseUrl,
    pub max_connections: u32,
    pub acquire_timeout: Duration,
    pub statement_timeout: Duration,
    pub lock_timeout: Duration,
    pub prepared_statements: bool,
    pub direct_url: Option<PostgresUrl>,
    pub migrate: bool,
    pub max_clock_skew: Duration,
}

/// `[keys]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Keys {
    pub dir: PathBuf,
    pub rsa_size: RsaSize,
    pub policies: KeyPolicies,
}

/// `[tokens]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Tokens {
    pub issuer: Issuer,
    pub audience: Audience,
    pub client_id: String,
    pub targets: Targets,
    pub access_ttl: Duration,
    pub access_ttl_jitter: f64,
    pub iat_backdate: Duration,
    pub mint_from_session: MintFromSession,
    pub claims: Vec<(String, ClaimSource)>,
}

/// `tokens.mint_from_session`: whether the session cookie is sufficient for `GET /token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MintFromSession {
    /// Until the session has refreshed once; after that the refresh token is required, too.
    UntilRefresh,
    /// The session cookie is always sufficient.
    Always,
    /// The session cookie is never sufficient.
    Never,
}

/// `[sessions]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Sessions {
    pub lifetime: session::Lifetime,
    pub refresh: refresh::Policy,
    pub retry: Retry,
    pub cookie_prefix: CookiePrefix,
    pub cookie_same_site: SameSite,
    pub cookie_domain: Option<CookieDomain>,
    pub cookie_host_prefix: bool,
    pub cookie_cache: Duration,
    pub fresh_for: Duration,
    pub max_per_user: i64,
}

/// `[sign_up]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct SignUp {
    pub enabled: bool,
    pub domains: DomainRules,
    pub auto_sign_in: bool,
    pub require_email_verification: bool,
    pub unproven_ttl: Option<Duration>,
}

impl SignUp {
    /// Returns whether a sign-up also signs the user in.
    pub fn signs_in(&self) -> bool {
        self.auto_sign_in && !self.require_email_verification
    }
}

/// `[sign_in]`
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct SignIn {
    pub by_mail: bool,
    pub require: Level,
}

/// `[log]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

/// `log.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Readable text on a terminal, otherwise JSON.
    Auto,
    /// JSON, for log collectors.
    Json,
    /// Readable text.
    Human,
}

/// The sources of master keys: texts and paths, not keys yet.
#[derive(Debug, Clone, Default)]
pub struct MasterKeySources {
    /// `COUNTERSIGN_MASTER_KEY`
    pub inline: Option<Secret>,
    /// `COUNTERSIGN_MASTER_KEY_FILE`
    pub file: Option<PathBuf>,
    /// `COUNTERSIGN_PREVIOUS_MASTER_KEY`: a former key that is loaded, too.
    pub previous: Option<Secret>,
    /// `COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE`: the same, from a file.
    pub previous_file: Option<PathBuf>,
}

impl Config {
    /// Reads and validates all settings. On failure, returns every problem at once.
    pub fn load(sources: &Sources) -> Result<Self, Vec<Problem>> {
        settings::read(sources)
    }

    /// Returns the raw text of one setting from these sources; nothing if it is a list.
    pub fn text_of(sources: &Sources, key: &str) -> Option<String> {
        reader::Reader::gather(sources).text_of(key)
    }

    /// Returns whether cookies are `Secure` and have a name prefix.
    pub fn is_https(&self) -> bool {
        self.server.public_url.scheme() == "https"
    }
}
