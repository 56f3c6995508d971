//! The ways in of one's own account: which identities are linked, linking another one, and taking one
//! away.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::admin::made_admin;
use super::impersonation::act;
use super::mail::{about, received, verified};
use super::upstream::{ACCOUNTS, Place, SIGN_IN, ana, led, unverified, who};
use crate::support::authenticator::Authenticator;
use crate::support::issuer::{CLIENT_ID, Says};
use crate::support::software_key::SoftwareKey;
use crate::support::{
    Answer, Browser, CACHE_COOKIE, DEVICE_COOKIE, REFRESH_COOKIE, SESSION_COOKIE, User, minutes,
    seconds,
};

const LINK: &str = "/api/auth/link-social";
const UNLINK: &str = "/api/auth/unlink-account";
const ASKS: &str = "/auth/account/connect?link=";

/// The id of the row of a provider in the list of a user's accounts.
pub(super) async fn row(browser: &Browser, provider: &str) -> Option<String> {
    let accounts = browser.get(ACCOUNTS).await.ok().body;
    let mut rows = accounts.as_array().unwrap().iter();
    let found = rows.find(|row| row["providerId"] == provider)?;
    Some(found["id"].as_str().unwrap().to_owned())
}

pub(super) async fn unlinks(browser: &Browser, row: &str) -> Answer {
    browser.post(UNLINK, &json!({ "accountId": row })).await
}

fn body(provider: &str) -> Value {
    json!({ "provider": provider, "callbackURL": "/linked", "errorCallbackURL": "/failed" })
}

/// Links an identity in the session of this browser.
async fn links(place: &Place, browser: &Browser, provider: &str, says: Says) -> Answer {
    place.goes(browser, LINK, &body(provider), says).await
}

/// A user with a verified mailbox and a password.
async fn owner(place: &Place) -> User {
    let user = verified(&place.app, place.dir.path(), "ana").await;
    received(&place.app, place.dir.path()).await;
    user
}

#[tokio::test]
async fn an_identity_is_linked_in_a_session_and_signs_in_from_then_on() {
    let place = Place::start().await;
    let user = owner(&place).await;
    let browser = user.browser().await;
    let sessions = place.app.live_sessions().await;
    led(&links(&place, &browser, "other", ana()).await, "/linked");
    assert_eq!(
        place.app.live_sessions().await,
        sessions,
        "no session began"
    );
    let accounts = browser.get(ACCOUNTS).await.ok().body;
    let accounts = accounts.as_array().unwrap();
    let listed: Vec<(&Value, &Value)> = accounts
        .iter()
        .map(|one| (&one["providerId"], &one["scopes"]))
        .collect();
    let scopes = json!(["openid", "email", "profile"]);
    assert_eq!(
        listed,
        [
            (&json!("credential"), &json!([])),
            (&json!("other"), &scopes)
        ]
    );
    assert_eq!(accounts[1]["accountId"], "ana-1");
    let mails = received(&place.app, place.dir.path()).await;
    assert_eq!(mails.len(), 1, "{mails:?}");
    about(&mails, "Another way to sign in was added");
    // Once more it is linked as before, and no mail says so again.
    led(&links(&place, &browser, "other", ana()).await, "/linked");
    assert_eq!(place.app.db_count_events("upstream.linked").await, 1);
    assert!(received(&place.app, place.dir.path()).await.is_empty());
    // What the issuer says of the mailbox no longer matters.
    let elsewhere = Browser::new(&place.app);
    let says = unverified(Says::user("ana-1", "eve@example.com"));
    led(&place.signs_in(&elsewhere, "other", says).await, "/welcome");
    assert_eq!(who(&elsewhere).await, Some(user.email));
}

