//! `[keys]`: the schedule of key rotations, how long verifiers cache the JWKS, and where the master
//! key comes from.

use std::time::Duration;

use croner::parser::{CronParser, Seconds};
use zeroize::Zeroizing;

use crate::config::units::{DAY, HOUR};
use crate::model::key::key;

use super::reader::Reader;
use super::{Keys, MasterKeySources, Secret};

pub(super) fn keys(r: &mut Reader, access_ttl: Duration) -> Keys {
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
