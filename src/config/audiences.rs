//! `[[audiences]]`: the backends that get tokens of their own kind, each by a name. A setting of the
//! audience `billing` is read as `audiences.billing.KEY`, so that flags and the environment can set
//! it, too.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use crate::config::units::MINUTE;
use crate::model::kernel::naming;
use crate::model::kernel::web_url::Issuer;
use crate::model::key::algorithm::Algorithm;
use crate::model::token::claims::Audience;
use crate::model::token::target::{ClaimSet, Target, TargetName};

use super::reader::Reader;
use super::token_values::{ALGORITHMS, CACHES, TYPES, parse_issuer};

/// The setting of each audience that names it.
const SECTION: &str = "audiences";

/// What audiences inherit from other sections.
pub(super) struct Base<'c> {
    pub(super) default: &'c Target,
    pub(super) public_url: &'c Url,
    pub(super) allow_insecure: bool,
}

/// The audiences, each with the longest time that its verifiers cache the JWKS, if it says one.
pub(super) struct Audiences(Vec<(Target, Option<Duration>)>);

impl Audiences {
    /// Reads every audience. Names and audiences that occur twice are problems.
    pub(super) fn read(r: &mut Reader, base: &Base<'_>) -> Self {
        let names = r.groups_under(SECTION, naming::audience);
        let all: Vec<_> = names.iter().map(|name| read_one(r, name, base)).collect();
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for audience in base.default.audience.all() {
            seen.insert(audience.clone(), "tokens.audience".into());
        }
        for (target, _) in &all {
            let name = target.name.in_settings().unwrap_or_default();
            let key = format!("{SECTION}.{name}.audience");
            for audience in target.audience.all() {
                if let Some(other) = seen.insert(audience.clone(), key.clone()) {
                    r.problem(
                        &key,
                        format!("{audience:?} is the audience of {other} already; each backend needs its own"),
                    );
                }
            }
        }
        for (target, _) in &all {
            let name = target.name.in_settings().unwrap_or_default();
            let key = format!("{SECTION}.{name}.audience");
            if seen.get(name).is_some_and(|other| *other != key) {
                r.problem(
                    &key,
                    format!("the name {name:?} is the audience of another backend, so a request for it would have two meanings"),
                );
            }
        }
        check_issuers(r, &all, base);
        Self(all)
    }

    /// Returns what the tokens of each audience are like.
    pub(super) fn targets(&self) -> Vec<Target> {
        self.0.iter().map(|(target, _)| target.clone()).collect()
    }

    /// Returns the algorithm of each audience with the cache of its verifiers; those that say none
    /// have that of `[keys]`.
    pub(super) fn caches(
        &self,
        default: Duration,
    ) -> impl Iterator<Item = (Algorithm, Duration)> + '_ {
        self.0
            .iter()
            .map(move |(target, cache)| (target.algorithm, cache.unwrap_or(default)))
    }
}

/// Refuses an issuer of its own that another audience has too: its documents name one key set. A
/// slash at the end makes another issuer, but not another place of its documents.
fn check_issuers(r: &mut Reader, all: &[(Target, Option<Duration>)], base: &Base<'_>) {
    let place = |issuer: &Issuer| issuer.as_str().trim_end_matches('/').to_owned();
    let default = &base.default.issuer;
    let mut seen = BTreeMap::from([(place(default), "tokens.issuer".to_owned())]);
    for (target, _) in all.iter().filter(|(target, _)| target.issuer != *default) {
        let key = format!("{SECTION}.{}.issuer", target.name.label());
        if let Some(other) = seen.insert(place(&target.issuer), key.clone()) {
            r.problem(
                &key,
                format!(
                    "{} is the issuer of {other} already; write a path of its own",
                    target.issuer
                ),
            );
        }
    }
}

fn read_one(r: &mut Reader, name: &str, base: &Base<'_>) -> (Target, Option<Duration>) {
    let key = |setting: &str| format!("{SECTION}.{name}.{setting}");
    let default = base.default;
    let audience = r.parsed(&key("audience"), name, naming::token);
    let ttl = written(default.access_ttl);
    let issuer = r.parsed(&key("issuer"), "", |text| own_issuer(text, base));
    let issuer = issuer.flatten();
    r.became_if(
        &key("issuer"),
        "",
        default.issuer.as_str(),
        "it is tokens.issuer",
    );
    let cache = r.parsed(&key("verifier_cache"), "", cache).flatten();
    r.became_if(
        &key("verifier_cache"),
        "",
        "keys.verifier_cache",
        "it is the default",
    );
    // The audience of a backend inherits the type of the default audience.
    let types = if default.typ == TYPES[0].1 {
        TYPES
    } else {
        [TYPES[1], TYPES[0]]
    };
    let target = Target {
        name: TargetName::Named(name.to_owned()),
        audience: Audience::One(audience.unwrap_or_else(|| name.to_owned())),
        algorithm: r.choice(&key("algorithm"), &ALGORITHMS),
        typ: r.choice(&key("typ"), &types),
        access_ttl: r.duration(&key("access_ttl"), &ttl, MINUTE..=default.access_ttl),
        claims: r.choice(
            &key("claims"),
            &[("full", ClaimSet::Full), ("minimal", ClaimSet::Minimal)],
        ),
        issuer: issuer.unwrap_or_else(|| default.issuer.clone()),
    };
    (target, cache)
}

fn written(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn cache(text: &str) -> Result<Option<Duration>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} is not a duration such as 15m, 7d or 90s"))?;
    if CACHES.contains(&parsed) {
        Ok(Some(parsed))
    } else {
        Err(format!("{text} is more than {}", written(*CACHES.end())))
    }
}

/// Parses the issuer of one audience: the documents that its verifiers look for are served by this
/// process, so it has the origin of the public URL and a path of its own.
fn own_issuer(text: &str, base: &Base<'_>) -> Result<Option<Issuer>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let (issuer, url) = parse_issuer(text, base.allow_insecure)?;
    if url.origin() != base.public_url.origin() {
        return Err(format!(
            "write a URL of this service, such as {}/billing",
            base.public_url.origin().ascii_serialization()
        ));
    }
    let path = url.path().trim_end_matches('/');
    let is_plain = |segment: &str| {
        !segment.is_empty()
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
    };
    if path.is_empty() || !path.trim_start_matches('/').split('/').all(is_plain) {
        return Err("write a path of its own after the host, of letters, digits, . _ ~ and -, such as https://auth.example.com/billing".into());
    }
    Ok(Some(issuer))
}
