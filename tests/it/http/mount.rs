//! Behind a proxy that takes a path off, and behind one that leaves it: a browser sees one path
//! everywhere.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use countersign::clock::Clock;
use countersign::flows::mail::deliver_mail::deliver_due;
use serde_json::json;
use tempfile::TempDir;
use tower::ServiceExt;
use url::Url;

use super::mail::posting;
use crate::support::jar::{Initiator, Jar};
use crate::support::{Answer, TestApp};

const HOST: &str = "https://example.com";

/// A browser in front of a proxy: its cookies go where their path says, and it sees what is
/// outside.
struct Outside {
    app: TestApp,
    mails: TempDir,
    strips: bool,
    jar: Jar,
}

impl Outside {
    async fn at(url: &str, strips: bool, extra: &[(&str, &str)]) -> Self {
        let (app, mails) = posting(&[&[("server.public_url", url)][..], extra].concat()).await;
        Self {
            app,
            mails,
            strips,
            jar: Jar::default(),
        }
    }

    /// Sends to a path of the host; what is not below `/id` is another program's.
    async fn send(&mut self, method: &str, path: &str, body: Option<(&str, String)>) -> Answer {
        let inside = path
            .strip_prefix("/id")
            .unwrap_or_else(|| panic!("{path} is another program's"));
        let onward = if self.strips {
            if inside.is_empty() { "/" } else { inside }
        } else {
            path
        };
        let url: Url = format!("{HOST}{path}").parse().unwrap();
        // A page of the service, whose forms and scripts send to it.
        let from = Initiator {
            page: Some(url.clone()),
            navigates: true,
            is_safe: method == "GET",
        };
        let now = self.app.clock.now_ms();
        let sent = self.jar.sent(&url, &from, now);
        let cookies: Vec<String> = sent.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut request = Request::builder()
            .method(method)
            .uri(onward)
            .header("cookie", cookies.join("; "));
        if method == "POST" {
            request = request.header("origin", HOST);
        }
        let body = body.map_or(Body::empty(), |(media, text)| {
            request = std::mem::take(&mut request).header("content-type", media);
            Body::from(text)
        });
        let mut request = request.body(body).unwrap();
        request
            .extensions_mut()
            .insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 4321))));
        let answer = Answer::read(
            countersign::http::router(&self.app.app)
                .oneshot(request)
                .await
                .unwrap(),
        )
        .await;
        for line in answer.cookies() {
            self.jar.take(&line, &url, &from, now).unwrap();
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    async fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let text = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.send(
            "POST",
            path,
            Some(("application/x-www-form-urlencoded", text)),
        )
        .await
    }

    async fn json(&mut self, path: &str, body: serde_json::Value) -> Answer {
        self.send("POST", path, Some(("application/json", body.to_string())))
            .await
    }
}

