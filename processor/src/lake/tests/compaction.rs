//! Compaction beside a processor that goes on.

use super::bench::{Bench, CLOUDTRAIL, DAY, NEXT, SIZES, event};
use crate::lake::compact::{Compacted, compact_day};
use crate::lake::days::by_day;
use crate::lake::table::Replacement;
use crate::lake::table::{LakeTable, Replaced};
use deltalake::protocol::DeltaOperation;
use logq_schemas::tables;

async fn compact(bench: &Bench, day: &str) -> Compacted {
    let mut table = bench.table(CLOUDTRAIL).await;
    compact_day(&bench.lake, &mut table, day, SIZES).await.expect("compacts")
}

/// Five batches over two days.
async fn five_batches() -> Bench {
    let bench = Bench::new().await;
    let mut processor = bench.processor("0").await;
    for batch in 0..5_u32 {
        let events: Vec<String> = (0..40)
            .map(|index| {
                let day = if index % 4 == 0 { NEXT } else { DAY };
                event(&format!("{batch}-{index}"), day, (index * 977 + batch * 31) % 86_400)
            })
            .collect();
        bench.put("0", &format!("{batch}.json"), &events);
        bench.take_in(&mut processor).await;
    }
    bench
}

#[tokio::test]
async fn a_day_becomes_one_sorted_file_and_no_other_day_is_touched() {
    let bench = five_batches().await;
    let (before, other) = (bench.uids(CLOUDTRAIL).await, bench.files(CLOUDTRAIL, NEXT).await);
    assert_eq!((before.len(), bench.files(CLOUDTRAIL, DAY).await.len()), (200, 5));
    let report = compact(&bench, DAY).await;
    assert_eq!((report.files_before, report.files_after, report.rows), (5, 1, 150));
    assert_eq!(bench.uids(CLOUDTRAIL).await, before);
    assert_eq!(bench.files(CLOUDTRAIL, NEXT).await, other);

    let table = bench.table(CLOUDTRAIL).await;
    let file = by_day(&table).expect("lists").remove(DAY).expect("has files").remove(0);
    let path = bench.root.path().join("lake/cloudtrail").join(&file.path);
    let bytes = bytes::Bytes::from(std::fs::read(path).expect("readable"));
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).expect("Parquet");
    let group = reader.metadata().row_group(0).clone();
    assert!(group.sorting_columns().is_some(), "the order is declared");
    let column = |name: &str| {
        group.columns().iter().find(|column| column.column_path().string() == name).expect("column").clone()
    };
    assert!(column("event_uid").bloom_filter_offset().is_some());
    assert!(column("event_time").column_index_offset().is_some());
    let mut times = Vec::new();
    for rows in reader.build().expect("reads") {
        let rows = rows.expect("rows");
        let column = rows.column_by_name("event_time").expect("column");
        let column =
            arrow::array::AsArray::as_primitive::<arrow::datatypes::TimestampMicrosecondType>(column);
        times.extend(column.values().to_vec());
    }
    assert!(times.is_sorted());
    let stats = format!("{:?}", file.times);
    assert!(stats.contains(&times[0].to_string()), "{stats}");

    let again = compact(&bench, DAY).await;
    assert_eq!(again.files_before, 0, "a good day is left alone");
}

