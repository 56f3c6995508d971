//! What stands around every route: texts that nothing may hold, origins, the shape of refusals, the
//! size of headers.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use axum::routing::{get, post};
use countersign::http::layers;
use serde_json::json;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::admin::made_admin;
use crate::support::contract::DOCUMENT;
use crate::support::{Answer, TestApp};

const APP: &str = "https://app.example.com";

/// Every path of the API that answers GET, and pages.
fn read_paths() -> Vec<String> {
    let paths = DOCUMENT["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, item)| item.get("get").is_some());
    let pages = [
        "/auth/sign-in",
        "/auth/sign-up",
        "/auth/forgot-password",
        "/auth/reset-password",
        "/auth/verify-email",
        "/auth/account",
    ];
    let console = [
        "/auth/admin/users",
        "/auth/admin/audit",
        "/auth/admin/keys",
        "/auth/error",
        "/auth/nothing",
        "/api/auth/nothing",
        "/nothing",
    ];
    let of_api = paths.map(|(path, _)| path.replace("{token}", "x"));
    of_api
        .chain(pages.into_iter().chain(console).map(ToOwned::to_owned))
        .collect()
}

/// From memory, and nothing of the query is read.
fn is_open(path: &str) -> bool {
    path.contains("jwks") || path.contains("well-known") || path.starts_with("/health")
}

#[tokio::test]
async fn no_path_and_no_query_holds_what_is_no_text() {
    let app = TestApp::start().await;
    let admin = made_admin(&app, "root").await.sign_in().await;
    let mut asked = 0;
    for path in read_paths() {
        for bad in [
            "%00",
            "a%00b",
            "%ff",
            "%C3%28",
            "%ed%a0%80",
            "%0a",
            "%1b%5b",
            "%7f",
            "%C2%80",
        ] {
            for query in [
                format!(
                    "searchValue={bad}&filterValue={bad}&filterField=name&id={bad}&token={bad}&email={bad}&before={bad}"
                ),
                format!("{bad}=x"),
                format!("callbackURL=/{bad}"),
            ] {
                let answer = app.get_as(&format!("{path}?{query}"), &admin.session).await;
                if is_open(&path) {
                    assert!(
                        !answer.status.is_server_error(),
                        "{path}?{query}: {}",
                        answer.text
                    );
                } else {
                    assert_eq!(
                        answer.status.as_u16(),
                        400,
                        "{path}?{query}: {}",
                        answer.text
                    );
                    assert!(
                        answer.text.contains("BAD_REQUEST"),
                        "{path}?{query}: {}",
                        answer.text
                    );
                }
                asked += 1;
            }
        }
    }
    for bad in ["%00", "x%00", "%ff", "%C3", "%0d%0a"] {
        for path in [
            "/api/auth/reset-password/{}?callbackURL=/x",
            "/auth/admin/users/{}",
            "/auth/{}",
            "/api/auth/{}",
            "/{}",
        ] {
            let path = path.replace("{}", bad);
            let answer = app.get_as(&path, &admin.session).await;
            assert!(
                answer.status == 400 && answer.text.contains("BAD_REQUEST"),
                "{path}: {} {}",
                answer.status,
                answer.text
            );
        }
    }
    println!("{asked} queries, none of them read");
    // What is a text stays one.
    app.get_as(
        "/api/auth/admin/list-users?searchValue=%C3%A9+%F0%9F%98%80",
        &admin.session,
    )
    .await
    .ok();
}

/// Sends JSON to every operation with a body, signed in as an admin.
#[tokio::test]
async fn no_text_of_a_body_holds_a_nul_character_however_deep() {
    let app = TestApp::start().await;
    let admin = made_admin(&app, "root").await.sign_in().await;
    app.post_as(
        "/api/auth/update-user",
        &admin.session,
        &json!({ "name": "a\u{1}b" }),
    )
    .await
    .ok();
    let nul = "a\u{0}b";
    let members = [
        json!({ "name": nul }),
        json!({ "email": format!("{nul}@example.com") }),
        json!({ "data": { "metadata": { "deep": [{ "er": nul }] } } }),
        json!({ "metadata": { nul: 1 } }),
        json!({ "userId": nul, "token": nul, "sessionToken": nul, "role": [nul], "banReason": nul }),
        json!({ "permissions": { "user": [nul] }, "permission": { nul: [] } }),
        json!({ "an unknown member": nul }),
        json!({ nul: true }),
    ];
    let mut asked = 0;
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        if item.get("post").is_none() {
            continue;
        }
        for extra in &members {
            let mut body = json!({ "email": "ana@example.com", "password": "a good long password", "name": "ana", "userId": "x" });
            body.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            let answer = app.post_as(path, &admin.session, &body).await;
            // Each path refuses with the first check that the body fails, and some of these checks
            // come before the look for the character: what counts is that none of them is accepted.
            assert!(
                answer.status.is_client_error(),
                "{path} {body}: {} {}",
                answer.status,
                answer.text
            );
            // Those that read a form refuse the type; what takes no body at all reads none.
            let reads_json = !path.contains("oauth2") && !path.contains("/upstream/");
            assert!(
                !reads_json
                    || answer.body["code"] == "VALIDATION_ERROR"
                    || answer.status == 401
                    || answer.status == 403,
                "{path} {body}: {}",
                answer.text
            );
            asked += 1;
        }
        for form in [
            "token=%00&email=%00",
            "refresh_token=a%00&grant_type=refresh_token",
            "%00=x",
            "name=%ff",
        ] {
            let request =
                Request::post(path).header("authorization", format!("Bearer {}", admin.session));
            let request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Body::from(form))
                .unwrap();
            let answer = app.send(request).await;
            // As above: the first check that refuses is the path's own.
            assert!(
                answer.status.is_client_error(),
                "{path} {form}: {} {}",
                answer.status,
                answer.text
            );
            asked += 1;
        }
    }
    println!("{asked} bodies with a NUL character, none of them stored");
}

