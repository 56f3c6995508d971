//! Issuers that post their answer: whose forms are taken, and how the callback comes by the cookies that a
//! browser keeps back from the form of another site.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use url::Url;

use super::mail::verified;
use super::pages::hidden;
use super::upstream::{Place, SIGN_IN, ana, posting_provider, posts, who};
use crate::support::issuer::{Callback, Issuer};
use crate::support::{Answer, Browser, SESSION_COOKIE, TestApp, minutes};

const BACK: &str = "/api/auth/callback/acme";
const FORM: (&str, &str) = ("upstream.acme.response_mode", "form_post");
const MARK: (&str, &str) = ("sentFromHere", "yes");

/// The browser goes to the issuer, where the user signs in.
async fn away(browser: &Browser, issuer: &Issuer, path: &str) -> Callback {
    let body =
        json!({ "provider": "acme", "callbackURL": "/welcome", "errorCallbackURL": "/sorry" });
    let begun = browser.post(path, &body).await.ok();
    issuer.authorize(&begun.str("url"), ana())
}

/// The page of the issuer posts its answer.
async fn back(browser: &Browser, issuer: &Issuer, callback: &Callback) -> Answer {
    let fields = [
        ("code", callback.code.as_str()),
        ("state", callback.state.as_str()),
    ];
    let page = format!("{}/page", issuer.url());
    browser.on(&page).form(BACK, &fields).await
}

/// The page of this service posts the same fields.
async fn again(browser: &Browser, page: &Answer) -> Answer {
    let (code, state) = (hidden(page, "code"), hidden(page, "state"));
    let fields = [("code", code.as_str()), ("state", state.as_str()), MARK];
    browser.form(BACK, &fields).await
}

#[track_caller]
fn led(answer: &Answer, to: &str) {
    let seen = (answer.status.as_u16(), answer.header("location"));
    assert_eq!(seen, (303, to), "{}", answer.text);
}

#[track_caller]
fn asked(answer: &Answer) {
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    assert_eq!(hidden(answer, MARK.0), MARK.1);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.cookies().is_empty(), "{:?}", answer.cookies());
}

async fn sessions(app: &TestApp) -> i64 {
    let sql = "SELECT COUNT(*) FROM sessions WHERE revoked_at IS NULL";
    app.db_number(sql).await
}

#[tokio::test]
async fn a_form_of_the_issuer_is_posted_again_from_here_with_all_cookies() {
    for pages in ["true", "false"] {
        let place = Place::with(&[FORM, ("pages.enabled", pages)]).await;
        let (app, issuer) = (&place.app, &place.issuer);
        let browser = Browser::new(app);
        for signed_in in 0..2 {
            let callback = away(&browser, issuer, SIGN_IN).await;
            let page = back(&browser, issuer, &callback).await;
            asked(&page);
            assert!(page.text.contains("Back from acme"), "{}", page.text);
            assert!(page.text.contains("data-post-now") && page.text.contains("Continue"));
            assert!(!page.text.contains("action="), "it goes to its own URL");
            assert_eq!(
                issuer.times_asked("/token"),
                signed_in,
                "nothing is used up"
            );
            led(&again(&browser, &page).await, "/welcome");
            // The session of before has ended.
            assert_eq!(sessions(app).await, 1);
            led(
                &again(&browser, &page).await,
                "/api/auth/error?error=state_mismatch",
            );
        }
        assert_eq!(who(&browser).await.as_deref(), Some("ana@example.com"));
        assert_eq!(app.db_count_events("session.created").await, 2);
    }
}

#[tokio::test]
async fn the_page_may_lead_to_where_the_sign_in_leads_and_shows_texts_as_texts() {
    let trusted = ("server.trusted_origins", "https://app.example.com");
    let place = Place::with(&[FORM, trusted]).await;
    let browser = Browser::new(&place.app);
    let body = json!({ "provider": "acme", "callbackURL": "https://app.example.com/in" });
    let begun = browser.post(SIGN_IN, &body).await.ok();
    let callback = place.issuer.authorize(&begun.str("url"), ana());
    let page = back(&browser, &place.issuer, &callback).await;
    asked(&page);
    let policy = page.header("content-security-policy").to_owned();
    let leads = "form-action 'self' https://app.example.com";
    assert!(policy.ends_with(leads), "{policy}");
    led(&again(&browser, &page).await, "https://app.example.com/in");
    // Without a state that opens it leads nowhere, and what was sent is no markup.
    let request = Request::post(BACK)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", "https://evil.example")
        .header("sec-fetch-site", "cross-site")
        .body(Body::from(
            "state=x&code=%22%3E%3Cscript%3E&error=%3Cb%3E&user=%7B%7D",
        ));
    let page = place.app.send(request.unwrap()).await;
    asked(&page);
    assert!(!page.text.contains("<b>") && !page.text.contains("<script>"));
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.ends_with("form-action 'self'"), "{policy}");
    for (name, value) in [("error", "&#60;b&#62;"), ("user", "{}")] {
        assert_eq!(hidden(&page, name), value);
    }
    assert!(!page.text.contains("name=\"iss\""));
}

