//! Sign-ins by a code or a link of a mail: who gets which, how often a code may be guessed and by
//! whom, what an opened link does, and what a proof of the mailbox changes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use axum::body::Body;
use axum::http::{Method, Request};
use countersign::flows::account::manage_users;
use countersign::flows::key::rewrap::{Options, rewrap};
use countersign::flows::permit::Permitted;
use countersign::model::audit::event::Requester;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::mail::{only, posting, received};
use crate::support::{Answer, Browser, SESSION_COOKIE, TestApp, User, claims, minutes, seconds};

const SEND: &str = "/api/auth/email-otp/send-verification-otp";
const SIGN_IN: &str = "/api/auth/sign-in/email-otp";
const LINK: &str = "/api/auth/sign-in/magic-link";
const OPEN: &str = "/api/auth/magic-link/verify";
const BINDING: &str = "better-auth.email_code";

/// The six digits of a mail.
pub(super) fn code_of(text: &str) -> String {
    let digits = regex::Regex::new(r"(?m)^([0-9]{6})$").unwrap();
    let found = digits
        .captures(text)
        .unwrap_or_else(|| panic!("no code: {text}"));
    found[1].to_owned()
}

/// A code that is not this one.
fn wrong(code: &str, nth: u32) -> String {
    let number: u32 = code.parse().unwrap();
    format!("{:06}", (number + nth) % 1_000_000)
}

async fn asks(browser: &Browser, email: &str) -> Answer {
    let body = json!({ "email": email, "type": "sign-in" });
    browser.post(SEND, &body).await
}

/// Asks for a code, and reads it in the mailbox.
async fn gets(browser: &Browser, dir: &Path, app: &TestApp, email: &str) -> String {
    asks(browser, email).await.ok();
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

/// Marks the mailbox of a user as verified, as an admin may.
async fn verified(user: &User) {
    let sql = format!(
        "UPDATE users SET email_verified = 1, version = version + 1 WHERE email = '{}'",
        user.email
    );
    user.app.db_script(&sql).await;
}

#[tokio::test]
async fn a_code_signs_in_once_and_is_one_factor() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let browser = Browser::new(&app);
    let asked = asks(&browser, &ana.email).await.ok();
    assert_eq!(asked.body, json!({ "success": true }));
    let mail = only(&app, dir.path()).await;
    assert_eq!(mail.to, ana.email);
    let code = code_of(&mail.text);
    assert!(mail.subject.contains(&code), "{}", mail.subject);
    assert!(!mail.text.contains("/magic-link/"), "{}", mail.text);
    let done = tries(&browser, &ana.email, &code).await.ok();
    assert_eq!(done.body["user"]["email"], ana.email);
    assert!(done.body["token"].is_string());
    let access = done.claims("accessToken");
    assert_eq!(access["amr"], json!(["email"]));
    assert_eq!(access["acr"], "urn:countersign:acr:1fa");
    assert!(is_signed_in(&browser).await);
    tries(&Browser::new(&app), &ana.email, &code)
        .await
        .refused(400, "INVALID_OTP");
    // Neither the code nor the link beside it stands anywhere.
    let dump = app.db_dump().await.join("\n");
    assert!(!dump.contains(&code), "{dump}");
}

#[tokio::test]
async fn of_many_who_present_one_code_at_once_one_gets_a_session() {
    let (app, dir) = posting(&[]).await;
    let other = app.replica(&[]).await.unwrap();
    let ana = app.user("ana").await;
    verified(&ana).await;
    let asker = Browser::new(&app);
    let code = gets(&asker, dir.path(), &app, &ana.email).await;
    let before = app.live_sessions().await;
    let all = (0..20).map(|n| {
        let browser = asker.stolen().at(if n % 2 == 0 { &app } else { &other });
        let (email, code) = (ana.email.clone(), code.clone());
        async move { tries(&browser, &email, &code).await }
    });
    let answers = join_all(all).await;
    let good = answers.iter().filter(|a| a.status.is_success()).count();
    assert_eq!(good, 1, "{answers:?}");
    for answer in answers.iter().filter(|a| !a.status.is_success()) {
        let refusal = (answer.status.as_u16(), answer.str("code"));
        let is_told =
            refusal == (400, "INVALID_OTP".into()) || refusal == (403, "TOO_MANY_ATTEMPTS".into());
        assert!(is_told, "{answer:?}");
    }
    assert_eq!(app.live_sessions().await, before + 1);
}

