//! Policies by role: who needs a second factor, how a user without one enrols it in the sign-in, and
//! how long sessions last.

use serde_json::{Value, json};

use super::admin::{id, made_admin};
use super::mail::{only, posting, received};
use super::mail_sign_in::code_of;
use crate::support::authenticator::Authenticator;
use crate::support::{Answer, Browser, TestApp, User, minutes, seconds};

const STRICT: [(&str, &str); 1] = [("policies.admin.require", "2fa")];
const SEND: &str = "/api/auth/two-factor/send-otp";
const MAILED: &str = "/api/auth/two-factor/verify-otp";
const ENROL: &str = "/api/auth/two-factor/enable";
const VERIFY: &str = "/api/auth/two-factor/verify-totp";

async fn sign_in(browser: &Browser, user: &User) -> Answer {
    let body = json!({ "email": user.email, "password": user.password });
    browser.post("/api/auth/sign-in/email", &body).await
}

async fn verified(user: &User) {
    let sql = format!(
        "UPDATE users SET email_verified = 1, version = version + 1 WHERE email = '{}'",
        user.email
    );
    user.app.db_script(&sql).await;
}

async fn session_of(browser: &Browser) -> Value {
    browser.get("/api/auth/get-session").await.ok().body
}

#[tokio::test]
async fn a_role_that_needs_a_second_factor_is_enrolled_in_the_sign_in_after_the_mailbox() {
    let (app, dir) = posting(&STRICT).await;
    let root = made_admin(&app, "root").await;
    let ana = app.user("ana").await;
    // Users without the role sign in as before.
    sign_in(&Browser::new(&app), &ana).await.ok().str("token");
    let browser = Browser::new(&app);
    sign_in(&browser, &root)
        .await
        .refused(403, "EMAIL_NOT_VERIFIED");
    verified(&root).await;
    let pending = sign_in(&browser, &root).await.ok();
    assert_eq!(
        pending.body,
        json!({ "twoFactorRedirect": true, "twoFactorMethods": ["otp"] })
    );
    // A stolen password enrols no device of the thief.
    browser
        .post(ENROL, &json!({}))
        .await
        .refused(403, "INSUFFICIENT_USER_AUTHENTICATION");
    browser
        .post(VERIFY, &json!({ "code": "123456" }))
        .await
        .refused(400, "TOTP_NOT_ENABLED");
    browser.post(SEND, &json!({})).await.ok();
    let code = code_of(&only(&app, dir.path()).await.text);
    let more = browser.post(MAILED, &json!({ "code": code })).await.ok();
    assert_eq!(
        more.body,
        json!({ "twoFactorRedirect": true, "twoFactorMethods": [], "enrol": ["totp", "passkey"] })
    );
    assert_eq!(session_of(&browser).await, Value::Null);
    browser
        .post(MAILED, &json!({ "code": code }))
        .await
        .refused(400, "OTP_HAS_EXPIRED");
    let enrolment = browser.post(ENROL, &json!({})).await.ok();
    assert_eq!(enrolment.body["backupCodes"].as_array().unwrap().len(), 10);
    let phone = Authenticator::scan(&enrolment);
    browser
        .post(VERIFY, &json!({ "code": "000000" }))
        .await
        .refused(401, "INVALID_CODE");
    // Another pending sign-in of the same user cannot confirm what this one has made.
    let thief = Browser::new(&app);
    sign_in(&thief, &root).await.ok();
    let right = json!({ "code": phone.code(&app, 0) });
    thief
        .post(VERIFY, &right)
        .await
        .refused(400, "TOTP_NOT_ENABLED");
    let done = browser.post(VERIFY, &right).await.ok();
    assert_eq!(done.body["user"]["twoFactorEnabled"], true);
    let access = done.claims("accessToken");
    assert_eq!(access["amr"], json!(["pwd", "email", "otp"]));
    assert_eq!(access["acr"], "urn:countersign:acr:2fa");
    assert_ne!(session_of(&browser).await, Value::Null);
    browser.refresh().await.ok();
    assert_eq!(app.db_count_events("factor.enrolled").await, 1);
    assert_eq!(received(&app, dir.path()).await.len(), 1, "the notice");
    // The next sign-in asks for the app.
    app.after(seconds(30));
    let next = Browser::new(&app);
    let pending = sign_in(&next, &root).await.ok();
    assert_eq!(pending.body["twoFactorMethods"], json!(["totp"]));
    next.post(VERIFY, &json!({ "code": phone.code(&app, 0) }))
        .await
        .ok();
}

