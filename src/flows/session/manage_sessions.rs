//! Lists and ends sessions: one's own over HTTP, those of any user on the command line.

use crate::app::App;
use crate::crypto::token::SessionToken;
use crate::model::audit::event::{Kind, Requester};
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::{RevokedReason, Session};
use crate::store::audit::events::Filter;

pub use crate::store::session::endings::{Ended, Which};

pub use crate::store::session::list_sessions::Page;
use crate::store::session::sessions::By;
use crate::store::{self, work};

use super::end_session::{SessionRevocation, end};
use crate::flows::authenticated::Authenticated;
use crate::flows::permit::{OnBehalf, Permitted, to};
use crate::flows::session::presented::Presented;
use crate::flows::transaction::tx;
use crate::flows::{Error, Result};

/// The default and the greatest number of sessions in a page.
pub const PAGE: i64 = 100;

/// The first page of a user's sessions.
pub const FIRST: Page = Page {
    limit: PAGE,
    before: None,
    own: false,
};

/// Lists a page of one's own live sessions, newest first; at most [`PAGE`].
pub async fn list_own(app: &App, who: &Authenticated, page: Page) -> Result<Vec<Session>> {
    list(app, who.user.id, page).await
}

/// Lists a page of the live sessions of any user, newest first; at most [`PAGE`].
pub async fn list_of_user(
    app: &App,
    _: Permitted<'_, to::ListSessions>,
    user: UserId,
    page: Page,
) -> Result<Vec<Session>> {
    list(app, user, page).await
}

/// Returns the number of live sessions of any user.
pub async fn count_of_user(
    app: &App,
    _: Permitted<'_, to::ListSessions>,
    user: UserId,
) -> Result<u64> {
    let now = app.now();
    let count = app
        .db
        .read(work!(conn => store::session::list_sessions::count_live(conn, user, now).await))
        .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Returns when any user last signed in: by the sessions that are stored, otherwise by the audit
/// trail; `None` if neither reaches back so far.
pub async fn last_sign_in(
    app: &App,
    _: Permitted<'_, to::ListSessions>,
    user: UserId,
) -> Result<Option<Timestamp>> {
    let recorded = Filter {
        subject: Some(user.to_string()),
        kind: Some(Kind::SignedIn.as_str().to_owned()),
        ..Filter::default()
    };
    Ok(app
        .db
        .read(work!(conn => {
            if let Some(last) = store::session::list_sessions::last_sign_in(conn, user).await? {
                return Ok(Some(last));
            }
            let last = store::audit::events::list(conn, &recorded, 1).await?;
            Ok(last.first().map(|event| event.at))
        }))
        .await?)
}

/// Reads a page of live sessions.
pub(in crate::flows) async fn list(app: &App, user: UserId, page: Page) -> Result<Vec<Session>> {
    let (now, page) = (
        app.now(),
        Page {
            limit: page.limit.clamp(1, PAGE),
            ..page
        },
    );
    Ok(app
        .db
        .read(work!(conn => store::session::list_sessions::list_live(conn, user, &page, now).await))
        .await?)
}

/// The session of a request, and every token that came with it.
#[derive(Clone, Copy)]
pub struct Here<'r> {
    /// The caller, who ends sessions of the account.
    pub who: OnBehalf<'r, to::RevokeSessions>,
    /// The cookies of the request, including those of an admin who impersonates the user.
    pub carried: Presented<'r>,
}

impl Here<'_> {
    /// Returns what ends with the session of the request: every other session that its cookies
    /// name.
    async fn ending(&self, app: &App) -> Result<SessionRevocation> {
        SessionRevocation::of(
            app,
            &self.carried.sessions(app),
            self.carried.refresh,
            RevokedReason::Revoked,
        )
        .await
    }
}

/// Ends one of the caller's own sessions, named by its id or its raw token. Returns whether it was
/// the session of the request: then every session that the cookies of the request name ends, as at
/// a sign-out. Whether the named session existed is not revealed, so that no answer shows which
/// sessions exist.
pub async fn revoke_own(
    app: &App,
    here: Here<'_>,
    name: &str,
    requester: &Requester,
) -> Result<bool> {
    let carried = here.ending(app).await?;
    let (owner, own) = (here.who.user.id, here.who.session.id);
    let handle: Option<SessionId> = name.parse().ok();
    let token = SessionToken::parse(name).map(|t| t.hash());
    let work = tx!(tx => {
        let now = tx.now();
        let named = match (handle, token) {
            (Some(id), _) => Some(id),
            (None, Some(hash)) => {
                store::session::sessions::find_live(tx.conn, &By::TokenHash(hash), now)
                    .await?
                    .map(|found| found.session.id)
            }
            (None, None) => None,
        };
        let Some(id) = named else { return Ok(false) };
        if store::session::list_sessions::owner(tx.conn, id).await? != Some(owner) {
            return Ok(false);
        }
        if id == own {
            carried.run(tx).await?;
        }
        end(tx, Which::One(id), RevokedReason::Revoked).await?;
        Ok(id == own)
    });
    app.transaction(requester, work).await
}

