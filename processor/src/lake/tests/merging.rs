//! Merges against a model: random files, random memory, the same rows in the same order.

use crate::formats::arrow_schema;
use crate::lake::bookkeeping::{RejectedRow, rejected_batch};
use crate::lake::days::DayFile;
use crate::lake::merge::{Counts, Input, Merge, MergeError, Rows};
use crate::lake::write::{properties, stored_schema};
use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use deltalake::{ObjectStore, Path};
use logq_schemas::{Reason, tables};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// Location, offset, time taken in, and what is said.
type Row = (u8, u64, i64, u8);

/// `rejected` is sorted by two columns, and its identity is object, offset and reason: rows with one
/// place and identity can say the same or something else.
fn batch(rows: &[Row]) -> RecordBatch {
    let rows: Vec<RejectedRow> = rows
        .iter()
        .map(|&(location, offset, taken_in, said)| RejectedRow {
            ingest_time: taken_in,
            reason: Reason::InvalidJson,
            message: format!("message {said}"),
            location: format!("/in/{location}"),
            object_id: format!("{location}"),
            record_offset: offset,
            record_number: None,
            raw: vec![said; 40],
            raw_bytes: 40,
        })
        .collect();
    let all = rejected_batch(&rows);
    let keep: Vec<usize> =
        (0..all.num_columns()).filter(|&at| all.schema_ref().field(at).name() != "event_date").collect();
    all.project(&keep).expect("projects")
}

fn sorted(rows: &RecordBatch) -> RecordBatch {
    let keys: Vec<SortColumn> = ["location", "record_offset", "ingest_time"]
        .map(|name| SortColumn { values: rows.column_by_name(name).expect("column").clone(), options: None })
        .into();
    let order: UInt32Array = lexsort_to_indices(&keys, None).expect("sorts");
    take_record_batch(rows, &order).expect("takes")
}

async fn store_file(store: &Arc<dyn ObjectStore>, name: &str, rows: &RecordBatch, in_order: bool) -> DayFile {
    let mut bytes = Vec::new();
    let settings = properties(&tables::rejected::TABLE, rows.num_rows());
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(settings)).expect("a writer");
    writer.write(rows).expect("writes");
    writer.close().expect("closes");
    let size = bytes.len() as u64;
    store.put(&Path::from(name), bytes.into()).await.expect("stores");
    DayFile {
        path: name.to_owned(),
        size,
        rows: Some(rows.num_rows() as u64),
        modified: 0,
        times: None,
        sorted: in_order,
    }
}

async fn merged(inputs: Vec<Input>, rows: Rows, memory: u64) -> (Vec<Row>, Counts) {
    let mut merge = Merge::open(&tables::rejected::TABLE, inputs, rows, memory).await.expect("opens");
    let mut found = Vec::new();
    while let Some(batch) = merge.next().await.expect("merges") {
        assert_eq!(batch.schema(), stored_schema(&arrow_schema(&tables::rejected::TABLE)));
        let text = |name: &str| batch.column_by_name(name).expect("column").as_string::<i32>().clone();
        let (locations, messages) = (text("location"), text("message"));
        let offsets = batch.column_by_name("record_offset").expect("column").as_primitive::<Int64Type>();
        let times = batch.column_by_name("ingest_time").expect("column");
        let times = times.as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            found.push((
                locations.value(row)[4..].parse().expect("a number"),
                offsets.value(row).unsigned_abs(),
                times.value(row),
                messages.value(row)[8..].parse().expect("a number"),
            ));
        }
    }
    (found, merge.counts())
}

/// What must come out: of the same place, identity and content the oldest, nothing the references have.
fn model(files: &[Vec<Row>], references: &[Vec<Row>]) -> Vec<Row> {
    let mut first: HashMap<(u8, u64, u8), i64> = HashMap::new();
    for &(location, offset, taken_in, said) in files.iter().flatten() {
        let oldest = first.entry((location, offset, said)).or_insert(taken_in);
        *oldest = (*oldest).min(taken_in);
    }
    for &(location, offset, _, said) in references.iter().flatten() {
        first.remove(&(location, offset, said));
    }
    let mut rows: Vec<Row> =
        first.into_iter().map(|((location, offset, said), at)| (location, offset, at, said)).collect();
    rows.sort_unstable();
    rows
}

