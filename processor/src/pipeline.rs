//! The path of a batch: read, claim, parse, write, prepare, commit.
//!
//! [`Processor::open`] takes up interrupted batches first; [`Processor::take_in`] carries one batch
//! of candidates through. After an error the next call begins with [`Processor::recover`]: nothing
//! that a failed batch left in memory is relied on.

mod lock;
mod parse;
mod summary;
#[cfg(test)]
mod tests;
mod thread;

pub use summary::Summary;

use crate::claims::{Attempt, Claim, ClaimError, ClaimedObject, Claims, News};
use crate::clock::Clock;
use crate::config::Config;
use crate::formats::Seen;
use crate::integrity::arriving;
use crate::integrity::keys::{KeysError, PublicKeys};
use crate::lake::read::{ReadError, data_files, read_columns};
use crate::lake::store::store_file;
use crate::lake::table::{LakeTable, TableError};
use crate::lake::write::{DataFile, WriteError, batch_of};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::prepared::{self, Prepared, PreparedError};
use crate::storage::{Candidate, Inputs, Lake, Place, StorageError};
use crate::stored::{Room, Stored};
use arrow::array::{Array, AsArray};
use chrono::{Days, NaiveDate};
use deltalake::kernel::Add;
use deltalake::{DeltaTableError, ObjectStoreError, Path};
use futures::StreamExt;
use logq_schemas::{Table, tables};
use object_store::ObjectStoreExt;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use thiserror::Error;

/// Files stored at the same time.
const WRITES: usize = 8;

/// Tables written by a batch, in commit order: `ingest` last, because it says the batch is done.
const COMMIT_ORDER: [&Table; 6] = [
    &tables::cloudtrail::TABLE,
    &tables::vpc_flow::TABLE,
    &tables::app_log::TABLE,
    &tables::rejected::TABLE,
    &tables::cloudtrail_digest::TABLE,
    &tables::ingest::TABLE,
];

/// Why a batch stopped. The batch's claim stays; it is done again on the next start.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The lake's store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A claim failed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// What a batch commits cannot be written down.
    #[error(transparent)]
    Prepared(#[from] PreparedError),
    /// A table failed.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A table cannot be read back.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Rows cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The log of a table cannot be read.
    #[error("cannot read the log of table `{table}`")]
    Log {
        /// The table.
        table: &'static str,
        /// The table format's answer.
        source: Box<DeltaTableError>,
    },
    /// Another process holds the shard.
    #[error(
        "shard `{shard}` of {lake} is in use by another process: stop it, or give this one a name of its own with --shard"
    )]
    ShardInUse {
        /// The shard.
        shard: String,
        /// The lake.
        lake: String,
    },
    /// The lock file of the shard cannot be made.
    #[error("cannot lock shard `{shard}`")]
    Lock {
        /// The shard.
        shard: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The configured public keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The parser thread died: a fault of this program.
    #[error("the parser stopped unexpectedly")]
    Parser,
    /// The parser thread cannot be started.
    #[error("the system gives no thread for the parser")]
    Thread(#[source] std::io::Error),
}

/// An input object that could not be read.
#[derive(Debug)]
pub struct Unreadable {
    /// The object.
    pub place: Place,
    /// Why.
    pub error: StorageError,
}

/// What became of a batch of candidates.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was done.
    pub summary: Summary,
    /// What could not be read; everything else is in the lake.
    pub unreadable: Vec<Unreadable>,
}

/// A processor of one lake under one shard name.
#[derive(Debug)]
pub struct Processor {
    lake: Lake,
    config: Config,
    app_id: String,
    tables: BTreeMap<&'static str, LakeTable>,
    claims: Claims,
    /// This shard's committed claims that still lie in the lake, oldest first.
    committed: VecDeque<Claim>,
    ledger: Ledger,
    seen: Option<Seen>,
    /// Whether memory agrees with the lake: not after an error, until a recovery went through.
    settled: bool,
    inputs: Arc<Inputs>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// Public keys of CloudTrail; none where digests are not checked as they come in.
    keys: Option<PublicKeys>,
    parser: thread::ParserThread,
    _lock: Option<std::fs::File>,
}

/// An input object in memory. `None` when an interrupted batch's object is gone.
type Loaded = (ClaimedObject, Option<Stored>);

