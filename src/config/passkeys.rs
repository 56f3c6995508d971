//! `[passkeys]`: the domain that passkeys are made for, and the origins whose pages may use them.

use url::Host;

use super::Server;
use super::reader::Reader;
use crate::model::kernel::loopback::LOOPBACK;
use crate::model::kernel::origin::OriginPattern;
use crate::model::kernel::web_url::is_host;

/// `[passkeys]`
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "docs/settings.md describes every setting")]
pub struct Passkeys {
    pub rp_id: String,
    pub origins: Vec<OriginPattern>,
}

impl Passkeys {
    /// Returns whether pages of this origin may use passkeys.
    pub fn admits(&self, origin: &str) -> bool {
        self.origins.iter().any(|pattern| pattern.admits(origin))
    }

    /// Lists the origins that browsers have to be told of, because they are outside the domain of the
    /// passkeys.
    pub fn related(&self) -> Vec<String> {
        self.origins
            .iter()
            .filter(|pattern| !is_within(pattern, &self.rp_id))
            .map(ToString::to_string)
            .filter(|origin| origin.starts_with("https://"))
            .collect()
    }
}

/// Returns whether the host of an origin is the domain or one below it.
fn is_within(pattern: &OriginPattern, rp_id: &str) -> bool {
    pattern.host().is_some_and(|host| {
        host == rp_id
            || host
                .strip_suffix(rp_id)
                .is_some_and(|rest| rest.ends_with('.'))
    })
}

fn rp_id(text: &str) -> Result<String, String> {
    if text.is_empty() || is_host(text) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("write a domain such as example.com, without scheme and port".to_owned())
    }
}

fn origin(text: &str) -> Result<OriginPattern, String> {
    text.parse::<OriginPattern>().map_err(|e| e.to_string())
}

pub(super) fn read(r: &mut Reader, server: &Server) -> Passkeys {
    let host = server.public_url.host_str().unwrap_or_default();
    let written = r.parsed("passkeys.rp_id", "", rp_id);
    let rp_id = written.filter(|id| !id.is_empty());
    r.became_if(
        "passkeys.rp_id",
        "",
        host,
        "it is the host of server.public_url",
    );
    let rp_id = rp_id.unwrap_or_else(|| host.to_owned());
    let listed = r.list("passkeys.origins", origin);
    let is_default = listed.is_empty();
    let origins = if is_default {
        // Browsers refuse an address in place of a domain, so of the loopback names only one is left.
        let own = server.trusted_origins.own().iter();
        let trusted = server.trusted_origins.listed().iter();
        own.chain(trusted)
            .filter(|pattern| is_within(pattern, &rp_id))
            .cloned()
            .collect()
    } else {
        listed
    };
    let passkeys = Passkeys { rp_id, origins };
    if is_default {
        let all: Vec<String> = passkeys.origins.iter().map(ToString::to_string).collect();
        r.became_if(
            "passkeys.origins",
            "",
            &all.join(","),
            "they are the origin of server.public_url and the trusted origins within passkeys.rp_id",
        );
    }
    tell(r, &passkeys);
    passkeys
}