#[tokio::test]
async fn an_identity_with_another_mailbox_is_linked_after_a_question_or_not_at_all() {
    let place = Place::start().await;
    let user = owner(&place).await;
    let browser = user.browser().await;
    let nameless = Says {
        email: None,
        email_verified: None,
        ..ana()
    };
    for says in [
        Says::user("ana-1", "private@example.com"),
        unverified(ana()),
        nameless,
    ] {
        let answer = links(&place, &browser, "acme", says.clone()).await;
        let location = answer.header("location");
        assert!(location.starts_with(ASKS), "{location}");
        let token = place.issuer.id_token(CLIENT_ID, None, &says);
        let native = json!({ "provider": "acme", "idToken": { "token": token } });
        browser
            .post(LINK, &native)
            .await
            .refused(401, "LINKING_DIFFERENT_EMAILS_NOT_ALLOWED");
    }
    assert_eq!(place.links().await, 0);
    let token = place.issuer.id_token(CLIENT_ID, None, &ana());
    let native = json!({ "provider": "acme", "idToken": { "token": token } });
    let done = browser.post(LINK, &native).await.ok();
    assert_eq!(
        done.body,
        json!({ "url": "", "status": true, "redirect": false })
    );
    assert_eq!(place.links().await, 1);
    browser
        .post(LINK, &native)
        .await
        .refused(401, "INVALID_TOKEN");
    // Where no page can ask it is refused.
    let silent = Place::with(&[("pages.enabled", "false")]).await;
    let browser = silent.app.user("ana").await.browser().await;
    let says = Says::user("ana-1", "private@example.com");
    let answer = links(&silent, &browser, "acme", says).await;
    led(&answer, "/failed?error=email_does_not_match");
    led(&links(&silent, &browser, "acme", ana()).await, "/linked");
}

#[tokio::test]
async fn an_identity_of_another_user_is_linked_to_no_second_one() {
    let place = Place::start().await;
    let user = owner(&place).await;
    let bob = Browser::new(&place.app);
    let says = Says::user("bob-1", "bob@example.com");
    led(
        &place.signs_in(&bob, "acme", says.clone()).await,
        "/welcome",
    );
    let browser = user.browser().await;
    // Not even if it names her mailbox by now. No twin: the other tests link identities without a user.
    for says in [says, Says::user("bob-1", &user.email)] {
        let answer = links(&place, &browser, "acme", says.clone()).await;
        led(
            &answer,
            "/failed?error=account_already_linked_to_different_user",
        );
        let token = place.issuer.id_token(CLIENT_ID, None, &says);
        let native = json!({ "provider": "acme", "idToken": { "token": token } });
        browser
            .post(LINK, &native)
            .await
            .refused(409, "SOCIAL_ACCOUNT_ALREADY_LINKED");
    }
    assert_eq!(row(&browser, "acme").await, None);
}

#[tokio::test]
async fn a_link_is_finished_in_the_session_that_wanted_it() {
    let place = Place::start().await;
    let app = &place.app;
    let user = owner(&place).await;
    let bob = app.user("bob").await;
    let unable = "/failed?error=unable_to_link_account";
    for meanwhile in [
        "nothing",
        "signed out",
        "signed in again",
        "signed in as another",
        "another's browser",
        "ended elsewhere",
    ] {
        let browser = user.browser().await;
        let begun = browser.post(LINK, &body("acme")).await.ok();
        let sign_in = |user: &User| json!({ "email": user.email, "password": user.password });
        match meanwhile {
            "signed out" => {
                browser.post("/api/auth/sign-out", &json!({})).await.ok();
            }
            "signed in again" => {
                let body = sign_in(&user);
                browser.post("/api/auth/sign-in/email", &body).await.ok();
            }
            "signed in as another" => {
                let body = sign_in(&bob);
                browser.post("/api/auth/sign-in/email", &body).await.ok();
            }
            // The session lives on, and the browser has that of another user.
            "another's browser" => {
                for name in [SESSION_COOKIE, CACHE_COOKIE, REFRESH_COOKIE, DEVICE_COOKIE] {
                    browser.forget(name);
                }
                let before = app.live_sessions().await;
                let body = sign_in(&bob);
                browser.post("/api/auth/sign-in/email", &body).await.ok();
                assert_eq!(app.live_sessions().await, before + 1);
            }
            "ended elsewhere" => {
                let other = user.sign_in().await.session;
                app.post_as("/api/auth/revoke-other-sessions", &other, &json!({}))
                    .await
                    .ok();
            }
            _ => {}
        }
        let query = place.at_issuer(&begun, ana());
        let answer = place.comes_back(&browser, "acme", &query).await;
        if meanwhile == "nothing" {
            led(&answer, "/linked");
            let row = row(&browser, "acme").await.unwrap();
            unlinks(&browser, &row).await.ok();
        } else {
            led(&answer, unable);
        }
        assert_eq!(place.links().await, 0, "{meanwhile}");
    }
    // Who signs in does not link: the session that is there ends, as at every sign-in.
    let browser = bob.browser().await;
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    assert_eq!(who(&browser).await, Some(user.email));
}

