//! Every pair of operation and status in `openapi.yaml` is seen. The opposite direction, an answer
//! that the document does not know, fails in `support::contract` with every request of every test.

use std::collections::BTreeSet;
use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Method, Request, header};
use countersign::flows::limit::operate_limits;
use countersign::flows::permit::Permitted;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::admin::{id, made_admin};
use super::mail::{only, received};
use super::mail_sign_in::code_of;
use super::upstream::Place;
use crate::support::authenticator::Authenticator;
use crate::support::contract::{DOCUMENT, template};
use crate::support::issuer::{CLIENT_ID, Says};
use crate::support::software_key::SoftwareKey;
use crate::support::{Answer, TestApp, User, minutes, seconds};

/// Method, path as documented, status.
type Pair = (String, String, u16);

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const UNKNOWN_USER: &str = "01a1fd93-3b6c-70d2-a424-35e43cdbfdf9";

/// One operation of the document.
struct Operation {
    method: Method,
    /// With an example in place of a parameter.
    path: String,
    /// The media type of its body, if it has one.
    body: Option<&'static str>,
    /// A parameter of its query.
    parameter: Option<String>,
}

fn operations() -> Vec<Operation> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, operations)| {
            operations
                .as_object()
                .unwrap()
                .iter()
                .map(move |(method, operation)| {
                    let body = &operation["requestBody"];
                    let body = body["$ref"].as_str().map_or(body, |reference| {
                        DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap()
                    });
                    let media = body["content"].as_object();
                    let parameters = operation["parameters"].as_array();
                    Operation {
                        method: method.to_uppercase().parse().unwrap(),
                        path: path
                            .replace("{token}", "x")
                            .replace("{name}", "all")
                            // A provider of the settings may post its answer from a foreign page.
                            .replace("{id}", "unknown"),
                        body: media.map(|media| if media.contains_key(JSON) { JSON } else { FORM }),
                        parameter: parameters
                            .into_iter()
                            .flatten()
                            .find(|parameter| parameter["in"] == "query")
                            .map(|parameter| parameter["name"].as_str().unwrap().to_owned()),
                    }
                })
        })
        .collect()
}

fn documented() -> BTreeSet<Pair> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let mut pairs = BTreeSet::new();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            for status in operation["responses"].as_object().unwrap().keys() {
                pairs.insert((method.to_uppercase(), path.clone(), status.parse().unwrap()));
            }
        }
    }
    pairs
}

/// Sends requests and collects what was answered.
struct Seen(BTreeSet<Pair>);

impl Seen {
    fn note(&mut self, method: &Method, path: &str, answer: &Answer) {
        // At every path that is not there; it stands only where a name in the path may be unknown.
        if answer.body["code"] != "NOT_FOUND"
            || path.starts_with("/api/auth/jwks/")
            || path == "/.well-known/webauthn"
        {
            self.0.insert((
                method.to_string(),
                template(path).to_owned(),
                answer.status.as_u16(),
            ));
        }
    }

    async fn send(&mut self, app: &TestApp, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = app.send(request).await;
        self.note(&method, &path, &answer);
        answer
    }

    /// Sends a request that must be answered with this status.
    #[track_caller]
    fn see(
        &mut self,
        app: &TestApp,
        status: u16,
        request: Request<Body>,
    ) -> impl Future<Output = Answer> {
        let caller = std::panic::Location::caller();
        async move {
            let what = format!("{} {}", request.method(), request.uri());
            let answer = self.send(app, request).await;
            assert_eq!(answer.status, status, "{what} at {caller}: {}", answer.text);
            answer
        }
    }
}

fn get(path: &str, bearer: Option<&str>) -> Request<Body> {
    request(Method::GET, path, bearer, None, Body::empty())
}

fn post(path: &str, bearer: Option<&str>, body: &Value) -> Request<Body> {
    let body = Body::from(body.to_string());
    request(Method::POST, path, bearer, Some(JSON), body)
}

fn form(path: &str, bearer: Option<&str>, fields: &[(&str, &str)]) -> Request<Body> {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    request(Method::POST, path, bearer, Some(FORM), Body::from(body))
}

