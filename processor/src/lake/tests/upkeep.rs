//! Vacuum, packs, verification and expiry.

use super::bench::{Bench, CLOUDTRAIL, DAY, PACKS, SIZES, event, object};
use super::sealing::{seal, twice_delivered};
use crate::lake::compact::compact_day;
use crate::lake::expire::{Proof, expire_day};
use crate::lake::raw::{RawError, RawManifest, pack_day, unpack};
use crate::lake::vacuum::{Options, VacuumError, vacuum};
use crate::lake::verify::{What, verify};
use crate::stored::object_id;
use logq_schemas::tables;
use std::time::{Duration, SystemTime};

const WEEK: chrono::TimeDelta = chrono::TimeDelta::days(7);

fn options(retention: chrono::TimeDelta, dry_run: bool) -> Options {
    Options { retention, allow_short: retention < chrono::TimeDelta::days(1), dry_run }
}

/// Makes a file look as old as given.
fn age(path: &std::path::Path, days: u64) {
    let file = std::fs::File::options().write(true).open(path).expect("opens");
    file.set_modified(SystemTime::now() - Duration::from_secs(days * 86_400)).expect("sets the time");
}

#[tokio::test]
async fn vacuum_deletes_what_no_version_within_the_retention_has() {
    let bench = twice_delivered().await;
    let folder = bench.root.path().join("lake/cloudtrail").join(format!("event_date={DAY}"));
    let parts = bench.files(CLOUDTRAIL, DAY).await;
    let mut table = bench.table(CLOUDTRAIL).await;
    compact_day(&bench.lake, &mut table, DAY, SIZES).await.expect("compacts");
    for (name, days) in
        [("part-dead-000000000001-0001.parquet", 8), ("part-young-000000000001-0001.parquet", 6)]
    {
        std::fs::write(folder.join(name), b"left by a crashed writer").expect("writes");
        age(&folder.join(name), days);
    }
    let young = vacuum(&mut table, options(WEEK, true)).await.expect("lists");
    let dead = format!("event_date={DAY}/part-dead-000000000001-0001.parquet");
    assert_eq!(young.files, std::slice::from_ref(&dead), "files that were just replaced stay");
    assert!(folder.join("part-dead-000000000001-0001.parquet").exists(), "a dry run deletes nothing");

    vacuum(&mut table, options(WEEK, false)).await.expect("deletes");
    assert!(!folder.join("part-dead-000000000001-0001.parquet").exists());
    assert!(folder.join("part-young-000000000001-0001.parquet").exists());
    assert!(parts.iter().all(|name| folder.join(name).exists()));
    let now = vacuum(&mut table, options(chrono::TimeDelta::zero(), false)).await.expect("deletes");
    assert_eq!(now.files.len(), 3, "{:?}", now.files);
    assert!(parts.iter().all(|name| !folder.join(name).exists()));
    assert_eq!(bench.uids(CLOUDTRAIL).await.len(), 80);
    let log = bench.root.path().join("lake/cloudtrail/_delta_log/_last_checkpoint");
    assert!(log.exists(), "the log has a checkpoint");
}

#[tokio::test]
async fn a_short_retention_must_be_asked_for_twice() {
    let bench = twice_delivered().await;
    let mut table = bench.table(CLOUDTRAIL).await;
    let hour = Options { retention: chrono::TimeDelta::hours(1), allow_short: false, dry_run: true };
    let error = vacuum(&mut table, hour).await.expect_err("is refused");
    assert!(matches!(error, VacuumError::Retention { hours: 1 }), "{error}");
}

#[tokio::test]
async fn g8_vacuum_touches_nothing_of_an_archive_below_the_lake() {
    use crate::lake::archive::{Archive, Storing};
    let bench = twice_delivered().await;
    let archive = Archive::open(&bench.lake, None, Storing::default()).await.expect("opens");
    let mut table = bench.table(CLOUDTRAIL).await;
    crate::lake::seal::seal_day(&bench.lake, &archive, &mut table, DAY, SIZES).await.expect("seals");
    let report = vacuum(&mut table, options(chrono::TimeDelta::zero(), false)).await.expect("deletes");
    assert_eq!(report.files.len(), 2, "the two files that were sealed");
    let report = verify(&archive, "", |_, _| {}).await.expect("verifies");
    assert_eq!((report.ok, report.findings.len()), (1, 0));
}

