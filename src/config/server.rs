//! `[server]`: the public URL, the listeners, trusted proxies, limits of connections.

use super::mask;
use super::reader::Reader;
use super::{OpsListen, Server};
use crate::config::units::{HOUR, MINUTE, SECOND};
use crate::model::kernel::loopback::{LOOPBACK, is_loopback};
use crate::model::kernel::mount::{Mount, PAGES, check_pages_path};
use crate::model::kernel::origin::{OriginPattern, TrustedOrigins};
use crate::model::kernel::web_url;
use url::Url;

impl Server {
    /// Returns whether only this machine can use the public URL.
    pub fn is_on_loopback(&self) -> bool {
        let host = self.public_url.host_str();
        is_loopback(host.unwrap_or_default())
    }
}

pub(super) fn public_url(r: &mut Reader, allow_insecure: bool) -> Url {
    let parse = |text: &str| {
        let url = web_url::parse(text).map_err(|e| e.to_string())?;
        let host = url.host_str().ok_or("name a host")?.to_owned();
        let is_bare = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !is_bare {
            return Err(format!(
                "write {:?} as http(s)://host[:port][/path], nothing else",
                mask::url(text)
            ));
        }
        let loopback = LOOPBACK.contains(&host.as_str());
        if url.scheme() == "http" && !loopback && !allow_insecure {
            return Err("http would send passwords and cookies unencrypted; use https, or set server.allow_insecure".into());
        }
        Ok(url)
    };
    let fallback = || Url::parse("http://localhost:4000").expect("a constant URL");
    r.parsed("server.public_url", "http://localhost:4000", parse)
        .unwrap_or_else(fallback)
}

pub(super) fn server(r: &mut Reader, public_url: Url) -> Server {
    let base_path = r.parsed("server.base_path", "/api/auth", |text| {
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b));
        let good = text.starts_with('/')
            && (2..=128).contains(&text.len())
            && !text.ends_with('/')
            && !text.contains("//")
            && plain
            && !text.starts_with("/.well-known");
        if good {
            Ok(text.to_owned())
        } else {
            Err("write a path such as /api/auth".to_owned())
        }
    });
    let listed = r.list("server.trusted_origins", |text| {
        text.parse::<OriginPattern>().map_err(|e| e.to_string())
    });
    let base_path = base_path.unwrap_or_default();
    let pages = r.parsed("pages.path", PAGES, |text| {
        // Whether the default and the path of the API collide depends on `pages.enabled`.
        if text != PAGES {
            check_pages_path(text, &base_path)?;
        }
        Ok(text.to_owned())
    });
    let mount = Mount::of(&public_url, &base_path, pages.as_deref().unwrap_or(PAGES))
        .map_err(|problem| r.problem("server.public_url", problem))
        .unwrap_or_default();
    let max_connections = r.number("server.max_connections", 10_000, 1..=1_000_000) as usize;
    Server {
        listen: r
            .value(
                "server.listen",
                "127.0.0.1:4000",
                "an address such as 127.0.0.1:4000",
            )
            .unwrap_or_else(|| ([127, 0, 0, 1], 4000).into()),
        ops_listen: ops_listen(r),
        trusted_origins: TrustedOrigins::new(&public_url, listed),
        trusted_proxies: r.list("server.trusted_proxies", |text| {
            let address = text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
            let net: ipnet::IpNet = text
                .parse()
                .or(address)
                .map_err(|_| "write a network such as 10.0.0.0/8".to_owned())?;
            // The IP address of a peer never has the form of IPv4 inside IPv6: such a network would
            // match no peer.
            match net.addr().to_canonical() {
                std::net::IpAddr::V4(v4) if net.addr().is_ipv6() => {
                    ipnet::Ipv4Net::new(v4, net.prefix_len().saturating_sub(96))
                        .ok()
                        .filter(|_| net.prefix_len() > 96)
                        .map(ipnet::IpNet::from)
                        .ok_or_else(|| "write the IPv4 network, such as 10.0.0.0/8".to_owned())
                }
                _ => Ok(net),
            }
        }),
        max_connections,
        max_connections_per_network: per_network(r, max_connections),
        max_requests: r.number("server.max_requests", 1_000, 1..=1_000_000) as usize,
        header_timeout: r.duration("server.header_timeout", "30s", SECOND..=10 * MINUTE),
        keep_alive: r.duration("server.keep_alive", "75s", SECOND..=HOUR),
        base_path,
        mount,
        public_url,
    }
}

/// Reads the limit for one network; `auto` is a quarter of all.
pub(super) fn per_network(r: &mut Reader, all: usize) -> usize {
    let parse = |text: &str| match text {
        "auto" => Ok(all.div_ceil(4)),
        number => number
            .parse()
            .ok()
            .filter(|n| (1..=1_000_000).contains(n))
            .ok_or_else(|| format!("{text:?} is neither auto nor a number from 1 to 1000000")),
    };
    let most = r
        .parsed("server.max_connections_per_network", "auto", parse)
        .unwrap_or(all);
    r.became_if(
        "server.max_connections_per_network",
        "auto",
        &most.to_string(),
        "it is a quarter of server.max_connections",
    );
    most
}

pub(super) fn ops_listen(r: &mut Reader) -> Option<OpsListen> {
    let parse = |text: &str| match text {
        "off" => Ok(None),
        address => address
            .parse()
            .map(Some)
            .map_err(|_| "write an IP address and port such as 127.0.0.1:9400, or off".to_owned()),
    };
    let address = r
        .parsed("server.ops_listen", "127.0.0.1:9400", parse)
        .flatten()?;
    Some(OpsListen {
        address,
        asked: r.was_set("server.ops_listen"),
    })
}
