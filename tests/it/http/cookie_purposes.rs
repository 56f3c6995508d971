//! A value that was signed for one purpose is taken for nothing where another one is expected.

use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign::flows::limit::known_device::Device;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::admin::{id, made_admin};
use crate::support::{
    ADMIN_COOKIE, Browser, CACHE_COOKIE, DEVICE_COOKIE, DONT_REMEMBER_COOKIE, REFRESH_COOKIE,
    SESSION_COOKIE, TestApp, minutes,
};

const SESSION: &str = "/api/auth/session";
const GET_SESSION: &str = "/api/auth/get-session";
const NAMES: [&str; 6] = [
    SESSION_COOKIE,
    CACHE_COOKIE,
    DONT_REMEMBER_COOKIE,
    ADMIN_COOKIE,
    DEVICE_COOKIE,
    REFRESH_COOKIE,
];

/// Signs as earlier releases did for every purpose, and as session cookies are signed.
fn signed_as_a_session(app: &TestApp, value: &str) -> String {
    let file = std::fs::read_to_string(app.app.config.keys.dir.join("master.key")).unwrap();
    let master = URL_SAFE_NO_PAD.decode(file.trim()).unwrap();
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, &master)
        .expand(b"countersign/cookie/v1", &mut key)
        .unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(&key)
        .unwrap()
        .chain_update(value)
        .finalize()
        .into_bytes();
    format!("{value}.{}", STANDARD.encode(mac))
}

fn encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

fn decoded(value: &str) -> String {
    url::form_urlencoded::parse(format!("v={}", value.replace('+', "%2B")).as_bytes())
        .next()
        .unwrap()
        .1
        .into_owned()
}

/// The session token inside a signed cookie.
fn token_of(cookie: &str) -> String {
    cookie.split(['.', ':', '%']).next().unwrap().to_owned()
}

fn form_token(page: &str) -> String {
    page.split("name=\"csrf\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&#43;", "+")
        .replace("&#x2b;", "+")
}

#[tokio::test]
async fn what_the_key_of_sessions_has_signed_is_no_value_of_another_purpose() {
    let app = TestApp::with(&[("sessions.cookie_cache", "1m")]).await;
    let (ana, bob) = (app.user("ana").await, app.user("bob").await);
    let browser = ana.browser().await;
    let session = browser.cookie(SESSION_COOKIE).unwrap();
    assert_eq!(
        signed_as_a_session(&app, &token_of(&session)),
        decoded(&session),
        "session cookies keep their key, so an upgrade signs no browser out"
    );
    // A known device.
    let device = decoded(&browser.cookie(DEVICE_COOKIE).unwrap());
    assert!(Device::open(&app.app, &device).is_some());
    assert_eq!(
        Device::open(
            &app.app,
            &signed_as_a_session(&app, device.rsplit_once('.').unwrap().0)
        ),
        None
    );
    // The token of a form.
    let csrf = form_token(&browser.get("/auth/account").await.ok().text);
    let forged = signed_as_a_session(&app, csrf.rsplit_once('.').unwrap().0);
    assert_eq!(
        browser
            .form("/auth/sign-out", &[("csrf", &forged)])
            .await
            .status,
        403
    );
    // The cookie cache.
    let cached = decoded(&browser.cookie(CACHE_COOKIE).unwrap());
    let mut content: serde_json::Value = serde_json::from_slice(
        &URL_SAFE_NO_PAD
            .decode(cached.rsplit_once('.').unwrap().0)
            .unwrap(),
    )
    .unwrap();
    content["answer"]["user"]["name"] = "Mallory".into();
    let forged = signed_as_a_session(&app, &URL_SAFE_NO_PAD.encode(content.to_string()));
    browser.set_cookie(CACHE_COOKIE, &encoded(&forged));
    assert_eq!(
        browser.get(GET_SESSION).await.ok().body["user"]["name"],
        ana.name
    );
    // A session that was set aside.
    let other = bob.sign_in().await;
    browser.set_cookie(
        ADMIN_COOKIE,
        &encoded(&signed_as_a_session(&app, &format!("{}:", other.session))),
    );
    browser.post("/api/auth/sign-out", &json!({})).await.ok();
    app.get_as(SESSION, &other.session).await.ok();
}

