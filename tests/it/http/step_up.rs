//! Step-up authentication (RFC 9470): what a session lacks for a demand, the proofs that lift it to a new
//! session, and the service's own routes that ask for a young proof.

use serde_json::{Value, json};

use super::admin::{ask, id, made_admin};
use super::impersonation::act;
use super::mail::posting;
use super::mail_sign_in::code_of;
use super::pages::hidden;
use crate::support::{Answer, Browser, TestApp, User, minutes, seconds};

const STEP_UP: &str = "/api/auth/step-up";
const PASSWORD: &str = "/api/auth/step-up/password";
const VERIFY: &str = "/api/auth/two-factor/verify-totp";
const ONE: &str = "urn:countersign:acr:1fa";
const TWO: &str = "urn:countersign:acr:2fa";
const PHR: &str = "urn:countersign:acr:phr";

/// Where an answer redirects.
fn leads_to(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.header("location").to_owned()
}

async fn signed_in(app: &TestApp, user: &User) -> Browser {
    let browser = Browser::new(app);
    let body = json!({ "email": user.email, "password": user.password });
    browser.post("/api/auth/sign-in/email", &body).await.ok();
    browser
}

async fn session_of(browser: &Browser) -> Value {
    let session = browser.get("/api/auth/get-session").await.ok();
    session.body["session"].clone()
}

/// What the header of a refusal demands.
fn demanded(answer: &Answer) -> String {
    let header = answer.headers["www-authenticate"].to_str().unwrap();
    let (error, demand) = header
        .split_once(r#", error_description="A stronger or younger proof of the user is required""#)
        .unwrap_or_else(|| panic!("{header}"));
    assert_eq!(
        error,
        r#"Bearer realm="countersign", error="insufficient_user_authentication""#
    );
    demand.to_owned()
}

/// The members beside the code and the message of a refusal.
fn lacks(answer: &Answer) -> Value {
    assert_eq!(answer.status, 403, "{}", answer.text);
    assert_eq!(answer.body["code"], "INSUFFICIENT_USER_AUTHENTICATION");
    let mut body = answer.body.clone();
    for member in ["code", "message"] {
        body.as_object_mut().unwrap().remove(member);
    }
    body
}

#[tokio::test]
async fn a_session_that_suffices_gets_a_token_that_says_so() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let browser = signed_in(&app, &ana).await;
    let began = app.app.now().seconds();
    app.after(minutes(3));
    // No age is so small that no proof could meet it.
    let quick = signed_in(&app, &ana).await;
    quick.post(STEP_UP, &json!({ "maxAge": 0 })).await.ok();
    for body in [
        json!({}),
        json!({ "acrValues": ONE }),
        json!({ "acrValues": format!("{TWO} urn:other {ONE}"), "maxAge": 180 }),
    ] {
        let answer = browser.post(STEP_UP, &body).await.ok();
        assert_eq!(answer.body["status"], true);
        assert_eq!(answer.body["acr"], ONE);
        assert_eq!(answer.body["amr"], json!(["pwd"]));
        assert_eq!(answer.body["authTime"], began);
        let token = answer.claims("accessToken");
        assert_eq!(token["acr"], ONE);
        assert_eq!(token["amr"], json!(["pwd"]));
        assert_eq!(token["auth_time"], began);
    }
    // A native client finds the claims in the token of its next refresh.
    let tokens = ana.sign_in().await;
    let native = app.post_as(STEP_UP, &tokens.session, &json!({})).await.ok();
    assert_eq!(native.claims("accessToken")["acr"], ONE);
    for (body, field) in [
        (json!({ "acrValues": "urn:other" }), "acrValues"),
        (json!({ "acrValues": 2 }), "acrValues"),
        (json!({ "maxAge": -1 }), "maxAge"),
        (json!({ "maxAge": "300" }), "maxAge"),
    ] {
        let refused = browser.post(STEP_UP, &body).await;
        let refused = refused.refused(400, "VALIDATION_ERROR");
        assert!(refused.body["errors"][field].is_array(), "{}", refused.text);
    }
    Browser::new(&app)
        .post(STEP_UP, &json!({}))
        .await
        .refused(401, "UNAUTHORIZED");
    let discovery = app.get("/.well-known/openid-configuration").await.ok();
    assert_eq!(
        discovery.body["acr_values_supported"],
        json!([ONE, TWO, PHR])
    );
}

