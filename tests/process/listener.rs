//! The listener: who may hold how many connections, for how long, and what ends when the process
//! stops.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::server::{Place, Server};

/// Much longer than any of these answers takes, much shorter than the 30 s of a header.
const SOON: Duration = Duration::from_secs(8);

/// A connection from this loopback address: every address in 127.0.0.0/8 is this machine.
async fn from(address: [u8; 4], port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((address, 0))).unwrap();
    socket
        .connect(SocketAddr::from(([127, 0, 0, 1], port)))
        .await
        .unwrap()
}

/// Asks once and reads to the end; an error if no answer comes soon.
async fn ask_from(address: [u8; 4], port: u16, request: &str) -> Result<String, String> {
    let asked = async {
        let mut stream = from(address, port).await;
        stream
            .write_all(request.as_bytes())
            .await
            .map_err(|e| e.to_string())?;
        let mut answer = Vec::new();
        stream
            .read_to_end(&mut answer)
            .await
            .map_err(|e| e.to_string())?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    timeout(SOON, asked)
        .await
        .unwrap_or_else(|_| Err(format!("no answer in {SOON:?}")))
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

/// Connections with an unfinished request, so many from each address.
async fn hold(addresses: impl Iterator<Item = [u8; 4]>, each: usize, port: u16) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for address in addresses {
        for _ in 0..each {
            let mut stream = from(address, port).await;
            stream
                .write_all(b"GET /api/auth/ok HTTP/1.1\r\nHost:")
                .await
                .unwrap();
            held.push(stream);
        }
    }
    held
}

#[track_caller]
fn status(answer: Result<String, String>) -> u16 {
    let answer = answer.unwrap();
    answer
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| panic!("{answer:?}"))
}

#[tokio::test]
async fn one_address_cannot_hold_every_connection() {
    let place = Place::new(&["server.max_connections=40"]);
    let server = place.serve();
    let _held = hold(std::iter::once([127, 0, 0, 1]), 40, server.port).await;
    assert_eq!(
        status(ask_from([127, 9, 9, 9], server.port, &get("/api/auth/ok")).await),
        200
    );
}

#[tokio::test]
async fn keys_discovery_and_health_answer_while_every_connection_is_held() {
    let place = Place::new(&["server.max_connections=40"]);
    let server = place.serve();
    let held = hold((1..=40).map(|n| [127, n, 0, 1]), 2, server.port).await;
    // More than are kept aside: the oldest of those that hold most give way.
    let flood = hold(std::iter::once([127, 200, 0, 1]), 400, server.port).await;
    for path in [
        "/api/auth/jwks",
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
        "/health",
        "/health/ready",
    ] {
        for client in [[127, 200, 0, 1], [127, 201, 0, 1]] {
            assert_eq!(
                status(ask_from(client, server.port, &get(path)).await),
                200,
                "{path} from {client:?}"
            );
        }
    }
    let refused = ask_from([127, 201, 0, 1], server.port, &get("/api/auth/session"))
        .await
        .unwrap();
    assert!(
        refused.starts_with("HTTP/1.1 503")
            && refused.contains("SERVICE_UNAVAILABLE")
            && refused.contains("retry-after: 1"),
        "{refused}"
    );
    let form = "POST /auth/sign-in HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\nConnection: close\r\n\r\na=b";
    let page = ask_from([127, 201, 0, 1], server.port, form).await.unwrap();
    assert!(
        page.starts_with("HTTP/1.1 503") && page.contains("text/html") && page.contains("<h1>"),
        "{page}"
    );
    drop((held, flood));
    let client = reqwest::Client::new();
    let begun = Instant::now();
    while client
        .get(server.url("/api/auth/ok"))
        .send()
        .await
        .unwrap()
        .status()
        != 200
    {
        assert!(begun.elapsed() < SOON, "places come back");
    }
}

