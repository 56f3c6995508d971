//! Ours beside the raw limit, in one run. `benches/limits.sh` builds and runs it.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a benchmark speaks plainly"
)]

mod client;
mod postgres;
mod raw;
mod server;
mod tokens;

use std::fmt::Write as _;
use std::time::Duration;

use client::Client;
use countersign::model::key::algorithm::Algorithm;
use server::Server;

/// One line of the table.
struct Row {
    what: String,
    ours: String,
    limit: String,
    ratio: Option<f64>,
    bound: &'static str,
    met: bool,
}

const ROUNDS: usize = 5;
const PAIRS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);
/// A hash takes some 17 ms, and the load generator does not count the ones under way when it stops.
const LONG_ROUND: Duration = Duration::from_secs(10);

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// By turns, and the ratio of each pair: the machine's own speed moves more than a twentieth in a
/// minute.
fn ratio(
    what: impl Into<String>,
    ours: &[f64],
    limit: &[f64],
    unit: &str,
    at_least: f64,
    bound: &'static str,
) -> Row {
    let ratio = median(ours.iter().zip(limit).map(|(us, raw)| us / raw).collect());
    let show = |all: &[f64]| format!("{:.0} {unit}", median(all.to_vec()));
    Row {
        what: what.into(),
        ours: show(ours),
        limit: show(limit),
        ratio: Some(ratio),
        bound,
        met: ratio >= at_least,
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "--bare") {
        return raw::serve_bare(&arguments[at + 1], &arguments[at + 2]);
    }
    if let Some(at) = arguments.iter().position(|a| a == "--argon2") {
        return println!(
            "{}",
            raw::argon2(arguments[at + 1].parse().unwrap(), LONG_ROUND)
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let after = |name: &str| {
        arguments
            .iter()
            .position(|a| a == name)
            .map(|at| arguments[at + 1].as_str())
    };
    if arguments.iter().any(|a| a == "--try") {
        return runtime.block_on(try_out(after("--postgres").unwrap()));
    }
    let sessions = after("--sessions").map_or(5_000_000, |n| n.parse().unwrap());
    let rows = runtime.block_on(async {
        let mut rows = match after("--only") {
            Some("postgres") => Vec::new(),
            Some("sign-in") => return sign_in().await,
            Some("tokens") => {
                let mut rows = signing();
                rows.extend(tokens::measure().await);
                return rows;
            }
            _ => measure().await,
        };
        if let Some(url) = after("--postgres") {
            rows.extend(postgres::measure(url, sessions).await);
        }
        rows
    });
    let table = table(&rows);
    println!("{table}");
    // The record is of a whole run.
    if after("--only").is_none() {
        // What other benchmarks have measured stands behind the table and stays.
        let old = std::fs::read_to_string("benches/results.md").unwrap_or_default();
        let others = old.split_once("\n# ").map(|(_, rest)| rest);
        let others = others.map_or_else(String::new, |rest| format!("\n# {rest}"));
        std::fs::write("benches/results.md", table + &others).unwrap();
    }
}

/// Runs once what has the server's own statements in it, so that a change of a statement cannot
/// break the benchmark unseen. Measures nothing.
async fn try_out(url: &str) {
    let dir = tempfile::tempdir().unwrap();
    let updates = raw::update_loop(&dir.path().join("bare.db"), Duration::from_millis(200)).await;
    assert!(updates > 0.0);
    postgres::try_out(url, dir.path().join("small.sql")).await;
}

async fn measure() -> Vec<Row> {
    let mut rows = vec![start_to_first_jwks(), memory().await];
    rows.push(size());
    rows.extend(signing());
    rows.push(jwks());
    rows.extend(refresh().await);
    rows.extend(sign_in().await);
    rows.extend(tokens::measure().await);
    rows
}

fn jwks() -> Row {
    let server = Server::start(&[]);
    let body = server.path("jwks.json");
    std::fs::write(&body, server.get("/api/auth/jwks")).unwrap();
    let bare = server::bare(&body);
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(server::wrk(&server.url("/api/auth/jwks"), ROUND));
        limit.push(server::wrk(&bare.url("/"), ROUND));
    }
    ratio(
        "JWKS beside a bare axum route with the same bytes, 32 connections",
        &ours,
        &limit,
        "req/s",
        0.8,
        "≥ 0.8",
    )
}

/// Many users sign in, each less often than a user may have sessions: counting those of one user with
/// thousands would be a part of each sign-in.
async fn sign_in() -> Vec<Row> {
    const ACCOUNTS: usize = 100;
    let server = Server::start(&["rate_limits.enabled=false"]);
    let mut client = Client::connect(server.port).await;
    for n in 0..ACCOUNTS {
        let form = format!(
            r#"{{"name":"a","email":"a{n}@example.com","password":"a good long password"}}"#
        );
        client.post("/api/auth/sign-up/email", &form).await;
    }
    let script = server.path("sign-in.lua");
    let lua = format!(
        r#"wrk.method = 'POST'
wrk.headers['content-type'] = 'application/json'
local n = 0
function request()
  n = (n + 1) % {ACCOUNTS}
  return wrk.format(nil, nil, nil, '{{"email":"a' .. n .. '@example.com","password":"a good long password","tokenDelivery":"body"}}')
end
"#
    );
    std::fs::write(&script, lua).unwrap();
    let cores = std::thread::available_parallelism().unwrap().get();
    let (mut ours, mut plain, mut huge) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        plain.push(server::raw_argon2(cores, false));
        ours.push(server::wrk_script(
            &server.url("/api/auth/sign-in/email"),
            &script,
            cores * 4,
            LONG_ROUND,
            // When the machine stalls, the service sheds a few hashes (503); they do not count.
            0.01,
        ));
        huge.push(server::raw_argon2(cores, true));
    }
    vec![
        ratio(
            "sign-in beside raw argon2id on all cores (7 pairs of 10 s)",
            &ours,
            &plain,
            "/s",
            0.95,
            "≥ 0.95",
        ),
        ratio(
            "the same, the raw loop in huge pages as `serve` is",
            &ours,
            &huge,
            "/s",
            0.0,
            "–",
        ),
    ]
}

