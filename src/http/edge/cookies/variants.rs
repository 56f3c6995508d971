//! Cookies of one name that a browser holds for several domains or paths.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, HeaderValue, header};
use cookie::Cookie;

use crate::app::App;
use crate::model::kernel::cookie_domain::CookieDomain;

use super::{NAMES, Name, cleared, raw, with_attributes};

/// How often a request carries each of our cookies.
pub(in crate::http) struct Carried([(Name, usize); NAMES.len()]);

impl Carried {
    /// Counts the cookies of a request.
    pub(in crate::http) fn by(app: &App, headers: &HeaderMap) -> Self {
        Self(NAMES.map(|name| (name, raw(app, headers, name).len())))
    }

    /// Clears other variants of cookies in an answer. A browser may hold a cookie for another
    /// domain than that of the present settings, or one name for several domains or paths. If the
    /// answer clears a cookie, it is cleared for the other domains, too. If a name was sent more
    /// than once and the answer sets or clears it, all others of that name are cleared. Every
    /// answer passes here.
    pub(in crate::http) fn clear_variants(&self, app: &App, headers: &mut HeaderMap) {
        let carries_any = self.0.iter().any(|(_, times)| *times > 0);
        for (name, times) in self.0 {
            if times > 1 {
                clear_variants(app, headers, name);
            } else if carries_any {
                // The request need not show it, because the refresh cookie is only sent to the API.
                clear_for_other_domains(app, headers, name);
            }
        }
    }
}

/// Clears, if the answer clears this cookie, also that of the same path which was set before the
/// operator chose or changed the cookie domain.
fn clear_for_other_domains(app: &App, headers: &mut HeaderMap, name: Name) {
    let cookie = with_attributes(app, name, "");
    let is_cleared = |line: &HeaderValue| *line == cleared(cookie.clone());
    if !headers.get_all(header::SET_COOKIE).iter().any(is_cleared) {
        return;
    }
    for variant in variants(app, name) {
        if variant.path() == cookie.path() && variant.domain() != cookie.domain() {
            headers.append(header::SET_COOKIE, cleared(variant));
        }
    }
}

fn clear_variants(app: &App, headers: &mut HeaderMap, name: Name) {
    let own = format!("{}=", name.text(app));
    let told: Vec<HeaderValue> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .cloned()
        .collect();
    if !told
        .iter()
        .any(|line| line.as_bytes().starts_with(own.as_bytes()))
    {
        return;
    }
    // Before the lines of the answer: a browser that takes two lines for the same cookie keeps the
    // last one.
    headers.remove(header::SET_COOKIE);
    for variant in variants(app, name)
        .into_iter()
        .map(cleared)
        .filter(|variant| !told.contains(variant))
    {
        headers.append(header::SET_COOKIE, variant);
    }
    for line in told {
        headers.append(header::SET_COOKIE, line);
    }
}

/// Returns the cookie for the host alone and for every domain above it, at each path that cookies
/// are set for. A `__Host-` name has only one variant.
fn variants(app: &App, name: Name) -> Vec<Cookie<'static>> {
    if app.config.is_https() && name.is_for_this_host_alone(app) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let domains = std::iter::once(None).chain(
        CookieDomain::all(&app.config.server.public_url)
            .into_iter()
            .map(Some),
    );
    for domain in domains {
        // Below a path of the host, cookies of the API were set for the inner path before the
        // operator set that path in the public URL, and for the outer one since.
        for path in BTreeSet::from([
            "/".to_owned(),
            app.config.server.base_path.clone(),
            app.config.server.mount.api(),
        ]) {
            let mut cookie = with_attributes(app, name, "");
            match &domain {
                Some(domain) => cookie.set_domain(domain.as_str().to_owned()),
                None => cookie.unset_domain(),
            }
            cookie.set_path(path);
            found.push(cookie);
        }
    }
    found
}
