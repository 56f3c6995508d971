//! `[keys]`: the schedule of key rotations, how long verifiers cache the JWKS, the size of RSA keys,
//! and where the master key comes from.

use std::collections::BTreeMap;
use std::time::Duration;

use croner::parser::{CronParser, Seconds};
use zeroize::Zeroizing;

use crate::config::units::HOUR;
use crate::model::key::algorithm::RsaSize;
use crate::model::key::key;
use crate::model::key::slots::Policies;

use super::audiences::Audiences;
use super::reader::Reader;
use super::token_values::CACHES;
use super::{Keys, MasterKeySources, Secret, Tokens};

pub(super) fn keys(r: &mut Reader, tokens: &Tokens, audiences: &Audiences) -> Keys {
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
    let base = key::Policy {
        rotation,
        jwks_max_age: r.duration("keys.jwks_max_age", "5m", Duration::ZERO..=HOUR),
        verifier_cache: r.duration("keys.verifier_cache", "1h", CACHES),
        access_ttl: tokens.access_ttl,
    };
    let default = tokens.targets.default().algorithm;
    let mut algorithms = BTreeMap::from([(default, base.verifier_cache)]);
    for (algorithm, cache) in audiences.caches(base.verifier_cache) {
        let longest = algorithms.entry(algorithm).or_insert(cache);
        *longest = cache.max(*longest);
    }
    let sizes = [("2048", RsaSize::Bits2048), ("3072", RsaSize::Bits3072)];
    Keys {
        dir: r.path("keys.dir", "keys").unwrap_or_default(),
        rsa_size: r.choice("keys.rsa_bits", &sizes),
        policies: Policies {
            base,
            default,
            algorithms,
        },
    }
}

pub(super) fn master_key_sources(environment: &[(String, String)]) -> MasterKeySources {
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
