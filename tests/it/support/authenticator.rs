//! An authenticator app: it holds the secret of one account and shows the code of the time.

use serde_json::json;
use totp_rs::{Builder, Secret, Totp};
use url::Url;

use super::actors::{Answer, User};
use super::app::{TestApp, seconds};

/// An authenticator app, with the recovery codes that its user has written down.
#[derive(Clone)]
pub struct Authenticator {
    totp: Totp,
    pub codes: Vec<String>,
}

impl Authenticator {
    /// Scans the QR code of an enrolment.
    pub fn scan(enrolment: &Answer) -> Self {
        let uri = Url::parse(&enrolment.str("totpURI")).unwrap();
        let (_, secret) = uri
            .query_pairs()
            .find(|(name, _)| name == "secret")
            .unwrap();
        let secret = Secret::try_from_base32(secret.as_ref()).unwrap();
        let codes = enrolment.body["backupCodes"].as_array().unwrap();
        Self {
            totp: Builder::new().with_secret(secret).build_noncompliant(),
            codes: codes
                .iter()
                .map(|code| code.as_str().unwrap().into())
                .collect(),
        }
    }

    /// The code of the present step, or of one that is `steps` later.
    pub fn code(&self, app: &TestApp, steps: i64) -> String {
        let time = app.app.now().seconds() + 30 * steps;
        self.totp.generate(u64::try_from(time).unwrap()).to_string()
    }
}

impl User {
    /// Enrols an authenticator app in a session of its own. The code of the present step is used
    /// up, so the time moves on by one step.
    pub async fn enrols(&self) -> Authenticator {
        let session = self.sign_in().await.session;
        let own = self.enrols_in(&session).await;
        self.app.after(seconds(30));
        own
    }

    /// Enrols an authenticator app in this session.
    pub async fn enrols_in(&self, session: &str) -> Authenticator {
        let password = json!({ "password": self.password });
        let enrolment = self
            .app
            .post_as("/api/auth/two-factor/enable", session, &password)
            .await
            .ok();
        let own = Authenticator::scan(&enrolment);
        let code = json!({ "code": own.code(&self.app, 0) });
        self.app
            .post_as("/api/auth/two-factor/verify-totp", session, &code)
            .await
            .ok();
        own
    }

    /// Begins a sign-in with the password as a native client, and returns the secret of the pending
    /// sign-in.
    pub async fn begins(&self) -> String {
        let answer = self.try_sign_in(&self.password).await.ok();
        assert_eq!(answer.body["twoFactorRedirect"], true, "{}", answer.text);
        answer.str("challenge")
    }

    /// Tries a code of the authenticator app for a pending sign-in.
    pub async fn tries(&self, challenge: &str, code: &str) -> Answer {
        let body = json!({ "challenge": challenge, "code": code });
        self.app
            .post("/api/auth/two-factor/verify-totp", &body)
            .await
    }

    /// Tries a recovery code for a pending sign-in.
    pub async fn tries_recovery(&self, challenge: &str, code: &str) -> Answer {
        let body = json!({ "challenge": challenge, "code": code });
        self.app
            .post("/api/auth/two-factor/verify-backup-code", &body)
            .await
    }
}
