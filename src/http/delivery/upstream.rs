//! How a sign-in at another issuer reaches the browser, and where the browser is led afterwards.

use axum::http::HeaderMap;

use crate::app::App;
use crate::flows::federation::Urls;
use crate::flows::federation::begin::Begun;
use crate::flows::federation::refused::Refused;
use crate::http::edge::cookies::upstream as cookies;

/// Sets the cookie with the sealed state.
pub(in crate::http) fn begun(app: &App, begun: &Begun, headers: &mut HeaderMap) {
    let kept = (begun.name.as_str(), begun.sealed.as_str());
    cookies::keep(app, headers, kept, begun.expires_at, begun.posts_form);
}

/// Returns where the client wants a browser to be led after a success.
pub(in crate::http) fn target(urls: &Urls, is_new: bool) -> Option<&str> {
    let new_user = urls.new_user.as_deref().filter(|_| is_new);
    new_user.or(urls.done.as_deref())
}

/// Returns where a browser is led after a success.
pub(in crate::http) fn onward<'u>(app: &'u App, urls: &'u Urls, is_new: bool) -> &'u str {
    target(urls, is_new).unwrap_or(app.config.pages.home.as_str())
}

/// Returns where a browser is led after a failure, and the pair of its query.
pub(in crate::http) fn after_failure(
    app: &App,
    urls: &Urls,
    why: Refused,
) -> (String, (&'static str, &'static str)) {
    let page = || format!("{}/error", app.config.server.mount.api());
    let target = urls.failed.clone().unwrap_or_else(page);
    (target, ("error", why.as_str()))
}
