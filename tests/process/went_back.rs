//! A database that goes back under a running server, as a failover or a restore makes it.

use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::server::{Place, sign_in, sign_up};

async fn open(place: &Place) -> SqliteConnection {
    SqliteConnectOptions::new().filename(place.path("data/countersign.db")).connect().await.unwrap()
}

#[tokio::test]
async fn a_server_adopts_a_key_ring_that_went_back_and_revokes_again_what_was_revoked() {
    let place = Place::new(&[]);
    let server = place.serve();
    let http = reqwest::Client::new();
    sign_up(&http, &server, "ana").await;
    let kids = async || -> Vec<String> {
        let set: Value = http.get(server.url("/api/auth/jwks")).send().await.unwrap().json().await.unwrap();
        set["keys"].as_array().unwrap().iter().map(|k| k["kid"].as_str().unwrap().to_owned()).collect()
    };
    let mut database = open(&place).await;
    sqlx::raw_sql("CREATE TABLE old_keys AS SELECT * FROM signing_keys; CREATE TABLE old_ring AS SELECT * FROM key_ring").execute(&mut database).await.unwrap();
    let leaked = kids().await[0].clone();
    let revoked = place.run(&["keys", "revoke", &leaked, "--reason", "leaked", "--yes"], "");
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    let started = Instant::now();
    while kids().await.contains(&leaked) {
        assert!(started.elapsed() < Duration::from_secs(20), "the revocation is not seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let back = "BEGIN IMMEDIATE; DELETE FROM signing_keys; INSERT INTO signing_keys SELECT * FROM old_keys;
        DELETE FROM key_ring; INSERT INTO key_ring SELECT * FROM old_ring; COMMIT";
    sqlx::raw_sql(back).execute(&mut database).await.unwrap();
    // The first token after it, before any poll.
    let token = sign_in(&http, &server, "ana").await["accessToken"].as_str().unwrap().to_owned();
    let header = jsonwebtoken::decode_header(&token).unwrap();
    let active: String = sqlx::query_scalar("SELECT kid FROM signing_keys WHERE state = 'active'").fetch_one(&mut database).await.unwrap();
    assert_eq!(header.kid.as_deref(), Some(active.as_str()), "signed by the key that the database knows as active");
    assert_ne!(active, leaked, "and not by one that was revoked");
    let state: String = sqlx::query_scalar("SELECT state FROM signing_keys WHERE kid = $1").bind(&leaked).fetch_one(&mut database).await.unwrap();
    assert_eq!(state, "revoked");
    assert!(!kids().await.contains(&leaked) && kids().await.contains(&active));
    assert_eq!(http.get(server.url("/health/ready")).send().await.unwrap().status(), 200);
    assert!(server.log().contains("the database went back") && server.log().contains("is revoked again"), "{}", server.log());
}
