//! Another issuer, in the process of the test: OpenID Connect and GitHub's API on a port of loopback.
//! It is strict with its client (PKCE, the secret, a code that is good once), and it lies in every way
//! that a test asks for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use countersign::clock::{Clock, TestClock};
use countersign::encoding::{decode_standard, encode, sha256};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Map, Value, json};
use url::Url;

use super::app::START;

/// The client of the issuer. The secret has every character that one of the two ways to send it writes
/// differently.
pub const CLIENT_ID: &str = "client-1";
pub const CLIENT_SECRET: &str = "s:e/c%r+e t&=1";

/// The event of a logout token.
pub const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What the issuer says of the user who signs in.
#[derive(Debug, Clone, Default)]
pub struct Says {
    /// `sub`, or the numeric `id` at GitHub.
    pub subject: String,
    pub email: Option<String>,
    pub email_verified: Option<bool>,
    pub name: Option<String>,
    pub picture: Option<String>,
    pub amr: Vec<String>,
    pub hd: Option<String>,
    /// Further claims of the id token; `null` takes one away.
    pub claims: Map<String, Value>,
    /// GitHub: the list of `GET /user/emails`; without it the mailbox above, as the primary one.
    pub emails: Option<Value>,
    /// GitHub: the logins of the organisations.
    pub organizations: Vec<String>,
}

impl Says {
    /// A user with a mailbox that the issuer has verified.
    pub fn user(subject: &str, email: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            email: Some(email.to_owned()),
            email_verified: Some(true),
            name: Some("Ana Muster".to_owned()),
            ..Self::default()
        }
    }

    /// The same user with further claims of the id token; `null` takes one away.
    pub fn with(mut self, claims: &Value) -> Self {
        self.claims.extend(claims.as_object().unwrap().clone());
        self
    }

    fn claims(&self) -> Map<String, Value> {
        let named = [
            ("email", self.email.as_ref().map(|text| json!(text))),
            ("email_verified", self.email_verified.map(|is| json!(is))),
            ("name", self.name.as_ref().map(|text| json!(text))),
            ("picture", self.picture.as_ref().map(|text| json!(text))),
            ("hd", self.hd.as_ref().map(|text| json!(text))),
            ("amr", (!self.amr.is_empty()).then(|| json!(self.amr))),
        ];
        let said = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        said.collect()
    }
}

/// The query with which a browser comes back from the issuer.
#[derive(Debug, Clone)]
pub struct Callback {
    pub code: String,
    pub state: String,
    pub iss: Option<String>,
}

impl Callback {
    /// The parameters as a query or a form.
    pub fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("code", &self.code);
        query.append_pair("state", &self.state);
        if let Some(iss) = &self.iss {
            query.append_pair("iss", iss);
        }
        query.finish()
    }
}

/// How an endpoint answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    #[default]
    Honest,
    /// With this status and no content.
    Status(u16),
    /// With a redirect to this URL.
    Redirect(String),
    /// With 10 MB, without saying so before.
    Huge,
    /// With one byte, and then nothing more.
    Drip,
    /// Never.
    Never,
    /// With this text.
    Text(String),
}

/// How id tokens are signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Signing {
    /// With the newest key.
    #[default]
    Own,
    /// With a key that is not published, under the id of the published one.
    Stranger,
    /// With `alg` `none` and no signature.
    None,
    /// With HS256, and the public key as the secret.
    Hmac,
}

/// What the issuer does otherwise than it should.
#[derive(Debug, Clone, Default)]
pub struct Lies {
    pub discovery: Manner,
    pub jwks: Manner,
    pub token: Manner,
    pub userinfo: Manner,
    /// GitHub: how the list of email addresses is answered.
    pub emails: Manner,
    /// `Cache-Control` of the discovery document and the JWKS.
    pub cache_control: Option<String>,
    /// Changes to the discovery document; `null` takes a member away.
    pub document: Map<String, Value>,
    /// Changes to the claims of every id token; `null` takes one away.
    pub claims: Map<String, Value>,
    /// Changes to the header of every id token; `null` takes one away.
    pub header: Map<String, Value>,
    pub signing: Signing,
    /// `iss` of the answer to the browser (RFC 9207).
    pub iss: Option<String>,
    /// Whether the mailbox and the name stand in userinfo alone.
    pub only_userinfo: bool,
    /// `sub` of userinfo, if it is another one.
    pub userinfo_subject: Option<String>,
    /// Whether the answer to a code has no id token.
    pub no_id_token: bool,
}

