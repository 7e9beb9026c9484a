//! Policies that stand, and mistakes in them.

use super::*;

pub(crate) const FULL: &str = r#"
[lake]
url = "s3://lake/lake"
standard_days = 45
hot_days = 400
[lake.tables.vpc_flow]
standard_days = 30
glacier_ir_days = 90
[archive]
url = "s3://archive/archive/"
retention_years = 7
tiers = [{ class = "DEEP_ARCHIVE", after_days = 180 }, { class = "GLACIER", after_days = 30 }]
[archive.lock]
mode = "COMPLIANCE"
years = 7
[[prefix]]
name = "landing"
url = "s3://landing/landing"
expire_days = 30
noncurrent_days = 3
[[prefix]]
name = "trail"
url = "s3://trail/AWSLogs"
tiers = [{ class = "GLACIER_IR", after_days = 60 }]
"#;

pub(crate) fn parse(text: &str) -> Result<Policy, String> {
    let raw: RawPolicy = toml::from_str(text).map_err(|error| error.to_string())?;
    Policy::try_from(raw).map_err(|error| error.to_string())
}

#[test]
fn tables_take_the_lake_s_days_and_two_figures_give_the_third() {
    let policy = parse(FULL).expect("valid");
    let lake = policy.lake.expect("has one");
    assert_eq!(lake.tables["cloudtrail"], TableDays { standard: 45, hot: Some(400) });
    assert_eq!(lake.tables["vpc_flow"], TableDays { standard: 30, hot: Some(120) });
    assert!(!lake.tables.contains_key("ingest"), "the ledger stays in Standard");
    let archive = policy.archive.expect("has one");
    assert_eq!(archive.root.prefix, "archive/");
    assert_eq!(archive.tiers[0].class, Class::Glacier);
    assert!(archive.retention_days() >= 7 * 365 + 2);
    assert_eq!(policy.prefixes[0].share, 0.5);
}

#[test]
fn the_example_is_valid_and_finds_nothing_wrong_with_itself() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config/lifecycle.toml");
    let policy = Policy::load(&path).expect("valid");
    assert_eq!(policy.roots().len(), 4);
    let errors: Vec<_> = super::super::danger::in_policy(&policy)
        .into_iter()
        .filter(|one| one.severity == super::super::danger::Severity::Error)
        .collect();
    assert_eq!(errors, []);
    let text = std::fs::read_to_string(path).expect("readable");
    let prices = text.split("# [prices]").nth(1).expect("shows prices").replace("\n# ", "\n");
    parse(&format!("{}[prices]{prices}", text.split("# [prices]").next().expect("has a start")))
        .expect("the commented prices are valid, too");
}

#[test]
fn mistakes_name_the_key_and_what_to_do() {
    for (from, to, part) in [
        ("hot_days = 400", "hot_day = 400", "hot_day"),
        ("[lake.tables.vpc_flow]", "[lake.tables.vpcflow]", "no such table"),
        ("glacier_ir_days = 90", "glacier_ir_days = 90\nhot_days = 130", "leave one out"),
        ("retention_years = 7", "retention_years = 5", "outlasts the retention"),
        ("s3://archive/archive/", "s3://lake/lake/archive", "overlap"),
        ("s3://archive/archive/", "s3://lake", "overlap"),
        ("s3://landing/landing", "/var/landing", "s3://bucket/prefix"),
        ("name = \"trail\"", "name = \"landing\"", "used twice"),
        ("name = \"trail\"", "name = \"lake\"", "prefix.name"),
        ("standard_days = 45", "standard_days = 0", "at least 1 day"),
        ("DEEP_ARCHIVE", "COLD", "COLD"),
    ] {
        let text = FULL.replacen(from, to, 1);
        assert_ne!(text, FULL, "{from}");
        let error = parse(&text).expect_err(to);
        assert!(error.contains(part), "{to}: {error}");
    }
    assert!(parse("").expect_err("empty").contains("names no lake"));
}
