//! The authorization request, the answer of the browser and the exchange of the code.

use std::collections::HashMap;

use countersign::model::federation::identity::EmailWord;
use countersign::upstream::{Authorization, Failure, Grant, may_be_added};
use serde_json::{Value, json};
use url::Url;

use super::{REDIRECT_URI, Trial, ana, asked, challenge, grant, told};
use crate::support::TestApp;
use crate::support::issuer::{CLIENT_ID, Issuer, Manner, Says};

#[tokio::test]
async fn the_request_has_what_the_issuer_needs_and_a_client_cannot_replace_it() {
    let trial = Trial::start().await;
    let challenge = challenge();
    let scopes = ["calendar".to_owned(), "email".to_owned()];
    let extra = [
        ("prompt", "login"),
        ("state", "of-the-client"),
        ("redirect_uri", "https://evil.example"),
        ("request", "x.y.z"),
        ("", "x"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let asked = Authorization {
        scopes: &scopes,
        login_hint: Some("ana+x@acme.example"),
        extra: &extra,
        ..asked(&challenge)
    };
    let url = trial.upstream.authorization_url(&trial.provider, &asked);
    let url = url.await.unwrap();
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let found: HashMap<&str, &str> = query
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(found.len(), query.len(), "each once: {url}");
    let wanted = HashMap::from([
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", REDIRECT_URI),
        ("scope", "openid email profile calendar"),
        ("state", "state-1"),
        ("nonce", "nonce-1"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("login_hint", "ana+x@acme.example"),
        ("prompt", "login"),
    ]);
    assert_eq!(found, wanted);
    assert!(may_be_added("prompt") && !may_be_added("nonce"));
    // The endpoint may have a query of its own.
    let with_query = format!("{}/authorize?tenant=a", trial.issuer.url());
    let other = Trial::start().await;
    let own = with_query.replace(trial.issuer.url(), other.issuer.url());
    other.issuer.lie(|lies| {
        lies.document
            .insert("authorization_endpoint".into(), json!(own));
    });
    let url = Url::parse(&other.url().await.unwrap()).unwrap();
    assert!(
        url.query()
            .unwrap()
            .starts_with("tenant=a&response_type=code&")
    );
}

#[tokio::test]
async fn a_code_becomes_an_identity_once_and_only_with_what_it_was_asked_with() {
    let trial = Trial::start().await;
    let callback = trial.at_issuer(ana()).await;
    let identity = trial.redeem(&callback).await.unwrap();
    assert_eq!(identity.provider.as_str(), "acme");
    assert_eq!(identity.issuer, trial.issuer.url());
    assert_eq!(identity.subject, "ana-1");
    assert_eq!(&*identity.name, "Ana Muster");
    assert_eq!(identity.scopes, ["openid", "email", "profile"]);
    let mailbox = identity.mailbox.unwrap();
    assert_eq!(mailbox.email.as_str(), "ana@acme.example");
    assert_eq!(mailbox.word, EmailWord::Verified, "no domain is its own");
    let again = trial.redeem(&callback).await.unwrap_err();
    assert_eq!(again, Failure::InvalidCode("invalid_grant".into()));
    for change in ["verifier", "redirect", "code"] {
        let callback = trial.at_issuer(ana()).await;
        let good = grant(&callback.code);
        let bad = match change {
            "verifier" => Grant {
                code_verifier: "another-verifier",
                ..good
            },
            "redirect" => Grant {
                redirect_uri: "http://localhost:4000/elsewhere",
                ..good
            },
            _ => Grant {
                code: "another-code",
                ..good
            },
        };
        let refused = trial.redeem_with(&bad).await.unwrap_err();
        assert_eq!(
            refused,
            Failure::InvalidCode("invalid_grant".into()),
            "{change}"
        );
    }
}

#[tokio::test]
async fn the_secret_goes_where_the_issuer_takes_it() {
    for (methods, good) in [
        (json!(null), true),
        (json!(["client_secret_basic"]), true),
        (json!(["client_secret_post"]), true),
        (json!(["client_secret_post", "client_secret_basic"]), true),
        (json!(["private_key_jwt"]), true),
    ] {
        let trial = Trial::start().await;
        trial.issuer.lie(|lies| {
            let name = "token_endpoint_auth_methods_supported".to_owned();
            lies.document.insert(name, methods.clone());
        });
        assert_eq!(trial.sign_in(ana()).await.is_ok(), good, "{methods}");
    }
    let wrong = Trial::with_settings(&[("upstream.acme.client_secret", "another")]).await;
    let refused = wrong.sign_in(ana()).await.unwrap_err();
    assert_eq!(refused, Failure::InvalidCode("invalid_client".into()));
}

#[tokio::test]
async fn the_answer_of_another_issuer_is_refused() {
    let trial = Trial::start().await;
    let check = async |iss: Option<&str>| trial.upstream.check_issuer(&trial.provider, iss).await;
    let own = trial.issuer.url().to_owned();
    assert_eq!(check(Some(&own)).await, Ok(()));
    assert_eq!(check(None).await, Ok(()));
    let slash = format!("{own}/");
    for other in ["https://evil.example", "", &slash] {
        assert_eq!(
            check(Some(other)).await,
            Err(Failure::IssuerMismatch),
            "{other}"
        );
    }
    // An issuer that says that it always names itself has to.
    trial.issuer.lie(|lies| lies.iss = Some(own.clone()));
    let callback = trial.at_issuer(ana()).await;
    assert!(callback.query().contains("&iss=http%3A%2F%2F127.0.0.1"));
    assert_eq!(check(callback.iss.as_deref()).await, Ok(()));
    let strict = Trial::start().await;
    strict.issuer.lie(|lies| {
        let name = "authorization_response_iss_parameter_supported".to_owned();
        lies.document.insert(name, json!(true));
    });
    let check = async |iss: Option<&str>| strict.upstream.check_issuer(&strict.provider, iss).await;
    assert_eq!(check(None).await, Err(Failure::IssuerMismatch));
    assert_eq!(check(Some(strict.issuer.url())).await, Ok(()));
}

#[tokio::test]
async fn userinfo_is_asked_for_what_the_token_lacks_and_only_of_the_same_user() {
    let trial = Trial::start().await;
    trial.sign_in(ana()).await.unwrap();
    assert_eq!(trial.issuer.times_asked("/userinfo"), 0);
    trial.issuer.lie(|lies| lies.only_userinfo = true);
    let identity = trial.sign_in(ana()).await.unwrap();
    assert_eq!(trial.issuer.times_asked("/userinfo"), 1);
    assert_eq!(&*identity.name, "Ana Muster");
    let mailbox = identity.mailbox.unwrap();
    assert_eq!(mailbox.email.as_str(), "ana@acme.example");
    assert_eq!(mailbox.word, EmailWord::Verified);
    trial
        .issuer
        .lie(|lies| lies.userinfo_subject = Some("eve-1".into()));
    let refused = trial.sign_in(ana()).await.unwrap_err();
    assert!(matches!(refused, Failure::NoUserInfo(_)), "{refused}");
    trial.issuer.repent();
    // Without a name the sign-in goes on if userinfo is away; without a mailbox it does not.
    let nameless = || Says {
        name: None,
        ..ana()
    };
    trial.issuer.lie(|lies| lies.userinfo = Manner::Status(500));
    assert!(trial.sign_in(nameless()).await.is_ok());
    trial.issuer.lie(|lies| lies.only_userinfo = true);
    let refused = trial.sign_in(ana()).await.unwrap_err();
    assert!(matches!(refused, Failure::Unavailable(_)), "{refused}");
    told(&refused);
}

#[tokio::test]
async fn userinfo_says_whether_the_mailbox_of_a_token_without_that_word_is_verified() {
    let trial = Trial::start().await;
    let word = async |claims: &[(&str, Value)], userinfo: Manner| {
        trial.issuer.lie(|lies| {
            let claims = claims.iter().map(|(name, claim)| (*name, claim.clone()));
            lies.claims = claims.map(|(name, claim)| (name.into(), claim)).collect();
            lies.userinfo = userinfo;
        });
        let mailbox = trial.sign_in(ana()).await.unwrap().mailbox.unwrap();
        (mailbox.email.to_string(), mailbox.word)
    };
    let silent = [("email_verified", Value::Null)];
    let of = |email: &str, word| (email.to_owned(), word);
    let mine = "ana@acme.example";
    assert_eq!(
        word(&silent, Manner::Honest).await,
        of(mine, EmailWord::Verified)
    );
    assert_eq!(trial.issuer.times_asked("/userinfo"), 1);
    // It may be away, and a token that says it is believed.
    assert_eq!(
        word(&silent, Manner::Status(503)).await,
        of(mine, EmailWord::Claimed)
    );
    assert_eq!(
        word(&[("email_verified", json!(false))], Manner::Honest).await,
        of(mine, EmailWord::Claimed)
    );
    // What it says of one mailbox is not said of another.
    let victim = "victim@acme.example";
    assert_eq!(
        word(
            &[("email_verified", Value::Null), ("email", json!(victim))],
            Manner::Honest
        )
        .await,
        of(victim, EmailWord::Claimed)
    );
}

#[tokio::test]
async fn the_program_has_the_providers_of_its_settings() {
    let (issuer, hub) = (Issuer::start().await, Issuer::start().await);
    let settings = [issuer.settings("acme"), hub.github_settings("github")].concat();
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let app = TestApp::with(&settings).await.app;
    let ids: Vec<&str> = app
        .config
        .upstream
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(ids, ["acme", "github"]);
    assert!(app.upstream.refresh().await.is_empty());
    let acme = app.config.upstream.find("acme").unwrap();
    let found = app.upstream.check(acme).await.unwrap();
    assert_eq!((found.issuer.as_str(), found.keys), (issuer.url(), 1));
    let github = app.config.upstream.find("github").unwrap();
    let found = app.upstream.check(github).await.unwrap();
    assert_eq!((found.jwks_uri, found.keys), (None, 0));
    let challenge = challenge();
    let asked = asked(&challenge);
    let url = app.upstream.authorization_url(acme, &asked);
    let callback = issuer.authorize(url.await.unwrap().as_str(), ana());
    let grant = grant(&callback.code);
    let redeemed = app.upstream.redeem(acme, &grant, app.now());
    assert_eq!(redeemed.await.unwrap().subject, "ana-1");
}
