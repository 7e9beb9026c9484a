//! A store that fails in every way a network store fails, from a seed or at one numbered call.
//!
//! Each process of a test has a [`Faulty`] store of its own over the same objects. When its fate says
//! so, the process dies: none of its later calls has any effect, and whoever runs it is told.

use bytes::Bytes;
use deltalake::{ObjectStore, ObjectStoreError, Path};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A way for a call to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// 503 SlowDown or 429 until the client gave up: nothing done.
    Refused,
    /// Done, but the answer is lost or comes too late. A read ends in the middle.
    AnswerLost,
    /// An error now; the write takes effect so many calls later.
    Late(u64),
    /// The answer of the first try is lost and the client tries again by itself.
    Twice,
    /// The process dies before the call.
    KilledBefore,
    /// The process dies after the call took effect.
    KilledAfter,
}

impl Fault {
    /// One of each kind.
    pub(super) const ALL: [Fault; 6] = [
        Fault::Refused,
        Fault::AnswerLost,
        Fault::Late(7),
        Fault::Twice,
        Fault::KilledBefore,
        Fault::KilledAfter,
    ];
}

/// Random numbers from a seed: SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.bits() % limit.max(1)
    }

    /// A number of `low..=high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True so many times in a hundred.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).expect("an index")]
    }
}

/// Which calls fail.
#[derive(Debug)]
pub(super) enum Plan {
    /// None.
    Clean,
    /// So many in a hundred, `left` of them at most.
    Random { percent: u64, left: u64 },
    /// One.
    At { call: u64, fault: Fault },
}

#[derive(Debug)]
struct LateWrite {
    due: u64,
    store: Arc<InMemory>,
    path: Path,
    /// A deletion when there is none.
    put: Option<(PutPayload, PutOptions)>,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    random: Random,
    calls: u64,
    writes: BTreeSet<u64>,
    late: Vec<LateWrite>,
    seen: BTreeMap<&'static str, u64>,
    trace: Vec<String>,
}

/// What all stores of a test have in common.
#[derive(Debug, Clone)]
pub(super) struct Weather(Arc<Mutex<State>>);

