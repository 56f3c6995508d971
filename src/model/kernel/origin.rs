//! The trusted origins, which may send requests with cookies: the origin of the public URL, its
//! loopback names, and the operator's list. CORS, the cross-site check and the check of redirects
//! use this one list.
//!
//! Besides web origins the list accepts those of native web views and browser extensions
//! (`capacitor://localhost`, `tauri://localhost`, `chrome-extension://…`, `myapp://`), each exactly
//! as the client sends it. Such a scheme belongs to an app on the user's device and not to a host,
//! so these entries cannot contain a wildcard.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::loopback::LOOPBACK;
use super::web_url::is_host;

/// One entry of the list: an exact origin, or `https://*.example.com`, whose wildcard matches
/// exactly one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern(pub(super) Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Web {
        scheme: String,
        host: String,
        port: Option<u16>,
    },
    /// `scheme://authority`, with the scheme in lower case and the rest as written.
    Native(String),
}

/// The text is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write an origin such as https://app.example.com, https://*.example.com or capacitor://localhost, without path"
)]
pub struct InvalidOrigin;

/// Schemes that are refused as native origins: those whose pages have no origin of their own, those
/// that run or show the content of a link, and those of the web, which are parsed as web origins.
const NO_APP: [&str; 17] = [
    "http",
    "https",
    "ws",
    "wss",
    "ftp",
    "ftps",
    "file",
    "data",
    "blob",
    "javascript",
    "vbscript",
    "about",
    "filesystem",
    "view-source",
    "mailto",
    "intent",
    "null",
];

/// Returns `scheme://authority` of a URL whose scheme belongs to an app, as browsers write it in
/// `Origin`.
pub(super) fn native_origin(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"+-.".contains(&c);
    let well_formed = scheme.bytes().all(plain)
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && !NO_APP.contains(&scheme.as_str());
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let known = |c: u8| c.is_ascii_alphanumeric() || b"-._:[]".contains(&c);
    (well_formed && authority.bytes().all(known)).then(|| format!("{scheme}://{authority}"))
}

impl FromStr for OriginPattern {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidOrigin)?;
        if let Some(native) = native_origin(text) {
            return if native.len() == text.len() {
                Ok(Self(Kind::Native(native)))
            } else {
                Err(InvalidOrigin)
            };
        }
        // A wildcard stands for one label in front of a real domain. The URL parser refuses it, so
        // it is removed before parsing.
        let (wild, plain) = match rest.strip_prefix("*.") {
            Some(base) if base.contains('.') => (true, base),
            Some(_) => return Err(InvalidOrigin),
            None => (false, rest),
        };
        let url = Url::parse(&format!("{scheme}://{plain}")).map_err(|_| InvalidOrigin)?;
        let host = url
            .host_str()
            .filter(|host| is_host(host))
            .ok_or(InvalidOrigin)?;
        let bare = matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        if !bare
            || !url.username().is_empty()
            || url.password().is_some()
            || plain.ends_with('/')
            || host.contains('*')
        {
            return Err(InvalidOrigin);
        }
        let host = if wild {
            format!("*.{host}")
        } else {
            host.to_owned()
        };
        Ok(Self(Kind::Web {
            scheme: url.scheme().to_owned(),
            host,
            port: url.port_or_known_default(),
        }))
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Native(origin) => f.write_str(origin),
            Kind::Web { scheme, host, port } => {
                write!(f, "{scheme}://{host}")?;
                match (scheme.as_str(), port) {
                    ("https", Some(443)) | ("http", Some(80)) | (_, None) => Ok(()),
                    (_, Some(port)) => write!(f, ":{port}"),
                }
            }
        }
    }
}

impl OriginPattern {
    fn matches(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        let Kind::Web {
            scheme: own_scheme,
            host: own_host,
            port: own_port,
        } = &self.0
        else {
            return false;
        };
        let same_host = match own_host.strip_prefix("*.") {
            Some(base) => host
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && rest == base),
            None => own_host == host,
        };
        same_host && own_scheme == scheme && *own_port == port
    }

    /// Returns the host of a web origin, with the wildcard; `None` for the origin of an app.
    pub fn host(&self) -> Option<&str> {
        match &self.0 {
            Kind::Web { host, .. } => Some(host),
            Kind::Native(_) => None,
        }
    }

    /// Returns whether this is the origin, or one of those, that a browser names.
    pub fn admits(&self, origin: &str) -> bool {
        admits(std::iter::once(self), origin)
    }

    fn is_web(&self) -> bool {
        matches!(self.0, Kind::Web { .. })
    }

    fn is_wild(&self) -> bool {
        matches!(&self.0, Kind::Web { host, .. } if host.starts_with("*."))
    }

    fn is_native(&self, origin: &str) -> bool {
        matches!(&self.0, Kind::Native(own) if own == origin)
    }
}

/// The list of trusted origins.
#[derive(Debug, Clone)]
pub struct TrustedOrigins {
    /// The origins that the operator lists.
    listed: Vec<OriginPattern>,
    /// The origin of the public URL and, if that is a loopback name, of every loopback name.
    own: Vec<OriginPattern>,
}

