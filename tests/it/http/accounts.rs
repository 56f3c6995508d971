//! Signing up, in and out; changing a password.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::support::{
    Browser, CACHE_COOKIE, DONT_REMEMBER_COOKIE, REFRESH_COOKIE, SESSION_COOKIE, TestApp,
};

#[tokio::test]
async fn signing_up_signs_in_with_cookies_and_an_access_token() {
    let app = TestApp::start().await;
    let browser = Browser::new(&app);
    let answer = browser
        .post(
            "/api/auth/sign-up/email",
            &json!({ "name": "", "email": "Ana@Example.com", "password": "correct horse" }),
        )
        .await
        .ok();
    assert_eq!(answer.body["user"]["email"], "ana@example.com");
    assert_eq!(answer.body["user"]["role"], "user");
    let attributes: Vec<String> = answer
        .cookies()
        .iter()
        .map(|c| c.split_once(';').unwrap().1.to_owned())
        .collect();
    assert_eq!(
        attributes,
        [
            " HttpOnly; SameSite=Lax; Path=/; Max-Age=1209600",
            " HttpOnly; SameSite=Strict; Path=/api/auth; Max-Age=7776000",
            " HttpOnly; SameSite=Lax; Path=/; Max-Age=31536000",
        ]
    );
    browser.get("/api/auth/session").await.ok();
    browser.refresh().await.ok();
}

