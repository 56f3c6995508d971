//! Several cookies of one name, as a cookie domain set later or a host beside ours makes them:
//! which one counts, and that all of them can go.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::support::{
    ADMIN_COOKIE, Answer, Browser, CACHE_COOKIE, REFRESH_COOKIE, SESSION_COOKIE, TestApp, User,
    minutes, seconds,
};

const SESSION: &str = "/api/auth/session";
const REFRESH: &str = "/api/auth/refresh";
const SIGN_OUT: &str = "/api/auth/sign-out";

/// Sends this `Cookie` header.
async fn send(
    app: &TestApp,
    method: Method,
    path: &str,
    cookies: &[(&str, &str)],
    body: Option<&Value>,
) -> Answer {
    let line: Vec<String> = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("cookie", line.join("; "))
        .header("origin", origin(app));
    let request = if body.is_some() {
        request.header("content-type", "application/json")
    } else {
        request
    };
    app.send(
        request
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .unwrap(),
    )
    .await
}

fn origin(app: &TestApp) -> String {
    app.app
        .config
        .server
        .public_url
        .as_str()
        .trim_end_matches('/')
        .to_owned()
}

async fn get(app: &TestApp, path: &str, cookies: &[(&str, &str)]) -> Answer {
    send(app, Method::GET, path, cookies, None).await
}

async fn post(app: &TestApp, path: &str, cookies: &[(&str, &str)], body: &Value) -> Answer {
    send(app, Method::POST, path, cookies, Some(body)).await
}

fn held(browser: &Browser, name: &str) -> String {
    browser.cookie(name).unwrap()
}

/// The lines for this cookie that clear it, without its name and value.
fn clearing(answer: &Answer, name: &str) -> Vec<String> {
    let lines = answer.cookies();
    lines
        .iter()
        .filter_map(|line| line.strip_prefix(&format!("{name}=;")))
        .filter(|rest| rest.contains("Max-Age=0"))
        .map(ToOwned::to_owned)
        .collect()
}

#[tokio::test]
async fn of_several_signed_session_cookies_the_one_that_lives_counts_in_any_order() {
    let app = TestApp::with(&[("sessions.cookie_cache", "1m")]).await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let (dead, living) = (bob.browser().await, ana.browser().await);
    let stale = held(&dead, SESSION_COOKIE);
    let stale_cache = held(&dead, CACHE_COOKIE);
    dead.post(SIGN_OUT, &json!({})).await.ok();
    let good = held(&living, SESSION_COOKIE);
    for cookies in [
        [(SESSION_COOKIE, &*stale), (SESSION_COOKIE, &*good)],
        [(SESSION_COOKIE, &*good), (SESSION_COOKIE, &*stale)],
    ] {
        assert_eq!(
            get(&app, SESSION, &cookies).await.ok().body["user"]["email"],
            ana.email
        );
        assert_eq!(
            get(&app, "/api/auth/get-session", &cookies).await.ok().body["user"]["email"],
            ana.email
        );
        get(&app, "/api/auth/token", &cookies).await.ok();
        get(&app, "/api/auth/list-sessions", &cookies).await.ok();
        assert!(
            get(&app, "/auth/account", &cookies)
                .await
                .ok()
                .text
                .contains(&ana.email),
            "pages read cookies alike"
        );
        post(
            &app,
            "/api/auth/update-user",
            &cookies,
            &json!({ "name": "Ana" }),
        )
        .await
        .ok();
        // What the cache of the dead session says counts for nothing.
        let cached = [cookies[0], cookies[1], (CACHE_COOKIE, &stale_cache)];
        assert_eq!(
            get(&app, "/api/auth/get-session", &cached).await.ok().body["user"]["email"],
            ana.email
        );
    }
}