#[tokio::test]
async fn g8_originals_come_back_byte_for_byte() {
    let bench = twice_delivered().await;
    let pack =
        async || pack_day(&bench.lake, &bench.archive, &bench.inputs(), DAY, PACKS).await.expect("packs");
    assert_eq!(pack().await.members, 0, "a day that is not sealed is not packed");
    seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    let gone = bench.root.path().join("in/other/b.json");
    let bytes = std::fs::read(&gone).expect("readable");
    std::fs::remove_file(&gone).expect("removes");
    let report = pack().await;
    assert_eq!((report.packs, report.members, report.absent.len()), (1, 1, 1));
    assert_eq!(report.absent[0].reason, "missing");
    assert_eq!(report.absent[0].location, gone.display().to_string());
    assert_eq!(pack().await.members, 0, "what is packed is not packed again");

    let kept = bench.root.path().join("in/one/a.json");
    let original = std::fs::read(&kept).expect("readable");
    std::fs::remove_file(&kept).expect("removes");
    let location = kept.display().to_string();
    let (member, found) = unpack(&bench.archive, &location, Some(DAY)).await.expect("is packed");
    assert_eq!((found.as_ref(), member.length), (original.as_slice(), original.len() as u64));
    let (_, found) = unpack(&bench.archive, &object_id(&original), None).await.expect("is packed");
    assert_eq!(found.as_ref(), original.as_slice());
    let unknown = unpack(&bench.archive, &object_id(&bytes), None).await.expect_err("is in none");
    assert!(matches!(unknown, RawError::Unknown { .. }), "{unknown}");
}

#[tokio::test]
async fn originals_fill_packs_and_late_ones_come_in_another() {
    let bench = Bench::new().await;
    let mut processor = bench.processor("0").await;
    for file in 0..9_u32 {
        bench.put("0", &format!("{file}.json"), &[event(&format!("id-{file}"), DAY, file)]);
    }
    bench.take_in(&mut processor).await;
    seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    let one = object(&[event("id-0", DAY, 0)]).len() as u64;
    let sizes = crate::lake::raw::PackSizes { pack_bytes: 4 * one, member_bytes_max: one };
    let pack =
        async || pack_day(&bench.lake, &bench.archive, &bench.inputs(), DAY, sizes).await.expect("packs");
    let report = pack().await;
    assert_eq!((report.packs, report.members, report.large), (3, 9, 0));
    bench.put("0", "late.json", &[event("id-9", DAY, 9)]);
    bench.put("0", "large.json", &[event("id-10", DAY, 10), event("id-11", DAY, 11)]);
    bench.take_in(&mut processor).await;
    assert_eq!(pack().await.members, 0, "not before the supplement");
    seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    let report = pack().await;
    assert_eq!((report.packs, report.members, report.large), (1, 1, 1));
    let folder = format!("raw/cloudtrail/event_date={DAY}");
    let manifests: Vec<(u32, RawManifest)> = bench.archive.manifests(&folder).await.expect("reads");
    let complete: Vec<bool> = manifests.iter().map(|(_, manifest)| manifest.complete).collect();
    assert_eq!(complete, [false, false, true, true]);
}

