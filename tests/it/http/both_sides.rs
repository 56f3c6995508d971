//! A refresh token that was used twice has two sides, and the owner may be either: the event and
//! the mail name both.

use countersign::flows::permit::Permitted;
use std::os::unix::fs::PermissionsExt;

use axum::body::Body;
use axum::http::Request;
use countersign::flows::key::rewrap::{Options, rewrap};
use countersign::flows::mail::deliver_mail::deliver_due;
use serde_json::{Value, json};

use super::mail::{only, posting, received};
use crate::support::{Answer, TestApp, Tokens, minutes, seconds};

const OWNER: (&str, &str) = (
    "198.51.100.7",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
);
const THIEF: (&str, &str) = (
    "203.0.113.66",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
);

async fn post(app: &TestApp, (ip, agent): (&str, &str), path: &str, body: Value) -> Answer {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .header("x-forwarded-for", ip)
        .header("user-agent", agent);
    app.send(request.body(Body::from(body.to_string())).unwrap())
        .await
}

async fn refresh(app: &TestApp, from: (&str, &str), token: &str) -> Answer {
    post(
        app,
        from,
        "/api/auth/refresh",
        json!({ "refreshToken": token }),
    )
    .await
}

async fn app() -> (TestApp, tempfile::TempDir, Tokens) {
    let (app, dir) = posting(&[
        ("server.trusted_proxies", "192.0.2.0/24"),
        ("sessions.late_retry", "revoke"),
    ])
    .await;
    let ana = app.user("ana").await;
    app.db_execute("UPDATE users SET email_verified = 1")
        .await
        .unwrap();
    let answer = post(
        &app,
        OWNER,
        "/api/auth/sign-in/email",
        json!({ "email": ana.email, "password": ana.password, "tokenDelivery": "body" }),
    )
    .await
    .ok();
    let session_id = answer.claims("accessToken")["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    deliver_due(&app.app, || false).await.unwrap();
    received(&app, dir.path()).await;
    (
        app,
        dir,
        Tokens {
            session: answer.str("token"),
            access: answer.str("accessToken"),
            refresh: answer.str("refreshToken"),
            session_id,
        },
    )
}

/// The one event of reuse: its own side, and those before it.
async fn event(app: &TestApp) -> ((String, String), Vec<(String, String)>) {
    let events = app.db_events().await;
    let reused: Vec<_> = events
        .iter()
        .filter(|e| e.event.kind.as_str() == "refresh_token.reused")
        .collect();
    assert_eq!(reused.len(), 1);
    let event = &reused[0].event;
    let sides = event.detail["presenters"].as_array().unwrap();
    let text = |side: &Value, name: &str| side[name].as_str().unwrap().to_owned();
    let before = sides
        .iter()
        .map(|side| (text(side, "ipAddress"), text(side, "userAgent")))
        .collect();
    (
        (
            event.requester.ip_address.clone(),
            event.requester.user_agent.clone(),
        ),
        before,
    )
}

fn named((ip, agent): (&str, &str)) -> (String, String) {
    (ip.to_owned(), agent.to_owned())
}

#[tokio::test]
async fn a_thief_who_refreshed_first_stands_in_the_event_and_in_the_mail_to_the_owner() {
    let (app, dir, tokens) = app().await;
    refresh(&app, THIEF, &tokens.refresh).await.ok();
    assert!(
        app.db_dump()
            .await
            .iter()
            .all(|cell| !cell.contains(THIEF.0) && !cell.contains("Windows NT")),
        "sealed until it is needed"
    );
    app.after(minutes(10));
    refresh(&app, OWNER, &tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    let (this, before) = event(&app).await;
    assert_eq!(
        (this, before),
        (named(OWNER), vec![named(THIEF), named(OWNER)]),
        "the last presenter, and the sign-in"
    );
    let mail = only(&app, dir.path()).await;
    for part in [
        "Firefox on Linux, network 198.51.100.0/24",
        "Chrome on Windows 10, network 203.0.113.0/24, since 2026-11-21 00:00 UTC",
    ] {
        assert!(mail.text.contains(part), "{part}: {}", mail.text);
    }
}

#[tokio::test]
async fn an_owner_who_refreshed_first_stands_there_too_however_often() {
    let (app, dir, tokens) = app().await;
    let mut token = tokens.refresh.clone();
    for _ in 0..5 {
        token = refresh(&app, OWNER, &token).await.ok().str("refreshToken");
        app.after(seconds(51));
    }
    let row = app
        .db_text("SELECT presenters FROM sessions ORDER BY created_at DESC, id DESC LIMIT 1")
        .await
        .unwrap();
    assert_eq!(
        row.len(),
        countersign::store::session::refresh::ENTRY,
        "one side is one entry"
    );
    refresh(&app, THIEF, &tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    let (this, before) = event(&app).await;
    assert_eq!(
        (this, before),
        (named(THIEF), vec![named(OWNER), named(OWNER)])
    );
    assert!(
        only(&app, dir.path())
            .await
            .text
            .contains("Firefox on Linux, network 198.51.100.0/24")
    );
}

#[tokio::test]
async fn the_row_keeps_a_few_sides_and_no_more() {
    let (app, _dir, tokens) = app().await;
    let (mut token, mut last) = (tokens.refresh.clone(), String::new());
    for n in 0..6 {
        last = format!("203.0.{n}.9");
        token = refresh(&app, (&last, "curl/8"), &token)
            .await
            .ok()
            .str("refreshToken");
        app.after(seconds(51));
    }
    assert_eq!(
        app.db_text("SELECT presenters FROM sessions ORDER BY created_at DESC, id DESC LIMIT 1")
            .await
            .unwrap()
            .len()
            % countersign::store::session::refresh::ENTRY,
        0
    );
    refresh(&app, OWNER, &tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    let (_, before) = event(&app).await;
    assert_eq!(before.first(), Some(&(last, "curl/8".to_owned())));
    assert!(before.len() <= 4, "{before:?}");
}

#[tokio::test]
async fn a_side_that_no_master_key_opens_is_unknown_and_breaks_no_refresh() {
    let (app, _dir, tokens) = app().await;
    let second = refresh(&app, THIEF, &tokens.refresh)
        .await
        .ok()
        .str("refreshToken");
    app.after(seconds(51));
    let file = app.path("new.key");
    std::fs::write(&file, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    rewrap(
        &app.app,
        Permitted::as_operator(),
        &file,
        Options::default(),
        &Default::default(),
    )
    .await
    .unwrap();
    let old = app.path("keys/master.key").display().to_string();
    let environment = [
        ("COUNTERSIGN_MASTER_KEY_FILE", file.display().to_string()),
        ("COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE", old),
    ];
    let both = app.replica(&environment).await.unwrap();
    let third = refresh(&both, OWNER, &second)
        .await
        .ok()
        .str("refreshToken");
    both.after(seconds(51));
    // What stands in the row is of no key at all any more.
    both.db_execute(
        "UPDATE sessions SET presenters = 'x' || presenters WHERE presenters IS NOT NULL",
    )
    .await
    .unwrap();
    refresh(&both, OWNER, &third).await.ok();
    both.after(seconds(31));
    refresh(&both, THIEF, &tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    let (_, before) = event(&both).await;
    assert_eq!(
        before,
        [named(OWNER), named(OWNER)],
        "what opens, and the sign-in"
    );
}
