//! The page of the link that signs in (`/magic-link/verify`). Opening the link changes nothing,
//! because mail scanners follow links, and some of them run scripts; the form of the page signs in.
//! In the browser that asked for the mail the page sends its form by script: a scanner does not have
//! the cookie of that browser.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::page::{Page, moment};
use crate::model::kernel::time::Timestamp;

#[derive(Template)]
#[template(path = "pages/magic_link.html")]
struct MagicLink<'p> {
    p: &'p Page,
    a: &'p Asked<'p>,
    /// The question before the email address.
    before: String,
    after: String,
    /// The sentence about the device before the time.
    device: String,
    asked_at: String,
    close: String,
}

/// A link that was opened, and the sign-in that was asked for.
#[expect(
    clippy::struct_field_names,
    reason = "`at` alone could be the time of the opening"
)]
pub(in crate::http) struct Asked<'p> {
    /// The email address that the mail was sent to.
    pub(in crate::http) email: &'p str,
    /// The token of the link.
    pub(in crate::http) token: &'p str,
    /// Where the form leads; empty for the start page.
    pub(in crate::http) callback: &'p str,
    /// Where the form leads a new user; empty for `callback`.
    pub(in crate::http) new_user_callback: &'p str,
    /// Where the form leads if the link is not valid any more; empty for `callback`.
    pub(in crate::http) error_callback: &'p str,
    /// Whether this is the browser that asked for the mail.
    pub(in crate::http) is_own: bool,
    /// The device that asked, in the language of the page.
    pub(in crate::http) device: String,
    /// When the mail was asked for.
    pub(in crate::http) asked_at: Timestamp,
}

/// Shows the page that signs in; its form is posted to its own URL. Only in the browser that asked
/// it is sent by script.
pub(in crate::http) fn ask(page: &Page, shown: &Asked<'_>) -> Response {
    let question = page.with("magic_link.question", "app", page.name());
    let (before, after) = question
        .split_once("{email}")
        .unwrap_or((question.as_str(), ""));
    let text = page.t("magic_link.asked");
    let (device, close) = text.split_once("{time}").unwrap_or((text, ""));
    let filled = |part: &str| part.replace("{device}", &shown.device);
    let rendered = MagicLink {
        p: page,
        a: shown,
        before: before.to_owned(),
        after: after.to_owned(),
        device: filled(device),
        asked_at: moment(shown.asked_at),
        close: filled(close),
    };
    let config = &page.app.config;
    // The answer to the form redirects to one of these.
    let leads_to = [
        shown.callback,
        shown.new_user_callback,
        shown.error_callback,
        &config.pages.home,
        &config.two_factor.page,
    ];
    Page::answer_to(&rendered, StatusCode::OK, &leads_to)
}
