//! A network that an operator has blocked for a time.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::network::embedded;
use crate::model::kernel::time::Timestamp;

/// The longest block. It is limited because networks change owners.
pub const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// A block of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The IP addresses that are blocked.
    pub network: IpNet,
    /// The operator's reason; may be empty.
    pub reason: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the block ends.
    pub ends_at: Timestamp,
}

impl Block {
    /// Returns how long the block lasts from now on. The result is at most its original duration,
    /// even if the clock that made it was ahead.
    pub fn left(&self, now: Timestamp) -> Duration {
        self.ends_at
            .since(now)
            .min(self.ends_at.since(self.created_at))
    }

    /// Returns whether the block covers this address. An IPv4 address inside IPv6, mapped or
    /// translated (NAT64), counts as the IPv4 address, as for the rate limits.
    pub fn holds(&self, address: IpAddr) -> bool {
        covers(self.network, address)
    }
}

/// Returns whether a network contains an IP address; an IPv4 address inside IPv6 counts as the IPv4
/// address.
pub fn covers(network: IpNet, address: IpAddr) -> bool {
    network.contains(&address.to_canonical()) || network.contains(&embedded(address))
}

/// The reason why a text does not name a network that clients can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    /// It is neither a network nor an IP address.
    #[error("write a network such as 198.51.100.0/24, or an IP address")]
    Unreadable,
    /// It is an IPv6 network that contains all IPv4 addresses in their IPv6 form.
    #[error(
        "this IPv6 network holds every IPv4 address in its IPv6 form; write the IPv4 network that is meant, or 0.0.0.0/0"
    )]
    EveryIpv4,
}

/// The prefixes of IPv4-mapped addresses and of NAT64 (RFC 6052): both stand for IPv4.
const IPV4_INSIDE: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0),
    Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0),
];
/// The length of both prefixes, in bits.
const INSIDE: u8 = 96;

/// Parses a network as an operator writes it: `192.0.2.0/24`, or a single IP address. Bits after
/// the prefix are cleared. A network of IPv4 addresses inside IPv6 is converted to IPv4:
/// `::ffff:192.0.2.0/120` and `64:ff9b::192.0.2.0/120` become `192.0.2.0/24`. `::/0` means all of
/// IPv6.
pub fn network(text: &str) -> Result<IpNet, InvalidNetwork> {
    let net = text
        .parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
        .ok_or(InvalidNetwork::Unreadable)?;
    match net {
        IpNet::V4(_) => Ok(net.trunc()),
        IpNet::V6(net) => without_ipv4(net.trunc()),
    }
}

fn without_ipv4(net: Ipv6Net) -> Result<IpNet, InvalidNetwork> {
    let length = net.prefix_len();
    if length <= INSIDE {
        // All of IPv6 is a deliberate choice. Any other network this wide would not match the
        // clients whose addresses it seems to name.
        let mixed = length > 0 && IPV4_INSIDE.iter().any(|address| net.contains(address));
        return if mixed {
            Err(InvalidNetwork::EveryIpv4)
        } else {
            Ok(net.into())
        };
    }
    match embedded(net.network().into()) {
        IpAddr::V4(v4) => Ipv4Net::new(v4, length - INSIDE)
            .map(|net| net.trunc().into())
            .map_err(|_| InvalidNetwork::Unreadable),
        IpAddr::V6(_) => Ok(net.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_its_network_and_lasts_no_longer_than_it_was_made_for() {
        let (made, hour) = (Timestamp(1_795_219_200_000), Duration::from_secs(3_600));
        let block = Block {
            network: network("192.0.2.77/24").unwrap(),
            reason: String::new(),
            created_at: made,
            ends_at: made + hour,
        };
        assert_eq!(block.network.to_string(), "192.0.2.0/24");
        for (address, held) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.9", true),
            ("192.0.3.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(block.holds(address.parse().unwrap()), held, "{address}");
        }
        let day = hour * 24;
        assert_eq!(
            [
                block.left(made - day),
                block.left(made),
                block.left(made + hour / 2),
                block.left(made + day)
            ],
            [hour, hour, hour / 2, Duration::ZERO]
        );
        assert_eq!(
            network("2001:db8::1").map(|n| n.to_string()).as_deref(),
            Ok("2001:db8::1/128")
        );
        assert_eq!(
            [network("example.com"), network("")],
            [Err(InvalidNetwork::Unreadable); 2]
        );
    }

    #[test]
    fn a_network_of_ipv4_addresses_inside_ipv6_is_the_ipv4_network_or_is_refused() {
        for (text, meant) in [
            ("::ffff:127.0.0.0/104", "127.0.0.0/8"),
            ("::ffff:192.0.2.77/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.77/32"),
            ("64:ff9b::192.0.2.0/120", "192.0.2.0/24"),
            ("64:ff9b::192.0.2.7", "192.0.2.7/32"),
            ("64:ff9b:1::/48", "64:ff9b:1::/48"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(
                network(text).map(|n| n.to_string()).as_deref(),
                Ok(meant),
                "{text}"
            );
        }
        for text in [
            "::ffff:0:0/96",
            "64:ff9b::/96",
            "::/80",
            "::ffff:0:0/90",
            "64:ff9b::/32",
            "::/8",
        ] {
            assert_eq!(network(text), Err(InvalidNetwork::EveryIpv4), "{text}");
        }
        let made = Timestamp(1_795_219_200_000);
        let block = |text: &str| Block {
            network: network(text).unwrap(),
            reason: String::new(),
            created_at: made,
            ends_at: made,
        };
        for (text, address, held) in [
            ("::ffff:127.0.0.0/104", "127.0.0.1", true),
            ("192.0.2.0/24", "64:ff9b::192.0.2.9", true),
            ("64:ff9b::192.0.2.0/120", "192.0.2.9", true),
            ("64:ff9b::192.0.2.0/120", "192.0.3.9", false),
            ("::/0", "64:ff9b::192.0.2.9", true),
            ("::/0", "192.0.2.9", false),
        ] {
            assert_eq!(
                block(text).holds(address.parse().unwrap()),
                held,
                "{text} {address}"
            );
        }
    }
}
