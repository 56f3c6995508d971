//! Where the audit chains end, written into the log: a copy outside the database, which shows later
//! whether events were cut off or a chain was taken away. `audit verify --against` reads it.
//!
//! Every process tells the ends of all chains, also those of the command line and of other
//! processes, whose own logs may be kept nowhere.

use std::time::Duration;

use crate::app::App;
use crate::store::{self, work};

use super::read_audit::Known;
use crate::flows::Result;

/// How long after a chain was told it is told again, if it has grown. A chain that is new is told
/// at once.
pub const PAUSE: Duration = Duration::from_secs(900);

/// Chains that have grown in this time are looked at: a connection begins one each half hour, so
/// that there are many old ones.
const RECENT: Duration = Duration::from_secs(2 * 900);
/// The same for the first look of a process: nothing may have told of what was done while no server
/// ran.
const AT_THE_START: Duration = Duration::from_secs(7 * 86_400);

/// Writes the ends that are due into the log.
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

/// The ends that have to be told now; from then on they count as told.
pub async fn due(app: &App, pause: Duration) -> Result<Vec<Known>> {
    let uptime = app.uptime();
    let mut due = Vec::new();
    let since = app.now()
        - if app.told_ends.is_empty() {
            AT_THE_START
        } else {
            RECENT
        };
    // What is forgotten here is no longer looked at, by the time of its last event.
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
        // The time of the event, not of the line: by it the retention explains later that the event
        // is gone.
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
