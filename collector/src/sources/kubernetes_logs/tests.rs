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
        memory: crate::memory::Caps::default(),
        cluster: String::new(),
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
        for mut batch in self.batches.try_iter() {
            batch.receipts.drain(..).for_each(|receipt| receipt.send(()).unwrap());
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

fn sorted(mut bodies: Vec<String>) -> Vec<String> {
    bodies.sort();
    bodies
}

#[test]
fn a_new_file_with_the_header_of_its_predecessor_is_read_at_once() {
    let mut bench = Bench::new("file", "rotate_wait = 3600");
    bench.append("app.log", "time,text\n1,first\n");
    assert_eq!(bench.read(), ["time,text", "1,first"]);
    bench.rename("app.log", "app.log.1");
    bench.append("app.log", "time,text\n2,second, and longer than the first\n");
    assert_eq!(bench.read(), ["time,text", "2,second, and longer than the first"]);
    // A neighbour of the same stem.
    bench.append("app.csv.log", "time,text\n3,neighbour, longer than the others before it\n");
    assert_eq!(bench.read().len(), 2);
    bench.restart();
    assert_eq!(bench.read(), [""; 0]);
    for (name, text) in [("app.log", "2,more\n"), ("app.log.1", "1,more\n"), ("app.csv.log", "3,more\n")] {
        bench.append(name, text);
    }
    assert_eq!(sorted(bench.read()), ["1,more", "2,more", "3,more"]);
}

#[test]
fn a_file_emptied_and_refilled_past_its_old_size_is_read_from_its_start() {
    for restart in [false, true] {
        let mut bench = Bench::new("file", FINAL);
        bench.append("app.log", "time,text\n1,first\n");
        assert_eq!(bench.read().len(), 2);
        let copy = fs::read(bench.path("app.log")).unwrap();
        if restart {
            bench.restart();
        }
        fs::write(bench.path("app.log.1"), copy).unwrap();
        File::options().write(true).open(bench.path("app.log")).unwrap().set_len(0).unwrap();
        bench.append("app.log", "time,text\n2,second and longer\n2,third\n");
        let expected = ["time,text", "2,second and longer", "2,third"];
        assert_eq!(bench.read(), expected, "restart {restart}");
    }
}

#[test]
fn copies_are_recognised_among_files_with_equal_headers() {
    let mut bench = Bench::new("file", FINAL);
    let rows = |n: usize| (0..20).map(|row| format!("{n},row {row} of the file\n")).collect::<String>();
    for n in 0..3 {
        fs::write(bench.path("app.log"), format!("time,text\n{}", rows(n))).unwrap();
        assert_eq!(bench.read().len(), 21, "file {n}");
        // One copy loses what was written after it.
        let text = fs::read(bench.path("app.log")).unwrap();
        fs::write(bench.path(&format!("app.log.{n}")), &text[..text.len() - 10 * n]).unwrap();
        File::options().write(true).open(bench.path("app.log")).unwrap().set_len(0).unwrap();
        assert_eq!(bench.read(), [""; 0], "copy {n}");
    }
    for n in 0..3 {
        let name = format!("app.log.{n}");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&fs::read(bench.path(&name)).unwrap()).unwrap();
        fs::write(bench.path(&format!("{name}.gz")), packed.finish().unwrap()).unwrap();
        fs::remove_file(bench.path(&name)).unwrap();
    }
    bench.restart();
    assert_eq!(bench.read(), [""; 0]);
    // One that was never read.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(format!("time,text\n{}", rows(7)).as_bytes()).unwrap();
    fs::write(bench.path("app.log.7.gz"), packed.finish().unwrap()).unwrap();
    assert_eq!(bench.read().len(), 21);
}

#[test]
fn a_file_that_grows_old_is_followed_on_and_an_old_one_is_left_alone() {
    let mut bench = Bench::new("file", "rotate_wait = 0\nignore_older_secs = 60");
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    let age = |path: PathBuf| File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    bench.append("app.log", "app, one\n");
    bench.append("older.log", "older\n");
    age(bench.path("older.log"));
    assert_eq!(bench.read(), ["app, one"]);
    age(bench.path("app.log"));
    assert_eq!(bench.read(), [""; 0]);
    assert_eq!(bench.reader.files.len(), 1, "still followed");
    bench.restart();
    bench.append("app.log", "app, two\n");
    age(bench.path("app.log"));
    assert_eq!(bench.read(), ["app, two"]);
}

#[test]
fn what_was_there_before_the_first_start_is_skipped_once_and_for_all() {
    let mut bench = Bench::new("file", "rotate_wait = 0\nread_from = \"end\"");
    bench.append("app.log", "before\nhalf of");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"long before\n").unwrap();
    fs::write(bench.path("app.log.1.gz"), packed.finish().unwrap()).unwrap();
    assert_eq!(bench.read(), [""; 0]);
    bench.restart();
    assert_eq!(bench.read(), [""; 0], "nothing new");
    bench.append("app.log", " a line\n");
    bench.append("new.log", "new\n");
    assert_eq!(sorted(bench.read()), ["half of a line", "new"]);
    // Stopped before the note: the position alone keeps what is read from being skipped.
    fs::remove_dir_all(bench.dir.path().join("data/sources")).unwrap();
    bench.append("app.log", "after\n");
    bench.restart();
    assert_eq!(bench.read(), ["after"]);
}

