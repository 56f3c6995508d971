//! The service in process, for targets that ask it something.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, header};
use countersign::app::App;
use countersign::clock::SystemClock;
use countersign::config::{Config, Sources};
use countersign::flows::account::administer_users::set_role;
use countersign::flows::key::bootstrap;
use countersign::flows::permit::Permitted;
use countersign::http::router;
use countersign::model::audit::event::Peer;
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
    /// An admin's session token.
    pub admin: String,
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
    let flags = settings
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec();
    let config = Config::load(&Sources {
        file: None,
        environment: Vec::new(),
        flags,
    })
    .expect("good settings");
    let runtime = Runtime::new().expect("a runtime");
    let app = runtime
        .block_on(bootstrap::start(
            config,
            Arc::new(SystemClock),
            Arc::new(SeededRandom::new(7)),
        ))
        .expect("a service");
    let app = Arc::new(app);
    let router = router(&app);
    let admin = runtime.block_on(admin(&app, &router));
    Service {
        router,
        runtime,
        app,
        admin,
        _dir: dir,
    }
});

async fn admin(app: &Arc<App>, router: &Router) -> String {
    let body = r#"{"name":"Ana","email":"admin@example.com","password":"a good long password","tokenDelivery":"body"}"#;
    let request = Request::post("/api/auth/sign-up/email")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .expect("a request");
    let answer = router.clone().oneshot(request).await.expect("an answer");
    let body = axum::body::to_bytes(answer.into_body(), 65_536)
        .await
        .expect("a body");
    let answer: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let id = answer["user"]["id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .expect("an id");
    set_role(
        app,
        Permitted::as_operator(),
        id,
        "admin".into(),
        &Peer::default(),
    )
    .await
    .expect("a role");
    answer["token"].as_str().expect("a token").to_owned()
}

impl Service {
    /// What it answers; a fault of its own ends the process, which is what a fuzzer looks for.
    pub fn ask(&self, mut request: Request<Body>) -> StatusCode {
        request
            .extensions_mut()
            .insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 9))));
        let what = format!("{} {}", request.method(), request.uri());
        let answer = self
            .runtime
            .block_on(self.router.clone().oneshot(request))
            .expect("an answer");
        assert!(
            !answer.status().is_server_error()
                || answer.status() == StatusCode::SERVICE_UNAVAILABLE,
            "{what}: {}",
            answer.status()
        );
        answer.status()
    }
}
