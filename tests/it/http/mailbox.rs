//! Links that prove a mailbox: opening one changes nothing, and what was set before the proof
//! survives only beside a session, a known device or the password of the account.

use axum::http::Method;
use serde_json::json;

use super::mail::{Received, about, only, posting, received, reset_link};
use crate::support::{Answer, Browser, TestApp, minutes};

const PASSWORD: &str = "a good long password";
const NEW: &str = "the owner's own password";
const VERIFYING: [(&str, &str); 1] = [("sign_up.require_email_verification", "true")];

fn form(email: &str) -> serde_json::Value {
    json!({ "name": "x", "email": email, "password": PASSWORD, "callbackURL": "/welcome" })
}

fn hidden(page: &Answer) -> Vec<(String, String)> {
    let field = regex::Regex::new(r#"type="hidden" name="([^"]+)" value="([^"]*)""#).unwrap();
    let mut fields: Vec<_> = field
        .captures_iter(&page.text)
        .map(|c| {
            (
                c[1].to_owned(),
                c[2].replace("&#x2f;", "/").replace("&#47;", "/"),
            )
        })
        .collect();
    fields.sort();
    fields.dedup();
    fields
}

/// Opens the link and sends the form of its page, with this password if there is one.
async fn follow(browser: &Browser, link: &str, password: Option<&str>) -> Answer {
    let page = browser.get(link).await;
    assert_eq!(
        (
            page.status.as_u16(),
            page.header("cache-control"),
            page.header("referrer-policy")
        ),
        (200, "no-store", "same-origin"),
        "{}",
        page.text
    );
    assert!(
        page.text.contains("<form method=\"post\"") && page.text.contains("<button"),
        "a button, that works without script: {}",
        page.text
    );
    let mut fields = hidden(&page);
    fields.extend(password.map(|typed| ("password".to_owned(), typed.to_owned())));
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    browser.form(link.split_once('?').unwrap().0, &fields).await
}

/// Follows a link without anything that ties the browser to the account, and chooses a password
/// where it leads to.
async fn take_over(app: &TestApp, link: &str) {
    let owner = Browser::new(app);
    let led = follow(&owner, link, None).await;
    let place = led.header("location").to_owned();
    assert!(
        led.status == 303 && place.starts_with("/api/auth/reset-password/"),
        "{led:?}"
    );
    let page = owner.get(&place).await.ok();
    assert!(page.text.contains("name=\"again\""), "{}", page.text);
    let fields = hidden(&page);
    let mut fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    fields.extend([("password", NEW), ("again", NEW)]);
    let path = place.split('?').next().unwrap();
    let chosen = owner.form(path, &fields).await;
    assert_eq!(chosen.status, 303, "{}", chosen.text);
    assert!(
        chosen
            .header("location")
            .starts_with("/auth/sign-in?done=reset"),
        "{chosen:?}"
    );
    assert!(
        chosen
            .cookies()
            .iter()
            .all(|line| !line.contains("session_token")),
        "a link signs no user in"
    );
    owner
        .form(path, &fields)
        .await
        .refused(400, "INVALID_TOKEN");
}

async fn signs_in(app: &TestApp, email: &str, password: &str) -> Answer {
    app.post(
        "/api/auth/sign-in/email",
        &json!({ "email": email, "password": password, "tokenDelivery": "body" }),
    )
    .await
}

async fn is_the_owners(app: &TestApp, email: &str) {
    signs_in(app, email, PASSWORD)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    assert_eq!(
        signs_in(app, email, NEW).await.ok().body["user"]["emailVerified"],
        true
    );
}

#[tokio::test]
async fn a_strangers_sign_up_is_the_owners_alone_once_the_link_is_followed_elsewhere() {
    let (app, dir) = posting(&[]).await;
    let stranger = Browser::new(&app);
    let held =
        app.post("/api/auth/sign-up/email", &json!({ "name": "Refund ready", "image": "https://evil.example/x.png", "email": "ceo@corp.example", "password": PASSWORD, "tokenDelivery": "body" })).await.ok();
    stranger
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": "ceo@corp.example", "password": PASSWORD }),
        )
        .await
        .ok();
    // Asked for by the stranger, or by the owner of the mailbox: that is not what makes an account
    // one's own.
    let asks = [stranger.clone(), Browser::new(&app)];
    for asker in &asks {
        app.after(std::time::Duration::from_millis(1));
        asker
            .post(
                "/api/auth/send-verification-email",
                &json!({ "email": "ceo@corp.example", "callbackURL": "/welcome" }),
            )
            .await
            .ok();
    }
    let mails = received(&app, dir.path()).await;
    take_over(&app, &about(&mails, "Confirm").link()).await;
    stranger
        .stolen()
        .refresh()
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    stranger
        .get("/api/auth/session")
        .await
        .refused(401, "UNAUTHORIZED");
    app.refresh(&held.str("refreshToken"))
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    is_the_owners(&app, "ceo@corp.example").await;
    assert_eq!(app.db_count_events("account.reclaimed").await, 1);
    let words = app
        .db_texts("SELECT name || COALESCE(image, '') FROM users WHERE email = 'ceo@corp.example'")
        .await;
    assert_eq!(
        words,
        [""],
        "mails to the owner do not speak with the words of a stranger"
    );
}

