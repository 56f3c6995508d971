//! Takes messages from a queue of the database, and records what became of an attempt to deliver
//! one. A message that was not accepted is tried again with growing delays.

use std::time::Duration;

use crate::app::App;
use crate::model::audit::event::Requester;
use crate::model::kernel::retry_delay::retry_delay;
use crate::model::kernel::trusted_clock::ConfirmedNow;
use crate::store::queue::{self, Attempt, Hold, Message};

use super::confirm_clock;
use super::transaction::tx;
use super::{Error, Result};

/// The number of messages that are sent at the same time.
const TOGETHER: i64 = 8;
/// The clocks of replicas differ by far less.
const SKEW: Duration = Duration::from_secs(60);

/// The delays of one queue.
#[derive(Debug, Clone, Copy)]
pub(in crate::flows) struct Delays {
    /// How long a taken message is held: longer than an attempt can take.
    pub hold: Duration,
    /// The delay after the first attempt.
    pub first_retry: Duration,
    /// The longest delay between two attempts.
    pub last_retry: Duration,
}

fn schedule() -> Requester {
    Requester::named("schedule")
}

/// Takes messages that are due. Returns none if there are none, or if the clock may be ahead.
pub(in crate::flows) async fn take<M: Message>(app: &App, delays: Delays) -> Result<Vec<M>> {
    let Some(taking) = confirm_clock::admit_taking(app).await? else {
        return Ok(Vec::new());
    };
    let times = Hold {
        hold: delays.hold,
        latest: delays.last_retry.saturating_add(SKEW),
    };
    let take = tx!(tx => {
        let now = tx.now();
        Ok(queue::take_due(tx.conn, TOGETHER, now, taking.confirmed, times).await?)
    });
    app.transaction(&schedule(), take).await
}

/// Removes a message that was delivered, or that is not to be delivered.
pub(in crate::flows) async fn remove<M: Message>(app: &App, attempt: Attempt) -> Result<()> {
    let remove = tx!(tx => Ok::<_, Error>(queue::remove::<M>(tx.conn, attempt).await?));
    app.transaction(&schedule(), remove).await
}

/// Removes a message that is too old by a confirmed time.
pub(in crate::flows) async fn give_up<M: Message>(
    app: &App,
    attempt: Attempt,
    confirmed: ConfirmedNow,
) -> Result<()> {
    let give_up = tx!(tx => {
        queue::give_up::<M>(tx.conn, attempt, confirmed).await?;
        Ok::<_, Error>(())
    });
    app.transaction(&schedule(), give_up).await
}

/// Postpones the next attempt by the delay after this one.
pub(in crate::flows) async fn postpone<M: Message>(
    app: &App,
    attempt: Attempt,
    delays: Delays,
) -> Result<()> {
    let due = app.now() + retry_delay(attempt.number, delays.first_retry, delays.last_retry);
    let postpone = tx!(tx => Ok::<_, Error>(queue::postpone::<M>(tx.conn, attempt, due).await?));
    app.transaction(&schedule(), postpone).await
}
