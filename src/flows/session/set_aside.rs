//! An admin's own session, which is set aside in a cookie of the browser during an impersonation.

use std::collections::BTreeMap;

use crate::app::App;
use crate::crypto::cookie::Purpose;
use crate::crypto::token::SessionToken;
use crate::model::kernel::id::{SessionId, UserId};
use crate::model::session::session::Session;
use crate::store::session::sessions::By;
use crate::store::{self, work};

use super::carried::MOST;
use super::credential;
use crate::flows::Result;

/// Returns the session token in a cookie in which an admin's own session was set aside.
pub(in crate::flows) fn admin_token(app: &App, cookie: &str) -> Option<SessionToken> {
    let marked = credential::open(app, Purpose::AdminSession, cookie)?;
    SessionToken::parse(marked.rsplit_once(':')?.0)
}

/// The live sessions that were set aside in a browser.
pub(in crate::flows) struct SetAside {
    /// The session of the admin who impersonates here. Of several, the one that began last: the
    /// others can only remain from an earlier time.
    pub(in crate::flows) own: Option<Session>,
    /// All others, including those of other admins. Their cookies are cleared when the
    /// impersonation ends, so they end with it.
    pub(in crate::flows) others: Vec<SessionId>,
}

/// Finds which of the sessions that were set aside counts for this admin.
pub(in crate::flows) async fn set_aside(
    app: &App,
    cookies: &[String],
    admin: UserId,
) -> Result<SetAside> {
    let hashes: Vec<_> = cookies
        .iter()
        .filter_map(|cookie| admin_token(app, cookie))
        .map(|token| token.hash())
        .take(MOST)
        .collect();
    let now = app.now();
    let work = app.db.read(work!(conn => {
        let mut found: BTreeMap<SessionId, Session> = BTreeMap::new();
        for hash in hashes {
            let live =
                store::session::sessions::find_live(conn, &By::TokenHash(hash), now).await?;
            found.extend(live.map(|live| (live.session.id, live.session)));
        }
        Ok(found)
    }));
    let mut found = work.await?;
    // Ids begin with the time at which they were made.
    let newest = found
        .values()
        .rfind(|session| session.user_id == admin)
        .map(|session| session.id);
    let own = newest.and_then(|id| found.remove(&id));
    Ok(SetAside {
        own,
        others: found.into_keys().collect(),
    })
}
