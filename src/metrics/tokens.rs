//! Access tokens by audience and algorithm, how long their signatures take, and the requests for JWK
//! Sets. Names of audiences are from the settings, never from a request.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::{By, counters};
use crate::model::key::algorithm::Algorithm;

type SigningTimes = Family<[(&'static str, &'static str); 1], Histogram, fn() -> Histogram>;

/// The counters of tokens and of the sets that verify them.
pub struct Tokens {
    issued: By<2>,
    signing: SigningTimes,
    jwks: JwksRequests,
    refused: Counter,
}

/// The requests for each kind of JWK Set; kept apart, because looking a series up costs more than
/// the answer itself.
struct JwksRequests {
    default: Counter,
    all: Counter,
    audience: Counter,
}

/// Makes a histogram with buckets from eight microseconds to an eighth of a second.
fn signing_durations() -> Histogram {
    Histogram::new(exponential_buckets(0.000_008, 2.0, 15))
}

impl Tokens {
    /// Makes the counters, all of them zero, and registers them.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let issued = By::default();
        registry.register(
            "tokens_issued",
            "Access tokens issued, by audience of the settings and by algorithm",
            issued.clone(),
        );
        let signing = SigningTimes::new_with_constructor(signing_durations as fn() -> Histogram);
        registry.register_with_unit(
            "sign",
            "How long signing an access token took, by algorithm",
            Unit::Seconds,
            signing.clone(),
        );
        let by_set = counters("set", ["default", "all", "audience"]);
        let of_set = |set| by_set.get_or_create(&[("set", set)]).clone();
        let jwks = JwksRequests {
            default: of_set("default"),
            all: of_set("all"),
            audience: of_set("audience"),
        };
        registry.register(
            "jwks_requests",
            "Requests for a JWK Set: the default one, that of all keys, or that of one audience",
            by_set,
        );
        let refused = Counter::default();
        registry.register(
            "targets_refused",
            "Requests for an audience that is not available",
            refused.clone(),
        );
        Self {
            issued,
            signing,
            jwks,
            refused,
        }
    }

    /// Counts an access token, and the time that its signature took.
    pub fn issued(&self, audience: &str, algorithm: Algorithm, signing: Duration) {
        let algorithm = algorithm.as_str();
        self.issued
            .get_or_create(&[
                ("audience", audience.to_owned()),
                ("algorithm", algorithm.to_owned()),
            ])
            .inc();
        self.signing
            .get_or_create(&[("algorithm", algorithm)])
            .observe(signing.as_secs_f64());
    }

    /// Counts a request for a JWK Set: `default`, `all` or `audience`.
    pub fn jwks_requested(&self, set: &str) {
        match set {
            "all" => self.jwks.all.inc(),
            "audience" => self.jwks.audience.inc(),
            _ => self.jwks.default.inc(),
        };
    }

    /// Counts a request for an audience that is not available.
    pub fn target_refused(&self) {
        self.refused.inc();
    }
}
