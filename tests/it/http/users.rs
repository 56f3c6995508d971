//! One's own account: name and picture, password, accounts, headers for clients without cookies,
//! forms.

use serde_json::{Value, json};

use crate::support::{Browser, REFRESH_COOKIE, TestApp, minutes};

#[tokio::test]
async fn users_change_their_name_and_picture_and_nothing_else() {
    let app = TestApp::start().await;
    let browser = app.user("ana").await.browser().await;
    let update = async |body: Value| browser.post("/api/auth/update-user", &body).await;
    update(json!({ "name": "Ána", "image": "https://example.com/a.png" }))
        .await
        .ok();
    let user = browser.get("/api/auth/get-session").await.ok().body["user"].clone();
    assert_eq!(
        (user["name"].clone(), user["image"].clone()),
        (json!("Ána"), json!("https://example.com/a.png"))
    );
    update(json!({ "image": null })).await.ok();
    let user = browser.get("/api/auth/get-session").await.ok().body["user"].clone();
    assert_eq!(
        (user["name"].clone(), user["image"].clone()),
        (json!("Ána"), Value::Null)
    );
    update(json!({})).await.refused(400, "NO_FIELDS_TO_UPDATE");
    update(json!({ "email": "eve@example.com" }))
        .await
        .refused(400, "EMAIL_CAN_NOT_BE_UPDATED");
    update(json!({ "name": 1 }))
        .await
        .refused(400, "VALIDATION_ERROR");
    for field in [
        "id",
        "role",
        "emailVerified",
        "metadata",
        "banned",
        "banReason",
        "banExpires",
        "createdAt",
        "permissions",
    ] {
        update(json!({ "name": "x", field: "admin" }))
            .await
            .refused(400, "FIELD_NOT_ALLOWED");
        browser
            .post("/api/auth/update-session", &json!({ field: "x" }))
            .await
            .refused(400, "FIELD_NOT_ALLOWED");
    }
    browser
        .post("/api/auth/update-session", &json!({ "theme": "dark" }))
        .await
        .refused(400, "NO_FIELDS_TO_UPDATE");
    app.post("/api/auth/update-user", &json!({ "name": "x" }))
        .await
        .refused(401, "UNAUTHORIZED");
    assert_eq!(app.db_count_events("user.updated").await, 2);
    // The next access token says so at once.
    assert_eq!(
        browser.refresh().await.ok().claims("accessToken")["name"],
        "Ána"
    );
}

#[tokio::test]
async fn the_password_is_proven_once_more_and_accounts_are_listed() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let session = ana.sign_in().await.session;
    let verify = async |password: &str| {
        app.post_as(
            "/api/auth/verify-password",
            &session,
            &json!({ "password": password }),
        )
        .await
    };
    assert_eq!(
        verify(&ana.password).await.ok().body,
        json!({ "status": true })
    );
    verify("another good password")
        .await
        .refused(400, "INVALID_PASSWORD");
    verify(&"x".repeat(200))
        .await
        .refused(400, "PASSWORD_TOO_LONG");
    let accounts = app
        .get_as("/api/auth/list-accounts", &session)
        .await
        .ok()
        .body;
    assert_eq!(accounts.as_array().unwrap().len(), 1);
    assert_eq!(
        (
            accounts[0]["providerId"].clone(),
            accounts[0]["accountId"].clone()
        ),
        (json!("credential"), accounts[0]["userId"].clone())
    );
}

