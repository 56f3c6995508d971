//! The cookies at the beginning and at the end of an impersonation: the admin's own session is set
//! aside, and comes back.

use axum::http::HeaderMap;
use serde_json::Value;

use crate::app::App;
use crate::flows::authenticated::Authenticated;
use crate::flows::session::impersonate;
use crate::flows::session::open_session::SessionTokens;
use crate::http::delivery::session_delivery::deliver;
use crate::http::edge::cookies;
use crate::http::edge::cookies::{Clear, Name};
use crate::model::session::session::Delivery;

/// Sets the admin's own session aside and puts the tokens of the new one into the body or into
/// cookies.
pub(in crate::http) fn begun(
    app: &App,
    who: &Authenticated,
    grant: &SessionTokens,
    answer: &mut Value,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if who.session.delivery == Delivery::Cookie {
        cookies::clear(app, &mut headers, Clear::Session);
        if let Some(own) = impersonate::set_aside(app, who) {
            cookies::set(
                app,
                &mut headers,
                Name::AdminSession,
                &own,
                who.session.remember.then_some(who.session.expires_at),
            );
        }
    }
    deliver(app, grant, answer, &mut headers);
    headers
}

/// Clears the cookies of the impersonation and puts back the tokens of the admin's own session, if
/// there is one to return to.
pub(in crate::http) fn ended(
    app: &App,
    who: &Authenticated,
    grant: Option<&SessionTokens>,
    answer: &mut Value,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if who.session.delivery == Delivery::Cookie {
        cookies::clear(app, &mut headers, Clear::Session);
        cookies::clear_one(app, &mut headers, Name::AdminSession);
    }
    if let Some(grant) = grant {
        deliver(app, grant, answer, &mut headers);
    }
    headers
}
