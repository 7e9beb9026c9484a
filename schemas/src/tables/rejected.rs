//! What could not be parsed, kept.

use super::{optional, required};
use crate::table::{Column, Kind, Table};

/// One row per record, or per object, that could not be parsed.
pub const TABLE: Table = Table {
    name: "rejected",
    version: 1,
    doc: "One record, or one whole object, that could not be parsed, with the reason and where it stands. Nothing is dropped silently; `replayed` lists the records that a replay brought in.",
    specification: "",
    core: &[],
    own: OWN,
    sort_by: &["location", "record_offset"],
    blooms: &[],
};

const OWN: &[Column] = &[
    required("event_date", Kind::Date, "", "UTC date of `ingest_time`; the partition."),
    required("ingest_time", Kind::Timestamp, "", "When the processor took the batch in."),
    required("reason", Kind::Text, "", "One of the reasons listed below."),
    required("message", Kind::Text, "", "What is wrong, and what to do."),
    required("location", Kind::Text, "", "URL of the input object."),
    required("object_id", Kind::Text, "", "Joins `ingest.object_id`."),
    required("record_offset", Kind::Long, "", "Byte offset of the record in the decompressed object."),
    optional(
        "record_number",
        Kind::Long,
        "",
        "Number of the record or line in the object, from 1; null for a whole object.",
    ),
    required("event_uid", Kind::Text, "", "Identity of the rejection: object and offset."),
    optional(
        "raw",
        Kind::Binary,
        "",
        "The bytes, up to `rejected_bytes_max`; session tokens are overwritten with `*`.",
    ),
    required(
        "raw_bytes",
        Kind::Long,
        "",
        "Full length of the rejected bytes; larger than `raw` when it was cut.",
    ),
    required("parser_version", Kind::Int, "", "Version of the parser that refused it."),
];
