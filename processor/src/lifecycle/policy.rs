//! The policy file: [`RawPolicy`] is what it may say, [`Policy`] what later code sees.

use super::class::Class;
use super::prices::Prices;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use thiserror::Error;

mod raw;
pub use raw::RawPolicy;

/// Where objects lie: a bucket and a prefix that ends in `/` or is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The bucket.
    pub bucket: String,
    /// The prefix.
    pub prefix: String,
}

impl Root {
    fn parse(url: &str) -> Result<Root, String> {
        let rest = url.strip_prefix("s3://").ok_or("it must be an s3://bucket/prefix URL")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("the bucket is missing".to_owned());
        }
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Root { bucket: bucket.to_owned(), prefix })
    }

    /// As a URL.
    pub fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    fn holds(&self, other: &Root) -> bool {
        self.bucket == other.bucket && other.prefix.starts_with(&self.prefix)
    }
}

/// Days of one table's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableDays {
    /// In Standard, from the day a file is written; then Glacier Instant Retrieval.
    pub standard: i32,
    /// Until the day's partition is taken out of the table; never when absent.
    pub hot: Option<i32>,
}

/// The lake.
#[derive(Debug, Clone)]
pub struct LakePolicy {
    /// Its root.
    pub root: Root,
    /// Days by table; a table that is not here stays in Standard.
    pub tables: BTreeMap<&'static str, TableDays>,
    /// Days a replaced or removed version is kept.
    pub noncurrent_days: i32,
    /// Days until the parts of an unfinished upload go.
    pub abort_uploads_days: i32,
}

/// Object Lock of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// How firm it is.
    pub mode: LockMode,
    /// For how long.
    pub years: u32,
}

/// How firm an Object Lock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LockMode {
    /// A permission can lift it.
    Governance,
    /// Nobody can shorten it.
    Compliance,
}

impl LockMode {
    /// The name S3 gives it.
    pub fn as_str(self) -> &'static str {
        match self {
            LockMode::Governance => "GOVERNANCE",
            LockMode::Compliance => "COMPLIANCE",
        }
    }
}

/// A move to a class at an age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The class.
    pub class: Class,
    /// Days after the object was written.
    pub after_days: i32,
}

/// The archive.
#[derive(Debug, Clone)]
pub struct ArchivePolicy {
    /// Its root.
    pub root: Root,
    /// Moves, in order of age.
    pub tiers: Vec<Tier>,
    /// How long sealed files are kept.
    pub retention_years: u32,
    /// Object Lock, where wanted.
    pub lock: Option<Lock>,
    /// Days after which a day is sealed: from then on it is in the archive.
    pub sealed_after_days: i32,
    /// Days a removed version is kept.
    pub noncurrent_days: i32,
    /// Days until the parts of an unfinished upload go.
    pub abort_uploads_days: i32,
}

impl ArchivePolicy {
    /// Retention in days, leap days counted in full.
    pub fn retention_days(&self) -> i32 {
        days_of_years(self.retention_years)
    }
}

/// Days that are at least `years` whatever leap days fall into them.
pub fn days_of_years(years: u32) -> i32 {
    i32::try_from(years * 365 + years / 4 + 1).unwrap_or(i32::MAX)
}

/// Another prefix: landing objects, a trail, flow logs.
#[derive(Debug, Clone)]
pub struct PrefixPolicy {
    /// Its name, part of the rules' ids.
    pub name: String,
    /// Its root.
    pub root: Root,
    /// Moves, in order of age.
    pub tiers: Vec<Tier>,
    /// Days until objects go; never when absent.
    pub expire_days: Option<i32>,
    /// Days a replaced or removed version is kept.
    pub noncurrent_days: Option<i32>,
    /// Days until the parts of an unfinished upload go.
    pub abort_uploads_days: i32,
    /// Its part of the daily volume, for the estimate.
    pub share: f64,
}

/// What the cost is estimated from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Volume {
    /// GB that arrive a day, as stored (compressed).
    pub gb_per_day: f64,
    /// Objects that arrive a day.
    pub objects_per_day: f64,
    /// Bytes in the lake for a byte that arrives.
    pub lake_ratio: f64,
    /// MB of a file of the lake after compaction, and of the archive.
    pub file_mb: f64,
}

/// The checked policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The lake.
    pub lake: Option<LakePolicy>,
    /// The archive.
    pub archive: Option<ArchivePolicy>,
    /// Other prefixes.
    pub prefixes: Vec<PrefixPolicy>,
    /// Volume, where the file says it; options override it.
    pub volume: Volume,
    /// Prices.
    pub prices: Prices,
}

/// What is wrong with a policy.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("cannot read policy {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It is not TOML or has an unknown key.
    #[error("policy {} is not valid", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: Box<toml::de::Error>,
    },
    /// A value cannot stand.
    #[error("`{key}`: {reason}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

fn value(key: &str, reason: impl Into<String>) -> PolicyError {
    PolicyError::Value { key: key.to_owned(), reason: reason.into() }
}

impl Policy {
    /// Reads and checks a policy file.
    ///
    /// # Errors
    /// When it cannot be read, has an unknown key, or says what cannot stand.
    pub fn load(path: &Path) -> Result<Policy, PolicyError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PolicyError::Read { path: path.to_owned(), source })?;
        let raw: RawPolicy = toml::from_str(&text)
            .map_err(|source| PolicyError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        Policy::try_from(raw)
    }

    /// Every root with its name.
    pub fn roots(&self) -> Vec<(&str, &Root)> {
        let lake = self.lake.iter().map(|lake| ("lake", &lake.root));
        let archive = self.archive.iter().map(|archive| ("archive", &archive.root));
        let prefixes = self.prefixes.iter().map(|prefix| (prefix.name.as_str(), &prefix.root));
        lake.chain(archive).chain(prefixes).collect()
    }

    /// Roots must not contain each other: a rule for the outer one would act on the inner one.
    fn check_overlap(&self) -> Result<(), PolicyError> {
        let roots = self.roots();
        for (index, (name, root)) in roots.iter().enumerate() {
            for (other_name, other) in &roots[index + 1..] {
                if root.holds(other) || other.holds(root) {
                    let reason = format!(
                        "{} and {} ({other_name}) overlap: a rule for one would act on both",
                        root.url(),
                        other.url()
                    );
                    return Err(value(&format!("{name}.url"), reason));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
