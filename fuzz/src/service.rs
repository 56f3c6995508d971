//! The service in this process, an admin of it and a user whom the admin may change.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header, request};
use countersign::app::App;
use countersign::clock::MovableClock;
use countersign::config::{Config, MailTransport, Sources};
use countersign::crypto::master_key::{MasterKey, MasterKeys};
use countersign::flows::account::administer_users::set_role;
use countersign::flows::key::bootstrap;
use countersign::flows::ops::dev::Dev;
use countersign::flows::permit::Permitted;
use countersign::http::router;
use countersign::mail::Received;
use countersign::model::audit::event::Requester;
use countersign::random::SeededRandom;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// The master key of the service: a target signs with it what it fuzzes.
pub const MASTER_KEY: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";
/// The origin of the service.
pub const ORIGIN: &str = "http://localhost:4000";
/// Origins that redirects may lead to, besides the service's own.
pub const TRUSTED: [&str; 3] = [
    "https://app.example.com",
    "https://*.example.org",
    "com.example.app://callback",
];
/// The password of everyone who is signed up.
pub const PASSWORD: &str = "a good long password";

/// A service on a database of its own, made once a process.
pub struct Service {
    runtime: Runtime,
    router: Router,
    /// What it was built from.
    pub app: Arc<App>,
    dev: Dev,
    admin: Mutex<Person>,
    user: Mutex<Person>,
    number: AtomicU64,
    _dir: TempDir,
}

/// Someone who has an account and is signed in.
#[derive(Clone, Default)]
pub struct Person {
    /// The user id.
    pub id: String,
    /// The email address.
    pub email: String,
    /// The session token, without its signature.
    pub token: String,
    /// The id of the session.
    pub session: String,
    /// The header `Cookie` of the person's browser.
    pub cookies: String,
}

/// An answer of the service.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// Returns where the answer leads to, if it redirects.
    pub fn location(&self) -> &str {
        let location = self.headers.get(header::LOCATION);
        location.map_or("", |url| url.to_str().expect("a URL in a header is ASCII"))
    }

    /// Returns the body as JSON; `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns whether the answer is a page that holds this text as it is.
    pub fn is_page_with(&self, text: &str) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE);
        kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
            && self.text().contains(text)
    }

    /// Returns a member of the JSON body, by its pointer (RFC 6901).
    fn member(&self, pointer: &str) -> String {
        let body = self.json();
        let member = body.pointer(pointer).and_then(Value::as_str);
        member
            .unwrap_or_else(|| panic!("{pointer} is missing: {} {}", self.status, self.text()))
            .to_owned()
    }

    /// Returns the cookies that the answer sets, as a browser sends them back.
    pub(crate) fn cookies(&self) -> String {
        let lines = self.headers.get_all(header::SET_COOKIE).iter();
        let pairs = lines.filter_map(|line| line.to_str().ok()?.split(';').next());
        pairs.collect::<Vec<_>>().join("; ")
    }
}

/// The service of this process.
pub static SERVICE: LazyLock<Service> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name).display().to_string();
    MasterKey::create(&dir.path().join("keys/master.key"), MASTER_KEY).expect("a master key");
    let settings = [
        ("database.url", format!("sqlite://{}", at("fuzz.db"))),
        ("keys.dir", at("keys")),
        ("passwords.argon2_memory_kib", "8".into()),
        ("passwords.argon2_iterations", "1".into()),
        ("server.public_url", ORIGIN.into()),
        ("server.trusted_origins", TRUSTED.join(", ")),
        ("server.trusted_proxies", "127.0.0.0/8, 10.0.0.0/8".into()),
        ("rate_limits.enabled", "false".into()),
        ("sessions.cookie_cache", "5m".into()),
        ("two_factor.email", "true".into()),
        // Its pages are known without a request.
        ("upstream.github.client_id", "fuzz".into()),
        ("upstream.github.client_secret", "fuzz".into()),
    ];
    let flags = settings.map(|(key, value)| (key.to_owned(), value));
    let mut config = Config::load(&Sources {
        file: None,
        environment: Vec::new(),
        flags: flags.to_vec(),
    })
    .expect("good settings");
    config.mail.transport = MailTransport::Inbox;
    let runtime = Runtime::new().expect("a runtime");
    let clock = Arc::new(MovableClock::default());
    let random = Arc::new(SeededRandom::new(7));
    let app = runtime
        .block_on(bootstrap::start(config, Arc::clone(&clock) as _, random))
        .expect("a service");
    let app = Arc::new(app);
    let service = Service {
        router: router(&app),
        runtime,
        app,
        dev: Dev::new(clock),
        admin: Mutex::default(),
        user: Mutex::default(),
        number: AtomicU64::new(0),
        _dir: dir,
    };
    service.replace_admin();
    service.replace_user();
    service
});

