//! Other issuers: what this program asks of them, and what it believes. The flows that sign users in
//! by an identity have their own tests; here the connection is driven directly.

mod id_tokens;
mod protocol;
mod providers;
mod requests;

use std::sync::Arc;

use countersign::clock::{Clock, TestClock};
use countersign::config::upstream::{
    ClientSecret, EmailTrust, Kind, Provider, ResponseMode, UpstreamSignUp, Upstreams,
};
use countersign::config::{Config, Secret, Sources};
use countersign::encoding::{encode, sha256};
use countersign::model::federation::identity::Identity;
use countersign::model::kernel::time::Timestamp;
use countersign::upstream::{Authorization, Failure, Grant, NativeToken, Upstream};
use zeroize::Zeroizing;

use crate::support::app::START;
use crate::support::issuer::{CLIENT_ID, CLIENT_SECRET, Callback, Issuer, Says};

const REDIRECT_URI: &str = "http://localhost:4000/api/auth/callback/acme";
const VERIFIER: &str = "0123456789012345678901234567890123456789abc";

/// An issuer, and a service that has it as its provider.
struct Trial {
    issuer: Issuer,
    clock: Arc<TestClock>,
    provider: Arc<Provider>,
    upstream: Upstream,
}

impl Trial {
    /// With a provider of the settings, of the kind `oidc`.
    async fn start() -> Self {
        Self::with_settings(&[]).await
    }

    async fn with_settings(extra: &[(&str, &str)]) -> Self {
        let issuer = Issuer::start().await;
        let mut flags = issuer.settings("acme");
        let extra = extra
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        flags.extend(extra);
        let config = Config::load(&Sources {
            flags,
            ..Sources::default()
        });
        let provider = Arc::clone(config.unwrap().upstream.find("acme").unwrap());
        Self::of(issuer, provider)
    }

    /// With a provider of a kind whose issuer the settings do not name.
    async fn of_kind(kind: Kind, change: impl FnOnce(&mut Provider)) -> Self {
        let issuer = Issuer::start().await;
        let mut provider = Provider {
            id: "acme".parse().unwrap(),
            kind,
            name: "Acme".into(),
            client_id: CLIENT_ID.into(),
            secret: ClientSecret::Text(Secret(Zeroizing::new(CLIENT_SECRET.into()))),
            client_ids: Vec::new(),
            scopes: vec!["openid".into()],
            issuer: issuer.url().to_owned(),
            domains: Vec::new(),
            email: EmailTrust::Authoritative,
            sign_up: UpstreamSignUp::Always,
            response_mode: ResponseMode::Query,
            trust_mfa: false,
            allow_private: true,
            hd: None,
            tenant: None,
            organizations: Vec::new(),
        };
        change(&mut provider);
        Self::of(issuer, Arc::new(provider))
    }

    fn of(issuer: Issuer, provider: Arc<Provider>) -> Self {
        let clock = Arc::new(TestClock::at(START));
        issuer.follow(&clock);
        let providers = Upstreams::of(vec![Arc::clone(&provider)]);
        Self {
            upstream: Upstream::new(&providers, clock.clone()).unwrap(),
            clock,
            issuer,
            provider,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    /// The URL that a browser is sent to.
    async fn url(&self) -> Result<String, Failure> {
        let challenge = challenge();
        let asked = asked(&challenge);
        let url = self.upstream.authorization_url(&self.provider, &asked);
        url.await.map(Into::into)
    }

    /// The user signs in at the issuer, and the browser comes back.
    async fn at_issuer(&self, says: Says) -> Callback {
        self.issuer.authorize(&self.url().await.unwrap(), says)
    }

    async fn redeem(&self, callback: &Callback) -> Result<Identity, Failure> {
        self.redeem_with(&grant(&callback.code)).await
    }

    async fn redeem_with(&self, grant: &Grant<'_>) -> Result<Identity, Failure> {
        self.upstream
            .redeem(&self.provider, grant, self.now())
            .await
    }

    /// A whole sign-in at the issuer.
    async fn sign_in(&self, says: Says) -> Result<Identity, Failure> {
        let callback = self.at_issuer(says).await;
        assert_eq!(callback.state, "state-1");
        self.redeem(&callback).await
    }

    /// An id token that an app has got by itself.
    async fn verify(&self, token: &str, nonce: Option<&str>) -> Result<Identity, Failure> {
        let native = NativeToken { token, nonce };
        self.upstream
            .verify(&self.provider, &native, self.now())
            .await
    }
}

fn challenge() -> String {
    encode(&sha256(VERIFIER.as_bytes()))
}

fn asked(challenge: &str) -> Authorization<'_> {
    Authorization {
        state: "state-1",
        nonce: "nonce-1",
        code_challenge: challenge,
        redirect_uri: REDIRECT_URI,
        scopes: &[],
        login_hint: None,
        extra: &[],
    }
}

fn grant(code: &str) -> Grant<'_> {
    Grant {
        code,
        code_verifier: VERIFIER,
        redirect_uri: REDIRECT_URI,
        nonce: "nonce-1",
        first_user: None,
    }
}

fn ana() -> Says {
    Says::user("ana-1", "ana@acme.example")
}

/// The text of a failure, which must repeat nothing of the other side.
fn told(failure: &Failure) -> String {
    let text = failure.to_string();
    for foreign in ["<b>", "http://", "127.0.0.1", "evil", "ana", CLIENT_SECRET] {
        assert!(!text.contains(foreign), "{text}");
    }
    text
}
