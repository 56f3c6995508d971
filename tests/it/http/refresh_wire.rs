//! What a refresh accepts and answers: cookies and bodies, odd cookies, the token endpoint, the times.

use axum::http::Method;
use countersign::model::kernel::time::Timestamp;
use serde_json::json;

use crate::support::{Browser, REFRESH_COOKIE, SESSION_COOKIE, TestApp, minutes, seconds};

#[tokio::test]
async fn a_token_works_only_on_the_channel_it_was_made_for() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let (native, browser) = (alice.sign_in().await, alice.browser().await);
    let in_cookie = browser.cookie(REFRESH_COOKIE).unwrap();
    app.refresh(&in_cookie)
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
    browser.refresh().await.ok();
    let other = crate::support::Browser::new(&app);
    other.set_cookie(REFRESH_COOKIE, &native.refresh);
    other.refresh().await.refused(401, "REFRESH_TOKEN_INVALID");
    app.refresh(&native.refresh).await.ok();
    // Sent both ways at once: nothing is consumed.
    let both = browser
        .ask(
            Method::POST,
            "/api/auth/refresh",
            Some(&json!({ "refreshToken": native.refresh })),
        )
        .await;
    both.refused(400, "BAD_REQUEST");
}

#[tokio::test]
async fn of_several_refresh_cookies_the_current_one_counts() {
    let app = TestApp::start().await;
    let browser = app.user("alice").await.browser().await;
    let spent = browser.cookie(REFRESH_COOKIE).unwrap();
    browser.refresh().await.ok();
    app.after(minutes(10));
    let current = browser.cookie(REFRESH_COOKIE).unwrap();
    let line =
        format!("{REFRESH_COOKIE}=garbage; {REFRESH_COOKIE}={spent}; {REFRESH_COOKIE}={current}");
    let request = axum::http::Request::post("/api/auth/refresh")
        .header("cookie", line)
        .body(axum::body::Body::empty())
        .unwrap();
    app.send(request).await.ok();
}

#[tokio::test]
async fn a_refusal_clears_only_the_refresh_cookie_when_another_session_lives() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let (dead, living) = (alice.browser().await, alice.browser().await);
    let stale = dead.cookie(REFRESH_COOKIE).unwrap();
    dead.post("/api/auth/sign-out", &json!({})).await.ok();
    living.set_cookie(REFRESH_COOKIE, &stale);
    let refused = living.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
    assert_eq!(refused.cookies().len(), 1, "{:?}", refused.cookies());
    living.get("/api/auth/session").await.ok();
}

#[tokio::test]
async fn revoking_by_a_spent_token_is_reuse_so_a_thief_cannot_clean_up_quietly() {
    let app = TestApp::with(&[("sessions.late_retry", "revoke")]).await;
    let alice = app.user("alice").await;
    let tokens = alice.sign_in().await;
    let next = app.rotate(&tokens.refresh).await;
    app.after(seconds(31));
    app.form(
        "/api/auth/oauth2/revoke",
        &format!("token={}", tokens.refresh),
    )
    .await
    .ok();
    assert_eq!(app.db_count_events("refresh_token.reused").await, 1);
    app.refresh(&next)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    // And so is a sign-in that replaces a session.
    let browser = alice.browser().await;
    let thief = browser.stolen();
    browser.refresh().await.ok();
    app.after(seconds(31));
    thief
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": alice.email, "password": alice.password }),
        )
        .await
        .ok();
    assert_eq!(app.db_count_events("refresh_token.reused").await, 2);
    browser
        .refresh()
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
}

#[tokio::test]
async fn repeats_from_elsewhere_after_three_rotations_in_a_row_raise_the_alarm() {
    let app = TestApp::with(&[("server.trusted_proxies", "192.0.2.0/24")]).await;
    let mut token = app.user("alice").await.sign_in().await.refresh;
    let from = async |ip: &str, token: &str| {
        let body = json!({ "refreshToken": token }).to_string();
        let request = axum::http::Request::post("/api/auth/refresh")
            .header("content-type", "application/json")
            .header("x-forwarded-for", ip);
        app.send(request.body(axum::body::Body::from(body)).unwrap())
            .await
            .ok()
    };
    for round in 0..3 {
        assert_eq!(
            app.db_count_events("refresh_token.shadowed").await,
            0,
            "round {round}"
        );
        let next = from("198.51.100.1", &token).await.str("refreshToken");
        app.after(seconds(2));
        from("203.0.113.1", &token).await;
        app.after(minutes(10));
        token = next;
    }
    assert_eq!(app.db_count_events("refresh_token.shadowed").await, 1);
}

