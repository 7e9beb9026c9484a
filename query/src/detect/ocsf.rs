//! Findings as OCSF events of class 2004, Detection Finding, for security lakes and SIEMs.
//!
//! Schema 1.5.0: <https://schema.ocsf.io/1.5.0/classes/detection_finding>.

use super::finding::Finding;
use super::severity::Severity;
use serde_json::{Value, json};

/// Version of the schema the events claim.
const SCHEMA_VERSION: &str = "1.5.0";

/// One finding as an event.
pub fn event(finding: &Finding) -> Value {
    let (severity_id, severity) = match finding.severity {
        Severity::Informational => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    };
    let (first, last) = (finding.first_seen.timestamp_millis(), finding.last_seen.timestamp_millis());
    let evidences: Vec<Value> = finding.evidence.iter().map(|row| json!({"data": row})).collect();
    let mut event = json!({
        "activity_id": 1,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "type_uid": 200_401,
        "type_name": "Detection Finding: Create",
        "time": last,
        "start_time": first,
        "end_time": last,
        "count": finding.count,
        "severity_id": severity_id,
        "severity": severity,
        "status_id": 1,
        "status": "New",
        "message": finding.summary,
        "metadata": {
            "version": SCHEMA_VERSION,
            "uid": finding.finding_id,
            "product": {"name": "logq", "vendor_name": "logq", "version": env!("CARGO_PKG_VERSION")},
            "profiles": ["cloud"],
        },
        "finding_info": {
            "uid": finding.finding_id,
            "title": finding.rule_title,
            "desc": finding.summary,
            "first_seen_time": first,
            "last_seen_time": last,
            "analytic": {"type_id": 1, "type": "Rule", "uid": finding.rule_id, "name": finding.rule_title},
            "attacks": attacks(finding),
        },
        "resources": [{"uid": finding.entity, "type": "entity"}],
        "evidences": evidences,
        "unmapped": {"sql": finding.sql, "falsepositives": finding.falsepositives},
    });
    let mut cloud = json!({"provider": "AWS"});
    if let Some(account) = &finding.account_id {
        cloud["account"] = json!({"uid": account, "type_id": 10, "type": "AWS Account"});
    }
    if let Some(region) = &finding.region {
        cloud["region"] = json!(region);
    }
    event["cloud"] = cloud;
    event
}

/// The ATT&CK tags: tactics by name, techniques by id.
fn attacks(finding: &Finding) -> Vec<Value> {
    let tags = finding.attack.iter().filter_map(|tag| tag.strip_prefix("attack."));
    tags.map(|tag| match technique(tag) {
        Some(id) => json!({"technique": {"uid": id}}),
        None => json!({"tactic": {"name": tag.replace('-', " ")}}),
    })
    .collect()
}

/// `T1562.008` for `t1562.008`; nothing for a tactic.
pub fn technique(tag: &str) -> Option<String> {
    let digits = tag.strip_prefix(['t', 'T'])?;
    digits.starts_with(|c: char| c.is_ascii_digit()).then(|| tag.to_ascii_uppercase())
}
