//! Codes and links of mails from their other side: what a stranger's request leaves alone, what a
//! code is no good for, what a proof of the mailbox ends, and what holds when a code is used.

use std::path::Path;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use super::admin::{ask, id, made_admin};
use super::mail::{only, posting, received};
use super::mail_sign_in::code_of;
use crate::support::{Answer, Browser, SESSION_COOKIE, TestApp, User};

const SEND: &str = "/api/auth/email-otp/send-verification-otp";
const SIGN_IN: &str = "/api/auth/sign-in/email-otp";
const LINK: &str = "/api/auth/sign-in/magic-link";
const OPEN: &str = "/api/auth/magic-link/verify";
const BINDING: &str = "better-auth.email_code";

/// Asks for a code, and reads it in the mailbox.
async fn gets(browser: &Browser, dir: &Path, app: &TestApp, email: &str, kind: &str) -> String {
    let body = json!({ "email": email, "type": kind });
    browser.post(SEND, &body).await.ok();
    code_of(&only(app, dir).await.text)
}

async fn tries(browser: &Browser, email: &str, code: &str) -> Answer {
    let body = json!({ "email": email, "otp": code });
    browser.post(SIGN_IN, &body).await
}

async fn is_signed_in(browser: &Browser) -> bool {
    let answer = browser.get("/api/auth/get-session").await.ok();
    answer.body != Value::Null
}

/// A user whose mailbox is verified.
async fn verified(app: &TestApp, name: &str) -> User {
    let user = app.user(name).await;
    let sql = format!(
        "UPDATE users SET email_verified = 1, version = version + 1 WHERE email = '{}'",
        user.email
    );
    app.db_script(&sql).await;
    user
}

#[tokio::test]
async fn a_code_stays_good_whatever_others_ask_for() {
    let (app, dir) = posting(&[]).await;
    let ana = verified(&app, "ana").await;
    let (owner, stranger) = (Browser::new(&app), Browser::new(&app));
    let early = gets(&stranger, dir.path(), &app, &ana.email, "sign-in").await;
    let code = gets(&owner, dir.path(), &app, &ana.email, "sign-in").await;
    // Who has asked is compared with the own code alone, and uses up no try of another browser.
    if early != code {
        for _ in 0..3 {
            tries(&stranger, &ana.email, &code)
                .await
                .refused(400, "INVALID_OTP");
        }
    }
    let charged = "SELECT COUNT(*) FROM login_codes WHERE tries_of_asker > 0";
    assert_eq!(app.db_number(charged).await, 1);
    let of_others = "SELECT CAST(COALESCE(SUM(tries_of_others), 0) AS BIGINT) FROM login_codes";
    assert_eq!(app.db_number(of_others).await, 0);
    for browser in [&stranger, &Browser::new(&app)] {
        let body = json!({ "email": ana.email, "type": "sign-in" });
        browser.post(SEND, &body).await.ok();
        browser.post(LINK, &body).await.ok();
    }
    received(&app, dir.path()).await;
    tries(&owner, &ana.email, &code).await.ok();
    assert!(is_signed_in(&owner).await && !is_signed_in(&stranger).await);
}

#[tokio::test]
async fn a_code_and_a_link_that_the_gate_refuses_are_good_once() {
    let (app, dir) = posting(&[]).await;
    let ana = verified(&app, "ana").await;
    let root = made_admin(&app, "root").await.sign_in().await;
    let user = json!({ "userId": id(&ana).await });
    let (by_code, by_link) = (Browser::new(&app), Browser::new(&app));
    let code = gets(&by_code, dir.path(), &app, &ana.email, "sign-in").await;
    by_link
        .post(LINK, &json!({ "email": ana.email }))
        .await
        .ok();
    let link = only(&app, dir.path()).await.link();
    let opens = async || {
        let request = Request::builder()
            .uri(&link)
            .header("sec-fetch-mode", "cors")
            .header(
                "cookie",
                format!("{BINDING}={}", by_link.cookie(BINDING).unwrap()),
            );
        app.send(request.body(Body::empty()).unwrap()).await
    };
    ask(&app, &root, "ban-user", user.clone()).await.ok();
    tries(&by_code, &ana.email, &code)
        .await
        .refused(403, "BANNED_USER");
    opens().await.refused(403, "BANNED_USER");
    ask(&app, &root, "unban-user", user).await.ok();
    tries(&by_code, &ana.email, &code)
        .await
        .refused(400, "INVALID_OTP");
    let over = opens().await;
    let leads_to = over.header("location");
    assert!(leads_to.contains("error=INVALID_TOKEN"), "{leads_to}");
    assert!(!is_signed_in(&by_code).await);
    let code = gets(&by_code, dir.path(), &app, &ana.email, "sign-in").await;
    tries(&by_code, &ana.email, &code).await.ok();
}

