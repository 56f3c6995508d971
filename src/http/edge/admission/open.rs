//! The open connections: which count for which network, which are idle and since when, and which of
//! the reserve have not sent a request yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ipnet::IpNet;
use slotmap::{SlotMap, new_key_type};
use tokio_util::sync::CancellationToken;

use super::KEPT_ASIDE;

new_key_type! {
    /// A connection. The key of one that has ended is never that of another.
    pub(super) struct ConnectionKey;
    /// A network that has open connections.
    struct NetworkKey;
}

/// Every request finds its connection and the networks of it by their keys: an IP address is hashed
/// only when a connection begins and ends.
#[derive(Default)]
pub(super) struct Open {
    /// Numbers the connections as they begin and as they become idle.
    next: u64,
    connections: SlotMap<ConnectionKey, Connection>,
    full: usize,
    networks: SlotMap<NetworkKey, Held>,
    by_network: HashMap<IpNet, NetworkKey>,
    /// Idle connections, by the time when they became idle.
    resting: BTreeMap<u64, ConnectionKey>,
    /// Connections in the reserve that have not sent a request yet, the oldest first.
    waiting: BTreeMap<u64, (ConnectionKey, IpNet)>,
}

struct Connection {
    /// The place in the order of beginnings.
    began: u64,
    /// Empty for a trusted proxy, and for a connection in the reserve.
    networks: Vec<NetworkKey>,
    aside: bool,
    resting: Option<u64>,
    close: CancellationToken,
}

struct Held {
    network: IpNet,
    open: usize,
    resting: BTreeSet<u64>,
}

impl Open {
    /// Makes room below the limit of all connections by closing idle ones, the longest idle first.
    /// Returns whether there is room.
    pub(super) fn room(&mut self, cap: usize) -> bool {
        while self.full >= cap {
            let Some(key) = self.resting.values().next().copied() else {
                return false;
            };
            self.close(key);
        }
        true
    }

    /// Adds a connection within the limits, which counts for these networks.
    pub(super) fn begin(
        &mut self,
        networks: impl Iterator<Item = IpNet>,
        close: CancellationToken,
    ) -> ConnectionKey {
        let networks = networks.map(|net| self.hold(net)).collect();
        self.full += 1;
        self.add(networks, false, close)
    }

    /// Adds a connection of the reserve, which waits for its request under this network.
    pub(super) fn begin_aside(
        &mut self,
        network: Option<IpNet>,
        close: CancellationToken,
    ) -> ConnectionKey {
        let began = self.next;
        let key = self.add(Vec::new(), true, close);
        self.waiting
            .extend(network.map(|network| (began, (key, network))));
        key
    }

    fn add(
        &mut self,
        networks: Vec<NetworkKey>,
        aside: bool,
        close: CancellationToken,
    ) -> ConnectionKey {
        let began = self.next;
        self.next += 1;
        self.connections.insert(Connection {
            began,
            networks,
            aside,
            resting: None,
            close,
        })
    }

    /// Counts one more connection of a network.
    fn hold(&mut self, network: IpNet) -> NetworkKey {
        let networks = &mut self.networks;
        let key = *self.by_network.entry(network).or_insert_with(|| {
            networks.insert(Held {
                network,
                open: 0,
                resting: BTreeSet::new(),
            })
        });
        if let Some(held) = self.networks.get_mut(key) {
            held.open += 1;
        }
        key
    }

    fn held(&self, network: IpNet) -> Option<&Held> {
        self.networks.get(*self.by_network.get(&network)?)
    }

    /// Makes room below the limit of a network in the same way.
    pub(super) fn room_in(&mut self, net: IpNet, cap: usize) -> bool {
        while self.held(net).is_some_and(|held| held.open >= cap) {
            let longest = self
                .held(net)
                .and_then(|held| held.resting.first().copied());
            let Some(key) = longest.and_then(|since| self.resting.get(&since).copied()) else {
                return false;
            };
            self.close(key);
        }
        true
    }

    /// Makes room in the reserve: closes the oldest connection of the network that has most, so
    /// that a flood only displaces its own.
    pub(super) fn room_aside(&mut self) -> bool {
        while self.connections.len() - self.full >= KEPT_ASIDE {
            let mut held: HashMap<IpNet, (usize, u64, ConnectionKey)> = HashMap::new();
            for (began, (key, net)) in self.waiting.iter().rev() {
                let count = held.get(net).map_or(0, |(count, _, _)| *count);
                held.insert(*net, (count + 1, *began, *key));
            }
            let Some((_, _, oldest)) = held
                .into_values()
                .max_by_key(|(count, began, _)| (*count, std::cmp::Reverse(*began)))
            else {
                return false;
            };
            self.close(oldest);
        }
        true
    }

    fn close(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get(key) {
            connection.close.cancel();
        }
        self.release(key);
    }

    /// Returns everything that the connection holds; only the first call has an effect.
    pub(super) fn release(&mut self, key: ConnectionKey) {
        self.stirs(key);
        let Some(connection) = self.connections.remove(key) else {
            return;
        };
        self.waiting.remove(&connection.began);
        for network in connection.networks {
            let Some(held) = self.networks.get_mut(network) else {
                continue;
            };
            held.open -= 1;
            if held.open == 0 {
                self.by_network.remove(&held.network);
                self.networks.remove(network);
            }
        }
        if !connection.aside {
            self.full -= 1;
        }
    }

    /// Records that a connection within the limits is idle.
    pub(super) fn rests(&mut self, key: ConnectionKey) {
        let since = self.next;
        let Some(connection) = self
            .connections
            .get_mut(key)
            .filter(|connection| !connection.aside)
        else {
            return;
        };
        self.next += 1;
        connection.resting = Some(since);
        self.resting.insert(since, key);
        for network in &connection.networks {
            if let Some(held) = self.networks.get_mut(*network) {
                held.resting.insert(since);
            }
        }
    }

    /// Records that a connection is not idle any more.
    pub(super) fn stirs(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let Some(since) = connection.resting.take() else {
            return;
        };
        self.resting.remove(&since);
        for network in &connection.networks {
            if let Some(held) = self.networks.get_mut(*network) {
                held.resting.remove(&since);
            }
        }
    }

    /// Takes a connection of the reserve out of those that have not sent a request yet.
    pub(super) fn works(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get(key) {
            self.waiting.remove(&connection.began);
        }
    }

    /// Returns whether no connection has left anything behind.
    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        self.full == 0
            && self.connections.is_empty()
            && self.networks.is_empty()
            && self.by_network.is_empty()
            && self.resting.is_empty()
            && self.waiting.is_empty()
    }
}
