//! The JWKS, discovery and health.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;

use crate::support::{TestApp, claims};

#[tokio::test]
async fn the_jwks_is_public_cacheable_and_says_nothing_more_than_it_must() {
    let app = TestApp::start().await;
    let jwks = app.get("/api/auth/jwks").await.ok();
    assert_eq!(jwks.header("cache-control"), "public, max-age=300");
    assert_eq!(jwks.header("access-control-allow-origin"), "*");
    assert!(jwks.cookies().is_empty());
    assert_eq!(
        jwks.body["keys"].as_array().unwrap().len(),
        2,
        "active and standby"
    );
    let members: Vec<&String> = jwks.body["keys"][0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["kty", "crv", "x", "use", "alg", "kid"]);
    assert_eq!(app.get("/.well-known/jwks.json").await.ok().text, jwks.text);
    let etag = jwks.header("etag").to_owned();
    let conditional = async |tag: &str| {
        app.send(
            Request::get("/api/auth/jwks")
                .header("if-none-match", tag)
                .body(Body::empty())
                .unwrap(),
        )
        .await
        .status
        .as_u16()
    };
    assert_eq!(
        (
            conditional(&etag).await,
            conditional(&format!("\"x\", W/{etag}")).await,
            conditional("\"x\"").await
        ),
        (304, 304, 200)
    );
}

#[tokio::test]
async fn a_trusted_page_reads_keys_and_discovery_with_its_cookies_too() {
    let app = TestApp::with(&[("server.trusted_origins", "https://app.example.com")]).await;
    for path in ["/api/auth/jwks", "/.well-known/openid-configuration"] {
        for (origin, allowed, credentials) in [
            ("https://app.example.com", "https://app.example.com", "true"),
            ("https://evil.example", "*", ""),
        ] {
            let answer = app
                .send(
                    Request::get(path)
                        .header("origin", origin)
                        .body(Body::empty())
                        .unwrap(),
                )
                .await
                .ok();
            assert_eq!(
                (
                    answer.header("access-control-allow-origin"),
                    answer.header("access-control-allow-credentials")
                ),
                (allowed, credentials)
            );
            assert_eq!(answer.header("vary"), "origin", "for caches on the way");
        }
    }
}

