//! The tables of the lake.
//!
//! Core columns come first in every event table and mean the same everywhere, so that one
//! predicate works over all of them. Adding a source adds one file here.

pub mod app_log;
pub mod cloudtrail;
pub mod cloudtrail_digest;
pub mod findings;
pub mod ingest;
pub mod rejected;
pub mod replayed;
pub mod vpc_flow;

use crate::table::{Column, Kind, Table};

/// Every table, in the order the reference page lists them.
pub const ALL: [&Table; 8] = [
    &cloudtrail::TABLE,
    &vpc_flow::TABLE,
    &app_log::TABLE,
    &rejected::TABLE,
    &ingest::TABLE,
    &cloudtrail_digest::TABLE,
    &replayed::TABLE,
    &findings::TABLE,
];

/// The table called `name`.
pub fn by_name(name: &str) -> Option<&'static Table> {
    ALL.into_iter().find(|table| table.name == name)
}

/// A nullable column.
const fn optional(name: &'static str, kind: Kind, field: &'static str, doc: &'static str) -> Column {
    Column { name, kind, nullable: true, field, doc }
}

/// A column that is never null.
const fn required(name: &'static str, kind: Kind, field: &'static str, doc: &'static str) -> Column {
    Column { name, kind, nullable: false, field, doc }
}

/// Columns shared by all event tables.
pub const CORE: &[Column] = &[
    required("event_time", Kind::Timestamp, "", "When it happened, by the source's clock."),
    required("event_date", Kind::Date, "", "UTC date of `event_time`; the partition."),
    required("ingest_time", Kind::Timestamp, "", "When the processor took the batch in."),
    required("source", Kind::Text, "", "Which kind of log: `cloudtrail`, `vpc_flow`, `kubernetes`, …"),
    optional(
        "account_id",
        Kind::Text,
        "",
        "AWS account the record is about; 12 digits as text, leading zeros kept.",
    ),
    optional("region", Kind::Text, "", "AWS Region."),
    optional(
        "src_ip",
        Kind::Text,
        "",
        "Source address in canonical text form (IPv4 or IPv6); null where the source is not an address.",
    ),
    optional("src_port", Kind::Int, "", "Source port."),
    optional("dst_ip", Kind::Text, "", "Destination address in canonical text form."),
    optional("dst_port", Kind::Int, "", "Destination port."),
    optional("actor", Kind::Text, "", "Who acted: principal ARN, user, network interface or pod."),
    optional("action", Kind::Text, "", "What was done: event name, `ACCEPT`/`REJECT`, HTTP method."),
    optional("outcome", Kind::Text, "", "`success`, `failure` or null where the source does not say."),
    required(
        "event_uid",
        Kind::Text,
        "",
        "Identity of the record: the same record read again has the same value.",
    ),
    required("object_id", Kind::Text, "", "Input object the record came from: joins `ingest.object_id`."),
    required("parser_version", Kind::Int, "", "Version of the parser that made the row."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_every_reference_resolves() {
        for table in ALL {
            let mut seen = HashSet::new();
            for column in table.columns() {
                assert!(seen.insert(column.name), "{}.{} twice", table.name, column.name);
                assert!(!column.doc.is_empty(), "{}.{} has no doc", table.name, column.name);
            }
            for name in table.sort_by.iter().chain(table.blooms) {
                assert!(table.column(name).is_some(), "{}: no column {name}", table.name);
            }
            assert!(table.column(Table::PARTITION).is_some(), "{}: no partition column", table.name);
        }
    }

    #[test]
    fn lookups_by_name_find_each_table() {
        for table in ALL {
            assert_eq!(by_name(table.name).map(|found| found.name), Some(table.name));
        }
        assert!(by_name("nope").is_none());
    }
}
