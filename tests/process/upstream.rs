//! Three replicas that take turns in a sign-in at another issuer: npm `oidc-provider`, as
//! `tests/interop/setup.sh` installs it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::server::{post_until_served, reserve_ports, write_key};

/// The secret that `issuer.mjs` knows.
const SECRET: &str = "a secret: 100% + more/of=it & longer";
const ANA: &str = "ana-1|ana@example.com|true|Ana";

/// The issuer, running.
struct Issuer(Child);

impl Issuer {
    fn start(port: u16, redirects: &[String]) -> Self {
        let folder = Path::new("target/interop/upstream");
        let settings = json!({ "port": port, "clients": [{ "redirect_uris": redirects }] });
        let bin = std::fs::canonicalize("target/interop/node").unwrap();
        let path = format!(
            "{}/node_modules/.bin:{}",
            bin.display(),
            std::env::var("PATH").unwrap()
        );
        let child = Command::new("node")
            .args(["issuer.mjs", &settings.to_string()])
            .current_dir(folder)
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("tests/interop/setup.sh has installed the issuer");
        let issuer = Self(child);
        let started = Instant::now();
        while std::net::TcpStream::connect(("localhost", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "no issuer");
            std::thread::sleep(Duration::from_millis(20));
        }
        issuer
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The cookies of one site.
#[derive(Clone, Default)]
struct Jar(BTreeMap<String, String>);

impl Jar {
    fn keep(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE) {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn line(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(n, v)| format!("{n}={v}")).collect();
        pairs.join("; ")
    }
}

/// A browser that reaches any replica under the one name of the service.
struct Browser<'f> {
    fleet: &'f Fleet,
    http: Client,
    ours: Jar,
    theirs: Jar,
}

impl<'f> Browser<'f> {
    fn new(fleet: &'f Fleet) -> Self {
        Self {
            fleet,
            http: Client::builder().redirect(Policy::none()).build().unwrap(),
            ours: Jar::default(),
            theirs: Jar::default(),
        }
    }

    async fn get(&mut self, n: u16, path: &str) -> Response {
        let asked = self.http.get(self.fleet.direct(n, path));
        let answer = asked.header(COOKIE, self.ours.line()).send().await.unwrap();
        self.ours.keep(answer.headers());
        answer
    }

