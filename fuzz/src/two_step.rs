//! A user with an authenticator app, and the codes of it: for what only such a user may do.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use totp_rs::{Builder, Secret, Totp};
use url::Url;

use crate::service::{Answer, PASSWORD, Person, SERVICE, Service, post_json};

/// The seconds of one step.
const STEP: u64 = 30;

/// A user who signs in with a second step.
struct Enrolled {
    person: Person,
    phone: Totp,
    recovery_codes: Vec<String>,
}

/// The cookies of the sign-in that was begun last.
static PENDING: Mutex<String> = Mutex::new(String::new());

static ENROLLED: LazyLock<Mutex<Enrolled>> = LazyLock::new(|| Mutex::new(enrol(&SERVICE)));

fn current() -> MutexGuard<'static, Enrolled> {
    ENROLLED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the user who signs in with a second step.
pub fn enrolled() -> Person {
    current().person.clone()
}

/// Signs up another such user, after an input has changed the last one.
pub fn replace_enrolled() {
    let fresh = enrol(&SERVICE);
    *current() = fresh;
}

/// Begins a sign-in of that user. The cookies of the person are those of the pending sign-in.
pub fn pending() -> Person {
    let email = enrolled().email;
    let body = format!(r#"{{"email":"{email}","password":"{PASSWORD}"}}"#);
    let answer = SERVICE.ask(post_json("/api/auth/sign-in/email", "", body));
    let cookies = answer.cookies();
    cookies.clone_into(&mut PENDING.lock().unwrap_or_else(PoisonError::into_inner));
    Person {
        email,
        cookies,
        ..Person::default()
    }
}

/// Has a code mailed for the sign-in of that user that was begun last, and returns it.
pub fn mailed_code(service: &Service) -> String {
    let cookies = PENDING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let request = post_json("/api/auth/two-factor/send-otp", &cookies, "{}");
    service
        .code(&enrolled().email, request)
        .unwrap_or_else(|| "none".into())
}

/// Returns a code of that user that was not used before: the one of the next step, which is good
/// already.
pub fn next_code(service: &Service) -> String {
    code(service, &current().phone, STEP)
}

/// Returns a recovery code of that user.
pub fn recovery_code(_: &Service) -> String {
    current().recovery_codes[0].clone()
}

/// Signs up another such user, who is remembered on a device, and returns what the token of the
/// device signs. Each code is good once, so the user of before has none left at this time.
pub fn remembered(service: &Service) -> String {
    replace_enrolled();
    let pending = pending();
    let body = format!(r#"{{"code":"{}","trustDevice":true}}"#, next_code(service));
    let verify = "/api/auth/two-factor/verify-totp";
    let answer = service.ask(post_json(verify, &pending.cookies, body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cookies = answer.cookies();
    let cookies = cookies.split("; ");
    let named = |cookie: &str| {
        cookie
            .strip_prefix("better-auth.trust_device=")
            .map(decoded)
    };
    let signed = cookies.filter_map(named).next().expect("a cookie");
    let (value, _) = signed.rsplit_once('.').expect("a signature");
    value.to_owned()
}

/// Decodes the percent-encoding of a cookie.
fn decoded(cookie: &str) -> String {
    let pair = format!("v={}", cookie.replace('+', "%2B"));
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    let (_, value) = pairs.next().expect("a pair");
    value.into_owned()
}

/// Begins to set up an authenticator app for the user without one, and returns its first code.
pub fn first_code(service: &Service) -> String {
    let answer = enable(service, &service.user());
    phone(&answer).map_or_else(|| "none".into(), |phone| code(service, &phone, 0))
}

fn enable(service: &Service, person: &Person) -> Answer {
    let body = format!(r#"{{"password":"{PASSWORD}"}}"#);
    service.ask(post_json(
        "/api/auth/two-factor/enable",
        &person.cookies,
        body,
    ))
}

/// Returns the authenticator app that has read the URI of the answer.
fn phone(answer: &Answer) -> Option<Totp> {
    let uri: Url = answer.json()["totpURI"].as_str()?.parse().ok()?;
    let (_, secret) = uri.query_pairs().find(|(name, _)| name == "secret")?;
    let secret = Secret::try_from_base32(&secret).ok()?;
    Builder::new().with_secret(secret).build().ok()
}

/// Returns the code of a time that is so many seconds away.
fn code(service: &Service, phone: &Totp, ahead: u64) -> String {
    let seconds = service.app.now().seconds();
    let seconds = u64::try_from(seconds).expect("a time after 1970");
    phone.generate(seconds + ahead).to_string()
}

/// Verifies the mailbox by a code, in the session of the person: codes in mails are a second step only
/// there.
fn verify_mailbox(service: &Service, person: &Person) {
    let (email, cookies) = (&person.email, &person.cookies);
    let body = format!(r#"{{"email":"{email}","type":"email-verification"}}"#);
    let path = "/api/auth/email-otp/send-verification-otp";
    let code = service.code(email, post_json(path, cookies, body));
    let code = code.expect("a mail with a code");
    let body = format!(r#"{{"email":"{email}","otp":"{code}"}}"#);
    let path = "/api/auth/email-otp/verify-email";
    let answer = service.ask(post_json(path, cookies, body));
    assert_eq!(answer.json()["user"]["emailVerified"], true);
}

fn enrol(service: &Service) -> Enrolled {
    let person = service.sign_up();
    verify_mailbox(service, &person);
    let begun = enable(service, &person);
    let phone = phone(&begun).expect("a secret");
    let codes = begun.json()["backupCodes"].clone();
    let body = format!(r#"{{"code":"{}"}}"#, code(service, &phone, 0));
    let verify = "/api/auth/two-factor/verify-totp";
    let answer = service.ask(post_json(verify, &person.cookies, body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    Enrolled {
        person: service.signed_in(person.email, &answer),
        phone,
        recovery_codes: serde_json::from_value(codes).expect("codes"),
    }
}
