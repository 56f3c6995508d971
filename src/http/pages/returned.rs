//! The page between an issuer that posts its answer and the callback. A browser keeps most cookies back from
//! a form of another site; this page sends the same fields again, from this site, so that the callback
//! knows the session and the device of the browser. The code of the answer stands in no URL.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::page::Page;
use crate::flows::federation::Urls;

/// The field by which the callback knows a form of this page: it is sent once.
pub(in crate::http) const MARK: &str = "sentFromHere";

#[derive(Template)]
#[template(path = "pages/returned.html")]
struct Returned<'p> {
    p: &'p Page,
    name: &'p str,
    fields: &'p [(&'p str, &'p str)],
    mark: &'p str,
}

/// Shows the page, whose form is posted to its own URL; by script it is posted at once. `urls` is where the
/// sign-in leads.
pub(in crate::http) fn post_again(
    page: &Page,
    name: &str,
    fields: &[(&str, &str)],
    urls: &Urls,
) -> Response {
    let shown = Returned {
        p: page,
        name,
        fields,
        mark: MARK,
    };
    let config = &page.app.config;
    let given = [&urls.done, &urls.new_user, &urls.failed];
    // The answer to the form redirects to one of these.
    let mut leads_to: Vec<&str> = given.into_iter().flatten().map(String::as_str).collect();
    leads_to.extend([config.pages.home.as_str(), config.two_factor.page.as_str()]);
    Page::answer_to(&shown, StatusCode::OK, &leads_to)
}
