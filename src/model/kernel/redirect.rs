//! Redirects that a client may ask for: to a path of this host, or to a trusted origin.

use url::Url;

use super::location::in_header;
use super::origin::{TrustedOrigins, native_origin};

/// The greatest length of a redirect target in `Location`, in bytes: all headers of an answer stay
/// within 4 KiB.
pub(super) const LONGEST: usize = 2_560;

/// Returns whether a redirect to `target` is allowed: a path of this host, or a URL of a trusted
/// origin. The scheme of an app is allowed only if the operator has listed it: links in mails carry
/// tokens there, and the device decides which app receives them (RFC 8252 section 7.1).
pub fn is_trusted_redirect(target: &str, trusted: &TrustedOrigins) -> bool {
    // In a header, letters of other scripts take up to three times as much space.
    if in_header(target).len() > LONGEST {
        return false;
    }
    let lower = target.to_ascii_lowercase();
    let (path, _) = lower.split_once(['?', '#']).unwrap_or((&lower, ""));
    if target.chars().any(|c| c.is_control() || c == '\\') {
        return false;
    }
    if target.starts_with('/') {
        // Reject `//host` and paths that a proxy may normalise into it (`/.//host`, `/%2f/host`):
        // open redirects.
        let dots = path
            .split('/')
            .any(|segment| matches!(segment.replace("%2e", ".").as_str(), "." | ".."));
        return !path.contains("//") && !path.contains("%2f") && !path.contains("%5c") && !dots;
    }
    if native_origin(target)
        .is_some_and(|native| trusted.contains(&native) || trusted.lists_scheme_of(&native))
    {
        return true;
    }
    // The origin of `blob:https://…` is that of the URL inside it, which is not a target for a
    // redirect: the scheme has to be that of the origin.
    let is_its_own = |url: &Url, origin: &str| {
        origin
            .split_once("://")
            .is_some_and(|(scheme, _)| scheme == url.scheme())
    };
    lower.contains("://")
        && Url::parse(target).is_ok_and(|url| {
            let origin = url.origin().ascii_serialization();
            is_its_own(&url, &origin)
                && url.username().is_empty()
                && url.password().is_none()
                && trusted.contains(&origin)
        })
}