#[tokio::test]
async fn a_sign_in_by_mail_has_proven_the_mailbox_and_goes_on_with_the_enrolment() {
    let (app, dir) = posting(&STRICT).await;
    let root = made_admin(&app, "root").await;
    verified(&root).await;
    let browser = Browser::new(&app);
    let ask = json!({ "email": root.email, "type": "sign-in" });
    browser
        .post("/api/auth/email-otp/send-verification-otp", &ask)
        .await
        .ok();
    let code = code_of(&only(&app, dir.path()).await.text);
    let body = json!({ "email": root.email, "otp": code });
    let pending = browser
        .post("/api/auth/sign-in/email-otp", &body)
        .await
        .ok();
    assert_eq!(pending.body["enrol"], json!(["totp", "passkey"]));
    let enrolment = browser.post(ENROL, &json!({})).await.ok();
    let phone = Authenticator::scan(&enrolment);
    let first = json!({ "code": phone.code(&app, 0) });
    let done = browser.post(VERIFY, &first).await.ok();
    assert_eq!(done.claims("accessToken")["amr"], json!(["email", "otp"]));
}

#[tokio::test]
async fn a_promotion_ends_sessions_below_the_policy_and_moves_pending_sign_ins() {
    let (app, dir) = posting(&STRICT).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let live = ana.browser().await;
    let own = ana.sign_in().await;
    let promote = "UPDATE users SET role = 'user,admin', version = version + 1 WHERE email = 'ana@example.com'";
    let demote =
        "UPDATE users SET role = 'user', version = version + 1 WHERE email = 'ana@example.com'";
    app.db_script(promote).await;
    live.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
    assert_eq!(session_of(&live).await, Value::Null);
    app.get_as("/api/auth/list-sessions", &own.session)
        .await
        .refused(401, "UNAUTHORIZED");
    let reasons = app
        .db_texts("SELECT revoked_reason FROM sessions WHERE revoked_reason IS NOT NULL")
        .await;
    assert!(
        reasons.iter().all(|reason| reason == "policy"),
        "{reasons:?}"
    );
    // Demoted while the sign-in waits for the mailbox: the password was enough after all.
    let browser = Browser::new(&app);
    let pending = sign_in(&browser, &ana).await.ok();
    assert_eq!(pending.body["twoFactorMethods"], json!(["otp"]));
    browser.post(SEND, &json!({})).await.ok();
    let code = code_of(&only(&app, dir.path()).await.text);
    app.db_script(demote).await;
    let done = browser.post(MAILED, &json!({ "code": code })).await.ok();
    assert!(done.body["token"].is_string(), "{}", done.text);
    // Promoted while a sign-in waits for the authenticator app: nothing more is needed.
    let phone = ana.enrols().await;
    let challenge = ana.begins().await;
    app.db_script(promote).await;
    ana.tries(&challenge, &phone.code(&app, 0)).await.ok();
}

#[tokio::test]
async fn a_remembered_device_stands_for_no_second_step_where_the_role_forbids_it() {
    let app = TestApp::with(&[("policies.admin.remember_device", "false")]).await;
    let ana = app.user("ana").await;
    let phone = ana.enrols().await;
    let browser = Browser::new(&app);
    sign_in(&browser, &ana).await.ok();
    let code = json!({ "code": phone.code(&app, 0), "trustDevice": true });
    browser.post(VERIFY, &code).await.ok();
    assert!(sign_in(&browser, &ana).await.ok().body["token"].is_string());
    let promote =
        "UPDATE users SET role = 'admin', version = version + 1 WHERE email = 'ana@example.com'";
    app.db_script(promote).await;
    let pending = sign_in(&browser, &ana).await.ok();
    assert_eq!(pending.body["twoFactorRedirect"], true);
}