/// A request; without a `/` in front the path is one of the API.
fn request(
    method: Method,
    path: &str,
    bearer: Option<&str>,
    media: Option<&str>,
    body: Body,
) -> Request<Body> {
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/api/auth/{path}")
    };
    let mut request = Request::builder().method(method).uri(path);
    if let Some(bearer) = bearer {
        request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
    }
    if let Some(media) = media {
        request = request.header(header::CONTENT_TYPE, media);
    }
    request.body(body).unwrap()
}

#[tokio::test]
async fn every_documented_status_of_every_path_is_seen() {
    let place = Place::start().await;
    let (app, dir) = (place.app.clone(), &place.dir);
    let mut seen = Seen(BTreeSet::new());
    let root = made_admin(&app, "root").await.sign_in().await.session;
    let ana = app.user("ana").await;

    accounts(&mut seen, &app, &ana).await;
    mails(&mut seen, &app, dir.path(), &ana).await;
    codes_in_mails(&mut seen, &app, dir.path()).await;
    mailed_second_steps(&mut seen, &app, dir.path()).await;
    deletion(&mut seen, &app, dir.path()).await;
    forgotten_passwords(&mut seen, &app, dir.path(), &ana).await;
    sessions_and_tokens(&mut seen, &app, &ana).await;
    administration(&mut seen, &app, &root, &ana).await;
    second_factors(&mut seen, &app, &root).await;
    verifiers(&mut seen, &app).await;
    passkeys(&mut seen, &app).await;
    providers(&mut seen, &place).await;
    overload(&mut seen, &app).await;
    // Last, because it moves the clock by which a new connection to the database would be awaited.
    let admin = made_admin(&app, "shape").await.sign_in().await.session;
    refusals_by_shape(&mut seen, &app, &admin).await;

    let documented = documented();
    let unseen: Vec<_> = documented.difference(&seen.0).collect();
    assert!(
        unseen.is_empty(),
        "openapi.yaml documents {} that no request of this test is answered: {unseen:#?}",
        unseen.len()
    );
    println!("{} documented pairs of path and status", documented.len());
}

/// What is refused by its shape or its origin, and what needs a caller, at every operation.
async fn refusals_by_shape(seen: &mut Seen, app: &TestApp, root: &str) {
    for operation in operations() {
        let at = |bearer, media, body| {
            request(
                operation.method.clone(),
                &operation.path,
                bearer,
                media,
                body,
            )
        };
        let kind = operation.body.unwrap_or(JSON);
        let takes_body = operation.body.is_some() || operation.path.ends_with("/get-session");
        let nothing = if takes_body && kind == JSON { "{}" } else { "" };
        seen.send(app, at(None, Some(kind), Body::from(nothing)))
            .await;
        if operation.method == Method::POST {
            let mut foreign = at(None, Some(kind), Body::from(nothing));
            let origin = header::HeaderValue::from_static("https://evil.example");
            foreign.headers_mut().insert(header::ORIGIN, origin);
            seen.see(app, 403, foreign).await;
        }
        if let Some(name) = &operation.parameter {
            let path = format!("{}?{name}=%00", operation.path);
            let unprintable = request(operation.method.clone(), &path, None, None, Body::empty());
            seen.send(app, unprintable).await;
        }
        if takes_body {
            // A list is no object, and a field twice is no form.
            let wrong = if kind == JSON { "[]" } else { "x=1&x=2" };
            seen.see(app, 400, at(Some(root), Some(kind), Body::from(wrong)))
                .await;
            seen.send(app, at(Some(root), Some("text/plain"), Body::from("x")))
                .await;
            let long = Body::from(" ".repeat(countersign::http::MAX_BODY + 1));
            seen.see(app, 413, at(Some(root), Some(kind), long)).await;
            slow_body(seen, app, |body| at(Some(root), Some(kind), body)).await;
        }
    }
}

