//! What a sign-out ends: every session whose token came along, whichever way it came.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::admin::{id, made_admin};
use crate::support::{
    ADMIN_COOKIE, Answer, Browser, REFRESH_COOKIE, SESSION_COOKIE, TestApp, User,
};

const SIGN_OUT: &str = "/api/auth/sign-out";
const SESSION: &str = "/api/auth/session";

/// An admin's browser in which the admin acts as a user, and what it held before.
async fn acting(app: &TestApp) -> (Browser, Browser, User) {
    let (root, bob) = (made_admin(app, "root").await, app.user("bob").await);
    let browser = root.browser().await;
    let before = browser.stolen();
    browser
        .post(
            "/api/auth/admin/impersonate-user",
            &json!({ "userId": id(&bob).await }),
        )
        .await
        .ok();
    (browser, before, root)
}

/// The token inside a signed cookie, as it goes behind `Bearer`.
fn token_of(cookie: &str) -> String {
    cookie.split(['.', ':', '%']).next().unwrap().to_owned()
}

#[tokio::test]
async fn signing_out_while_acting_as_another_ends_and_clears_the_admin_s_own_session_too() {
    let app = TestApp::start().await;
    let (browser, before, _) = acting(&app).await;
    let (acted, aside) = (
        browser.stolen(),
        token_of(&browser.cookie(ADMIN_COOKIE).unwrap()),
    );
    app.get_as("/api/auth/admin/list-users", &aside).await.ok();
    let answer = browser.post(SIGN_OUT, &json!({})).await.ok();
    assert!(
        answer
            .cookies()
            .iter()
            .any(|c| c.starts_with(&format!("{ADMIN_COOKIE}=;")) && c.contains("Max-Age=0")),
        "{:?}",
        answer.cookies()
    );
    app.get_as(SESSION, &aside)
        .await
        .refused(401, "UNAUTHORIZED");
    for left in [before, acted] {
        left.stolen()
            .get(SESSION)
            .await
            .refused(401, "UNAUTHORIZED");
        left.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
    }
    assert!(
        [SESSION_COOKIE, REFRESH_COOKIE, ADMIN_COOKIE]
            .iter()
            .all(|name| browser.cookie(name).is_none())
    );
}

#[tokio::test]
async fn the_page_s_sign_out_while_acting_as_another_ends_the_admin_s_own_session_too() {
    let app = TestApp::start().await;
    let (browser, _, _) = acting(&app).await;
    let aside = token_of(&browser.cookie(ADMIN_COOKIE).unwrap());
    let page = browser.get("/auth/account").await.ok().text;
    let csrf = page
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(
        browser
            .form("/auth/sign-out", &[("csrf", &csrf)])
            .await
            .status,
        303
    );
    app.get_as(SESSION, &aside)
        .await
        .refused(401, "UNAUTHORIZED");
    assert!(
        [SESSION_COOKIE, REFRESH_COOKIE, ADMIN_COOKIE]
            .iter()
            .all(|name| browser.cookie(name).is_none())
    );
}

#[tokio::test]
async fn signing_in_while_acting_as_another_replaces_the_admin_s_own_session_too() {
    let app = TestApp::start().await;
    let (browser, _, _) = acting(&app).await;
    let (ana, aside) = (
        app.user("ana").await,
        token_of(&browser.cookie(ADMIN_COOKIE).unwrap()),
    );
    browser
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": ana.email, "password": ana.password }),
        )
        .await
        .ok();
    app.get_as(SESSION, &aside)
        .await
        .refused(401, "UNAUTHORIZED");
    assert!(browser.cookie(ADMIN_COOKIE).is_none());
    assert_eq!(
        browser.get(SESSION).await.ok().body["user"]["email"],
        ana.email
    );
}

#[tokio::test]
async fn a_session_of_another_admin_that_was_set_aside_ends_when_acting_ends() {
    let app = TestApp::start().await;
    let (browser, _, _) = acting(&app).await;
    let other = made_admin(&app, "other").await;
    let theirs = other.browser().await;
    theirs
        .post(
            "/api/auth/admin/impersonate-user",
            &json!({ "userId": id(&app.user("eve").await).await }),
        )
        .await
        .ok();
    let aside = theirs.cookie(ADMIN_COOKIE).unwrap();
    browser.set_cookie(ADMIN_COOKIE, &aside);
    browser
        .post("/api/auth/admin/stop-impersonating", &json!({}))
        .await
        .ok();
    assert!(browser.cookie(ADMIN_COOKIE).is_none());
    app.get_as(SESSION, &token_of(&aside))
        .await
        .refused(401, "UNAUTHORIZED");
}

