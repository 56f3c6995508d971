//! Where the service is mounted on its public host: at the root, or at a path that a reverse proxy
//! may strip. Inside the service every path begins at the root; outside, in links, cookies,
//! redirects and documents, it begins with the mount path.

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
}

/// The path of the pages.
const PAGES: &str = "/auth";

/// Returns whether `path` is `root` or below it.
fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

impl Mount {
    /// Makes the mount of a public URL and the path of the API.
    ///
    /// # Errors
    /// The path contains characters that a cookie path or a route cannot have, or it cannot be told
    /// from the paths inside.
    pub fn of(public_url: &Url, base_path: &str) -> Result<Self, String> {
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
        if !prefix.is_empty() && is_below(base_path, &format!("{prefix}{PAGES}")) {
            return Err(format!(
                "with the path {prefix} a request for server.base_path ({base_path}) has two meanings; change one of the two"
            ));
        }
        Ok(Self {
            origin: public_url.origin().ascii_serialization(),
            prefix,
            base_path: base_path.to_owned(),
        })
    }

    /// Returns whether the service is mounted at the root of its host.
    pub fn is_root(&self) -> bool {
        self.prefix.is_empty()
    }

    /// Returns the path of the API as a browser sees it.
    pub fn api(&self) -> String {
        format!("{}{}", self.prefix, self.base_path)
    }

    /// Converts a path of the service (front page, pages, API) to the form that a browser sees.
    /// Other paths of the host belong to other programs and are returned unchanged.
    pub fn outside<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let ours = is_below(path, PAGES)
            || is_below(path, &self.base_path)
            || path == "/"
            || path.starts_with("/?")
            || path.starts_with("/#");
        if self.is_root() || !ours {
            Cow::Borrowed(path)
        } else {
            Cow::Owned(format!("{}{path}", self.prefix))
        }
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

    /// Strips the mount path from a path, unless a proxy has done so already.
    pub fn inside<'p>(&self, path: &'p str) -> &'p str {
        let Some(rest) = path
            .strip_prefix(self.prefix.as_str())
            .filter(|_| !self.is_root())
        else {
            return path;
        };
        let known = [PAGES, &self.base_path, "/health", "/.well-known"]
            .into_iter()
            .any(|root| is_below(rest, root));
        match rest {
            // If the mount path is `/auth` as well, this is the path of the pages behind a proxy
            // that strips it.
            "" if !is_below(path, PAGES) => "/",
            _ if known || rest == "/" => rest,
            _ => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Mount {
        Mount::of(&url.parse().unwrap(), "/api/auth").unwrap()
    }

    #[test]
    fn at_the_root_nothing_changes() {
        let root = at("https://auth.example.com");
        assert!(root.is_root() && root.api() == "/api/auth");
        for path in ["/", "/auth/sign-in", "/api/auth/ok", "/auth", "/x"] {
            assert_eq!(
                (root.outside(path).as_ref(), root.inside(path)),
                (path, path)
            );
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
                    (mount.outside(path).as_ref(), mount.inside(path)),
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
                Mount::of(&url.parse().unwrap(), "/api/auth").is_err(),
                "{url}"
            );
        }
    }
}
