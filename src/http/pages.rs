//! Pages of ours: one that asks before a link changes anything, one that tells an error. No script, no style from elsewhere, framed by nobody.

use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use url::Url;

use crate::app::App;

use super::query::Query;

const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'";

/// The style of these pages; the policy lets in no other.
const STYLE: &str = include_str!("../../templates/pages/style.css");
static STYLE_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(Sha256::digest(STYLE.trim_end())));

/// Asks, and posts the answer to where it was asked.
#[derive(Template)]
#[template(path = "pages/confirm.html")]
pub(super) struct Confirm<'p> {
    pub(super) app_name: &'p str,
    pub(super) question: &'p str,
    pub(super) button: &'p str,
    pub(super) token: &'p str,
    pub(super) callback: &'p str,
}

#[derive(Template)]
#[template(path = "pages/error.html")]
struct Told<'p> {
    app_name: &'p str,
    code: &'p str,
}

impl Confirm<'_> {
    /// Where the form leads in the end must be named too: browsers hold a redirect to `form-action`.
    pub(super) fn page(&self) -> Response {
        let origin = Url::parse(self.callback).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        page(self, &origin)
    }
}

fn page(template: &impl Template, leads_to: &str) -> Response {
    let Ok(body) = template.render() else { return super::error::Error::Internal("a page does not render".into()).into_response() };
    let policy = format!("{POLICY}; style-src 'sha256-{}'; form-action 'self' {leads_to}", *STYLE_HASH);
    let policy = HeaderValue::from_str(policy.trim_end()).unwrap_or(HeaderValue::from_static(POLICY));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
        // With none at all a browser would post the form with the origin `null`.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    ];
    (StatusCode::OK, headers, body).into_response()
}

/// `GET /error?error=CODE`: only what looks like a code is repeated.
pub(super) async fn error(State(app): State<Arc<App>>, query: Query) -> Response {
    let plain = |code: &&str| code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_'-".contains(&b));
    let code = query.one("error").filter(plain).unwrap_or("UNKNOWN");
    page(&Told { app_name: &app.config.mail.app_name, code }, "")
}