#[tokio::test]
async fn the_asker_has_five_tries_and_all_others_together_three_of_their_own() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let asker = Browser::new(&app);
    let code = gets(&asker, dir.path(), &app, &ana.email).await;
    for nth in 1..=3 {
        tries(&Browser::new(&app), &ana.email, &wrong(&code, nth))
            .await
            .refused(400, "INVALID_OTP");
    }
    // The tries of others are used up, even for the right code; those of the asker are not.
    tries(&Browser::new(&app), &ana.email, &code)
        .await
        .refused(403, "TOO_MANY_ATTEMPTS");
    for nth in 1..=4 {
        tries(&asker, &ana.email, &wrong(&code, nth))
            .await
            .refused(400, "INVALID_OTP");
    }
    // To look at a right code costs no try.
    let look = json!({ "email": ana.email, "otp": code, "type": "sign-in" });
    for _ in 0..3 {
        asker
            .post("/api/auth/email-otp/check-verification-otp", &look)
            .await
            .ok();
    }
    let spent = asker.stolen();
    tries(&asker, &ana.email, &code).await.ok();
    let again = gets(&spent, dir.path(), &app, &ana.email).await;
    for nth in 1..=5 {
        tries(&spent, &ana.email, &wrong(&again, nth))
            .await
            .refused(400, "INVALID_OTP");
    }
    tries(&spent, &ana.email, &again)
        .await
        .refused(403, "TOO_MANY_ATTEMPTS");
    // The others still have theirs.
    tries(&Browser::new(&app), &ana.email, &again).await.ok();
}

#[tokio::test]
async fn requests_of_strangers_end_no_code_and_one_s_own_ends_the_one_before() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let (owner, stranger) = (Browser::new(&app), Browser::new(&app));
    let first = gets(&owner, dir.path(), &app, &ana.email).await;
    for _ in 0..4 {
        asks(&stranger, &ana.email).await.ok();
        asks(&Browser::new(&app), &ana.email).await.ok();
    }
    received(&app, dir.path()).await;
    let second = gets(&owner, dir.path(), &app, &ana.email).await;
    if first != second {
        tries(&owner, &ana.email, &first)
            .await
            .refused(400, "INVALID_OTP");
    }
    tries(&owner, &ana.email, &second).await.ok();
}

#[tokio::test]
async fn a_code_works_for_ten_minutes_from_its_mail_and_for_one_purpose() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let browser = Browser::new(&app);
    asks(&browser, &ana.email).await.ok();
    // The mail server was away: the time of the code begins when it is sent.
    app.after(minutes(30));
    let code = code_of(&only(&app, dir.path()).await.text);
    app.after(minutes(9));
    let reset = json!({ "email": ana.email, "otp": code, "password": "another good password" });
    browser
        .post("/api/auth/email-otp/reset-password", &reset)
        .await
        .refused(400, "INVALID_OTP");
    let verify = json!({ "email": ana.email, "otp": code });
    browser
        .post("/api/auth/email-otp/verify-email", &verify)
        .await
        .refused(400, "INVALID_OTP");
    app.after(seconds(61));
    tries(&browser, &ana.email, &code)
        .await
        .refused(400, "OTP_EXPIRED");
    let again = gets(&browser, dir.path(), &app, &ana.email).await;
    let spaced = format!(" {} {} ", &again[..3], &again[3..]);
    tries(&browser, &ana.email, &spaced).await.ok();
}

