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
use crate::http::delivery::session_delivery::renewed;
use crate::http::edge::body::{Fields, Submitted};
use crate::http::edge::credentials::{Acting, Credentials};
use crate::http::edge::error::Error;
pub(super) use crate::http::edge::header_text::see_other;
use crate::http::edge::redirects::query_of;

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

    /// Adds the cookie, unless the answer sets or clears cookies itself.
    pub(super) fn put(&self, app: &App, response: &mut Response) {
        if let Some(who) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
            && !response.headers().contains_key(header::SET_COOKIE)
        {
            response.headers_mut().extend(renewed(app, &who));
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
/// are cleared on the way.
fn sign_in_first(app: &App, parts: &Parts, error: &Error) -> Response {
    let back = parts
        .uri
        .path_and_query()
        .filter(|_| parts.method == Method::GET)
        .map(|back| app.config.server.mount.outside(back.as_str()).into_owned());
    let mut response = see_other(&format!(
        "/auth/sign-in{}",
        query_of(&back.unwrap_or_default())
    ));
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
