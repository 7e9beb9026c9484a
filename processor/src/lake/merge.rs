//! Merges the sorted files of a day into one sorted stream, in memory that does not depend on the day.
//!
//! A file is opened when the merge reaches its first row, so files that follow one another in time are
//! open one after the other. When more would be open at once than memory is allowed, groups of them
//! are merged into temporary files first. Files of other writers, whose order is unknown, are sorted
//! in pieces the same way.
//!
//! With [`Rows::Unique`], of rows with the same place in the order, the same identity and the same
//! content only the one taken in first comes out. Rows that share an identity and say something
//! different all come out and are counted. Rows of *reference* files count as taken in before.

mod run;
mod shape;

use super::days::DayFile;
use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{
    SortColumn, concat_batches, interleave_record_batch, lexsort_to_indices, take_record_batch,
};
use arrow::error::ArrowError;
use deltalake::ObjectStore;
use futures::StreamExt;
use logq_schemas::Table;
use parquet::errors::ParquetError;
use run::{Run, Spill, Waiting, open_stored};
use shape::{Identities, Shape};
use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use thiserror::Error;
use twox_hash::XxHash3_128;

/// Most rows handed out at a time.
const OUTPUT_ROWS: usize = 8_192;

/// Most bytes of decoded rows that are held for the next output. Far under the 2 GiB that one column
/// of text may have.
const HELD_BYTES: usize = 128 << 20;

/// Why files cannot be merged.
#[derive(Debug, Error)]
pub enum MergeError {
    /// A file cannot be read.
    #[error("cannot read {path} of table `{table}`: the file is in the table's log but missing or damaged")]
    Read {
        /// The table.
        table: &'static str,
        /// Path below its root.
        path: String,
        /// Parquet's answer.
        source: ParquetError,
    },
    /// A file of ours is not in order.
    #[error(
        "{path} of table `{table}` has the name of a sorted file and is not sorted: rewrite it under another name"
    )]
    Unsorted {
        /// The table.
        table: &'static str,
        /// Path below its root.
        path: String,
    },
    /// A file has a column that would be lost.
    #[error(
        "{path} of table `{table}` has the column `{column}`, which this version does not know: use the version that added it"
    )]
    Column {
        /// The table.
        table: &'static str,
        /// Path below its root.
        path: String,
        /// The column.
        column: String,
    },
    /// Rows cannot be compared or moved: a fault of this program, or types that do not fit.
    #[error("cannot merge rows of table `{table}`")]
    Rows {
        /// The table.
        table: &'static str,
        /// Arrow's answer.
        source: ArrowError,
    },
    /// No temporary file can be made.
    #[error("cannot make a temporary file: free some space, or set TMPDIR to a place that has it")]
    Temporary(#[source] std::io::Error),
    /// A temporary file cannot be written or read.
    #[error("cannot use a temporary file: free some space, or set TMPDIR to a place that has it")]
    Spill(#[source] Box<ParquetError>),
}

/// Which rows come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// All.
    All,
    /// One of each.
    Unique,
}

/// A file to merge.
#[derive(Debug, Clone)]
pub struct Input {
    /// Where it lies.
    pub store: Arc<dyn ObjectStore>,
    /// The file.
    pub file: DayFile,
    /// Its rows are only compared with.
    pub reference: bool,
}

/// What a merge did with the rows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Rows read, those of reference files apart.
    pub rows: u64,
    /// Rows left out because the same row was there before.
    pub duplicates: u64,
    /// Rows kept although their identity was there before, with other content.
    pub conflicts: u64,
    /// Distinct input objects the rows came from.
    pub objects: u64,
}

/// Place in the order, then references, then age; and the run.
type Head = Reverse<(Vec<u8>, usize)>;

/// Rows with the same place in the order, to tell repeats.
#[derive(Debug, Default)]
struct Group {
    place: Vec<u8>,
    first: HashMap<u128, (i32, u64)>,
    further: HashSet<(u128, u64)>,
}