/// Sends a body that never comes; the clock moves once the service waits for it.
async fn slow_body(seen: &mut Seen, app: &TestApp, make: impl FnOnce(Body) -> Request<Body>) {
    let waits = std::sync::Arc::new(Notify::new());
    let told = waits.clone();
    let body = futures_util::stream::once(async move {
        told.notify_one();
        std::future::pending::<Result<bytes::Bytes, Infallible>>().await
    });
    let moved = async {
        waits.notified().await;
        tokio::time::pause();
        tokio::time::advance(seconds(11)).await;
        tokio::time::resume();
    };
    tokio::join!(seen.see(app, 408, make(Body::from_stream(body))), moved);
}

async fn accounts(seen: &mut Seen, app: &TestApp, ana: &User) {
    let new = json!({ "name": "New", "email": "new@example.com", "password": "a good long password", "tokenDelivery": "body" });
    seen.see(app, 200, post("sign-up/email", None, &new)).await;
    seen.see(app, 422, post("sign-up/email", None, &new)).await;
    let signed_in = seen.see(app, 200, post("sign-in/email", None, &new)).await;
    let wrong = json!({ "email": ana.email, "password": "a wrong password" });
    seen.see(app, 401, post("sign-in/email", None, &wrong))
        .await;
    let session = signed_in.str("token");
    let session = Some(session.as_str());
    seen.see(
        app,
        200,
        post("update-user", session, &json!({ "name": "Newer" })),
    )
    .await;
    seen.see(app, 200, post("step-up", session, &json!({})))
        .await;
    seen.see(
        app,
        403,
        post(
            "step-up",
            session,
            &json!({ "acrValues": "urn:countersign:acr:phr" }),
        ),
    )
    .await;
    let eva = app.user("eva-steps").await;
    let held = eva.sign_in().await.session;
    let own = json!({ "password": eva.password });
    seen.see(app, 200, post("step-up/password", Some(&held), &own))
        .await;
    seen.see(app, 200, post("verify-password", session, &new))
        .await;
    seen.see(app, 200, get("list-accounts", session)).await;
    let change =
        json!({ "currentPassword": new["password"], "newPassword": "another good password" });
    seen.see(app, 200, post("change-password", session, &change))
        .await;
    seen.see(app, 200, post("sign-out", session, &json!({})))
        .await;
}

/// Users sign in at another issuer, connect it and disconnect it.
async fn mails(seen: &mut Seen, app: &TestApp, dir: &std::path::Path, ana: &User) {
    let session = ana.sign_in().await.session;
    received(app, dir).await;
    seen.see(app, 200, get("error?error=INVALID_TOKEN", None))
        .await;
    let asked = json!({ "email": ana.email, "callbackURL": "/welcome" });
    seen.see(app, 200, post("send-verification-email", None, &asked))
        .await;
    let mail = only(app, dir).await;
    seen.see(app, 200, get(&mail.link(), None)).await;
    seen.see(
        app,
        302,
        get("verify-email?token=x&callbackURL=/welcome", None),
    )
    .await;
    seen.see(app, 401, get("verify-email?token=x", None)).await;
    let foreign = "verify-email?token=x&callbackURL=https://evil.example";
    seen.see(app, 403, get(foreign, None)).await;
    let token = mail.token();
    seen.see(
        app,
        401,
        post("verify-email", None, &json!({ "token": "x" })),
    )
    .await;
    let proof = json!({ "token": token, "password": ana.password });
    seen.see(app, 200, post("verify-email", None, &proof)).await;
    let fields = [("token", token.as_str()), ("callbackURL", "/welcome")];
    seen.see(app, 303, form("verify-email", Some(&session), &fields))
        .await;
    let other = json!({ "newEmail": "other@example.com" });
    seen.see(app, 200, post("change-email", Some(&session), &other))
        .await;
}

