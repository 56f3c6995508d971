//! Sign-ins at other issuers: who gets in, what is asked for before, where the browser is led, and what
//! an answer is good for.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use countersign::config::upstream::{ClientSecret, Kind, Provider, Upstreams};
use countersign::encoding::{decode, encode};
use countersign::flows::account::manage_users;
use countersign::flows::federation::refused::Refused;
use countersign::flows::key::rewrap::{Options, rewrap};
use countersign::flows::permit::Permitted;
use countersign::http::ops_router;
use countersign::model::audit::event::Requester;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tower::ServiceExt;
use url::Url;

use super::admin::{ask, id, made_admin};
use super::mail::{about, posting, received, verified};
use super::mail_sign_in::code_of;
use crate::support::authenticator::Authenticator;
use crate::support::issuer::{CLIENT_ID, CLIENT_SECRET, Issuer, Says};
use crate::support::{Answer, Browser, SESSION_COOKIE, TestApp, minutes, seconds};

pub(super) const SIGN_IN: &str = "/api/auth/sign-in/social";
pub(super) const ACCOUNTS: &str = "/api/auth/list-accounts";

/// A service with providers whose issuer is in the test. `acme` is responsible for `example.com`; `other`
/// says of the same mailboxes that it has verified them, and is responsible for none.
pub(super) struct Place {
    pub(super) app: TestApp,
    pub(super) issuer: Arc<Issuer>,
    pub(super) dir: tempfile::TempDir,
}

impl Place {
    pub(super) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(super) async fn with(extra: &[(&str, &str)]) -> Self {
        Self::of(Issuer::start().await, extra).await
    }

    pub(super) async fn of(issuer: Issuer, extra: &[(&str, &str)]) -> Self {
        let mut settings = issuer.settings("acme");
        settings.push(("upstream.acme.domains".into(), "example.com".into()));
        settings.extend(issuer.settings("other"));
        settings.extend(issuer.github_settings("github"));
        let settings = settings.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let all: Vec<(&str, &str)> = settings.chain(extra.iter().copied()).collect();
        let (app, dir) = posting(&all).await;
        issuer.follow(&app.clock);
        let issuer = Arc::new(issuer);
        Self { app, issuer, dir }
    }

    /// A page of the issuer, from which the browser comes back.
    pub(super) fn page(&self) -> String {
        format!("{}/login", self.issuer.url())
    }

    /// The user signs in at the issuer; the query with which the browser comes back.
    pub(super) fn at_issuer(&self, begun: &Answer, says: Says) -> String {
        self.issuer.authorize(&begun.str("url"), says).query()
    }

    /// The browser comes back to the callback of a provider.
    pub(super) async fn comes_back(
        &self,
        browser: &Browser,
        provider: &str,
        query: &str,
    ) -> Answer {
        let path = format!("/api/auth/callback/{provider}?{query}");
        browser.on(&self.page()).follow(&path).await
    }

    /// Signs in at a provider, or links an identity, as this request asks for; the last answer.
    pub(super) async fn goes(
        &self,
        browser: &Browser,
        path: &str,
        body: &Value,
        says: Says,
    ) -> Answer {
        let begun = browser.post(path, body).await.ok();
        let query = self.at_issuer(&begun, says);
        let provider = body["provider"].as_str().unwrap();
        self.comes_back(browser, provider, &query).await
    }

    /// Signs in at a provider.
    pub(super) async fn signs_in(&self, browser: &Browser, provider: &str, says: Says) -> Answer {
        let body = json!({ "provider": provider, "callbackURL": "/welcome" });
        self.goes(browser, SIGN_IN, &body, says).await
    }

    /// The number of identities that are linked to any user.
    pub(super) async fn links(&self) -> i64 {
        let sql = "SELECT COUNT(*) FROM accounts WHERE issuer IS NOT NULL";
        self.app.db_number(sql).await
    }

    async fn users(&self) -> i64 {
        self.app.db_number("SELECT COUNT(*) FROM users").await
    }

    /// Another process with other settings, whose issuer is the same.
    async fn replica(&self, extra: &[(&str, &str)]) -> Self {
        Self {
            app: self.app.replica_with(extra).await,
            issuer: Arc::clone(&self.issuer),
            dir: tempfile::tempdir().unwrap(),
        }
    }
}

/// What an issuer says of Ana, whose mailbox it has verified.
pub(super) fn ana() -> Says {
    Says::user("ana-1", "ana@example.com")
}

/// The same without its word that the mailbox is verified.
pub(super) fn unverified(says: Says) -> Says {
    Says {
        email_verified: Some(false),
        ..says
    }
}

#[track_caller]
pub(super) fn led(answer: &Answer, to: &str) {
    let location = answer.header("location");
    let seen = (answer.status.as_u16(), location);
    assert_eq!(seen, (302, to), "{}", answer.text);
}

/// The browser is led to the error page of the service with this word.
#[track_caller]
pub(super) fn refused(answer: &Answer, word: &str) {
    led(answer, &format!("/api/auth/error?error={word}"));
    let is_session = |line: &String| line.starts_with(SESSION_COOKIE) && !line.contains("=;");
    assert!(!answer.cookies().iter().any(is_session), "{answer:?}");
}

/// The email address of the user who is signed in there.
pub(super) async fn who(browser: &Browser) -> Option<String> {
    let answer = browser.get("/api/auth/get-session").await.ok();
    answer.body["user"]["email"].as_str().map(ToOwned::to_owned)
}

/// How the session of the browser was opened: `amr` and `acr`.
async fn strength(browser: &Browser) -> (Value, Value) {
    let claims = browser.get("/api/auth/token").await.ok().claims("token");
    let level = claims["acr"].as_str().unwrap();
    let level = level.rsplit(':').next().unwrap().into();
    (claims["amr"].clone(), level)
}

/// The names of the cookies that wait for an issuer's answer.
fn waiting(browser: &Browser) -> Vec<String> {
    let mut names = browser.sends("/api/auth/callback/acme");
    names.retain(|name| name.starts_with("better-auth.upstream."));
    names
}

