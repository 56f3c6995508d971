//! The start-up checklist: what the settings mean for this installation, one finding an item, with
//! what to do about it. `serve` logs it, `doctor` and `config check` print it; no other code words
//! these findings. It holds neither secrets nor email addresses.

use std::path::{Path, PathBuf};

use url::Url;

use crate::config::{Config, MailTransport};
use crate::flows::key::bootstrap::KEY_FILE;
use crate::model::kernel::database_url::DatabaseUrl;
use crate::model::kernel::loopback::is_loopback;

use super::checklist_network::{at_public_url, discovery, origins, pages, proxies};
use super::diagnosis::{Finding, Verdict};

pub use super::checklist_facts::Facts;

/// Makes the list from the settings and the facts.
pub fn make_list(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut list = vec![
        pages(config),
        Finding::good("JWKS", at_public_url(config, "/jwks")),
        Finding::good("discovery", discovery(config)),
        storage(config, facts),
        master_key(config, facts),
        audience(config),
        origins(config),
        proxies(config),
        mail(config),
        passwords(config),
    ];
    list.extend(facts.clock.as_ref().map(|clock| match clock {
        Ok(says) => Finding::good("clock", says),
        Err(says) => Finding::new("clock", Verdict::Bad, says),
    }));
    list.extend(
        config
            .warnings
            .iter()
            .map(|says| Finding::warning("settings", says)),
    );
    list
}

/// Returns what is to be added if other machines can reach a service whose public URL is loopback,
/// so that `auto` decided as for a developer's machine.
fn beyond_this_machine(config: &Config) -> Option<String> {
    let listen = config.server.listen;
    let is_open = config.server.is_on_loopback() && !listen.ip().is_loopback();
    is_open.then(|| {
        format!(
            "; but server.listen is {listen}, which other machines may reach: set server.public_url"
        )
    })
}

/// Returns the reason why `auto` became what it is, in brackets.
fn because(config: &Config, key: &str) -> String {
    config.became(key).map_or_else(
        || format!(" ({key})"),
        |became| format!(" ({key} is auto, and {})", became.reason),
    )
}

