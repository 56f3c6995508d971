//! What is particular about each kind of provider.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use countersign::config::Secret;
use countersign::config::upstream::{ClientSecret, Kind, Provider};
use countersign::encoding::sha256;
use countersign::model::federation::identity::{EmailWord, Identity};
use countersign::upstream::{Failure, Grant};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Trial, ana, grant, told};
use crate::support::issuer::{Manner, Says};

const TENANT: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
const OTHER_TENANT: &str = "11111111-2222-4333-8444-555555555555";
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

fn word(identity: &Identity) -> Option<EmailWord> {
    identity.mailbox.as_ref().map(|mailbox| mailbox.word)
}

#[tokio::test]
async fn google_is_believed_for_its_domains_and_the_domain_is_held_in_the_token() {
    let trial = Trial::of_kind(Kind::Google, |_| {}).await;
    for (email, verified, hd, expected) in [
        ("ana@gmail.com", true, None, EmailWord::Proven),
        ("ana@gmail.com", false, None, EmailWord::Claimed),
        (
            "ana@corp.example",
            true,
            Some("corp.example"),
            EmailWord::Proven,
        ),
        ("ana@corp.example", true, None, EmailWord::Verified),
        (
            "ana@corp.example",
            true,
            Some("other.example"),
            EmailWord::Verified,
        ),
    ] {
        let says = Says {
            email_verified: Some(verified),
            hd: hd.map(str::to_owned),
            ..Says::user("g-1", email)
        };
        let identity = trial.sign_in(says).await.unwrap();
        assert_eq!(word(&identity), Some(expected), "{email} {verified} {hd:?}");
    }
    // A text is no word of Google.
    let says = ana().with(&json!({ "email": "ana@gmail.com", "email_verified": "true" }));
    assert_eq!(
        word(&trial.sign_in(says).await.unwrap()),
        Some(EmailWord::Claimed)
    );
    let held = Trial::of_kind(Kind::Google, |provider| {
        provider.hd = Some("corp.example".into());
    })
    .await;
    assert!(held.url().await.unwrap().contains("&hd=corp.example"));
    for (hd, admitted) in [
        (Some("corp.example"), true),
        (Some("Corp.Example"), true),
        (Some("evil.example"), false),
        (None, false),
    ] {
        let says = Says {
            hd: hd.map(str::to_owned),
            ..ana()
        };
        match held.sign_in(says).await {
            Ok(_) if admitted => {}
            Err(refused @ Failure::NotAllowed(_)) if !admitted => drop(told(&refused)),
            other => panic!("{hd:?}: {other:?}"),
        }
    }
}

async fn microsoft(tenant: &str, domains: &[&str]) -> Trial {
    let trial = Trial::of_kind(Kind::Microsoft, |provider| {
        provider.issuer = format!("{}/{tenant}/v2.0", provider.issuer);
        provider.tenant = Some(tenant.to_owned());
        provider.domains = domains.iter().map(|name| name.parse().unwrap()).collect();
    })
    .await;
    let template = match tenant {
        "consumers" => CONSUMERS,
        "common" | "organizations" => "{tenantid}",
        own => own,
    };
    let issuer = format!("{}/{template}/v2.0", trial.issuer.url());
    trial.issuer.lie(|lies| {
        lies.document.insert("issuer".into(), json!(issuer));
    });
    trial
}

impl Trial {
    /// A user of a tenant, whose `iss` names it.
    fn of_tenant(&self, tenant: &str, more: &Value) -> Says {
        let iss = format!("{}/{tenant}/v2.0", self.issuer.url());
        ana()
            .with(&json!({ "iss": iss, "tid": tenant, "oid": "object-1" }))
            .with(more)
    }
}

