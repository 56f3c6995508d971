//! Every setting with its default and bounds, and the rules between them. One line here, one line
//! in `docs/settings.md`; a test compares the two.

use std::time::Duration;

use croner::parser::{CronParser, Seconds};
use tracing_subscriber::EnvFilter;
use url::Url;
use zeroize::Zeroizing;

use crate::model::account::domain::{Domain, DomainRules};
use crate::model::kernel::mount::Mount;
use crate::model::kernel::naming;
use crate::model::kernel::origin::{LOOPBACK, OriginPattern, TrustedOrigins};
use crate::model::kernel::web_url;
use crate::model::kernel::web_url::Issuer;
use crate::model::key::key;
use crate::model::token::claims;
use crate::model::token::claims::{Audience, RESERVED};

use super::raw::{Reader, Sources};
use super::{
    Config, Keys, Log, LogFormat, MasterKeySources, MintFromSession, OpsListen, Problem, Secret,
    Server, SignUp, Tokens, Traces,
};
use super::{database, limits, mail, mask, pages, passwords, sessions, webhooks};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(366 * 86_400);

const NO_PROXIES: &str = "server.trusted_proxies is empty, but server.public_url is https and this program speaks http: behind a proxy every client has the \
     proxy's address, and one client's failures use up the limits of all; name the proxy's address or network there";

pub(super) fn read(sources: &Sources) -> Result<Config, Vec<Problem>> {
    let mut r = Reader::gather(sources);
    let mut warnings = Vec::new();
    let allow_insecure = r.flag("server.allow_insecure", false);
    let public_url = public_url(&mut r, allow_insecure);
    let server = server(&mut r, public_url.clone());
    let database = database::read(&mut r, &sources.environment);
    let tokens = tokens(&mut r, &public_url, allow_insecure);
    let keys = keys(&mut r, tokens.access_ttl);
    let sessions = sessions::read(&mut r, &public_url);
    let passwords = passwords::read(&mut r, &public_url);
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
        require_email_verification: r.flag("sign_up.require_email_verification", false),
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
    let pages = pages::read(&mut r, &server.base_path, &server.trusted_origins);
    let rate_limits = limits::read(&mut r);
    let webhooks = webhooks::read(&mut r, allow_insecure);
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
    let traces = traces(&mut r, allow_insecure);
    let roles = r.names_under("roles", naming::role);
    let roles = roles
        .into_iter()
        .map(|role| {
            (
                role.clone(),
                r.list(&format!("roles.{role}"), naming::token),
            )
        })
        .collect();
    sessions::check_windows(&mut r, &sessions.refresh, tokens.access_ttl, &mut warnings);
    r.refuse_unknown();
    warnings.splice(0..0, std::mem::take(&mut r.warnings));
    if server.trusted_proxies.is_empty() && public_url.scheme() == "https" {
        warnings.push(NO_PROXIES.into());
    }
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
        passwords,
        sign_up,
        mail,
        rate_limits,
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

fn traces(r: &mut Reader, allow_insecure: bool) -> Traces {
    let url = r
        .parsed("traces.otlp_url", "", |text| {
            webhooks::check_url(text, allow_insecure)
        })
        .flatten();
    let sample = r.parsed("traces.sample", "1", |t| {
        t.parse::<f64>()
            .ok()
            .filter(|share| (0.0..=1.0).contains(share))
            .ok_or_else(|| format!("{t:?} is not a share from 0 to 1"))
    });
    Traces {
        url,
        sample: sample.unwrap_or_default(),
    }
}

/// A level, or `target=level` pairs; a level that is misspelt would silence everything else.
fn log_level(text: &str) -> Result<String, String> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let known = |part: &str| levels.contains(&part.rsplit('=').next().unwrap_or(part).trim());
    // Read as it will be used: a filter that does not parse would be left out.
    let good = text.split(',').all(known) && EnvFilter::try_new(text).is_ok();
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is none of {}, nor target=level pairs",
            levels.join(", ")
        ))
    }
}

fn public_url(r: &mut Reader, allow_insecure: bool) -> Url {
    let parse = |text: &str| {
        let url = web_url::parse(text).map_err(|e| e.to_string())?;
        let host = url.host_str().ok_or("name a host")?.to_owned();
        let is_bare = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !is_bare {
            return Err(format!(
                "write {:?} as http(s)://host[:port][/path], nothing else",
                mask::url(text)
            ));
        }
        let loopback = LOOPBACK.contains(&host.as_str());
        if url.scheme() == "http" && !loopback && !allow_insecure {
            return Err("http would send passwords and cookies in the clear; use https, or set server.allow_insecure".into());
        }
        Ok(url)
    };
    let fallback = || Url::parse("http://localhost:4000").expect("a constant URL");
    r.parsed("server.public_url", "http://localhost:4000", parse)
        .unwrap_or_else(fallback)
}

