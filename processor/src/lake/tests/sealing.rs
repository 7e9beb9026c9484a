//! Sealing: repeats go, supplements come, nothing is done twice.

use super::bench::{Bench, CLOUDTRAIL, DAY, NEXT, SIZES, distinct, event};
use crate::lake::archive::{Archive, ArchiveError, Storing};
use crate::lake::seal::{SealError, Sealed, seal_day};
use crate::stored::hex;
use logq_schemas::{Table, tables};
use sha2::{Digest, Sha256};

pub async fn seal(bench: &Bench, schema: &'static Table, day: &str) -> Result<Sealed, SealError> {
    let mut table = bench.table(schema).await;
    seal_day(&bench.lake, &bench.archive, &mut table, day, SIZES).await
}

/// Two processors that do not know of each other's records take the same 30 events in, and 10 each
/// that the other has not.
pub async fn twice_delivered() -> Bench {
    let bench = Bench::new().await;
    let (mut one, mut other) = (bench.processor("one").await, bench.processor("other").await);
    let events = |range: std::ops::Range<u32>| -> Vec<String> {
        range.map(|id| event(&format!("id-{id:03}"), DAY, id * 600 % 86_400)).collect()
    };
    bench.put("one", "a.json", &events(0..40));
    bench.put("other", "b.json", &events(10..50));
    bench.take_in(&mut one).await;
    bench.take_in(&mut other).await;
    assert_eq!(bench.uids(CLOUDTRAIL).await.len(), 80, "the window of one does not hold the other's");
    bench
}

#[tokio::test]
async fn g4_repeats_are_removed_at_seal_from_table_and_archive_and_counted() {
    let bench = twice_delivered().await;
    let expected = distinct(&bench.uids(CLOUDTRAIL).await);
    let report = seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    assert_eq!((report.rows, report.duplicates_removed, report.conflicts_kept), (50, 30, 0));
    assert_eq!(bench.uids(CLOUDTRAIL).await, expected);
    assert_eq!(bench.archived(CLOUDTRAIL, DAY).await, expected);
    let manifest = bench.manifests("cloudtrail", DAY).await.remove(0);
    assert_eq!((manifest.rows, manifest.duplicates_removed, manifest.input_objects), (50, 30, 2));
    assert_eq!(manifest.schema_version, CLOUDTRAIL.version);
    let file = &manifest.files[0];
    assert_eq!(file.min_event_time.as_deref(), Some("2026-11-20T00:00:00.000000Z"));
    assert_eq!(file.max_event_time.as_deref(), Some("2026-11-20T08:10:00.000000Z"));
    let bytes = &bench.archive_tree()[&file.key];
    assert_eq!(file.sha256, hex(&Sha256::digest(bytes)));
    let hot = bench.root.path().join("lake/cloudtrail").join(format!("event_date={DAY}")).join(file.name());
    assert_eq!(&std::fs::read(hot).expect("readable"), bytes, "the table's file is the archive's");
}

#[tokio::test]
async fn g4_another_content_under_a_used_identity_is_kept_and_counted() {
    let bench = Bench::new().await;
    let (mut one, mut other) = (bench.processor("one").await, bench.processor("other").await);
    let original = event("id-1", DAY, 5);
    let altered = original.replace("GetObject", "PutObject");
    bench.put("one", "a.json", &[original]);
    bench.put("other", "b.json", &[altered]);
    bench.take_in(&mut one).await;
    bench.take_in(&mut other).await;
    let report = seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    assert_eq!((report.rows, report.duplicates_removed, report.conflicts_kept), (2, 0, 1));
}

#[tokio::test]
async fn g8_a_sealed_day_without_news_is_left_as_it_is() {
    let bench = twice_delivered().await;
    seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    let (tree, version) = (bench.archive_tree(), bench.table(CLOUDTRAIL).await.delta().version());
    let again = seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    assert_eq!((again.manifests.len(), again.rows), (0, 0));
    assert_eq!(bench.archive_tree(), tree);
    assert_eq!(bench.table(CLOUDTRAIL).await.delta().version(), version);
}

#[tokio::test]
async fn g4_g8_late_rows_become_a_supplement_without_what_is_archived() {
    let bench = twice_delivered().await;
    seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    let before = bench.archive_tree();
    let mut third = bench.processor("third").await;
    // A window of its own, so that the late object brings repeats into the table.
    let events: Vec<String> = (40..60).map(|id| event(&format!("late-{id}"), DAY, id)).collect();
    bench.put("third", "late.json", &events);
    bench.take_in(&mut third).await;
    let report = seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    assert_eq!((report.manifests.clone(), report.rows, report.duplicates_removed), (vec![2], 20, 0));
    // What was there is there, byte for byte.
    let after = bench.archive_tree();
    assert!(before.iter().all(|(key, bytes)| after.get(key) == Some(bytes)));
    assert_eq!(bench.archived(CLOUDTRAIL, DAY).await, bench.uids(CLOUDTRAIL).await);
}