#[tokio::test]
async fn an_unknown_address_is_answered_alike_and_signs_up_where_the_settings_say_so() {
    let (app, dir) = posting(&[("sign_up.blocked_domains", "blocked.example")]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let mut answers = Vec::new();
    for email in [ana.email.as_str(), "new@example.com", "new@blocked.example"] {
        for kind in ["sign-in", "email-verification", "forget-password"] {
            let body = json!({ "email": email, "type": kind });
            let answer = Browser::new(&app).post(SEND, &body).await.ok();
            answers.push((answer.body.clone(), answer.cookies().len()));
        }
    }
    answers.dedup();
    assert_eq!(answers, [(json!({ "success": true }), 1)]);
    let mails = received(&app, dir.path()).await;
    let mut to: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    to.sort_unstable();
    assert_eq!(to, [&ana.email, &ana.email, &ana.email, "new@example.com"]);
    assert_eq!(app.db_number("SELECT COUNT(*) FROM users").await, 1);
    // The mailbox is proven, so an account is made.
    let browser = Browser::new(&app);
    let code = gets(&browser, dir.path(), &app, "new@example.com").await;
    let body = json!({ "email": "new@example.com", "otp": code, "name": "Nina" });
    let done = browser.post(SIGN_IN, &body).await.ok();
    assert_eq!(done.body["user"]["emailVerified"], true);
    assert_eq!(done.body["user"]["name"], "Nina");
    let accounts = browser.get("/api/auth/list-accounts").await.ok();
    assert_eq!(accounts.body, json!([]));
    // A role is not a field of a sign-up, whatever signs up.
    let body = json!({ "email": "new@example.com", "otp": "000000", "role": "admin" });
    browser
        .post(SIGN_IN, &body)
        .await
        .refused(400, "FIELD_NOT_ALLOWED");
}

#[tokio::test]
async fn where_sign_up_is_closed_only_users_get_mail_and_nothing_tells_who_they_are() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let closed = app.replica_with(&[("sign_up.enabled", "false")]).await;
    for email in [ana.email.as_str(), "new@example.com"] {
        asks(&Browser::new(&closed), email).await.ok();
        tries(&Browser::new(&closed), email, "12345")
            .await
            .refused(400, "INVALID_OTP");
    }
    let mail = only(&closed, dir.path()).await;
    assert_eq!(mail.to, ana.email);
    app.after(seconds(1));
    let off = app.replica_with(&[("sign_in.by_mail", "false")]).await;
    asks(&Browser::new(&off), &ana.email)
        .await
        .refused(400, "EMAIL_SIGN_IN_DISABLED");
    let body = json!({ "email": ana.email });
    Browser::new(&off)
        .post(LINK, &body)
        .await
        .refused(400, "EMAIL_SIGN_IN_DISABLED");
    tries(&Browser::new(&off), &ana.email, &code_of(&mail.text))
        .await
        .refused(400, "EMAIL_SIGN_IN_DISABLED");
    // Other proofs of the mailbox stay.
    let body = json!({ "email": ana.email, "type": "forget-password" });
    Browser::new(&off).post(SEND, &body).await.ok();
    Browser::new(&app)
        .post(SEND, &json!({ "email": "no address", "type": "sign-in" }))
        .await
        .refused(400, "INVALID_EMAIL");
    Browser::new(&app)
        .post(SEND, &json!({ "email": ana.email, "type": "change-email" }))
        .await
        .refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_mailbox_proof_opens_nothing_beside_a_second_step() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let phone = ana.enrols().await;
    received(&app, dir.path()).await;
    let browser = Browser::new(&app);
    let code = gets(&browser, dir.path(), &app, &ana.email).await;
    let pending = tries(&browser, &ana.email, &code).await.ok();
    assert_eq!(
        pending.body,
        json!({ "twoFactorRedirect": true, "twoFactorMethods": ["totp"] })
    );
    assert!(!is_signed_in(&browser).await);
    // The code is used up by the first step.
    tries(&browser, &ana.email, &code)
        .await
        .refused(400, "INVALID_OTP");
    let step = json!({ "code": phone.code(&app, 0) });
    let done = browser
        .post("/api/auth/two-factor/verify-totp", &step)
        .await
        .ok();
    let access = done.claims("accessToken");
    assert_eq!(access["amr"], json!(["email", "otp"]));
    assert_eq!(access["acr"], "urn:countersign:acr:2fa");
    // A link is the same step.
    let other = Browser::new(&app);
    other.post(LINK, &json!({ "email": ana.email })).await.ok();
    let link = received(&app, dir.path()).await.remove(0).link();
    let page = other.follow(&link).await;
    let led = submits(&other, &page).await;
    assert_eq!(
        (led.status.as_u16(), led.header("location")),
        (303, "/auth/challenge?redirect_to=%2F")
    );
    assert!(!is_signed_in(&other).await);
}