/// A running merge.
pub struct Merge {
    shape: Shape,
    unique: bool,
    /// Not yet open, the first last.
    waiting: Vec<(Vec<u8>, Waiting)>,
    runs: Vec<Option<Run>>,
    heads: BinaryHeap<Head>,
    held: Vec<RecordBatch>,
    identities: HashMap<usize, Identities>,
    held_bytes: usize,
    picks: Vec<(usize, usize)>,
    group: Group,
    counts: Counts,
    objects: HashSet<u128>,
}

impl Merge {
    /// Merges `inputs` of `table`. Takes about `memory_bytes` beside what it hands out.
    ///
    /// # Errors
    /// When a file cannot be read or a temporary file cannot be written.
    pub async fn open(
        table: &'static Table,
        inputs: Vec<Input>,
        rows: Rows,
        memory_bytes: u64,
    ) -> Result<Merge, MergeError> {
        let shape = Shape::new(table)?;
        let mut runs = Vec::new();
        for Input { store, file, reference } in inputs {
            match file.sorted {
                true => runs.push(Waiting::stored(store, file, reference)),
                false => runs.extend(presort(&store, &file, reference, &shape, memory_bytes).await?),
            }
        }
        while let Some(few) = fewer(&mut runs, table, memory_bytes).await? {
            runs.push(few);
        }
        Merge::over(shape, runs, rows)
    }

    fn over(shape: Shape, runs: Vec<Waiting>, rows: Rows) -> Result<Merge, MergeError> {
        let mut waiting = Vec::with_capacity(runs.len());
        for run in runs {
            let lowest = match run.times {
                Some((first, _)) => shape.lowest(first)?.as_ref().to_vec(),
                None => Vec::new(),
            };
            waiting.push((lowest, run));
        }
        waiting.sort_by(|(one, _), (other, _)| other.cmp(one));
        Ok(Merge {
            shape,
            unique: rows == Rows::Unique,
            waiting,
            runs: Vec::new(),
            heads: BinaryHeap::new(),
            held: Vec::new(),
            identities: HashMap::new(),
            held_bytes: 0,
            picks: Vec::new(),
            group: Group::default(),
            counts: Counts::default(),
            objects: HashSet::new(),
        })
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        Counts { objects: self.objects.len() as u64, ..self.counts }
    }

