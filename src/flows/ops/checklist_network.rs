//! The items of the start-up checklist about URLs, origins and proxies.

use url::Url;

use crate::config::Config;
use crate::model::kernel::loopback::is_loopback;
use crate::model::kernel::origin::OriginPattern;

use super::diagnosis::Finding;

pub(super) fn at_public_url(config: &Config, path: &str) -> String {
    let server = &config.server;
    server
        .mount
        .on_host(&format!("{}{path}", server.mount.api()))
}

pub(super) fn pages(config: &Config) -> Finding {
    let mount = &config.server.mount;
    if config.pages.enabled {
        Finding::good("sign-in pages", mount.on_host(&mount.outside("/auth")))
    } else {
        Finding::good("sign-in pages", "off (pages.enabled)")
    }
}

pub(super) fn discovery(config: &Config) -> String {
    let issuer = config.tokens.issuer.as_str().trim_end_matches('/');
    format!("{issuer}/.well-known/openid-configuration")
}

fn texts(origins: &[OriginPattern]) -> String {
    let all: Vec<String> = origins.iter().map(ToString::to_string).collect();
    all.join(", ")
}

/// Returns whether pages of this origin are sent unencrypted or by the user's own machine.
fn is_unprotected(origin: &OriginPattern) -> bool {
    let text = origin.to_string();
    let is_near = || Url::parse(&text).is_ok_and(|url| url.host_str().is_some_and(is_loopback));
    text.starts_with("http://") || text.starts_with("https://") && is_near()
}

pub(super) fn origins(config: &Config) -> Finding {
    let trusted = &config.server.trusted_origins;
    let own = texts(trusted.own());
    if trusted.listed().is_empty() {
        return Finding::good(
            "trusted origins",
            format!(
                "pages of this service alone ({own}); add the origins of other pages to server.trusted_origins"
            ),
        );
    }
    let says = format!("{} and this service ({own})", texts(trusted.listed()));
    let unprotected: Vec<OriginPattern> = trusted
        .listed()
        .iter()
        .filter(|origin| is_unprotected(origin) && !config.server.is_on_loopback())
        .cloned()
        .collect();
    if unprotected.is_empty() {
        Finding::good("trusted origins", says)
    } else {
        Finding::warning(
            "trusted origins",
            format!(
                "{says}; without https, or on the user's own machine, other programs can act as such a page: remove {} from server.trusted_origins",
                texts(&unprotected)
            ),
        )
    }
}

pub(super) fn proxies(config: &Config) -> Finding {
    let networks = &config.server.trusted_proxies;
    let names: Vec<String> = networks.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    if networks.iter().any(|network| network.prefix_len() == 0) {
        Finding::warning(
            "trusted proxies",
            format!(
                "{names}: every client may write the IP address that it is counted by; name only your proxy in server.trusted_proxies"
            ),
        )
    } else if !networks.is_empty() {
        Finding::good("trusted proxies", names)
    } else if config.is_https() {
        Finding::warning(
            "trusted proxies",
            "none, but the public URL is https and this program speaks http: behind a proxy all clients count as one, and one client's failures use up the limits of all; name the proxy's IP address or network in server.trusted_proxies",
        )
    } else {
        Finding::good("trusted proxies", "none: clients connect directly")
    }
}
