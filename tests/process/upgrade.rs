//! Rolling upgrades with two real programs side by side on one database: this one and the next release
//! with one migration more, and a release before and this one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::Client;
use serde_json::{Value, json};

use crate::calls::{
    STRICT, all_go_on, post_as, refresh_at, sign_in, storm_of, token, until_closed,
};
use crate::fleet::Fleet;
use crate::server::{form, post};

/// The next release's program: the one that `NEXT_RELEASE` names, or one that is built now.
fn next_release() -> PathBuf {
    if let Some(built) = std::env::var_os("NEXT_RELEASE") {
        return built.into();
    }
    let built = Command::new("tests/next_release.sh").output().unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    PathBuf::from(String::from_utf8(built.stdout).unwrap().trim())
}

/// What a user does in a day, at one replica.
async fn day(fleet: &Fleet, http: &Client, n: u16) {
    let (status, session) = post(
        http,
        &fleet.direct(n, "/api/auth/sign-in/email"),
        &form("ana"),
    )
    .await
    .unwrap();
    assert_eq!(status, 200, "replica {n}: {session}");
    let (status, body) = refresh_at(fleet, http, n, &token(&session)).await;
    assert_eq!(status, 200, "replica {n}: {body}");
    // Made here, good everywhere.
    for n in 1..=3 {
        let (access, cookie) = (
            body["accessToken"].as_str().unwrap(),
            session["token"].as_str().unwrap(),
        );
        for (path, bearer) in [
            ("session", access),
            ("get-session", cookie),
            ("list-sessions", cookie),
        ] {
            let answer = http
                .get(fleet.direct(n, &format!("/api/auth/{path}")))
                .bearer_auth(bearer)
                .send()
                .await
                .unwrap();
            let (status, body) = (
                answer.status().as_u16(),
                answer.json::<Value>().await.unwrap(),
            );
            assert!(
                status == 200 && !body.is_null(),
                "replica {n}, {path}: {status} {body}"
            );
        }
        assert_eq!(
            http.get(fleet.direct(n, "/health/ready"))
                .send()
                .await
                .unwrap()
                .status()
                .as_u16(),
            200,
            "replica {n}"
        );
    }
    assert_eq!(
        post_as(
            http,
            &fleet.direct(n % 3 + 1, "/api/auth/sign-out"),
            &session,
            &json!({})
        )
        .await,
        200
    );
    assert_eq!(refresh_at(fleet, http, n, &token(&body)).await.0, 401);
}

