//! Which rejected records were parsed after all.

use super::{optional, required};
use crate::table::{Column, Kind, Table};

/// One row per rejected record that a replay brought into its table.
pub const TABLE: Table = Table {
    name: "replayed",
    version: 1,
    doc: "One rejected record that `replay-rejected` brought into its table. `rejected` keeps its row: what is still open is `rejected` without the `event_uid`s listed here.",
    specification: "",
    core: &[],
    own: OWN,
    sort_by: &["rejected_uid"],
    blooms: &["rejected_uid"],
};

const OWN: &[Column] = &[
    required("event_date", Kind::Date, "", "UTC date of `replayed_at`; the partition."),
    required("replayed_at", Kind::Timestamp, "", "When it was replayed."),
    required("rejected_uid", Kind::Text, "", "Joins `rejected.event_uid`."),
    required(
        "object_id",
        Kind::Text,
        "",
        "Joins `ingest.object_id`: the object made of the replayed records.",
    ),
    required("location", Kind::Text, "", "Where that object was."),
    optional("reason", Kind::Text, "", "Why the record had been rejected."),
];