#[tokio::test]
async fn nothing_of_the_request_goes_into_jwks_or_discovery() {
    let app = TestApp::start().await;
    for path in [
        "/api/auth/jwks",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ] {
        let plain = app.get(path).await.ok().text;
        for (name, value) in [
            ("host", "evil.test"),
            ("x-forwarded-host", "evil.test"),
            ("forwarded", "host=evil.test"),
            ("accept", "text/html"),
            ("origin", "https://evil.test"),
        ] {
            let answer = app
                .send(
                    Request::get(format!("{path}?x=1"))
                        .header(name, value)
                        .body(Body::empty())
                        .unwrap(),
                )
                .await
                .ok();
            assert_eq!(answer.text, plain, "{path} {name}");
        }
        let head = app
            .send(
                Request::builder()
                    .method(Method::HEAD)
                    .uri(path)
                    .body(Body::empty())
                    .unwrap(),
            )
            .await
            .ok();
        assert_eq!(
            (head.text.as_str(), head.header("content-length")),
            ("", plain.len().to_string().as_str()),
            "{path}"
        );
    }
    for path in [
        "/api/auth/jwks/x.css",
        "/api/auth/jwks;a",
        "/api/auth/jwks/",
        "//api/auth/jwks",
    ] {
        app.get(path).await.refused(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn discovery_lists_what_answers() {
    let app = TestApp::start().await;
    let document = app.get("/.well-known/openid-configuration").await.ok();
    assert_eq!(
        document.text,
        app.get("/.well-known/oauth-authorization-server")
            .await
            .ok()
            .text
    );
    assert_eq!(document.body["issuer"], "http://localhost:4000");
    for endpoint in ["jwks_uri", "token_endpoint", "revocation_endpoint"] {
        let path = document.str(endpoint).replace("http://localhost:4000", "");
        // What takes a form says that it is missing.
        let (answer, status) = if endpoint == "jwks_uri" {
            (app.get(&path).await, 200)
        } else {
            (app.form(&path, "").await, 400)
        };
        assert_eq!(answer.status, status, "{path}");
    }
    assert_eq!(
        document.body["id_token_signing_alg_values_supported"],
        json!(["EdDSA"])
    );
}

#[tokio::test]
async fn an_issuer_with_a_path_is_found_in_every_place_that_is_looked_in() {
    let app = TestApp::with(&[("tokens.issuer", "https://auth.example.com/tenant/")]).await;
    let places = [
        "/.well-known/openid-configuration",
        "/tenant/.well-known/openid-configuration",
        "/.well-known/openid-configuration/tenant",
        "/.well-known/oauth-authorization-server/tenant",
    ];
    for place in places {
        let request = Request::get(place).body(Body::empty()).unwrap();
        let response = tower::ServiceExt::oneshot(countersign::http::router(&app.app), request)
            .await
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(
            &axum::body::to_bytes(response.into_body(), 10_000)
                .await
                .unwrap(),
        )
        .unwrap();
        assert_eq!(
            body["issuer"], "https://auth.example.com/tenant/",
            "byte for byte"
        );
    }
    let token = app.user("ana").await.sign_in().await.access;
    assert_eq!(
        crate::support::actors::claims(&token)["iss"],
        "https://auth.example.com/tenant/"
    );
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let app = TestApp::start().await;
    app.get("/health").await.ok();
    app.get("/health/ready").await.ok();
    app.after(std::time::Duration::from_secs(61));
    let stale = app.get("/health/ready").await;
    assert_eq!(
        (stale.status.as_u16(), stale.body["checks"]["keys"].clone()),
        (503, json!(false))
    );
    countersign::flows::key::load_keys::confirm(&app.app)
        .await
        .unwrap();
    app.get("/health/ready").await.ok();
    app.app.drain();
    let draining = app.get("/health/ready").await;
    assert_eq!(
        (
            draining.status.as_u16(),
            draining.body["checks"]["accepting"].clone()
        ),
        (503, json!(false))
    );
    app.get("/health").await.ok();
}

#[tokio::test]
async fn without_the_database_keys_and_health_go_on_and_the_rest_says_503() {
    let app = TestApp::start().await;
    let tokens = app.user("ana").await.sign_in().await;
    app.app.db.close().await;
    app.get("/api/auth/jwks").await.ok();
    app.get("/.well-known/openid-configuration").await.ok();
    app.get("/health").await.ok();
    assert_eq!(
        app.get("/health/ready").await.body["checks"]["database"],
        json!(false)
    );
    let refused = app
        .refresh(&tokens.refresh)
        .await
        .refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(refused.header("retry-after"), "1");
    assert!(refused.body["requestId"].is_string());
    app.get_as("/api/auth/session", &tokens.session)
        .await
        .refused(503, "SERVICE_UNAVAILABLE");
    let revoked = app
        .form(
            "/api/auth/oauth2/revoke",
            &format!("token={}", tokens.refresh),
        )
        .await;
    assert_eq!(
        revoked.status.as_u16(),
        503,
        "a storage error is not success"
    );
}

/// What the last release with one algorithm answered to the same requests at the same time and with
/// the same chance: verifiers see no difference, to the byte.
#[tokio::test]
async fn without_audiences_every_byte_is_that_of_the_release_before() {
    let before = include_str!("../fixtures/release_before_algorithms.json");
    let before: serde_json::Map<String, serde_json::Value> = serde_json::from_str(before).unwrap();
    let app = TestApp::start().await;
    let mut seen = serde_json::Map::new();
    // What discovery has had since then stands at its end.
    let since = r#","acr_values_supported":["urn:countersign:acr:1fa","urn:countersign:acr:2fa","urn:countersign:acr:phr"]}"#;
    for path in [
        "/api/auth/jwks",
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ] {
        let text = app.get(path).await.ok().text;
        assert_eq!(text.contains("issuer"), text.ends_with(since), "{text}");
        seen.insert(path.into(), text.replace(since, "}").into());
    }
    let tokens = app.user("ana").await.sign_in().await;
    let minted = app.get_as("/api/auth/token", &tokens.session).await.ok();
    let renewed = app.refresh(&tokens.refresh).await.ok();
    seen.insert("sign-in".into(), tokens.access.into());
    seen.insert("token".into(), minted.str("token").into());
    seen.insert("refresh".into(), renewed.str("accessToken").into());
    assert_eq!(seen.len(), before.len());
    for (name, answer) in seen {
        let before = before[&name].as_str().unwrap();
        let answer = answer.as_str().unwrap();
        if !name.starts_with('/') {
            // So do the claims of the way in which the user was authenticated.
            let mut told = claims(answer);
            assert_eq!(told["acr"], "urn:countersign:acr:1fa", "{name}");
            for since in ["acr", "amr"] {
                told.as_object_mut().unwrap().remove(since);
            }
            assert_eq!(told, claims(before), "{name}");
            assert_eq!(answer.split('.').next(), before.split('.').next());
            continue;
        }
        assert_eq!(answer, before, "{name}");
    }
    // A change of the settings shows: the comparison can fail.
    let other = TestApp::with(&[("tokens.algorithm", "ES256")]).await;
    let set = other.get("/api/auth/jwks").await.ok().text;
    assert_ne!(set, before["/api/auth/jwks"]);
}
