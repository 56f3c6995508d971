//! The scenarios of refresh and of keys, with three real processes behind nginx on one Postgres.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use reqwest::Client;
use serde_json::{Value, json};

use crate::calls::{STRICT, post_as, refresh_at, sign_in, signed_up, token, until_closed};
use crate::fleet::Fleet;
use crate::server::{form, post};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn s01_s02_s03_many_tabs_and_a_killed_replica_share_one_successor() {
    let fleet = Fleet::start(&[
        "log.level=debug",
        "sessions.refresh_grace=3s",
        "sessions.refresh_cooldown=3s",
    ]);
    let http = Client::new();
    let first = signed_up(&fleet, &http).await;

    let url = fleet.url("/api/auth/refresh");
    let ask = json!({ "refreshToken": first });
    let answers = join_all((0..64).map(|_| post(&http, &url, &ask))).await;
    let successors: BTreeSet<String> = answers
        .into_iter()
        .map(Option::unwrap)
        .inspect(|(status, body)| assert_eq!(*status, 200, "{body}"))
        .map(|(_, body)| token(&body))
        .collect();
    assert_eq!(successors.len(), 1, "64 at once, one successor");
    assert_eq!(fleet.number("SELECT generation FROM sessions").await, 2);

    // Eight tabs that do not coordinate: each sends what the jar held when it looked, to whichever
    // replica.
    let jar = std::sync::Mutex::new(successors.into_iter().next().unwrap());
    join_all((0..8_u64).map(|tab| {
        let (fleet, http, jar) = (&fleet, &http, &jar);
        async move {
            for cycle in 0..50_u64 {
                tokio::time::sleep(Duration::from_millis((tab * 31 + cycle * 17) % 300)).await;
                let held = jar.lock().unwrap().clone();
                let (status, body) = refresh_at(
                    fleet,
                    http,
                    u16::try_from((tab + cycle) % 3).unwrap() + 1,
                    &held,
                )
                .await;
                assert_eq!(status, 200, "{body}");
                if let Some(next) = body["refreshToken"].as_str() {
                    next.clone_into(&mut jar.lock().unwrap());
                }
            }
        }
    }))
    .await;

    let moved = fleet.number("SELECT MAX(generation) FROM sessions").await;
    assert!(moved > 3, "it rotated under the tabs: {moved}");

    // The answer is never read, the replica is killed, another one is asked.
    let session = sign_in(&fleet, &http).await;
    let before = fleet.log(1).matches("/api/auth/refresh").count();
    let unread = http
        .post(fleet.direct(1, "/api/auth/refresh"))
        .json(&json!({ "refreshToken": token(&session) }))
        .send();
    let (sent, ()) = tokio::join!(unread, async {
        while fleet.log(1).matches("/api/auth/refresh").count() == before {
            tokio::task::yield_now().await;
        }
        fleet.signal(1, Signal::SIGKILL);
    });
    drop(sent);
    assert_eq!(
        fleet
            .number("SELECT generation FROM sessions ORDER BY created_at DESC LIMIT 1")
            .await,
        2,
        "it was committed"
    );
    let (status, again) = refresh_at(&fleet, &http, 2, &token(&session)).await;
    assert_eq!(status, 200, "{again}");
    assert_eq!(
        token(&again),
        token(&refresh_at(&fleet, &http, 3, &token(&session)).await.1)
    );
    assert_eq!(
        fleet
            .number("SELECT COUNT(*) FROM audit_events WHERE kind = 'refresh_token.reused'")
            .await,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn s05_s06_a_replayed_token_ends_the_session_on_every_replica() {
    let fleet = Fleet::start(&STRICT);
    let http = Client::new();
    signed_up(&fleet, &http).await;
    for old in 0..2 {
        let session = sign_in(&fleet, &http).await;
        let mut family = vec![token(&session)];
        for n in 1..=3 {
            let (status, body) = refresh_at(&fleet, &http, n, family.last().unwrap()).await;
            assert_eq!(status, 200, "{body}");
            family.push(token(&body));
        }
        // The parent outside its grace, and one older than that.
        let (status, body) = refresh_at(&fleet, &http, 1, &family[2 - old]).await;
        assert_eq!(
            (status, body["code"].as_str()),
            (401, Some("REFRESH_TOKEN_REUSED")),
            "{body}"
        );
        for n in 1..=3 {
            let (status, body) = refresh_at(&fleet, &http, n, family.last().unwrap()).await;
            assert_eq!(
                (status, body["code"].as_str()),
                (401, Some("REFRESH_TOKEN_REVOKED")),
                "{body}"
            );
            let listed = http
                .get(fleet.direct(n, "/api/auth/list-sessions"))
                .bearer_auth(session["token"].as_str().unwrap())
                .send()
                .await
                .unwrap();
            assert_eq!(
                listed.status().as_u16(),
                401,
                "its session token is as dead"
            );
        }
    }
    assert_eq!(
        fleet
            .number("SELECT COUNT(*) FROM audit_events WHERE kind = 'refresh_token.reused'")
            .await,
        2
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn s09_s18_signing_out_and_changing_the_password_win_over_whatever_is_under_way() {
    const ROUNDS: u16 = 400;
    let fleet = Fleet::start(&STRICT);
    let http = Client::new();
    signed_up(&fleet, &http).await;
    for round in 0..ROUNDS {
        let session = sign_in(&fleet, &http).await;
        let held = token(&session);
        let storm = async {
            let mut held = held.clone();
            let mut newest = vec![held.clone()];
            for n in 0..6 {
                let (status, body) = refresh_at(&fleet, &http, (round + n) % 3 + 1, &held).await;
                if status != 200 {
                    break;
                }
                held = token(&body);
                newest.push(held.clone());
            }
            newest
        };
        let out = async {
            tokio::time::sleep(Duration::from_micros(u64::from(round % 20) * 500)).await;
            post_as(
                &http,
                &fleet.direct(round % 3 + 1, "/api/auth/sign-out"),
                &session,
                &json!({}),
            )
            .await
        };
        let (newest, status) = tokio::join!(storm, out);
        assert_eq!(status, 200);
        for old in &newest {
            assert_eq!(
                refresh_at(&fleet, &http, (round + 1) % 3 + 1, old).await.0,
                401,
                "round {round}"
            );
        }
    }
    assert_eq!(
        fleet
            .number("SELECT COUNT(*) FROM sessions WHERE revoked_at IS NULL")
            .await,
        1,
        "only the sign-up's"
    );

    // Sign-ins with the old password race its change; whatever came of them, none is alive
    // afterwards.
    let mut current = form("ana")["password"].as_str().unwrap().to_owned();
    for round in 0..20 {
        let next = format!("a good long password {round}");
        let body = |password: &str| json!({ "email": "ana@example.com", "password": password, "tokenDelivery": "body" });
        let (_, session) = post(
            &http,
            &fleet.url("/api/auth/sign-in/email"),
            &body(&current),
        )
        .await
        .unwrap();
        let change =
            json!({ "currentPassword": current, "newPassword": next, "revokeOtherSessions": true });
        let change_url = fleet.direct(1, "/api/auth/change-password");
        let change = post_as(&http, &change_url, &session, &change);
        let (url, old) = (fleet.direct(2, "/api/auth/sign-in/email"), body(&current));
        let racing = join_all((0..4).map(|_| post(&http, &url, &old)));
        let (status, racing) = tokio::join!(change, racing);
        assert_eq!(status, 200);
        for (status, body) in racing
            .into_iter()
            .flatten()
            .filter(|(status, _)| *status == 200)
        {
            assert_eq!(
                refresh_at(&fleet, &http, 3, &token(&body)).await.0,
                401,
                "{status}"
            );
        }
        current = next;
    }

    // And the same when the user is banned or disabled.
    for round in 0..20 {
        let form = form(&format!("eve{round}"));
        assert_eq!(
            post(&http, &fleet.url("/api/auth/sign-up/email"), &form)
                .await
                .unwrap()
                .0,
            200
        );
        let address = form["email"].as_str().unwrap();
        let url = fleet.direct(2, "/api/auth/sign-in/email");
        let racing = join_all((0..4).map(|_| post(&http, &url, &form)));
        let disabling = async {
            tokio::task::block_in_place(|| fleet.cli(&["users", "disable", address, "--yes"]))
        };
        let (done, racing) = tokio::join!(disabling, racing);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        for (_, body) in racing
            .into_iter()
            .flatten()
            .filter(|(status, _)| *status == 200)
        {
            assert_eq!(refresh_at(&fleet, &http, 3, &token(&body)).await.0, 401);
        }
        assert_eq!(post(&http, &url, &form).await.unwrap().0, 403);
    }
    let live = "SELECT COUNT(*) FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.disabled_at IS NOT NULL AND s.revoked_at IS NULL";
    assert_eq!(fleet.number(live).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn s12_clocks_two_seconds_apart_do_no_harm_and_ten_are_told() {
    // Messages are under way for less than half a second here. The grace is twice that and the
    // skew, and a little: the first rotation waits for no cool-down, and when the slower clock
    // makes it the faster one finds it two seconds old. The cool-down is the grace, twice that and
    // the skew.
    let fleet = Fleet::start(&[
        "tokens.access_ttl=1m",
        "sessions.refresh_grace=3500ms",
        "sessions.refresh_cooldown=6500ms",
    ]);
    let http = Client::new();
    let jar = std::sync::Mutex::new(signed_up(&fleet, &http).await);
    fleet.signal(2, Signal::SIGTERM);
    until_closed(&fleet, 2);
    fleet.serve_at(2, 2);
    // Four tabs that do not coordinate, each asking the one replica and the other by turns, over
    // several windows.
    join_all((0..4_u16).map(|tab| {
        let (fleet, http, jar) = (&fleet, &http, &jar);
        async move {
            for cycle in 0..80_u16 {
                tokio::time::sleep(Duration::from_millis(u64::from(
                    100 + (tab * 37 + cycle * 53) % 200,
                )))
                .await;
                let held = jar.lock().unwrap().clone();
                let (status, body) = refresh_at(fleet, http, (tab + cycle) % 2 + 1, &held).await;
                assert_eq!(status, 200, "{body}");
                if let Some(next) = body["refreshToken"].as_str() {
                    next.clone_into(&mut jar.lock().unwrap());
                }
            }
        }
    }))
    .await;
    assert!(
        fleet.number("SELECT generation FROM sessions").await > 3,
        "it rotated under the tabs"
    );
    assert_eq!(
        fleet
            .number("SELECT COUNT(*) FROM audit_events WHERE kind LIKE 'refresh_token.%'")
            .await,
        0
    );
    fleet.signal(3, Signal::SIGTERM);
    until_closed(&fleet, 3);
    fleet.serve_at(3, -10);
    let answer = http
        .get(fleet.direct(3, "/health/ready"))
        .send()
        .await
        .unwrap();
    let (status, body): (_, Value) = (answer.status().as_u16(), answer.json().await.unwrap());
    let reason = body["reasons"][0].as_str().unwrap_or_default();
    assert!(
        status == 503
            && body["checks"]["clock"] == json!(false)
            && reason.contains("behind the database's"),
        "{body}"
    );
    assert_eq!(
        http.get(fleet.direct(2, "/health/ready"))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16(),
        200,
        "two seconds are not told"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx; tests/all.sh runs it"]
async fn k2_ten_who_rotate_at_once_rotate_once() {
    let fleet = Fleet::start(&[
        "keys.verifier_cache=0s",
        "keys.jwks_max_age=0s",
        "audiences.billing.algorithm=RS256",
        "audiences.mobile.algorithm=ES256",
        "audiences.new-name.algorithm=Ed25519",
    ]);
    let (http, fleet) = (Client::new(), &fleet);
    // Until the standby key is old enough for a scheduled rotation.
    let started = std::time::Instant::now();
    while !fleet.cli(&["keys", "rotate", "--dry-run"]).status.success() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{:?}",
            fleet.cli(&["keys", "rotate", "--dry-run"])
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let outputs: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..10)
            .map(|_| scope.spawn(move || fleet.cli(&["keys", "rotate", "--yes"])))
            .collect();
        running.into_iter().map(|r| r.join().unwrap()).collect()
    });
    let done = outputs.iter().filter(|o| o.status.success()).count();
    assert_eq!(done, 1, "one rotation, nine refused: {outputs:?}");
    let states: Vec<String> = fleet
        .items(&["keys", "list", "--all"])
        .as_array()
        .unwrap()
        .iter()
        .map(|k| k["state"].as_str().unwrap().to_owned())
        .collect();
    let of = |state: &str| states.iter().filter(|s| *s == state).count();
    assert_eq!(
        (of("active"), of("standby"), of("retired")),
        (4, 4, 4),
        "each of four algorithms turned once: {states:?}"
    );
    // Every replica heard of it: the next signature is the new key's.
    let active = fleet
        .items(&["keys", "list"])
        .as_array()
        .unwrap()
        .iter()
        .find(|k| k["state"] == "active" && k["algorithm"] == "EdDSA")
        .unwrap()["kid"]
        .as_str()
        .unwrap()
        .to_owned();
    let held = signed_up(fleet, &http).await;
    for n in 1..=3 {
        let (_, body) = refresh_at(fleet, &http, n, &held).await;
        let kid = jsonwebtoken::decode_header(body["accessToken"].as_str().unwrap())
            .unwrap()
            .kid;
        assert_eq!(kid.as_ref(), Some(&active), "replica {n}");
    }
}
