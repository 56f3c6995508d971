//! The client of a request: IP address, user agent and languages. `X-Forwarded-For` is only read from a
//! trusted proxy, and then its rightmost hop that is not a trusted proxy itself; the client may
//! have written what is left of that.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, header};
use ipnet::IpNet;

use crate::app::App;
use crate::model::audit::event::Requester;

use super::outermost::RequestId;

/// The requester of this request.
pub(in crate::http) struct Client(pub(in crate::http) Requester);

const MAX_USER_AGENT: usize = 256;
const MAX_VALUE: usize = 256;

impl FromRequestParts<Arc<App>> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let ip = address(app, &parts.extensions, &parts.headers);
        Ok(Self(Requester {
            actor: "user".into(),
            ip_address: ip.map(|ip| ip.to_string()).unwrap_or_default(),
            user_agent: user_agent(&parts.headers),
            accept_language: accept_language(&parts.headers),
            origin: short(&parts.headers, header::ORIGIN),
            request_id: parts
                .extensions
                .get::<RequestId>()
                .map(|id| id.0.clone())
                .unwrap_or_default(),
        }))
    }
}

/// Returns the IP address of the client behind the trusted proxies; `None` if the connection is
/// unknown.
pub(in crate::http) fn address(
    app: &App,
    extensions: &Extensions,
    headers: &HeaderMap,
) -> Option<IpAddr> {
    let direct = extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|c| c.0.ip().to_canonical())?;
    Some(client_ip(
        direct,
        headers,
        &app.config.server.trusted_proxies,
    ))
}

/// Returns the network of an IP address as it is shown to operators: a /24 of IPv4, a /48 of IPv6.
pub(in crate::http) fn network(ip: IpAddr) -> String {
    let bits = if ip.is_ipv4() { 24 } else { 48 };
    IpNet::new(ip, bits).map_or_else(|_| ip.to_string(), |net| net.trunc().to_string())
}

/// Finds proxies that `server.trusted_proxies` does not contain.
pub(in crate::http) struct Proxies {
    trusted: Vec<IpNet>,
    said: Mutex<HashMap<IpAddr, Instant>>,
}

/// How long until a sender is logged again.
const SAY_AGAIN: Duration = Duration::from_secs(3_600);
/// How many senders are logged in that time: a stranger must not keep the real proxy from being
/// logged, and many strangers must not fill the log.
const MOST_NAMED: usize = 16;

impl Proxies {
    pub(in crate::http) fn new(trusted: &[IpNet]) -> Self {
        Self {
            trusted: trusted.to_vec(),
            said: Mutex::default(),
        }
    }

    /// Returns the sender if it is to be logged now: it is not a trusted proxy, and was not logged
    /// in the last hour.
    fn to_be_named(&self, direct: IpAddr, now: Instant) -> Option<IpAddr> {
        if self.trusted.iter().any(|net| net.contains(&direct)) {
            return None;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|_, then| now.duration_since(*then) < SAY_AGAIN);
        if said.contains_key(&direct) || said.len() >= MOST_NAMED {
            return None;
        }
        said.insert(direct, now);
        Some(direct)
    }

    /// Logs the sender of a request if it is not trusted but sends a header of proxies: behind a
    /// proxy that is not trusted all clients count as one.
    pub(in crate::http) fn notice_untrusted(&self, request: &Request) {
        let field = ["x-forwarded-for", "forwarded"]
            .into_iter()
            .find(|name| request.headers().contains_key(*name));
        let Some(field) = field else { return };
        let direct = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|c| c.0.ip().to_canonical());
        if let Some(peer) = direct.and_then(|direct| self.to_be_named(direct, Instant::now())) {
            let all = self.trusted.iter().map(ToString::to_string);
            let listed: Vec<String> = all.chain([peer.to_string()]).collect();
            tracing::warn!(
                %peer,
                field,
                setting = "server.trusted_proxies",
                add = format!("trusted_proxies = {listed:?}"),
                "a request carries a proxy's field and its sender is not in server.trusted_proxies: if that is your proxy, add {peer} there, or all its clients count as one; \
                 the field was ignored"
            );
        }
    }
}

fn client_ip(direct: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let is_proxy = |ip: &IpAddr| proxies.iter().any(|net| net.contains(ip));
    if !is_proxy(&direct) {
        return direct;
    }
    let lines = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let chain = lines.collect::<Vec<_>>().join(",");
    let mut last = direct;
    // Each hop separately: what a client wrote further left cannot hide what the proxy appended.
    for hop in chain.rsplit(',') {
        let Some(ip) = hop_ip(hop.trim()) else { break };
        last = ip.to_canonical();
        if !is_proxy(&last) {
            break;
        }
    }
    last
}

/// Parses an IP address, which some proxies write with a port.
fn hop_ip(hop: &str) -> Option<IpAddr> {
    let bare = hop
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(hop);
    bare.parse()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|s| s.ip()))
}

/// Returns the user agent, shortened and without control characters.
pub(in crate::http) fn user_agent(headers: &HeaderMap) -> String {
    let text = headers
        .get(header::USER_AGENT)
        .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
        .unwrap_or_default();
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_USER_AGENT)
        .collect()
}

/// Returns the value of `Accept-Language`; an empty text if there is none or it is too long.
pub(in crate::http) fn accept_language(headers: &HeaderMap) -> String {
    short(headers, header::ACCEPT_LANGUAGE)
}

fn short(headers: &HeaderMap, name: HeaderName) -> String {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .filter(|value| value.len() <= MAX_VALUE)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_its_own_hop() {
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let ip = |direct: &str, forwarded: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                "x-forwarded-for",
                axum::http::HeaderValue::from_bytes(forwarded.as_bytes()).unwrap(),
            );
            client_ip(direct.parse().unwrap(), &headers, &proxies).to_string()
        };
        assert_eq!(
            ip("192.0.2.1", "198.51.100.7"),
            "192.0.2.1",
            "a stranger's header is not read"
        );
        assert_eq!(
            ip("10.0.0.1", "203.0.113.9, 198.51.100.7"),
            "198.51.100.7",
            "the leftmost hop is written by the client"
        );
        assert_eq!(ip("10.0.0.1", "198.51.100.7, 10.0.0.2"), "198.51.100.7");
        assert_eq!(ip("10.0.0.1", "garbage"), "10.0.0.1");
        assert_eq!(ip("10.0.0.1", "\u{ff}\u{fe}, 198.51.100.7"), "198.51.100.7");
        assert_eq!(ip("10.0.0.1", "198.51.100.7:51234"), "198.51.100.7");
        assert_eq!(ip("10.0.0.1", "[2001:db8::1]:443"), "2001:db8::1");
    }
}