#[tokio::test]
async fn two_session_cookies_that_both_live_are_no_one_s_and_nothing_is_written() {
    let app = TestApp::start().await;
    let (ana, eve) = (
        app.user("ana").await.browser().await,
        app.user("eve").await.browser().await,
    );
    let both = [
        (SESSION_COOKIE, &*held(&ana, SESSION_COOKIE)),
        (SESSION_COOKIE, &*held(&eve, SESSION_COOKIE)),
    ];
    let answer = get(&app, SESSION, &both).await.refused(401, "UNAUTHORIZED");
    assert!(answer.cookies().is_empty(), "{:?}", answer.cookies());
    assert!(
        get(&app, "/api/auth/get-session", &both)
            .await
            .ok()
            .body
            .is_null()
    );
    get(&app, "/api/auth/token", &both)
        .await
        .refused(401, "UNAUTHORIZED");
    post(
        &app,
        "/api/auth/update-user",
        &both,
        &json!({ "name": "Eve" }),
    )
    .await
    .refused(401, "UNAUTHORIZED");
    assert_eq!(get(&app, "/auth/account", &both).await.status, 303);
    // With either one's refresh cookie too: it proves nothing about which one is this browser's.
    for one in [&ana, &eve] {
        let refresh = held(one, REFRESH_COOKIE);
        let answer = post(
            &app,
            REFRESH,
            &[both[0], both[1], (REFRESH_COOKIE, &refresh)],
            &json!({}),
        )
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
        assert!(answer.cookies().is_empty(), "{:?}", answer.cookies());
    }
    for one in [&ana, &eve] {
        one.refresh().await.ok();
    }
}

#[tokio::test]
async fn more_session_cookies_than_are_looked_up_are_none() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let mut values = Vec::new();
    for _ in 0..40 {
        let dead = ana.browser().await;
        values.push(held(&dead, SESSION_COOKIE));
        dead.post(SIGN_OUT, &json!({})).await.ok();
    }
    values.push(held(&ana.browser().await, SESSION_COOKIE));
    let many: Vec<_> = values
        .iter()
        .map(|value| (SESSION_COOKIE, value.as_str()))
        .collect();
    get(&app, SESSION, &many).await.refused(401, "UNAUTHORIZED");
    assert_eq!(
        get(&app, SESSION, &many[many.len() - 8..]).await.ok().body["user"]["email"],
        ana.email
    );
}

/// Signed in as Ana; another host of the site plants what it got for its own account.
async fn victim_and_intruder(app: &TestApp) -> (User, Browser, Browser) {
    let (ana, eve) = (app.user("ana").await, app.user("eve").await);
    (ana.clone(), ana.browser().await, eve.browser().await)
}

#[tokio::test]
async fn beside_a_live_session_cookie_only_the_refresh_token_of_its_family_counts() {
    let app = TestApp::start().await;
    let (ana, browser, intruder) = victim_and_intruder(&app).await;
    let planted = held(&intruder, REFRESH_COOKIE);
    for planted_first in [false, true] {
        app.after(minutes(2));
        let (session, own) = (
            held(&browser, SESSION_COOKIE),
            held(&browser, REFRESH_COOKIE),
        );
        let (first, second) = if planted_first {
            (&planted, &own)
        } else {
            (&own, &planted)
        };
        let cookies = [
            (SESSION_COOKIE, &*session),
            (REFRESH_COOKIE, &**first),
            (REFRESH_COOKIE, &**second),
        ];
        let answer = post(&app, REFRESH, &cookies, &json!({})).await.ok();
        assert_eq!(answer.body["user"]["email"], ana.email);
        browser.store(&answer);
    }
    // Alone beside the live session it counts as none, and no cookie of that account is set.
    let session = held(&browser, SESSION_COOKIE);
    let answer = post(
        &app,
        REFRESH,
        &[(SESSION_COOKIE, &*session), (REFRESH_COOKIE, &*planted)],
        &json!({}),
    )
    .await
    .refused(401, "REFRESH_TOKEN_INVALID");
    assert!(
        answer
            .cookies()
            .iter()
            .all(|line| line.starts_with(&format!("{REFRESH_COOKIE}=;"))),
        "{:?}",
        answer.cookies()
    );
    assert_eq!(
        browser.get(SESSION).await.ok().body["user"]["email"],
        ana.email
    );
    app.after(minutes(2));
    assert_eq!(
        browser.refresh().await.ok().body["user"]["email"],
        ana.email
    );
    assert_eq!(app.db_count_events("refresh_token.reused").await, 0);
}

