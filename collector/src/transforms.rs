//! Transforms: what happens to records between a source and the spool.
//!
//! A transform works on one batch at a time, on the thread of the source the batch comes from. It
//! may drop records, change their bodies, and attach what it found out ([`crate::extra`]). It never
//! waits for anything. Records it drops are counted with a reason.

pub mod filter;
pub mod limit;
pub mod matcher;
pub mod parse;
pub mod redact;
#[cfg(feature = "remap")]
pub mod remap;
#[cfg(test)]
mod testing;

use crate::batch::{Batch, Record};
use crate::config::component::{Described, Kind, Settings, read_settings};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// Every kind of transform.
pub const KINDS: &[Kind<dyn TransformConfig>] = &[
    kind::<parse::ParseSettings>(),
    kind::<redact::RedactSettings>(),
    kind::<filter::FilterSettings>(),
    kind::<limit::SampleSettings>(),
    kind::<limit::ThrottleSettings>(),
    kind::<limit::DedupeSettings>(),
    #[cfg(feature = "remap")]
    kind::<remap::RemapSettings>(),
];

/// Settings of a transform.
pub trait TransformConfig: Described {
    /// Makes the transform; `name` is its name in the configuration.
    ///
    /// # Errors
    /// Says what can't work (for example a program that does not compile).
    fn build(&self, name: &str) -> Result<Box<dyn Transform>, String>;
}

/// A transform at work.
pub trait Transform: Send + Debug {
    /// Works on `records`, whose bytes are in `batch`. Records left out are dropped; say why in
    /// `counts`. Bytes are only ever added to the batch: other transforms and sinks may get the
    /// same records as they were.
    fn apply(&mut self, batch: &mut Batch, records: &mut Vec<Record>, counts: &mut Counts);
}

/// What a transform has to report about a batch.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Records dropped, by reason (a fixed word such as `sampled`, never text from the data).
    pub dropped: BTreeMap<&'static str, u64>,
    /// Records whose body it changed.
    pub changed: u64,
    /// Records it could not work on (not JSON, program failed); they pass as they are unless also
    /// counted as dropped.
    pub errors: u64,
}

impl Counts {
    /// Counts dropped records.
    pub fn drop(&mut self, reason: &'static str, records: u64) {
        *self.dropped.entry(reason).or_default() += records;
    }
}

/// An entry of [`KINDS`].
const fn kind<S: Settings + TransformConfig>() -> Kind<dyn TransformConfig> {
    Kind {
        name: S::KIND,
        about: S::ABOUT,
        options: S::options,
        read: |key, table| Ok(read_settings::<S>(key, table)?),
    }
}
