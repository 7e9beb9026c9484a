//! From the stored bytes of one input object to Arrow batches: pure, synchronous, no I/O, no clock.
//!
//! [`read`] inflates the object, decides by its bytes what it is, and hands rows and rejected
//! records to an [`Output`] as they come, in bounded memory.
//!
//! Promises: no input panics; every record is a row, a rejected record with its reason, a duplicate
//! or a skipped one, and the four add up to the records counted; good records before, between and
//! after damaged ones are kept; batches have exactly the schema of their table.
//!
//! Refuses: to guess the columns of a flow log without a header, to read by file name, to drop a
//! record silently. Logs of known sources without a table are refused by their name ([`sniff`]).
//!
//! The folder: [`inflate`] (bytes to text), [`sniff`] (what is it), [`documents`] and [`lines`] (where
//! records stand in it), one folder per source, and what they share: [`json`], [`time`],
//! [`address`], [`key`], [`columns`], [`seen`], [`intake`], [`secrets`].

pub mod app_log;
pub mod cloudtrail;
pub mod columns;
pub mod documents;
pub mod inflate;
pub mod intake;
pub mod key;
pub mod lines;
pub mod secrets;
pub mod seen;
pub mod sniff;
pub mod vpc_flow;

#[cfg(test)]
mod tests;

pub use columns::arrow_schema;
pub use seen::Seen;

pub use logq_schemas::text::{address, json, time};

use arrow::array::RecordBatch;
use inflate::{Source, Window};
use intake::Intake;
use logq_schemas::{Reason, Table};
use sniff::Shape;
pub use vpc_flow::format::FlowFormat;

/// One input object as stored.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    /// URL or key, for hints and messages.
    pub location: &'a str,
    /// Identity of the stored bytes, in hex.
    pub object_id: &'a str,
    /// The stored bytes.
    pub bytes: &'a [u8],
}

/// What an object turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FormatKind {
    /// CloudTrail records.
    CloudTrail,
    /// VPC or transit gateway flow records.
    VpcFlow,
    /// A landing object of the collector.
    Landing,
    /// A CloudTrail digest file.
    CloudTrailDigest,
    /// Nothing in it.
    Empty,
    /// Nothing known.
    Unknown,
}

impl FormatKind {
    /// The value stored in `ingest.format`.
    pub fn as_str(self) -> &'static str {
        match self {
            FormatKind::CloudTrail => "cloudtrail",
            FormatKind::VpcFlow => "vpc_flow",
            FormatKind::Landing => "landing",
            FormatKind::CloudTrailDigest => "cloudtrail_digest",
            FormatKind::Empty => "empty",
            FormatKind::Unknown => "unknown",
        }
    }

    /// Version of the parser that reads this format, for `ingest` and `rejected` rows.
    pub fn parser_version(self) -> i32 {
        match self {
            FormatKind::CloudTrail | FormatKind::CloudTrailDigest => cloudtrail::PARSER_VERSION,
            FormatKind::VpcFlow => vpc_flow::PARSER_VERSION,
            FormatKind::Landing => app_log::PARSER_VERSION,
            FormatKind::Empty | FormatKind::Unknown => SNIFF_VERSION,
        }
    }
}

/// Raised when other objects are recognised than before.
const SNIFF_VERSION: i32 = 2;

/// Limits on one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes an object may inflate to.
    pub object_bytes_max: u64,
    /// Most bytes of one record or line.
    pub record_bytes_max: usize,
    /// Most bytes of a rejected record that are kept.
    pub rejected_bytes_max: usize,
    /// Most rows in one batch.
    pub batch_rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Flow log files reach 75 MB compressed, ten times that inflated; a bomb is larger.
            object_bytes_max: 4 << 30,
            // Large CloudTrail events reach 1 MB, container log lines 16 MB after joining.
            record_bytes_max: 16 << 20,
            // Any CloudTrail event of the default size (256 KB) can be replayed from what is kept.
            rejected_bytes_max: 256 << 10,
            // Large enough to amortise the columns, small enough that a batch of 1 KB records stays
            // near 10 MB.
            batch_rows: 8_192,
        }
    }
}

/// What a reading depends on besides the object.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// When the batch was taken in, microseconds since the Unix epoch.
    pub ingest_time: i64,
    /// Limits from the configuration.
    pub limits: &'a Limits,
    /// Formats declared for flow logs that come without a header line.
    pub flow_formats: &'a [FlowFormat],
}

