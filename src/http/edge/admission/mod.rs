//! Limits of connections: for the whole process, and for one network, so that one peer cannot take
//! all of them. A connection over either limit replaces one that is idle between two requests. If
//! none is idle, it is accepted in a reserve, for one request and a short time, and only keys,
//! discovery and health are answered.

mod open;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use open::{ConnectionKey, Open};

/// The limits of connections.
#[derive(Debug, Clone)]
pub(in crate::http) struct Caps {
    /// Connections of all networks together.
    pub(in crate::http) all: usize,
    /// Connections from one IPv4 address or one IPv6 /64; wider networks may have twice as many.
    pub(in crate::http) network: usize,
    /// Peers that forward requests of many clients; the limit of a network does not apply to them.
    pub(in crate::http) proxies: Vec<IpNet>,
}

/// The size of the reserve beyond the limits, for keys, discovery and health.
pub const KEPT_ASIDE: usize = 256;

/// Returns the networks that an IP address counts for, and for each the multiple of the network
/// limit. An IPv6 customer has at least a /64 (RFC 6177), often a /56 or a /48; a small IPv4 host
/// may have a /24.
fn networks(address: IpAddr) -> Vec<(IpNet, usize)> {
    let tiers: &[(u8, usize)] = if address.is_ipv4() {
        &[(32, 1), (24, 2)]
    } else {
        &[(64, 1), (56, 2), (48, 2)]
    };
    tiers
        .iter()
        .filter_map(|(length, times)| Some((IpNet::new(address, *length).ok()?.trunc(), *times)))
        .collect()
}

/// All open connections.
pub(in crate::http) struct Admission {
    caps: Caps,
    open: Mutex<Open>,
}