#[tokio::test]
async fn the_sessions_that_an_identity_opened_end_with_its_link() {
    let place = Place::start().await;
    let app = &place.app;
    let user = owner(&place).await;
    let by_password = user.browser().await;
    led(&links(&place, &by_password, "acme", ana()).await, "/linked");
    let bob = Says::user("ana-2", "ana@example.com");
    led(
        &links(&place, &by_password, "other", bob.clone()).await,
        "/linked",
    );
    let (by_acme, by_other) = (Browser::new(app), Browser::new(app));
    led(&place.signs_in(&by_acme, "acme", ana()).await, "/welcome");
    led(&place.signs_in(&by_other, "other", bob).await, "/welcome");
    // After a refresh it is the same session.
    app.after(minutes(5));
    by_acme.refresh().await.ok();
    received(app, place.dir.path()).await;
    let acme = row(&by_password, "acme").await.unwrap();
    let done = unlinks(&by_password, &acme).await.ok();
    assert_eq!(done.body, json!({ "status": true }));
    by_acme
        .stolen()
        .refresh()
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    assert_eq!(who(&by_acme).await, None);
    for other in [&by_password, &by_other] {
        assert_eq!(who(other).await.as_ref(), Some(&user.email));
    }
    assert_eq!(row(&by_password, "acme").await, None);
    assert!(row(&by_password, "other").await.is_some());
    assert_eq!(app.db_count_events("upstream.unlinked").await, 1);
    let mails = received(app, place.dir.path()).await;
    assert_eq!(mails.len(), 1, "{mails:?}");
    about(&mails, "A way to sign in was removed");
    unlinks(&by_password, &acme)
        .await
        .refused(400, "ACCOUNT_NOT_FOUND");
    // The session in which the user takes a link away goes on, also if that identity opened it.
    let other = row(&by_other, "other").await.unwrap();
    unlinks(&by_other, &other).await.ok();
    assert_eq!(who(&by_other).await.as_ref(), Some(&user.email));
}

#[tokio::test]
async fn the_session_that_follows_on_another_belongs_to_the_same_identity() {
    let place = Place::start().await;
    let app = &place.app;
    let user = owner(&place).await;
    let browser = Browser::new(app);
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    // Two-step sign-in is turned on: the session is replaced by a stronger one.
    let password = json!({ "password": user.password });
    let enrolment = browser
        .post("/api/auth/two-factor/enable", &password)
        .await
        .ok();
    let phone = Authenticator::scan(&enrolment);
    let code = json!({ "code": phone.code(app, 0) });
    let verify = "/api/auth/two-factor/verify-totp";
    browser.post(verify, &code).await.ok();
    assert_eq!(who(&browser).await.as_ref(), Some(&user.email));
    app.after(seconds(30));
    let other = Browser::new(app);
    let sign_in = json!({ "email": user.email, "password": user.password });
    other.post("/api/auth/sign-in/email", &sign_in).await.ok();
    let code = json!({ "code": phone.code(app, 0) });
    other.post(verify, &code).await.ok();
    let acme = row(&other, "acme").await.unwrap();
    unlinks(&other, &acme).await.ok();
    assert_eq!(who(&browser).await, None);
    assert_eq!(who(&other).await.as_ref(), Some(&user.email));
}

#[tokio::test]
async fn the_last_way_in_stays() {
    let by_mail_off = ("sign_in.by_mail", "false");
    let place = Place::with(&[by_mail_off]).await;
    let app = &place.app;
    let browser = Browser::new(app);
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    let acme = row(&browser, "acme").await.unwrap();
    let last = "FAILED_TO_UNLINK_LAST_ACCOUNT";
    let before = app.db_dump().await;
    unlinks(&browser, &acme).await.refused(400, last);
    assert_eq!(app.db_dump().await, before);
    assert!(who(&browser).await.is_some());
    // A mailbox counts where users sign in by mail, and another provider where the settings have it.
    led(&links(&place, &browser, "other", ana()).await, "/linked");
    let without = app
        .replica_with(&[("upstream.other.enabled", "false")])
        .await;
    unlinks(&browser.at(&without), &acme)
        .await
        .refused(400, last);
    let other = Browser::new(app);
    led(&place.signs_in(&other, "other", ana()).await, "/welcome");
    unlinks(&other, &acme).await.ok();
    let other_row = row(&other, "other").await.unwrap();
    unlinks(&other, &other_row).await.refused(400, last);
    let by_mail = app.replica_with(&[("sign_in.by_mail", "true")]).await;
    unlinks(&other.at(&by_mail), &other_row).await.ok();
    assert_eq!(place.links().await, 0);
}

