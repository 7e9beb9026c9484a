//! The program: run to idle, signals, exit codes.

use logq_schemas::landing::{Header, Record, Stream, Trailer};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A running collector's surroundings: configuration, data and output below one directory.
pub struct Bench {
    pub root: PathBuf,
    _dir: tempfile::TempDir,
}

/// A record as delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    pub stream: Stream,
    pub offset: u64,
    pub time: String,
    pub body: Vec<u8>,
    pub severity: Option<u8>,
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

impl Bench {
    pub fn new(pods: &Path, extra: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        let text = format!(
            r#"
            data_dir = "{root}/data"
            cluster = "test"
            node = "n1"
            admin.address = ""
            batch.timeout_secs = "50ms"
            segment.max_age = "200ms"
            {extra}
            [sources.pods]
            type = "kubernetes_logs"
            pods_dir = "{pods}"
            rotate_wait = "100ms"
            [sinks.out]
            type = "file"
            inputs = ["pods"]
            path = "{root}/out"
            "#,
            root = root.display(),
            pods = pods.display(),
        );
        fs::write(root.join("c.toml"), text).unwrap();
        Self { root, _dir: dir }
    }

    /// A bench of any configuration below the common settings; `{root}` is replaced.
    pub fn of(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        let head = "data_dir = \"{root}/data\"\ncluster = \"test\"\nnode = \"n1\"\nadmin.address = \"\"\n\
                    batch.timeout_secs = \"50ms\"\nsegment.max_age = \"200ms\"\n";
        let sink = "\n[sinks.out]\ntype = \"file\"\npath = \"{root}/out\"\n";
        let text =
            format!("{head}{text}").replace("[sinks.out]", sink).replace("{root}", &root.to_string_lossy());
        fs::write(root.join("c.toml"), text).unwrap();
        Self { root, _dir: dir }
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_logq-collector"));
        command.arg("run").arg("--config").arg(self.root.join("c.toml"));
        command
    }

    pub fn run_until_idle(&self) -> Output {
        self.command().args(["--until-idle", "500ms"]).output().unwrap()
    }

    /// All landing objects, checked against the format, as records.
    pub fn delivered(&self) -> Vec<Delivered> {
        let mut objects = Vec::new();
        find(&self.root.join("out"), &mut objects);
        objects.sort();
        objects.iter().flat_map(|path| read(path)).collect()
    }
}

fn find(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, out);
        } else if !path.file_name().unwrap().to_str().unwrap().starts_with('.') {
            assert!(path.to_str().unwrap().ends_with(".jsonl.zst"), "{}", path.display());
            out.push(path);
        }
    }
}