impl TrustedOrigins {
    /// Makes the list. It always contains the public URL's origin and, if that is a loopback name,
    /// every loopback name on the same port.
    pub fn new(public_url: &Url, listed: Vec<OriginPattern>) -> Self {
        let port = public_url.port_or_known_default();
        let own = |host: &str| {
            OriginPattern(Kind::Web {
                scheme: public_url.scheme().to_owned(),
                host: host.to_owned(),
                port,
            })
        };
        let host = public_url.host_str().unwrap_or_default();
        let own = if LOOPBACK.contains(&host) {
            LOOPBACK.map(own).into()
        } else {
            vec![own(host)]
        };
        Self { listed, own }
    }

    /// Returns the operator's list.
    pub fn listed(&self) -> &[OriginPattern] {
        &self.listed
    }

    /// Returns whether this is the only origin whose pages may use the service: the only one in the
    /// operator's list or, where it lists none, the service's own. Pages of several origins share the
    /// cookies of a browser, and no storage.
    pub fn is_only_page(&self, origin: &str) -> bool {
        let one = self.pages().next();
        let is_listed = one.is_none_or(|one| one.to_string() == origin);
        !self.has_several_pages() && is_listed && self.contains(origin)
    }

    /// Returns whether the operator lists several origins of pages, or a wildcard.
    pub fn has_several_pages(&self) -> bool {
        self.pages().count() > 1 || self.pages().any(OriginPattern::is_wild)
    }

    fn pages(&self) -> impl Iterator<Item = &OriginPattern> {
        self.listed.iter().filter(|pattern| pattern.is_web())
    }

    /// Returns the service's own origins.
    pub fn own(&self) -> &[OriginPattern] {
        &self.own
    }

    fn all(&self) -> impl Iterator<Item = &OriginPattern> {
        self.listed.iter().chain(&self.own)
    }

    /// Returns whether the list contains only the scheme of this native origin (`myapp://`). Links
    /// into an app are written `myapp://dashboard`, where the part in place of a host belongs to
    /// the app, and the device distinguishes apps by their scheme.
    pub(super) fn lists_scheme_of(&self, native: &str) -> bool {
        native.split_once("://").is_some_and(|(scheme, _)| {
            self.all()
                .any(|entry| entry.is_native(&format!("{scheme}://")))
        })
    }

    /// Returns whether the value of an `Origin` header is trusted; `null` and malformed values are
    /// not.
    pub fn contains(&self, origin: &str) -> bool {
        admits(self.all(), origin)
    }
}

fn admits<'p>(mut patterns: impl Iterator<Item = &'p OriginPattern>, origin: &str) -> bool {
    if native_origin(origin).is_some_and(|native| native == origin) {
        return patterns.any(|entry| entry.is_native(origin));
    }
    let Ok(url) = Url::parse(origin) else {
        return false;
    };
    let Some(host) = url.host_str().filter(|host| is_host(host)) else {
        return false;
    };
    // `Origin` is scheme, host and port and nothing else. A value that is not equal to its own
    // serialisation is forged.
    let printed = url.origin().ascii_serialization();
    printed.eq_ignore_ascii_case(origin)
        && patterns.any(|p| p.matches(url.scheme(), host, url.port_or_known_default()))
}

