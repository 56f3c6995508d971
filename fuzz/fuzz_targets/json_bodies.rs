//! Bodies, on every path that takes one: the first byte chooses the path, the second the content
//! type, and an admin sends them where a session is required.
#![no_main]

use axum::body::Body;
use axum::http::{Request, header};
use countersign_fuzz::SERVICE;
use libfuzzer_sys::fuzz_target;

/// Paths with and without a session; none of them ends the session.
const OPEN: [&str; 9] = [
    "sign-in/email",
    "sign-up/email",
    "refresh",
    "request-password-reset",
    "reset-password",
    "send-verification-email",
    "oauth2/token",
    "oauth2/revoke",
    "verify-email",
];
const SIGNED_IN: [&str; 14] = [
    "change-password",
    "change-email",
    "update-user",
    "update-session",
    "verify-password",
    "revoke-session",
    "admin/list-user-sessions",
    "admin/create-user",
    "admin/update-user",
    "admin/set-role",
    "admin/ban-user",
    "admin/remove-user",
    "admin/has-permission",
    "admin/set-user-password",
];
const TYPES: [&str; 3] = [
    "application/json",
    "application/x-www-form-urlencoded",
    "application/json; charset=utf-8",
];

fuzz_target!(|data: &[u8]| {
    let [path, kind, body @ ..] = data else {
        return;
    };
    let path = usize::from(*path) % (OPEN.len() + SIGNED_IN.len());
    let kind = TYPES[usize::from(*kind) % TYPES.len()];
    let name = OPEN.iter().chain(&SIGNED_IN).nth(path).expect("a path");
    let mut request = Request::post(format!("/api/auth/{name}")).header(header::CONTENT_TYPE, kind);
    if path >= OPEN.len() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", SERVICE.admin));
    }
    SERVICE.ask(request.body(Body::from(body.to_vec())).expect("a request"));
});