impl Weather {
    pub(super) fn new(seed: u64, plan: Plan) -> Weather {
        let random = Random::new(seed);
        let (late, seen, trace, writes) = (Vec::new(), BTreeMap::new(), Vec::new(), BTreeSet::new());
        Weather(Arc::new(Mutex::new(State { plan, random, calls: 0, writes, late, seen, trace })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing fails from now on, and every late write arrives.
    pub(super) async fn clear_up(&self) {
        let late = {
            let mut state = self.state();
            state.plan = Plan::Clean;
            std::mem::take(&mut state.late)
        };
        for write in late {
            arrive(write).await;
        }
    }

    /// How many calls there were.
    pub(super) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The numbers of the calls that changed something.
    pub(super) fn writes(&self) -> BTreeSet<u64> {
        self.state().writes.clone()
    }

    /// How often each fault came.
    pub(super) fn seen(&self) -> BTreeMap<&'static str, u64> {
        self.state().seen.clone()
    }

    /// The calls that failed, for the message of a failed test.
    pub(super) fn trace(&self) -> String {
        self.state().trace.join("\n")
    }
}

async fn arrive(write: LateWrite) {
    // What it finds may have changed in the meantime: then it fails like any other write.
    match write.put {
        Some((payload, options)) => drop(write.store.put_opts(&write.path, payload, options).await),
        None => drop(write.store.delete(&write.path).await),
    }
}

/// The life of one process.
#[derive(Debug, Default)]
pub(super) struct Life {
    dead: AtomicBool,
    ended: Notify,
}

impl Life {
    /// Returns when the process has died.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Whether it has died: what the process would do next, it does not do.
    pub(super) fn is_over(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn end(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.ended.notify_one();
    }
}

/// The store as one process sees it.
#[derive(Debug, Clone)]
pub(super) struct Faulty {
    inner: Arc<InMemory>,
    weather: Weather,
    life: Arc<Life>,
}

fn failed(what: &'static str) -> ObjectStoreError {
    ObjectStoreError::Generic { store: "faulty", source: what.into() }
}

impl Faulty {
    pub(super) fn new(inner: Arc<InMemory>, weather: &Weather, life: &Arc<Life>) -> Faulty {
        Faulty { inner, weather: weather.clone(), life: life.clone() }
    }

    /// Counts a call, lets late writes arrive, and says what becomes of it. The process is dead
    /// already, or dies now, when this is an error.
    async fn call(&self, verb: &'static str, path: &str, writes: bool) -> Result<Option<Fault>> {
        let (fate, pauses, arrived) = {
            let mut state = self.weather.state();
            if self.life.is_over() {
                return Err(failed("the process is dead"));
            }
            state.calls += 1;
            let number = state.calls;
            if writes {
                state.writes.insert(number);
            }
            let (fate, pauses) = state.fate(verb, path);
            let fate = match fate {
                Some(Fault::Late(_) | Fault::Twice) if !writes => Some(Fault::Refused),
                fate => fate,
            };
            if let Some(fault) = fate {
                *state.seen.entry(name(fault)).or_default() += 1;
                state.trace.push(format!("call {number}: {verb} {path}: {fault:?}"));
            }
            let (arrived, late) =
                std::mem::take(&mut state.late).into_iter().partition(|one| one.due <= number);
            state.late = late;
            (fate, pauses, arrived)
        };
        let arrived: Vec<LateWrite> = arrived;
        for write in arrived {
            arrive(write).await;
        }
        // Other processes get their turn here.
        for _ in 0..pauses {
            tokio::task::yield_now().await;
        }
        match fate {
            Some(Fault::Refused) => Err(failed("503 SlowDown")),
            Some(Fault::KilledBefore) => {
                self.life.end();
                Err(failed("the process is dead"))
            }
            fate => Ok(fate),
        }
    }

    fn later(&self, after: u64, path: &Path, put: Option<(PutPayload, PutOptions)>) -> ObjectStoreError {
        let mut state = self.weather.state();
        let due = state.calls + after;
        state.late.push(LateWrite { due, store: self.inner.clone(), path: path.clone(), put });
        failed("timed out")
    }

    /// What the process learns of a call that took effect.
    fn answer<T>(&self, fate: Option<Fault>, answer: Result<T>) -> Result<T> {
        match fate {
            Some(Fault::AnswerLost) => Err(failed("timed out")),
            Some(Fault::KilledAfter) => {
                self.life.end();
                Err(failed("the process is dead"))
            }
            _ => answer,
        }
    }

    async fn delete(&self, path: &Path) -> Result<()> {
        match self.call("delete", path.as_ref(), true).await? {
            Some(Fault::Late(after)) => Err(self.later(after, path, None)),
            fate => {
                let done = self.inner.delete(path).await;
                let done = if fate == Some(Fault::Twice) { self.inner.delete(path).await } else { done };
                self.answer(fate, done)
            }
        }
    }
}

fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::Refused => "refused",
        Fault::AnswerLost => "answer lost",
        Fault::Late(_) => "late",
        Fault::Twice => "twice",
        Fault::KilledBefore => "killed before",
        Fault::KilledAfter => "killed after",
    }
}

impl State {
    fn fate(&mut self, verb: &str, path: &str) -> (Option<Fault>, u64) {
        let calls = self.calls;
        match &mut self.plan {
            Plan::Clean => (None, 0),
            Plan::At { call, fault } => ((*call == calls).then_some(*fault), 0),
            Plan::Random { percent, left } => {
                let pauses = if self.random.chance(30) { self.random.between(1, 12) } else { 0 };
                // There are ten reads to a write, and the writes are where it matters: claims, prepared
                // batches and commits most of all.
                let percent = match verb {
                    "put" | "delete" if path.contains("state/") || path.contains("_delta_log/") => {
                        (*percent * 8).min(60)
                    }
                    "put" | "delete" => (*percent * 4).min(40),
                    _ => percent.div_ceil(3),
                };
                if *left == 0 || !self.random.chance(percent) {
                    return (None, pauses);
                }
                *left -= 1;
                let fault = match self.random.pick(&Fault::ALL) {
                    Fault::Late(_) => Fault::Late(self.random.between(1, 60)),
                    fault => fault,
                };
                (Some(fault), pauses)
            }
        }
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("faulty store")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.call("put", path.as_ref(), true).await? {
            Some(Fault::Late(after)) => Err(self.later(after, path, Some((payload, options)))),
            fate => {
                let mut done = self.inner.put_opts(path, payload.clone(), options.clone()).await;
                if fate == Some(Fault::Twice) {
                    done = self.inner.put_opts(path, payload, options).await;
                }
                self.answer(fate, done)
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let fate = self.call("start upload of", path.as_ref(), false).await?;
        self.answer(fate, self.inner.put_multipart_opts(path, options).await)
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let fate = self.call("get", path.as_ref(), false).await?;
        let mut found = self.inner.get_opts(path, options).await;
        if let (Some(Fault::AnswerLost), Ok(found)) = (fate, &mut found) {
            let pieces = [Ok(Bytes::from_static(b"{")), Err(failed("the connection was cut"))];
            found.payload = GetResultPayload::Stream(stream::iter(pieces).boxed());
        }
        match fate {
            Some(Fault::AnswerLost) => found,
            fate => self.answer(fate, found),
        }
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        paths
            .and_then(move |path| {
                let store = store.clone();
                async move { store.delete(&path).await.map(|()| path) }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(prefix, self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(prefix, self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let fate = self.call("list", prefix.map_or("", Path::as_ref), false).await?;
        self.answer(fate, self.inner.list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let fate = self.call("copy", to.as_ref(), false).await?;
        self.answer(fate, self.inner.copy_opts(from, to, options).await)
    }
}

impl Faulty {
    /// A listing whose answer is lost ends in the middle.
    fn listing(
        &self,
        prefix: Option<&Path>,
        entries: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.map_or_else(String::new, ToString::to_string));
        let started = async move {
            let fate = store.call("list", &prefix, false).await?;
            let end = store.answer(fate, Ok(())).err();
            let some = if end.is_some() { 1 } else { usize::MAX };
            Ok::<_, ObjectStoreError>(entries.take(some).chain(stream::iter(end.map(Err))))
        };
        stream::once(started).try_flatten().boxed()
    }
}