async fn preflight(app: &TestApp, path: &str, origin: &str, names: &str) -> Answer {
    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri(path)
        .header("origin", origin)
        .header("access-control-request-method", "POST");
    app.send(
        request
            .header("access-control-request-headers", names)
            .body(Body::empty())
            .unwrap(),
    )
    .await
}

#[tokio::test]
async fn a_trusted_page_may_send_any_header_and_no_other_page_may() {
    let app = TestApp::with(&[(
        "server.trusted_origins",
        "https://app.example.com,capacitor://localhost",
    )])
    .await;
    let names = "content-type,sentry-trace,baggage,traceparent,x-requested-with,dpop";
    for origin in [APP, "capacitor://localhost"] {
        let answer = preflight(&app, "/api/auth/refresh", origin, names)
            .await
            .ok();
        assert_eq!(answer.header("access-control-allow-headers"), names);
        assert_eq!(
            (
                answer.header("access-control-allow-origin"),
                answer.header("access-control-allow-credentials")
            ),
            (origin, "true")
        );
    }
    for origin in [
        "https://evil.example",
        "null",
        "capacitor://evil",
        "https://app.example.com.evil.example",
    ] {
        let answer = preflight(&app, "/api/auth/refresh", origin, names).await;
        for name in [
            "access-control-allow-origin",
            "access-control-allow-headers",
        ] {
            assert!(!answer.headers.contains_key(name), "{name} for {origin}");
        }
    }
    let long = preflight(&app, "/api/auth/refresh", APP, &"x-header,".repeat(300)).await;
    assert!(
        !long.headers.contains_key("access-control-allow-headers"),
        "a list that no page has is not repeated"
    );
    let asked = app
        .send(
            Request::get("/api/auth/ok")
                .header("origin", APP)
                .body(Body::empty())
                .unwrap(),
        )
        .await
        .ok();
    let exposed = asked
        .header("access-control-expose-headers")
        .to_ascii_lowercase();
    for name in [
        "dpop",
        "dpop-nonce",
        "set-auth-jwt",
        "retry-after",
        "x-request-id",
        "www-authenticate",
    ] {
        assert!(
            exposed.split(',').any(|n| n.trim() == name),
            "{name} is not exposed: {exposed}"
        );
    }
}