impl Processor {
    /// Opens the lake, takes the shard, and finishes the shard's interrupted batches.
    ///
    /// # Errors
    /// When the lake cannot be used, the shard is taken, or an interrupted batch cannot be finished.
    pub async fn open(lake: Lake, config: Config, metrics: Arc<Metrics>) -> Result<Processor, PipelineError> {
        Processor::open_with(lake, config, metrics, Inputs::default(), Clock::system()).await
    }

    /// As [`Processor::open`], with a reader of input objects and a clock that the caller brings.
    ///
    /// # Errors
    /// As [`Processor::open`].
    pub async fn open_with(
        lake: Lake,
        config: Config,
        metrics: Arc<Metrics>,
        inputs: Inputs,
        clock: Clock,
    ) -> Result<Processor, PipelineError> {
        let lock = lock::shard(&lake, &config.shard)?;
        let keys = config.cloudtrail_public_keys.as_deref().map(PublicKeys::load).transpose()?;
        let mut processor = Processor {
            app_id: format!("logq-processor/{}", config.shard),
            claims: Claims::unread(&lake, &config.shard),
            lake,
            config,
            tables: BTreeMap::new(),
            committed: VecDeque::new(),
            ledger: Ledger::default(),
            seen: None,
            settled: false,
            inputs: Arc::new(inputs),
            clock,
            metrics,
            keys,
            parser: thread::ParserThread::start().map_err(PipelineError::Thread)?,
            _lock: lock,
        };
        processor.recover().await?;
        Ok(processor)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether an object with this content is in the lake.
    pub fn knows(&self, object_id: &str) -> bool {
        self.ledger.knows_content(object_id)
    }

    /// Reader of input objects.
    pub fn inputs(&self) -> &Arc<Inputs> {
        &self.inputs
    }

    /// What is in the lake already.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn table(&self, table: &'static Table) -> &LakeTable {
        self.tables.get(table.name).expect("`recover` opens all tables")
    }