/// A session that has only expired by a clock that is ahead must not come back to life with the
/// right time.
#[tokio::test]
async fn signing_out_while_the_clock_is_ahead_ends_what_looks_expired_for_good() {
    const AHEAD: i64 = 100 * 86_400_000;
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    for by_refresh_token in [false, true] {
        let mut tokens = ana.sign_in().await;
        app.get_as(SESSION, &tokens.session).await.ok();
        tokens.refresh = app.rotate(&tokens.refresh).await;
        app.set_clock(AHEAD);
        if by_refresh_token {
            sign_out(&app, &[], &json!({ "refreshToken": tokens.refresh })).await;
        } else {
            sign_out(
                &app,
                &[("authorization", &format!("Bearer {}", tokens.session))],
                &json!({}),
            )
            .await;
        }
        app.set_clock(-AHEAD);
        app.get_as(SESSION, &tokens.session)
            .await
            .refused(401, "UNAUTHORIZED");
        app.refresh(&tokens.refresh)
            .await
            .refused(401, "REFRESH_TOKEN_REVOKED");
    }
}

/// RFC 7009: whichever token of the session is named.
#[tokio::test]
async fn every_kind_of_token_can_be_revoked() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    for (kind, of) in [("session", 0), ("access", 1), ("refresh", 2)] {
        for hint in [
            "",
            "&token_type_hint=access_token",
            "&token_type_hint=refresh_token",
        ] {
            let tokens = ana.sign_in().await;
            let token = [&tokens.session, &tokens.access, &tokens.refresh][of];
            app.form("/api/auth/oauth2/revoke", &format!("token={token}{hint}"))
                .await
                .ok();
            app.get_as(SESSION, &tokens.session)
                .await
                .refused(401, "UNAUTHORIZED");
            app.refresh(&tokens.refresh)
                .await
                .refused(401, "REFRESH_TOKEN_REVOKED");
            println!("{kind} {hint}: ended");
        }
    }
}

/// A client that names a token in a way of its own must not hear of a success that was none.
#[tokio::test]
async fn a_token_that_is_named_in_another_way_ends_its_session_or_is_refused() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let page = ("origin", "http://localhost:4000");
    for name in [
        "token",
        "accessToken",
        "access_token",
        "refreshToken",
        "refresh_token",
    ] {
        for of in 0..3 {
            let tokens = ana.sign_in().await;
            let token = [&tokens.session, &tokens.access, &tokens.refresh][of];
            let body = json!({ name: token });
            sign_out(&app, &[page], &body).await.ok();
            app.get_as(SESSION, &tokens.session)
                .await
                .refused(401, "UNAUTHORIZED");
        }
    }
    let tokens = ana.sign_in().await;
    for header in [
        format!("Bearer  {}", tokens.session),
        tokens.session.clone(),
        format!("Token {}", tokens.session),
    ] {
        sign_out(&app, &[page, ("authorization", &header)], &json!({}))
            .await
            .refused(401, "UNAUTHORIZED");
    }
    let twice = format!("Bearer {}", tokens.session);
    sign_out(
        &app,
        &[page, ("authorization", &twice), ("authorization", &twice)],
        &json!({}),
    )
    .await
    .refused(401, "UNAUTHORIZED");
    sign_out(&app, &[("cookie", "a=b")], &json!({}))
        .await
        .refused(401, "UNAUTHORIZED");
    app.get_as(SESSION, &tokens.session).await.ok();
    // A proxy's own credentials in front of a page that is signed out already.
    sign_out(&app, &[page, ("authorization", "Basic dTpw")], &json!({}))
        .await
        .ok();
}

async fn sign_out(app: &TestApp, headers: &[(&str, &str)], body: &Value) -> Answer {
    let request = headers.iter().fold(
        Request::post(SIGN_OUT).header("content-type", "application/json"),
        |r, (name, value)| r.header(*name, *value),
    );
    app.send(request.body(Body::from(body.to_string())).unwrap())
        .await
}

