//! Repeats what a database has lost by being restored to an earlier state (a failover, a backup),
//! from an export of the audit trail that was kept elsewhere: sign-outs, revocations, bans, roles,
//! deletions, blocks. What the audit trail does not contain (passwords, email addresses, new
//! accounts) cannot be repeated and is reported.
//!
//! The export is checked first, and a decision that was made after the lost one stands. Each event
//! that was handled is recorded with its id, so that a second run does nothing more.

use crate::app::App;
use crate::model::audit::chain::Fault;
use crate::model::audit::event::{Kind, Requester};
use crate::model::audit::lost_event::Deed;

pub use crate::model::audit::lost_event::Exported;
use crate::model::kernel::id::UserId;
use crate::model::kernel::time::Timestamp;

use crate::flows::Result;
use crate::flows::permit::{Permitted, to};
use crate::flows::reapply::lost_events;

pub use crate::flows::reapply::reapply_deed::Outcome;
use crate::flows::reapply::reapply_deed::carry_out;
use crate::flows::transaction::recorder::detail;
use crate::flows::transaction::tx;

/// One lost event and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When the event happened.
    pub at: Timestamp,
    /// The kind of the event.
    pub kind: String,
    /// The user whom it concerned.
    pub subject: Option<UserId>,
    /// What was done about it.
    pub outcome: Outcome,
}

/// The result of reapplying an export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reapplied {
    /// The faults of the export; if there are any, nothing was done.
    pub faults: Vec<Fault>,
    /// The lost events, oldest first.
    pub lines: Vec<Line>,
}

/// Repeats the lost events of an export in the order in which they happened. With `dry_run` it only
/// reports what it would do.
pub async fn reapply(
    app: &App,
    _: Permitted<'_, to::ReapplyEvents>,
    events: Vec<Exported>,
    dry_run: bool,
    requester: &Requester,
) -> Result<Reapplied> {
    let mut lost = lost_events::find(app, events).await?;
    if !lost.faults.is_empty() {
        return Ok(Reapplied {
            faults: lost.faults,
            lines: Vec::new(),
        });
    }
    let mut lines = Vec::new();
    for event in std::mem::take(&mut lost.events) {
        let deed = event.deed();
        if deed == Deed::Nothing {
            continue;
        }
        let outcome = if lost.unproven.contains(&event.entry.id) {
            Outcome::NotPossible(
                "it cannot be checked, because the export lacks the event before it in its chain; export the whole audit trail, or repeat it by hand".into(),
            )
        } else if deed
            .topic()
            .is_some_and(|topic| lost.decides_later(&topic, &event))
        {
            Outcome::Already
        } else {
            carry_out(
                app,
                &event,
                deed,
                dry_run,
                &lost_events::peer_for(&event, requester),
            )
            .await?
        };
        if !dry_run && outcome.is_final() {
            record(app, &event, requester).await?;
        }
        lines.push(Line {
            at: event.entry.at,
            kind: event.entry.kind,
            subject: event.subject,
            outcome,
        });
    }
    Ok(Reapplied {
        faults: Vec::new(),
        lines,
    })
}

async fn record(app: &App, event: &Exported, requester: &Requester) -> Result<()> {
    let what = detail([
        ("event", event.id.to_string().into()),
        ("kind", event.entry.kind.clone().into()),
    ]);
    let (subject, session) = (event.subject, event.session);
    app.transaction(
        requester,
        tx!(tx => tx.record(Kind::Reapplied, subject, session, what).await),
    )
    .await
}
