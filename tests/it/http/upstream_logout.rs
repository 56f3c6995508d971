//! Back-channel logout: which sessions the word of an issuer ends, and what is no such word.

use countersign::config::upstream::{Kind, Provider, Upstreams};
use serde_json::{Map, Value, json};

use super::mail::{received, verified};
use super::upstream::{Place, SIGN_IN, ana, led, who};
use crate::support::authenticator::Authenticator;
use crate::support::issuer::{CLIENT_ID, Issuer, LOGOUT_EVENT, Says, Signing};
use crate::support::{Answer, Browser, TestApp, minutes, on_postgres, seconds};

const AT_ACME: &str = "/api/auth/upstream/acme/logout";

/// The issuer sends a token to this path: from a server, without cookies and without an origin.
async fn sends(app: &TestApp, path: &str, token: &str) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("logout_token", token)
        .finish();
    app.form(path, &body).await
}

/// The issuer ends what these claims name.
async fn ends(place: &Place, path: &str, claims: &Value) -> Answer {
    let token = place.issuer.logout_token(claims);
    sends(&place.app, path, &token).await
}

#[track_caller]
fn accepted(answer: &Answer) {
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    assert_eq!(answer.text, "");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.cookies().is_empty());
}

#[track_caller]
fn not_valid(answer: &Answer, about: &str) {
    let said =
        json!({ "error": "invalid_request", "error_description": "the logout token is not valid" });
    let seen = (answer.status.as_u16(), &answer.body);
    assert_eq!(seen, (400, &said), "{about}");
    assert_eq!(answer.header("cache-control"), "no-store", "{about}");
}

/// A browser that has signed in, in this session at the issuer.
async fn signed_in(place: &Place, provider: &str, says: Says, session: &str) -> Browser {
    let browser = Browser::new(&place.app);
    let says = says.with(&json!({ "sid": session }));
    led(&place.signs_in(&browser, provider, says).await, "/welcome");
    assert!(who(&browser).await.is_some());
    browser
}

/// Which of the browsers are signed in.
async fn live(browsers: &[&Browser]) -> Vec<bool> {
    let mut live = Vec::new();
    for browser in browsers {
        live.push(who(browser).await.is_some());
    }
    live
}

fn ben() -> Says {
    Says::user("ben-1", "ben@example.com")
}

#[tokio::test]
async fn a_session_at_the_issuer_ends_and_the_others_stay() {
    let place = Place::start().await;
    let app = &place.app;
    let first = signed_in(&place, "acme", ana(), "s-1").await;
    let second = signed_in(&place, "acme", ana(), "s-2").await;
    let other = signed_in(&place, "acme", ben(), "s-3").await;
    // The same word for a session at another provider.
    let at_other = Says::user("cleo-1", "cleo@elsewhere.example");
    let elsewhere = signed_in(&place, "other", at_other, "s-1").await;
    let all = [&first, &second, &other, &elsewhere];
    received(app, place.dir.path()).await;
    for claims in [
        json!({ "sid": "s-9" }),
        json!({ "sid": "s-3", "sub": "ana-1" }),
        json!({ "sid": "s-1", "sub": "ben-1" }),
        json!({ "sub": "cleo-1" }),
    ] {
        accepted(&ends(&place, AT_ACME, &claims).await);
        assert_eq!(live(&all).await, [true; 4], "{claims}");
    }
    // After a refresh it is the same session.
    app.after(minutes(5));
    first.refresh().await.ok();
    let copy = first.stolen();
    accepted(&ends(&place, AT_ACME, &json!({ "sid": "s-1", "sub": "ana-1" })).await);
    assert_eq!(live(&all).await, [false, true, true, true]);
    copy.refresh().await.refused(401, "REFRESH_TOKEN_REVOKED");
    accepted(&ends(&place, AT_ACME, &json!({ "sid": "s-2" })).await);
    assert_eq!(live(&all).await, [false, false, true, true]);
    let at_other = "/api/auth/upstream/other/logout";
    accepted(&ends(&place, at_other, &json!({ "sid": "s-1" })).await);
    assert_eq!(live(&all).await, [false, false, true, false]);
    // Each end is an event with its reason, and no mail tells of it.
    let ended = app.db_events().await;
    let reasons = ended
        .iter()
        .filter_map(|one| one.event.detail.get("reason"));
    let ended = reasons.filter(|reason| *reason == "upstream_logout");
    assert_eq!(ended.count(), 3);
    assert_eq!(app.db_count_events("session.revoked").await, 3);
    assert!(received(app, place.dir.path()).await.is_empty());
    // Who is signed out there signs in again, in another session.
    led(&place.signs_in(&first, "acme", ana()).await, "/welcome");
    assert!(who(&first).await.is_some());
}

