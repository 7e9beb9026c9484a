//! AWS CloudTrail: from the text of one event to a row of the table `cloudtrail`.
//!
//! [`parse`] reads a record in one pass over its keys and keeps values as slices; [`columns`]
//! writes a row; [`split`] finds the next record after damage. How records are packed into an
//! object (documents, arrays, envelopes) is the business of [`super::documents`].
//!
//! Promises: every member of a record ends up in a column or in `unmapped`; nested members are
//! stored as the compact JSON they were; where a key occurs twice, the last one counts.
//! `sessionToken` values are made null wherever they stand. Keys that differ only in case are
//! different keys.

pub mod columns;
pub mod parse;
pub mod split;

/// Raised when the same bytes give other rows than before.
pub const PARSER_VERSION: i32 = 2;
