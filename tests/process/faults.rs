//! Databases that go away, hang, fail over or hide behind a pooler, and replicas that are killed:
//! what three real processes make of it.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::calls::{
    STRICT, all_go_on, refresh_at, sign_in, signed_up, storm_of, token, until_closed,
};
use crate::fleet::Fleet;
use crate::server::{Place, form, post, refresh, sign_up};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn without_its_database_for_20_s_it_says_so_at_once_and_recovers_within_5() {
    let fleet = Fleet::start(&[
        "sessions.refresh_grace=60s",
        "sessions.refresh_cooldown=60s",
    ]);
    let http = Client::new();
    signed_up(&fleet, &http).await;
    let sessions = join_all((0..40).map(|_| sign_in(&fleet, &http))).await;
    let stop = AtomicBool::new(false);
    let (slowest, unavailable) = (std::sync::Mutex::new(Duration::ZERO), AtomicU64::default());
    let clients = join_all(sessions.iter().enumerate().map(|(at, session)| {
        let (fleet, http, stop, slowest, unavailable) =
            (&fleet, &http, &stop, &slowest, &unavailable);
        async move {
            let (n, mut held) = (u16::try_from(at % 3).unwrap() + 1, token(session));
            while !stop.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let answer = http
                    .post(fleet.direct(n, "/api/auth/refresh"))
                    .json(&json!({ "refreshToken": held }))
                    .send()
                    .await
                    .unwrap();
                let took = asked.elapsed();
                {
                    let mut slowest = slowest.lock().unwrap();
                    *slowest = took.max(*slowest);
                }
                match answer.status().as_u16() {
                    200 => {
                        if let Some(next) =
                            answer.json::<Value>().await.unwrap()["refreshToken"].as_str()
                        {
                            next.clone_into(&mut held);
                        }
                    }
                    503 => {
                        assert_eq!(answer.headers()["retry-after"], "1");
                        unavailable.fetch_add(1, Ordering::Relaxed);
                    }
                    status => panic!("{status}: {}", answer.text().await.unwrap()),
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            held
        }
    }));
    let outage = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        tokio::task::block_in_place(|| fleet.stop_postgres());
        let gone = Instant::now();
        while gone.elapsed() < Duration::from_secs(20) {
            for n in 1..=3 {
                let status = async |path: &str| {
                    http.get(fleet.direct(n, path))
                        .send()
                        .await
                        .unwrap()
                        .status()
                        .as_u16()
                };
                assert_eq!(status("/api/auth/jwks").await, 200);
                assert_eq!(status("/.well-known/openid-configuration").await, 200);
                assert_eq!(status("/health").await, 200);
                assert_eq!(status("/health/ready").await, 503);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        tokio::task::block_in_place(|| fleet.crash_postgres());
        let back = Instant::now();
        for n in 1..=3 {
            while http
                .get(fleet.direct(n, "/health/ready"))
                .send()
                .await
                .unwrap()
                .status()
                .as_u16()
                != 200
            {
                assert!(
                    back.elapsed() < Duration::from_secs(5),
                    "replica {n} does not recover"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        let recovered = back.elapsed();
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.store(true, Ordering::Relaxed);
        recovered
    };
    let (held, recovered) = tokio::join!(clients, outage);
    let slowest = *slowest.lock().unwrap();
    println!(
        "{} × 503, the slowest answer {slowest:?}, ready again after {recovered:?}",
        unavailable.into_inner()
    );
    assert!(
        slowest < Duration::from_secs(5),
        "sooner than a client gives up: {slowest:?}"
    );
    for token in &held {
        assert_eq!(
            refresh_at(&fleet, &http, 1, token).await.0,
            200,
            "everybody goes on"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql, pgbouncer and nginx; tests/all.sh runs it"]
async fn behind_a_pooler_in_transaction_mode_a_replica_does_all_it_does_without() {
    // How long a busy machine lets forty wait for their turn is not what this is about.
    let patient = "database.acquire_timeout=15s";
    let fleet = Fleet::start(&[
        "sessions.refresh_grace=0s",
        "sessions.refresh_cooldown=0s",
        "keys.verifier_cache=0s",
        patient,
    ]);
    let http = Client::new();
    let (_pooler, url) = fleet.pooler();
    fleet.signal(2, Signal::SIGTERM);
    until_closed(&fleet, 2);
    let (url, direct) = (
        format!("database.url={url}"),
        format!("database.direct_url={}", fleet.database_url()),
    );
    fleet.serve_with(2, &[&url, &direct, "database.prepared_statements=false"]);
    fleet.until_ready(2).await;
    signed_up(&fleet, &http).await;
    // More at once than the pooler has connections to Postgres.
    join_all((0..40).map(|_| {
        let (fleet, http) = (&fleet, &http);
        async move {
            let (status, session) = post(
                http,
                &fleet.direct(2, "/api/auth/sign-in/email"),
                &form("ana"),
            )
            .await
            .unwrap();
            assert_eq!(status, 200, "{session}\n{}", fleet.log(2));
            let mut held = token(&session);
            for cycle in 0..10 {
                let (status, body) =
                    refresh_at(fleet, http, if cycle % 3 == 0 { 1 } else { 2 }, &held).await;
                assert_eq!(status, 200, "{body}");
                held = token(&body);
            }
        }
    }))
    .await;
    let before = jwks(&fleet, &http).await;
    assert!(
        fleet
            .cli(&["keys", "rotate", "--force", "--yes"])
            .status
            .success()
    );
    let started = Instant::now();
    while jwks(&fleet, &http).await == before {
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "told past the pooler, before the poll of 5 s"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn jwks(fleet: &Fleet, http: &Client) -> String {
    http.get(fleet.direct(2, "/api/auth/jwks"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn a_failover_that_loses_commits_heals_sessions_and_raises_no_alarm() {
    const OF_EACH: usize = 20;
    let fleet = Fleet::start(&STRICT);
    let http = Client::new();
    signed_up(&fleet, &http).await;
    let rotate = async |held: &str| {
        let (status, body) = refresh_at(&fleet, &http, 1, held).await;
        assert_eq!(status, 200, "{body}");
        token(&body)
    };
    // 0, 1 or 2 rotations of each session will be lost with the primary.
    let mut sessions = Vec::new();
    for lost in 0..3 {
        for _ in 0..OF_EACH {
            let first = token(&sign_in(&fleet, &http).await);
            sessions.push((lost, rotate(&first).await));
        }
    }
    let standby = fleet.standby().await;
    standby.cut_off().await;
    for (lost, held) in &mut sessions {
        for _ in 0..*lost {
            *held = rotate(held).await;
        }
    }
    tokio::task::block_in_place(|| standby.take_over(&fleet));
    for n in 1..=3 {
        let started = Instant::now();
        while !http
            .get(fleet.direct(n, "/health/ready"))
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
        {
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "replica {n} does not find the new primary"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let mut answers = [[0; 2]; 3];
    for (lost, held) in &sessions {
        let (status, body) = refresh_at(&fleet, &http, 2, held).await;
        answers[*lost][usize::from(status != 200)] += 1;
        match lost {
            0 | 1 => assert_eq!(status, 200, "{body}"),
            _ => assert_eq!(
                (status, body["code"].as_str()),
                (401, Some("REFRESH_TOKEN_REVOKED")),
                "{body}"
            ),
        }
        if status == 200 {
            // What was healed is kept; the next one rotates.
            let next = body["refreshToken"].as_str().unwrap_or(held);
            assert_eq!(refresh_at(&fleet, &http, 3, next).await.0, 200);
        }
    }
    println!("commits lost → [answered, refused]: {answers:?}");
    let events = async |kind: &str| -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM audit_events WHERE kind = $1")
            .bind(kind.to_owned())
            .fetch_one(&mut fleet.sql().await)
            .await
            .unwrap()
    };
    let found = (
        events("refresh_token.healed").await,
        events("refresh_token.lost").await,
        events("refresh_token.reused").await,
    );
    let each = i64::try_from(OF_EACH).unwrap();
    assert_eq!(found, (each, each, 0), "healed, lost, stolen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn s04_replicas_killed_20_times_in_a_storm_of_200_sessions_sign_no_user_out() {
    let fleet = Fleet::start(&[
        "tokens.access_ttl=1m",
        "sessions.refresh_grace=12s",
        "sessions.refresh_cooldown=12s",
    ]);
    let http = Client::new();
    let balancer = fleet.url("/api/auth/refresh");
    let (storm, running) = storm_of(&fleet, &http, 200, |_| balancer.clone()).await;
    let mut random = ChaCha20Rng::seed_from_u64(4);
    let mut kills = 0;
    while kills < 20 {
        storm.until_rotated(u64::from(random.next_u32() % 20)).await;
        // Now and then all of them.
        let hit = if kills % 5 == 4 {
            1..=3
        } else {
            let n = 1 + u16::try_from(random.next_u32() % 3).unwrap();
            n..=n
        };
        for n in hit.clone() {
            fleet.signal(n, Signal::SIGKILL);
            kills += 1;
        }
        for n in hit {
            until_closed(&fleet, n);
            fleet.serve(n);
            fleet.until_ready(n).await;
        }
    }
    all_go_on(&fleet, &storm, running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn s13_postgres_restarted_and_its_backends_killed_under_load_every_session_goes_on() {
    let fleet = Fleet::start(&[
        "tokens.access_ttl=1m",
        "sessions.refresh_grace=12s",
        "sessions.refresh_cooldown=12s",
    ]);
    let http = Client::new();
    let (storm, running) = storm_of(&fleet, &http, 120, |n| {
        fleet.direct(n % 3 + 1, "/api/auth/refresh")
    })
    .await;
    for round in 0..12 {
        storm.until_rotated(10).await;
        if round % 3 == 2 {
            tokio::task::block_in_place(|| fleet.crash_postgres());
        } else {
            let killed = sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'countersign'",
            );
            killed.execute(&mut fleet.sql().await).await.unwrap();
        }
    }
    assert!(
        storm.unavailable.load(Ordering::Relaxed) > 0,
        "a client noticed"
    );
    all_go_on(&fleet, &storm, running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn a_postgres_that_hangs_for_8_s_delays_no_request_longer_than_that_and_all_go_on() {
    let fleet = Fleet::start(&[
        "tokens.access_ttl=1m",
        "sessions.refresh_grace=20s",
        "sessions.refresh_cooldown=20s",
    ]);
    let http = Client::new();
    let (storm, running) = storm_of(&fleet, &http, 60, |n| {
        fleet.direct(n % 3 + 1, "/api/auth/refresh")
    })
    .await;
    fleet.signal_postgres(Signal::SIGSTOP);
    let hangs = Instant::now();
    let mut slowest = Duration::ZERO;
    while hangs.elapsed() < Duration::from_secs(8) {
        for n in 1..=3 {
            let asked = Instant::now();
            for path in ["/api/auth/jwks", "/health"] {
                assert_eq!(
                    http.get(fleet.direct(n, path))
                        .send()
                        .await
                        .unwrap()
                        .status()
                        .as_u16(),
                    200
                );
            }
            assert!(
                asked.elapsed() < Duration::from_secs(1),
                "from memory: {:?}",
                asked.elapsed()
            );
            let asked = Instant::now();
            let (status, body) = post(
                &http,
                &fleet.direct(n, "/api/auth/sign-in/email"),
                &form("ana"),
            )
            .await
            .expect("an answer within 5 s");
            assert_eq!(status, 503, "{body}");
            slowest = slowest.max(asked.elapsed());
        }
    }
    fleet.signal_postgres(Signal::SIGCONT);
    let back = Instant::now();
    for n in 1..=3 {
        fleet.until_ready(n).await;
    }
    println!(
        "the slowest sign-in {slowest:?}, ready again after {:?}",
        back.elapsed()
    );
    assert!(
        back.elapsed() < Duration::from_secs(5),
        "{:?}",
        back.elapsed()
    );
    all_go_on(&fleet, &storm, running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn with_sslmode_verify_full_every_connection_is_encrypted_and_a_stranger_s_certificate_is_refused()
 {
    let fleet = Fleet::start(&STRICT);
    let http = Client::new();
    let authority = fleet.certify_postgres().await;
    let url = |mode: &str, root: &std::path::Path| {
        format!(
            "database.url={}?sslmode={mode}&sslrootcert={}",
            fleet.database_url().replace("127.0.0.1", "localhost"),
            root.display()
        )
    };
    for n in 1..=3 {
        fleet.signal(n, Signal::SIGTERM);
        until_closed(&fleet, n);
    }
    fleet.serve_with(2, &[&url("verify-full", &authority)]);
    fleet.until_ready(2).await;
    signed_up(&fleet, &http).await;
    let held = token(&sign_in(&fleet, &http).await);
    assert_eq!(refresh_at(&fleet, &http, 2, &held).await.0, 200);
    let encrypted = "SELECT COUNT(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'countersign' AND s.ssl";
    assert!(
        fleet.number(encrypted).await >= 2,
        "the pool and the listener"
    );
    let plain = "SELECT COUNT(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'countersign' AND NOT s.ssl";
    assert_eq!(fleet.number(plain).await, 0);
    // Not the authority that signed it; and an address that is not in it.
    let stranger = fleet.stranger();
    let other_name = url("verify-full", &authority).replace("localhost", "127.0.0.1");
    for wrong in [
        url("verify-full", &stranger),
        url("verify-ca", &stranger),
        other_name,
    ] {
        let refused = fleet.cli(&["--set", &wrong, "doctor"]);
        assert!(
            !refused.status.success()
                && String::from_utf8_lossy(&refused.stdout).contains("certificate"),
            "{wrong}: {refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn a_copy_from_sqlite_to_postgres_that_is_killed_is_run_again_and_everybody_goes_on_there() {
    const USERS: i64 = 60_000;
    let place = Place::new(&STRICT);
    let server = place.serve();
    let http = Client::new();
    let held = sign_up(&http, &server, "ana").await["refreshToken"]
        .as_str()
        .unwrap()
        .to_owned();
    drop(server);
    let source = place.path("data/countersign.db");
    let mut sqlite = SqliteConnectOptions::new()
        .filename(&source)
        .connect()
        .await
        .unwrap();
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
         INSERT INTO users (id, email, email_verified, name, role, banned, metadata, version, created_at, updated_at)
         SELECT '00000000-0000-4000-8000-' || printf('%012x', i), 'user' || i || '@example.com', 0, 'Ünï ' || i, 'user', 0, '{}', 1, i, i FROM n";
    sqlx::query(many)
        .bind(USERS)
        .execute(&mut sqlite)
        .await
        .unwrap();
    sqlite.close().await.unwrap();

    let fleet = Fleet::start(&STRICT);
    sqlx::raw_sql("CREATE DATABASE moved")
        .execute(&mut fleet.sql().await)
        .await
        .unwrap();
    let target = fleet
        .database_url()
        .replace("/postgres", "/moved")
        .replacen("//moved", "//postgres", 1);
    let (from, to) = (format!("sqlite://{}", source.display()), target.as_str());
    let copy = ["database", "copy", "--from", &from, "--to", to];
    let mut child = place
        .command()
        .args(copy)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut there = PgConnection::connect(to).await.unwrap();
    let users = "SELECT COUNT(*) FROM users";
    // The table is not there at first.
    while sqlx::query_scalar::<_, i64>(users)
        .fetch_one(&mut there)
        .await
        .unwrap_or(0)
        == 0
    {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it began"
        );
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let copied: i64 = sqlx::query_scalar(users)
        .fetch_one(&mut there)
        .await
        .unwrap();
    assert!(copied < USERS, "killed on its way: {copied}");
    let counts = place.items(&copy, "");
    assert!(
        counts
            .as_array()
            .unwrap()
            .iter()
            .any(|t| t["table"] == "users" && t["rows"] == USERS + 1),
        "{counts}"
    );
    let names = "SELECT COUNT(*) FROM users WHERE name LIKE 'Ünï %'";
    assert_eq!(
        sqlx::query_scalar::<_, i64>(names)
            .fetch_one(&mut there)
            .await
            .unwrap(),
        USERS
    );

    let moved = Place {
        settings: [&place.settings[..], &[format!("database.url={to}")]].concat(),
        ..place
    };
    let server = moved.serve();
    let (status, body) = refresh(&http, &server, &held).await.unwrap();
    assert_eq!(status, 200, "{body}");
}