    /// The tables this processor writes, in commit order.
    fn commit_order(&self) -> impl Iterator<Item = &'static Table> + use<> {
        let verifies = self.keys.is_some();
        COMMIT_ORDER
            .into_iter()
            .filter(move |table| verifies || table.name != tables::cloudtrail_digest::TABLE.name)
    }

    async fn applied(&mut self, table: &'static Table) -> Result<i64, PipelineError> {
        let open = self.tables.get_mut(table.name).expect("`recover` opens all tables");
        let applied = open.applied_now(&self.app_id).await;
        let failed = |source| PipelineError::Log { table: table.name, source: Box::new(source) };
        Ok(applied.map_err(failed)?.unwrap_or(-1))
    }

    /// The first day of which the ledger remembers the objects.
    fn ledger_since(&self) -> Option<NaiveDate> {
        let today = chrono::DateTime::from_timestamp_micros(self.clock.micros())?.date_naive();
        self.config.ledger_days.map(|days| today.checked_sub_days(Days::new(days.into())).unwrap_or_default())
    }

    /// Brings memory in line with the lake and finishes interrupted batches of this shard. What this
    /// returns counts only what recovery itself did.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn recover(&mut self) -> Result<Summary, PipelineError> {
        self.settled = false;
        self.metrics.abandon();
        // Claims before `ingest`: a claim that is removed in between was committed before it was, so
        // that `ingest` holds its objects.
        let (claims, found) = Claims::open(&self.lake, &self.config.shard).await?;
        self.claims = claims;
        for table in self.commit_order() {
            let open = LakeTable::open(&self.lake, table).await?;
            self.tables.insert(table.name, open);
        }
        let since = self.ledger_since();
        self.ledger = Ledger::load(self.table(&tables::ingest::TABLE), since).await?;
        let done = self.applied(&tables::ingest::TABLE).await?;
        let (open, closed): (Vec<Claim>, Vec<Claim>) =
            found.into_iter().partition(|claim| claim.shard == self.config.shard && claim.sequence > done);
        self.note_claims(&closed);
        self.committed = closed.into_iter().filter(|claim| claim.shard == self.config.shard).collect();
        self.remove_old_claims().await;
        self.seen = None;
        let mut summary = Summary::default();
        for claim in open {
            summary.add(&self.take_up(&claim).await?);
        }
        if self.seen.is_none() {
            self.seen = Some(self.recent_records(i64::MAX).await?);
        }
        self.settled = true;
        Ok(summary)
    }

    /// Finishes a claim that was interrupted: from what was prepared, or else from its objects.
    async fn take_up(&mut self, claim: &Claim) -> Result<Summary, PipelineError> {
        tracing::info!(
            sequence = claim.sequence,
            objects = claim.objects.len(),
            "taking up an interrupted batch"
        );
        let mut done = HashSet::new();
        for table in self.commit_order() {
            if self.applied(table).await? >= claim.sequence {
                done.insert(table.name);
            }
        }
        let prepared = match prepared::read(&self.lake, claim.sequence).await? {
            Some(prepared) if self.all_stored(&prepared, &done).await? => {
                self.metrics.add_parsed(prepared.summary.records);
                prepared
            }
            found => {
                if found.is_some() {
                    tracing::warn!(
                        sequence = claim.sequence,
                        "files of a prepared batch are gone, parsing again"
                    );
                    prepared::discard(&self.lake, claim.sequence).await?;
                }
                if self.seen.is_none() {
                    self.seen = Some(self.recent_records(claim.sequence).await?);
                }
                let objects = self.load_claimed(claim).await?;
                self.prepare(claim, objects, &done).await?
            }
        };
        self.commit(claim, &prepared).await
    }

    /// Whether the files that are still to be committed are there: a batch that waited longer than the
    /// retention of unreferenced files may have lost them.
    async fn all_stored(
        &self,
        prepared: &Prepared,
        done: &HashSet<&'static str>,
    ) -> Result<bool, PipelineError> {
        for (table, files) in &prepared.files {
            if done.contains(table.as_str()) {
                continue;
            }
            for file in files {
                let path = Path::from(format!("{table}/{}", file.path));
                match self.lake.store().head(&path).await {
                    Ok(_) => {}
                    Err(ObjectStoreError::NotFound { .. }) => return Ok(false),
                    Err(source) => {
                        let location = format!("{}{path}", self.lake.url());
                        return Err(StorageError::Request { location, source }.into());
                    }
                }
            }
        }
        Ok(true)
    }

    /// Removes committed claims that no processor can need any more, so that a start reads few of them.
    /// One that cannot be removed now is removed later: that is no reason to fail a batch.
    async fn remove_old_claims(&mut self) {
        let now = self.clock.micros();
        while let Some(oldest) = self.committed.front() {
            match self.claims.remove_if_old(oldest, now).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(sequence = oldest.sequence, %error, "cannot remove an old claim, trying later");
                    break;
                }
            }
            self.committed.pop_front();
        }
    }

    fn note_claims(&mut self, claims: &[Claim]) {
        for object in claims.iter().flat_map(|claim| &claim.objects) {
            self.ledger.insert(object);
        }
    }

    /// The identities of the newest records in the lake, so that a record delivered twice is noticed
    /// across restarts. Files of this shard's batches from `first_open` on are left out: their
    /// records are about to be read again.
    async fn recent_records(&self, first_open: i64) -> Result<Seen, PipelineError> {
        let mut seen = Seen::default();
        for table in [&tables::cloudtrail::TABLE, &tables::app_log::TABLE] {
            let table = self.table(table);
            let mut room = seen.capacity() / 2;
            for file in data_files(table)? {
                let batch = batch_of(file.path.as_ref());
                if batch.is_some_and(|(shard, sequence)| shard == self.config.shard && sequence >= first_open)
                {
                    continue;
                }
                for rows in read_columns(table, &file, &["event_uid"]).await? {
                    let Some(uids) = rows.column_by_name("event_uid") else { continue };
                    uids.as_string::<i32>().iter().flatten().for_each(|uid| seen.note_stored(uid));
                    room = room.saturating_sub(uids.len());
                }
                if room == 0 {
                    break;
                }
            }
        }
        Ok(seen)
    }

    /// Reads the candidates and carries what is new through to the tables.
    ///
    /// # Errors
    /// When the lake fails. The candidates may be in the lake, in a claim or untouched; the next call
    /// recovers first, and giving them again adds nothing twice.
    pub async fn take_in(&mut self, candidates: Vec<Candidate>) -> Result<Outcome, PipelineError> {
        if !self.settled {
            self.recover().await?;
        }
        self.settled = false;
        let outcome = self.take_in_settled(candidates).await?;
        self.settled = true;
        Ok(outcome)
    }

    async fn take_in_settled(&mut self, candidates: Vec<Candidate>) -> Result<Outcome, PipelineError> {
        let mut outcome = Outcome::default();
        let given = candidates.len() as u64;
        let unknown: Vec<Candidate> =
            candidates.into_iter().filter(|candidate| !self.ledger.knows(candidate)).collect();
        let mut objects = self.load(unknown, &mut outcome.unreadable).await;
        let claim = loop {
            let mut here = HashSet::new();
            objects.retain(|(object, _)| {
                !self.ledger.knows_content(&object.object_id) && here.insert(object.object_id.clone())
            });
            outcome.summary.objects_known = given - (objects.len() + outcome.unreadable.len()) as u64;
            if objects.is_empty() {
                self.count_idle(&outcome);
                return Ok(outcome);
            }
            let claimed: Vec<ClaimedObject> = objects.iter().map(|(object, _)| object.clone()).collect();
            let floor = self.applied(&tables::ingest::TABLE).await?;
            match self.claims.claim(&claimed, floor, self.clock.micros()).await? {
                Attempt::Claimed(claim) => break claim,
                Attempt::Behind(news) => outcome.summary.add(&self.catch_up(news).await?),
            }
        };
        let started = tokio::time::Instant::now();
        let prepared = self.prepare(&claim, objects, &HashSet::new()).await?;
        let summary = self.commit(&claim, &prepared).await?;
        self.metrics.observe_batch(started.elapsed());
        outcome.summary.add(&summary);
        self.count_idle(&outcome);
        Ok(outcome)
    }

    /// Notes what other claims took in. A claim of this very shard comes as news when its put was
    /// answered with an error and landed after all: it has to be finished before the next number.
    async fn catch_up(&mut self, news: News) -> Result<Summary, PipelineError> {
        if news.gap {
            let since = self.ledger_since();
            let ingest = self.tables.get_mut(tables::ingest::TABLE.name).expect("`recover` opens all tables");
            let failed =
                |source| PipelineError::Log { table: tables::ingest::TABLE.name, source: Box::new(source) };
            ingest.refresh().await.map_err(failed)?;
            self.ledger.add(ingest, since).await?;
        }
        self.note_claims(&news.claims);
        let mut summary = Summary::default();
        for claim in news.claims {
            if claim.shard == self.config.shard {
                summary.add(&self.take_up(&claim).await?);
            }
        }
        Ok(summary)
    }

    fn count_idle(&self, outcome: &Outcome) {
        self.metrics.add_known(outcome.summary.objects_known);
        self.metrics.add_unreadable(outcome.unreadable.len() as u64);
    }

    async fn load(&self, candidates: Vec<Candidate>, unreadable: &mut Vec<Unreadable>) -> Vec<Loaded> {
        let room = self.room();
        let mut reads = futures::stream::iter(candidates)
            .map(|candidate| {
                let room = &room;
                async move {
                    let read = self.inputs.identify(&candidate.place, room).await;
                    (candidate, read)
                }
            })
            .buffered(self.config.reads_max);
        let mut loaded = Vec::new();
        while let Some((candidate, read)) = reads.next().await {
            match read {
                Ok((stored, object_id)) => {
                    let object = ClaimedObject {
                        location: candidate.place.location(),
                        object_id,
                        stored_bytes: stored.len(),
                        last_modified: candidate.last_modified,
                        etag: candidate.etag,
                    };
                    loaded.push((object, Some(stored)));
                }
                Err(error) => unreadable.push(Unreadable { place: candidate.place, error }),
            }
        }
        loaded
    }

    /// What the objects of a batch may hold in memory. Sizes that a notification did not say may add up
    /// to more than a batch; the surplus goes to files.
    fn room(&self) -> Room {
        Room::new(self.config.batch_stored_bytes_max)
    }

    /// Reads the objects of an interrupted batch again. One that is gone or has other content now is
    /// carried on without bytes; one that is only out of reach stops the recovery.
    async fn load_claimed(&self, claim: &Claim) -> Result<Vec<Loaded>, PipelineError> {
        let mut loaded = Vec::with_capacity(claim.objects.len());
        let room = self.room();
        for object in &claim.objects {
            let bytes = match self.inputs.identify(&Place::from_location(&object.location), &room).await {
                Ok((stored, object_id)) if object_id == object.object_id => Some(stored),
                Ok(_) => None,
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error.into()),
            };
            if bytes.is_none() {
                tracing::error!(
                    path = object.location,
                    "object of an interrupted batch is gone or has changed"
                );
            }
            loaded.push((object.clone(), bytes));
        }
        Ok(loaded)
    }

    /// Parses a claimed batch, stores its files and settles what it commits.
    async fn prepare(
        &mut self,
        claim: &Claim,
        objects: Vec<Loaded>,
        done: &HashSet<&'static str>,
    ) -> Result<Prepared, PipelineError> {
        let (files_in, files_out) = tokio::sync::mpsc::channel(WRITES);
        let verdicts = match &self.keys {
            Some(keys) => {
                let present = objects.iter().filter(|(_, bytes)| bytes.is_some()).map(|(object, _)| object);
                arriving::check(&self.inputs, keys, present).await
            }
            None => Vec::new(),
        };
        let job = parse::Job {
            claim: claim.clone(),
            objects,
            verdicts,
            seen: self.seen.take().unwrap_or_default(),
            limits: self.config.limits,
            flow_formats: self.config.flow_formats.clone(),
            memory_bytes_max: self.config.file_memory_bytes_max,
        };
        let parser = self.parser.run(move || job.run(&files_in));
        let stored = self.store_files(files_out, done).await;
        let parsed = parser.await.map_err(|_| PipelineError::Parser)?;
        // In this order: the parser stops when storing fails, and the reason is the store's.
        let files = stored?;
        let (mut summary, seen) = parsed?;
        self.metrics.add_parsed(summary.records);
        self.seen = Some(seen);
        summary.lake_bytes = files.values().flatten().map(|file| file.size.unsigned_abs()).sum();
        let prepared = Prepared { sequence: claim.sequence, files, summary };
        Ok(prepared::settle(&self.lake, prepared).await?)
    }

    /// Commits a prepared batch to the tables that do not hold it yet.
    async fn commit(&mut self, claim: &Claim, prepared: &Prepared) -> Result<Summary, PipelineError> {
        for table in self.commit_order() {
            let Some(files) = prepared.files.get(table.name) else { continue };
            let target = self.tables.get_mut(table.name).expect("`recover` opens all tables");
            target.append(files, &self.app_id, claim.sequence).await?;
        }
        self.note_claims(std::slice::from_ref(claim));
        // The objects of the claim are not needed to remove it.
        self.committed.push_back(Claim { objects: Vec::new(), ..claim.clone() });
        self.remove_old_claims().await;
        let summary = prepared.summary.clone();
        self.metrics.add_batch(&summary, self.clock.micros() / 1_000_000);
        tracing::info!(
            sequence = claim.sequence,
            objects = summary.objects,
            records = summary.records,
            bytes = summary.stored_bytes,
            "batch committed"
        );
        Ok(summary)
    }

    /// Stores files as the parser makes them; files of tables in `done` are dropped, because those
    /// tables hold the batch already.
    async fn store_files(
        &self,
        files: tokio::sync::mpsc::Receiver<DataFile>,
        done: &HashSet<&'static str>,
    ) -> Result<BTreeMap<String, Vec<Add>>, PipelineError> {
        let attempt = prepared::attempt();
        let arrivals = futures::stream::unfold(files, |mut files| async move {
            let file = files.recv().await?;
            Some((file, files))
        });
        let stored = arrivals
            .filter(|file| futures::future::ready(!done.contains(file.table.name)))
            .map(|file| self.store_file(file, &attempt))
            .buffered(WRITES);
        let mut stored = std::pin::pin!(stored);
        let mut adds: BTreeMap<String, Vec<Add>> = BTreeMap::new();
        while let Some(result) = stored.next().await {
            let (table, add) = result?;
            adds.entry(table.to_owned()).or_default().push(add);
        }
        Ok(adds)
    }

    async fn store_file(&self, file: DataFile, attempt: &str) -> Result<(&'static str, Add), StorageError> {
        let table = file.table;
        let path = format!("{}.{attempt}.parquet", file.path.trim_end_matches(".parquet"));
        let file = DataFile { path, ..file };
        Ok((table.name, store_file(&self.lake, self.table(table), file, self.clock.micros()).await?))
    }
}
