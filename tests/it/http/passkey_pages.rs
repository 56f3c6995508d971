//! The pages of passkeys, as a browser without script sees them: what they tell the script, and the
//! forms that name and delete a passkey. `tests/e2e/passkey_pages.test.mjs` runs the script.

use regex::Regex;
use serde_json::Value;

use super::admin::made_admin;
use super::mail::{only, posting};
use super::mail_sign_in::code_of;
use super::pages::{hidden, leads_to};
use crate::support::software_key::SoftwareKey;
use crate::support::{Answer, Browser, TestApp, User, minutes, seconds};

const SECURITY: &str = "/auth/account/security";
const RENAME: &str = "/auth/account/security/passkeys/rename";
const DELETE: &str = "/auth/account/security/passkeys/delete";

/// The id of the passkey of this number.
fn id(number: u8) -> String {
    format!("0193c5a0-0000-7000-8000-0000000000{number:02}")
}

/// Gives a user a passkey that verifies its user, and returns its id. No authenticator has its key.
async fn given(user: &User, number: u8, name: Option<&str>, backed_up: bool) -> String {
    let (id, backed_up) = (id(number), i64::from(backed_up));
    let name = name.map_or("NULL".to_owned(), |name| format!("'{name}'"));
    let now = user.app.app.now().0;
    let sql = format!(
        "INSERT INTO passkeys (id, user_id, credential_id, public_key, counter, aaguid, transports, backup_eligible, backed_up, uv, name, created_at)
         SELECT '{id}', id, 'AAA{number}', 'AAAA', 0, '00000000-0000-0000-0000-000000000000', 'internal', {backed_up}, {backed_up}, 1, {name}, {now}
           FROM users WHERE email = '{}'",
        user.email
    );
    user.app.db_script(&sql).await;
    id
}

/// Sends a form of the list.
async fn change(browser: &Browser, action: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = hidden(&browser.get(SECURITY).await.ok(), "csrf");
    let fields: Vec<_> = [("csrf", csrf.as_str())]
        .into_iter()
        .chain(fields.iter().copied())
        .collect();
    browser.form(action, &fields).await
}