#[tokio::test]
async fn refresh_tokens_of_two_sessions_without_a_live_session_cookie_are_none_and_nothing_is_overwritten()
 {
    let app = TestApp::start().await;
    let (_, browser, intruder) = victim_and_intruder(&app).await;
    let (own, planted) = (
        held(&browser, REFRESH_COOKIE),
        held(&intruder, REFRESH_COOKIE),
    );
    let dead = app.user("dead").await.browser().await;
    let stale = held(&dead, SESSION_COOKIE);
    let spent = held(&dead, REFRESH_COOKIE);
    dead.post(SIGN_OUT, &json!({})).await.ok();
    for session in [None, Some(&*stale), Some("garbage")] {
        for pair in [[&own, &planted], [&planted, &own]] {
            let mut cookies: Vec<_> = session
                .iter()
                .map(|value| (SESSION_COOKIE, *value))
                .collect();
            cookies.extend(pair.map(|value| (REFRESH_COOKIE, value.as_str())));
            let answer = post(&app, REFRESH, &cookies, &json!({}))
                .await
                .refused(401, "REFRESH_TOKEN_INVALID");
            assert!(answer.cookies().is_empty(), "{:?}", answer.cookies());
        }
    }
    // Nor does one count because the other one is over: the own one may be that.
    for pair in [[&spent, &planted], [&planted, &spent], [&spent, &own]] {
        let answer = post(
            &app,
            REFRESH,
            &pair.map(|value| (REFRESH_COOKIE, value.as_str())),
            &json!({}),
        )
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
        assert_untouched(&answer, "a family that is over beside one that lives");
    }
    for one in [&browser, &intruder] {
        one.refresh().await.ok();
    }
}

#[tokio::test]
async fn once_the_own_session_is_over_a_planted_refresh_token_counts_for_nothing() {
    let app = TestApp::with(&[("sessions.idle_ttl", "1h")]).await;
    for how in ["signed out", "revoked", "replaced", "expired"] {
        let (ana, eve) = (
            app.user(&format!("ana-{}", how.replace(' ', "-"))).await,
            app.user(&format!("eve-{}", how.replace(' ', "-"))).await,
        );
        let browser = ana.browser().await;
        let (session, own) = (
            held(&browser, SESSION_COOKIE),
            held(&browser, REFRESH_COOKIE),
        );
        match how {
            "signed out" => drop(browser.stolen().post(SIGN_OUT, &json!({})).await.ok()),
            "revoked" => drop(
                app.post_as(
                    "/api/auth/revoke-sessions",
                    &ana.sign_in().await.session,
                    &json!({}),
                )
                .await
                .ok(),
            ),
            "replaced" => drop(
                browser
                    .stolen()
                    .post(
                        "/api/auth/sign-in/email",
                        &json!({ "email": ana.email, "password": ana.password }),
                    )
                    .await
                    .ok(),
            ),
            _ => app.after(minutes(61)),
        }
        let intruder = eve.browser().await;
        let planted = held(&intruder, REFRESH_COOKIE);
        for refreshes in [&[&own, &planted][..], &[&planted, &own], &[&planted]] {
            let mut cookies = vec![(SESSION_COOKIE, session.as_str())];
            cookies.extend(
                refreshes
                    .iter()
                    .map(|value| (REFRESH_COOKIE, value.as_str())),
            );
            let answer = post(&app, REFRESH, &cookies, &json!({}))
                .await
                .refused(401, "REFRESH_TOKEN_INVALID");
            assert_untouched(&answer, &format!("{how}, {} tokens", refreshes.len()));
        }
        // Alone beside its session the own token tells why it is over.
        let own_alone = post(
            &app,
            REFRESH,
            &[(SESSION_COOKIE, &session), (REFRESH_COOKIE, &own)],
            &json!({}),
        )
        .await;
        assert_eq!(own_alone.status, 401);
        assert_ne!(own_alone.body["code"], "REFRESH_TOKEN_INVALID", "{how}");
        // Signing in again overwrites what is this host's, and the new session works beside what
        // was planted.
        let signed_in = [
            (SESSION_COOKIE, session.as_str()),
            (REFRESH_COOKIE, own.as_str()),
            (REFRESH_COOKIE, planted.as_str()),
        ];
        let form = json!({ "email": ana.email, "password": ana.password });
        browser.store(
            &post(&app, "/api/auth/sign-in/email", &signed_in, &form)
                .await
                .ok(),
        );
        app.after(minutes(2));
        let fresh = (
            held(&browser, SESSION_COOKIE),
            held(&browser, REFRESH_COOKIE),
        );
        let again = eve.browser().await;
        let cookies = [
            (SESSION_COOKIE, fresh.0.as_str()),
            (REFRESH_COOKIE, &held(&again, REFRESH_COOKIE)),
            (REFRESH_COOKIE, &fresh.1),
        ];
        assert_eq!(
            post(&app, REFRESH, &cookies, &json!({})).await.ok().body["user"]["email"],
            ana.email,
            "{how}"
        );
    }
    assert_eq!(app.db_count_events("refresh_token.reused").await, 0);
}