#[tokio::test]
async fn where_the_mailbox_is_proven_first_a_stranger_gets_nothing_from_the_owners_click() {
    let (app, dir) = posting(&VERIFYING).await;
    let stranger = Browser::new(&app);
    stranger
        .post("/api/auth/sign-up/email", &form("ceo@corp.example"))
        .await
        .ok();
    let first = only(&app, dir.path()).await;
    // The owner signs up too: the address is known, the link comes again, and the owner's browser
    // is not the one that set the password.
    let owner = Browser::new(&app);
    owner.post("/api/auth/sign-up/email", &json!({ "name": "x", "email": "ceo@corp.example", "password": NEW, "callbackURL": "/welcome" })).await.ok();
    let second = only(&app, dir.path()).await;
    assert!(
        second.subject.starts_with("Confirm your email address"),
        "no notice goes to a mailbox that was never verified: {second:?}"
    );
    assert_eq!(
        owner.get(&first.link()).await.header("location"),
        "/welcome?error=INVALID_TOKEN"
    );
    let wrong = follow(&owner, &second.link(), Some(NEW)).await;
    assert!(
        wrong.status == 400
            && wrong
                .text
                .contains("id=\"prove-password-wrong\" role=\"alert\">This password is incorrect."),
        "{}",
        wrong.text
    );
    take_over(&app, &second.link()).await;
    stranger
        .post("/api/auth/sign-in/email", &form("ceo@corp.example"))
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    is_the_owners(&app, "ceo@corp.example").await;
}

#[tokio::test]
async fn in_the_browser_that_signed_up_one_press_proves_and_keeps_everything() {
    // Signed in at once: the session tells. Not signed in: the device.
    for settings in [&[][..], &VERIFYING] {
        let (app, dir) = posting(settings).await;
        let browser = Browser::new(&app);
        browser
            .post("/api/auth/sign-up/email", &form("ana@example.com"))
            .await
            .ok();
        app.after(std::time::Duration::from_millis(1));
        browser
            .post(
                "/api/auth/send-verification-email",
                &json!({ "email": "ana@example.com", "callbackURL": "/welcome" }),
            )
            .await
            .ok();
        let link = about(&received(&app, dir.path()).await, "Confirm").link();
        let page = browser.get(&link).await.ok();
        assert!(!page.text.contains("type=\"password\""), "{}", page.text);
        for _ in 0..2 {
            let led = follow(&browser, &link, None).await;
            assert_eq!(
                (led.status.as_u16(), led.header("location")),
                (303, "/welcome"),
                "{settings:?}"
            );
        }
        assert_eq!(app.db_count_events("email.verified").await, 1);
        assert_eq!(
            signs_in(&app, "ana@example.com", PASSWORD).await.ok().body["user"]["emailVerified"],
            true
        );
        if settings.is_empty() {
            assert_eq!(
                browser.get("/api/auth/get-session").await.ok().body["user"]["emailVerified"],
                true
            );
        }
        // Once it is proven the link removes nothing, wherever it is opened.
        let led = follow(&Browser::new(&app), &link, None).await;
        assert_eq!(led.header("location"), "/welcome");
        signs_in(&app, "ana@example.com", PASSWORD).await.ok();
    }
}