fn links(page: &Answer) -> BTreeSet<String> {
    let link = regex::Regex::new(r##" (?:href|action|src)="([^"#]+)"##).unwrap();
    link.captures_iter(&page.text)
        .map(|c| c[1].to_owned())
        .collect()
}

#[tokio::test]
async fn below_a_path_every_link_cookie_and_document_has_it() {
    for strips in [true, false] {
        let mut browser = Outside::at("https://example.com/id", strips, &[]).await;
        assert_eq!(
            browser.get("/id/").await.header("location"),
            "/id/auth/account"
        );
        let first = browser.get("/id/auth/account").await;
        assert!(
            first
                .header("location")
                .starts_with("/id/auth/sign-in?redirect_to="),
            "{}",
            first.header("location")
        );
        let mut seen = BTreeSet::new();
        let mut open: Vec<String> = vec![
            first.header("location").to_owned(),
            "/id/auth/sign-up".into(),
            "/id/auth/forgot-password".into(),
            "/id/auth/error?error=X".into(),
        ];
        while let Some(path) = open.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let answer = browser.get(&path).await;
            // The links of all pages are followed: some lead on, some ask for a sign-in, and the page
            // of an error has its status.
            assert!(
                matches!(answer.status.as_u16(), 200 | 303 | 400 | 401),
                "{path}: {} {}",
                answer.status,
                answer.text
            );
            assert!(
                answer.header("location").is_empty()
                    || answer.header("location").starts_with("/id/"),
                "{path} leads to {}",
                answer.header("location")
            );
            for link in links(&answer) {
                assert!(link.starts_with("/id/"), "{path} links to {link}");
                // What a form posts to has a page too.
                open.push(link.replace("&#38;", "&").replace("&amp;", "&"));
            }
        }
        assert!(seen.len() > 8, "{seen:?}");
        let fields = [
            ("name", "Ana"),
            ("email", "ana@example.com"),
            ("password", "a good long password"),
            ("again", "a good long password"),
        ];
        let signed_up = browser.form("/id/auth/sign-up", &fields).await;
        assert_eq!(
            (signed_up.status.as_u16(), signed_up.header("location")),
            (303, "/id/auth/account"),
            "{}",
            signed_up.text
        );
        let goes_to = |path: &str| {
            let url: Url = format!("{HOST}{path}").parse().unwrap();
            let from = Initiator {
                page: Some(url.clone()),
                navigates: false,
                is_safe: true,
            };
            let sent = browser.jar.sent(&url, &from, browser.app.clock.now_ms());
            sent.iter().any(|(name, _)| name.ends_with("refresh_token"))
        };
        assert!(goes_to("/id/api/auth/refresh"));
        for path in ["/id/auth/account", "/api/auth/refresh", "/id/api/authority"] {
            assert!(!goes_to(path), "{path}");
        }
        browser.json("/id/api/auth/refresh", json!({})).await.ok();
        let account = browser.get("/id/auth/account").await.ok();
        assert!(
            links(&account).iter().all(|link| link.starts_with("/id/")),
            "{:?}",
            links(&account)
        );
    }
}

#[tokio::test]
async fn discovery_the_issuer_and_the_links_of_mails_have_the_path() {
    let mut browser = Outside::at("https://example.com/id", true, &[]).await;
    let document = browser
        .get("/id/.well-known/openid-configuration")
        .await
        .ok();
    assert_eq!(document.body["issuer"], "https://example.com/id");
    for endpoint in ["jwks_uri", "token_endpoint", "revocation_endpoint"] {
        assert!(
            document
                .str(endpoint)
                .starts_with("https://example.com/id/api/auth/"),
            "{}",
            document.text
        );
    }
    browser
        .get(document.str("jwks_uri").strip_prefix(HOST).unwrap())
        .await
        .ok();
    let tokens = browser.app.user("ana").await.sign_in().await;
    assert_eq!(
        crate::support::claims(&tokens.access)["iss"],
        "https://example.com/id"
    );
    browser
        .json(
            "/id/api/auth/request-password-reset",
            json!({ "email": "ana@example.com" }),
        )
        .await
        .ok();
    deliver_due(&browser.app.app, || false).await.unwrap();
    let mail = std::fs::read_dir(browser.mails.path())
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let mail = mail
        .map(|raw| raw.replace("=\r\n", "").replace("=3D", "="))
        .find(|raw| raw.contains("/reset-password/"))
        .unwrap();
    let link = regex::Regex::new(r"https://\S+/reset-password/\S+")
        .unwrap()
        .find(&mail)
        .unwrap()
        .as_str()
        .to_owned();
    assert!(
        link.starts_with("https://example.com/id/api/auth/reset-password/"),
        "{link}"
    );
    let opened = browser.get(link.strip_prefix(HOST).unwrap()).await;
    let led = opened.header("location").to_owned();
    assert!(
        led.starts_with("https://example.com/id/auth/reset-password?token="),
        "{led}"
    );
    browser.get(led.strip_prefix(HOST).unwrap()).await.ok();
}

