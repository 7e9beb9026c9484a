//! Parquet flow logs: arbitrary bytes, and a good file with bytes changed where the input says.
#![no_main]
use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use logq_fuzz::{PLAIN, check};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use std::sync::{Arc, OnceLock};

fn good() -> Vec<u8> {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("version", Arc::new(Int32Array::from(vec![5; 40]))),
        (
            "srcaddr",
            Arc::new(StringArray::from_iter((0..40).map(|n| (n % 3 > 0).then(|| format!("10.0.0.{n}"))))),
        ),
        ("start", Arc::new(Int64Array::from_iter((0..40).map(|n| Some(1_700_000_000 + n))))),
        ("log_status", Arc::new(StringArray::from_iter_values((0..40).map(|n| ["OK", "NODATA"][n % 2])))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("equal lengths");
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(16))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a vector");
    writer.write(&batch).expect("a vector");
    writer.into_inner().expect("a vector")
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    check(PLAIN, &[b"PAR1".as_slice(), bytes].concat());
    let mut changed = GOOD.get_or_init(good).clone();
    for change in bytes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % changed.len();
        changed[at] = change[2];
    }
    check(PLAIN, &changed);
});
