//! Where the service is mounted on its public host: at the root, or at a path that a reverse proxy
//! may strip, and its pages at `/auth` or at another path. Inside the service every path begins at
//! the root and the pages are always at `/auth`; outside, in links, cookies, redirects and
//! documents, paths are as a browser sees them.

use std::borrow::Cow;

use url::Url;

/// The path of the public URL, and the paths of the service below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    /// Scheme, host and port of the public URL.
    origin: String,
    /// The mount path: empty, or such as `/id`.
    prefix: String,
    base_path: String,
    /// The path of the pages below the mount path, such as `/auth`.
    pages: String,
}

/// The path of the pages inside the service.
pub const PAGES: &str = "/auth";

/// The other roots of the service.
const OTHERS: [&str; 2] = ["/health", "/.well-known"];

/// Returns whether `path` is `root` or below it.
fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

/// Replaces the root of a path.
fn moved<'p>(path: &'p str, from: &str, to: &str) -> Cow<'p, str> {
    match path.strip_prefix(from) {
        Some(rest) if from != to => Cow::Owned(format!("{to}{rest}")),
        _ => Cow::Borrowed(path),
    }
}

/// Checks a path for the pages (`pages.path`) beside that of the API.
///
/// # Errors
/// The path is not clean, or belongs to the API, to a document or to an internal endpoint.
pub fn check_pages_path(path: &str, base_path: &str) -> Result<(), String> {
    let plain = path
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.~/".contains(&b));
    let segments = path.strip_prefix('/').unwrap_or_default().split('/');
    let dots = segments
        .into_iter()
        .any(|segment| matches!(segment, "" | "." | ".."));
    if !plain || dots || path.len() > 128 {
        return Err(
            "write a path of letters, digits and - _ . ~ without a slash at its end, such as /auth"
                .into(),
        );
    }
    let taken = [base_path, "/dev"].into_iter().chain(OTHERS);
    match taken.into_iter().find(|root| is_below(path, root)) {
        Some(root) => Err(format!(
            "{root} belongs to another part of the service; choose another path"
        )),
        None => Ok(()),
    }
}

impl Mount {
    /// Makes the mount of a public URL and the paths of the API and of the pages.
    ///
    /// # Errors
    /// The path contains characters that a cookie path or a route cannot have, or it cannot be told
    /// from the paths inside.
    pub fn of(public_url: &Url, base_path: &str, pages: &str) -> Result<Self, String> {
        let prefix = public_url.path().trim_end_matches('/').to_owned();
        let plain = prefix
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./~".contains(&b));
        let dots = prefix
            .split('/')
            .skip(1)
            .any(|segment| matches!(segment, "" | "." | ".."));
        if !plain || dots {
            return Err(
                "its path may contain only letters, digits and - _ . ~, such as /id".into(),
            );
        }
        // The same request would have two meanings, depending on whether the proxy strips the path.
        for (setting, path, other) in [
            ("server.base_path", base_path, pages),
            ("pages.path", pages, base_path),
        ] {
            if !prefix.is_empty() && is_below(path, &format!("{prefix}{other}")) {
                return Err(format!(
                    "with the path {prefix} a request for {setting} ({path}) has two meanings; change one of the two"
                ));
            }
        }
        Ok(Self {
            origin: public_url.origin().ascii_serialization(),
            prefix,
            base_path: base_path.to_owned(),
            pages: pages.to_owned(),
        })
    }

    /// Returns whether paths are the same inside and outside.
    pub fn is_plain(&self) -> bool {
        self.prefix.is_empty() && self.pages == PAGES
    }

    /// Returns the path of the API as a browser sees it.
    pub fn api(&self) -> String {
        format!("{}{}", self.prefix, self.base_path)
    }

    /// Returns whether a path inside the service is one of the API.
    pub fn is_of_api(&self, path: &str) -> bool {
        is_below(path, &self.base_path)
    }