/// Warns where browsers would refuse to make or use passkeys.
fn tell(r: &mut Reader, passkeys: &Passkeys) {
    let rp_id = passkeys.rp_id.as_str();
    let is_local = rp_id == "localhost" || LOOPBACK.contains(&rp_id);
    if !matches!(Host::parse(rp_id), Ok(Host::Domain(_))) && !is_local {
        r.warnings.push(format!(
            "passkeys.rp_id: browsers make no passkeys for the address {rp_id}; set a domain"
        ));
    }
    if passkeys.origins.is_empty() {
        r.warnings.push(format!(
            "passkeys.rp_id: no page may use passkeys, because neither server.public_url nor a trusted origin is within {rp_id}; set passkeys.rp_id to their domain, or passkeys.origins"
        ));
    }
    for pattern in &passkeys.origins {
        let origin = pattern.to_string();
        let host = pattern.host().unwrap_or_default();
        if origin.starts_with("http://") && !LOOPBACK.contains(&host) {
            r.warnings.push(format!(
                "passkeys.origins: browsers use no passkeys on {origin}, because it is not https"
            ));
        } else if pattern.host().is_some() && !is_within(pattern, rp_id) {
            r.warnings.push(format!(
                "passkeys.origins: {origin} is outside {rp_id}; browsers that know related origins find it in https://{rp_id}/.well-known/webauthn"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Sources};

    fn load(pairs: &[(&str, &str)]) -> Config {
        let flags = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::load(&Sources {
            flags: flags.collect(),
            ..Sources::default()
        })
        .unwrap()
    }

    #[test]
    fn the_defaults_are_the_service_itself_and_the_trusted_origins_below_its_domain() {
        let config = load(&[]);
        assert_eq!(config.passkeys.rp_id, "localhost");
        assert!(config.passkeys.admits("http://localhost:4000"));
        assert!(!config.passkeys.admits("http://127.0.0.1:4000"));
        assert!(config.passkeys.related().is_empty());
        let config = load(&[
            ("server.public_url", "https://auth.example.com"),
            ("passkeys.rp_id", "example.com"),
            (
                "server.trusted_origins",
                "https://app.example.com,https://*.dev.example.com,https://example.org,https://badexample.com,myapp://",
            ),
        ]);
        for (origin, is_admitted) in [
            ("https://auth.example.com", true),
            ("https://app.example.com", true),
            ("https://a.dev.example.com", true),
            ("https://a.b.dev.example.com", false),
            ("https://example.com", false),
            ("https://example.org", false),
            ("https://badexample.com", false),
            ("http://auth.example.com", false),
            ("https://auth.example.com:8443", false),
            ("https://auth.example.com/", false),
            ("myapp://", false),
            ("null", false),
        ] {
            assert_eq!(config.passkeys.admits(origin), is_admitted, "{origin}");
        }
    }

    #[test]
    fn a_domain_that_no_page_has_is_told_to_the_operator() {
        let settings = |rp_id| {
            [
                ("server.public_url", "https://auth.example.com"),
                ("passkeys.rp_id", rp_id),
            ]
        };
        let told = |rp_id| {
            load(&settings(rp_id))
                .warnings
                .iter()
                .any(|w| w.contains("no page may use passkeys"))
        };
        assert!(told("example.org"));
        assert!(!told("example.com"));
    }

    #[test]
    fn an_origin_outside_the_domain_is_told_to_browsers_and_to_the_operator() {
        let config = load(&[
            ("server.public_url", "https://auth.example.com"),
            (
                "passkeys.origins",
                "https://auth.example.com,https://example.org,https://pay.auth.example.com",
            ),
        ]);
        assert_eq!(config.passkeys.related(), ["https://example.org"]);
        let warnings = config.warnings.join("\n");
        assert!(warnings.contains("https://example.org is outside auth.example.com"));
        assert!(!warnings.contains("pay.auth.example.com"), "{warnings}");
    }

    #[test]
    fn what_browsers_refuse_is_warned_of() {
        for (pairs, words) in [
            (
                &[
                    ("server.public_url", "https://192.0.2.1"),
                    ("mail.transport", "file"),
                ][..],
                "no passkeys for the address 192.0.2.1",
            ),
            (
                &[
                    ("server.public_url", "https://auth.example.com"),
                    ("passkeys.origins", "http://auth.example.com"),
                ],
                "http://auth.example.com, because it is not https",
            ),
        ] {
            let warnings = load(pairs).warnings.join("\n");
            assert!(warnings.contains(words), "{warnings}");
        }
        for bad in [
            "https://example.com",
            "example.com:443",
            "a b",
            "example..com",
        ] {
            let flags = vec![("passkeys.rp_id".to_owned(), bad.to_owned())];
            let sources = Sources {
                flags,
                ..Sources::default()
            };
            let problems = Config::load(&sources).unwrap_err();
            assert_eq!(problems[0].key, "passkeys.rp_id", "{bad}");
        }
    }
}