#[tokio::test]
async fn g3_files_of_a_batch_that_is_not_done_are_left_for_its_recovery() {
    let bench = five_batches().await;
    let ingest = bench.table(&tables::ingest::TABLE).await;
    let done = ingest.applied("logq-processor/0").await.expect("reads");
    assert_eq!(done, Some(4));
    // As after a kill between the commits of `cloudtrail` and `ingest`: the table has batch 5.
    let mut table = bench.table(CLOUDTRAIL).await;
    let file = by_day(&table).expect("lists").remove(DAY).expect("has files").remove(0);
    let open = format!("event_date={DAY}/part-0-000000000005-0001.parquet");
    let folder = bench.root.path().join("lake/cloudtrail");
    std::fs::copy(folder.join(&file.path), folder.join(&open)).expect("copies");
    let snapshot = table.delta().snapshot().expect("loaded");
    let view = snapshot.log_data().iter().find(|view| view.path() == file.path).expect("is there");
    let add = deltalake::kernel::Add {
        path: open.clone(),
        size: view.size(),
        partition_values: view.partition_values_map(),
        stats: view.stats(),
        data_change: true,
        ..deltalake::kernel::Add::default()
    };
    table.append(&[add], "logq-processor/0", 5).await.expect("commits");
    let report = compact(&bench, DAY).await;
    assert_eq!((report.files_before, report.files_open), (5, 1));
    let files = bench.files(CLOUDTRAIL, DAY).await;
    assert!(files.iter().any(|name| name == "part-0-000000000005-0001.parquet"), "{files:?}");
}

#[tokio::test]
async fn g3_a_processor_restarted_after_compaction_repeats_nothing() {
    let bench = five_batches().await;
    let before = bench.uids(CLOUDTRAIL).await;
    compact(&bench, DAY).await;
    compact(&bench, NEXT).await;
    let mut table = bench.table(&tables::ingest::TABLE).await;
    for day in by_day(&table).expect("lists").into_keys() {
        let report = compact_day(&bench.lake, &mut table, &day, SIZES).await.expect("compacts");
        assert_eq!((report.files_before, report.rows), (5, 5));
    }
    let mut processor = bench.processor("0").await;
    bench.take_in(&mut processor).await;
    assert_eq!(bench.uids(CLOUDTRAIL).await, before, "the objects are known");
    // The same events in another object are known by what the compacted files hold.
    let events: Vec<String> = (0..40).map(|index| event(&format!("0-{index}"), DAY, index)).collect();
    bench.put("0", "again.json", &events);
    bench.take_in(&mut processor).await;
    assert_eq!(bench.uids(CLOUDTRAIL).await, before);
}

#[tokio::test]
async fn g5_of_two_rewrites_of_one_file_one_lands() {
    let bench = five_batches().await;
    let mut one = bench.table(CLOUDTRAIL).await;
    let mut other = bench.table(CLOUDTRAIL).await;
    let files = by_day(&one).expect("lists").remove(DAY).expect("has files");
    let drop_file = |index: usize| Replacement {
        day: DAY.to_owned(),
        removed: vec![files[index].path.clone(), files[index + 1].path.clone()],
        added: vec![deltalake::kernel::Add {
            path: format!("event_date={DAY}/compact-{index}.parquet"),
            partition_values: [("event_date".to_owned(), Some(DAY.to_owned()))].into(),
            ..deltalake::kernel::Add::default()
        }],
        changes_data: false,
        operation: DeltaOperation::Optimize { predicate: None, target_size: 1 },
    };
    assert_eq!(one.replace(&drop_file(0)).await.expect("answers"), Replaced::Done);
    assert_eq!(other.replace(&drop_file(1)).await.expect("answers"), Replaced::Lost, "file 1 is gone");
    assert_eq!(one.replace(&drop_file(0)).await.expect("answers"), Replaced::Done, "it had landed");
    assert_eq!(other.replace(&drop_file(2)).await.expect("answers"), Replaced::Done);
    let names = bench.files(CLOUDTRAIL, DAY).await;
    assert_eq!(names.len(), 3, "{names:?}");
}

#[tokio::test]
async fn a_table_with_a_column_of_a_later_version_is_not_rewritten() {
    use deltalake::kernel::{DataType, PrimitiveType, StructField};
    let bench = five_batches().await;
    let table = bench.table(CLOUDTRAIL).await;
    let field = StructField::new("from_the_future", DataType::Primitive(PrimitiveType::String), true);
    table.delta().clone().add_columns().with_fields(vec![field]).await.expect("adds");
    let mut table: LakeTable = bench.table(CLOUDTRAIL).await;
    let error = compact_day(&bench.lake, &mut table, DAY, SIZES).await.expect_err("is refused");
    assert!(error.to_string().contains("from_the_future"), "{error}");
}
