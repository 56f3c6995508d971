//! The property of the second step: a thief who has the password and the mailbox of a user, but not
//! the device, reaches no session of that user by any route. The routes are read from the router, the
//! requests are drawn at random by a seed.

use std::cell::RefCell;

use countersign::random::{SeededRandom, bytes};
use serde_json::{Map, Value, json};

use super::admin::id;
use super::mail::received;
use super::matrix::routes;
use super::upstream::Place;
use crate::support::authenticator::Authenticator;
use crate::support::issuer::{CLIENT_ID, Callback, Says};
use crate::support::software_key::SoftwareKey;
use crate::support::{Answer, Browser, DEVICE_COOKIE, SESSION_COOKIE, TestApp, User};

/// How many requests a thief sends in one walk.
const STEPS: usize = 6;

/// How many walks a run takes; `WALKS` asks for more.
const WALKS: usize = 500;

/// What the thief has learned, to be sent again.
struct Knowledge<'k> {
    /// The service and the issuer, where the thief has an identity with the mailbox of the user.
    place: &'k Place,
    /// The answer of the issuer that the browser is to bring back.
    callback: Option<Callback>,
    random: SeededRandom,
    email: String,
    passwords: Vec<String>,
    user: String,
    codes: Vec<String>,
    /// The codes of mails.
    mailed: Vec<String>,
    /// Every long text of an answer or a mail, with the name of its member.
    tokens: Vec<(String, String)>,
    /// A passkey of the thief, and the latest options of a ceremony.
    key: RefCell<SoftwareKey>,
    options: Value,
}

impl Knowledge<'_> {
    /// What the issuer says: the mailbox is in the hands of the thief, too, so it is proven.
    fn identity(&self) -> Says {
        Says::user("the identity of a thief", &self.email)
    }

    fn below(&self, end: usize) -> usize {
        let drawn = u64::from_le_bytes(bytes(&self.random));
        usize::try_from(drawn % u64::try_from(end).unwrap()).unwrap()
    }

    fn one_of<'a>(&self, all: &'a [String]) -> &'a str {
        if all.is_empty() {
            "none"
        } else {
            &all[self.below(all.len())]
        }
    }

    /// The value of a field, by its name.
    fn value(&self, field: &str) -> Value {
        match field {
            "email" | "newEmail" => self.email.clone().into(),
            "password" | "current" | "currentPassword" | "newPassword" | "new_password"
            | "repeat" => self.one_of(&self.passwords).into(),
            "code" | "recovery" if self.below(4) > 0 => self.one_of(&self.codes).into(),
            "code" | "otp" | "mailed" | "recovery" => self.mailed_code().into(),
            "type" => ["sign-in", "email-verification", "forget-password"][self.below(3)].into(),
            "userId" => self.user.clone().into(),
            "name" => "Ana".into(),
            "callbackURL" | "newUserCallbackURL" | "errorCallbackURL" | "redirectTo"
            | "redirect_to" => "/welcome".into(),
            "tokenDelivery" => ["body", "cookie"][self.below(2)].into(),
            "grant_type" => "refresh_token".into(),
            "trustDevice" | "rememberMe" | "revokeOtherSessions" | "requestSignUp" => true.into(),
            "delivery" => "body".into(),
            "provider" => ["acme", "acme", "other", "github"][self.below(4)].into(),
            "idToken" => {
                let nonce = u64::from_le_bytes(bytes(&self.random)).to_string();
                let issuer = &self.place.issuer;
                let token = issuer.id_token(CLIENT_ID, Some(&nonce), &self.identity());
                json!({ "token": token, "nonce": nonce })
            }
            "logout_token" => {
                let ended = json!({ "sub": self.identity().subject });
                self.place.issuer.logout_token(&ended).into()
            }
            "response" if self.options["rp"].is_object() => {
                self.key.borrow_mut().create(&self.options)
            }
            "response" => self.key.borrow_mut().get(&self.options),
            _ => self.token(field).into(),
        }
    }

    /// A code of a mail: mostly the latest one.
    fn mailed_code(&self) -> &str {
        match self.mailed.last() {
            Some(latest) if self.below(4) > 0 => latest,
            _ => self.one_of(&self.mailed),
        }
    }

    /// A token: mostly one that came under this name.
    fn token(&self, name: &str) -> String {
        let of_name = self.below(4) > 0;
        let fitting = self
            .tokens
            .iter()
            .filter(|(came, _)| !of_name || came == name);
        let fitting: Vec<String> = fitting.map(|(_, token)| token.clone()).collect();
        self.one_of(&fitting).to_owned()
    }

    /// Whether a request has this field. A token that the thief has not is mostly left out: it would
    /// stand in the way of a cookie.
    fn sends(&self, field: &str) -> bool {
        let is_token = [
            "challenge",
            "token",
            "refreshToken",
            "refresh_token",
            "binding",
        ]
        .contains(&field);
        // Where it stands, a page takes no code of the authenticator app.
        if ["mailed", "recovery", "current"].contains(&field) {
            return self.below(4) == 0;
        }
        // With an id token no sign-in at the issuer begins.
        if field == "idToken" {
            return self.below(2) == 0;
        }
        if is_token && !self.tokens.iter().any(|(name, _)| name == field) {
            self.below(8) == 0
        } else {
            self.below(8) > 0
        }
    }

    /// Keeps every long text of an answer, which may be a token.
    fn learn(&mut self, name: &str, value: &Value) {
        match value {
            Value::String(text) if text.len() >= 20 => {
                self.tokens.push((name.to_owned(), text.clone()));
            }
            Value::Array(all) => all.iter().for_each(|value| self.learn(name, value)),
            Value::Object(all) => all.iter().for_each(|(name, value)| self.learn(name, value)),
            _ => {}
        }
        if self.tokens.len() > 40 {
            self.tokens.drain(..20);
        }
    }
}

