//! Where a redirect may lead to, and which origins may call: whatever is accepted stays, for a
//! browser, on a trusted origin. The judge is the URL parser that browsers follow (WHATWG), and not
//! the rules under test. The first line of an input names the path, the rest is the URL.
#![no_main]

use axum::http::{HeaderValue, header};
use countersign::model::kernel::redirect::is_trusted_redirect;
use countersign_fuzz::placeholders::filled_text;
use countersign_fuzz::service::{ORIGIN, TRUSTED, get, post_form};
use countersign_fuzz::{Answer, SERVICE, twins};
use libfuzzer_sys::fuzz_target;
use url::Url;
use url::form_urlencoded::byte_serialize;

/// Paths that answer with a redirect to a URL of the request.
const PATHS: [&str; 11] = [
    "/api/auth/verify-email?token=x&callbackURL=",
    "/api/auth/reset-password/x?callbackURL=",
    "/auth/sign-in?redirect_to=",
    "/api/auth/magic-link/verify?token=x&callbackURL=",
    "/api/auth/magic-link/verify?token=x&errorCallbackURL=",
    "/auth/sign-in/email?redirect_to=",
    SIGNED_IN,
    NEW_USER,
    BAD_LINK,
    VERIFY,
    ORIGINS,
];
/// The form behind the first of them.
const VERIFY: &str = "/api/auth/verify-email";
/// The forms of the page of a link that signs in, and the form of one that is no longer good: each
/// leads to another of its URLs.
const SIGNED_IN: &str = "token=$LINK&newUserCallbackURL=/new&callbackURL=";
const NEW_USER: &str = "token=$JOIN&callbackURL=/old&newUserCallbackURL=";
const BAD_LINK: &str = "token=x&callbackURL=/old&errorCallbackURL=";
/// Where these forms go.
const LINK: &str = "/api/auth/magic-link/verify";
/// Not a redirect: the URL stands in `Origin`.
const ORIGINS: &str = "/api/auth/ok";

const GOOD: [&str; 5] = [
    "/welcome?x=1#y",
    "http://localhost:4000/x",
    "https://app.example.com/x?y",
    "https://a.example.org/x",
    "com.example.app://callback/x",
];

/// Returns whether a browser that follows the target from one of our pages stays on a trusted origin.
fn stays(target: &str) -> bool {
    let base = Url::parse(ORIGIN).expect("a URL");
    let Ok(url) = base.join(target) else {
        // A browser does not go there at all.
        return true;
    };
    let origin = url.origin().ascii_serialization();
    let host = url.host_str().unwrap_or_default();
    let is_loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    let is_own = url.scheme() == "http" && is_loopback && url.port() == Some(4000);
    let label = host.strip_suffix(".example.org").unwrap_or_default();
    let is_subdomain = url.scheme() == "https"
        && url.port().is_none()
        && !label.is_empty()
        && !label.contains('.');
    let is_app = url.scheme() == "com.example.app" && url.host_str() == Some("callback");
    is_own || origin == TRUSTED[0] || is_subdomain || is_app
}

fuzz_target!(init: check_twins(), |data: &[u8]| {
    let (line, target) = twins::first_line(data);
    if let Ok(target) = std::str::from_utf8(target) {
        run(twins::chosen::<&str>(&PATHS, line, |path| path), target);
    }
});

fn check_twins() {
    for path in PATHS {
        for good in GOOD {
            let answer = run(path, good).expect("a good URL");
            if path == ORIGINS {
                let is_allowed = answer
                    .headers
                    .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN);
                let is_origin = !good.ends_with("/x") && !good.contains('?');
                assert_eq!(is_allowed, is_origin, "{good}");
            } else {
                // A path of ours comes back as a URL where a link of a mail is opened.
                let location = answer.location();
                assert!(
                    location.contains(good.split('#').next().unwrap_or(good)),
                    "{path}{good}: {location}"
                );
            }
            twins::keep(format!("{path}\n{good}").as_bytes());
        }
    }
    for origin in [ORIGIN, TRUSTED[0], "https://a.example.org", TRUSTED[2]] {
        let answer = run(ORIGINS, origin).expect("an origin");
        let allowed = answer.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        assert!(allowed.is_some_and(|allowed| allowed == origin), "{origin}");
        twins::keep(format!("{ORIGINS}\n{origin}").as_bytes());
    }
}

fn run(path: &str, target: &str) -> Option<Answer> {
    let trusted = &SERVICE.app.config.server.trusted_origins;
    assert!(
        !is_trusted_redirect(target, trusted) || stays(target),
        "{target:?} is accepted and leaves"
    );
    let encoded: String = byte_serialize(target.as_bytes()).collect();
    let cookies = SERVICE.user().cookies;
    let request = if path == ORIGINS {
        let mut request = get(path, "");
        let origin = HeaderValue::from_str(target).ok()?;
        request.headers_mut().insert(header::ORIGIN, origin);
        request
    } else if path == VERIFY {
        post_form(path, &cookies, format!("token=x&callbackURL={encoded}"))
    } else if [SIGNED_IN, NEW_USER, BAD_LINK].contains(&path) {
        let path = filled_text(&SERVICE, path);
        post_form(LINK, "", format!("{path}{encoded}"))
    } else {
        get(&format!("{path}{encoded}"), &cookies)
    };
    let answer = SERVICE.ask(request);
    assert!(
        stays(answer.location()),
        "{path}: {} leads to {}",
        answer.status,
        answer.location()
    );
    if let Some(origin) = answer.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        assert!(origin.to_str().is_ok_and(stays), "{origin:?} may call");
    }
    Some(answer)
}