/// A user signs in by links and codes, verifies the mailbox, changes the email address and sets a
/// password, each by a code.
async fn codes_in_mails(seen: &mut Seen, app: &TestApp, dir: &std::path::Path) {
    received(app, dir).await;
    let ivo = app.user("ivo").await;
    let session = ivo.sign_in().await.session;
    let session = Some(session.as_str());
    let send = "email-otp/send-verification-otp";
    let wanted = |kind: &str| json!({ "email": ivo.email, "type": kind });
    let verify = wanted("email-verification");
    seen.see(app, 200, post(send, None, &verify)).await;
    let code = code_of(&only(app, dir).await.text);
    let body = json!({ "email": ivo.email, "otp": code });
    seen.see(app, 200, post("email-otp/verify-email", session, &body))
        .await;
    for (n, path) in ["request-email-change", "change-email"].iter().enumerate() {
        let path = format!("email-otp/{path}");
        let nothing = json!({ "newEmail": "ivo@new.example", "otp": "000000" });
        seen.see(app, 401, post(&path, None, &nothing)).await;
        if n == 0 {
            seen.see(app, 200, post(send, None, &verify)).await;
        }
        let code = code_of(&only(app, dir).await.text);
        let body = json!({ "newEmail": "ivo@new.example", "otp": code });
        seen.see(app, 200, post(&path, session, &body)).await;
    }
    received(app, dir).await;
    let email = "ivo@new.example";
    for path in [
        "forget-password/email-otp",
        "email-otp/request-password-reset",
    ] {
        let asked = json!({ "email": email });
        seen.see(app, 200, post(path, None, &asked)).await;
    }
    let code = code_of(&received(app, dir).await.remove(1).text);
    let body = json!({ "email": email, "type": "forget-password", "otp": code, "password": "another good password" });
    for path in ["check-verification-otp", "reset-password"] {
        seen.see(app, 200, post(&format!("email-otp/{path}"), None, &body))
            .await;
    }
    received(app, dir).await;
    let path = "magic-link/verify";
    seen.see(app, 302, get(&format!("{path}?token=x"), None))
        .await;
    let foreign = format!("{path}?token=x&callbackURL=https://evil.example");
    seen.see(app, 403, get(&foreign, None)).await;
    for status in [200, 303] {
        let asked = json!({ "email": email });
        seen.see(app, 200, post("sign-in/magic-link", None, &asked))
            .await;
        let mail = only(app, dir).await;
        seen.see(app, 200, get(&mail.link(), None)).await;
        let token = mail.token();
        if status == 200 {
            let body = json!({ "token": token });
            seen.see(app, status, post(path, None, &body)).await;
        } else {
            let fields = [("token", token.as_str()), ("callbackURL", "/welcome")];
            seen.see(app, status, form(path, None, &fields)).await;
        }
    }
    let asked = json!({ "email": email, "type": "sign-in" });
    seen.see(app, 200, post(send, None, &asked)).await;
    let code = code_of(&only(app, dir).await.text);
    let body = json!({ "email": email, "otp": code });
    seen.see(app, 200, post("sign-in/email-otp", None, &body))
        .await;
}

/// Codes in mails become a user's second step, and finish a sign-in.
async fn mailed_second_steps(seen: &mut Seen, app: &TestApp, dir: &std::path::Path) {
    let mailing = app.replica_with(&[("two_factor.email", "true")]).await;
    let jon = super::mail::verified(app, dir, "jon").await;
    let session = jon.sign_in().await.session;
    received(app, dir).await;
    let (send, verify) = ("two-factor/send-otp", "two-factor/verify-otp");
    for path in [send, verify] {
        let without_sign_in = post(path, None, &json!({ "code": "000000" }));
        seen.see(app, 401, without_sign_in).await;
    }
    let body = json!({ "password": jon.password, "method": "otp" });
    let enable = post("two-factor/enable", Some(&session), &body);
    seen.see(&mailing, 200, enable).await;
    let first = json!({ "code": code_of(&only(app, dir).await.text) });
    seen.see(&mailing, 200, post(verify, Some(&session), &first))
        .await;
    received(app, dir).await;
    let jon = User {
        app: mailing.clone(),
        ..jon
    };
    let challenge = jon.begins().await;
    let body = json!({ "challenge": challenge });
    seen.see(&mailing, 200, post(send, None, &body)).await;
    let code = code_of(&only(app, dir).await.text);
    let body = json!({ "challenge": challenge, "code": code });
    seen.see(&mailing, 200, post(verify, None, &body)).await;
}