/// Sends the form of the page of a link.
async fn submits(browser: &Browser, page: &Answer) -> Answer {
    assert_eq!(page.status.as_u16(), 200, "{}", page.text);
    let field = regex::Regex::new(r#"type="hidden" name="([^"]+)" value="([^"]*)""#).unwrap();
    let fields: Vec<(String, String)> = field
        .captures_iter(&page.text)
        .map(|c| {
            (
                c[1].to_owned(),
                c[2].replace("&#x2f;", "/").replace("&#47;", "/"),
            )
        })
        .collect();
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    browser.form(OPEN, &fields).await
}

#[tokio::test]
async fn an_opened_link_changes_nothing_and_its_form_signs_in() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let asker = Browser::new(&app);
    let body =
        json!({ "email": ana.email, "callbackURL": "/welcome", "errorCallbackURL": "/oops" });
    let sent = asker.post(LINK, &body).await.ok();
    assert_eq!(sent.body, json!({ "status": true }));
    let mail = only(&app, dir.path()).await;
    let (link, code) = (mail.link(), code_of(&mail.text));
    let before = app.db_dump().await;
    let scanner = Browser::new(&app);
    for _ in 0..3 {
        let seen = scanner.follow(&link).await;
        assert!(seen.text.contains(&ana.email), "{}", seen.text);
        assert!(!seen.text.contains("data-post-now"), "{}", seen.text);
        // Programs that follow links, with and without the headers of a browser.
        for (name, value) in [
            ("accept", "application/json"),
            ("accept", "*/*"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-mode", "navigate"),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let request = Request::builder()
                    .method(method)
                    .uri(&link)
                    .header(name, value)
                    .body(Body::empty());
                let answer = app.send(request.unwrap()).await;
                assert_eq!(answer.status.as_u16(), 200, "{name}: {value}");
                assert!(answer.cookies().is_empty(), "{:?}", answer.cookies());
            }
        }
    }
    assert_eq!(app.db_dump().await, before);
    // A page of another site that fetches the link signs its visitor in to no account.
    let foreign = Request::get(&link)
        .header("origin", "https://evil.example")
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-site", "cross-site")
        .body(Body::empty());
    assert!(app.send(foreign.unwrap()).await.cookies().is_empty());
    // In another browser the button signs in that browser, and never the one that asked.
    let other = Browser::new(&app);
    let led = submits(&other, &other.follow(&link).await).await;
    assert_eq!(
        (led.status.as_u16(), led.header("location")),
        (303, "/welcome")
    );
    assert!(is_signed_in(&other).await);
    assert!(!is_signed_in(&asker).await);
    // Link and code are used up together.
    let over = asker.follow(&link).await;
    assert_eq!(
        (over.status.as_u16(), over.header("location")),
        (302, "/oops?error=INVALID_TOKEN")
    );
    tries(&asker, &ana.email, &code)
        .await
        .refused(400, "INVALID_OTP");
}

#[tokio::test]
async fn in_the_browser_that_asked_the_page_sends_itself_and_a_script_may_fetch_it() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let asker = Browser::new(&app);
    asker.post(LINK, &json!({ "email": ana.email })).await.ok();
    let link = only(&app, dir.path()).await.link();
    let page = asker.follow(&link).await;
    assert!(page.text.contains("data-post-now"), "{}", page.text);
    let binding = asker.cookie(BINDING).unwrap();
    // With and without the cookie, a fetch of a script.
    let fetch = |cookie: Option<String>, origin: Option<&str>| {
        let token = link
            .split_once("token=")
            .unwrap()
            .1
            .split('&')
            .next()
            .unwrap();
        let mut request = Request::get(format!("{OPEN}?token={token}"))
            .header("sec-fetch-mode", "cors")
            .header("accept", "*/*");
        if let Some(value) = cookie {
            request = request.header("cookie", format!("{BINDING}={value}"));
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.body(Body::empty()).unwrap()
    };
    let seen = app.send(fetch(None, None)).await;
    assert!(seen.text.contains("<form"), "{}", seen.text);
    let wrong = "A".repeat(43);
    let seen = app.send(fetch(Some(wrong), None)).await;
    assert!(seen.text.contains("<form"), "{}", seen.text);
    let done = app.send(fetch(Some(binding), None)).await.ok();
    assert_eq!(done.body["user"]["email"], ana.email);
    assert_eq!(done.body["session"]["userId"], done.body["user"]["id"]);
    // So may a native app with a cookie jar, which sends no Fetch Metadata.
    asker.post(LINK, &json!({ "email": ana.email })).await.ok();
    let token = only(&app, dir.path()).await.token();
    let done = asker.get(&format!("{OPEN}?token={token}")).await.ok();
    assert_eq!(done.body["user"]["email"], ana.email);
    assert!(
        done.cookies()
            .iter()
            .any(|line| line.starts_with(SESSION_COOKIE))
    );
}

