//! Requests that this program makes: to addresses that the operator has named, never to one that a
//! client names. No redirect is followed, no proxy of the environment asked.

use std::time::Duration;

use reqwest::redirect::Policy;
use tracing::Instrument;
use url::Url;

use crate::connection::Broken;

/// For the whole of a request.
const TIME: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);

/// Makes requests.
#[derive(Debug, Clone)]
pub struct Client(reqwest::Client);

impl Client {
    /// Connections are kept for the next request.
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

    /// The body of an answer that is a success, a mebibyte at most. `Err`: what went wrong, in
    /// words.
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

    /// Posts JSON. `Err`: what went wrong, in words for a log; the answer's body is not read.
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
        // Where it went is the operator's own setting, and may hold a password.
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

/// What went wrong, in words of ours: those of the other side, and the address with what it holds,
/// have no place in a log.
fn reason(error: &reqwest::Error) -> String {
    match Broken::in_error(error) {
        _ if error.is_timeout() => "no answer in time".into(),
        Some(broken) => broken.to_string(),
        None if error.is_connect() => "no connection".into(),
        None => "the answer is not HTTP".into(),
    }
}
