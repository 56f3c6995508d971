//! `[webhooks]`: the URL, the secret and the events that are sent.

use std::sync::Arc;

use url::Url;
use zeroize::Zeroizing;

use crate::encoding::decode_standard;
use crate::model::audit::webhook::{Choice, SECRET_PREFIX};
use crate::model::kernel::loopback::LOOPBACK;
use crate::model::kernel::web_url;

use super::Secret;
use super::reader::Reader;

/// `[webhooks]`
#[derive(Clone)]
pub struct Webhooks {
    /// The URL that events are posted to.
    pub url: Url,
    /// The secret of the signatures, as configured: `whsec_` and base64.
    pub secret: Secret,
    /// The former secret while it is being replaced: every message also carries its signature.
    pub previous_secret: Option<Secret>,
    /// The events that are sent.
    pub events: Arc<[Choice]>,
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The path of the URL may be a credential.
        f.debug_struct("Webhooks")
            .field("host", &self.url.host_str())
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

/// The smallest number of bytes in the secret.
const SHORTEST: usize = 24;

/// Checks that the URL is https or loopback, unless insecure URLs are allowed.
pub(super) fn check_url(text: &str, allow_insecure: bool) -> Result<Option<Url>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let url = web_url::parse(text).map_err(|e| e.to_string())?;
    let near = LOOPBACK.contains(&url.host_str().unwrap_or_default());
    match url.scheme() {
        "https" => Ok(Some(url)),
        "http" if near || allow_insecure => Ok(Some(url)),
        "http" => Err(
            "events would be sent unencrypted; write https, or set server.allow_insecure".into(),
        ),
        _ => Err("write https://…".into()),
    }
}

fn check_secret(text: &str) -> Result<(), String> {
    let key = text.strip_prefix(SECRET_PREFIX).and_then(decode_standard);
    match key {
        Some(key) if key.len() >= SHORTEST => Ok(()),
        _ => Err("write whsec_ and at least 24 random bytes in base64: echo whsec_$(openssl rand -base64 32)".into()),
    }
}

/// Reads the former secret, which must be another one than the present secret.
fn read_previous(r: &mut Reader, present: &str) -> Option<Secret> {
    let key = "webhooks.previous_secret";
    let previous = Zeroizing::new(r.text(key, ""));
    if previous.is_empty() {
        return None;
    }
    if let Err(problem) = check_secret(&previous) {
        r.problem(key, problem);
    } else if previous.as_str() == present {
        r.problem(
            key,
            "this is the same as webhooks.secret; write the former secret, or nothing".into(),
        );
    }
    r.warnings.push(format!(
        "{key}: every message carries two signatures; remove this setting once the receiver verifies with webhooks.secret"
    ));
    Some(Secret(previous))
}

/// Reads the section; `None` if no webhook is set.
pub(super) fn read(r: &mut Reader, allow_insecure: bool) -> Option<Webhooks> {
    let url = r
        .parsed("webhooks.url", "", |text| check_url(text, allow_insecure))
        .flatten();
    let secret = Zeroizing::new(r.text("webhooks.secret", ""));
    let previous_secret = read_previous(r, &secret);
    let events = r.list("webhooks.events", |text| {
        text.parse::<Choice>().map_err(|e| e.to_string())
    });
    let url = url?;
    if let Err(problem) = check_secret(&secret) {
        r.problem("webhooks.secret", problem);
    }
    if events.is_empty() {
        r.problem(
            "webhooks.events",
            "name the events that are sent, such as refresh_token.reused, or *".into(),
        );
    }
    Some(Webhooks {
        url,
        secret: Secret(secret),
        previous_secret,
        events: events.into(),
    })
}