#[tokio::test]
async fn a_native_client_holds_its_binding_and_its_tokens_in_bodies() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let ask = json!({ "email": ana.email, "type": "sign-in", "tokenDelivery": "body" });
    let asked = app.post(SEND, &ask).await.ok();
    assert!(asked.cookies().is_empty());
    let binding = asked.str("binding");
    let code = code_of(&only(&app, dir.path()).await.text);
    for nth in 1..=3 {
        let guess = json!({ "email": ana.email, "otp": wrong(&code, nth) });
        app.post(SIGN_IN, &guess).await.refused(400, "INVALID_OTP");
    }
    let own =
        json!({ "email": ana.email, "otp": code, "binding": binding, "tokenDelivery": "body" });
    let done = app.post(SIGN_IN, &own).await.ok();
    assert!(done.cookies().is_empty());
    assert!(done.body["refreshToken"].is_string() && done.body["deviceToken"].is_string());
    // A link that the app was opened with; a callback loses no token.
    app.post(
        LINK,
        &json!({ "email": ana.email, "tokenDelivery": "body" }),
    )
    .await
    .ok();
    let token = only(&app, dir.path()).await.token();
    let open = json!({ "token": token, "callbackURL": "/welcome", "tokenDelivery": "body" });
    let done = app.post(OPEN, &open).await.ok();
    assert!(done.body["refreshToken"].is_string());
    app.post(OPEN, &open)
        .await
        .led("/welcome?error=INVALID_TOKEN");
}

impl Answer {
    fn led(&self, to: &str) {
        let led = (self.status.is_redirection(), self.header("location"));
        assert_eq!(led, (true, to), "{}", self.text);
    }
}

#[tokio::test]
async fn a_proof_of_the_mailbox_takes_an_account_that_nothing_ties_to_its_owner() {
    let (app, dir) = posting(&[]).await;
    // A stranger has signed up with the address of the owner, and enrolled a device.
    let stranger = app.user("owner").await;
    let theirs = stranger.sign_in().await;
    stranger.enrols_in(&theirs.session).await;
    let theirs = stranger.browser().await;
    received(&app, dir.path()).await;
    let owner = Browser::new(&app);
    let code = gets(&owner, dir.path(), &app, &stranger.email).await;
    let done = tries(&owner, &stranger.email, &code).await.ok();
    assert_eq!(done.body["user"]["emailVerified"], true);
    assert_eq!(done.body["user"]["twoFactorEnabled"], false);
    assert_eq!(done.body["user"]["name"], "", "the stranger's text");
    assert!(is_signed_in(&owner).await);
    assert!(!is_signed_in(&theirs).await);
    stranger
        .try_sign_in(&stranger.password)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    assert_eq!(app.db_count_events("account.reclaimed").await, 1);
    // In the browser that signed up it is the same person, and everything stays.
    let ben = app.user("ben").await;
    let own = ben.browser().await;
    let code = gets(&own, dir.path(), &app, &ben.email).await;
    let done = tries(&own, &ben.email, &code).await.ok();
    assert_eq!(done.body["user"]["emailVerified"], true);
    assert_eq!(done.body["user"]["name"], "ben");
    ben.sign_in().await;
    assert_eq!(app.db_count_events("account.reclaimed").await, 1);
}

#[tokio::test]
async fn a_banned_or_disabled_user_is_refused_and_the_code_is_used_up() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let browser = Browser::new(&app);
    let code = gets(&browser, dir.path(), &app, &ana.email).await;
    let ban = "UPDATE users SET banned = 1 WHERE email = 'ana@example.com'";
    app.db_script(ban).await;
    tries(&browser, &ana.email, &code)
        .await
        .refused(403, "BANNED_USER");
    app.db_script("UPDATE users SET banned = 0").await;
    tries(&browser, &ana.email, &code)
        .await
        .refused(400, "INVALID_OTP");
    let code = gets(&browser, dir.path(), &app, &ana.email).await;
    tries(&browser, &ana.email, &code).await.ok();
    let operator = Permitted::as_operator();
    let user = manage_users::find(&app.app, Permitted::as_operator(), &ana.email)
        .await
        .unwrap();
    manage_users::set_disabled(
        &app.app,
        operator,
        user.id,
        true,
        &Requester::named("operator"),
    )
    .await
    .unwrap();
    asks(&browser, &ana.email).await.ok();
    assert!(received(&app, dir.path()).await.is_empty());
}

