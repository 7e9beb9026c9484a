//! A lake with an archive beside it, filled by the real processor.

use crate::config::Config;
use crate::discover::listing::list;
use crate::lake::archive::{Archive, Manifest, Storing};
use crate::lake::compact::Sizes;
use crate::lake::days::by_day;
use crate::lake::raw::PackSizes;
use crate::lake::read::{FileEntry, read_columns};
use crate::lake::table::LakeTable;
use crate::pipeline::Processor;
use crate::storage::{Inputs, Lake};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use deltalake::Path;
use logq_schemas::{Table, tables};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The day most tests work on; long over.
pub const DAY: &str = "2026-11-20";

/// The day after.
pub const NEXT: &str = "2026-11-21";

pub const CLOUDTRAIL: &Table = &tables::cloudtrail::TABLE;

/// Small enough that a day of a test has several files.
pub const SIZES: Sizes = Sizes { file_bytes: 1 << 20, memory_bytes: 64 << 20 };

pub const PACKS: PackSizes = PackSizes { pack_bytes: 1 << 20, member_bytes_max: 1 << 20 };

pub struct Bench {
    pub root: tempfile::TempDir,
    pub lake: Lake,
    pub archive: Archive,
}

/// One event. `second` is of the day.
pub fn event(id: &str, day: &str, second: u32) -> String {
    let time = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
    format!(
        r#"{{"eventVersion":"1.08","eventID":"{id}","eventTime":"{day}T{time}Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-west-1","recipientAccountId":"012345678901","sourceIPAddress":"198.51.100.7","userIdentity":{{"type":"Root"}}}}"#
    )
}

