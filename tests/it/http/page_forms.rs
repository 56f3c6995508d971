//! What a visitor sees after a form of the pages: the next page, the reason at its field, what was
//! typed. By kinds: every page, every action, every form.

use axum::body::Body;
use axum::http::Request;
use regex::Regex;
use serde_json::json;

use super::mail::{about, posting, received};
use super::pages::{hidden, leads_to};
use crate::support::{Answer, Browser, TestApp, minutes};

/// `(methods, path)` of every route of the pages.
fn routes() -> Vec<(String, String)> {
    let pages = include_str!("../../../src/http/pages/mod.rs");
    let pages = &pages[..pages.find("fn assets()").unwrap()];
    let route = Regex::new(r#"\.route\(\s*"([^"]+)",\s*([^\n]+)"#).unwrap();
    route
        .captures_iter(pages)
        .map(|found| (found[2].to_owned(), found[1].to_owned()))
        .filter(|(_, path)| !path.contains("{*"))
        .collect()
}

/// The ids of the elements that ask for the focus.
fn focused(page: &Answer) -> Vec<String> {
    let tag = Regex::new(r"<[a-z]+ [^>]*autofocus[^>]*>").unwrap();
    let name = Regex::new(r#" (?:id|role)="([^"]+)""#).unwrap();
    tag.find_iter(&page.text)
        .map(|tag| name.captures(tag.as_str()).unwrap()[1].to_owned())
        .collect()
}

/// An admin's browser, and the id of the admin.
async fn admin(app: &TestApp) -> (Browser, String) {
    let root = app.user("root").await;
    app.db_execute(
        "UPDATE users SET role = 'admin', version = version + 1 WHERE email = 'root@example.com'",
    )
    .await
    .unwrap();
    let browser = root.browser().await;
    let users = browser.get("/auth/admin/users?q=root").await.ok();
    let id = Regex::new(r"/auth/admin/users/([0-9a-f-]{36})").unwrap();
    let id = id.captures(&users.text).unwrap()[1].to_owned();
    (browser, id)
}

#[tokio::test]
async fn every_page_is_also_there_with_a_slash_at_its_end() {
    let (app, _mails) = posting(&[]).await;
    let (browser, id) = admin(&app).await;
    let kid = app.get("/api/auth/jwks").await.ok().body["keys"][0]["kid"].clone();
    let mut pages = 0;
    for (methods, path) in routes() {
        if path == "/" || !methods.contains("get(") {
            continue;
        }
        let path = path.replace("{id}", &id);
        let path = path.replace("{kid}", kid.as_str().unwrap());
        let plain = browser.get(&path).await;
        let slash = browser.get(&format!("{path}/?x=1")).await;
        assert_eq!(
            (slash.status, slash.header("location")),
            (plain.status, plain.header("location")),
            "{path}"
        );
        // These two need what the query of their link brings.
        let needs_link = ["/auth/reset-password", "/auth/account/connect"].contains(&path.as_str());
        assert!(plain.status.as_u16() < 400 || needs_link, "{path}");
        pages += 1;
    }
    assert!(pages >= 12, "{pages} pages were found");
    let bob = app.user("bob").await;
    let fields = [("email", bob.email.as_str()), ("password", &bob.password)];
    leads_to(
        &Browser::new(&app).form("/auth/sign-in/", &fields).await,
        "/auth/account",
    );
}

#[tokio::test]
async fn the_path_of_every_form_that_is_opened_by_hand_leads_to_its_page() {
    let (app, _mails) = posting(&[]).await;
    let (browser, id) = admin(&app).await;
    let mut actions = 0;
    for (methods, path) in routes() {
        if methods.contains("get(") {
            continue;
        }
        let path = path.replace("{id}", &id);
        let answer = browser.get(&path).await;
        assert_eq!(answer.status, 303, "{path}: {}", answer.text);
        let page = answer.header("location").to_owned();
        // The form for a code stands on the page that sends it, and those of connected accounts on the
        // page of security, beside these paths and not above them.
        let is_beside =
            path == "/auth/sign-in/code" || path.starts_with("/auth/account/connections/");
        let is_above = path.starts_with(&page) || is_beside;
        assert!(is_above && page != path, "{path} {page}");
        let shown = browser.get(&page).await;
        assert!(shown.status.as_u16() < 400, "{path} {page}");
        actions += 1;
    }
    assert!(actions >= 14, "{actions} actions were found");
    leads_to(&browser.get("/auth/account/name").await, "/auth/account");
    // No twin: a method that no page has is refused everywhere.
    assert_eq!(app.form("/auth/account", "").await.status, 405);
}

#[tokio::test]
async fn the_first_wrong_field_has_the_focus_and_otherwise_the_message_or_the_first_empty_field() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let browser = Browser::new(&app);
    let good = "a good long password";
    assert_eq!(
        focused(&browser.get("/auth/sign-up").await.ok()),
        ["sign-up-name"]
    );
    for (name, email, password, focus) in [
        ("", "a@", "short", "sign-up-name"),
        ("A", "a@", "short", "sign-up-email"),
        ("A", "a@example.com", "short", "sign-up-password"),
        ("A", ana.email.as_str(), good, "sign-up-email"),
    ] {
        let fields = [("name", name), ("email", email), ("password", password)];
        let refused = browser.form("/auth/sign-up", &fields).await;
        assert!(refused.status.is_client_error());
        assert_eq!(focused(&refused), [focus], "{name} {email} {password}");
    }
    let fields = [("email", ana.email.as_str()), ("password", "wrong")];
    let refused = browser.form("/auth/sign-in", &fields).await;
    assert_eq!(
        focused(&refused),
        ["sign-in-password"],
        "it is typed again: {}",
        refused.text
    );
    for notice in ["signed_out", "deleted"] {
        let shown = Browser::new(&app)
            .get(&format!("/auth/sign-in?done={notice}"))
            .await;
        assert_eq!(focused(&shown), ["sign-in-email"], "{notice}");
    }
    // The email address is there already.
    assert_eq!(
        focused(&browser.get("/auth/sign-in").await.ok()),
        ["sign-in-password"]
    );
    let account = ana.browser().await;
    assert!(focused(&account.get("/auth/account").await.ok()).is_empty());
    assert_eq!(
        focused(&account.get("/auth/account?done=name").await.ok()),
        ["status"]
    );
}

#[tokio::test]
async fn a_form_of_another_session_is_shown_again_with_what_was_typed() {
    let app = TestApp::start().await;
    let browser = app.user("ana").await.browser().await;
    let fresh = hidden(&browser.get("/auth/account").await, "csrf");
    for (form, action, field, typed) in [
        ("name", "/auth/account/name", "name", "Ana <Maria>"),
        ("email", "/auth/account/email", "email", "new@example.com"),
    ] {
        for csrf in ["", "nonsense"] {
            let stale = browser
                .form(action, &[("csrf", csrf), (field, typed)])
                .await;
            let kept = typed.replace('<', "&#60;").replace('>', "&#62;");
            assert!(
                stale.status == 403
                    && stale.text.contains(&format!(r#"value="{kept}""#))
                    && stale.text.contains("This form was out of date"),
                "{form}: {}",
                stale.text
            );
            assert_eq!(hidden(&stale, "csrf"), fresh);
        }
    }
    for action in ["verify", "password", "delete", "sessions/end"] {
        let fields = [("session", "x"), ("current", "y"), ("password", "z")];
        let stale = browser
            .form(&format!("/auth/account/{action}"), &fields)
            .await;
        assert!(
            stale.status == 403 && stale.text.contains("This form was out of date"),
            "{action}"
        );
    }
    leads_to(
        &browser
            .form(
                "/auth/account/name",
                &[("csrf", &fresh), ("name", "Ana <Maria>")],
            )
            .await,
        "/auth/account?done=name",
    );
}

#[tokio::test]
async fn what_was_typed_when_the_session_ended_is_there_after_the_next_sign_in_of_the_same_user() {
    let app = TestApp::start().await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let fields = |user: &crate::support::User| {
        [
            ("email".to_owned(), user.email.clone()),
            ("password".to_owned(), user.password.clone()),
            ("redirect_to".to_owned(), "/auth/account".to_owned()),
        ]
    };
    for (action, field, typed) in [
        ("/auth/account/name", "name", "Ana 🌻 שלום"),
        ("/auth/account/email", "email", "ana.new@example.com"),
    ] {
        for next in [&ana, &bob] {
            let browser = ana.browser().await;
            let page = browser.get("/auth/account").await.ok();
            let (csrf, user) = (hidden(&page, "csrf"), hidden(&page, "user"));
            app.db_execute("DELETE FROM sessions").await.unwrap();
            let sent = [("csrf", csrf.as_str()), ("user", &user), (field, typed)];
            let ended = browser.form(action, &sent).await;
            let sign_in = "/auth/sign-in?done=ended&redirect_to=%2Fauth%2Faccount";
            leads_to(&ended, sign_in);
            assert!(
                browser
                    .get(sign_in)
                    .await
                    .ok()
                    .text
                    .contains("You have been signed out in the meantime.")
            );
            let own = fields(next);
            let own: Vec<_> = own.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            leads_to(&browser.form("/auth/sign-in", &own).await, "/auth/account");
            let shown = browser.get("/auth/account").await.ok();
            let is_kept = shown.text.contains(&format!(r#"value="{typed}""#));
            assert_eq!(
                is_kept && shown.text.contains("We have kept what you typed"),
                next.email == ana.email,
                "{action}: {}",
                shown.text
            );
            assert!(
                !browser.get("/auth/account").await.text.contains(typed),
                "it is shown once"
            );
        }
    }
    // The button that signs out has nothing to sign in for.
    leads_to(
        &Browser::new(&app).form("/auth/sign-out", &[]).await,
        "/auth/sign-in?done=signed_out",
    );
}

#[tokio::test]
async fn the_mailbox_is_named_and_the_link_can_be_sent_again_or_to_another_address() {
    let (app, dir) = posting(&[
        ("sign_up.require_email_verification", "true"),
        ("rate_limits.mail_address", "2/1h"),
    ])
    .await;
    let browser = Browser::new(&app);
    let email = "ana.maria@example.com";
    let form = [
        ("name", "Ana"),
        ("email", email),
        ("password", "a good long password"),
        ("redirect_to", "/notes"),
    ];
    let signed_up = "/auth/verify-email?done=signed_up&redirect_to=%2Fnotes";
    leads_to(&browser.form("/auth/sign-up", &form).await, signed_up);
    for (path, fields) in [
        (signed_up, [("email", email), ("again", "yes")]),
        (
            "/auth/forgot-password?done=sent",
            [("email", email), ("unused", "")],
        ),
    ] {
        let action = path.split('?').next().unwrap();
        if path != signed_up {
            leads_to(&browser.form(action, &fields).await, path);
        }
        let page = browser.get(path).await.ok();
        assert!(
            page.text.contains("Check your email") && page.text.contains(email),
            "{}",
            page.text
        );
        assert_eq!(hidden(&page, "email"), email);
        let again = [("email", email), ("again", "yes")];
        leads_to(
            &browser.form(action, &again).await,
            &format!("{action}?done=sent_again"),
        );
        let page = browser.get(&format!("{action}?done=sent_again")).await.ok();
        assert!(page.text.contains("We have sent another email."));
        // The limit is told on the same page, with the time to wait.
        let refused = browser.form(action, &again).await;
        let refused = if refused.status == 303 {
            browser.form(action, &again).await
        } else {
            refused
        };
        assert!(
            refused.status == 429
                && refused.text.contains("Check your email")
                && refused.text.contains("data-wait="),
            "{}",
            refused.text
        );
    }
    // The email address goes along to the other forms, and not to another browser.
    for path in [
        "/auth/sign-in",
        "/auth/sign-up",
        "/auth/forgot-password",
        "/auth/verify-email",
    ] {
        assert_eq!(hidden_email(&browser.get(path).await.ok()), email, "{path}");
        assert_eq!(hidden_email(&Browser::new(&app).get(path).await.ok()), "");
    }
    let mails = received(&app, dir.path()).await;
    assert!(about(&mails, "Confirm").link().contains("notes"));
}

/// The value of the field for the email address.
fn hidden_email(page: &Answer) -> String {
    let field = Regex::new(r#"name="email" type="email" value="([^"]*)""#).unwrap();
    field.captures(&page.text).unwrap()[1].to_owned()
}

#[tokio::test]
async fn a_page_that_forgets_what_was_typed_still_keeps_the_user_signed_in() {
    let (app, _mails) = posting(&[]).await;
    let browser = app.user("ana").await.browser().await;
    app.after(minutes(25 * 60));
    let asked = [("email", "ana@example.com")];
    browser.form("/auth/forgot-password", &asked).await;
    let page = browser.get("/auth/account").await.ok();
    let sets = |text: &str| page.cookies().iter().any(|line| line.contains(text));
    assert!(
        sets("typed=; ") && sets("Max-Age=1209600"),
        "{:?}",
        page.cookies()
    );
}

#[tokio::test]
async fn a_sign_up_that_does_not_sign_in_leads_to_the_sign_in_with_the_email_address() {
    let app = TestApp::with(&[("sign_up.auto_sign_in", "false")]).await;
    let browser = Browser::new(&app);
    let form = [
        ("name", "Ana"),
        ("email", "ana@example.com"),
        ("password", "a good long password"),
    ];
    leads_to(
        &browser.form("/auth/sign-up", &form).await,
        "/auth/sign-in?done=made",
    );
    let page = browser.get("/auth/sign-in?done=made").await.ok();
    assert!(page.text.contains("You can sign in now."));
    assert_eq!(hidden_email(&page), "ana@example.com");
}

#[tokio::test]
async fn a_link_that_was_used_offers_another_one() {
    let (app, dir) = posting(&[]).await;
    let ana = app.user("ana").await;
    let browser = Browser::new(&app);
    let asked = [("email", ana.email.as_str())];
    leads_to(
        &browser.form("/auth/forgot-password", &asked).await,
        "/auth/forgot-password?done=sent",
    );
    let mails = received(&app, dir.path()).await;
    let token = about(&mails, "Choose a new password").token();
    let page = format!("/auth/reset-password?token={token}");
    browser.get(&page).await.ok();
    let form = [
        ("token", token.as_str()),
        ("password", "another good password"),
    ];
    leads_to(
        &browser.form("/auth/reset-password", &form).await,
        "/auth/sign-in?done=reset",
    );
    let told = browser.get("/auth/error?error=TOKEN_EXPIRED").await.ok();
    assert!(told.text.contains(r#"href="/auth/verify-email""#));
    let offers = r#"<form method="post" action="/auth/forgot-password""#;
    for used in [
        browser.get(&page).await,
        browser.form("/auth/reset-password", &form).await,
        browser
            .get("/auth/reset-password?error=INVALID_TOKEN")
            .await,
    ] {
        assert!(
            used.status == 400 && used.text.contains(offers),
            "{}",
            used.text
        );
        assert_eq!(hidden_email(&used), ana.email);
    }
}

#[tokio::test]
async fn people_read_pages_and_programs_read_json() {
    let app = TestApp::start().await;
    let get = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        app.send(request.body(Body::empty()).unwrap()).await
    };
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let fetch = [("sec-fetch-mode", "cors"), ("accept", "text/html")];
    let client = [("accept", "application/json")];
    let java = [("accept", "text/html, image/gif, image/jpeg, */*; q=.2")];
    let navigation = [("sec-fetch-mode", "navigate"), browser[0]];
    get("/api/auth/nowhere", &java)
        .await
        .refused(404, "NOT_FOUND");
    for (path, browser) in [
        ("/nowhere", &browser[..]),
        ("/api/auth/nowhere", &navigation),
        ("/auth/nowhere", &browser),
    ] {
        let page = get(path, browser).await;
        assert!(
            page.status == 404 && page.text.contains("Page not found"),
            "{path}: {}",
            page.text
        );
        get(path, &client).await.refused(404, "NOT_FOUND");
    }
    get("/nowhere", &[]).await.refused(404, "NOT_FOUND");
    get("/nowhere", &fetch).await.refused(404, "NOT_FOUND");
    leads_to(&get("/", &browser).await, "/auth/account");
    leads_to(&get("/", &[]).await, "/auth/account");
    get("/", &client).await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_new_password_is_typed_once_unless_script_is_off_or_the_settings_ask_for_twice() {
    let form = |email: &'static str| {
        [
            ("name", "Ana"),
            ("email", email),
            ("password", "a good long password"),
        ]
    };
    let again = ("again", "a good long password");
    let app = TestApp::start().await;
    let page = app.get("/auth/sign-up").await.ok();
    let script_off = Regex::new(r"(?s)<noscript>.*?</noscript>").unwrap();
    assert!(page.text.contains(r#"name="again""#));
    assert!(
        !script_off
            .replace_all(&page.text, "")
            .contains(r#"name="again""#)
    );
    for (fields, status) in [
        (form("a@example.com").to_vec(), 303),
        ([&form("b@example.com")[..], &[again]].concat(), 303),
        ([&form("c@example.com")[..], &[("again", "")]].concat(), 400),
    ] {
        let answer = Browser::new(&app).form("/auth/sign-up", &fields).await;
        assert_eq!(answer.status, status, "{fields:?}");
    }
    let app = TestApp::with(&[("pages.repeat_password", "true")]).await;
    assert!(
        !app.get("/auth/sign-up")
            .await
            .ok()
            .text
            .contains("<noscript>")
    );
    let once = Browser::new(&app)
        .form("/auth/sign-up", &form("a@example.com"))
        .await;
    assert!(once.status == 400 && once.text.contains("The two passwords are not the same."));
    let twice = [&form("a@example.com")[..], &[again]].concat();
    assert_eq!(
        Browser::new(&app)
            .form("/auth/sign-up", &twice)
            .await
            .status,
        303
    );
}

#[tokio::test]
async fn an_estimate_never_praises_what_would_be_refused() {
    let dir = tempfile::tempdir().unwrap();
    let breached = dir.path().join("breached.txt");
    // The SHA-1 of "correct horse battery staple".
    std::fs::write(&breached, "ABF7AAD6438836DBE526AA231ABDE2D0EEF74D42\n").unwrap();
    let app = TestApp::with(&[
        ("passwords.breached_file", breached.to_str().unwrap()),
        ("passwords.blocklist", "true"),
    ])
    .await;
    let ana = app.user("ana").await;
    let level = async |password: &str, name: &str| {
        let body = json!({ "password": password, "name": name });
        let answer = app.post("/auth/password-strength", &body).await.ok();
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!answer.text.contains(password));
        answer.body["level"].as_i64().unwrap()
    };
    for refused in [
        "x7q-2",
        "password123",
        "correct horse battery staple",
        "GrizeldaQuux",
        &"ab".repeat(500),
    ] {
        assert_eq!(level(refused, "Grizelda Quux").await, 0, "{refused}");
        // What is refused here is refused by the form.
        let form = [
            ("name", "Grizelda Quux"),
            ("email", "new@example.com"),
            ("password", refused),
        ];
        assert_eq!(
            Browser::new(&app).form("/auth/sign-up", &form).await.status,
            400
        );
    }
    assert_eq!(level("aaaaaaaaab", "").await, 1);
    for strong in [
        "clumsy trumpet orbit walnut",
        "kettle-fjord-mosaic-ladder",
        "x9!Qm#v2&Lp7",
        "ünïcode wörter über alles hinaus",
    ] {
        assert_eq!(level(strong, "").await, 3, "{strong}");
    }
    // The words of a signed-in user.
    let browser = ana.browser().await;
    let own = json!({ "password": ana.email });
    let told = browser.post("/auth/password-strength", &own).await.ok();
    assert_eq!(told.body["level"], 0);
}

#[tokio::test]
async fn estimates_are_limited_by_network() {
    let app = TestApp::start().await;
    let ask = async || {
        app.post(
            "/auth/password-strength",
            &json!({ "password": "clumsy trumpet orbit walnut" }),
        )
        .await
    };
    let mut accepted = 0;
    while accepted < 200 && ask().await.status == 200 {
        accepted += 1;
    }
    assert_eq!(accepted, 120);
    assert_eq!(ask().await.status, 429);
    app.after(minutes(1));
    ask().await.ok();
}

#[tokio::test]
async fn pages_at_another_path_are_named_so_everywhere() {
    let (app, dir) = posting(&[("pages.path", "/login")]).await;
    let ana = app.user("ana").await;
    let browser = Browser::new(&app);
    leads_to(&browser.get("/").await, "/login/account");
    leads_to(
        &browser.get("/login/account").await,
        "/login/sign-in?redirect_to=%2Flogin%2Faccount",
    );
    let link = Regex::new(r##" (?:href|action|src|data-strength)="([^"#]+)""##).unwrap();
    for path in ["sign-in", "sign-up", "forgot-password", "error", "sign-in/"] {
        let page = browser.get(&format!("/login/{path}")).await.ok();
        let links: Vec<_> = link.captures_iter(&page.text).collect();
        assert!(links.len() > 4);
        for found in links {
            assert!(found[1].starts_with("/login"), "{path}: {}", &found[0]);
        }
    }
    for path in ["/auth", "/auth/sign-in", "/auth/assets/icon.svg"] {
        app.get(path).await.refused(404, "NOT_FOUND");
        app.get(&path.replace("/auth", "/login")).await;
    }
    app.get("/login/assets/icon.svg").await.ok();
    let fields = [("email", ana.email.as_str()), ("password", &ana.password)];
    leads_to(
        &browser.form("/login/sign-in", &fields).await,
        "/login/account",
    );
    let account = browser.get("/login/account").await.ok();
    let csrf = hidden(&account, "csrf");
    let named = browser
        .form("/login/account/name", &[("csrf", &csrf), ("name", "Ana")])
        .await;
    leads_to(&named, "/login/account?done=name");
    leads_to(&browser.get("/login/account/name").await, "/login/account");
    // Links of mails.
    leads_to(
        &browser
            .form("/login/account/verify", &[("csrf", &csrf)])
            .await,
        "/login/account?done=mailed",
    );
    let asked = [("email", ana.email.as_str())];
    leads_to(
        &browser.form("/login/forgot-password", &asked).await,
        "/login/forgot-password?done=sent",
    );
    let mails = received(&app, dir.path()).await;
    assert!(
        about(&mails, "Confirm")
            .link()
            .contains("%2Flogin%2Fverify-email")
    );
    let opened = browser
        .get(&about(&mails, "Choose a new password").link())
        .await;
    assert!(
        opened
            .header("location")
            .starts_with("http://localhost:4000/login/reset-password?token="),
        "{}",
        opened.header("location")
    );
}
