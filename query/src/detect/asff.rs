//! Findings in the AWS Security Finding Format, as `BatchImportFindings` of Security Hub takes them.
//!
//! Limits of the format: titles of 256 characters, descriptions of 1,024, and an account and a
//! Region in every finding: what a finding lacks is filled in with [`NO_ACCOUNT`] and [`NO_REGION`], to
//! be replaced by who imports it.

use super::finding::Finding;
use chrono::SecondsFormat;
use serde_json::{Value, json};

/// Account of findings that are about none, such as those of container logs.
pub const NO_ACCOUNT: &str = "000000000000";

/// Region of findings that are about none.
pub const NO_REGION: &str = "us-east-1";

const TITLE_CHARS_MAX: usize = 256;
const DESCRIPTION_CHARS_MAX: usize = 1_024;
const ID_CHARS_MAX: usize = 512;

/// One finding.
pub fn finding(finding: &Finding) -> Value {
    let time = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let account = finding.account_id.as_deref().unwrap_or(NO_ACCOUNT);
    let region = finding.region.as_deref().unwrap_or(NO_REGION);
    let partition = match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let tactic = finding
        .attack
        .iter()
        .filter_map(|tag| tag.strip_prefix("attack."))
        .find(|tag| super::ocsf::technique(tag).is_none())
        .unwrap_or("unknown");
    json!({
        "SchemaVersion": "2018-10-08",
        "Id": format!("logq/{}", finding.finding_id),
        "ProductArn": format!("arn:{partition}:securityhub:{region}:{account}:product/{account}/default"),
        "ProductName": "logq",
        "GeneratorId": cut(&finding.rule_id, ID_CHARS_MAX),
        "AwsAccountId": account,
        "Types": [format!("TTPs/{}", titled(tactic))],
        "FirstObservedAt": time(finding.first_seen),
        "LastObservedAt": time(finding.last_seen),
        "CreatedAt": time(finding.first_seen),
        "UpdatedAt": time(finding.last_seen),
        "Severity": {"Label": finding.severity.as_str().to_ascii_uppercase()},
        "Title": cut(&finding.rule_title, TITLE_CHARS_MAX),
        "Description": cut(&finding.summary, DESCRIPTION_CHARS_MAX),
        "Resources": [{"Type": "Other", "Id": cut(&finding.entity, ID_CHARS_MAX), "Partition": partition, "Region": region}],
        "ProductFields": {
            "logq/count": finding.count.to_string(),
            "logq/attack": cut(&finding.attack.join(" "), ID_CHARS_MAX),
        },
        "RecordState": "ACTIVE",
        "Workflow": {"Status": "NEW"},
    })
}

/// `Credential Access` for `credential-access`, as the format's taxonomy writes tactics.
fn titled(tactic: &str) -> String {
    let words = tactic.split('-').map(|word| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
    });
    words.collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some(_) => text.chars().take(chars_max - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}
