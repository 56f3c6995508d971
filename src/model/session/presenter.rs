//! The presenter of a refresh token: IP address, user agent and since when. Kept sealed in the
//! session's row and opened only when a spent token is used again, so that the owner and an
//! operator can see both sides.

use std::net::IpAddr;

use crate::model::kernel::time::Timestamp;
use crate::model::kernel::user_agent::device_in_english;

/// How many bytes of a user agent are kept.
pub const KEPT_AGENT: usize = 160;

/// What stands for the network of an IP address that is not known.
pub const UNKNOWN_NETWORK: &str = "unknown";

/// One side that has used a session's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presenter {
    /// IP address; empty if unknown.
    pub ip_address: String,
    /// User agent; empty if unknown.
    pub user_agent: String,
    /// When the unbroken run of refreshes by this side began.
    pub since: Timestamp,
}

impl Presenter {
    /// Returns a short name of the device, such as `Firefox on Linux`.
    pub fn device(&self) -> String {
        device_in_english(&self.user_agent)
    }

    /// Returns the network as mails name it: an IPv4 /24 or an IPv6 /64.
    pub fn network(&self) -> String {
        match self
            .ip_address
            .parse::<IpAddr>()
            .map(|ip| ip.to_canonical())
        {
            Ok(IpAddr::V4(v4)) => {
                let [a, b, c, _] = v4.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            Ok(IpAddr::V6(v6)) => {
                let [a, b, c, d, ..] = v6.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
            Err(_) => UNKNOWN_NETWORK.into(),
        }
    }

    /// Returns whether both have the same user agent and the same network.
    pub fn looks_like(&self, other: &Self) -> bool {
        self.network() == other.network() && self.kept_agent() == other.kept_agent()
    }

    /// Returns the part of the user agent that is kept.
    pub fn kept_agent(&self) -> &str {
        &self.user_agent[..self.user_agent.floor_char_boundary(KEPT_AGENT)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_names_networks_and_not_addresses() {
        let network = |ip: &str| {
            Presenter {
                ip_address: ip.into(),
                user_agent: String::new(),
                since: Timestamp(0),
            }
            .network()
        };
        for (ip, says) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("", "unknown"),
        ] {
            assert_eq!(network(ip), says, "{ip}");
        }
    }

    #[test]
    fn the_same_agent_from_the_same_network_looks_like_the_same_side() {
        const FIREFOX: &str =
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        let presenter = |ip: &str, agent: &str| Presenter {
            ip_address: ip.into(),
            user_agent: agent.into(),
            since: Timestamp(0),
        };
        let one = presenter("192.0.2.1", FIREFOX);
        assert_eq!(one.device(), "Firefox on Linux");
        assert_eq!(presenter("", "").device(), "an unknown device");
        assert!(one.looks_like(&presenter("192.0.2.9", FIREFOX)));
        assert!(!one.looks_like(&presenter("192.0.3.1", FIREFOX)));
        assert!(!one.looks_like(&presenter("192.0.2.1", "curl")));
        // What is behind the kept part tells no two sides apart.
        let long = |end: &str| presenter("", &format!("{}{end}", "é".repeat(KEPT_AGENT / 2)));
        assert_eq!(long("x").kept_agent().len(), KEPT_AGENT);
        assert!(long("x").looks_like(&long("y")));
    }
}