#[tokio::test]
async fn a_name_that_came_twice_is_cleared_and_set_for_the_host_and_for_every_domain_above_it() {
    let settings = |domain: &'static str| {
        [
            ("server.public_url", "https://auth.example.co.uk"),
            ("sessions.cookie_domain", domain),
            ("server.trusted_origins", "http://localhost:4000"),
        ]
    };
    for domain in ["", "auth.example.co.uk", "example.co.uk"] {
        let app = TestApp::with(&settings(domain)).await;
        let (session, refresh) = (
            format!("__Secure-{SESSION_COOKIE}"),
            format!("__Secure-{REFRESH_COOKIE}"),
        );
        let ana = app.user("ana").await;
        let (one, two) = (ana.browser().await, ana.browser().await);
        let cookies = [
            (&*session, &*held(&one, &session)),
            (&*session, &*held(&two, &session)),
            (&*refresh, &*held(&one, &refresh)),
        ];
        let answer = post(&app, SIGN_OUT, &cookies, &json!({})).await.ok();
        let lines = clearing(&answer, &session);
        let bare = |line: &&String| !line.contains("Domain=");
        assert!(lines.iter().any(|line| bare(&line)), "host-only: {lines:?}");
        for above in ["auth.example.co.uk", "example.co.uk"] {
            assert!(
                lines
                    .iter()
                    .any(|line| line.contains(&format!("Domain={above};"))
                        || line.ends_with(&format!("Domain={above}"))),
                "{above}: {lines:?}"
            );
        }
        assert!(
            !lines.iter().any(|line| line.contains("Domain=co.uk")),
            "no browser takes a public suffix: {lines:?}"
        );
        // What came once may be of a time with another cookie domain, but of no other path.
        let lines = clearing(&answer, &refresh);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(
            lines.iter().all(|line| line.contains("Path=/api/auth;")),
            "{lines:?}"
        );
        // Whose both are dead now: the answer that tells so clears both.
        let over = get(&app, SESSION, &cookies[..2])
            .await
            .refused(401, "UNAUTHORIZED");
        assert!(clearing(&over, &session).len() >= 3, "{:?}", over.cookies());
        let page = get(&app, "/auth/account", &cookies[..2]).await;
        assert!(clearing(&page, &session).len() >= 3, "{:?}", page.cookies());
        // And a new session takes the place of both: the stale ones go before the new one is set.
        let answer = post(
            &app,
            "/api/auth/sign-in/email",
            &cookies[..2],
            &json!({ "email": ana.email, "password": ana.password }),
        )
        .await
        .ok();
        let lines = answer.cookies();
        let set = lines
            .iter()
            .position(|line| line.starts_with(&format!("{session}=css_")))
            .unwrap();
        let last_cleared = lines
            .iter()
            .rposition(|line| line.starts_with(&format!("{session}=;")))
            .unwrap();
        assert!(
            last_cleared < set && clearing(&answer, &session).len() >= 2,
            "{lines:?}"
        );
    }
}

