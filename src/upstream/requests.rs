//! The requests to providers: their bounds, and the form of their answers.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request, StatusCode};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::failure::Failure;
use crate::config::upstream::Provider;
use crate::outbound_http::{Answer, Bounds, Guarded, Reach};

/// The bounds of the discovery document.
pub(super) const DISCOVERY: Bounds = Bounds {
    time: Duration::from_secs(5),
    bytes: 64 * 1024,
};
/// The bounds of the JWKS.
pub(super) const JWKS: Bounds = Bounds {
    time: Duration::from_secs(5),
    bytes: 256 * 1024,
};
/// The bounds of the exchange of a code, and of what is asked of the user afterwards.
pub(super) const EXCHANGE: Bounds = Bounds {
    time: Duration::from_secs(10),
    bytes: 64 * 1024,
};

/// A provider, and the client that asks it.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) client: &'a Guarded,
    pub(super) provider: &'a Provider,
}

impl Asking<'_> {
    /// Returns which servers the provider may name.
    pub(super) fn reach(self) -> Reach {
        if self.provider.allow_private {
            Reach::Private
        } else {
            Reach::Public
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// [`Failure::Unavailable`].
    pub(super) async fn send(self, request: Request, bounds: Bounds) -> Result<Answer, Failure> {
        let sent = self.client.send(request, self.reach(), bounds).await;
        sent.map_err(Failure::Unavailable)
    }

    /// Returns the answer of a URL if its status is one of success.
    ///
    /// # Errors
    /// [`Failure::Unavailable`].
    pub(super) async fn get(
        self,
        url: &Url,
        access_token: Option<&str>,
        bounds: Bounds,
    ) -> Result<Answer, Failure> {
        successful(self.ask(url, access_token, bounds).await?)
    }

    /// Returns the answer of a URL, with any status.
    async fn ask(
        self,
        url: &Url,
        access_token: Option<&str>,
        bounds: Bounds,
    ) -> Result<Answer, Failure> {
        let mut request = Request::new(Method::GET, url.clone());
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = access_token {
            let bearer = Zeroizing::new(format!("Bearer {token}"));
            let mut bearer = HeaderValue::from_str(&bearer)
                .map_err(|_| Failure::Unavailable("the access token is malformed".into()))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        self.send(request, bounds).await
    }

    /// Returns the JSON at a URL that is only for the user of an access token; `None` if the token may not
    /// read it (403, 404).
    ///
    /// # Errors
    /// [`Failure::Unavailable`].
    pub(super) async fn if_permitted(
        self,
        url: &Url,
        access_token: &str,
    ) -> Result<Option<Value>, Failure> {
        let answer = self.ask(url, Some(access_token), EXCHANGE).await?;
        match answer.status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(None),
            _ => json(&successful(answer)?).map(Some),
        }
    }

    /// Returns the JSON at a URL that is only for the user of an access token.
    ///
    /// # Errors
    /// [`Failure::Unavailable`].
    pub(super) async fn of_user(self, url: &Url, access_token: &str) -> Result<Value, Failure> {
        json(&self.get(url, Some(access_token), EXCHANGE).await?)
    }
}

/// Reads the body of an answer.
fn json(answer: &Answer) -> Result<Value, Failure> {
    serde_json::from_slice(&answer.body)
        .map_err(|_| Failure::Unavailable("the answer is not JSON".into()))
}

/// Refuses an answer whose status is not one of success.
fn successful(answer: Answer) -> Result<Answer, Failure> {
    if answer.status.is_success() {
        Ok(answer)
    } else {
        let status = answer.status.as_u16();
        Err(Failure::Unavailable(format!(
            "the server answered {status}"
        )))
    }
}
