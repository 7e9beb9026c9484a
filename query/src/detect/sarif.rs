//! Findings as SARIF 2.1.0, which code hosts and CI systems show.

use super::finding::Finding;
use super::severity::Severity;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One log of one run. A finding has no place in a file; its entity is the logical location.
pub fn log(findings: &[Finding]) -> Value {
    let rules: BTreeMap<&str, &Finding> = findings.iter().map(|f| (f.rule_id.as_str(), f)).collect();
    let rules: Vec<Value> = rules
        .into_iter()
        .map(|(id, finding)| {
            json!({
                "id": id,
                "shortDescription": {"text": finding.rule_title},
                "properties": {"tags": finding.attack, "security-severity": score(finding.severity)},
            })
        })
        .collect();
    let results: Vec<Value> = findings.iter().map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "logq", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "results": results,
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let level = match finding.severity {
        Severity::Informational | Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    };
    json!({
        "ruleId": finding.rule_id,
        "level": level,
        "message": {"text": finding.summary},
        "partialFingerprints": {"findingId/v1": finding.finding_id},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": finding.entity, "kind": "resource"}]}],
        "properties": {
            "account": finding.account_id,
            "region": finding.region,
            "firstSeen": finding.first_seen,
            "lastSeen": finding.last_seen,
            "count": finding.count,
            "sql": finding.sql,
        },
    })
}

/// A number from 0 to 10, which code hosts sort by.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "0.0",
        Severity::Low => "3.0",
        Severity::Medium => "5.5",
        Severity::High => "8.0",
        Severity::Critical => "9.5",
    }
}