#[tokio::test]
async fn microsoft_names_the_tenant_in_the_issuer_and_the_user_by_the_object() {
    for (setting, tenant, admitted) in [
        ("common", TENANT, true),
        ("common", CONSUMERS, true),
        ("organizations", TENANT, true),
        ("organizations", CONSUMERS, false),
        ("consumers", CONSUMERS, true),
        ("consumers", TENANT, false),
        (TENANT, TENANT, true),
        (TENANT, OTHER_TENANT, false),
        (TENANT, CONSUMERS, false),
    ] {
        let trial = microsoft(setting, &[]).await;
        match trial.sign_in(trial.of_tenant(tenant, &json!({}))).await {
            Ok(identity) if admitted => {
                assert_eq!(identity.subject, "object-1");
                assert!(identity.issuer.ends_with(&format!("/{tenant}/v2.0")));
            }
            Err(Failure::NotAllowed(_)) if !admitted => {}
            other => panic!("{setting} {tenant}: {other:?}"),
        }
    }
    let trial = microsoft("common", &[]).await;
    let own = trial.issuer.url().to_owned();
    for changes in [
        json!({ "tid": OTHER_TENANT }),
        json!({ "tid": null }),
        json!({ "oid": null }),
        json!({ "iss": own }),
        json!({ "iss": format!("{own}/{{tenantid}}/v2.0"), "tid": "{tenantid}" }),
    ] {
        let refused = trial.sign_in(trial.of_tenant(TENANT, &changes)).await;
        assert!(
            matches!(refused, Err(Failure::NoUserInfo(_))),
            "{changes}: {refused:?}"
        );
    }
    // The answer to the browser may name any tenant, and nothing else.
    let check = async |iss: &str| {
        trial
            .upstream
            .check_issuer(&trial.provider, Some(iss))
            .await
    };
    assert_eq!(check(&format!("{own}/{TENANT}/v2.0")).await, Ok(()));
    assert_eq!(
        check("https://evil.example").await,
        Err(Failure::IssuerMismatch)
    );
}

#[tokio::test]
async fn the_email_addresses_of_microsoft_are_texts_of_administrators() {
    let mine = json!({ "email": "ana@corp.example", "email_verified": true });
    for (setting, domains, more, expected) in [
        (
            "common",
            &["corp.example"][..],
            json!({}),
            EmailWord::Claimed,
        ),
        (TENANT, &[][..], json!({}), EmailWord::Claimed),
        (TENANT, &["corp.example"], json!({}), EmailWord::Proven),
        (
            "common",
            &[],
            json!({ "xms_edov": true }),
            EmailWord::Proven,
        ),
        ("common", &[], json!({ "xms_edov": "1" }), EmailWord::Proven),
        (
            "common",
            &[],
            json!({ "xms_edov": false }),
            EmailWord::Claimed,
        ),
        (
            "common",
            &[],
            json!({ "xms_edov": "0" }),
            EmailWord::Claimed,
        ),
    ] {
        let trial = microsoft(setting, domains).await;
        let says = trial.of_tenant(TENANT, &mine).with(&more);
        let identity = trial.sign_in(says).await.unwrap();
        assert_eq!(
            word(&identity),
            Some(expected),
            "{setting} {domains:?} {more}"
        );
    }
}

fn apple_key() -> String {
    let random = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    der::pem::encode_string("PRIVATE KEY", der::pem::LineEnding::LF, der.as_ref()).unwrap()
}

async fn apple() -> Trial {
    let trial = Trial::of_kind(Kind::Apple, |provider| {
        provider.secret = ClientSecret::Apple {
            team_id: "TEAM1".into(),
            key_id: "KEY1".into(),
            key: Secret(Zeroizing::new(apple_key())),
        };
        provider.scopes = vec!["name".into(), "email".into()];
    })
    .await;
    trial.issuer.take_any_secret();
    trial
}

