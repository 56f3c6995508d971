//! A standstill of the writer, the disk, the connections or the process, of any length, turns no
//! honest retry into a theft; and a thief gains nothing by it. Time is the injected clock; what
//! stands still is held by a gate.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use countersign::flows::ops::heartbeat;
use countersign::store::{Conn, Work};
use sqlx::{Connection, Executor};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::support::{Answer, TestApp, on_postgres, seconds};

/// Honest clients of a storm; fewer than there are connections.
const CLIENTS: usize = 12;
const STALL: Duration = Duration::from_secs(60);

/// Holds pieces of work until it is opened.
#[derive(Clone)]
struct Gate {
    entered: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self {
            entered: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
        }
    }

    fn hold(&self) -> impl for<'c> FnOnce(&'c mut Conn) -> Work<'c, ()> + Clone + Send + use<> {
        let gate = self.clone();
        move |_| {
            Box::pin(async move {
                gate.entered.add_permits(1);
                drop(gate.open.acquire().await);
                Ok(())
            })
        }
    }

    /// Waits until so many pieces are held.
    async fn is_held_by(&self, count: u32) {
        self.entered.acquire_many(count).await.unwrap().forget();
    }

    fn open(&self) {
        self.open.close();
    }
}

async fn app() -> TestApp {
    // A late retry is not forgiven here: what is forgiven is the standstill.
    let app = TestApp::with(&[("sessions.late_retry", "revoke")]).await;
    heartbeat::beat(&app.app).await.unwrap();
    app
}

async fn tokens(app: &TestApp) -> Vec<String> {
    let ana = app.user("ana").await;
    let mut tokens = Vec::new();
    for _ in 0..CLIENTS {
        tokens.push(ana.sign_in().await.refresh);
    }
    tokens
}

/// The service lives on for so many seconds.
async fn live(apps: &[&TestApp], time: u64) {
    for _ in 0..time {
        apps[0].after(seconds(1));
        for app in apps {
            heartbeat::beat(&app.app).await.unwrap();
        }
    }
}