    /// Converts a path of the service (front page, pages, API) to the form that a browser sees.
    /// Other paths of the host belong to other programs and are returned unchanged.
    pub fn outside<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let is_page = is_below(path, PAGES) && !self.is_of_api(path);
        let ours = is_page
            || self.is_of_api(path)
            || path == "/"
            || path.starts_with("/?")
            || path.starts_with("/#");
        if self.is_plain() || !ours {
            return Cow::Borrowed(path);
        }
        let below = if is_page {
            moved(path, PAGES, &self.pages)
        } else {
            Cow::Borrowed(path)
        };
        Cow::Owned(format!("{}{below}", self.prefix))
    }

    /// Returns a path of the public host, as a browser sees it, as a URL.
    pub fn on_host(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Resolves a redirect target that a client gave. Unlike `outside`, it leaves paths as they
    /// are: clients give targets as a browser sees them, and a path that looks like one of the
    /// service's inside paths belongs to another program.
    pub fn given(&self, target: &str) -> String {
        if self.outside(target) == target {
            target.to_owned()
        } else {
            self.on_host(target)
        }
    }

    /// Converts the path of a request, whether or not a proxy has stripped the mount path, to the
    /// path inside. A slash at the end of the path of a page is dropped.
    pub fn inside<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let path = self.stripped(path);
        if self.is_of_api(path) {
            Cow::Borrowed(path)
        } else if is_below(path, &self.pages) {
            moved(path.trim_end_matches('/'), &self.pages, PAGES)
        } else if is_below(path, PAGES) {
            // The pages are elsewhere. No route begins with two slashes.
            Cow::Owned(format!("/{path}"))
        } else {
            Cow::Borrowed(path)
        }
    }

    /// Strips the mount path from a path, unless a proxy has done so already.
    fn stripped<'p>(&self, path: &'p str) -> &'p str {
        let Some(rest) = path
            .strip_prefix(self.prefix.as_str())
            .filter(|_| !self.prefix.is_empty())
        else {
            return path;
        };
        let known = [self.pages.as_str(), &self.base_path]
            .into_iter()
            .chain(OTHERS)
            .any(|root| is_below(rest, root));
        match rest {
            // If the mount path is that of the pages as well, this is the path of the pages behind a
            // proxy that strips it.
            "" if !is_below(path, &self.pages) => "/",
            _ if known || rest == "/" => rest,
            _ => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Mount {
        Mount::of(&url.parse().unwrap(), "/api/auth", PAGES).unwrap()
    }

    #[test]
    fn at_the_root_nothing_changes() {
        let root = at("https://auth.example.com");
        assert!(root.is_plain() && root.api() == "/api/auth");
        for path in ["/", "/auth/sign-in", "/api/auth/ok", "/auth", "/x"] {
            assert_eq!(
                (root.outside(path).as_ref(), root.inside(path).as_ref()),
                (path, path)
            );
        }
        assert_eq!(root.inside("/auth/sign-in/"), "/auth/sign-in");
        assert_eq!(root.inside("/api/auth/ok/"), "/api/auth/ok/");
    }

    #[test]
    fn pages_at_another_path_are_there_and_nowhere_else() {
        for prefix in ["", "/id"] {
            let url = format!("https://example.com{prefix}");
            let mount = Mount::of(&url.parse().unwrap(), "/api/auth", "/account/login").unwrap();
            for (inside, outside) in [
                ("/auth", "/account/login"),
                ("/auth/sign-in?x=1", "/account/login/sign-in?x=1"),
                ("/api/auth/ok", "/api/auth/ok"),
                ("/", "/"),
            ] {
                let seen = format!("{prefix}{outside}");
                assert_eq!(mount.outside(inside), seen);
                assert_eq!(mount.inside(&seen), inside);
                assert_eq!(mount.inside(outside), inside, "a proxy has stripped it");
            }
            assert_eq!(
                mount.inside("/account/login/sign-up/"),
                "/auth/sign-up",
                "a slash at the end"
            );
            for other in ["/auth", "/auth/sign-in"] {
                assert_eq!(mount.inside(other), format!("/{other}"));
            }
            for other in ["/account", "/account/logins", "/dash"] {
                assert_eq!(mount.inside(other), other);
                assert_eq!(mount.outside(other), other);
            }
            // What a client gives is what a browser sees.
            let given = "/account/login/account?x=1";
            assert_eq!(mount.given(given), given);
            assert_eq!(
                mount.given("/auth/sign-in"),
                "https://example.com/auth/sign-in"
            );
        }
    }

    #[test]
    fn a_path_of_pages_is_clean_and_not_taken() {
        for good in ["/auth", "/login", "/a/b.c", "/api", "/~id", "/authors"] {
            assert_eq!(check_pages_path(good, "/api/auth"), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/",
            "login",
            "/login/",
            "//login",
            "/a//b",
            "/a/../b",
            "/./a",
            "/a b",
            "/ü",
            "/a?b",
            "/a#b",
            "/a%20b",
            "/api/auth",
            "/api/auth/pages",
            "/.well-known",
            "/.well-known/pages",
            "/health",
            "/dev",
        ] {
            assert!(check_pages_path(bad, "/api/auth").is_err(), "{bad}");
        }
    }

    #[test]
    fn below_a_path_what_is_ours_has_it_outside_and_not_inside() {
        for prefix in ["/id", "/auth", "/a/b"] {
            let mount = at(&format!("https://example.com{prefix}/"));
            assert_eq!(mount.api(), format!("{prefix}/api/auth"));
            for path in [
                "/",
                "/?x=1",
                "/#x",
                "/auth/sign-in?x=1",
                "/auth",
                "/api/auth/refresh",
            ] {
                assert_eq!(mount.outside(path), format!("{prefix}{path}"));
                assert_eq!(mount.inside(path), path, "a proxy has stripped it");
            }
            for path in [
                "/auth/sign-in",
                "/api/auth/refresh",
                "/health/ready",
                "/.well-known/jwks.json",
                "/",
            ] {
                assert_eq!(
                    mount.inside(&format!("{prefix}{path}")),
                    path,
                    "a proxy has not stripped it"
                );
            }
            for path in ["/dash", "/authors", "https://app.example.com/auth"] {
                assert_eq!(
                    (mount.outside(path).as_ref(), mount.inside(path).as_ref()),
                    (path, path)
                );
            }
            assert_eq!(
                mount.inside(prefix),
                if prefix == "/auth" { "/auth" } else { "/" },
                "the public URL itself"
            );
        }
    }

    #[test]
    fn a_place_that_a_client_gave_is_where_a_browser_sees_it() {
        for (prefix, target, seen) in [
            ("/id", "/dash", "/dash"),
            ("/id", "/id/auth/account", "/id/auth/account"),
            ("/id", "/auth/account", "https://example.com/auth/account"),
            ("/id", "/", "https://example.com/"),
            (
                "/auth",
                "/auth/auth/account",
                "https://example.com/auth/auth/account",
            ),
            ("/auth", "/auth/x", "https://example.com/auth/x"),
            (
                "/id",
                "https://app.example.com/auth",
                "https://app.example.com/auth",
            ),
        ] {
            let mount = at(&format!("https://example.com{prefix}"));
            let given = mount.given(target);
            assert_eq!(
                (mount.outside(&given).as_ref(), mount.given(&given).as_str()),
                (seen, seen),
                "{prefix} {target}"
            );
        }
        for target in ["/", "/auth/account", "/dash"] {
            assert_eq!(at("https://example.com").given(target), target);
        }
    }

    #[test]
    fn a_path_that_no_cookie_can_have_or_that_is_ambiguous_is_refused() {
        for url in [
            "https://x.example/a;b",
            "https://x.example/a//b",
            "https://x.example/a%20b",
            "https://x.example/a,b",
            "https://x.example/api",
        ] {
            assert!(
                Mount::of(&url.parse().unwrap(), "/api/auth", PAGES).is_err(),
                "{url}"
            );
        }
        let url = "https://x.example/id".parse().unwrap();
        assert!(Mount::of(&url, "/api/auth", "/id/api/auth").is_err());
    }
}