struct Key {
    kid: String,
    secret: EncodingKey,
    public: Vec<u8>,
}

impl Key {
    fn make(number: usize) -> Self {
        let random = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
        Self {
            kid: format!("key-{number}"),
            secret: EncodingKey::from_ec_der(der.as_ref()),
            public: pair.public_key().as_ref().to_vec(),
        }
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.public[1..].split_at(32);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid, "x": encode(x), "y": encode(y) })
    }
}

/// What a code stands for.
#[derive(Clone)]
struct Pending {
    says: Says,
    challenge: String,
    redirect_uri: String,
    client_id: String,
    nonce: Option<String>,
    scope: String,
}

struct Inner {
    url: String,
    clock: Mutex<Arc<TestClock>>,
    lies: Mutex<Lies>,
    keys: Mutex<Vec<Key>>,
    codes: Mutex<HashMap<String, Pending>>,
    tokens: Mutex<HashMap<String, Says>>,
    asked: Mutex<Vec<String>>,
    /// How many logout tokens were issued.
    issued: Mutex<usize>,
    /// The client secret of Apple is a JWT, so that any text is taken.
    takes_any_secret: Mutex<bool>,
}

/// The issuer. It ends with the test.
pub struct Issuer {
    inner: Arc<Inner>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Issuer {
    /// Starts an honest issuer, whose clock stands where that of a `TestApp` begins.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            url,
            clock: Mutex::new(Arc::new(TestClock::at(START))),
            lies: Mutex::default(),
            keys: Mutex::new(vec![Key::make(0)]),
            codes: Mutex::default(),
            tokens: Mutex::default(),
            asked: Mutex::default(),
            issued: Mutex::default(),
            takes_any_secret: Mutex::new(false),
        });
        let router = Router::new()
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .route("/login/oauth/access_token", post(github_token))
            .route("/api/v3/user", get(github_user))
            .route("/api/v3/user/emails", get(github_emails))
            .route("/api/v3/user/orgs", get(github_organizations))
            .fallback(discovery)
            .with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { inner, server }
    }

    /// The issuer's identifier and base URL.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Lets the issuer read the time from the clock of a test.
    pub fn follow(&self, clock: &Arc<TestClock>) {
        *self.inner.clock.lock().unwrap() = Arc::clone(clock);
    }

    /// Takes any client secret from now on.
    pub fn take_any_secret(&self) {
        *self.inner.takes_any_secret.lock().unwrap() = true;
    }

    /// Changes what the issuer does otherwise than it should.
    pub fn lie(&self, change: impl FnOnce(&mut Lies)) {
        change(&mut self.inner.lies.lock().unwrap());
    }

    /// Is honest again.
    pub fn repent(&self) {
        self.lie(|lies| *lies = Lies::default());
    }

    /// Signs with a new key; the JWKS has only that one from now on.
    pub fn rotate(&self) {
        let mut keys = self.inner.keys.lock().unwrap();
        let number: usize = keys[0].kid.trim_start_matches("key-").parse().unwrap();
        *keys = vec![Key::make(number + 1)];
    }

    /// How often a path was asked so far.
    pub fn times_asked(&self, path: &str) -> usize {
        let asked = self.inner.asked.lock().unwrap();
        asked.iter().filter(|one| *one == path).count()
    }

    /// The settings of this issuer as a provider of the kind `oidc`.
    pub fn settings(&self, id: &str) -> Vec<(String, String)> {
        Self::pairs(id, &[("kind", "oidc"), ("issuer", self.url())])
    }

    /// The settings of this issuer as a GitHub Enterprise Server.
    pub fn github_settings(&self, id: &str) -> Vec<(String, String)> {
        Self::pairs(id, &[("kind", "github"), ("base_url", self.url())])
    }

    fn pairs(id: &str, own: &[(&str, &str)]) -> Vec<(String, String)> {
        let shared = [
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("allow_private", "true"),
        ];
        own.iter()
            .chain(&shared)
            .map(|(name, value)| (format!("upstream.{id}.{name}"), (*value).to_owned()))
            .collect()
    }

    /// Plays the browser at the issuer: the user signs in and agrees. The request is checked as the
    /// issuer would.
    pub fn authorize(&self, url: &str, says: Says) -> Callback {
        let url = Url::parse(url).unwrap();
        assert_eq!(url.origin(), Url::parse(self.url()).unwrap().origin());
        let mut query = HashMap::new();
        for (name, value) in url.query_pairs() {
            let before = query.insert(name.to_string(), value.to_string());
            assert!(before.is_none(), "{name} stands twice in {url}");
        }
        let of = |name: &str| query.get(name).cloned();
        let needed = |name: &str| of(name).unwrap_or_else(|| panic!("{name} is not in {url}"));
        assert_eq!(needed("response_type"), "code");
        assert_eq!(needed("code_challenge_method"), "S256");
        assert_eq!(needed("code_challenge").len(), 43);
        let mut codes = self.inner.codes.lock().unwrap();
        let code = format!(
            "code-{}-{}",
            codes.len(),
            encode(&sha256(url.as_str().as_bytes()))
        );
        codes.insert(
            code.clone(),
            Pending {
                says,
                challenge: needed("code_challenge"),
                redirect_uri: needed("redirect_uri"),
                client_id: needed("client_id"),
                nonce: of("nonce"),
                scope: needed("scope"),
            },
        );
        Callback {
            code,
            state: needed("state"),
            iss: self.inner.lies().iss.clone(),
        }
    }

    /// A logout token with these claims beside those that it must have; `null` takes one away.
    pub fn logout_token(&self, claims: &Value) -> String {
        let lies = self.inner.lies().clone();
        let seconds = self.inner.clock.lock().unwrap().now_ms() / 1_000;
        let mut issued = self.inner.issued.lock().unwrap();
        *issued += 1;
        let mut all = json!({
            "iss": self.url(), "aud": CLIENT_ID, "iat": seconds, "exp": seconds + 120,
            "jti": format!("logout-{issued}"), "events": { LOGOUT_EVENT: {} },
        });
        let all = all.as_object_mut().unwrap();
        change(all, claims.as_object().unwrap());
        self.inner.signed("logout+jwt", &lies, all)
    }

    /// An id token as a native app gets it.
    pub fn id_token(&self, client_id: &str, nonce: Option<&str>, says: &Says) -> String {
        self.inner.id_token(client_id, nonce, says)
    }
}

