//! Tokens for the backends of `[[audiences]]`: who gets what, from which key set it verifies, and what
//! a refusal leaves as it was.

use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Value, json};

use crate::support::actors::claims;
use crate::support::{Answer, TestApp, minutes};

const BILLING: &str = "https://billing.example.com";
const STORE: &str = "https://store.example.com";

/// One audience of each algorithm, and a second one of RS256.
const AUDIENCES: [(&str, &str); 12] = [
    ("audiences.billing.audience", BILLING),
    ("audiences.billing.algorithm", "RS256"),
    ("audiences.billing.typ", "JWT"),
    ("audiences.billing.access_ttl", "5m"),
    ("audiences.store.audience", STORE),
    ("audiences.store.algorithm", "RS256"),
    ("audiences.store.typ", "JWT"),
    ("audiences.mobile.algorithm", "ES256"),
    ("audiences.mobile.claims", "minimal"),
    ("audiences.new-name.algorithm", "Ed25519"),
    ("audiences.cloud.algorithm", "RS256"),
    ("audiences.cloud.issuer", "http://localhost:4000/cloud"),
];

async fn app() -> TestApp {
    TestApp::with(&[&AUDIENCES[..], &[("tokens.access_ttl_jitter", "0")]].concat()).await
}

fn header(token: &str) -> Value {
    let first = token.split('.').next().unwrap();
    serde_json::from_slice(&B64.decode(first).unwrap()).unwrap()
}

async fn refresh(app: &TestApp, token: &str, more: Value) -> Answer {
    let mut body = json!({ "refreshToken": token });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    app.post("/api/auth/refresh", &body).await
}

/// Verifies as a backend does that knows the URL of its key set, its own name and the issuer.
async fn verifies(app: &TestApp, set: &str, token: &str, audience: &str, issuer: &str) -> bool {
    let jwks: JwkSet = serde_json::from_str(&app.get(set).await.ok().text).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let Some(jwk) = jwks.find(&header.kid.unwrap()) else {
        return false;
    };
    let mut validation = Validation::new(header.alg);
    // The clock of the tests is not that of the library.
    validation.validate_exp = false;
    validation.set_audience(&[audience]);
    validation.set_issuer(&[issuer]);
    let key = DecodingKey::from_jwk(jwk).unwrap();
    jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok()
}

