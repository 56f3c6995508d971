//! When the sessions of a user were last used, for admins. A session as its client sees it does not
//! change with a refresh, so that it does not reveal the schedule.

use std::collections::HashMap;

use crate::app::App;
use crate::flows::Result;
use crate::flows::permit::{Permitted, to};
use crate::model::kernel::id::SessionId;
use crate::model::kernel::time::Timestamp;
use crate::model::session::session::Session;
use crate::store::{self, work};

/// Returns when each of these sessions of one user was last refreshed, or extended by its cookie, in
/// their order.
pub async fn last_uses(
    app: &App,
    _: Permitted<'_, to::ListSessions>,
    sessions: &[Session],
) -> Result<Vec<Timestamp>> {
    let Some(oldest) = sessions.iter().min_by_key(|session| session.id) else {
        return Ok(Vec::new());
    };
    let (user, oldest) = (oldest.user_id, oldest.id);
    let known: HashMap<SessionId, Timestamp> = app
        .db
        .read(work!(conn => store::session::list_sessions::last_uses(conn, user, oldest).await))
        .await?
        .into_iter()
        .collect();
    let last = |session: &Session| {
        known
            .get(&session.id)
            .copied()
            .unwrap_or(session.updated_at)
    };
    Ok(sessions.iter().map(last).collect())
}
