//! What a proxy, or a client that pretends to be one, writes of the client; and user agents beside it.
#![no_main]

use axum::http::{HeaderValue, header};
use countersign_fuzz::service::{PASSWORD, get, post_form, post_json};
use countersign_fuzz::{SERVICE, twins};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: check_twins(), |data: &[u8]| {
    let mut request = post_form("/api/auth/oauth2/revoke", "", "token=x");
    for (number, line) in data.split(|b| *b == b'\n').take(8).enumerate() {
        let Ok(value) = HeaderValue::from_bytes(line) else {
            continue;
        };
        match number % 4 {
            0 | 1 => request.headers_mut().append("x-forwarded-for", value),
            2 => request.headers_mut().append(header::USER_AGENT, value),
            _ => request.headers_mut().append(header::FORWARDED, value),
        };
    }
    assert!(SERVICE.ask(request).status.is_success());
});

/// The address before the trusted proxies and the user agent are those of the session.
fn check_twins() {
    let body = format!(
        r#"{{"email":"{}","password":"{PASSWORD}","tokenDelivery":"body"}}"#,
        SERVICE.user().email
    );
    let mut request = post_json("/api/auth/sign-in/email", "", body);
    let headers = request.headers_mut();
    headers.insert(
        "x-forwarded-for",
        HeaderValue::from_static("198.51.100.1, 203.0.113.7, 10.0.0.1"),
    );
    headers.insert(header::USER_AGENT, HeaderValue::from_static("Fuzz/1.0"));
    let token = SERVICE.ask(request).json();
    let mut request = get("/api/auth/session", "");
    let bearer = format!("Bearer {}", token["token"].as_str().expect("a token"));
    let bearer = HeaderValue::from_str(&bearer).expect("a header");
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    let session = SERVICE.ask(request).json();
    assert_eq!(session["session"]["ipAddress"], "203.0.113.7", "{session}");
    assert_eq!(session["session"]["userAgent"], "Fuzz/1.0", "{session}");
    twins::keep(b"198.51.100.1, 203.0.113.7, 10.0.0.1\n\nFuzz/1.0\nfor=203.0.113.7");
}