#[tokio::test]
async fn a_user_of_the_issuer_is_signed_out_and_other_ways_in_stay() {
    let place = Place::start().await;
    let app = &place.app;
    let user = verified(app, place.dir.path(), "ana").await;
    let by_password = user.browser().await;
    let first = signed_in(&place, "acme", ana(), "s-1").await;
    // An issuer without sessions of its own.
    let second = Browser::new(app);
    led(&place.signs_in(&second, "acme", ana()).await, "/welcome");
    let other = signed_in(&place, "acme", ben(), "s-1").await;
    // An identity that was linked in a session has not opened it.
    let link = json!({ "provider": "acme", "callbackURL": "/linked" });
    let says = Says::user("ana-2", "ana@example.com").with(&json!({ "sid": "s-7" }));
    let answer = place
        .goes(&by_password, "/api/auth/link-social", &link, says)
        .await;
    led(&answer, "/linked");
    accepted(&ends(&place, AT_ACME, &json!({ "sub": "ana-2" })).await);
    accepted(&ends(&place, AT_ACME, &json!({ "sid": "s-7" })).await);
    let all = [&by_password, &first, &second, &other];
    assert_eq!(live(&all).await, [true; 4]);
    accepted(&ends(&place, AT_ACME, &json!({ "sub": "ana-1" })).await);
    assert_eq!(live(&all).await, [true, false, false, true]);
    // It is connected as before.
    led(&place.signs_in(&first, "acme", ana()).await, "/welcome");
    assert_eq!(who(&first).await, Some(user.email));
}

#[tokio::test]
async fn a_sign_in_that_waits_for_its_second_step_ends_as_well() {
    let place = Place::start().await;
    let app = &place.app;
    let user = verified(app, place.dir.path(), "ana").await;
    let phone = user.enrols().await;
    let verify = "/api/auth/two-factor/verify-totp";
    let said = |session: &str| ana().with(&json!({ "sid": session }));
    let waiting = "/auth/challenge?redirect_to=%2Fwelcome";
    // A sign-in that waits for its second step ends with the session at the issuer, and no other does.
    let (over, goes_on) = (Browser::new(app), Browser::new(app));
    led(&place.signs_in(&over, "acme", said("s-1")).await, waiting);
    led(
        &place.signs_in(&goes_on, "acme", said("s-2")).await,
        waiting,
    );
    for claims in [
        json!({ "sid": "s-1", "sub": "ben-1" }),
        json!({ "sid": "s-1" }),
    ] {
        accepted(&ends(&place, AT_ACME, &claims).await);
    }
    let code = json!({ "code": phone.code(app, 0) });
    over.post(verify, &code)
        .await
        .refused(401, "INVALID_TWO_FACTOR_COOKIE");
    goes_on.post(verify, &code).await.ok();
    assert_eq!(live(&[&over, &goes_on]).await, [false, true]);
    accepted(&ends(&place, AT_ACME, &json!({ "sid": "s-2" })).await);
    assert_eq!(live(&[&goes_on]).await, [false]);
    // By the user, too.
    led(&place.signs_in(&over, "acme", ana()).await, waiting);
    accepted(&ends(&place, AT_ACME, &json!({ "sub": "ana-1" })).await);
    app.after(seconds(30));
    let code = json!({ "code": phone.code(app, 0) });
    over.post(verify, &code)
        .await
        .refused(401, "INVALID_TWO_FACTOR_COOKIE");
}