#[tokio::test]
async fn a_new_password_and_the_end_of_everything_end_codes() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let browser = Browser::new(&app);
    let code = gets(&browser, dir.path(), &app, &ana.email).await;
    let change = json!({ "currentPassword": ana.password, "newPassword": "another good password" });
    let own = ana.browser().await;
    own.post("/api/auth/change-password", &change).await.ok();
    received(&app, dir.path()).await;
    tries(&browser, &ana.email, &code)
        .await
        .refused(400, "INVALID_OTP");
    let code = gets(&browser, dir.path(), &app, &ana.email).await;
    app.db_script("UPDATE key_ring SET epoch = epoch + 1").await;
    tries(&browser, &ana.email, &code)
        .await
        .refused(400, "INVALID_OTP");
}

#[tokio::test]
async fn a_forgotten_password_is_set_by_a_code_and_every_session_ends() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let elsewhere = ana.browser().await;
    let browser = Browser::new(&app);
    for path in [
        "/api/auth/forget-password/email-otp",
        "/api/auth/email-otp/request-password-reset",
    ] {
        browser
            .post(path, &json!({ "email": ana.email }))
            .await
            .ok();
    }
    let mails = received(&app, dir.path()).await;
    let code = code_of(&mails.last().unwrap().text);
    let reset = |password: &str, code: &str| json!({ "email": ana.email, "otp": code, "password": password });
    let path = "/api/auth/email-otp/reset-password";
    browser
        .post(path, &reset("short", &code))
        .await
        .refused(400, "PASSWORD_TOO_SHORT");
    browser
        .post(path, &reset("password", &code))
        .await
        .refused(400, "PASSWORD_TOO_COMMON");
    browser
        .post(path, &reset("another good password", &wrong(&code, 1)))
        .await
        .refused(400, "INVALID_OTP");
    let new = reset("another good password", &code);
    let done = browser.post(path, &new).await.ok();
    assert_eq!(done.body, json!({ "success": true }));
    assert!(!is_signed_in(&elsewhere).await);
    assert!(!is_signed_in(&browser).await, "a reset opens nothing");
    browser.post(path, &new).await.refused(400, "INVALID_OTP");
    ana.try_sign_in("another good password").await.ok();
    ana.try_sign_in(&ana.password)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
}

