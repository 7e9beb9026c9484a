//! What a policy file may say, and how it becomes a [`Policy`].

use super::super::prices::{Prices, RawPrices};
use super::{
    ArchivePolicy, LakePolicy, Lock, LockMode, Policy, PolicyError, PrefixPolicy, Root, TableDays, Tier,
    Volume, value,
};
use logq_schemas::tables;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Years an archive may be asked to keep: a longer one is a mistake in the file.
const RETENTION_YEARS_MAX: u32 = 100;

/// The table that is read whole at every start; it stays in Standard.
const LEDGER: &str = "ingest";

/// What a policy file may hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPolicy {
    lake: Option<RawLake>,
    archive: Option<RawArchive>,
    #[serde(default)]
    prefix: Vec<RawPrefix>,
    #[serde(default)]
    volume: RawVolume,
    #[serde(default)]
    prices: RawPrices,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLake {
    url: String,
    standard_days: i32,
    glacier_ir_days: Option<i32>,
    hot_days: Option<i32>,
    noncurrent_days: Option<i32>,
    abort_uploads_days: Option<i32>,
    #[serde(default)]
    tables: BTreeMap<String, RawTable>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    standard_days: Option<i32>,
    glacier_ir_days: Option<i32>,
    hot_days: Option<i32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawArchive {
    url: String,
    #[serde(default)]
    tiers: Vec<Tier>,
    retention_years: u32,
    lock: Option<RawLock>,
    sealed_after_days: Option<i32>,
    noncurrent_days: Option<i32>,
    abort_uploads_days: Option<i32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLock {
    mode: LockMode,
    years: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrefix {
    name: String,
    url: String,
    #[serde(default)]
    tiers: Vec<Tier>,
    expire_days: Option<i32>,
    noncurrent_days: Option<i32>,
    abort_uploads_days: Option<i32>,
    share: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVolume {
    gb_per_day: Option<f64>,
    objects_per_day: Option<f64>,
    lake_ratio: Option<f64>,
    file_mb: Option<f64>,
}

/// A replaced `_last_checkpoint` or a vacuumed file is of use for undoing a mistake, for a week.
const NONCURRENT_DAYS: i32 = 7;

/// No upload of ours takes longer; the parts are billed until they go.
const ABORT_UPLOADS_DAYS: i32 = 3;

/// Sealed a day after its end, and a day for a seal that failed once.
const SEALED_AFTER_DAYS: i32 = 2;

impl TryFrom<RawPolicy> for Policy {
    type Error = PolicyError;

    fn try_from(raw: RawPolicy) -> Result<Policy, PolicyError> {
        let count = raw.prefix.len().max(1) as f64;
        let mut prefixes: Vec<PrefixPolicy> = Vec::new();
        for one in raw.prefix {
            if prefixes.iter().any(|earlier| earlier.name == one.name) {
                return Err(value("prefix.name", format!("`{}` is used twice", one.name)));
            }
            prefixes.push(prefix(one, 1.0 / count)?);
        }
        let positive = |key: &str, given: Option<f64>, default: f64| match given {
            Some(number) if number.is_finite() && number >= 0.0 => Ok(number),
            Some(_) => Err(value(key, "must be a number from 0 on")),
            None => Ok(default),
        };
        let volume = Volume {
            gb_per_day: positive("volume.gb_per_day", raw.volume.gb_per_day, 10.0)?,
            objects_per_day: positive("volume.objects_per_day", raw.volume.objects_per_day, 50_000.0)?,
            // Measured over recorded CloudTrail and flow logs: docs/benchmarks.md.
            lake_ratio: positive("volume.lake_ratio", raw.volume.lake_ratio, 0.7)?,
            file_mb: positive("volume.file_mb", raw.volume.file_mb, 128.0)?.max(0.001),
        };
        let policy = Policy {
            lake: raw.lake.map(lake).transpose()?,
            archive: raw.archive.map(archive).transpose()?,
            prefixes,
            volume,
            prices: Prices::overridden(raw.prices).map_err(|reason| value("prices", reason))?,
        };
        if policy.roots().is_empty() {
            return Err(value("lake", "the policy names no lake, archive or prefix"));
        }
        policy.check_overlap()?;
        Ok(policy)
    }
}

fn root(key: &str, url: &str) -> Result<Root, PolicyError> {
    Root::parse(url).map_err(|reason| value(key, format!("`{url}`: {reason}")))
}

fn days(key: &str, given: Option<i32>, default: i32) -> Result<i32, PolicyError> {
    let days = given.unwrap_or(default);
    if days < 1 { Err(value(key, "must be at least 1 day")) } else { Ok(days) }
}

fn lake(raw: RawLake) -> Result<LakePolicy, PolicyError> {
    for name in raw.tables.keys() {
        if tables::by_name(name).is_none() {
            return Err(value(&format!("lake.tables.{name}"), "the lake has no such table"));
        }
    }
    let whole = RawTable {
        standard_days: Some(raw.standard_days),
        glacier_ir_days: raw.glacier_ir_days,
        hot_days: raw.hot_days,
    };
    let mut by_table = BTreeMap::new();
    for table in tables::ALL {
        let own = raw.tables.get(table.name);
        // The ledger moves only when the file says so in so many words.
        if table.name == LEDGER && own.is_none() {
            continue;
        }
        by_table.insert(table.name, table_days(table.name, own.copied().unwrap_or(whole), whole)?);
    }
    Ok(LakePolicy {
        root: root("lake.url", &raw.url)?,
        tables: by_table,
        noncurrent_days: days("lake.noncurrent_days", raw.noncurrent_days, NONCURRENT_DAYS)?,
        abort_uploads_days: days("lake.abort_uploads_days", raw.abort_uploads_days, ABORT_UPLOADS_DAYS)?,
    })
}

/// Two of the three figures give the third. A table that says nothing about a figure takes the lake's.
fn table_days(name: &str, own: RawTable, whole: RawTable) -> Result<TableDays, PolicyError> {
    let key = |field: &str| format!("lake.tables.{name}.{field}");
    let standard = days(&key("standard_days"), own.standard_days.or(whole.standard_days), 1)?;
    let said = own.glacier_ir_days.is_some() || own.hot_days.is_some();
    let (instant, hot) =
        if said { (own.glacier_ir_days, own.hot_days) } else { (whole.glacier_ir_days, whole.hot_days) };
    let hot = match (instant, hot) {
        (Some(instant), Some(hot)) if standard + instant != hot => {
            let reason = format!(
                "{standard} days in Standard and {instant} in Glacier IR are not {hot}: leave one out"
            );
            return Err(value(&key("hot_days"), reason));
        }
        (Some(instant), None) => Some(standard + instant),
        (_, hot) => hot,
    };
    if hot.is_some_and(|hot| hot < 1) {
        return Err(value(&key("hot_days"), "must be at least 1 day"));
    }
    Ok(TableDays { standard, hot })
}

fn archive(raw: RawArchive) -> Result<ArchivePolicy, PolicyError> {
    if !(1..=RETENTION_YEARS_MAX).contains(&raw.retention_years) {
        return Err(value(
            "archive.retention_years",
            format!("must lie between 1 and {RETENTION_YEARS_MAX}"),
        ));
    }
    let lock = raw.lock.map(|lock| Lock { mode: lock.mode, years: lock.years });
    if let Some(lock) = lock {
        if lock.years == 0 {
            return Err(value("archive.lock.years", "must be at least 1"));
        }
        if lock.years > raw.retention_years {
            let reason = format!(
                "the lock of {} years outlasts the retention of {}: files would be billed after they count as gone",
                lock.years, raw.retention_years
            );
            return Err(value("archive.lock.years", reason));
        }
    }
    Ok(ArchivePolicy {
        root: root("archive.url", &raw.url)?,
        tiers: in_order(raw.tiers),
        retention_years: raw.retention_years,
        lock,
        sealed_after_days: days("archive.sealed_after_days", raw.sealed_after_days, SEALED_AFTER_DAYS)?,
        noncurrent_days: days("archive.noncurrent_days", raw.noncurrent_days, NONCURRENT_DAYS)?,
        abort_uploads_days: days("archive.abort_uploads_days", raw.abort_uploads_days, ABORT_UPLOADS_DAYS)?,
    })
}

fn prefix(raw: RawPrefix, default_share: f64) -> Result<PrefixPolicy, PolicyError> {
    let valid = !raw.name.is_empty()
        && raw.name.len() <= 40
        && raw.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !valid || matches!(raw.name.as_str(), "lake" | "archive") {
        let reason =
            format!("`{}`: use 1 to 40 lower-case letters, digits or `-`, not `lake` or `archive`", raw.name);
        return Err(value("prefix.name", reason));
    }
    let key = |field: &str| format!("prefix.{}.{field}", raw.name);
    let optional = |field: &str, given: Option<i32>| match given {
        Some(given) => days(&key(field), Some(given), 1).map(Some),
        None => Ok(None),
    };
    let share = raw.share.unwrap_or(default_share);
    if !(0.0..=1.0).contains(&share) {
        return Err(value(&key("share"), "must lie between 0 and 1"));
    }
    Ok(PrefixPolicy {
        root: root(&key("url"), &raw.url)?,
        tiers: in_order(raw.tiers),
        expire_days: optional("expire_days", raw.expire_days)?,
        noncurrent_days: optional("noncurrent_days", raw.noncurrent_days)?,
        abort_uploads_days: days(&key("abort_uploads_days"), raw.abort_uploads_days, ABORT_UPLOADS_DAYS)?,
        share,
        name: raw.name,
    })
}

fn in_order(mut tiers: Vec<Tier>) -> Vec<Tier> {
    tiers.sort_by_key(|tier| tier.after_days);
    tiers
}
