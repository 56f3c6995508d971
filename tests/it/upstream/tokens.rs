//! Tokens that are kept: how they are asked for, and which issuer they may be sent to.

use countersign::config::upstream::Kind;
use countersign::upstream::{Authorization, is_of};
use serde_json::json;
use url::Url;

use super::{Trial, ana, asked, challenge};

const TENANT: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
const OTHER_TENANT: &str = "11111111-2222-4333-8444-555555555555";
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// The scopes of an authorization request, and its `access_type`s.
async fn asks(trial: &Trial, extra: &[(String, String)]) -> (String, Vec<String>) {
    let challenge = challenge();
    let asked = Authorization {
        extra,
        ..asked(&challenge)
    };
    let url = trial.upstream.authorization_url(&trial.provider, &asked);
    let url: Url = url.await.unwrap();
    let all = |name: &str| -> Vec<String> {
        let pairs = url.query_pairs().filter(|(found, _)| found == name);
        pairs.map(|(_, value)| value.into_owned()).collect()
    };
    (all("scope").concat(), all("access_type"))
}

#[tokio::test]
async fn a_refresh_token_is_asked_for_where_tokens_are_kept_in_the_words_of_the_provider() {
    let with = "openid offline_access";
    for (kind, keeps, advertised, scope, access_type) in [
        (Kind::Google, true, true, "openid", Some("offline")),
        (Kind::Google, false, true, "openid", None),
        (Kind::Microsoft, true, true, with, None),
        (Kind::Oidc, true, true, with, None),
        (Kind::Oidc, true, false, "openid", None),
        (Kind::Oidc, false, true, "openid", None),
        (Kind::Apple, true, true, "openid", None),
        (Kind::GitLab, true, true, "openid", None),
        (Kind::GitHub, true, true, "openid", None),
    ] {
        let trial = Trial::of_kind(kind, |provider| {
            provider.keep_tokens = keeps;
            if kind == Kind::Microsoft {
                provider.tenant = Some("common".into());
            }
        })
        .await;
        if advertised {
            trial.issuer.lie(|lies| {
                let scopes = json!(["openid", "offline_access"]);
                lies.document.insert("scopes_supported".into(), scopes);
            });
        }
        let expected = (
            scope.to_owned(),
            access_type.into_iter().map(str::to_owned).collect(),
        );
        assert_eq!(
            asks(&trial, &[]).await,
            expected,
            "{kind:?} {keeps} {advertised}"
        );
    }
    // What the client says counts, once.
    let trial = Trial::of_kind(Kind::Google, |provider| provider.keep_tokens = true).await;
    let extra = [("access_type".to_owned(), "online".to_owned())];
    let (_, types) = asks(&trial, &extra).await;
    assert_eq!(types, ["online"]);
    // Something else in place of the list is no reason to refuse the document.
    let trial = Trial::of_kind(Kind::Oidc, |provider| provider.keep_tokens = true).await;
    trial.issuer.lie(|lies| {
        lies.document
            .insert("scopes_supported".into(), json!("offline_access"));
    });
    assert_eq!(asks(&trial, &[]).await.0, "openid");
}

#[tokio::test]
async fn tokens_belong_to_an_issuer_of_the_settings_and_of_an_admitted_tenant() {
    let own = Trial::of_kind(Kind::Oidc, |_| {}).await;
    let url = own.issuer.url();
    assert!(is_of(&own.provider, url));
    for other in [
        format!("{url}/"),
        "https://evil.example".into(),
        String::new(),
    ] {
        assert!(!is_of(&own.provider, &other), "{other}");
    }
    let home = "https://login.microsoftonline.com";
    let of = |tenant: &str| format!("{home}/{tenant}/v2.0");
    for (tenant, issuer, is_own) in [
        ("common", TENANT, true),
        ("common", CONSUMERS, true),
        ("organizations", TENANT, true),
        ("organizations", CONSUMERS, false),
        ("consumers", CONSUMERS, true),
        ("consumers", TENANT, false),
        (TENANT, TENANT, true),
        (TENANT, OTHER_TENANT, false),
        ("common", "common", false),
    ] {
        let trial = Trial::of_kind(Kind::Microsoft, |provider| {
            provider.tenant = Some(tenant.into());
            provider.issuer = of(tenant);
        })
        .await;
        let found = is_of(&trial.provider, &of(issuer));
        assert_eq!(found, is_own, "{tenant} {issuer}");
        assert!(!is_of(&trial.provider, "https://evil.example"));
    }
}

#[tokio::test]
async fn an_answer_is_read_with_what_providers_write_into_it() {
    for (members, lives, refresh_lives) in [
        (json!({}), Some(3_600), None),
        (json!({ "expires_in": null }), None, None),
        (json!({ "expires_in": 0 }), None, None),
        (json!({ "expires_in": u64::MAX }), Some(315_360_000), None),
        (
            json!({ "refresh_token_expires_in": 86_400 }),
            Some(3_600),
            Some(86_400),
        ),
        (
            json!({ "refresh_token_expires_in": "86400" }),
            Some(3_600),
            None,
        ),
        (json!({ "refresh_token_expires_in": {} }), Some(3_600), None),
        (json!({ "refresh_token_expires_in": -1 }), Some(3_600), None),
    ] {
        let trial = Trial::with_settings(&[("upstream.acme.keep_tokens", "true")]).await;
        trial.issuer.lie(|lies| {
            lies.refresh.given = true;
            lies.refresh.answer = members.as_object().unwrap().clone();
        });
        let callback = trial.at_issuer(ana()).await;
        let grant = super::grant(&callback.code);
        let redeemed = trial.upstream.redeem(&trial.provider, &grant, trial.now());
        let tokens = redeemed.await.unwrap().tokens.unwrap();
        let at = |end: Option<countersign::model::kernel::time::Timestamp>| {
            end.map(|end| end.since(trial.now()).as_secs())
        };
        let found = (at(tokens.expires_at), at(tokens.refresh_expires_at));
        assert_eq!(found, (lives, refresh_lives), "{members}");
        assert!(!format!("{tokens:?}").contains("-0"), "{tokens:?}");
    }
}