#[tokio::test]
async fn an_old_password_is_proven_again_in_a_new_session() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let browser = signed_in(&app, &ana).await;
    app.after(minutes(5));
    let young = json!({ "maxAge": 299 });
    let refused = browser.post(STEP_UP, &young).await;
    assert_eq!(lacks(&refused), json!({ "methods": ["password", "email"] }));
    assert_eq!(demanded(&refused), r#", max_age="299""#);
    browser.post(STEP_UP, &json!({ "maxAge": 300 })).await.ok();
    browser
        .post(PASSWORD, &json!({ "password": "not the password" }))
        .await
        .refused(400, "INVALID_PASSWORD");
    let (before, copy) = (session_of(&browser).await, browser.stolen());
    let proven = browser
        .post(PASSWORD, &json!({ "password": ana.password }))
        .await
        .ok();
    let now = app.app.now().seconds();
    assert_eq!(proven.claims("accessToken")["auth_time"], now);
    let after = session_of(&browser).await;
    assert_ne!(before["id"], after["id"]);
    assert_eq!(before["expiresAt"], after["expiresAt"]);
    assert_eq!(
        browser.post(STEP_UP, &young).await.ok().body["authTime"],
        now
    );
    // A copy of the cookies of before is not lifted, and its late refresh clears nothing.
    copy.post(STEP_UP, &json!({}))
        .await
        .refused(401, "UNAUTHORIZED");
    let late = copy.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
    assert!(late.cookies().is_empty(), "{:?}", late.cookies());
    assert_eq!(app.db_count_events("session.stepped_up").await, 1);
}

#[tokio::test]
async fn where_a_device_is_enrolled_its_proof_has_to_be_young() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    let browser = signed_in(&app, &ana).await;
    browser
        .post(
            VERIFY,
            &json!({ "code": own.code(&app, 0), "trustDevice": true }),
        )
        .await
        .ok();
    let two = json!({ "acrValues": TWO, "maxAge": 60 });
    let strong = browser.post(STEP_UP, &two).await.ok();
    assert_eq!(strong.body["acr"], TWO);
    assert_eq!(strong.body["amr"], json!(["pwd", "otp"]));
    app.after(minutes(2));
    // The password alone does not help, and does not make the old code look younger; another code helps.
    let again = browser
        .post(PASSWORD, &json!({ "password": ana.password }))
        .await
        .ok();
    let token = again.claims("accessToken");
    let before = strong.claims("accessToken");
    assert_eq!(
        (&token["acr"], &token["auth_time"]),
        (&json!(TWO), &before["auth_time"])
    );
    let refused = browser.post(STEP_UP, &two).await;
    assert_eq!(
        lacks(&refused),
        json!({ "methods": ["totp", "backup_code"] })
    );
    assert_eq!(
        demanded(&refused),
        format!(r#", acr_values="{TWO}", max_age="60""#)
    );
    browser
        .post(VERIFY, &json!({ "code": own.code(&app, 0) }))
        .await
        .ok();
    browser.post(STEP_UP, &two).await.ok();
    // A remembered device opens a session, and meets no demand.
    app.after(seconds(30));
    browser.post("/api/auth/sign-out", &json!({})).await.ok();
    let body = json!({ "email": ana.email, "password": ana.password });
    let again = browser.post("/api/auth/sign-in/email", &body).await.ok();
    assert!(again.body["token"].is_string(), "{}", again.text);
    assert_eq!(again.claims("accessToken")["acr"], ONE);
    assert_eq!(
        lacks(&browser.post(STEP_UP, &json!({ "acrValues": TWO })).await)["methods"],
        json!(["totp", "backup_code"])
    );
}