#[tokio::test]
async fn g4_late_repeats_alone_leave_the_table_and_are_counted() {
    let bench = Bench::new().await;
    // Both are open before anything is taken in: neither knows the other's records.
    let (mut one, mut late) = (bench.processor("one").await, bench.processor("late").await);
    let events: Vec<String> = (0..20).map(|id| event(&format!("id-{id}"), DAY, id)).collect();
    bench.put("one", "a.json", &events);
    bench.take_in(&mut one).await;
    seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    bench.put("late", "b.json", &events[5..15]);
    bench.take_in(&mut late).await;
    assert_eq!(bench.uids(CLOUDTRAIL).await.len(), 30);
    let report = seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    assert_eq!((report.rows, report.duplicates_removed, report.files), (0, 10, 0));
    assert_eq!(bench.uids(CLOUDTRAIL).await.len(), 20);
    let manifests = bench.manifests("cloudtrail", DAY).await;
    assert_eq!((manifests.len(), manifests[1].duplicates_removed, manifests[1].files.len()), (2, 10, 0));
    let again = seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    assert!(again.manifests.is_empty());
}

#[tokio::test]
async fn g8_late_rows_of_a_day_that_left_the_table_are_compared_with_the_archive() {
    use crate::lake::expire::{Proof, expire_day};
    let bench = Bench::new().await;
    let (mut one, mut late) = (bench.processor("one").await, bench.processor("late").await);
    let events: Vec<String> = (0..20).map(|id| event(&format!("id-{id:02}"), DAY, id)).collect();
    bench.put("one", "a.json", &events[..15]);
    bench.take_in(&mut one).await;
    seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    let mut table = bench.table(CLOUDTRAIL).await;
    let expired = expire_day(&mut table, &bench.archive, DAY, Proof::Hash, false).await.expect("expires");
    assert_eq!((expired.rows, expired.refused), (15, None));
    assert!(bench.uids(CLOUDTRAIL).await.is_empty());
    bench.put("late", "b.json", &events[10..]);
    bench.take_in(&mut late).await;
    let report = seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    assert_eq!((report.rows, report.duplicates_removed), (5, 5));
    assert_eq!(bench.archived(CLOUDTRAIL, DAY).await.len(), 20);
}

#[tokio::test]
async fn every_table_of_a_lake_can_be_sealed() {
    let bench = Bench::new().await;
    let mut processor = bench.processor("0").await;
    bench.put("0", "a.json", &[event("id-1", DAY, 1), event("id-2", NEXT, 2), "{\"eventID\":7}".to_owned()]);
    bench.take_in(&mut processor).await;
    for schema in [CLOUDTRAIL, &tables::rejected::TABLE, &tables::ingest::TABLE] {
        let days = crate::lake::days::by_day(&bench.table(schema).await).expect("lists");
        assert!(!days.is_empty(), "{}", schema.name);
        for day in days.into_keys() {
            let report = seal(&bench, schema, &day).await.expect("seals");
            assert_eq!((report.manifests.len(), report.rows), (1, 1), "{} {day}", schema.name);
        }
    }
}

#[tokio::test]
async fn g8_a_sealed_day_that_another_program_rewrote_is_refused() {
    let bench = twice_delivered().await;
    seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    let table = bench.table(CLOUDTRAIL).await;
    let name = bench.files(CLOUDTRAIL, DAY).await.remove(0);
    let folder = bench.root.path().join("lake/cloudtrail").join(format!("event_date={DAY}"));
    std::fs::copy(folder.join(&name), folder.join("part-00000-6f0c.zstd.parquet")).expect("copies");
    let mut table = table;
    let files = crate::lake::days::by_day(&table).expect("lists").remove(DAY).expect("has files");
    let snapshot = table.delta().snapshot().expect("loaded");
    let view = snapshot.log_data().iter().next().expect("a file");
    let add = deltalake::kernel::Add {
        path: format!("event_date={DAY}/part-00000-6f0c.zstd.parquet"),
        size: view.size(),
        partition_values: view.partition_values_map(),
        stats: view.stats(),
        ..deltalake::kernel::Add::default()
    };
    let replacement = crate::lake::table::Replacement {
        day: DAY.to_owned(),
        removed: vec![files[0].path.clone()],
        added: vec![add],
        changes_data: false,
        operation: deltalake::protocol::DeltaOperation::Optimize { predicate: None, target_size: 1 },
    };
    table.replace(&replacement).await.expect("replaces");
    let error = seal(&bench, CLOUDTRAIL, DAY).await.expect_err("is refused");
    assert!(matches!(error, SealError::Rewritten { .. }), "{error}");
    assert_eq!(bench.uids(CLOUDTRAIL).await.len(), 50, "the table keeps its rows");
}

#[tokio::test]
async fn g8_an_archive_inside_a_table_is_refused() {
    let bench = Bench::new().await;
    for inside in ["lake/cloudtrail/archive", "lake/state", "lake"] {
        let location = bench.root.path().join(inside);
        let opened = Archive::open(&bench.lake, location.to_str(), Storing::default()).await;
        assert!(matches!(opened, Err(ArchiveError::Inside { .. })), "{inside}: {opened:?}");
    }
    Archive::open(&bench.lake, None, Storing::default()).await.expect("beside the tables");
}
