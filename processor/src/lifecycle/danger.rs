//! Findings: what is wrong with a policy or with the rules of a bucket.
//!
//! A lifecycle rule acts on every key its prefix begins, whoever wrote the rule. So every enabled rule
//! of a bucket is held against the folders that must stay as they are. Tags and sizes narrow a rule: our
//! files carry no tags, so a rule that wants one is a warning; a size spares no folder, because files of
//! a table and of its log have any size.

use super::OURS;
use super::bucket::Observed;
use super::class::Class;
use super::limits;
use super::live::LiveFiles;
use super::policy::{ArchivePolicy, LakePolicy, Policy};
use super::rule::{Rule, When};
use logq_schemas::tables;
use serde::Serialize;

/// Longest an SQS queue keeps a message: an input that goes earlier may be gone before it is read.
const QUEUE_DAYS: i32 = 14;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The check fails.
    Error,
    /// A person should know.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Its name, for scripts.
    pub code: &'static str,
    /// The bucket; empty when it is about the policy.
    pub bucket: String,
    /// The rule, where it is about one.
    pub rule: Option<String>,
    /// What, where, what to do.
    pub message: String,
}

impl Finding {
    fn of_policy(severity: Severity, code: &'static str, message: String) -> Finding {
        Finding { severity, code, bucket: String::new(), rule: None, message }
    }
}

/// What the policy itself gets wrong, whatever the buckets hold.
pub fn in_policy(policy: &Policy) -> Vec<Finding> {
    let mut found = Vec::new();
    for (bucket, rules) in super::declare::rules(policy) {
        for rule in &rules {
            for reason in limits::refusals(rule) {
                let rule = Some(rule.id.clone());
                let bucket = bucket.clone();
                found.push(Finding {
                    severity: Severity::Error,
                    code: "s3-refuses",
                    bucket,
                    rule,
                    message: reason,
                });
            }
        }
    }
    if let Some(archive) = &policy.archive {
        let tiers = Rule {
            moves: archive
                .tiers
                .iter()
                .map(|tier| super::rule::Move {
                    when: When::Days(tier.after_days),
                    class: tier.class.as_str().to_owned(),
                })
                .collect(),
            ..Rule::default()
        };
        for reason in limits::early(&tiers, Some(archive.retention_days())) {
            found.push(Finding::of_policy(Severity::Error, "billed-early", format!("archive: {reason}")));
        }
    }
    for prefix in &policy.prefixes {
        found.extend(of_prefix(prefix));
    }
    if let Some(lake) = &policy.lake {
        found.extend(of_tables(lake, policy.archive.as_ref()));
    }
    found
}

fn of_prefix(prefix: &super::policy::PrefixPolicy) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = &prefix.name;
    let rules = super::declare::rules(&Policy {
        lake: None,
        archive: None,
        prefixes: vec![prefix.clone()],
        volume: super::policy::Volume {
            gb_per_day: 0.0,
            objects_per_day: 0.0,
            lake_ratio: 0.0,
            file_mb: 1.0,
        },
        prices: super::prices::Prices::default(),
    });
    for rule in rules.values().flatten() {
        for reason in limits::early(rule, prefix.expire_days) {
            found.push(Finding::of_policy(Severity::Error, "billed-early", format!("{name}: {reason}")));
        }
    }
    if prefix.expire_days.is_some_and(|days| days < QUEUE_DAYS) {
        let days = prefix.expire_days.unwrap_or_default();
        let message = format!(
            "{name}: objects go after {days} days, but a queue keeps their notifications for up to {QUEUE_DAYS}: a processor that stands still for longer loses them"
        );
        found.push(Finding::of_policy(Severity::Warning, "input-expires-early", message));
    }
    let offline = prefix.tiers.iter().find(|tier| tier.class.is_offline() && tier.after_days < QUEUE_DAYS);
    if let Some(tier) = offline {
        let message = format!(
            "{name}: objects are in {} after {} days: until they are in the lake they should stay readable for {QUEUE_DAYS}",
            tier.class, tier.after_days
        );
        found.push(Finding::of_policy(Severity::Warning, "input-offline-early", message));
    }
    found
}

/// A partition must not leave its table before its day is sealed; and one that leaves it while its copy
/// is still online is out of the tables' answers without being out of reach.
fn of_tables(lake: &LakePolicy, archive: Option<&ArchivePolicy>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (table, days) in &lake.tables {
        let Some(hot) = days.hot else { continue };
        let in_instant = hot - days.standard;
        if (1..Class::GlacierIr.days_billed()).contains(&in_instant) {
            let message = format!(
                "lake: {table} is in GLACIER_IR for {in_instant} days: S3 bills at least {}",
                Class::GlacierIr.days_billed()
            );
            found.push(Finding::of_policy(Severity::Warning, "billed-early", message));
        }
        let Some(archive) = archive else { continue };
        if hot <= archive.sealed_after_days {
            let message = format!(
                "lake: {table} is kept for {hot} days but a day is sealed after {}: it would leave the table before it is in the archive",
                archive.sealed_after_days
            );
            found.push(Finding::of_policy(Severity::Error, "hot-before-seal", message));
            continue;
        }
        let offline = archive.tiers.iter().find(|tier| tier.class.is_offline());
        let online_until = offline.map(|tier| tier.after_days + archive.sealed_after_days);
        match online_until {
            Some(until) if hot < until => {
                let message = format!(
                    "lake: {table} leaves its table after {hot} days and its archive is online until day {until}: between the two a query of the table does not see it"
                );
                found.push(Finding::of_policy(Severity::Warning, "archive-only", message));
            }
            _ => {}
        }
    }
    found
}

