//! Those who speak: a user, a native client that holds tokens, a browser with a cookie jar. And
//! what they hear.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::TestApp;

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

/// Somebody with an account.
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
                &json!({ "email": self.email, "password": password, "tokenDelivery": "body" }),
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
                &json!({ "email": self.email, "password": self.password }),
            )
            .await
            .ok();
        browser
    }
}

impl TestApp {
    /// Presents a refresh token in the body.
    pub async fn refresh(&self, token: &str) -> Answer {
        self.post("/api/auth/refresh", &json!({ "refreshToken": token }))
            .await
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

/// A cookie jar, shared by its tabs.
#[derive(Clone)]
pub struct Browser {
    app: TestApp,
    jar: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Browser {
    pub fn new(app: &TestApp) -> Self {
        Self {
            app: app.clone(),
            jar: Arc::default(),
        }
    }

    /// A second browser with a copy of the jar: a thief, or a test's memory.
    pub fn stolen(&self) -> Self {
        Self {
            app: self.app.clone(),
            jar: Arc::new(Mutex::new(self.jar.lock().unwrap().clone())),
        }
    }

    /// The same jar against another replica.
    pub fn at(&self, app: &TestApp) -> Self {
        Self {
            app: app.clone(),
            jar: self.jar.clone(),
        }
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar.lock().unwrap().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.jar
            .lock()
            .unwrap()
            .insert(name.to_owned(), value.to_owned());
    }

    pub fn forget(&self, name: &str) {
        self.jar.lock().unwrap().remove(name);
    }

    /// Sends with the jar as it is now; the answer is not yet in the jar.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let cookies: Vec<String> = self
            .jar
            .lock()
            .unwrap()
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let mut request = Request::builder().method(method).uri(path);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let body = match body {
            Some(body) => {
                request = request
                    .header("content-type", "application/json")
                    .header("origin", "http://localhost:4000");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.app.send(request.body(body).unwrap()).await
    }

    /// The answer arrives: its cookies go into the jar.
    pub fn store(&self, answer: &Answer) {
        let mut jar = self.jar.lock().unwrap();
        for line in answer.cookies() {
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if line.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        let answer = self.ask(Method::GET, path, None).await;
        self.store(&answer);
        answer
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let answer = self.ask(Method::POST, path, Some(body)).await;
        self.store(&answer);
        answer
    }

    /// Sends a form of ours, as a browser does that has opened this page.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let cookies: Vec<String> = self
            .jar
            .lock()
            .unwrap()
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let request = Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", "http://localhost:4000");
        let answer = self
            .app
            .send(
                request
                    .header("cookie", cookies.join("; "))
                    .body(Body::from(body))
                    .unwrap(),
            )
            .await;
        self.store(&answer);
        answer
    }

    pub async fn refresh(&self) -> Answer {
        self.post("/api/auth/refresh", &json!({})).await
    }
}