#[tokio::test]
async fn keys_and_discovery_answer_the_preflight_of_any_page() {
    let app = TestApp::with(&[("server.trusted_origins", APP)]).await;
    for path in [
        "/api/auth/jwks",
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ] {
        for (origin, allowed, credentials) in [
            (APP, APP, "true"),
            ("https://any.example", "*", ""),
            ("null", "*", ""),
        ] {
            let answer = preflight(&app, path, origin, "sentry-trace,x-requested-with").await;
            assert_eq!(
                (
                    answer.status.as_u16(),
                    answer.header("access-control-allow-origin")
                ),
                (204, allowed),
                "{path} {origin}"
            );
            assert_eq!(
                answer.header("access-control-allow-credentials"),
                credentials
            );
            assert_eq!(
                answer.header("access-control-allow-headers"),
                "sentry-trace,x-requested-with"
            );
            assert!(
                answer
                    .header("access-control-allow-methods")
                    .contains("GET")
            );
        }
    }
}

#[tokio::test]
async fn an_origin_of_null_passes_from_a_page_of_ours_alone() {
    let app = TestApp::with(&[("server.trusted_origins", APP)]).await;
    let ana = app.user("ana").await;
    let session = ana.sign_in().await.session;
    let ask = async |origins: &[&str], sites: &[&str]| {
        let mut request = Request::post("/api/auth/update-user")
            .header("authorization", format!("Bearer {session}"))
            .header("content-type", "application/json");
        for origin in origins {
            request = request.header("origin", *origin);
        }
        for site in sites {
            request = request.header("sec-fetch-site", *site);
        }
        app.send(
            request
                .body(Body::from(json!({ "name": "Ana" }).to_string()))
                .unwrap(),
        )
        .await
        .status
        .as_u16()
    };
    assert_eq!(
        ask(&["null"], &["same-origin"]).await,
        200,
        "Referrer-Policy: no-referrer"
    );
    for sites in [
        &["same-site"][..],
        &["cross-site"],
        &["none"],
        &[],
        &["same-origin", "cross-site"],
        &["Same-Origin"],
        &["same-origin, cross-site"],
    ] {
        assert_eq!(ask(&["null"], sites).await, 403, "{sites:?}");
    }
    for origins in [
        &["null", "null"][..],
        &[APP, "https://evil.example"],
        &["https://evil.example", APP],
        &["https://evil.example"],
    ] {
        assert_eq!(ask(origins, &["same-origin"]).await, 403, "{origins:?}");
    }
    assert_eq!(ask(&[APP], &["cross-site"]).await, 200);
    for (sites, status) in [
        (&[][..], 200),
        (&["same-origin"], 200),
        (&["none"], 200),
        (&["same-site"], 403),
        (&["cross-site"], 403),
        (&["same-origin", "same-origin"], 403),
    ] {
        assert_eq!(ask(&[], sites).await, status, "without Origin, {sites:?}");
    }
}

#[tokio::test]
async fn a_page_of_ours_under_no_referrer_signs_in() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("email", &ana.email)
        .append_pair("password", &ana.password)
        .finish();
    let request = Request::post("/auth/sign-in")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", "null");
    let answer = app
        .send(
            request
                .header("sec-fetch-site", "same-origin")
                .body(Body::from(form))
                .unwrap(),
        )
        .await;
    assert_eq!(answer.status.as_u16(), 303, "{}", answer.text);
}

