//! What detections say.

use super::{optional, required};
use crate::table::{Column, Kind, Table};

/// One row per finding; the same rule, entity and window always give the same id.
pub const TABLE: Table = Table {
    name: "findings",
    version: 1,
    doc: "One finding of a detection. The same rule, entity and window always give the same `finding_id`.",
    specification: "",
    core: &[],
    own: OWN,
    sort_by: &["last_seen"],
    blooms: &["finding_id", "entity"],
};

const OWN: &[Column] = &[
    required("event_date", Kind::Date, "", "UTC date of `last_seen`; the partition."),
    required("finding_id", Kind::Text, "", "Stable identity: hash of rule, entity and window."),
    required("rule_id", Kind::Text, "", "Id of the rule."),
    required("rule_title", Kind::Text, "", "Title of the rule."),
    required("severity", Kind::Text, "", "informational, low, medium, high or critical."),
    optional("attack", Kind::Json, "", "MITRE ATT&CK tags, e.g. `[\"attack.t1046\"]`."),
    required("entity", Kind::Text, "", "Who or what it is about."),
    optional("account_id", Kind::Text, "", "AWS account."),
    optional("region", Kind::Text, "", "AWS Region."),
    required("first_seen", Kind::Timestamp, "", "Time of the first event."),
    required("last_seen", Kind::Timestamp, "", "Time of the last event."),
    required("count", Kind::Long, "", "Number of events."),
    required("summary", Kind::Text, "", "What happened, in one sentence."),
    required("evidence", Kind::Json, "", "Sample rows."),
    required("sql", Kind::Text, "", "Query that returns the evidence."),
];