async fn refresh() -> Vec<Row> {
    let server = Server::start(&server::STRICT);
    let mut tokens = server.sessions(32).await;
    let (mut one, mut many, mut limit) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        limit.push(raw::update_loop(&server.path("bare.db"), ROUND).await);
        one.push(server.refresh_storm(&mut tokens[..1], ROUND).await);
        many.push(server.refresh_storm(&mut tokens, ROUND).await);
    }
    vec![
        ratio(
            "refresh on SQLite (FULL), 32 clients, beside a bare loop of the UPDATE",
            &many,
            &limit,
            "/s",
            1.0,
            "≥ 1.0",
        ),
        ratio(
            "refresh on SQLite (FULL), 1 client, beside the same loop",
            &one,
            &limit,
            "/s",
            0.5,
            "≥ 0.5",
        ),
    ]
}

/// A token is a signature and some 5 µs of JSON and base64: little beside RSA, a fifth beside ECDSA.
fn signing() -> Vec<Row> {
    let row = |algorithm, beside: &str, bound: &'static str, most: f64| {
        let (ours, limit) = raw::signing(algorithm);
        let ratio = ours / limit;
        Row {
            what: format!("signing an access token with {algorithm} beside raw {beside}"),
            ours: format!("{ours:.1} µs"),
            limit: format!("{limit:.1} µs"),
            ratio: Some(ratio),
            bound,
            met: ratio <= most,
        }
    };
    vec![
        row(Algorithm::EdDsa, "ed25519-dalek", "≤ 0.75", 0.75),
        row(Algorithm::Es256, "aws-lc-rs", "≤ 1.4", 1.4),
        row(Algorithm::Rs256, "aws-lc-rs", "≤ 1.1", 1.1),
    ]
}

fn start_to_first_jwks() -> Row {
    let mut server = Server::start(&[]);
    let times = (0..11)
        .map(|_| server.restart().as_secs_f64() * 1e3)
        .collect();
    let ms = median(times);
    Row {
        what: "start to first JWKS, existing database".into(),
        ours: format!("{ms:.0} ms"),
        limit: "–".into(),
        ratio: None,
        bound: "≤ 150 ms",
        met: ms <= 150.0,
    }
}

async fn memory() -> Row {
    let server = Server::start(&[
        "sessions.refresh_grace=0s",
        "sessions.refresh_cooldown=0s",
        "rate_limits.enabled=false",
        "log.level=warn",
    ]);
    let idle = server.resident_mib();
    let mut tokens = server.sessions(8).await;
    let mut done = 0.0;
    while done < 10_000.0 {
        let round = Duration::from_millis(500);
        done += server.refresh_storm(&mut tokens, round).await * round.as_secs_f64();
    }
    let after = server.resident_mib();
    // argon2 gives its blocks back after five idle seconds.
    let settled = {
        tokio::time::sleep(Duration::from_secs(12)).await;
        server.resident_mib()
    };
    Row {
        what: "memory idle; after 10,000 refreshes; 12 s later".into(),
        ours: format!("{idle:.1} MB; {after:.1} MB; {settled:.1} MB"),
        limit: "–".into(),
        ratio: None,
        bound: "idle ≤ 25 MB",
        met: idle <= 25.0,
    }
}

fn size() -> Row {
    let kb = u32::try_from(server::binary().metadata().unwrap().len() / 1000).unwrap();
    let mib = f64::from(kb) / 1e3;
    Row {
        what: "stripped binary".into(),
        ours: format!("{mib:.1} MB"),
        limit: "–".into(),
        ratio: None,
        bound: "≤ 25 MB",
        met: mib <= 25.0,
    }
}

fn table(rows: &[Row]) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let mut text = format!(
        "# Limits\n\nWritten by `benches/limits.sh` on {cores} cores; medians of {ROUNDS} rounds of {ROUND:?} each, ours and the limit by turns in one run\nand the ratio of each pair, load generator on the same cores. Trust the ratios, not the rates.\n\n| what | ours | raw limit | ratio | bound | met |\n| --- | --- | --- | --- | --- | --- |\n"
    );
    for row in rows {
        let ratio = row
            .ratio
            .map_or_else(|| "–".to_owned(), |r| format!("{r:.2}"));
        let met = match (row.bound, row.met) {
            ("–", _) => "–",
            (_, true) => "yes",
            (_, false) => "**no**",
        };
        writeln!(
            text,
            "| {} | {} | {} | {ratio} | {} | {met} |",
            row.what, row.ours, row.limit, row.bound
        )
        .unwrap();
    }
    text
}
