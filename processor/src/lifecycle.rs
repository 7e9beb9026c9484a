//! Storage classes by age: one policy file, the buckets' lifecycle rules that follow from it, what they
//! cost a year, and what is wrong with the rules a bucket has.
//!
//! * [`policy`]: the file, checked; [`prices`]: the price list it may override.
//! * [`declare`]: the rules the policy asks for; their ids begin with [`OURS`].
//! * [`bucket`]: what a bucket has, and the one request that changes it; foreign rules are carried over
//!   as they are.
//! * [`limits`]: what S3 refuses by its documentation. An emulator accepts all of it, so we check it.
//! * [`danger`]: findings: rules, ours or foreign, that would take a file of a live table out of
//!   reach, delete one, or remove an archive before its time.
//! * [`plan`]: the difference, with a fingerprint of what it was computed from.
//! * [`cost`]: the yearly cost in each class.
//!
//! Refused without exception: archiving classes or expiry below the lake. A file the Delta log refers to
//! must always be readable, and only maintenance of the table removes one.

pub mod bucket;
pub mod class;
pub mod cost;
pub mod danger;
pub mod declare;
pub mod limits;
pub mod live;
pub mod plan;
pub mod policy;
pub mod prices;
pub mod rule;

/// What the ids of our rules begin with: rules with another id are never changed.
pub const OURS: &str = "logq-";
