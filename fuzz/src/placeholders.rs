//! Words of an input that become ids, email addresses and tokens of the database, so that what lies
//! behind a look-up is reached.

use countersign::crypto::sha256;

use crate::service::{PASSWORD, Service, get, post_json};
use crate::{passkeys, two_step, upstream};

type Value = fn(&Service) -> String;

/// The words. Some of them make a request of their own, and only where they stand in the input.
const WORDS: [(&str, Value); 32] = [
    ("$USER", |service| service.user().id),
    ("$SESSION", |service| service.user().session),
    ("$EMAIL", |service| service.user().email),
    ("$TOKEN", |service| service.user().token),
    ("$HASH", |service| {
        countersign::crypto::encode(&sha256(service.user().token.as_bytes()))
    }),
    ("$ADMIN", |service| service.admin().id),
    ("$OWN", |service| service.admin().session),
    ("$SET_ASIDE", |service| service.admin().token),
    ("$NOW", |service| service.app.now().0.to_string()),
    ("$NEW", Service::new_email),
    ("$KID", Service::kid),
    ("$REFRESH", refresh_token),
    ("$RESET", |service| {
        let email = service.user().email;
        let body = format!(r#"{{"email":"{email}"}}"#);
        link(service, "request-password-reset", &email, &body)
    }),
    ("$VERIFY", |service| {
        let email = service.user().email;
        let body = format!(r#"{{"email":"{email}"}}"#);
        link(service, "send-verification-email", &email, &body)
    }),
    ("$CHANGE", |service| {
        let email = service.new_email();
        let body = format!(r#"{{"newEmail":"{email}"}}"#);
        link(service, "change-email", &email, &body)
    }),
    ("$DELETE", |service| {
        link(service, "delete-user", &service.user().email, "{}")
    }),
    ("$FIRST_CODE", two_step::first_code),
    ("$NEXT_CODE", two_step::next_code),
    ("$RECOVERY_CODE", two_step::recovery_code),
    ("$REMEMBERED", two_step::remembered),
    ("$LINK", |service| {
        sign_in_link(service, &service.user().email)
    }),
    ("$JOIN", |service| {
        sign_in_link(service, &service.new_email())
    }),
    ("$CODE_SIGN_IN", |service| code(service, "sign-in")),
    ("$CODE_VERIFY", |service| {
        code(service, "email-verification")
    }),
    ("$CODE_RESET", |service| code(service, "forget-password")),
    ("$CODE_CHANGE", |service| {
        let email = service.last_email();
        let body = format!(r#"{{"newEmail":"{email}"}}"#);
        let path = "/api/auth/email-otp/request-email-change";
        let request = post_json(path, &service.user().cookies, body);
        service
            .code(&email, request)
            .unwrap_or_else(|| "none".into())
    }),
    ("$CODE_STEP", two_step::mailed_code),
    ("$MADE_PASSKEY", passkeys::registration),
    ("$USE_PASSKEY", passkeys::assertion),
    ("$PASSKEY", passkeys::row),
    ("$SEALED", upstream::question),
    ("$CONNECTED", upstream::row),
];

/// Returns the text with the words replaced.
pub fn filled(service: &Service, text: &[u8]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let word = WORDS
            .iter()
            .find(|(word, _)| rest.starts_with(word.as_bytes()));
        if let Some((word, value)) = word {
            filled.extend_from_slice(value(service).as_bytes());
            rest = &rest[word.len()..];
        } else {
            filled.push(*first);
            rest = after;
        }
    }
    filled
}

/// As [`filled`], of a text of this program.
pub fn filled_text(service: &Service, text: &str) -> String {
    String::from_utf8(filled(service, text.as_bytes())).expect("the values are text")
}

/// Asks for a mail as the user and returns the token of its link.
fn link(service: &Service, path: &str, to: &str, body: &str) -> String {
    let opened_at = match path {
        "request-password-reset" => "/reset-password/",
        "delete-user" => "/delete-user/",
        _ => "/verify-email?",
    };
    let cookies = service.user().cookies;
    let request = post_json(&format!("/api/auth/{path}"), &cookies, body.to_owned());
    service
        .link(to, opened_at, request)
        .unwrap_or_else(|| "none".into())
}

/// Asks for a link that signs in with an email address, and returns its token.
fn sign_in_link(service: &Service, email: &str) -> String {
    let body = format!(r#"{{"email":"{email}"}}"#);
    let request = post_json("/api/auth/sign-in/magic-link", "", body);
    service
        .link(email, "/magic-link/verify?", request)
        .unwrap_or_else(|| "none".into())
}

/// Asks for a code for the user's email address, in another browser than the user's own.
fn code(service: &Service, purpose: &str) -> String {
    let email = service.user().email;
    let body = format!(r#"{{"email":"{email}","type":"{purpose}"}}"#);
    let path = "/api/auth/email-otp/send-verification-otp";
    service
        .code(&email, post_json(path, "", body))
        .unwrap_or_else(|| "none".into())
}

/// Signs the user in once more, with tokens in the body, and returns the refresh token.
fn refresh_token(service: &Service) -> String {
    let email = service.user().email;
    let body = format!(r#"{{"email":"{email}","password":"{PASSWORD}","tokenDelivery":"body"}}"#);
    let answer = service.ask(post_json("/api/auth/sign-in/email", "", body));
    let token = answer.json()["refreshToken"]
        .as_str()
        .map(ToOwned::to_owned);
    token.unwrap_or_else(|| "none".into())
}

/// Returns whether the person's session lives and, for an admin, may still see users.
pub fn lives(service: &Service, cookies: &str, as_admin: bool) -> bool {
    let path = if as_admin {
        "/api/auth/admin/list-users?limit=1"
    } else {
        "/api/auth/session"
    };
    service.ask(get(path, cookies)).status == 200
}