    async fn post(&mut self, n: u16, path: &str, body: &Value) -> Value {
        let asked = self.http.post(self.fleet.direct(n, path)).json(body);
        let answer = asked.header(COOKIE, self.ours.line()).send().await.unwrap();
        let status = answer.status().as_u16();
        self.ours.keep(answer.headers());
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Begins at one replica, and signs in at the issuer; path and query of the callback.
    async fn begins(&mut self, n: u16, path: &str, provider: &str) -> String {
        let body = json!({ "provider": provider, "callbackURL": "/welcome", "loginHint": ANA });
        let begun = self.post(n, path, &body).await;
        let callback = self.fleet.url("/api/auth/callback/");
        let mut url = Url::parse(begun["url"].as_str().unwrap()).unwrap();
        for _ in 0..10 {
            let asked = self
                .http
                .get(url.clone())
                .header(COOKIE, self.theirs.line());
            let answer = asked.send().await.unwrap();
            self.theirs.keep(answer.headers());
            let location = answer.headers().get(LOCATION).map(|l| l.to_str().unwrap());
            let Some(location) = location.map(ToOwned::to_owned) else {
                panic!("{url}: {}", answer.text().await.unwrap());
            };
            url = url.join(&location).unwrap();
            if localhost(url.as_str()).starts_with(&localhost(&callback)) {
                return format!("{}?{}", url.path(), url.query().unwrap());
            }
        }
        panic!("the issuer does not send the browser back: {url}");
    }

    /// Comes back at another replica; where it is led.
    async fn comes_back(&mut self, n: u16, callback: &str) -> String {
        let answer = self.get(n, callback).await;
        assert_eq!(answer.status().as_u16(), 302);
        answer.headers()[LOCATION].to_str().unwrap().to_owned()
    }

    /// The id of the user who is signed in, by any replica.
    async fn user(&mut self, n: u16) -> String {
        let answer = self.get(n, "/api/auth/get-session").await;
        let session: Value = answer.json().await.unwrap();
        assert_eq!(session["user"]["email"], "ana@example.com", "{session}");
        session["user"]["id"].as_str().unwrap().to_owned()
    }

    async fn linked(&mut self, n: u16) -> Vec<Value> {
        let answer = self.get(n, "/api/auth/list-accounts").await;
        answer.json().await.unwrap()
    }
}

/// A replica and the balancer may be named in two ways.
fn localhost(url: &str) -> String {
    url.replace("127.0.0.1", "localhost")
}

/// A fleet whose provider is the issuer under two names.
fn place() -> (Fleet, Issuer, tempfile::TempDir) {
    let port = reserve_ports(1);
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    write_key(&secret, SECRET);
    let settings: Vec<String> = ["acme", "other"]
        .iter()
        .flat_map(|id| {
            [
                "kind=oidc".to_owned(),
                "client_id=countersign".to_owned(),
                "allow_private=true".to_owned(),
                "domains=example.com".to_owned(),
                format!("issuer=http://localhost:{port}"),
                format!("client_secret_file={}", secret.display()),
            ]
            .map(|setting| format!("upstream.{id}.{setting}"))
        })
        .collect();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let fleet = Fleet::start(&settings);
    let redirects = ["acme", "other"].map(|id| {
        let path = format!("/api/auth/callback/{id}");
        fleet.url(&path).replace("127.0.0.1", "localhost")
    });
    let issuer = Issuer::start(port, &redirects);
    (fleet, issuer, dir)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's postgresql and nginx, and npm; tests/all.sh runs it"]
async fn replicas_take_turns_in_a_sign_in_at_another_issuer() {
    const SIGN_IN: &str = "/api/auth/sign-in/social";
    let (fleet, _issuer, _dir) = place();
    // The replicas started before the issuer: each asks it again within seconds.
    let http = Client::new();
    for n in 1..=3 {
        let body = json!({ "provider": "acme" });
        post_until_served(&http, &fleet.direct(n, SIGN_IN), &body).await;
    }
    let mut browser = Browser::new(&fleet);
    // Each step is at another replica than the one before.
    let mut users = Vec::new();
    for (begins, back, read) in [(1, 2, 3), (2, 3, 1), (3, 1, 2)] {
        let callback = browser.begins(begins, SIGN_IN, "acme").await;
        let kept = browser.ours.clone();
        assert_eq!(browser.comes_back(back, &callback).await, "/welcome");
        users.push(browser.user(read).await);
        // The answer is good once, for every replica, even with the cookie that was cleared.
        let mut again = Browser::new(&fleet);
        again.ours = kept;
        let led = again.comes_back(read, &callback).await;
        assert!(led.ends_with("error=state_mismatch"), "{led}");
    }
    users.dedup();
    assert_eq!(users.len(), 1, "one account: {users:?}");
    assert_eq!(browser.linked(1).await.len(), 1);
    // Two tabs at once.
    let (mut a, mut b) = (Browser::new(&fleet), Browser::new(&fleet));
    let first = a.begins(1, SIGN_IN, "acme").await;
    b.ours = a.ours.clone();
    let second = b.begins(2, SIGN_IN, "acme").await;
    a.ours = b.ours.clone();
    let led = tokio::join!(a.comes_back(2, &first), b.comes_back(3, &second));
    assert_eq!(led, ("/welcome".to_owned(), "/welcome".to_owned()));
    // Another identity is linked and unlinked.
    let callback = browser.begins(1, "/api/auth/link-social", "other").await;
    assert_eq!(browser.comes_back(2, &callback).await, "/welcome");
    let linked = browser.linked(3).await;
    let other = linked.iter().find(|one| one["providerId"] == "other");
    let other = other.unwrap_or_else(|| panic!("{linked:?}"));
    let body = json!({ "accountId": other["id"] });
    browser.post(1, "/api/auth/unlink-account", &body).await;
    assert_eq!(browser.linked(2).await.len(), 1);
    assert_eq!(browser.user(3).await, users[0]);
}
