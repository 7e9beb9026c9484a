//! What a restore costs and how long it takes, before it is asked for.

use super::Tier;
use super::survey::{State, Surveyed};
use crate::lifecycle::class::Class;
use crate::lifecycle::prices::{Prices, restore_prices};
use serde::Serialize;

const GB: f64 = 1_073_741_824.0;

/// The files of one class that have to be restored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// The class.
    pub class: &'static str,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Dollars for getting them out: by the GB and by request.
    pub retrieval: f64,
    /// Dollars for the copies in Standard.
    pub copies: f64,
    /// Hours until they are there, at most; none where S3 has no such tier for the class.
    pub hours: Option<f64>,
}

/// An estimate for each class that has archived files among `files`.
pub fn of(files: &[Surveyed], tier: Tier, days: i32, prices: &Prices) -> Vec<Estimate> {
    let mut estimates = Vec::new();
    for class in [Class::Glacier, Class::DeepArchive] {
        let chosen: Vec<u64> = files
            .iter()
            .filter(|one| one.state == State::Archived { class })
            .map(|one| one.file.bytes)
            .collect();
        if chosen.is_empty() {
            continue;
        }
        let bytes: u64 = chosen.iter().sum();
        let gb = bytes as f64 / GB;
        let retrieval = restore_prices(class, tier)
            .map_or(0.0, |price| gb * price.gb + chosen.len() as f64 / 1_000.0 * price.requests);
        estimates.push(Estimate {
            class: class.as_str(),
            files: chosen.len() as u64,
            bytes,
            retrieval,
            copies: gb * prices.of(Class::Standard).gb_month * f64::from(days) * 12.0 / 365.0,
            hours: tier.longest(class).map(|time| time.num_minutes() as f64 / 60.0),
        });
    }
    estimates
}

#[cfg(test)]
mod tests {
    use super::super::manifest::ArchivedFile;
    use super::*;

    #[test]
    fn ten_gigabytes_of_deep_archive_cost_what_the_list_says() {
        let file = ArchivedFile {
            date: "2026-11-20".parse().expect("a date"),
            location: "s3://b/a".to_owned(),
            bytes: 10 << 30,
            rows: 1,
        };
        let class = Class::DeepArchive;
        let files = [
            Surveyed { file: file.clone(), state: State::Archived { class } },
            Surveyed { file, state: State::Readable },
        ];
        let found = of(&files, Tier::Bulk, 30, &Prices::default());
        assert_eq!((found.len(), found[0].files, found[0].hours), (1, 1, Some(48.0)));
        assert!((found[0].retrieval - (10.0 * 0.0025 + 0.025 / 1_000.0)).abs() < 1e-9);
        assert!((found[0].copies - 10.0 * 0.023 * 30.0 * 12.0 / 365.0).abs() < 1e-9);
        assert_eq!(of(&files, Tier::Expedited, 30, &Prices::default())[0].hours, None);
    }
}
