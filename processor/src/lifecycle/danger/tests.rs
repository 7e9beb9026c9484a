//! Rules that must be found, and rules that must not.

use super::super::declare;
use super::super::policy::tests::{FULL, parse};
use super::super::rule::Move;
use super::*;

fn observed(bucket: &str) -> Observed {
    Observed { bucket: bucket.to_owned(), versioned: true, ..Observed::default() }
}

fn rule(prefix: &str, class: &str) -> Rule {
    let moves = if class.is_empty() {
        Vec::new()
    } else {
        vec![Move { when: When::Days(90), class: class.to_owned() }]
    };
    Rule { id: "theirs".to_owned(), enabled: true, prefix: prefix.to_owned(), moves, ..Rule::default() }
}

fn codes(bucket: &str, rule: Rule) -> Vec<(Severity, &'static str)> {
    let policy = parse(FULL).expect("valid");
    let found = in_bucket(&policy, &observed(bucket), &[rule], None);
    found.into_iter().map(|finding| (finding.severity, finding.code)).collect()
}

use Severity::{Error, Warning};

#[test]
fn g8_a_rule_that_would_archive_a_live_file_or_the_log_is_found_however_it_is_written() {
    let both = vec![(Error, "lake-archived"), (Error, "delta-log-archived")];
    for prefix in ["", "l", "lake", "lake/", "lake/cloudtrail/"] {
        assert_eq!(codes("lake", rule(prefix, "GLACIER")), both, "{prefix}");
        assert_eq!(codes("lake", rule(prefix, "DEEP_ARCHIVE")), both, "{prefix}");
    }
    // A class of the future is not trusted, a size spares nothing.
    assert_eq!(codes("lake", rule("lake/", "PERMAFROST")), both);
    let large = Rule { larger_than: Some(1 << 30), ..rule("", "GLACIER") };
    assert_eq!(codes("lake", large), both);
    let data = vec![(Error, "lake-archived")];
    assert_eq!(codes("lake", rule("lake/cloudtrail/event_date=2024-", "GLACIER")), data);
    let log = vec![(Error, "delta-log-archived")];
    assert_eq!(codes("lake", rule("lake/vpc_flow/_delta_log/0000", "GLACIER")), log);
    assert_eq!(codes("lake", rule("lake/state/claims/", "GLACIER")), log);
    let tagged = Rule { tags: vec![("cold".to_owned(), "1".to_owned())], ..rule("", "GLACIER") };
    assert_eq!(codes("lake", tagged), [(Warning, "lake-archived"), (Warning, "delta-log-archived")]);
}

#[test]
fn g8_expiry_below_the_lake_or_before_the_archive_s_time_is_found() {
    let expires = |prefix: &str, days| Rule { expiry: Some(When::Days(days)), ..rule(prefix, "") };
    for prefix in ["", "lake/", "lake/cloudtrail/event_date=", "lake/ingest/_delta_log/", "lake/state/"] {
        assert_eq!(codes("lake", expires(prefix, 9_999)), [(Error, "lake-expires")], "{prefix}");
    }
    assert_eq!(codes("archive", expires("", 365)), [(Error, "archive-expires-early")]);
    assert_eq!(codes("archive", expires("archive/cloudtrail/", 2_000)), [(Error, "archive-expires-early")]);
    let dated = Rule { expiry: Some(When::Date("2030-01-01T00:00:00Z".to_owned())), ..rule("", "") };
    assert_eq!(codes("archive", dated), [(Error, "archive-expires-early")]);
}

#[test]
fn rules_that_harm_nothing_are_left_alone() {
    assert!(codes("lake", Rule { enabled: false, ..rule("", "GLACIER") }).is_empty());
    assert!(codes("lake", rule("reports/", "GLACIER")).is_empty());
    assert!(codes("lake", rule("lake/cloudtrail/event_date=", "GLACIER_IR")).is_empty());
    assert!(codes("trail", rule("", "GLACIER")).is_empty());
    let noncurrent = Rule { noncurrent_expiry: Some((1, None)), ..rule("", "") };
    assert!(codes("lake", noncurrent).is_empty());
    assert_eq!(codes("lake", rule("lake/", "STANDARD_IA")), [(Warning, "delta-log-cold")]);
    assert!(codes("archive", rule("archive/", "GLACIER")).is_empty(), "small objects stay by themselves");
}

#[test]
fn our_own_rules_are_harmless_and_foreign_ones_that_overlap_are_named() {
    let policy = parse(FULL).expect("valid");
    assert_eq!(in_policy(&policy).iter().filter(|one| one.severity == Error).count(), 0);
    for (bucket, mut rules) in declare::rules(&policy) {
        assert_eq!(in_bucket(&policy, &observed(&bucket), &rules, None), [], "{bucket}");
        if bucket == "landing" {
            rules.push(Rule { expiry: Some(When::Days(5)), ..rule("", "") });
            let found = in_bucket(&policy, &observed(&bucket), &rules, None);
            assert_eq!(found.len(), 1);
            assert_eq!((found[0].code, found[0].rule.as_deref()), ("overlap", Some("theirs")));
        }
    }
}

#[test]
fn a_policy_that_contradicts_itself_is_found() {
    for (from, to, code) in [
        ("hot_days = 400", "hot_days = 2", "hot-before-seal"),
        ("glacier_ir_days = 90", "hot_days = 100", "billed-early"),
        ("after_days = 180", "after_days = 60", "billed-early"),
        ("after_days = 30 }", "after_days = 190 }", "s3-refuses"),
        ("hot_days = 400", "hot_days = 20", "archive-only"),
        ("expire_days = 30", "expire_days = 3", "input-expires-early"),
        (
            "class = \"GLACIER_IR\", after_days = 60",
            "class = \"GLACIER\", after_days = 1",
            "input-offline-early",
        ),
    ] {
        let text = FULL.replacen(from, to, 1);
        assert_ne!(text, FULL, "{from}");
        let found = in_policy(&parse(&text).expect(to));
        assert!(found.iter().any(|one| one.code == code), "{to}: {found:?}");
    }
}

#[test]
fn a_lock_that_is_missing_or_lies_on_the_lake_is_found() {
    let policy = parse(FULL).expect("valid");
    let of = |observed: &Observed| -> Vec<&'static str> {
        in_protection(&policy, observed).into_iter().map(|one| one.code).collect()
    };
    let archive = observed("archive");
    assert_eq!(of(&archive), ["lock-missing"]);
    let enabled = Observed { lock_enabled: true, ..archive };
    assert_eq!(of(&enabled), ["lock-missing"]);
    let default = |mode: &str, days| {
        Some(super::super::bucket::LockDefault { mode: mode.to_owned(), days: Some(days), years: None })
    };
    let held = Observed { lock_default: default("COMPLIANCE", 7 * 365 + 2), ..enabled.clone() };
    assert_eq!(of(&held), Vec::<&str>::new());
    let weak = Observed { lock_default: default("GOVERNANCE", 7 * 365 + 2), ..enabled.clone() };
    assert_eq!(of(&weak), ["lock-differs"]);
    let short = Observed { lock_default: default("COMPLIANCE", 30), versioned: false, ..enabled };
    assert_eq!(of(&short), ["lock-differs", "versioning-off"]);
    let lake = Observed { lock_default: default("COMPLIANCE", 30), ..observed("lake") };
    assert_eq!(of(&lake), ["lock-covers-lake"]);
}
