//! The rules a policy asks for, by bucket.

use super::OURS;
use super::class::Class;
use super::policy::{ArchivePolicy, LakePolicy, Policy, PrefixPolicy, Tier};
use super::rule::{Move, Rule, When};
use std::collections::BTreeMap;

/// Manifests and other small objects of the archive stay readable without a restore: only objects
/// above the size from which S3 moves objects anyway are moved.
const ARCHIVED_OVER_BYTES: i64 = 128 * 1_024 - 1;

/// Rules by bucket; every bucket of the policy is there, also one without rules.
pub fn rules(policy: &Policy) -> BTreeMap<String, Vec<Rule>> {
    let mut buckets: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
    let mut add = |bucket: &str, rules: Vec<Rule>| {
        buckets.entry(bucket.to_owned()).or_default().extend(rules);
    };
    if let Some(lake) = &policy.lake {
        add(&lake.root.bucket, of_lake(lake));
    }
    if let Some(archive) = &policy.archive {
        add(&archive.root.bucket, of_archive(archive));
    }
    for prefix in &policy.prefixes {
        add(&prefix.root.bucket, of_prefix(prefix));
    }
    buckets
}

fn rule(id: String, prefix: String) -> Rule {
    Rule { id: format!("{OURS}{id}"), enabled: true, prefix, ..Rule::default() }
}

fn moves(tiers: &[Tier]) -> Vec<Move> {
    let one = |tier: &Tier| Move { when: When::Days(tier.after_days), class: tier.class.as_str().to_owned() };
    tiers.iter().map(one).collect()
}

fn housekeeping(id: &str, prefix: &str, noncurrent_days: Option<i32>, abort_uploads_days: i32) -> Rule {
    Rule {
        noncurrent_expiry: noncurrent_days.map(|days| (days, None)),
        removes_markers: noncurrent_days.is_some(),
        aborts_uploads_after: Some(abort_uploads_days),
        ..rule(format!("{id}-housekeeping"), prefix.to_owned())
    }
}

/// One rule a table, on its partitions: a prefix that ends in `event_date=` leaves `_delta_log/` alone.
fn of_lake(lake: &LakePolicy) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (table, days) in &lake.tables {
        // Moved on the day it goes, a file would be billed for 90 days for nothing.
        if days.hot.is_some_and(|hot| hot <= days.standard) {
            continue;
        }
        let tier = Tier { class: Class::GlacierIr, after_days: days.standard };
        let prefix = format!("{}{table}/event_date=", lake.root.prefix);
        rules.push(Rule { moves: moves(&[tier]), ..rule(format!("lake-{table}"), prefix) });
    }
    rules.push(housekeeping("lake", &lake.root.prefix, Some(lake.noncurrent_days), lake.abort_uploads_days));
    rules
}

fn of_archive(archive: &ArchivePolicy) -> Vec<Rule> {
    let prefix = &archive.root.prefix;
    let mut rules = Vec::new();
    if !archive.tiers.is_empty() {
        rules.push(Rule {
            larger_than: Some(ARCHIVED_OVER_BYTES),
            moves: moves(&archive.tiers),
            ..rule("archive-tiers".to_owned(), prefix.clone())
        });
    }
    rules.push(Rule {
        expiry: Some(When::Days(archive.retention_days())),
        ..rule("archive-retention".to_owned(), prefix.clone())
    });
    rules.push(housekeeping("archive", prefix, Some(archive.noncurrent_days), archive.abort_uploads_days));
    rules
}

fn of_prefix(prefix: &PrefixPolicy) -> Vec<Rule> {
    let mut rules = Vec::new();
    if !prefix.tiers.is_empty() || prefix.expire_days.is_some() {
        rules.push(Rule {
            moves: moves(&prefix.tiers),
            expiry: prefix.expire_days.map(When::Days),
            ..rule(prefix.name.clone(), prefix.root.prefix.clone())
        });
    }
    rules.push(housekeeping(
        &prefix.name,
        &prefix.root.prefix,
        prefix.noncurrent_days,
        prefix.abort_uploads_days,
    ));
    rules
}

#[cfg(test)]
mod tests {
    use super::super::limits;
    use super::super::policy::tests::{FULL, parse};
    use super::*;

    #[test]
    fn the_rules_spare_the_delta_log_the_ledger_and_the_manifests() {
        let rules = rules(&parse(FULL).expect("valid"));
        assert_eq!(rules.keys().collect::<Vec<_>>(), ["archive", "lake", "landing", "trail"]);
        for rule in &rules["lake"] {
            assert!(rule.expiry.is_none(), "{}", rule.text());
            assert!(rule.moves.is_empty() || !rule.reaches("lake/cloudtrail/_delta_log/"), "{}", rule.text());
            assert!(rule.moves.is_empty() || !rule.reaches("lake/ingest/"), "{}", rule.text());
        }
        let tiers = &rules["archive"][0];
        assert_eq!((tiers.larger_than, tiers.moves.len()), (Some(131_071), 2));
        assert_eq!(rules["landing"][0].expiry, Some(When::Days(30)));
    }

    #[test]
    fn s3_accepts_every_rule_and_reads_it_as_we_do() {
        for rule in rules(&parse(FULL).expect("valid")).values().flatten() {
            assert_eq!(limits::refusals(rule), Vec::<String>::new(), "{}", rule.text());
            assert_eq!(&Rule::read(&rule.to_s3().expect("builds")), rule);
        }
    }
}