#[tokio::test]
async fn clients_without_cookies_read_their_tokens_from_headers() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let browser = Browser::new(&app);
    let signed_in = browser
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": ana.email, "password": ana.password }),
        )
        .await
        .ok();
    let token = signed_in.header("set-auth-token").to_owned();
    assert!(
        token.starts_with(&signed_in.str("token")) && token.contains('.') && !token.contains('%'),
        "the cookie's value, decoded: {token}"
    );
    app.get_as("/api/auth/list-sessions", &token).await.ok();
    let native = app
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": ana.email, "password": ana.password, "tokenDelivery": "body" }),
        )
        .await
        .ok();
    assert!(
        !native.headers.contains_key("set-auth-token"),
        "no cookie, no header"
    );

    let told = browser.get("/api/auth/get-session").await.ok();
    let claims = crate::support::claims(told.header("set-auth-jwt"));
    assert_eq!(claims["sub"], told.body["user"]["id"]);
    // Once the session has refreshed, the session cookie alone mints nothing, here as at /token.
    browser.refresh().await.ok();
    let thief = browser.stolen();
    thief.forget(REFRESH_COOKIE);
    let told = thief.get("/api/auth/get-session").await.ok();
    assert!(told.body["user"].is_object() && !told.headers.contains_key("set-auth-jwt"));
    assert!(
        browser
            .get("/api/auth/get-session")
            .await
            .ok()
            .headers
            .contains_key("set-auth-jwt")
    );
    // A spent refresh token is theft here too: the session is over at once.
    let before = browser.stolen();
    app.after(minutes(5));
    browser.refresh().await.ok();
    app.after(minutes(5));
    assert_eq!(
        before.get("/api/auth/get-session").await.ok().body,
        Value::Null
    );
    assert_eq!(app.db_count_events("refresh_token.reused").await, 1);
    assert_eq!(
        browser.get("/api/auth/get-session").await.ok().body,
        Value::Null
    );
    // And a client without a session gets none (contract section 17, 1).
    assert!(
        !app.get("/api/auth/get-session")
            .await
            .ok()
            .headers
            .contains_key("set-auth-jwt")
    );
}

#[tokio::test]
async fn an_expired_session_gets_no_token() {
    let app = TestApp::start().await;
    let browser = app.user("ana").await.browser().await;
    app.after(minutes(60 * 24 * 15));
    let over = browser.get("/api/auth/get-session").await.ok();
    assert!(over.body.is_null() && !over.headers.contains_key("set-auth-jwt"));
}

#[tokio::test]
async fn a_form_without_script_signs_up_and_in() {
    let app = TestApp::start().await;
    let signed_up = app
        .form(
            "/api/auth/sign-up/email",
            "name=Ana&email=ana%40example.com&password=a+good+long+password",
        )
        .await
        .ok();
    assert_eq!(signed_up.body["user"]["email"], "ana@example.com");
    app.form(
        "/api/auth/sign-in/email",
        "email=ana%40example.com&password=a+good+long+password",
    )
    .await
    .ok();
    app.form(
        "/api/auth/sign-in/email",
        "email=ana%40example.com&password=wrong",
    )
    .await
    .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    // Texts are texts: what must be a boolean is none.
    app.form(
        "/api/auth/sign-in/email",
        "email=ana%40example.com&password=x&rememberMe=false",
    )
    .await
    .refused(400, "VALIDATION_ERROR");
    app.form(
        "/api/auth/sign-in/email",
        "email=a%40example.com&email=b%40example.com&password=x",
    )
    .await
    .refused(400, "BAD_REQUEST");
    app.form(
        "/api/auth/sign-up/email",
        "name=x&email=x%40example.com&password=a+good+long+password&role=admin",
    )
    .await
    .refused(400, "FIELD_NOT_ALLOWED");
    app.form("/api/auth/update-user", "name=x")
        .await
        .refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_list_of_sessions_is_one_that_people_can_read() {
    use axum::body::Body;
    use axum::http::Request;
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let body = json!({ "email": ana.email, "password": ana.password, "tokenDelivery": "body" })
        .to_string();
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let request = Request::post("/api/auth/sign-in/email")
        .header("content-type", "application/json")
        .header("user-agent", agent);
    let signed_in = app.send(request.body(Body::from(body)).unwrap()).await.ok();
    let listed = app
        .get_as("/api/auth/list-sessions", &signed_in.str("token"))
        .await
        .ok()
        .body;
    let current: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|s| s["current"] == true)
        .collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["device"], "Firefox on Linux");
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .any(|s| s["current"] == false && s["device"].is_null()),
        "{listed}"
    );
}
