//! Requests to addresses that come from another issuer's discovery document: an issuer that lies, or
//! whose name server does, must not make this program ask a server of its own net. The IP address
//! that is checked is the one that is used: the check stands in the resolver of the client.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName};
use reqwest::redirect::Policy;
use reqwest::{Request, StatusCode};
use url::{Host, Url};

use super::public_ip::is_public;

/// Which servers a request may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Servers of the public internet, by https.
    Public,
    /// Servers of one's own net, too: any IP address by https, and this machine also by http.
    Private,
}

/// How long a whole request may take, and how long its answer may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// From the beginning to the last byte of the answer.
    pub time: Duration,
    /// The greatest number of bytes of the body.
    pub bytes: usize,
}

/// What a server has answered.
#[derive(Debug)]
pub struct Answer {
    /// The status code; never that of a redirect.
    pub status: StatusCode,
    /// The whole body of the answer.
    pub body: Vec<u8>,
    headers: HeaderMap,
}

impl Answer {
    /// Returns a header as text.
    fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the value of `Content-Type`.
    pub fn content_type(&self) -> Option<&str> {
        self.header(CONTENT_TYPE)
    }

    /// Returns for how many seconds from now the answer may be kept by its `Cache-Control` and `Age`
    /// (RFC 9111 section 4.2): zero if it may not, `None` if it does not say it.
    pub fn keeps_for(&self) -> Option<u64> {
        let directives = self.header(CACHE_CONTROL)?.to_ascii_lowercase();
        let mut directives = directives.split(',').map(str::trim);
        if directives
            .clone()
            .any(|one| ["no-store", "no-cache"].contains(&one))
        {
            return Some(0);
        }
        let longest = directives.find_map(|one| one.strip_prefix("max-age="))?;
        let longest: u64 = longest.trim_matches('"').parse().ok()?;
        let age = self.header(AGE).and_then(|age| age.trim().parse().ok());
        Some(longest.saturating_sub(age.unwrap_or(0)))
    }
}

/// The clients for the addresses of other issuers.
#[derive(Debug, Clone)]
pub struct Guarded {
    public: reqwest::Client,
    private: reqwest::Client,
}

impl Guarded {
    /// Makes the clients, which keep connections for later requests.
    ///
    /// # Errors
    /// Why the library cannot make a client.
    pub fn new() -> Result<Self, String> {
        let builder = || {
            reqwest::Client::builder()
                .redirect(Policy::none())
                .no_proxy()
                .user_agent("countersign")
        };
        let built = |builder: reqwest::ClientBuilder| builder.build().map_err(|e| e.to_string());
        Ok(Self {
            public: built(builder().dns_resolver(PublicOnly))?,
            private: built(builder())?,
        })
    }

    /// Sends a request and returns the whole answer.
    ///
    /// # Errors
    /// The reason as a fixed text, which names nothing of the other side. A redirect is one.
    pub async fn send(
        &self,
        mut request: Request,
        reach: Reach,
        bounds: Bounds,
    ) -> Result<Answer, String> {
        check(request.url(), reach)?;
        *request.timeout_mut() = Some(bounds.time);
        let client = match reach {
            Reach::Public => &self.public,
            Reach::Private => &self.private,
        };
        let mut answer = client.execute(request).await.map_err(|e| reason(&e))?;
        let status = answer.status();
        if status.is_redirection() {
            return Err("the server answered with a redirect".into());
        }
        let is_announced = |length| length > bounds.bytes as u64;
        if answer.content_length().is_some_and(is_announced) {
            return Err(TOO_LONG.into());
        }
        let headers = std::mem::take(answer.headers_mut());
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|e| reason(&e))? {
            if body.len() + part.len() > bounds.bytes {
                return Err(TOO_LONG.into());
            }
            body.extend_from_slice(&part);
        }
        Ok(Answer {
            status,
            body,
            headers,
        })
    }
}

const TOO_LONG: &str = "the answer is too long";
const NOT_PUBLIC: &str = "the server is not on the public internet";

/// Checks a URL before it is asked, or before a browser is sent there: its scheme and, where its host
/// is an IP address, that address. The resolver checks names.
///
/// # Errors
/// The reason as a fixed text.
pub fn check(url: &Url, reach: Reach) -> Result<(), String> {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) => None,
        None => return Err("the URL has no host".into()),
    };
    let is_near = match (url.host(), address) {
        (Some(Host::Domain(name)), _) => name == "localhost",
        (_, address) => address.is_some_and(|address| address.is_loopback()),
    };
    let is_safe =
        url.scheme() == "https" || url.scheme() == "http" && is_near && reach == Reach::Private;
    if !is_safe {
        return Err("the URL is not https".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL holds a credential".into());
    }
    if reach == Reach::Public && address.is_some_and(|address| !is_public(address)) {
        return Err(NOT_PUBLIC.into());
    }
    Ok(())
}