/// Ends all of the caller's own sessions, and every session that the cookies of the request name.
pub async fn revoke_all_own(app: &App, here: Here<'_>, requester: &Requester) -> Result<()> {
    let (carried, user) = (here.ending(app).await?, here.who.user.id);
    app.transaction(
        requester,
        tx!(tx => {
            carried.run(tx).await?;
            let all = Which::OfUser { user, except: None };
            end(tx, all, RevokedReason::Revoked).await?;
            Ok(())
        }),
    )
    .await
}

/// Ends the caller's own sessions, except that of the request.
pub async fn revoke_other_own(
    app: &App,
    who: OnBehalf<'_, to::RevokeSessions>,
    requester: &Requester,
) -> Result<Ended> {
    let which = Which::OfUser {
        user: who.user.id,
        except: Some(who.session.id),
    };
    end_all(app, which, requester).await
}

/// Ends every session of any user.
pub async fn revoke_of_user(
    app: &App,
    permitted: Permitted<'_, to::RevokeSessions>,
    user: UserId,
    requester: &Requester,
) -> Result<Ended> {
    let on = permitted.on_user(app, user).await?;
    let which = Which::OfUser {
        user: on.target().id,
        except: None,
    };
    end_all(app, which, requester).await
}

/// Ends the session of any user by its id. An unknown id is not an error.
pub async fn revoke_by_id(
    app: &App,
    permitted: Permitted<'_, to::RevokeSessions>,
    id: SessionId,
    requester: &Requester,
) -> Result<()> {
    let owner = app
        .db
        .read(work!(conn => store::session::list_sessions::owner(conn, id).await))
        .await?;
    let Some(owner) = owner else { return Ok(()) };
    let _on = permitted.on_user(app, owner).await?;
    match end_all(app, Which::One(id), requester).await {
        Ok(_) | Err(Error::SessionNotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns how many sessions in force of a user began at `since` or later: the user's own, and those
/// in which the user impersonates another one; counts up to [`PAGE`].
pub async fn count_since(
    app: &App,
    _: Permitted<'_, to::EndAnySession>,
    user: UserId,
    since: Timestamp,
) -> Result<usize> {
    let found = app.db.read(
        work!(conn => store::session::list_sessions::begun_since(conn, user, since, PAGE).await),
    );
    Ok(found.await?.len())
}

/// Ends those sessions of a user that began at `since` or later, as [`count_since`] names them, and
/// returns how many. Each has an event of its own. They end in pieces of [`PAGE`].
pub async fn revoke_since(
    app: &App,
    _: Permitted<'_, to::EndAnySession>,
    user: UserId,
    since: Timestamp,
    requester: &Requester,
) -> Result<usize> {
    let mut total = 0;
    loop {
        let piece = tx!(tx => {
            let found =
                store::session::list_sessions::begun_since(tx.conn, user, since, PAGE).await?;
            let mut ended = 0;
            for id in &found {
                // An impersonation that began in a session of the list has ended with it.
                ended += end(tx, Which::One(*id), RevokedReason::Revoked)
                    .await?
                    .marked
                    .len();
            }
            Ok((found.len(), ended))
        });
        let (found, ended) = app.transaction(requester, piece).await?;
        total += ended;
        if i64::try_from(found).is_ok_and(|found| found < PAGE) {
            return Ok(total);
        }
    }
}

/// Ends sessions; `One` that does not exist is an error. `Everybody` also ends every link that was
/// sent in a mail.
pub async fn revoke(
    app: &App,
    _: Permitted<'_, to::EndAnySession>,
    which: Which,
    requester: &Requester,
) -> Result<Ended> {
    end_all(app, which, requester).await
}

async fn end_all(app: &App, which: Which, requester: &Requester) -> Result<Ended> {
    app.transaction(
        requester,
        tx!(tx => {
            let ended = end(tx, which, RevokedReason::Revoked).await?;
            if ended.is_empty() && matches!(which, Which::One(_)) {
                Err(Error::SessionNotFound)
            } else {
                Ok(ended)
            }
        }),
    )
    .await
}
