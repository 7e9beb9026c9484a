//! The reader of both file sources, turn by turn, on files that change between its steps.

use super::*;
use crate::config::{BatchLimits, Config};
use crate::graph::Graph;
use crate::metrics::Metrics;
use crate::position::Positions;
use crate::sources::Output;
use crate::sources::file::FileSettings;
use crate::topology::Progress;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use tokio_util::sync::CancellationToken;

/// A reader on files below a directory of its own, with what a spool would know about it.
struct Bench {
    dir: tempfile::TempDir,
    source: &'static str,
    options: String,
    reader: Reader,
    batches: Receiver<Batch>,
    metrics: Arc<Metrics>,
    positions: Positions,
    bodies: Vec<String>,
}

fn reader(
    root: &Path,
    source: &str,
    options: &str,
    positions: Positions,
) -> (Reader, Receiver<Batch>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let text = format!(
        "data_dir = \"{0}/data\"\nnode = \"n\"\n[sources.s]\ntype = \"file\"\ninclude = [\"/x\"]\n\
         [sinks.out]\ntype = \"file\"\npath = \"{0}/out\"\ninputs = [\"s\"]\n",
        root.display()
    );
    let config = Config::parse(Path::new("c.toml"), &text, &|_| None).unwrap();
    let (sender, batches) = sync_channel(1000);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let hour = Span::from(Duration::from_secs(3600));
    fs::create_dir_all(root.join("data")).unwrap();
    let wiring = Wiring {
        name: "s".into(),
        node: "n".into(),
        data_dir: root.join("data"),
        output: Output { entrance: Graph::build(&config, metrics.clone()).unwrap().entrance("s"), sender },
        runtime: runtime.handle().clone(),
        empty: sync_channel(1).1,
        limits: BatchLimits { max_bytes: ByteSize::new(1 << 20), timeout_secs: hour },
        positions,
        stop: CancellationToken::new(),
        progress: Arc::new(Progress::default()),
        metrics: metrics.clone(),
    };
    let logs = root.join("logs");
    let reader = if source == "file" {
        let text = format!("include = [\"{0}/*.log*\", \"{0}/*/*.log*\"]\n{options}", logs.display());
        toml::from_str::<FileSettings>(&text).unwrap().reader(wiring).unwrap()
    } else {
        let text = format!("pods_dir = \"{}\"\n{options}", logs.display());
        Reader::new(toml::from_str(&text).unwrap(), wiring)
    };
    (reader, batches, metrics)
}

impl Bench {
    fn new(source: &'static str, options: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("logs/a_b_c/d")).unwrap();
        let options = format!("glob_minimum_cooldown = 0\n{options}");
        let (reader, batches, metrics) = reader(dir.path(), source, &options, Positions::default());
        let (positions, bodies) = (Positions::default(), Vec::new());
        Self { dir, source, options, reader, batches, metrics, positions, bodies }
    }

    /// Starts over from what is durable.
    fn restart(&mut self) {
        let positions = self.positions.clone();
        (self.reader, self.batches, self.metrics) =
            reader(self.dir.path(), self.source, &self.options, positions);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn turn(&mut self) {
        self.reader.hurry();
        self.reader.turn();
    }

    /// What was delivered by the turns so far and not taken yet. Every step continues the last.
    fn take(&mut self) -> Vec<String> {
        self.reader.flush();
        for batch in self.batches.try_iter() {
            for record in batch.lanes.iter().flatten() {
                self.bodies.push(String::from_utf8_lossy(batch.bytes(record.body)).into_owned());
            }
            for advance in &batch.advances {
                assert!(self.positions.apply_continuous(advance), "{advance:?} is not continuous");
            }
        }
        std::mem::take(&mut self.bodies)
    }

    /// Reads whatever there is.
    fn read(&mut self) -> Vec<String> {
        (0..8).for_each(|_| self.turn());
        self.take()
    }

    fn key(&self, name: &str) -> Key {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = fs::metadata(self.path(name)).unwrap();
        (metadata.dev(), metadata.ino())
    }
}

const FINAL: &str = "rotate_wait = 0\n";

#[test]
fn what_is_written_while_a_file_is_being_ended_is_read() {
    let mut bench = Bench::new("file", FINAL);
    bench.append("app.log", "one\n");
    assert_eq!(bench.read(), ["one"]);
    let key = bench.key("app.log");
    bench.rename("app.log", "app.log.1");
    bench.append("app.log.1", "two\n");
    bench.reader.end(key, false);
    bench.append("app.log", "new\n");
    let mut seen = bench.read();
    seen.sort();
    assert_eq!(seen, ["new", "two"]);
}

#[test]
fn a_trace_is_complete_after_its_timeout_although_the_other_stream_goes_on() {
    let mut bench = Bench::new("kubernetes_logs", "[multiline]\nmode = \"auto\"\ntimeout = 0");
    let line = |stdio: &str, text: &str| format!("2026-11-22T10:00:00Z {stdio} F {text}\n");
    bench.append("a_b_c/d/0.log", line("stdout", "java.lang.Exception: no"));
    bench.append("a_b_c/d/0.log", line("stdout", "\tat a.B.c(D.java:1)"));
    // Followed, then read: a third look would find it idle.
    bench.turn();
    bench.turn();
    assert_eq!(bench.take(), ["java.lang.Exception: no\n\tat a.B.c(D.java:1)"]);
}