/// The attributes of the button of this id; `None` if the page has none.
fn button(page: &Answer, way: &str) -> Option<Value> {
    let tag = Regex::new(&format!(r#"<button [^>]*id="passkey-{way}"[^>]*>"#)).unwrap();
    let tag = tag.find(&page.text)?.as_str();
    let attribute = Regex::new(r#" ([a-z-]+)="([^"]*)""#).unwrap();
    let found = attribute.captures_iter(tag).map(|found| {
        let value = found[2].replace("&#34;", "\"").replace("&#38;", "&");
        (found[1].to_owned(), Value::from(value))
    });
    Some(Value::Object(found.collect()))
}

/// The list without its markup.
fn listed(page: &Answer) -> Vec<String> {
    let name = Regex::new(r"<li>\s*<p><strong><bdi>([^<]*)</bdi>").unwrap();
    let (_, list) = page.text.split_once(r#"id="passkeys""#).unwrap();
    name.captures_iter(list)
        .map(|found| found[1].to_owned())
        .collect()
}

/// What the page says about a refused form, and whether that takes the focus.
fn told(page: &Answer) -> Vec<(String, bool)> {
    let said =
        Regex::new(r#"<div class="said bad" role="alert" tabindex="-1"( autofocus)?>([^<]*)<"#)
            .unwrap();
    said.captures_iter(&page.text)
        .map(|found| (found[2].to_owned(), found.get(1).is_some()))
        .collect()
}

async fn sign_in(browser: &Browser, user: &User) -> Answer {
    let fields = [("email", user.email.as_str()), ("password", &user.password)];
    browser.form("/auth/sign-in", &fields).await
}

#[tokio::test]
async fn the_sign_in_page_tells_the_script_where_to_ask_and_where_to_go_on() {
    let app = TestApp::start().await;
    let page = app.get("/auth/sign-in?redirect_to=%2Fdash").await.ok();
    assert!(page.text.contains(r#"<body data-api="/api/auth">"#));
    assert!(
        page.text.contains(r#"autocomplete="username webauthn""#),
        "{}",
        page.text
    );
    assert!(
        page.text
            .contains(r#"<p class="after" data-passkey-only hidden><button type="button""#),
        "without script the button is not shown"
    );
    let shown = button(&page, "sign-in").unwrap();
    assert_eq!(shown["data-passkey"], "sign-in");
    assert_eq!(shown["data-next"], "/dash");
    assert_eq!(
        shown["data-challenge"],
        "/auth/challenge?redirect_to=%2Fdash"
    );
    let texts: Value = serde_json::from_str(shown["data-texts"].as_str().unwrap()).unwrap();
    let texts = texts.as_object().unwrap();
    assert!(texts.len() >= 20, "{texts:?}");
    for (code, text) in texts {
        assert!(text.as_str().is_some_and(|text| text.len() > 8), "{code}");
    }
    let plain = app.get("/auth/sign-in").await.ok();
    assert_eq!(
        button(&plain, "sign-in").unwrap()["data-next"],
        "/auth/account"
    );
    // A form that was refused has the button, too.
    let refused = app.form("/auth/sign-in", "email=a&redirect_to=/dash").await;
    assert_eq!(button(&refused, "sign-in").unwrap()["data-next"], "/dash");

    // A user who is signed in proves again that it is them.
    let browser = app.user("ana").await.browser().await;
    let again = browser
        .get("/auth/sign-in?again=1&redirect_to=%2Fdash")
        .await
        .ok();
    assert_eq!(button(&again, "sign-in"), None);
    let shown = button(&again, "authenticate").unwrap();
    assert_eq!(shown["data-next"], "/dash");
}

#[tokio::test]
async fn the_script_gets_paths_as_the_browser_sees_them() {
    let app = TestApp::with(&[
        ("server.public_url", "https://example.com/id"),
        ("pages.path", "/login"),
    ])
    .await;
    let page = app.get("/login/sign-in").await.ok();
    assert!(page.text.contains(r#"<body data-api="/id/api/auth">"#));
    let shown = button(&page, "sign-in").unwrap();
    assert_eq!(shown["data-next"], "/id/login/account");
    assert_eq!(shown["data-challenge"], "/id/login/challenge");
    let script = Regex::new(r#"src="/id(/login/assets/[0-9a-f]{16}\.js)""#).unwrap();
    let scripts: Vec<_> = script.captures_iter(&page.text).collect();
    assert_eq!(scripts.len(), 2);
    let script = app.get(&scripts[1][1]).await.ok();
    assert!(script.text.contains("generate-authenticate-options"));
    assert!(
        script
            .header("content-type")
            .starts_with("text/javascript;")
    );
}

#[tokio::test]
async fn passkeys_are_listed_named_and_deleted_by_forms() {
    let app = TestApp::start().await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let browser = ana.browser().await;
    let page = browser.get(SECURITY).await.ok();
    assert!(page.text.contains("You have no passkey yet."));
    let add = button(&page, "register").unwrap();
    assert_eq!(
        add["data-next"],
        "/auth/account/security?done=passkey_added"
    );
    assert_eq!(
        add["data-again"],
        "/auth/step-up?max_age=600&redirect_to=%2Fauth%2Faccount%2Fsecurity"
    );
    assert!(
        page.text
            .contains("<p class=\"quiet after\" data-passkey-missing>A passkey needs a browser")
    );
    assert!(
        browser
            .get("/auth/account")
            .await
            .ok()
            .text
            .contains(r#"href="/auth/account/security#passkeys""#)
    );

    let (first, second) = (
        given(&ana, 1, Some("<i>Key</i>"), false).await,
        given(&ana, 2, None, true).await,
    );
    let foreign = given(&bob, 3, Some("Of Bob"), true).await;
    let used = app.app.now().0;
    app.db_script(&format!(
        "UPDATE passkeys SET last_used_at = {used} WHERE id = '{second}'"
    ))
    .await;
    let page = browser.get(SECURITY).await.ok();
    assert_eq!(listed(&page), ["&#60;i&#62;Key&#60;/i&#62;", "Passkey"]);
    for text in [
        "On one device only",
        "Synced between your devices",
        "Last used: not yet",
        "Last used: <time datetime=",
    ] {
        assert_eq!(page.text.matches(text).count(), 1, "{text}: {}", page.text);
    }

    // The forms name the row, and a refused one is shown in its row.
    let empty = change(&browser, RENAME, &[("id", &second), ("name", " ")]).await;
    assert_eq!(empty.status, 400);
    let field = Regex::new(
        r#"<input id="passkey-name-2"[^>]* value="" [^>]*aria-invalid="true" autofocus>"#,
    );
    assert!(field.unwrap().is_match(&empty.text), "{}", empty.text);
    assert!(
        empty
            .text
            .contains(r#"id="passkey-name-2-wrong" role="alert">Please fill in this field.</p>"#)
    );
    assert_eq!(empty.text.matches("<details open>").count(), 1);
    let named = change(&browser, RENAME, &[("id", &second), ("name", " My phone ")]).await;
    leads_to(&named, "/auth/account/security?done=passkey_renamed");
    let page = browser.get(named.header("location")).await.ok();
    assert!(page.text.contains("The passkey has a new name."));
    assert_eq!(listed(&page)[1], "My phone");

    for (action, id) in [
        (RENAME, foreign.as_str()),
        (DELETE, &foreign),
        (DELETE, "x"),
    ] {
        let refused = change(&browser, action, &[("id", id), ("name", "Mine")]).await;
        assert_eq!(refused.status, 404, "{action} {id}");
        assert_eq!(
            told(&refused),
            [(
                "This passkey is not known here. It may have been deleted.".to_owned(),
                true
            )]
        );
    }
    let gone = change(&browser, DELETE, &[("id", &first)]).await;
    leads_to(&gone, "/auth/account/security?done=passkey_deleted");
    let page = browser.get(gone.header("location")).await.ok();
    assert_eq!(listed(&page), ["My phone"]);
    let of_bob = bob.browser().await.get(SECURITY).await.ok();
    assert_eq!(listed(&of_bob), ["Of Bob"]);
}

#[tokio::test]
async fn a_refused_deletion_says_why_in_its_row() {
    let app = TestApp::with(&[("sign_in.by_mail", "false")]).await;
    let ana = app.user("ana").await;
    let browser = ana.browser().await;
    let (first, second) = (
        given(&ana, 1, Some("One"), false).await,
        given(&ana, 2, Some("Two"), false).await,
    );
    // A form of another session.
    let stale = browser.form(DELETE, &[("csrf", "x"), ("id", &first)]).await;
    assert_eq!(stale.status, 403);
    assert!(told(&stale)[0].0.starts_with("This form was out of date"));
    assert_eq!(listed(&stale), ["One", "Two"]);

    // The sign-in was too long ago: the row leads to another one.
    app.after(minutes(11));
    let late = change(&browser, DELETE, &[("id", &first)]).await;
    assert_eq!(late.status, 403);
    let (text, focus) = told(&late).remove(0);
    assert!(text.starts_with("You confirmed that it is you too long ago for this.") && focus);
    assert!(late.text.contains(
        r#"<p><a href="/auth/step-up?max_age=600&#38;redirect_to=%2Fauth%2Faccount%2Fsecurity">Confirm that it is you</a></p>"#
    ), "{}", late.text);
    leads_to(&sign_in(&browser, &ana).await, "/auth/account");
    leads_to(
        &change(&browser, DELETE, &[("id", &first)]).await,
        "/auth/account/security?done=passkey_deleted",
    );

    // Without a password the last passkey stays.
    app.db_script("DELETE FROM accounts").await;
    let last = change(&browser, DELETE, &[("id", &second)]).await;
    assert_eq!(last.status, 400);
    assert_eq!(
        told(&last),
        [(
            "This is your only way to sign in. Set up another one before you delete it.".to_owned(),
            true
        )]
    );
    assert_eq!(listed(&last), ["Two"]);
}

#[tokio::test]
async fn a_second_step_can_be_a_passkey_beside_a_code() {
    let app = TestApp::with(&[
        ("rate_limits.second_factor", "off"),
        ("rate_limits.second_factor_account", "off"),
    ])
    .await;
    let ana = app.user("ana").await;
    let phone = ana.enrols().await;
    given(&ana, 1, Some("Key"), false).await;
    let browser = Browser::new(&app);
    let fields = [
        ("email", ana.email.as_str()),
        ("password", &ana.password),
        ("redirect_to", "/dash"),
    ];
    let pending = browser.form("/auth/sign-in", &fields).await;
    leads_to(&pending, "/auth/challenge?redirect_to=%2Fdash");
    for path in ["/auth/challenge?", "/auth/challenge?with=recovery&"] {
        let page = browser
            .get(&format!("{path}redirect_to=%2Fdash"))
            .await
            .ok();
        let shown = button(&page, "authenticate").unwrap();
        assert_eq!(shown["class"], "plain full");
        assert_eq!(shown["data-next"], "/dash");
        assert_eq!(
            shown["data-challenge"],
            "/auth/challenge?redirect_to=%2Fdash"
        );
        assert!(
            !page.text.contains("data-passkey-missing"),
            "a code leads further"
        );
    }
    app.after(seconds(30));
    let code = phone.code(&app, 0);
    leads_to(
        &browser.form("/auth/challenge", &[("code", &code)]).await,
        "/auth/account",
    );
    // Until the factor is proven again, the page offers no change, and the passkey proves it.
    app.after(minutes(11));
    let page = browser.get(SECURITY).await.ok();
    let shown = button(&page, "authenticate").unwrap();
    assert_eq!(shown["data-next"], "/auth/account/security?done=stepped_up");
    assert!(button(&page, "register").is_none() && !page.text.contains(DELETE));
    assert!(page.text.contains("first confirm above that it is you"));
    let early = change(&browser, DELETE, &[("id", &id(1))]).await;
    assert_eq!(early.status, 403);
    assert!(early.text.contains("Nothing has been changed yet"));
}

#[tokio::test]
async fn after_a_passkey_that_did_not_verify_its_user_the_page_asks_for_the_password() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let mut key = SoftwareKey::unverified("stick");
    ana.adds_passkey(&mut key).await;
    ana.enrols().await;
    let browser = Browser::new(&app);
    browser.uses_passkey(&mut key).await.ok();
    let page = browser.get("/auth/challenge").await.ok();
    assert!(
        page.text.contains("<h1>Enter your password</h1>"),
        "{}",
        page.text
    );
    assert!(page.text.contains(r#"name="current""#), "{}", page.text);
    assert!(page.text.contains("/auth/challenge?with=email"));
    let mailed = browser.get("/auth/challenge?with=email").await.ok();
    assert!(mailed.text.contains("/auth/challenge?with=password"));
    for (typed, says) in [
        ("not the password", "This password is incorrect."),
        ("", "Please fill in this field."),
    ] {
        let again = browser.form("/auth/challenge", &[("current", typed)]).await;
        assert!(again.status.is_client_error(), "{}", again.text);
        assert!(again.text.contains(r#"id="prove-password""#));
        assert!(again.text.contains(says), "{}", again.text);
    }
    let done = browser
        .form("/auth/challenge", &[("current", &ana.password)])
        .await;
    leads_to(&done, "/auth/account");
}

/// Signs an admin in whose role needs a second factor, up to the proof of the mailbox.
async fn at_enrolment(require: &str) -> Answer {
    let (app, dir) = posting(&[("policies.admin.require", require)]).await;
    let root = made_admin(&app, "root").await;
    app.db_script("UPDATE users SET email_verified = 1, version = version + 1")
        .await;
    let browser = Browser::new(&app);
    leads_to(&sign_in(&browser, &root).await, "/auth/challenge");
    let page = browser.get("/auth/challenge").await.ok();
    assert_eq!(button(&page, "authenticate"), None);
    browser.form("/auth/challenge/send", &[]).await;
    let code = code_of(&only(&app, dir.path()).await.text);
    let more = browser.form("/auth/challenge", &[("mailed", &code)]).await;
    leads_to(&more, "/auth/challenge");
    browser.get("/auth/challenge").await.ok()
}

#[tokio::test]
async fn a_policy_is_met_by_a_new_passkey_and_by_an_app_only_where_that_is_enough() {
    let either = at_enrolment("2fa").await;
    assert!(
        either
            .text
            .contains(r#"<form method="post" action="/auth/challenge/enrol" id="enrol">"#)
    );
    let shown = button(&either, "register").unwrap();
    assert_eq!(shown["class"], "plain full");
    assert_eq!(shown["data-next"], "/auth/account");
    assert_eq!(shown["data-challenge"], "/auth/challenge");
    assert!(!either.text.contains("data-passkey-missing"));

    let only = at_enrolment("phr").await;
    assert!(!only.text.contains("<form"), "{}", only.text);
    assert_eq!(button(&only, "register").unwrap()["class"], "full");
    assert!(only.text.contains("This account needs a passkey."));
    assert!(only.text.contains("data-passkey-missing"));
}

#[tokio::test]
async fn a_browser_may_make_a_passkey_by_itself_for_five_minutes_after_a_password() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let browser = Browser::new(&app);
    sign_in(&browser, &ana).await;
    let body = Regex::new(
        r#"<body data-api="/api/auth" data-signed-in="(\d+)"( data-create-passkey="[^"]*")?>"#,
    )
    .unwrap();
    for (minute, may) in [(0, true), (4, true), (2, false)] {
        app.after(minutes(minute));
        let page = browser.get("/auth/account").await.ok();
        let found = body.captures(&page.text).expect(&page.text);
        assert_eq!(found.get(2).is_some(), may, "{minute}");
    }
    // An admin who acts as the user makes none, and the store of the admin learns nothing.
    let root = made_admin(&app, "root").await;
    let own = root.browser().await;
    let users = own.get("/auth/admin/users?q=ana").await.ok();
    let user = Regex::new(r"/auth/admin/users/([0-9a-f-]{36})").unwrap();
    let user = user.captures(&users.text).unwrap()[1].to_owned();
    let csrf = hidden(&users, "csrf");
    let path = format!("/auth/admin/users/{user}/act-as");
    own.form(&path, &[("csrf", &csrf)]).await;
    let page = own.get("/auth/account").await.ok();
    assert!(page.text.contains("ana@example.com"));
    assert!(
        page.text
            .contains(r#"<body data-api="/api/auth" data-signed-in="">"#)
    );
}