/// Every field that a route of a sign-in or of an account reads.
const FIELDS: [&str; 37] = [
    "email",
    "newEmail",
    "password",
    "currentPassword",
    "newPassword",
    "new_password",
    "repeat",
    "code",
    "otp",
    "mailed",
    "recovery",
    "current",
    "type",
    "binding",
    "challenge",
    "token",
    "refreshToken",
    "refresh_token",
    "deviceToken",
    "trustedDeviceToken",
    "trustDevice",
    "tokenDelivery",
    "rememberMe",
    "callbackURL",
    "newUserCallbackURL",
    "errorCallbackURL",
    "redirect_to",
    "grant_type",
    "userId",
    "delivery",
    "state",
    "response",
    "provider",
    "idToken",
    "requestSignUp",
    "accountId",
    "logout_token",
];

/// Routes at which a sign-in goes on are drawn more often than others.
fn weighted() -> Vec<String> {
    let all = routes();
    assert!(all.len() > 100, "{} routes", all.len());
    let near = |route: &String| {
        [
            "sign-in",
            "sign-up",
            "two-factor",
            "passkey",
            "challenge",
            "reset-password",
            "verify",
            "refresh",
            "token",
            "forgot",
            "change-password",
            "email-otp",
            "magic-link",
            "social",
            "callback",
        ]
        .iter()
        .any(|word| route.contains(word))
    };
    let mut weighted = all.clone();
    for _ in 0..12 {
        weighted.extend(all.iter().filter(|route| near(route)).cloned());
    }
    weighted
}

/// A text as one part of a path.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn request(browser: &Browser, knows: &Knowledge<'_>, route: &str) -> Answer {
    let (method, path) = route.split_once(' ').unwrap();
    let is_page = path == "/" || path.starts_with("/auth");
    let is_logout = path.starts_with("/upstream/");
    let path = if is_page {
        path.to_owned()
    } else {
        format!("/api/auth{path}")
    };
    let path = path
        .replace("{token}", &encoded(&knows.token("token")))
        .replace("/callback/{id}", "/callback/acme")
        .replace("/upstream/{id}", "/upstream/acme")
        .replace("{id}", &knows.user)
        .replace("{kid}", "none")
        .replace("{name}", "all");
    if let Some(callback) = knows
        .callback
        .as_ref()
        .filter(|_| path.contains("/callback/"))
    {
        let (code, state) = (callback.code.as_str(), callback.state.as_str());
        return if method == "GET" {
            browser
                .follow(&format!("{path}?{}", callback.query()))
                .await
        } else {
            browser
                .form(&path, &[("code", code), ("state", state)])
                .await
        };
    }
    let mut fields = Map::new();
    for field in FIELDS {
        if knows.sends(field) {
            fields.insert(field.to_owned(), knows.value(field));
        }
    }
    let texts: Vec<(String, String)> = fields
        .iter()
        .map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), ToOwned::to_owned);
            (name.clone(), text)
        })
        .collect();
    let pairs: Vec<(&str, &str)> = texts
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    if method == "GET" {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(
                pairs
                    .iter()
                    .filter(|(name, _)| ["token", "code", "challenge", "delivery"].contains(name)),
            )
            .finish();
        browser.get(&format!("{path}?{query}")).await
    } else if is_page || path.contains("oauth2") || is_logout || knows.below(10) == 0 {
        browser.form(&path, &pairs).await
    } else {
        browser.post(&path, &Value::Object(fields)).await
    }
}

