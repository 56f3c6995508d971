//! The cookie jar of a browser by RFC 6265 and its successor (draft-ietf-httpbis-rfc6265bis). The
//! crate `cookie_store` parses cookies and matches domains and paths. What it lacks is here:
//! `SameSite`, the name prefixes, public suffixes, what an insecure page may not overwrite, the
//! order in which cookies are sent, and a clock that the test moves.

use cookie_store::{Cookie, CookieDomain, RawCookie};
use url::{Host, Url};

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Initiator {
    /// The page that makes the request; `None`: the address bar, a bookmark, a mail program.
    pub page: Option<Url>,
    /// Whether the window goes to the answer, as by a link or a form, or a script gets it.
    pub navigates: bool,
    /// Whether the method is GET or HEAD.
    pub is_safe: bool,
}

/// Which cookies a request may carry, by their `SameSite`: these and all before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// Another site's page in the background, or its form.
    NoneOnly,
    /// A link from another site.
    Lax,
    /// The same site.
    Strict,
}

impl Initiator {
    fn reach(&self, target: &Url) -> Reach {
        match &self.page {
            None => Reach::Strict,
            Some(page) if site(page) == site(target) => Reach::Strict,
            Some(_) if self.navigates && self.is_safe => Reach::Lax,
            Some(_) => Reach::NoneOnly,
        }
    }
}

/// The scheme and the registrable domain of a URL, or its host where that has none.
fn site(url: &Url) -> (String, String) {
    let host = url.host_str().unwrap_or_default();
    let domain = match url.host() {
        Some(Host::Domain(name)) => psl::domain_str(name).unwrap_or(name),
        _ => host,
    };
    (url.scheme().to_owned(), domain.to_owned())
}

/// Whether browsers treat the page as one that no host on the way can read or change.
fn is_secure(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || is_loopback
}

#[derive(Debug, Clone)]
struct Held {
    cookie: Cookie<'static>,
    value: String,
    /// Unix milliseconds; `None`: until the browser closes.
    ends_at: Option<i64>,
    /// Rises with each cookie; one that is overwritten keeps it.
    number: u64,
}

/// From where a cookie is sent; without `SameSite` it is `Lax`.
fn reach_of(cookie: &RawCookie<'_>) -> Reach {
    match cookie.same_site() {
        Some(how) if how.is_none() => Reach::NoneOnly,
        Some(how) if how.is_strict() => Reach::Strict,
        _ => Reach::Lax,
    }
}

impl Held {
    fn is_same(&self, other: &Cookie<'_>) -> bool {
        let path = |cookie: &Cookie<'_>| String::from(cookie.path.clone());
        self.cookie.name() == other.name()
            && self.cookie.domain == other.domain
            && path(&self.cookie) == path(other)
    }
}

/// A cookie jar.
#[derive(Debug, Clone, Default)]
pub struct Jar {
    held: Vec<Held>,
    number: u64,
}

/// The longest that browsers keep a cookie: 400 days.
const LONGEST: i64 = 400 * 86_400_000;

