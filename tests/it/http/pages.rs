//! The pages under `/auth`, as a browser without script uses them. How they look is `tests/e2e`'s
//! business.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::support::{Answer, Browser, SESSION_COOKIE, TestApp, minutes};

/// The value of the first hidden field of this name.
pub(super) fn hidden(page: &Answer, name: &str) -> String {
    let field = regex::Regex::new(&format!(r#"name="{name}" value="([^"]*)""#)).unwrap();
    field
        .captures(&page.text)
        .unwrap_or_else(|| panic!("no {name} in {}", page.text))[1]
        .to_owned()
}

#[track_caller]
pub(super) fn leads_to(answer: &Answer, path: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, path),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn signing_up_out_and_in_by_forms_alone() {
    let app = TestApp::start().await;
    let browser = Browser::new(&app);
    leads_to(&browser.get("/").await, "/auth/account");
    leads_to(
        &browser.get("/auth/account").await,
        "/auth/sign-in?redirect_to=%2Fauth%2Faccount",
    );
    let fields = [
        ("name", " Ana "),
        ("email", "Ana@Example.com"),
        ("password", "a good long password"),
        ("again", "a good long password"),
    ];
    leads_to(
        &browser.form("/auth/sign-up", &fields).await,
        "/auth/account",
    );
    let account = browser.get("/auth/account").await.ok();
    assert!(account.text.contains("ana@example.com") && account.text.contains(r#"value="Ana""#));
    browser.get("/api/auth/session").await.ok();
    browser.refresh().await.ok();
    leads_to(
        &browser.get("/auth/sign-in?redirect_to=%2Fdash").await,
        "/dash",
    );
    let csrf = hidden(&account, "csrf");
    leads_to(
        &browser.form("/auth/sign-out", &[("csrf", &csrf)]).await,
        "/auth/sign-in?done=signed_out",
    );
    assert!(
        browser
            .get("/auth/sign-in?done=signed_out")
            .await
            .ok()
            .text
            .contains("You have signed out.")
    );
    let wrong = browser
        .form(
            "/auth/sign-in",
            &[
                ("email", "ana@example.com"),
                ("password", "not the password"),
            ],
        )
        .await;
    let unknown = browser
        .form(
            "/auth/sign-in",
            &[
                ("email", "unknown@example.com"),
                ("password", "not the password"),
            ],
        )
        .await;
    assert_eq!((wrong.status.as_u16(), unknown.status.as_u16()), (401, 401));
    assert_eq!(
        wrong.text.replace("ana@", "unknown@"),
        unknown.text,
        "nothing tells which of them is known"
    );
    leads_to(
        &browser
            .form(
                "/auth/sign-in",
                &[
                    ("email", "ana@example.com"),
                    ("password", "a good long password"),
                ],
            )
            .await,
        "/auth/account",
    );
    let kept = browser
        .ask(axum::http::Method::GET, "/auth/account", None)
        .await
        .ok();
    assert!(kept.text.contains("this device"));
}

#[tokio::test]
async fn a_session_that_is_only_for_now_has_no_lasting_cookie() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let browser = Browser::new(&app);
    let fields = [
        ("email", ana.email.as_str()),
        ("password", ana.password.as_str()),
    ];
    let forgetful = browser.form("/auth/sign-in", &fields).await;
    assert!(
        forgetful
            .cookies()
            .iter()
            .all(|line| !line.contains("Max-Age=1")),
        "{:?}",
        forgetful.cookies()
    );
    let lasting = browser
        .form(
            "/auth/sign-in",
            &[fields[0], fields[1], ("remember", "yes")],
        )
        .await;
    assert!(
        lasting
            .cookies()
            .iter()
            .any(|line| line.contains("session_token") && line.contains("Max-Age"))
    );
}

#[tokio::test]
async fn a_form_says_what_is_wrong_where_it_is() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    // A form with nothing wrong in it is accepted, in a browser that is signed in by it.
    let fields = [
        ("name", "A"),
        ("email", "new@example.com"),
        ("password", "a good long password"),
        ("again", "a good long password"),
    ];
    let accepted = Browser::new(&app).form("/auth/sign-up", &fields).await;
    assert_eq!(accepted.status, 303, "{}", accepted.text);
    let browser = Browser::new(&app);
    let send = async |name: &str, email: &str, password: &str, again: &str| {
        let answer = browser
            .form(
                "/auth/sign-up",
                &[
                    ("name", name),
                    ("email", email),
                    ("password", password),
                    ("again", again),
                ],
            )
            .await;
        assert!(
            !answer.text.contains(password) || password.is_empty(),
            "no password comes back"
        );
        (answer.status.as_u16(), answer.text)
    };
    let good = "a good long password";
    for (name, email, password, again, status, reason) in [
        (
            "",
            "a@example.com",
            good,
            good,
            400,
            r#"id="sign-up-name-wrong" role="alert">Please fill in"#,
        ),
        (
            "A",
            "a@",
            good,
            good,
            400,
            r#"id="sign-up-email-wrong" role="alert">Please enter an email address"#,
        ),
        (
            "A",
            "a@example.com",
            good,
            "another",
            400,
            r#"id="sign-up-again-wrong" role="alert">The two passwords"#,
        ),
        (
            "A",
            "a@example.com",
            "x7q-2",
            "x7q-2",
            400,
            r#"id="sign-up-password-wrong" role="alert">This password is too short"#,
        ),
        (
            "A",
            "a@example.com",
            "password123",
            "password123",
            400,
            r#"id="sign-up-password-wrong" role="alert">This password is too easy"#,
        ),
        (
            "A",
            &ana.email,
            good,
            good,
            422,
            r#"id="sign-up-email-wrong" role="alert">There is already an account"#,
        ),
    ] {
        let (told, text) = send(name, email, password, again).await;
        assert_eq!(told, status, "{reason}");
        assert!(text.contains(reason), "{reason}: {text}");
    }
    // What was typed is words and nothing else.
    let (_, text) = send(
        r#""><script>alert(1)</script>"#,
        "<svg onload=x>@example.com",
        good,
        "another",
    )
    .await;
    assert!(
        !text.contains("<script>alert") && !text.contains("<svg"),
        "{text}"
    );
}

#[tokio::test]
async fn one_goes_on_to_trusted_places_only() {
    let app = TestApp::with(&[("server.trusted_origins", "https://app.example.com")]).await;
    let ana = app.user("ana").await;
    let browser = Browser::new(&app);
    let page = browser
        .get("/auth/sign-in?redirect_to=https%3A%2F%2Fapp.example.com%2Fnotes")
        .await
        .ok();
    assert!(
        page.header("content-security-policy")
            .ends_with("form-action 'self' https://app.example.com")
    );
    let fields = [
        ("email", ana.email.as_str()),
        ("password", ana.password.as_str()),
        ("redirect_to", "https://app.example.com/notes"),
    ];
    leads_to(
        &browser.form("/auth/sign-in", &fields).await,
        "https://app.example.com/notes",
    );
    for target in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "https://app.example.com.evil.example",
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("redirect_to", target)
            .finish();
        let asked = browser.get(&format!("/auth/sign-in?{query}")).await;
        assert!(
            asked.status == 403 && asked.text.contains("INVALID_REDIRECT_URL"),
            "{target}"
        );
        for path in ["/auth/sign-in", "/auth/sign-up"] {
            let sent = browser
                .form(
                    path,
                    &[("email", "x"), ("password", "y"), ("redirect_to", target)],
                )
                .await;
            assert!(
                sent.status == 403 && sent.headers.get("location").is_none(),
                "{target}"
            );
        }
    }
}

#[tokio::test]
async fn a_form_belongs_to_the_session_that_it_was_shown_to() {
    let app = TestApp::start().await;
    let (ana, bob) = (
        app.user("ana").await.browser().await,
        app.user("bob").await.browser().await,
    );
    let (anas, bobs) = (
        hidden(&ana.get("/auth/account").await, "csrf"),
        hidden(&bob.get("/auth/account").await, "csrf"),
    );
    leads_to(
        &ana.form("/auth/account/name", &[("csrf", &anas), ("name", "Anna")])
            .await,
        "/auth/account?done=name",
    );
    for csrf in ["", "nonsense", &bobs, &anas[1..]] {
        let answer = ana
            .form("/auth/account/name", &[("csrf", csrf), ("name", "Eve")])
            .await;
        assert!(
            answer.status == 403 && answer.text.contains("This form was out of date"),
            "{csrf}"
        );
    }
    let request = Request::post("/auth/account/name")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", "https://evil.example");
    let stranger = app
        .send(
            request
                .body(Body::from(format!("csrf={anas}&name=Eve")))
                .unwrap(),
        )
        .await;
    assert!(stranger.status == 403 && stranger.text.contains("INVALID_ORIGIN"));
    assert!(
        ana.get("/auth/account")
            .await
            .text
            .contains(r#"value="Anna""#)
    );
    // Nor is it a session cookie, or the other way round.
    let thief = Browser::new(&app);
    thief.set_cookie(SESSION_COOKIE, &anas);
    leads_to(
        &thief.get("/auth/account").await,
        "/auth/sign-in?redirect_to=%2Fauth%2Faccount",
    );
    let cookie = ana.cookie(SESSION_COOKIE).unwrap();
    assert_eq!(
        ana.form("/auth/account/name", &[("csrf", &cookie), ("name", "Eve")])
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn devices_passwords_and_the_account_itself() {
    let app = TestApp::start().await;
    let user = app.user("ana").await;
    let (here, there) = (user.browser().await, user.browser().await);
    let page = here.get("/auth/account").await;
    let csrf = hidden(&page, "csrf");
    let sign = ("csrf", csrf.as_str());
    // His other browser's, and the one that signing up made.
    let others = regex::Regex::new(r#"name="session" value="([^"]+)""#).unwrap();
    let others: Vec<String> = others
        .captures_iter(&page.text)
        .map(|c| c[1].to_owned())
        .collect();
    assert_eq!(others.len(), 2);
    for other in &others {
        leads_to(
            &here
                .form("/auth/account/sessions/end", &[sign, ("session", other)])
                .await,
            "/auth/account?done=device",
        );
    }
    leads_to(
        &there.get("/auth/account").await,
        "/auth/sign-in?redirect_to=%2Fauth%2Faccount",
    );
    assert!(
        there.cookie(SESSION_COOKIE).is_none(),
        "what is over is cleared"
    );
    let there = user.browser().await;
    leads_to(
        &here
            .form("/auth/account/sessions/end-others", &[sign])
            .await,
        "/auth/account?done=devices",
    );
    assert_eq!(there.get("/auth/account").await.status, 303);
    let new = "another good password";
    let refused = here
        .form(
            "/auth/account/password",
            &[
                sign,
                ("current", "wrong"),
                ("password", new),
                ("again", new),
            ],
        )
        .await;
    assert!(
        refused.status == 400
            && refused.text.contains(
                r#"id="password-current-wrong" role="alert">This password is incorrect."#
            ),
        "{}",
        refused.text
    );
    let fields = [
        sign,
        ("current", user.password.as_str()),
        ("password", new),
        ("again", new),
    ];
    leads_to(
        &here.form("/auth/account/password", &fields).await,
        "/auth/account?done=password",
    );
    user.try_sign_in(new).await.ok();
    // The session was replaced: its old forms are invalid.
    assert_eq!(
        here.form("/auth/account/delete", &[sign, ("current", new)])
            .await
            .status,
        403
    );
    let csrf = hidden(&here.get("/auth/account").await, "csrf");
    let kept = here
        .form(
            "/auth/account/delete",
            &[("csrf", &csrf), ("current", "wrong")],
        )
        .await;
    assert!(
        kept.text
            .contains(r#"id="delete-current-wrong" role="alert">This password is incorrect."#)
    );
    leads_to(
        &here
            .form("/auth/account/delete", &[("csrf", &csrf), ("current", new)])
            .await,
        "/auth/sign-in?done=deleted",
    );
    user.try_sign_in(new)
        .await
        .refused(401, "INVALID_EMAIL_OR_PASSWORD");
}

#[tokio::test]
async fn the_console_is_for_admins_and_asks_for_a_fresh_password() {
    let app = TestApp::start().await;
    let (root, bob) = (app.user("root").await, app.user("bob").await);
    let browser = bob.browser().await;
    for path in [
        "/auth/admin",
        "/auth/admin/users",
        "/auth/admin/keys",
        "/auth/admin/audit",
    ] {
        assert_eq!(browser.get(path).await.status, 403, "{path}");
        leads_to(
            &app.get(path).await,
            &format!("/auth/sign-in?redirect_to={}", path.replace('/', "%2F")),
        );
    }
    app.db_execute(
        "UPDATE users SET role = 'admin', version = version + 1 WHERE email = 'root@example.com'",
    )
    .await
    .unwrap();
    let admin = root.browser().await;
    let users = admin.get("/auth/admin/users?q=bob").await.ok();
    assert!(
        users.text.contains("bob@example.com") && !users.text.contains("/auth/admin/users/\">")
    );
    let id = regex::Regex::new(r"/auth/admin/users/([0-9a-f-]{36})")
        .unwrap()
        .captures(&users.text)
        .unwrap()[1]
        .to_owned();
    let page = admin.get(&format!("/auth/admin/users/{id}")).await.ok();
    let csrf = hidden(&page, "csrf");
    let at = |what: &str| format!("/auth/admin/users/{id}/{what}");
    let done = |what: &str| format!("/auth/admin/users/{id}?done={what}");
    leads_to(
        &admin
            .form(
                &at("ban"),
                &[("csrf", &csrf), ("reason", "spam"), ("until", "2027-01-01")],
            )
            .await,
        &done("ban"),
    );
    bob.try_sign_in(&bob.password)
        .await
        .refused(403, "BANNED_USER");
    leads_to(
        &admin.form(&at("unban"), &[("csrf", &csrf)]).await,
        &done("unban"),
    );
    let browser = bob.browser().await;
    leads_to(
        &admin
            .form(&at("sessions/end-all"), &[("csrf", &csrf)])
            .await,
        &done("sessions"),
    );
    browser
        .get("/api/auth/session")
        .await
        .refused(401, "UNAUTHORIZED");
    assert_eq!(
        admin
            .form(&at("role"), &[("csrf", &csrf), ("role", "unknown")])
            .await
            .status,
        400
    );
    leads_to(
        &admin
            .form(
                &at("role"),
                &[("csrf", &csrf), ("role-user", "yes"), ("role-admin", "yes")],
            )
            .await,
        &done("role"),
    );
    let keys = admin.get("/auth/admin/keys").await.ok();
    let rotate = [
        ("csrf", csrf.as_str()),
        ("active", &hidden(&keys, "active")),
    ];
    assert_eq!(
        admin.form("/auth/admin/keys/rotate", &rotate).await.status,
        409,
        "the standby is too young"
    );
    app.after(minutes(120));
    leads_to(
        &admin.form("/auth/admin/keys/rotate", &rotate).await,
        "/auth/admin/keys?done=rotated",
    );
    assert_eq!(
        admin.form("/auth/admin/keys/rotate", &rotate).await.status,
        409,
        "twice is once"
    );
    assert!(
        admin
            .get("/auth/admin/audit?kind=user.")
            .await
            .ok()
            .text
            .contains("user.banned")
    );
    app.after(minutes(25 * 60));
    let stale = admin.form(&at("unban"), &[("csrf", &csrf)]).await;
    assert!(
        stale.status == 403 && stale.text.contains("/auth/step-up?max_age=86400"),
        "{}",
        stale.text
    );
    admin.get("/auth/admin/users").await.ok();
}

#[tokio::test]
async fn errors_are_pages_too_and_in_the_readers_language() {
    let app = TestApp::start().await;
    let get = async |path: &str, languages: &str| {
        app.send(
            Request::get(path)
                .header("accept-language", languages)
                .body(Body::empty())
                .unwrap(),
        )
        .await
    };
    let nowhere = get("/auth/nowhere", "de-CH, en;q=0.5").await;
    assert!(
        nowhere.status == 404
            && nowhere.text.contains(r#"<html lang="de">"#)
            && nowhere.text.contains("Seite nicht gefunden")
    );
    assert!(
        get("/auth/sign-in", "ja, es;q=0.3")
            .await
            .text
            .contains("Iniciar sesión")
    );
    for odd in ["", "*", ";;;q=x", "tlh", &"de,".repeat(200)] {
        assert!(
            get("/auth/sign-in", odd)
                .await
                .ok()
                .text
                .contains(r#"<html lang="en">"#),
            "{odd}"
        );
    }
    assert_eq!(app.form("/auth/account", "").await.status, 405);
    assert_eq!(
        app.form("/auth/sign-in", &"x".repeat(70_000)).await.status,
        413
    );
    assert!(
        get("/auth/reset-password?token=nonsense", "en")
            .await
            .text
            .contains("This link has expired or has already been used.")
    );
    assert_eq!(
        app.post("/auth/sign-in", &json!({ "email": 1 }))
            .await
            .status,
        400
    );
    app.get("/auth/assets/nothing.css")
        .await
        .refused(404, "NOT_FOUND");
    app.get("/auth/assets/%ff").await.refused(404, "NOT_FOUND");
    app.form("/auth/assets/icon.svg", "")
        .await
        .refused(405, "METHOD_NOT_ALLOWED");
    let page = app.get("/auth/sign-in").await;
    let assets = regex::Regex::new(r#"(?:href|src)="(/auth/assets/[^"]+)""#).unwrap();
    let found: Vec<String> = assets
        .captures_iter(&page.text)
        .map(|c| c[1].to_owned())
        .collect();
    assert_eq!(found.len(), 5);
    for path in found {
        app.get(&path).await.ok();
    }
}

#[tokio::test]
async fn too_many_attempts_are_a_page_with_the_time_to_wait() {
    let app = TestApp::with(&[("rate_limits.sign_in", "5/15m")]).await;
    let ana = app.user("ana").await;
    let fields = [("email", ana.email.as_str()), ("password", &ana.password)];
    let accepted = Browser::new(&app).form("/auth/sign-in", &fields).await;
    assert_eq!(accepted.status, 303, "{}", accepted.text);
    let browser = Browser::new(&app);
    let mut last = None;
    for _ in 0..8 {
        last = Some(
            browser
                .form(
                    "/auth/sign-in",
                    &[("email", &ana.email), ("password", "wrong")],
                )
                .await,
        );
    }
    let last = last.unwrap();
    assert_eq!(last.status, 429);
    assert!(
        last.headers.contains_key("retry-after")
            && last.text.contains("data-wait=")
            && last.text.contains("Too many attempts"),
        "{}",
        last.text
    );
}

#[tokio::test]
async fn pages_that_are_turned_off_are_not_there() {
    let app = TestApp::with(&[("pages.enabled", "false")]).await;
    for path in ["/", "/auth", "/auth/sign-in"] {
        app.get(path).await.refused(404, "NOT_FOUND");
    }
    let error = app.get("/api/auth/error?error=X").await.ok().text;
    assert!(
        error.contains("/auth/assets/") && !error.contains("<a href=\"/auth"),
        "nothing leads to a page that is not there"
    );
}

#[tokio::test]
async fn a_user_who_only_opens_pages_stays_signed_in() {
    let app = TestApp::start().await;
    let browser = app.user("ana").await.browser().await;
    for path in ["/auth/sign-in", "/auth/account", "/auth/nowhere"] {
        app.after(minutes(25 * 60));
        let answer = browser.get(path).await;
        let renewed = answer.cookies().iter().any(|line| {
            line.starts_with(&format!("{SESSION_COOKIE}=")) && line.contains("Max-Age=1209600")
        });
        assert_eq!(renewed, path != "/auth/nowhere", "{path}");
    }
}

#[tokio::test]
async fn what_a_link_did_not_do_is_not_told_as_done() {
    let app = TestApp::start().await;
    let browser = app.user("ana").await.browser().await;
    let failed = browser
        .get("/auth/account?done=email&error=INVALID_TOKEN")
        .await
        .ok();
    assert!(
        failed.text.contains("This link is no longer valid.")
            && !failed.text.contains("Your email address has been changed.")
    );
    assert!(
        browser
            .get("/auth/account?done=email")
            .await
            .ok()
            .text
            .contains("Your email address has been changed.")
    );
    assert!(
        !browser
            .get("/auth/account?done=%3Cb%3E")
            .await
            .ok()
            .text
            .contains("role=\"status\"")
    );
}

#[tokio::test]
async fn the_console_shows_each_what_the_roles_allow() {
    let app = TestApp::with(&[
        ("roles.auditor", "audit:list"),
        ("roles.clerk", "user:list,user:get"),
    ])
    .await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    app.db_execute("UPDATE users SET role = 'auditor', version = version + 1, name = 'Jane Smith' WHERE email = 'ana@example.com'").await.unwrap();
    app.db_execute("UPDATE users SET role = 'clerk', version = version + 1, email = 'smith@example.com' WHERE email = 'bob@example.com'").await.unwrap();
    let auditor = ana.browser().await;
    leads_to(&auditor.get("/auth/admin").await, "/auth/admin/audit");
    let page = auditor.get("/auth/admin/audit").await.ok();
    assert!(!page.text.contains("/auth/admin/users") && !page.text.contains("/auth/admin/keys"));
    for path in ["/auth/admin/users", "/auth/admin/keys"] {
        assert_eq!(auditor.get(path).await.status, 403, "{path}");
    }
    let clerk = Browser::new(&app);
    clerk
        .post(
            "/api/auth/sign-in/email",
            &json!({ "email": "smith@example.com", "password": bob.password }),
        )
        .await
        .ok();
    let found = clerk.get("/auth/admin/users?q=smith").await.ok();
    assert!(
        found.text.contains("1–2 of 2 users")
            && found.text.contains("Jane Smith")
            && found.text.contains("smith@example.com"),
        "{}",
        found.text
    );
    let id = regex::Regex::new(r"/auth/admin/users/([0-9a-f-]{36})")
        .unwrap()
        .captures(&found.text)
        .unwrap()[1]
        .to_owned();
    let user = clerk.get(&format!("/auth/admin/users/{id}")).await.ok();
    for control in ["/role", "/ban", "/sessions/end"] {
        assert!(
            !user.text.contains(&format!("{id}{control}")),
            "{control} would only be refused"
        );
    }
    let csrf = hidden(&user, "csrf");
    for control in ["role", "ban", "unban", "sessions/end-all"] {
        let refused = clerk
            .form(
                &format!("/auth/admin/users/{id}/{control}"),
                &[("csrf", &csrf), ("role", "admin")],
            )
            .await;
        assert_eq!(refused.status, 403, "{control}");
    }
}

#[tokio::test]
async fn the_way_on_is_not_lost_in_a_mailbox() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [
        ("mail.transport", "file"),
        ("mail.dir", dir.path().to_str().unwrap()),
        ("server.trusted_origins", "https://app.example.com"),
    ];
    let app = TestApp::with(&settings).await;
    let browser = Browser::new(&app);
    let page = browser
        .get("/auth/sign-in?redirect_to=https%3A%2F%2Fapp.example.com%2Fx")
        .await
        .ok();
    assert!(
        page.text
            .contains("/auth/forgot-password?redirect_to=https%3A%2F%2Fapp.example.com%2Fx")
    );
    let done = browser
        .get("/auth/verify-email?done=verified&redirect_to=https%3A%2F%2Fapp.example.com%2Fx")
        .await
        .ok();
    assert!(
        done.text
            .contains(r#"href="/auth/sign-in?redirect_to=https%3A%2F%2Fapp.example.com%2Fx""#),
        "{}",
        done.text
    );
    assert_eq!(
        browser
            .get("/auth/verify-email?done=verified&redirect_to=https%3A%2F%2Fevil.example")
            .await
            .status,
        403
    );
}