fn send(app: &TestApp, tokens: &[String]) -> Vec<JoinHandle<Answer>> {
    let one = |token: &String| {
        let (app, token) = (app.clone(), token.clone());
        tokio::spawn(async move { app.refresh(&token).await })
    };
    tokens.iter().map(one).collect()
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

/// The first answers were lost; every client retries with the token that it has.
async fn retries_are_honest(
    app: &TestApp,
    name: &str,
    first: Vec<JoinHandle<Answer>>,
    tokens: &[String],
) {
    for answer in first {
        let answer = answer.await.unwrap();
        // What came before the stall is answered, what came in it may be refused as too late.
        assert!(
            matches!(
                answer.status,
                StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE
            ),
            "{}",
            answer.text
        );
    }
    app.after(seconds(1));
    let (mut honest, mut thefts) = (0, 0);
    for answer in send(app, tokens) {
        let answer = answer.await.unwrap();
        honest += 1;
        thefts += usize::from(answer.body["code"] == "REFRESH_TOKEN_REUSED");
        assert!(
            answer.status == StatusCode::OK || answer.body["code"] == "REFRESH_TOKEN_REUSED",
            "{}",
            answer.text
        );
    }
    println!(
        "{name}: a stall of {} s, {honest} honest retries, {thefts} called theft",
        STALL.as_secs()
    );
    assert_eq!((honest, thefts), (CLIENTS, 0), "{name}");
    assert_eq!(app.db_count_events("refresh_token.reused").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_writer_turns_no_honest_retry_into_a_theft() {
    let app = app().await;
    let (tokens, gate) = (tokens(&app).await, Gate::new());
    // SQLite has one writer; Postgres has as many as there are connections.
    let writers = if on_postgres() {
        app.app.db.connections().1
    } else {
        1
    };
    let held: Vec<_> = (0..writers)
        .map(|_| {
            tokio::spawn({
                let (db, work) = (app.app.db.clone(), gate.hold());
                async move { db.write(work).await }
            })
        })
        .collect();
    gate.is_held_by(u32::try_from(writers).unwrap()).await;
    let first = send(&app, &tokens);
    if !on_postgres() {
        until(|| app.app.db.queued_writes() >= CLIENTS).await;
    }
    app.after(STALL);
    gate.open();
    for piece in held {
        drop(piece.await.unwrap());
    }
    retries_are_honest(&app, "writer", first, &tokens).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_commit_turns_no_honest_retry_into_a_theft() {
    let app = app().await;
    let tokens = tokens(&app).await;
    if on_postgres() {
        // The server has the statements and does not finish them.
        let mut other = app.db().await;
        let mut holding = other.begin().await.unwrap();
        holding
            .execute("SELECT id FROM sessions FOR UPDATE")
            .await
            .unwrap();
        let first = send(&app, &tokens);
        until(|| app.app.db.connections().0 >= CLIENTS).await;
        app.after(STALL);
        holding.rollback().await.unwrap();
        return retries_are_honest(&app, "commit", first, &tokens).await;
    }
    // One batch: the refreshes are decided, and their commit comes after a piece that stands still.
    let (before, inside) = (Gate::new(), Gate::new());
    let hold = |gate: &Gate| {
        tokio::spawn({
            let (db, work) = (app.app.db.clone(), gate.hold());
            async move { db.write(work).await }
        })
    };
    let first_piece = hold(&before);
    before.is_held_by(1).await;
    let first = send(&app, &tokens);
    until(|| app.app.db.queued_writes() >= CLIENTS).await;
    let last_piece = hold(&inside);
    until(|| app.app.db.queued_writes() > CLIENTS).await;
    before.open();
    inside.is_held_by(1).await;
    app.after(STALL);
    inside.open();
    drop((first_piece.await.unwrap(), last_piece.await.unwrap()));
    retries_are_honest(&app, "commit", first, &tokens).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_readers_turn_no_honest_retry_into_a_theft() {
    let app = app().await;
    let (tokens, gate) = (tokens(&app).await, Gate::new());
    let readers = app.app.db.connections().1;
    // So that the answer needs a read.
    app.after(seconds(11));
    heartbeat::beat(&app.app).await.unwrap();
    let held: Vec<_> = (0..readers)
        .map(|_| {
            tokio::spawn({
                let (db, work) = (app.app.db.clone(), gate.hold());
                async move { db.read(work).await }
            })
        })
        .collect();
    gate.is_held_by(u32::try_from(readers).unwrap()).await;
    let first = send(&app, &tokens);
    let mut answers = Vec::new();
    for answer in first {
        let answer = answer.await.unwrap();
        answers.push(tokio::spawn(async move { answer }));
    }
    assert!(
        heartbeat::beat(&app.app).await.is_err(),
        "a process that cannot read does not serve"
    );
    app.after(STALL);
    gate.open();
    for piece in held {
        drop(piece.await.unwrap());
    }
    retries_are_honest(&app, "readers", answers, &tokens).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_process_turns_no_honest_retry_into_a_theft() {
    let app = app().await;
    let tokens = tokens(&app).await;
    // Committed, and then everything stands still before anything is sent.
    let first = send(&app, &tokens);
    for answer in &first {
        until(|| answer.is_finished()).await;
    }
    app.after(STALL);
    retries_are_honest(&app, "process", first, &tokens).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_in_a_stall_turns_no_honest_retry_into_a_theft() {
    let app = app().await;
    let tokens = tokens(&app).await;
    let first = send(&app, &tokens);
    for answer in &first {
        until(|| answer.is_finished()).await;
    }
    app.after(STALL);
    // The first one never comes back.
    let next = app.replica(&[]).await.unwrap();
    heartbeat::beat(&next.app).await.unwrap();
    retries_are_honest(&next, "killed", first, &tokens).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stall_of_one_replica_turns_no_honest_retry_at_another_into_a_theft() {
    if !on_postgres() {
        return;
    }
    let app = app().await;
    let other = app.replica(&[]).await.unwrap();
    heartbeat::beat(&other.app).await.unwrap();
    let tokens = tokens(&app).await;
    let first = send(&app, &tokens);
    for answer in &first {
        until(|| answer.is_finished()).await;
    }
    // The first one stands still, and it does not come back; the other one serves all the time.
    live(&[&other], STALL.as_secs()).await;
    retries_are_honest(&other, "another replica", first, &tokens).await;
}

#[tokio::test]
async fn a_standstill_forgives_one_late_retry_and_then_the_grace_is_the_usual_one() {
    let app = app().await;
    let ana = app.user("ana").await;
    let tokens = ana.sign_in().await;
    let current = app.rotate(&tokens.refresh).await;
    app.after(STALL);
    heartbeat::beat(&app.app).await.unwrap();
    assert_eq!(
        app.rotate(&tokens.refresh).await,
        current,
        "the very same successor"
    );
    live(&[&app], 30).await;
    assert_eq!(
        app.rotate(&tokens.refresh).await,
        current,
        "to the end of the grace that began anew"
    );
    live(&[&app], 1).await;
    app.refresh(&tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    app.refresh(&current)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
}

#[tokio::test]
async fn a_thief_gains_nothing_by_a_standstill() {
    let app = app().await;
    let ana = app.user("ana").await;
    let (early, old) = (ana.sign_in().await, ana.sign_in().await);
    // Spent longer ago than the grace when it begins.
    app.rotate(&early.refresh).await;
    let second = app.rotate(&old.refresh).await;
    live(&[&app], 51).await;
    let third = app.rotate(&second).await;
    app.after(STALL);
    // What is read in the first seconds may have been sent before: nothing is decided about it, and
    // nothing is written.
    let before = app.db_session(&old.session_id).await;
    app.refresh(&old.refresh)
        .await
        .refused(503, "SERVICE_UNAVAILABLE");
    app.refresh(&early.refresh)
        .await
        .refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(app.db_session(&old.session_id).await, before);
    heartbeat::beat(&app.app).await.unwrap();
    live(&[&app], 5).await;
    app.refresh(&early.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    app.refresh(&old.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    app.refresh(&third)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    assert_eq!(app.db_count_events("refresh_token.reused").await, 2);
}

#[tokio::test]
async fn without_a_standstill_a_late_retry_is_a_theft_whatever_the_heartbeats_say() {
    let app = app().await;
    let ana = app.user("ana").await;
    let tokens = ana.sign_in().await;
    app.rotate(&tokens.refresh).await;
    live(&[&app], 31).await;
    app.refresh(&tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
}