#[tokio::test]
async fn the_value_of_each_cookie_under_every_other_name_is_taken_for_nothing() {
    let app = TestApp::with(&[("sessions.cookie_cache", "1m")]).await;
    let (root, bob) = (made_admin(&app, "root").await, app.user("bob").await);
    let (plain, acting) = (bob.browser().await, root.browser().await);
    let device_of_root = acting.cookie(DEVICE_COOKIE).unwrap();
    acting
        .post(
            "/api/auth/admin/impersonate-user",
            &json!({ "userId": id(&bob).await }),
        )
        .await
        .ok();
    let csrf = form_token(&plain.get("/auth/account").await.ok().text);
    let value = |name: &str| acting.cookie(name).or_else(|| plain.cookie(name)).unwrap();
    let mut values: Vec<(&str, String)> = NAMES.map(|name| (name, value(name))).to_vec();
    values.push((DEVICE_COOKIE, device_of_root));
    values.push(("a form", encoded(&csrf)));
    let living = [
        token_of(&value(SESSION_COOKIE)),
        token_of(&value(ADMIN_COOKIE)),
        token_of(&plain.cookie(SESSION_COOKIE).unwrap()),
    ];
    let mut pairs = 0;
    for (from, value) in &values {
        for to in NAMES.into_iter().filter(|to| to != from) {
            pairs += 1;
            let what = format!("{from} as {to}");
            let browser = Browser::new(&app);
            browser.set_cookie(to, value);
            let ask = async |method: Method, path: &str| {
                browser
                    .ask(
                        method.clone(),
                        path,
                        (method == Method::POST).then_some(&json!({})),
                    )
                    .await
            };
            assert_eq!(ask(Method::GET, SESSION).await.status, 401, "{what}");
            assert!(
                ask(Method::GET, GET_SESSION).await.ok().body.is_null(),
                "{what}"
            );
            assert_eq!(
                ask(Method::GET, "/api/auth/token").await.status,
                401,
                "{what}"
            );
            assert_eq!(
                ask(Method::POST, "/api/auth/refresh").await.status,
                401,
                "{what}"
            );
            assert_eq!(
                ask(Method::POST, "/api/auth/admin/stop-impersonating")
                    .await
                    .status,
                401,
                "{what}"
            );
            assert_eq!(
                ask(Method::GET, "/auth/account").await.status,
                303,
                "{what}"
            );
            assert_eq!(
                ask(Method::GET, "/auth/admin/users").await.status,
                303,
                "{what}"
            );
            // Beside a session that lives it changes nothing.
            if to != SESSION_COOKIE && to != REFRESH_COOKIE {
                let beside = plain.stolen();
                beside.forget(CACHE_COOKIE);
                beside.set_cookie(to, value);
                let told = beside.ask(Method::GET, GET_SESSION, None).await.ok();
                assert_eq!(told.body["user"]["email"], bob.email, "{what}");
                assert!(
                    told.body["session"]["impersonatedBy"].is_null(),
                    "{what}: {}",
                    told.text
                );
            }
            if to == DEVICE_COOKIE {
                assert_eq!(Device::open(&app.app, &decoded(value)), None, "{what}");
            }
            // A sign-out with it ends nothing.
            ask(Method::POST, "/api/auth/sign-out").await.ok();
            for token in &living {
                app.get_as(SESSION, token).await.ok();
            }
        }
        if *from != SESSION_COOKIE {
            assert_eq!(
                app.get_as(SESSION, &decoded(value)).await.status,
                401,
                "{from} as Bearer"
            );
        }
        if *from != "a form" {
            assert_eq!(
                plain
                    .form("/auth/sign-out", &[("csrf", &decoded(value))])
                    .await
                    .status,
                403,
                "{from} as the token of a form"
            );
        }
    }
    println!("{pairs} pairs of values and names");
    assert_eq!(pairs, 6 * 5 + 5 + 6);
    app.after(minutes(2));
    plain.refresh().await.ok();
    acting.refresh().await.ok();
}
