//! What operators watch.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use countersign::http::ops_router;
use serde_json::json;
use tower::ServiceExt;

use crate::support::{Answer, TestApp, minutes, seconds};

async fn scrape(app: &TestApp) -> String {
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let response = ops_router(&Arc::clone(&app.app))
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    Answer::read(response).await.text
}

/// The value of a series.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn what_happens_is_counted_by_its_outcome() {
    let app = TestApp::with(&[("rate_limits.sign_in", "2/15m")]).await;
    let ana = app.user("ana").await;
    let tokens = ana.sign_in().await;
    for _ in 0..2 {
        ana.try_sign_in("a wrong password")
            .await
            .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    }
    ana.try_sign_in("a wrong password")
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    let second = app.rotate(&tokens.refresh).await;
    app.refresh(&second).await.ok();
    app.refresh(&tokens.refresh).await.ok();
    app.after(minutes(2));
    app.rotate(&second).await;
    app.after(minutes(2));
    app.refresh(&tokens.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    app.refresh("not a token")
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
    let text = scrape(&app).await;
    for (series, count) in [
        ("countersign_sign_ins_total{result=\"success\"}", 1.0),
        ("countersign_sign_ins_total{result=\"wrong_password\"}", 2.0),
        ("countersign_sign_ins_total{result=\"limited\"}", 1.0),
        ("countersign_rate_limited_total{rule=\"sign-in\"}", 1.0),
        ("countersign_refreshes_total{decision=\"rotated\"}", 2.0),
        ("countersign_refreshes_total{decision=\"kept\"}", 1.0),
        ("countersign_refreshes_total{decision=\"repeated\"}", 1.0),
        ("countersign_refreshes_total{decision=\"reused\"}", 1.0),
        ("countersign_refreshes_total{decision=\"invalid\"}", 1.0),
        (
            "countersign_http_requests_total{method=\"POST\",route=\"/api/auth/refresh\",status=\"200\"}",
            4.0,
        ),
        (
            "countersign_http_requests_total{method=\"POST\",route=\"/api/auth/refresh\",status=\"401\"}",
            2.0,
        ),
        (
            "countersign_http_request_duration_seconds_count{route=\"/api/auth/refresh\"}",
            6.0,
        ),
        ("countersign_database_up", 1.0),
        ("countersign_password_queue_limit", 10_000.0),
    ] {
        assert!(
            (value(&text, series) - count).abs() < 1e-9,
            "{series}: {}",
            value(&text, series)
        );
    }
}

#[tokio::test]
async fn keys_and_sessions_show_their_age() {
    let app = TestApp::start().await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    app.after(minutes(60));
    ana.sign_in().await;
    let out = bob.sign_in().await;
    app.post_as("/api/auth/sign-out", &out.session, &json!({}))
        .await
        .ok();
    let before = scrape(&app).await;
    // Three live: two from signing up an hour ago, and one of now.
    assert!(
        (value(&before, "countersign_sessions") - 3.0).abs() < 1e-9,
        "{before}"
    );
    assert!(
        (value(&before, "countersign_session_age_mean_seconds") - 2_400.0).abs() < 1.0,
        "{before}"
    );
    assert!(
        (value(&before, "countersign_signing_key_age_seconds") - 3_600.0).abs() < 1.0,
        "{before}"
    );
    bob.sign_in().await;
    app.after(seconds(30));
    let soon = scrape(&app).await;
    assert!(
        (value(&soon, "countersign_sessions") - 3.0).abs() < 1e-9,
        "they are not counted at every look"
    );
    assert!(
        (value(&before, "countersign_next_rotation_seconds")
            - value(&soon, "countersign_next_rotation_seconds")
            - 30.0)
            .abs()
            < 1e-3
    );
    app.after(seconds(30));
    assert!((value(&scrape(&app).await, "countersign_sessions") - 4.0).abs() < 1e-9);
}

#[tokio::test]
async fn the_number_of_series_does_not_grow_with_what_strangers_send() {
    let app = TestApp::start().await;
    let series = |text: &str| {
        text.lines()
            .filter(|l| !l.starts_with('#'))
            .map(|l| l.rsplit_once(' ').unwrap().0.to_owned())
            .collect::<BTreeSet<_>>()
    };
    // No twin: what is refused is what is counted.
    let strange = async |n: usize| {
        for path in [
            format!("/api/auth/nothing-{n}"),
            format!("/{n}"),
            format!("/api/auth/reset-password/token-{n}"),
            format!("/api/auth/ok?n={n}"),
        ] {
            app.send(
                Request::builder()
                    .method(format!("X{n}").as_str())
                    .uri(&path)
                    .body(Body::empty())
                    .unwrap(),
            )
            .await;
            app.get(&path).await;
        }
        let form = json!({ "email": format!("user{n}@example.com"), "password": format!("a wrong password {n}") });
        app.post("/api/auth/sign-in/email", &form)
            .await
            .refused(401, "INVALID_EMAIL_OR_PASSWORD");
        app.refresh(&format!("token {n}"))
            .await
            .refused(401, "REFRESH_TOKEN_INVALID");
    };
    strange(0).await;
    let before = series(&scrape(&app).await);
    for n in 1..50 {
        strange(n).await;
    }
    assert_eq!(series(&scrape(&app).await), before);
    let text = scrape(&app).await;
    for secret in ["user1", "example.com", "nothing-", "token-", "a wrong"] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
    // Outside, they do not exist.
    app.get("/metrics").await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn what_the_dashboard_and_the_alerts_ask_for_is_there_and_explained() {
    let provider = [
        ("upstream.acme.kind", "oidc"),
        ("upstream.acme.issuer", "https://id.example.com"),
        ("upstream.acme.client_id", "countersign"),
    ];
    let app = TestApp::with(&provider).await;
    app.user("ana").await;
    let text = scrape(&app).await;
    let series = regex::Regex::new(r"# TYPE (countersign_\w+) (\w+)").unwrap();
    let told: BTreeSet<String> = series
        .captures_iter(&text)
        .map(|c| {
            if &c[2] == "counter" {
                format!("{}_total", &c[1])
            } else {
                c[1].to_owned()
            }
        })
        .collect();
    let row = regex::Regex::new(r"(?m)^\| `(countersign_\w+)` \|").unwrap();
    let explained: BTreeSet<String> = row
        .captures_iter(include_str!("../../../docs/monitoring.md"))
        .map(|c| c[1].to_owned())
        .collect();
    assert_eq!(told, explained);
    let name = regex::Regex::new(r"countersign_[a-z_]+").unwrap();
    for asked in [
        include_str!("../../../docs/monitoring/alerts.yaml"),
        include_str!("../../../docs/monitoring/dashboard.json"),
    ] {
        for found in name.find_iter(asked) {
            assert!(
                told.contains(found.as_str().trim_end_matches("_bucket")),
                "{} is not told",
                found.as_str()
            );
        }
    }
}