    /// The next sorted rows, in the table's stored schema; `None` at the end.
    ///
    /// # Errors
    /// When a file cannot be read or is not in order.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, MergeError> {
        loop {
            self.open_due().await?;
            let Some(head) = self.heads.peek() else { break };
            let number = head.0.1;
            let emit = self.visit(number);
            let run = self.runs.get_mut(number).and_then(Option::as_mut).expect("heads name open runs");
            if emit {
                self.picks.push((run.slot, run.row));
            }
            run.row += 1;
            if run.row < run.batch.num_rows() {
                let mut top = self.heads.peek_mut().expect("it was looked at");
                key_into(&mut top.0.0, run, &self.shape);
            } else {
                PeekMut::pop(self.heads.peek_mut().expect("it was looked at"));
                self.advance(number).await?;
            }
            if self.picks.len() >= OUTPUT_ROWS || self.held_bytes >= HELD_BYTES {
                let rows = self.flush()?;
                if rows.num_rows() > 0 {
                    return Ok(Some(rows));
                }
            }
        }
        let rows = self.flush()?;
        Ok((rows.num_rows() > 0).then_some(rows))
    }

    /// Opens the runs whose first row may come before the head.
    async fn open_due(&mut self) -> Result<(), MergeError> {
        while let Some((lowest, _)) = self.waiting.last() {
            if self.heads.peek().is_some_and(|head| head.0.0.as_slice() < lowest.as_slice()) {
                return Ok(());
            }
            let Some((_, waiting)) = self.waiting.pop() else { return Ok(()) };
            if let Some(run) = Run::open(waiting, &self.shape).await? {
                self.runs.push(Some(run));
                self.hold(self.runs.len() - 1)?;
            }
        }
        Ok(())
    }

    async fn advance(&mut self, number: usize) -> Result<(), MergeError> {
        let run = self.runs.get_mut(number).and_then(Option::as_mut).expect("heads name open runs");
        match run.load(&self.shape).await? {
            true => self.hold(number),
            false => {
                if let Some(run) = self.runs.get_mut(number) {
                    *run = None;
                }
                Ok(())
            }
        }
    }

    /// Holds a run's new batch until its rows are handed out, and puts its first row in line.
    fn hold(&mut self, number: usize) -> Result<(), MergeError> {
        let run = self.runs.get_mut(number).and_then(Option::as_mut).expect("the caller has it");
        run.slot = self.held.len();
        self.held.push(run.batch.clone());
        self.held_bytes += run.batch.get_array_memory_size();
        if !run.reference
            && let Some(objects) = run.batch.column_by_name("object_id")
        {
            let objects = objects.as_string::<i32>();
            let mut before = "";
            for object in objects.iter().flatten() {
                if object != before {
                    self.objects.insert(XxHash3_128::oneshot(object.as_bytes()));
                    before = object;
                }
            }
        }
        if self.unique {
            self.identities.insert(number, self.shape.identities(&run.batch)?);
        }
        let mut key = Vec::new();
        key_into(&mut key, run, &self.shape);
        self.heads.push(Reverse((key, number)));
        Ok(())
    }

    /// Whether the run's row comes out.
    fn visit(&mut self, number: usize) -> bool {
        let run = self.runs.get(number).and_then(Option::as_ref).expect("heads name open runs");
        let reference = run.reference;
        self.counts.rows += u64::from(!reference);
        let Some(known) = self.identities.get(&number).filter(|known| !known.uids.is_empty()) else {
            return !reference;
        };
        let place = run.keys.row(run.row);
        if self.group.place != place.as_ref() {
            self.group.place.clear();
            self.group.place.extend_from_slice(place.as_ref());
            self.group.first.clear();
            self.group.further.clear();
        }
        let (uid, content) = (known.uids[run.row], known.contents[run.row]);
        let version = known.versions.get(run.row).copied().unwrap_or(0);
        let repeat = match self.group.first.get(&uid) {
            None => {
                self.group.first.insert(uid, (version, content));
                return !reference;
            }
            // Another parser may say the same differently.
            Some((first_version, first)) => {
                *first_version != version || *first == content || self.group.further.contains(&(uid, content))
            }
        };
        if repeat {
            self.counts.duplicates += u64::from(!reference);
            return false;
        }
        self.group.further.insert((uid, content));
        self.counts.conflicts += u64::from(!reference);
        !reference
    }

    fn flush(&mut self) -> Result<RecordBatch, MergeError> {
        let batches: Vec<&RecordBatch> = self.held.iter().collect();
        let rows = match self.picks.is_empty() {
            true => RecordBatch::new_empty(self.shape.schema.clone()),
            false => {
                interleave_record_batch(&batches, &self.picks).map_err(|source| self.shape.failed(source))?
            }
        };
        self.picks.clear();
        self.held.clear();
        self.held_bytes = 0;
        for run in self.runs.iter_mut().flatten() {
            run.slot = self.held.len();
            self.held.push(run.batch.clone());
        }
        Ok(rows)
    }
}

/// The place of a run's row: order, then rows of references, then when it was taken in.
fn key_into(key: &mut Vec<u8>, run: &Run, shape: &Shape) {
    key.clear();
    key.extend_from_slice(run.keys.row(run.row).as_ref());
    key.push(u8::from(!run.reference));
    let taken_in = shape.ingest_times(&run.batch).and_then(|times| times.get(run.row).copied()).unwrap_or(0);
    // Signed numbers in the order of their bytes.
    key.extend_from_slice(&(taken_in ^ i64::MIN).to_be_bytes());
}

/// The most memory that runs take at once: those whose times overlap are open together.
fn peak(runs: &[Waiting]) -> u64 {
    let mut steps: Vec<(i64, bool, u64)> = Vec::with_capacity(2 * runs.len());
    let mut always = 0;
    for run in runs {
        match run.times {
            // Beginnings before ends of the same moment.
            Some((first, last)) => {
                steps.extend([(first, false, run.cost), (last.max(first), true, run.cost)])
            }
            None => always += run.cost,
        }
    }
    steps.sort_unstable();
    let (mut now, mut most) = (0_u64, 0_u64);
    for (_, ends, cost) in steps {
        now = if ends { now.saturating_sub(cost) } else { now + cost };
        most = most.max(now);
    }
    always + most
}