#[tokio::test]
async fn an_identity_makes_an_account_once_and_opens_it_again() {
    let place = Place::start().await;
    let browser = Browser::new(&place.app);
    let before = place.app.db_dump().await;
    let body =
        json!({ "provider": "acme", "callbackURL": "/welcome", "newUserCallbackURL": "/new" });
    let begun = browser.post(SIGN_IN, &body).await.ok();
    assert_eq!(begun.body["redirect"], true);
    assert_eq!(begun.header("location"), begun.str("url"));
    // What is begun stands in the browser alone, and goes to one path.
    assert_eq!(place.app.db_dump().await, before);
    assert_eq!(waiting(&browser).len(), 1);
    let elsewhere = browser.sends("/api/auth/get-session");
    assert!(
        elsewhere.iter().all(|name| !name.contains("upstream")),
        "{elsewhere:?}"
    );
    let query = place.at_issuer(&begun, ana());
    led(&place.comes_back(&browser, "acme", &query).await, "/new");
    assert_eq!(waiting(&browser), [""; 0]);
    let session = browser.get("/api/auth/get-session").await.ok();
    let user = &session.body["user"];
    assert_eq!(user["email"], "ana@example.com");
    assert_eq!(user["emailVerified"], true);
    assert_eq!(user["name"], "Ana Muster");
    assert_eq!(strength(&browser).await, (json!(["fed"]), json!("1fa")));
    let accounts = browser.get(ACCOUNTS).await.ok().body;
    assert_eq!(accounts.as_array().unwrap().len(), 1, "no password");
    assert_eq!(accounts[0]["providerId"], "acme");
    assert_eq!(accounts[0]["accountId"], "ana-1");
    assert_eq!(accounts[0]["userId"], user["id"]);
    assert_eq!(accounts[0]["scopes"], json!(["openid", "email", "profile"]));
    // Another name, mailbox and picture at the issuer change nothing of the account.
    let changed = Says {
        name: Some("Another Name".into()),
        ..Says::user("ana-1", "ana@new.example.com")
    };
    let again = Browser::new(&place.app);
    let body =
        json!({ "provider": "acme", "callbackURL": "/welcome", "newUserCallbackURL": "/new" });
    led(
        &place.goes(&again, SIGN_IN, &body, changed).await,
        "/welcome",
    );
    assert_eq!(who(&again).await.as_deref(), Some("ana@example.com"));
    assert_eq!((place.users().await, place.links().await), (1, 1));
    let named = place
        .app
        .db_texts("SELECT email FROM accounts WHERE issuer IS NOT NULL")
        .await;
    assert_eq!(named, ["ana@new.example.com"], "for the list of accounts");
    let profiles = place.app.db_texts("SELECT name FROM users").await;
    assert_eq!(profiles, ["Ana Muster"]);
    // The audit trail tells how, and no mail tells a new user of the first link.
    let events = place.app.db_events().await;
    let of = |kind: &str| -> Vec<Value> {
        let found = events.iter().filter(|e| e.event.kind.as_str() == kind);
        found.map(|e| json!(e.event.detail)).collect()
    };
    assert_eq!(of("user.created"), [json!({ "provider": "acme" })]);
    let linked = of("upstream.linked");
    assert_eq!(linked.len(), 1);
    assert_eq!(
        (&linked[0]["provider"], &linked[0]["account"]),
        (&json!("acme"), &accounts[0]["id"])
    );
    let opened = of("session.created");
    assert_eq!(opened.len(), 2);
    assert!(
        opened
            .iter()
            .all(|one| one["amr"] == json!(["fed"]) || one["amr"] == "fed")
    );
    let mails = received(&place.app, place.dir.path()).await;
    assert!(mails.is_empty(), "{mails:?}");
}

#[tokio::test]
async fn the_identity_of_a_deleted_user_makes_a_new_account() {
    let place = Place::start().await;
    let app = &place.app;
    let root = made_admin(app, "root").await.sign_in().await;
    let browser = Browser::new(app);
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    let user = browser.get("/api/auth/get-session").await.ok().body["user"]["id"].clone();
    ask(app, &root, "remove-user", json!({ "userId": user }))
        .await
        .ok();
    assert_eq!(who(&browser).await, None);
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    let next = browser.get("/api/auth/get-session").await.ok().body["user"]["id"].clone();
    assert!(next.is_string() && next != user);
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_nothing_is_linked_before() {
    let place = Place::start().await;
    let app = &place.app;
    let user = verified(app, place.dir.path(), "ana").await;
    let phone = user.enrols().await;
    received(app, place.dir.path()).await;
    let browser = Browser::new(app);
    let page = "/auth/challenge?redirect_to=%2Fwelcome";
    led(&place.signs_in(&browser, "acme", ana()).await, page);
    assert_eq!(who(&browser).await, None);
    let verify = "/api/auth/two-factor/verify-totp";
    browser
        .post(verify, &json!({ "code": "000000" }))
        .await
        .refused(401, "INVALID_CODE");
    assert_eq!(place.links().await, 0);
    assert_eq!(app.db_count_events("upstream.linked").await, 0);
    let body = json!({ "code": phone.code(app, 0), "trustDevice": true });
    browser.post(verify, &body).await.ok();
    assert_eq!(place.links().await, 1);
    assert_eq!(
        strength(&browser).await,
        (json!(["fed", "otp"]), json!("2fa"))
    );
    let mails = received(app, place.dir.path()).await;
    about(&mails, "Another way to sign in was added");
    // A linked user is asked as well, and not in a browser that is remembered.
    let other = Browser::new(app);
    led(&place.signs_in(&other, "acme", ana()).await, page);
    assert_eq!(who(&other).await, None);
    browser.post("/api/auth/sign-out", &json!({})).await.ok();
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    assert_eq!(
        strength(&browser).await,
        (json!(["fed", "device"]), json!("1fa"))
    );
    assert_eq!(app.db_count_events("upstream.linked").await, 1);
}

#[tokio::test]
async fn the_factors_of_an_issuer_count_where_the_settings_trust_it() {
    let place = Place::with(&[("upstream.acme.trust_mfa", "true")]).await;
    let app = &place.app;
    let user = verified(app, place.dir.path(), "ana").await;
    user.enrols().await;
    let by = |methods: &[&str]| Says {
        amr: methods.iter().map(ToString::to_string).collect(),
        ..ana()
    };
    let page = "/auth/challenge?redirect_to=%2Fwelcome";
    for methods in [&[][..], &["pwd"], &["otp", "hwk"]] {
        let browser = Browser::new(app);
        led(&place.signs_in(&browser, "acme", by(methods)).await, page);
    }
    let browser = Browser::new(app);
    let says = by(&["pwd", "mfa"]);
    led(
        &place.signs_in(&browser, "acme", says.clone()).await,
        "/welcome",
    );
    assert_eq!(
        strength(&browser).await,
        (json!(["fed", "mfa"]), json!("2fa"))
    );
    // Elsewhere the same word counts for nothing.
    let strict = place.replica(&[("upstream.acme.trust_mfa", "false")]).await;
    let browser = Browser::new(&strict.app);
    led(&strict.signs_in(&browser, "acme", says).await, page);
}

/// Who may make an account, by each way in: the rules are those of any sign-up, and the provider's own.
#[tokio::test]
async fn an_account_is_made_where_the_settings_and_the_client_want_one() {
    const OPEN: &[(&str, &str)] = &[];
    const CLOSED: &[(&str, &str)] = &[("sign_up.enabled", "false")];
    const OTHERS: &[(&str, &str)] = &[("sign_up.allowed_domains", "corp.example")];
    const BLOCKED: &[(&str, &str)] = &[("sign_up.blocked_domains", "example.com")];
    const ASKED: &[(&str, &str)] = &[("upstream.acme.sign_up", "requested")];
    const NEVER: &[(&str, &str)] = &[("upstream.acme.sign_up", "false")];
    const IN: Option<&str> = None;
    let (disabled, domain) = (Some("signup_disabled"), Some("domain_not_allowed"));
    // settings, whether a password makes one, an issuer, an issuer that the client asks for one
    for (settings, by_password, by_issuer, requested) in [
        (OPEN, true, IN, IN),
        (CLOSED, false, disabled, disabled),
        (OTHERS, false, domain, domain),
        (BLOCKED, false, domain, domain),
        (ASKED, true, disabled, IN),
        (NEVER, true, disabled, disabled),
    ] {
        for (wants, outcome) in [(false, by_issuer), (true, requested)] {
            let place = Place::with(settings).await;
            let body =
                json!({ "provider": "acme", "callbackURL": "/welcome", "requestSignUp": wants });
            let browser = Browser::new(&place.app);
            let answer = place.goes(&browser, SIGN_IN, &body, ana()).await;
            match outcome {
                None => led(&answer, "/welcome"),
                Some(word) => refused(&answer, word),
            }
            let made = i64::from(outcome.is_none());
            assert_eq!(
                (place.users().await, place.links().await),
                (made, made),
                "{settings:?}"
            );
            let sign_up = json!({ "name": "Bob", "email": "bob@example.com", "password": "bob's good password" });
            let answer = place.app.post("/api/auth/sign-up/email", &sign_up).await;
            assert_eq!(
                answer.status.is_success(),
                by_password,
                "{settings:?} {}",
                answer.text
            );
            // Who has an account gets in everywhere.
            if outcome.is_some() {
                let open = place
                    .replica(&[
                        ("sign_up.enabled", "true"),
                        ("sign_up.allowed_domains", ""),
                        ("sign_up.blocked_domains", ""),
                        ("upstream.acme.sign_up", "true"),
                    ])
                    .await;
                let browser = Browser::new(&open.app);
                led(&open.signs_in(&browser, "acme", ana()).await, "/welcome");
            }
            let browser = Browser::new(&place.app);
            led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
        }
    }
}

const VERIFYING: (&str, &str) = ("sign_up.require_email_verification", "true");

/// Opens the link of a mail, and sends the form of its page.
async fn opens(browser: &Browser, link: &str) -> Answer {
    let page = browser.get(link).await.ok();
    let field = regex::Regex::new(r#"type="hidden" name="([^"]+)" value="([^"]*)""#).unwrap();
    let mut fields: Vec<(String, String)> = field
        .captures_iter(&page.text)
        .map(|c| {
            let value = c[2].replace("&#x2f;", "/").replace("&#47;", "/");
            (c[1].to_owned(), value)
        })
        .collect();
    fields.sort();
    fields.dedup();
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    browser.form(link.split_once('?').unwrap().0, &fields).await
}

#[tokio::test]
async fn a_new_user_whose_mailbox_is_not_proven_verifies_it_first_where_that_is_required() {
    let place = Place::with(&[VERIFYING]).await;
    let app = &place.app;
    let body = json!({ "provider": "other", "callbackURL": "/welcome", "errorCallbackURL": "/failed?x=1" });
    for is_owner in [true, false] {
        let n = i64::from(!is_owner);
        let email = if is_owner {
            "ana@example.com"
        } else {
            "bob@example.com"
        };
        let says = Says::user(email, email);
        let browser = Browser::new(app);
        let answer = place.goes(&browser, SIGN_IN, &body, says.clone()).await;
        led(&answer, "/failed?x=1&error=email_not_verified");
        assert_eq!(who(&browser).await, None);
        assert_eq!((place.users().await, place.links().await), (n + 1, n + 1));
        let mails = received(app, place.dir.path()).await;
        assert_eq!(mails.len(), 1, "{mails:?}");
        let link = about(&mails, "Confirm your email address").link();
        // The same identity again makes no second account, and opens none.
        let again = place
            .signs_in(&Browser::new(app), "other", says.clone())
            .await;
        refused(&again, "email_not_verified");
        assert_eq!(place.users().await, n + 1);
        if is_owner {
            // In the browser that made the account it is the same person.
            let answer = opens(&browser, &link).await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("location")),
                (303, "/welcome")
            );
            assert_eq!(app.db_count_events("account.reclaimed").await, 0);
            led(&place.signs_in(&browser, "other", says).await, "/welcome");
            assert_eq!(who(&browser).await.as_deref(), Some(email));
            continue;
        }
        // Elsewhere the owner of the mailbox takes the account, without the identity and its words.
        let owner = Browser::new(app);
        let answer = opens(&owner, &link).await;
        let location = answer.header("location");
        assert!(
            location.starts_with("/api/auth/reset-password/"),
            "{location}"
        );
        assert_eq!(app.db_count_events("account.reclaimed").await, 1);
        assert_eq!(place.links().await, 1, "that of Ana");
        let name = "SELECT name FROM users WHERE email = 'bob@example.com'";
        assert_eq!(app.db_text(name).await.as_deref(), Some(""));
        let answer = place.signs_in(&browser, "other", says).await;
        refused(&answer, "account_not_linked");
    }
}

