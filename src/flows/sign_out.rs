//! Signing out: every session whose token came with the request ends in the database, and no token of it survives.
//! Always succeeds; signing out twice is no error.

use crate::app::App;
use crate::crypto::token::SessionToken;
use crate::model::audit::Peer;
use crate::model::session::RevokedReason;

use super::Result;
use super::end_session::Ending;
use super::record::Recorder;
use super::sign_in::Presented;

/// Ends the sessions of these tokens; `bearer` is a bare or signed session token.
pub async fn sign_out(app: &App, presented: Presented<'_>, bearer: Option<&str>, peer: &Peer) -> Result<()> {
    let mut sessions = presented.sessions(app);
    sessions.extend(bearer.and_then(|text| super::read_session::session_token(app, text)));
    end(app, &sessions, presented.refresh, RevokedReason::SignOut, peer).await
}

/// RFC 7009: ends the session of this refresh token; anything else is already as good as revoked.
pub async fn revoke_token(app: &App, token: &str, peer: &Peer) -> Result<()> {
    end(app, &[], &[token], RevokedReason::SignOut, peer).await
}

async fn end(app: &App, sessions: &[SessionToken], refresh: &[&str], reason: RevokedReason, peer: &Peer) -> Result<()> {
    let ending = Ending::of(app, sessions, refresh, reason).await?;
    if ending.is_empty() {
        return Ok(());
    }
    let recorder = Recorder::new(app, peer);
    app.db.write(move |conn| Box::pin(async move { ending.run(conn, &recorder).await })).await?;
    Ok(())
}
