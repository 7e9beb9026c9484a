//! Many addresses and networks, looked up fast: threat lists, sets of an intent.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};

/// Addresses as sorted, disjoint intervals: a look-up is one binary search, whatever mixture of
/// single addresses, networks and ranges they came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl AddressSet {
    /// The set of everything in `networks`.
    pub fn of_networks(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let mut builder = Builder::default();
        for network in networks {
            builder.add(network.network(), network.broadcast());
        }
        builder.build()
    }

    /// Whether the address is in it. IPv4 written inside IPv6 is that IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => inside(&self.v4, u32::from(address)),
            IpAddr::V6(address) => inside(&self.v6, u128::from(address)),
        }
    }

    /// Intervals held: what a look-up searches.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The smallest networks that together are the set, when they are at most `max`: for conditions
    /// that statistics can be asked about.
    pub fn networks(&self, max: usize) -> Option<Vec<IpNet>> {
        let mut networks = Vec::new();
        for (first, last) in &self.v4 {
            networks.extend(ipnet::Ipv4Subnets::new((*first).into(), (*last).into(), 0).map(IpNet::V4));
            if networks.len() > max {
                return None;
            }
        }
        for (first, last) in &self.v6 {
            let (first, last) = (Ipv6Addr::from(*first), Ipv6Addr::from(*last));
            networks.extend(ipnet::Ipv6Subnets::new(first, last, 0).map(IpNet::V6));
            if networks.len() > max {
                return None;
            }
        }
        Some(networks)
    }
}

fn inside<T: Ord + Copy>(intervals: &[(T, T)], value: T) -> bool {
    let after = intervals.partition_point(|(first, _)| *first <= value);
    after.checked_sub(1).is_some_and(|at| value <= intervals[at].1)
}

/// Collects intervals in any order.
#[derive(Debug, Default)]
pub struct Builder {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Builder {
    /// Adds the addresses from `first` to `last`; `false`, and nothing added, when they are of two
    /// versions or in the wrong order.
    pub fn add(&mut self, first: IpAddr, last: IpAddr) -> bool {
        match (first.to_canonical(), last.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                self.v4.push((first.into(), last.into()));
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                self.v6.push((first.into(), last.into()));
            }
            _ => return false,
        }
        true
    }

    /// The set of all that was added.
    pub fn build(self) -> AddressSet {
        AddressSet {
            v4: merged(self.v4, |value| value.checked_add(1)),
            v6: merged(self.v6, |value| value.checked_add(1)),
        }
    }
}

/// Sorts intervals and joins those that overlap or touch.
fn merged<T: Ord + Copy>(mut intervals: Vec<(T, T)>, next: impl Fn(T) -> Option<T>) -> Vec<(T, T)> {
    intervals.sort_unstable();
    let mut joined: Vec<(T, T)> = Vec::with_capacity(intervals.len());
    for (first, last) in intervals {
        match joined.last_mut() {
            // A predecessor that ends at the very last address has no next one and holds all after it.
            Some(before) if next(before.1).is_none_or(|next| first <= next) => {
                before.1 = before.1.max(last);
            }
            _ => joined.push((first, last)),
        }
    }
    joined.shrink_to_fit();
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(networks: &[&str]) -> AddressSet {
        AddressSet::of_networks(networks.iter().map(|network| network.parse().unwrap()))
    }

    #[test]
    fn networks_of_both_versions_are_found_and_neighbours_are_not() {
        let set = set(&["10.0.0.0/24", "10.0.1.0/24", "192.0.2.7/32", "2001:db8::/32", "255.255.255.255/32"]);
        assert_eq!(set.len(), 4, "touching networks are one interval");
        for address in ["10.0.0.0", "10.0.1.255", "192.0.2.7", "2001:db8:ffff::1", "::ffff:10.0.0.9"] {
            assert!(set.contains(address.parse().unwrap()), "{address}");
        }
        for address in ["9.255.255.255", "10.0.2.0", "192.0.2.8", "2001:db9::", "::a00:9"] {
            assert!(!set.contains(address.parse().unwrap()), "{address}");
        }
        assert!(!AddressSet::default().contains("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn ranges_end_at_the_last_address() {
        let mut builder = Builder::default();
        assert!(builder.add("255.255.255.0".parse().unwrap(), "255.255.255.255".parse().unwrap()));
        assert!(builder.add("255.255.255.9".parse().unwrap(), "255.255.255.10".parse().unwrap()));
        assert!(!builder.add("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap()));
        assert!(!builder.add("10.0.0.2".parse().unwrap(), "::1".parse().unwrap()));
        let set = builder.build();
        assert_eq!(set.len(), 1);
        assert_eq!(set.networks(4), Some(vec!["255.255.255.0/24".parse().unwrap()]));
    }

    proptest! {
        #[test]
        fn it_holds_what_any_of_its_networks_holds(
            networks in proptest::collection::vec((any::<u32>(), 8_u8..=32), 0..40),
            address in any::<u32>(),
        ) {
            let networks: Vec<IpNet> = networks
                .into_iter()
                .map(|(address, length)| IpNet::new(std::net::Ipv4Addr::from(address).into(), length).unwrap())
                .collect();
            let set = AddressSet::of_networks(networks.iter().copied());
            let candidates = networks.iter().flat_map(|network| [network.network(), network.broadcast()]);
            for address in candidates.chain([IpAddr::V4(address.into())]) {
                let expected = networks.iter().any(|network| network.contains(&address));
                prop_assert_eq!(set.contains(address), expected);
            }
            let all = set.networks(usize::MAX).unwrap();
            prop_assert_eq!(AddressSet::of_networks(all), set);
        }
    }
}
