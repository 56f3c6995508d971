//! Issuers that are slow, away, endless or elsewhere, and how long what they said is kept.

use std::time::Duration;

use countersign::config::upstream::Kind;
use countersign::upstream::Failure;
use futures_util::future::join_all;
use serde_json::json;

use super::{Trial, ana, told};
use crate::support::issuer::{Lies, Manner};

const DISCOVERY: &str = "/.well-known/openid-configuration";
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Why a sign-in ends whose token endpoint, JWKS or discovery document answers in a manner.
async fn refused_in(lie: impl FnOnce(&mut Lies)) -> String {
    let trial = Trial::start().await;
    let callback = trial.at_issuer(ana()).await;
    trial.issuer.lie(lie);
    match trial.redeem(&callback).await {
        Err(Failure::Unavailable(reason)) => {
            told(&Failure::Unavailable(reason.clone()));
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_has_bounds_and_no_redirect_is_followed() {
    for (manner, reason) in [
        (Manner::Huge, "the answer is too long"),
        (
            Manner::Redirect("http://169.254.169.254/latest".into()),
            "redirect",
        ),
        (Manner::Status(503), "answered 503"),
        (Manner::Status(200), "not of RFC 6749"),
        (Manner::Text("<html>evil</html>".into()), "not of RFC 6749"),
        (
            Manner::Text(r#"{"access_token":7}"#.into()),
            "not of RFC 6749",
        ),
    ] {
        let said = refused_in(|lies| lies.token = manner.clone()).await;
        assert!(said.contains(reason), "{manner:?}: {said}");
    }
    for (manner, reason) in [
        (Manner::Huge, "the answer is too long"),
        (
            Manner::Redirect("http://127.0.0.1:1/jwks".into()),
            "redirect",
        ),
        (Manner::Status(404), "answered 404"),
        (Manner::Text("evil".into()), "no key"),
        (Manner::Text(r#"{"keys":[]}"#.into()), "no key"),
    ] {
        let said = refused_in(|lies| lies.jwks = manner.clone()).await;
        assert!(said.contains(reason), "{manner:?}: {said}");
    }
    for (manner, reason) in [
        (Manner::Huge, "the answer is too long"),
        (Manner::Redirect("https://evil.example/".into()), "redirect"),
        (Manner::Status(500), "answered 500"),
        (Manner::Text("evil".into()), "discovery document"),
    ] {
        let trial = Trial::start().await;
        trial.issuer.lie(|lies| lies.discovery = manner.clone());
        let said = told(&trial.url().await.unwrap_err());
        assert!(said.contains(reason), "{manner:?}: {said}");
        trial.issuer.repent();
        trial.clock.advance_ms(5_000);
        assert!(trial.url().await.is_ok(), "it is asked again");
    }
}

#[tokio::test]
async fn a_discovery_document_is_of_the_issuer_and_names_servers_that_may_be_asked() {
    for (member, value) in [
        ("issuer", json!("https://evil.example")),
        ("issuer", json!(null)),
        ("token_endpoint", json!(null)),
        ("token_endpoint", json!("/token")),
        ("token_endpoint", json!("http://evil.example/token")),
        (
            "token_endpoint",
            json!("https://user:secret@evil.example/token"),
        ),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("authorization_endpoint", json!("https://evil.example/#x")),
        ("jwks_uri", json!("file:///etc/passwd")),
        ("jwks_uri", json!(null)),
        ("userinfo_endpoint", json!("http://10.0.0.1/")),
    ] {
        let trial = Trial::start().await;
        trial.issuer.lie(|lies| {
            lies.document.insert(member.into(), value.clone());
        });
        let said = told(&trial.url().await.unwrap_err());
        assert!(
            said.contains("discovery document"),
            "{member} {value}: {said}"
        );
    }
    let trial = Trial::start().await;
    let slash = format!("{}/", trial.issuer.url());
    trial.issuer.lie(|lies| {
        lies.document.insert("issuer".into(), json!(slash));
    });
    assert!(trial.url().await.is_err(), "a slash makes another issuer");
}

/// The issuer of the test is on loopback, which only `allow_private` lets be asked.
#[tokio::test]
async fn an_issuer_in_one_s_own_net_is_asked_only_where_that_is_allowed() {
    for (allowed, host) in [
        (true, "127.0.0.1"),
        (false, "127.0.0.1"),
        (false, "localhost"),
    ] {
        let trial = Trial::of_kind(Kind::Oidc, |provider| {
            provider.allow_private = allowed;
            provider.issuer = provider.issuer.replace("127.0.0.1", host);
            if !allowed {
                provider.issuer = provider.issuer.replace("http:", "https:");
            }
        })
        .await;
        match trial.url().await {
            Ok(_) if allowed => assert_eq!(trial.issuer.times_asked(DISCOVERY), 1),
            Err(failure) if !allowed => {
                let said = failure.to_string();
                assert!(
                    said.contains("not on the public internet"),
                    "{host}: {said}"
                );
                assert_eq!(trial.issuer.times_asked(DISCOVERY), 0);
            }
            other => panic!("{host}: {other:?}"),
        }
    }
}

/// Lets the issuer be asked, then lets time pass: it jumps to the next time limit.
async fn waits_for(trial: &Trial, manner: Manner, path: &str) -> Duration {
    let callback = trial.at_issuer(ana()).await;
    trial.issuer.lie(|lies| match path {
        "/token" => lies.token = manner,
        _ => lies.jwks = manner,
    });
    let mut redeemed = Box::pin(trial.redeem(&callback));
    let before = trial.issuer.times_asked(path);
    while trial.issuer.times_asked(path) == before {
        tokio::select! {
            biased;
            done = &mut redeemed => panic!("{done:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    let refused = redeemed.await.unwrap_err();
    let waited = start.elapsed();
    tokio::time::resume();
    assert!(
        told(&refused).contains("did not answer in time"),
        "{refused}"
    );
    waited
}

#[tokio::test]
async fn an_issuer_that_never_answers_is_waited_for_a_few_seconds() {
    for (manner, path, seconds) in [
        (Manner::Never, "/token", 10),
        (Manner::Drip, "/token", 10),
        (Manner::Never, "/jwks", 5),
        (Manner::Drip, "/jwks", 5),
    ] {
        let trial = Trial::start().await;
        let waited = waits_for(&trial, manner.clone(), path).await;
        let most = Duration::from_secs(seconds);
        assert!(
            waited <= most + Duration::from_secs(1) && waited + Duration::from_secs(2) >= most,
            "{manner:?} {path}: {waited:?}"
        );
    }
}

#[tokio::test]
async fn many_who_begin_at_once_share_one_fetch() {
    let trial = Trial::start().await;
    let urls = join_all((0..20).map(|_| trial.url())).await;
    assert!(urls.iter().all(Result::is_ok));
    assert_eq!(trial.issuer.times_asked(DISCOVERY), 1);
    let callbacks: Vec<_> = join_all((0..20).map(|_| trial.at_issuer(ana()))).await;
    let redeemed = join_all(callbacks.iter().map(|callback| trial.redeem(callback))).await;
    assert!(redeemed.iter().all(Result::is_ok), "{redeemed:?}");
    assert_eq!(trial.issuer.times_asked("/jwks"), 1);
    // So they do when it is away.
    let away = Trial::start().await;
    away.issuer.lie(|lies| lies.discovery = Manner::Status(503));
    let urls = join_all((0..20).map(|_| away.url())).await;
    assert!(urls.iter().all(Result::is_err));
    assert_eq!(away.issuer.times_asked(DISCOVERY), 1);
}

#[tokio::test]
async fn a_provider_that_is_away_is_asked_once_in_five_seconds_by_all_who_begin() {
    let trial = Trial::start().await;
    trial
        .issuer
        .lie(|lies| lies.discovery = Manner::Status(503));
    for asked in 1..=3 {
        for _ in 0..4 {
            assert!(trial.url().await.is_err());
            assert_eq!(trial.issuer.times_asked(DISCOVERY), asked);
        }
        trial.clock.advance_ms(5_000);
    }
    trial.issuer.repent();
    assert!(trial.url().await.is_ok());
}

#[tokio::test]
async fn a_key_that_is_new_between_redirect_and_answer_is_fetched_once() {
    let trial = Trial::start().await;
    trial.sign_in(ana()).await.unwrap();
    let callback = trial.at_issuer(ana()).await;
    trial.issuer.rotate();
    assert!(trial.redeem(&callback).await.is_ok());
    assert_eq!(trial.issuer.times_asked("/jwks"), 2);
    // Tokens with unknown keys make no more than one request in 30 seconds.
    trial.issuer.lie(|lies| {
        lies.header.insert("kid".into(), json!("unknown"));
    });
    for _ in 0..5 {
        assert!(trial.sign_in(ana()).await.is_err());
    }
    assert_eq!(trial.issuer.times_asked("/jwks"), 2);
    trial.clock.advance_ms(30_000);
    let callbacks: Vec<_> = join_all((0..10).map(|_| trial.at_issuer(ana()))).await;
    let redeemed = join_all(callbacks.iter().map(|callback| trial.redeem(callback))).await;
    assert!(redeemed.iter().all(Result::is_err));
    assert_eq!(trial.issuer.times_asked("/jwks"), 3);
    trial.issuer.repent();
    // Many who come with the newest key share the fetch of it, and all of them are let in.
    trial.clock.advance_ms(30_000);
    trial.issuer.rotate();
    let callbacks: Vec<_> = join_all((0..10).map(|_| trial.at_issuer(ana()))).await;
    let redeemed = join_all(callbacks.iter().map(|callback| trial.redeem(callback))).await;
    assert!(redeemed.iter().all(Result::is_ok), "{redeemed:?}");
    assert_eq!(trial.issuer.times_asked("/jwks"), 4);
}

#[tokio::test]
async fn what_an_issuer_said_is_renewed_in_the_background_and_serves_on_while_it_is_away() {
    let trial = Trial::start().await;
    assert!(trial.upstream.refresh().await.is_empty());
    let asked = || {
        (
            trial.issuer.times_asked(DISCOVERY),
            trial.issuer.times_asked("/jwks"),
        )
    };
    assert_eq!(asked(), (1, 1));
    assert!(trial.upstream.refresh().await.is_empty());
    assert_eq!(asked(), (1, 1), "nothing is due");
    trial.clock.advance_ms(HOUR);
    trial.issuer.lie(|lies| lies.jwks = Manner::Status(503));
    let failed = trial.upstream.refresh().await;
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0.as_str(), "acme");
    assert_eq!(asked(), (2, 2));
    for _ in 0..3 {
        trial.clock.advance_ms(MINUTE * 20);
        assert!(!trial.upstream.refresh().await.is_empty());
        assert!(
            trial.sign_in(ana()).await.is_ok(),
            "the last good copy serves on"
        );
    }
    trial.issuer.repent();
    trial.clock.advance_ms(MINUTE);
    assert!(trial.upstream.refresh().await.is_empty());
}

#[tokio::test]
async fn cache_control_counts_between_five_minutes_and_a_day() {
    for (control, kept) in [
        (Some("max-age=0"), 5 * MINUTE),
        (Some("no-store"), 5 * MINUTE),
        (Some("max-age=7200"), 2 * HOUR),
        (Some("max-age=31536000"), 24 * HOUR),
        (None, HOUR),
    ] {
        let trial = Trial::start().await;
        trial
            .issuer
            .lie(|lies| lies.cache_control = control.map(str::to_owned));
        trial.upstream.refresh().await;
        trial.clock.advance_ms(kept - 1);
        trial.upstream.refresh().await;
        assert_eq!(trial.issuer.times_asked("/jwks"), 1, "{control:?}");
        trial.clock.advance_ms(1);
        trial.upstream.refresh().await;
        assert_eq!(trial.issuer.times_asked("/jwks"), 2, "{control:?}");
    }
}