#[tokio::test]
async fn a_native_web_view_signs_in_and_is_led_back() {
    let app = TestApp::with(&[
        (
            "server.trusted_origins",
            "capacitor://localhost,chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        ),
        ("mail.transport", "file"),
    ])
    .await;
    let ana = app.user("ana").await;
    let sign_in = async |origin: &str, callback: &str| {
        let body = json!({ "email": ana.email, "password": ana.password, "callbackURL": callback });
        let request = Request::post("/api/auth/sign-in/email")
            .header("content-type", "application/json")
            .header("origin", origin);
        app.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    };
    for origin in [
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    ] {
        let answer = sign_in(origin, &format!("{origin}/home")).await.ok();
        assert_eq!(
            (
                answer.str("url"),
                answer.header("access-control-allow-origin")
            ),
            (format!("{origin}/home"), origin)
        );
    }
    sign_in("tauri://localhost", "/")
        .await
        .refused(403, "INVALID_ORIGIN");
    sign_in("capacitor://localhost", "tauri://localhost/home")
        .await
        .refused(403, "INVALID_CALLBACK_URL");
}

/// A router of these layers with handlers that fail; what a client gets.
async fn failing(app: &TestApp, path: &str, headers: &[(&str, &str)], places: usize) -> Answer {
    async fn panics() -> &'static str {
        panic!("on purpose")
    }
    let hangs = || std::future::pending::<&'static str>();
    let places = Arc::new(Semaphore::new(places));
    let pages = Router::new()
        .route("/auth/panics", post(panics))
        .route("/auth/hangs", post(hangs));
    let api = Router::new()
        .route("/api/auth/panics", get(panics).post(panics))
        .route("/api/auth/hangs", get(hangs).post(hangs))
        .route("/api/auth/oauth2/token", post(panics))
        .route("/api/auth/oauth2/revoke", post(hangs));
    let router = layers::of_pages(&app.app, &places, pages)
        .merge(layers::of_api(&app.app, &places, api))
        .with_state(app.app.clone());
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::read(
        router
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap(),
    )
    .await
}