fn server(r: &mut Reader, public_url: Url) -> Server {
    let base_path = r.parsed("server.base_path", "/api/auth", |text| {
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b));
        let good = text.starts_with('/')
            && (2..=128).contains(&text.len())
            && !text.ends_with('/')
            && !text.contains("//")
            && plain
            && !text.starts_with("/.well-known");
        if good {
            Ok(text.to_owned())
        } else {
            Err("write a path such as /api/auth".to_owned())
        }
    });
    let listed = r.list("server.trusted_origins", |text| {
        text.parse::<OriginPattern>().map_err(|e| e.to_string())
    });
    let base_path = base_path.unwrap_or_default();
    let mount = Mount::of(&public_url, &base_path)
        .map_err(|problem| r.problem("server.public_url", problem))
        .unwrap_or_default();
    let max_connections = r.number("server.max_connections", 10_000, 1..=1_000_000) as usize;
    Server {
        listen: r
            .value(
                "server.listen",
                "127.0.0.1:4000",
                "an address such as 127.0.0.1:4000",
            )
            .unwrap_or_else(|| ([127, 0, 0, 1], 4000).into()),
        ops_listen: ops_listen(r),
        trusted_origins: TrustedOrigins::new(&public_url, listed),
        trusted_proxies: r.list("server.trusted_proxies", |text| {
            let address = text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
            let net: ipnet::IpNet = text
                .parse()
                .or(address)
                .map_err(|_| "write a network such as 10.0.0.0/8".to_owned())?;
            // The address of a peer never has the form of IPv4 inside IPv6: such a network would
            // trust none.
            match net.addr().to_canonical() {
                std::net::IpAddr::V4(v4) if net.addr().is_ipv6() => {
                    ipnet::Ipv4Net::new(v4, net.prefix_len().saturating_sub(96))
                        .ok()
                        .filter(|_| net.prefix_len() > 96)
                        .map(ipnet::IpNet::from)
                        .ok_or_else(|| "write the IPv4 network, such as 10.0.0.0/8".to_owned())
                }
                _ => Ok(net),
            }
        }),
        max_connections,
        max_connections_per_network: per_network(r, max_connections),
        max_requests: r.number("server.max_requests", 1_000, 1..=1_000_000) as usize,
        header_timeout: r.duration("server.header_timeout", "30s", SECOND..=10 * MINUTE),
        keep_alive: r.duration("server.keep_alive", "75s", SECOND..=HOUR),
        base_path,
        mount,
        public_url,
    }
}

/// A quarter of all, unless the operator says a number.
fn per_network(r: &mut Reader, all: usize) -> usize {
    let parse = |text: &str| match text {
        "auto" => Ok(all.div_ceil(4)),
        number => number
            .parse()
            .ok()
            .filter(|n| (1..=1_000_000).contains(n))
            .ok_or_else(|| format!("{text:?} is neither auto nor a number from 1 to 1000000")),
    };
    r.parsed("server.max_connections_per_network", "auto", parse)
        .unwrap_or(all)
}

fn ops_listen(r: &mut Reader) -> Option<OpsListen> {
    let parse = |text: &str| match text {
        "off" => Ok(None),
        address => address
            .parse()
            .map(Some)
            .map_err(|_| "write an address such as 127.0.0.1:9400, or off".to_owned()),
    };
    let address = r
        .parsed("server.ops_listen", "127.0.0.1:9400", parse)
        .flatten()?;
    Some(OpsListen {
        address,
        asked: r.was_set("server.ops_listen"),
    })
}

