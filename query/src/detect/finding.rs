//! What a detection says: who, what, when, how often, why, and the query that shows it.

use super::rule::Meta;
use super::severity::Severity;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use twox_hash::XxHash3_128;

/// One finding. The same rule, entity and UTC day always give the same `finding_id`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// 32 hex digits over rule, entity and day.
    pub finding_id: String,
    /// Rule.
    pub rule_id: String,
    /// Its title.
    pub rule_title: String,
    /// How bad.
    pub severity: Severity,
    /// MITRE ATT&CK tags.
    pub attack: Vec<String>,
    /// Who or what it is about.
    pub entity: String,
    /// AWS account.
    pub account_id: Option<String>,
    /// AWS Region.
    pub region: Option<String>,
    /// Time of the first event.
    pub first_seen: DateTime<Utc>,
    /// Time of the last event.
    pub last_seen: DateTime<Utc>,
    /// Rows `sql` returns.
    pub count: u64,
    /// Why, in one sentence with numbers.
    pub summary: String,
    /// Some of the rows.
    pub evidence: Vec<Map<String, Value>>,
    /// Returns exactly the evidence when pasted into `logq`.
    pub sql: String,
    /// Innocent causes known to the rule's author.
    pub falsepositives: Vec<String>,
    /// Author of a rule that is not ours; its licence may ask to name them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

/// The parts of a finding that its rule does not say.
#[derive(Debug, Clone, PartialEq)]
pub struct Occurrence {
    /// Who or what.
    pub entity: String,
    /// Account.
    pub account_id: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// First event, microseconds since the epoch.
    pub first: i64,
    /// Last event, microseconds since the epoch.
    pub last: i64,
    /// Rows.
    pub count: u64,
    /// Why.
    pub summary: String,
    /// Some rows.
    pub evidence: Vec<Map<String, Value>>,
    /// The query.
    pub sql: String,
}

impl Finding {
    /// A finding of a rule.
    pub fn new(meta: &Meta, what: Occurrence) -> Finding {
        Finding {
            finding_id: finding_id(
                &meta.id,
                &format!("{} {}", what.account_id.as_deref().unwrap_or_default(), what.entity),
                what.first,
            ),
            rule_id: meta.id.clone(),
            rule_title: meta.title.clone(),
            severity: meta.severity,
            attack: meta.tags.iter().filter(|tag| tag.starts_with("attack.")).cloned().collect(),
            entity: what.entity,
            account_id: what.account_id,
            region: what.region,
            first_seen: time(what.first),
            last_seen: time(what.last),
            count: what.count,
            summary: what.summary,
            evidence: what.evidence,
            sql: what.sql,
            falsepositives: meta.falsepositives.clone(),
            author: if meta.shipped { None } else { meta.author.clone() },
        }
    }
}

/// Worst first; then the order of time, rule and entity, so that two runs print the same.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        b.severity
            .cmp(&a.severity)
            .then_with(|| a.first_seen.cmp(&b.first_seen))
            .then_with(|| a.rule_id.cmp(&b.rule_id))
            .then_with(|| a.entity.cmp(&b.entity))
    });
}

/// Day number of a time.
pub fn day(micros: i64) -> i64 {
    micros.div_euclid(86_400_000_000)
}

/// The time of a microsecond count; the table's own range keeps it representable.
pub fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

fn finding_id(rule: &str, entity: &str, first: i64) -> String {
    let key = format!("{rule}\u{0}{entity}\u{0}{}", day(first));
    format!("{:032x}", XxHash3_128::oneshot(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_depends_on_rule_entity_and_day_alone() {
        let id = finding_id("r", "e", 5);
        assert_eq!(id, finding_id("r", "e", 86_399_999_999));
        assert_ne!(id, finding_id("r", "e", 86_400_000_000));
        assert_ne!(id, finding_id("r", "x", 5));
        assert_ne!(finding_id("a", "bc", 0), finding_id("ab", "c", 0));
        assert_eq!(id.len(), 32);
    }
}
