//! What all fuzz targets share: the parsers, and what must hold for every input.
//!
//! The processor's parsers are compiled from their own sources rather than through the crate, which
//! would bring the table format and its query engine along: a target builds in minutes instead of a
//! quarter of an hour. They need nothing of the processor but each other.

#[path = "../../../processor/src"]
mod processor {
    pub mod formats;
    #[path = "discover/notification.rs"]
    pub mod notification;
}

pub use processor::{formats, notification};

use formats::vpc_flow::format::Scope;
use formats::{Context, FlowFormat, Limits, Object, Output, Rejected, Report, Seen};
use std::sync::Once;

/// Limits small enough that a bomb is found by its limit and not by its memory.
pub const LIMITS: Limits = Limits {
    object_bytes_max: 8 << 20,
    record_bytes_max: 256 << 10,
    rejected_bytes_max: 4 << 10,
    batch_rows: 512,
};

/// A key that makes an object CloudTrail's.
pub const TRAIL: &str =
    "s3://b/AWSLogs/123456789012/CloudTrail/us-east-1/2026/11/22/123456789012_CloudTrail_us-east-1_x.json";
/// A location with a declared flow log format.
pub const DECLARED: &str = "s3://b/declared/x";
/// A location that says nothing.
pub const PLAIN: &str = "file:///data/object";

#[derive(Default)]
struct Counted {
    rows: u64,
    rejected: u64,
}

impl Output for Counted {
    fn rows(&mut self, table: &'static logq_schemas::Table, batch: arrow::array::RecordBatch) {
        assert_eq!(batch.schema(), formats::arrow_schema(table));
        assert!(batch.num_rows() > 0 && batch.num_rows() <= LIMITS.batch_rows);
        self.rows += batch.num_rows() as u64;
    }

    fn rejected(&mut self, rejected: Rejected) {
        assert!(rejected.raw.len() <= LIMITS.rejected_bytes_max);
        assert!(!rejected.message.is_empty());
        self.rejected += 1;
    }
}

/// The fuzzer ends at the first panic, also one that is caught. The Parquet decoder's are, because the
/// reader of flow logs takes them for damage: they are none of its findings.
fn pass_over_panics_of_the_decoder() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let abort = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let of_decoder = panic.location().is_some_and(|place| {
                ["/parquet-", "/arrow-", "/bytes-", "/library/"]
                    .iter()
                    .any(|part| place.file().contains(part))
            });
            if !of_decoder {
                abort(panic);
            }
        }));
    });
}

/// Reads an object and checks that its records add up.
pub fn check(location: &str, bytes: &[u8]) -> Report {
    pass_over_panics_of_the_decoder();
    let declared = |scope| {
        FlowFormat::new(
            scope,
            "${version} ${vpc-id} ${interface-id} ${srcaddr} ${dstaddr} ${start} ${log-status}",
        )
        .expect("names of fields")
    };
    let formats = [
        declared(Scope::Location("s3://b/declared/".to_owned())),
        declared(Scope::LogGroup("/vpc*".to_owned())),
    ];
    let object = Object { location, object_id: "0123456789abcdef0123456789abcdef", bytes };
    let context = Context { ingest_time: 1_795_341_600_000_000, limits: &LIMITS, flow_formats: &formats };
    let mut output = Counted::default();
    let report = formats::read(&object, &context, &mut Seen::with_capacity(1_024), &mut output);
    let counts = report.counts;
    assert_eq!((counts.rows, counts.rejected), (output.rows, output.rejected));
    assert_eq!(counts.records, counts.rows + counts.rejected + counts.duplicates + counts.skipped);
    report
}