/// A user makes, uses, names and removes a passkey.
async fn passkeys(seen: &mut Seen, app: &TestApp) {
    let (kim, other) = (app.user("kim").await, app.user("lea").await);
    let session = kim.sign_in().await.session;
    let of_other = other.sign_in().await.session;
    let begin = "passkey/generate-register-options?delivery=body";
    let (add, request) = (
        "passkey/verify-registration",
        "passkey/generate-authenticate-options?delivery=body",
    );
    let prove = "passkey/verify-authentication";
    let nothing = json!({ "response": {} });
    for path in [begin, request] {
        let bad = path.replace("=body", "=mail");
        seen.see(app, 400, get(&bad, Some(&session))).await;
        let pending = format!("{path}&challenge=x");
        seen.see(app, 401, get(&pending, None)).await;
    }
    seen.see(app, 401, post(add, None, &nothing)).await;
    let sent = |response: Value, options: &Value| json!({ "response": response, "state": options["state"] });
    let mut key = SoftwareKey::usual("kim");
    let options = seen.see(app, 200, get(begin, Some(&session))).await.body;
    let body = sent(key.create(&options), &options);
    seen.see(app, 403, post(add, Some(&of_other), &body)).await;
    let added = seen.see(app, 200, post(add, Some(&session), &body)).await;
    let session = added.str("token");
    let options = seen.see(app, 200, get(request, None)).await.body;
    let unknown = SoftwareKey::usual("unknown").get(&options);
    let unknown = post(prove, None, &sent(unknown, &options));
    seen.see(app, 401, unknown).await;
    let body = sent(key.get(&options), &options);
    seen.see(app, 200, post(prove, None, &body)).await;
    let own = seen.see(app, 200, get(request, Some(&session))).await.body;
    let body = sent(key.get(&own), &own);
    seen.see(app, 403, post(prove, Some(&of_other), &body))
        .await;
    for path in ["list-user-passkeys", "signals"] {
        let path = format!("passkey/{path}");
        seen.see(app, 200, get(&path, Some(&session))).await;
    }
    let body = json!({ "id": added.body["id"], "name": "Phone" });
    let root = made_admin(app, "rita").await.sign_in().await;
    let acting = super::impersonation::act(app, &root, &kim).await.session;
    for path in ["passkey/update-passkey", "passkey/delete-passkey"] {
        seen.see(app, 404, post(path, Some(&of_other), &body)).await;
        seen.see(app, 403, post(path, Some(&acting), &body)).await;
        seen.see(app, 200, post(path, Some(&session), &body)).await;
    }
    app.after(minutes(11));
    seen.see(app, 403, get(begin, Some(&session))).await;
    let related = app
        .replica_with(&[("passkeys.origins", "https://shop.example.org")])
        .await;
    let well_known = "/.well-known/webauthn";
    seen.see(app, 404, get(well_known, None)).await;
    seen.see(&related, 200, get(well_known, None)).await;
}