#[tokio::test]
async fn apple_posts_a_form_and_says_the_name_once_and_unsigned() {
    let trial = apple().await;
    assert!(
        trial
            .url()
            .await
            .unwrap()
            .contains("&response_mode=form_post")
    );
    let says = || Says {
        name: None,
        ..Says::user("a-1", "ana@icloud.com")
    };
    let callback = trial
        .at_issuer(says().with(&json!({ "email_verified": "true" })))
        .await;
    let forged = json!({
        "name": { "firstName": "Ana", "lastName": "Muster" },
        "email": "ceo@corp.example",
    })
    .to_string();
    let grant = Grant {
        first_user: Some(&forged),
        ..grant(&callback.code)
    };
    let identity = trial.redeem_with(&grant).await.unwrap();
    assert_eq!(&*identity.name, "Ana Muster");
    let mailbox = identity.mailbox.clone().unwrap();
    assert_eq!(mailbox.email.as_str(), "ana@icloud.com");
    assert_eq!(
        mailbox.word,
        EmailWord::Proven,
        "the text \"true\" is Apple's"
    );
    for odd in [
        "",
        "{",
        "[]",
        "null",
        r#"{"name":7}"#,
        r#"{"email":"x@y.example"}"#,
    ] {
        let callback = trial.at_issuer(says()).await;
        let grant = Grant {
            first_user: Some(odd),
            ..super::grant(&callback.code)
        };
        let identity = trial.redeem_with(&grant).await.unwrap();
        assert_eq!(&*identity.name, "", "{odd}");
    }
    let says = says().with(&json!({ "email_verified": "false" }));
    assert_eq!(
        word(&trial.sign_in(says).await.unwrap()),
        Some(EmailWord::Claimed)
    );
    // An app may send the hash of its nonce.
    let hash = hex::encode(sha256(b"raw"));
    for (nonce, good) in [(hash.as_str(), true), ("raw", true), ("other", false)] {
        let token = trial
            .issuer
            .id_token(&trial.provider.client_id, Some(nonce), &ana());
        assert_eq!(
            trial.verify(&token, Some("raw")).await.is_ok(),
            good,
            "{nonce}"
        );
    }
}

#[tokio::test]
async fn a_key_of_apple_that_cannot_sign_stops_the_start() {
    let trial = apple().await;
    let mut provider = Provider::clone(&trial.provider);
    provider.secret = ClientSecret::Apple {
        team_id: "TEAM1".into(),
        key_id: "KEY1".into(),
        key: Secret(Zeroizing::new("no key".into())),
    };
    let providers = super::Upstreams::of(vec![Arc::new(provider)]);
    let refused = super::Upstream::new(&providers, trial.clock.clone());
    let reason = refused.err().unwrap();
    assert!(
        reason.contains("key_file") && !reason.contains("no key"),
        "{reason}"
    );
}

async fn github(organizations: &[&str]) -> Trial {
    Trial::of_kind(Kind::GitHub, |provider| {
        provider.scopes = vec!["read:user".into(), "user:email".into()];
        provider.organizations = organizations
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
    })
    .await
}