impl Inner {
    fn lies(&self) -> MutexGuard<'_, Lies> {
        self.lies.lock().unwrap()
    }

    fn asked(&self, path: &str) {
        self.asked.lock().unwrap().push(path.to_owned());
    }

    fn id_token(&self, client_id: &str, nonce: Option<&str>, says: &Says) -> String {
        let lies = self.lies().clone();
        let seconds = self.clock.lock().unwrap().now_ms() / 1_000;
        let mut claims = json!({
            "iss": self.url, "sub": says.subject, "aud": client_id,
            "iat": seconds, "exp": seconds + 3_600,
        });
        let claims = claims.as_object_mut().unwrap();
        claims.extend(nonce.map(|nonce| ("nonce".to_owned(), json!(nonce))));
        if !lies.only_userinfo {
            claims.extend(says.claims());
        }
        change(claims, &says.claims);
        change(claims, &lies.claims);
        self.signed("JWT", &lies, claims)
    }

    /// Signs claims, as a token of this type.
    fn signed(&self, typ: &str, lies: &Lies, claims: &Map<String, Value>) -> String {
        let keys = self.keys.lock().unwrap();
        let key = keys.last().unwrap();
        let alg = match lies.signing {
            Signing::Own | Signing::Stranger => "ES256",
            Signing::None => "none",
            Signing::Hmac => "HS256",
        };
        let mut header = json!({ "alg": alg, "kid": key.kid, "typ": typ });
        change(header.as_object_mut().unwrap(), &lies.header);
        let part = |text: String| encode(text.as_bytes());
        let claims = Value::Object(claims.clone());
        let message = format!("{}.{}", part(header.to_string()), part(claims.to_string()));
        let sign = |secret: &EncodingKey, algorithm| {
            jsonwebtoken::crypto::sign(message.as_bytes(), secret, algorithm).unwrap()
        };
        let signature = match lies.signing {
            Signing::Own => sign(&key.secret, Algorithm::ES256),
            Signing::Stranger => sign(&Key::make(99).secret, Algorithm::ES256),
            Signing::None => String::new(),
            Signing::Hmac => sign(&EncodingKey::from_secret(&key.public), Algorithm::HS256),
        };
        format!("{message}.{signature}")
    }

    /// Redeems a code once, as RFC 6749 and RFC 7636 say; the error word otherwise.
    fn redeem(&self, headers: &HeaderMap, body: &[u8]) -> Result<Pending, &'static str> {
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(body).into_owned().collect();
        let of = |name: &str| form.get(name).map(String::as_str);
        let basic = headers.get(header::AUTHORIZATION).map(|value| {
            let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
            let pair = String::from_utf8(decode_standard(encoded).unwrap()).unwrap();
            let (id, secret) = pair.split_once(':').unwrap();
            let decoded = |text: &str| {
                let query = format!("x={text}");
                let mut pairs = url::form_urlencoded::parse(query.as_bytes());
                pairs.next().unwrap().1.into_owned()
            };
            (decoded(id), decoded(secret))
        });
        let posted = of("client_secret").map(|secret| {
            let id = of("client_id").unwrap_or_default();
            (id.to_owned(), secret.to_owned())
        });
        let client = match (basic, posted) {
            (Some(_), Some(_)) => return Err("invalid_request"),
            (one, other) => one.or(other),
        };
        let (client_id, secret) = client.ok_or("invalid_client")?;
        if secret != CLIENT_SECRET && !*self.takes_any_secret.lock().unwrap() {
            return Err("invalid_client");
        }
        if of("grant_type") != Some("authorization_code") {
            return Err("unsupported_grant_type");
        }
        let code = of("code").ok_or("invalid_request")?;
        let pending = self.codes.lock().unwrap().remove(code);
        let pending = pending.ok_or("invalid_grant")?;
        let verifier = of("code_verifier").ok_or("invalid_request")?;
        let is_good = encode(&sha256(verifier.as_bytes())) == pending.challenge
            && of("redirect_uri") == Some(&pending.redirect_uri)
            && client_id == pending.client_id;
        is_good.then_some(pending).ok_or("invalid_grant")
    }

    /// Makes an access token.
    fn access_token(&self, says: &Says) -> String {
        let mut tokens = self.tokens.lock().unwrap();
        let token = format!("access-{}", tokens.len());
        tokens.insert(token.clone(), says.clone());
        token
    }

    fn user_of(&self, headers: &HeaderMap) -> Option<Says> {
        let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let token = token.strip_prefix("Bearer ")?;
        self.tokens.lock().unwrap().get(token).cloned()
    }
}

