//! Work that runs beside the schedule for as long as the service does: listening for changes of the
//! key ring, sending mails and webhook messages, heartbeats, marking ended sessions. Each waits for a
//! signal and looks by itself every few seconds.

use crate::app::App;
use crate::flows::audit::deliver_webhooks;
use crate::flows::key::load_keys;
use crate::flows::mail::deliver_mail;
use crate::flows::ops::heartbeat;
use crate::flows::session::mark_endings;
use crate::model::kernel::standstill::BEAT;
use crate::random;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long after a lost connection to listen again; the poll goes on meanwhile.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// Hears of the other replicas' rotations.
pub(super) async fn listen(app: Arc<App>) {
    loop {
        if let Err(error) = load_keys::listen(&app).await {
            tracing::debug!(%error, "not listening for notifications");
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

/// How long the last runs of jobs may take when the process ends.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How often the queue is looked at when nobody has said that there is something in it: retries,
/// and what a process that died left behind.
const LOOK_FOR_MAIL: Duration = Duration::from_secs(5);

/// Looking up whose address it is, and sending, is work that the next request would feel: it is
/// done at a moment that nobody can tell. A second at most.
pub(super) fn apart(app: &App) -> Duration {
    let [byte] = random::bytes(&*app.random);
    Duration::from_millis(100 + u64::from(byte) * 4)
}

/// How often the webhook's queue is looked at: a security team hears of a theft within seconds.
const LOOK_FOR_EVENTS: Duration = Duration::from_secs(2);

/// Tells the webhook what has happened.
pub(super) async fn tell(app: Arc<App>, stopped: CancellationToken) {
    while !stopped.is_cancelled() {
        match AssertUnwindSafe(deliver_webhooks::deliver_due(&app, || {
            stopped.is_cancelled()
        }))
        .catch_unwind()
        .await
        {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the webhook hears nothing"),
            Err(_) => tracing::error!("telling the webhook panicked and goes on"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_FOR_EVENTS) => {}
            () = stopped.cancelled() => {}
        }
    }
}

/// Notes once a second that this process serves.
pub(super) async fn beat(app: Arc<App>, stopped: CancellationToken) {
    while !stopped.is_cancelled() {
        match AssertUnwindSafe(heartbeat::beat(&app)).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a heartbeat was not written"),
            Err(_) => tracing::error!("a heartbeat panicked; the next one follows"),
        }
        tokio::select! {
            () = tokio::time::sleep(BEAT) => {}
            () = stopped.cancelled() => {}
        }
    }
    if let Err(error) = heartbeat::stop(&app).await {
        tracing::debug!(%error, "the last heartbeat was not written");
    }
}

/// Sends mails as they come.
pub(super) async fn deliver(app: Arc<App>, stopped: CancellationToken) {
    while !stopped.is_cancelled() {
        let round = AssertUnwindSafe(deliver_mail::deliver_due(&app, || stopped.is_cancelled()))
            .catch_unwind();
        match round.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "mails are not being sent"),
            Err(_) => tracing::error!("the sending of mails panicked and goes on"),
        }
        tokio::select! {
            () = app.mail_waits.notified() => tokio::time::sleep(apart(&app)).await,
            () = tokio::time::sleep(LOOK_FOR_MAIL) => {}
            () = stopped.cancelled() => {}
        }
    }
}

/// How often it is looked whether rows of ended sessions are left to be marked.
const LOOK_FOR_ENDINGS: Duration = Duration::from_secs(5);

/// Marks the rows of sessions that have ended.
pub(super) async fn mark(app: Arc<App>, stopped: CancellationToken) {
    while !stopped.is_cancelled() {
        match AssertUnwindSafe(mark_endings::run(&app, || stopped.is_cancelled()))
            .catch_unwind()
            .await
        {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the rows of ended sessions are not being marked; the sessions are over all the same");
            }
            Err(_) => tracing::error!("marking ended sessions panicked and goes on"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_FOR_ENDINGS) => {}
            () = stopped.cancelled() => {}
        }
    }
}