#[tokio::test]
async fn every_token_that_comes_with_a_sign_out_ends_its_session() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    for way in ["access", "session", "signed", "refresh", "bearer refresh"] {
        let held = ana.sign_in().await;
        let signed = ana.browser().await;
        let cookie = signed.cookie(SESSION_COOKIE).unwrap();
        let (bearer, body) = match way {
            "access" => (Some(held.access.as_str()), json!({})),
            "session" => (Some(held.session.as_str()), json!({})),
            "signed" => (Some(cookie.as_str()), json!({})),
            "bearer refresh" => (Some(held.refresh.as_str()), json!({})),
            _ => (None, json!({ "refreshToken": held.refresh })),
        };
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|value| ("authorization", value.as_str()))
            .collect();
        for _ in 0..2 {
            sign_out(&app, &headers, &body).await.ok();
        }
        if way == "signed" {
            signed.get(SESSION).await.refused(401, "UNAUTHORIZED");
        } else {
            for token in [&held.access, &held.session] {
                app.get_as(SESSION, token)
                    .await
                    .refused(401, "UNAUTHORIZED");
            }
            app.refresh(&held.refresh)
                .await
                .refused(401, "REFRESH_TOKEN_REVOKED");
        }
    }
    // Several at once, each of a session of its own.
    let (a, b, c) = (
        ana.sign_in().await,
        ana.sign_in().await,
        ana.browser().await,
    );
    let line = format!("{SESSION_COOKIE}={}", c.cookie(SESSION_COOKIE).unwrap());
    sign_out(
        &app,
        &[
            ("authorization", &format!("Bearer {}", a.access)),
            ("cookie", &line),
        ],
        &json!({ "refreshToken": b.refresh }),
    )
    .await
    .ok();
    for token in [a.access, b.access] {
        app.get_as(SESSION, &token)
            .await
            .refused(401, "UNAUTHORIZED");
    }
    c.get(SESSION).await.refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_sign_out_that_names_no_session_is_refused_and_a_browser_without_one_is_signed_out() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    sign_out(&app, &[], &json!({}))
        .await
        .refused(401, "UNAUTHORIZED");
    sign_out(&app, &[], &json!({ "refreshToken": null }))
        .await
        .refused(401, "UNAUTHORIZED");
    for bearer in [
        "garbage",
        "css_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "a.b.c",
    ] {
        sign_out(
            &app,
            &[("authorization", &format!("Bearer {bearer}"))],
            &json!({}),
        )
        .await
        .refused(401, "UNAUTHORIZED");
    }
    sign_out(&app, &[], &json!({ "refreshToken": "csr_garbage" }))
        .await
        .refused(401, "UNAUTHORIZED");
    sign_out(&app, &[], &json!({ "refreshToken": 7 }))
        .await
        .refused(400, "VALIDATION_ERROR");
    // One that is no longer good proves nothing.
    let held = ana.sign_in().await;
    app.after(std::time::Duration::from_secs(3_600));
    sign_out(
        &app,
        &[("authorization", &format!("Bearer {}", held.access))],
        &json!({}),
    )
    .await
    .refused(401, "UNAUTHORIZED");
    app.get_as(SESSION, &held.session).await.ok();
    // What Better Auth's client sends where its cookies are gone, dead, or another service's.
    let origin = ("origin", "http://localhost:4000");
    sign_out(&app, &[origin], &json!({})).await.ok();
    let foreign = format!("{SESSION_COOKIE}=abc.def");
    let answer = sign_out(&app, &[origin, ("cookie", &foreign)], &json!({}))
        .await
        .ok();
    assert!(
        answer
            .cookies()
            .iter()
            .any(|c| c.starts_with(&format!("{SESSION_COOKIE}=;"))),
        "{:?}",
        answer.cookies()
    );
}

/// The first answer after an end tells that the session was ended, not merely that the caller is
/// unknown.
#[tokio::test]
async fn the_first_look_at_a_session_that_was_revoked_tells_so() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let (held, browser) = (ana.sign_in().await, ana.browser().await);
    app.post_as(
        "/api/auth/revoke-sessions",
        &ana.sign_in().await.session,
        &json!({}),
    )
    .await
    .ok();
    let told = browser.get(SESSION).await.refused(401, "UNAUTHORIZED");
    assert!(
        told.header("www-authenticate")
            .contains(r#"error_description="The session was revoked""#),
        "{}",
        told.header("www-authenticate")
    );
    for token in [&held.access, &held.session] {
        let told = app
            .get_as(SESSION, token)
            .await
            .refused(401, "UNAUTHORIZED");
        assert!(
            told.header("www-authenticate")
                .contains("The session was revoked"),
            "{}",
            told.header("www-authenticate")
        );
        assert_eq!(told.str("message"), "The session was revoked");
    }
    let late = ana.sign_in().await;
    app.after(std::time::Duration::from_secs(100 * 86_400));
    let told = app
        .get_as(SESSION, &late.session)
        .await
        .refused(401, "UNAUTHORIZED");
    assert_eq!(told.str("message"), "The session has expired");
}

