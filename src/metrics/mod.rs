//! What is counted and measured, for Prometheus (OpenMetrics text). Labels are words of ours from
//! short lists, never a user's: the number of series does not grow with the users. Counters are
//! counted where things happen; gauges are set when somebody reads (`flows::ops::collect_metrics`).

mod gauges;
pub mod verifiers;

pub use gauges::GaugeSnapshot;
use gauges::Gauges;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::model::limit::rate::Rule;

type By<const N: usize> = Family<[(&'static str, String); N], Counter>;
type Words<const N: usize> = Family<[(&'static str, &'static str); N], Counter>;
type Times = Family<[(&'static str, String); 1], Histogram, fn() -> Histogram>;
type Decimal = Gauge<f64, AtomicU64>;

/// Everything that this process counts.
pub struct Metrics {
    registry: Registry,
    requests: By<3>,
    durations: Times,
    sign_ins: Words<1>,
    refreshes: Words<1>,
    limited: Words<1>,
    mails: Words<1>,
    webhooks: Words<1>,
    left_out: Words<1>,
    gauges: Gauges,
    /// Who fetched the JWKS.
    pub verifiers: verifiers::Verifiers,
}

const SIGN_INS: [&str; 7] = [
    "success",
    "wrong_password",
    "limited",
    "shut_out",
    "unverified",
    "unavailable",
    "error",
];
const REFRESHES: [&str; 11] = [
    "rotated",
    "kept",
    "repeated",
    "superseded",
    "healed",
    "reused",
    "revoked",
    "expired",
    "invalid",
    "limited",
    "unavailable",
];
/// The limit of one refresh token, which has no rule in the settings.
pub const REFRESH_TOKEN: &str = "refresh-token";
const MAILS: [&str; 5] = ["sent", "later", "refused", "void", "limited"];
const LEFT_OUT: [&str; 3] = ["session_data", "set-auth-jwt", "nothing"];
const WEBHOOKS: [&str; 3] = ["taken", "later", "given_up"];

/// All words begin at zero: of a series that begins at one, nobody sees that it rose.
fn words(label: &'static str, all: impl IntoIterator<Item = &'static str>) -> Words<1> {
    let family = Words::default();
    for word in all {
        drop(family.get_or_create(&[(label, word)]));
    }
    family
}

/// From half a millisecond to eight seconds.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 2.0, 15))
}

impl Metrics {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("countersign");
        let requests = By::default();
        let sign_ins = words("result", SIGN_INS);
        let refreshes = words("decision", REFRESHES);
        let limited = words(
            "rule",
            Rule::ALL
                .map(Rule::as_str)
                .into_iter()
                .chain([REFRESH_TOKEN]),
        );
        let mails = words("outcome", MAILS);
        let webhooks = words("outcome", WEBHOOKS);
        let left_out = words("what", LEFT_OUT);
        let times = Times::new_with_constructor(durations as fn() -> Histogram);
        registry.register(
            "http_requests",
            "Requests answered, by method, route and status",
            requests.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "How long requests took, by route",
            Unit::Seconds,
            times.clone(),
        );
        registry.register("sign_ins", "Sign-ins, by result", sign_ins.clone());
        registry.register(
            "refreshes",
            "Refresh tokens presented, by what was decided",
            refreshes.clone(),
        );
        registry.register(
            "rate_limited",
            "Requests that a limit refused, by limit",
            limited.clone(),
        );
        registry.register("mails", "Mails tried, by outcome", mails.clone());
        registry.register(
            "webhooks",
            "Events offered to the webhook, by outcome",
            webhooks.clone(),
        );
        registry.register(
            "headers_left_out",
            "Answers whose headers a proxy might not have taken, by what was left out",
            left_out.clone(),
        );
        let gauges = Gauges::default();
        // Nobody has counted yet: that is not none.
        for gauge in [
            &gauges.mail_queue,
            &gauges.webhook_queue,
            &gauges.sessions,
            &gauges.session_age,
        ] {
            gauge.set(f64::NAN);
        }
        gauges.register(&mut registry);
        Self {
            registry,
            requests,
            durations: times,
            sign_ins,
            refreshes,
            limited,
            mails,
            webhooks,
            left_out,
            gauges,
            verifiers: verifiers::Verifiers::default(),
        }
    }

    /// An answered request.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.requests
            .get_or_create(&[
                ("method", method.into()),
                ("route", route.into()),
                ("status", status.to_string()),
            ])
            .inc();
        self.durations
            .get_or_create(&[("route", route.into())])
            .observe(took.as_secs_f64());
    }

    /// A sign-in.
    pub fn sign_in(&self, result: &'static str) {
        self.sign_ins.get_or_create(&[("result", result)]).inc();
    }

    /// A refresh token that was presented.
    pub fn refresh(&self, decision: &'static str) {
        self.refreshes
            .get_or_create(&[("decision", decision)])
            .inc();
    }

    /// A request that a limit refused.
    pub fn limited(&self, rule: &'static str) {
        self.limited.get_or_create(&[("rule", rule)]).inc();
    }

    /// A mail that was tried.
    pub fn mail(&self, outcome: &'static str) {
        self.mails.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// An event that was offered to the webhook.
    pub fn webhook(&self, outcome: &'static str) {
        self.webhooks.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// An answer whose headers were too large.
    pub fn left_out(&self, what: &'static str) {
        self.left_out.get_or_create(&[("what", what)]).inc();
    }

    /// The text that Prometheus reads, with the gauges as just seen.
    pub fn render(&self, seen: &GaugeSnapshot) -> String {
        self.gauges.set(seen);
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told_in_words_that_do_not_grow() {
        let metrics = Metrics::new();
        metrics.request("POST", "/api/auth/refresh", 200, Duration::from_millis(3));
        metrics.sign_in("success");
        metrics.sign_in("success");
        let seen = GaugeSnapshot {
            database: true,
            sessions: Some((7, Duration::from_secs(90))),
            ..GaugeSnapshot::default()
        };
        let text = metrics.render(&seen);
        for line in [
            "countersign_http_requests_total{method=\"POST\",route=\"/api/auth/refresh\",status=\"200\"} 1",
            "countersign_http_request_duration_seconds_bucket{le=\"0.004\",route=\"/api/auth/refresh\"} 1",
            "countersign_sign_ins_total{result=\"success\"} 2",
            "countersign_refreshes_total{decision=\"reused\"} 0",
            "countersign_sessions 7.0",
            "countersign_session_age_mean_seconds 90.0",
            "countersign_database_up 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        // Nobody could ask the database: what was last known stays, and that it is away shows.
        let text = metrics.render(&GaugeSnapshot::default());
        assert!(
            text.contains("countersign_sessions 7.0\n")
                && text.contains("countersign_database_up 0\n"),
            "{text}"
        );
    }
}