/// A user signs in at another issuer, links an identity and takes it away.
async fn providers(seen: &mut Seen, place: &Place) {
    let (app, issuer) = (&place.app, &place.issuer);
    let known = json!({ "provider": "acme" });
    let unknown = json!({ "provider": "unknown" });
    let native = |says: &Says, id: &str| {
        let token = issuer.id_token(CLIENT_ID, Some(id), says);
        json!({ "provider": "acme", "idToken": { "token": token, "nonce": id } })
    };
    let bad = json!({ "provider": "acme", "idToken": { "token": "x" } });
    let path = "sign-in/social";
    let begun = seen.see(app, 200, post(path, None, &known)).await;
    seen.see(app, 404, post(path, None, &unknown)).await;
    seen.see(app, 401, post(path, None, &bad)).await;
    let query = place.at_issuer(&begun, Says::user("nora", "nora@example.com"));
    let back = format!("callback/acme?{query}");
    seen.see(app, 302, get(&back, None)).await;
    let fields = [("code", "x"), ("state", "x")];
    seen.see(app, 303, form("callback/acme", None, &fields))
        .await;
    let posting = app.replica_with(&[("upstream.acme.response_mode", "form_post")]);
    let mut foreign = form("callback/acme", None, &fields);
    let site = ("sec-fetch-site", "cross-site".parse().unwrap());
    foreign.headers_mut().insert(site.0, site.1);
    seen.see(&posting.await, 200, foreign).await;
    let token = issuer.logout_token(&json!({ "sub": "nora" }));
    for (id, status) in [("acme", 200), ("acme", 400), ("unknown", 404)] {
        let path = format!("upstream/{id}/logout");
        let request = form(&path, None, &[("logout_token", &token)]);
        seen.see(app, status, request).await;
    }
    let (nora, olga) = (app.user("nora").await, app.user("olga").await);
    let session = nora.sign_in().await.session;
    let of_other = olga.sign_in().await.session;
    let own = Says::user("nora", &nora.email);
    let marked = "UPDATE users SET email_verified = 1, version = version + 1";
    app.db_execute(marked).await.unwrap();
    let path = "link-social";
    seen.see(app, 401, post(path, None, &known)).await;
    seen.see(app, 200, post(path, Some(&session), &known)).await;
    seen.see(app, 404, post(path, Some(&session), &unknown))
        .await;
    seen.see(app, 200, post(path, Some(&session), &native(&own, "1")))
        .await;
    seen.see(app, 409, post(path, Some(&of_other), &native(&own, "2")))
        .await;
    let accounts = seen.see(app, 200, get("list-accounts", Some(&session)));
    let row = accounts.await.body[1]["id"].clone();
    let body = json!({ "accountId": row });
    for path in ["get-access-token", "refresh-token"] {
        seen.see(app, 401, post(path, None, &body)).await;
        seen.see(app, 400, post(path, Some(&session), &body)).await;
    }
    seen.see(app, 401, get("account-info?accountId=x", None))
        .await;
    seen.see(app, 400, get("account-info?accountId=x", Some(&session)))
        .await;
    let path = "unlink-account";
    seen.see(app, 401, post(path, None, &body)).await;
    seen.see(app, 400, post(path, Some(&of_other), &body)).await;
    seen.see(app, 200, post(path, Some(&session), &body)).await;
}

async fn deletion(seen: &mut Seen, app: &TestApp, dir: &std::path::Path) {
    received(app, dir).await;
    let mut links = Vec::new();
    for name in ["bea", "cleo"] {
        let session = app.user(name).await.sign_in().await.session;
        received(app, dir).await;
        seen.see(app, 200, post("delete-user", Some(&session), &json!({})))
            .await;
        links.push((session, only(app, dir).await));
    }
    let (bea, mail) = &links[0];
    let (bea, token) = (Some(bea.as_str()), mail.token());
    seen.see(app, 404, post("delete-user", bea, &json!({ "token": "x" })))
        .await;
    let path = "delete-user/callback";
    seen.see(app, 200, get(&mail.link(), bea)).await;
    seen.see(app, 404, get(&mail.link(), None)).await;
    let foreign = format!("{path}?token={token}&callbackURL=https://evil.example");
    seen.see(app, 403, get(&foreign, bea)).await;
    seen.see(app, 404, post(path, bea, &json!({ "token": "x" })))
        .await;
    seen.see(app, 200, post(path, bea, &json!({ "token": token })))
        .await;
    let (cleo, mail) = &links[1];
    let token = mail.token();
    let fields = [("token", token.as_str()), ("callbackURL", "/bye")];
    seen.see(app, 303, form(path, Some(cleo), &fields)).await;
}

