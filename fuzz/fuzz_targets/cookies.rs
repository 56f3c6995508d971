//! Cookies. Lines that a browser, a proxy or an attacker may send sign no one in; and a value under a
//! good signature is taken for what it says and for nothing more. The first line of an input names
//! the cookie that is signed, the rest is its value, in which placeholders become ids and tokens of
//! the database; and all of the input stands once in `Cookie` as it is.
#![no_main]

use std::sync::{LazyLock, Mutex, PoisonError};

use axum::http::{HeaderValue, StatusCode, header};
use countersign::crypto::cookie::{Purpose, sign};
use countersign_fuzz::service::{PASSWORD, get, post_json};
use countersign_fuzz::{Answer, SERVICE, filled, twins, two_step};
use libfuzzer_sys::fuzz_target;
use url::form_urlencoded::byte_serialize;

/// A cookie that the service signs.
struct Signed {
    name: &'static str,
    purpose: Purpose,
    good: &'static str,
}

const SIGNED: [Signed; 7] = [
    Signed {
        name: "session_token",
        purpose: Purpose::Session,
        good: "$TOKEN",
    },
    Signed {
        name: "session_data",
        purpose: Purpose::SessionData,
        good: r#"{"of":"$HASH","until":$NOW,"answer":{"fuzz":true}}"#,
    },
    Signed {
        name: "admin_session",
        purpose: Purpose::AdminSession,
        good: "$SET_ASIDE:",
    },
    Signed {
        name: "known_device",
        purpose: Purpose::KnownDevice,
        good: "device:$USER:0:$SESSION:0",
    },
    Signed {
        name: "trust_device",
        purpose: Purpose::RememberedDevice,
        good: "$REMEMBERED",
    },
    Signed {
        name: "dont_remember",
        purpose: Purpose::DontRemember,
        good: "true",
    },
    Signed {
        name: "typed",
        purpose: Purpose::Typed,
        good: r#"{"email":"typed@example.com"}"#,
    },
];

/// The cookies of a browser in which an admin acts as a user, without the one that was set aside.
static ACTING: LazyLock<Mutex<String>> = LazyLock::new(|| Mutex::new(act()));
/// A link that proves the user's mailbox; looking at it does not use it up.
static LINK: LazyLock<String> = LazyLock::new(|| {
    let path = filled(&SERVICE, b"/api/auth/verify-email?token=$VERIFY");
    String::from_utf8(path).expect("a path")
});

