//! Cookies as any browser, proxy or thief may send them: they sign no user in.
#![no_main]

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use countersign_fuzz::SERVICE;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = data
        .split(|b| *b == b'\n')
        .filter_map(|line| HeaderValue::from_bytes(line).ok());
    let mut request = Request::get("/api/auth/session")
        .body(Body::empty())
        .expect("a request");
    for line in lines.by_ref().take(8) {
        request.headers_mut().append(header::COOKIE, line);
    }
    assert_eq!(SERVICE.ask(request), StatusCode::UNAUTHORIZED);
    let mut named = Request::post("/api/auth/refresh")
        .body(Body::empty())
        .expect("a request");
    let value = [b"better-auth.refresh_token=", data].concat();
    if let Ok(value) = HeaderValue::from_bytes(&value) {
        named.headers_mut().insert(header::COOKIE, value);
        assert!(SERVICE.ask(named).is_client_error());
    }
});