fn tokens(r: &mut Reader, public_url: &Url, allow_insecure: bool) -> Tokens {
    let own = Issuer::of(public_url);
    let issuer = r.parsed("tokens.issuer", own.as_str(), |text| {
        let (issuer, url) = Issuer::parse(text)?;
        if url.scheme() == "http" && !allow_insecure && !LOOPBACK.contains(&url.host_str().unwrap_or_default()) {
            return Err("an issuer is https (RFC 8414 section 2); http only on loopback, or with server.allow_insecure".to_owned());
        }
        Ok(issuer)
    });
    let issuer = issuer.unwrap_or(own);
    let mut audiences = r.list("tokens.audience", naming::token);
    let audience = match audiences.len() {
        0 => Audience::One(issuer.as_str().to_owned()),
        1 => Audience::One(audiences.remove(0)),
        _ => Audience::Many(audiences),
    };
    let jitter = r.parsed("tokens.access_ttl_jitter", "0.1", |t| {
        t.parse::<f64>()
            .ok()
            .filter(|j| (0.0..=0.5).contains(j))
            .ok_or_else(|| format!("{t:?} is not a share from 0 to 0.5"))
    });
    // The client of an audience whose tokens are asked for without naming one.
    let client = r
        .parsed("tokens.client_id", "", client_id)
        .unwrap_or_default();
    let client = Some(client)
        .filter(|client| !client.is_empty())
        .or_else(|| audience.all().first().cloned());
    Tokens {
        issuer,
        audience,
        client_id: client.unwrap_or_default(),
        typ: r
            .choice("tokens.typ", &[("at+jwt", "at+jwt"), ("JWT", "JWT")])
            .to_owned(),
        access_ttl: r.duration("tokens.access_ttl", "15m", MINUTE..=HOUR),
        access_ttl_jitter: jitter.unwrap_or_default(),
        iat_backdate: r.duration("tokens.iat_backdate", "5s", Duration::ZERO..=MINUTE),
        mint_from_session: r.choice(
            "tokens.mint_from_session",
            &[
                ("until_refresh", MintFromSession::UntilRefresh),
                ("always", MintFromSession::Always),
                ("never", MintFromSession::Never),
            ],
        ),
        claims: custom_claims(r),
    }
}

/// RFC 6749 appendix A.1: visible ASCII characters and spaces.
fn client_id(text: &str) -> Result<String, String> {
    let good = text.len() <= 255 && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    if good {
        Ok(text.to_owned())
    } else {
        Err("write up to 255 visible ASCII characters (RFC 6749 appendix A.1)".into())
    }
}

fn custom_claims(r: &mut Reader) -> Vec<(String, claims::ClaimSource)> {
    let names = r.names_under("tokens.claims", naming::claim);
    let mut found = Vec::new();
    for name in names {
        let key = format!("tokens.claims.{name}");
        let parse = |text: &str| {
            if RESERVED.contains(&name.as_str()) {
                Err("this claim's meaning is registered; choose another name".to_owned())
            } else {
                text.parse()
                    .map_err(|e: claims::InvalidSource| e.to_string())
            }
        };
        found.extend(
            r.parsed(&key, "", parse)
                .map(|source| (name.clone(), source)),
        );
    }
    found
}

fn keys(r: &mut Reader, access_ttl: Duration) -> Keys {
    let parser = CronParser::builder().seconds(Seconds::Required).build();
    let weekly = "0 0 3 * * Sun";
    let parse = |text: &str| {
        parser.parse(text).map_err(|e| {
            format!("{text:?} is not a cron line with seconds, such as {weekly:?}: {e}")
        })
    };
    let rotation = r
        .parsed("keys.rotation", weekly, parse)
        .or_else(|| parser.parse(weekly).ok())
        .expect("the default is a cron line");
    let policy = key::Policy {
        rotation,
        jwks_max_age: r.duration("keys.jwks_max_age", "5m", Duration::ZERO..=HOUR),
        verifier_cache: r.duration("keys.verifier_cache", "1h", Duration::ZERO..=7 * DAY),
        access_ttl,
    };
    Keys {
        dir: r.path("keys.dir", "keys").unwrap_or_default(),
        policy,
    }
}

fn master_key_sources(environment: &[(String, String)]) -> MasterKeySources {
    let find = |name: &str| {
        environment
            .iter()
            .find(|(n, v)| n == name && !v.is_empty())
            .map(|(_, v)| v.clone())
    };
    let secret = |name: &str| find(name).map(|v| Secret(Zeroizing::new(v)));
    MasterKeySources {
        inline: secret("COUNTERSIGN_MASTER_KEY"),
        file: find("COUNTERSIGN_MASTER_KEY_FILE").map(Into::into),
        previous: secret("COUNTERSIGN_PREVIOUS_MASTER_KEY"),
        previous_file: find("COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE").map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(
            config.passwords.blocklist,
            super::super::Blocklist::OffOnLoopback
        );
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
        // Nor do links stand in the log of a service that others can reach.
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
        assert_eq!(config.tokens.access_ttl, 20 * MINUTE);
        assert_eq!(config.database.url, "sqlite://x.db");
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
