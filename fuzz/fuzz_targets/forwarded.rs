//! Headers about the client that a proxy, or a client that pretends to be one, sends; and user agents.
#![no_main]

use axum::body::Body;
use axum::http::{HeaderValue, Request, header};
use countersign_fuzz::SERVICE;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut request = Request::post("/api/auth/oauth2/revoke")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("token=x"))
        .expect("a request");
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
    assert!(SERVICE.ask(request).is_success());
});
