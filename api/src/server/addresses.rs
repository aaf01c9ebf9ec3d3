//! How many connections each address has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bits of an IPv6 address that tell one host's network from another's: the rest is the host's own choice.
const IPV6_NETWORK: u128 = !0 << 64;

/// Counts the connections of each address.
#[derive(Debug)]
pub(super) struct Addresses {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of an address, until it is dropped.
#[derive(Debug)]
pub(super) struct OfAddress {
    /// `None` for an address that is not counted.
    counted: Option<(Arc<Addresses>, IpAddr)>,
}

impl Addresses {
    /// Each address may have so many.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// Counts one more, or `None` if that is too many. Addresses of this machine may have any number:
    /// what stands before this server there has one for all its clients.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<OfAddress> {
        let address = network(address);
        if address.is_loopback() {
            return Some(OfAddress { counted: None });
        }
        let mut open = self.open();
        let count = open.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(OfAddress { counted: Some((Arc::clone(self), address)) })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Nothing panics while it holds the lock, and the value is whole at any instant.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        let Some((addresses, address)) = &self.counted else { return };
        let mut open = addresses.open();
        if let Some(count) = open.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                open.remove(address);
            }
        }
    }
}

/// What is counted together.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & IPV6_NETWORK))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_only_so_many_connections() {
        let addresses = Addresses::new(2);
        let take = |address: &str| addresses.take(address.parse().unwrap());
        let first = take("192.0.2.7").unwrap();
        let mapped = take("::ffff:192.0.2.7").unwrap();
        assert!(take("192.0.2.7").is_none());
        let other = take("192.0.2.8").unwrap();
        drop(first);
        let again = take("192.0.2.7").unwrap();
        assert!(take("192.0.2.7").is_none());

        // A host has all addresses of its network.
        let networks = [take("2001:db8::1").unwrap(), take("2001:db8::ffff:2").unwrap()];
        assert!(take("2001:db8::3").is_none());
        assert!(take("2001:db8:0:1::3").is_some());

        // Whatever stands before the server on its own machine.
        let own: Vec<_> = (0..9).flat_map(|_| [take("127.0.0.1"), take("::1")]).collect();
        assert!(own.iter().all(Option::is_some));
        drop((mapped, other, again, networks));
        assert!(addresses.open().is_empty());
    }
}
