//! The common part of every page: language, name, the signed-in user, and security headers.

use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows::account::typed::Typed;
use crate::flows::authenticated::Authenticated;
use crate::flows::permit::{Grantable, to};
use crate::flows::session::form_token;
use crate::model::kernel::locale::Messages;
use crate::model::kernel::origin::origin_of;
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::Session;

use super::{assets, typed};
use crate::http::edge::client::{accept_language, user_agent};
use crate::http::edge::error::{Error, Failure};
use crate::http::edge::header_text;
use crate::http::edge::limits::MAX_CODE;
use crate::http::edge::outermost::RequestId;
use crate::http::edge::query::Query;

/// The frame of one page.
pub(in crate::http) struct Page {
    pub(super) app: Arc<App>,
    pub(super) words: Arc<Messages>,
    /// Browser and system of the visitor in words; empty if nothing of it is recognised.
    pub(super) device: String,
    path: String,
    /// The id of the request in the log.
    pub(super) request_id: String,
    who: Option<Box<Authenticated>>,
    notice: String,
    /// What the visitor typed into the form before.
    pub(super) typed: Typed,
}

impl FromRequestParts<Arc<App>> for Page {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Self, Self::Rejection> {
        let path = parts.uri.path().to_owned();
        let words = words(app, &parts.headers);
        let Ok(query) = Query::from_request_parts(parts, app).await;
        let key = query
            .no_longer_than("done", MAX_CODE)
            .filter(|done| done.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
            .map(|done| format!("done.{done}"));
        // After an error, no message of success is shown.
        let key = key.filter(|_| !query.has("error"));
        let notice = key
            .and_then(|key| words.find(&key).map(ToOwned::to_owned))
            .unwrap_or_default();
        let request_id = parts
            .extensions
            .get::<RequestId>()
            .map(|id| id.0.clone())
            .unwrap_or_default();
        let device = words.device(&user_agent(&parts.headers));
        Ok(Self {
            app: Arc::clone(app),
            words,
            device: device.unwrap_or_default(),
            path,
            request_id,
            who: None,
            notice,
            typed: typed::read(app, &parts.headers),
        })
    }
}

/// Returns the texts in the available language that the browser prefers.
fn words(app: &App, headers: &HeaderMap) -> Arc<Messages> {
    let locales = &app.config.pages.locales;
    locales.of(locales.preferred(&accept_language(headers)))
}

/// The signed-in user; forms of the page are bound to this session.
impl Page {
    pub(super) fn of(self, who: &Authenticated) -> Self {
        Self {
            who: Some(Box::new(who.clone())),
            ..self
        }
    }

    /// Renders the page as an answer. `leads_to` is the URL that its form finally redirects to,
    /// which the Content-Security-Policy has to name.
    pub(super) fn answer(template: &impl Template, status: StatusCode, leads_to: &str) -> Response {
        Self::answer_to(template, status, &[leads_to])
    }

    /// Renders the page as an answer, if its form may redirect to any of several URLs.
    pub(super) fn answer_to(
        template: &impl Template,
        status: StatusCode,
        leads_to: &[&str],
    ) -> Response {
        let Ok(body) = template.render() else {
            return Error::Internal("a page does not render".into()).into_response();
        };
        let mut response = status.into_response();
        put(&mut response, body, leads_to);
        response
    }