#[tokio::test]
async fn a_remembered_device_and_a_signed_in_user_are_known_when_the_form_comes_again() {
    let issuer = Issuer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    let mail = [("mail.transport", "file"), ("mail.dir", path.as_str())];
    let domains = ("upstream.acme.domains", "example.com");
    let app = posting_provider(&issuer, &[mail[0], mail[1], domains]).await;
    let user = verified(&app, dir.path(), "ana").await;
    // A link: the callback sees that it is the user's own.
    let browser = user.browser().await;
    let callback = away(&browser, &issuer, "/api/auth/link-social").await;
    let page = back(&browser, &issuer, &callback).await;
    asked(&page);
    let other = verified(&app, dir.path(), "ben").await.browser().await;
    led(
        &again(&other, &page).await,
        "/api/auth/error?error=state_mismatch",
    );
    led(&again(&browser, &page).await, "/welcome");
    // A second step, and a device that is remembered.
    let phone = user.enrols().await;
    app.after(minutes(1));
    for _ in 0..2 {
        let callback = away(&browser, &issuer, SIGN_IN).await;
        let page = back(&browser, &issuer, &callback).await;
        let answer = again(&browser, &page).await;
        if answer.header("location") == "/welcome" {
            assert!(who(&browser).await.is_some());
            return;
        }
        led(&answer, "/auth/challenge?redirect_to=%2Fwelcome");
        let body = json!({ "code": phone.code(&app, 0), "trustDevice": true });
        let verify = "/api/auth/two-factor/verify-totp";
        browser.post(verify, &body).await.ok();
    }
    panic!("a remembered device was asked again");
}

#[tokio::test]
async fn a_form_is_sent_again_once_and_only_where_cookies_are_missing() {
    let place = Place::with(&[FORM]).await;
    let (app, issuer) = (&place.app, &place.issuer);
    let lax = "better-auth.session_token=x";
    for (site, cookies, mark, is_asked) in [
        (Some("cross-site"), "", "", true),
        (Some("cross-site"), lax, "", true),
        (Some("cross-site"), "", "&sentFromHere=yes", false),
        (Some("same-site"), "", "", false),
        (Some("same-origin"), "", "", false),
        (Some("none"), "", "", false),
        (None, "", "", true),
        (None, "", "&sentFromHere=yes", false),
        (None, lax, "", false),
    ] {
        let body = json!({ "provider": "acme", "callbackURL": "/welcome" });
        let begun = app.post(SIGN_IN, &body).await.ok();
        let callback = issuer.authorize(&begun.str("url"), ana());
        let lines = begun.cookies();
        let line = lines.iter().find(|line| line.contains(".upstream."));
        let state = line.unwrap().split(';').next().unwrap();
        let mut request = Request::post(BACK)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", issuer.url())
            .header("cookie", format!("{state}; {cookies}"));
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        let form = format!("{}{mark}", callback.query());
        let answer = app.send(request.body(Body::from(form)).unwrap()).await;
        let about = format!("{site:?} {cookies} {mark}");
        if is_asked {
            asked(&answer);
        } else {
            assert_eq!(answer.header("location"), "/welcome", "{about}");
            let is_session = |line: &String| line.starts_with(SESSION_COOKIE);
            assert!(answer.cookies().iter().any(is_session), "{about}");
        }
    }
    // Without the state of a sign-in there is nothing that cookies could add.
    let answer = posts(app, BACK, issuer.url(), "", "state=x&code=y".into()).await;
    led(&answer, "/api/auth/error?error=state_mismatch");
}

#[tokio::test]
async fn only_an_issuer_that_posts_its_answer_may_send_a_form() {
    let place = Place::with(&[("upstream.other.response_mode", "form_post")]).await;
    let app = &place.app;
    let asks = |id: &str| json!({ "provider": id });
    let begun = app.post(SIGN_IN, &asks("other")).await.ok();
    let url: Url = begun.str("url").parse().unwrap();
    let mode = url.query_pairs().find(|(name, _)| name == "response_mode");
    assert_eq!(mode.unwrap().1, "form_post");
    let line = begun.cookies().join("\n");
    assert!(
        line.contains("SameSite=None") && line.contains("Secure"),
        "{line}"
    );
    let begun = app.post(SIGN_IN, &asks("acme")).await.ok();
    assert!(!begun.str("url").contains("response_mode"));
    for origin in [place.issuer.url(), "null", "https://evil.example"] {
        for (id, status) in [
            ("acme", 403),
            ("github", 403),
            ("unknown", 403),
            ("other", 303),
        ] {
            let path = format!("/api/auth/callback/{id}");
            let answer = posts(app, &path, origin, "", "state=x&code=y".into()).await;
            let seen = answer.status.as_u16();
            assert_eq!(seen, status, "{id} {origin} {}", answer.text);
        }
    }
    // From the pages of this service a form is taken for each of them.
    let own = "http://localhost:4000";
    let answer = posts(app, BACK, own, "", "state=x&code=y".into()).await;
    led(&answer, "/api/auth/error?error=state_mismatch");
}
