//! What a session knows about addresses besides the lake: lists, zones, geography.
//!
//! Everything is read when a session is made, so that a file that is missing or wrong is told before
//! a query runs. Functions that need something that was not given fail while planning and name the
//! option.

use super::address_list::{AddressList, AddressListError};
use super::address_set::AddressSet;
use super::geography::{Geography, GeographyError};
use crate::detect::intent::file::{Intent, IntentError};
use crate::detect::intent::zones;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Sets every session knows, with the networks of the registry they stand for.
/// <https://www.iana.org/assignments/iana-ipv4-special-registry>,
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
const ALWAYS: &[(&str, &[&str])] = &[
    ("rfc1918", &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]),
    ("loopback", &["127.0.0.0/8", "::1/128"]),
    ("link_local", &["169.254.0.0/16", "fe80::/10"]),
    ("shared", &["100.64.0.0/10"]),
    ("unique_local", &["fc00::/7"]),
    ("multicast", &["224.0.0.0/4", "ff00::/8"]),
    ("documentation", &["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"]),
    // Instance metadata, DNS, time and the ECS task endpoints, the same in every VPC.
    (
        "aws_local",
        &[
            "169.254.169.254/32",
            "169.254.169.253/32",
            "169.254.169.123/32",
            "169.254.170.2/32",
            "fd00:ec2::/32",
        ],
    ),
];

/// Files to read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Lists by name.
    pub lists: BTreeMap<String, PathBuf>,
    /// A network intent whose zones and sets are known by name.
    pub zones: Option<PathBuf>,
    /// MaxMind databases.
    pub geography: Vec<PathBuf>,
}

/// What a session knows about addresses.
#[derive(Debug)]
pub struct Inventory {
    lists: BTreeMap<String, AddressSet>,
    sets: BTreeMap<String, AddressSet>,
    zones: Option<Intent>,
    /// Countries, cities and networks of the world.
    pub geography: Geography,
    notes: Vec<String>,
}

/// Why something cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// A list.
    #[error(transparent)]
    List(#[from] AddressListError),
    /// The intent.
    #[error("zones: {0}")]
    Zones(#[from] IntentError),
    /// A MaxMind database.
    #[error(transparent)]
    Geography(#[from] GeographyError),
}

/// What every session knows.
impl Default for Inventory {
    fn default() -> Self {
        let set = |networks: &[&str]| {
            AddressSet::of_networks(networks.iter().filter_map(|network| network.parse().ok()))
        };
        Inventory {
            lists: BTreeMap::new(),
            sets: ALWAYS.iter().map(|(name, networks)| ((*name).to_owned(), set(networks))).collect(),
            zones: None,
            geography: Geography::default(),
            notes: Vec::new(),
        }
    }
}

impl Inventory {
    /// Reads everything.
    ///
    /// # Errors
    /// [`InventoryError`] naming the file.
    pub fn load(sources: &Sources) -> Result<Self, InventoryError> {
        let mut inventory =
            Inventory { geography: Geography::open(&sources.geography)?, ..Inventory::default() };
        for (name, path) in &sources.lists {
            let list = AddressList::load(path)?;
            inventory.notes.extend(unread(name, path, &list));
            inventory.lists.insert(name.clone(), list.addresses);
        }
        if let Some(path) = &sources.zones {
            inventory.declare(Intent::load(path, chrono::Utc::now().date_naive())?);
        }
        Ok(inventory)
    }

    /// Makes the zones and sets of an intent known: a zone under its name, and where environments
    /// share names, also as `environment/name`.
    fn declare(&mut self, intent: Intent) {
        let mut named: BTreeMap<String, Vec<ipnet::IpNet>> = BTreeMap::new();
        for zone in &intent.zones {
            named.entry(zone.name.clone()).or_default().extend(&zone.networks);
            named.entry(zone.label()).or_default().extend(&zone.networks);
        }
        for (name, set) in &intent.sets {
            named.entry(name.clone()).or_default().extend(&set.networks);
        }
        for (name, networks) in named {
            self.sets.insert(name, AddressSet::of_networks(networks));
        }
        self.zones = Some(intent);
    }

    /// The list `name`.
    ///
    /// # Errors
    /// A message that says what there is and how to add one.
    pub fn list(&self, name: &str) -> Result<&AddressSet, String> {
        self.lists.get(name).ok_or_else(|| {
            let known = names(self.lists.keys());
            format!("no list called '{name}'{known}; give one with --ip-list {name}=FILE")
        })
    }

    /// The zone, set or list `name`.
    ///
    /// # Errors
    /// A message that says what there is and how to add one.
    pub fn set(&self, name: &str) -> Result<&AddressSet, String> {
        self.sets.get(name).or_else(|| self.lists.get(name)).ok_or_else(|| {
            let known = names(self.sets.keys().chain(self.lists.keys()));
            format!("no zone, set or list called '{name}'{known}; zones come from --zones FILE, lists from --ip-list NAME=FILE")
        })
    }

    /// Whether zones were given.
    pub fn has_zones(&self) -> bool {
        self.zones.is_some()
    }

    /// The zone of an address: that of the longest declared network, `internet` for what is reachable
    /// there and in no zone, nothing for a private address nobody declared.
    ///
    /// Where accounts share addresses, `account` decides; without it, their zones are not looked at.
    pub fn zone(&self, address: IpAddr, account: Option<&str>) -> Option<String> {
        let intent = self.zones.as_ref()?;
        let own = account.and_then(|account| intent.by_account.get(account));
        let found = own.and_then(|zones| zones.find(address)).or_else(|| intent.shared.find(address));
        match found.and_then(|index| intent.zones.get(index)) {
            Some(zone) => Some(zone.label()),
            None if zones::is_public(address) => Some("internet".to_owned()),
            None => None,
        }
    }

    /// What the analyst should know about the files.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

fn unread(name: &str, path: &Path, list: &AddressList) -> Option<String> {
    let first = list.first_unread?;
    Some(format!(
        "list {name} has {} entries; {} lines of {} are no address, the first is line {first}",
        list.entries,
        list.unread,
        path.display()
    ))
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    match names.as_slice() {
        [] => String::new(),
        names => format!(" (there are {})", names.join(", ")),
    }
}