/// Sets members, or takes those away that are `null`.
fn change(members: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, value) in changes {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
}

fn of_json(value: &Value) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        value.to_string(),
    )
        .into_response()
}

/// Answers in the manner that the test wants; `honest` makes the honest answer.
async fn in_manner(manner: Manner, honest: impl FnOnce() -> Response) -> Response {
    match manner {
        Manner::Honest => honest(),
        Manner::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Manner::Redirect(url) => (StatusCode::FOUND, [(header::LOCATION, url)]).into_response(),
        Manner::Huge => {
            let part = Bytes::from(vec![b' '; 64 * 1024]);
            let parts = std::iter::repeat_n(part, 160).map(Ok::<_, std::io::Error>);
            Body::from_stream(futures_util::stream::iter(parts)).into_response()
        }
        Manner::Drip => {
            let one = Ok::<_, std::io::Error>(Bytes::from_static(b"{"));
            let parts = futures_util::stream::iter([one]);
            let parts = futures_util::StreamExt::chain(parts, futures_util::stream::pending());
            Body::from_stream(parts).into_response()
        }
        Manner::Never => std::future::pending().await,
        Manner::Text(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
    }
}

fn with_cache_control(mut response: Response, lies: &Lies) -> Response {
    if let Some(control) = &lies.cache_control {
        let control = control.parse().unwrap();
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, control);
    }
    response
}

