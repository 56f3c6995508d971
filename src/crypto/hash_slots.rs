//! Slots of the password hashing threads: taken before any work is done for a request, shared
//! between networks, and returned when the work is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::audit::event::Requester;
use crate::model::limit::network;
use crate::model::limit::share::Load;

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_network: HashMap<String, usize>,
}

/// All slots of the process.
#[derive(Debug, Default)]
pub(in crate::crypto) struct HashSlots(Mutex<Taken>);

impl HashSlots {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot for a request of this requester if the load admits one. Fills in `taken` and `held`
    /// of the load. A client counts with its whole network, because it can choose any address in
    /// it.
    pub(in crate::crypto) fn take(
        self: &Arc<Self>,
        requester: &Requester,
        load: Load,
    ) -> Option<HashSlot> {
        let network = network::widest_network(&requester.ip_address);
        let mut taken = self.taken();
        let held = taken.by_network.get(&network).copied().unwrap_or_default();
        if !(Load {
            taken: taken.all,
            held,
            ..load
        })
        .admits()
        {
            return None;
        }
        taken.all += 1;
        taken.by_network.insert(network.clone(), held + 1);
        Some(HashSlot {
            slots: Arc::clone(self),
            network,
        })
    }
}

/// A slot in the queue. Dropping it returns it: when the work is done, or when its request was
/// cancelled.
#[derive(Debug)]
pub struct HashSlot {
    slots: Arc<HashSlots>,
    network: String,
}

impl Drop for HashSlot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        taken.all -= 1;
        if let Some(held) = taken.by_network.get_mut(&self.network) {
            *held -= 1;
            if *held == 0 {
                taken.by_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_place_is_counted_for_its_network_until_it_is_given_back() {
        let slots = Arc::new(HashSlots::default());
        let load = Load {
            slots: 4,
            threads: 1,
            usual: Duration::ZERO,
            max_wait: Duration::from_secs(2),
            taken: 0,
            held: 0,
        };
        let take = |address: &str| {
            slots.take(
                &Requester {
                    ip_address: address.into(),
                    ..Requester::default()
                },
                load,
            )
        };
        // Other addresses of the same network and other notations of an address belong to the same
        // network.
        let six = [
            take("2001:db8:1::1"),
            take("2001:db8:1:ff00::2"),
            take("2001:db8:1:1::3"),
        ];
        assert_eq!(six.iter().flatten().count(), 2);
        let four = [take("192.0.2.1"), take("::ffff:192.0.2.1")];
        assert_eq!(four.iter().flatten().count(), 1);
        assert!(
            take("198.51.100.1").is_some(),
            "another network has the last one"
        );
        drop((six, four));
        let taken = slots.taken();
        assert_eq!((taken.all, taken.by_network.len()), (0, 0));
    }
}
