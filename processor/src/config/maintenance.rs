//! Settings of `compact`, `seal`, `expire` and `vacuum`.

use super::{ConfigError, duration};
use crate::lake::archive::{Lock, LockMode, Storing};
use crate::lake::compact::Sizes;
use crate::lake::raw::PackSizes;
use serde::Deserialize;
use std::time::Duration;

/// S3 storage classes an archive may use. Those for frequent reading are the bucket's default anyway.
const STORAGE_CLASSES: [&str; 6] =
    ["STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"];

/// Longest Object Lock retention S3 takes, in days.
const LOCK_DAYS_MAX: u32 = 36_500;

/// Maintenance settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// Bytes a compacted or sealed file should have. 256 MiB is a few row groups of a million rows:
    /// large enough that listing and opening cost nothing, small enough to copy or restore one.
    pub file_bytes: u64,
    /// Bytes a merge may take: what fits beside a processor on a small machine.
    pub memory_bytes_max: u64,
    /// How long after its end a day is sealed by default. CloudTrail and flow logs are delivered within
    /// minutes, a node that was down ships when it is back; what is later becomes a supplement.
    pub seal_after: Duration,
    /// Where the archive is; below the lake without.
    pub archive: Option<String>,
    /// How it is stored.
    pub storing: Storing,
    /// Bytes of a pack of originals. At 128 MiB the fixed cost of an object in the coldest class is
    /// under a thousandth of its price.
    pub pack_bytes: u64,
    /// Originals above this are left out of packs: a colder class takes them as they are.
    pub pack_member_bytes_max: u64,
}

impl Default for Maintenance {
    fn default() -> Maintenance {
        Maintenance {
            file_bytes: 256 << 20,
            memory_bytes_max: 384 << 20,
            seal_after: Duration::from_secs(6 * 3_600),
            archive: None,
            storing: Storing::default(),
            pack_bytes: 128 << 20,
            pack_member_bytes_max: 16 << 20,
        }
    }
}

impl Maintenance {
    /// Sizes of files and memory.
    pub fn sizes(&self) -> Sizes {
        Sizes { file_bytes: self.file_bytes, memory_bytes: self.memory_bytes_max }
    }

    /// Sizes of packs.
    pub fn pack_sizes(&self) -> PackSizes {
        PackSizes { pack_bytes: self.pack_bytes, member_bytes_max: self.pack_member_bytes_max }
    }
}

/// `[maintenance]` of a configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMaintenance {
    file_bytes: Option<u64>,
    memory_bytes_max: Option<u64>,
    seal_after: Option<String>,
    archive: Option<String>,
    archive_storage_class: Option<String>,
    archive_lock_mode: Option<String>,
    archive_lock_days: Option<u32>,
    pack_bytes: Option<u64>,
    pack_member_bytes_max: Option<u64>,
}

impl TryFrom<RawMaintenance> for Maintenance {
    type Error = ConfigError;

    fn try_from(raw: RawMaintenance) -> Result<Maintenance, ConfigError> {
        let base = Maintenance::default();
        let mebibyte = 1 << 20;
        let storing = Storing {
            storage_class: raw.archive_storage_class.map(storage_class).transpose()?,
            lock: lock(raw.archive_lock_mode, raw.archive_lock_days)?,
        };
        Ok(Maintenance {
            file_bytes: at_least("maintenance.file_bytes", raw.file_bytes, base.file_bytes, mebibyte)?,
            memory_bytes_max: at_least(
                "maintenance.memory_bytes_max",
                raw.memory_bytes_max,
                base.memory_bytes_max,
                64 * mebibyte,
            )?,
            seal_after: duration("maintenance.seal_after", raw.seal_after, base.seal_after)?,
            archive: raw.archive,
            storing,
            pack_bytes: at_least("maintenance.pack_bytes", raw.pack_bytes, base.pack_bytes, mebibyte)?,
            pack_member_bytes_max: raw.pack_member_bytes_max.unwrap_or(base.pack_member_bytes_max),
        })
    }
}

fn wrong(key: &'static str, value: impl ToString, reason: impl ToString) -> ConfigError {
    ConfigError::Value { key, value: value.to_string(), reason: reason.to_string() }
}

fn at_least(key: &'static str, value: Option<u64>, default: u64, least: u64) -> Result<u64, ConfigError> {
    match value {
        Some(value) if value < least => Err(wrong(key, value, format!("must be at least {least} bytes"))),
        Some(value) => Ok(value),
        None => Ok(default),
    }
}

/// The name as S3 spells it.
///
/// # Errors
/// When it is none.
pub fn storage_class(name: String) -> Result<String, ConfigError> {
    match STORAGE_CLASSES.contains(&name.as_str()) {
        true => Ok(name),
        false => Err(wrong(
            "maintenance.archive_storage_class",
            name,
            format!("use one of {}", STORAGE_CLASSES.join(", ")),
        )),
    }
}

fn lock(mode: Option<String>, days: Option<u32>) -> Result<Option<Lock>, ConfigError> {
    let key = "maintenance.archive_lock_mode";
    let days_key = "maintenance.archive_lock_days";
    match (mode, days) {
        (None, None) => Ok(None),
        (None, Some(days)) => {
            Err(wrong(days_key, days, "archive_lock_mode is missing: `governance` or `compliance`"))
        }
        (Some(mode), None) => Err(wrong(key, mode, "archive_lock_days is missing")),
        (Some(_), Some(days)) if days == 0 || days > LOCK_DAYS_MAX => {
            Err(wrong(days_key, days, format!("must lie between 1 and {LOCK_DAYS_MAX}")))
        }
        (Some(mode), Some(days)) => match mode.as_str() {
            "governance" => Ok(Some(Lock { mode: LockMode::Governance, days })),
            "compliance" => Ok(Some(Lock { mode: LockMode::Compliance, days })),
            _ => Err(wrong(key, mode, "use `governance` or `compliance`")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Maintenance, String> {
        let raw: RawMaintenance = toml::from_str(text).map_err(|error| error.to_string())?;
        Maintenance::try_from(raw).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_override_defaults() {
        let text = "file_bytes = 33554432\narchive = \"s3://b/a\"\narchive_storage_class = \"GLACIER_IR\"\n\
                    archive_lock_mode = \"compliance\"\narchive_lock_days = 3650";
        let maintenance = parse(text).expect("valid");
        assert_eq!(maintenance.sizes().file_bytes, 32 << 20);
        assert_eq!(maintenance.storing.lock, Some(Lock { mode: LockMode::Compliance, days: 3_650 }));
        assert_eq!(maintenance.pack_bytes, Maintenance::default().pack_bytes);
    }

    #[test]
    fn mistakes_name_the_key() {
        for (text, part) in [
            ("file_bytes = 5", "file_bytes"),
            ("memory_bytes_max = 1048576", "memory_bytes_max"),
            ("archive_storage_class = \"COLD\"", "archive_storage_class"),
            ("archive_lock_mode = \"strict\"\narchive_lock_days = 1", "archive_lock_mode"),
            ("archive_lock_days = 1", "archive_lock_days"),
            ("archive_lock_mode = \"compliance\"", "archive_lock_mode"),
            ("archive_lock_mode = \"compliance\"\narchive_lock_days = 0", "archive_lock_days"),
            ("seal_after = \"soon\"", "seal_after"),
            ("colour = 1", "colour"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