/// Without CORS a page of another origin would see a network error, and neither the status nor when
/// to come again.
#[tokio::test]
async fn a_trusted_page_may_read_that_there_is_no_place() {
    let place = Place::new(&[
        "server.max_connections=40",
        "server.max_connections_per_network=2",
        "server.trusted_origins=https://app.example.com",
    ]);
    let server = place.serve();
    let _held = hold(std::iter::once([127, 0, 0, 9]), 2, server.port).await;
    for (origin, may) in [
        ("https://app.example.com", true),
        ("https://other.example.com", false),
    ] {
        let ask = |method: &str| {
            format!(
                "{method} /api/auth/sign-in/email HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        };
        let preflight = ask_from([127, 0, 0, 9], server.port, &ask("OPTIONS"))
            .await
            .unwrap();
        assert_eq!(
            preflight.starts_with("HTTP/1.1 200")
                && preflight.contains("access-control-allow-headers: content-type"),
            may,
            "{preflight}"
        );
        let refused = ask_from([127, 0, 0, 9], server.port, &ask("POST"))
            .await
            .unwrap();
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
        assert_eq!(
            refused.contains(&format!("access-control-allow-origin: {origin}")),
            may,
            "{refused}"
        );
    }
}

#[tokio::test]
async fn the_cap_of_a_network_is_not_applied_to_a_trusted_proxy() {
    let place = Place::new(&[
        "server.max_connections=40",
        "server.max_connections_per_network=5",
        "server.trusted_proxies=127.0.0.7",
    ]);
    let server = place.serve();
    let (_proxy, _other) = (
        hold(std::iter::once([127, 0, 0, 7]), 30, server.port).await,
        hold(std::iter::once([127, 0, 0, 8]), 5, server.port).await,
    );
    assert_eq!(
        status(ask_from([127, 0, 0, 7], server.port, &get("/api/auth/ok")).await),
        200
    );
    assert_eq!(
        status(ask_from([127, 0, 0, 8], server.port, &get("/api/auth/ok")).await),
        503,
        "another address is held to it"
    );
}

#[tokio::test]
async fn a_connection_at_rest_makes_room_for_one_that_asks() {
    let place = Place::new(&[
        "server.max_connections=40",
        "server.max_connections_per_network=4",
    ]);
    let server = place.serve();
    let mut resting = Vec::new();
    for n in 0..10 {
        let mut stream = from([127, 0, 0, 1], server.port).await;
        assert_eq!(ask_on(&mut stream).await, 200, "connection {n}");
        resting.push(stream);
    }
    assert_eq!(ask_on(&mut resting[9]).await, 200, "the newest stays");
    let mut end = [0; 1];
    assert!(
        matches!(
            timeout(SOON, resting[0].read(&mut end)).await.unwrap(),
            Ok(0) | Err(_)
        ),
        "the one that has rested longest is closed"
    );
}

/// One request on a connection that stays open.
async fn ask_on(stream: &mut TcpStream) -> u16 {
    stream
        .write_all(b"GET /api/auth/ok HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"{\"ok\":true}") {
        let mut piece = [0; 4096];
        let count = timeout(SOON, stream.read(&mut piece))
            .await
            .unwrap()
            .unwrap();
        assert!(
            count > 0,
            "closed after {:?}",
            String::from_utf8_lossy(&answer)
        );
        answer.extend_from_slice(&piece[..count]);
        if !answer.starts_with(b"HTTP/1.1 200") {
            break;
        }
    }
    String::from_utf8_lossy(&answer)
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn between_two_requests_a_connection_rests_longer_than_a_header_may_take() {
    let place = Place::new(&["server.header_timeout=1s", "server.keep_alive=4s"]);
    let server = place.serve();
    let mut stream = from([127, 0, 0, 1], server.port).await;
    assert_eq!(ask_on(&mut stream).await, 200);
    let mut end = [0; 1];
    assert!(
        timeout(Duration::from_millis(2_500), stream.read(&mut end))
            .await
            .is_err(),
        "closed before server.keep_alive"
    );
    assert_eq!(ask_on(&mut stream).await, 200);
    // A header that has begun has no more than server.header_timeout.
    let begun = Instant::now();
    stream.write_all(b"GET /api/auth/ok HT").await.unwrap();
    assert!(matches!(
        timeout(SOON, stream.read(&mut end)).await.unwrap(),
        Ok(0) | Err(_)
    ));
    assert!(
        begun.elapsed() < Duration::from_millis(3_500),
        "{:?}",
        begun.elapsed()
    );
    // And one that rests is closed in the end.
    let mut stream = from([127, 0, 0, 1], server.port).await;
    assert_eq!(ask_on(&mut stream).await, 200);
    assert_eq!(
        timeout(SOON, stream.read(&mut end)).await.unwrap().unwrap(),
        0
    );
}

/// Sends `opening`, then SIGTERM; how long the process went on, and what the client got.
async fn stop_with(opening: &[u8], settings: &[&str]) -> (Duration, String) {
    let place = Place::new(settings);
    let mut server = place.serve();
    let mut stream = from([127, 0, 0, 1], server.port).await;
    stream.write_all(opening).await.unwrap();
    // Accepted in order: once this one is answered, the first has been taken in.
    assert_eq!(
        status(ask_from([127, 0, 0, 1], server.port, &get("/health")).await),
        200
    );
    let begun = Instant::now();
    server.signal(Signal::SIGTERM);
    let status = tokio::task::spawn_blocking(move || server.wait())
        .await
        .unwrap();
    assert!(status.success());
    let took = begun.elapsed();
    let mut said = Vec::new();
    drop(stream.read_to_end(&mut said).await);
    (took, String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_does_not_hold_up_the_end() {
    let head =
        "POST /api/auth/sign-in/email HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let body = format!("{head}Content-Length: 1000\r\n\r\n{{");
    for opening in [head, &body, "", "PRI * HTTP/2.0\r\n"] {
        let (took, _) = stop_with(opening.as_bytes(), &[]).await;
        assert!(took < Duration::from_secs(7), "{took:?} after {opening:?}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answers_does_not_hold_up_the_end() {
    // Requests in a row, as many as their answers fill every buffer on the way.
    let opening = "GET /api/auth/jwks HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20_000);
    let place = Place::new(&[]);
    let mut server = place.serve();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket
        .connect(SocketAddr::from(([127, 0, 0, 1], server.port)))
        .await
        .unwrap();
    stream.write_all(opening.as_bytes()).await.unwrap();
    let ours = stream.local_addr().unwrap().port();
    let (mut before, begun) = (0, Instant::now());
    // Until the kernel holds answers for us and no more come: the server waits for its client.
    while before == 0 || unsent(server.port, ours) != before {
        assert!(begun.elapsed() < SOON, "the server is never stuck");
        before = unsent(server.port, ours);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let begun = Instant::now();
    server.signal(Signal::SIGTERM);
    let status = tokio::task::spawn_blocking(move || server.wait())
        .await
        .unwrap();
    assert!(
        status.success() && begun.elapsed() < Duration::from_secs(7),
        "{:?}",
        begun.elapsed()
    );
}

/// Bytes that the kernel holds on this connection of the server's and that its client does not
/// take.
fn unsent(server: u16, client: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (local, remote) = (format!(":{server:04X}"), format!(":{client:04X}"));
    let line = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|f| f[1].ends_with(&local) && f[2].ends_with(&remote));
    line.map_or(0, |fields| {
        u64::from_str_radix(fields[4].split(':').next().unwrap(), 16).unwrap()
    })
}

#[tokio::test]
async fn what_is_no_http_is_refused_with_a_request_id_and_a_code() {
    let place = Place::new(&[]);
    let server = place.serve();
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(70_000));
    let large = format!(
        "GET /health HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "y".repeat(70_000)
    );
    let many = format!(
        "GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "X: y\r\n".repeat(80)
    );
    for (request, wanted, code) in [
        ("\u{1}\u{2}\u{3} / HTTP/1.1\r\n\r\n", 400, "BAD_REQUEST"),
        (
            "GET /health HTTP/1.1\r\nHost: x\r\nA b: y\r\n\r\n",
            400,
            "BAD_REQUEST",
        ),
        (
            "GET  /health HTTP/1.1\r\nHost: x\r\n\r\n",
            400,
            "BAD_REQUEST",
        ),
        (&long, 431, "REQUEST_HEADER_FIELDS_TOO_LARGE"),
        (&large, 431, "REQUEST_HEADER_FIELDS_TOO_LARGE"),
        (&many, 431, "REQUEST_HEADER_FIELDS_TOO_LARGE"),
    ] {
        held_to_the_shape(&server, request, wanted, code, 1).await;
        // After a good request on the same connection too.
        let second = format!("GET /health HTTP/1.1\r\nHost: x\r\n\r\n{request}");
        held_to_the_shape(&server, &second, wanted, code, 2).await;
    }
}

async fn held_to_the_shape(
    server: &Server,
    request: &str,
    wanted: u16,
    code: &str,
    answers: usize,
) {
    let mut stream = from([127, 0, 0, 1], server.port).await;
    drop(stream.write_all(request.as_bytes()).await);
    let mut said = Vec::new();
    drop(timeout(SOON, stream.read_to_end(&mut said)).await.unwrap());
    let said = String::from_utf8_lossy(&said).into_owned();
    let begin = request.chars().take(60).collect::<String>();
    assert_eq!(
        said.matches("HTTP/1.1 ").count(),
        answers,
        "{begin:?}: {said}"
    );
    let last = said.rsplit("HTTP/1.1 ").next().unwrap();
    assert!(last.starts_with(&wanted.to_string()), "{begin:?}: {said}");
    let (head, body) = last.split_once("\r\n\r\n").unwrap();
    for header in [
        "x-request-id: ",
        "content-type: application/json",
        "cache-control: no-store",
        "connection: close",
        "date: ",
    ] {
        assert!(head.contains(header), "{begin:?}: no {header} in {said}");
    }
    let body: serde_json::Value =
        serde_json::from_str(body).unwrap_or_else(|_| panic!("{begin:?}: {said}"));
    assert_eq!(body["code"], code);
}