/// An object of events.
pub fn object(events: &[String]) -> String {
    format!(r#"{{"Records":[{}]}}"#, events.join(","))
}

impl Bench {
    pub async fn new() -> Bench {
        let root = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir_all(root.path().join("in")).expect("makes the directory");
        Bench::at(root).await
    }

    async fn at(root: tempfile::TempDir) -> Bench {
        let lake = Lake::open(root.path().join("lake").to_str().expect("UTF-8")).await.expect("opens");
        let archive = root.path().join("archive");
        let archive = Archive::open(&lake, archive.to_str(), Storing::default()).await.expect("opens");
        Bench { root, lake, archive }
    }

    /// A copy of lake and archive as they are now.
    pub async fn copy(&self) -> Bench {
        let root = tempfile::tempdir().expect("temporary directory");
        for entry in walkdir::WalkDir::new(self.root.path()).into_iter().map(|entry| entry.expect("readable"))
        {
            let to = root.path().join(entry.path().strip_prefix(self.root.path()).expect("is below"));
            match entry.file_type().is_dir() {
                true => std::fs::create_dir_all(to).expect("makes the directory"),
                false => drop(std::fs::copy(entry.path(), to).expect("copies")),
            }
        }
        Bench::at(root).await
    }

    /// Puts an object where the processor of `shard` finds it.
    pub fn put(&self, shard: &str, name: &str, events: &[String]) {
        let folder = self.root.path().join("in").join(shard);
        std::fs::create_dir_all(&folder).expect("makes the directory");
        std::fs::write(folder.join(name), object(events)).expect("writes");
    }

    /// A processor. One that is open does not see what another one took in since.
    pub async fn processor(&self, shard: &str) -> Processor {
        let config = Config { shard: shard.to_owned(), ..Config::default() };
        Processor::open(self.lake.clone(), config, Arc::default()).await.expect("opens")
    }

    /// Takes in what is new for the shard, as one batch.
    pub async fn take_in(&self, processor: &mut Processor) {
        let folder = self.root.path().join("in").join(&processor.config().shard);
        let found = list(processor.inputs(), folder.to_str().expect("UTF-8"), None).await;
        let outcome = processor.take_in(found.candidates).await.expect("takes in");
        assert!(outcome.unreadable.is_empty());
    }

    /// The table, once the processor has made it.
    pub async fn open(&self, schema: &'static Table) -> Option<LakeTable> {
        LakeTable::open_existing(&self.lake, schema).await.expect("opens")
    }

    pub async fn table(&self, schema: &'static Table) -> LakeTable {
        self.open(schema).await.expect("exists")
    }

    /// Identities in a table, sorted, as many times as they are there.
    pub async fn uids(&self, schema: &'static Table) -> Vec<String> {
        let table = self.table(schema).await;
        let mut uids = Vec::new();
        for file in by_day(&table).expect("lists").into_values().flatten() {
            uids.extend(uids_of(&table, &file.path, file.size).await);
        }
        uids.sort_unstable();
        uids
    }

    /// Rows that came into tables, by the ledger.
    pub async fn taken_in(&self) -> u64 {
        let table = self.table(&tables::ingest::TABLE).await;
        let mut sum = 0;
        for file in by_day(&table).expect("lists").into_values().flatten() {
            let entry = FileEntry { path: Path::from(file.path.as_str()), size: file.size };
            for batch in read_columns(&table, &entry, &["rows"]).await.expect("readable") {
                let rows = batch.column_by_name("rows").expect("has the column").as_primitive::<Int64Type>();
                sum += rows.values().iter().map(|rows| rows.unsigned_abs()).sum::<u64>();
            }
        }
        sum
    }

    /// Names of a day's files.
    pub async fn files(&self, schema: &'static Table, day: &str) -> Vec<String> {
        let mut days = by_day(&self.table(schema).await).expect("lists");
        days.remove(day).unwrap_or_default().iter().map(|file| file.name().to_owned()).collect()
    }

    pub async fn manifests(&self, table: &str, day: &str) -> Vec<Manifest> {
        let folder = format!("{table}/event_date={day}");
        let found: Vec<(u32, Manifest)> = self.archive.manifests(&folder).await.expect("reads");
        found.into_iter().map(|(_, manifest)| manifest).collect()
    }

    /// Identities in the archived files of a day, sorted.
    pub async fn archived(&self, table: &'static Table, day: &str) -> Vec<String> {
        let mut uids = Vec::new();
        for file in self.manifests(table.name, day).await.into_iter().flat_map(|manifest| manifest.files) {
            let path = self.root.path().join("archive").join(&file.key);
            uids.extend(uids_of_bytes(std::fs::read(path).expect("readable")));
        }
        uids.sort_unstable();
        uids
    }

    pub fn inputs(&self) -> Inputs {
        Inputs::default()
    }

    /// Everything that lies in the archive, with its bytes.
    pub fn archive_tree(&self) -> BTreeMap<String, Vec<u8>> {
        let root = self.root.path().join("archive");
        walkdir::WalkDir::new(&root)
            .into_iter()
            .map(|entry| entry.expect("readable"))
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| {
                let key = entry.path().strip_prefix(&root).expect("is below").display().to_string();
                (key, std::fs::read(entry.path()).expect("readable"))
            })
            .collect()
    }
}

async fn uids_of(table: &LakeTable, path: &str, size: u64) -> Vec<String> {
    let entry = FileEntry { path: Path::from(path), size };
    let batches = read_columns(table, &entry, &["event_uid"]).await.expect("readable");
    batches.iter().flat_map(|rows| texts(rows, "event_uid")).collect()
}

fn uids_of_bytes(bytes: Vec<u8>) -> Vec<String> {
    let builder =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
    let reader = builder.expect("Parquet").build().expect("reads");
    reader.flat_map(|rows| texts(&rows.expect("rows"), "event_uid")).collect()
}

pub fn texts(rows: &arrow::array::RecordBatch, column: &str) -> Vec<String> {
    let column = rows.column_by_name(column).expect("has the column").as_string::<i32>();
    column.iter().flatten().map(str::to_owned).collect()
}

/// The same, each once.
pub fn distinct(uids: &[String]) -> Vec<String> {
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    uids
}
