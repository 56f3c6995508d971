//! Who presented a refresh token: where from, with what, since when. Kept sealed in the session's
//! row and opened only when a spent token was used again, so that the owner and an operator see
//! both sides.

use std::net::IpAddr;

use crate::model::kernel::time::Timestamp;
use crate::model::kernel::user_agent::device;

/// Bytes of an agent that are kept.
pub const KEPT_AGENT: usize = 160;

/// One side of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presenter {
    /// Empty if unknown.
    pub ip_address: String,
    /// Empty if unknown.
    pub user_agent: String,
    /// The first refresh of an unbroken run of refreshes by this side.
    pub since: Timestamp,
}

impl Presenter {
    /// Such as `Firefox on Linux`.
    pub fn device(&self) -> String {
        device(&self.user_agent).unwrap_or_else(|| "an unknown device".into())
    }

    /// The network, as a mail names it: an IPv4 /24 or an IPv6 /64.
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
            Err(_) => "unknown".into(),
        }
    }

    /// Whether it looks like the same side: the same agent from the same network.
    pub fn looks_like(&self, other: &Self) -> bool {
        self.network() == other.network() && self.kept_agent() == other.kept_agent()
    }

    /// As much of the agent as is kept.
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
}