/// Merges some runs into one when all of them together might take more than `memory_bytes`.
async fn fewer(
    runs: &mut Vec<Waiting>,
    table: &'static Table,
    memory_bytes: u64,
) -> Result<Option<Waiting>, MergeError> {
    if peak(runs) <= memory_bytes {
        return Ok(None);
    }
    let total = |reference: bool| -> u64 {
        runs.iter().filter(|run| run.reference == reference).map(|run| run.cost).sum()
    };
    let several = |reference: bool| runs.iter().filter(|run| run.reference == reference).count() >= 2;
    let reference = match (several(false), several(true)) {
        (false, false) => return Ok(None),
        (true, true) => total(true) > total(false),
        (_, references) => references,
    };
    let (mut few, rest): (Vec<_>, Vec<_>) = runs.drain(..).partition(|run| run.reference == reference);
    *runs = rest;
    // Neighbours in time.
    few.sort_by_key(|run| Reverse(run.times));
    let (mut group, mut cost): (Vec<Waiting>, u64) = (Vec::new(), 0);
    while let Some(run) = few.pop() {
        if group.len() >= 2 && cost + run.cost > memory_bytes {
            few.push(run);
            break;
        }
        cost += run.cost;
        group.push(Waiting { reference: false, ..run });
    }
    runs.extend(few);
    let known: Option<Vec<(i64, i64)>> = group.iter().map(|run| run.times).collect();
    let times = known.and_then(|times| {
        Some((times.iter().map(|times| times.0).min()?, times.iter().map(|times| times.1).max()?))
    });
    let mut spill = Spill::new(&Shape::new(table)?)?;
    let mut merge = Merge::over(Shape::new(table)?, group, Rows::All)?;
    while let Some(rows) = merge.next().await? {
        spill.write(&rows)?;
    }
    // Without a row nothing is left of the group; an empty piece in its place ends the caller's loop.
    Ok(Some(Waiting { times, ..spill.finish(reference)? }))
}

/// Sorts a file of unknown order in pieces.
async fn presort(
    store: &Arc<dyn ObjectStore>,
    file: &DayFile,
    reference: bool,
    shape: &Shape,
    memory_bytes: u64,
) -> Result<Vec<Waiting>, MergeError> {
    let mut rows = open_stored(store, file, shape).await?;
    let (mut pieces, mut gathered, mut bytes) = (Vec::new(), Vec::new(), 0_u64);
    let failed = |source| MergeError::Read { table: shape.table.name, path: file.path.clone(), source };
    while let Some(batch) = rows.next().await.transpose().map_err(failed)? {
        let batch = shape.adapt(&batch, &file.path)?;
        bytes += batch.get_array_memory_size() as u64;
        gathered.push(batch);
        // Sorting needs as much again.
        if bytes >= memory_bytes / 2 {
            pieces.extend(sorted_piece(&std::mem::take(&mut gathered), reference, shape)?);
            bytes = 0;
        }
    }
    pieces.extend(sorted_piece(&gathered, reference, shape)?);
    Ok(pieces)
}

fn sorted_piece(
    batches: &[RecordBatch],
    reference: bool,
    shape: &Shape,
) -> Result<Option<Waiting>, MergeError> {
    if batches.is_empty() {
        return Ok(None);
    }
    let failed = |source| shape.failed(source);
    let rows = concat_batches(&shape.schema, batches).map_err(failed)?;
    let columns = shape.table.sort_by.iter().copied().chain(["ingest_time"]);
    let keys: Vec<SortColumn> = columns
        .filter_map(|name| rows.column_by_name(name))
        .map(|values: &ArrayRef| SortColumn { values: values.clone(), options: None })
        .collect();
    let order: UInt32Array = lexsort_to_indices(&keys, None).map_err(failed)?;
    let sorted = take_record_batch(&rows, &order).map_err(failed)?;
    let mut spill = Spill::new(shape)?;
    for start in (0..sorted.num_rows()).step_by(OUTPUT_ROWS) {
        spill.write(&sorted.slice(start, OUTPUT_ROWS.min(sorted.num_rows() - start)))?;
    }
    spill.finish(reference).map(Some)
}
