//! Clients that take their time take nothing from the others.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::server::{Place, refresh, sign_up};

const SLOW: usize = 500;
const IDLE: usize = 1_000;
/// Longer than the service waits for headers and for a body.
const PATIENCE: Duration = Duration::from_secs(40);

/// Sends a byte a second until the other end has had enough; what it said.
async fn drip(port: u16, at_once: &str, slowly: &'static str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(at_once.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let writing = tokio::spawn(async move {
        let mut second = interval(Duration::from_secs(1));
        for byte in slowly.as_bytes().iter().cycle() {
            second.tick().await;
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        // The other end is to close it: dropping this half would.
        std::future::pending::<()>().await;
    });
    let mut said = Vec::new();
    // A reset is an end too.
    drop(
        timeout(PATIENCE, read.read_to_end(&mut said))
            .await
            .expect("it is cut off"),
    );
    writing.abort();
    String::from_utf8(said).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_slow_and_a_thousand_idle_clients_take_nothing_from_the_others() {
    // Two thousand connections are as many files; the service sees to its own.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    // Ten permits: if slow clients took them, other clients would have none.
    let place = Place::new(&["server.header_timeout=5s", "server.max_requests=10"]);
    let server = place.serve();
    let client = reqwest::Client::new();
    let form = "POST /api/auth/sign-in/email HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n";
    let headers: Vec<_> = (0..SLOW)
        .map(|_| {
            tokio::spawn(drip(
                server.port,
                "GET /api/auth/session HTTP/1.1\r\n",
                "X-Slow: 1\r\n",
            ))
        })
        .collect();
    let bodies: Vec<_> = (0..SLOW)
        .map(|_| tokio::spawn(drip(server.port, form, " ")))
        .collect();
    let idle: Vec<_> = (0..IDLE)
        .map(|_| tokio::spawn(drip(server.port, "", "")))
        .collect();
    let tokens = sign_up(&client, &server, "ana").await;
    let mut rounds = 0;
    while bodies.iter().any(|slow| !slow.is_finished()) {
        let (status, _) = refresh(&client, &server, tokens["refreshToken"].as_str().unwrap())
            .await
            .expect("an answer");
        let session = client
            .get(server.url("/api/auth/session"))
            .bearer_auth(tokens["token"].as_str().unwrap())
            .send()
            .await
            .unwrap();
        let jwks = client
            .get(server.url("/api/auth/jwks"))
            .send()
            .await
            .unwrap();
        assert_eq!(
            (status, session.status().as_u16(), jwks.status().as_u16()),
            (200, 200, 200),
            "after {rounds} rounds"
        );
        rounds += 1;
    }
    println!(
        "{rounds} rounds of three requests were served beside {SLOW} slow headers, {SLOW} slow bodies, {IDLE} idle connections"
    );
    assert!(rounds > 10);
    for slow in bodies {
        assert!(
            slow.await.unwrap().starts_with("HTTP/1.1 408"),
            "a body that does not come is told so"
        );
    }
    for cut_off in headers.into_iter().chain(idle) {
        let said = cut_off.await.unwrap();
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 408"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_refusal_because_of_too_much_comes_late_and_others_do_not_wait_for_it() {
    let place = Place::new(&["rate_limits.enabled=true", "rate_limits.sign_in=1/15m"]);
    let server = place.serve();
    let client = reqwest::Client::new();
    sign_up(&client, &server, "ana").await;
    let wrong =
        serde_json::json!({ "email": "unknown@example.com", "password": "a wrong password" });
    let guess = async || {
        client
            .post(server.url("/api/auth/sign-in/email"))
            .json(&wrong)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(guess().await, 401);
    let (begun, health) = (std::time::Instant::now(), server.url("/health"));
    let (refused, well) = tokio::join!(guess(), client.get(&health).send());
    assert_eq!((refused, well.unwrap().status().as_u16()), (429, 200));
    assert!(
        begun.elapsed() >= Duration::from_millis(500),
        "who floods waits"
    );
}