#[tokio::test]
async fn on_another_device_the_password_proves_that_it_is_the_same_person() {
    let (app, dir) = posting(&VERIFYING).await;
    let laptop = Browser::new(&app);
    laptop
        .post("/api/auth/sign-up/email", &form("ana@example.com"))
        .await
        .ok();
    let link = only(&app, dir.path()).await.link();
    let phone = Browser::new(&app);
    let page = phone.get(&link).await.ok();
    assert!(
        page.text.contains("type=\"password\"") && page.text.contains("Choose a new password"),
        "{}",
        page.text
    );
    assert_eq!(
        follow(&phone, &link, Some("not the password")).await.status,
        400
    );
    assert_eq!(
        follow(&phone, &link, Some("")).await.status,
        400,
        "an empty field is no wish for a new password"
    );
    signs_in(&app, "ana@example.com", PASSWORD)
        .await
        .refused(403, "EMAIL_NOT_VERIFIED");
    let led = follow(&phone, &link, Some(PASSWORD)).await;
    assert_eq!(
        (led.status.as_u16(), led.header("location")),
        (303, "/welcome")
    );
    signs_in(&app, "ana@example.com", PASSWORD).await.ok();
    // A script sends the same as JSON.
    app.post("/api/auth/sign-up/email", &form("bob@example.com"))
        .await
        .ok();
    let token = only(&app, dir.path()).await.token();
    app.post(
        "/api/auth/verify-email",
        &json!({ "token": token, "password": "not the password" }),
    )
    .await
    .refused(400, "INVALID_PASSWORD");
    let proven = app
        .post(
            "/api/auth/verify-email",
            &json!({ "token": token, "password": PASSWORD }),
        )
        .await
        .ok();
    assert_eq!(proven.body, json!({ "status": true, "user": null }));
    app.post("/api/auth/sign-up/email", &form("cleo@example.com"))
        .await
        .ok();
    let token = only(&app, dir.path()).await.token();
    let led = app
        .post("/api/auth/verify-email", &json!({ "token": token }))
        .await
        .ok();
    assert!(
        led.body["redirect"] == true
            && led
                .str("url")
                .starts_with("http://localhost:4000/api/auth/reset-password/")
    );
}

#[tokio::test]
async fn guesses_at_the_page_of_a_link_are_limited_as_those_at_the_sign_in() {
    let (app, dir) = posting(&[VERIFYING[0], ("rate_limits.sign_in", "5/15m")]).await;
    app.post("/api/auth/sign-up/email", &form("ana@example.com"))
        .await
        .ok();
    let link = only(&app, dir.path()).await.link();
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(
            follow(&Browser::new(&app), &link, Some("a wrong password"))
                .await
                .status
                .as_u16(),
        );
    }
    assert_eq!(statuses, [400, 400, 400, 400, 400, 429, 429]);
    signs_in(&app, "ana@example.com", PASSWORD)
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(app.db_count_events("session.refused").await, 5);
}