#[tokio::test]
async fn an_app_whose_user_verifies_the_mailbox_first_is_known_by_a_token_of_its_own() {
    const SEND: &str = "/api/auth/email-otp/send-verification-otp";
    let place = Place::with(&[VERIFYING]).await;
    let (app, dir) = (&place.app, place.dir.path());
    let token = |email: &str| {
        let says = Says::user(email, email);
        place.issuer.id_token(CLIENT_ID, None, &says)
    };
    for (email, brings_device) in [("ana@example.com", true), ("bob@example.com", false)] {
        let native = |token: String| json!({ "provider": "other", "tokenDelivery": "body", "idToken": { "token": token } });
        let answer = app.post(SIGN_IN, &native(token(email))).await;
        let device = answer.str("deviceToken");
        assert!(answer.cookies().is_empty());
        answer.refused(403, "EMAIL_NOT_VERIFIED");
        received(app, dir).await;
        // The code of a mail is typed into the app, with or without that token.
        let ask = json!({ "email": email, "type": "email-verification", "tokenDelivery": "body" });
        let asked = app.post(SEND, &ask).await.ok();
        let mails = received(app, dir).await;
        let mail = mails.iter().find(|mail| mail.to == email).unwrap();
        let mut typed = json!({ "email": email, "otp": code_of(&mail.text), "binding": asked.body["binding"], "tokenDelivery": "body" });
        if brings_device {
            typed["deviceToken"] = device.into();
        }
        let path = "/api/auth/email-otp/verify-email";
        app.post(path, &typed).await.ok();
        app.after(std::time::Duration::from_secs(1));
        let again = app.post(SIGN_IN, &native(token(email))).await;
        if brings_device {
            assert_eq!(again.ok().body["user"]["emailVerified"], true);
        } else {
            again.refused(401, "OAUTH_LINK_ERROR");
        }
    }
    // A browser is known by its cookie.
    let browser = Browser::new(app);
    let body = json!({ "provider": "other", "idToken": { "token": token("cleo@example.com") } });
    let answer = browser.post(SIGN_IN, &body).await;
    assert!(answer.body["deviceToken"].is_null());
    answer.refused(403, "EMAIL_NOT_VERIFIED");
    let mails = received(app, dir).await;
    let link = about(&mails, "Confirm your email address").link();
    assert_eq!(opens(&browser, &link).await.status.as_u16(), 303);
    let says = Says::user("cleo@example.com", "cleo@example.com");
    led(&place.signs_in(&browser, "other", says).await, "/welcome");
}

#[tokio::test]
async fn a_mailbox_that_the_issuer_proves_needs_no_mail_and_one_that_it_does_not_stays_unverified()
{
    for (provider, settings, verified, word) in [
        ("acme", &[VERIFYING][..], true, None),
        ("acme", &[], true, None),
        ("other", &[], false, None),
        ("other", &[VERIFYING], false, Some("email_not_verified")),
    ] {
        let place = Place::with(settings).await;
        let browser = Browser::new(&place.app);
        let answer = place.signs_in(&browser, provider, ana()).await;
        match word {
            None => led(&answer, "/welcome"),
            Some(word) => refused(&answer, word),
        }
        let marked = "SELECT email_verified FROM users";
        assert_eq!(place.app.db_number(marked).await, i64::from(verified));
        let mails = received(&place.app, place.dir.path()).await;
        assert_eq!(mails.len(), usize::from(word.is_some()), "{mails:?}");
    }
}

