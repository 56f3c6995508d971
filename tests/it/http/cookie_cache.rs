//! The cookie cache: what it may answer, and what it must not.

use serde_json::json;

use crate::support::{Browser, CACHE_COOKIE, TestApp, seconds};

const SESSION: &str = "/api/auth/get-session";

async fn cached() -> (TestApp, Browser, crate::support::User) {
    let app = TestApp::with(&[("sessions.cookie_cache", "5m")]).await;
    let ana = app.user("ana").await;
    let browser = ana.browser().await;
    (app, browser, ana)
}

#[tokio::test]
async fn off_there_is_none_and_one_that_comes_is_cleared() {
    let app = TestApp::start().await;
    let browser = app.user("ana").await.browser().await;
    assert!(browser.cookie(CACHE_COOKIE).is_none());
    browser.set_cookie(CACHE_COOKIE, "anything");
    let answer = browser.get(SESSION).await.ok();
    assert!(
        answer
            .cookies()
            .iter()
            .any(|c| c.starts_with(&format!("{CACHE_COOKIE}=; ")) && c.contains("Max-Age=0")),
        "{:?}",
        answer.cookies()
    );
}

#[tokio::test]
async fn a_hit_says_what_a_read_says_and_mints_nothing() {
    let (app, browser, ana) = cached().await;
    let by_sign_in = browser.cookie(CACHE_COOKIE).expect("set by the sign-in");
    let hit = browser.get(SESSION).await.ok();
    assert!(hit.cookies().is_empty() && hit.header("set-auth-jwt").is_empty());
    let read = browser
        .get(&format!("{SESSION}?disableCookieCache=true"))
        .await
        .ok();
    assert_eq!(hit.body, read.body);
    assert!(!read.header("set-auth-jwt").is_empty() && browser.cookie(CACHE_COOKIE).is_some());
    // `false` is no (contract section 17, 12).
    assert!(
        browser
            .get(&format!("{SESSION}?disableCookieCache=false"))
            .await
            .ok()
            .header("set-auth-jwt")
            .is_empty()
    );
    assert!(
        !by_sign_in.contains(&ana.email),
        "no plain text for people who look over a shoulder"
    );
    app.after(seconds(300));
    assert!(
        !browser
            .get(SESSION)
            .await
            .ok()
            .header("set-auth-jwt")
            .is_empty(),
        "over: read again"
    );
}

#[tokio::test]
async fn one_of_another_session_or_of_nobodys_making_counts_for_nothing() {
    let (app, browser, _) = cached().await;
    let eve = app.user("eve").await.browser().await;
    let own = eve.get(SESSION).await.ok().body;
    eve.set_cookie(CACHE_COOKIE, &browser.cookie(CACHE_COOKIE).unwrap());
    assert_eq!(eve.get(SESSION).await.ok().body, own);
    eve.set_cookie(
        CACHE_COOKIE,
        "eyJhbnN3ZXIiOnt9fQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D",
    );
    assert_eq!(eve.get(SESSION).await.ok().body, own);
    // Without the session cookie, or with a Bearer of another session, it is ignored.
    let alone = Browser::new(&app);
    alone.set_cookie(CACHE_COOKIE, &browser.cookie(CACHE_COOKIE).unwrap());
    assert!(alone.get(SESSION).await.ok().body.is_null());
}

#[tokio::test]
async fn after_a_change_the_browser_that_made_it_reads_anew() {
    let (_, browser, _) = cached().await;
    browser
        .post("/api/auth/update-user", &json!({ "name": "Another" }))
        .await
        .ok();
    assert_eq!(
        browser.get(SESSION).await.ok().body["user"]["name"],
        "Another"
    );
    browser.post("/api/auth/sign-out", &json!({})).await.ok();
    assert!(
        browser.cookie(CACHE_COOKIE).is_none() && browser.get(SESSION).await.ok().body.is_null()
    );
}

#[tokio::test]
async fn an_ended_session_gets_no_token_and_reads_nothing_of_worth_with_it() {
    let (app, browser, ana) = cached().await;
    let other = ana.sign_in().await;
    app.post_as(
        "/api/auth/revoke-other-sessions",
        &other.session,
        &json!({}),
    )
    .await
    .ok();
    // What this cookie says is at most five minutes old; everything that counts asks the row
    // (contract section 17, 2).
    assert!(
        browser
            .get(SESSION)
            .await
            .ok()
            .header("set-auth-jwt")
            .is_empty()
    );
    for path in [
        "/api/auth/token",
        "/api/auth/session",
        "/api/auth/list-sessions",
        "/api/auth/list-accounts",
    ] {
        browser.get(path).await.refused(401, "UNAUTHORIZED");
    }
    app.after(seconds(300));
    assert!(browser.get(SESSION).await.ok().body.is_null());
}

#[tokio::test]
async fn one_that_would_not_fit_is_not_made() {
    let (_, browser, _) = cached().await;
    browser.post("/api/auth/update-user", &json!({ "name": "n".repeat(256), "image": format!("https://example.com/{}", "p".repeat(2_000)) })).await.ok();
    let answer = browser.get(SESSION).await.ok();
    assert!(answer.cookies().iter().all(|c| c.len() < 4_096));
    assert_eq!(browser.get(SESSION).await.ok().body, answer.body);
}
