//! Reading, listing and ending sessions.

use serde_json::{Value, json};

use crate::support::{Answer, Browser, SESSION_COOKIE, TestApp, minutes};

#[tokio::test]
async fn every_credential_is_good_where_it_should_be() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let (native, browser) = (ana.sign_in().await, ana.browser().await);
    let signed = browser.cookie(SESSION_COOKIE).unwrap();
    for credential in [&native.session, &native.access, &signed] {
        let who = app.get_as("/api/auth/session", credential).await.ok();
        assert_eq!(who.body["user"]["email"], "ana@example.com");
        assert_eq!(who.body["user"]["permissions"], json!([]));
    }
    for (path, good) in [
        ("/api/auth/get-session", true),
        ("/api/auth/list-sessions", true),
        ("/api/auth/token", true),
    ] {
        assert!(
            app.get_as(path, &native.session).await.ok().text != "null",
            "{path} {good}"
        );
    }
    // An access token reads; it lists, mints and changes nothing.
    assert_eq!(
        app.get_as("/api/auth/get-session", &native.access)
            .await
            .ok()
            .text,
        "null"
    );
    app.get_as("/api/auth/list-sessions", &native.access)
        .await
        .refused(401, "UNAUTHORIZED");
    app.get_as("/api/auth/token", &native.access)
        .await
        .refused(401, "UNAUTHORIZED");
    app.post_as("/api/auth/revoke-sessions", &native.access, &json!({}))
        .await
        .refused(401, "UNAUTHORIZED");
    app.get_as("/api/auth/session", &native.refresh)
        .await
        .refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn without_a_session_session_is_401_and_get_session_is_null() {
    let app = TestApp::start().await;
    let without_session = app
        .get("/api/auth/session")
        .await
        .refused(401, "UNAUTHORIZED");
    assert_eq!(
        without_session.header("www-authenticate"),
        r#"Bearer realm="countersign""#
    );
    let bad = app
        .get_as("/api/auth/session", "garbage")
        .await
        .refused(401, "UNAUTHORIZED");
    assert_eq!(
        bad.header("www-authenticate"),
        r#"Bearer realm="countersign", error="invalid_token""#
    );
    let null = app.get("/api/auth/get-session").await.ok();
    assert_eq!(
        (
            null.text.as_str(),
            null.header("cache-control"),
            null.header("pragma")
        ),
        ("null", "no-store", "no-cache")
    );
    assert!(null.cookies().is_empty());
    assert_eq!(
        app.post("/api/auth/get-session", &json!({}))
            .await
            .ok()
            .text,
        "null"
    );
}

#[tokio::test]
async fn a_cookie_without_a_good_signature_is_no_cookie() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let browser = ana.browser().await;
    let cookie = browser.cookie(SESSION_COOKIE).unwrap();
    let token = cookie.split('.').next().unwrap().to_owned();
    for forged in [
        token.clone(),
        format!("{token}.AAAA"),
        cookie.replace("css_", "css-"),
        format!("{cookie}A"),
    ] {
        browser.set_cookie(SESSION_COOKIE, &forged);
        let answer = browser.get("/api/auth/get-session").await.ok();
        assert_eq!(answer.text, "null", "{forged}");
        assert!(answer.cookies().is_empty(), "left alone");
    }
    assert_eq!(
        app.get_as("/api/auth/get-session", &token).await.ok().body["user"]["name"],
        "ana",
        "bare, as Bearer"
    );
}

#[tokio::test]
async fn a_bearer_wins_over_a_cookie() {
    let app = TestApp::start().await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let (tokens, browser) = (ana.sign_in().await, bob.browser().await);
    let request = axum::http::Request::get("/api/auth/session")
        .header(
            "cookie",
            format!(
                "{SESSION_COOKIE}={}",
                browser.cookie(SESSION_COOKIE).unwrap()
            ),
        )
        .header("authorization", format!("bearer {}", tokens.session));
    let who = app
        .send(request.body(axum::body::Body::empty()).unwrap())
        .await
        .ok();
    assert_eq!(who.body["user"]["name"], "ana");
}