impl Service {
    /// Returns the admin.
    pub fn admin(&self) -> Person {
        self.admin
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the user whom the admin may change.
    pub fn user(&self) -> Person {
        self.user
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Signs up another admin, after an input has ended the last one.
    pub fn replace_admin(&self) {
        let admin = self.sign_up();
        let id = admin.id.parse().expect("an id");
        let role = "admin".to_owned();
        let (proof, requester) = (Permitted::as_operator(), Requester::default());
        self.runtime
            .block_on(set_role(&self.app, proof, id, role, &requester))
            .expect("a role");
        *self.admin.lock().unwrap_or_else(PoisonError::into_inner) = admin;
    }

    /// Signs up another user, after an input has changed or removed the last one.
    pub fn replace_user(&self) {
        let user = self.sign_up();
        *self.user.lock().unwrap_or_else(PoisonError::into_inner) = user;
    }

    /// Returns an email address that has no account.
    pub fn new_email(&self) -> String {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        format!("person{number}@example.net")
    }

    /// Returns the master keys.
    pub fn masters(&self) -> MasterKeys {
        let ring = self.app.ring().expect("the keys are loaded");
        ring.masters.clone()
    }

    /// Returns the key id of the key that signs.
    pub fn kid(&self) -> String {
        let answer = self.ask(get("/api/auth/jwks", ""));
        let kids = answer.json();
        let kids = kids["keys"].as_array().expect("keys").iter();
        // The token names the one of several keys that signs.
        let token = self.ask(get("/api/auth/token", &self.user().cookies));
        let token = token.member("/token");
        let head = token
            .split('.')
            .next()
            .and_then(countersign::crypto::decode);
        let head: Value = serde_json::from_slice(&head.expect("base64url")).expect("JSON");
        let kid = kids.map(|key| &key["kid"]).find(|kid| **kid == head["kid"]);
        kid.and_then(Value::as_str)
            .expect("it is published")
            .to_owned()
    }

    /// Returns the email address that was made last by [`Self::new_email`].
    pub fn last_email(&self) -> String {
        let number = self.number.load(Ordering::Relaxed);
        format!("person{}@example.net", number.saturating_sub(1))
    }

    /// Moves the clock forwards by so many milliseconds.
    pub fn advance(&self, milliseconds: i64) {
        let moved = self.dev.move_clock(&self.app, milliseconds);
        self.runtime.block_on(moved).expect("the clock moves");
    }

    /// Runs what needs a runtime around it.
    pub fn in_runtime<T>(&self, work: impl FnOnce() -> T) -> T {
        let _guard = self.runtime.enter();
        work()
    }

    /// Sends a request that makes a mail to this address, and returns the token of the mail's link,
    /// which is known by its path. `None` if the service refuses the request or sends no such mail.
    pub fn link(&self, to: &str, path: &str, request: Request<Body>) -> Option<String> {
        let mails = self.mails(to, request)?;
        let mut links = mails.iter().flat_map(Received::links);
        let link = links.find(|link| link.contains(path))?;
        let (path, query) = link.split_once('?')?;
        let token = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("token="));
        Some(token.or_else(|| path.rsplit('/').next())?.to_owned())
    }

    /// Sends a request that makes a mail to this address, and returns the code of the mail. `None` if
    /// the service refuses the request or sends no such mail.
    pub fn code(&self, to: &str, request: Request<Body>) -> Option<String> {
        let mails = self.mails(to, request)?;
        let mut lines = mails.iter().flat_map(|mail| mail.content.text.lines());
        let is_code =
            |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
        lines.find(is_code).map(ToOwned::to_owned)
    }

    /// Sends a request, and returns the mails to this address that are sent then.
    fn mails(&self, to: &str, request: Request<Body>) -> Option<Vec<Received>> {
        if !self.ask(request).status.is_success() {
            return None;
        }
        let mails = self
            .runtime
            .block_on(self.dev.inbox(&self.app, Some(to)))
            .expect("mails can be sent");
        self.dev.clear_inbox(&self.app);
        Some(mails)
    }

    /// Answers a request. The process ends, which is what a fuzzer looks for, if the service has a
    /// fault, if JSON is not JSON, or if the service is not available and stays so.
    pub fn ask(&self, request: Request<Body>) -> Answer {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = self.answer(request);
        // Work that waited too long on a busy machine is refused. That must not last: a service that
        // answers 503 to everything is not fuzzed.
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            let recovers = (0..10).any(|_| self.answer(sign_up(&self.new_email())).status == 200);
            assert!(recovers, "{what}: 503, and every sign-up after it too");
        } else {
            assert!(!answer.status.is_server_error(), "{what}: {answer:?}");
        }
        let is_json = answer.headers.get(header::CONTENT_TYPE);
        if is_json.is_some_and(|kind| kind == "application/json") && !answer.body.is_empty() {
            let read = serde_json::from_slice::<Value>(&answer.body);
            assert!(read.is_ok(), "{what}: {answer:?}");
        }
        answer
    }

