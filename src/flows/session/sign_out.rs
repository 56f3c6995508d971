//! Signs out: every session whose token came with the request ends in the database, and with it all
//! of its tokens. Signing out twice is not an error.

use crate::app::App;
use crate::crypto::token::SessionToken;
use crate::model::audit::event::Requester;
use crate::model::session::session::RevokedReason;

use super::credential::{is_jwt, session_of_access_token, session_token};
use super::end_session::SessionRevocation;
use crate::flows::session::presented::Presented;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// Ends the sessions of the cookies, and of each of these tokens: a session token, bare or signed,
/// an access token or a refresh token.
///
/// # Errors
///
/// [`Error::Unauthorized`] if none of them names a session of this service, so nothing ended.
pub async fn sign_out(
    app: &App,
    presented: Presented<'_>,
    tokens: &[&str],
    requester: &Requester,
) -> Result<()> {
    let (sessions, refreshes) = (presented.sessions(app), presented.refresh.to_vec());
    if end(app, sessions, refreshes, tokens, requester).await? {
        Ok(())
    } else {
        Err(Error::Unauthorized)
    }
}

/// Ends the session of this token of any kind, as RFC 7009 defines it; an unknown token counts as
/// revoked.
pub async fn revoke_token(app: &App, token: &str, requester: &Requester) -> Result<()> {
    end(app, Vec::new(), Vec::new(), &[token], requester)
        .await
        .map(|_| ())
}

async fn end<'t>(
    app: &App,
    mut sessions: Vec<SessionToken>,
    mut refreshes: Vec<&'t str>,
    tokens: &[&'t str],
    requester: &Requester,
) -> Result<bool> {
    let mut by_access_token = Vec::new();
    for text in tokens {
        match session_token(app, text) {
            Some(token) => sessions.push(token),
            None if is_jwt(text) => {
                by_access_token.extend(session_of_access_token(app, text, app.now()));
            }
            None => refreshes.push(text),
        }
    }
    let ending = SessionRevocation::of(app, &sessions, &refreshes, RevokedReason::SignOut)
        .await?
        .and_sessions(by_access_token);
    if ending.is_empty() {
        return Ok(false);
    }
    app.transaction(requester, tx!(tx => ending.run(tx).await))
        .await
}
