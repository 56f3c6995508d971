//! Signing out: every session whose token came with the request ends in the database, and no token of it survives. Signing out twice is no error.

use crate::app::App;
use crate::crypto::token::SessionToken;
use crate::model::audit::Peer;
use crate::model::session::RevokedReason;

use super::end_session::Ending;
use super::read_session::{is_jwt, session_of_access_token, session_token};
use super::record::Recorder;
use super::sign_in::Presented;
use super::{Error, Result};

/// Ends the sessions of the cookies, of the Bearer credential (a session token, bare or signed, an access token or a refresh token) and of the refresh token
/// of a body.
///
/// # Errors
///
/// [`Error::Unauthorized`]: none of them names a session of ours, so nothing ended.
pub async fn sign_out(app: &App, presented: Presented<'_>, bearer: Option<&str>, refresh_token: Option<&str>, peer: &Peer) -> Result<()> {
    let mut sessions = presented.sessions(app);
    let mut refreshes = presented.refresh.to_vec();
    refreshes.extend(refresh_token);
    let mut by_access_token = None;
    if let Some(text) = bearer {
        match session_token(app, text) {
            Some(token) => sessions.push(token),
            None if is_jwt(text) => by_access_token = session_of_access_token(app, text, app.now()),
            None => refreshes.push(text),
        }
    }
    let ending = Ending::of(app, &sessions, &refreshes, RevokedReason::SignOut).await?.and_session(by_access_token);
    if end(app, ending, peer).await? { Ok(()) } else { Err(Error::Unauthorized) }
}

/// RFC 7009: ends the session of this refresh token; anything else is already as good as revoked.
pub async fn revoke_token(app: &App, token: &str, peer: &Peer) -> Result<()> {
    let none: [SessionToken; 0] = [];
    end(app, Ending::of(app, &none, &[token], RevokedReason::SignOut).await?, peer).await.map(|_| ())
}

async fn end(app: &App, ending: Ending, peer: &Peer) -> Result<bool> {
    if ending.is_empty() {
        return Ok(false);
    }
    let recorder = Recorder::new(app, peer);
    Ok(app.db.write(move |conn| Box::pin(async move { ending.run(conn, &recorder).await })).await?)
}