impl Jar {
    /// Takes a `Set-Cookie` line of an answer of this URL, or ignores it and says why.
    pub fn take(
        &mut self,
        line: &str,
        url: &Url,
        from: &Initiator,
        now: i64,
    ) -> Result<(), &'static str> {
        let raw = RawCookie::parse(line.to_owned()).map_err(|_| "malformed")?;
        if raw.name().len() + raw.value().len() > 4096 {
            return Err("too long");
        }
        let ends_at = match (raw.max_age(), raw.expires_datetime()) {
            (Some(age), _) => Some(now + i64::try_from(age.whole_milliseconds()).unwrap()),
            (None, Some(at)) => Some(i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap()),
            (None, None) => None,
        }
        .map(|at| at.min(now + LONGEST));
        let cookie = Cookie::try_from_raw_cookie(&raw, url)
            .map_err(|_| "for another domain")?
            .into_owned();
        self.check(&raw, &cookie, url, from)?;
        let same = self.held.iter().position(|held| held.is_same(&cookie));
        let number = same.map_or(self.number, |at| self.held.remove(at).number);
        self.number += 1;
        if ends_at.is_none_or(|end| end > now) {
            self.held.push(Held {
                value: raw.value().to_owned(),
                cookie,
                ends_at,
                number,
            });
        }
        Ok(())
    }

    fn check(
        &self,
        raw: &RawCookie<'_>,
        cookie: &Cookie<'_>,
        url: &Url,
        from: &Initiator,
    ) -> Result<(), &'static str> {
        let (secure, name) = (raw.secure() == Some(true), raw.name().to_ascii_lowercase());
        let is_host_only = matches!(cookie.domain, CookieDomain::HostOnly(_));
        if let CookieDomain::Suffix(domain) = &cookie.domain
            && psl::suffix_str(domain) == Some(domain.as_str())
        {
            return Err("for a public suffix");
        }
        if secure && !is_secure(url) {
            return Err("secure, from an insecure page");
        }
        if name.starts_with("__secure-") && !(secure && url.scheme() == "https") {
            return Err("__Secure- without being so");
        }
        if name.starts_with("__host-")
            && !(secure && url.scheme() == "https" && is_host_only && raw.path() == Some("/"))
        {
            return Err("__Host- without being so");
        }
        if raw.same_site().is_some_and(|how| how.is_none()) && !secure {
            return Err("SameSite=None without Secure");
        }
        let from_elsewhere = from.reach(url) == Reach::NoneOnly && !from.navigates;
        if from_elsewhere && reach_of(raw) != Reach::NoneOnly {
            return Err("from another site");
        }
        let hides = |held: &Held| {
            held.cookie.secure() == Some(true)
                && held.cookie.name() == raw.name()
                && held.cookie.domain.matches(url)
        };
        if !is_secure(url) && self.held.iter().any(hides) {
            return Err("in the place of a secure one");
        }
        Ok(())
    }

    /// The cookies that go along with a request, in their order.
    pub fn sent(&self, url: &Url, from: &Initiator, now: i64) -> Vec<(String, String)> {
        let reach = from.reach(url);
        let mut sent: Vec<&Held> = self
            .held
            .iter()
            .filter(|held| held.ends_at.is_none_or(|end| end > now))
            .filter(|held| held.cookie.matches(url) && reach_of(&held.cookie) <= reach)
            .collect();
        let length = |held: &Held| String::from(held.cookie.path.clone()).len();
        sent.sort_by_key(|held| (std::cmp::Reverse(length(held)), held.number));
        sent.into_iter()
            .map(|held| (held.cookie.name().to_owned(), held.value.clone()))
            .collect()
    }

    /// Changes the value of the cookie of this name; `false`: there is none.
    pub fn change(&mut self, name: &str, value: &str) -> bool {
        let mut found = false;
        for held in self.held.iter_mut().filter(|h| h.cookie.name() == name) {
            value.clone_into(&mut held.value);
            found = true;
        }
        found
    }

    /// Removes the cookies of this name.
    pub fn forget(&mut self, name: &str) {
        self.held.retain(|held| held.cookie.name() != name);
    }

    /// What happens when the browser is closed.
    pub fn close(&mut self) {
        self.held.retain(|held| held.ends_at.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    /// From the address bar, from a page in the background, by a link, by a form.
    fn bar() -> Initiator {
        Initiator {
            page: None,
            navigates: true,
            is_safe: true,
        }
    }

    fn from(page: &str, navigates: bool, is_safe: bool) -> Initiator {
        Initiator {
            page: Some(url(page)),
            navigates,
            is_safe,
        }
    }

    fn jar(of: &str, lines: &[&str]) -> Jar {
        let mut jar = Jar::default();
        for line in lines {
            jar.take(line, &url(of), &bar(), NOW)
                .unwrap_or_else(|why| panic!("{line}: {why}"));
        }
        jar
    }

    fn sent(jar: &Jar, to: &str, from: &Initiator) -> String {
        let sent = jar.sent(&url(to), from, NOW);
        let pairs: Vec<String> = sent.into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join("; ")
    }

    #[test]
    fn domains_and_paths_decide_where_a_cookie_goes_and_longer_paths_go_first() {
        let jar = jar(
            "https://auth.example.co.uk/api/auth/x",
            &[
                "host=1; Path=/",
                "wide=2; Path=/; Domain=.Example.co.uk",
                "deep=3; Path=/api/auth",
                "default=4",
            ],
        );
        for (to, expected) in [
            (
                "https://auth.example.co.uk/api/auth/y",
                "deep=3; default=4; host=1; wide=2",
            ),
            ("https://auth.example.co.uk/api/authority", "host=1; wide=2"),
            ("https://app.example.co.uk/api/auth/y", "wide=2"),
            ("https://example.co.uk/", "wide=2"),
            ("https://badexample.co.uk/", ""),
        ] {
            assert_eq!(sent(&jar, to, &bar()), expected, "{to}");
        }
    }

    #[test]
    fn a_cookie_goes_to_another_site_s_request_only_as_far_as_it_says() {
        let jar = jar(
            "https://auth.example.com/",
            &[
                "strict=1; SameSite=Strict",
                "lax=2; SameSite=Lax",
                "unsaid=3",
                "none=4; SameSite=None; Secure",
            ],
        );
        let to = "https://auth.example.com/";
        for (initiator, expected) in [
            (bar(), "strict=1; lax=2; unsaid=3; none=4"),
            (
                from("https://app.example.com/", false, false),
                "strict=1; lax=2; unsaid=3; none=4",
            ),
            (
                from("https://evil.test/", true, true),
                "lax=2; unsaid=3; none=4",
            ),
            (from("https://evil.test/", true, false), "none=4"),
            (from("https://evil.test/", false, true), "none=4"),
            (from("http://app.example.com/", false, true), "none=4"),
        ] {
            assert_eq!(sent(&jar, to, &initiator), expected, "{initiator:?}");
        }
    }

    #[test]
    fn a_browser_ignores_what_it_must() {
        let https = "https://auth.example.co.uk/";
        for (of, line, why) in [
            (https, "a=1; Domain=co.uk", "for a public suffix"),
            (https, "a=1; Domain=other.co.uk", "for another domain"),
            (
                https,
                "a=1; Domain=app.auth.example.co.uk",
                "for another domain",
            ),
            (
                "http://auth.example.co.uk/",
                "a=1; Secure",
                "secure, from an insecure page",
            ),
            (https, "__Secure-a=1", "__Secure- without being so"),
            (
                "http://localhost/",
                "__Secure-a=1; Secure",
                "__Secure- without being so",
            ),
            (
                https,
                "__Host-a=1; Secure; Path=/x",
                "__Host- without being so",
            ),
            (https, "__Host-a=1; Secure", "__Host- without being so"),
            (
                https,
                "__host-a=1; Secure; Path=/; Domain=example.co.uk",
                "__Host- without being so",
            ),
            (https, "a=1; SameSite=None", "SameSite=None without Secure"),
        ] {
            let taken = Jar::default().take(line, &url(of), &bar(), NOW);
            assert_eq!(taken, Err(why), "{line} of {of}");
        }
        for line in [
            "__Secure-a=1; Secure; Domain=example.co.uk",
            "__Host-a=1; Secure; Path=/",
        ] {
            assert_eq!(
                sent(&jar(https, &[line]), https, &bar()).len(),
                line.find(';').unwrap()
            );
        }
        let elsewhere = from("https://evil.test/", false, false);
        let mut jar = Jar::default();
        let taken = jar.take("a=1; SameSite=Lax", &url(https), &elsewhere, NOW);
        assert_eq!(taken, Err("from another site"));
        let mut jar = super::tests::jar(https, &["a=1; Secure; Domain=example.co.uk"]);
        let taken = jar.take("a=2", &url("http://auth.example.co.uk/"), &bar(), NOW);
        assert_eq!(taken, Err("in the place of a secure one"));
    }

    #[test]
    fn a_cookie_ends_by_its_age_before_its_date_and_is_cleared_only_where_it_stands() {
        let of = "http://localhost:4000/api/x";
        let lines = [
            "age=1; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "date=2; Expires=Thu, 01 Jan 1970 00:16:50 GMT",
            "session=3",
        ];
        let mut jar = jar(of, &lines);
        let at = |jar: &Jar, now| jar.sent(&url(of), &bar(), now).len();
        assert_eq!([NOW + 9_999, NOW + 10_000].map(|now| at(&jar, now)), [3, 1]);
        jar.take("session=; Max-Age=0; Path=/", &url(of), &bar(), NOW)
            .unwrap();
        assert_eq!(at(&jar, NOW + 10_000), 1, "another path is another cookie");
        jar.close();
        assert_eq!(at(&jar, NOW), 2);
        jar.take("age=; Max-Age=0", &url(of), &bar(), NOW).unwrap();
        assert_eq!(sent(&jar, of, &bar()), "date=2");
    }
}
