//! The schedule: name, interval and flow of each job; `background` has the loops that wait for a
//! signal instead. It decides nothing: each flow checks what is
//! due on the injected clock, so an additional run does no harm and a missed one is made up for.
//! Intervals are measured by the monotonic clock, so setting the wall clock back stops no job. The
//! time of a rotation is the operator's cron line, at which tokio-cron-scheduler wakes the job of
//! the keys; if the wall clock is set back, that scheduler waits until it has caught up, and the
//! job's own interval does the work meanwhile.

mod background;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::background::{STOP_TIMEOUT, beat, deliver, listen, mark, tell};
use crate::app::App;
use crate::flows;
use crate::flows::account::password_kinds;
use crate::flows::audit::{audit_ends, operator_changes};
use crate::flows::confirm_clock;
use crate::flows::key::{change_keys, load_keys, reseal_secrets};
use crate::flows::limit::operate_limits;
use crate::flows::ops::{heartbeat, prune, refresh_issuers};

type Run = fn(Arc<App>) -> std::pin::Pin<Box<dyn Future<Output = flows::Result<()>> + Send>>;

/// A job that runs at an interval, the first time at once.
struct Repeated {
    name: &'static str,
    every: Duration,
    run: Run,
    /// Whether the cron line of the rotation wakes it, too.
    at_rotation: bool,
}

const JOBS: [Repeated; 10] = [
    Repeated {
        name: "confirm-keys",
        every: Duration::from_secs(5),
        run: |app| Box::pin(async move { load_keys::confirm(&app).await }),
        at_rotation: false,
    },
    Repeated {
        name: "clock",
        every: Duration::from_secs(5),
        run: |app| Box::pin(async move { confirm_clock::confirm(&app).await.map(|_| ()) }),
        at_rotation: false,
    },
    Repeated {
        name: "limits",
        every: Duration::from_secs(1),
        run: |app| Box::pin(async move { operate_limits::follow(&app).await }),
        at_rotation: false,
    },
    Repeated {
        name: "keys",
        every: Duration::from_secs(60),
        run: |app| Box::pin(async move { rotate_due_keys(&app).await }),
        at_rotation: true,
    },
    Repeated {
        name: "reseal-secrets",
        every: Duration::from_secs(300),
        run: |app| Box::pin(async move { reseal_secrets::reseal_due(&app).await }),
        at_rotation: false,
    },
    Repeated {
        name: "audit-ends",
        every: Duration::from_secs(60),
        run: |app| Box::pin(async move { audit_ends::tell(&app, audit_ends::PAUSE).await }),
        at_rotation: false,
    },
    Repeated {
        name: "operator-changes",
        every: Duration::from_secs(5),
        run: |app| Box::pin(async move { operator_changes::tell(&app).await }),
        at_rotation: false,
    },
    Repeated {
        name: "issuers",
        every: Duration::from_secs(60),
        run: |app| {
            Box::pin(async move {
                refresh_issuers::refresh(&app).await;
                Ok(())
            })
        },
        at_rotation: false,
    },
    Repeated {
        name: "password-kinds",
        every: Duration::from_secs(60),
        run: |app| Box::pin(async move { password_kinds::count_due(&app).await }),
        at_rotation: false,
    },
    Repeated {
        name: "prune",
        every: Duration::from_secs(3_600),
        run: |app| Box::pin(async move { prune::prune(&app).await.map(|_| ()) }),
        at_rotation: false,
    },
];

/// The running schedule.
pub struct Jobs {
    scheduler: JobScheduler,
    running: TaskTracker,
    listening: Option<tokio::task::JoinHandle<()>>,
    /// Cancelled to end the jobs, each between two of its runs.
    stopped: CancellationToken,
}

/// Runs a job at its interval, and whenever it is woken. A run that takes longer than the interval
/// delays the next one; a panic ends only that run.
async fn repeat(app: Arc<App>, job: Repeated, woken: Arc<Notify>, stopped: CancellationToken) {
    let mut ticks = tokio::time::interval(job.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = woken.notified(), if job.at_rotation => {}
            () = stopped.cancelled() => return,
        }
        match AssertUnwindSafe((job.run)(Arc::clone(&app)))
            .catch_unwind()
            .await
        {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(job = job.name, %error, "a job failed and will be tried again");
            }
            Err(_) => tracing::error!(job = job.name, "a job panicked and will be tried again"),
        }
    }
}

/// Wakes the job of the keys at the times of the cron line.
async fn at_rotation(
    scheduler: &JobScheduler,
    app: &App,
    woken: &Arc<Notify>,
) -> Result<(), JobSchedulerError> {
    let (line, woken) = (
        app.config.keys.policies.base.rotation.pattern.to_string(),
        Arc::clone(woken),
    );
    let job = Job::new_async(line.as_str(), move |_, _| {
        woken.notify_one();
        Box::pin(std::future::ready(()))
    })?;
    scheduler.add(job).await.map(|_| ())
}

/// Applies the key changes that are due: rotation, the second rotation after an emergency, removal.
pub async fn rotate_due_keys(app: &App) -> flows::Result<()> {
    match change_keys::change_scheduled(app).await {
        // Another replica was first: what was due has been done.
        Err(flows::Error::AlreadyRotated) => load_keys::reload(app).await,
        outcome => outcome.map(|_| ()),
    }
}

impl Jobs {
    /// Starts every job of the schedule.
    pub async fn start(app: &Arc<App>) -> Result<Self, JobSchedulerError> {
        let (scheduler, running, stopped) = (
            JobScheduler::new().await?,
            TaskTracker::new(),
            CancellationToken::new(),
        );
        let woken = Arc::new(Notify::new());
        if let Err(error) = at_rotation(&scheduler, app, &woken).await {
            tracing::warn!(%error, "the scheduler refuses keys.rotation; keys rotate within a minute of the scheduled time instead");
        }
        scheduler.start().await?;
        for job in JOBS {
            running.spawn(repeat(
                Arc::clone(app),
                job,
                Arc::clone(&woken),
                stopped.clone(),
            ));
        }
        let listening = app
            .db
            .is_shared()
            .then(|| tokio::spawn(listen(Arc::clone(app))));
        // Before anything is served, so that a standstill before the start is known from the first
        // request on.
        if let Err(error) = heartbeat::beat(app).await {
            tracing::warn!(%error, "the first heartbeat was not written");
        }
        // Also before anything is served, so that a clock that is wrong from the start clears no
        // cookie.
        if let Err(error) = confirm_clock::confirm(app).await {
            tracing::warn!(%error, "the clock could not be checked");
        }
        // Also before anything is served, so that absent users cost what present ones do.
        if let Err(error) = password_kinds::count(app).await {
            tracing::warn!(%error, "the kinds of password hashes could not be counted");
        }
        running.spawn(beat(Arc::clone(app), stopped.clone()));
        running.spawn(deliver(Arc::clone(app), stopped.clone()));
        running.spawn(mark(Arc::clone(app), stopped.clone()));
        if app.config.webhooks.is_some() {
            running.spawn(tell(Arc::clone(app), stopped.clone()));
        }
        Ok(Self {
            scheduler,
            running,
            listening,
            stopped,
        })
    }

    /// Starts no more runs and waits for the current ones.
    pub async fn stop(mut self) {
        if let Some(listening) = self.listening {
            listening.abort();
        }
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the scheduler did not stop cleanly");
        }
        self.stopped.cancel();
        self.running.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.running.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                "a job is still running and is not waited for; a mail that it was sending may be sent twice"
            );
        }
    }
}
