//! The change of the master key as `docs/operations.md` has it, step by step, while clients sign in,
//! refresh and use their tokens at both processes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::master_key::{BESIDE, NEW, Two, said, stop, until};
use crate::server::{form, write_key};

/// What the clients count together.
#[derive(Default)]
struct Counts {
    requests: AtomicUsize,
    /// Requests that the other process answered, because this one was starting.
    elsewhere: AtomicUsize,
    rotations: AtomicUsize,
    stop: AtomicBool,
    /// Tokens of older master keys are given up from now on, as after `sessions.idle_ttl`.
    oldest: AtomicU8,
}

struct Session {
    refresh: String,
    access: String,
}

/// The version of the master key that made a refresh token.
fn version(token: &str) -> u8 {
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(token.strip_prefix("csr_").unwrap())
        .unwrap()[0]
}

/// One client: everything that it asks must succeed.
struct Load {
    http: Client,
    origins: [String; 2],
    counts: Arc<Counts>,
    name: String,
    turn: usize,
    sessions: VecDeque<Session>,
}

impl Load {
    /// Sends at the next process, and at the other one where nothing listens; each answer is 200.
    async fn send(&mut self, what: impl Fn(&Client, &str) -> RequestBuilder) -> Value {
        let started = Instant::now();
        loop {
            self.turn += 1;
            let origin = &self.origins[self.turn % 2];
            let request = what(&self.http, origin).timeout(Duration::from_secs(30));
            match request.send().await {
                Ok(answer) => {
                    let (status, url) = (answer.status().as_u16(), answer.url().to_string());
                    let text = answer.text().await.unwrap();
                    assert_eq!(status, 200, "{url}: {text}");
                    self.counts.requests.fetch_add(1, Ordering::Relaxed);
                    return serde_json::from_str(&text).unwrap();
                }
                Err(error) => {
                    assert!(
                        started.elapsed() < Duration::from_secs(60),
                        "neither process answers: {error}"
                    );
                    self.counts.elsewhere.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }

    async fn post(&mut self, path: &str, body: &Value) -> Value {
        self.send(|http, origin| http.post(format!("{origin}{path}")).json(body))
            .await
    }

    async fn get(&mut self, path: &str, bearer: Option<&str>) -> Value {
        self.send(|http, origin| {
            let request = http.get(format!("{origin}{path}"));
            match bearer {
                Some(token) => request.bearer_auth(token),
                None => request,
            }
        })
        .await
    }

    /// Adds a session, refreshes the one that waits longest, uses its token.
    async fn round(&mut self) {
        let text = |body: &Value, member: &str| body[member].as_str().map(str::to_owned);
        let body = form(&self.name);
        let signed_in = self.post("/api/auth/sign-in/email", &body).await;
        self.sessions.push_back(Session {
            refresh: text(&signed_in, "refreshToken").unwrap(),
            access: text(&signed_in, "accessToken").unwrap(),
        });
        let oldest = self.counts.oldest.load(Ordering::SeqCst);
        self.sessions
            .retain(|held| version(&held.refresh) >= oldest);
        if let Some(mut session) = self.sessions.pop_front() {
            let body = json!({ "refreshToken": session.refresh });
            let refreshed = self.post("/api/auth/refresh", &body).await;
            session.access = text(&refreshed, "accessToken").unwrap();
            if let Some(next) = text(&refreshed, "refreshToken") {
                session.refresh = next;
                self.counts.rotations.fetch_add(1, Ordering::Relaxed);
            }
            self.sessions.push_back(session);
        }
        let access = self.sessions.back().unwrap().access.clone();
        self.get("/api/auth/session", Some(&access)).await;
        let set = self.get("/api/auth/jwks", None).await;
        assert!(set["keys"].as_array().unwrap().len() >= 2, "{set}");
        if self.sessions.len() > 25 {
            self.sessions.pop_front();
        }
    }
}

/// Clients that go on until they are told to stop.
struct Clients {
    counts: Arc<Counts>,
    running: Vec<JoinHandle<Load>>,
    /// Rounds that each client has finished.
    rounds: Arc<Vec<AtomicUsize>>,
}

impl Clients {
    async fn start(origins: [String; 2], count: usize) -> Self {
        let counts = Arc::new(Counts::default());
        let rounds: Arc<Vec<_>> = Arc::new((0..count).map(|_| AtomicUsize::new(0)).collect());
        let mut running = Vec::new();
        for n in 0..count {
            let mut load = Load {
                http: Client::new(),
                origins: origins.clone(),
                counts: Arc::clone(&counts),
                name: format!("user{n}"),
                turn: n,
                sessions: VecDeque::new(),
            };
            let body = form(&load.name);
            load.post("/api/auth/sign-up/email", &body).await;
            let rounds = Arc::clone(&rounds);
            running.push(tokio::spawn(async move {
                while !load.counts.stop.load(Ordering::SeqCst) {
                    load.round().await;
                    rounds[n].fetch_add(1, Ordering::SeqCst);
                }
                load
            }));
        }
        Self {
            counts,
            running,
            rounds,
        }
    }

    /// Waits until every client has begun and finished so many rounds more.
    async fn rounds(&self, more: usize) {
        let now = || -> Vec<usize> {
            let each = self.rounds.iter();
            each.map(|rounds| rounds.load(Ordering::SeqCst)).collect()
        };
        let before = now();
        until("every client has gone on", async || {
            assert!(
                self.running.iter().all(|client| !client.is_finished()),
                "a client was refused"
            );
            now()
                .iter()
                .zip(&before)
                .all(|(now, before)| *now > before + more)
        })
        .await;
    }

    async fn end(self) -> Vec<Load> {
        self.counts.stop.store(true, Ordering::SeqCst);
        let mut loads = Vec::new();
        for client in self.running {
            loads.push(client.await.unwrap());
        }
        loads
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_key_is_changed_by_the_steps_of_the_guide_under_load_and_no_request_is_refused()
{
    // A client whose connection was cut asks again with the same token.
    let two = Two::with(&[
        "sessions.refresh_grace=20s",
        "sessions.refresh_cooldown=20s",
    ])
    .await;
    let (mut one, mut other) = (two.serve(0, &[]), two.serve(1, &[]));
    let origins = [one.url(""), other.url("")];
    let clients = Clients::start(origins, 3).await;
    clients.rounds(2).await;

    // 1. Every process gets the new key beside the old one.
    write_key(&two.place.path("new.key"), NEW);
    stop(one);
    one = two.serve(0, &[(BESIDE, "new.key")]);
    clients.rounds(1).await;
    stop(other);
    other = two.serve(1, &[(BESIDE, "new.key")]);
    let holds_both = |process: &Value| process["masterKeys"].as_array().unwrap().len() == 2;
    assert!(
        two.processes().iter().all(holds_both),
        "{:?}",
        two.processes()
    );
    clients.rounds(1).await;

    // 2. Every key is sealed anew; the processes follow.
    let done = two.rewrap(&[]);
    assert!(done.status.success(), "{}", said(&done));
    clients.rounds(2).await;

    // 3. The new key becomes the master key, the old one the previous key.
    let (key, old) = (two.place.path("keys/master.key"), two.place.path("old.key"));
    std::fs::rename(&key, &old).unwrap();
    std::fs::rename(two.place.path("new.key"), &key).unwrap();
    until("both hold the key that is current now", async || {
        let all = two.processes();
        all.len() == 2 && all.iter().all(|process| process["holdsCurrentKey"] == true)
    })
    .await;
    stop(one);
    one = two.serve(0, &[(BESIDE, "old.key")]);
    clients.rounds(1).await;
    stop(other);
    other = two.serve(1, &[(BESIDE, "old.key")]);
    clients.rounds(2).await;

    // 4. What the old key made has moved over or ended: it is dropped.
    clients.counts.oldest.store(2, Ordering::SeqCst);
    clients.rounds(1).await;
    std::fs::remove_file(&old).unwrap();
    stop(one);
    one = two.serve(0, &[]);
    clients.rounds(1).await;
    stop(other);
    other = two.serve(1, &[]);
    clients.rounds(2).await;

    let counts = Arc::clone(&clients.counts);
    for mut load in clients.end().await {
        // Each session that is left goes on.
        for session in std::mem::take(&mut load.sessions) {
            assert_eq!(version(&session.refresh), 2);
            let body = json!({ "refreshToken": session.refresh });
            load.post("/api/auth/refresh", &body).await;
        }
    }
    println!(
        "{} requests, none refused; {} rotations, {} requests were sent to the other process",
        counts.requests.load(Ordering::SeqCst),
        counts.rotations.load(Ordering::SeqCst),
        counts.elsewhere.load(Ordering::SeqCst)
    );
    for server in [one, other] {
        stop(server);
    }
    two.end().await;
}