impl Admission {
    pub(in crate::http) fn new(caps: Caps) -> Arc<Self> {
        Arc::new(Self {
            caps,
            open: Mutex::default(),
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection from the IP address; returns `None` if every connection of the reserve
    /// is being answered.
    pub(in crate::http) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<ConnectionPermit> {
        let address = address.to_canonical();
        let all = networks(address);
        let counted: &[_] = if self.caps.proxies.iter().any(|net| net.contains(&address)) {
            &[]
        } else {
            &all
        };
        let mut open = self.open();
        let aside = !(counted
            .iter()
            .all(|(net, times)| open.room_in(*net, self.caps.network.saturating_mul(*times)))
            && open.room(self.caps.all));
        if aside && !open.room_aside() {
            return None;
        }
        let close = CancellationToken::new();
        let counted = counted.iter().map(|(net, _)| *net);
        let key = if aside {
            open.begin_aside(all.last().map(|(net, _)| *net), close.clone())
        } else {
            open.begin(counted, close.clone())
        };
        Some(ConnectionPermit {
            admission: Arc::clone(self),
            key,
            aside,
            rests: AtomicBool::new(false),
            close,
        })
    }
}

/// The permit of one connection; dropping it frees its slot.
pub(in crate::http) struct ConnectionPermit {
    admission: Arc<Admission>,
    key: ConnectionKey,
    /// Whether the connection is over a limit: one request, for keys, discovery or health.
    pub(in crate::http) aside: bool,
    /// Whether the connection is idle. Only its own task changes it, so that a request which finds
    /// it set must take the lock, and the others need not.
    rests: AtomicBool,
    /// Cancelled when the connection has to end because another one needs its slot.
    pub(in crate::http) close: CancellationToken,
}

impl ConnectionPermit {
    /// Records that bytes have arrived: the connection is not idle any more.
    pub(in crate::http) fn stirs(&self) {
        if self.rests.swap(false, Ordering::Relaxed) {
            self.admission.open().stirs(self.key);
        }
    }

    /// Records that a request has arrived and is being answered. Its bytes may have arrived with
    /// those of the request before.
    pub(in crate::http) fn works(&self) {
        self.stirs();
        if self.aside {
            self.admission.open().works(self.key);
        }
    }

    /// Records that the answer was sent and the next request may come.
    pub(in crate::http) fn rests(&self) {
        self.admission.open().rests(self.key);
        self.rests.store(true, Ordering::Relaxed);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.admission.open().release(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(all: usize, network: usize) -> Arc<Admission> {
        Admission::new(Caps {
            all,
            network,
            proxies: vec!["10.0.0.0/8".parse().unwrap()],
        })
    }

    fn admit(admission: &Arc<Admission>, address: &str) -> ConnectionPermit {
        admission.admit(address.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_network_is_an_address_a_64_and_what_is_wider() {
        let admission = caps(100, 3);
        let from = |addresses: &[&str]| {
            addresses
                .iter()
                .map(|address| admit(&admission, address))
                .collect::<Vec<_>>()
        };
        let aside =
            |permits: &[ConnectionPermit]| permits.iter().filter(|permit| permit.aside).count();
        let one = from(&["192.0.2.1"; 5]);
        assert_eq!(aside(&one), 2);
        assert_eq!(
            aside(&from(&["::ffff:192.0.2.1"])),
            1,
            "an IPv4 address in IPv6 is the same"
        );
        let same_24 = from(&["192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"]);
        assert_eq!(aside(&same_24), 1, "twice as many from a /24");
        let six = from(&[
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8::3",
            "2001:db8::ffff:4",
        ]);
        assert_eq!(aside(&six), 1);
        let wide = from(&[
            "2001:db8:0:1::1",
            "2001:db8:0:2::1",
            "2001:db8:0:3::1",
            "2001:db8:0:ff::1",
            "2001:db8:0:100::1",
        ]);
        assert_eq!(
            aside(&wide),
            2,
            "neither another /56 nor another /64 of the same /48 helps"
        );
        assert_eq!(aside(&from(&["10.1.2.3"; 20])), 0, "a trusted proxy");
    }

    #[test]
    fn a_flood_from_many_networks_of_one_customer_takes_no_place_aside_from_another() {
        let admission = caps(1, 1);
        let _full = admit(&admission, "192.0.2.1");
        let honest = admit(&admission, "203.0.113.7");
        let flood: Vec<ConnectionPermit> = (0..2 * KEPT_ASIDE)
            .map(|n| admit(&admission, &format!("2001:db8:0:{n:x}::1")))
            .collect();
        assert!(
            !honest.close.is_cancelled(),
            "the oldest of all, and of another network"
        );
        assert!(flood[0].close.is_cancelled());
    }

    #[test]
    fn places_come_back_and_are_counted_once() {
        let admission = caps(4, 4);
        let permits: Vec<ConnectionPermit> =
            (0..4).map(|_| admit(&admission, "192.0.2.1")).collect();
        assert!(admit(&admission, "198.51.100.1").aside);
        permits[2].rests();
        permits[1].rests();
        let new = admit(&admission, "198.51.100.1");
        assert!(
            !new.aside && permits[2].close.is_cancelled() && !permits[1].close.is_cancelled(),
            "the one that is idle longest"
        );
        permits[1].works();
        assert!(admit(&admission, "198.51.100.1").aside, "nothing rests");
        drop((permits, new));
        assert!(admission.open().holds_nothing());
    }

    #[test]
    fn who_floods_the_places_kept_aside_loses_its_own() {
        let admission = caps(1, 1);
        let _only = admit(&admission, "192.0.2.1");
        let honest = admit(&admission, "198.51.100.1");
        let flood: Vec<ConnectionPermit> = (0..2 * KEPT_ASIDE)
            .map(|_| admit(&admission, "203.0.113.1"))
            .collect();
        assert!(honest.aside && !honest.close.is_cancelled());
        assert!(flood[0].close.is_cancelled() && !flood[2 * KEPT_ASIDE - 1].close.is_cancelled());
        for permit in &flood {
            permit.works();
        }
        honest.works();
        assert!(
            admission.admit("203.0.113.1".parse().unwrap()).is_none(),
            "all are being answered"
        );
    }
}