/// Lets the admin act as the user, and returns the cookie of that session.
fn act() -> String {
    let body = format!(r#"{{"userId":"{}"}}"#, SERVICE.user().id);
    let path = "/api/auth/admin/impersonate-user";
    let answer = SERVICE.ask(post_json(path, &SERVICE.admin().cookies, body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let lines = answer.headers.get_all(header::SET_COOKIE).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let own = lines.filter(|line| line.starts_with("better-auth.session_token=css_"));
    let own = own.filter_map(|line| line.split(';').next()).next();
    own.expect("a session cookie").to_owned()
}

fuzz_target!(init: check_twins(), |data: &[u8]| {
    unsigned(data);
    let (line, value) = twins::first_line(data);
    run(twins::chosen(&SIGNED, line, |cookie| cookie.name), value);
});

fn check_twins() {
    for cookie in &SIGNED {
        // Of the cookie cache the end lies a minute ahead, and the device is as old as it may be.
        let good = cookie.good.replace("until\":$NOW", "until\":$SOON");
        let soon = SERVICE.app.now().0 + 60_000;
        let now = SERVICE.app.now().seconds();
        let good = good
            .replace("$SOON", &soon.to_string())
            .replace(":$SESSION:0", &format!(":$SESSION:{now}"));
        let answer = run(cookie, good.as_bytes());
        let is_accepted = match cookie.purpose {
            Purpose::Session => answer.status == 200,
            Purpose::SessionData => answer.json()["fuzz"] == true,
            Purpose::AdminSession => answer.json()["session"]["id"].is_string(),
            // The page asks a browser that it does not know for the password.
            Purpose::KnownDevice => {
                answer.status == 200 && !answer.text().contains("type=\"password\"")
            }
            // The sign-in asks for no code.
            Purpose::RememberedDevice => answer.json()["token"].is_string(),
            Purpose::DontRemember | Purpose::FormToken => answer.status == 200,
            Purpose::Typed => answer.text().contains("typed@example.com"),
        };
        assert!(
            is_accepted,
            "{}: {} {}",
            cookie.name,
            answer.status,
            answer.text()
        );
        twins::keep(format!("{}\n{good}", cookie.name).as_bytes());
    }
    let page = SERVICE.ask(get(&LINK, ""));
    assert!(page.text().contains("type=\"password\""), "{}", page.text());
}

/// Lines that were signed by no one.
fn unsigned(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n');
    let mut lines = lines.filter_map(|line| HeaderValue::from_bytes(line).ok());
    let mut request = get("/api/auth/session", "");
    for line in lines.by_ref().take(8) {
        request.headers_mut().append(header::COOKIE, line);
    }
    assert_eq!(SERVICE.ask(request).status, StatusCode::UNAUTHORIZED);
    let value = [b"better-auth.refresh_token=", data].concat();
    if let Ok(value) = HeaderValue::from_bytes(&value) {
        let mut request = post_json("/api/auth/refresh", "", "");
        request.headers_mut().insert(header::COOKIE, value);
        assert!(SERVICE.ask(request).status.is_client_error());
    }
    // The binding of a code is no code.
    let value = [b"better-auth.email_code=", data].concat();
    if let Ok(value) = HeaderValue::from_bytes(&value) {
        let body = format!(r#"{{"email":"{}","otp":"no code"}}"#, SERVICE.user().email);
        let mut request = post_json("/api/auth/sign-in/email-otp", "", body);
        request.headers_mut().insert(header::COOKIE, value);
        assert_eq!(SERVICE.ask(request).status, StatusCode::BAD_REQUEST);
    }
}

/// Sends a value under a good signature to a path that reads it.
fn run(cookie: &Signed, value: &[u8]) -> Answer {
    let value = String::from_utf8_lossy(&filled(&SERVICE, value)).into_owned();
    let user = SERVICE.user();
    // The cookie cache and what was typed are JSON in base64url.
    let signed = match cookie.purpose {
        Purpose::SessionData | Purpose::Typed => countersign::crypto::encode(value.as_bytes()),
        _ => value.clone(),
    };
    let signed = sign(cookie.purpose, &signed, &SERVICE.masters());
    let line = format!("better-auth.{}={}", cookie.name, encoded(&signed));
    let session = format!(
        "better-auth.session_token={}",
        encoded(&sign(Purpose::Session, &user.token, &SERVICE.masters()))
    );
    match cookie.purpose {
        Purpose::Session => {
            let answer = SERVICE.ask(get("/api/auth/session", &line));
            let is_known = value == user.token || value == SERVICE.admin().token;
            assert_eq!(answer.status == 200, is_known, "{value}: {}", answer.text());
            answer
        }
        Purpose::SessionData => {
            SERVICE.ask(get("/api/auth/get-session", &format!("{session}; {line}")))
        }
        Purpose::AdminSession => stop_acting(&line),
        Purpose::KnownDevice => SERVICE.ask(get(&LINK, &line)),
        Purpose::RememberedDevice => {
            let person = two_step::enrolled();
            let body = format!(r#"{{"email":"{}","password":"{PASSWORD}"}}"#, person.email);
            let answer = SERVICE.ask(post_json("/api/auth/sign-in/email", &line, body));
            let is_open = answer.json()["token"].is_string();
            assert!(
                !is_open || value.contains(&person.id),
                "{value} stands for the code of {}",
                person.id
            );
            answer
        }
        Purpose::DontRemember | Purpose::FormToken => {
            let answer = SERVICE.ask(get("/api/auth/session", &format!("{session}; {line}")));
            assert_eq!(answer.status, 200, "the session lives: {}", answer.text());
            answer
        }
        Purpose::Typed => {
            let answer = SERVICE.ask(get("/auth/sign-in", &line));
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer
        }
    }
}

/// Ends the session in which the admin acts, with this cookie for the one that was set aside.
fn stop_acting(set_aside: &str) -> Answer {
    let mut acting = ACTING.lock().unwrap_or_else(PoisonError::into_inner);
    let cookies = format!("{acting}; {set_aside}");
    let answer = SERVICE.ask(post_json(
        "/api/auth/admin/stop-impersonating",
        &cookies,
        "{}",
    ));
    assert_eq!(answer.status, 200, "{}", answer.text());
    // The admin's own session may have been replaced.
    SERVICE.replace_admin();
    *acting = act();
    answer
}

/// Percent-encodes what a cookie cannot hold.
fn encoded(value: &str) -> String {
    byte_serialize(value.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}
