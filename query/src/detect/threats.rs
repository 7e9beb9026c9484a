//! Threat lists: addresses somebody warns of, by category, with a name and an end.
//!
//! Read from files only, never downloaded: CSV with or without a header, plain lists, STIX 2.1
//! bundles, and the `ip-ranges.json` AWS publishes (category `aws`). Rules ask
//! `threat_name('c2', address)`. Entries that have expired and entries that are no addresses are
//! counted and left out.
//!
//! Categories rules use: `c2`, `mining`, `sinkhole`, `drop`, `tor`, `scanner`, `doh`, `aws`, and
//! `custom` for lists without one.

mod read;

use arrow::array::{ArrayRef, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use chrono::{DateTime, Utc};
use datafusion::common::cast::as_string_array;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The address or network.
    pub net: IpNet,
    /// What it is listed as.
    pub category: String,
    /// Malware family, service or the like; may be empty.
    pub name: String,
    /// When it stops to count.
    pub expires: Option<DateTime<Utc>>,
}

/// Networks of one category, by length of their prefix.
#[derive(Debug, Default, Clone)]
struct Nets(BTreeMap<(bool, u8), HashMap<IpAddr, Arc<str>>>);

/// All lists of a run.
#[derive(Debug, Default, Clone)]
pub struct Threats {
    categories: BTreeMap<String, Nets>,
    /// What the reader must know, such as entries left out.
    pub notes: Vec<String>,
}

/// What a file held.
#[derive(Debug, Default, PartialEq)]
pub struct Contents {
    /// Entries with an address.
    pub entries: Vec<Entry>,
    /// Entries that are names, hashes or not understood.
    pub others: u64,
}

impl Threats {
    /// Adds `CATEGORY=FILE` or `FILE`.
    ///
    /// # Errors
    /// A file that cannot be read or holds no address.
    pub fn load(&mut self, argument: &str, now: DateTime<Utc>) -> Result<(), String> {
        let (category, path) = match argument.split_once('=') {
            Some((category, path)) if !category.contains(['/', '.']) => (category, path),
            _ => ("custom", argument),
        };
        let text = std::fs::read_to_string(Path::new(path)).map_err(|error| format!("{path}: {error}"))?;
        let contents = read::contents(&text, category).map_err(|error| format!("{path}: {error}"))?;
        if contents.entries.is_empty() {
            return Err(format!("{path}: holds no address or network"));
        }
        let expired = self.add(contents.entries, now);
        for (count, what) in [(expired, "have expired"), (contents.others, "are no addresses")] {
            if count > 0 {
                self.notes.push(format!("threat list {path}: {count} entries {what} and are left out"));
            }
        }
        Ok(())
    }

    /// Adds lines as a CSV list has them: `category,address,name`. For cases of rules.
    ///
    /// # Errors
    /// A line that is no entry.
    pub fn add_lines(&mut self, lines: &[String], now: DateTime<Utc>) -> Result<(), String> {
        for line in lines {
            let (category, rest) = line.split_once(',').ok_or_else(|| format!("`{line}` has no category"))?;
            let contents = read::contents(rest, category)?;
            if contents.entries.is_empty() {
                return Err(format!("`{line}` has no address"));
            }
            self.add(contents.entries, now);
        }
        Ok(())
    }

    /// Adds entries; the result is how many have expired.
    fn add(&mut self, entries: Vec<Entry>, now: DateTime<Utc>) -> u64 {
        let mut expired = 0;
        for entry in entries {
            if entry.expires.is_some_and(|end| end <= now) {
                expired += 1;
                continue;
            }
            let nets = self.categories.entry(entry.category.to_ascii_lowercase()).or_default();
            let net = entry.net.trunc();
            let key = (net.addr().is_ipv4(), net.prefix_len());
            nets.0.entry(key).or_default().insert(net.addr(), Arc::from(entry.name.as_str()));
        }
        expired
    }

    /// Whether there is any entry of a category.
    pub fn has(&self, category: &str) -> bool {
        self.categories.contains_key(category)
    }

    /// The name of the smallest network of a category that holds an address.
    pub fn name(&self, category: &str, address: IpAddr) -> Option<&str> {
        let nets = self.categories.get(category)?;
        let of_family = nets.0.iter().rev().filter(|((v4, _), _)| *v4 == address.is_ipv4());
        for ((_, length), names) in of_family {
            let net = IpNet::new(address, *length).ok()?.trunc();
            if let Some(name) = names.get(&net.addr()) {
                return Some(name);
            }
        }
        None
    }

    /// `threat_name(category, address)`.
    pub fn function(self: &Arc<Threats>) -> ScalarUDF {
        let threats = Arc::clone(self);
        let call = move |arguments: &[ColumnarValue]| {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            let text = |at: usize| -> datafusion::common::Result<ArrayRef> {
                let array: ArrayRef =
                    arrays.get(at).cloned().unwrap_or_else(|| Arc::new(StringArray::new_null(0)));
                Ok(cast(&array, &DataType::Utf8)?)
            };
            let (categories, addresses) = (text(0)?, text(1)?);
            let mut names = StringBuilder::new();
            for (category, address) in as_string_array(&categories)?.iter().zip(as_string_array(&addresses)?)
            {
                let address = address.and_then(|address| IpAddr::from_str(address).ok());
                names.append_option(
                    category.zip(address).and_then(|(category, ip)| threats.name(category, ip)),
                );
            }
            Ok(ColumnarValue::Array(Arc::new(names.finish())))
        };
        let arguments = vec![DataType::Utf8, DataType::Utf8];
        // Stable, not immutable: what is on a list is no property of the address.
        create_udf("threat_name", arguments, DataType::Utf8, Volatility::Stable, Arc::new(call))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap_or_default()
    }

    #[test]
    fn the_smallest_network_names_an_address_until_it_expires() {
        let now = at("2026-06-01T00:00:00Z");
        let mut threats = Threats::default();
        let line = |text: &str| vec![text.to_owned()];
        assert_eq!(threats.add_lines(&line("c2,198.51.100.0/24,wide"), now), Ok(()));
        assert_eq!(threats.add_lines(&line("c2,198.51.100.7,narrow"), now), Ok(()));
        assert_eq!(threats.add_lines(&line("tor,2001:db8::/32,relay"), now), Ok(()));
        assert!(threats.add_lines(&line("c2,evil.example,name"), now).is_err());
        let name =
            |category: &str, ip: &str| threats.name(category, IpAddr::from_str(ip).ok()?).map(str::to_owned);
        assert_eq!(name("c2", "198.51.100.7").as_deref(), Some("narrow"));
        assert_eq!(name("c2", "198.51.100.8").as_deref(), Some("wide"));
        assert_eq!(name("c2", "198.51.101.8"), None);
        assert_eq!(name("tor", "2001:db8::1").as_deref(), Some("relay"));
        assert_eq!(name("tor", "198.51.100.7"), None);
        let mut ended = Threats::default();
        let entry = Entry {
            net: IpNet::from(IpAddr::from([192, 0, 2, 1])),
            category: "c2".to_owned(),
            name: String::new(),
            expires: Some(now),
        };
        assert_eq!((ended.add(vec![entry], now), ended.has("c2")), (1, false));
    }
}