#[tokio::test]
async fn the_session_that_follows_on_another_belongs_to_the_same_session_at_the_issuer() {
    let place = Place::start().await;
    let app = &place.app;
    let user = verified(app, place.dir.path(), "ana").await;
    let browser = signed_in(&place, "acme", ana(), "s-1").await;
    // Two-step sign-in is turned on: the session is replaced by a stronger one.
    let password = json!({ "password": user.password });
    let enrolment = browser.post("/api/auth/two-factor/enable", &password);
    let phone = Authenticator::scan(&enrolment.await.ok());
    let code = json!({ "code": phone.code(app, 0) });
    let verify = "/api/auth/two-factor/verify-totp";
    browser.post(verify, &code).await.ok();
    assert_eq!(live(&[&browser]).await, [true]);
    accepted(&ends(&place, AT_ACME, &json!({ "sid": "s-1" })).await);
    assert_eq!(live(&[&browser]).await, [false]);
}

#[tokio::test]
async fn what_is_no_logout_token_ends_nothing() {
    let place = Place::with(&[
        ("rate_limits.enabled", "false"),
        ("upstream.acme.client_ids", "ios-app"),
    ])
    .await;
    let app = &place.app;
    let browser = signed_in(&place, "acme", ana(), "s-1").await;
    let now = app.app.now().seconds();
    let before = app.db_count_events("session.revoked").await;
    for claims in [
        json!({ "nonce": "n" }),
        json!({ "aud": "another-client" }),
        json!({ "aud": null }),
        json!({ "iss": "https://evil.example" }),
        json!({ "iat": now - 700 }),
        json!({ "iat": now + 100 }),
        json!({ "exp": now - 100 }),
        json!({ "jti": null }),
        json!({ "sub": null, "sid": null }),
        json!({ "sub": 7 }),
        json!({ "events": null }),
        json!({ "events": { "http://schemas.openid.net/event/other": {} } }),
        json!({ "events": { LOGOUT_EVENT: "yes" } }),
    ] {
        let mut all = json!({ "sub": "ana-1", "sid": "s-1" });
        let members = claims.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(members);
        not_valid(&ends(&place, AT_ACME, &all).await, &claims.to_string());
    }
    let named = json!({ "sub": "ana-1", "sid": "s-1" });
    for signing in [Signing::Stranger, Signing::None, Signing::Hmac] {
        place.issuer.lie(|lies| lies.signing = signing);
        not_valid(
            &ends(&place, AT_ACME, &named).await,
            &format!("{signing:?}"),
        );
        place.issuer.repent();
    }
    for header in [
        json!({ "typ": "at+jwt" }),
        json!({ "typ": 7 }),
        json!({ "crit": ["b64"] }),
        json!({ "kid": "unknown" }),
    ] {
        let changes: Map<String, Value> = header.as_object().unwrap().clone();
        place.issuer.lie(|lies| lies.header = changes);
        not_valid(&ends(&place, AT_ACME, &named).await, &header.to_string());
        place.issuer.repent();
    }
    // An id token is none, and the other way round.
    let says = ana().with(&json!({ "sid": "s-1", "jti": "j-1" }));
    let token = place.issuer.id_token(CLIENT_ID, None, &says);
    not_valid(&sends(app, AT_ACME, &token).await, "an id token");
    let whole =
        json!({ "sub": "ana-1", "sid": "s-1", "email": "ana@example.com", "email_verified": true });
    let token = place.issuer.logout_token(&whole);
    let native = json!({ "provider": "acme", "idToken": { "token": token } });
    app.post(SIGN_IN, &native)
        .await
        .refused(401, "INVALID_TOKEN");
    for text in ["x", "a.b.c", &"x".repeat(20_000)] {
        not_valid(&sends(app, AT_ACME, text).await, "no token");
    }
    assert!(who(&browser).await.is_some());
    assert_eq!(app.db_count_events("session.revoked").await, before);
    // Of these the last two end it; a token without `typ`, `exp` or of an app is one, too.
    for header in [json!({ "typ": null }), json!({ "typ": "JWT" })] {
        let changes = header.as_object().unwrap().clone();
        place.issuer.lie(|lies| lies.header = changes);
        let other = json!({ "sid": "s-2", "exp": null, "aud": "ios-app" });
        accepted(&ends(&place, AT_ACME, &other).await);
        place.issuer.repent();
    }
    assert!(who(&browser).await.is_some());
    accepted(&ends(&place, AT_ACME, &named).await.ok());
    assert_eq!(who(&browser).await, None);
}