fn storage(config: &Config, facts: &Facts) -> Finding {
    let (name, source) = (
        config.database_name(),
        config.source_in_words("database.url"),
    );
    let new = if facts.is_new {
        "; new and empty: if you expected users here, this is the wrong directory, or --config is missing"
    } else {
        ""
    };
    Finding::good("storage", format!("{name} ({source}){new}"))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn master_key(config: &Config, facts: &Facts) -> Finding {
    let sources = &config.master_key;
    let file = match (&sources.inline, &sources.file) {
        (Some(_), _) => None,
        (None, Some(path)) => Some(absolute(path)),
        (None, None) => Some(absolute(&config.keys.dir.join(KEY_FILE))),
    };
    let place = file.as_ref().map_or_else(
        || "the variable COUNTERSIGN_MASTER_KEY".into(),
        |path| path.display().to_string(),
    );
    let id = facts
        .master_key
        .as_ref()
        .map_or_else(String::new, |id| format!(", id {id}"));
    let database = match &config.database.url {
        DatabaseUrl::Sqlite(path) => Some(absolute(path)),
        DatabaseUrl::Postgres(_) => None,
    };
    let folder =
        |path: &Option<PathBuf>| path.as_ref().and_then(|p| p.parent().map(Path::to_owned));
    if folder(&file).is_some_and(|of_key| folder(&database) == Some(of_key)) {
        return Finding::warning(
            "master key",
            format!(
                "{place}{id}: in the folder of the database, so that one copy holds both; set keys.dir to another folder, and back the key up apart from the database"
            ),
        );
    }
    Finding::good(
        "master key",
        format!(
            "{place}{id}; back it up apart from the database: without it every session and signing key is lost"
        ),
    )
}

fn audience(config: &Config) -> Finding {
    let tokens = &config.tokens;
    let issuer = tokens.issuer.as_str();
    let reason = if config.became("tokens.audience").is_some() {
        " (the issuer, because tokens.audience is empty)"
    } else {
        ""
    };
    let named = tokens.targets.named();
    let named: Vec<String> = named
        .map(|target| format!("{} ({})", target.name.label(), target.algorithm))
        .collect();
    let others = if named.is_empty() {
        String::new()
    } else {
        format!(
            "; `countersign audiences` says it for the others: {}",
            named.join(", ")
        )
    };
    let says = format!(
        "verifiers must expect iss {issuer} and aud {}{reason}{others}",
        tokens.audience.all().join(", ")
    );
    let is_near = Url::parse(issuer).is_ok_and(|url| url.host_str().is_some_and(is_loopback));
    if is_near && !config.server.is_on_loopback() {
        return Finding::warning(
            "audience",
            format!(
                "{says}; verifiers on other machines cannot reach this issuer: set tokens.issuer"
            ),
        );
    }
    Finding::good("audience", says)
}

fn mail(config: &Config) -> Finding {
    let reason = because(config, "mail.transport");
    match &config.mail.transport {
        MailTransport::Off => {
            let says = format!(
                "off{reason}: no mail leaves this machine, and users can neither reset a password nor verify an email address"
            );
            if config.became("mail.transport").is_some() {
                Finding::warning(
                    "mail",
                    format!("{says}; set mail.transport and mail.smtp_url"),
                )
            } else {
                Finding::good("mail", says)
            }
        }
        MailTransport::Log => {
            let says =
                format!("log{reason}: mails are written to the log; none leaves this machine");
            match beyond_this_machine(config) {
                Some(more) => Finding::warning("mail", says + &more),
                None => Finding::good("mail", says),
            }
        }
        MailTransport::File(dir) => Finding::good(
            "mail",
            format!(
                "file{reason}: mails are written to {}; none leaves this machine",
                absolute(dir).display()
            ),
        ),
        MailTransport::Inbox => {
            Finding::good("mail", "kept in memory for tests; none leaves this machine")
        }
        MailTransport::Smtp { url, .. } => {
            let url = Url::parse(&url.0).ok();
            let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
            let says = format!("smtp{reason}: mails leave by {host}");
            if config.source("mail.from") == Some("default") && !is_loopback(host) {
                Finding::warning(
                    "mail",
                    format!(
                        "{says}; mail.from is still an address at localhost, which other servers refuse: set mail.from"
                    ),
                )
            } else {
                Finding::good("mail", says)
            }
        }
    }
}

fn passwords(config: &Config) -> Finding {
    let reason = because(config, "passwords.blocklist");
    if config.passwords.blocklist {
        return Finding::good("passwords", format!("common passwords are refused{reason}"));
    }
    let says = format!("common passwords are accepted{reason}");
    if config.became("passwords.blocklist").is_none() {
        return Finding::warning(
            "passwords",
            format!("{says}; set passwords.blocklist to auto"),
        );
    }
    match beyond_this_machine(config) {
        Some(more) => Finding::warning("passwords", says + &more),
        None => Finding::good("passwords", says),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn list(settings: &[(&str, &str)], facts: &Facts) -> Vec<Finding> {
        let flags = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let sources = Sources {
            flags,
            ..Sources::default()
        };
        make_list(&Config::load(&sources).unwrap(), facts)
    }

    fn item(subject: &str, settings: &[(&str, &str)]) -> (Verdict, String) {
        let list = list(settings, &Facts::default());
        let found = list.iter().find(|f| f.subject == subject).unwrap();
        (found.verdict, found.says.clone())
    }

    const PUBLIC: (&str, &str) = ("server.public_url", "https://auth.example.com/id");
    const OPEN: (&str, &str) = ("server.listen", "0.0.0.0:4000");

    #[test]
    fn each_item_has_a_good_form() {
        for (subject, settings, says) in [
            ("sign-in pages", &[][..], "http://localhost:4000/auth"),
            (
                "sign-in pages",
                &[PUBLIC],
                "https://auth.example.com/id/auth",
            ),
            (
                "sign-in pages",
                &[("pages.enabled", "false")],
                "off (pages.enabled)",
            ),
            (
                "JWKS",
                &[PUBLIC],
                "https://auth.example.com/id/api/auth/jwks",
            ),
            (
                "discovery",
                &[PUBLIC],
                "https://auth.example.com/id/.well-known/openid-configuration",
            ),
            (
                "storage",
                &[("database.url", "sqlite:///a/b.db")],
                "/a/b.db (--set database.url)",
            ),
            (
                "master key",
                &[("keys.dir", "/k")],
                "/k/master.key; back it up apart from the database",
            ),
            (
                "audience",
                &[],
                "aud http://localhost:4000 (the issuer, because tokens.audience is empty)",
            ),
            (
                "audience",
                &[("tokens.audience", "api")],
                "iss http://localhost:4000 and aud api",
            ),
            (
                "audience",
                &[("audiences.billing.algorithm", "RS256")],
                "says it for the others: billing (RS256)",
            ),
            (
                "trusted origins",
                &[],
                "pages of this service alone (http://localhost:4000, http://127.0.0.1:4000, http://[::1]:4000)",
            ),
            (
                "trusted origins",
                &[("server.trusted_origins", "http://localhost:5173")],
                "http://localhost:5173 and this service",
            ),
            ("trusted proxies", &[], "none: clients connect directly"),
            (
                "trusted proxies",
                &[PUBLIC, ("server.trusted_proxies", "10.0.0.1")],
                "10.0.0.1/32",
            ),
            (
                "mail",
                &[],
                "log (mail.transport is auto, and the public URL is http on loopback): mails are written to the log; none leaves this machine",
            ),
            (
                "mail",
                &[PUBLIC, ("mail.transport", "off")],
                "off (mail.transport): no mail leaves this machine",
            ),
            (
                "mail",
                &[
                    ("mail.transport", "smtp"),
                    ("mail.smtp_url", "smtps://user:geheim@mail.example.com"),
                    ("mail.from", "Notes <notes@example.com>"),
                ],
                "smtp (mail.transport): mails leave by mail.example.com",
            ),
            (
                "passwords",
                &[],
                "accepted (passwords.blocklist is auto, and the public URL is loopback)",
            ),
            (
                "passwords",
                &[PUBLIC],
                "refused (passwords.blocklist is auto, and the public URL is not loopback)",
            ),
            (
                "passwords",
                &[("passwords.blocklist", "true")],
                "refused (passwords.blocklist)",
            ),
        ] {
            let (verdict, found) = item(subject, settings);
            assert_eq!(verdict, Verdict::Good, "{subject} {settings:?}: {found}");
            assert!(found.contains(says), "{subject} {settings:?}: {found}");
        }
    }

    #[test]
    fn each_item_that_can_be_bad_says_which_setting_to_change() {
        for (subject, settings, says) in [
            (
                "master key",
                &[
                    ("keys.dir", "/data"),
                    ("database.url", "sqlite:///data/x.db"),
                ][..],
                "set keys.dir to another folder",
            ),
            (
                "audience",
                &[PUBLIC, ("tokens.issuer", "http://localhost:4000")],
                "set tokens.issuer",
            ),
            (
                "trusted origins",
                &[
                    PUBLIC,
                    (
                        "server.trusted_origins",
                        "https://a.example,http://localhost:5173",
                    ),
                ],
                "remove http://localhost:5173 from server.trusted_origins",
            ),
            (
                "trusted proxies",
                &[PUBLIC],
                "network in server.trusted_proxies",
            ),
            (
                "trusted proxies",
                &[("server.trusted_proxies", "0.0.0.0/0")],
                "name only your proxy",
            ),
            (
                "mail",
                &[PUBLIC],
                "off (mail.transport is auto, and the public URL is not http on loopback): no mail leaves this machine",
            ),
            ("mail", &[PUBLIC], "set mail.transport and mail.smtp_url"),
            ("mail", &[OPEN], "set server.public_url"),
            (
                "mail",
                &[
                    ("mail.transport", "smtp"),
                    ("mail.smtp_url", "smtps://user:geheim@mail.example.com"),
                ],
                "set mail.from",
            ),
            (
                "passwords",
                &[("passwords.blocklist", "false")],
                "set passwords.blocklist to auto",
            ),
            ("passwords", &[OPEN], "set server.public_url"),
            (
                "settings",
                &[("sessions.refresh_grace", "5s")],
                "sessions.refresh_grace below 20 s",
            ),
        ] {
            let (verdict, found) = item(subject, settings);
            assert_eq!(verdict, Verdict::Warning, "{subject} {settings:?}: {found}");
            assert!(found.contains(says), "{subject} {settings:?}: {found}");
            assert!(!found.contains("geheim") && !found.contains('@'), "{found}");
        }
    }

    #[test]
    fn facts_of_the_process_are_added_to_their_items() {
        let facts = |clock| Facts {
            master_key: Some("kid-1".into()),
            clock: Some(clock),
            is_new: true,
        };
        let found = list(&[("keys.dir", "/k")], &facts(Ok("3 ms apart".into())));
        let says = |subject: &str| &found.iter().find(|f| f.subject == subject).unwrap().says;
        assert!(says("master key").starts_with("/k/master.key, id kid-1; back it up"));
        assert!(says("storage").contains("this is the wrong directory"));
        assert_eq!(says("clock"), "3 ms apart");
        assert!(found.iter().all(|f| f.verdict == Verdict::Good));
        let found = list(&[], &facts(Err("a day ahead".into())));
        let clock = found.iter().find(|f| f.subject == "clock").unwrap();
        assert_eq!(
            (clock.verdict, clock.says.as_str()),
            (Verdict::Bad, "a day ahead")
        );
        // Without a process nothing is said about its clock.
        let found = list(&[], &Facts::default());
        assert!(found.iter().all(|f| f.subject != "clock"));
    }
}