    /// Renders the page as the answer to an error: its status, its `Retry-After`, its log line.
    pub(super) fn refuse(template: &impl Template, error: Error, leads_to: &str) -> Response {
        let Ok(body) = template.render() else {
            return Error::Internal("a page does not render".into()).into_response();
        };
        let mut response = error.into_response();
        put(&mut response, body, &[leads_to]);
        response
    }
}

/// Writes a complete body, which no outer layer replaces.
pub(super) fn put(response: &mut Response, body: String, leads_to: &[&str]) {
    const RULES: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";
    let mut policy = RULES.to_owned();
    let mut origins: Vec<String> = leads_to.iter().filter_map(|url| origin_of(url)).collect();
    origins.sort();
    origins.dedup();
    for origin in &origins {
        policy.push(' ');
        // A source of a policy has a host, or is only a scheme.
        policy.push_str(origin.strip_suffix("//").unwrap_or(origin));
    }
    let policy = header_text::value(&policy);
    if let Some(failure) = response.extensions_mut().get_mut::<Failure>() {
        failure.shown = true;
    }
    *response.body_mut() = body.into();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    // With `no-referrer` a browser would post a form with the origin `null`.
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    // A page that opened this window, or that this window opens, cannot access it.
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(
        header::VARY,
        HeaderValue::from_static("accept-language, cookie"),
    );
}

/// Methods for the templates.
impl Page {
    pub(in crate::http) fn t<'a>(&'a self, key: &'a str) -> &'a str {
        self.words.text(key)
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "templates hand over what they have"
    )]
    pub(in crate::http) fn with(&self, key: &str, name: &str, value: impl ToString) -> String {
        self.words.with(key, name, &value.to_string())
    }

    /// Returns the text for a code, if the catalogue has one.
    pub(super) fn meaning(&self, code: &str) -> Option<&str> {
        self.words.find(&format!("error.{code}"))
    }

    pub(super) fn lang(&self) -> &str {
        self.words.language()
    }

    pub(super) fn name(&self) -> &str {
        self.app
            .config
            .pages
            .name
            .as_ref()
            .unwrap_or(&self.app.config.mail.app_name)
            .as_str()
    }

    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(super) fn style(&self) -> String {
        assets::style()
    }

    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(super) fn script(&self) -> String {
        assets::script()
    }

    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(super) fn passkey_script(&self) -> String {
        assets::passkey_script()
    }

    pub(super) fn has_logo(&self) -> bool {
        self.app.config.pages.logo.is_some()
    }

    pub(super) fn who(&self) -> Option<&str> {
        self.who.as_ref().map(|who| who.user.email.as_str())
    }

    /// Returns the session of the user, unless an admin acts as the user in it.
    pub(super) fn own_session(&self) -> Option<&Session> {
        let session = self.who.as_ref().map(|who| &who.session);
        session.filter(|session| session.impersonated_by.is_none())
    }

    pub(super) fn notice(&self) -> &str {
        &self.notice
    }

    /// Returns the token that binds a form to the session.
    pub(super) fn csrf(&self) -> String {
        self.who
            .as_ref()
            .and_then(|who| form_token::of(&self.app, who.session.id))
            .unwrap_or_default()
    }

    /// Returns whether the user has a permission, however long ago the password was proven.
    pub(super) fn holds(&self, permission: &str) -> bool {
        self.who
            .as_ref()
            .is_some_and(|who| who.powers.holds(permission))
    }

    /// Returns whether an admin impersonates this user.
    pub(super) fn is_acted(&self) -> bool {
        self.who
            .as_ref()
            .is_some_and(|who| who.session.impersonated_by.is_some())
    }

    /// Returns the links of the navigation for this user.
    pub(super) fn navigation(&self) -> Vec<(&'static str, &'static str)> {
        if self.who.is_none() {
            return Vec::new();
        }
        let console = [
            (to::ListUsers::ACTION, "/auth/admin/users", "users.title"),
            (to::ListKeys::ACTION, "/auth/admin/keys", "keys.title"),
            (to::ReadAudit::ACTION, "/auth/admin/audit", "audit.title"),
        ];
        let allowed = console
            .into_iter()
            .filter(|(action, _, _)| self.holds(action.permission()))
            .map(|(_, path, key)| (path, key));
        std::iter::once(("/auth/account", "account.title"))
            .chain(allowed)
            .collect()
    }

    pub(super) fn is_here(&self, path: &str) -> bool {
        self.path.starts_with(path)
    }
}

/// Returns a time as an element that a script can convert to the reader's time zone.
pub(super) fn moment(at: Timestamp) -> String {
    at.to_utc().map_or_else(String::new, |utc| {
        format!(
            "<time datetime=\"{}\">{}</time>",
            utc.format("%Y-%m-%dT%H:%M:%SZ"),
            utc.format("%Y-%m-%d %H:%M UTC")
        )
    })
}
