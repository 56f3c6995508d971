//! `kill -9`, again and again: no client that follows the protocol is signed out, and the keys are
//! never half changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::server::{Place, Server, refresh, sign_in, sign_up, write_key};

const SESSIONS: usize = 200;
const KILLS: u32 = 20;

/// A client that follows the protocol: one token, retried until it is answered, signed out only by
/// a 401.
async fn client(
    port: u16,
    mut token: String,
    stop: Arc<AtomicBool>,
    rotations: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    seed: u64,
) -> Result<String, String> {
    let http = reqwest::Client::new();
    let url = format!("http://127.0.0.1:{port}/api/auth/refresh");
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    while !stop.load(Ordering::Relaxed) {
        match crate::server::post(&http, &url, &serde_json::json!({ "refreshToken": token })).await
        {
            Some((200, body)) => {
                if let Some(next) = body["refreshToken"].as_str() {
                    rotations.fetch_add(1, Ordering::Relaxed);
                    next.clone_into(&mut token);
                }
                tokio::time::sleep(Duration::from_millis(u64::from(random.next_u32() % 1_500)))
                    .await;
            }
            Some((401, body)) => return Err(format!("signed out: {body}")),
            Some(_) | None => {
                lost.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    Ok(token)
}

/// Waits until the counter has risen by more than this.
async fn until_more_than(counter: &AtomicU64, more: u64) {
    let (seen, waited) = (counter.load(Ordering::Relaxed), std::time::Instant::now());
    while counter.load(Ordering::Relaxed) <= seen + more {
        assert!(
            waited.elapsed() < Duration::from_secs(60),
            "the storm has died down"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s04_killed_20_times_in_a_storm_of_200_sessions_no_user_is_signed_out() {
    let place = Place::new(&[
        "tokens.access_ttl=1m",
        "sessions.refresh_grace=6s",
        "sessions.refresh_cooldown=6s",
    ]);
    let mut server = place.serve();
    let http = reqwest::Client::new();
    sign_up(&http, &server, "ana").await;
    let (stop, rotations, lost) = (
        Arc::new(AtomicBool::new(false)),
        Arc::<AtomicU64>::default(),
        Arc::<AtomicU64>::default(),
    );
    let mut clients = Vec::new();
    for n in 0..SESSIONS {
        let token = sign_in(&http, &server, "ana").await["refreshToken"]
            .as_str()
            .unwrap()
            .to_owned();
        clients.push(tokio::spawn(client(
            server.port,
            token,
            stop.clone(),
            rotations.clone(),
            lost.clone(),
            n as u64,
        )));
    }
    let mut random = ChaCha20Rng::seed_from_u64(20);
    for _ in 0..KILLS {
        // The storm itself is the clock here: a kill comes once enough has been rotated since the
        // last one, the next start after a request has failed.
        until_more_than(&rotations, u64::from(random.next_u32() % 40)).await;
        server.signal(Signal::SIGKILL);
        server.wait();
        until_more_than(&lost, 0).await;
        server = tokio::task::block_in_place(|| place.serve());
    }
    stop.store(true, Ordering::Relaxed);
    let mut alive = 0;
    for client in clients {
        let token = client.await.unwrap().unwrap();
        let (status, body) = refresh(&http, &server, &token).await.unwrap();
        assert_eq!(status, 200, "{body}");
        alive += 1;
    }
    let (rotations, lost) = (
        rotations.load(Ordering::Relaxed),
        lost.load(Ordering::Relaxed),
    );
    println!(
        "{KILLS} kills, {SESSIONS} sessions, {rotations} rotations, {lost} lost requests: {alive} clients still signed in"
    );
    assert!(rotations > 300 && lost >= u64::from(KILLS));
    assert_eq!(alive, SESSIONS);
}

#[tokio::test]
async fn s03_killed_between_commit_and_answer_the_retry_gets_the_same_successor() {
    use tokio::io::AsyncWriteExt;
    let place = Place::new(&["log.level=debug"]);
    let mut server = place.serve();
    let http = reqwest::Client::new();
    let token = sign_up(&http, &server, "ana").await["refreshToken"]
        .as_str()
        .unwrap()
        .to_owned();
    // The request is sent and its answer is not read; the kill comes when the log says that it
    // was served.
    let body = serde_json::json!({ "refreshToken": token }).to_string();
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    let head = format!(
        "POST /api/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    while !server.log().contains("/api/auth/refresh") {
        tokio::task::yield_now().await;
    }
    server.signal(Signal::SIGKILL);
    server.wait();
    drop(stream);
    assert_eq!(generation(&place).await, 2, "it was committed");
    let server = place.serve();
    let http = reqwest::Client::new();
    let (status, first) = refresh(&http, &server, &token).await.unwrap();
    assert_eq!(status, 200, "{first}");
    let (_, second) = refresh(&http, &server, &token).await.unwrap();
    assert_eq!(first["refreshToken"], second["refreshToken"]);
    assert!(server.log().matches("refresh_token.reused").count() == 0);
}

async fn generation(place: &Place) -> i64 {
    use sqlx::ConnectOptions;
    let options =
        sqlx::sqlite::SqliteConnectOptions::new().filename(place.path("data/countersign.db"));
    sqlx::query_scalar("SELECT MAX(generation) FROM sessions")
        .fetch_one(&mut options.connect().await.unwrap())
        .await
        .unwrap()
}

fn states(place: &Place, environment: &[(&str, &str)]) -> Vec<String> {
    let mut command = place.command();
    let output = command
        .args(["keys", "list", "--output", "json"])
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let keys: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut states: Vec<String> = keys["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|k| {
            let text = |name: &str| k[name].as_str().unwrap();
            format!("{} {}", text("algorithm"), text("state"))
        })
        .collect();
    states.sort();
    states
}

fn quiet(command: &mut std::process::Command) -> &mut std::process::Command {
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .stdin(std::process::Stdio::null())
}

/// How long a command takes here that must succeed: what the kills are spread over.
fn time_of(command: &mut std::process::Command) -> Duration {
    let started = std::time::Instant::now();
    assert!(quiet(command).status().unwrap().success());
    started.elapsed()
}

/// Starts a command, kills it after a while, and tells whether it had succeeded by then.
fn kill_after(command: &mut std::process::Command, wait: Duration) -> bool {
    let mut child = quiet(command).spawn().unwrap();
    std::thread::sleep(wait);
    let ended = child
        .try_wait()
        .unwrap()
        .is_some_and(|status| status.success());
    drop(child.kill());
    drop(child.wait());
    ended
}

const TRIES: u32 = 30;

#[test]
fn k5_a_rotation_killed_anywhere_leaves_one_active_and_one_standby() {
    rotations_killed_anywhere(&Place::new(&[]), &["EdDSA"]);
}

/// One transaction turns all of them, and RSA keys are made before it.
#[test]
fn k5_a_rotation_of_four_algorithms_killed_anywhere_turns_all_or_none() {
    let place = Place::new(&[
        "audiences.billing.algorithm=RS256",
        "audiences.mobile.algorithm=ES256",
        "audiences.new-name.algorithm=Ed25519",
    ]);
    rotations_killed_anywhere(&place, &["EdDSA", "Ed25519", "ES256", "RS256"]);
}

fn rotations_killed_anywhere(place: &Place, algorithms: &[&str]) {
    drop(place.serve());
    let rotate = || {
        let mut command = place.command();
        command.args(["keys", "rotate", "--force"]);
        command
    };
    let whole = time_of(&mut rotate());
    let (mut killed, mut ended, mut n) = (0, 0, 0);
    // From the very beginning to well after the end, and on until one has ended: how long the search
    // for the primes of an RSA key takes is a matter of luck.
    while n < TRIES || ended == 0 {
        assert!(n < 40 * TRIES, "no rotation ends");
        if kill_after(&mut rotate(), whole * n * 3 / (TRIES * 2)) {
            ended += 1;
        } else {
            killed += 1;
        }
        n += 1;
        let now = states(place, &[]);
        let count = |algorithm: &str, state: &str| {
            let one = format!("{algorithm} {state}");
            now.iter().filter(|found| **found == one).count()
        };
        for algorithm in algorithms {
            assert_eq!(count(algorithm, "active"), 1, "{now:?}");
            assert_eq!(count(algorithm, "standby"), 1, "{now:?}");
            let turned = count(algorithm, "retired");
            assert_eq!(turned, count(algorithms[0], "retired"), "{now:?}");
        }
    }
    println!("{killed} rotations killed, {ended} ended before the kill");
    assert!(killed > 0 && ended > 0);
}

#[test]
fn k7_a_rewrap_killed_anywhere_leaves_every_key_under_the_old_or_every_key_under_the_new_master_key()
 {
    let place = Place::new(&[]);
    drop(place.serve());
    let mut current = std::fs::read_to_string(place.path("keys/master.key"))
        .unwrap()
        .trim()
        .to_owned();
    let opens = |key: &str| {
        place
            .command()
            .args(["keys", "list"])
            .env("COUNTERSIGN_MASTER_KEY", key)
            .output()
            .unwrap()
            .status
            .success()
    };
    let (mut old, mut new, mut whole) = (0, 0, Duration::ZERO);
    for n in 0..TRIES {
        let next = format!("{:0>22}abcdefghijklmnopqrst0", n + 1_000_000);
        write_key(&place.path("new.key"), &next);
        let mut command = place.command();
        command
            .args(["keys", "rewrap", "--new-master-key-file", "new.key"])
            .env("COUNTERSIGN_MASTER_KEY", &current);
        if n == 0 {
            whole = time_of(&mut command);
        } else {
            kill_after(&mut command, whole * n * 3 / (TRIES * 2));
        }
        match (opens(&current), opens(&next)) {
            (true, false) => old += 1,
            (false, true) => {
                new += 1;
                current = next;
            }
            mix => panic!("old and new open: {mix:?}"),
        }
    }
    println!(
        "killed {} times: {old} times all under the old, {new} times all under the new master key",
        TRIES - 1
    );
    assert!(old > 0 && new > 1);
}

#[test]
fn a_process_that_was_killed_holds_nothing_up() {
    let place = Place::new(&[]);
    let mut server: Server = place.serve();
    for _ in 0..3 {
        server.signal(Signal::SIGKILL);
        server.wait();
        server = place.serve();
    }
    assert_eq!(states(&place, &[]).len(), 2);
}
