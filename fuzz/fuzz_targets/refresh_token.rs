//! Refresh tokens. A text that is no token of ours is refused; so is a token of ours with any bit
//! changed; and a token under a good tag is accepted only with a secret that the service has given
//! out, on whatever way and whenever it comes.
//!
//! Of an input the first byte names the token that is changed, the second the way on which it is
//! sent, the third the time that passes before; then come pairs of a place in the token and what is
//! changed there, before the tag is made.
#![no_main]

use std::sync::{LazyLock, Mutex, PoisonError};

use axum::body::Body;
use axum::http::Request;
use countersign::crypto::master_key::{MasterKey, MasterKeys, Versioned};
use countersign::crypto::token::RefreshToken;
use countersign_fuzz::refresh_token::{TAGGED, Tagged};
use countersign_fuzz::service::{PASSWORD, get, post_form, post_json};
use countersign_fuzz::{Answer, SERVICE, twins};
use libfuzzer_sys::fuzz_target;

static MASTERS: LazyLock<MasterKeys> = LazyLock::new(|| {
    MasterKeys::new(
        Versioned {
            version: 1,
            key: std::sync::Arc::new(MasterKey::new(countersign_fuzz::service::MASTER_KEY)),
        },
        Vec::new(),
    )
});

/// The tokens of a session, the oldest first: one that is spent for good, its child, and the current
/// one. `session_token` tells whether the session lives.
struct Family {
    tokens: [String; 3],
    session_token: String,
}

/// Longer than the cooldown of a new token.
const COOLDOWN: i64 = 51_000;
/// What may pass before a token is sent, in milliseconds: nothing, less and more than the grace of a
/// spent token, more than the cooldown, and two days.
const DELAYS: [i64; 5] = [0, 29_000, 31_000, COOLDOWN, 2 * 86_400_000];

static FAMILY: LazyLock<Mutex<Family>> = LazyLock::new(|| Mutex::new(Family::new()));

impl Family {
    fn new() -> Self {
        let body = format!(
            r#"{{"email":"{}","password":"{PASSWORD}","tokenDelivery":"body"}}"#,
            SERVICE.user().email
        );
        let answer = SERVICE.ask(post_json("/api/auth/sign-in/email", "", body));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let first = member(&answer, "refreshToken");
        let second = member(&SERVICE.ask(send(0, &first)), "refreshToken");
        SERVICE.advance(COOLDOWN);
        let third = member(&SERVICE.ask(send(0, &second)), "refreshToken");
        Self {
            tokens: [first, second, third],
            session_token: member(&answer, "token"),
        }
    }

    fn lives(&self) -> bool {
        let mut request = get("/api/auth/session", "");
        let bearer = format!("Bearer {}", self.session_token);
        request
            .headers_mut()
            .insert("authorization", bearer.parse().expect("a header"));
        SERVICE.ask(request).status == 200
    }
}

fn member(answer: &Answer, name: &str) -> String {
    let answer = answer.json();
    let text = answer[name].as_str();
    text.unwrap_or_else(|| panic!("no {name} in {answer}"))
        .to_owned()
}

/// The ways on which a token is sent; the first three refresh.
const WAYS: usize = 5;
const REFRESHING: usize = 3;

fn send(way: usize, token: &str) -> Request<Body> {
    let json = format!(r#"{{"refreshToken":"{token}"}}"#);
    match way {
        0 => post_json("/api/auth/refresh", "", json),
        1 => {
            let form = format!("grant_type=refresh_token&refresh_token={token}");
            post_form("/api/auth/oauth2/token", "", form)
        }
        2 => {
            let cookie = format!("better-auth.refresh_token={token}");
            post_json("/api/auth/refresh", &cookie, "")
        }
        3 => post_json("/api/auth/sign-out", "", json),
        _ => post_form("/api/auth/oauth2/revoke", "", format!("token={token}")),
    }
}

fuzz_target!(init: check_twins(), |data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(
            RefreshToken::open(text, &MASTERS).is_err(),
            "a tag of 128 bits was guessed"
        );
    }
    changed(data);
    run(data);
});

fn check_twins() {
    for token in &Family::new().tokens {
        assert_eq!(
            &Tagged::of(token).signed(),
            token,
            "the format of the tokens"
        );
        assert!(RefreshToken::open(token, &MASTERS).is_ok());
    }
    for way in 0..WAYS {
        let input = [2, u8::try_from(way).expect("a small number"), 3];
        let family = Family::new();
        SERVICE.advance(DELAYS[3]);
        let answer = SERVICE.ask(send(way, &family.tokens[2]));
        // A token that came in a body is refused in a cookie: the way is part of the session.
        let is_accepted = answer.status == 200;
        assert_eq!(is_accepted, way != 2, "way {way}: {}", answer.text());
        twins::keep(&input);
    }
}

/// A token of ours is refused with any bit changed and no new tag.
fn changed(data: &[u8]) {
    let family = FAMILY.lock().unwrap_or_else(PoisonError::into_inner);
    let good = &family.tokens[2];
    let mut bytes = good.as_bytes().to_vec();
    for pair in data.chunks_exact(2) {
        let place = usize::from(pair[0]) % bytes.len();
        bytes[place] ^= pair[1];
    }
    if let Ok(text) = std::str::from_utf8(&bytes) {
        assert_eq!(RefreshToken::open(text, &MASTERS).is_ok(), text == good);
    }
}

/// Sends a token with changed bytes and a good tag.
fn run(data: &[u8]) {
    let [which, way, delay, edits @ ..] = data else {
        return;
    };
    let mut family = FAMILY.lock().unwrap_or_else(PoisonError::into_inner);
    let way = usize::from(*way) % WAYS;
    let which = usize::from(*which) % family.tokens.len();
    let good = Tagged::of(&family.tokens[which]);
    let mut token = good;
    for pair in edits.chunks_exact(2).take(40) {
        token.0[usize::from(pair[0]) % TAGGED] ^= pair[1];
    }
    let delay = DELAYS[usize::from(*delay) % DELAYS.len()];
    if delay > 0 {
        SERVICE.advance(delay);
    }
    let answer = SERVICE.ask(send(way, &token.signed()));
    let is_given_out = family
        .tokens
        .iter()
        .any(|given| Tagged::of(given).known_by() == token.known_by());
    if way < REFRESHING {
        assert!(
            is_given_out || answer.status.is_client_error(),
            "a secret was guessed: {}",
            answer.text()
        );
        assert!(
            token != good || which != 2 || way == 2 || answer.status == 200,
            "the current token is refused: {}",
            answer.text()
        );
    }
    if answer.status.is_success() || !family.lives() {
        *family = Family::new();
    }
}