/// What the enabled rules of a bucket would do to the lake and the archive.
pub fn in_bucket(
    policy: &Policy,
    observed: &Observed,
    rules: &[Rule],
    live: Option<&LiveFiles>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for rule in rules.iter().filter(|rule| rule.enabled) {
        let mut add = |severity, code, message: String| {
            let name = if rule.id.is_empty() { rule.scope() } else { rule.id.clone() };
            let severity = if rule.tags.is_empty() { severity } else { Severity::Warning };
            let note = match rule.tags.first() {
                Some((key, _)) => {
                    format!(" (only objects tagged `{key}`: the files written there carry no tags)")
                }
                None => String::new(),
            };
            let message = format!("{message}{note}");
            let bucket = observed.bucket.clone();
            found.push(Finding { severity, code, bucket, rule: Some(name), message });
        };
        if let Some(lake) = policy.lake.as_ref().filter(|lake| lake.root.bucket == observed.bucket) {
            against_lake(lake, rule, live, &mut add);
        }
        if let Some(archive) =
            policy.archive.as_ref().filter(|archive| archive.root.bucket == observed.bucket)
        {
            against_archive(archive, observed, rule, &mut add);
        }
    }
    overlaps(observed, rules, &mut found);
    found
}

/// The folders of the lake a rule reaches, in words; none when it reaches none.
fn reached(lake: &LakePolicy, rule: &Rule) -> (Vec<String>, Vec<String>) {
    let root = &lake.root.prefix;
    let folders = |inner: &str| -> Vec<String> {
        tables::ALL
            .iter()
            .map(|table| format!("{root}{}/{inner}", table.name))
            .filter(|folder| rule.reaches(folder))
            .collect()
    };
    let mut logs = folders("_delta_log/");
    logs.extend(Some(format!("{root}state/")).filter(|folder| rule.reaches(folder)));
    (logs, folders("event_date="))
}

fn listed(folders: &[String]) -> String {
    match folders {
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        [] => String::new(),
    }
}