async fn forgotten_passwords(seen: &mut Seen, app: &TestApp, dir: &std::path::Path, ana: &User) {
    let without_pages = app.replica_with(&[("pages.enabled", "false")]).await;
    received(app, dir).await;
    let new = [
        ("password", "a newer good password"),
        ("again", "a newer good password"),
    ];
    for (n, service) in [app, &without_pages, app].into_iter().enumerate() {
        let asked = json!({ "email": ana.email });
        seen.see(app, 200, post("request-password-reset", None, &asked))
            .await;
        let token = only(app, dir).await.token();
        let path = format!("reset-password/{token}");
        seen.see(app, 200, get(&path, None)).await;
        seen.see(app, 302, get(&format!("{path}?callbackURL=/new"), None))
            .await;
        let foreign = format!("{path}?callbackURL=https://evil.example");
        seen.see(app, 403, get(&foreign, None)).await;
        match n {
            0 => seen.see(service, 303, form(&path, None, &new)).await,
            1 => seen.see(service, 200, form(&path, None, &new)).await,
            _ => {
                let set = json!({ "token": token, "newPassword": ana.password });
                seen.see(service, 200, post("reset-password", None, &set))
                    .await
            }
        };
        // The notice that the password has changed.
        received(app, dir).await;
    }
}

async fn sessions_and_tokens(seen: &mut Seen, app: &TestApp, ana: &User) {
    let tokens = ana.sign_in().await;
    let session = Some(tokens.session.as_str());
    for path in ["session", "get-session", "list-sessions", "token"] {
        seen.see(app, 200, get(path, session)).await;
    }
    seen.see(app, 200, post("get-session", session, &json!({})))
        .await;
    seen.see(app, 400, get("list-sessions?before=x", session))
        .await;
    let refresh = json!({ "refreshToken": tokens.refresh });
    let next = seen.see(app, 200, post("refresh", None, &refresh)).await;
    let next = next.body["refreshToken"]
        .as_str()
        .map_or(tokens.refresh, ToOwned::to_owned);
    let grant = [("grant_type", "refresh_token"), ("refresh_token", &next)];
    seen.see(app, 200, form("oauth2/token", None, &grant)).await;
    seen.see(app, 200, form("oauth2/revoke", None, &[("token", &next)]))
        .await;
    for path in ["revoke-session", "revoke-other-sessions", "revoke-sessions"] {
        let tokens = ana.sign_in().await;
        let body = json!({ "token": tokens.session_id });
        seen.see(app, 200, post(path, Some(&tokens.session), &body))
            .await;
    }
}

async fn administration(seen: &mut Seen, app: &TestApp, root: &str, ana: &User) {
    let plain = ana.sign_in().await.session;
    let (plain, root, dora) = (Some(plain.as_str()), Some(root), app.user("dora").await);
    let dora = id(&dora).await;
    for path in ["list-users", "get-user?id=x", "audit"] {
        seen.see(app, 403, get(&format!("admin/{path}"), plain))
            .await;
    }
    for path in ["list-users", "audit", &format!("get-user?id={dora}")] {
        seen.see(app, 200, get(&format!("admin/{path}"), root))
            .await;
    }
    for path in ["list-users?sortBy=x", "get-user", "audit?since=x"] {
        seen.see(app, 400, get(&format!("admin/{path}"), root))
            .await;
    }
    let unknown = format!("admin/get-user?id={UNKNOWN_USER}");
    seen.see(app, 404, get(&unknown, root)).await;

    let body = |user: &str| {
        json!({
            "userId": user, "data": { "name": "Dora" }, "role": "user",
            "newPassword": "a good long password", "sessionToken": UNKNOWN_USER,
            "permissions": { "user": ["list"] },
        })
    };
    let takes_user = [
        "update-user",
        "set-role",
        "ban-user",
        "unban-user",
        "set-user-password",
        "list-user-sessions",
        "revoke-user-session",
        "revoke-user-sessions",
        "has-permission",
        "remove-user",
    ];
    let impersonate = "admin/impersonate-user";
    let acting = seen
        .see(app, 200, post(impersonate, root, &body(&dora)))
        .await;
    let acting = acting.header("set-auth-token").to_owned();
    let stop = "admin/stop-impersonating";
    seen.see(app, 200, post(stop, Some(&acting), &json!({})))
        .await;
    seen.see(app, 404, post(impersonate, root, &body(UNKNOWN_USER)))
        .await;
    for path in takes_user {
        let path = format!("admin/{path}");
        seen.send(app, post(&path, root, &body(UNKNOWN_USER))).await;
        seen.see(app, 200, post(&path, root, &body(&dora))).await;
    }
    let new = json!({ "email": "emil@example.com", "name": "Emil", "redirectTo": "/welcome" });
    seen.see(app, 200, post("admin/create-user", root, &new))
        .await;
    let invited = json!({ "email": "fay@example.com", "redirectTo": "/welcome" });
    seen.see(app, 200, post("admin/invite-user", root, &invited))
        .await;
}