#[tokio::test]
async fn a_logout_token_counts_once() {
    let place = Place::start().await;
    let app = &place.app;
    let browser = signed_in(&place, "acme", ana(), "s-1").await;
    let token = place.issuer.logout_token(&json!({ "sub": "ana-1" }));
    accepted(&sends(app, AT_ACME, &token).await);
    assert_eq!(who(&browser).await, None);
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    not_valid(&sends(app, AT_ACME, &token).await, "the same token");
    let again = place
        .issuer
        .logout_token(&json!({ "sub": "ana-1", "jti": "logout-1" }));
    not_valid(&sends(app, AT_ACME, &again).await, "the same jti");
    assert!(who(&browser).await.is_some());
    // Of two at the same time one counts; on another process, too.
    let replica = app.replica_with(&[]).await;
    let token = place.issuer.logout_token(&json!({ "sub": "ana-1" }));
    let both = futures_util::future::join(
        sends(app, AT_ACME, &token),
        sends(&replica, AT_ACME, &token),
    );
    let (one, other) = both.await;
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(who(&browser).await, None);
}

#[tokio::test]
async fn a_request_needs_a_form_with_a_token_for_a_provider_of_the_settings() {
    // No twin: the other tests of this file send logout tokens that are taken.
    let place = Place::with(&[("rate_limits.sign_in_network", "3/15m")]).await;
    let app = &place.app;
    let browser = signed_in(&place, "acme", ana(), "s-1").await;
    app.after(minutes(15));
    let named = json!({ "sid": "s-1" });
    for (path, code) in [
        ("/api/auth/upstream/unknown/logout", "PROVIDER_NOT_FOUND"),
        ("/api/auth/upstream/github/logout", "ID_TOKEN_NOT_SUPPORTED"),
    ] {
        ends(&place, path, &named).await.refused(404, code);
    }
    for body in [
        "",
        "logout_token=",
        "token=x",
        "logout_token=a&logout_token=b",
    ] {
        let answer = app.form(AT_ACME, body).await;
        let seen = (answer.status.as_u16(), answer.str("error"));
        assert_eq!(seen, (400, "invalid_request".to_owned()), "{body}");
    }
    let answer = app.post(AT_ACME, &json!({ "logout_token": "x" })).await;
    assert_eq!(answer.str("error"), "invalid_request");
    let answer = sends(app, AT_ACME, &"x".repeat(70_000)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.str("error")),
        (413, "invalid_request".to_owned())
    );
    // No page of a browser sends one.
    let token = place.issuer.logout_token(&named);
    let evil = Browser::new(app).on("https://evil.example/");
    let answer = evil.form(AT_ACME, &[("logout_token", &token)]).await;
    assert_eq!(answer.status.as_u16(), 403, "{}", answer.text);
    // Good tokens use no limit up, bad ones do.
    for session in 2..8 {
        let session = json!({ "sid": format!("s-{session}") });
        accepted(&ends(&place, AT_ACME, &session).await);
    }
    for _ in 0..3 {
        not_valid(&sends(app, AT_ACME, "x").await, "no token");
    }
    for token in ["x", token.as_str()] {
        let answer = sends(app, AT_ACME, token).await;
        let seen = (answer.status.as_u16(), answer.str("error"));
        assert_eq!(seen, (429, "temporarily_unavailable".to_owned()));
    }
    assert!(who(&browser).await.is_some());
    app.after(minutes(15));
    accepted(&ends(&place, AT_ACME, &named).await.ok());
    assert_eq!(who(&browser).await, None);
}