#[tokio::test]
async fn a_place_that_a_client_gave_is_where_a_browser_sees_it() {
    let mut browser = Outside::at("https://example.com/id", true, &[]).await;
    browser.app.user("ana").await;
    let password = "ana's good password";
    for (given, seen) in [
        ("/auth/account", "https://example.com/auth/account"),
        ("/id/auth/account", "/id/auth/account"),
        ("/", "https://example.com/"),
    ] {
        let fields = [
            ("email", "ana@example.com"),
            ("password", password),
            ("redirect_to", given),
        ];
        assert_eq!(
            browser
                .form("/id/auth/sign-in", &fields)
                .await
                .header("location"),
            seen,
            "the form of the page"
        );
        let answer = browser
            .json(
                "/id/api/auth/sign-in/email",
                json!({ "email": "ana@example.com", "password": password, "callbackURL": given }),
            )
            .await
            .ok();
        assert_eq!(
            (answer.header("location"), answer.str("url")),
            (seen, given.to_owned()),
            "Better Auth's client goes to `url`"
        );
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("callbackURL", given)
            .finish();
        let bad_link = browser
            .get(&format!("/id/api/auth/verify-email?token=x&{query}"))
            .await;
        assert!(
            bad_link
                .header("location")
                .starts_with(&format!("{seen}?error=")),
            "{}",
            bad_link.header("location")
        );
    }
    // Who must sign in first comes back to the page that was asked for.
    browser.jar = Jar::default();
    let first = browser.get("/id/auth/account?tab=1").await;
    assert_eq!(
        first.header("location"),
        "/id/auth/sign-in?redirect_to=%2Fid%2Fauth%2Faccount%3Ftab%3D1"
    );
    let fields = [
        ("email", "ana@example.com"),
        ("password", password),
        ("redirect_to", "/id/auth/account?tab=1"),
    ];
    assert_eq!(
        browser
            .form("/id/auth/sign-in", &fields)
            .await
            .header("location"),
        "/id/auth/account?tab=1"
    );
    assert_eq!(
        browser.get("/id").await.header("location"),
        "/id/auth/account",
        "the public URL itself"
    );
}

#[tokio::test]
async fn a_doubled_cookie_is_cleared_at_every_path_that_it_may_have() {
    let (app, _mails) = posting(&[
        ("server.public_url", "https://auth.example.com/id"),
        ("sessions.cookie_domain", "example.com"),
    ])
    .await;
    app.user("ana").await;
    let post = async |path: &str, cookie: &str, body: serde_json::Value| {
        let request = Request::post(path)
            .header("origin", "https://auth.example.com")
            .header("cookie", cookie)
            .header("content-type", "application/json");
        let mut request = request.body(Body::from(body.to_string())).unwrap();
        request
            .extensions_mut()
            .insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 4321))));
        Answer::read(
            countersign::http::router(&app.app)
                .oneshot(request)
                .await
                .unwrap(),
        )
        .await
        .ok()
    };
    let signed_in = post(
        "/api/auth/sign-in/email",
        "",
        json!({ "email": "ana@example.com", "password": "ana's good password" }),
    )
    .await;
    let refresh = signed_in
        .cookies()
        .into_iter()
        .find(|line| line.contains("refresh_token"))
        .unwrap();
    assert!(refresh.contains("Path=/id/api/auth"), "{refresh}");
    let (pair, name) = (
        refresh.split(';').next().unwrap(),
        refresh.split('=').next().unwrap(),
    );
    let answer = post("/api/auth/sign-out", &format!("{pair}; {pair}"), json!({})).await;
    let cleared: BTreeSet<(String, String)> = answer
        .cookies()
        .iter()
        .filter(|line| line.starts_with(&format!("{name}=;")))
        .map(|line| {
            let part = |prefix: &str| {
                line.split("; ")
                    .find_map(|part| part.strip_prefix(prefix))
                    .unwrap_or_default()
                    .to_owned()
            };
            (part("Domain="), part("Path="))
        })
        .collect();
    for domain in ["", "auth.example.com", "example.com"] {
        for path in ["/", "/api/auth", "/id/api/auth"] {
            assert!(
                cleared.contains(&(domain.to_owned(), path.to_owned())),
                "{domain} {path}: {cleared:?}"
            );
        }
    }
}

#[tokio::test]
async fn another_program_s_paths_on_the_same_host_stay_as_they_are() {
    let mut browser = Outside::at("https://example.com/id", true, &[]).await;
    browser.app.user("ana").await;
    let fields = [
        ("email", "ana@example.com"),
        ("password", "ana's good password"),
        ("redirect_to", "/dash?x=1"),
    ];
    assert_eq!(
        browser
            .form("/id/auth/sign-in", &fields)
            .await
            .header("location"),
        "/dash?x=1"
    );
}