/// A resolver that knows public IP addresses only.
struct PublicOnly;

/// A name has no public IP address.
#[derive(Debug, thiserror::Error)]
#[error("{NOT_PUBLIC}")]
struct NotPublic;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(public(found)?)
        })
    }
}

/// Keeps the public ones of the IP addresses that a name has.
fn public(found: impl Iterator<Item = SocketAddr>) -> Result<Addrs, NotPublic> {
    let public: Vec<SocketAddr> = found.filter(|found| is_public(found.ip())).collect();
    if public.is_empty() {
        Err(NotPublic)
    } else {
        Ok(Box::new(public.into_iter()))
    }
}

/// Returns the reason as a fixed text.
fn reason(error: &reqwest::Error) -> String {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<NotPublic>() {
            return NOT_PUBLIC.into();
        }
        next = error.source();
    }
    super::reason(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_https_and_public_unless_the_own_net_is_allowed() {
        for (url, public, private) in [
            ("https://id.example.com/x", true, true),
            ("https://1.1.1.1/", true, true),
            ("https://10.0.0.1/", false, true),
            ("https://169.254.169.254/latest", false, true),
            ("https://[::1]/", false, true),
            ("https://[::ffff:a9fe:a9fe]/", false, true),
            ("https://2130706433/", false, true),
            ("https://0x7f.1/", false, true),
            ("http://127.0.0.1:9000/", false, true),
            ("http://[::1]:9000/", false, true),
            ("http://localhost:9000/", false, true),
            ("http://id.example.com/", false, false),
            ("http://10.0.0.1/", false, false),
            ("http://localhost.example/", false, false),
            ("https://user@id.example.com/", false, false),
            ("https://user:secret@id.example.com/", false, false),
            ("ftp://id.example.com/", false, false),
            ("file:///etc/passwd", false, false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(check(&url, Reach::Public).is_ok(), public, "{url}");
            assert_eq!(check(&url, Reach::Private).is_ok(), private, "{url}");
        }
    }

    #[test]
    fn of_the_addresses_of_a_name_the_public_ones_are_used() {
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let [near, far] = ["127.0.0.1", "1.1.1.1"].map(address);
        let found: Vec<_> = public([near, far].into_iter()).unwrap().collect();
        assert_eq!(found, [far]);
        assert!(public([near].into_iter()).is_err());
        assert!(public(std::iter::empty()).is_err());
    }

    /// `localhost` is a name as any other for the resolver, and its addresses are not public.
    #[tokio::test]
    async fn a_name_whose_addresses_are_not_public_is_not_asked() {
        let client = Guarded::new().unwrap();
        let url = Url::parse("https://localhost:1/").unwrap();
        let bounds = Bounds {
            time: Duration::from_secs(5),
            bytes: 10,
        };
        let request = || Request::new(reqwest::Method::GET, url.clone());
        let refused = client.send(request(), Reach::Public, bounds).await;
        assert_eq!(refused.unwrap_err(), NOT_PUBLIC);
        let tried = client.send(request(), Reach::Private, bounds).await;
        assert!(tried.unwrap_err().starts_with("no connection"));
    }

    #[test]
    fn an_answer_is_kept_as_long_as_it_says() {
        for (control, age, kept) in [
            (Some("public, max-age=3600"), None, Some(3_600)),
            (Some("MAX-AGE=\"60\""), None, Some(60)),
            (Some("max-age=3600"), Some("600"), Some(3_000)),
            (Some("max-age=3600"), Some("6000"), Some(0)),
            (Some("no-store, max-age=3600"), None, Some(0)),
            (Some("no-cache"), None, Some(0)),
            (Some("private"), None, None),
            (Some("max-age=x"), None, None),
            (None, None, None),
        ] {
            let named = [(CACHE_CONTROL, control), (AGE, age)];
            let headers = named
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?.parse().unwrap())));
            let answer = Answer {
                status: StatusCode::OK,
                body: Vec::new(),
                headers: headers.collect(),
            };
            assert_eq!(answer.keeps_for(), kept, "{control:?} {age:?}");
        }
    }
}
