//! The cookie with what a visitor has typed: written by a form that leads to another page, read by
//! that page.

use axum::http::HeaderMap;

use crate::app::App;
use crate::flows::account::typed::{LIFETIME, Typed};
use crate::http::edge::cookies;
use crate::http::edge::cookies::Name;

/// Reads what was typed; empty if the request has no such cookie, or several that differ.
pub(super) fn read(app: &App, headers: &HeaderMap) -> Typed {
    let mut values = cookies::read(app, headers, Name::Typed);
    values.dedup();
    let [value] = values.as_slice() else {
        return Typed::default();
    };
    Typed::opened(app, value).unwrap_or_default()
}

/// Keeps what was typed for the next page.
pub(super) fn keep(app: &App, typed: &Typed, headers: &mut HeaderMap) {
    if let Some(value) = typed.sealed(app) {
        cookies::set(
            app,
            headers,
            Name::Typed,
            &value,
            Some(app.now() + LIFETIME),
        );
    }
}

/// Keeps the email address of a form for visitors who are not signed in, and the rest of what was
/// kept before.
pub(super) fn keep_email(app: &App, before: &Typed, email: &str, headers: &mut HeaderMap) {
    let typed = Typed {
        email: email.trim().to_owned(),
        ..before.clone()
    };
    if typed != *before {
        keep(app, &typed, headers);
    }
}

/// Makes the browser forget the email address after a sign-in. The form of an account page stays
/// until that page has shown it.
pub(super) fn forget_email(app: &App, typed: &Typed, headers: &mut HeaderMap) {
    if *typed != Typed::default() && !typed.has_account_form() {
        forget(app, headers);
    }
}

/// Makes the browser forget everything.
pub(super) fn forget(app: &App, headers: &mut HeaderMap) {
    cookies::clear_one(app, headers, Name::Typed);
}