#[tokio::test]
async fn of_two_requests_at_once_that_take_ways_in_away_one_is_too_much() {
    let place = Place::with(&[("sign_in.by_mail", "false")]).await;
    let app = &place.app;
    for n in 0..5 {
        let says = Says::user(&format!("ana-{n}"), &format!("ana{n}@example.com"));
        let (one, two) = (Browser::new(app), Browser::new(app));
        led(
            &place.signs_in(&one, "acme", says.clone()).await,
            "/welcome",
        );
        led(&links(&place, &one, "other", says.clone()).await, "/linked");
        led(&place.signs_in(&two, "other", says).await, "/welcome");
        // Each session takes the identity away that did not open it.
        let other = row(&one, "other").await.unwrap();
        let acme = row(&two, "acme").await.unwrap();
        let before = place.links().await;
        let answers = join_all([unlinks(&one, &other), unlinks(&two, &acme)]).await;
        let good = answers.iter().filter(|a| a.status.is_success()).count();
        assert_eq!(good, 1, "{} {}", answers[0].text, answers[1].text);
        assert_eq!(place.links().await, before - 1);
    }
    // A passkey and an identity.
    for n in 5..10 {
        let says = Says::user(&format!("ana-{n}"), &format!("ana{n}@example.com"));
        let browser = Browser::new(app);
        led(&place.signs_in(&browser, "acme", says).await, "/welcome");
        let register = "/api/auth/passkey/generate-register-options";
        let options = browser.get(register).await.ok().body;
        let mut key = SoftwareKey::usual(&format!("key {n}"));
        let made = json!({ "response": key.create(&options) });
        let registered = "/api/auth/passkey/verify-registration";
        browser.post(registered, &made).await.ok();
        // In a session that the passkey opened.
        let session = app.signs_in(&mut key).await.ok().str("token");
        let list = app
            .get_as("/api/auth/passkey/list-user-passkeys", &session)
            .await
            .ok();
        let passkey = json!({ "id": list.body[0]["id"] });
        let accounts = app.get_as(ACCOUNTS, &session).await.ok().body;
        let acme = json!({ "accountId": accounts[0]["id"] });
        let answers = tokio::join!(
            app.post_as(UNLINK, &session, &acme),
            app.post_as("/api/auth/passkey/delete-passkey", &session, &passkey)
        );
        let statuses = [answers.0.status.as_u16(), answers.1.status.as_u16()];
        assert_eq!(
            statuses.iter().filter(|status| **status == 200).count(),
            1,
            "{} {}",
            answers.0.text,
            answers.1.text
        );
    }
}

#[tokio::test]
async fn a_way_in_is_changed_with_young_proofs_and_in_one_s_own_account_alone() {
    let place = Place::start().await;
    let app = &place.app;
    let user = owner(&place).await;
    let (browser, eve) = (user.browser().await, app.user("eve").await.browser().await);
    led(&links(&place, &browser, "acme", ana()).await, "/linked");
    let acme = row(&browser, "acme").await.unwrap();
    let password = row(&browser, "credential").await.unwrap();
    for (who, id) in [
        (&eve, acme.as_str()),
        (&browser, password.as_str()),
        (&browser, "00000000-0000-4000-8000-000000000000"),
        (&browser, "not an id"),
    ] {
        unlinks(who, id).await.refused(400, "ACCOUNT_NOT_FOUND");
    }
    browser
        .post(UNLINK, &json!({}))
        .await
        .refused(400, "VALIDATION_ERROR");
    app.post(UNLINK, &json!({ "accountId": acme }))
        .await
        .refused(401, "UNAUTHORIZED");
    app.after(minutes(10));
    browser.post(LINK, &body("other")).await.ok();
    app.after(seconds(1));
    let token = place.issuer.id_token(CLIENT_ID, None, &ana());
    let native = json!({ "provider": "other", "idToken": { "token": token } });
    for (path, body) in [
        (UNLINK, json!({ "accountId": acme })),
        (LINK, body("other")),
        (LINK, native.clone()),
    ] {
        browser
            .post(path, &body)
            .await
            .refused(403, "SESSION_NOT_FRESH");
    }
    assert_eq!(place.links().await, 1);
    // After the password was proven again, they are done.
    let again = json!({ "password": user.password });
    browser
        .post("/api/auth/step-up/password", &again)
        .await
        .ok();
    browser.post(LINK, &native).await.ok();
    unlinks(&browser, &acme).await.ok();
    assert_eq!(place.links().await, 1);
}