#[tokio::test]
async fn sessions_of_a_role_end_after_its_own_time_without_use_and_in_all() {
    let app = TestApp::with(&[
        ("policies.admin.idle_ttl", "30m"),
        ("policies.admin.absolute_ttl", "2h"),
    ])
    .await;
    let root = made_admin(&app, "root").await;
    let ana = app.user("ana").await;
    let (admin, user) = (root.browser().await, ana.browser().await);
    // The uses of each kind extend it: a refresh, and the session cookie.
    for _ in 0..3 {
        app.after(minutes(25));
        admin.refresh().await.ok();
        user.refresh().await.ok();
    }
    let by_cookie = root.browser().await;
    for _ in 0..3 {
        app.after(minutes(25));
        assert_ne!(session_of(&by_cookie).await, Value::Null);
    }
    // Two hours after its beginning it ends in any case, and half an hour without use.
    // Its cookie has ended with it.
    admin.refresh().await.refused(401, "REFRESH_TOKEN_MISSING");
    app.after(minutes(31));
    assert_eq!(session_of(&by_cookie).await, Value::Null);
    user.refresh().await.ok();
    // A refresh extends it by the time of the role, and by no longer one.
    let tokens = root.sign_in().await;
    app.after(minutes(20));
    let next = app.rotate(&tokens.refresh).await;
    app.after(minutes(31));
    app.refresh(&next)
        .await
        .refused(401, "REFRESH_TOKEN_EXPIRED");
    // A session from before the promotion could last longer: it ends.
    let promote =
        "UPDATE users SET role = 'admin', version = version + 1 WHERE email = 'ana@example.com'";
    app.db_script(promote).await;
    user.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
    // A refresh after a lost answer keeps the bound, too.
    let again = ana.sign_in().await;
    app.after(minutes(20));
    app.rotate(&again.refresh).await;
    app.after(seconds(40));
    app.refresh(&again.refresh).await;
    app.after(minutes(31));
    let late = app.refresh(&again.refresh).await;
    assert_eq!(late.status.as_u16(), 401, "{}", late.text);
}

#[tokio::test]
async fn where_every_sign_in_needs_two_factors_a_sign_up_opens_no_session() {
    let (app, dir) = posting(&[("sign_in.require", "2fa")]).await;
    let form =
        json!({ "name": "Ana", "email": "ana@example.com", "password": "ana's good password" });
    let browser = Browser::new(&app);
    let made = browser.post("/api/auth/sign-up/email", &form).await.ok();
    assert_eq!(made.body["token"], Value::Null);
    assert_eq!(session_of(&browser).await, Value::Null);
    let verify = only(&app, dir.path()).await;
    let token = json!({ "token": verify.token() });
    browser.post("/api/auth/verify-email", &token).await.ok();
    let pending = browser.post("/api/auth/sign-in/email", &form).await.ok();
    assert_eq!(pending.body["twoFactorMethods"], json!(["otp"]));
    browser.post(SEND, &json!({})).await.ok();
    let code = code_of(&only(&app, dir.path()).await.text);
    browser.post(MAILED, &json!({ "code": code })).await.ok();
    let enrolment = browser.post(ENROL, &json!({})).await.ok();
    let first = json!({ "code": Authenticator::scan(&enrolment).code(&app, 0) });
    browser.post(VERIFY, &first).await.ok();
    assert_ne!(session_of(&browser).await, Value::Null);
    // What every sign-in needs is not turned off.
    let off = json!({ "password": "ana's good password" });
    browser
        .post("/api/auth/two-factor/disable", &off)
        .await
        .refused(403, "INSUFFICIENT_USER_AUTHENTICATION");
    assert_ne!(session_of(&browser).await, Value::Null);
}

#[tokio::test]
async fn a_policy_of_the_role_of_new_users_counts_at_the_sign_up() {
    let (app, dir) = posting(&[("policies.user.require", "2fa")]).await;
    let form =
        json!({ "name": "Ana", "email": "ana@example.com", "password": "ana's good password" });
    let made = app.post("/api/auth/sign-up/email", &form).await.ok();
    assert_eq!(made.body["token"], Value::Null);
    only(&app, dir.path()).await.token();
}

#[tokio::test]
async fn a_session_that_ends_with_the_browser_goes_on_while_it_is_used() {
    let app = TestApp::with(&[("policies.user.idle_ttl", "30m")]).await;
    let ana = app.user("ana").await;
    let browser = Browser::new(&app);
    let body = json!({ "email": ana.email, "password": ana.password, "rememberMe": false });
    browser.post("/api/auth/sign-in/email", &body).await.ok();
    for _ in 0..4 {
        app.after(minutes(20));
        assert_ne!(session_of(&browser).await, Value::Null);
    }
    app.after(minutes(31));
    assert_eq!(session_of(&browser).await, Value::Null);
}

#[tokio::test]
async fn an_admin_whose_session_is_below_the_policy_acts_as_no_user() {
    let (app, _dir) = posting(&[]).await;
    let root = made_admin(&app, "root").await;
    let ana = app.user("ana").await;
    let own = root.sign_in().await;
    let strict = app.replica_with(&STRICT).await;
    let target = json!({ "userId": id(&ana).await });
    strict
        .post_as("/api/auth/admin/impersonate-user", &own.session, &target)
        .await
        .refused(401, "UNAUTHORIZED");
    let own = root.sign_in().await;
    app.post_as("/api/auth/admin/impersonate-user", &own.session, &target)
        .await
        .ok();
}
