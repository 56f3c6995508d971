//! The service in process, for targets that ask it something.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use countersign::app::App;
use countersign::clock::SystemClock;
use countersign::config::{Config, Sources};
use countersign::flows::load_keys;
use countersign::http::router;
use countersign::random::SeededRandom;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// A service on a database of its own, made once a process.
pub struct Service {
    runtime: Runtime,
    router: Router,
    /// What it was built from.
    pub app: Arc<App>,
    _dir: TempDir,
}

/// The one of this process.
pub static SERVICE: LazyLock<Service> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name).display().to_string();
    let settings = [
        ("database.url", format!("sqlite://{}", at("fuzz.db"))),
        ("keys.dir", at("keys")),
        ("passwords.argon2_memory_kib", "8".into()),
        ("passwords.argon2_iterations", "1".into()),
        ("server.trusted_proxies", "127.0.0.0/8, 10.0.0.0/8".into()),
        ("rate_limits.enabled", "false".into()),
    ];
    let flags = settings.map(|(key, value)| (key.to_owned(), value)).to_vec();
    let config = Config::load(&Sources { file: None, environment: Vec::new(), flags }).expect("good settings");
    let runtime = Runtime::new().expect("a runtime");
    let app = runtime.block_on(load_keys::start(config, Arc::new(SystemClock), Arc::new(SeededRandom::new(7)))).expect("a service");
    let app = Arc::new(app);
    Service { router: router(&app), runtime, app, _dir: dir }
});

impl Service {
    /// What it answers; a fault of its own ends the process, which is what a fuzzer looks for.
    pub fn ask(&self, mut request: Request<Body>) -> StatusCode {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 9))));
        let what = format!("{} {}", request.method(), request.uri());
        let answer = self.runtime.block_on(self.router.clone().oneshot(request)).expect("an answer");
        assert!(!answer.status().is_server_error() || answer.status() == StatusCode::SERVICE_UNAVAILABLE, "{what}: {}", answer.status());
        answer.status()
    }
}
