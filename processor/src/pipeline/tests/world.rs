//! The world of a processor in memory: input objects, an empty lake, and the account of what has to
//! be in it in the end.

use super::faulty::{Faulty, Life, Random, Weather};
use crate::claims::Claims;
use crate::clock::Clock;
use crate::config::Config;
use crate::formats::{self, Context, Counts, Limits, Object, Output, Rejected, Seen};
use crate::lake::read::{data_files, read_columns};
use crate::lake::table::LakeTable;
use crate::pipeline::{PipelineError, Processor};
use crate::storage::{Candidate, Inputs, Lake, Place};
use crate::stored::object_id;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use deltalake::Path;
use logq_schemas::{Table, tables};
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt, PutPayload};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::sync::Arc;
use tokio::sync::OnceCell;
use url::Url;

const BUCKET: &str = "in";

/// The tables that hold records.
const SOURCES: [&Table; 3] = [&tables::cloudtrail::TABLE, &tables::vpc_flow::TABLE, &tables::app_log::TABLE];

/// 2026-11-24T10:00:00Z.
const NOW: i64 = 1_795_514_400_000_000;

/// One input object.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub key: String,
    pub bytes: Vec<u8>,
}

fn gzip(text: &str) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(text.as_bytes()).expect("in memory");
    writer.finish().expect("in memory")
}

