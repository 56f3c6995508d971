//! `GET /token` by algorithm: how many a second beside bare signatures, and how long the slowest takes.

use std::time::Duration;

use countersign::model::key::algorithm::Algorithm;

use super::client::{Client, member};
use super::server::{self, STRICT, Server};
use super::{ROUND, ROUNDS, Row, raw};

const AUDIENCES: [(Algorithm, &str); 3] = [
    (Algorithm::EdDsa, "/api/auth/token"),
    (Algorithm::Es256, "/api/auth/token?audience=mobile"),
    (Algorithm::Rs256, "/api/auth/token?audience=billing"),
];
/// How long a rate of 200 a second is held.
const HELD: Duration = Duration::from_secs(10);
const CLIENTS: u32 = 8;

pub async fn measure() -> Vec<Row> {
    let settings = [
        "tokens.mint_from_session=always",
        "audiences.mobile.algorithm=ES256",
        "audiences.billing.algorithm=RS256",
    ];
    let server = Server::start(&[&STRICT[..], &settings].concat());
    let body = r#"{"email":"ana@example.com","password":"correct horse battery","name":"Ana","tokenDelivery":"body"}"#;
    let answer = Client::connect(server.port)
        .await
        .post("/api/auth/sign-up/email", body)
        .await;
    let session = member(&answer, "token");
    let mut rows = Vec::new();
    for (algorithm, path) in AUDIENCES {
        let (mut ours, mut limit) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(server::wrk_as(&server.url(path), &session, ROUND));
            limit.push(raw::signatures(algorithm, ROUND));
        }
        rows.push(super::ratio(
            format!("GET /token with {algorithm} beside raw signatures on all cores"),
            &ours,
            &limit,
            "/s",
            0.0,
            "–",
        ));
    }
    let mut slowest = Vec::new();
    for (_, path) in AUDIENCES {
        slowest.push(slowest_in_a_hundred(&server, path, &session).await);
    }
    let ratio = slowest[2] / slowest[0];
    rows.push(Row {
        what: "p99 of GET /token with RS256 beside EdDSA, at 200 a second".into(),
        ours: format!("{:.2} ms", slowest[2] * 1e3),
        limit: format!("{:.2} ms", slowest[0] * 1e3),
        ratio: Some(ratio),
        bound: "≤ 3",
        met: ratio <= 3.0,
    });
    rows
}

/// The 99th percentile in seconds, from the time at which a request was due: a slow answer makes the
/// next ones late, and that counts.
async fn slowest_in_a_hundred(server: &Server, path: &'static str, session: &str) -> f64 {
    let every = Duration::from_millis(5) * CLIENTS;
    let mut running = Vec::new();
    for n in 0..CLIENTS {
        let (mut client, session) = (Client::connect(server.port).await, session.to_owned());
        let first = tokio::time::Instant::now() + Duration::from_millis(5) * n;
        running.push(tokio::spawn(async move {
            let (mut due, mut times) = (first, Vec::new());
            while due < first + HELD {
                tokio::time::sleep_until(due).await;
                client.get(path, &session).await;
                times.push(due.into_std().elapsed().as_secs_f64());
                due += every;
            }
            times
        }));
    }
    let mut all = Vec::new();
    for one in running {
        all.extend(one.await.unwrap());
    }
    all.sort_by(f64::total_cmp);
    all[all.len() * 99 / 100]
}
