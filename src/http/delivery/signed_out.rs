//! Ending every session whose token a request carries, and clearing the cookies of them.

use super::session_delivery::Replaced;
use crate::app::App;
use crate::flows;
use crate::flows::session::sign_out;
use crate::http::edge::cookies::Clear;
use crate::http::edge::credentials::Credentials;
use crate::http::edge::error::Error;
use crate::model::audit::event::Requester;
use axum::http::HeaderMap;

/// Ends every session whose token the request contains, and clears all of their cookies.
pub(in crate::http) async fn end_all(
    app: &App,
    credentials: &Credentials,
    in_body: &[String],
    requester: &Requester,
) -> Result<HeaderMap, Error> {
    let replaced = Replaced::of(credentials);
    let tokens: Vec<&str> = credentials
        .bearer
        .iter()
        .chain(in_body)
        .map(String::as_str)
        .collect();
    match sign_out::sign_out(app, replaced.borrow(), &tokens, requester).await {
        // A named token that ends nothing is not a success. A browser that names none has signed
        // out before, and its remaining cookies are cleared.
        Err(flows::Error::Unauthorized) if !tokens.is_empty() || credentials.unreadable => {
            return Err(Error::InvalidToken);
        }
        Err(flows::Error::Unauthorized) if credentials.from_browser => {}
        outcome => outcome?,
    }
    Ok(replaced.cleared(app, Clear::Session))
}

/// Returns the lines that clear cookies after the session of the request has ended itself: every
/// session that the cookies name ends with it, as at a sign-out.
pub(in crate::http) async fn left(
    app: &App,
    ended_itself: bool,
    credentials: &Credentials,
    requester: &Requester,
) -> Result<HeaderMap, Error> {
    if ended_itself {
        end_all(app, credentials, &[], requester).await
    } else {
        Ok(HeaderMap::new())
    }
}
