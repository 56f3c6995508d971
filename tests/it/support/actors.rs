//! Those who speak: a user, a native client that holds tokens, a browser with a cookie jar. And
//! what they hear.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::Response;
use countersign::clock::{Clock, TestClock};
use countersign::encoding::{decode, encode, sha256};
use countersign::model::session::ticket::Retry;
use serde_json::{Value, json};
use url::Url;

use super::app::START;
use super::jar::{Initiator, Jar};
use super::{REFRESH_COOKIE, TestApp};

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    pub async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self {
            status: parts.status,
            headers: parts.headers,
            text,
            body,
        }
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status.as_u16(), self.body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.text
        );
        self
    }

    pub fn cookies(&self) -> Vec<String> {
        self.headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|v| v.to_str().unwrap().to_owned())
            .collect()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub fn str(&self, member: &str) -> String {
        self.body[member]
            .as_str()
            .unwrap_or_else(|| panic!("no {member} in {}", self.text))
            .to_owned()
    }

    /// The claims of an access token in this member, unverified.
    pub fn claims(&self, member: &str) -> Value {
        claims(&self.str(member))
    }
}

pub fn claims(token: &str) -> Value {
    use base64::Engine;
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(token.split('.').nth(1).unwrap())
        .unwrap();
    serde_json::from_slice(&payload).unwrap()
}

/// The ticket that an honest client keeps beside a token until a successor comes: another one for each
/// token, and the same for each retry, whichever master key has encoded the token.
pub fn ticket_of(token: &str) -> String {
    let decoded = token.strip_prefix("csr_").and_then(decode);
    // Session, generation and secret, without the version of the key and the tag.
    let own = decoded.as_deref().and_then(|bytes| bytes.get(1..53));
    encode(&sha256(own.unwrap_or(token.as_bytes()))[..16])
}

/// A person with an account.
#[derive(Clone)]
pub struct User {
    pub app: TestApp,
    pub name: String,
    pub email: String,
    pub password: String,
}

/// What a native client holds.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub session: String,
    pub access: String,
    pub refresh: String,
    pub session_id: String,
}

impl User {
    pub async fn try_sign_in(&self, password: &str) -> Answer {
        self.app
            .post(
                "/api/auth/sign-in/email",
                &json!({ "email": self.email, "password": password, "tokenDelivery": "body", "refreshRetry": self.app.retry().as_str() }),
            )
            .await
    }

    /// As a native client.
    pub async fn sign_in(&self) -> Tokens {
        let answer = self.try_sign_in(&self.password).await.ok();
        let session_id = answer.claims("accessToken")["sid"]
            .as_str()
            .unwrap()
            .to_owned();
        Tokens {
            session: answer.str("token"),
            access: answer.str("accessToken"),
            refresh: answer.str("refreshToken"),
            session_id,
        }
    }

    /// In a browser.
    pub async fn browser(&self) -> Browser {
        let browser = Browser::new(&self.app);
        browser
            .post(
                "/api/auth/sign-in/email",
                &json!({ "email": self.email, "password": self.password, "refreshRetry": self.app.retry().as_str() }),
            )
            .await
            .ok();
        browser
    }
}

impl TestApp {
    /// Presents a refresh token in the body, as the client that keeps it does.
    pub async fn refresh(&self, token: &str) -> Answer {
        let mut body = json!({ "refreshToken": token });
        if self.retry() == Retry::Ticket {
            body["attempt"] = ticket_of(token).into();
        }
        self.post("/api/auth/refresh", &body).await
    }

    /// Refreshes and returns the new refresh token.
    pub async fn rotate(&self, token: &str) -> String {
        self.refresh(token).await.ok().str("refreshToken")
    }