#[tokio::test]
async fn a_clock_that_was_set_back_revives_no_spent_token() {
    let app = TestApp::start().await;
    let first = app.user("alice").await.sign_in().await;
    let second = app.rotate(&first.refresh).await;
    app.after(minutes(10));
    app.rotate(&second).await;
    let restarted = app.replica_with_clock(-3_600_000).await;
    restarted
        .refresh(&first.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REUSED");
    app.refresh(&second)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
}

#[tokio::test]
async fn a_cookie_family_never_comes_out_in_a_body_even_if_asked() {
    let app = TestApp::start().await;
    let browser = app.user("alice").await.browser().await;
    let answer = browser
        .post(
            "/api/auth/refresh",
            &json!({ "tokenDelivery": "body", "mode": "body" }),
        )
        .await
        .ok();
    assert!(!answer.text.contains("csr_") && answer.body.get("refreshToken").is_none());
    assert!(browser.cookie(REFRESH_COOKIE).is_some());
}

#[tokio::test]
async fn two_cookies_of_one_family_at_sign_out_are_no_theft() {
    let app = TestApp::start().await;
    let browser = app.user("alice").await.browser().await;
    let spent = browser.cookie(REFRESH_COOKIE).unwrap();
    browser.refresh().await.ok();
    app.after(minutes(10));
    let current = browser.cookie(REFRESH_COOKIE).unwrap();
    let line = format!("{REFRESH_COOKIE}={spent}; {REFRESH_COOKIE}={current}");
    let request = axum::http::Request::post("/api/auth/sign-out")
        .header("cookie", line)
        .body(axum::body::Body::empty())
        .unwrap();
    app.send(request).await.ok();
    assert_eq!(app.db_count_events("refresh_token.reused").await, 0);
    assert_eq!(app.db_count_events("session.signed_out").await, 1);
}

#[tokio::test]
async fn a_rotation_signs_the_session_cookie_anew_and_only_its_own() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let (browser, other) = (alice.browser().await, alice.browser().await);
    let answer = browser.refresh().await.ok();
    assert_eq!(answer.cookies().len(), 2, "{:?}", answer.cookies());
    app.after(minutes(10));
    browser.set_cookie(SESSION_COOKIE, &other.cookie(SESSION_COOKIE).unwrap());
    other.post("/api/auth/sign-out", &json!({})).await.ok();
    let answer = browser.refresh().await.ok();
    assert!(
        answer
            .cookies()
            .iter()
            .all(|c| c.starts_with(&format!("{REFRESH_COOKIE}="))),
        "{:?}",
        answer.cookies()
    );
}

#[tokio::test]
async fn another_application_s_odd_cookies_sign_no_user_out() {
    let app = TestApp::start().await;
    let browser = app.user("alice").await.browser().await;
    let mut line = b"city=Z\xfcrich; broken; =x; ".to_vec();
    line.extend(
        format!(
            "{REFRESH_COOKIE}={}",
            browser.cookie(REFRESH_COOKIE).unwrap()
        )
        .bytes(),
    );
    let value = axum::http::HeaderValue::from_bytes(&line).unwrap();
    let request = axum::http::Request::post("/api/auth/refresh")
        .header("cookie", value)
        .body(axum::body::Body::empty())
        .unwrap();
    app.send(request).await.ok();
}

#[tokio::test]
async fn an_app_that_was_suspended_in_a_refresh_is_not_signed_out_and_its_owner_is_told_of_no_theft()
 {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    // The answer of the first refresh was lost; the app comes back with the token that it has.
    let (native, browser) = (alice.sign_in().await, alice.browser().await);
    let unheard = app.rotate(&native.refresh).await;
    let stale = browser.stolen();
    browser.refresh().await.ok();
    app.after(minutes(60));
    let late = app.rotate(&native.refresh).await;
    assert_ne!(late, unheard);
    app.after(minutes(10));
    app.refresh(&late).await.ok();
    assert_eq!(app.db_count_events("refresh_token.reused").await, 0);
    // A browser's tabs share one jar: there it is a copy.
    stale.refresh().await.refused(401, "REFRESH_TOKEN_REUSED");
    assert_eq!(app.db_count_events("refresh_token.reused").await, 1);
}

#[tokio::test]
async fn null_in_a_field_of_our_own_is_nothing() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let browser = alice.browser().await;
    browser
        .post("/api/auth/refresh", &json!({ "refreshToken": null }))
        .await
        .ok();
    app.after(seconds(50));
    browser.post("/api/auth/refresh", &json!(null)).await.ok();
    app.post("/api/auth/refresh", &json!({ "refreshToken": null }))
        .await
        .refused(401, "REFRESH_TOKEN_MISSING");
    let form = json!({ "email": alice.email, "password": alice.password, "tokenDelivery": null, "deviceToken": null });
    let answer = Browser::new(&app)
        .post("/api/auth/sign-in/email", &form)
        .await
        .ok();
    assert!(
        answer
            .cookies()
            .iter()
            .any(|c| c.starts_with(REFRESH_COOKIE))
            && answer.body["refreshToken"].is_null()
    );
    app.post("/api/auth/refresh", &json!({ "refreshToken": 1 }))
        .await
        .refused(400, "VALIDATION_ERROR");
    let admin = super::admin::made_admin(&app, "root").await.sign_in().await;
    let invitation =
        json!({ "email": "bea@example.com", "name": null, "role": null, "redirectTo": "/welcome" });
    app.post_as("/api/auth/admin/invite-user", &admin.session, &invitation)
        .await
        .ok();
}

