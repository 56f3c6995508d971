//! The networks that an IP address belongs to, and the limit of each: an IPv6 customer has a whole
//! prefix, so limits count prefixes instead of addresses.

use super::rate::{Quota, Rule};
use std::net::{IpAddr, Ipv4Addr};

/// The size of the network that is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// An IPv4 address, or the /64 of one link.
    Link,
    /// The /56 that a provider gives to one customer (RIPE-690).
    Customer,
    /// The /48 of a site: a campus, or one customer of a tunnel or a data centre.
    Site,
}

impl Reach {
    /// Returns the limit of a rule for networks of this size. A customer has a quarter more than a
    /// single link or, for limits with growing waits, twice as much, so that one host that guesses
    /// does not at once delay the rest of its home. Many people share a site, as many share one
    /// IPv4 address behind NAT.
    pub fn quota(self, rule: Rule, quota: Quota) -> Quota {
        let count = match (self, rule.grows()) {
            (Self::Link, _) => quota.count,
            (Self::Customer, false) => quota.count.saturating_add(quota.count.div_ceil(4)),
            (Self::Customer, true) => quota.count.saturating_mul(2),
            (Self::Site, _) => quota.count.saturating_mul(4),
        };
        Quota { count, ..quota }
    }
}

/// Returns the networks of an IP address that a limit counts, the smallest first. IPv4 is only
/// counted by address, because a /24 has hundreds of unrelated customers. An IPv6 customer has at
/// least 256 of the /64 networks, often 65,536, so three sizes are counted.
pub fn networks(address: &str) -> Vec<(Reach, String)> {
    let Ok(ip) = address.parse::<IpAddr>() else {
        // All clients whose IP address is not known count together.
        return vec![(Reach::Link, "unknown".into())];
    };
    match embedded(ip) {
        IpAddr::V4(v4) => vec![(Reach::Link, v4.to_string())],
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            vec![
                (Reach::Link, format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")),
                (
                    Reach::Customer,
                    format!("{a:x}:{b:x}:{c:x}:{:x}::/56", d & 0xff00),
                ),
                (Reach::Site, format!("{a:x}:{b:x}:{c:x}::/48")),
            ]
        }
    }
}

/// Returns the IPv4 address inside an IPv6 address: mapped (`::ffff:192.0.2.1`), or translated on
/// its way (`64:ff9b::192.0.2.1`, RFC 6052).
pub(in crate::model) fn embedded(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
            }
            _ => IpAddr::V6(v6),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Returns the widest network of an IP address, within which one customer or one site can choose
/// its addresses: the IPv4 address, or the IPv6 /48.
pub fn widest_network(address: &str) -> String {
    let mut networks = networks(address);
    networks.swap_remove(networks.len() - 1).1
}

/// Returns the smallest network of an IP address.
pub fn network(address: &str) -> String {
    networks(address).swap_remove(0).1
}