#[tokio::test]
async fn a_change_of_address_is_the_askers_only_beside_the_askers_session_or_password() {
    let ask =
        async |app: &TestApp, dir: &std::path::Path, browser: &Browser, new: &str| -> Received {
            browser
                .post(
                    "/api/auth/change-email",
                    &json!({ "newEmail": new, "callbackURL": "/done" }),
                )
                .await
                .ok();
            only(app, dir).await
        };
    let (app, dir) = posting(&[]).await;
    // Followed elsewhere: the stranger who asked has nothing of the new address.
    let eve = app.user("eve").await.browser().await;
    let link = ask(&app, dir.path(), &eve, "ceo@corp.example").await.link();
    take_over(&app, &link).await;
    eve.get("/api/auth/session")
        .await
        .refused(401, "UNAUTHORIZED");
    signs_in(&app, "ceo@corp.example", "eve's good password")
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
    assert_eq!(
        signs_in(&app, "ceo@corp.example", NEW).await.ok().body["user"]["emailVerified"],
        true
    );
    // In the browser that asked, and with the password on another one.
    for (name, elsewhere) in [("ana", false), ("bob", true)] {
        let user = app.user(name).await;
        let (browser, other) = (user.browser().await, user.sign_in().await);
        let new = format!("{name}.new@example.com");
        received(&app, dir.path()).await;
        let link = ask(&app, dir.path(), &browser, &new).await.link();
        let led = if elsewhere {
            follow(&Browser::new(&app), &link, Some(&user.password)).await
        } else {
            follow(&browser, &link, None).await
        };
        assert_eq!(
            (led.status.as_u16(), led.header("location")),
            (303, "/done")
        );
        assert_eq!(
            browser.get("/api/auth/session").await.ok().body["user"]["email"],
            new
        );
        app.refresh(&other.refresh)
            .await
            .refused(401, "REFRESH_TOKEN_REVOKED");
        signs_in(&app, &new, &user.password).await.ok();
    }
}

#[tokio::test]
async fn an_admin_who_acts_as_a_user_proves_nothing_for_the_user() {
    let (app, dir) = posting(&[]).await;
    let root = app.user("root").await;
    app.db_execute(
        "UPDATE users SET role = 'admin', version = version + 1 WHERE email = 'root@example.com'",
    )
    .await
    .unwrap();
    let bob = app.user("bob").await.browser().await;
    bob.post(
        "/api/auth/send-verification-email",
        &json!({ "email": "bob@example.com" }),
    )
    .await
    .ok();
    let link = only(&app, dir.path()).await.link();
    let admin = root.browser().await;
    let id = bob.get("/api/auth/session").await.ok().body["user"]["id"].clone();
    admin
        .post("/api/auth/admin/impersonate-user", &json!({ "userId": id }))
        .await
        .ok();
    admin.forget("better-auth.known_device");
    assert!(
        admin
            .get(&link)
            .await
            .ok()
            .text
            .contains("type=\"password\"")
    );
}

