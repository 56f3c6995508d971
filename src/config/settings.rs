//! Every setting with its default and bounds, and the rules between settings. Each has a line in
//! `docs/settings.md`; a test compares the two.

use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::model::account::domain::{Domain, DomainRules};
use crate::model::kernel::naming;
use crate::model::login::level::Level;
use crate::model::login::policies::Policies;

use super::keys::{keys, master_key_sources};
use super::reader::Reader;
use super::server::{public_url, server};
use super::sources::Sources;
use super::tokens::tokens;
use super::units::YEAR;
use super::{Config, Log, LogFormat, Problem, SignIn, SignUp};
use super::{
    database, limits, mail, pages, passkeys, passwords, policies, profile, sessions, traces,
    two_factor, upstream, webhooks,
};

/// Reads `sign_up.require_email_verification`. Where every sign-in needs a second factor, the mailbox is
/// verified first: a factor is not enrolled on the word of a password alone.
fn requires_verification(r: &mut Reader, sign_in: SignIn) -> bool {
    const KEY: &str = "sign_up.require_email_verification";
    let is_set = r.flag(KEY, false);
    let of_users = r.text_of("policies.user.require");
    let is_needed =
        sign_in.require > Level::One || matches!(of_users.as_deref(), Some("2fa" | "phr"));
    if is_needed && !is_set {
        r.became(KEY, "true", "every new user needs a second factor");
    }
    is_set || is_needed
}

pub(super) fn read(sources: &Sources) -> Result<Config, Vec<Problem>> {
    let mut r = Reader::gather(sources);
    let profile = profile::read(&mut r);
    let mut warnings = Vec::new();
    let allow_insecure = r.flag("server.allow_insecure", false);
    let public_url = public_url(&mut r, allow_insecure);
    let server = server(&mut r, public_url.clone());
    let database = database::read(&mut r, &sources.environment);
    let (tokens, audiences) = tokens(&mut r, &public_url, allow_insecure);
    let keys = keys(&mut r, &tokens, &audiences);
    let sessions = sessions::read(&mut r, &public_url);
    let passkeys = passkeys::read(&mut r, &server);
    let passwords = passwords::read(&mut r, &public_url);
    let sign_in = SignIn {
        by_mail: r.flag("sign_in.by_mail", true),
        require: r
            .parsed("sign_in.require", "1fa", policies::level)
            .unwrap_or(Level::One),
    };
    let sign_up = SignUp {
        enabled: r.flag("sign_up.enabled", true),
        domains: DomainRules {
            allowed: r.list("sign_up.allowed_domains", |text| {
                text.parse::<Domain>().map_err(|e| e.to_string())
            }),
            blocked: r.list("sign_up.blocked_domains", |text| {
                text.parse::<Domain>().map_err(|e| e.to_string())
            }),
        },
        auto_sign_in: r.flag("sign_up.auto_sign_in", true),
        require_email_verification: requires_verification(&mut r, sign_in),
        unproven_ttl: Some(r.duration("sign_up.unproven_ttl", "7d", Duration::ZERO..=YEAR))
            .filter(|ttl| !ttl.is_zero()),
    };
    let mail = mail::read(&mut r, &public_url, allow_insecure);
    if sign_up.require_email_verification && !mail.sends() {
        r.problem(
            "sign_up.require_email_verification",
            "needs mail: set mail.transport to smtp or file".into(),
        );
    }
    if sign_up
        .unproven_ttl
        .is_some_and(|ttl| ttl < mail.lifetimes.verify)
    {
        r.problem(
            "sign_up.unproven_ttl",
            "must not be shorter than mail.verify_ttl: a link would outlive its account".into(),
        );
    }
    sessions::tell_of_tickets(&mut r, &sessions, &server);
    let pages = pages::read(&mut r, &server.base_path, &server.trusted_origins);
    r.became_if(
        "pages.name",
        "",
        mail.app_name.as_str(),
        "it is mail.app_name",
    );
    let two_factor = two_factor::read(&mut r, &mail, &server.trusted_origins);
    two_factor.tell_of_page(
        &mut r,
        pages.as_ref().is_some_and(|pages| pages.enabled),
        sign_in,
    );
    let of_roles = policies::read(&mut r, &mail, sign_in.require);
    let rate_limits = limits::read(&mut r);
    let webhooks = webhooks::read(&mut r, allow_insecure);
    let upstream = upstream::read(&mut r, &public_url);
    let audit_retention = Some(r.duration("audit.retention", "0s", Duration::ZERO..=50 * YEAR))
        .filter(|keep| !keep.is_zero());
    let log = Log {
        level: r.parsed("log.level", "info", log_level).unwrap_or_default(),
        format: r.choice(
            "log.format",
            &[
                ("auto", LogFormat::Auto),
                ("json", LogFormat::Json),
                ("human", LogFormat::Human),
            ],
        ),
    };
    r.became_if(
        "log.format",
        "auto",
        "json, or human on a terminal",
        "it depends on whether the standard error of `serve` is a terminal",
    );
    let traces = traces::read(&mut r, allow_insecure);
    let roles = r.names_under("roles", naming::role);
    let roles: Vec<(String, Vec<String>)> = roles
        .into_iter()
        .map(|role| {
            (
                role.clone(),
                r.list(&format!("roles.{role}"), naming::token),
            )
        })
        .collect();
    policies::tell_of_unknown_roles(&mut r, &of_roles, &roles);
    sessions::check_windows(&mut r, &sessions.refresh, tokens.access_ttl, &mut warnings);
    profile.check(&mut r, &sessions, &passwords, sign_in, &two_factor);
    r.refuse_unknown();
    warnings.splice(0..0, std::mem::take(&mut r.warnings));
    let Some(pages) = pages.filter(|_| r.problems.is_empty()) else {
        return Err(r.problems);
    };
    let master_key = master_key_sources(&sources.environment);
    Ok(Config {
        server,
        database,
        keys,
        tokens,
        sessions,
        policies: Arc::new(Policies::new(
            two_factor.policy(&sign_up, sign_in, &upstream),
            of_roles,
        )),
        two_factor,
        passkeys,
        passwords,
        sign_up,
        sign_in,
        mail,
        rate_limits,
        upstream,
        webhooks,
        audit_retention,
        pages,
        log,
        traces,
        roles,
        master_key,
        effective: r.effective,
        warnings,
    })
}

