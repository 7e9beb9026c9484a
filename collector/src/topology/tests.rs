//! G1, G2: a model of writer, kubelet, disk and sink drives source and spool, step by step, and
//! crashes them between any two steps. Every record must be in the landing objects exactly once.

use super::Progress;
use crate::batch::Batch;
use crate::config::{BatchLimits, ByteSize, Config, Span, SpoolLimits, WhenFull};
use crate::graph::{self, Graph};
use crate::metrics::Metrics;
use crate::sinks::Delivery;
use crate::sources::Output;
use crate::sources::kubernetes_logs::{Reader, Settings};
use crate::spool::{Spool, Wiring, Writer};
use flate2::{Compression, write::GzEncoder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const MAX_LINE: usize = 4096;

/// Steps of one seed; 60 seeds by default make 15,000 steps (`LOGQ_RUNS` makes more, `LOGQ_SEED` repeats one).
const STEPS: u32 = 250;

fn configuration(root: &Path) -> Config {
    let root = root.display();
    let text = format!(
        "data_dir = \"{root}/data\"\nnode = \"n\"\n[sources.pods]\ntype = \"kubernetes_logs\"\n\
         [sinks.out]\ntype = \"file\"\npath = \"{root}/out\"\ninputs = [\"pods\"]\n"
    );
    Config::parse(Path::new("c.toml"), &text, &|_| None).unwrap()
}

/// A runtime nothing runs on: the source under test does not listen.
fn runtime() -> tokio::runtime::Handle {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().unwrap());
    RUNTIME.handle().clone()
}

fn zero() -> Span {
    Span::from(Duration::ZERO)
}

fn hour() -> Span {
    Span::from(Duration::from_secs(3600))
}

/// The collector, without its threads: whatever is dropped here is what a crash loses.
struct Collector {
    reader: Reader,
    writer: Writer,
    spool: Arc<Spool>,
    batches: Receiver<Batch>,
    wiring: Wiring,
    metrics: Arc<Metrics>,
}

impl Collector {
    fn start(root: &Path, max_open_files: usize) -> Self {
        let settings = Settings {
            pods_dir: root.join("pods"),
            glob_minimum_cooldown: zero(),
            max_read_bytes: ByteSize::new(512),
            max_line_bytes: ByteSize::new(MAX_LINE),
            rotate_wait: zero(),
            max_open_files,
            multiline: toml::from_str("mode = \"auto\"\ntimeout = 3600").unwrap(),
            ..Settings::default()
        };
        Self::with(root, |wiring| Reader::new(settings, wiring))
    }

    fn with(root: &Path, reader: impl FnOnce(crate::sources::Wiring) -> Reader) -> Self {
        let metrics = Arc::new(Metrics::default());
        let limits = SpoolLimits {
            max_bytes: ByteSize::new(1 << 30),
            when_full: WhenFull::Block,
            fsync_interval: hour(),
            segment_bytes: ByteSize::new(32 * 1024),
            segment_age: hour(),
            compression: 1,
        };
        let config = configuration(root);
        let (spool, positions) =
            Spool::open(&root.join("data"), limits, graph::lanes(&config), &BTreeMap::new(), metrics.clone())
                .unwrap();
        let (output, batches) = sync_channel(10_000);
        let (empty, input) = sync_channel(1);
        let reader = reader(crate::sources::Wiring {
            name: "pods".into(),
            cluster: "c".into(),
            node: "n".into(),
            data_dir: root.join("data"),
            output: Output {
                entrance: Graph::build(&config, metrics.clone()).unwrap().entrance("pods"),
                sender: output,
            },
            runtime: runtime(),
            empty: sync_channel(1).1,
            limits: BatchLimits { max_bytes: ByteSize::new(2000), timeout_secs: hour() },
            positions,
            stop: CancellationToken::new(),
            progress: Arc::new(Progress::default()),
            metrics: metrics.clone(),
            memory: crate::memory::Caps::default(),
        });
        let wiring = Wiring {
            input,
            empty,
            stop: CancellationToken::new(),
            progress: Arc::new(Progress::default()),
            keep_bytes: 4096,
        };
        Self { reader, writer: Writer::new(spool.clone()).unwrap(), spool, batches, wiring, metrics }
    }

