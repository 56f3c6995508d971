//! Extractors for pages: a visitor who is not signed in is redirected to the sign-in page, and a
//! form that changes something for a signed-in user must contain the token of that session.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::flows::authenticated::Authenticated;
use crate::flows::session::form_token;
use crate::flows::session::read_session::Accepts;
use crate::model::audit::event::Requester;

use super::page::Page;
use super::paths::{page_of, with_next};
use super::typed;
use crate::flows::account::typed::Typed;
use crate::http::delivery::session_delivery::renewed;
use crate::http::edge::body::{Fields, Submitted};
use crate::http::edge::cookies;
use crate::http::edge::cookies::Name;
use crate::http::edge::credentials::{Acting, Credentials};
use crate::http::edge::error::Error;
pub(super) use crate::http::edge::header_text::see_other;
use crate::http::edge::limits::MAX_ID;
use crate::http::edge::redirects::query_of;

/// The longest name or email address that is shown again, in characters.
const MAX_SHOWN: usize = 256;

/// The session whose idle end the request has just written, if it did: its cookie is set again,
/// whatever the page answers.
#[derive(Clone, Default)]
pub(super) struct Renewed(Arc<Mutex<Option<Authenticated>>>);

impl Renewed {
    fn note(&self, who: &Authenticated) {
        if who.renewed_cookie.is_some() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(who.clone());
        }
    }

    /// Adds the cookie, unless the answer sets or clears cookies of a session itself.
    pub(super) fn put(&self, app: &App, response: &mut Response) {
        let mut lines = response.headers().get_all(header::SET_COOKIE).iter();
        let is_free = lines.all(|line| cookies::is_line_of(app, line, Name::Typed));
        if let Some(who) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
            && is_free
        {
            // `extend` would replace the lines of the answer.
            for (name, value) in &renewed(app, &who) {
                response.headers_mut().append(name, value.clone());
            }
        }
    }
}

/// The signed-in user, or `None`.
pub(super) struct MaybeSignedIn(pub(super) Option<Authenticated>);

impl FromRequestParts<Arc<App>> for MaybeSignedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let credentials = Credentials::from_request_parts(parts, app)
            .await
            .unwrap_or_default();
        let Some(Ok(who)) = credentials
            .authenticate(app, Accepts::SessionTokenOnly)
            .await?
        else {
            return Ok(Self(None));
        };
        if let Some(renewed) = parts.extensions.get::<Renewed>() {
            renewed.note(&who);
        }
        Ok(Self(Some(who)))
    }
}

/// The signed-in user, and the frame of a page for them.
pub(super) struct SignedIn {
    pub(super) who: Authenticated,
    pub(super) requester: Requester,
    pub(super) page: Page,
}

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let Ok(page) = Page::from_request_parts(parts, app).await;
        match Acting::from_request_parts(parts, app).await {
            Ok(Acting { who, requester }) => {
                if let Some(renewed) = parts.extensions.get::<Renewed>() {
                    renewed.note(&who);
                }
                Ok(Self {
                    page: page.of(&who),
                    who,
                    requester,
                })
            }
            Err(error) if error.status() == StatusCode::UNAUTHORIZED => {
                Err(sign_in_first(app, parts, &error))
            }
            Err(error) => Err(error.into_response()),
        }
    }
}

/// Redirects to the sign-in page and from there back here; the cookies of a session that has ended
/// are cleared on the way. After a form the sign-in page says that the session has ended, and leads
/// back to the page of the form.
fn sign_in_first(app: &App, parts: &Parts, error: &Error) -> Response {
    let mount = &app.config.server.mount;
    let target = if parts.method == Method::GET {
        let back = parts.uri.path_and_query();
        let back = back.map(|back| mount.outside(back.as_str()).into_owned());
        format!("/auth/sign-in{}", query_of(&back.unwrap_or_default()))
    } else {
        match page_of(parts.uri.path()).as_str() {
            // Only the form that signs out stands on every page.
            "/auth" => "/auth/sign-in?done=signed_out".to_owned(),
            page => with_next("/auth/sign-in?done=ended", &mount.outside(page)),
        }
    };
    let mut response = see_other(&target);
    if let Error::SessionOver { clearing, .. } = error {
        response.headers_mut().extend(clearing.clone());
    }
    response
}

/// A form of a signed-in user, with a valid token.
pub(super) struct SignedForm {
    pub(super) visitor: SignedIn,
    pub(super) fields: Fields,
}

impl FromRequest<Arc<App>> for SignedForm {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = SignedIn::from_request_parts(&mut parts, app).await?;
        let Submitted(fields) = Submitted::from_request(Request::from_parts(parts, body), app)
            .await
            .map_err(IntoResponse::into_response)?;
        if fields.has_token(|token| form_token::is_good(app, visitor.who.session.id, token)) {
            Ok(Self { visitor, fields })
        } else {
            Err(Error::InvalidFormToken.into_response())
        }
    }
}

/// A form of one's own account page. Unlike a [`SignedForm`] it is read even if its token is not
/// valid, so that it can be shown again with what was typed, and if the session has ended, so that
/// it can be shown after the next sign-in.
pub(super) struct OwnForm {
    pub(super) visitor: SignedIn,
    pub(super) fields: Fields,
    /// Whether the token is not valid: nothing may be changed.
    pub(super) is_stale: bool,
}

impl FromRequest<Arc<App>> for OwnForm {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = SignedIn::from_request_parts(&mut parts, app).await;
        let sent = Submitted::from_request(Request::from_parts(parts, body), app).await;
        match (visitor, sent) {
            (Ok(visitor), Ok(Submitted(fields))) => {
                let session = visitor.who.session.id;
                let is_stale = !fields.has_token(|token| form_token::is_good(app, session, token));
                Ok(Self {
                    visitor,
                    fields,
                    is_stale,
                })
            }
            (Ok(_), Err(error)) => Err(error.into_response()),
            (Err(mut response), Ok(Submitted(fields))) => {
                let form = Typed {
                    email: String::new(),
                    user: fields.as_typed("user", MAX_ID),
                    name: fields.as_typed("name", MAX_SHOWN),
                    new_email: fields.as_typed("email", MAX_SHOWN),
                };
                if response.status() == StatusCode::SEE_OTHER && form.has_account_form() {
                    typed::keep(app, &form, response.headers_mut());
                }
                Err(response)
            }
            (Err(response), Err(_)) => Err(response),
        }
    }
}
