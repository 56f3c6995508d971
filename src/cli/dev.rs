//! `dev`: the service on this machine only, for end-to-end tests of applications. Its database and
//! keys are new at each start and deleted at the end, unless a folder is named. A database, keys, a
//! master key or an issuer in a file or the environment are not used, and `--set` may not name
//! them.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::clock::MovableClock;
use crate::config::{Config, MailTransport, MasterKeySources, Problem, Sources};
use crate::flows::ops::dev::{Dev, USER_EMAIL, USER_PASSWORD};
use crate::model::kernel::loopback::is_loopback;

use super::{Failure, Result, serve};

/// The arguments of `dev`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Keep the database and the keys in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Listen on this port of 127.0.0.1, with http://localhost:PORT as the public URL
    #[arg(long, default_value_t = 4000)]
    port: u16,
}

/// The folder of one run.
pub(super) struct Scratch {
    dir: PathBuf,
    port: u16,
    /// Deletes the folder when the process ends.
    _temporary: Option<tempfile::TempDir>,
}

impl Scratch {
    pub(super) fn make(arguments: &Arguments) -> Result<Self> {
        let port = arguments.port;
        let failed = |e: std::io::Error| {
            Failure::Startup(format!("cannot make a folder for the database: {e}"))
        };
        if let Some(dir) = &arguments.data {
            std::fs::create_dir_all(dir).map_err(failed)?;
            return Ok(Self {
                dir: dir.canonicalize().map_err(failed)?,
                port,
                _temporary: None,
            });
        }
        let temporary = tempfile::Builder::new()
            .prefix("countersign-dev-")
            .tempdir()
            .map_err(failed)?;
        Ok(Self {
            dir: temporary.path().to_owned(),
            port,
            _temporary: Some(temporary),
        })
    }

    /// Returns settings that come after the file and the environment, and before those of `--set`.
    pub(super) fn settings(&self, arguments: &[(String, String)]) -> Vec<(String, String)> {
        let own = format!("http://localhost:{}", self.port);
        let public_url = arguments
            .iter()
            .rfind(|(key, _)| key == "server.public_url")
            .map_or(own, |(_, url)| url.trim_end_matches('/').to_owned());
        let at = |name: &str| self.dir.join(name).display().to_string();
        [
            ("database.url", format!("sqlite://{}", at("dev.db"))),
            ("keys.dir", at("keys")),
            // Replaced by the inbox in memory after the settings are read.
            ("mail.transport", "file".into()),
            ("mail.dir", at("mail")),
            ("server.listen", format!("127.0.0.1:{}", self.port)),
            ("server.public_url", public_url.clone()),
            ("tokens.issuer", public_url),
            // Settings of a file for a real service are cleared: its webhook must not receive
            // events of tests.
            ("database.direct_url", String::new()),
            ("database.prepared_statements", "true".into()),
            ("webhooks.url", String::new()),
            ("rate_limits.enabled", "false".into()),
            ("passwords.argon2_memory_kib", "1024".into()),
            ("passwords.argon2_iterations", "1".into()),
            ("server.ops_listen", "off".into()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
}

/// The settings that `dev` makes itself. `--set` with one of them is refused: it would open
/// sessions without a password in a real database, or sign with real keys.
const OWN: [(&str, &str); 6] = [
    ("database.url", DATA),
    ("database.url_file", DATA),
    ("database.direct_url", DATA),
    ("database.direct_url_file", DATA),
    ("keys.dir", DATA),
    (
        "tokens.issuer",
        "`countersign dev` issues tokens under its own public URL",
    ),
];
const DATA: &str =
    "`countersign dev` uses a database and keys of its own; --data DIR keeps them in a folder";

/// Returns what `dev` refuses in the arguments and in the settings of a real service: the public
/// URL of another machine, and settings that `dev` makes itself.
pub(super) fn refused(arguments: &[(String, String)], outside: &Sources) -> Vec<Problem> {
    let named = OWN
        .iter()
        .filter(|(key, _)| arguments.iter().any(|(given, _)| given == key));
    let mut problems: Vec<Problem> = named
        .map(|(key, message)| Problem {
            key: (*key).into(),
            message: (*message).into(),
        })
        .collect();
    if Config::text_of(outside, "server.public_url").is_some_and(|url| !is_of_this_machine(&url)) {
        problems.push(elsewhere());
    }
    problems
}

fn is_of_this_machine(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| url.host_str().is_some_and(is_loopback))
}

fn elsewhere() -> Problem {
    Problem {
        key: "server.public_url".into(),
        message:
            "`countersign dev` is for this machine only: its public URL is http://localhost:PORT"
                .into(),
    }
}

/// Refuses to listen on other machines' addresses, and keeps mails in memory.
fn confine(mut config: Config) -> Result<Config> {
    let mut problems = Vec::new();
    if !config.server.listen.ip().is_loopback() {
        let message = "`countersign dev` opens sessions without a password and listens on loopback only, such as 127.0.0.1:4000";
        problems.push(Problem {
            key: "server.listen".into(),
            message: message.into(),
        });
    }
    if !config.server.public_url.host_str().is_some_and(is_loopback) {
        problems.push(elsewhere());
    }
    if !problems.is_empty() {
        return Err(Failure::Configuration(problems));
    }
    config.mail.transport = MailTransport::Inbox;
    config.master_key = MasterKeySources::default();
    Ok(config)
}

pub(super) async fn run(config: Config) -> Result<()> {
    let (config, clock) = (confine(config)?, Arc::new(MovableClock::default()));
    tracing::warn!(
        user = USER_EMAIL,
        password = USER_PASSWORD,
        "`countersign dev` is for tests on this machine: sessions without a password under /dev"
    );
    Box::pin(serve::run(
        config,
        Some((Dev::new(Arc::clone(&clock)), clock)),
    ))
    .await
}