#[tokio::test]
async fn signing_up_refuses_what_the_contract_refuses() {
    let app = TestApp::start().await;
    app.user("ana").await;
    let up = async |body| app.post("/api/auth/sign-up/email", &body).await;
    let form =
        |email: &str, password: &str| json!({ "name": "A", "email": email, "password": password });
    up(form("ANA@example.com", "correct horse"))
        .await
        .refused(422, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL");
    up(form("b@example.com", "1234567"))
        .await
        .refused(400, "PASSWORD_TOO_SHORT");
    up(form("b@example.com", &"x".repeat(129)))
        .await
        .refused(400, "PASSWORD_TOO_LONG");
    up(form("b@localhost", "correct horse"))
        .await
        .refused(400, "VALIDATION_ERROR");
    let all_at_once = up(json!({ "email": 5, "image": null }))
        .await
        .refused(400, "VALIDATION_ERROR");
    let fields: Vec<&String> = all_at_once.body["errors"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(fields, ["email", "image", "name", "password"]);
    for field in [
        "role",
        "emailVerified",
        "banned",
        "id",
        "createdAt",
        "permissions",
        "sub",
    ] {
        let mut body = form("b@example.com", "correct horse");
        body[field] = json!("admin");
        let refused = up(body).await.refused(400, "FIELD_NOT_ALLOWED");
        assert_eq!(
            refused.str("message"),
            format!("{field} is not allowed to be set")
        );
    }
    let mut extra = form("b@example.com", "correct horse");
    extra["anything"] = json!("else");
    up(extra).await.ok();
}

#[tokio::test]
async fn sign_up_can_be_closed_or_leave_the_visitor_signed_out() {
    let body = json!({ "name": "A", "email": "a@example.com", "password": "correct horse" });
    let closed = TestApp::with(&[("sign_up.enabled", "false")]).await;
    closed
        .post("/api/auth/sign-up/email", &body)
        .await
        .refused(400, "EMAIL_PASSWORD_SIGN_UP_DISABLED");
    let apart = TestApp::with(&[("sign_up.auto_sign_in", "false")]).await;
    let answer = apart.post("/api/auth/sign-up/email", &body).await.ok();
    assert!(
        answer.body["token"].is_null()
            && answer
                .cookies()
                .iter()
                .all(|line| line.contains(".known_device="))
            && answer.body.get("accessToken").is_none()
    );
    let again = apart.post("/api/auth/sign-up/email", &body).await.ok();
    let shape = |a: &crate::support::Answer| {
        a.body["user"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (shape(&answer), &answer.body["user"]["role"]),
        (shape(&again), &again.body["user"]["role"]),
        "a known address is not told from a new one"
    );
    assert_eq!(apart.db_number("SELECT COUNT(*) FROM users").await, 1);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_told_the_same() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    ana.try_sign_in(&ana.password).await.ok();
    let wrong = ana
        .try_sign_in("wrong password")
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    let unknown = app.post("/api/auth/sign-in/email", &json!({ "email": "unknown@example.com", "password": "wrong password", "tokenDelivery": "body" })).await;
    let names = |headers: &axum::http::HeaderMap| {
        headers.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        (wrong.status, &wrong.text, names(&wrong.headers)),
        (unknown.status, &unknown.text, names(&unknown.headers))
    );
    ana.try_sign_in("short")
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    ana.try_sign_in(&"x".repeat(129))
        .await
        .refused(400, "PASSWORD_TOO_LONG");
    app.post(
        "/api/auth/sign-in/email",
        &json!({ "email": "nonsense", "password": "x" }),
    )
    .await
    .refused(400, "INVALID_EMAIL");
}

#[tokio::test]
async fn rememberme_false_ends_with_the_browser_and_after_a_day() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let browser = Browser::new(&app);
    let body = json!({ "email": ana.email, "password": ana.password, "rememberMe": false });
    let answer = browser.post("/api/auth/sign-in/email", &body).await.ok();
    assert!(
        answer.cookies().iter().all(|c| !c.contains("Max-Age")),
        "{:?}",
        answer.cookies()
    );
    assert!(
        browser
            .cookie(DONT_REMEMBER_COOKIE)
            .unwrap()
            .starts_with("true."),
        "signed"
    );
    app.after(crate::support::minutes(60 * 24 - 1));
    browser.refresh().await.ok();
    app.after(crate::support::minutes(1));
    assert_eq!(browser.get("/api/auth/get-session").await.ok().text, "null");
}

#[tokio::test]
async fn a_callback_is_named_only_if_it_is_trusted() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let sign_in = async |callback: &str| {
        app.post(
            "/api/auth/sign-in/email",
            &json!({ "email": ana.email, "password": ana.password, "callbackURL": callback }),
        )
        .await
    };
    let answer = sign_in("/dash").await.ok();
    assert_eq!(
        (
            answer.body["redirect"].clone(),
            answer.str("url"),
            answer.header("location")
        ),
        (json!(true), "/dash".into(), "/dash")
    );
    for evil in [
        "//evil.test",
        "https://evil.test",
        "/\\evil.test",
        "javascript:alert(1)",
        "http://localhost:4000@evil.test",
    ] {
        sign_in(evil).await.refused(403, "INVALID_CALLBACK_URL");
    }
}

#[tokio::test]
async fn signing_in_again_ends_the_session_whose_cookies_came_along() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let browser = ana.browser().await;
    let before = browser.stolen();
    browser
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": ana.email, "password": ana.password }),
        )
        .await
        .ok();
    assert_eq!(
        before.stolen().get("/api/auth/get-session").await.ok().text,
        "null"
    );
    before.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
    browser.refresh().await.ok();
}

#[tokio::test]
async fn a_planted_session_cookie_is_never_adopted() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let browser = Browser::new(&app);
    browser.set_cookie(
        SESSION_COOKIE,
        "css_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    );
    browser
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": ana.email, "password": ana.password }),
        )
        .await
        .ok();
    assert!(
        !browser
            .cookie(SESSION_COOKIE)
            .unwrap()
            .contains("AAAAAAAAAA")
    );
}

#[tokio::test]
async fn signing_out_ends_every_token_and_twice_is_no_error() {
    let app = TestApp::start().await;
    let browser = app.user("ana").await.browser().await;
    let copy = browser.stolen();
    let answer = browser.post("/api/auth/sign-out", &json!({})).await.ok();
    let cleared: Vec<&str> = answer
        .cookies()
        .iter()
        .map(|c| c.split('=').next().unwrap().to_owned())
        .map(|c| &*c.leak())
        .collect();
    assert_eq!(
        cleared,
        [
            SESSION_COOKIE,
            CACHE_COOKIE,
            DONT_REMEMBER_COOKIE,
            REFRESH_COOKIE
        ]
    );
    assert!(answer.cookies().iter().all(|c| c.contains("Max-Age=0")));
    copy.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
    copy.get("/api/auth/session")
        .await
        .refused(401, "UNAUTHORIZED");
    browser.post("/api/auth/sign-out", &json!({})).await.ok();
}