#[tokio::test]
async fn the_list_holds_handles_and_no_credential() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let (one, two) = (ana.sign_in().await, ana.sign_in().await);
    let list = app
        .get_as("/api/auth/list-sessions", &one.session)
        .await
        .ok();
    assert_eq!(
        list.body.as_array().unwrap().len(),
        3,
        "sign-up made one too"
    );
    for secret in [&one.session, &two.session, &one.refresh, &two.refresh] {
        assert!(!list.text.contains(secret.as_str()));
    }
    for handle in list.body.as_array().unwrap() {
        app.get_as("/api/auth/session", handle["token"].as_str().unwrap())
            .await
            .refused(401, "UNAUTHORIZED");
    }
    assert!(
        list.body
            .as_array()
            .unwrap()
            .iter()
            .any(|s| s["id"] == json!(two.session_id) && s["ipAddress"] == "192.0.2.1")
    );
}

#[tokio::test]
async fn sessions_end_by_handle_or_by_raw_token_and_only_one_s_own() {
    let app = TestApp::start().await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let (here, by_handle, by_token, bobs) = (
        ana.sign_in().await,
        ana.sign_in().await,
        ana.sign_in().await,
        bob.sign_in().await,
    );
    for name in [
        &by_handle.session_id,
        &by_token.session,
        &bobs.session_id,
        &bobs.session,
        &"00000000-0000-7000-8000-000000000000".to_owned(),
        &"x".to_owned(),
    ] {
        app.post_as(
            "/api/auth/revoke-session",
            &here.session,
            &json!({ "token": name }),
        )
        .await
        .ok();
    }
    for ended in [&by_handle, &by_token] {
        app.refresh(&ended.refresh)
            .await
            .refused(401, "REFRESH_TOKEN_REVOKED");
    }
    app.refresh(&bobs.refresh).await.ok();
    let (more, again) = (ana.sign_in().await, ana.sign_in().await);
    app.post_as("/api/auth/revoke-other-sessions", &here.session, &json!({}))
        .await
        .ok();
    app.refresh(&more.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    app.refresh(&here.refresh).await.ok();
    app.post_as("/api/auth/revoke-sessions", &here.session, &json!({}))
        .await
        .ok();
    app.refresh(&again.refresh)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    app.get_as("/api/auth/session", &here.session)
        .await
        .refused(401, "UNAUTHORIZED");
    app.get_as("/api/auth/session", &bobs.session).await.ok();
}

#[tokio::test]
async fn a_session_cookie_that_is_used_slides_once_a_day() {
    let app = TestApp::start().await;
    let browser = app.user("ana").await.browser().await;
    for day in 1..=40 {
        app.after(minutes(60 * 24));
        let answer = browser.get("/api/auth/get-session").await.ok();
        assert_ne!(answer.text, "null", "day {day}");
        assert_eq!(answer.cookies().len(), 1);
        assert!(
            browser
                .get("/api/auth/get-session")
                .await
                .ok()
                .cookies()
                .is_empty(),
            "only once"
        );
    }
    let two_weeks = minutes(60 * 24 * 14);
    app.after(two_weeks);
    assert_eq!(
        browser.cookie(SESSION_COOKIE),
        None,
        "it has gone by itself"
    );
    let behind = browser.with_clock_behind(two_weeks);
    let over = behind.get("/api/auth/get-session").await.ok();
    assert_eq!(over.text, "null");
    assert_eq!(
        over.cookies().len(),
        4,
        "a session that is over clears its cookies"
    );
}

#[tokio::test]
async fn https_cookies_are_secure_and_prefixed() {
    let app = TestApp::with(&[
        ("server.public_url", "https://auth.example.com"),
        ("server.trusted_origins", "http://localhost:4000"),
    ])
    .await;
    let browser = Browser::new(&app);
    let body = json!({ "name": "A", "email": "a@example.com", "password": "correct horse" });
    let answer = browser.post("/api/auth/sign-up/email", &body).await.ok();
    let is_prefixed = |c: &String| {
        c.starts_with("__Secure-better-auth.")
            || c.starts_with("__Host-better-auth.known_device=") && c.contains("; Path=/;")
    };
    assert!(
        answer
            .cookies()
            .iter()
            .all(|c| is_prefixed(c) && c.contains("; Secure") && !c.contains("Domain=")),
        "{:?}",
        answer.cookies()
    );
    let line = |answer: &Answer, name: &str| {
        let lines = answer.cookies();
        let found = lines.into_iter().find(|c| c.contains(&format!(".{name}=")));
        found.unwrap_or_else(|| panic!("no {name}"))
    };
    assert!(line(&answer, "refresh_token").contains("SameSite=Strict"));
    assert!(line(&answer, "session_token").contains("SameSite=Lax"));
    browser.refresh().await.ok();
    // The domain of the settings, but for the cookie that is always for this host alone.
    let domain = TestApp::with(&[
        ("server.public_url", "https://auth.example.com"),
        ("sessions.cookie_domain", "example.com"),
    ])
    .await;
    let answer = domain.post("/api/auth/sign-up/email", &body).await.ok();
    for name in ["session_token", "refresh_token"] {
        assert!(line(&answer, name).contains("Domain=example.com"), "{name}");
    }
    let device = line(&answer, "known_device");
    assert!(device.starts_with("__Host-") && !device.contains("Domain="));
    let host = TestApp::with(&[
        ("server.public_url", "https://auth.example.com"),
        ("sessions.cookie_host_prefix", "true"),
    ])
    .await;
    let answer = host.post("/api/auth/sign-up/email", &body).await.ok();
    assert!(
        answer
            .cookies()
            .iter()
            .all(|c| c.starts_with("__Host-better-auth.")
                && c.contains("Path=/")
                && !c.contains("Path=/api")),
        "{:?}",
        answer.cookies()
    );
}

/// `getSessionCookie` and `@better-auth/expo` look for this prefix unless they are told of another.
#[tokio::test]
async fn cookies_have_the_prefix_that_better_auth_clients_expect_or_the_one_of_the_settings() {
    let body = json!({ "name": "A", "email": "a@example.com", "password": "correct horse" });
    for (settings, prefix) in [
        (&[][..], "better-auth."),
        (&[("sessions.cookie_prefix", "app")][..], "app."),
    ] {
        let app = TestApp::with(settings).await;
        let browser = Browser::new(&app);
        let answer = browser.post("/api/auth/sign-up/email", &body).await.ok();
        assert!(
            answer.cookies().len() >= 2 && answer.cookies().iter().all(|c| c.starts_with(prefix)),
            "{:?}",
            answer.cookies()
        );
        assert_eq!(
            browser.get("/api/auth/get-session").await.ok().body["user"]["email"],
            "a@example.com"
        );
    }
}

#[tokio::test]
async fn answers_that_carry_credentials_are_never_cached() {
    let app = TestApp::start().await;
    let browser = app.user("ana").await.browser().await;
    for path in [
        "/api/auth/session",
        "/api/auth/get-session",
        "/api/auth/list-sessions",
        "/api/auth/token",
    ] {
        assert_eq!(
            browser.get(path).await.ok().header("cache-control"),
            "no-store",
            "{path}"
        );
    }
    assert_eq!(
        browser.refresh().await.ok().header("cache-control"),
        "no-store"
    );
    assert_eq!(app.refresh("x").await.header("cache-control"), "no-store");
    assert_eq!(
        app.form("/api/auth/oauth2/token", "grant_type=refresh_token")
            .await
            .header("cache-control"),
        "no-store"
    );
}

#[tokio::test]
async fn a_user_agent_is_bounded_and_plain() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let body = json!({ "email": ana.email, "password": ana.password, "tokenDelivery": "body" })
        .to_string();
    let request = axum::http::Request::post("/api/auth/sign-in/email")
        .header("content-type", "application/json")
        .header("user-agent", format!("<script>\t{}", "x".repeat(5_000)));
    let answer = app
        .send(request.body(axum::body::Body::from(body)).unwrap())
        .await
        .ok();
    let seen = app
        .get_as("/api/auth/session", &answer.str("token"))
        .await
        .ok()
        .body["session"]["userAgent"]
        .clone();
    assert_eq!(seen, Value::from(format!("<script>{}", "x".repeat(248))));
}
