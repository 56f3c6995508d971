//! Counters and gauges for Prometheus (OpenMetrics text). Labels are fixed words from short lists,
//! never a user's text, so the number of series does not grow with the users. Counters are
//! incremented where things happen; gauges are set when metrics are read
//! (`flows::ops::collect_metrics`).

mod gauges;
pub mod tokens;
pub mod upstream;
pub mod verifiers;
mod words;

use gauges::Gauges;
pub use gauges::{GaugeSnapshot, SessionCount};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::model::key::algorithm::Algorithm;
use crate::model::key::key::State;
use crate::model::limit::rate::Rule;

use words::{
    LEFT_OUT, MAILS, METHODS, REFRESHES, SIGN_INS, SIGN_INS_BY_MAIL, SIGN_INS_BY_PASSKEY, STEPS,
    WEBHOOKS,
};

type By<const N: usize> = Family<[(&'static str, String); N], Counter>;
type CounterFamily<const N: usize> = Family<[(&'static str, &'static str); N], Counter>;
type Times = Family<[(&'static str, String); 1], Histogram, fn() -> Histogram>;
type Decimal = Gauge<f64, AtomicU64>;

/// All counters of this process.
pub struct Metrics {
    registry: Registry,
    requests: By<3>,
    durations: Times,
    sign_ins: CounterFamily<1>,
    sign_ins_by_mail: CounterFamily<1>,
    sign_ins_by_passkey: CounterFamily<1>,
    login_steps: CounterFamily<2>,
    refreshes: CounterFamily<1>,
    limited: CounterFamily<1>,
    mails: CounterFamily<1>,
    webhooks: CounterFamily<1>,
    left_out: CounterFamily<1>,
    gauges: Gauges,
    /// Access tokens and the sets that verify them.
    pub tokens: tokens::Tokens,
    /// Sign-ins at other issuers.
    pub upstream: upstream::Upstream,
    /// Which verifiers fetched the JWKS.
    pub verifiers: verifiers::Verifiers,
}

/// The label of the limit of one refresh token, which has no rule in the settings.
pub const REFRESH_TOKEN: &str = "refresh-token";

/// Makes a family of counters that starts with all words at zero: a monitoring system does not see
/// the first increment of a series that starts at one.
fn counters(label: &'static str, all: impl IntoIterator<Item = &'static str>) -> CounterFamily<1> {
    let family = CounterFamily::default();
    for word in all {
        drop(family.get_or_create(&[(label, word)]));
    }
    family
}

/// Makes a histogram with buckets from half a millisecond to eight seconds.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 2.0, 15))
}

impl Metrics {
    /// Makes the counters, all of them zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("countersign");
        let requests = By::default();
        let sign_ins = counters("result", SIGN_INS);
        let sign_ins_by_mail = counters("result", SIGN_INS_BY_MAIL);
        let sign_ins_by_passkey = counters("result", SIGN_INS_BY_PASSKEY);
        let login_steps = CounterFamily::<2>::default();
        for method in METHODS {
            for result in STEPS {
                let _zero = login_steps.get_or_create(&[("method", method), ("result", result)]);
            }
        }
        let refreshes = counters("decision", REFRESHES);
        let limited = counters(
            "rule",
            Rule::ALL
                .map(Rule::as_str)
                .into_iter()
                .chain([REFRESH_TOKEN]),
        );
        let mails = counters("outcome", MAILS);
        let webhooks = counters("outcome", WEBHOOKS);
        let left_out = counters("what", LEFT_OUT);
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
            "sign_ins_by_mail",
            "Sign-ins by a code or a link of a mail, by result",
            sign_ins_by_mail.clone(),
        );
        registry.register(
            "sign_ins_by_passkey",
            "Sign-ins that began with a passkey, by result",
            sign_ins_by_passkey.clone(),
        );
        registry.register(
            "login_steps",
            "Second steps of sign-ins, by method and result",
            login_steps.clone(),
        );
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
            "Events sent to the webhook, by outcome",
            webhooks.clone(),
        );
        registry.register(
            "headers_left_out",
            "Answers whose headers were too large for proxies, by what was left out",
            left_out.clone(),
        );
        let tokens = tokens::Tokens::register(&mut registry);
        let upstream = upstream::Upstream::register(&mut registry);
        let gauges = Gauges::default();
        // Before the first count the value is unknown, which is not zero.
        for gauge in [
            &gauges.mail_queue,
            &gauges.webhook_queue,
            &gauges.sessions,
            &gauges.ticket_sessions,
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
            sign_ins_by_mail,
            sign_ins_by_passkey,
            login_steps,
            refreshes,
            limited,
            mails,
            webhooks,
            left_out,
            gauges,
            tokens,
            upstream,
            verifiers: verifiers::Verifiers::default(),
        }
    }

    /// Counts an answered request, by method, route and status.
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

    /// Counts a sign-in, by its result.
    pub fn sign_in(&self, result: &'static str) {
        self.sign_ins.get_or_create(&[("result", result)]).inc();
    }

    /// Counts a sign-in by a code or a link of a mail.
    pub fn sign_in_by_mail(&self, result: &'static str) {
        self.sign_ins_by_mail
            .get_or_create(&[("result", result)])
            .inc();
    }

    /// Counts a sign-in that began with a passkey.
    pub fn sign_in_by_passkey(&self, result: &'static str) {
        self.sign_ins_by_passkey
            .get_or_create(&[("result", result)])
            .inc();
    }

    /// Counts a second step.
    pub fn login_step(&self, method: &'static str, result: &'static str) {
        let labels = [("method", method), ("result", result)];
        self.login_steps.get_or_create(&labels).inc();
    }

    /// Counts a refresh token that was presented, by the decision.
    pub fn refresh(&self, decision: &'static str) {
        self.refreshes
            .get_or_create(&[("decision", decision)])
            .inc();
    }

    /// Counts a request that a limit refused, by the limit.
    pub fn limited(&self, rule: &'static str) {
        self.limited.get_or_create(&[("rule", rule)]).inc();
    }

    /// Counts an attempt to send a mail, by its outcome.
    pub fn mail(&self, outcome: &'static str) {
        self.mails.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts an attempt to send an event to the webhook, by its outcome.
    pub fn webhook(&self, outcome: &'static str) {
        self.webhooks.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts an answer whose headers were too large, by what was left out.
    pub fn left_out(&self, what: &'static str) {
        self.left_out.get_or_create(&[("what", what)]).inc();
    }

    /// Sets the number of published keys of an algorithm in a state.
    pub fn keys(&self, algorithm: Algorithm, state: State, count: usize) {
        self.gauges
            .set_keys(algorithm.as_str(), state.as_str(), count);
    }

    /// Renders the text that Prometheus reads, with these values of the gauges.
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
            sessions: Some(SessionCount {
                live: 7,
                with_tickets: 2,
                mean_age: Duration::from_secs(90),
            }),
            ..GaugeSnapshot::default()
        };
        let text = metrics.render(&seen);
        for line in [
            "countersign_http_requests_total{method=\"POST\",route=\"/api/auth/refresh\",status=\"200\"} 1",
            "countersign_http_request_duration_seconds_bucket{le=\"0.004\",route=\"/api/auth/refresh\"} 1",
            "countersign_sign_ins_total{result=\"success\"} 2",
            "countersign_refreshes_total{decision=\"reused\"} 0",
            "countersign_sessions 7.0",
            "countersign_ticket_sessions 2.0",
            "countersign_session_age_mean_seconds 90.0",
            "countersign_database_up 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        // The database cannot be asked: gauges keep their last values, except that of the database.
        let text = metrics.render(&GaugeSnapshot::default());
        assert!(
            text.contains("countersign_sessions 7.0\n")
                && text.contains("countersign_database_up 0\n"),
            "{text}"
        );
    }
}
