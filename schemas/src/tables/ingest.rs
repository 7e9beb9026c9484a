//! What was read: the ledger of input objects.

use super::{optional, required};
use crate::table::{Column, Kind, Table};

/// One row per input object. `records = rows + rejected + duplicates + skipped`, always.
pub const TABLE: Table = Table {
    name: "ingest",
    version: 1,
    doc: "One input object. `records = rows + rejected + duplicates + skipped` holds in every row.",
    specification: "",
    core: &[],
    own: OWN,
    sort_by: &["location"],
    blooms: &["object_id"],
};

const OWN: &[Column] = &[
    required("event_date", Kind::Date, "", "UTC date of `ingest_time`; the partition."),
    required("ingest_time", Kind::Timestamp, "", "When the processor took the batch in."),
    required(
        "object_id",
        Kind::Text,
        "",
        "32 hex digits of the SHA-256 of the stored bytes: the same content is the same object, wherever it lies.",
    ),
    required("location", Kind::Text, "", "URL of the object where it was first seen."),
    required(
        "format",
        Kind::Text,
        "",
        "`cloudtrail`, `vpc_flow`, `landing`, `cloudtrail_digest`, `empty` or `unknown`.",
    ),
    required("stored_bytes", Kind::Long, "", "Size as stored."),
    required("inflated_bytes", Kind::Long, "", "Size after decompression."),
    required("records", Kind::Long, "", "Records in the object."),
    required("rows", Kind::Long, "", "Rows written to the table."),
    required("rejected", Kind::Long, "", "Records in `rejected`."),
    required("duplicates", Kind::Long, "", "Records dropped because the same record was already taken in."),
    required(
        "skipped",
        Kind::Long,
        "",
        "Records that carry no data by their source's definition (flow-log NODATA).",
    ),
    optional("first_event_time", Kind::Timestamp, "", "Smallest `event_time` of the rows."),
    optional("last_event_time", Kind::Timestamp, "", "Largest `event_time` of the rows."),
    optional("last_modified", Kind::Timestamp, "", "When the object was last written, by its store."),
    optional("etag", Kind::Text, "", "ETag given by the store."),
    optional(
        "digest_verdict",
        Kind::Text,
        "",
        "Always null: verdicts come later than the row, and more than once; they are in `cloudtrail_digest`.",
    ),
    required("batch", Kind::Long, "", "Claim under which the object was taken in."),
    required("parser_version", Kind::Int, "", "Version of the parser."),
];