/// The discovery document, below any path, so that an issuer with a path has one, too.
async fn discovery(Shared(inner): Shared<Arc<Inner>>, uri: Uri) -> Response {
    const NAME: &str = "/.well-known/openid-configuration";
    let Some(path) = uri.path().strip_suffix(NAME) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    inner.asked(NAME);
    let lies = inner.lies().clone();
    let url = &inner.url;
    in_manner(lies.discovery.clone(), || {
        let mut document = json!({
            "issuer": format!("{url}{path}"),
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "userinfo_endpoint": format!("{url}/userinfo"),
            "jwks_uri": format!("{url}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        change(document.as_object_mut().unwrap(), &lies.document);
        with_cache_control(of_json(&document), &lies)
    })
    .await
}

async fn jwks(Shared(inner): Shared<Arc<Inner>>) -> Response {
    inner.asked("/jwks");
    let lies = inner.lies().clone();
    in_manner(lies.jwks.clone(), || {
        let keys = inner.keys.lock().unwrap();
        let keys: Vec<Value> = keys.iter().map(Key::jwk).collect();
        with_cache_control(of_json(&json!({ "keys": keys })), &lies)
    })
    .await
}

async fn token(Shared(inner): Shared<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    inner.asked("/token");
    let lies = inner.lies().clone();
    in_manner(lies.token.clone(), || match inner.redeem(&headers, &body) {
        Ok(pending) => {
            let token = inner.id_token(&pending.client_id, pending.nonce.as_deref(), &pending.says);
            let mut answer = json!({
                "access_token": inner.access_token(&pending.says),
                "token_type": "Bearer",
                "expires_in": 3_600,
                "scope": pending.scope,
                "id_token": token,
            });
            if lies.no_id_token {
                answer.as_object_mut().unwrap().remove("id_token");
            }
            of_json(&answer)
        }
        Err(word) => {
            let answer = json!({ "error": word, "error_description": "<b>of the issuer</b>" });
            (StatusCode::BAD_REQUEST, of_json(&answer)).into_response()
        }
    })
    .await
}

async fn userinfo(Shared(inner): Shared<Arc<Inner>>, headers: HeaderMap) -> Response {
    inner.asked("/userinfo");
    let lies = inner.lies().clone();
    in_manner(lies.userinfo.clone(), || match inner.user_of(&headers) {
        Some(says) => {
            let mut claims = says.claims();
            let subject = lies.userinfo_subject.clone().unwrap_or(says.subject);
            claims.insert("sub".to_owned(), json!(subject));
            of_json(&Value::Object(claims))
        }
        None => StatusCode::UNAUTHORIZED.into_response(),
    })
    .await
}

async fn github_token(
    Shared(inner): Shared<Arc<Inner>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    inner.asked("/login/oauth/access_token");
    let manner = inner.lies().token.clone();
    in_manner(manner, || match inner.redeem(&headers, &body) {
        Ok(pending) => of_json(&json!({
            "access_token": inner.access_token(&pending.says),
            "token_type": "bearer",
            "scope": pending.scope.replace(' ', ","),
        })),
        // GitHub refuses with the status 200.
        Err("invalid_grant") => {
            of_json(&json!({ "error": "bad_verification_code", "error_description": "<b>x</b>" }))
        }
        Err(_) => of_json(&json!({ "error": "incorrect_client_credentials" })),
    })
    .await
}

/// Answers about the user of the access token.
async fn of_github(
    inner: &Inner,
    path: &str,
    headers: &HeaderMap,
    about: impl FnOnce(&Says) -> Value,
) -> Response {
    inner.asked(path);
    let lies = inner.lies().clone();
    let manner = if path == "/user/emails" {
        lies.emails
    } else {
        lies.userinfo
    };
    in_manner(manner, || match inner.user_of(headers) {
        Some(says) => of_json(&about(&says)),
        None => StatusCode::UNAUTHORIZED.into_response(),
    })
    .await
}

async fn github_user(Shared(inner): Shared<Arc<Inner>>, headers: HeaderMap) -> Response {
    of_github(&inner, "/user", &headers, |says| {
        json!({
            "id": says.subject.parse::<u64>().unwrap(),
            "login": "ana-muster",
            "name": says.name,
            "avatar_url": says.picture,
            "email": "public@of-another.example",
        })
    })
    .await
}

async fn github_emails(Shared(inner): Shared<Arc<Inner>>, headers: HeaderMap) -> Response {
    of_github(&inner, "/user/emails", &headers, |says| {
        let primary = says.email.as_ref().map(|email| {
            json!({
                "email": email, "primary": true,
                "verified": says.email_verified.unwrap_or(false), "visibility": "private",
            })
        });
        let primary: Vec<Value> = primary.into_iter().collect();
        says.emails.clone().unwrap_or(json!(primary))
    })
    .await
}

async fn github_organizations(
    Shared(inner): Shared<Arc<Inner>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    const ON_PAGE: usize = 100;
    let query = uri.query().unwrap_or_default().to_owned();
    let page = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "page")
        .map_or(1, |(_, page)| page.parse::<usize>().unwrap());
    of_github(&inner, "/user/orgs", &headers, |says| {
        let logins = says.organizations.iter().skip((page - 1) * ON_PAGE);
        let logins = logins.take(ON_PAGE).map(|login| json!({ "login": login }));
        logins.collect()
    })
    .await
}