#[tokio::test]
async fn a_control_character_in_a_path_or_a_query_is_refused_to_a_browser_as_a_page() {
    let app = TestApp::start().await;
    let send = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::get(path).extension(axum::extract::ConnectInfo(
            std::net::SocketAddr::from(([192, 0, 2, 1], 4321)),
        ));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::read(
            countersign::http::router(&app.app)
                .oneshot(request.body(Body::empty()).unwrap())
                .await
                .unwrap(),
        )
        .await
    };
    let navigation: &[(&str, &str)] = &[("sec-fetch-mode", "navigate")];
    for (path, headers) in [
        ("/?x=%00", &[][..]),
        ("/auth?x=%00", &[]),
        ("/auth/sign-in?x=%00", &[]),
        ("/auth/%00", &[]),
        ("/auth/sign-in%00", &[]),
        ("/auth/admin/users?x=%00", &[]),
        ("/auth%00", navigation),
        ("/%00", navigation),
        ("/api/auth/verify-email?token=%00", navigation),
        ("/api/auth/%00", navigation),
    ] {
        let good = send(&path.replace("%00", "y"), headers).await;
        assert_ne!(good.status, 400, "{path}: {}", good.text);
        let page = send(path, headers).await;
        assert_eq!(
            (page.status.as_u16(), page.header("content-type")),
            (400, "text/html; charset=utf-8"),
            "{path}: {}",
            page.text
        );
        assert!(
            page.text.contains("<h1>") && !page.text.contains('\0'),
            "{path}: {}",
            page.text
        );
    }
    for path in ["/api/auth/get-session?x=%00", "/%00"] {
        assert_ne!(send(&path.replace("%00", "y"), &[]).await.status, 400);
        assert_eq!(
            send(path, &[])
                .await
                .refused(400, "BAD_REQUEST")
                .header("content-type"),
            "application/json",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_full_house_a_panic_and_a_time_out_have_the_shape_that_the_client_reads() {
    let app = TestApp::start().await;
    // From here on time passes by itself wherever everything waits.
    tokio::time::pause();
    let navigation = [("sec-fetch-mode", "navigate"), ("accept-language", "de")];
    for (places, panics, hangs) in [(10, 500, 503), (0, 503, 503)] {
        for (path, status) in [("panics", panics), ("hangs", hangs)] {
            let code = if status == 500 {
                "INTERNAL_SERVER_ERROR"
            } else {
                "SERVICE_UNAVAILABLE"
            };
            for (path, headers) in [
                (format!("/auth/{path}"), &[][..]),
                (format!("/api/auth/{path}"), &navigation[..]),
            ] {
                let page = failing(&app, &path, headers, places).await;
                assert_eq!(
                    (page.status.as_u16(), page.header("content-type")),
                    (status, "text/html; charset=utf-8"),
                    "{path}: {}",
                    page.text
                );
                assert!(
                    page.text.contains(code) && page.text.contains("<h1>"),
                    "{path}: {}",
                    page.text
                );
                assert!(
                    page.headers.contains_key("x-request-id")
                        && page.cookies().is_empty()
                        && page.header("cache-control") == "no-store",
                    "{path}"
                );
                assert!(
                    page.header("content-security-policy")
                        .contains("style-src 'self'"),
                    "{path}"
                );
                assert_eq!(
                    page.header("retry-after").is_empty(),
                    status == 500,
                    "{path}"
                );
            }
            let answer = failing(
                &app,
                &format!("/api/auth/{path}"),
                &[("sec-fetch-mode", "cors"), ("accept", "text/html")],
                places,
            )
            .await;
            assert_eq!(
                (answer.status.as_u16(), answer.body["code"].as_str()),
                (status, Some(code)),
                "{}",
                answer.text
            );
        }
        for (path, status) in [("token", panics), ("revoke", hangs)] {
            let answer = failing(&app, &format!("/api/auth/oauth2/{path}"), &[], places).await;
            let error = if status == 500 {
                "server_error"
            } else {
                "temporarily_unavailable"
            };
            assert_eq!(
                (answer.status.as_u16(), answer.body["error"].as_str()),
                (status, Some(error)),
                "{}",
                answer.text
            );
            let members: Vec<&String> = answer.body.as_object().unwrap().keys().collect();
            assert_eq!(members, ["error", "error_description"]);
            assert_eq!(
                (answer.header("cache-control"), answer.header("pragma")),
                ("no-store", "no-cache")
            );
        }
    }
}

#[tokio::test]
async fn too_many_refreshes_are_refused_in_the_form_of_oauth() {
    let app = TestApp::start().await;
    let tokens = app.user("ana").await.sign_in().await;
    let form = format!("grant_type=refresh_token&refresh_token={}", tokens.refresh);
    let mut refused = None;
    for _ in 0..200 {
        let answer = app.form("/api/auth/oauth2/token", &form).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let answer = refused.expect("a limit");
    assert_eq!(
        (answer.body["error"].as_str(), answer.body.get("code")),
        (Some("temporarily_unavailable"), None),
        "{}",
        answer.text
    );
    assert!(!answer.header("retry-after").is_empty());
    let foreign = Request::post("/api/auth/oauth2/token")
        .header("origin", "https://evil.example")
        .header("content-type", "application/x-www-form-urlencoded");
    let foreign = app.send(foreign.body(Body::from(form)).unwrap()).await;
    assert_eq!(
        (foreign.status.as_u16(), foreign.body["error"].as_str()),
        (403, Some("invalid_request")),
        "{}",
        foreign.text
    );
}

fn header_bytes(answer: &Answer) -> usize {
    // The status line, `date`, `content-length` and `connection` are the listener's.
    192 + answer
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum::<usize>()
}

#[tokio::test]
async fn headers_of_every_answer_fit_into_a_page_of_memory() {
    const CACHE: &str = crate::support::CACHE_COOKIE;
    let mut seen = std::collections::BTreeSet::new();
    for permissions in [0, 20, 60, 100, 200] {
        let names: Vec<String> = (0..permissions)
            .map(|n| format!("resource-{n}:action-{n}"))
            .collect();
        let app = TestApp::with(&[
            ("sessions.cookie_cache", "5m"),
            ("roles.user", &names.join(",")),
        ])
        .await;
        let ana = app.user("ana").await;
        let browser = ana.browser().await;
        for length in [0, 500, 1_000, 1_500, 2_000] {
            let image = format!("https://pictures.example/{}", "x".repeat(length));
            browser
                .post("/api/auth/update-user", &json!({ "image": image }))
                .await
                .ok();
            let before = browser.cookie(CACHE);
            let read = browser
                .get("/api/auth/get-session?disableCookieCache=true")
                .await
                .ok();
            let signed_in = browser
                .post("/api/auth/sign-in/email", &json!({ "email": ana.email, "password": ana.password, "callbackURL": format!("/{}", "y".repeat(2_000)) }))
                .await
                .ok();
            for answer in [&read, &signed_in] {
                assert!(
                    header_bytes(answer) <= 4_096,
                    "{permissions} permissions, a picture of {length}: {} bytes",
                    header_bytes(answer)
                );
            }
            let told = |answer: &Answer| {
                (
                    answer.headers.contains_key("set-auth-jwt"),
                    answer
                        .cookies()
                        .iter()
                        .any(|c| c.starts_with(CACHE) && !c.contains("Max-Age=0")),
                )
            };
            seen.insert(told(&read));
            // A cache that was left out is no longer in the browser either.
            assert!(
                told(&read).1
                    || before.is_none()
                    || read.cookies().iter().any(|c| c.starts_with(CACHE)),
                "{:?}",
                read.cookies()
            );
            assert_eq!(
                browser.get("/api/auth/get-session").await.ok().body["user"]["image"],
                image.as_str()
            );
        }
        browser.get("/api/auth/token").await.ok();
    }
    println!("token and cache: {seen:?}");
    assert!(
        seen.contains(&(true, true)) && seen.len() >= 3,
        "both, one of them, none: {seen:?}"
    );
}

/// A place to go to stands in `Location`, percent-encoded in the query of another place or not.
#[tokio::test]
async fn no_redirect_is_longer_than_the_headers_of_an_answer_may_be() {
    let app = TestApp::start().await;
    for (path, name) in [
        ("/auth/account", "x"),
        ("/auth/admin/users", "searchValue"),
        ("/auth/sign-in", "redirect_to"),
        ("/auth/verify-email", "redirect_to"),
        ("/auth/reset-password", "redirect_to"),
        ("/api/auth/verify-email", "callbackURL"),
        ("/api/auth/reset-password/x", "callbackURL"),
        ("/api/auth/delete-user/callback", "callbackURL"),
        ("/", "error"),
    ] {
        for filling in ["y", "%25", "%C3%A9"] {
            for length in [500, 2_040, 4_000, 6_000] {
                let asked = format!(
                    "{path}?{name}=/{}&token=x",
                    filling.repeat(length / filling.len())
                );
                let answer = app.get(&asked).await;
                // Whether so long a text is refused is the path's own; the size of the answer counts.
                assert!(
                    answer.status.as_u16() < 500 && header_bytes(&answer) <= 4_096,
                    "{path} {filling} {length}: {} bytes",
                    header_bytes(&answer)
                );
            }
        }
    }
}

#[tokio::test]
async fn what_was_left_out_is_counted() {
    let names: Vec<String> = (0..200)
        .map(|n| format!("resource-{n}:action-{n}"))
        .collect();
    let app = TestApp::with(&[("roles.user", &names.join(","))]).await;
    let browser = app.user("ana").await.browser().await;
    let answer = browser.get("/api/auth/get-session").await.ok();
    assert!(!answer.headers.contains_key("set-auth-jwt") && answer.body["user"]["name"] == "ana");
    let text = countersign::flows::ops::collect_metrics::metrics(&app.app).await;
    assert!(
        text.contains("countersign_headers_left_out_total{what=\"set-auth-jwt\"} 1\n"),
        "{text}"
    );
}