    pub async fn get_as(&self, path: &str, bearer: &str) -> Answer {
        self.send(
            Request::get(path)
                .header("authorization", format!("Bearer {bearer}"))
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    pub async fn post_as(&self, path: &str, bearer: &str, body: &Value) -> Answer {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {bearer}"))
            .header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }
}

/// A browser: a cookie jar, shared by its tabs, and the page that is open in this tab.
#[derive(Clone)]
pub struct Browser {
    app: TestApp,
    jar: Arc<Mutex<Jar>>,
    /// `None`: a page of the service.
    page: Option<Url>,
    /// The clock of the browser's own machine, which is not set when that of the service is.
    clock: Arc<TestClock>,
    /// How far the browser's own clock is behind.
    behind: Duration,
}

impl Browser {
    pub fn new(app: &TestApp) -> Self {
        Self {
            app: app.clone(),
            jar: Arc::default(),
            page: None,
            clock: Arc::clone(&app.clock),
            behind: Duration::ZERO,
        }
    }

    /// A second browser with a copy of the jar: a thief, or a test's memory.
    pub fn stolen(&self) -> Self {
        Self {
            jar: Arc::new(Mutex::new(self.jar.lock().unwrap().clone())),
            ..self.clone()
        }
    }

    /// The same jar against another replica.
    pub fn at(&self, app: &TestApp) -> Self {
        Self {
            app: app.clone(),
            ..self.clone()
        }
    }

    /// A tab of the same browser in which this page is open.
    pub fn on(&self, page: &str) -> Self {
        Self {
            page: Some(page.parse().unwrap()),
            ..self.clone()
        }
    }

    /// The same browser on a machine whose clock is behind: it still sends what has expired.
    pub fn with_clock_behind(&self, behind: Duration) -> Self {
        Self {
            behind,
            ..self.clone()
        }
    }

    /// The URL at which a browser asks for this path of the service.
    pub fn url(&self, path: &str) -> Url {
        let server = &self.app.app.config.server;
        let outside = server.mount.outside(path);
        server.public_url.join(&outside).unwrap()
    }

    fn now(&self) -> i64 {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap();
        START + ms(self.clock.uptime()) - ms(self.behind)
    }

    fn page(&self) -> Url {
        self.page.clone().unwrap_or_else(|| self.url("/"))
    }

    fn initiator(&self, method: &Method, navigates: bool) -> Initiator {
        Initiator {
            page: Some(self.page()),
            navigates,
            is_safe: [Method::GET, Method::HEAD].contains(method),
        }
    }

    /// The value of the cookie of this name that a page of the service sends to the API.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let base_path = &self.app.app.config.server.base_path;
        let api = self.url(&format!("{base_path}/any"));
        let own = Initiator {
            page: None,
            navigates: true,
            is_safe: true,
        };
        let sent = self.jar.lock().unwrap().sent(&api, &own, self.now());
        sent.into_iter()
            .find(|(sent, _)| sent == name)
            .map(|(_, value)| value)
    }

    /// The names of the cookies that go to a path of the service.
    pub fn sends(&self, path: &str) -> Vec<String> {
        self.sends_to(self.url(path).as_str())
    }

    /// The names of the cookies that go to this URL, from this page.
    pub fn sends_to(&self, url: &str) -> Vec<String> {
        let from = self.initiator(&Method::GET, false);
        let sent = self
            .jar
            .lock()
            .unwrap()
            .sent(&url.parse().unwrap(), &from, self.now());
        sent.into_iter().map(|(name, _)| name).collect()
    }

    /// Changes the value of a cookie, or puts one there for the whole host.
    pub fn set_cookie(&self, name: &str, value: &str) {
        let mut jar = self.jar.lock().unwrap();
        if !jar.change(name, value) {
            let url = self.url("/");
            let secure = if url.scheme() == "https" {
                "; Secure"
            } else {
                ""
            };
            let line = format!("{name}={value}; Path=/{secure}");
            let from = self.initiator(&Method::GET, true);
            jar.take(&line, &url, &from, self.now()).unwrap();
        }
    }

    /// The browser is closed, and opened again.
    pub fn close(&self) {
        self.jar.lock().unwrap().close();
    }

    pub fn forget(&self, name: &str) {
        self.jar.lock().unwrap().forget(name);
    }

    /// The `Cookie` header of a request.
    fn line(&self, method: &Method, path: &str, navigates: bool) -> Option<String> {
        let from = self.initiator(method, navigates);
        let jar = self.jar.lock().unwrap();
        let sent = jar.sent(&self.url(path), &from, self.now());
        let pairs: Vec<String> = sent.into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        navigates: bool,
        body: Option<(&str, String)>,
    ) -> Answer {
        let mut request = Request::builder().method(&method).uri(path);
        if let Some(line) = self.line(&method, path, navigates) {
            request = request.header("cookie", line);
        }
        if navigates {
            request = request.header("accept", "text/html,*/*;q=0.8");
        }
        let body = match body {
            Some((media, body)) => {
                request = request
                    .header("content-type", media)
                    .header("origin", self.page().origin().ascii_serialization());
                Body::from(body)
            }
            None => Body::empty(),
        };
        self.app.send(request.body(body).unwrap()).await
    }

    /// A script of the page asks; the answer is not yet in the jar.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(|body| ("application/json", body.to_string()));
        self.send(method, path, false, body).await
    }

    /// The answer arrives: its cookies go into the jar. A line that the browser would not take is a
    /// fault of the service.
    #[track_caller]
    pub fn store(&self, answer: &Answer) {
        let url = self.url(&format!("{}/any", self.app.app.config.server.base_path));
        let from = self.initiator(&Method::GET, true);
        let mut jar = self.jar.lock().unwrap();
        for line in answer.cookies() {
            jar.take(&line, &url, &from, self.now())
                .unwrap_or_else(|why| panic!("{line}: {why}"));
        }
    }

    /// A script of the page asks.
    pub async fn get(&self, path: &str) -> Answer {
        let answer = self.ask(Method::GET, path, None).await;
        self.store(&answer);
        answer
    }

    /// The window goes there, by a link on the page.
    pub async fn follow(&self, path: &str) -> Answer {
        let answer = self.send(Method::GET, path, true, None).await;
        self.store(&answer);
        answer
    }

    /// A script of the page asks.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let answer = self.ask(Method::POST, path, Some(body)).await;
        self.store(&answer);
        answer
    }

    /// Sends a form of the page.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let media = "application/x-www-form-urlencoded";
        let answer = self
            .send(Method::POST, path, true, Some((media, body)))
            .await;
        self.store(&answer);
        answer
    }

    /// What a script of the page sends to refresh.
    pub fn refresh_body(&self) -> Value {
        let token = self.cookie(REFRESH_COOKIE).unwrap_or_default();
        match self.app.retry() {
            Retry::Ticket => json!({ "attempt": ticket_of(&token) }),
            Retry::Window => json!({}),
        }
    }

    pub async fn refresh(&self) -> Answer {
        self.post("/api/auth/refresh", &self.refresh_body()).await
    }
}