#[tokio::test]
async fn the_token_endpoint_says_how_long_the_token_and_the_session_last() {
    let app = TestApp::start().await;
    let tokens = app.user("alice").await.sign_in().await;
    let form = |token: &str| format!("grant_type=refresh_token&refresh_token={token}");
    let lifetime = app.app.config.sessions.lifetime;
    app.after(minutes(10));
    let rotated = app
        .form("/api/auth/oauth2/token", &form(&tokens.refresh))
        .await
        .ok();
    assert_eq!(
        rotated.body["refresh_token_timeout"],
        lifetime.idle.as_secs()
    );
    assert_eq!(
        rotated.body["authorization_expires_in"],
        lifetime.absolute.as_secs() - 600
    );
    app.after(seconds(10));
    // A token that is kept comes without its timeout, which would tell when it was last used.
    let kept = app
        .form(
            "/api/auth/oauth2/token",
            &form(&rotated.str("refresh_token")),
        )
        .await
        .ok();
    assert!(kept.body["refresh_token"].is_null() && kept.body["refresh_token_timeout"].is_null());
    assert_eq!(
        kept.body["authorization_expires_in"],
        lifetime.absolute.as_secs() - 610
    );
    let metadata = app
        .get("/.well-known/oauth-authorization-server")
        .await
        .ok();
    assert_eq!(
        metadata.body["refresh_token_expiration_types_supported"],
        json!(["authorization", "token_timeout"])
    );
}

/// A page that asks whether its visitor is signed in says `optional`: browsers print every 401 in
/// their console.
#[tokio::test]
async fn a_visit_without_a_refresh_token_is_answered_with_null_if_that_is_asked_for() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let optional = json!({ "optional": true });
    let browser = alice.browser().await;
    let renewed = browser.post("/api/auth/refresh", &optional).await.ok();
    assert!(renewed.body["accessToken"].is_string());

    let visitor = Browser::new(&app);
    let answer = visitor.post("/api/auth/refresh", &optional).await.ok();
    assert!(answer.body.is_null() && answer.cookies().is_empty());
    for body in [json!({}), json!({ "optional": false })] {
        visitor
            .post("/api/auth/refresh", &body)
            .await
            .refused(401, "REFRESH_TOKEN_MISSING");
    }
    visitor
        .post("/api/auth/refresh", &json!({ "optional": "true" }))
        .await
        .refused(400, "VALIDATION_ERROR");

    // A token that came is judged as always.
    let thief = browser.stolen();
    browser.post("/api/auth/sign-out", &json!({})).await.ok();
    thief
        .post("/api/auth/refresh", &optional)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    visitor
        .post(
            "/api/auth/refresh",
            &json!({ "optional": true, "refreshToken": "csr_none" }),
        )
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
}

#[tokio::test]
async fn every_answer_tells_the_absolute_end_of_the_session() {
    let app = TestApp::start().await;
    let alice = app.user("alice").await;
    let browser = Browser::new(&app);
    let form = json!({ "email": alice.email, "password": alice.password });
    let signed_in = browser.post("/api/auth/sign-in/email", &form).await.ok();
    let session = &signed_in.body["session"];
    let end = session["expiresAt"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        app.after(minutes(10));
        let renewed = browser.refresh().await.ok();
        assert_eq!(&renewed.body["session"], session);
        for path in ["/api/auth/session", "/api/auth/get-session"] {
            let answer = browser.get(path).await.ok();
            assert_eq!(answer.body["session"]["id"], session["id"], "{path}");
            assert_eq!(answer.body["session"]["expiresAt"], end, "{path}");
        }
        let list = browser.get("/api/auth/list-sessions").await.ok();
        let own = list.body.as_array().unwrap();
        let own = own.iter().find(|listed| listed["id"] == session["id"]);
        assert_eq!(own.unwrap()["expiresAt"], end);
    }
    let id = session["id"].as_str().unwrap();
    let absolute: i64 = sqlx::query_scalar("SELECT expires_at FROM sessions WHERE id = $1")
        .bind(id)
        .fetch_one(&mut app.db().await)
        .await
        .unwrap();
    assert_eq!(session["expiresAt"], json!(Timestamp(absolute)));
    assert!(app.db_session(id).await.idle_expires_at < absolute);
}