    fn turn(&mut self) {
        self.reader.hurry();
        self.reader.turn();
    }

    /// Stores up to `max` batches.
    fn pump(&mut self, max: usize) {
        for mut batch in self.batches.try_iter().take(max) {
            assert!(self.writer.store(&mut batch, &self.wiring));
        }
    }

    /// Reads and stores everything there is.
    fn settle(&mut self) {
        loop {
            let before = self.metrics.source_read_bytes.get();
            (0..12).for_each(|_| self.turn());
            self.reader.flush();
            self.pump(usize::MAX);
            if self.metrics.source_read_bytes.get() == before {
                return;
            }
        }
    }
}

/// One container: what it wrote, and what must come out.
struct Container {
    /// Docker's json-file format instead of CRI's.
    docker: bool,
    dir: PathBuf,
    file: File,
    /// A line of which only a part was written.
    half: Option<Vec<u8>>,
    /// A record of which only `P` lines were written to the current file.
    open: [Option<String>; 2],
    rotations: u32,
}

struct Model {
    rng: ChaCha8Rng,
    root: PathBuf,
    containers: Vec<Container>,
    expected: Vec<String>,
    /// Landing objects by key: a repeated upload replaces itself.
    objects: BTreeMap<String, Vec<String>>,
    next: u64,
    /// Names of log files are only removed or truncated in runs that never lose synced data.
    power_loss: bool,
}

