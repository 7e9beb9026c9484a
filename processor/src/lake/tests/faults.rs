//! A store that dies at its n-th request, for every n: with the request done and its answer lost, or
//! not done. Whatever the run had reached, the next one ends where an undisturbed one ends.

use super::bench::{Bench, CLOUDTRAIL, DAY, PACKS, SIZES, distinct};
use super::sealing::twice_delivered;
use crate::lake::archive::Archive;
use crate::lake::compact::compact_day;
use crate::lake::raw::pack_day;
use crate::lake::seal::seal_day;
use crate::lake::table::LakeTable;
use crate::lake::verify::verify;
use crate::storage::{Lake, Store};
use async_trait::async_trait;
use bytes::Bytes;
use deltalake::{ObjectStore, Path};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How the request at which the store dies ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// It is not done.
    Before,
    /// It is done and nobody learns.
    After,
}

#[derive(Debug)]
struct Mortal {
    inner: LocalFileSystem,
    asked: Arc<Asked>,
    dies_at: u64,
    death: Death,
}

/// What was asked of a store.
#[derive(Debug, Default)]
struct Asked {
    requests: AtomicU64,
    /// Numbers of the requests that change something.
    changes: Mutex<Vec<u64>>,
}

impl fmt::Display for Mortal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mortal store")
    }
}

fn dead() -> Error {
    Error::Generic { store: "mortal", source: "the store has died".into() }
}

impl Mortal {
    /// Whether this request is done, and whether its answer arrives.
    fn next(&self, changes: bool) -> (bool, bool) {
        let number = self.asked.requests.fetch_add(1, Ordering::SeqCst) + 1;
        if changes {
            self.asked.changes.lock().expect("no thread died").push(number);
        }
        match number.cmp(&self.dies_at) {
            std::cmp::Ordering::Less => (true, true),
            std::cmp::Ordering::Equal => (self.death == Death::After, false),
            std::cmp::Ordering::Greater => (false, false),
        }
    }

    async fn ask<T>(&self, changes: bool, work: impl Future<Output = Result<T>>) -> Result<T> {
        let (done, answered) = self.next(changes);
        let result = if done { work.await } else { Err(dead()) };
        if answered { result } else { Err(dead()) }
    }
}

#[async_trait]
impl ObjectStore for Mortal {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.ask(true, self.inner.put_opts(at, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.ask(true, self.inner.put_multipart_opts(at, options)).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.ask(false, self.inner.get_opts(at, options)).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.ask(false, self.inner.get_ranges(at, ranges)).await
    }

    fn delete_stream(&self, at: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.next(true) {
            (true, _) => self.inner.delete_stream(at),
            (false, _) => futures::stream::once(async { Err(dead()) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.next(false) {
            (true, true) => self.inner.list(prefix),
            _ => futures::stream::once(async { Err(dead()) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.ask(false, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.ask(true, self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.ask(true, self.inner.rename_opts(from, to, options)).await
    }
}

/// The lake and the archive of a bench through one store that dies at its `dies_at`-th request.
fn mortal(bench: &Bench, dies_at: u64, death: Death) -> (Lake, Archive, Arc<Asked>) {
    let asked = Arc::new(Asked::default());
    let inner = LocalFileSystem::new();
    let store: Store = Arc::new(Mortal { inner, asked: asked.clone(), dies_at, death });
    let lake = Lake::on_store(store.clone(), bench.lake.url());
    let folder = Path::from_url_path(bench.archive.url().path()).expect("a path");
    let archive = Archive::on_store(Arc::new(PrefixStore::new(store, folder)), bench.archive.url());
    (lake, archive, asked)
}

/// Compacts, seals and packs; the first failure ends it, as a crash would.
async fn maintain(bench: &Bench, lake: &Lake, archive: &Archive) -> std::result::Result<(), String> {
    let failed = |error: &dyn std::error::Error| error.to_string();
    let open = LakeTable::open_existing(lake, CLOUDTRAIL).await.map_err(|error| failed(&error))?;
    let mut table = open.ok_or("no table")?;
    compact_day(lake, &mut table, DAY, SIZES).await.map_err(|error| failed(&error))?;
    seal_day(lake, archive, &mut table, DAY, SIZES).await.map_err(|error| failed(&error))?;
    pack_day(lake, archive, &bench.inputs(), DAY, PACKS).await.map_err(|error| failed(&error))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_g8_a_crash_at_any_request_of_a_seal_changes_nothing_in_the_end() {
    let start = twice_delivered().await;
    let expected = distinct(&start.uids(CLOUDTRAIL).await);
    let whole = start.copy().await;
    let (lake, archive, asked) = mortal(&whole, u64::MAX, Death::Before);
    maintain(&whole, &lake, &archive).await.expect("an undisturbed run");
    let all = asked.requests.load(Ordering::SeqCst);
    // Whether a reading was done before its answer was lost makes no difference.
    let changes = asked.changes.lock().expect("no thread died").clone();
    assert!(
        all > 40 && changes.len() > 8,
        "{all} requests, {} changes: the store is not asked",
        changes.len()
    );

    let mut died = 0;
    for (death, moments) in [(Death::Before, (1..=all).collect()), (Death::After, changes)] {
        for dies_at in moments {
            let bench = start.copy().await;
            let (lake, archive, _) = mortal(&bench, dies_at, death);
            died += u64::from(maintain(&bench, &lake, &archive).await.is_err());
            // At no moment is a row of the table lost.
            assert_eq!(distinct(&bench.uids(CLOUDTRAIL).await), expected, "{death:?} at {dies_at}");
            maintain(&bench, &bench.lake, &bench.archive).await.expect("the next run ends");
            let context = format!("{death:?} at {dies_at} of {all}");
            assert_eq!(bench.uids(CLOUDTRAIL).await, expected, "{context}");
            assert_eq!(bench.archived(CLOUDTRAIL, DAY).await, expected, "{context}");
            let manifests = bench.manifests("cloudtrail", DAY).await;
            let removed: u64 = manifests.iter().map(|manifest| manifest.duplicates_removed).sum();
            assert_eq!((manifests.len(), removed), (1, 30), "{context}");
            let report = verify(&bench.archive, "", |_, _| {}).await.expect("verifies");
            assert!(report.findings.is_empty(), "{context}: {:?}", report.findings);
            assert_eq!((report.manifests, report.ok), (2, 2), "{context}: one file, one pack");
        }
    }
    assert!(died * 2 > all, "{died} runs died, of {all} and more");
}