#[tokio::test]
async fn a_browser_is_led_to_urls_that_are_trusted_and_to_no_others() {
    let trusted = ("server.trusted_origins", "https://app.example.com");
    let place = Place::with(&[trusted]).await;
    let app = &place.app;
    // Without a URL it is the home of the pages, and the error page of the service.
    let plain = json!({ "provider": "acme" });
    let browser = Browser::new(app);
    let answer = place.goes(&browser, SIGN_IN, &plain, ana()).await;
    led(&answer, "/auth/account");
    let nameless = Says {
        email: None,
        email_verified: None,
        ..Says::user("nameless", "")
    };
    let answer = place
        .goes(&Browser::new(app), SIGN_IN, &plain, nameless.clone())
        .await;
    refused(&answer, "email_not_found");
    let urls = json!({
        "provider": "acme",
        "callbackURL": "https://app.example.com/done?a=b",
        "errorCallbackURL": "https://app.example.com/failed?a=b#part",
    });
    let answer = place.goes(&Browser::new(app), SIGN_IN, &urls, ana()).await;
    led(&answer, "https://app.example.com/done?a=b");
    let answer = place
        .goes(&Browser::new(app), SIGN_IN, &urls, nameless)
        .await;
    led(
        &answer,
        "https://app.example.com/failed?a=b&error=email_not_found#part",
    );
    for (field, code) in [
        ("callbackURL", "INVALID_CALLBACK_URL"),
        ("errorCallbackURL", "INVALID_ERROR_CALLBACK_URL"),
        ("newUserCallbackURL", "INVALID_NEW_USER_CALLBACK_URL"),
    ] {
        for url in [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "https://app.example.com.evil.example/",
            "javascript:alert(1)",
        ] {
            let body = json!({ "provider": "acme", field: url });
            app.post(SIGN_IN, &body).await.refused(403, code);
        }
    }
    // A URL that fits is sealed; three long ones do not fit.
    let long = |length: usize| format!("/{}", "a".repeat(length - 1));
    let body = json!({ "provider": "acme", "callbackURL": long(700) });
    app.post(SIGN_IN, &body).await.ok();
    let body = json!({ "provider": "acme", "callbackURL": long(700), "errorCallbackURL": long(700), "newUserCallbackURL": long(700) });
    app.post(SIGN_IN, &body).await.refused(400, "URL_TOO_LONG");
    app.post(SIGN_IN, &json!({ "provider": "unknown" }))
        .await
        .refused(404, "PROVIDER_NOT_FOUND");
    app.post(SIGN_IN, &json!({ "provider": "credential" }))
        .await
        .refused(404, "PROVIDER_NOT_FOUND");
}