#[tokio::test]
async fn a_late_refusal_of_a_session_that_this_browser_has_replaced_clears_nothing() {
    let app = TestApp::with(&[("sessions.cookie_cache", "1m")]).await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let browser = ana.browser().await;
    let late = browser.stolen();
    browser
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": bob.email, "password": bob.password }),
        )
        .await
        .ok();
    let ask = async |late: &Browser| {
        let mut answers = vec![
            late.ask(Method::POST, REFRESH, Some(&json!({})))
                .await
                .refused(401, "REFRESH_TOKEN_REVOKED"),
        ];
        answers.push(
            late.ask(Method::GET, SESSION, None)
                .await
                .refused(401, "UNAUTHORIZED"),
        );
        answers.push(
            late.ask(
                Method::GET,
                "/api/auth/get-session?disableCookieCache=true",
                None,
            )
            .await
            .ok(),
        );
        answers.push(
            late.ask(Method::GET, "/api/auth/token", None)
                .await
                .refused(401, "UNAUTHORIZED"),
        );
        answers.push(
            late.ask(
                Method::POST,
                "/api/auth/update-user",
                Some(&json!({ "name": "x" })),
            )
            .await
            .refused(401, "UNAUTHORIZED"),
        );
        answers.push(late.ask(Method::GET, "/auth/account", None).await);
        answers
    };
    for answer in ask(&late).await {
        assert!(answer.cookies().is_empty(), "{:?}", answer.cookies());
        browser.store(&answer);
    }
    assert_eq!(
        browser.get(SESSION).await.ok().body["user"]["email"],
        bob.email
    );
    browser.refresh().await.ok();
    // A new password that moves this browser to a new session replaces the old one as well.
    let late = browser.stolen();
    let change = json!({ "currentPassword": bob.password, "newPassword": "another good password", "revokeOtherSessions": true });
    browser
        .post("/api/auth/change-password", &change)
        .await
        .ok();
    for answer in ask(&late).await {
        assert!(answer.cookies().is_empty(), "{:?}", answer.cookies());
    }
    // One that ended in any other way is cleared as before.
    let other = bob_again(&app, &bob).await;
    let late = other.stolen();
    app.post_as("/api/auth/revoke-sessions", &token_of(&late), &json!({}))
        .await
        .ok();
    assert_cleared(&late.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED"));
}

fn token_of(browser: &Browser) -> String {
    held(browser, SESSION_COOKIE)
        .split(['.', '%'])
        .next()
        .unwrap()
        .to_owned()
}

#[track_caller]
fn assert_cleared(answer: &Answer) {
    assert!(
        !clearing(answer, SESSION_COOKIE).is_empty()
            && !clearing(answer, REFRESH_COOKIE).is_empty(),
        "{:?}",
        answer.cookies()
    );
}

#[track_caller]
fn assert_untouched(answer: &Answer, what: &str) {
    assert!(
        answer.cookies().is_empty(),
        "{what}: {} {:?}",
        answer.text,
        answer.cookies()
    );
}

/// Whatever a browser may have had under way when its session ended, answered now.
async fn late_answers(late: &Browser) -> Vec<Answer> {
    let mut answers = vec![late.ask(Method::POST, REFRESH, Some(&json!({}))).await];
    for path in [
        SESSION,
        "/api/auth/get-session?disableCookieCache=true",
        "/api/auth/token",
        "/api/auth/list-sessions",
        "/auth/account",
    ] {
        answers.push(late.ask(Method::GET, path, None).await);
    }
    answers.push(
        late.ask(
            Method::POST,
            "/api/auth/update-user",
            Some(&json!({ "name": "x" })),
        )
        .await,
    );
    answers
}