fn read(path: &Path) -> Vec<Delivered> {
    use base64::Engine as _;
    let text = zstd::decode_all(fs::File::open(path).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let header: Header = serde_json::from_str(lines[0]).unwrap();
    assert_eq!((header.landing, header.cluster.as_str(), header.node.as_str()), (1, "test", "n1"));
    let mut streams = BTreeMap::new();
    let mut records = Vec::new();
    for line in &lines[1..lines.len() - 1] {
        if line.starts_with("{\"stream\":") {
            let stream: Stream = serde_json::from_str(line).unwrap();
            assert!(streams.insert(stream.stream, stream).is_none(), "number used twice: {line}");
            continue;
        }
        let record: Record<'_> = serde_json::from_str(line).unwrap();
        let body = match (record.b, record.b64) {
            (Some(text), None) => text.into_owned().into_bytes(),
            (None, Some(text)) => base64::engine::general_purpose::STANDARD.decode(text.as_bytes()).unwrap(),
            _ => panic!("one body expected: {line}"),
        };
        let stream = streams[&record.s].clone();
        records.push(Delivered {
            stream,
            offset: record.o,
            time: record.t.into_owned(),
            body,
            severity: record.n,
            attributes: record.a,
        });
    }
    let trailer: Trailer = serde_json::from_str(lines[lines.len() - 1]).unwrap();
    assert_eq!(trailer.end, records.len() as u64);
    records
}

/// Far longer than anything takes on a busy machine: a test that waits for what will not come fails.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// A collector that does not outlive its test.
pub struct Running(pub Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Waits until `done`; fails when the collector ends before, or when it takes so long that it will
    /// never be.
    pub fn until(&mut self, mut done: impl FnMut() -> bool) {
        let started = std::time::Instant::now();
        while !done() {
            assert!(self.0.try_wait().unwrap().is_none(), "ended early");
            assert!(started.elapsed() < PATIENCE, "not done after {PATIENCE:?}");
            // A look at a condition, not a hope: without a pause it would starve the collector.
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), signal).unwrap();
    }

    pub fn terminate(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub fn pods(root: &Path) -> PathBuf {
    let dir = root.join("pods/shop_api_u1/api");
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn lines(from: u32, to: u32) -> String {
    (from..to).map(|n| format!("2026-11-22T10:00:00.{n:06}Z stdout F line {n}\n")).collect()
}

#[test]
fn sigterm_delivers_what_was_read_and_the_next_start_goes_on_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = pods(dir.path()).join("0.log");
    fs::write(&log, lines(0, 1000)).unwrap();
    let bench = Bench::new(&dir.path().join("pods"), "");
    let mut collector = Running::start(&mut bench.command());
    // The first object shows that the collector is at work.
    collector.until(|| !bench.delivered().is_empty());
    assert_eq!(collector.terminate(), Some(0));
    let more = lines(0, 1000) + &lines(1000, 1500);
    fs::write(&log, more).unwrap();
    let output = bench.run_until_idle();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut bodies: Vec<Vec<u8>> = bench.delivered().into_iter().map(|record| record.body).collect();
    let mut expected: Vec<Vec<u8>> = (0..1500).map(|n| format!("line {n}").into_bytes()).collect();
    bodies.sort();
    expected.sort();
    assert_eq!(bodies, expected);
}

#[test]
fn a_finished_folder_is_read_once_however_often_the_collector_runs() {
    let dir = tempfile::tempdir().unwrap();
    let pods = pods(dir.path());
    fs::write(pods.join("0.log"), lines(0, 10) + "2026-11-22T10:00:01Z stdout P lone").unwrap();
    fs::write(pods.join("1.log"), lines(10, 20)).unwrap();
    let bench = Bench::new(&dir.path().join("pods"), "");
    for _ in 0..3 {
        assert!(bench.run_until_idle().status.success());
        // The container was restarted, so its first file has ended: even its last words count.
        let bodies: Vec<Vec<u8>> = bench.delivered().into_iter().map(|record| record.body).collect();
        assert_eq!(bodies.len(), 21);
        assert!(bodies.contains(&b"lone".to_vec()));
    }
}

#[test]
fn a_sink_that_is_down_neither_loses_nor_blocks_the_other() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(pods(dir.path()).join("0.log"), lines(0, 500)).unwrap();
    // Nothing listens on port 1: every upload fails.
    let extra = r#"
            shutdown_timeout = "300ms"
            [sinks.away]
            type = "aws_s3"
            inputs = ["pods"]
            bucket = "none"
            region = "us-east-1"
            endpoint = "http://127.0.0.1:1"
    "#;
    let bench = Bench::new(&dir.path().join("pods"), extra);
    let mut command = bench.command();
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    let mut collector = Running::start(&mut command);
    collector.until(|| bench.delivered().len() >= 500);
    assert_eq!(collector.terminate(), Some(0));
    assert_eq!(bench.delivered().len(), 500);
    let waiting = fs::read_dir(bench.root.join("data/spool")).unwrap().count();
    assert!(waiting > 0, "the segment waits for the other sink");
}

#[test]
fn exit_codes_are_as_documented() {
    let program = env!("CARGO_BIN_EXE_logq-collector");
    let dir = tempfile::tempdir().unwrap();
    let code = |args: &[&str]| Command::new(program).args(args).output().unwrap().status.code();
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["fly"]), Some(2));
    assert_eq!(code(&["validate", "--config", "/nonexistent/c.toml"]), Some(3));
    let pods = pods(dir.path());
    fs::write(pods.join("0.log"), lines(0, 1)).unwrap();
    let bench = Bench::new(&dir.path().join("pods"), "");
    let config = bench.root.join("c.toml");
    assert_eq!(code(&["validate", "--config", config.to_str().unwrap()]), Some(0));
    let mut collector = Running::start(&mut bench.command());
    collector.until(|| !bench.delivered().is_empty());
    assert_eq!(code(&["run", "--config", config.to_str().unwrap()]), Some(4));
    assert_eq!(collector.terminate(), Some(0));
}