#[tokio::test]
async fn opening_the_link_of_any_mail_changes_nothing() {
    let (app, dir) = posting(&[]).await;
    let root = app.user("root").await;
    app.db_execute(
        "UPDATE users SET role = 'admin', version = version + 1 WHERE email = 'root@example.com'",
    )
    .await
    .unwrap();
    let admin = root.browser().await;
    let (ana, bob) = (
        app.user("ana").await.browser().await,
        app.user("bob").await.browser().await,
    );
    app.db_execute("UPDATE users SET email_verified = 1, version = version + 1 WHERE email = 'bob@example.com'").await.unwrap();
    let mut links = Vec::new();
    for (browser, path, body) in [
        (
            &ana,
            "send-verification-email",
            json!({ "email": "ana@example.com", "callbackURL": "/x" }),
        ),
        (
            &ana,
            "change-email",
            json!({ "newEmail": "new@example.com", "callbackURL": "/x" }),
        ),
        (
            &bob,
            "change-email",
            json!({ "newEmail": "bob.new@example.com" }),
        ),
        (&ana, "delete-user", json!({ "callbackURL": "/x" })),
        (
            &ana,
            "request-password-reset",
            json!({ "email": "ana@example.com" }),
        ),
        (
            &admin,
            "admin/invite-user",
            json!({ "email": "cleo@example.com", "redirectTo": "/auth/reset-password" }),
        ),
    ] {
        browser.post(&format!("/api/auth/{path}"), &body).await.ok();
        links.push((browser, only(&app, dir.path()).await.link()));
    }
    let before = app.db_dump().await;
    for (browser, link) in &links {
        for visitor in [(*browser).clone(), Browser::new(&app)] {
            for method in [Method::HEAD, Method::GET, Method::GET] {
                let mut answer = visitor.ask(method.clone(), link, None).await;
                if answer.status == 302 {
                    // A page of the application, or ours, that asks for the password.
                    let next = answer
                        .header("location")
                        .trim_start_matches("http://localhost:4000")
                        .to_owned();
                    assert!(next.starts_with("/auth/reset-password?token="), "{next}");
                    answer = visitor.ask(method.clone(), &next, None).await;
                }
                let is_his = link.contains("delete-user")
                    && visitor.cookie("better-auth.session_token").is_none();
                assert_eq!(
                    answer.status.as_u16(),
                    if is_his { 404 } else { 200 },
                    "{method} {link}"
                );
                assert!(
                    answer.header("cache-control") == "no-store"
                        && ["same-origin", "no-referrer"]
                            .contains(&answer.header("referrer-policy"))
                );
                assert!(
                    is_his || method == Method::HEAD || answer.text.contains("method=\"post\""),
                    "{}",
                    answer.text
                );
            }
        }
    }
    assert_eq!(app.db_dump().await, before);
}

#[tokio::test]
async fn without_pages_a_link_still_asks_and_leads_to_a_password_of_ones_own() {
    let (app, dir) = posting(&[("pages.enabled", "false"), VERIFYING[0]]).await;
    app.post("/api/auth/sign-up/email", &form("ana@example.com"))
        .await
        .ok();
    let link = only(&app, dir.path()).await.link();
    let owner = Browser::new(&app);
    let led = follow(&owner, &link, None).await;
    let place = led.header("location").to_owned();
    let page = owner.get(&place).await.ok();
    assert!(
        !page.text.contains("href=\"/auth/forgot"),
        "nothing leads to a page that is not there"
    );
    let path = place.split('?').next().unwrap();
    let differs = owner
        .form(
            path,
            &[
                ("password", NEW),
                ("again", "another one"),
                ("redirect_to", "/welcome"),
            ],
        )
        .await;
    assert!(
        differs.status == 400 && differs.text.contains("The two passwords are not the same."),
        "{}",
        differs.text
    );
    let chosen = owner
        .form(
            path,
            &[
                ("password", NEW),
                ("again", NEW),
                ("redirect_to", "/welcome"),
            ],
        )
        .await;
    assert_eq!(
        (chosen.status.as_u16(), chosen.header("location")),
        (303, "/welcome")
    );
    is_the_owners(&app, "ana@example.com").await;
    // A reset that was asked for without a page to go to has one too.
    app.post(
        "/api/auth/request-password-reset",
        &json!({ "email": "ana@example.com" }),
    )
    .await
    .ok();
    // Beside it lies the notice of the change, in an order that chance decides.
    let mails = received(&app, dir.path()).await;
    let own = mails
        .iter()
        .find(|mail| mail.text.contains("http://localhost:4000/"))
        .unwrap()
        .link();
    assert!(owner.get(&own).await.ok().text.contains("name=\"again\""));
    let told = owner
        .form(
            own.split('?').next().unwrap(),
            &[("password", PASSWORD), ("again", PASSWORD)],
        )
        .await;
    assert!(
        told.status == 200 && told.text.contains("Your password has been changed."),
        "{}",
        told.text
    );
    signs_in(&app, "ana@example.com", PASSWORD).await.ok();
}

