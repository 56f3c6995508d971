//! Bodies, on every path that takes one: the first byte chooses the path, the second the content type.
#![no_main]

use axum::body::Body;
use axum::http::{Request, header};
use countersign_fuzz::SERVICE;
use libfuzzer_sys::fuzz_target;

const PATHS: [&str; 14] = [
    "sign-in/email",
    "sign-up/email",
    "refresh",
    "sign-out",
    "request-password-reset",
    "reset-password",
    "send-verification-email",
    "change-password",
    "update-user",
    "oauth2/token",
    "oauth2/revoke",
    "admin/list-user-sessions",
    "verify-email",
    "delete-user/callback",
];
const TYPES: [&str; 3] = ["application/json", "application/x-www-form-urlencoded", "application/json; charset=utf-8"];

fuzz_target!(|data: &[u8]| {
    let [path, kind, body @ ..] = data else { return };
    let (path, kind) = (PATHS[usize::from(*path) % PATHS.len()], TYPES[usize::from(*kind) % TYPES.len()]);
    let request = Request::post(format!("/api/auth/{path}")).header(header::CONTENT_TYPE, kind).body(Body::from(body.to_vec())).expect("a request");
    SERVICE.ask(request);
});