#[tokio::test]
async fn an_address_is_verified_by_a_code_and_changed_by_two() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    let own = ana.browser().await;
    let verify = "/api/auth/email-otp/verify-email";
    own.post(
        SEND,
        &json!({ "email": ana.email, "type": "email-verification" }),
    )
    .await
    .ok();
    let code = code_of(&only(&app, dir.path()).await.text);
    own.post(
        verify,
        &json!({ "email": ana.email, "otp": wrong(&code, 1) }),
    )
    .await
    .refused(400, "INVALID_OTP");
    let done = own
        .post(verify, &json!({ "email": ana.email, "otp": code }))
        .await
        .ok();
    assert_eq!(
        (&done.body["status"], &done.body["token"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(done.body["user"]["emailVerified"], true);
    ana.sign_in().await;
    let ask = "/api/auth/email-otp/request-email-change";
    let new = json!({ "newEmail": "ana@new.example" });
    own.post(ask, &new).await.refused(400, "OTP_REQUIRED");
    let same = json!({ "newEmail": ana.email });
    own.post(ask, &same).await.refused(400, "EMAIL_IS_THE_SAME");
    own.post(
        SEND,
        &json!({ "email": ana.email, "type": "email-verification" }),
    )
    .await
    .ok();
    let agreement = code_of(&only(&app, dir.path()).await.text);
    let wanted = |code: &str| json!({ "newEmail": "ana@new.example", "otp": code });
    own.post(ask, &wanted(&wrong(&agreement, 1)))
        .await
        .refused(400, "INVALID_OTP");
    own.post(ask, &wanted(&agreement)).await.ok();
    own.post(ask, &wanted(&agreement))
        .await
        .refused(400, "INVALID_OTP");
    let mail = only(&app, dir.path()).await;
    assert_eq!(mail.to, "ana@new.example");
    let code = code_of(&mail.text);
    let change = "/api/auth/email-otp/change-email";
    let other = ana.browser().await;
    for nth in 1..=4 {
        own.post(change, &wanted(&wrong(&code, nth)))
            .await
            .refused(400, "INVALID_OTP");
    }
    let elsewhere = json!({ "newEmail": "ana@elsewhere.example", "otp": code });
    // One more wrong one: for another address it is not the code.
    own.post(change, &elsewhere)
        .await
        .refused(400, "INVALID_OTP");
    own.post(change, &wanted(&code))
        .await
        .refused(403, "TOO_MANY_ATTEMPTS");
    own.post(
        SEND,
        &json!({ "email": ana.email, "type": "email-verification" }),
    )
    .await
    .ok();
    let agreement = code_of(&only(&app, dir.path()).await.text);
    own.post(ask, &wanted(&agreement)).await.ok();
    let code = code_of(&only(&app, dir.path()).await.text);
    own.post(change, &wanted(&code)).await.ok();
    let session = own.get("/api/auth/get-session").await.ok();
    assert_eq!(session.body["user"]["email"], "ana@new.example");
    assert!(!is_signed_in(&other).await, "other sessions end");
    let told = received(&app, dir.path()).await;
    assert!(told.iter().any(|mail| mail.to == ana.email), "{told:?}");
}

#[tokio::test]
async fn codes_in_mails_are_a_second_step_only_where_the_settings_and_the_user_say_so() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    let password = json!({ "password": ana.password, "method": "otp" });
    let enable = "/api/auth/two-factor/enable";
    let plain = ana.browser().await;
    plain
        .post(enable, &password)
        .await
        .refused(400, "OTP_NOT_CONFIGURED");
    let mailing = app.replica_with(&[("two_factor.email", "true")]).await;
    let own = plain.at(&mailing);
    own.post(enable, &password)
        .await
        .refused(403, "EMAIL_NOT_VERIFIED");
    verified(&ana).await;
    let own = ana.browser().await.at(&mailing);
    own.post("/api/auth/two-factor/send-otp", &json!({}))
        .await
        .refused(400, "TWO_FACTOR_NOT_ENABLED");
    own.post(
        enable,
        &json!({ "method": "otp", "password": "not the password" }),
    )
    .await
    .refused(400, "INVALID_PASSWORD");
    let begun = own.post(enable, &password).await.ok();
    assert_eq!(begun.body, json!({ "method": "otp" }));
    let verify = "/api/auth/two-factor/verify-otp";
    let code = code_of(&only(&mailing, dir.path()).await.text);
    own.post(verify, &json!({ "code": wrong(&code, 1) }))
        .await
        .refused(401, "INVALID_CODE");
    let other = ana.browser().await;
    let on = own.post(verify, &json!({ "code": code })).await.ok();
    assert_eq!(on.body["user"]["twoFactorEnabled"], true);
    assert!(!is_signed_in(&other).await, "other sessions end");
    assert!(is_signed_in(&own).await);
    received(&app, dir.path()).await;
    // The next sign-in asks for a code.
    let next = Browser::new(&mailing);
    let body = json!({ "email": ana.email, "password": ana.password });
    let pending = next.post("/api/auth/sign-in/email", &body).await.ok();
    assert_eq!(pending.body["twoFactorMethods"], json!(["otp"]));
    next.post(verify, &json!({ "code": "123456" }))
        .await
        .refused(400, "OTP_HAS_EXPIRED");
    next.post("/api/auth/two-factor/send-otp", &json!({}))
        .await
        .ok();
    let code = code_of(&only(&mailing, dir.path()).await.text);
    let stranger = Browser::new(&mailing);
    stranger
        .post(verify, &json!({ "code": code }))
        .await
        .refused(401, "INVALID_TWO_FACTOR_COOKIE");
    next.post(verify, &json!({ "code": wrong(&code, 1) }))
        .await
        .refused(401, "INVALID_CODE");
    let done = next.post(verify, &json!({ "code": code })).await.ok();
    let access = claims(&done.str("accessToken"));
    assert_eq!(access["amr"], json!(["pwd", "email"]));
    assert_eq!(access["acr"], "urn:countersign:acr:2fa");
    // A session that the mailbox has opened lacks the password, which no younger proof would be.
    let bob = app.user("bob").await;
    verified(&bob).await;
    let fresh = Browser::new(&mailing);
    let code = gets(&fresh, dir.path(), &mailing, &bob.email).await;
    tries(&fresh, &bob.email, &code).await.ok();
    let password = json!({ "password": bob.password, "method": "otp" });
    let refused = fresh.post(enable, &password).await;
    let refused = refused.refused(403, "INSUFFICIENT_USER_AUTHENTICATION");
    assert!(refused.headers.get("www-authenticate").is_none());
    let body = json!({ "password": bob.password });
    fresh.post("/api/auth/step-up/password", &body).await.ok();
    fresh.post(enable, &password).await.ok();
    received(&app, dir.path()).await;
    // A sign-in by mail and a code in a mail are one factor.
    let by_mail = Browser::new(&mailing);
    let code = gets(&by_mail, dir.path(), &mailing, &ana.email).await;
    tries(&by_mail, &ana.email, &code)
        .await
        .refused(403, "INSUFFICIENT_USER_AUTHENTICATION");
    assert!(!is_signed_in(&by_mail).await);
}

/// Limits as they are set where they matter here.
const LIMITS: [(&str, &str); 2] = [
    ("rate_limits.email_code_account", "20/1h"),
    ("rate_limits.email_code", "off"),
];

#[tokio::test]
async fn strangers_who_guess_lock_no_owner_out() {
    let (app, dir) = posting(&LIMITS).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let known = ana.browser().await;
    let device = known.cookie("better-auth.known_device").unwrap();
    let mut limited = 0;
    for round in 0..12 {
        let stranger = Browser::new(&app);
        asks(&stranger, &ana.email).await.ok();
        let mails = received(&app, dir.path()).await;
        let code = mails.last().map(|mail| code_of(&mail.text)).unwrap();
        for nth in 1..=5 {
            let answer = tries(&stranger, &ana.email, &wrong(&code, nth + round)).await;
            limited += u32::from(answer.status.as_u16() == 429);
        }
    }
    assert!(limited > 30, "{limited}");
    // A browser that has signed in before is counted apart.
    known.post("/api/auth/sign-out", &json!({})).await.ok();
    assert_eq!(known.cookie("better-auth.known_device"), Some(device));
    let code = gets(&known, dir.path(), &app, &ana.email).await;
    tries(&known, &ana.email, &code).await.ok();
    // Any other browser has the link, which a mail has from now on even if the client asked for a code
    // alone.
    let new = Browser::new(&app);
    asks(&new, &ana.email).await.ok();
    let mail = only(&app, dir.path()).await;
    tries(&new, &ana.email, &code_of(&mail.text))
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    let page = new.follow(&mail.link()).await;
    submits(&new, &page).await;
    assert!(is_signed_in(&new).await);
}

#[tokio::test]
async fn a_flood_of_requests_makes_no_guess_more_likely_and_leaves_known_devices_their_mails() {
    let (app, dir) = posting(&[("rate_limits.code_recipient", "6/1h")]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let known = ana.browser().await;
    for _ in 0..10 {
        asks(&Browser::new(&app), &ana.email).await.ok();
    }
    let mails = received(&app, dir.path()).await;
    assert_eq!(mails.len(), 6, "the limit of the mailbox");
    // Elsewhere a code is compared with the latest three, and a try of each is counted.
    tries(&Browser::new(&app), &ana.email, "no digits")
        .await
        .refused(400, "INVALID_OTP");
    let counted = "SELECT COUNT(*) FROM login_codes WHERE tries_of_others > 0";
    assert_eq!(app.db_number(counted).await, 3);
    let code = gets(&known, dir.path(), &app, &ana.email).await;
    tries(&known, &ana.email, &code).await.ok();
}

#[tokio::test]
async fn another_master_key_leaves_codes_that_are_under_way_good() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    verified(&ana).await;
    let browser = Browser::new(&app);
    let body = json!({ "email": ana.email });
    browser.post(LINK, &body).await.ok();
    let mail = only(&app, dir.path()).await;
    let file = app.path("new.key");
    std::fs::write(&file, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (operator, by) = (Permitted::as_operator(), Requester::default());
    rewrap(&app.app, operator, &file, Options::default(), &by)
        .await
        .unwrap();
    let keys = [
        ("COUNTERSIGN_MASTER_KEY_FILE", file),
        (
            "COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE",
            app.path("keys/master.key"),
        ),
    ];
    let keys = keys.map(|(name, path)| (name, path.display().to_string()));
    // Beside the former key a code is good, and without it, it is not: a new one is asked for.
    let alone = app.replica(&keys[..1]).await.unwrap();
    tries(&browser.at(&alone), &ana.email, &code_of(&mail.text))
        .await
        .refused(400, "INVALID_OTP");
    let both = app.replica(&keys).await.unwrap();
    let browser = browser.at(&both);
    let opened = browser.follow(&mail.link()).await;
    assert_eq!(opened.status.as_u16(), 200, "{}", opened.text);
    tries(&browser, &ana.email, &code_of(&mail.text)).await.ok();
    let code = gets(&browser, dir.path(), &both, &ana.email).await;
    tries(&browser, &ana.email, &code).await.ok();
}
