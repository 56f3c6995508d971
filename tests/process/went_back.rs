//! A database that goes back under a running server, as a failover or a restore makes it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::calls::{refresh_at, signed_up};
use crate::fleet::Fleet;
use crate::server::{Place, form, post, sign_in, sign_up};

async fn open(place: &Place) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(place.path("data/countersign.db"))
        .connect()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_server_adopts_a_key_ring_that_went_back_and_revokes_again_what_was_revoked() {
    let place = Place::new(&[]);
    let server = place.serve();
    let http = reqwest::Client::new();
    sign_up(&http, &server, "ana").await;
    let kids = async || -> Vec<String> {
        let set: Value = http
            .get(server.url("/api/auth/jwks"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        set["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|k| k["kid"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut database = open(&place).await;
    sqlx::raw_sql("CREATE TABLE old_keys AS SELECT * FROM signing_keys; CREATE TABLE old_ring AS SELECT * FROM key_ring").execute(&mut database).await.unwrap();
    let leaked = kids().await[0].clone();
    let revoked = place.run(
        &["keys", "revoke", &leaked, "--reason", "leaked", "--yes"],
        "",
    );
    assert!(
        revoked.status.success(),
        "{}",
        String::from_utf8_lossy(&revoked.stderr)
    );
    let started = Instant::now();
    while kids().await.contains(&leaked) {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "the revocation is not seen"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let back = "BEGIN IMMEDIATE; DELETE FROM signing_keys; INSERT INTO signing_keys SELECT * FROM old_keys;
        DELETE FROM key_ring; INSERT INTO key_ring SELECT * FROM old_ring; COMMIT";
    sqlx::raw_sql(back).execute(&mut database).await.unwrap();
    // The first token after it, before any poll.
    let token = sign_in(&http, &server, "ana").await["accessToken"]
        .as_str()
        .unwrap()
        .to_owned();
    let header = jsonwebtoken::decode_header(&token).unwrap();
    let active: String = sqlx::query_scalar("SELECT kid FROM signing_keys WHERE state = 'active'")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(
        header.kid.as_deref(),
        Some(active.as_str()),
        "signed by the key that the database knows as active"
    );
    assert_ne!(active, leaked, "and not by one that was revoked");
    let state: String = sqlx::query_scalar("SELECT state FROM signing_keys WHERE kid = $1")
        .bind(&leaked)
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(state, "revoked");
    assert!(!kids().await.contains(&leaked) && kids().await.contains(&active));
    assert_eq!(
        http.get(server.url("/health/ready"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert!(
        server
            .log()
            .contains("the database was restored to an earlier state")
            && server.log().contains("is revoked again"),
        "{}",
        server.log()
    );
}

async fn kids_at(fleet: &Fleet, http: &reqwest::Client, n: u16) -> Vec<String> {
    let set: Value = http
        .get(fleet.direct(n, "/api/auth/jwks"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    set["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|k| k["kid"].as_str().unwrap().to_owned())
        .collect()
}

fn kid_of(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

/// A new token of this replica, as soon as it gives one.
async fn token_at(fleet: &Fleet, http: &reqwest::Client, n: u16) -> String {
    let started = Instant::now();
    loop {
        let answer = post(
            http,
            &fleet.direct(n, "/api/auth/sign-in/email"),
            &form("ana"),
        )
        .await;
        if let Some((200, body)) = answer {
            return body["accessToken"].as_str().unwrap().to_owned();
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "replica {n} signs no user in: {answer:?}\n{}",
            fleet.log(n)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn after_a_failover_that_lost_key_changes_every_running_replica_adopts_the_ring_and_revokes_again_what_was_revoked()
 {
    let fleet = Fleet::start(&[]);
    let http = reqwest::Client::new();
    let held = signed_up(&fleet, &http).await;
    let leaked = kid_of(&token_at(&fleet, &http, 1).await);
    let standby = fleet.standby().await;
    standby.cut_off().await;
    // Both of these the standby never hears of.
    for change in [
        &["keys", "revoke", &leaked, "--reason", "leaked", "--yes"][..],
        &["keys", "rotate", "--force", "--yes"],
    ] {
        let done = tokio::task::block_in_place(|| fleet.cli(change));
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    let newest: String = sqlx::query_scalar("SELECT kid FROM signing_keys WHERE state = 'active'")
        .fetch_one(&mut fleet.sql().await)
        .await
        .unwrap();
    let mut signed_by_lost = Vec::new();
    for n in 1..=3 {
        let started = Instant::now();
        while kids_at(&fleet, &http, n).await.contains(&leaked) {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "replica {n} does not see the revocation"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let token = token_at(&fleet, &http, n).await;
        assert_eq!(kid_of(&token), newest);
        signed_by_lost.push(token);
    }
    // One of them does not run while the database is changed.
    fleet.signal(3, Signal::SIGSTOP);
    tokio::task::block_in_place(|| standby.take_over(&fleet));
    let taken_over = Instant::now();
    for n in [1, 2] {
        // The very first token of each.
        assert_ne!(
            kid_of(&token_at(&fleet, &http, n).await),
            leaked,
            "replica {n} signs with a key that was revoked"
        );
        fleet.until_ready(n).await;
    }
    let ready_after = taken_over.elapsed();
    fleet.signal(3, Signal::SIGCONT);
    assert_ne!(kid_of(&token_at(&fleet, &http, 3).await), leaked);
    fleet.until_ready(3).await;
    let mut database = fleet.sql().await;
    let state: String = sqlx::query_scalar("SELECT state FROM signing_keys WHERE kid = $1")
        .bind(&leaked)
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(state, "revoked");
    let active: String = sqlx::query_scalar("SELECT kid FROM signing_keys WHERE state = 'active'")
        .fetch_one(&mut database)
        .await
        .unwrap();
    let known: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM signing_keys WHERE kid = $1")
        .bind(&newest)
        .fetch_one(&mut database)
        .await
        .unwrap();
    println!("ready again after {ready_after:?}; active {active}");
    for n in 1..=3 {
        assert_eq!(
            kid_of(&token_at(&fleet, &http, n).await),
            active,
            "replica {n} signs with the database's key"
        );
        let kids = kids_at(&fleet, &http, n).await;
        assert!(
            kids.contains(&active) && !kids.contains(&leaked),
            "replica {n}: {kids:?}"
        );
        assert!(
            fleet
                .log(n)
                .contains("the database was restored to an earlier state"),
            "replica {n} says so:\n{}",
            fleet.log(n)
        );
        assert_eq!(
            refresh_at(&fleet, &http, n, &held).await.0,
            200,
            "sessions of before go on at replica {n}"
        );
    }
    assert!((1..=3).any(|n| {
        fleet
            .log(n)
            .contains("a revoked key came back with the database and is revoked again")
    }));
    assert_eq!(known, 0, "the key of the lost rotation is lost");
    for token in &signed_by_lost {
        let answer = http
            .get(fleet.direct(1, "/api/auth/session"))
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        assert_eq!(
            answer.status().as_u16(),
            401,
            "signed by a key that is lost"
        );
    }
}