/// A record, or a whole object, that could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// What is wrong, where, and what to do.
    pub message: String,
    /// Byte offset in the decompressed object.
    pub record_offset: u64,
    /// Number of the record or line, from 1; `None` for a whole object or the rest of one.
    pub record_number: Option<u64>,
    /// Its first bytes, at most `rejected_bytes_max`.
    pub raw: Vec<u8>,
    /// Its full length, as far as it was seen.
    pub raw_bytes: u64,
}

/// Where rows and rejected records go.
pub trait Output {
    /// Takes a batch with exactly the schema of `table`.
    fn rows(&mut self, table: &'static Table, batch: RecordBatch);
    /// Takes a rejected record.
    fn rejected(&mut self, rejected: Rejected);
}

/// What an object held. `records = rows + rejected + duplicates + skipped`, always.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Bytes after decompression, as far as it went.
    pub inflated_bytes: u64,
    /// Records found, the damaged ones included.
    pub records: u64,
    /// Rows handed out.
    pub rows: u64,
    /// Rejected records handed out.
    pub rejected: u64,
    /// Records dropped because they were taken in before.
    pub duplicates: u64,
    /// Records that carry no data by their source's definition.
    pub skipped: u64,
    /// Smallest event time of the rows, µs.
    pub first_event_time: Option<i64>,
    /// Largest event time of the rows, µs.
    pub last_event_time: Option<i64>,
}

/// The result of reading one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// What it was.
    pub format: FormatKind,
    /// What it held.
    pub counts: Counts,
}

/// Reads one object whole. Never fails: what cannot be read is rejected with its reason.
///
/// `seen` carries the records of earlier objects of the run; call [`Seen::clear`] before the same
/// objects are read again.
pub fn read(object: &Object<'_>, context: &Context<'_>, seen: &mut Seen, output: &mut impl Output) -> Report {
    let window = Window::open(object.bytes, context.limits.object_bytes_max);
    read_window(window, object, context, seen, output)
}

/// As [`read`], of an object whose bytes are in a file because they are too many for memory;
/// `object.bytes` is empty.
pub fn read_file(
    stored: Source<'_>,
    object: &Object<'_>,
    context: &Context<'_>,
    seen: &mut Seen,
    output: &mut impl Output,
) -> Report {
    let window = Window::stream(stored, context.limits.object_bytes_max);
    read_window(window, object, context, seen, output)
}

fn read_window(
    mut window: Window<'_>,
    object: &Object<'_>,
    context: &Context<'_>,
    seen: &mut Seen,
    output: &mut impl Output,
) -> Report {
    window.more();
    let mut intake = Intake::new(object, context, output);
    let shape = sniff::shape(&window, object, context);
    let mut inflated = None;
    let mut format = match &shape {
        Shape::Empty if window.damage().is_some() => FormatKind::Unknown,
        Shape::Empty => FormatKind::Empty,
        Shape::Unknown(..) => FormatKind::Unknown,
        Shape::Landing => app_log::landing::read(&mut window, &mut intake, seen),
        Shape::Json => documents::read(&mut window, &mut intake, seen),
        Shape::Flow => {
            vpc_flow::read(&mut window, &mut intake, seen);
            FormatKind::VpcFlow
        }
        Shape::Parquet => {
            let (format, bytes) = vpc_flow::parquet::read(&mut intake, seen);
            inflated = Some(bytes);
            format
        }
        Shape::Digest => {
            window.drain();
            intake.skipped();
            FormatKind::CloudTrailDigest
        }
    };
    if intake.on_probation() {
        format = FormatKind::Unknown;
        let first = intake.forget();
        if window.damage().is_none() {
            unrecognised(&mut intake, first);
        }
    }
    if let Some(damage) = window.damage().filter(|_| !matches!(shape, Shape::Unknown(..))).cloned() {
        intake.reject_object(damage.reason, damage.message, window.offset(), window.data());
    }
    if let Shape::Unknown(reason, message) = shape {
        intake.reject_object(reason, message, 0, window.data());
        window.drain();
    }
    let mut counts = intake.counts;
    counts.inflated_bytes = inflated.unwrap_or_else(|| window.inflated());
    counts.records = counts.rows + counts.rejected + counts.duplicates + counts.skipped;
    Report { format, counts }
}

/// One row for JSON in which no record of a known source was found, with what was wrong first.
fn unrecognised<O: Output>(intake: &mut Intake<'_, O>, first: Option<Rejected>) {
    let (detail, raw) = match first {
        Some(first) => (first.message, first.raw),
        None => ("no records in it".to_owned(), Vec::new()),
    };
    let message = format!("JSON without one CloudTrail or flow log record ({detail})");
    intake.reject_object(Reason::UnknownFormat, message, 0, &raw);
}
