//! The pages of other issuers, as a browser without script sees them: the buttons of the sign-in page,
//! the page that leads on, the errors, and the connected accounts of a user.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use countersign::crypto::upstream_state::{Linker, UnconfirmedLink, Urls};
use countersign::flows::federation::refused::Refused;
use countersign::model::federation::pending_link::PendingLink;
use regex::Regex;

use super::pages::{hidden, leads_to};
use crate::support::{Answer, Browser, TestApp, User, minutes};

const SECURITY: &str = "/auth/account/security";
const CONNECT: &str = "/auth/account/connections/connect";
const DISCONNECT: &str = "/auth/account/connections/disconnect";

/// Providers whose pages are known without a request.
const GITHUB: [(&str, &str); 2] = [
    ("upstream.github.client_id", "the-client"),
    ("upstream.github.client_secret", "the-secret"),
];

/// The settings of GitHub, and further ones.
fn with_github<'s>(more: &[(&'s str, &'s str)]) -> Vec<(&'s str, &'s str)> {
    [&GITHUB[..], more].concat()
}

/// The texts of the buttons of the providers, with the provider that each names.
fn buttons(page: &Answer, action: &str) -> Vec<(String, String)> {
    let form = Regex::new(&format!(
        r#"(?s)<form method="post" action="{action}" id="[^"]*">(.*?)</form>"#
    ))
    .unwrap();
    let provider = Regex::new(r#"name="provider" value="([^"]*)""#).unwrap();
    let text = Regex::new("<span>([^<]*)</span></button>").unwrap();
    form.captures_iter(&page.text)
        .map(|found| {
            let id = provider.captures(&found[1]).unwrap()[1].to_owned();
            (id, text.captures(&found[1]).unwrap()[1].to_owned())
        })
        .collect()
}

/// The page in this language.
async fn read_in(app: &TestApp, path: &str, language: &str) -> Answer {
    let request = Request::get(path)
        .header("accept-language", language)
        .body(Body::empty())
        .unwrap();
    app.send(request).await
}

/// Connects an account to a user, as a sign-in there would.
async fn linked(user: &User, number: u8, provider: &str, email: Option<&str>) -> String {
    let id = format!("0193c5a0-0000-7000-8000-0000000000{number:02}");
    let email = email.map_or("NULL".to_owned(), |email| format!("'{email}'"));
    let now = user.app.app.now().0;
    let sql = format!(
        "INSERT INTO accounts (id, user_id, provider_id, account_id, issuer, email, scopes, created_at, updated_at)
         SELECT '{id}', id, '{provider}', 'subject-{number}', 'https://github.com', {email}, '', {now}, {now}
           FROM users WHERE email = '{}'",
        user.email
    );
    user.app.db_script(&sql).await;
    id
}

/// Sends a form of the page of security.
async fn change(browser: &Browser, action: &str, field: (&str, &str)) -> Answer {
    let csrf = hidden(&browser.get(SECURITY).await.ok(), "csrf");
    browser.form(action, &[("csrf", &csrf), field]).await
}

/// The section of the connected accounts; `None` if the page has none.
fn section(page: &Answer) -> Option<String> {
    let (_, section) = page
        .text
        .split_once(r#"<section class="part" id="connections">"#)?;
    Some(section.split("</section>").next().unwrap().to_owned())
}

/// What the section says about a form that was refused.
fn told(page: &Answer) -> Vec<String> {
    let said = Regex::new(r#"<div class="said bad" role="alert"[^>]*>([^<]*)<"#).unwrap();
    let section = section(page).unwrap();
    said.captures_iter(&section)
        .map(|found| found[1].to_owned())
        .collect()
}

#[tokio::test]
async fn each_provider_has_a_button_in_the_order_of_the_settings() {
    let app = TestApp::with(&with_github(&[
        ("upstream.acme.kind", "oidc"),
        ("upstream.acme.issuer", "https://id.acme.example"),
        ("upstream.acme.client_id", "another-client"),
        ("upstream.acme.client_secret", "another-secret"),
        ("upstream.acme.name", "<b>Acme</b> & Co"),
        ("upstream.acme.sign_up", "false"),
    ]))
    .await;
    let order: Vec<_> = app
        .app
        .config
        .upstream
        .iter()
        .map(|p| p.id.to_string())
        .collect();
    assert_eq!(order.len(), 2);
    for (language, with) in [
        ("en", ["Continue with ", ""]),
        ("de", ["Mit ", " fortfahren"]),
        ("es", ["Continuar con ", ""]),
    ] {
        let named = |name: &str| format!("{}{name}{}", with[0], with[1]);
        let text = BTreeMap::from([
            ("github", named("GitHub")),
            ("acme", named("&#60;b&#62;Acme&#60;/b&#62; &#38; Co")),
        ]);
        let expected: Vec<_> = order
            .iter()
            .map(|id| (id.clone(), text[id.as_str()].clone()))
            .collect();
        let page = read_in(&app, "/auth/sign-in?redirect_to=%2Fdash", language)
            .await
            .ok();
        assert_eq!(buttons(&page, "/auth/sign-in/with"), expected);
        assert_eq!(page.text.matches(r#"<svg class="mark""#).count(), 2);
        assert!(!page.text.contains("<b>Acme"), "{}", page.text);
        // An account is not made by a provider that must not make one.
        let page = read_in(&app, "/auth/sign-up", language).await.ok();
        let expected = [("github".to_owned(), named("GitHub"))];
        assert_eq!(buttons(&page, "/auth/sign-in/with"), expected);
        assert_eq!(hidden(&page, "sign_up"), "yes");
    }
    // A form that was refused still has them, and where the sign-in leads.
    let refused = app.form("/auth/sign-in", "email=a&redirect_to=/dash").await;
    assert_eq!(buttons(&refused, "/auth/sign-in/with").len(), 2);
    assert_eq!(
        refused
            .text
            .matches(r#"name="redirect_to" value="/dash""#)
            .count(),
        3
    );

    // A user who proves again who is there is not asked to be another one.
    let browser = app.user("ana").await.browser().await;
    let again = browser.get("/auth/sign-in?again=1").await.ok();
    assert!(buttons(&again, "/auth/sign-in/with").is_empty());

    let closed = TestApp::with(&with_github(&[("sign_up.enabled", "false")])).await;
    assert_eq!(closed.get("/auth/sign-up").await.status, 400);
    let page = closed.get("/auth/sign-in").await.ok();
    assert_eq!(buttons(&page, "/auth/sign-in/with").len(), 1);
}

#[tokio::test]
async fn without_providers_the_pages_say_nothing_of_them() {
    let app = TestApp::start().await;
    for path in ["/auth/sign-in", "/auth/sign-up"] {
        let page = app.get(path).await.ok();
        for part in ["class=\"either\"", "providers", "/auth/sign-in/with"] {
            assert!(!page.text.contains(part), "{path} {part}");
        }
    }
    let ana = app.user("ana").await;
    let browser = ana.browser().await;
    for path in ["/auth/account", SECURITY] {
        let page = browser.get(path).await.ok();
        assert!(!page.text.contains("onnected accounts"), "{path}");
    }
    let form = [("provider", "github")];
    let refused = browser.form("/auth/sign-in/with", &form).await;
    assert_eq!(refused.status, 404);
    assert!(
        refused
            .text
            .contains("This way to sign in is not available here.")
    );
    // An account that was connected before is still listed, and can be disconnected.
    let id = linked(&ana, 1, "github", None).await;
    let page = browser.get(SECURITY).await.ok();
    let shown = section(&page).unwrap();
    assert!(shown.contains("<bdi>github</bdi>"), "{shown}");
    assert!(shown.contains("Signing in with it is not available at present."));
    assert!(buttons(&page, CONNECT).is_empty());
    let gone = change(&browser, DISCONNECT, ("id", &id)).await;
    leads_to(&gone, "/auth/account/security?done=disconnected");
}

#[tokio::test]
async fn a_button_leads_on_by_a_page_that_keeps_its_policy() {
    let app = TestApp::with(&GITHUB).await;
    let browser = Browser::new(&app);
    let page = browser
        .follow("/auth/sign-in?redirect_to=%2Fdash")
        .await
        .ok();
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.ends_with("form-action 'self'"), "{policy}");
    let form = [("provider", "github"), ("redirect_to", "/dash")];
    let led = browser.form("/auth/sign-in/with", &form).await.ok();
    assert_eq!(led.header("content-security-policy"), policy);
    assert_eq!(led.header("cache-control"), "no-store");
    let refresh = Regex::new(r#"<meta http-equiv="refresh" content="0;url=([^"]*)">"#).unwrap();
    let url = refresh.captures(&led.text).unwrap()[1].to_owned();
    assert!(
        led.text.contains(&format!(
            r#"<a class="button full" href="{url}">Continue to GitHub</a>"#
        )),
        "{}",
        led.text
    );
    let url: url::Url = url.replace("&#38;", "&").parse().unwrap();
    assert!(
        url.as_str()
            .starts_with("https://github.com/login/oauth/authorize?"),
        "{url}"
    );
    let asked: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(asked["client_id"], "the-client");
    let cookies = led.cookies();
    let state = format!("upstream.{}", &asked["state"][..8]);
    assert!(
        cookies.len() == 1 && cookies[0].contains(&state) && cookies[0].contains("HttpOnly"),
        "{cookies:?}"
    );
    assert!(!led.text.contains("the-secret"));

    // A target that is not trusted is refused, and no sign-in begins.
    let form = [
        ("provider", "github"),
        ("redirect_to", "https://evil.example/"),
    ];
    let refused = browser.form("/auth/sign-in/with", &form).await;
    assert_eq!((refused.status.as_u16(), refused.cookies().len()), (403, 0));
    leads_to(&browser.get("/auth/sign-in/with").await, "/auth/sign-in");
}

#[tokio::test]
async fn every_word_of_a_refused_answer_has_a_text_in_every_language() {
    let app = TestApp::with(&GITHUB).await;
    for language in ["en", "de", "es"] {
        let json = std::fs::read_to_string(format!("templates/words/{language}.json")).unwrap();
        let texts: BTreeMap<String, String> = serde_json::from_str(&json).unwrap();
        for word in Refused::ALL.iter().map(|refused| refused.as_str()) {
            let text = texts.get(&format!("upstream_refused.{word}"));
            let text = text.unwrap_or_else(|| panic!("{language}: no text for {word}"));
            let page = read_in(&app, &format!("/auth/error?error={word}"), language).await;
            assert!(
                page.status == 200
                    && page.text.contains(text.as_str())
                    && page.text.contains(&format!("<code>{word}</code>")),
                "{language} {word}: {}",
                page.text
            );
        }
    }
    // The API's own page says the same.
    let page = app.get("/api/auth/error?error=access_denied").await.ok();
    assert!(
        page.text
            .contains("The sign-in at the other service was cancelled or refused.")
    );
}

#[tokio::test]
async fn the_page_of_an_error_leads_on_and_repeats_nothing_of_the_request() {
    let app = TestApp::with(&GITHUB).await;
    let page = app
        .get("/auth/error?redirect_to=%2Fdash&error=access_denied&error_description=%3Cb%3EHi")
        .await
        .ok();
    assert!(
        page.text
            .contains(r#"href="/auth/sign-in?redirect_to=%2Fdash""#)
    );
    assert!(!page.text.contains("Hi"));
    let page = app
        .get("/auth/error?error=account_already_linked_to_different_user")
        .await
        .ok();
    assert!(page.text.contains("The account was not connected"));
    assert!(page.text.contains(r#"href="/auth/account/security""#));
    for unknown in [
        "call_0800_123",
        "TITLE",
        "%3Cscript%3E",
        "Access_Denied",
        "",
    ] {
        let page = app
            .get(&format!(
                "/auth/error?error={unknown}&redirect_to=https://evil.example"
            ))
            .await
            .ok();
        assert!(
            page.text.contains("The link could not be used.")
                && page.text.contains("<code>UNKNOWN</code>"),
            "{unknown}: {}",
            page.text
        );
        for part in ["0800", "<script>", "evil.example", "TITLE"] {
            assert!(!page.text.contains(part), "{unknown} {part}");
        }
    }
}

#[tokio::test]
async fn connected_accounts_are_listed_and_disconnected() {
    let app = TestApp::with(&GITHUB).await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let browser = ana.browser().await;
    assert!(
        browser
            .get("/auth/account")
            .await
            .ok()
            .text
            .contains(r#"href="/auth/account/security#connections""#)
    );
    let page = browser.get(SECURITY).await.ok();
    assert!(
        section(&page)
            .unwrap()
            .contains("No account is connected yet.")
    );
    assert_eq!(
        buttons(&page, CONNECT),
        [("github".to_owned(), "Connect GitHub".to_owned())]
    );

    let first = linked(&ana, 1, "github", Some("<i>eve</i>@example.org")).await;
    linked(&ana, 2, "github", None).await;
    let foreign = linked(&bob, 3, "github", Some("bob@example.org")).await;
    let now = app.app.now().0;
    app.db_script(&format!(
        "UPDATE accounts SET last_used_at = {now} WHERE id = '{first}'"
    ))
    .await;
    let shown = section(&browser.get(SECURITY).await.ok()).unwrap();
    for (text, times) in [
        ("<strong><bdi>GitHub</bdi></strong>", 2),
        ("<bdi>&#60;i&#62;eve&#60;/i&#62;@example.org</bdi>", 1),
        ("Connected: <time datetime=", 2),
        ("Last used: <time datetime=", 1),
        ("Last used: not yet", 1),
        ("bob@example.org", 0),
        ("<i>", 0),
        ("subject-", 0),
    ] {
        assert_eq!(shown.matches(text).count(), times, "{text}: {shown}");
    }
    for id in [foreign.as_str(), "x"] {
        let refused = change(&browser, DISCONNECT, ("id", id)).await;
        assert_eq!(refused.status, 400, "{id}");
        let text =
            "This account is not connected. It may have been disconnected in another window.";
        assert_eq!(told(&refused), [text]);
    }
    let stale = browser
        .form(DISCONNECT, &[("csrf", "x"), ("id", &first)])
        .await;
    assert_eq!(stale.status, 403);
    assert!(told(&stale)[0].starts_with("This form was out of date"));
    let gone = change(&browser, DISCONNECT, ("id", &first)).await;
    leads_to(&gone, "/auth/account/security?done=disconnected");
    let page = browser.get(gone.header("location")).await.ok();
    assert!(page.text.contains("The account has been disconnected."));
    assert!(!section(&page).unwrap().contains("eve"));
}

#[tokio::test]
async fn the_last_way_to_sign_in_is_not_disconnected() {
    let app = TestApp::with(&with_github(&[("sign_in.by_mail", "false")])).await;
    let ana = app.user("ana").await;
    let browser = ana.browser().await;
    let (first, last) = (
        linked(&ana, 1, "github", None).await,
        linked(&ana, 2, "github", None).await,
    );
    app.db_script("DELETE FROM accounts WHERE provider_id = 'credential'")
        .await;
    leads_to(
        &change(&browser, DISCONNECT, ("id", &first)).await,
        "/auth/account/security?done=disconnected",
    );
    let refused = change(&browser, DISCONNECT, ("id", &last)).await;
    assert_eq!(refused.status, 400);
    let text = "This account is your only way to sign in. Set a password or add a passkey before you disconnect it.";
    assert_eq!(told(&refused), [text]);
    assert!(section(&refused).unwrap().contains("disconnect-1"));
}

#[tokio::test]
async fn a_session_that_is_not_fresh_proves_again_who_is_there_first() {
    let app = TestApp::with(&GITHUB).await;
    let ana = app.user("ana").await;
    let browser = ana.browser().await;
    let id = linked(&ana, 1, "github", None).await;
    let led = change(&browser, CONNECT, ("provider", "github")).await.ok();
    assert!(
        led.text
            .contains("https://github.com/login/oauth/authorize?")
    );
    assert!(led.cookies().iter().any(|line| line.contains("upstream.")));

    app.after(minutes(11));
    let page = browser.get(SECURITY).await.ok();
    let shown = section(&page).unwrap();
    assert!(buttons(&page, CONNECT).is_empty() && !shown.contains(DISCONNECT));
    let way = r#"href="/auth/step-up?max_age=600&#38;redirect_to=%2Fauth%2Faccount%2Fsecurity""#;
    assert!(shown.contains(way), "{shown}");
    for (action, field) in [
        (CONNECT, ("provider", "github")),
        (DISCONNECT, ("id", &*id)),
    ] {
        let late = change(&browser, action, field).await;
        assert_eq!(late.status, 403, "{action}");
        assert!(told(&late)[0].starts_with("You confirmed that it is you too long ago"));
        assert!(section(&late).unwrap().contains(way));
    }
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM accounts WHERE provider_id = 'github'")
            .await,
        1
    );
}

#[tokio::test]
async fn what_a_provider_came_back_with_is_told_where_it_was_begun() {
    let app = TestApp::with(&GITHUB).await;
    let browser = app.user("ana").await.browser().await;
    let done = browser
        .get("/auth/account/security?done=connected")
        .await
        .ok();
    assert!(done.text.contains("The account has been connected."));
    for (word, text) in [
        (
            "email_does_not_match",
            "a different email address from your account here",
        ),
        ("access_denied", "was cancelled or refused"),
        (
            "%3Cb%3Ecall%20us",
            "The account was not connected. Please try again.",
        ),
    ] {
        let page = browser
            .get(&format!(
                "/auth/account/security?done=connected&error={word}"
            ))
            .await
            .ok();
        assert!(told(&page).concat().contains(text), "{word}: {}", page.text);
        assert!(!page.text.contains("call us") && !page.text.contains("has been connected"));
    }
    // The question needs what the provider has said; anything else is told plainly.
    for link in ["", "?link=", "?link=nonsense"] {
        let page = browser.get(&format!("/auth/account/connect{link}")).await;
        assert!(
            page.status == 400 && page.text.contains("This request has expired"),
            "{link}: {} {}",
            page.status,
            page.text
        );
        assert!(page.text.contains(r#"href="/auth/account/security""#));
    }
    let csrf = hidden(&browser.get(SECURITY).await.ok(), "csrf");
    let form = [("csrf", csrf.as_str()), ("link", "nonsense")];
    let refused = browser.form("/auth/account/connect", &form).await;
    assert!(refused.status == 400 && refused.text.contains("Nothing has been connected"));
}

/// A question of the service whether an account of GitHub is to be connected to this session's user.
async fn question(app: &TestApp, browser: &Browser, email: &str, done: Option<&str>) -> String {
    let session = browser.get("/api/auth/get-session").await.ok().body;
    let id = |member: &str, name: &str| session[member][name].as_str().unwrap().to_owned();
    let app = &app.app;
    let question = UnconfirmedLink {
        link: PendingLink {
            provider: "github".parse().unwrap(),
            issuer: "https://github.com".into(),
            subject: "the-subject".into(),
            session: None,
            email: Some(email.to_owned()),
            scopes: String::new(),
        },
        linker: Linker {
            user: id("session", "userId").parse().unwrap(),
            session: id("session", "id").parse().unwrap(),
        },
        urls: Urls {
            done: done.map(ToOwned::to_owned),
            ..Urls::default()
        },
        id: email.to_owned(),
        expires_at: app.now() + minutes(10),
    };
    let ring = app.ring().unwrap();
    question.seal(&ring.masters.current().key).unwrap()
}

#[tokio::test]
async fn another_email_address_is_connected_after_a_question_alone() {
    let app = TestApp::with(&with_github(&[(
        "server.trusted_origins",
        "https://app.example.com",
    )]))
    .await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let browser = ana.browser().await;
    let link = question(&app, &browser, "<i>eve</i>@example.org", None).await;
    let page = browser
        .follow(&format!("/auth/account/connect?link={link}"))
        .await
        .ok();
    for part in [
        "Account at GitHub",
        "<strong><bdi>&#60;i&#62;eve&#60;/i&#62;@example.org</bdi></strong>",
        "<strong><bdi>ana@example.com</bdi></strong>",
        "Connect it only if it is yours.",
        "<svg class=\"mark\"",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert!(
        page.header("content-security-policy")
            .ends_with("form-action 'self'")
    );
    assert_eq!(hidden(&page, "link"), link);
    let csrf = hidden(&page, "csrf");
    let answer = async |browser: &Browser, csrf: &str, link: &str| {
        let form = [("csrf", csrf), ("link", link)];
        browser.form("/auth/account/connect", &form).await
    };
    let links = "SELECT COUNT(*) FROM accounts WHERE provider_id = 'github'";

    // Neither a form of another session nor another user's browser connects anything.
    let stale = answer(&browser, "nonsense", &link).await;
    assert_eq!(stale.status, 403);
    assert_eq!(hidden(&stale, "csrf"), csrf);
    let other = bob.browser().await;
    let own = hidden(&other.get("/auth/account").await.ok(), "csrf");
    let foreign = answer(&other, &own, &link).await;
    assert!(foreign.status == 400 && foreign.text.contains("This request has expired"));
    assert_eq!(app.db_number(links).await, 0);

    leads_to(
        &answer(&browser, &csrf, &link).await,
        "/auth/account/security?done=connected",
    );
    assert_eq!(app.db_number(links).await, 1);
    let again = answer(&browser, &csrf, &link).await;
    assert!(again.status == 400 && again.text.contains("This request has expired"));

    // Another user has it already.
    let link = question(&app, &other, "bob@example.org", None).await;
    let taken = answer(&other, &own, &link).await;
    assert!(
        taken.status == 409
            && taken
                .text
                .contains("is already connected to another account"),
        "{}",
        taken.text
    );
    assert_eq!(app.db_number(links).await, 1);

    // The policy of the page lets its form lead to this site alone, so that a page leads on.
    app.db_script("DELETE FROM accounts WHERE provider_id = 'github'")
        .await;
    let done = "https://app.example.com/linked?a=1&b=2";
    let link = question(&app, &browser, "ana@example.org", Some(done)).await;
    let led = answer(&browser, &csrf, &link).await.ok();
    let url = "https://app.example.com/linked?a=1&#38;b=2";
    assert!(
        led.text.contains(&format!(r#"content="0;url={url}""#))
            && led
                .text
                .contains(&format!(r#"href="{url}">Continue to app.example.com</a>"#)),
        "{}",
        led.text
    );

    // Ten minutes are enough to think.
    let link = question(&app, &browser, "late@example.org", None).await;
    app.after(minutes(10));
    let late = browser
        .get(&format!("/auth/account/connect?link={link}"))
        .await;
    assert!(late.status == 400 && late.text.contains("This request has expired"));
}

#[tokio::test]
async fn an_admin_who_acts_as_the_user_connects_nothing() {
    let app = TestApp::with(&GITHUB).await;
    let root = super::admin::made_admin(&app, "root").await;
    let ana = app.user("ana").await;
    linked(&ana, 1, "github", Some("ana@example.org")).await;
    let admin = root.sign_in().await;
    let acting = super::impersonation::act(&app, &admin, &ana).await;
    let page = app
        .send(
            Request::get("/auth/account")
                .header("authorization", format!("Bearer {}", acting.session))
                .body(Body::empty())
                .unwrap(),
        )
        .await
        .ok();
    assert!(page.text.contains("ana@example.com"));
    assert!(!page.text.contains("onnected accounts"));
}