#[tokio::test]
async fn a_late_refusal_after_signing_out_and_in_again_clears_nothing_of_the_new_session() {
    let app = TestApp::with(&[("sessions.cookie_cache", "1m")]).await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    // The next session in this browser is the same user's, or another one's.
    for next in [&ana, &bob] {
        for pause in [0, 2, 60 * 24] {
            let browser = ana.browser().await;
            let late = browser.stolen();
            browser.post(SIGN_OUT, &json!({})).await.ok();
            // Refused before the next sign-in, and still under way to the browser.
            let under_way = late
                .ask(Method::POST, REFRESH, Some(&json!({})))
                .await
                .refused(401, "REFRESH_TOKEN_REVOKED");
            assert_untouched(&under_way, "right after the sign-out");
            app.after(minutes(pause));
            browser
                .post(
                    "/api/auth/sign-in/email",
                    &json!({ "email": next.email, "password": next.password }),
                )
                .await
                .ok();
            browser.store(&under_way);
            for answer in late_answers(&late).await {
                assert_untouched(&answer, &format!("{pause} minutes after the sign-out"));
                browser.store(&answer);
            }
            assert_eq!(
                browser.get(SESSION).await.ok().body["user"]["email"],
                next.email
            );
            browser.refresh().await.ok();
        }
    }
}

#[tokio::test]
async fn a_late_refusal_of_a_session_that_ended_in_any_way_clears_nothing_after_the_next_sign_in() {
    let app = TestApp::with(&[("sessions.idle_ttl", "1h")]).await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    for how in ["revoked", "expired", "password", "reuse"] {
        for told in [false, true] {
            let (ana, browser) = (
                app.user(&format!("ana-{how}-{told}")).await,
                Browser::new(&app),
            );
            browser
                .post(
                    "/api/auth/sign-in/email",
                    &json!({ "email": ana.email, "password": ana.password }),
                )
                .await
                .ok();
            let late = browser.stolen();
            match how {
                "revoked" => drop(
                    app.post_as(
                        "/api/auth/revoke-sessions",
                        &ana.sign_in().await.session,
                        &json!({}),
                    )
                    .await
                    .ok(),
                ),
                "expired" => app.after(minutes(61)),
                "password" => {
                    let change = json!({ "currentPassword": ana.password, "newPassword": "another good password", "revokeOtherSessions": true });
                    app.post_as(
                        "/api/auth/change-password",
                        &ana.sign_in().await.session,
                        &change,
                    )
                    .await
                    .ok();
                }
                _ => {
                    let thief = browser.stolen();
                    for _ in 0..2 {
                        app.after(minutes(2));
                        thief.refresh().await.ok();
                    }
                    app.after(minutes(2));
                    late.ask(Method::POST, REFRESH, Some(&json!({})))
                        .await
                        .refused(401, "REFRESH_TOKEN_REUSED");
                }
            }
            // The browser has been told of the end, and its cookies are cleared; or it signs in
            // with them.
            if told {
                assert_eq!(browser.get(SESSION).await.status, 401);
                assert!(browser.cookie(SESSION_COOKIE).is_none(), "{how}");
            }
            browser
                .post(
                    "/api/auth/sign-in/email",
                    &json!({ "email": bob.email, "password": bob.password }),
                )
                .await
                .ok();
            for answer in late_answers(&late).await {
                assert_untouched(&answer, &format!("{how}, told: {told}"));
                browser.store(&answer);
            }
            assert_eq!(
                browser.get(SESSION).await.ok().body["user"]["email"],
                bob.email,
                "{how}"
            );
        }
    }
    // Only the browser's own: a sign-in elsewhere does not keep the cookies of another browser.
    let (here, there) = (ana.browser().await, ana.browser().await);
    app.post_as("/api/auth/revoke-sessions", &token_of(&there), &json!({}))
        .await
        .ok();
    there
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": ana.email, "password": ana.password }),
        )
        .await
        .ok();
    assert_cleared(&here.refresh().await);
}

