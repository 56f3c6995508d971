//! Outgoing HTTP requests: to URLs that the operator has set, never to one that a client names.
//! Redirects are not followed, and proxies of the environment are not used. `guarded` asks the
//! addresses that another issuer has named in its discovery document, with narrower bounds.

mod guarded;
mod public_ip;

use std::time::Duration;

use reqwest::redirect::Policy;
use tracing::Instrument;
use url::Url;

pub use guarded::{Answer, Bounds, Guarded, Reach, check};

use crate::connection::Broken;

/// The time limit for a whole request.
const TIME: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);

/// An HTTP client for outgoing requests.
#[derive(Debug, Clone)]
pub struct Client(reqwest::Client);

impl Client {
    /// Makes a client that keeps connections for later requests.
    pub fn new() -> Result<Self, String> {
        let builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(TIME)
            .connect_timeout(CONNECT);
        builder
            .user_agent("countersign")
            .build()
            .map(Self)
            .map_err(|e| e.to_string())
    }

    /// Returns the body of a successful answer, at most a mebibyte. Returns `Err` with the reason
    /// as a fixed text.
    pub async fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
        const LONGEST: usize = 1024 * 1024;
        let mut answer = self
            .0
            .get(url.clone())
            .send()
            .await
            .map_err(|error| reason(&error))?;
        if !answer.status().is_success() {
            return Err(format!("answered {}", answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|error| reason(&error))? {
            body.extend_from_slice(&part);
            if body.len() > LONGEST {
                return Err("the answer is too long".into());
            }
        }
        Ok(body)
    }

    /// Posts JSON. Returns `Err` with a reason that may be logged; the body of the answer is not
    /// read.
    pub async fn post_json(
        &self,
        url: &Url,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<(), String> {
        let mut request = self
            .0
            .post(url.clone())
            .header("content-type", "application/json")
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        // The URL is a setting of the operator and may contain a password, so the span does not
        // name it.
        let span = tracing::info_span!(target: "traces", "webhook", otel.kind = "client");
        let answer = request
            .send()
            .instrument(span)
            .await
            .map_err(|error| reason(&error))?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(format!("answered {}", answer.status().as_u16()))
        }
    }
}

/// Returns the reason as a fixed text: texts of the other side, and the URL with its credentials,
/// must not be logged.
fn reason(error: &reqwest::Error) -> String {
    match Broken::in_error(error) {
        _ if error.is_timeout() => "the server did not answer in time".into(),
        Some(broken) => broken.to_string(),
        None if error.is_connect() => "no connection".into(),
        None => "the answer is not HTTP".into(),
    }
}