/// G1, G2: the configuration is reloaded again and again while lines are written: good ones take
/// over, bad ones change nothing, no line is lost or there twice.
#[test]
fn g1_g2_reloads_lose_and_double_nothing() {
    let pods = tempfile::tempdir().unwrap();
    let dir = pods.path().join("ns_pod_uid/c");
    fs::create_dir_all(&dir).unwrap();
    let bench = Bench::new(pods.path(), "");
    let good = fs::read_to_string(bench.root.join("c.toml")).unwrap();
    let with_filter =
        good.replace("[sinks.out]", "[transforms.t]\ntype = \"parse\"\ninputs = [\"pods\"]\n[sinks.out]");
    let with_filter =
        with_filter.replace("inputs = [\"pods\"]\n            path", "inputs = [\"t\"]\n            path");
    assert!(with_filter.contains("inputs = [\"t\"]"), "{with_filter}");
    let log = fs::File::create(bench.root.join("log")).unwrap();
    let mut child = bench.command().stderr(log).stdout(Stdio::null()).spawn().unwrap();
    let mut file = fs::OpenOptions::new().create(true).append(true).open(dir.join("0.log")).unwrap();
    let mut written = 0u32;
    for round in 0..12 {
        for _ in 0..50 {
            use std::io::Write as _;
            writeln!(file, "2026-11-24T10:00:00.{written:09}Z stdout F line={written}").unwrap();
            written += 1;
        }
        let next = match round % 3 {
            0 => with_filter.clone(),
            1 => good.replace("type = \"file\"", "type = \"flie\""),
            _ => good.clone(),
        };
        fs::write(bench.root.join("c.toml"), next).unwrap();
        let before = bench.delivered().len();
        let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        if round > 0 {
            rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while bench.delivered().len() == before && std::time::Instant::now() < deadline {
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while bench.delivered().len() < written as usize && std::time::Instant::now() < deadline {
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    let log = fs::read_to_string(bench.root.join("log")).unwrap();
    assert!(child.try_wait().unwrap().is_none(), "it ended: {log}");
    child.kill().unwrap();
    child.wait().unwrap();
    let mut bodies: Vec<String> =
        bench.delivered().into_iter().map(|record| String::from_utf8(record.body).unwrap()).collect();
    bodies.sort_by_key(|body| body[5..].parse::<u32>().unwrap());
    let expected: Vec<String> = (0..written).map(|number| format!("line={number}")).collect();
    assert_eq!(bodies, expected, "{log}");
    assert!(log.matches("new configuration taken over").count() >= 7, "{log}");
    assert_eq!(log.matches("can't be used; going on as before").count(), 4, "{log}");
}

/// The bench waits half a second for news; the pauses of a paced file are longer.
#[test]
fn a_paced_file_is_read_to_its_end_before_the_collector_is_idle() {
    let bench = Bench::of(
        "[sources.in]\ntype = \"file\"\ninclude = [\"{root}/app.log\"]\nrate_limit = \"4KiB\"\n[sinks.out]inputs = [\"in\"]\n",
    );
    let lines: Vec<String> = (0..160).map(|n| format!("{n:03} {}", "x".repeat(76))).collect();
    fs::write(bench.root.join("app.log"), lines.join("\n") + "\n").unwrap();
    let output = bench.run_until_idle();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(bench.delivered().len(), lines.len());
}
