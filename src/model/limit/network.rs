//! The networks that a client address belongs to, and what each of them is allowed: one IPv6
//! customer holds a whole prefix, so limits count prefixes and not addresses.

use super::rate::{Quota, Rule};
use std::net::{IpAddr, Ipv4Addr};

/// How far the addresses reach that are counted together.
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
    /// What a rule allows to addresses that reach so far. A customer has a quarter more than one of
    /// the links, or, where failures cost ever more, twice as much: one host that guesses does not
    /// at once hold up the rest of its home. Many share a site, as many share one IPv4 address
    /// behind NAT.
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

/// Whom a limit by network counts, the nearest first. IPv4 counts by address alone: a /24 has
/// hundreds of customers who do not know each other. An IPv6 customer has at least 256 of the /64
/// networks, and many have 65,536, so that each of them counts at three reaches.
pub fn networks(address: &str) -> Vec<(Reach, String)> {
    let Ok(ip) = address.parse::<IpAddr>() else {
        // All whose address is not known are one.
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

/// The IPv4 address inside an IPv6 address: mapped (`::ffff:192.0.2.1`), or translated on its way
/// (`64:ff9b::192.0.2.1`, RFC 6052).
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

/// The widest network of an address, from which one customer or one site may choose its addresses:
/// the IPv4 address, or the IPv6 /48.
pub fn widest_network(address: &str) -> String {
    let mut networks = networks(address);
    networks.swap_remove(networks.len() - 1).1
}

/// The nearest network of an address.
pub fn network(address: &str) -> String {
    networks(address).swap_remove(0).1
}