impl Model {
    fn new(seed: u64, root: &Path) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let power_loss = rng.random_bool(0.5);
        let containers = (0..rng.random_range(1..4u32))
            .map(|i| {
                let dir = root.join(format!("pods/ns_pod-{i}_uid-{i}/c"));
                fs::create_dir_all(&dir).unwrap();
                let file = OpenOptions::new().create(true).append(true).open(dir.join("0.log")).unwrap();
                Container {
                    docker: rng.random_bool(0.3),
                    dir,
                    file,
                    half: None,
                    open: [None, None],
                    rotations: 0,
                }
            })
            .collect();
        let root = root.to_owned();
        Self { rng, root, containers, expected: vec![], objects: BTreeMap::new(), next: 0, power_loss }
    }

    /// A line of the runtime. Its time makes first lines of files differ, as in life.
    fn line(&mut self, c: usize, stdio: usize, tag: char, text: &str) -> Vec<u8> {
        self.next += 1;
        let (n, name) = (self.next, ["stdout", "stderr"][stdio]);
        if self.containers[c].docker {
            let log = if tag == 'F' { format!("{text}\n") } else { text.to_owned() };
            let time = format!("2026-11-22T10:{:02}:{:02}.{n:09}Z", n / 60 % 60, n % 60);
            return format!("{}\n", serde_json::json!({ "log": log, "stream": name, "time": time }))
                .into_bytes();
        }
        format!("2026-11-22T10:{:02}:{:02}.{n:09}Z {name} {tag} {text}\n", n / 60 % 60, n % 60).into_bytes()
    }

    fn write(&mut self, c: usize) {
        if let Some(rest) = self.containers[c].half.take() {
            self.containers[c].file.write_all(&rest).unwrap();
            return;
        }
        let stdio = self.rng.random_range(0..2);
        if self.rng.random_bool(0.08) && self.containers[c].open[stdio].is_none() {
            return self.write_trace(c, stdio);
        }
        let long = if self.containers[c].docker { 1200 } else { 3000 };
        let len = if self.rng.random_bool(0.03) { long } else { self.rng.random_range(0..200) };
        let text = format!("#{}:{}", self.next, "é\"\\x".repeat(len / 5));
        let last = self.rng.random_bool(0.7);
        let line = self.line(c, stdio, if last { 'F' } else { 'P' }, &text);
        let before = self.containers[c].open[stdio].take();
        // A record longer than the limit comes out in pieces of whole parts.
        let joined = match before {
            Some(before) if before.len() + text.len() > MAX_LINE => {
                self.expected.push(before);
                text
            }
            before => before.unwrap_or_default() + &text,
        };
        if last {
            self.expected.push(joined);
        } else {
            self.containers[c].open[stdio] = Some(joined);
        }
        let cut = if self.rng.random_bool(0.1) { self.rng.random_range(1..line.len()) } else { line.len() };
        self.containers[c].file.write_all(&line[..cut]).unwrap();
        self.containers[c].half = (cut < line.len()).then(|| line[cut..].to_vec());
    }

    /// A stack trace: several lines that are one record.
    fn write_trace(&mut self, c: usize, stdio: usize) {
        let mut trace = vec![format!("java.lang.Exception: #{}", self.next)];
        trace
            .extend((0..self.rng.random_range(1..6)).map(|n| format!("\tat a.B.c(D.java:{n}{})", self.next)));
        let lines: Vec<u8> = trace.iter().flat_map(|text| self.line(c, stdio, 'F', text)).collect();
        self.expected.push(trace.join("\n"));
        self.containers[c].file.write_all(&lines).unwrap();
    }

    /// Whole lines on both streams: no record of several lines stays open.
    fn write_plain(&mut self, c: usize) {
        for stdio in 0..2 {
            let text = format!("plain #{}", self.next);
            let line = self.line(c, stdio, 'F', &text);
            self.expected.push(text);
            self.containers[c].file.write_all(&line).unwrap();
        }
    }

    /// What ends with its file: a line is completed by the runtime before it reopens, a record is not.
    fn close_file(&mut self, c: usize) {
        if let Some(rest) = self.containers[c].half.take() {
            self.containers[c].file.write_all(&rest).unwrap();
        }
        let open = std::mem::take(&mut self.containers[c].open);
        self.expected.extend(open.into_iter().flatten());
    }

    fn rotated(&self, c: usize) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.containers[c].dir).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| !path.ends_with("0.log"));
        paths.sort();
        paths
    }

    fn rotate(&mut self, c: usize) {
        if self.containers[c].file.metadata().unwrap().len() == 0 {
            return;
        }
        self.close_file(c);
        let container = &mut self.containers[c];
        container.rotations += 1;
        let to = container.dir.join(format!("0.log.20261122-{:06}", container.rotations));
        fs::rename(container.dir.join("0.log"), to).unwrap();
        container.file =
            OpenOptions::new().create(true).append(true).open(container.dir.join("0.log")).unwrap();
    }

    fn compress(&mut self, c: usize) {
        let Some(path) = self.rotated(c).into_iter().find(|path| path.extension().unwrap() != "gz") else {
            return;
        };
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&fs::read(&path).unwrap()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let temporary = path.with_file_name(format!("{name}.tmp"));
        fs::write(&temporary, packed.finish().unwrap()).unwrap();
        fs::rename(&temporary, path.with_file_name(format!("{name}.gz"))).unwrap();
        fs::remove_file(&path).unwrap();
    }

    /// One delivery of whatever is sealed. The acknowledgement may get lost in a crash.
    fn deliver(&mut self, collector: &Collector, acknowledge: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        loop {
            let next = runtime.block_on(async {
                tokio::select! { biased;
                    next = collector.spool.next(0, 0) => next,
                    () = std::future::ready(()) => None,
                }
            });
            let Some(sealed) = next else { return };
            let delivery = Delivery {
                sealed: sealed.clone(),
                taker: collector.spool.taker(0),
                cluster: String::new(),
                node: "n".into(),
            };
            let object = delivery.open_object().unwrap();
            let mut packed = Vec::new();
            object.reader().unwrap().read_to_end(&mut packed).unwrap();
            assert_eq!(packed.len() as u64, object.len);
            let text = String::from_utf8(zstd::decode_all(&packed[..]).unwrap()).unwrap();
            let mut bodies = Vec::new();
            for line in text.lines().filter(|line| line.starts_with("{\"s\"")) {
                let record: logq_schemas::landing::Record<'_> = serde_json::from_str(line).unwrap();
                bodies.push(record.b.unwrap().into_owned());
            }
            assert_eq!(bodies.len() as u64, sealed.records());
            assert_eq!(object.records, sealed.records());
            if object.records > 0 {
                let key = object.key;
                let before = self.objects.insert(key.clone(), bodies);
                assert!(before.is_none_or(|before| before == self.objects[&key]), "{key} changed");
            }
            if !acknowledge {
                return;
            }
            collector.spool.acknowledge(0, sealed.id).unwrap();
        }
    }

    /// What a crash leaves behind in the segment that was being written.
    fn damage(&mut self) {
        let entries = fs::read_dir(self.root.join("data/spool")).unwrap();
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.extension().is_none_or(|ending| ending != "open") {
                continue;
            }
            if self.power_loss && self.rng.random_bool(0.5) {
                let file = OpenOptions::new().write(true).open(&path).unwrap();
                let len = file.metadata().unwrap().len();
                file.set_len(self.rng.random_range(0..=len)).unwrap();
            } else if self.rng.random_bool(0.5) {
                let whole = fs::read(&path).unwrap();
                let part = self.rng.random_range(0..=whole.len().min(200));
                OpenOptions::new().append(true).open(&path).unwrap().write_all(&whole[..part]).unwrap();
            }
        }
    }

    fn check(&self, seed: u64) {
        let mut counts: HashMap<&str, i64> = HashMap::new();
        self.expected.iter().for_each(|body| *counts.entry(body).or_default() -= 1);
        self.objects.values().flatten().for_each(|body| *counts.entry(body).or_default() += 1);
        let wrong: Vec<_> = counts.into_iter().filter(|(_, count)| *count != 0).take(10).collect();
        assert!(wrong.is_empty(), "seed {seed}: lost (-) or repeated (+): {wrong:?}");
    }
}

