//! Logs what the command line has changed beside this server, so that its log explains why a session
//! ended or a key was replaced. The audit trail is read every few seconds: another process wrote
//! these events.

use std::time::Duration;

use crate::app::App;
use crate::model::audit::event::Entry;
use crate::store::{self, work};

use crate::flows::Result;

/// How far back each check reads: longer than the time between two checks and that between the time
/// of an event and its commit.
const BACK: Duration = Duration::from_secs(60);

/// The number of events that are read at once.
const PAGE: i64 = 1_000;

/// Logs the changes that are new since the last check.
pub async fn tell(app: &App) -> Result<()> {
    for change in new_changes(app).await? {
        tracing::info!(
            event = change.id,
            kind = change.kind,
            actor = change.actor,
            subject = change.subject,
            session = change.session,
            detail = change.detail,
            "changed by the command line"
        );
    }
    Ok(())
}

/// Returns the changes that are new since the last call, oldest first, and marks them as logged. The
/// first call of a process returns none: what was changed before its start is in the audit trail.
pub async fn new_changes(app: &App) -> Result<Vec<Entry>> {
    let (mut recent, mut after) = (Vec::new(), (app.now() - BACK, String::new()));
    loop {
        let place = after.clone();
        let page = app
            .db
            .read(work!(conn => store::audit::events::of_command_line(conn, &place, PAGE).await))
            .await?;
        let is_last = i64::try_from(page.len()).is_ok_and(|count| count < PAGE);
        recent.extend(page);
        match recent.last() {
            Some(last) if !is_last => after = (last.at, last.id.clone()),
            _ => return Ok(app.told_changes.take_new(recent)),
        }
    }
}