fn against_lake(
    lake: &LakePolicy,
    rule: &Rule,
    live: Option<&LiveFiles>,
    add: &mut impl FnMut(Severity, &'static str, String),
) {
    let (logs, partitions) = reached(lake, rule);
    let hit = || match live.map(|live| live.hit_by(rule)) {
        Some((files, Some(first))) => {
            format!("; {files} files the tables refer to are hit now, such as {first}")
        }
        Some((_, None)) => "; no file the tables refer to is hit now".to_owned(),
        None => String::new(),
    };
    let all = |moves: &[super::rule::Move], offline: bool| {
        let chosen = moves.iter().filter(|one| {
            let class = Class::named(&one.class);
            // A class we do not know is taken for one that needs a restore.
            class.is_none_or(Class::is_offline) == offline
        });
        chosen.map(|one| one.class.clone()).collect::<Vec<_>>().join(", ")
    };
    let offline = all(&rule.moves, true);
    if !offline.is_empty() && !partitions.is_empty() {
        let message = format!(
            "{offline} reaches {}: a query that needs an archived file fails; limit the rule to the archive's prefix{}",
            listed(&partitions),
            hit()
        );
        add(Severity::Error, "lake-archived", message);
    }
    if !offline.is_empty() && !logs.is_empty() {
        let message = format!(
            "{offline} reaches {}: without it no table opens; limit the rule's prefix",
            listed(&logs)
        );
        add(Severity::Error, "delta-log-archived", message);
    }
    let online = all(&rule.moves, false);
    if !online.is_empty() && !logs.is_empty() {
        let message = format!(
            "{online} reaches {}: it is read and replaced all the time, which costs more there; end the prefix in `event_date=`",
            listed(&logs)
        );
        add(Severity::Warning, "delta-log-cold", message);
    }
    if rule.expiry.is_some() && !(partitions.is_empty() && logs.is_empty()) {
        let folders: Vec<String> = partitions.iter().chain(&logs).cloned().collect();
        let message = format!(
            "expiry reaches {}: S3 would delete files the tables refer to; days leave a table through the processor's maintenance{}",
            listed(&folders),
            hit()
        );
        add(Severity::Error, "lake-expires", message);
    }
}

fn against_archive(
    archive: &ArchivePolicy,
    observed: &Observed,
    rule: &Rule,
    add: &mut impl FnMut(Severity, &'static str, String),
) {
    if !rule.reaches(&archive.root.prefix) {
        return;
    }
    let keep = archive.retention_days();
    match &rule.expiry {
        Some(When::Days(days)) if *days < keep && !is_within_retention(archive, *days) => {
            let message = format!(
                "expiry after {days} days reaches {}: {} years are to be kept",
                archive.root.prefix, archive.retention_years
            );
            add(Severity::Error, "archive-expires-early", message);
        }
        Some(When::Date(date)) => {
            let message = format!(
                "expiry on {date} reaches {}: it removes the newest file with the oldest",
                archive.root.prefix
            );
            add(Severity::Error, "archive-expires-early", message);
        }
        _ => {}
    }
    let moves_small = rule.larger_than.is_none_or(|bytes| bytes < 128 * 1_024 - 1);
    let offline = rule.moves.iter().any(|one| Class::named(&one.class).is_none_or(Class::is_offline));
    if offline && moves_small && observed.moves_small_objects {
        let message = format!(
            "the bucket lets small objects move, so manifests below {} would have to be restored before a restore can be planned: add a size of over 131071 bytes",
            archive.root.prefix
        );
        add(Severity::Warning, "manifests-archived", message);
    }
}

/// A year is 365 or 366 days: a rule of ours may have been made with either.
fn is_within_retention(archive: &ArchivePolicy, days: i32) -> bool {
    i64::from(days) >= i64::from(archive.retention_years) * 365 + i64::from(archive.retention_years) / 4
}

/// A foreign rule that does the same kind of thing to the same keys as one of ours.
fn overlaps(observed: &Observed, rules: &[Rule], found: &mut Vec<Finding>) {
    let (ours, foreign): (Vec<&Rule>, Vec<&Rule>) =
        rules.iter().filter(|rule| rule.enabled).partition(|rule| rule.id.starts_with(OURS));
    for foreign in foreign {
        for own in &ours {
            let kinds: [(bool, &str); 3] = [
                (!own.moves.is_empty() && !foreign.moves.is_empty(), "move"),
                (own.expiry.is_some() && foreign.expiry.is_some(), "expire"),
                (
                    own.noncurrent_expiry.is_some() && foreign.noncurrent_expiry.is_some(),
                    "expire noncurrent versions of",
                ),
            ];
            let both: Vec<&str> = kinds.iter().filter(|(both, _)| *both).map(|(_, kind)| *kind).collect();
            if both.is_empty() || !(own.reaches(&foreign.prefix)) {
                continue;
            }
            let message = format!(
                "it and {} both {} keys below {}: S3 takes the earlier expiry and the colder class, so the policy is not what happens",
                own.id,
                both.join(" and "),
                if own.prefix.len() > foreign.prefix.len() { &own.prefix } else { &foreign.prefix },
            );
            let name = if foreign.id.is_empty() { foreign.scope() } else { foreign.id.clone() };
            let bucket = observed.bucket.clone();
            found.push(Finding {
                severity: Severity::Warning,
                code: "overlap",
                bucket,
                rule: Some(name),
                message,
            });
        }
    }
}

/// What Object Lock and versioning lack.
pub fn in_protection(policy: &Policy, observed: &Observed) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |severity, code, message: String| {
        found.push(Finding { severity, code, bucket: observed.bucket.clone(), rule: None, message });
    };
    let holds_lake = policy.lake.as_ref().is_some_and(|lake| lake.root.bucket == observed.bucket);
    if holds_lake && let Some(default) = &observed.lock_default {
        let message = format!(
            "Object Lock holds every new object for {}: vacuum could remove nothing and each commit would be billed until then; give the archive a bucket of its own",
            default.text()
        );
        add(Severity::Error, "lock-covers-lake", message);
    }
    let archive = policy.archive.as_ref().filter(|archive| archive.root.bucket == observed.bucket);
    let Some(lock) = archive.and_then(|archive| archive.lock) else { return found };
    if !observed.lock_enabled {
        let message =
            "Object Lock is off: turn versioning on, then put an Object Lock configuration".to_owned();
        add(Severity::Error, "lock-missing", message);
    } else if !holds_lake {
        match &observed.lock_default {
            None => {
                let message = format!(
                    "Object Lock has no default retention: {} {} years are asked for; `lifecycle apply --object-lock` sets it",
                    lock.mode.as_str(),
                    lock.years
                );
                add(Severity::Error, "lock-missing", message);
            }
            Some(default) if default.differs(lock) => {
                let message = format!(
                    "Object Lock holds new objects for {}: {} {} years are asked for",
                    default.text(),
                    lock.mode.as_str(),
                    lock.years
                );
                add(Severity::Error, "lock-differs", message);
            }
            Some(_) => {}
        }
    }
    if !observed.versioned {
        add(Severity::Error, "versioning-off", "Object Lock needs versioning: turn it on".to_owned());
    }
    found
}

#[cfg(test)]
mod tests;
