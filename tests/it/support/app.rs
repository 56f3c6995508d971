//! The program under test. Every answer is held against `openapi.yaml` and searched for secrets of
//! the test on its way.

use countersign::flows::permit::Permitted;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, header};
use countersign::app::App;
use countersign::clock::TestClock;
use countersign::config::{Config, Sources};
use countersign::flows::confirm_clock;
use countersign::flows::key::bootstrap;
use countersign::flows::ops::abandon_keys;
use countersign::flows::ops::abandon_keys::Abandoned;
use countersign::http::router;
use countersign::model::audit::event::Requester;
use countersign::model::session::ticket::Retry;
use countersign::random::SeededRandom;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use super::actors::{Answer, User};
use super::contract;
use super::db::Place;

/// 2026-11-21T00:00:00Z, a Saturday.
pub const START: i64 = 1_795_219_200_000;

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

#[derive(Clone)]
pub struct TestApp {
    pub app: Arc<App>,
    pub clock: Arc<TestClock>,
    router: Router,
    pub place: Arc<Place>,
    dir: Arc<TempDir>,
    settings: Arc<Vec<(String, String)>>,
    passwords: Arc<Mutex<Vec<String>>>,
}

/// Cheap hashing, a place of its own. The test's clock is not the database server's.
fn settings(dir: &TempDir, place: &Place, extra: &[(&str, &str)]) -> Vec<(String, String)> {
    let path = |name: &str| dir.path().join(name).display().to_string();
    let mut all = vec![
        ("database.url".to_owned(), place.url.clone()),
        ("database.max_clock_skew".to_owned(), "0s".to_owned()),
        ("keys.dir".to_owned(), path("keys")),
        ("passwords.argon2_memory_kib".to_owned(), "64".to_owned()),
        ("passwords.argon2_iterations".to_owned(), "1".to_owned()),
        ("passwords.queue".to_owned(), "10000".to_owned()),
        ("passwords.blocklist".to_owned(), "true".to_owned()),
    ];
    // The clock stands still: what a test does in one moment is more than a real client does. Tests of
    // limits say theirs.
    let rules = [
        "sign_in",
        "sign_in_account",
        "sign_in_network",
        "sign_in_success",
        "second_factor",
        "second_factor_account",
        "email_code",
        "email_code_account",
        "code_request",
        "code_network",
        "code_recipient",
        "sign_up",
        "mail_address",
        "mail_network",
        "token",
    ];
    all.extend(rules.map(|rule| (format!("rate_limits.{rule}"), "off".to_owned())));
    all.extend(
        extra
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
    );
    all
}