fn cloudtrail(ids: impl Iterator<Item = u64>) -> String {
    let records: Vec<String> = ids
        .map(|id| {
            format!(
                r#"{{"eventVersion":"1.08","eventID":"id-{id}","eventTime":"2026-11-2{}T10:00:{:02}Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-west-1","recipientAccountId":"012345678901","sourceIPAddress":"198.51.100.7","userIdentity":{{"type":"Root"}}}}"#,
                2 + id % 2,
                id % 60
            )
        })
        .collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

fn flows(ids: impl Iterator<Item = u64>) -> String {
    let mut text = String::from(
        "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n",
    );
    for id in ids {
        text.push_str(&format!(
            "2 123456789012 eni-{id:08x} 10.0.0.{} 198.51.100.9 {} 443 6 3 180 1795428000 1795428060 ACCEPT OK\n",
            id % 250 + 1,
            1_024 + id % 60_000
        ));
    }
    text
}

fn landing(stream: u64, offsets: impl Iterator<Item = u64>) -> String {
    let mut text = format!(
        "{{\"landing\":1,\"cluster\":\"prod\",\"node\":\"n1\",\"segment\":\"00\",\"collector\":\"0.1.0\"}}\n{{\"stream\":0,\"id\":\"{stream:04x}\",\"namespace\":\"shop\",\"pod\":\"api-1\",\"container\":\"api\",\"restart\":0,\"stdio\":\"stdout\"}}\n"
    );
    let mut count = 0;
    for offset in offsets {
        text.push_str(&format!(
            "{{\"s\":0,\"o\":{},\"t\":\"2026-11-23T10:00:00.{offset:09}Z\",\"b\":\"line {offset} of {stream}\"}}\n",
            offset * 61
        ));
        count += 1;
    }
    text.push_str(&format!("{{\"end\":{count}}}\n"));
    text
}

/// Input objects of every kind: some overlap, some are the same content again, some are damaged.
pub(super) fn inputs(random: &mut Random, count: u64) -> Vec<Input> {
    let mut inputs: Vec<Input> = Vec::new();
    let mut kind = 0;
    for number in 0..count {
        let records = random.between(1, 12);
        // One in three is of the kind of the object before and begins inside it.
        let overlaps = number > 0 && random.chance(35);
        let from = number * 100 - if overlaps { random.between(90, 99) } else { 0 };
        let ids = from..from + records;
        kind = if overlaps { kind } else { random.below(10) };
        let (name, bytes) = match kind {
            0..=2 => ("ct.json.gz", gzip(&cloudtrail(ids))),
            3..=5 => ("flow.log", flows(ids).into_bytes()),
            6..=7 => ("app.jsonl", landing(from / 100 % 3, ids).into_bytes()),
            8 => match inputs.last() {
                Some(before) => ("copy", before.bytes.clone()),
                None => ("empty", Vec::new()),
            },
            _ => match random.below(4) {
                0 => ("odd.txt", format!("this is no log {number}").into_bytes()),
                1 => {
                    let mut whole = gzip(&cloudtrail(ids));
                    whole.truncate(whole.len() / 2);
                    ("cut.json.gz", whole)
                }
                2 => ("flow-bad.log", format!("{}2 1 2 3\n", flows(ids)).into_bytes()),
                _ => {
                    ("ct-bad.json", cloudtrail(ids).replace("]}", r#",{"eventID":"no-time"}]}"#).into_bytes())
                }
            },
        };
        inputs.push(Input { key: format!("{number:03}-{name}"), bytes });
    }
    inputs
}

/// Two batches with something of everything: what a fixed test kills at every step. The second holds
/// records of the first.
pub(super) fn fixed() -> Vec<Input> {
    let input = |key: &str, bytes: Vec<u8>| Input { key: key.to_owned(), bytes };
    vec![
        input("0.json.gz", gzip(&cloudtrail(0..5))),
        input("1.log", flows(0..4).into_bytes()),
        input("2.jsonl", landing(1, 0..3).into_bytes()),
        input("3.json", cloudtrail(3..8).into_bytes()),
        input("4.log", flows(2..6).into_bytes()),
        input("5.txt", b"this is no log".to_vec()),
    ]
}

/// Collects what a parser hands out.
#[derive(Default)]
struct Taken {
    rows: Vec<(&'static str, String)>,
    rejected: u64,
}

fn texts(rows: &RecordBatch, column: &str) -> Vec<String> {
    let values = rows.column_by_name(column).expect("the column exists").as_string::<i32>();
    values.iter().map(|value| value.unwrap_or_default().to_owned()).collect()
}

fn numbers(rows: &RecordBatch, column: &str) -> Vec<u64> {
    let values = rows.column_by_name(column).expect("the column exists").as_primitive::<Int64Type>();
    values.values().iter().map(|value| value.unsigned_abs()).collect()
}

impl Output for Taken {
    fn rows(&mut self, table: &'static Table, batch: RecordBatch) {
        self.rows.extend(texts(&batch, "event_uid").into_iter().map(|uid| (table.name, uid)));
    }

    fn rejected(&mut self, _: Rejected) {
        self.rejected += 1;
    }
}

/// What one object holds by itself.
fn truth(input: &Input) -> (Counts, Taken) {
    let id = object_id(&input.bytes);
    let object = Object { location: &input.key, object_id: &id, bytes: &input.bytes };
    let limits = Limits::default();
    let context = Context { ingest_time: NOW, limits: &limits, flow_formats: &[] };
    let mut taken = Taken::default();
    let report = formats::read(&object, &context, &mut Seen::default(), &mut taken);
    (report.counts, taken)
}

/// Empty tables, made once: making them takes longer than most schedules.
async fn empty_lake() -> InMemory {
    static EMPTY: OnceCell<InMemory> = OnceCell::const_new();
    let made = EMPTY.get_or_init(|| async {
        let store = Arc::new(InMemory::new());
        let lake = Lake::on_store(store.clone(), &url());
        for table in super::COMMIT_ORDER {
            let open = LakeTable::open(&lake, table).await.expect("creates");
            // So often that schedules meet checkpoints.
            let often = HashMap::from([("delta.checkpointInterval".to_owned(), "3".to_owned())]);
            open.delta().clone().set_tbl_properties().with_properties(often).await.expect("sets");
        }
        store.fork()
    });
    made.await.fork()
}

fn url() -> Url {
    Url::parse("memory:///lake/").expect("a URL")
}

/// An input object with what it holds.
struct Given {
    input: Input,
    counts: Counts,
    rows: Vec<(&'static str, String)>,
}

/// Input objects and a lake.
pub(super) struct World {
    pub inputs: Vec<Input>,
    /// By content.
    given: BTreeMap<String, Given>,
    lake: Arc<InMemory>,
    bucket: Arc<InMemory>,
    pub weather: Weather,
}

impl World {
    /// A lake whose tables exist, or one without anything in it.
    pub(super) async fn new(inputs: Vec<Input>, weather: Weather, with_tables: bool) -> World {
        let lake = if with_tables { empty_lake().await } else { InMemory::new() };
        let bucket = InMemory::new();
        for input in &inputs {
            let bytes = PutPayload::from(input.bytes.clone());
            bucket.put(&Path::from(input.key.as_str()), bytes).await.expect("in memory");
        }
        let given = inputs.iter().map(|input| {
            let (counts, taken) = truth(input);
            (object_id(&input.bytes), Given { input: input.clone(), counts, rows: taken.rows })
        });
        let given = given.collect();
        World { inputs, given, lake: Arc::new(lake), bucket: Arc::new(bucket), weather }
    }

    /// A process that opens the lake under a shard name. Its clock is wrong by `skew` µs.
    pub(super) async fn open(
        &self,
        shard: &str,
        life: &Arc<Life>,
        skew: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Result<Processor, PipelineError> {
        let lake = Lake::on_store(Arc::new(Faulty::new(self.lake.clone(), &self.weather, life)), &url());
        let bucket = Faulty::new(self.bucket.clone(), &self.weather, life);
        let inputs = Inputs::with_bucket(BUCKET, Arc::new(bucket));
        let config = Config { shard: shard.to_owned(), ..Config::default() };
        let clock = Clock::from_fn(move || NOW + skew());
        Processor::open_with(lake, config, Arc::default(), inputs, clock).await
    }

    /// The announcement of an object.
    pub(super) fn candidate(&self, index: usize) -> Candidate {
        let input = &self.inputs[index];
        Candidate {
            place: Place::Bucket { bucket: BUCKET.to_owned(), key: input.key.clone() },
            stored_bytes: input.bytes.len() as u64,
            last_modified: None,
            // Half of the announcements say what the content is.
            etag: index.is_multiple_of(2).then(|| object_id(&input.bytes)),
        }
    }

    pub(super) fn candidates(&self) -> Vec<Candidate> {
        (0..self.inputs.len()).map(|index| self.candidate(index)).collect()
    }

    /// Checks the whole lake, as `processor` has it open, against the inputs. With one shard a record
    /// that came in two objects is in its table once; between shards that is left to sealing.
    pub(super) async fn check(&self, processor: &Processor, one_shard: bool) -> Result<(), String> {
        let mut rows = 0;
        for table in SOURCES {
            rows += self.check_table(processor, table, one_shard).await?;
        }
        let rejected = self.rows(processor, &tables::rejected::TABLE, &["object_id"]).await?;
        let rejected: u64 = rejected.iter().map(|rows| rows.num_rows() as u64).sum();
        let ledger = self.check_ledger(processor).await?;
        if ledger != (rows, rejected) {
            return Err(format!(
                "`ingest` counts {ledger:?} rows and rejected, the tables hold {:?}",
                (rows, rejected)
            ));
        }
        self.check_claims(processor).await
    }

    /// Reads columns of every file a table refers to; all of them must be there as the log says.
    async fn rows(
        &self,
        processor: &Processor,
        table: &'static Table,
        columns: &[&str],
    ) -> Result<Vec<RecordBatch>, String> {
        let failed = |error: &dyn std::fmt::Debug| format!("{}: {error:?}", table.name);
        let open = processor.table(table);
        let mut read = Vec::new();
        for file in data_files(open).map_err(|error| failed(&error))? {
            let path = Path::from(format!("lake/{}/{}", table.name, file.path));
            let meta = self.lake.head(&path).await.map_err(|error| failed(&error))?;
            if meta.size != file.size {
                return Err(format!("{path} has {} bytes, the log says {}", meta.size, file.size));
            }
            read.extend(read_columns(open, &file, columns).await.map_err(|error| failed(&error))?);
        }
        let snapshot = open.delta().snapshot().map_err(|error| failed(&error))?;
        let counted: usize = snapshot.log_data().iter().filter_map(|file| file.num_records()).sum();
        let rows: usize = read.iter().map(RecordBatch::num_rows).sum();
        if counted != rows {
            return Err(format!("the log of {} counts {counted} rows, its files have {rows}", table.name));
        }
        Ok(read)
    }

    async fn check_table(
        &self,
        processor: &Processor,
        table: &'static Table,
        one_shard: bool,
    ) -> Result<u64, String> {
        // Flow records have no identity but their line: their `event_uid` names object and line.
        let is_flow = table.name == tables::vpc_flow::TABLE.name;
        let mut expected: HashMap<String, (String, u64)> = HashMap::new();
        let mut holders: HashMap<String, u64> = HashMap::new();
        for given in self.given.values() {
            let uids = given.rows.iter().filter(|(name, _)| *name == table.name);
            let lines = String::from_utf8_lossy(&given.input.bytes).into_owned();
            let mut lines = lines.lines().skip(1);
            for (_, uid) in uids {
                let line = if is_flow { lines.next().unwrap_or_default().to_owned() } else { uid.clone() };
                *holders.entry(line.clone()).or_default() += 1;
                expected.insert(uid.clone(), (line, 0));
            }
        }
        let mut total = 0;
        for rows in self.rows(processor, table, &["event_uid"]).await? {
            for uid in texts(&rows, "event_uid") {
                total += 1;
                let Some((_, found)) = expected.get_mut(&uid) else {
                    return Err(format!("{}: `{uid}` is in no input object", table.name));
                };
                *found += 1;
            }
        }
        let mut found: BTreeMap<&str, u64> = BTreeMap::new();
        for (line, count) in expected.values() {
            *found.entry(line).or_default() += count;
        }
        for (line, count) in found {
            let most = if one_shard && !is_flow { 1 } else { holders[line] };
            if count < 1 || count > most {
                return Err(format!("{}: `{line}` is there {count} times, not 1 to {most}", table.name));
            }
        }
        Ok(total)
    }

    /// One row per content, and what it counts is what the object holds. Gives rows and rejected.
    async fn check_ledger(&self, processor: &Processor) -> Result<(u64, u64), String> {
        let columns = ["object_id", "records", "rows", "rejected", "duplicates", "skipped"];
        let mut seen = BTreeSet::new();
        let mut sums = (0, 0);
        for batch in self.rows(processor, &tables::ingest::TABLE, &columns).await? {
            let ids = texts(&batch, "object_id");
            let counts = columns[1..].iter().map(|name| numbers(&batch, name)).collect::<Vec<_>>();
            for (row, id) in ids.into_iter().enumerate() {
                let [records, rows, rejected, duplicates, skipped] =
                    [0, 1, 2, 3, 4].map(|column| counts[column][row]);
                let Some(Given { input, counts: truth, .. }) = self.given.get(&id) else {
                    return Err(format!("`ingest` names an object that was not given: {id}"));
                };
                if (records, rejected, skipped) != (truth.records, truth.rejected, truth.skipped)
                    || records != rows + rejected + duplicates + skipped
                {
                    return Err(format!(
                        "{}: {records} records, {rows} rows, {rejected} rejected, {duplicates} duplicates, {skipped} skipped; it holds {truth:?}",
                        input.key
                    ));
                }
                sums = (sums.0 + rows, sums.1 + rejected);
                if !seen.insert(id) {
                    return Err(format!("{} is in `ingest` twice", input.key));
                }
            }
        }
        match self.given.iter().find(|(id, _)| !seen.contains(*id)) {
            Some((_, given)) => Err(format!("{} is not in `ingest`", given.input.key)),
            None => Ok(sums),
        }
    }

    /// No claim is open and none shares an object with another.
    async fn check_claims(&self, processor: &Processor) -> Result<(), String> {
        let lake = Lake::on_store(self.lake.clone(), &url());
        let (_, claims) = Claims::open(&lake, "check").await.map_err(|error| error.to_string())?;
        let ingest = processor.table(&tables::ingest::TABLE);
        let mut objects = BTreeSet::new();
        for claim in claims {
            let app_id = format!("logq-processor/{}", claim.shard);
            let applied = ingest.applied(&app_id).await.map_err(|error| error.to_string())?;
            if applied.unwrap_or(-1) < claim.sequence {
                return Err(format!("claim {} of shard {} is open", claim.sequence, claim.shard));
            }
            for object in claim.objects {
                if !objects.insert(object.object_id) {
                    return Err(format!("{} is in two claims", object.location));
                }
            }
        }
        Ok(())
    }
}