#[tokio::test]
async fn each_backend_gets_the_token_that_its_library_verifies() {
    let app = app().await;
    let ana = app.user("ana").await.sign_in().await;
    let default = "http://localhost:4000";
    for (name, audience, algorithm, typ, issuer, lifetime) in [
        ("billing", BILLING, "RS256", "JWT", default, 300),
        ("store", STORE, "RS256", "JWT", default, 900),
        ("mobile", "mobile", "ES256", "at+jwt", default, 900),
        ("new-name", "new-name", "Ed25519", "at+jwt", default, 900),
        (
            "cloud",
            "cloud",
            "RS256",
            "at+jwt",
            "http://localhost:4000/cloud",
            900,
        ),
    ] {
        let answer = refresh(&app, &ana.refresh, json!({ "audience": name }))
            .await
            .ok();
        let token = answer.str("accessToken");
        let header = header(&token);
        let kid = header["kid"].as_str().unwrap();
        assert_eq!(
            header,
            json!({ "typ": typ, "alg": algorithm, "kid": kid }),
            "{name}"
        );
        assert_eq!(answer.body["expiresIn"], lifetime, "{name}");
        let said = claims(&token);
        assert_eq!(said["aud"], audience);
        assert_eq!(said["iss"], issuer);
        assert_eq!(
            said["sub"],
            claims(&ana.access)["sub"],
            "the same everywhere"
        );
        let is_minimal = name == "mobile";
        for claim in ["email", "email_verified", "name"] {
            assert_eq!(said.get(claim).is_none(), is_minimal, "{name} {claim}");
        }
        let set = format!("/api/auth/jwks/{name}");
        // jsonwebtoken does not know the name of RFC 9864.
        if algorithm != "Ed25519" {
            assert!(
                verifies(&app, &set, &token, audience, issuer).await,
                "{name}"
            );
            assert!(verifies(&app, "/api/auth/jwks", &token, audience, issuer).await);
            assert!(!verifies(&app, &set, &token, "another", issuer).await);
        }
        let keys = app.get(&set).await.ok();
        let keys = keys.body["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2, "active and standby of {name}");
        assert!(keys.iter().all(|key| key["alg"] == algorithm));
    }
    // Nothing said: the default audience, as ever.
    let plain = refresh(&app, &ana.refresh, json!({})).await.ok();
    assert_eq!(header(&plain.str("accessToken"))["alg"], "EdDSA");
    assert_eq!(plain.claims("accessToken")["aud"], default);
}

#[tokio::test]
async fn every_way_to_ask_means_the_same() {
    let app = app().await;
    let ana = app.user("ana").await;
    let tokens = ana.sign_in().await;
    let browser = ana.browser().await;
    let aud = |answer: &Answer, member: &str| claims(&answer.str(member))["aud"].clone();
    for query in [
        "audience=billing",
        &format!("resource={BILLING}"),
        &format!("audience={BILLING}"),
    ] {
        let minted = browser.get(&format!("/api/auth/token?{query}")).await.ok();
        assert_eq!(aud(&minted, "token"), BILLING, "{query}");
        let path = format!("/api/auth/refresh?{query}");
        let renewed = browser.post(&path, &browser.refresh_body()).await.ok();
        assert_eq!(aud(&renewed, "accessToken"), BILLING, "{query}");
        let form = format!(
            "grant_type=refresh_token&refresh_token={}&{query}",
            tokens.refresh
        );
        let granted = app.form("/api/auth/oauth2/token", &form).await.ok();
        assert_eq!(aud(&granted, "access_token"), BILLING, "{query}");
    }
    for body in [
        json!({ "resource": BILLING }),
        json!({ "resource": [BILLING] }),
        json!({ "audience": "billing", "resource": BILLING }),
    ] {
        let renewed = refresh(&app, &tokens.refresh, body.clone()).await.ok();
        assert_eq!(aud(&renewed, "accessToken"), BILLING, "{body}");
    }
    // Several of one kind: a list, and the shortest lifetime.
    let both = json!({ "resource": [BILLING, STORE] });
    let renewed = refresh(&app, &tokens.refresh, both).await.ok();
    assert_eq!(aud(&renewed, "accessToken"), json!([BILLING, STORE]));
    assert_eq!(renewed.body["expiresIn"], 300);
    let form = format!(
        "grant_type=refresh_token&refresh_token={}&resource={BILLING}&resource={STORE}",
        tokens.refresh
    );
    let granted = app.form("/api/auth/oauth2/token", &form).await.ok();
    assert_eq!(aud(&granted, "access_token"), json!([BILLING, STORE]));
}

/// The row of the session before and after, and the windows that hang on its times.
#[tokio::test]
async fn an_audience_that_is_not_available_uses_nothing_up() {
    let app = app().await;
    let ana = app.user("ana").await;
    let (tokens, browser) = (ana.sign_in().await, ana.browser().await);
    // Past the cool-down every refresh that succeeds rotates.
    app.after(minutes(2));
    let rows = app.db_dump().await;
    let cloud = "http://localhost:4000/cloud";
    for (name, value) in [
        ("audience", "unknown"),
        ("audience", "Billing"),
        ("resource", "billing"),
        ("resource", "https://billing.example.com/"),
        ("resource", cloud),
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        refresh(&app, &tokens.refresh, json!({ name: value }))
            .await
            .refused(400, "INVALID_TARGET");
        browser
            .post(
                &format!("/api/auth/refresh?{name}={encoded}"),
                &browser.refresh_body(),
            )
            .await
            .refused(400, "INVALID_TARGET");
        browser
            .get(&format!("/api/auth/token?{name}={encoded}"))
            .await
            .refused(400, "INVALID_TARGET");
        let form = format!(
            "grant_type=refresh_token&refresh_token={}&{name}={encoded}",
            tokens.refresh
        );
        let refused = app.form("/api/auth/oauth2/token", &form).await;
        assert_eq!(
            (refused.status.as_u16(), refused.str("error")),
            (400, "invalid_target".to_owned())
        );
    }
    for body in [
        json!({ "resource": [BILLING, STORE, "https://other.example.com"] }),
        json!({ "resource": BILLING, "audience": "store" }),
        json!({ "resource": [BILLING, BILLING, BILLING, BILLING, BILLING] }),
        json!({ "audience": ["billing", "mobile"] }),
    ] {
        refresh(&app, &tokens.refresh, body)
            .await
            .refused(400, "INVALID_TARGET");
    }
    for body in [
        json!({ "audience": 7 }),
        json!({ "resource": [7] }),
        json!({ "resource": {} }),
    ] {
        refresh(&app, &tokens.refresh, body)
            .await
            .refused(400, "VALIDATION_ERROR");
    }
    assert_eq!(app.db_dump().await, rows, "no row has changed");
    // The same token rotates at the first audience that there is.
    let renewed = refresh(&app, &tokens.refresh, json!({ "audience": "billing" }))
        .await
        .ok();
    assert_eq!(renewed.body["rotated"], true);
}

#[tokio::test]
async fn a_token_for_another_backend_opens_no_door_here() {
    let app = app().await;
    let tokens = app.user("ana").await.sign_in().await;
    app.get_as("/api/auth/session", &tokens.access).await.ok();
    for name in ["billing", "mobile", "new-name", "cloud"] {
        let renewed = refresh(&app, &tokens.refresh, json!({ "audience": name }))
            .await
            .ok();
        let token = renewed.str("accessToken");
        for path in [
            "/api/auth/session",
            "/api/auth/token",
            "/api/auth/admin/list-users",
        ] {
            app.get_as(path, &token).await.refused(401, "UNAUTHORIZED");
        }
    }
}

#[tokio::test]
async fn the_set_of_an_unknown_audience_is_not_found_and_not_cached() {
    let app = app().await;
    for name in [
        "unknown",
        "Billing",
        "billing%2f",
        "%ff",
        "default",
        "x.css",
    ] {
        let answer = app.get(&format!("/api/auth/jwks/{name}")).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{name}");
        answer.refused(404, "NOT_FOUND");
    }
    let known = app.get("/api/auth/jwks/billing").await.ok();
    assert_eq!(known.header("cache-control"), "public, max-age=300");
    assert_eq!(known.header("access-control-allow-origin"), "*");
    let again = Request::get("/api/auth/jwks/billing")
        .header("if-none-match", known.header("etag"))
        .body(Body::empty())
        .unwrap();
    assert_eq!(app.send(again).await.status, 304);
    let algorithms = async |set: &str| -> Vec<String> {
        let set = app.get(set).await.ok();
        let keys = set.body["keys"].as_array().unwrap();
        let algorithm = |key: &Value| key["alg"].as_str().unwrap().to_owned();
        keys.iter().map(algorithm).collect()
    };
    let union = ["EdDSA", "EdDSA", "ES256", "ES256", "RS256", "RS256"];
    assert_eq!(algorithms("/api/auth/jwks").await, union);
    assert_eq!(algorithms("/.well-known/jwks.json").await, union);
    assert_eq!(algorithms("/api/auth/jwks/all").await.len(), 8);
}

/// Asks for a path that the settings of the test have made.
async fn fetch(app: &TestApp, path: &str) -> axum::response::Response {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let router = countersign::http::router(&app.app);
    tower::ServiceExt::oneshot(router, request).await.unwrap()
}

#[tokio::test]
async fn an_audience_with_its_own_issuer_is_found_by_it() {
    let app = app().await;
    let document = app.get("/.well-known/openid-configuration").await.ok();
    assert_eq!(
        document.body["id_token_signing_alg_values_supported"],
        json!(["EdDSA", "ES256", "RS256"])
    );
    for place in [
        "/cloud/.well-known/openid-configuration",
        "/.well-known/openid-configuration/cloud",
        "/.well-known/oauth-authorization-server/cloud",
    ] {
        let own = Answer::read(fetch(&app, place).await).await;
        assert_eq!(own.body["issuer"], "http://localhost:4000/cloud", "{place}");
        assert_eq!(
            own.body["jwks_uri"],
            "http://localhost:4000/api/auth/jwks/cloud"
        );
        assert_eq!(
            own.body["id_token_signing_alg_values_supported"],
            json!(["RS256"])
        );
    }
    let none = fetch(&app, "/billing/.well-known/openid-configuration").await;
    assert_eq!(none.status(), 404);
}

#[tokio::test]
async fn tokens_are_counted_by_audience_and_refusals_too() {
    let app = app().await;
    let tokens = app.user("ana").await.sign_in().await;
    refresh(&app, &tokens.refresh, json!({ "audience": "billing" }))
        .await
        .ok();
    refresh(&app, &tokens.refresh, json!({ "audience": "none" }))
        .await
        .refused(400, "INVALID_TARGET");
    app.get("/api/auth/jwks/billing").await.ok();
    let text = countersign::flows::ops::collect_metrics::metrics(&app.app).await;
    for line in [
        "countersign_tokens_issued_total{audience=\"billing\",algorithm=\"RS256\"} 1",
        "countersign_targets_refused_total 1",
        "countersign_jwks_requests_total{set=\"audience\"} 1",
        "countersign_jwks_requests_total{set=\"all\"} 0",
        "countersign_keys{algorithm=\"RS256\",state=\"active\"} 1",
        "countersign_sign_seconds_count{algorithm=\"RS256\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}
