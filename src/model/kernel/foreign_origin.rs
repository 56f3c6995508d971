//! Explains why the origin of a request is not trusted, and which setting to change: for the log,
//! and on a developer's machine for the answer, too.

use std::fmt;

use url::Url;

use super::loopback::LOOPBACK;
use super::origin::{Kind, OriginPattern, TrustedOrigins};

/// An origin that is not trusted, and what to do if the page is the operator's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignOrigin {
    /// The value that was sent, escaped and cut; `none` if there was none.
    pub seen: String,
    /// The setting to change.
    pub setting: &'static str,
    /// What the setting allows now.
    pub in_force: String,
    /// The line to write below `[server]` in the settings file; `None` if no line would help.
    pub line: Option<String>,
    /// What is wrong, and what to do about it.
    pub advice: String,
}

impl fmt::Display for ForeignOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}. {} in force: {}",
            self.advice, self.setting, self.in_force
        )?;
        match &self.line {
            Some(line) => write!(f, ". Below [server] in countersign.toml: {line}"),
            None => Ok(()),
        }
    }
}

/// How a page's origin differs from one that is listed, the most probable mistake first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    LoopbackName,
    Port,
    Scheme,
}

fn difference(page: &OriginPattern, listed: &OriginPattern) -> Option<Difference> {
    let (
        Kind::Web { scheme, host, port },
        Kind::Web {
            scheme: listed_scheme,
            host: listed_host,
            port: listed_port,
        },
    ) = (&page.0, &listed.0)
    else {
        return None;
    };
    let both_loopback = [host, listed_host]
        .iter()
        .all(|host| LOOPBACK.contains(&host.as_str()));
    match (
        scheme == listed_scheme,
        host == listed_host,
        port == listed_port,
    ) {
        (true, false, true) if both_loopback => Some(Difference::LoopbackName),
        (true, true, false) => Some(Difference::Port),
        (false, true, _) => Some(Difference::Scheme),
        _ => None,
    }
}

/// Explains an origin that is not trusted. `host` is the value of the header `Host`.
pub fn explain(
    origin: Option<&[u8]>,
    host: Option<&str>,
    public_url: &Url,
    trusted: &TrustedOrigins,
) -> ForeignOrigin {
    let seen = origin.map_or_else(|| "none".to_owned(), shown);
    let page = origin.and_then(parse);
    let listed = |line, advice| ForeignOrigin {
        seen: seen.clone(),
        setting: "server.trusted_origins",
        in_force: texts(trusted).join(", "),
        line,
        advice,
    };
    let page = match (origin, page) {
        (None, _) => {
            return listed(None, "a browser sent this request from another site without an Origin header; a proxy or an extension may have removed it".into());
        }
        (Some(b"null"), _) => {
            return listed(None, "the origin is null, as that of a page that was opened from a file or in a sandboxed frame; serve the page at a URL and add its origin to server.trusted_origins".into());
        }
        (_, None) => {
            return listed(None, format!("{seen} is not an origin as browsers send it"));
        }
        (_, Some(page)) => page,
    };
    if is_at(&page, host) {
        return ForeignOrigin {
            setting: "server.public_url",
            in_force: public_url.to_string(),
            line: Some(format!(
                "public_url = \"{page}{}\"",
                public_url.path().trim_end_matches('/')
            )),
            advice: format!(
                "this service was reached at {page}, which is not its public URL; set server.public_url to the URL that browsers use"
            ),
            seen,
        };
    }
    let nearest = trusted
        .listed()
        .iter()
        .filter_map(|known| Some((difference(&page, known)?, known)))
        .min_by_key(|(difference, _)| *difference);
    let advice = match nearest {
        Some((Difference::LoopbackName, known)) => format!(
            "{page} is not in server.trusted_origins, but {known} is: for a browser localhost, 127.0.0.1 and [::1] are different hosts with cookies of their own; open the page at {known}, or add its origin"
        ),
        Some((Difference::Port, known)) => format!(
            "{page} is not in server.trusted_origins, but {known} is: the port is part of an origin; use that port, or add the origin"
        ),
        Some((Difference::Scheme, known)) => format!(
            "{page} is not in server.trusted_origins, but {known} is: http and https are different origins; use that scheme, or add the origin"
        ),
        None => {
            format!("{page} is not in server.trusted_origins; if the page is yours, add its origin")
        }
    };
    let mut all: Vec<String> = trusted.listed().iter().map(quoted).collect();
    all.push(quoted(&page));
    listed(
        Some(format!("trusted_origins = [{}]", all.join(", "))),
        advice,
    )
}

/// Returns whether a page of a trusted origin calls the service under another loopback name than
/// its own. The browser takes the two for different sites and keeps no cookies of `SameSite=Lax`.
pub fn differs_in_loopback_name(origin: &str, host: &str) -> bool {
    let name = |url: &str| {
        let url = Url::parse(url).ok()?;
        LOOPBACK
            .into_iter()
            .find(|name| url.host_str() == Some(*name))
    };
    match (name(origin), name(&format!("http://{host}"))) {
        (Some(page), Some(service)) => page != service,
        _ => false,
    }
}

/// Returns whether the service was reached at this origin.
fn is_at(page: &OriginPattern, host: Option<&str>) -> bool {
    let page = page.to_string();
    let authority = page.split_once("://").map(|(_, rest)| rest);
    authority
        .zip(host)
        .is_some_and(|(own, host)| own.eq_ignore_ascii_case(host))
}

/// Parses an origin that has the form in which browsers send it.
fn parse(origin: &[u8]) -> Option<OriginPattern> {
    let text = std::str::from_utf8(origin).ok()?;
    let page: OriginPattern = text.parse().ok()?;
    (page.to_string() == text && !text.contains('*')).then_some(page)
}

