//! Sign-ins at other issuers, by provider and result. Names of providers are from the settings, never
//! from a request.

use prometheus_client::registry::Registry;

use super::By;

/// The results of a sign-in at another issuer.
pub const RESULTS: [&str; 8] = [
    "success",
    "second_step",
    "unverified",
    "refused",
    "upstream_failed",
    "shut_out",
    "limited",
    "error",
];

/// The counters of sign-ins at other issuers.
pub struct Upstream {
    sign_ins: By<2>,
}

impl Upstream {
    /// Makes the counters, and registers them.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let sign_ins = By::default();
        registry.register(
            "upstream_sign_ins",
            "Sign-ins at other issuers, by provider of the settings and by result",
            sign_ins.clone(),
        );
        Self { sign_ins }
    }

    /// Starts every series of a provider at zero.
    pub fn know(&self, provider: &str) {
        for result in RESULTS {
            drop(self.sign_ins.get_or_create(&labels(provider, result)));
        }
    }

    /// Counts a sign-in, by its result.
    pub fn sign_in(&self, provider: &str, result: &'static str) {
        self.sign_ins.get_or_create(&labels(provider, result)).inc();
    }
}

fn labels(provider: &str, result: &'static str) -> [(&'static str, String); 2] {
    [
        ("provider", provider.to_owned()),
        ("result", result.to_owned()),
    ]
}