#[tokio::test]
async fn signing_out_with_only_the_refresh_cookie_ends_its_session() {
    let app = TestApp::start().await;
    let browser = app.user("ana").await.browser().await;
    let copy = browser.stolen();
    browser.forget(SESSION_COOKIE);
    browser.post("/api/auth/sign-out", &json!({})).await.ok();
    assert_eq!(copy.get("/api/auth/get-session").await.ok().text, "null");
}

#[tokio::test]
async fn changing_a_password_asks_for_the_old_one_and_can_move_the_caller() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let (browser, other) = (ana.browser().await, ana.browser().await);
    let change = |current: &str, new: &str, revoke: bool| json!({ "currentPassword": current, "newPassword": new, "revokeOtherSessions": revoke });
    browser
        .post(
            "/api/auth/change-password",
            &change("wrong password", "a new good password", false),
        )
        .await
        .refused(400, "INVALID_PASSWORD");
    browser
        .post(
            "/api/auth/change-password",
            &change(&ana.password, "short", false),
        )
        .await
        .refused(400, "PASSWORD_TOO_SHORT");
    let kept = browser
        .post(
            "/api/auth/change-password",
            &change(&ana.password, "a new good password", false),
        )
        .await
        .ok();
    assert!(
        kept.body["token"].is_null()
            && kept
                .cookies()
                .iter()
                .all(|line| line.contains(".known_device="))
    );
    assert_eq!(
        other.get("/api/auth/get-session").await.ok().text,
        "null",
        "the others always end"
    );
    let before = browser.stolen();
    let moved = browser
        .post(
            "/api/auth/change-password",
            &change("a new good password", "a newer good password", true),
        )
        .await
        .ok();
    assert!(moved.body["token"].is_string());
    browser.refresh().await.ok();
    before.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
    Browser::new(&app)
        .post("/api/auth/change-password", &change("x", "y", false))
        .await
        .refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_weaker_stored_hash_is_upgraded_at_sign_in() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let hash = async || {
        app.db_text("SELECT password_hash FROM accounts")
            .await
            .unwrap()
    };
    assert!(hash().await.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
    let stronger = app
        .replica_with(&[("passwords.argon2_iterations", "3")])
        .await;
    stronger
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": ana.email, "password": ana.password }),
        )
        .await
        .ok();
    assert!(hash().await.starts_with("$argon2id$v=19$m=64,t=3,p=1$"));
    ana.sign_in().await;
    assert!(hash().await.contains("t=3"), "never downgraded");
}

#[tokio::test]
async fn an_untrusted_origin_changes_nothing_and_learns_nothing() {
    let app = TestApp::with(&[("server.trusted_origins", "https://app.example.com")]).await;
    let ana = app.user("ana").await;
    let post = async |headers: &[(&str, &str)]| {
        let body = json!({ "email": ana.email, "password": ana.password }).to_string();
        let mut request =
            Request::post("/api/auth/sign-in/email").header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        app.send(request.body(Body::from(body)).unwrap()).await
    };
    for trusted in [
        "http://localhost:4000",
        "http://127.0.0.1:4000",
        "https://app.example.com",
    ] {
        let answer = post(&[("origin", trusted), ("sec-fetch-site", "cross-site")])
            .await
            .ok();
        assert_eq!(
            (
                answer.header("access-control-allow-origin"),
                answer.header("access-control-allow-credentials")
            ),
            (trusted, "true")
        );
    }
    let evil = post(&[("origin", "https://evil.test")])
        .await
        .refused(403, "INVALID_ORIGIN");
    assert_eq!(evil.header("access-control-allow-origin"), "");
    assert!(evil.cookies().is_empty());
    post(&[("origin", "null")])
        .await
        .refused(403, "MISSING_OR_NULL_ORIGIN");
    post(&[("sec-fetch-site", "cross-site")])
        .await
        .refused(403, "MISSING_OR_NULL_ORIGIN");
    post(&[("sec-fetch-site", "same-origin")]).await.ok();
    post(&[("host", "evil.test")]).await.ok();
    post(&[]).await.ok();
}
