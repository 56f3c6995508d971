//! The schedule: name, cron line, flow. Decides nothing: each flow asks what is due on the injected clock, so a run too many does no
//! harm and a missed one is caught up. tokio-cron-scheduler overlaps a job with itself and does not wait for it at shutdown;
//! the guard and the tracker here do.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::flows::{self, change_keys, deliver_mail, deliver_webhooks, heartbeat, load_keys, prune};
use crate::model::audit::Peer;
use crate::model::key::Wish;
use crate::model::standstill::BEAT;
use crate::random;

type Run = fn(Arc<App>) -> std::pin::Pin<Box<dyn Future<Output = flows::Result<()>> + Send>>;

const JOBS: [(&str, &str, Run); 3] = [
    ("confirm-keys", "*/5 * * * * *", |app| Box::pin(async move { load_keys::confirm(&app).await })),
    ("keys", "0 * * * * *", |app| Box::pin(async move { rotate_due_keys(&app).await })),
    ("prune", "30 7 * * * *", |app| Box::pin(async move { prune::prune(&app).await.map(|_| ()) })),
];

/// The running schedule.
pub struct Jobs {
    scheduler: JobScheduler,
    running: TaskTracker,
    listening: Option<tokio::task::JoinHandle<()>>,
    /// Ends the sending of mails, between two of them.
    stopped: CancellationToken,
}

/// Lets the next run begin, also after a panic.
struct Free(Arc<AtomicBool>);

impl Drop for Free {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Does to the keys what is due: rotation, the second rotation of an emergency, removal.
pub async fn rotate_due_keys(app: &App) -> flows::Result<()> {
    let peer = Peer { actor: "schedule".into(), ..Peer::default() };
    match change_keys::change(app, change_keys::Order::new(Wish::Scheduled, peer)).await {
        // Another replica was first: what was due is done.
        Err(flows::Error::AlreadyRotated) => load_keys::reload(app).await,
        outcome => outcome.map(|_| ()),
    }
}

/// How long after a lost connection to listen again; the poll goes on meanwhile.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// Hears of the other replicas' rotations.
async fn listen(app: Arc<App>) {
    loop {
        if let Err(error) = load_keys::listen(&app).await {
            tracing::debug!(%error, "not listening for notifications");
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

/// How long the last runs of jobs may take when the process ends.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the queue is looked at when nobody has said that there is something in it: retries, and what a process that died left behind.
const LOOK_FOR_MAIL: Duration = Duration::from_secs(5);

/// Looking up whose address it is, and sending, is work that the next request would feel: it is done at a moment that nobody can tell. A second at most.
fn apart(app: &App) -> Duration {
    let [byte] = random::bytes(&*app.random);
    Duration::from_millis(100 + u64::from(byte) * 4)
}

/// How often the webhook's queue is looked at: a security team hears of a theft within seconds.
const LOOK_FOR_EVENTS: Duration = Duration::from_secs(2);

/// Tells the webhook what has happened.
async fn tell(app: Arc<App>, stopped: CancellationToken) {
    while !stopped.is_cancelled() {
        match AssertUnwindSafe(deliver_webhooks::deliver_due(&app, || stopped.is_cancelled())).catch_unwind().await {
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
async fn beat(app: Arc<App>, stopped: CancellationToken) {
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
async fn deliver(app: Arc<App>, stopped: CancellationToken) {
    while !stopped.is_cancelled() {
        let round = AssertUnwindSafe(deliver_mail::deliver_due(&app, || stopped.is_cancelled())).catch_unwind();
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

impl Jobs {
    /// Starts every job.
    pub async fn start(app: &Arc<App>) -> Result<Self, JobSchedulerError> {
        let (scheduler, running) = (JobScheduler::new().await?, TaskTracker::new());
        for (name, cron, run) in JOBS {
            let (app, running, busy) = (Arc::clone(app), running.clone(), Arc::new(AtomicBool::new(false)));
            let job = Job::new_async(cron, move |_, _| {
                let (app, busy) = (Arc::clone(&app), Arc::clone(&busy));
                Box::pin(running.track_future(async move {
                    if busy.swap(true, Ordering::AcqRel) {
                        return;
                    }
                    let _free = Free(busy);
                    if let Err(error) = run(app).await {
                        tracing::error!(job = name, %error, "a job failed and will be tried again");
                    }
                }))
            })?;
            scheduler.add(job).await?;
        }
        scheduler.start().await?;
        let listening = app.db.is_shared().then(|| tokio::spawn(listen(Arc::clone(app))));
        let stopped = CancellationToken::new();
        // Before anything is served: what stood still before the start is known from the first request on.
        if let Err(error) = heartbeat::beat(app).await {
            tracing::warn!(%error, "the first heartbeat was not written");
        }
        running.spawn(beat(Arc::clone(app), stopped.clone()));
        running.spawn(deliver(Arc::clone(app), stopped.clone()));
        let late = Arc::clone(app);
        // A process that is restarted every day would never come to it.
        running.spawn(async move {
            if let Err(error) = prune::prune(&late).await {
                tracing::warn!(%error, "what is over was not deleted at the start");
            }
        });
        if app.config.webhooks.is_some() {
            running.spawn(tell(Arc::clone(app), stopped.clone()));
        }
        Ok(Self { scheduler, running, listening, stopped })
    }

    /// Starts no more and waits for what runs.
    pub async fn stop(mut self) {
        if let Some(listening) = self.listening {
            listening.abort();
        }
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the scheduler did not stop cleanly");
        }
        self.stopped.cancel();
        self.running.close();
        if tokio::time::timeout(PATIENCE, self.running.wait()).await.is_err() {
            tracing::warn!("a job is still running and is left to itself; a mail that it was sending may go out twice");
        }
    }
}