#[tokio::test]
async fn the_keys_are_fetched_again_for_an_unknown_one_once_in_a_while() {
    let place = Place::with(&[("rate_limits.enabled", "false")]).await;
    let app = &place.app;
    let browser = signed_in(&place, "acme", ana(), "s-1").await;
    let asked = || place.issuer.times_asked("/jwks");
    let before = asked();
    place.issuer.lie(|lies| {
        lies.header.insert("kid".into(), json!("unknown"));
    });
    for _ in 0..5 {
        let answer = ends(&place, AT_ACME, &json!({ "sid": "s-1" })).await;
        not_valid(&answer, "an unknown key");
    }
    assert_eq!(asked() - before, 1);
    place.issuer.repent();
    app.after(seconds(31));
    place.issuer.rotate();
    accepted(&ends(&place, AT_ACME, &json!({ "sid": "s-1" })).await);
    assert_eq!(asked() - before, 2);
    assert_eq!(who(&browser).await, None);
    // A process that knows nothing of an issuer which is away says so.
    place.issuer.lie(|lies| {
        lies.discovery = crate::support::issuer::Manner::Status(500);
    });
    let replica = app.replica_with(&[]).await;
    let token = place.issuer.logout_token(&json!({ "sid": "s-1" }));
    let answer = sends(&replica, AT_ACME, &token).await;
    assert_eq!(
        (answer.status.as_u16(), answer.str("error")),
        (503, "temporarily_unavailable".to_owned())
    );
}

#[tokio::test]
async fn microsoft_names_a_user_by_the_object_here_as_well() {
    let issuer = Issuer::start().await;
    let settings = issuer.settings("acme");
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let app = TestApp::with_config(&settings, |config| {
        let known = config.upstream.find("acme").unwrap();
        let provider = Provider {
            kind: Kind::Microsoft,
            tenant: Some("common".into()),
            ..(**known).clone()
        };
        config.upstream = Upstreams::of(vec![std::sync::Arc::new(provider)]);
    })
    .await;
    issuer.follow(&app.clock);
    let browser = Browser::new(&app);
    let body = json!({ "provider": "acme", "callbackURL": "/welcome" });
    let begun = browser.post(SIGN_IN, &body).await.ok();
    let says = ana().with(&json!({ "oid": "object-1" }));
    let query = issuer.authorize(&begun.str("url"), says).query();
    let path = format!("/api/auth/callback/acme?{query}");
    let page = format!("{}/login", issuer.url());
    led(&browser.on(&page).follow(&path).await, "/welcome");
    let token = issuer.logout_token(&json!({ "sub": "ana-1" }));
    not_valid(&sends(&app, AT_ACME, &token).await, "sub alone");
    assert!(who(&browser).await.is_some());
    let token = issuer.logout_token(&json!({ "sub": "ana-1", "oid": "object-1" }));
    accepted(&sends(&app, AT_ACME, &token).await);
    assert_eq!(who(&browser).await, None);
}

/// On Postgres a second step is finished by one process while another one hears of the logout.
#[tokio::test]
async fn a_second_step_at_the_same_time_leaves_no_session() {
    let place = Place::with(&[("rate_limits.enabled", "false")]).await;
    let app = &place.app;
    let user = verified(app, place.dir.path(), "ana").await;
    let phone = user.enrols().await;
    let replica = app.replica_with(&[]).await;
    for round in 0..if on_postgres() { 8 } else { 2 } {
        app.after(seconds(30));
        let session = format!("s-{round}");
        let browser = Browser::new(app);
        let says = ana().with(&json!({ "sid": session }));
        let waiting = "/auth/challenge?redirect_to=%2Fwelcome";
        led(&place.signs_in(&browser, "acme", says).await, waiting);
        let code = json!({ "code": phone.code(app, 0) });
        let token = place.issuer.logout_token(&json!({ "sid": session }));
        let step = browser.post("/api/auth/two-factor/verify-totp", &code);
        let logout = sends(&replica, AT_ACME, &token);
        let (_, logout) = futures_util::future::join(step, logout).await;
        accepted(&logout);
        assert_eq!(who(&browser).await, None);
    }
}