fn texts(trusted: &TrustedOrigins) -> Vec<String> {
    let all = trusted.listed().iter().chain(trusted.own());
    all.map(ToString::to_string).collect()
}

fn quoted(origin: &OriginPattern) -> String {
    format!("\"{origin}\"")
}

/// The greatest number of characters of an origin in the log.
const LONGEST: usize = 120;

/// Returns what a client sent, in visible ASCII and cut. User info is left out, because it is no
/// part of an origin and may be an email address or a password.
fn shown(origin: &[u8]) -> String {
    if origin.is_empty() {
        return "empty".to_owned();
    }
    let text = String::from_utf8_lossy(origin);
    let (mark, text) = text
        .rsplit_once('@')
        .map_or(("", text.as_ref()), |(_, rest)| ("…@", rest));
    let mut escaped = text.escape_default();
    let mut cut = mark.to_owned();
    cut.extend(escaped.by_ref().take(LONGEST));
    if escaped.next().is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(public: &str, listed: &[&str], origin: Option<&str>, host: &str) -> ForeignOrigin {
        let public: Url = public.parse().unwrap();
        let listed = listed.iter().map(|text| text.parse().unwrap()).collect();
        let trusted = TrustedOrigins::new(&public, listed);
        explain(origin.map(str::as_bytes), Some(host), &public, &trusted)
    }

    fn on_localhost(listed: &[&str], origin: &str) -> ForeignOrigin {
        told(
            "http://localhost:4000",
            listed,
            Some(origin),
            "localhost:4000",
        )
    }

    #[test]
    fn an_origin_that_is_not_listed_is_explained_with_the_line_to_add() {
        let told = on_localhost(&["http://localhost:3000"], "https://app.example.com");
        assert_eq!(
            told.to_string(),
            "https://app.example.com is not in server.trusted_origins; if the page is yours, add its origin. \
             server.trusted_origins in force: http://localhost:3000, http://localhost:4000, http://127.0.0.1:4000, http://[::1]:4000. \
             Below [server] in countersign.toml: trusted_origins = [\"http://localhost:3000\", \"https://app.example.com\"]"
        );
        let line = on_localhost(&[], "capacitor://localhost").line.unwrap();
        assert_eq!(line, "trusted_origins = [\"capacitor://localhost\"]");
    }

    #[test]
    fn the_commonest_mistakes_are_named() {
        for (listed, origin, says) in [
            (
                "http://localhost:5173",
                "http://127.0.0.1:5173",
                "open the page at http://localhost:5173",
            ),
            (
                "http://127.0.0.1:5173",
                "http://localhost:5173",
                "open the page at http://127.0.0.1:5173",
            ),
            (
                "http://localhost:5173",
                "http://localhost:5174",
                "the port is part of an origin",
            ),
            (
                "https://app.example.com",
                "http://app.example.com",
                "http and https are different origins",
            ),
        ] {
            let told = on_localhost(&[listed], origin);
            assert!(
                told.advice.contains(says) && told.advice.contains(listed),
                "{told}"
            );
            let line = told.line.unwrap();
            assert!(line.contains(listed) && line.contains(origin), "{line}");
        }
        // The name is the likelier mistake if two differ.
        let both = on_localhost(
            &["http://127.0.0.1:8080", "http://localhost:5173"],
            "http://127.0.0.1:5173",
        );
        assert!(both.advice.contains("open the page at"), "{both}");
        let null = on_localhost(&[], "null");
        assert!(null.advice.contains("opened from a file") && null.line.is_none());
        let none = told("http://localhost:4000", &[], None, "localhost:4000");
        assert!(none.seen == "none" && none.advice.contains("without an Origin header"));
    }

    #[test]
    fn a_service_that_is_reached_elsewhere_than_at_its_public_url_names_that_setting() {
        let told = told(
            "http://localhost:4000/id",
            &[],
            Some("https://auth.example.com"),
            "auth.example.com",
        );
        assert_eq!(
            (told.setting, told.in_force.as_str(), told.line.as_deref()),
            (
                "server.public_url",
                "http://localhost:4000/id",
                Some("public_url = \"https://auth.example.com/id\"")
            )
        );
        assert_eq!(
            on_localhost(&[], "https://auth.example.com").setting,
            "server.trusted_origins"
        );
    }

    #[test]
    fn what_a_client_wrote_is_escaped_cut_and_without_user_info() {
        for (origin, seen) in [
            (
                "http://ana@example.com:geheim@evil.example",
                "…@evil.example",
            ),
            ("http://a\u{202e}b\t\"", r#"http://a\u{202e}b\t\""#),
            (&"x".repeat(5_000), &format!("{}…", "x".repeat(LONGEST))),
            ("http://localhost:4000/", "http://localhost:4000/"),
            ("https://*.example.com", "https://*.example.com"),
            ("", "empty"),
        ] {
            let told = on_localhost(&[], origin);
            assert_eq!(told.seen, seen);
            assert!(told.advice.contains("is not an origin as browsers send it"));
            assert!(
                told.line.is_none() && !told.to_string().contains("geheim"),
                "{told}"
            );
        }
    }

    #[test]
    fn two_loopback_names_are_told_from_one() {
        for (origin, host, differs) in [
            ("http://localhost:5173", "127.0.0.1:4000", true),
            ("http://127.0.0.1:5173", "localhost:4000", true),
            ("http://localhost:5173", "[::1]:4000", true),
            ("http://localhost:5173", "localhost:4000", false),
            ("https://app.example.com", "localhost:4000", false),
            ("http://localhost:5173", "auth.example.com", false),
            ("null", "localhost", false),
        ] {
            assert_eq!(
                differs_in_loopback_name(origin, host),
                differs,
                "{origin} {host}"
            );
        }
    }
}
