//! Which zone an address is in: longest prefix wins, IPv4 and IPv6.

use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;

/// Networks by prefix length, longest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefixes {
    v4: Vec<(u8, HashMap<u32, usize>)>,
    v6: Vec<(u8, HashMap<u128, usize>)>,
}

impl Prefixes {
    /// Adds a network; the result is what was there for exactly this network before.
    pub fn insert(&mut self, network: IpNet, zone: usize) -> Option<usize> {
        let length = network.prefix_len();
        match network.network() {
            IpAddr::V4(address) => place(&mut self.v4, length).insert(u32::from(address), zone),
            IpAddr::V6(address) => place(&mut self.v6, length).insert(u128::from(address), zone),
        }
    }

    /// The zone of the longest network that contains the address.
    pub fn find(&self, address: IpAddr) -> Option<usize> {
        match address {
            IpAddr::V4(address) => {
                let bits = u32::from(address);
                self.v4.iter().find_map(|(length, networks)| {
                    let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
                    networks.get(&(bits & mask)).copied()
                })
            }
            IpAddr::V6(address) => {
                if let Some(mapped) = address.to_ipv4_mapped() {
                    return self.find(IpAddr::V4(mapped));
                }
                let bits = u128::from(address);
                self.v6.iter().find_map(|(length, networks)| {
                    let mask = u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
                    networks.get(&(bits & mask)).copied()
                })
            }
        }
    }
}

fn place<K>(levels: &mut Vec<(u8, HashMap<K, usize>)>, length: u8) -> &mut HashMap<K, usize> {
    let at = match levels.binary_search_by(|(other, _)| length.cmp(other)) {
        Ok(at) => at,
        Err(at) => {
            levels.insert(at, (length, HashMap::new()));
            at
        }
    };
    &mut levels[at].1
}

/// Whether an address can be reached on the Internet: not private, link-local, loopback, multicast
/// or broadcast. The SQL function `is_private` says the same, so evidence finds the same records.
pub fn is_public(address: IpAddr) -> bool {
    !crate::functions::ip::is_private(address) && !is_local_only(address)
}

/// Whether traffic with this address is never judged: multicast, broadcast and link-local addresses
/// are how hosts talk to their own network and to the instance metadata service.
pub fn is_local_only(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_loopback()
        }
        IpAddr::V6(v6) => {
            v6.is_multicast() || v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_loopback()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_in_both_families() {
        let mut prefixes = Prefixes::default();
        for (zone, network) in
            ["10.0.0.0/8", "10.0.16.0/20", "10.0.16.7/32", "fd00::/8", "fd00:1::/32", "0.0.0.0/0"]
                .iter()
                .enumerate()
        {
            assert_eq!(prefixes.insert(network.parse().unwrap(), zone), None);
        }
        for (address, zone) in [
            ("10.1.1.1", Some(0)),
            ("10.0.31.255", Some(1)),
            ("10.0.32.0", Some(0)),
            ("10.0.16.7", Some(2)),
            ("fd00:2::1", Some(3)),
            ("fd00:1::1", Some(4)),
            ("::ffff:10.0.16.7", Some(2)),
            ("8.8.8.8", Some(5)),
            ("2001:db8::1", None),
        ] {
            assert_eq!(prefixes.find(address.parse().unwrap()), zone, "{address}");
        }
    }

    #[test]
    fn public_means_reachable() {
        for address in ["8.8.8.8", "2600::1", "203.0.113.9"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in
            ["10.0.0.1", "100.64.0.1", "169.254.169.254", "fd00::1", "224.0.0.1", "255.255.255.255"]
        {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }
}