#[tokio::test]
async fn a_browser_to_which_the_answer_of_a_sign_out_was_lost_is_rid_of_its_cookies() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let signed_out = async || {
        let browser = ana.browser().await;
        browser
            .ask(Method::POST, SIGN_OUT, Some(&json!({})))
            .await
            .ok();
        browser
    };
    // By the next answer that is not a refresh: of the API, or of a page.
    for path in [
        SESSION,
        "/api/auth/get-session",
        "/api/auth/token",
        "/auth/account",
    ] {
        let browser = signed_out().await;
        assert_cleared(&browser.get(path).await);
        assert!(
            browser.cookie(SESSION_COOKIE).is_none() && browser.cookie(REFRESH_COOKIE).is_none(),
            "{path}"
        );
    }
    // By a second sign-out.
    assert_cleared(&signed_out().await.post(SIGN_OUT, &json!({})).await.ok());
    // By a refresh, once no answer of before the sign-out can be under way any more.
    let browser = signed_out().await;
    app.after(seconds(59));
    assert_untouched(
        &browser
            .refresh()
            .await
            .refused(401, "REFRESH_TOKEN_REVOKED"),
        "within the minute",
    );
    app.after(seconds(1));
    assert_cleared(
        &browser
            .refresh()
            .await
            .refused(401, "REFRESH_TOKEN_REVOKED"),
    );
    browser
        .refresh()
        .await
        .refused(401, "REFRESH_TOKEN_MISSING");
}

#[tokio::test]
async fn of_several_sessions_that_were_set_aside_the_admin_s_newest_comes_back_and_all_others_end()
{
    let app = TestApp::start().await;
    let (root, bob) = (
        super::admin::made_admin(&app, "root").await,
        app.user("bob").await,
    );
    let act = json!({ "userId": super::admin::id(&bob).await });
    let mut set_aside = Vec::new();
    for _ in 0..2 {
        let browser = root.browser().await;
        browser
            .post("/api/auth/admin/impersonate-user", &act)
            .await
            .ok();
        set_aside.push(browser);
        app.after(seconds(1));
    }
    let (older, newer) = (
        held(&set_aside[0], ADMIN_COOKIE),
        held(&set_aside[1], ADMIN_COOKIE),
    );
    for cookies in [[&older, &newer], [&newer, &older]] {
        let session = held(&set_aside[1], SESSION_COOKIE);
        let line = [
            (SESSION_COOKIE, &*session),
            (ADMIN_COOKIE, &**cookies[0]),
            (ADMIN_COOKIE, &**cookies[1]),
        ];
        let answer = post(
            &app,
            "/api/auth/admin/stop-impersonating",
            &line,
            &json!({}),
        )
        .await;
        if cookies[0] == &older {
            assert_eq!(answer.ok().body["user"]["email"], root.email);
            for aside in [&older, &newer] {
                app.get_as(SESSION, aside.split([':', '%']).next().unwrap())
                    .await
                    .refused(401, "UNAUTHORIZED");
            }
        } else {
            assert_eq!(answer.status, 401, "acting has ended");
        }
    }
}

async fn bob_again(app: &TestApp, bob: &User) -> Browser {
    let browser = Browser::new(app);
    browser
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": bob.email, "password": "another good password" }),
        )
        .await
        .ok();
    browser
}

#[tokio::test]
async fn a_late_refusal_after_acting_as_another_has_ended_clears_nothing() {
    let app = TestApp::start().await;
    let (root, bob) = (
        super::admin::made_admin(&app, "root").await,
        app.user("bob").await,
    );
    let browser = root.browser().await;
    browser
        .post(
            "/api/auth/admin/impersonate-user",
            &json!({ "userId": super::admin::id(&bob).await }),
        )
        .await
        .ok();
    let late = browser.stolen();
    browser
        .post("/api/auth/admin/stop-impersonating", &json!({}))
        .await
        .ok();
    let answer = late.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
    assert!(answer.cookies().is_empty(), "{:?}", answer.cookies());
    assert_eq!(
        browser.get(SESSION).await.ok().body["user"]["email"],
        root.email
    );
}