async fn somewhere() -> (Arc<TempDir>, Arc<Place>) {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::make(dir.path()).await;
    (Arc::new(dir), Arc::new(place))
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// By the time of this machine, which is also that of the database server, with the usual
    /// comparison of the two.
    pub async fn with_real_time(extra: &[(&str, &str)]) -> Self {
        use countersign::clock::{Clock, SystemClock};
        let (dir, place) = somewhere().await;
        let extra: Vec<_> = [("database.max_clock_skew", "5m")]
            .iter()
            .chain(extra)
            .copied()
            .collect();
        let settings = Arc::new(settings(&dir, &place, &extra));
        Self::open(
            (dir, place),
            settings,
            &[],
            Arc::new(TestClock::at(SystemClock.now_ms())),
            7,
            |_| {},
        )
        .await
        .unwrap()
    }

    pub async fn with(extra: &[(&str, &str)]) -> Self {
        let (dir, place) = somewhere().await;
        let settings = Arc::new(settings(&dir, &place, extra));
        Self::open(
            (dir, place),
            settings,
            &[],
            Arc::new(TestClock::at(START)),
            7,
            |_| {},
        )
        .await
        .unwrap()
    }

    /// With windows that the settings would refuse.
    pub async fn with_windows(grace: Duration, cooldown: Duration) -> Self {
        let (dir, place) = somewhere().await;
        let settings = Arc::new(settings(&dir, &place, &[("rate_limits.enabled", "false")]));
        let tweak = |config: &mut Config| {
            (
                config.sessions.refresh.grace,
                config.sessions.refresh.cooldown,
            ) = (grace, cooldown);
        };
        Self::open(
            (dir, place),
            settings,
            &[],
            Arc::new(TestClock::at(START)),
            7,
            tweak,
        )
        .await
        .unwrap()
    }

    /// With values in the settings that no text of a setting makes.
    pub async fn with_config(extra: &[(&str, &str)], change: impl FnOnce(&mut Config)) -> Self {
        let (dir, place) = somewhere().await;
        let settings = Arc::new(settings(&dir, &place, extra));
        let clock = Arc::new(TestClock::at(START));
        Self::open((dir, place), settings, &[], clock, 7, change)
            .await
            .unwrap()
    }

    async fn open(
        (dir, place): (Arc<TempDir>, Arc<Place>),
        settings: Arc<Vec<(String, String)>>,
        environment: &[(&str, String)],
        clock: Arc<TestClock>,
        seed: u64,
        tweak: impl FnOnce(&mut Config),
    ) -> countersign::flows::Result<Self> {
        let environment = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect();
        let sources = Sources {
            file: None,
            environment,
            flags: settings.to_vec(),
        };
        let mut config = Config::load(&sources).unwrap();
        tweak(&mut config);
        let app = Arc::new(
            Box::pin(bootstrap::start(
                config,
                clock.clone(),
                Arc::new(SeededRandom::new(seed)),
            ))
            .await?,
        );
        let router = router(&app);
        Ok(Self {
            app,
            clock,
            router,
            place,
            dir,
            settings,
            passwords: Arc::default(),
        })
    }

    /// Another process on the same database and clock, with its own environment.
    pub async fn replica(
        &self,
        environment: &[(&str, String)],
    ) -> countersign::flows::Result<Self> {
        Self::open(
            self.home(),
            self.settings.clone(),
            environment,
            self.clock.clone(),
            8,
            |_| {},
        )
        .await
    }

    /// What an operator does who has lost the master key.
    pub async fn abandon_master_key(&self) -> countersign::flows::Result<Abandoned> {
        let app = self.without_master_key().await?;
        abandon_keys::abandon(&app, Permitted::as_operator(), &Requester::default()).await
    }

    /// The program as an operator starts it who has lost the master key.
    pub async fn without_master_key(&self) -> countersign::flows::Result<App> {
        let config = Config::load(&Sources {
            flags: self.settings.to_vec(),
            ..Sources::default()
        })
        .unwrap();
        let random = Arc::new(SeededRandom::new(12));
        Box::pin(bootstrap::build_without_master_key(
            config,
            self.clock.clone(),
            random,
        ))
        .await
    }

    /// Another process on the same database and clock, with some settings of its own.
    pub async fn replica_with(&self, extra: &[(&str, &str)]) -> Self {
        let mut settings = self.settings.to_vec();
        settings.extend(
            extra
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        );
        Self::open(
            self.home(),
            Arc::new(settings),
            &[],
            self.clock.clone(),
            10,
            |_| {},
        )
        .await
        .unwrap()
    }

    /// Another process on the same database that has no room for a single request; the settings
    /// would refuse that.
    pub async fn without_request_slots(&self) -> Self {
        Self::open(
            self.home(),
            self.settings.clone(),
            &[],
            self.clock.clone(),
            13,
            |config| config.server.max_requests = 0,
        )
        .await
        .unwrap()
    }

    /// Another process on the same database whose clock is its own.
    pub async fn replica_with_clock(&self, skew_ms: i64) -> Self {
        use countersign::clock::Clock;
        let clock = Arc::new(TestClock::at(self.clock.now_ms() + skew_ms));
        Self::open(self.home(), self.settings.clone(), &[], clock, 9, |_| {})
            .await
            .unwrap()
    }

    /// Another process with this one's keys on the second database beside the other's.
    pub async fn at_copy_of(&self, other: &Self) -> Self {
        let mut settings = self.settings.to_vec();
        settings.push(("database.url".to_owned(), other.second_url()));
        Self::open(
            self.home(),
            Arc::new(settings),
            &[],
            self.clock.clone(),
            11,
            |_| {},
        )
        .await
        .unwrap()
    }

    /// The clients of this process and of all others on its database use tickets, or do not.
    pub fn with_clients(self, retry: Retry) -> Self {
        self.place.retry.set(retry).unwrap();
        self
    }

    pub fn retry(&self) -> Retry {
        self.place.retry.get().copied().unwrap_or(Retry::Window)
    }

    fn home(&self) -> (Arc<TempDir>, Arc<Place>) {
        (self.dir.clone(), self.place.clone())
    }

    /// The kid of the key that signs for the default audience.
    pub fn active_kid(&self) -> String {
        let ring = self.app.ring().unwrap();
        ring.default_key().unwrap().kid.clone()
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// The only way time passes.
    pub fn after(&self, time: Duration) {
        self.clock
            .advance_ms(i64::try_from(time.as_millis()).unwrap());
    }

    /// So much time passes while the process runs and its jobs see the clock.
    pub async fn runs_for(&self, time: Duration) {
        let step = minutes(12 * 60);
        let mut left = time;
        while !left.is_zero() {
            self.after(left.min(step));
            left = left.saturating_sub(step);
            confirm_clock::confirm(&self.app).await.unwrap();
        }
    }

    /// The wall clock is set, forwards or backwards; no time passes.
    pub fn set_clock(&self, by_ms: i64) {
        self.clock.set_ms(by_ms);
    }

    /// A signed-up user.
    pub async fn user(&self, name: &str) -> User {
        let user = User {
            app: self.clone(),
            name: name.to_owned(),
            email: format!("{name}@example.com"),
            password: format!("{name}'s good password"),
        };
        self.passwords.lock().unwrap().push(user.password.clone());
        let body = serde_json::json!({ "name": user.name, "email": user.email, "password": user.password, "tokenDelivery": "body" });
        self.post("/api/auth/sign-up/email", &body).await.ok();
        user
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()));
        self.send(request.unwrap()).await
    }

    pub async fn form(&self, path: &str, body: &str) -> Answer {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body.to_owned()));
        self.send(request.unwrap()).await
    }

    pub async fn send(&self, mut request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        request
            .extensions_mut()
            .insert(ConnectInfo(std::net::SocketAddr::from((
                [192, 0, 2, 1],
                4321,
            ))));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let answer = Answer::read(response).await;
        self.inspect(&method, &path, &answer);
        answer
    }

    fn inspect(&self, method: &Method, path: &str, answer: &Answer) {
        let inside = self.app.config.server.mount.inside(path);
        contract::check(method, &inside, answer);
        for password in self.passwords.lock().unwrap().iter() {
            assert!(
                !answer.text.contains(password.as_str()),
                "{method} {path} echoes a password"
            );
        }
        assert!(
            !answer.text.contains("$argon2"),
            "{method} {path} shows a hash"
        );
        let in_cookie = answer.cookies().iter().any(|c| c.contains("csr_"));
        assert!(
            !(in_cookie && answer.text.contains("csr_")),
            "{method} {path} carries the refresh token both ways"
        );
        assert!(
            answer.headers.contains_key("x-request-id"),
            "{method} {path} has no request id"
        );
    }
}