/// The number of sessions of this user that ever began.
async fn sessions(app: &TestApp, user: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) FROM sessions WHERE user_id = '{user}'");
    app.db_number(&sql).await
}

struct Walk<'w> {
    place: &'w Place,
    ana: &'w User,
    own: &'w Authenticator,
    /// Whether the walker has the device, as its owner.
    has_device: bool,
}

/// What a walk has come to.
struct Outcome {
    /// Whether it reached a session.
    reached: bool,
    /// Whether a code or a link of a mail was taken as the first step of a sign-in.
    began_by_mail: bool,
    /// Whether an identity was taken as the first step.
    began_by_identity: bool,
    told: String,
}

/// Where a mailbox is proven as the first step of a sign-in.
const BY_MAIL: [&str; 3] = [
    "POST /sign-in/email-otp",
    "POST /auth/sign-in/code",
    "POST /magic-link/verify",
];

/// Where an identity of another issuer is proven as the first step of a sign-in.
const BY_IDENTITY: [&str; 3] = [
    "POST /sign-in/social",
    "GET /callback/{id}",
    "POST /callback/{id}",
];

impl Walk<'_> {
    /// Takes one walk.
    async fn take(&self, seed: u64, drawn: &[String]) -> Outcome {
        let (app, user) = (&self.place.app, id(self.ana).await);
        let mut codes = vec![
            "000000".to_owned(),
            self.own.code(app, -30),
            "AAAA-BBBB-CCCC-DDDD".into(),
        ];
        if self.has_device {
            codes = vec![self.own.code(app, 0), self.own.codes[0].clone()];
        }
        let mut knows = Knowledge {
            place: self.place,
            callback: None,
            random: SeededRandom::new(seed),
            email: self.ana.email.clone(),
            passwords: vec![self.ana.password.clone()],
            user: user.clone(),
            codes,
            mailed: Vec::new(),
            tokens: Vec::new(),
            key: RefCell::new(SoftwareKey::usual("the key of a thief")),
            options: Value::Null,
        };
        let browser = Browser::new(app);
        let before = sessions(app, &user).await;
        let (mut steps, mut began_by_mail, mut began_by_identity) = (Vec::new(), false, false);
        for _ in 0..STEPS {
            // Two of three requests are a natural next one: a sign-in, or the second step of one.
            let next: &[&str] = if browser.cookie("better-auth.two_factor").is_some() {
                &[
                    "POST /two-factor/verify",
                    "POST /passkey/verify",
                    "POST /auth/challenge",
                ]
            } else if knows.callback.is_some() && knows.below(4) > 0 {
                &BY_IDENTITY[1..]
            } else if !knows.mailed.is_empty() && knows.below(2) == 0 {
                &BY_MAIL
            } else {
                &["POST /sign-in", "POST /auth/sign-in"]
            };
            let natural: Vec<&String> = drawn
                .iter()
                .filter(|route| next.iter().any(|start| route.starts_with(start)))
                .collect();
            let route = if knows.below(3) > 0 {
                natural[knows.below(natural.len())]
            } else {
                &drawn[knows.below(drawn.len())]
            };
            let answer = request(&browser, &knows, route).await;
            assert!(
                answer.status.as_u16() < 500 || answer.status.as_u16() == 503,
                "{route}: {}",
                answer.text
            );
            steps.push(format!("{route} {}", answer.status.as_u16()));
            knows.learn("", &answer.body);
            if answer.body["timeout"].is_number() {
                knows.options = answer.body.clone();
            }
            if route.contains("/callback/") {
                knows.callback = None;
            }
            let begun = answer.body["url"].as_str();
            let begun = begun.filter(|url| url.starts_with(self.place.issuer.url()));
            if let Some(url) = begun.filter(|url| !url.contains("/login/oauth/")) {
                let says = knows.identity();
                knows.callback = Some(self.place.issuer.authorize(url, says));
            }
            let is_pending = answer.body["twoFactorRedirect"] == true
                || answer.header("location").starts_with("/auth/challenge");
            began_by_identity |= is_pending && BY_IDENTITY.contains(&route.as_str());
            began_by_mail |= BY_MAIL.contains(&route.as_str())
                && (answer.body["twoFactorRedirect"] == true
                    || answer.header("location").starts_with("/auth/challenge"));
            // The mails of the user are read by the thief.
            if [
                "reset",
                "email",
                "forgot",
                "sign-up",
                "delete",
                "magic-link",
                "send",
                "otp",
            ]
            .iter()
            .any(|word| route.contains(word))
            {
                for mail in received(app, self.place.dir.path()).await {
                    if mail.text.contains("token=") || mail.text.contains("/reset-password/") {
                        knows.tokens.push(("token".into(), mail.token()));
                    }
                    let is_code =
                        |line: &&str| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit());
                    knows
                        .mailed
                        .extend(mail.text.lines().find(is_code).map(ToOwned::to_owned));
                }
            }
        }
        Outcome {
            reached: sessions(app, &user).await > before,
            began_by_mail,
            began_by_identity,
            told: format!("seed {seed}: {steps:#?}"),
        }
    }
}