/// Checks a level, or `target=level` pairs. The library takes a misspelt level for a target, and
/// would then log nothing else.
fn log_level(text: &str) -> Result<String, String> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let known = |part: &str| levels.contains(&part.rsplit('=').next().unwrap_or(part).trim());
    // It is parsed as it will be used: the library skips a filter that it cannot parse.
    let good = text.split(',').all(known) && EnvFilter::try_new(text).is_ok();
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is neither one of {} nor target=level pairs",
            levels.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Audience;
    use crate::model::kernel::database_url::DatabaseUrl;

    fn flags(pairs: &[(&str, &str)]) -> Sources {
        Sources {
            flags: pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..Sources::default()
        }
    }

    #[test]
    fn defaults_are_good_and_complete() {
        let config = read(&Sources::default()).unwrap();
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        assert!(!config.passwords.blocklist);
        assert_eq!(config.tokens.issuer.as_str(), "http://localhost:4000");
        assert_eq!(
            config.tokens.audience,
            Audience::One("http://localhost:4000".into())
        );
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let wrong = [
            ("server.listen", "nowhere"),
            ("server.public_url", "http://auth.example.com"),
            ("sessions.refresh_cooldown", "10s"),
            ("database.url", "mysql://localhost/x"),
            ("database.direct_url", "sqlite://x.db"),
            ("log.level", "wran"),
            ("sessions.cookie_same_site", "none"),
            ("tokens.access_ttl", "86401s"),
            ("tokens.issuer", "http://auth.example.com"),
            ("tokens.claims.sub", "user.metadata.x"),
            ("passwords.min_length", "6"),
            ("keys.rotation", "weekly"),
            ("sessions.idel_ttl", "3d"),
        ];
        let problems = read(&flags(&wrong)).unwrap_err();
        for (key, _) in wrong {
            assert!(
                problems.iter().any(|p| p.key == key),
                "{key} not in {problems:?}"
            );
        }
        let typo = problems
            .iter()
            .find(|p| p.key == "sessions.idel_ttl")
            .unwrap();
        assert_eq!(
            typo.message,
            "there is no such setting; did you mean sessions.idle_ttl?"
        );
    }

    #[test]
    fn a_list_in_a_flag_has_commas_or_the_form_of_the_file_and_is_shown() {
        for text in [
            "http://localhost:5173,https://app.example.com",
            r#"["http://localhost:5173", "https://app.example.com"]"#,
        ] {
            let config = read(&flags(&[("server.trusted_origins", text)])).unwrap();
            for origin in ["http://localhost:5173", "https://app.example.com"] {
                assert!(config.server.trusted_origins.contains(origin), "{text}");
            }
            let shown = config.effective.iter();
            let mut shown = shown.filter(|one| one.key == "server.trusted_origins");
            assert_eq!(
                shown.next().unwrap().value,
                "http://localhost:5173,https://app.example.com"
            );
        }
        for bad in [r#"["http://localhost:5173""#, "[1]", r#"["x"]"#] {
            assert!(read(&flags(&[("server.trusted_origins", bad)])).is_err());
        }
    }

    #[test]
    fn mails_do_not_travel_in_the_clear() {
        let smtp = |url: &str, more: &[(&str, &str)]| {
            read(&flags(
                &[&[("mail.transport", "smtp"), ("mail.smtp_url", url)], more].concat(),
            ))
        };
        for good in [
            "smtps://u:p@mail.example.com",
            "smtp://mail.example.com:587?tls=required",
            "smtp://127.0.0.1:2525",
            "smtp://localhost",
        ] {
            assert!(smtp(good, &[]).is_ok(), "{good}");
        }
        for bad in [
            "smtp://mail.example.com",
            "smtp://u:p@mail.example.com?tls=opportunistic",
            "mail.example.com",
            "http://127.0.0.1",
            "smtps://user@mail.example.com",
            "",
        ] {
            assert!(
                smtp(bad, &[])
                    .unwrap_err()
                    .iter()
                    .all(|p| p.key == "mail.smtp_url"),
                "{bad}"
            );
        }
        assert!(
            smtp(
                "smtp://relay.internal",
                &[("server.allow_insecure", "true")]
            )
            .is_ok()
        );
        // Links are not written to the log of a service that others can reach.
        let https = ("server.public_url", "https://auth.example.com");
        assert!(!read(&flags(&[https])).unwrap().mail.sends());
        assert_eq!(
            read(&flags(&[https, ("mail.transport", "log")])).unwrap_err()[0].key,
            "mail.transport"
        );
        assert_eq!(
            read(&flags(&[
                https,
                ("sign_up.require_email_verification", "true")
            ]))
            .unwrap_err()[0]
                .key,
            "sign_up.require_email_verification"
        );
    }

    #[test]
    fn the_later_source_wins() {
        let mut sources = flags(&[("tokens.access_ttl", "20m")]);
        sources.environment = vec![
            ("COUNTERSIGN_TOKENS__ACCESS_TTL".into(), "30m".into()),
            (
                "COUNTERSIGN_SERVER__TRUSTED_ORIGINS".into(),
                "https://a.example, https://b.example".into(),
            ),
            ("DATABASE_URL".into(), "sqlite://x.db".into()),
            ("COUNTERSIGN_MASTER_KEY".into(), "hidden words".into()),
        ];
        let config = read(&sources).unwrap();
        assert_eq!(config.tokens.access_ttl, Duration::from_secs(20 * 60));
        assert_eq!(config.database.url, DatabaseUrl::Sqlite("x.db".into()));
        assert!(config.server.trusted_origins.contains("https://b.example"));
        assert!(!format!("{config:?}").contains("hidden words"));
    }

    #[test]
    fn strict_single_use_needs_no_windows() {
        let config = read(&flags(&[
            ("sessions.refresh_grace", "0s"),
            ("sessions.refresh_cooldown", "0s"),
        ]))
        .unwrap();
        assert!(config.warnings.is_empty());
    }
}