#[tokio::test]
async fn a_user_without_a_second_factor_is_told_what_to_enrol() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let browser = signed_in(&app, &ana).await;
    let two = json!({ "acrValues": TWO });
    let refused = browser.post(STEP_UP, &two).await;
    assert_eq!(lacks(&refused), json!({ "methods": ["email"] }));
    // Where no mail can prove the mailbox, the factors are named at once.
    let silent = app.replica_with(&[("mail.transport", "off")]).await;
    let told = ana.sign_in().await;
    let refused = silent.post_as(STEP_UP, &told.session, &two).await;
    assert_eq!(
        lacks(&refused),
        json!({ "methods": [], "enrol": ["totp", "passkey"] })
    );
    let enable = "/api/auth/two-factor/enable";
    let password = json!({ "password": ana.password });
    let enrolment = browser.post(enable, &password).await.ok();
    let own = crate::support::authenticator::Authenticator::scan(&enrolment);
    browser
        .post(VERIFY, &json!({ "code": own.code(&app, 0) }))
        .await
        .ok();
    assert_eq!(browser.post(STEP_UP, &two).await.ok().body["acr"], TWO);
}

#[tokio::test]
async fn a_user_without_a_password_proves_the_mailbox_by_another_sign_in() {
    let (app, dir) = posting(&[("sign_in.by_mail", "true")]).await;
    let browser = Browser::new(&app);
    let send = json!({ "email": "eva@example.com", "type": "sign-in" });
    let sign_in = async || {
        let path = "/api/auth/email-otp/send-verification-otp";
        browser.post(path, &send).await.ok();
        let code = code_of(&super::mail::only(&app, dir.path()).await.text);
        let body = json!({ "email": "eva@example.com", "otp": code });
        browser
            .post("/api/auth/sign-in/email-otp", &body)
            .await
            .ok();
    };
    sign_in().await;
    app.after(minutes(20));
    let young = json!({ "maxAge": 60 });
    let refused = browser.post(STEP_UP, &young).await;
    assert_eq!(lacks(&refused), json!({ "methods": ["email"] }));
    browser
        .post(PASSWORD, &json!({ "password": "a guess of it" }))
        .await
        .refused(400, "INVALID_PASSWORD");
    sign_in().await;
    let answer = browser.post(STEP_UP, &young).await.ok();
    assert_eq!(answer.body["amr"], json!(["email"]));
}

