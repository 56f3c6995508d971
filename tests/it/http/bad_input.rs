//! Every endpoint with every kind of bad input: the right status, the error body, never a 500. The
//! list comes from `openapi.yaml`.

use axum::body::Body;
use axum::http::{Method, Request};

use crate::support::contract::DOCUMENT;
use crate::support::{Answer, TestApp};

fn operations() -> Vec<(Method, String)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let each = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .keys()
            .map(move |m| (m.to_uppercase().parse().unwrap(), path.clone()))
    });
    each.collect()
}

async fn send(
    app: &TestApp,
    method: &Method,
    path: &str,
    content_type: Option<&str>,
    body: Vec<u8>,
) -> Answer {
    send_as(app, None, method, path, content_type, body).await
}

async fn send_as(
    app: &TestApp,
    session: Option<&str>,
    method: &Method,
    path: &str,
    content_type: Option<&str>,
    body: Vec<u8>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(session) = session {
        request = request.header("authorization", format!("Bearer {session}"));
    }
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    app.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn no_body_however_bad_makes_a_500() {
    let app = TestApp::start().await;
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("not JSON", b"{".to_vec()),
        ("invalid UTF-8", vec![b'"', 0xFF, 0xFE, b'"']),
        ("UTF-8 broken inside", b"{\"email\":\"\xC3\x28\",\"password\":\"x\"}".to_vec()),
        ("BOM", b"\xEF\xBB\xBF{}".to_vec()),
        ("lone surrogate", br#"{"email":"\ud800","password":"x","name":"\ud800"}"#.to_vec()),
        ("NUL", br#"{"email":"a\u0000@example.com","password":"aaaaaaaaa\u0000","name":"\u0000"}"#.to_vec()),
        ("array", b"[]".to_vec()),
        ("number", b"1e999".to_vec()),
        ("null", b"null".to_vec()),
        ("string", b"\"x\"".to_vec()),
        (
            "wrong types",
            br#"{"email":[],"password":{},"name":1,"token":5,"refreshToken":true,"rememberMe":"no","currentPassword":1,"newPassword":null}"#.to_vec(),
        ),
        ("huge number", br#"{"email":1e400,"password":9999999999999999999999}"#.to_vec()),
        ("duplicate member", br#"{"email":"a@example.com","email":"b@example.com","password":"x"}"#.to_vec()),
        ("deep", "[".repeat(30_000).into_bytes()),
        ("one megabyte", vec![b'x'; 1 << 20]),
        ("one megabyte of JSON", format!(r#"{{"email":"{}"}}"#, "a".repeat(1 << 20)).into_bytes()),
    ];
    let ana = app.user("ana").await;
    let mut asked = 0;
    for (method, path) in operations() {
        // Signed in, or what stands behind the guard would never see the body.
        let session = ana.sign_in().await.session;
        for content_type in [
            Some("application/json"),
            Some("application/x-www-form-urlencoded"),
            Some("text/plain"),
            Some("application/vnd.api+json"),
            None,
        ] {
            for (name, body) in &bodies {
                let answer = send_as(
                    &app,
                    Some(&session),
                    &method,
                    &path,
                    content_type,
                    body.clone(),
                )
                .await;
                // Which of its checks a body fails first, and whether it reads a body at all, is the
                // path's own.
                assert!(
                    !answer.status.is_server_error(),
                    "{method} {path} {name} {content_type:?}: {} {}",
                    answer.status,
                    answer.text
                );
                asked += 1;
            }
        }
    }
    println!("{asked} bad requests, no 5xx");
}

#[tokio::test]
async fn behind_the_guard_each_kind_has_its_own_status_too() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let session = ana.sign_in().await.session;
    let good = serde_json::json!({
        "token": "unknown", "currentPassword": ana.password, "newPassword": "another good password"
    });
    for path in ["/api/auth/change-password", "/api/auth/revoke-session"] {
        let send = async |content_type: Option<&str>, body: Vec<u8>| {
            send_as(
                &app,
                Some(&session),
                &Method::POST,
                path,
                content_type,
                body,
            )
            .await
        };
        let json = Some("application/json");
        send(json, good.to_string().into_bytes()).await.ok();
        send(json, vec![]).await.refused(400, "BAD_REQUEST");
        send(json, b"{".to_vec()).await.refused(400, "BAD_REQUEST");
        send(json, vec![0xFF]).await.refused(400, "BAD_REQUEST");
        send(json, b"[]".to_vec())
            .await
            .refused(400, "VALIDATION_ERROR");
        send(json, b"{}".to_vec())
            .await
            .refused(400, "VALIDATION_ERROR");
        send(
            json,
            br#"{"token":1,"currentPassword":2,"newPassword":3}"#.to_vec(),
        )
        .await
        .refused(400, "VALIDATION_ERROR");
        send(json, vec![b' '; 1 << 20])
            .await
            .refused(413, "PAYLOAD_TOO_LARGE");
        send(Some("text/plain"), good.to_string().into_bytes())
            .await
            .refused(415, "UNSUPPORTED_MEDIA_TYPE");
        let good = good.to_string().into_bytes();
        send_as(&app, None, &Method::POST, path, json, good)
            .await
            .refused(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn each_kind_has_its_own_status() {
    let app = TestApp::start().await;
    let path = "/api/auth/sign-in/email";
    let json = Some("application/json");
    let ana = app.user("ana").await;
    let good = serde_json::json!({ "email": ana.email, "password": ana.password });
    let good = good.to_string().into_bytes();
    for content_type in [json, Some("application/json; charset=utf-8")] {
        send(&app, &Method::POST, path, content_type, good.clone())
            .await
            .ok();
    }
    send(&app, &Method::POST, path, json, vec![])
        .await
        .refused(400, "BAD_REQUEST");
    send(&app, &Method::POST, path, json, b"{".to_vec())
        .await
        .refused(400, "BAD_REQUEST");
    send(&app, &Method::POST, path, json, vec![0xFF])
        .await
        .refused(400, "BAD_REQUEST");
    send(&app, &Method::POST, path, json, b"[]".to_vec())
        .await
        .refused(400, "VALIDATION_ERROR");
    send(
        &app,
        &Method::POST,
        path,
        json,
        br#"{"email":1,"password":2}"#.to_vec(),
    )
    .await
    .refused(400, "VALIDATION_ERROR");
    send(
        &app,
        &Method::POST,
        path,
        json,
        br#"{"email":"a@b.cc","email":"a@b.cc","password":"x"}"#.to_vec(),
    )
    .await
    .refused(400, "BAD_REQUEST");
    send(&app, &Method::POST, path, json, vec![b' '; (64 << 10) + 1])
        .await
        .refused(413, "PAYLOAD_TOO_LARGE");
    send(&app, &Method::POST, path, Some("text/plain"), good.clone())
        .await
        .refused(415, "UNSUPPORTED_MEDIA_TYPE");
    send(&app, &Method::POST, path, None, good)
        .await
        .refused(415, "UNSUPPORTED_MEDIA_TYPE");
    send(
        &app,
        &Method::POST,
        path,
        Some("application/json; charset=utf-8"),
        b"{".to_vec(),
    )
    .await
    .refused(400, "BAD_REQUEST");
}

#[tokio::test]
async fn a_wrong_method_is_405_with_allow_and_an_unknown_path_404() {
    let app = TestApp::start().await;
    for (known, path) in operations() {
        let known_method = send(&app, &known, &path, None, vec![]).await;
        assert_ne!(known_method.status, 405, "{known} {path}");
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE"] {
            let method: Method = method.parse().unwrap();
            if DOCUMENT["paths"][&path]
                .get(method.as_str().to_lowercase())
                .is_some()
            {
                continue;
            }
            let answer = send(&app, &method, &path, None, vec![])
                .await
                .refused(405, "METHOD_NOT_ALLOWED");
            let allow = answer.header("allow").to_owned();
            assert!(
                allow.split(',').any(|a| a.trim() == known.as_str()),
                "{method} {path}: Allow: {allow}"
            );
        }
    }
    send(&app, &Method::GET, "/api/auth/ok", None, vec![])
        .await
        .ok();
    for path in [
        "/api",
        "/api/auth",
        "/api/auth/",
        "/api/auth/nope",
        "/api/auth//ok",
        "/api/auth/ok/",
        "/API/AUTH/OK",
        "/api/auth/%6fk/x",
        "/.env",
        "/metrics",
    ] {
        send(&app, &Method::GET, path, None, vec![])
            .await
            .refused(404, "NOT_FOUND");
        send(&app, &Method::POST, path, None, vec![])
            .await
            .refused(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_client_s_request_id_is_kept_only_if_it_is_plain() {
    let app = TestApp::start().await;
    let id = async |given: &str| {
        let answer = app
            .send(
                Request::get("/api/auth/ok")
                    .header("x-request-id", given)
                    .body(Body::empty())
                    .unwrap(),
            )
            .await;
        answer.header("x-request-id").to_owned()
    };
    assert_eq!(id("abc-123").await, "abc-123");
    for odd in ["", "a b", "{\"x\":1}", &"x".repeat(65)] {
        assert_ne!(id(odd).await, odd);
    }
}

#[tokio::test]
async fn every_answer_says_what_browsers_may_do_with_it() {
    let app = TestApp::start().await;
    let policy = "default-src 'none'; frame-ancestors 'none'";
    for (path, status) in [
        ("/api/auth/ok", 200),
        ("/api/auth/session", 401),
        ("/api/auth/verify-email?token=x", 401),
        ("/nowhere", 404),
        ("/api/auth/sign-out", 405),
        ("/health", 200),
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        let header = |name: &str| answer.header(name).to_owned();
        assert_eq!(
            (
                header("content-security-policy").as_str(),
                header("x-frame-options").as_str()
            ),
            (policy, "DENY"),
            "{path}"
        );
        assert_eq!(
            (
                header("x-content-type-options").as_str(),
                header("referrer-policy").as_str()
            ),
            ("nosniff", "no-referrer"),
            "{path}"
        );
        assert_eq!(
            (
                header("cross-origin-resource-policy").as_str(),
                header("cache-control").as_str()
            ),
            ("same-origin", "no-store"),
            "{path}"
        );
        assert_eq!(
            header("strict-transport-security"),
            "",
            "{path}: not over http"
        );
    }
    assert_eq!(
        app.get("/api/auth/jwks")
            .await
            .ok()
            .header("cross-origin-resource-policy"),
        "cross-origin"
    );
    let page = app.get("/api/auth/error?error=X").await.ok();
    assert!(
        page.header("content-security-policy")
            .contains("style-src 'self'; script-src 'self'")
            && page.header("x-frame-options") == "DENY"
    );
    let secure = TestApp::with(&[("server.public_url", "https://auth.example.com")]).await;
    for path in ["/api/auth/ok", "/api/auth/jwks", "/nowhere", "/health"] {
        assert_eq!(
            secure.get(path).await.header("strict-transport-security"),
            "max-age=63072000",
            "{path}"
        );
    }
}