/// Returns the origin of a web or app URL in the form of the list; `None` if the URL has no origin.
pub fn origin_of(target: &str) -> Option<String> {
    native_origin(target).or_else(|| {
        Url::parse(target)
            .ok()
            .map(|url| url.origin())
            .filter(url::Origin::is_tuple)
            .map(|origin| origin.ascii_serialization())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::redirect::{LONGEST, is_trusted_redirect};

    fn trusted(public: &str, listed: &[&str]) -> TrustedOrigins {
        TrustedOrigins::new(
            &public.parse().unwrap(),
            listed.iter().map(|t| t.parse().unwrap()).collect(),
        )
    }

    #[test]
    fn loopback_names_are_one_origin() {
        let list = trusted("http://localhost:4000", &[]);
        for origin in [
            "http://localhost:4000",
            "http://127.0.0.1:4000",
            "http://[::1]:4000",
        ] {
            assert!(list.contains(origin), "{origin}");
        }
        for origin in [
            "http://localhost:4001",
            "https://localhost:4000",
            "null",
            "",
            "http://localhost:4000/",
            "http://evil.test",
            "http://user@localhost:4000",
        ] {
            assert!(!list.contains(origin), "{origin}");
        }
    }

    #[test]
    fn redirects_never_leave() {
        let list = trusted("https://auth.example.com", &["https://app.example.com"]);
        for target in [
            "/",
            "/dash?next=%2Fa",
            "/a#b",
            "https://app.example.com/x",
            "https://auth.example.com",
        ] {
            assert!(is_trusted_redirect(target, &list), "{target}");
        }
        for target in [
            "//evil.test",
            "/x/..//evil.test",
            "/.//evil.test",
            "/%2e%2e/evil.test",
            "https:auth.example.com",
            "/\\evil.test",
            "\\\\evil.test",
            "/%2f/evil.test",
            "/%5Cevil.test",
            "https://evil.test",
            "https://app.example.com.evil.test",
            "https://app.example.com@evil.test",
            "javascript:alert(1)",
            "data:text/html,x",
            "blob:https://app.example.com/0b7c9b0a-6f0e-4a53-8a0e-1f6c1c1b3f8e",
            "BLOB:https://auth.example.com/x",
            "blob://https://app.example.com/x",
            "filesystem:https://app.example.com/temporary/x",
            "view-source:https://app.example.com/",
            "evil",
            "",
            "\thttps://evil.test",
            "/a\nb",
            "http://app.example.com",
        ] {
            assert!(!is_trusted_redirect(target, &list), "{target:?}");
        }
    }

    #[test]
    fn an_app_s_own_scheme_is_an_exact_entry() {
        let ids = [
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "moz-extension://0ad2e2c3-6a3b-4d5e-8f00-123456789abc",
        ];
        let listed = [
            "capacitor://localhost",
            "tauri://localhost",
            "http://tauri.localhost",
            "app://bundle",
            "myapp://",
            ids[0],
            ids[1],
        ];
        let list = trusted("https://auth.example.com", &listed);
        for origin in listed {
            assert!(list.contains(origin), "{origin}");
        }
        for origin in [
            "capacitor://localhost.evil.test",
            "capacitor://localhost:80",
            "capacitor://localhost/",
            "capacitor://",
            "Capacitor://localhost",
            "ionic://localhost",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnoq",
            "https://tauri.localhost",
            "tauri.localhost",
            "myapp://evil",
            "app://",
            "null",
        ] {
            assert!(!list.contains(origin), "{origin}");
        }
        for target in [
            "capacitor://localhost/reset?token=x",
            "myapp:///dash",
            "myapp://dash/a?token=x",
            "myapp://?a",
            "app://bundle#x",
            "http://tauri.localhost/x",
        ] {
            assert!(is_trusted_redirect(target, &list), "{target}");
        }
        for target in [
            "capacitor://localhost@evil.test/",
            "capacitor://localhost.evil/",
            "myapp:dash",
            "capacitor:/localhost",
            "tauri://localhost\\@evil",
            "other://x",
        ] {
            assert!(!is_trusted_redirect(target, &list), "{target}");
        }
        for text in [
            "chrome-extension://*",
            "*://localhost",
            "capacitor://localhost/",
            "capacitor://a@b",
            "file://",
            "file:///x",
            "data://x",
            "javascript://x",
            "blob://x",
            "null",
            "myapp:",
            "://x",
            "my app://x",
            "capacitor://*.x",
        ] {
            assert!(text.parse::<OriginPattern>().is_err(), "{text}");
        }
        assert_eq!(
            "Capacitor://localhost"
                .parse::<OriginPattern>()
                .unwrap()
                .to_string(),
            "capacitor://localhost"
        );
    }

    #[test]
    fn a_star_is_one_label() {
        let list = trusted("https://auth.example.com", &["https://*.example.org"]);
        assert!(list.contains("https://a.example.org"));
        for origin in [
            "https://example.org",
            "https://a.b.example.org",
            "http://a.example.org",
            "https://a.example.org.evil.test",
            "https://a.example.org:8443",
            "https://aexample.org",
        ] {
            assert!(!list.contains(origin), "{origin}");
        }
        for text in [
            "https://*",
            "*.example.com",
            "https://a.*.com",
            "https://*.com",
            "https://a.example.com/x",
            "https://a@b.example",
            "ftp://a.example",
        ] {
            assert!(text.parse::<OriginPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_an_origin_and_nothing_more() {
        assert!(
            "https://app.example.com:8443"
                .parse::<OriginPattern>()
                .is_ok()
        );
        for bad in [
            "https://user@app.example.com",
            "https://:secret@app.example.com",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://app.example.com?x",
            "https://app.example.com#x",
            "https://*",
            "https://*.com",
            "https://a.*.example.com",
            "ftp://app.example.com",
        ] {
            assert!(bad.parse::<OriginPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_origin_of_a_url_is_its_scheme_host_and_port() {
        for (target, origin) in [
            (
                "https://app.example.com/a?b#c",
                Some("https://app.example.com"),
            ),
            (
                "https://app.example.com:443/",
                Some("https://app.example.com"),
            ),
            ("http://localhost:4000/x", Some("http://localhost:4000")),
            ("data:text/plain,x", None),
            ("/path", None),
        ] {
            assert_eq!(origin_of(target).as_deref(), origin, "{target}");
        }
    }

    #[test]
    fn a_redirect_is_at_most_as_long_as_a_header_may_be() {
        let url = Url::parse("https://auth.example.com").unwrap();
        let trusted = TrustedOrigins::new(&url, vec![]);
        let path = |length: usize| format!("/{}", "a".repeat(length - 1));
        assert!(is_trusted_redirect(&path(LONGEST - 1), &trusted));
        assert!(is_trusted_redirect(&path(LONGEST), &trusted));
        assert!(!is_trusted_redirect(&path(LONGEST + 1), &trusted));
    }
}