#[tokio::test]
async fn who_has_the_password_and_the_mailbox_but_no_device_reaches_no_session() {
    let place = Place::with(&[("rate_limits.enabled", "false")]).await;
    let app = &place.app;
    let ana = super::mail::verified(app, place.dir.path(), "ana").await;
    let own = ana.enrols().await;
    app.after(crate::support::minutes(30));
    let drawn = weighted();
    let walks = std::env::var("WALKS").map_or(WALKS, |text| text.parse().unwrap());
    let thief = Walk {
        place: &place,
        ana: &ana,
        own: &own,
        has_device: false,
    };
    let (mut by_mail, mut by_identity) = (0, 0);
    for seed in 0..walks {
        let walk = thief.take(u64::try_from(seed).unwrap(), &drawn).await;
        assert!(!walk.reached, "{}", walk.told);
        by_mail += usize::from(walk.began_by_mail);
        by_identity += usize::from(walk.began_by_identity);
    }
    assert!(
        by_mail >= walks / 50,
        "only {by_mail} of {walks} walks of the thief began a sign-in by mail"
    );
    assert!(
        by_identity >= walks / 50,
        "only {by_identity} of {walks} walks of the thief began a sign-in by an identity"
    );
    // No gate has opened, so no identity of the thief is linked.
    assert_eq!(place.links().await, 0);
    // The factor is still there, and asked for.
    assert_eq!(
        app.db_number("SELECT two_factor FROM users WHERE email LIKE 'ana%'")
            .await,
        1
    );
    assert_eq!(
        app.db_number("SELECT COUNT(*) FROM totp WHERE confirmed_at IS NOT NULL")
            .await,
        1
    );
    // The same walker with the device does reach one: the walk goes where sessions begin.
    let owner = Walk {
        has_device: true,
        ..thief
    };
    let (mut reached, mut both) = (0, 0);
    for seed in 0..walks {
        app.after(crate::support::seconds(30));
        let walk = owner.take(u64::try_from(seed).unwrap(), &drawn).await;
        reached += usize::from(walk.reached);
        both += usize::from(walk.reached && walk.began_by_mail);
    }
    assert!(
        reached >= walks / 20,
        "only {reached} of {walks} walks of the owner reached a session"
    );
    println!(
        "{walks} walks of {STEPS} requests over {} routes, {by_mail} began a sign-in by mail and {by_identity} by an identity; with the device {reached} of {walks} reached a session, {both} of them by mail",
        routes().len()
    );
}

#[tokio::test]
async fn a_walk_goes_on_with_the_cookie_of_a_pending_sign_in_and_with_none_of_a_session() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    ana.enrols().await;
    let browser = Browser::new(&app);
    let body = json!({ "email": ana.email, "password": ana.password });
    browser.post("/api/auth/sign-in/email", &body).await.ok();
    assert!(browser.cookie("better-auth.two_factor").is_some());
    for name in [SESSION_COOKIE, DEVICE_COOKIE] {
        assert!(browser.cookie(name).is_none(), "{name}");
    }
}
