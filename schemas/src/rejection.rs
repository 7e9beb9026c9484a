//! Why a record or an object could not be parsed.

use std::fmt;

/// The closed list of reasons in `rejected.reason`, in metrics labels and in summaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No parser recognises the object.
    UnknownFormat,
    /// A log of a known source that has no table.
    UnsupportedSource,
    /// The name says gzip or zstd, the bytes do not.
    NotCompressed,
    /// The compressed stream ends early; what could be inflated was parsed.
    TruncatedCompression,
    /// The compressed stream is damaged; what could be inflated was parsed.
    CorruptCompression,
    /// The Parquet file is damaged; the rows before the damage were parsed.
    CorruptParquet,
    /// The object inflates past the configured limit.
    TooLarge,
    /// Not JSON.
    InvalidJson,
    /// The JSON document ends in the middle of a record.
    TruncatedJson,
    /// Valid JSON, but not a record of this source.
    NotARecord,
    /// The record carries no event time.
    MissingTime,
    /// The event time cannot be read or lies outside 1970–2261.
    BadTime,
    /// A text line has another number of fields than its header or default format.
    FieldCount,
    /// A field of a text line does not parse as its type.
    BadField,
    /// Bytes that must be text are not UTF-8.
    NotUtf8,
    /// A landing object of a version this processor does not know.
    UnknownLandingVersion,
    /// A landing object whose trailer is missing or counts another number of records.
    IncompleteLanding,
    /// A single record larger than the configured limit.
    RecordTooLarge,
    /// An object of an interrupted batch could not be read again.
    ObjectMissing,
}

impl Reason {
    /// Every reason, for documentation and metrics.
    pub const ALL: [Reason; 19] = [
        Reason::UnknownFormat,
        Reason::UnsupportedSource,
        Reason::NotCompressed,
        Reason::TruncatedCompression,
        Reason::CorruptCompression,
        Reason::CorruptParquet,
        Reason::TooLarge,
        Reason::InvalidJson,
        Reason::TruncatedJson,
        Reason::NotARecord,
        Reason::MissingTime,
        Reason::BadTime,
        Reason::FieldCount,
        Reason::BadField,
        Reason::NotUtf8,
        Reason::UnknownLandingVersion,
        Reason::IncompleteLanding,
        Reason::RecordTooLarge,
        Reason::ObjectMissing,
    ];

    /// The value stored in `rejected.reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::UnknownFormat => "unknown_format",
            Reason::UnsupportedSource => "unsupported_source",
            Reason::NotCompressed => "not_compressed",
            Reason::TruncatedCompression => "truncated_compression",
            Reason::CorruptCompression => "corrupt_compression",
            Reason::CorruptParquet => "corrupt_parquet",
            Reason::TooLarge => "too_large",
            Reason::InvalidJson => "invalid_json",
            Reason::TruncatedJson => "truncated_json",
            Reason::NotARecord => "not_a_record",
            Reason::MissingTime => "missing_time",
            Reason::BadTime => "bad_time",
            Reason::FieldCount => "field_count",
            Reason::BadField => "bad_field",
            Reason::NotUtf8 => "not_utf8",
            Reason::UnknownLandingVersion => "unknown_landing_version",
            Reason::IncompleteLanding => "incomplete_landing",
            Reason::RecordTooLarge => "record_too_large",
            Reason::ObjectMissing => "object_missing",
        }
    }

    /// One sentence for the reference page.
    pub fn doc(self) -> &'static str {
        match self {
            Reason::UnknownFormat => "No parser recognises the object; one row stands for the whole object.",
            Reason::UnsupportedSource => {
                "A log of a known source that has no table here; the message names it, one row stands for the whole object."
            }
            Reason::NotCompressed => "The name says gzip or zstd, the bytes do not.",
            Reason::TruncatedCompression => {
                "The compressed stream ends early; complete records before the cut are in their table."
            }
            Reason::CorruptCompression => {
                "The compressed stream is damaged; complete records before the damage are in their table."
            }
            Reason::CorruptParquet => {
                "The Parquet file is damaged; rows before the damage are in their table."
            }
            Reason::TooLarge => "The object inflates past `object_bytes_max`.",
            Reason::InvalidJson => "The bytes are not JSON.",
            Reason::TruncatedJson => {
                "The JSON ends in the middle of a record; the records before it are in their table."
            }
            Reason::NotARecord => "Valid JSON that is not a record of this source.",
            Reason::MissingTime => "The record carries no event time.",
            Reason::BadTime => "The event time cannot be read or lies outside 1970–2261.",
            Reason::FieldCount => {
                "A line has another number of fields than its header or the default format."
            }
            Reason::BadField => "A field does not parse as its type.",
            Reason::NotUtf8 => "Bytes that must be text are not UTF-8.",
            Reason::UnknownLandingVersion => {
                "A landing object of a version this processor does not know: upgrade the processor, then replay."
            }
            Reason::IncompleteLanding => {
                "A landing object whose trailer is missing or counts another number of records."
            }
            Reason::RecordTooLarge => "A record larger than `record_bytes_max`; its first bytes are kept.",
            Reason::ObjectMissing => {
                "An object of an interrupted batch is gone or has changed: put it back under its location and replay."
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