#[tokio::test]
async fn an_admin_who_acts_as_a_user_links_and_unlinks_nothing() {
    let place = Place::start().await;
    let app = &place.app;
    let user = owner(&place).await;
    let browser = user.browser().await;
    led(&links(&place, &browser, "acme", ana()).await, "/linked");
    let root = made_admin(app, "root").await.sign_in().await;
    let acting = act(app, &root, &user).await.session;
    let code = "YOU_ARE_NOT_ALLOWED_TO_RESET_USERS_FACTORS";
    let acme = json!({ "accountId": row(&browser, "acme").await });
    let token = place.issuer.id_token(CLIENT_ID, None, &ana());
    let native = json!({ "provider": "other", "idToken": { "token": token } });
    for (path, body) in [(UNLINK, acme), (LINK, body("other")), (LINK, native)] {
        app.post_as(path, &acting, &body).await.refused(403, code);
    }
    assert_eq!(place.links().await, 1);
    app.get_as(ACCOUNTS, &acting).await.ok();
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_linked_to_no_account() {
    let place = Place::start().await;
    let browser = place.app.user("ana").await.browser().await;
    browser.post(LINK, &body("acme")).await.ok();
    browser
        .post(LINK, &body("unknown"))
        .await
        .refused(404, "PROVIDER_NOT_FOUND");
    let token = place.issuer.id_token(CLIENT_ID, None, &ana());
    for (provider, code) in [
        ("unknown", "PROVIDER_NOT_FOUND"),
        ("github", "ID_TOKEN_NOT_SUPPORTED"),
    ] {
        let native = json!({ "provider": provider, "idToken": { "token": token } });
        browser.post(LINK, &native).await.refused(404, code);
    }
    let foreign = json!({ "provider": "acme", "callbackURL": "https://evil.example/" });
    browser
        .post(LINK, &foreign)
        .await
        .refused(403, "INVALID_CALLBACK_URL");
}

/// Without `keep_tokens` the tokens of issuers are not kept, so the calls of the Better Auth client about them find none.
#[tokio::test]
async fn there_are_no_tokens_of_an_issuer_to_ask_for() {
    // No twin: the tests of `upstream_tokens` have those that are accepted.
    let place = Place::start().await;
    let app = &place.app;
    let user = owner(&place).await;
    let (browser, eve) = (user.browser().await, app.user("eve").await.browser().await);
    led(&links(&place, &browser, "acme", ana()).await, "/linked");
    let acme = row(&browser, "acme").await.unwrap();
    let password = row(&browser, "credential").await.unwrap();
    for (path, code) in [
        ("get-access-token", "ACCESS_TOKEN_NOT_FOUND"),
        ("refresh-token", "REFRESH_TOKEN_NOT_FOUND"),
        ("account-info", "ACCESS_TOKEN_NOT_FOUND"),
    ] {
        let ask = async |browser: &Browser, account: &str| {
            if path == "account-info" {
                let path = format!("/api/auth/{path}?accountId={account}");
                browser.get(&path).await
            } else {
                let body = json!({ "accountId": account });
                browser.post(&format!("/api/auth/{path}"), &body).await
            }
        };
        ask(&browser, &acme).await.refused(400, code);
        ask(&browser, "unknown")
            .await
            .refused(400, "ACCOUNT_NOT_FOUND");
        ask(&eve, &acme).await.refused(400, "ACCOUNT_NOT_FOUND");
        ask(&browser, &password)
            .await
            .refused(400, "PROVIDER_NOT_SUPPORTED");
        ask(&Browser::new(app), &acme)
            .await
            .refused(401, "UNAUTHORIZED");
    }
    browser
        .get("/api/auth/account-info")
        .await
        .refused(400, "VALIDATION_ERROR");
    // A sign-in at the issuer is no way around that.
    let other = Browser::new(app);
    let body = json!({ "provider": "acme", "callbackURL": "/welcome" });
    led(&place.goes(&other, SIGN_IN, &body, ana()).await, "/welcome");
    let dump = app.db_dump().await.join("\n");
    assert!(!dump.contains("access-0"), "an access token was kept");
}
