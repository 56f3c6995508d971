//! The `Domain` attribute of the service's cookies: the public host or a domain above it that
//! belongs to one registrant. Browsers refuse every other domain, or would send the cookies to
//! hosts of others.

use url::{Host, Url};

/// A domain whose hosts all receive the cookies, in lower case and punycode. It contains no
/// character that ends an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieDomain(String);

/// The reason why a text is not a valid cookie domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCookieDomain {
    /// It contains something other than the labels of a name.
    #[error("write a domain such as example.com, without scheme, port, path or spaces")]
    Malformed,
    /// IP addresses have no subdomains.
    #[error("an IP address has no domain; leave it empty")]
    Address,
    /// Browsers do not send cookies of that domain to the public host.
    #[error("must be {host}, the host of server.public_url, or a domain above it")]
    Elsewhere {
        /// The public host, for the message.
        host: String,
    },
    /// Different registrants own the names below it, and browsers refuse cookies for it.
    #[error(
        "{0} is a public suffix, below which different owners have hosts; browsers refuse cookies for it. Leave it empty for cookies of this host alone"
    )]
    PublicSuffix(String),
}

impl CookieDomain {
    /// Checks a domain against the public URL. A leading dot, upper case and characters of other
    /// scripts are normalised.
    pub fn parse(text: &str, public_url: &Url) -> Result<Self, InvalidCookieDomain> {
        let name = text.strip_prefix('.').unwrap_or(text);
        let labels =
            |name: &str| !name.is_empty() && name.split('.').all(|label| !label.is_empty());
        // The parser below decodes percent-encoding, but header values are not decoded.
        if !labels(name) || name.contains(|c: char| c == '%' || c.is_whitespace() || c.is_control())
        {
            return Err(InvalidCookieDomain::Malformed);
        }
        let name = match Host::parse(name) {
            Ok(Host::Domain(name)) if labels(&name) => name,
            Ok(Host::Domain(_)) | Err(_) => return Err(InvalidCookieDomain::Malformed),
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) => return Err(InvalidCookieDomain::Address),
        };
        let Some(Host::Domain(host)) = public_url.host() else {
            return Err(InvalidCookieDomain::Address);
        };
        if host != name
            && !host
                .strip_suffix(&name)
                .is_some_and(|labels| labels.ends_with('.'))
        {
            return Err(InvalidCookieDomain::Elsewhere {
                host: host.to_owned(),
            });
        }
        if psl::domain_str(&name).is_none() {
            return Err(InvalidCookieDomain::PublicSuffix(name));
        }
        Ok(Self(name))
    }

    /// Returns the public host and every domain above it that a cookie can have, the host first.
    /// Returns nothing for an IP address and for a name such as `localhost`.
    pub fn all(public_url: &Url) -> Vec<Self> {
        let Some(Host::Domain(host)) = public_url.host() else {
            return Vec::new();
        };
        let above = std::iter::successors(Some(host), |name| {
            name.split_once('.').map(|(_, above)| above)
        });
        above
            .map_while(|name| Self::parse(name, public_url).ok())
            .collect()
    }

    /// Returns the domain name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, public_url: &str) -> Result<String, InvalidCookieDomain> {
        CookieDomain::parse(text, &public_url.parse().unwrap()).map(|domain| domain.0)
    }

    #[test]
    fn a_cookie_domain_is_the_host_or_above_it_and_below_a_public_suffix() {
        let here = "https://auth.eu.example.co.uk";
        for (text, name) in [
            ("auth.eu.example.co.uk", "auth.eu.example.co.uk"),
            ("eu.example.co.uk", "eu.example.co.uk"),
            (".example.co.uk", "example.co.uk"),
            ("EXAMPLE.co.UK", "example.co.uk"),
        ] {
            assert_eq!(parse(text, here).as_deref(), Ok(name));
        }
        assert_eq!(
            parse("Bücher.example", "https://auth.xn--bcher-kva.example").as_deref(),
            Ok("xn--bcher-kva.example")
        );
        for elsewhere in [
            "other.co.uk",
            "ample.co.uk",
            "www.auth.eu.example.co.uk",
            "example.com",
            "fly.dev",
        ] {
            assert!(
                matches!(
                    parse(elsewhere, here),
                    Err(InvalidCookieDomain::Elsewhere { .. })
                ),
                "{elsewhere}"
            );
        }
        for (suffix, url) in [
            ("co.uk", here),
            ("uk", here),
            ("fly.dev", "https://app.fly.dev"),
            ("github.io", "https://me.github.io"),
            ("com", "https://example.com"),
            ("localhost", "http://localhost:4000"),
            ("internal", "https://auth.internal"),
            ("公司.cn", "https://auth.example.xn--55qx5d.cn"),
            ("anything.ck", "https://www.shop.anything.ck"),
        ] {
            assert!(
                matches!(
                    parse(suffix, url),
                    Err(InvalidCookieDomain::PublicSuffix(_))
                ),
                "{suffix}: {:?}",
                parse(suffix, url)
            );
        }
        for malformed in [
            "evil; Path=/x",
            "example.co.uk\r\nSet-Cookie: a=b",
            "example.co.uk\n",
            "",
            ".",
            "..example.co.uk",
            "example.co.uk.",
            "https://example.co.uk",
            "example.co.uk:443",
            "example.co.uk/",
            "a@example.co.uk",
            "ex%61mple.co.uk",
            "exa mple.co.uk",
            "*.example.co.uk",
            "example.co.uk,b.co.uk",
            "\"example.co.uk\"",
        ] {
            let refused = parse(malformed, here);
            assert!(
                matches!(
                    refused,
                    Err(InvalidCookieDomain::Malformed | InvalidCookieDomain::Elsewhere { .. })
                ),
                "{malformed:?}: {refused:?}"
            );
        }
        for (address, url) in [
            ("127.0.0.1", "http://127.0.0.1:4000"),
            ("[::1]", "http://[::1]:4000"),
            ("10.0.0.1", here),
            ("example.com", "http://127.0.0.1:4000"),
        ] {
            assert_eq!(
                parse(address, url),
                Err(InvalidCookieDomain::Address),
                "{address}"
            );
        }
    }

    #[test]
    fn the_domains_of_a_host_end_below_the_public_suffix() {
        let all = |url: &str| {
            CookieDomain::all(&url.parse().unwrap())
                .into_iter()
                .map(|d| d.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            all("https://auth.example.co.uk"),
            ["auth.example.co.uk", "example.co.uk"]
        );
        assert_eq!(all("https://app.fly.dev"), ["app.fly.dev"]);
        for none in [
            "http://localhost:4000",
            "http://127.0.0.1:4000",
            "http://[::1]",
        ] {
            assert!(all(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn a_name_with_an_empty_label_is_malformed_in_every_script() {
        let url = Url::parse("https://auth.example.co.uk").unwrap();
        for text in [
            "",
            ".",
            "..example.co.uk",
            "a..b",
            "example\u{3002}\u{3002}com",
        ] {
            let refused = CookieDomain::parse(text, &url).unwrap_err();
            assert!(
                matches!(refused, InvalidCookieDomain::Malformed),
                "{text:?}"
            );
        }
        let good = CookieDomain::parse(".Example.co.uk", &url).unwrap();
        assert_eq!(good.as_str(), "example.co.uk");
    }
}