#[tokio::test]
async fn a_reset_proves_the_mailbox_and_ends_what_a_stranger_set_up() {
    let (app, dir) = posting(&VERIFYING).await;
    app.post("/api/auth/sign-up/email", &form("ceo@corp.example"))
        .await
        .ok();
    let verify = only(&app, dir.path()).await;
    let reset = reset_link(&app, dir.path(), "ceo@corp.example").await;
    app.post(
        "/api/auth/reset-password",
        &json!({ "token": reset.token(), "newPassword": NEW }),
    )
    .await
    .ok();
    is_the_owners(&app, "ceo@corp.example").await;
    assert_eq!(
        (
            app.db_count_events("account.reclaimed").await,
            app.db_count_events("email.verified").await
        ),
        (1, 1)
    );
    app.get(&format!("/api/auth/verify-email?token={}", verify.token()))
        .await
        .refused(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn a_link_is_good_for_one_of_twenty_strangers() {
    let (app, dir) = posting(&VERIFYING).await;
    app.post("/api/auth/sign-up/email", &form("ana@example.com"))
        .await
        .ok();
    let token = only(&app, dir.path()).await.token();
    let body = format!("token={token}&callbackURL=%2Fwelcome");
    let answers =
        futures_util::future::join_all((0..20).map(|_| app.form("/api/auth/verify-email", &body)))
            .await;
    let led: Vec<_> = answers
        .iter()
        .map(|a| {
            a.header("location")
                .starts_with("/api/auth/reset-password/")
        })
        .collect();
    assert_eq!(
        led.iter().filter(|to_choose| **to_choose).count(),
        1,
        "one chooses the password, the others find the mailbox proven: {answers:?}"
    );
    app.after(minutes(60 * 24));
    assert_eq!(
        app.form("/api/auth/verify-email", &body)
            .await
            .header("location"),
        "/welcome?error=TOKEN_EXPIRED"
    );
}

/// Served over https, where a browser accepts the cookie of a known device from no other host.
const HTTPS: [(&str, &str); 2] = [
    ("server.public_url", "https://auth.example.com"),
    ("server.trusted_origins", "http://localhost:4000"),
];

/// What this browser holds under the name, whichever prefix the name has.
fn held(browser: &Browser, name: &str) -> String {
    let value = ["__Host-", "__Secure-", ""]
        .iter()
        .find_map(|prefix| browser.cookie(&format!("{prefix}better-auth.{name}")));
    value.unwrap_or_else(|| panic!("no {name}"))
}

/// Another host of the site sets a cookie beside those of this browser. A name that begins with
/// `__Host-` no other host can set.
fn plant(browser: &Browser, prefix: &str, name: &str, value: &str) {
    let name = format!("{prefix}better-auth.{name}");
    let beside = browser
        .cookie(&name)
        .map_or_else(|| value.to_owned(), |own| format!("{own}; {name}={value}"));
    browser.set_cookie(&name, &beside);
}

#[tokio::test]
async fn cookies_that_another_host_plants_tie_no_browser_to_an_account() {
    const ALL: [&str; 3] = ["known_device", "session_token", "refresh_token"];
    for (settings, prefix) in [(&HTTPS[..], "__Secure-"), (&[], "")] {
        let (app, dir) = posting(settings).await;
        let mut n = 0;
        for by_change in [false, true] {
            for planted in [&ALL[..1], &ALL[1..2], &ALL[..2], &ALL] {
                for signed_in in [false, true] {
                    if prefix.is_empty() && !signed_in && planted[0] == ALL[0] {
                        // Over http no name is safe from other hosts.
                        continue;
                    }
                    n += 1;
                    let (own, victim) = (format!("victim{n}@corp.example"), Browser::new(&app));
                    if signed_in {
                        victim
                            .post(
                                "/api/auth/sign-up/email",
                                &form(&format!("other{n}@corp.example")),
                            )
                            .await
                            .ok();
                    }
                    let stranger = Browser::new(&app);
                    if by_change {
                        stranger
                            .post(
                                "/api/auth/sign-up/email",
                                &form(&format!("stranger{n}@example.com")),
                            )
                            .await
                            .ok();
                        received(&app, dir.path()).await;
                        stranger
                            .post(
                                "/api/auth/change-email",
                                &json!({ "newEmail": own, "callbackURL": "/done" }),
                            )
                            .await
                            .ok();
                    } else {
                        stranger
                            .post("/api/auth/sign-up/email", &form(&own))
                            .await
                            .ok();
                        app.after(std::time::Duration::from_millis(1));
                        stranger
                            .post(
                                "/api/auth/send-verification-email",
                                &json!({ "email": own, "callbackURL": "/done" }),
                            )
                            .await
                            .ok();
                    }
                    let link = about(&received(&app, dir.path()).await, "Confirm").link();
                    for name in planted {
                        plant(&victim, prefix, name, &held(&stranger, name));
                    }
                    let what = format!(
                        "{prefix} {planted:?}, by a change: {by_change}, signed in: {signed_in}"
                    );
                    let page = victim.get(&link).await.ok();
                    assert!(
                        page.text.contains("type=\"password\""),
                        "{what}: no password is asked"
                    );
                    let led = follow(&victim, &link, None).await;
                    assert!(
                        led.header("location")
                            .starts_with("/api/auth/reset-password/"),
                        "{what}: {led:?}"
                    );
                    signs_in(&app, &own, PASSWORD)
                        .await
                        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
                    stranger
                        .stolen()
                        .get("/api/auth/session")
                        .await
                        .refused(401, "UNAUTHORIZED");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_own_browser_and_the_own_bearer_go_on_to_prove_a_mailbox() {
    for (settings, prefix) in [(&HTTPS[..], "__Host-"), (&[], "")] {
        let (app, dir) = posting(settings).await;
        for (n, remember) in [true, false].into_iter().enumerate() {
            let own = Browser::new(&app);
            let mut wish = form(&format!("ana{n}@example.com"));
            wish["rememberMe"] = remember.into();
            let signed_up = own.post("/api/auth/sign-up/email", &wish).await.ok();
            let device = signed_up
                .cookies()
                .into_iter()
                .find(|line| line.contains("known_device="))
                .unwrap();
            assert!(
                device.starts_with(&format!("{prefix}better-auth.known_device="))
                    && device.contains("; Path=/")
                    && !device.contains("Path=/api")
                    && !device.contains("Domain"),
                "{device}"
            );
            assert_eq!(device.contains("Max-Age"), remember, "{device}");
            app.after(std::time::Duration::from_millis(1));
            own.post(
                "/api/auth/send-verification-email",
                &json!({ "email": wish["email"], "callbackURL": "/done" }),
            )
            .await
            .ok();
            let link = about(&received(&app, dir.path()).await, "Confirm").link();
            assert_eq!(
                follow(&own, &link, None).await.header("location"),
                "/done",
                "remember: {remember}"
            );
            assert_eq!(
                own.get("/api/auth/session").await.ok().body["user"]["emailVerified"],
                true
            );
        }
        // A client that holds its session token itself names no cookie: no other host can have set
        // that token.
        let mut wish = form("native@example.com");
        wish["tokenDelivery"] = "body".into();
        let session = app
            .post("/api/auth/sign-up/email", &wish)
            .await
            .ok()
            .str("token");
        app.after(std::time::Duration::from_millis(1));
        app.post_as(
            "/api/auth/send-verification-email",
            &session,
            &json!({ "email": "native@example.com" }),
        )
        .await
        .ok();
        let token = about(&received(&app, dir.path()).await, "Confirm").token();
        assert_eq!(
            app.post_as(
                "/api/auth/verify-email",
                &session,
                &json!({ "token": token })
            )
            .await
            .ok()
            .body["redirect"],
            json!(null)
        );
        assert_eq!(
            app.get_as("/api/auth/session", &session).await.ok().body["user"]["emailVerified"],
            true
        );
    }
}