#[tokio::test]
async fn ending_the_own_session_in_any_way_while_acting_as_another_ends_the_admin_s_own_session_too()
 {
    for way in ["all", "by token", "by id", "on the page"] {
        let app = TestApp::start().await;
        let (browser, before, _) = acting(&app).await;
        let aside = token_of(&browser.cookie(ADMIN_COOKIE).unwrap());
        let acted = browser.stolen();
        let token = token_of(&browser.cookie(SESSION_COOKIE).unwrap());
        let session = browser.get(SESSION).await.ok().body["session"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        match way {
            "all" => drop(
                browser
                    .post("/api/auth/revoke-sessions", &json!({}))
                    .await
                    .ok(),
            ),
            "by token" => drop(
                browser
                    .post("/api/auth/revoke-session", &json!({ "token": token }))
                    .await
                    .ok(),
            ),
            "by id" => drop(
                browser
                    .post("/api/auth/revoke-session", &json!({ "token": session }))
                    .await
                    .ok(),
            ),
            _ => {
                let page = browser.get("/auth/account").await.ok().text;
                let csrf = page
                    .split("name=\"csrf\" value=\"")
                    .nth(1)
                    .unwrap()
                    .split('"')
                    .next()
                    .unwrap()
                    .to_owned();
                assert_eq!(
                    browser
                        .form(
                            "/auth/account/sessions/end",
                            &[("csrf", &csrf), ("session", &session)]
                        )
                        .await
                        .status,
                    303
                );
            }
        }
        app.get_as(SESSION, &aside)
            .await
            .refused(401, "UNAUTHORIZED");
        assert!(
            [SESSION_COOKIE, REFRESH_COOKIE, ADMIN_COOKIE]
                .iter()
                .all(|name| browser.cookie(name).is_none()),
            "{way}"
        );
        for left in [before, acted] {
            left.stolen()
                .get(SESSION)
                .await
                .refused(401, "UNAUTHORIZED");
            left.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
        }
    }
    // By the administrative routes too, where both of them may use these.
    let roles = [
        (
            "roles.support",
            "user:impersonate,session:revoke,session:list,user:list",
        ),
        ("roles.helper", "session:revoke,session:list,user:list"),
    ];
    for way in ["session", "sessions", "page"] {
        let app = TestApp::with(&roles).await;
        let (support, helper) = (app.user("support").await, app.user("helper").await);
        super::admin::set_role(&app, &support, "support").await;
        super::admin::set_role(&app, &helper, "helper").await;
        let (browser, target) = (support.browser().await, id(&helper).await);
        browser
            .post(
                "/api/auth/admin/impersonate-user",
                &json!({ "userId": target }),
            )
            .await
            .ok();
        let aside = token_of(&browser.cookie(ADMIN_COOKIE).unwrap());
        let session = browser.get(SESSION).await.ok().body["session"]["id"].clone();
        match way {
            "session" => drop(
                browser
                    .post(
                        "/api/auth/admin/revoke-user-session",
                        &json!({ "sessionToken": session }),
                    )
                    .await
                    .ok(),
            ),
            "sessions" => drop(
                browser
                    .post(
                        "/api/auth/admin/revoke-user-sessions",
                        &json!({ "userId": target }),
                    )
                    .await
                    .ok(),
            ),
            _ => {
                let page = browser.get("/auth/account").await.ok().text;
                let csrf = page
                    .split("name=\"csrf\" value=\"")
                    .nth(1)
                    .unwrap()
                    .split('"')
                    .next()
                    .unwrap()
                    .to_owned();
                let ended = browser
                    .form(
                        &format!("/auth/admin/users/{target}/sessions/end-all"),
                        &[("csrf", &csrf)],
                    )
                    .await;
                assert_eq!(ended.status, 303, "{}", ended.text);
            }
        }
        app.get_as(SESSION, &aside)
            .await
            .refused(401, "UNAUTHORIZED");
        assert!(
            [SESSION_COOKIE, REFRESH_COOKIE, ADMIN_COOKIE]
                .iter()
                .all(|name| browser.cookie(name).is_none()),
            "{way}"
        );
    }
    // Another session of one's own that is ended takes nothing else with it.
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let (here, there) = (ana.browser().await, ana.sign_in().await);
    here.post(
        "/api/auth/revoke-session",
        &json!({ "token": there.session_id }),
    )
    .await
    .ok();
    here.get(SESSION).await.ok();
    app.get_as(SESSION, &there.session)
        .await
        .refused(401, "UNAUTHORIZED");
}
