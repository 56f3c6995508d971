//! Style, scripts and pictures of the pages. The names of style and scripts contain a hash of their
//! content, and browsers keep them permanently.

use std::sync::{Arc, LazyLock};

use crate::app::App;
use crate::encoding::sha256;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::http::edge::error::Error;
use crate::http::edge::outermost::{RESOURCE_POLICY, new_request_id, render};

const STYLE: &str = include_str!("../../../templates/pages/style.css");
const SCRIPT: &str = include_str!("../../../templates/pages/page.js");
const PASSKEY: &str = include_str!("../../../templates/pages/passkey.js");
const ICON: &str = include_str!("../../../templates/pages/icon.svg");

fn named(content: &str, extension: &str) -> String {
    format!(
        "{}.{extension}",
        hex::encode(&sha256(content.as_bytes())[..8])
    )
}

static STYLE_NAME: LazyLock<String> = LazyLock::new(|| named(STYLE, "css"));
static SCRIPT_NAME: LazyLock<String> = LazyLock::new(|| named(SCRIPT, "js"));
static PASSKEY_NAME: LazyLock<String> = LazyLock::new(|| named(PASSKEY, "js"));

/// Returns the path of the style sheet.
pub(super) fn style() -> String {
    format!("/auth/assets/{}", *STYLE_NAME)
}

/// Returns the path of the script.
pub(super) fn script() -> String {
    format!("/auth/assets/{}", *SCRIPT_NAME)
}

/// Returns the path of the script for passkeys.
pub(super) fn passkey_script() -> String {
    format!("/auth/assets/{}", *PASSKEY_NAME)
}

const FOR_EVER: &str = "public, max-age=31536000, immutable";
const FOR_A_WHILE: &str = "public, max-age=300";

fn answer(media_type: &'static str, keep: &'static str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    response
        .headers_mut()
        .insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    // A picture that is opened as a page runs no script and shows no content of other sites.
    let policy = HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'",
    );
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
    render(response, &new_request_id())
}

fn none() -> Response {
    render(Error::NotFound.into_response(), &new_request_id())
}

/// Serves style or scripts; a name that cannot be decoded is not found.
pub(super) async fn file(name: Result<Path<String>, PathRejection>) -> Response {
    let Ok(Path(name)) = name else { return none() };
    if name == *STYLE_NAME {
        answer("text/css; charset=utf-8", FOR_EVER, STYLE)
    } else if name == *SCRIPT_NAME {
        answer("text/javascript; charset=utf-8", FOR_EVER, SCRIPT)
    } else if name == *PASSKEY_NAME {
        answer("text/javascript; charset=utf-8", FOR_EVER, PASSKEY)
    } else {
        none()
    }
}

/// Serves the operator's colours, and text colours that are readable on them.
pub(super) async fn theme(State(app): State<Arc<App>>) -> Response {
    let pages = &app.config.pages;
    let colours = |accent: crate::model::kernel::colour::Colour| {
        format!(
            ":root{{--accent:{accent};--on-accent:{}}}",
            accent.text_on()
        )
    };
    let body = format!(
        "{}@media (prefers-color-scheme:dark){{{}}}",
        colours(pages.accent),
        colours(pages.accent_dark)
    );
    answer("text/css; charset=utf-8", FOR_A_WHILE, body)
}

pub(super) async fn icon() -> Response {
    answer("image/svg+xml", FOR_A_WHILE, ICON)
}

pub(super) async fn logo(State(app): State<Arc<App>>) -> Response {
    app.config.pages.logo.as_ref().map_or_else(none, |logo| {
        answer(logo.media_type, FOR_A_WHILE, logo.bytes.clone())
    })
}