#[test]
fn a_place_that_could_not_be_read_at_the_first_start_is_skipped_later() {
    let dir = tempfile::tempdir().unwrap();
    let start = || FromEnd::new(true, dir.path(), "s");
    let mut first = start();
    assert!(first.skips(Path::new("/logs/a")));
    let receipt = first.scanned(vec!["/logs/b".into()]).unwrap();
    assert!(!first.skips(Path::new("/logs/a")) && first.skips(Path::new("/logs/b/c")));
    first.settle();
    assert!(start().skips(Path::new("/logs/a")), "not durable yet");
    receipt.send(()).unwrap();
    first.settle();
    let mut second = start();
    assert!(!second.skips(Path::new("/logs/a")) && second.skips(Path::new("/logs/b/c")));
    assert!(second.scanned(vec!["/logs/b".into(), "/logs/new".into()]).is_none());
    assert!(second.scanned(Vec::new()).is_some());
    assert!(!second.skips(Path::new("/logs/b/c")));
}

#[test]
fn a_deleted_file_is_not_closed_before_its_end_and_what_a_stop_leaves_is_counted() {
    let mut bench = Bench::new("file", "rotate_wait = 3600\nmax_open_files = 1");
    for name in ["a.log", "b.log", "c.log"] {
        bench.append(name, format!("{name}\n"));
    }
    assert_eq!(bench.read().len(), 3);
    let writer = |name: &str| OpenOptions::new().append(true).open(bench.path(name)).unwrap();
    let (mut deleted, mut moved) = (writer("a.log"), writer("b.log"));
    for (name, writer) in [("a.log", &mut deleted), ("b.log", &mut moved)] {
        // Not seen by a look yet when the scan decides what to close.
        writer.write_all(b"late\n").unwrap();
        fs::remove_file(bench.path(name)).unwrap();
    }
    bench.reader.files.values_mut().for_each(Tail::age);
    bench.reader.scan();
    assert_eq!(bench.reader.files.len(), 2, "only c.log is closed");
    assert_eq!(bench.read(), ["late", "late"]);
    deleted.write_all(b"lost\n").unwrap();
    bench.reader.abandon();
    assert_eq!(bench.metrics.source_abandoned_bytes.get(), 5);
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn an_encoded_file_is_followed_through_truncation_rotation_and_restart() {
    let mut bench = Bench::new("file", "rotate_wait = 0\nencoding = \"utf-16le\"");
    let rows = |name: &str| utf16(&format!("time,text\n{}", format!("{name},ä row of the file\n").repeat(9)));
    bench.append("app.log", rows("1"));
    assert_eq!(bench.read().len(), 10);
    // Emptied and refilled, first past the old size, then below it.
    for (name, more) in [("2", "2,more\n"), ("3", "")] {
        File::options().write(true).open(bench.path("app.log")).unwrap().set_len(0).unwrap();
        bench.append("app.log", [rows(name), utf16(more)].concat());
        assert_eq!(bench.read().len(), 10 + usize::from(!more.is_empty()), "{name}");
    }
    bench.restart();
    assert_eq!(bench.read(), [""; 0]);
    bench.rename("app.log", "app.log.1");
    bench.append("app.log", [rows("4"), utf16("4,last"), vec![b'x']].concat());
    assert_eq!(bench.read().len(), 10);
    bench.restart();
    bench.rename("app.log", "app.log.2");
    bench.append("app.log", rows("5"));
    let seen = bench.read();
    assert_eq!(seen.len(), 11, "{seen:?}");
    assert!(seen.contains(&"4,last\u{fffd}".to_owned()), "half a character is not swallowed: {seen:?}");
}

#[test]
fn a_rate_limit_paces_a_file_and_drops_nothing() {
    let mut bench = Bench::new("file", "rotate_wait = 0\nrate_limit = \"4KiB\"");
    bench.append("app.log", format!("{}\n", "x".repeat(999)).repeat(10));
    bench.turn();
    let before = Instant::now();
    bench.turn();
    let of = |bench: &Bench| bench.reader.files.values().next().unwrap().next_look;
    assert_eq!(bench.reader.batch.raw_bytes, 4000);
    assert!(of(&bench) >= before + Duration::from_millis(976), "4,000 bytes of 4,096 a second");
    bench.reader.turn();
    assert_eq!(bench.reader.batch.raw_bytes, 4000, "it is not its turn");
    assert_eq!(bench.read().len(), 10);
}

#[test]
fn the_file_that_waits_longest_is_served_first() {
    let mut bench = Bench::new("file", "rotate_wait = 0");
    for name in ["a.log", "b.log", "c.log"] {
        bench.append(name, format!("{name}\n"));
    }
    bench.turn();
    let now = Instant::now();
    for file in bench.reader.files.values_mut() {
        let age = if file.path.ends_with("b.log") { 3 } else { u64::from(file.path.ends_with("a.log")) };
        file.next_look = now.checked_sub(Duration::from_secs(age)).unwrap();
    }
    bench.reader.turn();
    assert_eq!(bench.take(), ["b.log", "a.log", "c.log"]);
}

#[test]
fn an_emptied_and_refilled_file_is_noticed_where_its_rows_end_alike() {
    let mut bench = Bench::new("file", FINAL);
    let row = |n: u32| format!("{n}{}\n", "-".repeat(100));
    bench.append("app.log", format!("time,text\n{}", row(1)));
    assert_eq!(bench.read().len(), 2);
    File::options().write(true).open(bench.path("app.log")).unwrap().set_len(0).unwrap();
    bench.append("app.log", format!("time,text\n{}{}", row(2), row(3)));
    assert_eq!(bench.read(), ["time,text", row(2).trim_end(), row(3).trim_end()]);
}