/// A user turns two-step sign-in on, signs in with a recovery code and turns it off; an admin resets
/// the factors of another user.
async fn second_factors(seen: &mut Seen, app: &TestApp, root: &str) {
    let gil = app.user("gil").await;
    let password = json!({ "password": gil.password });
    let session = gil.sign_in().await.session;
    let enable = post("two-factor/enable", Some(&session), &password);
    let own = Authenticator::scan(&seen.see(app, 200, enable).await);
    let shown = post("two-factor/get-totp-uri", Some(&session), &password);
    seen.see(app, 200, shown).await;
    let first = json!({ "code": own.code(app, 0) });
    let first = post("two-factor/verify-totp", Some(&session), &first);
    let session = seen.see(app, 200, first).await.str("token");
    let renew = post(
        "two-factor/generate-backup-codes",
        Some(&session),
        &password,
    );
    let codes = seen.see(app, 200, renew).await.body["backupCodes"].clone();
    for path in ["two-factor/verify-totp", "two-factor/verify-backup-code"] {
        let without_sign_in = post(path, None, &json!({ "code": "000000" }));
        seen.see(app, 401, without_sign_in).await;
    }
    let without_sign_in = post("two-factor/verify-password", None, &password);
    seen.see(app, 401, without_sign_in).await;
    let again = post("two-factor/verify-password", Some(&session), &password);
    seen.see(app, 200, again).await;
    let second = json!({ "challenge": gil.begins().await, "code": codes[0] });
    let second = post("two-factor/verify-backup-code", None, &second);
    let session = seen.see(app, 200, second).await.str("token");
    let disable = post("two-factor/disable", Some(&session), &password);
    seen.see(app, 200, disable).await;
    let hana = app.user("hana").await;
    hana.enrols().await;
    for (user, status) in [(id(&hana).await.as_str(), 200), (UNKNOWN_USER, 404)] {
        let reset = post(
            "admin/reset-factors",
            Some(root),
            &json!({ "userId": user }),
        );
        seen.see(app, status, reset).await;
    }
}

async fn verifiers(seen: &mut Seen, app: &TestApp) {
    for path in [
        "/api/auth/jwks",
        "/.well-known/jwks.json",
        "/api/auth/jwks/all",
    ] {
        let set = seen.see(app, 200, get(path, None)).await;
        let mut again = get(path, None);
        again
            .headers_mut()
            .insert(header::IF_NONE_MATCH, set.headers["etag"].clone());
        seen.see(app, 304, again).await;
    }
    seen.see(app, 404, get("/api/auth/jwks/unknown", None))
        .await;
    let discovery = ["openid-configuration", "oauth-authorization-server"];
    for path in discovery {
        seen.see(app, 200, get(&format!("/.well-known/{path}"), None))
            .await;
    }
    for path in ["/health", "/health/ready", "ok"] {
        seen.see(app, 200, get(path, None)).await;
    }
}

/// A network that an operator has blocked, and a service that has no room for another request. Keys,
/// discovery and health are answered all the same.
async fn overload(seen: &mut Seen, app: &TestApp) {
    let network = countersign::model::limit::block::network("192.0.2.0/24").unwrap();
    let blocked = app.replica_with(&[]).await;
    operate_limits::block(
        &blocked.app,
        Permitted::as_operator(),
        network,
        minutes(120),
        "",
        &Default::default(),
    )
    .await
    .unwrap();
    operate_limits::follow(&blocked.app).await.unwrap();
    let full = app.without_request_slots().await;
    for operation in operations() {
        for service in [&blocked, &full] {
            let any = request(
                operation.method.clone(),
                &operation.path,
                None,
                None,
                Body::empty(),
            );
            seen.send(service, any).await;
        }
    }
    full.app.drain();
    seen.see(&full, 503, get("/health/ready", None)).await;
}
