//! What the operator may say. `sources` gathers file, environment and flags as texts, `reader`
//! types them one by one and notes every problem, `settings` and the file of each section name them
//! with their bounds; this file holds the result. Secrets are named here but read by `crypto`.

mod database;
mod environment;
mod keys;
mod limits;
mod mail;
mod mask;
mod pages;
mod passwords;
mod problem;
mod reader;
pub mod secret_file;
mod server;
mod sessions;
mod settings;
mod sources;
mod text;
mod tokens;
mod webhooks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;
use zeroize::Zeroizing;

use crate::model::account::domain::DomainRules;
use crate::model::kernel::cookie_domain::CookieDomain;
use crate::model::kernel::mount::Mount;
use crate::model::kernel::naming::CookiePrefix;
use crate::model::kernel::origin::TrustedOrigins;
use crate::model::kernel::web_url::Issuer;
use crate::model::key::key;
use crate::model::session::{refresh, session};
use crate::model::token::claims::{Audience, ClaimSource};

pub use environment::texts as texts_of_environment;
pub use limits::RateLimits;
pub use mail::{Mail, MailLifetimes, MailTransport};
pub use mask::{holds_secret, refuse_secrets};
pub use pages::{Logo, Pages};
pub use passwords::{Blocklist, Passwords};
pub use problem::Problem;
pub use sources::Sources;
pub use webhooks::Webhooks;

/// Every setting, checked.
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
    /// `[passwords]`
    pub passwords: Passwords,
    /// `[sign_up]`
    pub sign_up: SignUp,
    /// `[mail]`
    pub mail: Mail,
    /// `[rate_limits]`
    pub rate_limits: RateLimits,
    /// `[webhooks]`; `None`: nobody hears of anything.
    pub webhooks: Option<Webhooks>,
    /// `audit.retention`; `None`: for ever.
    pub audit_retention: Option<Duration>,
    /// `[pages]`
    pub pages: Pages,
    /// `[log]`
    pub log: Log,
    /// `[traces]`
    pub traces: Traces,
    /// `[roles]`: permissions by role.
    pub roles: Vec<(String, Vec<String>)>,
    /// Where master keys come from.
    pub master_key: MasterKeySources,
    /// What `config show` prints: key, value, where it came from.
    pub effective: Vec<Effective>,
    /// What `config check` prints beside the problems.
    pub warnings: Vec<String>,
}

/// One setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Effective {
    /// `section.key`
    pub key: String,
    /// As text.
    pub value: String,
    /// `default`, `file`, `environment` or `flag`.
    pub source: &'static str,
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
    /// Where metrics are read.
    pub address: SocketAddr,
    /// Whether somebody has asked for it: then it is an error if the address is taken.
    pub asked: bool,
}

/// `[database]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Database {
    pub url: String,
    pub max_connections: u32,
    pub acquire_timeout: Duration,
    pub statement_timeout: Duration,
    pub lock_timeout: Duration,
    pub prepared_statements: bool,
    pub direct_url: Option<String>,
    pub migrate: bool,
    pub max_clock_skew: Duration,
}

/// `[keys]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Keys {
    pub dir: PathBuf,
    pub policy: key::Policy,
}

/// `[tokens]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Tokens {
    pub issuer: Issuer,
    pub audience: Audience,
    pub client_id: String,
    pub typ: String,
    pub access_ttl: Duration,
    pub access_ttl_jitter: f64,
    pub iat_backdate: Duration,
    pub mint_from_session: MintFromSession,
    pub claims: Vec<(String, ClaimSource)>,
}

/// `tokens.mint_from_session`: whether `GET /token` is content with the session cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MintFromSession {
    /// Until the session has refreshed once; then the refresh token must come too.
    UntilRefresh,
    /// For ever.
    Always,
    /// Never.
    Never,
}

/// `[sessions]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Sessions {
    pub lifetime: session::Lifetime,
    pub refresh: refresh::Policy,
    pub cookie_prefix: CookiePrefix,
    pub cookie_same_site: SameSite,
    pub cookie_domain: Option<CookieDomain>,
    pub cookie_host_prefix: bool,
    pub cookie_cache: Duration,
    pub admin_fresh_for: Option<Duration>,
    pub max_per_user: i64,
}

/// `sessions.cookie_same_site`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the values")]
pub enum SameSite {
    Lax,
    Strict,
    None,
}

impl SameSite {
    /// The attribute's value; the refresh cookie is always strict, but for `none`, which makes all
    /// of them so.
    pub fn for_cookie(self, is_refresh: bool) -> &'static str {
        match (self, is_refresh) {
            (Self::None, _) => "none",
            (Self::Strict, _) | (Self::Lax, true) => "strict",
            (Self::Lax, false) => "lax",
        }
    }
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
    /// Whether who signs up is signed in at once.
    pub fn signs_in(&self) -> bool {
        self.auto_sign_in && !self.require_email_verification
    }
}

/// `[traces]`
#[derive(Debug, Clone)]
pub struct Traces {
    /// The collector's, such as `http://127.0.0.1:4318/v1/traces`.
    pub url: Option<Url>,
    /// The share of traces that are kept.
    pub sample: f64,
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
    /// For people on a terminal, else JSON.
    Auto,
    /// For machines.
    Json,
    /// For people.
    Human,
}

/// Where master keys come from; texts and paths, not yet keys.
#[derive(Debug, Clone, Default)]
pub struct MasterKeySources {
    /// `COUNTERSIGN_MASTER_KEY`
    pub inline: Option<Secret>,
    /// `COUNTERSIGN_MASTER_KEY_FILE`
    pub file: Option<PathBuf>,
    /// `COUNTERSIGN_PREVIOUS_MASTER_KEY`: loaded beside it.
    pub previous: Option<Secret>,
    /// `COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE`
    pub previous_file: Option<PathBuf>,
}

/// A text that prints as `…`.
#[derive(Clone)]
pub struct Secret(pub Zeroizing<String>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Config {
    /// Reads and checks everything; on failure, every problem at once.
    pub fn load(sources: &Sources) -> Result<Self, Vec<Problem>> {
        settings::read(sources)
    }

    /// The text that these sources give for one setting, unread; of a list nothing.
    pub fn text_of(sources: &Sources, key: &str) -> Option<String> {
        reader::Reader::gather(sources).text_of(key)
    }

    /// Whether cookies are `Secure` and carry a prefix.
    pub fn is_https(&self) -> bool {
        self.server.public_url.scheme() == "https"
    }
}
