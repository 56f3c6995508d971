//! Which IP addresses belong to the public internet: all but those of the registries of special
//! purpose addresses (RFC 6890, and the RFC that stands beside each network).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), length))
}

const fn v6(a: u16, b: u16, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(
        Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0),
        length,
    ))
}

/// The IPv4 networks, and those within the global unicast network of IPv6, that are not public.
const SPECIAL: [IpNet; 19] = [
    v4(0, 0, 0, 8),        // this network, RFC 791
    v4(10, 0, 0, 8),       // private use, RFC 1918
    v4(100, 64, 0, 10),    // shared by providers, RFC 6598
    v4(127, 0, 0, 8),      // loopback, RFC 1122
    v4(169, 254, 0, 16),   // link-local, with the metadata service of clouds, RFC 3927
    v4(172, 16, 0, 12),    // private use, RFC 1918
    v4(192, 0, 0, 24),     // protocol assignments, RFC 6890
    v4(192, 0, 2, 24),     // documentation, RFC 5737
    v4(192, 88, 99, 24),   // former relays of 6to4, RFC 7526
    v4(192, 168, 0, 16),   // private use, RFC 1918
    v4(198, 18, 0, 15),    // benchmarks, RFC 2544
    v4(198, 51, 100, 24),  // documentation, RFC 5737
    v4(203, 0, 113, 24),   // documentation, RFC 5737
    v4(224, 0, 0, 4),      // multicast, RFC 1112
    v4(240, 0, 0, 4),      // reserved, with broadcast, RFC 1112 and RFC 919
    v6(0x2001, 0, 23),     // protocol assignments with Teredo, RFC 2928 and RFC 4380
    v6(0x2001, 0xdb8, 32), // documentation, RFC 3849
    v6(0x2002, 0, 16),     // 6to4, RFC 3056
    v6(0x3fff, 0, 20),     // documentation, RFC 9637
];

/// The global unicast addresses of IPv6 that are assigned (RFC 4291 section 2.4): all that is outside
/// is loopback, link-local, unique local (RFC 4193), site-local, multicast or reserved.
const UNICAST: IpNet = v6(0x2000, 0, 3);

/// The well-known prefix that embeds an IPv4 address in an IPv6 address (RFC 6052).
const TRANSLATED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Returns whether an IP address belongs to the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    let address = meant(address);
    let is_special = SPECIAL.iter().any(|net| net.contains(&address));
    !is_special && (address.is_ipv4() || UNICAST.contains(&address))
}

/// Returns the IPv4 address that is meant by an IPv6 address which embeds one, else the address.
fn meant(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(long) if TRANSLATED.contains(&long) => {
            let [.., a, b, c, d] = long.octets();
            IpAddr::from([a, b, c, d])
        }
        // `::ffff:0:0/96` (RFC 4291 section 2.5.5.2).
        other => other.to_canonical(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_one_net_one_machine_or_nothing_is_not_public() {
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "142.250.185.78",
            "172.15.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2606:4700:4700::1111",
            "2a00:1450:4001:82a::200e",
            "2001:4860:4860::8888",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
