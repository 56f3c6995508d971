//! Id tokens that an issuer, or a stranger in its name, makes wrongly. The rules one by one are tested
//! where they stand (`crypto::id_token`); here they are held to be in force in a sign-in.

use countersign::upstream::Failure;
use serde_json::{Map, Value, json};

use super::{Trial, ana, grant, told};
use crate::support::app::START;
use crate::support::issuer::{CLIENT_ID, Signing};

const NOW: i64 = START / 1_000;

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[tokio::test]
async fn a_sign_in_takes_a_good_id_token_and_no_other() {
    let trial = Trial::start().await;
    assert!(trial.sign_in(ana()).await.is_ok());
    for claims in [
        json!({ "iss": "https://evil.example" }),
        json!({ "iss": format!("{}/", trial.issuer.url()) }),
        json!({ "iss": null }),
        json!({ "aud": "another-client" }),
        json!({ "aud": [CLIENT_ID, "another-client"] }),
        json!({ "azp": "another-client" }),
        json!({ "exp": NOW - 61 }),
        json!({ "exp": (NOW + 60).to_string() }),
        json!({ "iat": NOW + 120 }),
        json!({ "iat": NOW - 700 }),
        json!({ "nbf": NOW + 120 }),
        json!({ "nonce": "of-another-browser" }),
        json!({ "nonce": null }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": "x".repeat(256) }),
        json!({ "more": "x".repeat(16 * 1024) }),
    ] {
        trial.issuer.lie(|lies| lies.claims = members(&claims));
        let refused = trial.sign_in(ana()).await.unwrap_err();
        assert!(
            matches!(refused, Failure::NoUserInfo(_)),
            "{claims}: {refused}"
        );
        told(&refused);
        trial.issuer.repent();
    }
    for header in [
        json!({ "alg": "RS256" }),
        json!({ "kid": "another" }),
        json!({ "crit": ["exp"] }),
        json!({ "typ": "at+jwt" }),
    ] {
        trial.issuer.lie(|lies| lies.header = members(&header));
        let refused = trial.sign_in(ana()).await.unwrap_err();
        assert!(
            matches!(refused, Failure::NoUserInfo(_)),
            "{header}: {refused}"
        );
        trial.issuer.repent();
    }
    for signing in [Signing::Stranger, Signing::None, Signing::Hmac] {
        trial.issuer.lie(|lies| lies.signing = signing);
        let refused = trial.sign_in(ana()).await.unwrap_err();
        assert!(
            matches!(refused, Failure::NoUserInfo(_)),
            "{signing:?}: {refused}"
        );
        trial.issuer.repent();
    }
    trial.issuer.lie(|lies| lies.no_id_token = true);
    assert!(trial.sign_in(ana()).await.is_err());
    trial.issuer.repent();
    assert!(
        trial.sign_in(ana()).await.is_ok(),
        "and an honest one is taken again"
    );
}

#[tokio::test]
async fn a_token_of_an_app_is_for_one_of_our_clients_and_has_the_nonce_that_the_app_says() {
    let trial = Trial::with_settings(&[("upstream.acme.client_ids", "ios-app,android-app")]).await;
    for (client, nonce, said, good) in [
        (CLIENT_ID, None, None, true),
        ("ios-app", None, None, true),
        ("android-app", Some("n"), Some("n"), true),
        ("another-app", None, None, false),
        ("ios-app", Some("n"), None, false),
        ("ios-app", None, Some("n"), false),
        ("ios-app", Some("n"), Some("m"), false),
    ] {
        let token = trial.issuer.id_token(client, nonce, &ana());
        match trial.verify(&token, said).await {
            Ok(identity) if good => assert_eq!(identity.subject, "ana-1"),
            Err(Failure::InvalidIdToken(_)) if !good => {}
            other => panic!("{client} {nonce:?} {said:?}: {other:?}"),
        }
    }
    // In the exchange of a code only our own client id counts.
    let callback = trial.at_issuer(ana()).await;
    trial
        .issuer
        .lie(|lies| lies.claims = members(&json!({ "aud": "ios-app" })));
    assert!(trial.redeem_with(&grant(&callback.code)).await.is_err());
}