#[tokio::test]
async fn g8_verification_names_what_is_missing_changed_extra_and_malformed() {
    let bench = twice_delivered().await;
    seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    seal(&bench, &tables::ingest::TABLE, &today(&bench).await).await.expect("seals");
    let mut told = (0, 0);
    let report =
        verify(&bench.archive, "", |read, total| told = (told.0 + read, total)).await.expect("verifies");
    assert_eq!((report.manifests, report.ok, report.findings.len()), (2, 2, 0));
    assert_eq!((told.0, report.bytes), (told.1, told.1));

    let root = bench.root.path().join("archive");
    let file = |table: &str| {
        let tree = bench.archive_tree();
        let key =
            tree.keys().find(|key| key.starts_with(table) && key.ends_with(".parquet")).expect("a file");
        root.join(key)
    };
    let mut bytes = std::fs::read(file("cloudtrail")).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file("cloudtrail"), bytes).expect("writes");
    std::fs::remove_file(file("ingest")).expect("removes");
    std::fs::write(root.join("cloudtrail/stray"), b"x").expect("writes");
    std::fs::write(root.join("cloudtrail/manifest-1.json"), b"{").expect("writes");
    let report = verify(&bench.archive, "", |_, _| {}).await.expect("verifies");
    let mut found: Vec<What> = report.findings.iter().map(|finding| finding.what).collect();
    found.sort_unstable();
    assert_eq!(found, [What::Missing, What::Changed, What::Changed, What::Extra], "{:?}", report.findings);
    let narrow = verify(&bench.archive, "ingest", |_, _| {}).await.expect("verifies");
    assert_eq!((narrow.manifests, narrow.findings.len()), (1, 1));
}

async fn today(bench: &Bench) -> String {
    let days = crate::lake::days::by_day(&bench.table(&tables::ingest::TABLE).await).expect("lists");
    days.into_keys().next().expect("a day")
}

#[tokio::test]
async fn g8_a_day_leaves_the_table_only_when_the_archive_is_proved_to_hold_it() {
    let bench = twice_delivered().await;
    let expire = async |proof| {
        let mut table = bench.table(CLOUDTRAIL).await;
        expire_day(&mut table, &bench.archive, DAY, proof, false).await.expect("answers")
    };
    let refused = async |proof, part: &str| {
        let reason = expire(proof).await.refused.expect("is refused");
        assert!(reason.contains(part), "{reason}");
        assert!(!bench.uids(CLOUDTRAIL).await.is_empty());
    };
    refused(Proof::Hash, "not sealed").await;
    seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");
    let mut late = bench.processor("late").await;
    bench.put("late", "late.json", &[event("late", DAY, 1)]);
    bench.take_in(&mut late).await;
    refused(Proof::Size, "not sealed").await;
    seal(&bench, CLOUDTRAIL, DAY).await.expect("seals");

    let tree = bench.archive_tree();
    let key = tree.keys().find(|key| key.ends_with(".parquet")).expect("a file");
    let path = bench.root.path().join("archive").join(key);
    let mut bytes = tree[key].clone();
    bytes[9] ^= 1;
    std::fs::write(&path, &bytes).expect("writes");
    refused(Proof::Hash, "has changed").await;
    std::fs::write(&path, &bytes[1..]).expect("writes");
    refused(Proof::Size, "has changed").await;
    std::fs::remove_file(&path).expect("removes");
    refused(Proof::Size, "is missing").await;
    std::fs::write(&path, &tree[key]).expect("writes");

    let mut table = bench.table(CLOUDTRAIL).await;
    let told = expire_day(&mut table, &bench.archive, DAY, Proof::Hash, true).await.expect("answers");
    assert_eq!((told.rows, bench.uids(CLOUDTRAIL).await.len()), (51, 51), "a dry run drops nothing");
    let dropped = expire(Proof::Hash).await;
    assert_eq!((dropped.rows, dropped.refused), (51, None));
    assert!(bench.uids(CLOUDTRAIL).await.is_empty());
    assert_eq!(bench.archived(CLOUDTRAIL, DAY).await.len(), 51);
}

#[tokio::test]
async fn an_unsealed_day_is_dropped_when_that_is_what_is_asked_for_and_the_ledger_never() {
    let bench = twice_delivered().await;
    let mut table = bench.table(CLOUDTRAIL).await;
    let dropped = expire_day(&mut table, &bench.archive, DAY, Proof::None, false).await.expect("answers");
    assert_eq!((dropped.rows, dropped.refused), (80, None));
    let (mut ledger, day) = (bench.table(&tables::ingest::TABLE).await, today(&bench).await);
    let kept = expire_day(&mut ledger, &bench.archive, &day, Proof::None, false).await.expect("answers");
    assert!(kept.refused.is_some());
}
