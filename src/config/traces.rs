//! `[traces]`: the collector of spans, and the fraction of traces that it gets.

use url::Url;

use super::reader::Reader;
use super::webhooks;

/// `[traces]`
#[derive(Debug, Clone)]
pub struct Traces {
    /// The URL of the collector, such as `http://127.0.0.1:4318/v1/traces`.
    pub url: Option<Url>,
    /// The fraction of traces that are kept, from 0 to 1.
    pub sample: f64,
}

/// Reads the section of traces.
pub(super) fn read(r: &mut Reader, allow_insecure: bool) -> Traces {
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
