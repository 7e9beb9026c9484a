//! MaxMind databases: where an address is, and whose.
//!
//! Any database in the MaxMind format is read: GeoLite2 and GeoIP2 City, Country, ASN and ISP, DB-IP,
//! and those that write country and AS number as plain texts (IPinfo). Which database answers which
//! question is decided by its records, not by its name.

use maxminddb::{MaxMindDbError, PathElement, Reader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What can be asked about a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// ISO 3166 code of the country.
    Country,
    /// Two letters of the continent.
    Continent,
    /// English name of the city.
    City,
    /// English name of the first subdivision: state, province.
    Subdivision,
}

impl Place {
    /// Every one, by the name it has in SQL.
    pub const ALL: [(&'static str, Place); 4] = [
        ("country", Place::Country),
        ("continent", Place::Continent),
        ("city", Place::City),
        ("subdivision", Place::Subdivision),
    ];

    /// Paths in records, in the order they are tried.
    fn paths(self) -> &'static [&'static [PathElement<'static>]] {
        use PathElement::{Index, Key};
        match self {
            // An address of a network registered elsewhere may have no country of its own.
            Place::Country => &[
                &[Key("country"), Key("iso_code")],
                &[Key("registered_country"), Key("iso_code")],
                &[Key("country_code")],
                &[Key("country")],
            ],
            Place::Continent => {
                &[&[Key("continent"), Key("code")], &[Key("continent_code")], &[Key("continent")]]
            }
            Place::City => &[&[Key("city"), Key("names"), Key("en")], &[Key("city")]],
            Place::Subdivision => {
                &[&[Key("subdivisions"), Index(0), Key("names"), Key("en")], &[Key("region")]]
            }
        }
    }
}

/// Why a database is refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the MaxMind database {}: {reason}", path.display())]
pub struct GeographyError {
    path: PathBuf,
    reason: MaxMindDbError,
}

/// The databases of a session, asked in the order they were given.
#[derive(Debug, Default)]
pub struct Geography {
    readers: Vec<Reader<Vec<u8>>>,
}

impl Geography {
    /// Reads databases into memory: a city database is some 60 MB, and a query looks up millions.
    ///
    /// # Errors
    /// [`GeographyError`]
    pub fn open(paths: &[PathBuf]) -> Result<Self, GeographyError> {
        let open = |path: &Path| {
            Reader::open_readfile(path).map_err(|reason| GeographyError { path: path.to_owned(), reason })
        };
        Ok(Geography { readers: paths.iter().map(|path| open(path)).collect::<Result<_, _>>()? })
    }

    /// Whether there is no database.
    pub fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// Where an address is; `None` where no database knows.
    pub fn place(&self, address: IpAddr, place: Place) -> Option<String> {
        self.text(address, place.paths())
    }

    /// Number of the autonomous system that announces an address.
    pub fn system_number(&self, address: IpAddr) -> Option<i64> {
        let number = &[PathElement::Key("autonomous_system_number")];
        let found = self.readers.iter().find_map(|reader| {
            reader.lookup(address).ok()?.decode_path::<u32>(number).ok().flatten().map(i64::from)
        });
        // Written as a text such as AS64500 by others.
        found.or_else(|| {
            self.text(address, &[&[PathElement::Key("asn")]])?.trim_start_matches("AS").parse().ok()
        })
    }

    /// Name of the organisation behind that system.
    pub fn system_name(&self, address: IpAddr) -> Option<String> {
        use PathElement::Key;
        self.text(
            address,
            &[&[Key("autonomous_system_organization")], &[Key("as_name")], &[Key("organization")]],
        )
    }

    /// A value of another type than text at a path is as good as none.
    fn text(&self, address: IpAddr, paths: &[&[PathElement<'_>]]) -> Option<String> {
        self.readers.iter().find_map(|reader| {
            let found = reader.lookup(address).ok()?;
            paths.iter().find_map(|path| found.decode_path::<String>(path).ok().flatten())
        })
    }
}

#[cfg(test)]
pub(crate) mod database;
