//! Logs where the audit chains end. The log is a copy outside the database, which shows later
//! whether events were cut off or a chain was removed. `audit verify --against` reads it.
//!
//! Every process logs the ends of all chains, including those of the command line and of other
//! processes, whose own logs may not be kept.

use std::time::Duration;

use crate::app::App;
use crate::store::{self, work};

use super::read_audit::Known;
use crate::flows::Result;

/// How long after a chain's end was logged it is logged again, if the chain has grown. A new chain
/// is logged at once.
pub const PAUSE: Duration = Duration::from_secs(900);

/// Chains that have grown within this time are checked: a connection begins a new one every half
/// hour, so there are many old ones.
const RECENT: Duration = Duration::from_secs(2 * 900);
/// The same for the first check of a process: nothing may have logged what was done while no server
/// was running.
const AT_THE_START: Duration = Duration::from_secs(7 * 86_400);

/// Logs the ends that are due.
pub async fn tell(app: &App, pause: Duration) -> Result<()> {
    for Known {
        writer,
        sequence,
        link,
        at,
    } in due(app, pause).await?
    {
        tracing::info!(
            writer,
            sequence,
            link,
            at = at.map(tracing::field::display),
            "audit chain end"
        );
    }
    Ok(())
}

/// Returns the ends that are to be logged now, and marks them as logged.
pub async fn due(app: &App, pause: Duration) -> Result<Vec<Known>> {
    let uptime = app.uptime();
    let mut due = Vec::new();
    let since = app.now()
        - if app.told_ends.is_empty() {
            AT_THE_START
        } else {
            RECENT
        };
    // By the time of its last event, a chain that is forgotten here is not checked any more.
    app.told_ends.forget(uptime, AT_THE_START);
    for (writer, sequence, link) in app
        .db
        .read(work!(conn => store::audit::chains::ends(conn, since).await))
        .await?
    {
        if !app.told_ends.is_due(&writer, sequence, uptime, pause) {
            continue;
        }
        let of = writer.clone();
        let last = app
            .db
            .read(work!(conn => store::audit::events::of_writer(conn, &of, sequence - 1, 1).await))
            .await?;
        // The time of the event, not of the log line: from it, the retention explains later why the
        // event is missing.
        let at = last
            .into_iter()
            .find(|(entry, _)| entry.sequence == sequence)
            .map(|(entry, _)| entry.at);
        due.push(Known {
            writer,
            sequence,
            link,
            at,
        });
    }
    Ok(due)
}
