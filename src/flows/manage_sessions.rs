//! Listing and ending sessions: one's own over HTTP, anybody's on the command line.

use crate::app::App;
use crate::crypto::token::SessionToken;
use crate::model::audit::Peer;
use crate::model::id::{SessionId, UserId};
use crate::model::permission::Action;
use crate::model::session::{RevokedReason, Session};
use crate::store;
use crate::store::sessions::By;
pub use crate::store::sessions::Which;

use super::administer_users;
use super::authority::Authority;
use super::end_session::end;
use super::record::Recorder;
use super::{Error, Result};

/// Sessions that end in one transaction.
const TOGETHER: i64 = 500;

/// The live sessions of a user, newest first; all of them.
pub async fn list(app: &App, user: UserId) -> Result<Vec<Session>> {
    let now = app.now();
    Ok(app.db.read(move |conn| Box::pin(store::sessions::list_live(conn, user, now))).await?)
}

/// Ends one of the owner's sessions, named by its handle or its raw token, and returns its id. `None`: the owner has no such session. The answer to the
/// client is the same in both cases, so that it does not tell which sessions exist.
pub async fn revoke_own(app: &App, owner: UserId, name: &str, peer: &Peer) -> Result<Option<SessionId>> {
    let recorder = Recorder::new(app, peer);
    let handle: Option<SessionId> = name.parse().ok();
    let token = SessionToken::parse(name).map(|t| t.hash());
    let work = app.db.write(move |conn| {
        Box::pin(async move {
            let named = match (handle, token) {
                (Some(id), _) => Some(id),
                (None, Some(hash)) => store::sessions::find_live(conn, &By::TokenHash(hash), conn.now()).await?.map(|f| f.session.id),
                (None, None) => None,
            };
            if let Some(id) = named
                && store::sessions::owner(conn, id).await? == Some(owner)
            {
                end(conn, &recorder, Which::One(id), RevokedReason::Revoked).await?;
                return Ok(Some(id));
            }
            Ok(None)
        })
    });
    Ok(work.await?)
}

/// Ends the sessions of a user, but for one.
pub async fn revoke_of_user(app: &App, user: UserId, except: Option<SessionId>, peer: &Peer) -> Result<usize> {
    revoke(app, Which::OfUser { user, except }, peer).await
}

/// Ends anybody's session by its handle, on an admin's word; one that is not there is none of anybody's concern.
pub async fn revoke_of_somebody(app: &App, by: Authority<'_>, id: SessionId, peer: &Peer) -> Result<()> {
    by.may(app, Action::RevokeSessions)?;
    let owner = app.db.read(move |conn| Box::pin(store::sessions::owner(conn, id))).await?;
    let Some(owner) = owner else { return Ok(()) };
    administer_users::target(app, by, Action::RevokeSessions, owner).await?;
    match revoke(app, Which::One(id), peer).await {
        Ok(_) | Err(Error::SessionNotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Ends sessions and tells how many; `One` that does not exist is an error.
pub async fn revoke(app: &App, which: Which, peer: &Peer) -> Result<usize> {
    let recorder = Recorder::new(app, peer);
    let work = app.db.write(move |conn| Box::pin(async move { end(conn, &recorder, which, RevokedReason::Revoked).await }));
    let ended = work.await?.len();
    if ended == 0 && matches!(which, Which::One(_)) { Err(Error::SessionNotFound) } else { Ok(ended) }
}

/// Ends everybody's sessions and tells how many. A million of them in one transaction would keep every refresh waiting: it is done in pieces,
/// and one that was interrupted is done again.
pub async fn revoke_all(app: &App, peer: &Peer) -> Result<usize> {
    let (mut ended, mut after) = (0, None);
    while let Some(until) = app.db.read(move |conn| Box::pin(store::sessions::end_of_page(conn, after, TOGETHER))).await? {
        let (recorder, which) = (Recorder::new(app, peer), Which::Between { after, until });
        let work = app.db.write(move |conn| Box::pin(async move { end(conn, &recorder, which, RevokedReason::Revoked).await }));
        ended += work.await?.len();
        after = Some(until);
    }
    Ok(ended)
}
