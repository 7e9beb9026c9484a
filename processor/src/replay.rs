//! Rejected records parsed again: after a parser was mended, a limit raised, or a missing object put back.
//!
//! For every object with open rejections the records are taken from what `rejected` kept, or from the
//! object itself where the record was cut and the object is still there, and each is parsed by itself.
//! Those that parse now become one *replay object* below `state/replayed/`, with the header lines they
//! need, which is taken in like any input object: through a claim, so its records appear once. The table
//! `replayed` then names the rejections that are settled; `rejected` keeps its rows, because the lake only
//! appends, and because `ingest` must go on adding up.
//!
//! Promises: a second replay adds nothing; a replay that was killed is completed by the next; a record
//! that still does not parse stays open and is not rejected a second time.
//!
//! Refuses: to replay what damage took away from an object (cut gzip, a missing trailer): upload the
//! whole object again, its records are recognised.
//!
//! The folder: [`select`] (which rejections are open), [`origin`] (the object they come from), [`pack`]
//! (trial and replay object), [`run`] (the order of things).

pub mod origin;
pub mod pack;
pub mod run;
pub mod select;

#[cfg(test)]
mod tests;