fn files() -> impl Strategy<Value = Vec<(Vec<Row>, bool)>> {
    let row = (0..3_u8, 0..12_u64, 0..5_i64, 0..3_u8);
    proptest::collection::vec((proptest::collection::vec(row, 1..40), any::<bool>()), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_merge_gives_the_rows_of_the_model(files in files(), references in files(), tight in any::<bool>()) {
        // Five open files take more than the tight limit: pieces are merged first.
        let memory = if tight { 20 << 20 } else { 1 << 30 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let mut inputs = Vec::new();
            for (reference, files) in [(false, &files), (true, &references)] {
                for (number, (rows, in_order)) in files.iter().enumerate() {
                    let rows = if *in_order { sorted(&batch(rows)) } else { batch(rows) };
                    let file = store_file(&store, &format!("{reference}-{number}"), &rows, *in_order).await;
                    inputs.push(Input { store: store.clone(), file, reference });
                }
            }
            let plain = |files: &[(Vec<Row>, bool)]| -> Vec<Vec<Row>> {
                files.iter().map(|(rows, _)| rows.clone()).collect()
            };
            let (own, others) = (plain(&files), plain(&references));
            let (mut found, counts) = merged(inputs.clone(), Rows::Unique, memory).await;
            let places: Vec<(u8, u64)> = found.iter().map(|row| (row.0, row.1)).collect();
            prop_assert!(places.is_sorted());
            found.sort_unstable();
            prop_assert_eq!(&found, &model(&own, &others));
            let all: u64 = own.iter().map(|rows| rows.len() as u64).sum();
            prop_assert_eq!((counts.rows, counts.duplicates), (all, all - found.len() as u64));

            inputs.retain(|input| !input.reference);
            let (found, counts) = merged(inputs, Rows::All, memory).await;
            let mut expected: Vec<Row> = own.into_iter().flatten().collect();
            let order = |row: &Row| (row.0, row.1, row.2);
            prop_assert!(found.iter().map(order).is_sorted());
            expected.sort_unstable();
            let mut found = found;
            found.sort_unstable();
            prop_assert_eq!(found, expected);
            prop_assert_eq!((counts.rows, counts.duplicates, counts.conflicts), (all, 0, 0));
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_file_that_is_not_in_the_order_its_name_promises_is_named() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let file = store_file(&store, "seal-x-0001.parquet", &batch(&[(2, 0, 0, 0), (1, 0, 0, 0)]), true).await;
    let inputs = vec![Input { store, file, reference: false }];
    let mut merge = Merge::open(&tables::rejected::TABLE, inputs, Rows::All, 1 << 30).await.expect("opens");
    let error = merge.next().await.expect_err("is noticed");
    assert!(matches!(&error, MergeError::Unsorted { path, .. } if path == "seal-x-0001.parquet"), "{error}");
}

#[tokio::test]
async fn columns_of_a_later_version_are_null_in_older_files() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let rows = batch(&[(1, 1, 1, 1)]);
    let keep: Vec<usize> =
        (0..rows.num_columns()).filter(|&at| rows.schema_ref().field(at).name() != "record_number").collect();
    let file = store_file(&store, "older", &rows.project(&keep).expect("projects"), true).await;
    let inputs = vec![Input { store, file, reference: false }];
    let mut merge = Merge::open(&tables::rejected::TABLE, inputs, Rows::All, 1 << 30).await.expect("opens");
    let rows = merge.next().await.expect("merges").expect("a row");
    assert_eq!(rows.column_by_name("record_number").expect("column").null_count(), 1);
}
