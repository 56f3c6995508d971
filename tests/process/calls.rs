//! What the tests with replicas ask of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use base64::Engine;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::fleet::Fleet;
use crate::server::{form, post, post_until_served};

pub const STRICT: [&str; 2] = ["sessions.refresh_grace=0s", "sessions.refresh_cooldown=0s"];

pub async fn signed_up(fleet: &Fleet, http: &Client) -> String {
    let (status, body) =
        post_until_served(http, &fleet.url("/api/auth/sign-up/email"), &form("ana")).await;
    assert_eq!(status, 200, "{body}");
    token(&body)
}

pub async fn sign_in(fleet: &Fleet, http: &Client) -> Value {
    let (status, body) =
        post_until_served(http, &fleet.url("/api/auth/sign-in/email"), &form("ana")).await;
    assert_eq!(status, 200, "{body}");
    body
}

pub fn token(body: &Value) -> String {
    body["refreshToken"]
        .as_str()
        .unwrap_or_else(|| panic!("{body}"))
        .to_owned()
}

pub async fn refresh_at(fleet: &Fleet, http: &Client, n: u16, token: &str) -> (u16, Value) {
    post(
        http,
        &fleet.direct(n, "/api/auth/refresh"),
        &json!({ "refreshToken": token }),
    )
    .await
    .unwrap()
}

pub async fn post_as(http: &Client, url: &str, session: &Value, body: &Value) -> u16 {
    http.post(url)
        .bearer_auth(session["token"].as_str().unwrap())
        .json(body)
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

pub fn until_closed(fleet: &Fleet, n: u16) {
    let started = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", fleet.port + n)).is_ok() {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "it does not end"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The session, generation and secret of a refresh token, as `crypto::token` lays them out.
pub fn parts(token: &str) -> (Vec<u8>, u32, Vec<u8>) {
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(token.strip_prefix("csr_").unwrap())
        .unwrap();
    (
        bytes[1..17].to_vec(),
        u32::from_be_bytes(bytes[17..21].try_into().unwrap()),
        bytes[21..53].to_vec(),
    )
}

/// What the clients of a storm have in common.
#[derive(Default)]
pub struct Storm {
    pub stop: AtomicBool,
    pub rotations: AtomicU64,
    /// 503 from a replica, each with `Retry-After`.
    pub unavailable: AtomicU64,
    /// No answer, or the balancer's own.
    pub without: AtomicU64,
}

impl Storm {
    /// Until so many more rotations have been answered.
    pub async fn until_rotated(&self, more: u64) {
        let (seen, waited) = (self.rotations.load(Relaxed), Instant::now());
        while self.rotations.load(Relaxed) < seen + more {
            assert!(
                waited.elapsed() < Duration::from_secs(60),
                "the storm has died down"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A client that follows the protocol: one token, asked with again until there is an answer, signed
/// out only by a 401. Each successor must be of the next generation. It ends after an answer and
/// returns what it holds.
pub async fn follow(url: String, mut held: String, pause: Duration, storm: Arc<Storm>) -> String {
    let http = Client::new();
    loop {
        let asked = http
            .post(&url)
            .json(&json!({ "refreshToken": held }))
            .timeout(Duration::from_secs(5))
            .send()
            .await;
        let Ok(answer) = asked else {
            storm.without.fetch_add(1, Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (status, told) = (
            answer.status().as_u16(),
            answer.headers().contains_key("retry-after"),
        );
        match (status, answer.json::<Value>().await) {
            (200, Ok(body)) => {
                if let Some(next) = body["refreshToken"].as_str() {
                    assert_eq!(
                        parts(next).1,
                        parts(&held).1 + 1,
                        "one generation a rotation"
                    );
                    storm.rotations.fetch_add(1, Relaxed);
                    next.clone_into(&mut held);
                }
                if storm.stop.load(Relaxed) {
                    return held;
                }
                tokio::time::sleep(pause).await;
            }
            (503, Ok(body)) => {
                assert!(told, "{body}");
                storm.unavailable.fetch_add(1, Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            // The balancer's own, or an answer that broke off.
            (200 | 502 | 504, _) => {
                storm.without.fetch_add(1, Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            (status, body) => panic!("{status}: {body:?}"),
        }
    }
}

/// One session a client, spread over the replicas or through the balancer.
pub async fn storm_of(
    fleet: &Fleet,
    http: &Client,
    clients: u16,
    url: impl Fn(u16) -> String,
) -> (Arc<Storm>, Vec<JoinHandle<String>>) {
    signed_up(fleet, http).await;
    let (storm, mut running) = (Arc::<Storm>::default(), Vec::new());
    for n in 0..clients {
        let held = token(&sign_in(fleet, http).await);
        let pause = Duration::from_millis(u64::from(n % 16) * 50);
        running.push(tokio::spawn(follow(url(n), held, pause, storm.clone())));
    }
    (storm, running)
}

/// Every client is answered once more, and each session is as many generations old as its client
/// was told.
pub async fn all_go_on(fleet: &Fleet, storm: &Storm, running: Vec<JoinHandle<String>>) {
    storm.stop.store(true, Relaxed);
    let mut told = BTreeMap::new();
    for client in running {
        let (session, generation, _) = parts(&client.await.unwrap());
        told.insert(
            uuid::Uuid::from_slice(&session).unwrap().to_string(),
            i64::from(generation),
        );
    }
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT id, generation FROM sessions WHERE revoked_at IS NULL")
            .fetch_all(&mut fleet.sql().await)
            .await
            .unwrap();
    let rows: BTreeMap<_, _> = rows.into_iter().collect();
    for (session, generation) in &told {
        assert_eq!(rows.get(session), Some(generation), "{session}");
    }
    let count = |counter: &AtomicU64| counter.load(Relaxed);
    let (rotations, unavailable, without) = (
        count(&storm.rotations),
        count(&storm.unavailable),
        count(&storm.without),
    );
    println!(
        "{} clients go on after {rotations} rotations; {unavailable} × 503, {without} without an answer",
        told.len()
    );
    assert_eq!(
        fleet
            .number("SELECT COUNT(*) FROM audit_events WHERE kind LIKE 'refresh_token.%'")
            .await,
        0,
        "neither healed, lost nor reused"
    );
}