#[tokio::test]
async fn a_client_adds_to_the_request_and_replaces_nothing_in_it() {
    let place = Place::start().await;
    let app = &place.app;
    let body = json!({
        "provider": "acme", "disableRedirect": true, "scopes": ["calendar"],
        "loginHint": "ana@example.com", "additionalParams": { "prompt": "login" },
    });
    let begun = app.post(SIGN_IN, &body).await.ok();
    assert_eq!(begun.body["redirect"], false);
    assert_eq!(begun.header("location"), "");
    let url = Url::parse(&begun.str("url")).unwrap();
    let value = |name: &str| {
        let mut pairs = url.query_pairs().filter(|(known, _)| known == name);
        let found = pairs.next().map(|(_, value)| value.into_owned());
        assert!(pairs.next().is_none(), "{name} stands twice");
        found.unwrap_or_default()
    };
    assert_eq!(value("prompt"), "login");
    assert_eq!(value("login_hint"), "ana@example.com");
    assert_eq!(value("scope"), "openid email profile calendar");
    assert_eq!(
        value("redirect_uri"),
        "http://localhost:4000/api/auth/callback/acme"
    );
    for name in [
        "state",
        "nonce",
        "redirect_uri",
        "client_id",
        "scope",
        "response_type",
        "response_mode",
        "code_challenge",
        "code_challenge_method",
        "request",
        "request_uri",
    ] {
        let body = json!({ "provider": "acme", "additionalParams": { name: "x" } });
        app.post(SIGN_IN, &body)
            .await
            .refused(400, "VALIDATION_ERROR");
    }
    for bad in [json!({ "prompt": 1 }), json!([]), json!("prompt=login")] {
        let body = json!({ "provider": "acme", "additionalParams": bad });
        app.post(SIGN_IN, &body)
            .await
            .refused(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn a_state_is_good_once_in_its_browser_for_its_provider() {
    let place = Place::start().await;
    let app = &place.app;
    let failed =
        json!({ "provider": "acme", "callbackURL": "/welcome", "errorCallbackURL": "/failed" });
    let begin = async || {
        let browser = Browser::new(app);
        let begun = browser.post(SIGN_IN, &failed).await.ok();
        let query = place.at_issuer(&begun, ana());
        (browser, query)
    };
    // Of no state and of one that is not this browser's nothing is known: not even where it leads.
    let (browser, query) = begin().await;
    refused(
        &place.comes_back(&browser, "acme", "code=x").await,
        "state_not_found",
    );
    let other = place.comes_back(&Browser::new(app), "acme", &query).await;
    refused(&other, "state_mismatch");
    let renamed = query.replace("state=", "state=x");
    refused(
        &place.comes_back(&browser, "acme", &renamed).await,
        "state_mismatch",
    );
    // Two whose names begin alike are told apart.
    let part: String = query
        .split("state=")
        .nth(1)
        .unwrap()
        .chars()
        .take(8)
        .collect();
    let alike = format!("code=x&state={part}{}", "A".repeat(24));
    refused(
        &place.comes_back(&browser.stolen(), "acme", &alike).await,
        "state_mismatch",
    );
    // At the callback of another provider it is none, and a copy of the browser finishes at its own.
    let copy = browser.stolen();
    refused(
        &place.comes_back(&copy, "other", &query).await,
        "state_mismatch",
    );
    refused(
        &place.comes_back(&browser.stolen(), "unknown", &query).await,
        "state_mismatch",
    );
    let copy = browser.stolen();
    led(
        &place.comes_back(&browser, "acme", &query).await,
        "/welcome",
    );
    // Once: the cookie is gone, and in a copy of it the state is used up.
    refused(
        &place.comes_back(&browser, "acme", &query).await,
        "state_mismatch",
    );
    let again = place.comes_back(&copy, "acme", &query).await;
    led(&again, "/failed?error=state_mismatch");
    assert_eq!(who(&copy).await, None);
    assert_eq!(
        place.issuer.times_asked("/token"),
        1,
        "the code goes out once"
    );
    // Of a cookie that was changed nothing opens.
    let (browser, query) = begin().await;
    let name = waiting(&browser).remove(0);
    browser.set_cookie(&name, "not.sealed");
    refused(
        &place.comes_back(&browser, "acme", &query).await,
        "state_mismatch",
    );
    // Ten minutes, by the clock of the service.
    for (time, is_good) in [(seconds(599), true), (seconds(600), false)] {
        let (browser, query) = begin().await;
        app.after(time);
        let slow = browser.with_clock_behind(minutes(20));
        let answer = place.comes_back(&slow, "acme", &query).await;
        if is_good {
            led(&answer, "/welcome");
        } else {
            refused(&answer, "state_mismatch");
        }
    }
}

#[tokio::test]
async fn two_tabs_do_not_disturb_each_other() {
    let place = Place::start().await;
    let browser = Browser::new(&place.app);
    let begin = async |provider: &str| {
        let body = json!({ "provider": provider, "callbackURL": format!("/{provider}") });
        browser.post(SIGN_IN, &body).await.ok()
    };
    let (one, two) = (begin("acme").await, begin("other").await);
    assert_eq!(waiting(&browser).len(), 2);
    let query = place.at_issuer(&one, ana());
    let second = place.at_issuer(&two, Says::user("bob-1", "bob@example.com"));
    led(
        &place.comes_back(&browser, "other", &second).await,
        "/other",
    );
    assert_eq!(who(&browser).await.as_deref(), Some("bob@example.com"));
    led(&place.comes_back(&browser, "acme", &query).await, "/acme");
    assert_eq!(who(&browser).await.as_deref(), Some("ana@example.com"));
    // The session that was there before has ended.
    assert_eq!(place.app.live_sessions().await, 1);
}

#[tokio::test]
async fn a_state_outlives_a_change_of_the_master_key() {
    let place = Place::start().await;
    let app = &place.app;
    let begin = async || {
        let browser = Browser::new(app);
        let body = json!({ "provider": "acme", "callbackURL": "/welcome" });
        let begun = browser.post(SIGN_IN, &body).await.ok();
        (browser, place.at_issuer(&begun, ana()))
    };
    let (one, two) = (begin().await, begin().await);
    let file = app.path("new.key");
    std::fs::write(&file, "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (operator, by) = (Permitted::as_operator(), Requester::default());
    rewrap(&app.app, operator, &file, Options::default(), &by)
        .await
        .unwrap();
    let keys = [
        ("COUNTERSIGN_MASTER_KEY_FILE", file),
        (
            "COUNTERSIGN_PREVIOUS_MASTER_KEY_FILE",
            app.path("keys/master.key"),
        ),
    ];
    let keys = keys.map(|(name, path)| (name, path.display().to_string()));
    let both = app.replica(&keys).await.unwrap();
    let answer = place.comes_back(&one.0.at(&both), "acme", &one.1).await;
    led(&answer, "/welcome");
    let alone = app.replica(&keys[..1]).await.unwrap();
    let answer = place.comes_back(&two.0.at(&alone), "acme", &two.1).await;
    refused(&answer, "state_mismatch");
}

#[tokio::test]
async fn an_answer_names_the_issuer_that_was_asked() {
    for (is_promised, named, word) in [
        (false, None, None),
        (false, Some("own"), None),
        (false, Some("https://evil.example"), Some("issuer_mismatch")),
        (true, None, Some("issuer_mismatch")),
        (true, Some("own"), None),
        (true, Some("own/"), Some("issuer_mismatch")),
        (true, Some(""), Some("issuer_mismatch")),
    ] {
        let issuer = Issuer::start().await;
        let own = issuer.url().to_owned();
        issuer.lie(|lies| {
            let name = "authorization_response_iss_parameter_supported".to_owned();
            lies.document.insert(name, is_promised.into());
            lies.iss = named.map(|text| text.replace("own", &own));
        });
        let place = Place::of(issuer, &[]).await;
        let browser = Browser::new(&place.app);
        let answer = place.signs_in(&browser, "acme", ana()).await;
        match word {
            None => led(&answer, "/welcome"),
            Some(word) => {
                refused(&answer, word);
                assert_eq!(place.issuer.times_asked("/token"), 0, "no code goes out");
            }
        }
    }
}

/// What a hostile page puts into the query of the callback.
const HOSTILE: [&str; 20] = [
    "<script>alert(1)</script>",
    "https://evil.example/",
    "//evil.example",
    "javascript:alert(1)",
    "access_denied&state=x",
    "access_denied#",
    "ACCESS_DENIED",
    "access_denied ",
    "banned",
    "state_mismatch",
    "account_not_linked",
    "email_not_verified",
    "signup_disabled",
    "set-cookie: a=b",
    "error_description",
    "%0d%0aLocation:%20https://evil.example",
    "..%2f..%2f",
    "\u{202e}",
    "error",
    "your-password-has-expired-call-us",
];

#[tokio::test]
async fn of_an_issuers_answer_only_registered_words_are_passed_on() {
    let place = Place::start().await;
    let app = &place.app;
    let urls =
        json!({ "provider": "acme", "callbackURL": "/welcome", "errorCallbackURL": "/failed" });
    let answers = async |error: &str, is_kept: bool| {
        let browser = Browser::new(app);
        let begun = browser.post(SIGN_IN, &urls).await.ok();
        let url = Url::parse(&begun.str("url")).unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap();
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("error", error)
            .append_pair("error_description", "Call_0900_and_tell_your_password")
            .append_pair("error_uri", "https://evil.example/help")
            .append_pair("callbackURL", "https://evil.example/")
            .append_pair("errorCallbackURL", "https://evil.example/")
            .append_pair("state", &state.1)
            .finish();
        let browser = if is_kept { browser } else { Browser::new(app) };
        place.comes_back(&browser, "acme", &query).await
    };
    for word in [
        "access_denied",
        "login_required",
        "consent_required",
        "interaction_required",
        "account_selection_required",
        "temporarily_unavailable",
        "server_error",
        "invalid_scope",
        "invalid_request",
        "unauthorized_client",
        "unsupported_response_type",
    ] {
        led(&answers(word, true).await, &format!("/failed?error={word}"));
        assert!(Refused::ALL.iter().any(|known| known.as_str() == word));
    }
    for error in HOSTILE {
        led(&answers(error, true).await, "/failed?error=upstream_error");
        refused(&answers(error, false).await, "state_mismatch");
    }
    // A word without a state is not even read.
    let answer = place
        .comes_back(&Browser::new(app), "acme", "error=access_denied")
        .await;
    refused(&answer, "state_not_found");
    let answer = place
        .comes_back(&Browser::new(app), "acme", "state=%00&code=x")
        .await;
    assert!(answer.status.as_u16() < 500, "{}", answer.text);
}

#[tokio::test]
async fn what_the_issuer_does_wrong_is_one_word_for_the_browser() {
    use crate::support::issuer::{Lies, Manner, Signing};
    type Change = fn(&mut Lies);
    let changes: [(&str, Change); 7] = [
        ("invalid_code", |lies| {
            lies.token =
                Manner::Text(r#"{"error":"invalid_grant","error_description":"<b>"}"#.into());
        }),
        ("unable_to_get_user_info", |lies| {
            lies.signing = Signing::Stranger;
        }),
        ("unable_to_get_user_info", |lies| {
            lies.signing = Signing::None;
        }),
        ("unable_to_get_user_info", |lies| {
            lies.claims.insert("nonce".into(), "another".into());
        }),
        ("unable_to_get_user_info", |lies| {
            lies.claims
                .insert("iss".into(), "https://evil.example".into());
        }),
        ("unable_to_get_user_info", |lies| lies.no_id_token = true),
        ("upstream_unavailable", |lies| {
            lies.token = Manner::Status(503);
        }),
    ];
    let place = Place::start().await;
    for (word, change) in changes {
        place.issuer.lie(change);
        let browser = Browser::new(&place.app);
        refused(&place.signs_in(&browser, "acme", ana()).await, word);
        assert_eq!((place.users().await, place.links().await), (0, 0), "{word}");
        place.issuer.repent();
    }
    let browser = Browser::new(&place.app);
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    // An empty code is none.
    let begun = browser
        .post(SIGN_IN, &json!({ "provider": "acme" }))
        .await
        .ok();
    let query = place.at_issuer(&begun, ana());
    let (_, rest) = query.split_once('&').unwrap();
    let answer = place
        .comes_back(&browser, "acme", &format!("code=&{rest}"))
        .await;
    refused(&answer, "no_code");
}

/// A service whose provider is of the kind of Apple, which posts its answer as a form.
pub(super) async fn posting_provider(issuer: &Issuer, extra: &[(&str, &str)]) -> TestApp {
    issuer.take_any_secret();
    let settings = issuer.settings("acme");
    let settings = settings.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let settings: Vec<(&str, &str)> = settings.chain(extra.iter().copied()).collect();
    let app = TestApp::with_config(&settings, |config| {
        let known = config.upstream.find("acme").unwrap();
        let provider = Provider {
            kind: Kind::Apple,
            ..(**known).clone()
        };
        assert!(matches!(provider.secret, ClientSecret::Text(_)));
        config.upstream = Upstreams::of(vec![Arc::new(provider)]);
    })
    .await;
    issuer.follow(&app.clock);
    app
}

/// A POST of a page of this origin, with the cookies of a browser.
pub(super) async fn posts(
    app: &TestApp,
    path: &str,
    origin: &str,
    cookies: &str,
    body: String,
) -> Answer {
    let mut request = Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", origin);
    if !cookies.is_empty() {
        request = request.header("cookie", cookies);
    }
    app.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn an_issuer_may_post_its_answer_from_its_own_page_or_from_none() {
    let issuer = Issuer::start().await;
    let app = posting_provider(&issuer, &[]).await;
    let body = json!({ "provider": "acme", "callbackURL": "/welcome" });
    for origin in [issuer.url(), "null", "https://evil.example"] {
        let browser = Browser::new(&app);
        let begun = browser.post(SIGN_IN, &body).await.ok();
        let line = begun.cookies().join("\n");
        assert!(
            line.contains("SameSite=None") && line.contains("Secure"),
            "{line}"
        );
        let url = begun.str("url");
        assert!(url.contains("response_mode=form_post"), "{url}");
        // The form of the page of this service, behind that of the issuer.
        let form = issuer.authorize(&url, ana()).query() + "&sentFromHere=yes";
        let name = waiting(&browser).remove(0);
        let value = line.split_once('=').unwrap().1.split(';').next().unwrap();
        let cookie = format!("{name}={value}");
        // Without the cookie the origin helps no page.
        let path = "/api/auth/callback/acme";
        let answer = posts(&app, path, origin, "", form.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (303, "/api/auth/error?error=state_mismatch")
        );
        let answer = posts(&app, path, origin, &cookie, form).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (303, "/welcome"),
            "{}",
            answer.text
        );
        let is_session = |line: &String| line.starts_with(SESSION_COOKIE);
        assert!(answer.cookies().iter().any(is_session));
        // The exception is of this path alone, and of providers that post.
        for path in [
            "/api/auth/callback/unknown",
            "/api/auth/callback/",
            "/api/auth/sign-out",
            SIGN_IN,
            "/auth/sign-out",
        ] {
            let answer = posts(&app, path, origin, "", String::new()).await;
            assert_eq!(answer.status.as_u16(), 403, "{path} {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_provider_that_redirects_gets_no_cookie_for_posts() {
    let place = Place::start().await;
    let body = json!({ "provider": "acme" });
    let begun = place.app.post(SIGN_IN, &body).await.ok();
    let line = begun.cookies().join("\n");
    assert!(
        line.contains("SameSite=Lax") && line.contains("HttpOnly") && line.contains("Max-Age=600"),
        "{line}"
    );
    assert!(line.contains("Path=/api/auth/callback"), "{line}");
}

#[tokio::test]
async fn an_id_token_signs_in_at_once_and_is_good_once() {
    let place = Place::with(&[("upstream.acme.client_ids", "ios-app")]).await;
    let app = &place.app;
    let token = place.issuer.id_token("ios-app", Some("n-1"), &ana());
    let native = |token: &str, nonce: Option<&str>| json!({ "provider": "acme", "tokenDelivery": "body", "idToken": { "token": token, "nonce": nonce } });
    for nonce in [Some("n-2"), None] {
        let answer = app.post(SIGN_IN, &native(&token, nonce)).await;
        answer.refused(401, "INVALID_TOKEN");
    }
    let body = native(&token, Some("n-1"));
    let done = app.post(SIGN_IN, &body).await.ok();
    assert_eq!(done.body["redirect"], false);
    assert_eq!(done.body["user"]["email"], "ana@example.com");
    let access = done.claims("accessToken");
    assert_eq!(access["amr"], json!(["fed"]));
    assert!(done.body["refreshToken"].is_string() && done.cookies().is_empty());
    app.post(SIGN_IN, &body).await.refused(401, "INVALID_TOKEN");
    // In a browser the tokens are in cookies.
    let browser = Browser::new(app);
    let token = place.issuer.id_token(CLIENT_ID, None, &ana());
    let body = json!({ "provider": "acme", "idToken": { "token": token } });
    let done = browser.post(SIGN_IN, &body).await.ok();
    assert_eq!(done.body["redirect"], false);
    assert!(done.body["refreshToken"].is_null());
    assert_eq!(who(&browser).await.as_deref(), Some("ana@example.com"));
    // For another client, of a stranger, or where there are none.
    let token = place.issuer.id_token("another-app", None, &ana());
    app.post(SIGN_IN, &native(&token, None))
        .await
        .refused(401, "INVALID_TOKEN");
    let token = place.issuer.id_token("ios-app", None, &ana());
    let body = json!({ "provider": "github", "idToken": { "token": token } });
    app.post(SIGN_IN, &body)
        .await
        .refused(404, "ID_TOKEN_NOT_SUPPORTED");
    let body = json!({ "provider": "unknown", "idToken": { "token": token } });
    app.post(SIGN_IN, &body)
        .await
        .refused(404, "PROVIDER_NOT_FOUND");
    for bad in [
        json!({}),
        json!({ "token": 1 }),
        json!({ "token": null }),
        json!({ "token": token, "nonce": 1 }),
        json!([]),
        json!(token),
    ] {
        let body = json!({ "provider": "acme", "idToken": bad });
        app.post(SIGN_IN, &body)
            .await
            .refused(400, "VALIDATION_ERROR");
    }
    // What decides is the same: an unproven mailbox of another user opens nothing.
    let token = place
        .issuer
        .id_token(CLIENT_ID, None, &Says::user("eve", "ana@example.com"));
    let body = json!({ "provider": "other", "idToken": { "token": token } });
    let answer = app.post(SIGN_IN, &body).await;
    assert_eq!(answer.body["message"], "account not linked");
    answer.refused(401, "OAUTH_LINK_ERROR");
}

/// The other good signature of a token that is signed with ES256: of `(r, s)` it is `(r, n - s)`.
fn signed_otherwise(token: &str) -> String {
    const N: [u8; 32] = [
        0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xFF, 0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63,
        0x25, 0x51,
    ];
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut signature = decode(signature).unwrap();
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = i32::from(N[at]) - i32::from(signature[32 + at]) - borrow;
        borrow = i32::from(difference < 0);
        signature[32 + at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{message}.{}", encode(&signature))
}

#[tokio::test]
async fn a_used_id_token_is_used_under_its_other_signature_too() {
    let place = Place::start().await;
    let body = |token: &str| json!({ "provider": "acme", "tokenDelivery": "body", "idToken": { "token": token } });
    let token = place.issuer.id_token(CLIENT_ID, None, &ana());
    let other = signed_otherwise(&token);
    assert_ne!(token, other);
    place.app.post(SIGN_IN, &body(&token)).await.ok();
    place
        .app
        .post(SIGN_IN, &body(&other))
        .await
        .refused(401, "INVALID_TOKEN");
    // The signature is a good one: of a token that was not used it signs in.
    let unused = place
        .issuer
        .id_token(CLIENT_ID, None, &ana().with(&json!({ "jti": "2" })));
    let body = body(&signed_otherwise(&unused));
    place.app.post(SIGN_IN, &body).await.ok();
}

#[tokio::test]
async fn an_identity_that_another_user_links_meanwhile_finishes_no_sign_in() {
    let place = Place::start().await;
    let app = &place.app;
    let user = verified(app, place.dir.path(), "ana").await;
    let phone = user.enrols().await;
    let browser = Browser::new(app);
    place.signs_in(&browser, "acme", ana()).await;
    let bob = app.user("bob").await.browser().await;
    let marked = "UPDATE users SET email_verified = 1, version = version + 1";
    app.db_execute(marked).await.unwrap();
    let says = Says::user("ana-1", "bob@example.com");
    let link = json!({ "provider": "acme", "callbackURL": "/linked" });
    let linked = place.goes(&bob, "/api/auth/link-social", &link, says).await;
    led(&linked, "/linked");
    let code = json!({ "code": phone.code(app, 0) });
    browser
        .post("/api/auth/two-factor/verify-totp", &code)
        .await
        .refused(401, "INVALID_TWO_FACTOR_COOKIE");
    assert_eq!(who(&browser).await, None);
    // The code was not used up by it.
    let challenge = user.begins().await;
    user.tries(&challenge, &phone.code(app, 0)).await.ok();
}

#[tokio::test]
async fn an_invited_user_accepts_by_an_issuer_that_proves_the_mailbox() {
    let place = Place::start().await;
    let app = &place.app;
    let root = made_admin(app, "root").await.sign_in().await;
    let invitation =
        json!({ "email": "ana@example.com", "name": "Ana of Sales", "redirectTo": "/welcome" });
    ask(app, &root, "invite-user", invitation).await.ok();
    let browser = Browser::new(app);
    refused(
        &place.signs_in(&browser, "other", ana()).await,
        "account_not_linked",
    );
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    let session = browser.get("/api/auth/get-session").await.ok().body;
    assert_eq!(session["user"]["name"], "Ana of Sales");
    assert_eq!(session["user"]["emailVerified"], true);
    assert_eq!(app.db_count_events("account.reclaimed").await, 0);
}

#[tokio::test]
async fn a_user_who_is_shut_out_gets_no_session_and_no_link() {
    let place = Place::start().await;
    let app = &place.app;
    let root = made_admin(app, "root").await.sign_in().await;
    let user = verified(app, place.dir.path(), "ana").await;
    let user = id(&user).await;
    let parsed = user.parse().unwrap();
    let disable = async |disabled: bool| {
        let (operator, by) = (Permitted::as_operator(), Requester::default());
        manage_users::set_disabled(&app.app, operator, parsed, disabled, &by)
            .await
            .unwrap();
    };
    let named = json!({ "userId": user });
    // Before the identity is linked, and after.
    for links in [0, 1] {
        ask(app, &root, "ban-user", named.clone()).await.ok();
        let answer = place.signs_in(&Browser::new(app), "acme", ana()).await;
        refused(&answer, "banned");
        ask(app, &root, "unban-user", named.clone()).await.ok();
        disable(true).await;
        let answer = place.signs_in(&Browser::new(app), "acme", ana()).await;
        refused(&answer, "user_disabled");
        disable(false).await;
        assert_eq!(place.links().await, links);
        let browser = Browser::new(app);
        led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    }
    assert_eq!(app.db_count_events("session.refused").await, 4);
}

#[tokio::test]
async fn an_id_token_of_a_user_with_a_second_factor_leads_to_it() {
    let place = Place::start().await;
    let app = &place.app;
    let user = verified(app, place.dir.path(), "ana").await;
    let phone = user.enrols().await;
    let token = place.issuer.id_token(CLIENT_ID, None, &ana());
    let body =
        json!({ "provider": "acme", "tokenDelivery": "body", "idToken": { "token": token } });
    let pending = app.post(SIGN_IN, &body).await.ok();
    assert_eq!(pending.body["twoFactorRedirect"], true);
    assert!(pending.body["accessToken"].is_null() && place.links().await == 0);
    let challenge = pending.str("challenge");
    user.tries(&challenge, &phone.code(app, 0)).await.ok();
    assert_eq!(place.links().await, 1);
}

#[tokio::test]
async fn of_two_requests_with_one_answer_one_gets_a_session() {
    let place = Place::start().await;
    let other = place.app.replica(&[]).await.unwrap();
    for _ in 0..5 {
        let browser = Browser::new(&place.app);
        let body = json!({ "provider": "acme", "callbackURL": "/welcome" });
        let begun = browser.post(SIGN_IN, &body).await.ok();
        let query = place.at_issuer(&begun, ana());
        let asked = place.issuer.times_asked("/token");
        let before = place.app.live_sessions().await;
        let copies: Vec<Browser> = (0..6)
            .map(|n| {
                browser
                    .stolen()
                    .at(if n % 2 == 0 { &place.app } else { &other })
            })
            .collect();
        let answers = copies
            .iter()
            .map(|copy| place.comes_back(copy, "acme", &query));
        let answers = join_all(answers).await;
        let good = answers
            .iter()
            .filter(|a| a.header("location") == "/welcome");
        assert_eq!(good.count(), 1, "{answers:?}");
        assert_eq!(place.issuer.times_asked("/token"), asked + 1);
        assert_eq!(place.app.live_sessions().await, before + 1);
    }
    assert_eq!((place.users().await, place.links().await), (1, 1));
}

#[tokio::test]
async fn of_two_first_sign_ins_of_one_identity_at_once_one_makes_the_account() {
    let place = Place::start().await;
    let (one, two) = (Browser::new(&place.app), Browser::new(&place.app));
    let (first, second) = tokio::join!(
        place.signs_in(&one, "acme", ana()),
        place.signs_in(&two, "acme", ana())
    );
    led(&first, "/welcome");
    led(&second, "/welcome");
    assert_eq!((place.users().await, place.links().await), (1, 1));
    assert_eq!(who(&one).await, who(&two).await);
}

#[tokio::test]
async fn another_issuer_under_the_same_name_opens_no_account_of_the_former_one() {
    let place = Place::start().await;
    let browser = Browser::new(&place.app);
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
    let next = Issuer::start().await;
    let settings = next.settings("acme");
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .chain([("upstream.acme.domains", "")])
        .collect();
    let moved = Place {
        app: place.app.replica_with(&settings).await,
        issuer: Arc::new(next),
        dir: tempfile::tempdir().unwrap(),
    };
    moved.issuer.follow(&moved.app.clock);
    let browser = Browser::new(&moved.app);
    let answer = moved.signs_in(&browser, "acme", ana()).await;
    refused(&answer, "account_not_linked");
    // Nor does it make one beside it under the same subject.
    let says = Says::user("ana-1", "new@example.com");
    let answer = moved.signs_in(&browser, "acme", says).await;
    assert!(
        answer.header("location").contains("error="),
        "{}",
        answer.header("location")
    );
    assert_eq!(who(&browser).await, None);
    let browser = Browser::new(&place.app);
    led(&place.signs_in(&browser, "acme", ana()).await, "/welcome");
}

#[tokio::test]
async fn github_counts_for_its_primary_mailbox_and_for_no_domain_by_itself() {
    let place = Place::with(&[("upstream.github.email", "verified")]).await;
    let app = &place.app;
    let says = Says::user("4711", "ana@example.com");
    let browser = Browser::new(app);
    led(&place.signs_in(&browser, "github", says).await, "/welcome");
    let accounts = browser.get(ACCOUNTS).await.ok().body;
    assert_eq!(accounts[0]["accountId"], "4711");
    assert_eq!(accounts[0]["providerId"], "github");
    // By default its mark opens no account of a user who was there before.
    let plain = Place::start().await;
    let user = verified(&plain.app, plain.dir.path(), "ana").await;
    let browser = Browser::new(&plain.app);
    let says = Says::user("4711", &user.email);
    refused(
        &plain.signs_in(&browser, "github", says).await,
        "account_not_linked",
    );
}

#[tokio::test]
async fn a_limit_holds_up_who_begins_and_who_comes_back() {
    let place = Place::with(&[("rate_limits.sign_in_network", "3/15m")]).await;
    let browser = Browser::new(&place.app);
    let body = json!({ "provider": "acme" });
    let mut begun = Vec::new();
    for _ in 0..3 {
        begun.push(browser.post(SIGN_IN, &body).await.ok());
    }
    browser
        .post(SIGN_IN, &body)
        .await
        .refused(429, "TOO_MANY_REQUESTS");
    let query = place.at_issuer(&begun[0], ana());
    let answer = place.comes_back(&browser, "acme", &query).await;
    refused(&answer, "too_many_requests");
    assert_eq!(place.issuer.times_asked("/token"), 0);
}

#[tokio::test]
async fn sign_ins_are_counted_by_provider_and_result() {
    let place = Place::with(&[VERIFYING]).await;
    let app = &place.app;
    let scrape = async || {
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let response = ops_router(&Arc::clone(&app.app)).oneshot(request).await;
        Answer::read(response.unwrap()).await.text
    };
    let value = |text: &str, provider: &str, result: &str| {
        let series = format!(
            r#"countersign_upstream_sign_ins_total{{provider="{provider}",result="{result}"}} "#
        );
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap_or_else(|| panic!("no {series} in {text}"))
            .to_owned()
    };
    // Every series of a provider of the settings is there before it is counted.
    let text = scrape().await;
    for provider in ["acme", "other", "github"] {
        for result in countersign::metrics::upstream::RESULTS {
            assert_eq!(value(&text, provider, result), "0", "{provider} {result}");
        }
    }
    let (bob, root) = (app.user("bob").await, made_admin(app, "root").await);
    let marked = "UPDATE users SET email_verified = 1, version = version + 1";
    app.db_execute(marked).await.unwrap();
    bob.enrols().await;
    let fresh = || Browser::new(app);
    led(&place.signs_in(&fresh(), "acme", ana()).await, "/welcome");
    let bob = Says::user("bob-1", "bob@example.com");
    place.signs_in(&fresh(), "acme", bob.clone()).await;
    refused(
        &place.signs_in(&fresh(), "other", bob).await,
        "account_not_linked",
    );
    let eva = Says::user("eva-1", "eva@example.com");
    refused(
        &place.signs_in(&fresh(), "other", eva).await,
        "email_not_verified",
    );
    place
        .issuer
        .lie(|lies| lies.token = crate::support::issuer::Manner::Status(500));
    let answer = place.signs_in(&fresh(), "acme", ana()).await;
    refused(&answer, "upstream_unavailable");
    place.issuer.repent();
    let by = root.sign_in().await;
    let banned = json!({ "userId": app.db_text("SELECT id FROM users WHERE email = 'ana@example.com'").await });
    ask(app, &by, "ban-user", banned).await.ok();
    refused(&place.signs_in(&fresh(), "acme", ana()).await, "banned");
    let text = scrape().await;
    for (provider, result) in [
        ("acme", "success"),
        ("acme", "second_step"),
        ("acme", "upstream_failed"),
        ("acme", "shut_out"),
        ("other", "refused"),
        ("other", "unverified"),
    ] {
        assert_eq!(value(&text, provider, result), "1", "{provider} {result}");
    }
    assert_eq!(value(&text, "github", "success"), "0");
}

#[tokio::test]
async fn no_secret_of_a_sign_in_stands_in_the_database() {
    let place = Place::start().await;
    let browser = Browser::new(&place.app);
    let body = json!({ "provider": "acme", "callbackURL": "/welcome" });
    let begun = browser.post(SIGN_IN, &body).await.ok();
    let callback = place.issuer.authorize(&begun.str("url"), ana());
    led(
        &place.comes_back(&browser, "acme", &callback.query()).await,
        "/welcome",
    );
    let dump = place.app.db_dump().await.join("\n");
    for secret in [
        callback.code.as_str(),
        &callback.state,
        CLIENT_SECRET,
        "access-0",
    ] {
        assert!(!dump.contains(secret), "{secret}");
    }
    assert!(dump.contains("ana-1"));
}

/// As with a password: a device is enrolled after the mailbox was proven, and the identity is linked with
/// the session.
#[tokio::test]
async fn where_every_sign_in_needs_two_factors_an_identity_goes_on_with_the_mailbox_and_an_enrolment()
 {
    let place = Place::with(&[("sign_in.require", "2fa")]).await;
    for known in [false, true] {
        let name = if known { "ana" } else { "nora" };
        let email = format!("{name}@example.com");
        if known {
            place.app.user(name).await;
            let sql = format!(
                "UPDATE users SET email_verified = 1, version = version + 1 WHERE email = '{email}'"
            );
            place.app.db_execute(&sql).await.unwrap();
        }
        received(&place.app, place.dir.path()).await;
        let browser = Browser::new(&place.app);
        let links = place.links().await;
        let answer = place
            .signs_in(&browser, "acme", Says::user(name, &email))
            .await;
        assert!(answer.header("location").starts_with("/auth/challenge"));
        assert_eq!(who(&browser).await, None);
        let post = |path: &str, body: Value| {
            let (browser, path) = (&browser, format!("/api/auth/two-factor/{path}"));
            async move { browser.post(&path, &body).await.ok() }
        };
        post("send-otp", json!({})).await;
        let mails = received(&place.app, place.dir.path()).await;
        let code = code_of(&mails[0].text);
        let more = post("verify-otp", json!({ "code": code })).await;
        assert_eq!(more.body["enrol"], json!(["totp", "passkey"]));
        let phone = Authenticator::scan(&post("enable", json!({})).await);
        let done = post("verify-totp", json!({ "code": phone.code(&place.app, 0) })).await;
        let methods = done.claims("accessToken")["amr"].clone();
        assert!(
            methods.as_array().unwrap().contains(&json!("fed")),
            "{methods}"
        );
        assert_eq!(who(&browser).await, Some(email));
        assert_eq!(place.links().await, links + 1);
    }
}