fn run(seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::new(seed, dir.path());
    let max_open = if model.rng.random_bool(0.3) { 1 } else { 100 };
    let mut collector = Collector::start(dir.path(), max_open);
    for _ in 0..STEPS {
        let c = model.rng.random_range(0..model.containers.len());
        match model.rng.random_range(0..100) {
            0..50 => model.write(c),
            50..64 => collector.turn(),
            64..70 => collector.reader.flush(),
            70..78 => collector.pump(1),
            78..82 => collector.writer.seal().unwrap(),
            82..86 => {
                let acknowledge = model.rng.random_bool(0.7);
                model.deliver(&collector, acknowledge);
            }
            86..90 => model.rotate(c),
            90..92 => model.compress(c),
            92..94 if !model.power_loss => {
                // A log removed before it was read is lost to everybody.
                collector.settle();
                if let Some(oldest) = model.rotated(c).first() {
                    fs::remove_file(oldest).unwrap();
                }
            }
            94..96 if !model.power_loss => {
                // Parts of an open record that are truncated away exist only in memory: a crash loses
                // them, whoever collects.
                let container = &model.containers[c];
                if container.half.is_none() && container.open.iter().all(Option::is_none) {
                    model.write_plain(c);
                    collector.settle();
                    model.containers[c].file.set_len(0).unwrap();
                    // The runtime goes on in the emptied file; it may have grown past the old size
                    // before anybody looks.
                    (0..model.rng.random_range(1..30)).for_each(|_| model.write(c));
                }
            }
            96..100 => {
                drop(collector);
                model.damage();
                collector = Collector::start(dir.path(), max_open);
            }
            _ => {}
        }
    }
    for c in 0..model.containers.len() {
        model.rotate(c);
        model.write(c);
        model.rotate(c);
    }
    collector.settle();
    collector.writer.seal().unwrap();
    model.deliver(&collector, true);
    model.check(seed);
    assert!(collector.spool.is_drained());
}

/// The seeds of a test: `most` of them, unless the environment says otherwise.
fn seeds(most: u64) -> Vec<u64> {
    match std::env::var("LOGQ_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..std::env::var("LOGQ_RUNS").map_or(most, |runs| runs.parse().unwrap())).collect(),
    }
}

#[test]
fn g1_g2_nothing_is_lost_or_repeated_whatever_happens_in_which_order() {
    for seed in seeds(60) {
        println!("seed {seed}");
        run(seed);
    }
}

mod file;
