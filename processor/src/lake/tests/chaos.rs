//! Everything at once: a processor that goes on, compaction, sealing, vacuum and expiry side by side.

use super::bench::{Bench, CLOUDTRAIL, DAY, NEXT, SIZES, event};
use crate::lake::compact::compact_day;
use crate::lake::days::by_day;
use crate::lake::expire::{Proof, expire_day};
use crate::lake::seal::{SealError, seal_day};
use crate::lake::vacuum::{Options, vacuum};
use crate::lake::verify::verify;
use std::collections::BTreeSet;

const DAYS: [&str; 2] = [DAY, NEXT];

/// A small generator: the same seed, the same run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Batches that come while maintenance works, some of their events delivered twice.
async fn append(bench: &Bench, seed: u64) -> BTreeSet<String> {
    let mut dice = Dice(seed);
    let mut sent = BTreeSet::new();
    let mut processors = [bench.processor("one").await, bench.processor("other").await];
    for batch in 0..10_u64 {
        let who = dice.roll(2) as usize;
        let shard = ["one", "other"][who];
        let events: Vec<String> = (0..12)
            .map(|_| {
                // Few identities: many are delivered in several objects, to both processors.
                let number = dice.roll(60);
                let id = format!("id-{number:02}");
                let text = event(&id, DAYS[(number % 2) as usize], (number * 997 % 86_400) as u32);
                sent.insert(id);
                text
            })
            .collect();
        bench.put(shard, &format!("{batch}.json"), &events);
        bench.take_in(&mut processors[who]).await;
        tokio::task::yield_now().await;
    }
    sent
}

async fn keep_compacting(bench: &Bench, rounds: u64) {
    for _ in 0..rounds {
        let Some(mut table) = bench.open(CLOUDTRAIL).await else { continue };
        for day in DAYS {
            compact_day(&bench.lake, &mut table, day, SIZES).await.expect("compacts");
        }
    }
}

async fn keep_sealing(bench: &Bench, rounds: u64) {
    for round in 0..rounds {
        let Some(mut table) = bench.open(CLOUDTRAIL).await else { continue };
        let day = DAYS[(round % 2) as usize];
        match seal_day(&bench.lake, &bench.archive, &mut table, day, SIZES).await {
            Ok(_) | Err(SealError::Busy { .. }) => {}
            Err(error) => unreachable!("sealing failed: {error}"),
        }
    }
}

async fn keep_tidying(bench: &Bench, rounds: u64, expire: bool) {
    for _ in 0..rounds {
        let Some(mut table) = bench.open(CLOUDTRAIL).await else { continue };
        let week = chrono::TimeDelta::days(7);
        let options = Options { retention: week, allow_short: false, dry_run: false };
        vacuum(&mut table, options).await.expect("vacuums");
        if expire {
            expire_day(&mut table, &bench.archive, DAY, Proof::Hash, false).await.expect("answers");
        }
    }
}

async fn run(seed: u64, expire: bool) {
    let bench = Bench::new().await;
    let (sent, (), (), (), ()) = tokio::join!(
        append(&bench, seed),
        keep_compacting(&bench, 8),
        keep_sealing(&bench, 6),
        keep_sealing(&bench, 6),
        keep_tidying(&bench, 4, expire),
    );
    // The last seal takes what came late.
    for day in DAYS {
        let mut table = bench.table(CLOUDTRAIL).await;
        seal_day(&bench.lake, &bench.archive, &mut table, day, SIZES).await.expect("seals");
    }
    let context = format!("seed {seed}, expire {expire}");
    let sent: Vec<String> = sent.into_iter().collect();
    let mut archived = bench.archived(CLOUDTRAIL, DAY).await;
    archived.extend(bench.archived(CLOUDTRAIL, NEXT).await);
    archived.sort_unstable();
    assert_eq!(archived, sent, "{context}: the archive has every event once");
    if !expire {
        assert_eq!(bench.uids(CLOUDTRAIL).await, sent, "{context}: and so has the table");
    }
    let table = bench.table(CLOUDTRAIL).await;
    for (day, files) in by_day(&table).expect("lists") {
        let listed: BTreeSet<String> = bench
            .manifests("cloudtrail", &day)
            .await
            .into_iter()
            .flat_map(|manifest| manifest.files)
            .map(|file| file.name().to_owned())
            .collect();
        assert!(files.iter().all(|file| listed.contains(file.name())), "{context}: {day} is sealed");
    }
    // What was taken in is in the archive or was a repeat, and repeats there were.
    let (mut rows, mut repeats) = (0, 0);
    for day in DAYS {
        for manifest in bench.manifests("cloudtrail", day).await {
            rows += manifest.rows;
            repeats += manifest.duplicates_removed;
        }
    }
    assert_eq!(rows + repeats, bench.taken_in().await, "{context}");
    assert!(repeats > 0, "{context}: {repeats} repeats");
    let report = verify(&bench.archive, "", |_, _| {}).await.expect("verifies");
    let bad = report.findings.iter().any(|finding| finding.what != crate::lake::verify::What::Extra);
    assert!(!bad, "{context}: {:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_g4_g5_maintenance_beside_ingest_keeps_every_event_once() {
    for seed in 1..=3 {
        run(seed, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_days_that_leave_the_table_meanwhile_are_whole_in_the_archive() {
    for seed in 11..=12 {
        run(seed, true).await;
    }
}