#[tokio::test]
async fn github_names_the_user_by_number_and_the_primary_mailbox_alone() {
    let trial = github(&[]).await;
    let says = |emails: Value| Says {
        emails: Some(emails),
        picture: Some("https://avatars.example/u/7".into()),
        ..Says::user("7", "unused@acme.example")
    };
    let mine = |verified: bool| json!({ "email": "ana@acme.example", "primary": true, "verified": verified });
    let other = json!({ "email": "eve@acme.example", "primary": false, "verified": true });
    let url = trial.url().await.unwrap();
    assert!(!url.contains("nonce="), "{url}");
    for (emails, found) in [
        (json!([mine(true)]), Some(EmailWord::Verified)),
        (json!([other, mine(true)]), Some(EmailWord::Verified)),
        (json!([other, mine(false)]), Some(EmailWord::Claimed)),
        (json!([other]), None),
        (json!([]), None),
        (json!([{ "email": "ana@acme.example" }]), None),
    ] {
        let identity = trial.sign_in(says(emails.clone())).await.unwrap();
        assert_eq!(identity.subject, "7");
        assert_eq!(identity.issuer, trial.issuer.url());
        assert_eq!(identity.scopes, ["read:user", "user:email"]);
        assert_eq!(word(&identity), found, "{emails}");
        let named = identity.mailbox.map(|mailbox| mailbox.email.to_string());
        assert_eq!(named, found.map(|_| "ana@acme.example".to_owned()));
        assert_eq!(
            identity.image.as_deref(),
            Some("https://avatars.example/u/7")
        );
    }
    let callback = trial.at_issuer(says(json!([]))).await;
    assert!(trial.redeem(&callback).await.is_ok());
    let again = trial.redeem(&callback).await.unwrap_err();
    assert_eq!(again, Failure::InvalidCode("invalid_grant".into()));
    let native = trial.verify("a.b.c", None).await;
    assert_eq!(native, Err(Failure::IdTokenNotSupported));
    // A token that may not read the list is of a user without a mailbox; an API that is away is not.
    for number in [403, 404] {
        trial
            .issuer
            .lie(|lies| lies.emails = Manner::Status(number));
        let identity = trial.sign_in(says(json!([mine(true)]))).await.unwrap();
        assert_eq!((word(&identity), identity.mailbox), (None, None));
    }
    for number in [401, 429, 503] {
        trial
            .issuer
            .lie(|lies| lies.emails = Manner::Status(number));
        let refused = trial.sign_in(says(json!([mine(true)]))).await;
        assert!(
            matches!(refused, Err(Failure::Unavailable(_))),
            "{number}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn github_admits_members_of_the_organisations_of_the_settings() {
    let trial = github(&["acme", "other"]).await;
    let member = |logins: Vec<String>| Says {
        organizations: logins,
        ..Says::user("7", "ana@acme.example")
    };
    let many = |last: &str| {
        let mut logins: Vec<String> = (0..150).map(|n| format!("org-{n}")).collect();
        logins.push(last.to_owned());
        logins
    };
    for (logins, admitted) in [
        (vec!["Acme".to_owned()], true),
        (many("other"), true),
        (many("elsewhere"), false),
        (vec!["acme-evil".to_owned()], false),
        (Vec::new(), false),
    ] {
        let count = logins.len();
        match trial.sign_in(member(logins)).await {
            Ok(_) if admitted => {}
            Err(Failure::NotAllowed(_)) if !admitted => {}
            other => panic!("{count}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn names_pictures_and_factors_are_taken_as_they_may_be() {
    let trial = Trial::with_settings(&[("upstream.acme.trust_mfa", "true")]).await;
    let name = "\u{7}\u{e4}".repeat(400);
    let says = Says {
        name: Some(name),
        picture: Some("https://pictures.example/ana.png".into()),
        amr: vec!["pwd".into(), "mfa".into()],
        ..ana()
    };
    let identity = trial.sign_in(says).await.unwrap();
    assert_eq!(&*identity.name, "\u{e4}".repeat(256));
    assert_eq!(
        identity.image.as_deref(),
        Some("https://pictures.example/ana.png")
    );
    assert!(identity.has_factors);
    let long = format!("https://pictures.example/{}", "x".repeat(2_048));
    for picture in [
        "http://pictures.example/a.png",
        "javascript:alert(1)",
        "x",
        "",
        &long,
    ] {
        let says = Says {
            picture: Some(picture.into()),
            amr: vec!["pwd".into()],
            ..ana()
        };
        let identity = trial.sign_in(says).await.unwrap();
        assert!(identity.image.is_none(), "{picture}");
        assert!(!identity.has_factors);
    }
    let mailless = Says {
        email: None,
        ..ana()
    };
    assert!(trial.sign_in(mailless).await.unwrap().mailbox.is_none());
    let odd = Says {
        email: Some("no mailbox".into()),
        ..ana()
    };
    assert!(trial.sign_in(odd).await.unwrap().mailbox.is_none());
    let untrusting = Trial::start().await;
    let says = Says {
        amr: vec!["mfa".into()],
        ..ana()
    };
    assert!(!untrusting.sign_in(says).await.unwrap().has_factors);
}