#[tokio::test]
async fn a_head_and_a_navigation_do_nothing_in_the_browser_that_asked_either() {
    let (app, dir) = posting(&[]).await;
    let ana = verified(&app, "ana").await;
    let asker = Browser::new(&app);
    asker.post(LINK, &json!({ "email": ana.email })).await.ok();
    let link = only(&app, dir.path()).await.link();
    let fetch = |method: Method, mode: &str| {
        let request = Request::builder()
            .method(method)
            .uri(&link)
            .header("sec-fetch-mode", mode)
            .header(
                "cookie",
                format!("{BINDING}={}", asker.cookie(BINDING).unwrap()),
            );
        request.body(Body::empty()).unwrap()
    };
    let before = app.db_dump().await;
    for (method, mode) in [
        (Method::HEAD, "cors"),
        (Method::HEAD, "navigate"),
        (Method::GET, "navigate"),
    ] {
        let seen = app.send(fetch(method, mode)).await;
        assert_eq!((seen.status.as_u16(), seen.cookies().len()), (200, 0));
    }
    assert_eq!(app.db_dump().await, before);
    let done = app.send(fetch(Method::GET, "cors")).await;
    let is_session = |line: &String| line.starts_with(SESSION_COOKIE);
    assert!(done.cookies().iter().any(is_session), "{}", done.text);
}

#[tokio::test]
async fn every_code_of_a_mailbox_takes_an_account_that_nothing_ties_to_its_owner() {
    let (app, dir) = posting(&[]).await;
    for (n, path) in ["verify-email", "reset-password"].into_iter().enumerate() {
        // A stranger has signed up with the address of the owner.
        let stranger = app.user(&format!("owner{n}")).await;
        let theirs = stranger.browser().await;
        let held = stranger.sign_in().await.session;
        stranger.enrols_in(&held).await;
        received(&app, dir.path()).await;
        let owner = Browser::new(&app);
        let kind = ["email-verification", "forget-password"][n];
        let code = gets(&owner, dir.path(), &app, &stranger.email, kind).await;
        let body =
            json!({ "email": stranger.email, "otp": code, "password": "the owner's password" });
        let path = format!("/api/auth/email-otp/{path}");
        let done = owner.post(&path, &body).await.ok();
        if n == 0 {
            assert_eq!(
                (&done.body["redirect"], &done.body["user"]),
                (&json!(true), &Value::Null)
            );
            let url = done.str("url");
            assert!(url.contains("/reset-password/"), "{url}");
        }
        assert!(!is_signed_in(&theirs).await && !is_signed_in(&owner).await);
        stranger
            .try_sign_in(&stranger.password)
            .await
            .refused(401, "INVALID_EMAIL_OR_PASSWORD");
        let is_on = "SELECT COUNT(*) FROM users WHERE two_factor = 1 OR email_verified = 0";
        assert_eq!(app.db_number(is_on).await, 0);
        let reclaimed = i64::try_from(n).unwrap() + 1;
        assert_eq!(app.db_count_events("account.reclaimed").await, reclaimed);
        received(&app, dir.path()).await;
    }
    let again = json!({ "email": "owner1@example.com", "password": "the owner's password" });
    app.post("/api/auth/sign-in/email", &again).await.ok();
}

#[tokio::test]
async fn sign_up_that_is_closed_is_closed_when_a_code_is_used_too() {
    let (app, dir) = posting(&[]).await;
    let closed = app.replica_with(&[("sign_up.enabled", "false")]).await;
    let browser = Browser::new(&app);
    let new = "new@example.com";
    browser.post(LINK, &json!({ "email": new })).await.ok();
    let mail = only(&app, dir.path()).await;
    let body = json!({ "email": new, "otp": code_of(&mail.text) });
    let there = browser.at(&closed);
    let refused = there.post(SIGN_IN, &body).await;
    assert!(refused.status.is_client_error(), "{}", refused.text);
    let fields = format!("token={}&callbackURL=%2Fwelcome", mail.token());
    let led = closed.form(OPEN, &fields).await;
    assert_eq!(
        (led.status.as_u16(), led.header("location")),
        (303, "/welcome?error=new_user_signup_disabled")
    );
    assert_eq!(app.db_number("SELECT COUNT(*) FROM users").await, 0);
    // Where it is open, the same code is good.
    browser.post(SIGN_IN, &body).await.ok();
}

#[tokio::test]
async fn a_code_for_one_pending_sign_in_finishes_no_other() {
    let (app, dir) = posting(&[("two_factor.email", "true")]).await;
    let ana = verified(&app, "ana").await;
    let (own, verify) = (
        ana.sign_in().await.session,
        "/api/auth/two-factor/verify-otp",
    );
    let begin = json!({ "password": ana.password, "method": "otp" });
    app.post_as("/api/auth/two-factor/enable", &own, &begin)
        .await
        .ok();
    let first = json!({ "code": code_of(&only(&app, dir.path()).await.text) });
    let on = app.post_as(verify, &own, &first).await.ok();
    received(&app, dir.path()).await;
    let (one, other) = (ana.begins().await, ana.begins().await);
    let send = "/api/auth/two-factor/send-otp";
    app.post(send, &json!({ "challenge": one })).await.ok();
    let code = code_of(&only(&app, dir.path()).await.text);
    app.post(verify, &json!({ "challenge": other, "code": code }))
        .await
        .refused(400, "OTP_HAS_EXPIRED");
    app.post_as(verify, &on.str("token"), &json!({ "code": code }))
        .await
        .refused(400, "OTP_HAS_EXPIRED");
    app.post(verify, &json!({ "challenge": one, "code": code }))
        .await
        .ok();
}
