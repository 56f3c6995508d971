//! Settings: four lines are flags (`key=value`), four are variables of the environment, the rest is a
//! file. A problem is told, nothing panics.
#![no_main]

use std::io::Write;
use std::sync::LazyLock;

use countersign::config::{Config, Problem, Sources};
use countersign_fuzz::twins;
use libfuzzer_sys::fuzz_target;

/// The names of all settings, so that values are reached and not only names that do not exist.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let nothing = Sources {
        file: None,
        environment: Vec::new(),
        flags: Vec::new(),
    };
    let config = Config::load(&nothing).expect("the defaults are good");
    config
        .effective
        .into_iter()
        .map(|setting| setting.key)
        .collect()
});

fuzz_target!(init: check_twins(), |data: &[u8]| {
    drop(run(data));
});

/// Flags, variables of the environment and a file.
const GOOD: &str = "server.public_url=https://auth.example.com
server.trusted_origins=https://*.example.com
tokens.access_ttl=10m
rate_limits.sign_in=5/15m
SERVER__LISTEN=127.0.0.1:1
MAIL__FROM=Example <a@example.com>
LOG__LEVEL=debug
KEYS__ROTATION=0 0 3 * * Sun
[server]
trusted_proxies = [\"10.0.0.0/8\"]
[roles]
support = [\"user:list\"]
[tokens.claims]
plan = \"user.metadata.plan\"";

fn check_twins() {
    let config = run(GOOD.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(
        config.server.public_url.as_str(),
        "https://auth.example.com/"
    );
    assert_eq!(config.server.listen.port(), 1);
    assert_eq!(config.roles[0].0, "support");
    twins::keep(GOOD.as_bytes());
}

fn run(data: &[u8]) -> Result<Config, Vec<Problem>> {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let flags = lines.by_ref().take(4).filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        let key = twins::chosen(&KEYS, key.as_bytes(), |key| key);
        Some((key.clone(), value.to_owned()))
    });
    let flags: Vec<(String, String)> = flags.collect();
    let environment = lines
        .by_ref()
        .take(4)
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (format!("COUNTERSIGN_{name}"), value.to_owned()))
        .collect();
    let rest: Vec<&str> = lines.collect();
    let mut file = tempfile::Builder::new()
        .suffix(".toml")
        .tempfile()
        .expect("a file");
    file.write_all(rest.join("\n").as_bytes()).expect("written");
    let sources = Sources {
        file: Some(file.path().to_owned()),
        environment,
        flags,
    };
    let read = Config::load(&sources);
    match &read {
        Ok(config) => assert!(!config.effective.is_empty()),
        Err(problems) => assert!(
            problems
                .iter()
                .all(|problem| !problem.to_string().is_empty())
        ),
    }
    read
}
