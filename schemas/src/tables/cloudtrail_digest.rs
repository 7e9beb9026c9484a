//! What the CloudTrail digest chains say about each object.

use super::{optional, required};
use crate::table::{Column, Kind, Table};

/// One row per object and verification. The newest row of a location is what holds now; older ones
/// say what held then.
pub const TABLE: Table = Table {
    name: "cloudtrail_digest",
    version: 1,
    doc: "One verdict of a CloudTrail digest chain on one object, per verification. The newest row of a `location` is what holds now.",
    specification: "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html",
    core: &[],
    own: OWN,
    sort_by: &["location"],
    blooms: &["object_id", "location"],
};

const OWN: &[Column] = &[
    required("event_date", Kind::Date, "", "UTC date of `verified_at`; the partition."),
    required("verified_at", Kind::Timestamp, "", "When it was verified."),
    required("kind", Kind::Text, "", "`log` or `digest`."),
    required("location", Kind::Text, "", "Where the object lies, or should lie."),
    required(
        "verdict",
        Kind::Text,
        "",
        "`verified`; `unverified`: nothing vouches for it (yet); `invalid`: it is not what was delivered; `missing`: a digest lists it and it is gone.",
    ),
    optional("reason", Kind::Text, "", "Why it is not `verified`, and what to do."),
    optional(
        "object_id",
        Kind::Text,
        "",
        "Joins `ingest.object_id`: identity of the stored bytes that were verified; null when it is missing.",
    ),
    optional("sha256", Kind::Text, "", "SHA-256 of the uncompressed content as found."),
    optional("expected_sha256", Kind::Text, "hashValue", "SHA-256 the digest gives for it."),
    optional(
        "digest",
        Kind::Text,
        "",
        "Location of the digest that lists it, or of the one that follows it.",
    ),
    optional(
        "signature",
        Kind::Text,
        "",
        "Signature of the digest: `valid`, `vouched` (its own is lost, the signed next digest holds its hash), `invalid`, `no_key`, `absent`.",
    ),
    optional("account_id", Kind::Text, "awsAccountId", "AWS account of the chain."),
    optional("region", Kind::Text, "", "Region of the chain."),
    optional("trail", Kind::Text, "", "Trail of the chain; null where the name does not tell."),
    optional("covered_from", Kind::Timestamp, "digestStartTime", "Start of the period the digest covers."),
    optional("covered_to", Kind::Timestamp, "digestEndTime", "End of the period the digest covers."),
];