async fn replace(fleet: &Fleet, n: u16, binary: &Path, settings: &[&str]) {
    fleet.signal(n, Signal::SIGTERM);
    until_closed(fleet, n);
    fleet.serve_as(n, binary, settings);
    fleet.until_ready(n).await;
    // As `docs/operations.md` says: nginx leaves out for its fail_timeout what refused a
    // connection.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx, and builds this source with one migration more; tests/all.sh runs it"]
async fn rolling_from_one_release_to_the_next_no_request_fails() {
    let next = next_release();
    let fleet = Fleet::start(&STRICT);
    let http = Client::new();
    let migrations = "SELECT COUNT(*) FROM _sqlx_migrations";
    let known = fleet.number(migrations).await;
    let balancer = fleet.url("/api/auth/refresh");
    let (storm, running) = storm_of(&fleet, &http, 30, |_| balancer.clone()).await;

    // The newer program on the schema from before.
    replace(&fleet, 1, &next, &["database.migrate=false"]).await;
    assert_eq!(fleet.number(migrations).await, known);
    for n in 1..=3 {
        day(&fleet, &http, n).await;
    }
    // It migrates at its start; the older ones serve on.
    replace(&fleet, 1, &next, &[]).await;
    assert_eq!(
        fleet.number(migrations).await,
        known + 1,
        "{}",
        fleet.log(1)
    );
    for n in 1..=3 {
        day(&fleet, &http, n).await;
    }
    // Keys are rotated meanwhile, and every replica signs with the new one and serves it.
    let rotated = fleet.cli_of(
        &next,
        &["keys", "rotate", "--force", "--yes", "--output", "json"],
    );
    assert!(
        rotated.status.success(),
        "{}",
        String::from_utf8_lossy(&rotated.stderr)
    );
    for n in 1..=3 {
        let held = token(&sign_in(&fleet, &http).await);
        let kid = kid(&refresh_at(&fleet, &http, n, &held).await.1);
        let set: Value = http
            .get(fleet.direct(n % 3 + 1, "/api/auth/jwks"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert!(
            set["keys"]
                .as_array()
                .unwrap()
                .iter()
                .any(|k| k["kid"] == kid),
            "{kid}: {set}"
        );
    }
    // What starts now must be the newer one.
    let late = fleet.cli(&["users", "list"]);
    assert_eq!(late.status.code(), Some(78), "{late:?}");
    assert!(
        String::from_utf8_lossy(&late.stderr).contains("use a newer countersign"),
        "{late:?}"
    );
    for n in 2..=3 {
        replace(&fleet, n, &next, &[]).await;
        day(&fleet, &http, n).await;
    }
    storm.until_rotated(60).await;
    all_go_on(&fleet, &storm, running).await;
    assert_eq!(
        (storm.unavailable.load(Relaxed), storm.without.load(Relaxed)),
        (0, 0),
        "requests that failed: {}",
        fleet.balancer_log()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PREVIOUS_RELEASE, the program of a release before; tests/long.sh builds it"]
async fn rolling_from_the_release_before_no_request_fails_and_then_an_audience_is_added() {
    let before: PathBuf = std::env::var_os("PREVIOUS_RELEASE").unwrap().into();
    let now = Path::new(env!("CARGO_BIN_EXE_countersign"));
    let fleet = Fleet::start_as(&before, &STRICT);
    let http = Client::new();
    // What verifiers see: the key set, discovery, and the form of a token.
    let set = async |n: u16| -> Vec<String> {
        let mut seen = Vec::new();
        for path in ["/api/auth/jwks", "/.well-known/openid-configuration"] {
            let answer = http.get(fleet.direct(n, path)).send().await;
            seen.push(answer.unwrap().text().await.unwrap());
        }
        let (_, session) = post(
            &http,
            &fleet.direct(n, "/api/auth/sign-in/email"),
            &form("ana"),
        )
        .await
        .unwrap();
        seen.extend(form_of(session["accessToken"].as_str().unwrap()));
        seen
    };
    let balancer = fleet.url("/api/auth/refresh");
    let (storm, running) = storm_of(&fleet, &http, 30, |_| balancer.clone()).await;
    let first = set(1).await;
    // It migrates at its start; the older ones serve on beside it.
    replace(&fleet, 1, now, &[]).await;
    for n in 1..=3 {
        day(&fleet, &http, n).await;
        assert_eq!(set(n).await, first, "the same bytes from both programs");
    }
    // Keys of the release before rotate in this one, and all replicas follow.
    let rotated = fleet.cli_of(now, &["keys", "rotate", "--force", "--yes"]);
    assert!(rotated.status.success(), "{rotated:?}");
    for n in 1..=3 {
        day(&fleet, &http, n).await;
    }
    for n in 2..=3 {
        replace(&fleet, n, now, &[]).await;
        day(&fleet, &http, n).await;
    }
    // Every replica is upgraded: now the audience.
    let audience = ["audiences.billing.algorithm=RS256"];
    for n in 1..=3 {
        replace(&fleet, n, now, &audience).await;
        for n in 1..=3 {
            day(&fleet, &http, n).await;
        }
    }
    let held = token(&sign_in(&fleet, &http).await);
    let ask = async |n: u16| {
        let body = json!({ "refreshToken": held, "audience": "billing" });
        post(&http, &fleet.direct(n, "/api/auth/refresh"), &body)
            .await
            .unwrap()
    };
    assert_eq!(ask(1).await.0, 503, "its first key is not known everywhere");
    let begun = ["keys", "rotate", "--algorithm", "RS256", "--force", "--yes"];
    let begun = fleet.cli_of(now, &begun);
    assert!(begun.status.success(), "{begun:?}");
    let mut held = held.clone();
    for n in 1..=3 {
        let body = json!({ "refreshToken": held, "audience": "billing" });
        let (status, answer) = post(&http, &fleet.direct(n, "/api/auth/refresh"), &body)
            .await
            .unwrap();
        assert_eq!(status, 200, "replica {n}: {answer}");
        let header = jsonwebtoken::decode_header(answer["accessToken"].as_str().unwrap());
        assert_eq!(header.unwrap().alg, jsonwebtoken::Algorithm::RS256);
        held = token(&answer);
    }
    storm.until_rotated(60).await;
    all_go_on(&fleet, &storm, running).await;
    assert_eq!(
        (storm.unavailable.load(Relaxed), storm.without.load(Relaxed)),
        (0, 0),
        "requests that failed: {}",
        fleet.balancer_log()
    );
}

/// Returns the header of a token, and the names of its claims in their order.
fn form_of(token: &str) -> [String; 2] {
    let mut parts = token.split('.').map(|part| {
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, part);
        String::from_utf8_lossy(&bytes.unwrap()).into_owned()
    });
    let (header, claims) = (parts.next().unwrap(), parts.next().unwrap());
    // In the order of the text: the parser keeps it.
    let claims: serde_json::Map<String, Value> = serde_json::from_str(&claims).unwrap();
    let names: Vec<&str> = claims.keys().map(String::as_str).collect();
    [header, names.join(" ")]
}

fn kid(answer: &Value) -> String {
    jsonwebtoken::decode_header(answer["accessToken"].as_str().unwrap())
        .unwrap()
        .kid
        .unwrap()
}
