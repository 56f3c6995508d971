//! A network that an operator has shut out for a time.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::time::Timestamp;

/// The longest block; a network changes hands.
pub const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Which addresses.
    pub network: IpNet,
    /// Why, in the operator's words; may be empty.
    pub reason: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
}

impl Block {
    /// How long it lasts from now on. It never lasts longer than it was made for, also where the clock that made it was ahead.
    pub fn left(&self, now: Timestamp) -> Duration {
        self.ends_at.since(now).min(self.ends_at.since(self.created_at))
    }

    /// Whether it is of this address; an IPv4 address inside IPv6 is the IPv4 address.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.network.contains(&address.to_canonical())
    }
}

/// A network as an operator writes it: `192.0.2.0/24`, or a single address. Bits behind the prefix are dropped.
pub fn network(text: &str) -> Option<IpNet> {
    let net: IpNet = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(|ip| IpNet::from(ip.to_canonical())))?;
    Some(net.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_its_network_and_lasts_no_longer_than_it_was_made_for() {
        let (made, hour) = (Timestamp(1_795_219_200_000), Duration::from_secs(3_600));
        let block = Block { network: network("192.0.2.77/24").unwrap(), reason: String::new(), created_at: made, ends_at: made + hour };
        assert_eq!(block.network.to_string(), "192.0.2.0/24");
        for (address, held) in [("192.0.2.1", true), ("::ffff:192.0.2.9", true), ("192.0.3.1", false), ("2001:db8::1", false)] {
            assert_eq!(block.holds(address.parse().unwrap()), held, "{address}");
        }
        let day = hour * 24;
        assert_eq!([block.left(made - day), block.left(made), block.left(made + hour / 2), block.left(made + day)], [hour, hour, hour / 2, Duration::ZERO]);
        assert_eq!(network("2001:db8::1").map(|n| n.to_string()).as_deref(), Some("2001:db8::1/128"));
        assert!(network("example.com").is_none() && network("").is_none());
    }
}