    fn answer(&self, mut request: Request<Body>) -> Answer {
        let from = SocketAddr::from(([127, 0, 0, 1], 9));
        request.extensions_mut().insert(ConnectInfo(from));
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await;
            let (head, body) = response.expect("an answer").into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await;
            Answer {
                status: head.status,
                headers: head.headers,
                body: body.expect("a body"),
            }
        })
    }

    /// Signs up a user with a new email address.
    pub(crate) fn sign_up(&self) -> Person {
        let email = self.new_email();
        let answer = self.ask(sign_up(&email));
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.signed_in(email, &answer)
    }

    /// Returns the person whose browser got this answer with a new session.
    pub(crate) fn signed_in(&self, email: String, answer: &Answer) -> Person {
        let cookies = answer.cookies();
        let session = self.ask(get("/api/auth/session", &cookies));
        Person {
            id: answer.member("/user/id"),
            email,
            token: answer.member("/token"),
            session: session.member("/session/id"),
            cookies,
        }
    }
}

fn sign_up(email: &str) -> Request<Body> {
    let body = format!(r#"{{"name":"Ana","email":"{email}","password":"{PASSWORD}"}}"#);
    post_json("/api/auth/sign-up/email", "", body)
}

/// Makes a `GET` request with these cookies.
pub fn get(path: &str, cookies: &str) -> Request<Body> {
    with_cookies(Request::get(path), cookies, Body::empty())
}

/// Makes a `POST` request of JSON with these cookies.
pub fn post_json(path: &str, cookies: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    with_cookies(request, cookies, body.into())
}

/// Makes a `POST` request of a form with these cookies.
pub fn post_form(path: &str, cookies: &str, body: impl Into<Body>) -> Request<Body> {
    let form = "application/x-www-form-urlencoded";
    let request = Request::post(path).header(header::CONTENT_TYPE, form);
    with_cookies(request, cookies, body.into())
}

fn with_cookies(request: request::Builder, cookies: &str, body: Body) -> Request<Body> {
    let request = request.header(header::ORIGIN, ORIGIN);
    let request = if cookies.is_empty() {
        request
    } else {
        request.header(header::COOKIE, cookies)
    };
    request.body(body).expect("a request")
}
