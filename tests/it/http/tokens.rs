//! Access tokens: what they say, which are accepted, the OAuth endpoints.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use countersign::flows::key::change_keys::{Enters, KeyChange, Stated, change};
use countersign::flows::permit::Permitted;
use countersign::model::audit::event::Requester;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

use crate::support::actors::claims;
use crate::support::{TestApp, minutes, seconds};

fn header(token: &str) -> Value {
    serde_json::from_slice(&B64.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn the_token_says_what_the_design_says() {
    let app = TestApp::with(&[
        ("tokens.audience", "api-one,api-two"),
        ("roles.user", "notes:read,notes:write"),
        ("tokens.claims.picture", "user.image"),
    ])
    .await;
    let body = json!({ "name": "Ana", "email": "ana@example.com", "password": "correct horse", "image": "https://x.test/a.png", "tokenDelivery": "body" });
    let answer = app.post("/api/auth/sign-up/email", &body).await.ok();
    let token = answer.str("accessToken");
    let members: Vec<String> = header(&token)
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(members.len(), 3);
    assert_eq!(
        (header(&token)["alg"].clone(), header(&token)["typ"].clone()),
        (json!("EdDSA"), json!("at+jwt"))
    );
    let claims = claims(&token);
    let now = 1_795_219_200_u64;
    assert_eq!(claims["iss"], "http://localhost:4000");
    assert_eq!(claims["aud"], json!(["api-one", "api-two"]));
    assert_eq!(
        claims["client_id"], "api-one",
        "the audience's default client"
    );
    assert_eq!(claims["iat"], now - 5);
    assert_eq!(
        claims["exp"],
        now + answer.body["expiresIn"].as_u64().unwrap()
    );
    assert!((810..=900).contains(&answer.body["expiresIn"].as_u64().unwrap()));
    assert_eq!(claims["auth_time"], now);
    assert_eq!(
        (claims["role"].clone(), claims["roles"].clone()),
        (json!("user"), json!(["user"]))
    );
    assert_eq!(claims["permissions"], json!(["notes:read", "notes:write"]));
    assert_eq!(
        (
            claims["email"].clone(),
            claims["email_verified"].clone(),
            claims["name"].clone()
        ),
        (json!("ana@example.com"), json!(false), json!("Ana"))
    );
    assert_eq!(claims["picture"], "https://x.test/a.png");
    assert!(
        claims.get("nbf").is_none()
            && claims["sub"].is_string()
            && claims["jti"].is_string()
            && claims["sid"].is_string()
    );
}

#[tokio::test]
async fn every_access_token_names_the_client_that_it_was_issued_to() {
    for (settings, expected) in [
        (vec![], "http://localhost:4000"),
        (
            vec![("tokens.client_id", "web"), ("tokens.audience", "api")],
            "web",
        ),
    ] {
        let app = TestApp::with(&settings).await;
        let tokens = app.user("ana").await.sign_in().await;
        let minted = app
            .get_as("/api/auth/token", &tokens.session)
            .await
            .ok()
            .str("token");
        let form = format!("grant_type=refresh_token&refresh_token={}", tokens.refresh);
        let renewed = app
            .form("/api/auth/oauth2/token", &form)
            .await
            .ok()
            .str("access_token");
        for token in [&tokens.access, &minted, &renewed] {
            assert_eq!(claims(token)["client_id"], expected);
        }
        app.get_as("/api/auth/session", &renewed).await.ok();
    }
    let error = countersign::config::Config::load(&countersign::config::Sources {
        flags: vec![("tokens.client_id".into(), "with a\nline break".into())],
        ..Default::default()
    });
    assert_eq!(error.unwrap_err()[0].key, "tokens.client_id");
}

#[tokio::test]
async fn auth_time_and_sub_do_not_move_with_a_refresh_and_jti_never_repeats() {
    let app = TestApp::start().await;
    let first = app.user("ana").await.sign_in().await;
    let (mut token, born) = (first.refresh, claims(&first.access));
    let mut seen = std::collections::HashSet::from([born["jti"].clone()]);
    for _ in 0..100 {
        app.after(minutes(5));
        let answer = app.refresh(&token).await.ok();
        let now = answer.claims("accessToken");
        assert_eq!(
            (&now["auth_time"], &now["sub"], &now["sid"]),
            (&born["auth_time"], &born["sub"], &born["sid"])
        );
        assert!(seen.insert(now["jti"].clone()));
        token = answer.str("refreshToken");
    }
}

#[tokio::test]
async fn a_token_dies_on_time_and_with_its_session() {
    let app = TestApp::with(&[("tokens.access_ttl_jitter", "0")]).await;
    let tokens = app.user("ana").await.sign_in().await;
    app.after(seconds(899));
    app.get_as("/api/auth/session", &tokens.access).await.ok();
    app.after(seconds(1));
    app.get_as("/api/auth/session", &tokens.access)
        .await
        .refused(401, "UNAUTHORIZED");
    let fresh = app.refresh(&tokens.refresh).await.ok().str("accessToken");
    app.post_as("/api/auth/sign-out", &tokens.session, &json!({}))
        .await
        .ok();
    app.get_as("/api/auth/session", &fresh)
        .await
        .refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn no_token_outlives_its_session() {
    let app = TestApp::with(&[
        ("sessions.absolute_ttl", "14d"),
        ("sessions.idle_ttl", "14d"),
    ])
    .await;
    let tokens = app.user("ana").await.sign_in().await;
    app.after(minutes(60 * 24 * 14 - 2));
    let answer = app.refresh(&tokens.refresh).await.ok();
    assert_eq!(answer.body["expiresIn"], 120);
}

#[tokio::test]
async fn a_header_that_is_not_ours_is_refused() {
    let app = TestApp::start().await;
    let tokens = app.user("ana").await.sign_in().await;
    // A published key whose private half the test has: what is refused below is refused for its
    // header, the signature is good.
    let key = SigningKey::from_bytes(&[7; 32]);
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": B64.encode(key.verifying_key().as_bytes()), "d": B64.encode(key.to_bytes()) });
    let order = KeyChange::import(
        &jwk.to_string(),
        &Stated::default(),
        Enters::Retired,
        None,
        Requester::default(),
    )
    .unwrap();
    let kid = json!(order.imported_kids().remove(0));
    change(&app.app, Permitted::as_operator(), order)
        .await
        .unwrap();
    let signed = |header: &Value| {
        let said = format!(
            "{}.{}",
            B64.encode(header.to_string()),
            tokens.access.split('.').nth(1).unwrap()
        );
        format!(
            "{said}.{}",
            B64.encode(key.sign(said.as_bytes()).to_bytes())
        )
    };
    let good = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid });
    app.get_as("/api/auth/session", &signed(&good)).await.ok();
    let mut forged: Vec<Value> = ["none", "NoNe", "HS256", "Ed25519", "RS256", "ES256", ""]
        .iter()
        .map(|alg| json!({ "alg": alg, "typ": "at+jwt", "kid": kid }))
        .collect();
    forged.push(json!({ "typ": "at+jwt", "kid": kid }));
    for typ in [json!("JWT"), json!("refresh+jwt"), Value::Null, json!(5)] {
        forged.push(json!({ "alg": "EdDSA", "typ": typ, "kid": kid }));
    }
    for (name, value) in [
        ("jku", json!("http://127.0.0.1:1/")),
        ("jwk", json!({})),
        ("x5c", json!([])),
        ("x5u", json!("x")),
        ("crit", json!(["b64"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
    ] {
        let mut header = good.clone();
        header[name] = value;
        forged.push(header);
    }
    let kids = ["../../dev/null", "x' OR 1=1--", "", "a\r\nb"]
        .map(|kid| json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid }));
    forged.extend(kids);
    forged.push(json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k".repeat(100_000) }));
    for header in forged {
        app.get_as("/api/auth/session", &signed(&header))
            .await
            .refused(401, "UNAUTHORIZED");
    }
    app.get_as("/api/auth/session", &signed(&good)).await.ok();
}

#[tokio::test]
async fn a_changed_token_is_refused_whatever_was_changed() {
    let app = TestApp::start().await;
    let tokens = app.user("ana").await.sign_in().await;
    app.get_as("/api/auth/session", &tokens.access).await.ok();
    let parts: Vec<&str> = tokens.access.split('.').collect();
    let mut payload: Value = serde_json::from_slice(&B64.decode(parts[1]).unwrap()).unwrap();
    payload["role"] = json!("admin");
    let signature = B64.decode(parts[2]).unwrap();
    let mut loose = parts[2].to_owned();
    // The last character of 64 bytes has four spare bits: flip one.
    let last = loose.pop().unwrap();
    loose.push(if last == 'A' {
        'B'
    } else {
        char::from(last as u8 + 1)
    });
    let mut changed = vec![
        format!(
            "{}.{}.{}",
            parts[0],
            B64.encode(payload.to_string()),
            parts[2]
        ),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{loose}", parts[0], parts[1]),
        format!("{}.{}.{}=", parts[0], parts[1], parts[2]),
        format!("{}.x", tokens.access),
        tokens.access.replace('.', ".."),
    ];
    for at in [0, 31, 32, 63] {
        let mut flipped = signature.clone();
        flipped[at] ^= 1;
        changed.push(format!("{}.{}.{}", parts[0], parts[1], B64.encode(flipped)));
    }
    for token in changed {
        app.get_as("/api/auth/session", &token)
            .await
            .refused(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn tokens_are_never_read_from_the_query() {
    let app = TestApp::start().await;
    let tokens = app.user("ana").await.sign_in().await;
    for token in [&tokens.access, &tokens.session] {
        app.get_as("/api/auth/session", token).await.ok();
    }
    let path = format!(
        "/api/auth/session?access_token={}&token={}",
        tokens.access, tokens.session
    );
    app.get(&path).await.refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn authorization_is_read_exactly() {
    let app = TestApp::start().await;
    let tokens = app.user("ana").await.sign_in().await;
    let with = async |values: &[String]| {
        let mut request = axum::http::Request::get("/api/auth/session");
        for value in values {
            request = request.header("authorization", value);
        }
        app.send(request.body(axum::body::Body::empty()).unwrap())
            .await
            .status
            .as_u16()
    };
    let access = &tokens.access;
    assert_eq!(with(&[format!("bearer {access}")]).await, 200);
    for odd in [
        format!("Bearer\t{access}"),
        format!("Bearer  {access}"),
        format!("Basic {access}"),
        format!("Bearer {access} x"),
        "Bearer".into(),
        "Bearer ".into(),
    ] {
        assert_eq!(with(std::slice::from_ref(&odd)).await, 401, "{odd}");
    }
    assert_eq!(
        with(&[format!("Bearer {access}"), format!("Bearer {access}")]).await,
        401,
        "two headers"
    );
}

#[tokio::test]
async fn kinds_of_tokens_never_interchange() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let t = ana.sign_in().await;
    app.get_as("/api/auth/session", &t.session).await.ok();
    app.rotate(&ana.sign_in().await.refresh).await;
    let form = format!(
        "grant_type=refresh_token&refresh_token={}",
        ana.sign_in().await.refresh
    );
    app.form("/api/auth/oauth2/token", &form).await.ok();
    app.refresh(&t.access)
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
    app.refresh(&t.session)
        .await
        .refused(401, "REFRESH_TOKEN_INVALID");
    app.get_as("/api/auth/session", &t.refresh)
        .await
        .refused(401, "UNAUTHORIZED");
    let answer = app
        .form(
            "/api/auth/oauth2/token",
            &format!("grant_type=refresh_token&refresh_token={}", t.access),
        )
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.str("error")),
        (400, "invalid_grant".into())
    );
}

#[tokio::test]
async fn the_oauth_token_endpoint_follows_rfc_6749() {
    let app = TestApp::with(&[("sessions.late_retry", "revoke")]).await;
    let tokens = app.user("ana").await.sign_in().await;
    let ask = async |body: &str| app.form("/api/auth/oauth2/token", body).await;
    let refused = async |body: &str, error: &str| {
        let answer = ask(body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.str("error").as_str()),
            (400, error),
            "{body}"
        );
    };
    refused("", "invalid_request").await;
    refused("grant_type=", "invalid_request").await;
    refused(
        "grant_type=password&username=a&password=b",
        "unsupported_grant_type",
    )
    .await;
    refused("grant_type=<script>", "unsupported_grant_type").await;
    refused("grant_type=refresh_token", "invalid_request").await;
    refused(
        "grant_type=refresh_token&grant_type=refresh_token",
        "invalid_request",
    )
    .await;
    refused("grant_type=refresh_token&refresh_token=x", "invalid_grant").await;
    let json = app
        .post(
            "/api/auth/oauth2/token",
            &json!({ "grant_type": "refresh_token" }),
        )
        .await;
    assert_eq!(
        (json.status.as_u16(), json.str("error").as_str()),
        (400, "invalid_request")
    );
    let good = format!(
        "grant_type=refresh_token&refresh_token={}&scope=&foo=1",
        tokens.refresh
    );
    let answer = ask(&good).await.ok();
    assert_eq!(answer.str("token_type"), "Bearer");
    assert_eq!(answer.header("pragma"), "no-cache");
    let next = answer.str("refresh_token");
    assert!(
        app.refresh(&next)
            .await
            .ok()
            .body
            .get("refreshToken")
            .is_none(),
        "the same family, the same rules"
    );
    app.after(seconds(31));
    refused(&good, "invalid_grant").await;
    refused(
        &format!("grant_type=refresh_token&refresh_token={next}"),
        "invalid_grant",
    )
    .await;
}

#[tokio::test]
async fn the_revocation_endpoint_follows_rfc_7009() {
    let app = TestApp::start().await;
    let tokens = app.user("ana").await.sign_in().await;
    let revoke = async |body: &str| app.form("/api/auth/oauth2/revoke", body).await;
    for unknown in [
        "token=x",
        "token=x&token_type_hint=access_token",
        "token=a.b.c",
    ] {
        revoke(unknown).await.ok();
    }
    assert_eq!(revoke("").await.str("error"), "invalid_request");
    app.refresh(&tokens.refresh).await.ok();
    let next = app.rotate(&tokens.refresh).await;
    revoke(&format!("token={next}&token_type_hint=nonsense"))
        .await
        .ok();
    app.refresh(&next)
        .await
        .refused(401, "REFRESH_TOKEN_REVOKED");
    assert_eq!(app.db_count_events("refresh_token.reused").await, 0);
    app.get_as("/api/auth/session", &tokens.session)
        .await
        .refused(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn mint_from_session_holds_its_three_settings() {
    for (setting, before, after) in [
        ("until_refresh", 200, 401),
        ("always", 200, 200),
        ("never", 401, 401),
    ] {
        let app = TestApp::with(&[("tokens.mint_from_session", setting)]).await;
        let tokens = app.user("ana").await.sign_in().await;
        assert_eq!(
            app.get_as("/api/auth/token", &tokens.session).await.status,
            before,
            "{setting}"
        );
        app.rotate(&tokens.refresh).await;
        assert_eq!(
            app.get_as("/api/auth/token", &tokens.session).await.status,
            after,
            "{setting}"
        );
    }
}

/// The key of RFC 8037 appendix A, imported and active: the test can sign whatever it likes.
async fn with_known_key(app: &TestApp) -> (jsonwebtoken::EncodingKey, &'static str) {
    use countersign::flows::key::change_keys::{Enters, KeyChange, Stated, change};
    use countersign::model::key::plan::KeyOperation;
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    change(
        &app.app,
        Permitted::as_operator(),
        KeyChange::import(
            jwk,
            &Stated::default(),
            Enters::Standby,
            None,
            Default::default(),
        )
        .unwrap(),
    )
    .await
    .unwrap();
    change(
        &app.app,
        Permitted::as_operator(),
        KeyChange::new(KeyOperation::Rotate { force: true }, Default::default()),
    )
    .await
    .unwrap();
    let prefix = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let seed = B64
        .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        .unwrap();
    (
        jsonwebtoken::EncodingKey::from_ed_der(&[&prefix[..], &seed].concat()),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
    )
}

fn sign_raw(key: &jsonwebtoken::EncodingKey, header: &Value, payload: &str) -> String {
    let message = format!("{}.{}", B64.encode(header.to_string()), B64.encode(payload));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), key, jsonwebtoken::Algorithm::EdDSA)
            .unwrap();
    format!("{message}.{signature}")
}

#[tokio::test]
async fn even_well_signed_tokens_are_read_strictly() {
    let app = TestApp::start().await;
    let (key, kid) = with_known_key(&app).await;
    let tokens = app.user("ana").await.sign_in().await;
    let (good_header, good) = (header(&tokens.access), claims(&tokens.access));
    assert_eq!(good_header["kid"], kid);
    let status = async |header: &Value, payload: &str| {
        app.get_as("/api/auth/session", &sign_raw(&key, header, payload))
            .await
            .status
            .as_u16()
    };
    assert_eq!(
        status(&good_header, &good.to_string()).await,
        200,
        "the test signs as we do"
    );
    for typ in [
        json!("JWT"),
        json!("refresh+jwt"),
        json!("at+jwt+x"),
        Value::Null,
    ] {
        let mut header = good_header.clone();
        header["typ"] = typ;
        assert_eq!(status(&header, &good.to_string()).await, 401, "{header}");
    }
    let mut typed = good_header.clone();
    typed["typ"] = json!("application/AT+JWT");
    assert_eq!(status(&typed, &good.to_string()).await, 200);
    let exps = [
        json!("9999999999"),
        json!(1e20),
        json!(-1),
        json!(1.5),
        Value::Null,
        json!(9_223_372_036_854_775_808_u64),
        json!(u64::MAX),
        json!(true),
        json!([]),
    ];
    for exp in exps {
        let mut payload = good.clone();
        payload["exp"] = exp.clone();
        assert_eq!(
            status(&good_header, &payload.to_string()).await,
            401,
            "exp {exp}"
        );
    }
    for missing in ["exp", "iss", "aud", "sub", "sid", "jti", "iat"] {
        let mut payload = good.clone();
        payload.as_object_mut().unwrap().remove(missing);
        assert_eq!(
            status(&good_header, &payload.to_string()).await,
            401,
            "without {missing}"
        );
    }
    for (name, value) in [
        ("iss", json!("http://localhost:4000/")),
        ("aud", json!("another")),
        ("aud", json!(5)),
        ("sub", json!(5)),
        // Another user than that of the session.
        ("sub", json!("00000000-0000-4000-8000-000000000000")),
        ("sid", json!("x")),
        ("iat", json!(9_999_999_999_u64)),
    ] {
        let mut payload = good.clone();
        payload[name] = value;
        assert_eq!(
            status(&good_header, &payload.to_string()).await,
            401,
            "{payload}"
        );
    }
    let twice = good
        .to_string()
        .replacen('{', &format!("{{\"sub\":{},", good["sub"]), 1);
    assert_eq!(status(&good_header, &twice).await, 401, "a claim twice");
    assert_eq!(status(&good_header, "not json").await, 401);
}
