//! Work that runs besides the schedule while the service runs: listening for changes of the key
//! ring, sending mails and webhook messages, heartbeats, marking ended sessions. Each task waits
//! for a signal and also checks every few seconds.

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

/// The delay after a lost connection before listening again; polling continues meanwhile.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// Listens for key rotations of other replicas.
pub(super) async fn listen(app: Arc<App>) {
    loop {
        if let Err(error) = load_keys::listen(&app).await {
            tracing::debug!(%error, "not listening for notifications");
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

/// The time limit for the last runs of jobs when the process stops.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the queue is checked without a signal: for retries, and for mails of a process that
/// died.
const LOOK_FOR_MAIL: Duration = Duration::from_secs(5);

/// Returns a random delay of at most a second. Looking up the user of an email address and sending
/// take time that a next request could measure, so they start at an unpredictable moment.
pub(super) fn apart(app: &App) -> Duration {
    let [byte] = random::bytes(&*app.random);
    Duration::from_millis(100 + u64::from(byte) * 4)
}

/// How often the webhook's queue is checked: a security team is notified of a theft within seconds.
const LOOK_FOR_EVENTS: Duration = Duration::from_secs(2);

/// Delivers events to the webhook.
pub(super) async fn tell(app: Arc<App>, stopped: CancellationToken) {
    while !stopped.is_cancelled() {
        match AssertUnwindSafe(deliver_webhooks::deliver_due(&app, || {
            stopped.is_cancelled()
        }))
        .catch_unwind()
        .await
        {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "events cannot be sent to the webhook"),
            Err(_) => {
                tracing::error!(
                    "the delivery of events panicked; it continues with the next event"
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_FOR_EVENTS) => {}
            () = stopped.cancelled() => {}
        }
    }
}

/// Records once a second that this process serves.
pub(super) async fn beat(app: Arc<App>, stopped: CancellationToken) {
    while !stopped.is_cancelled() {
        match AssertUnwindSafe(heartbeat::beat(&app)).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a heartbeat was not written"),
            Err(_) => tracing::error!("a heartbeat panicked; the next one follows in a second"),
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

/// Sends mails as they are queued.
pub(super) async fn deliver(app: Arc<App>, stopped: CancellationToken) {
    while !stopped.is_cancelled() {
        let round = AssertUnwindSafe(deliver_mail::deliver_due(&app, || stopped.is_cancelled()))
            .catch_unwind();
        match round.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "mails are not being sent"),
            Err(_) => {
                tracing::error!("the sending of mails panicked; it continues with the next mail");
            }
        }
        tokio::select! {
            () = app.mail_waits.notified() => tokio::time::sleep(apart(&app)).await,
            () = tokio::time::sleep(LOOK_FOR_MAIL) => {}
            () = stopped.cancelled() => {}
        }
    }
}

/// How often rows of ended sessions are looked for that are not marked yet.
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
                tracing::warn!(%error, "the rows of ended sessions cannot be marked; the sessions have ended all the same");
            }
            Err(_) => tracing::error!("the marking of ended sessions panicked; it is tried again"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_FOR_ENDINGS) => {}
            () = stopped.cancelled() => {}
        }
    }
}