#[tokio::test]
async fn an_actor_steps_nothing_up() {
    let app = TestApp::start().await;
    let root = made_admin(&app, "root").await;
    let ana = app.user("ana").await;
    let admin = root.sign_in().await;
    app.post_as(STEP_UP, &admin.session, &json!({})).await.ok();
    let acting = act(&app, &admin, &ana).await;
    for (path, body) in [
        (STEP_UP, json!({})),
        (PASSWORD, json!({ "password": ana.password })),
    ] {
        let answer = app.post_as(path, &acting.session, &body).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_change_of_a_way_in_wants_the_second_factor_of_the_last_minutes() {
    let (app, _dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    let browser = signed_in(&app, &ana).await;
    let prove = async || {
        app.after(seconds(30));
        let code = json!({ "code": own.code(&app, 0) });
        browser.post(VERIFY, &code).await.ok();
    };
    prove().await;
    let password = json!({ "password": ana.password });
    let new = "another long password";
    let changes = [
        (
            "change-password",
            json!({ "currentPassword": ana.password, "newPassword": new }),
        ),
        ("change-email", json!({ "newEmail": "ana@new.example" })),
        ("two-factor/generate-backup-codes", password.clone()),
        ("delete-user", json!({})),
        ("delete-user", password.clone()),
    ];
    app.after(minutes(11));
    for (path, body) in &changes {
        let refused = browser.post(&format!("/api/auth/{path}"), body).await;
        let refused = refused.refused(403, "SESSION_NOT_FRESH");
        assert_eq!(demanded(&refused), r#", max_age="600""#, "{path}");
    }
    // The password is in the request, and is not what is asked for.
    browser.post(PASSWORD, &password).await.ok();
    browser
        .post("/api/auth/delete-user", &password)
        .await
        .refused(403, "SESSION_NOT_FRESH");
    prove().await;
    for (path, body) in &changes[..4] {
        let body = match *path {
            "two-factor/generate-backup-codes" => json!({ "password": new }),
            _ => body.clone(),
        };
        browser.post(&format!("/api/auth/{path}"), &body).await.ok();
    }
}

#[tokio::test]
async fn an_admin_steps_up_in_place_of_another_sign_in() {
    let app = TestApp::with(&[("policies.admin.fresh_for", "10m")]).await;
    let (root, ana) = (made_admin(&app, "root").await, app.user("ana").await);
    let mut admin = root.sign_in().await;
    let target = json!({ "userId": id(&ana).await });
    app.after(minutes(10));
    ask(&app, &admin, "unban-user", target.clone()).await.ok();
    app.after(seconds(1));
    let refused = ask(&app, &admin, "unban-user", target.clone()).await;
    let refused = refused.refused(403, "SESSION_NOT_FRESH");
    assert_eq!(demanded(&refused), r#", max_age="600""#);
    let proven = app
        .post_as(
            PASSWORD,
            &admin.session,
            &json!({ "password": root.password }),
        )
        .await
        .ok();
    admin.session = proven.str("token");
    ask(&app, &admin, "unban-user", target).await.ok();
}

#[tokio::test]
async fn the_page_asks_for_what_is_lacking_and_goes_on() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let own = ana.enrols().await;
    let page = format!(
        "/auth/step-up?acr_values={}&max_age=60&redirect_to=%2Fauth%2Faccount",
        TWO.replace(':', "%3A")
    );
    // Who is not signed in does that first, and comes back.
    let browser = Browser::new(&app);
    let sign_in = leads_to(&browser.follow(&page).await);
    assert!(
        sign_in.starts_with("/auth/sign-in?redirect_to=%2Fauth%2Fstep-up%3F"),
        "{sign_in}"
    );
    let body = json!({ "email": ana.email, "password": ana.password });
    browser.post("/api/auth/sign-in/email", &body).await.ok();
    let code = json!({ "code": own.code(&app, 0) });
    browser.post(VERIFY, &code).await.ok();
    let enough = browser.follow(&page).await;
    assert_eq!(leads_to(&enough), "/auth/account");
    app.after(minutes(2));
    let shown = browser.follow(&page).await.ok();
    assert!(
        shown
            .text
            .contains(r#"<form method="post" action="/auth/step-up""#)
    );
    let field = |shown: &Answer, name: &str| hidden(shown, name);
    let send = async |shown: &Answer, name: &str, value: &str| {
        let fields: Vec<(&str, String)> = ["csrf", "redirect_to", "acr_values", "max_age"]
            .into_iter()
            .map(|name| (name, field(shown, name)))
            .chain([(name, value.to_owned())])
            .collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        browser.form("/auth/step-up", &fields).await
    };
    let slip = send(&shown, "code", "12").await;
    assert_eq!(slip.status, 400);
    let wrong = send(&shown, "code", "000000").await;
    assert_eq!(wrong.status, 401, "{}", wrong.text);
    let done = send(&wrong, "code", &own.code(&app, 0)).await;
    let again = leads_to(&done);
    assert!(again.starts_with("/auth/step-up?acr_values="), "{again}");
    assert_eq!(leads_to(&browser.follow(&again).await), "/auth/account");
    // A form of the session of before changes nothing.
    app.after(minutes(2));
    let stale = send(&wrong, "code", &own.code(&app, 0)).await;
    assert_eq!(stale.status, 403);
    // Another way of the same user.
    let shown = browser.follow(&format!("{page}&with=recovery")).await.ok();
    let done = send(&shown, "recovery", &own.codes[0]).await;
    assert_eq!(
        leads_to(&browser.follow(&leads_to(&done)).await),
        "/auth/account"
    );
    for (query, field) in [
        ("acr_values=urn:other", "acr_values"),
        ("max_age=soon", "max_age"),
    ] {
        let refused = browser.get(&format!("/auth/step-up?{query}")).await;
        assert_eq!(refused.status, 400, "{field}");
    }
    // It never leads to a foreign page.
    let foreign = browser
        .get("/auth/step-up?redirect_to=https%3A%2F%2Fevil.example")
        .await;
    assert_eq!(foreign.status, 403);
    assert!(
        foreign.text.contains("INVALID_REDIRECT_URL"),
        "{}",
        foreign.text
    );
}

#[tokio::test]
async fn the_page_of_a_password_alone_and_of_a_missing_factor() {
    let app = TestApp::with(&[("policies.admin.fresh_for", "10m")]).await;
    let root = made_admin(&app, "root").await;
    let browser = signed_in(&app, &root).await;
    let two = format!("/auth/step-up?acr_values={}", TWO.replace(':', "%3A"));
    let enrol = browser.follow(&two).await.ok();
    assert!(
        enrol.text.contains(r#"href="/auth/sign-in/email?again=1"#),
        "{}",
        enrol.text
    );
    app.after(minutes(11));
    let users = browser.follow("/auth/admin/users").await.ok();
    assert!(!users.text.is_empty());
    let ana = app.user("ana").await;
    let path = format!("/auth/admin/users/{}", id(&ana).await);
    let shown = browser.follow(&path).await.ok();
    let csrf = hidden(&shown, "csrf");
    let refused = browser
        .form(&format!("{path}/ban"), &[("csrf", &csrf)])
        .await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.text.contains(r#"href="/auth/step-up?max_age=600""#),
        "{}",
        refused.text
    );
    let shown = browser
        .follow("/auth/step-up?max_age=600&redirect_to=%2Fauth%2Fadmin%2Fusers")
        .await
        .ok();
    let fields = [
        ("csrf", hidden(&shown, "csrf")),
        ("max_age", "600".to_owned()),
        ("redirect_to", "/auth/admin/users".to_owned()),
        ("current", root.password.clone()),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let done = browser.form("/auth/step-up", &fields).await;
    let on = browser.follow(&leads_to(&done)).await;
    assert_eq!(leads_to(&on), "/auth/admin/users");
}

#[tokio::test]
async fn an_admin_who_acts_as_a_user_is_led_to_no_step_up() {
    let app = TestApp::with(&[("policies.admin.fresh_for", "10m")]).await;
    let (root, ana) = (made_admin(&app, "root").await, app.user("ana").await);
    let acting = act(&app, &root.sign_in().await, &ana).await;
    let path = "/api/auth/update-user";
    let name = json!({ "name": "Ana B." });
    app.post_as(path, &acting.session, &name).await.ok();
    let admin = signed_in(&app, &root).await;
    let user = json!({ "userId": id(&ana).await });
    admin
        .post("/api/auth/admin/impersonate-user", &user)
        .await
        .ok();
    let shown = admin.follow("/auth/account").await.ok();
    app.after(minutes(11));
    let refused = app.post_as(path, &acting.session, &name).await;
    let refused = refused.refused(403, "SESSION_NOT_FRESH");
    assert!(refused.headers.get("www-authenticate").is_none());
    let fields = [("csrf", hidden(&shown, "csrf")), ("name", "Ana C.".into())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let page = admin.form("/auth/account/name", &fields).await;
    assert_eq!(page.status, 403, "{}", page.text);
    assert!(!page.text.contains("/auth/step-up"), "{}", page.text);
    assert!(
        page.text.contains("Return to your own account"),
        "{}",
        page.text
    );
    // The page of the step-up refuses the actor for the same reason.
    let page = admin.follow("/auth/step-up?max_age=600").await;
    assert_eq!(page.status, 403, "{}", page.text);
}
