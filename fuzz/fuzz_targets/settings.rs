//! Settings from a file, the environment and flags: a problem is told, nothing panics.
#![no_main]

use std::io::Write;

use countersign::config::{Config, Sources};
use libfuzzer_sys::fuzz_target;

/// So that values are reached, not only names that do not exist.
const KEYS: [&str; 16] = [
    "server.public_url",
    "server.trusted_origins",
    "server.trusted_proxies",
    "server.listen",
    "tokens.issuer",
    "tokens.access_ttl",
    "tokens.audience",
    "tokens.access_ttl_jitter",
    "keys.rotation",
    "sign_up.allowed_domains",
    "rate_limits.sign_in",
    "mail.smtp_url",
    "mail.from",
    "webhooks.secret",
    "log.level",
    "database.url",
];

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let flags = lines.by_ref().take(4).filter_map(|line| {
        let (first, value) = (line.bytes().next()?, line.get(1..)?);
        Some((
            KEYS[usize::from(first) % KEYS.len()].to_owned(),
            value.to_owned(),
        ))
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
    match Config::load(&sources) {
        Ok(config) => assert!(!config.effective.is_empty()),
        Err(problems) => assert!(
            problems
                .iter()
                .all(|problem| !problem.to_string().is_empty())
        ),
    }
});
