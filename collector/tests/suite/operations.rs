//! Operating a running collector: looking at records, the table of components, probes, draining.

use crate::program::{Bench, Running};
#[cfg(feature = "http")]
use crate::receiver::{Receiver, Reply};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fn log_file(root: &Path) -> fs::File {
    let dir = root.join("pods/shop_api-1_u1/api");
    fs::create_dir_all(&dir).unwrap();
    fs::OpenOptions::new().create(true).append(true).open(dir.join("0.log")).unwrap()
}

fn line(number: u32, body: &str) -> String {
    format!("2026-11-22T10:00:00.{number:06}Z stdout F {body}\n")
}

/// A port that is free now.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logq-collector"));
    command.args(args);
    command
}

fn page(address: SocketAddr, path: &str) -> String {
    let mut answer = String::new();
    let Ok(mut stream) = TcpStream::connect(address) else { return answer };
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    // A collector that is killed in between shows in what the test waits for.
    drop(stream.read_to_string(&mut answer));
    answer
}

fn value(address: SocketAddr, series: &str) -> f64 {
    let text = page(address, "/metrics");
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
}

fn pods_to(sinks: &str, admin: &str) -> String {
    format!(
        "admin.{admin}\n[sources.pods]\ntype = \"kubernetes_logs\"\npods_dir = \"{{root}}/pods\"\n\
         [transforms.clean]\ntype = \"redact\"\ninputs = [\"pods\"]\n{sinks}"
    )
}

#[test]
fn tap_shows_records_as_they_pass_and_no_escape_reaches_the_terminal() {
    let bench = Bench::of(&pods_to("[sinks.out]\ninputs = [\"clean\"]\n", "tap = true"));
    let config = bench.root.join("c.toml");
    let config = config.to_str().unwrap();
    let mut log = log_file(&bench.root);
    log.write_all(line(0, "first").as_bytes()).unwrap();
    let mut collector = Running::start(&mut bench.command());
    collector.until(|| !bench.delivered().is_empty());

    let args = ["tap", "clean", "--config", config, "--match", "evil", "--pod", "api-*"];
    let mut tap = program(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut notices = BufReader::new(tap.stderr.take().unwrap()).lines();
    // From here on it is watching.
    assert!(notices.next().unwrap().unwrap().contains("showing clean"));
    log.write_all((line(1, "harmless") + &line(2, "\x1b]0;evil\x07 Bearer 0123456789abcdefXYZ")).as_bytes())
        .unwrap();
    let mut shown = BufReader::new(tap.stdout.take().unwrap());
    let mut first = String::new();
    shown.read_line(&mut first).unwrap();
    assert!(first.contains("[clean] shop/api-1/api stdout | \\x1b]0;evil\\x07 "), "{first:?}");
    assert!(!first.contains("0123456789abcdefXYZ"), "behind redact it is redacted: {first}");
    let id = rustix::process::Pid::from_child(&tap);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(tap.wait().unwrap().code(), Some(0));

    // Whoever closes the pipe has seen enough.
    let mut tap = program(&["tap", "--config", config, "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(tap.stdout.take());
    let mut notices = BufReader::new(tap.stderr.take().unwrap()).lines();
    assert!(notices.next().unwrap().unwrap().contains("showing pods, clean"));
    log.write_all(line(3, "more").as_bytes()).unwrap();
    assert_eq!(tap.wait().unwrap().code(), Some(0));

    let output = program(&["tap", "nothing", "--config", config]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is pods, clean"));
    assert_eq!(collector.terminate(), Some(0));
    let output = program(&["tap", "--config", config]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "nobody answers any more");
    assert_eq!(bench.delivered().len(), 4, "looking changed nothing");
}

#[test]
fn tap_can_be_switched_off() {
    let bench = Bench::of(&pods_to("[sinks.out]\ninputs = [\"clean\"]\n", "tap = false"));
    log_file(&bench.root).write_all(line(0, "first").as_bytes()).unwrap();
    let mut collector = Running::start(&mut bench.command());
    collector.until(|| !bench.delivered().is_empty());
    assert!(!bench.root.join("data/tap").exists());
    let output = program(&["tap", "--config"]).arg(bench.root.join("c.toml")).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("admin.tap is false"));
    assert_eq!(collector.terminate(), Some(0));
}

/// Gives a bench an admin address.
fn serve_admin(bench: &Bench) -> SocketAddr {
    let address = free_address();
    let path = bench.root.join("c.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("admin.address = \"\"", &format!("admin.address = \"{address}\"")))
        .unwrap();
    address
}

#[test]
fn top_counts_every_component_once_as_json_and_as_a_narrow_table() {
    let bench = Bench::of(&pods_to("[sinks.out]\ninputs = [\"clean\"]\n", "tap = true"));
    let address = serve_admin(&bench);
    let lines: String = (0..100).map(|number| line(number, "x")).collect();
    log_file(&bench.root).write_all(lines.as_bytes()).unwrap();
    let mut collector = Running::start(&mut bench.command());
    collector.until(|| bench.delivered().len() == 100);
    let config = bench.root.join("c.toml");
    let top = |args: &[&str]| {
        let mut command = program(&["top", "--once", "--interval", "100ms", "--config"]);
        let output = command.arg(&config).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let view: serde_json::Value = serde_json::from_str(&top(&["--format", "json"])).unwrap();
    let components = view["components"].as_array().unwrap();
    let names: Vec<&str> = components.iter().map(|component| component["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["pods", "clean", "out"]);
    assert!(view["resident_bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!(view["files"], 1);
    let table = top(&[]);
    assert!(!table.contains('\x1b') && table.lines().all(|line| line.chars().count() <= 80), "{table}");
    for (kind, id) in [("source", "pods"), ("transform", "clean"), ("sink", "out")] {
        for direction in ["received", "sent"] {
            let labels = format!("{{component_kind=\"{kind}\",component_id=\"{id}\"}}");
            let series = format!("component_{direction}_events_total{labels}");
            collector.until(|| (value(address, &series) - 100.0).abs() < 0.5);
        }
    }
    collector.until(|| value(address, "collector_sink_oldest_unacknowledged_seconds{sink=\"out\"}") < 0.5);
    assert_eq!(collector.terminate(), Some(0));
    let gone = program(&["top", "--once", "--config"]).arg(&config).output().unwrap();
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("no answer from a collector"));
}

/// A service that takes connections and never answers.
fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn away(endpoint: SocketAddr, timeout: &str) -> String {
    format!(
        "[sinks.out]\ninputs = [\"clean\"]\n[sinks.away]\ntype = \"aws_s3\"\ninputs = [\"clean\"]\n\
         bucket = \"none\"\nregion = \"us-east-1\"\nendpoint = \"http://{endpoint}\"\nrequest.timeout = \"{timeout}\"\n"
    )
}

fn with_credentials(bench: &Bench) -> Command {
    let mut command = bench.command();
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command
}

/// A service that hangs is noticed once its request timed out, on the page that does not restart the
/// collector; the age of what waits grows.
#[test]
fn a_hanging_sink_makes_the_collector_unready_but_not_dead() {
    let (_listener, endpoint) = silent();
    let bench = Bench::of(&pods_to(&away(endpoint, "200ms"), "tap = false"));
    let address = serve_admin(&bench);
    log_file(&bench.root).write_all(line(0, "x").as_bytes()).unwrap();
    let mut collector = Running::start(&mut with_credentials(&bench));
    collector.until(|| page(address, "/readyz").contains("not ready: sink away"));
    assert!(page(address, "/healthz").starts_with("HTTP/1.1 200"));
    let oldest = "collector_sink_oldest_unacknowledged_seconds{sink=\"away\"}";
    collector.until(|| value(address, oldest) >= 1.0);
    assert!(bench.delivered().len() == 1, "the other sink has it");
}

/// The collector ended while its request was hanging: one that was waited for would have been given
/// up in the end, and that is an error in the log.
fn assert_still_hanging(log: &Path) {
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("draining") && !log.contains("delivery failed"), "{log}");
}

/// Draining ends within its time although a sink hangs; what that sink does not have is in the
/// spool and reaches it later, and the other sink has the tail.
#[test]
fn a_drain_delivers_the_tail_and_is_not_held_up_by_a_hanging_sink() {
    let (_listener, endpoint) = silent();
    let text = format!("shutdown_timeout = \"1s\"\n{}", pods_to(&away(endpoint, "60s"), "tap = false"));
    let bench = Bench::of(&text);
    let mut log = log_file(&bench.root);
    log.write_all(line(0, "first").as_bytes()).unwrap();
    let errors = bench.root.join("log");
    let mut command = with_credentials(&bench);
    command.stdout(Stdio::null()).stderr(fs::File::create(&errors).unwrap());
    let mut collector = Running(command.spawn().unwrap());
    collector.until(|| !bench.delivered().is_empty());
    // Written right before the signal: the tail is what shutdowns lose.
    let tail: String = (1..5_000).map(|number| line(number, &format!("tail {number}"))).collect();
    log.write_all(tail.as_bytes()).unwrap();
    assert_eq!(collector.terminate(), Some(0));
    assert_still_hanging(&errors);
    let taken = bench.delivered().len();
    let waiting: serde_json::Value = {
        let output =
            program(&["spool", "--json", "--config"]).arg(bench.root.join("c.toml")).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let for_away = waiting["segments"].as_array().unwrap().iter();
    let for_away = for_away.filter(|segment| segment["waiting"].as_array().unwrap().contains(&"away".into()));
    let records: u64 = for_away.map(|s| s["records"]["away,out"].as_u64().unwrap()).sum();
    assert_eq!(records, taken as u64, "what one sink has waits for the other");
    // Nothing of the tail is lost: what was not read before the signal is read now.
    let config = bench.root.join("c.toml");
    let text = fs::read_to_string(&config).unwrap();
    let (before, _) = text.split_once("[sinks.away]").unwrap();
    fs::write(&config, before).unwrap();
    assert!(bench.run_until_idle().status.success());
    assert_eq!(bench.delivered().len(), 5_000);
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let (_listener, endpoint) = silent();
    let text = format!("shutdown_timeout = \"100s\"\n{}", pods_to(&away(endpoint, "60s"), "tap = false"));
    let bench = Bench::of(&text);
    log_file(&bench.root).write_all(line(0, "first").as_bytes()).unwrap();
    let errors = bench.root.join("log");
    let mut command = with_credentials(&bench);
    command.stdout(Stdio::null()).stderr(fs::File::create(&errors).unwrap());
    let mut collector = Running(command.spawn().unwrap());
    collector.until(|| !bench.delivered().is_empty());
    collector.signal(rustix::process::Signal::TERM);
    collector.until(|| fs::read_to_string(&errors).unwrap().contains("signal received, draining"));
    // It may come before the drain waits for one: it is kept until then.
    assert_eq!(collector.terminate(), Some(0));
    assert_still_hanging(&errors);
}

/// The hard limit of a cgroup, for one child; none where the machine gives none.
struct Cgroup(std::path::PathBuf);

impl Cgroup {
    fn new(bytes: u64) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("logq-{}-{number}", std::process::id());
        let dir = Path::new("/sys/fs/cgroup/memory").join(name);
        fs::create_dir(&dir).ok()?;
        let cgroup = Self(dir);
        fs::write(cgroup.0.join("memory.limit_in_bytes"), bytes.to_string()).ok()?;
        Some(cgroup)
    }

    /// The command inside it.
    fn wrap(&self, command: &Command) -> Command {
        let mut wrapped = Command::new("sh");
        wrapped.arg("-c").arg("echo $$ > \"$0/cgroup.procs\" && exec \"$@\"").arg(&self.0);
        wrapped.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            wrapped.env(name, value.unwrap_or_default());
        }
        wrapped
    }

    /// What the kernel says about processes it killed.
    fn kills(&self) -> String {
        fs::read_to_string(self.0.join("memory.oom_control")).unwrap_or_default()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.0));
    }
}

/// 200 containers with a record of a megabyte each that does not end: 200 MiB of open records, with
/// 8 MiB to hold them in and a hard limit far below. Nobody is killed and every byte arrives.
#[test]
fn open_records_of_many_streams_stay_within_a_memory_limit() {
    const STREAMS: usize = 200;
    const PARTS: usize = 64;
    let Some(cgroup) = Cgroup::new(96 << 20) else {
        eprintln!("skipped: no memory cgroup (version 1) can be made here");
        return;
    };
    let endpoint = free_address();
    let text = pods_to(&away(endpoint, "1s"), "tap = false");
    let text = text.replace("pods_dir =", "max_held_bytes = \"8MiB\"\npods_dir =");
    let bench = Bench::of(&text);
    let part = "x".repeat(16 * 1024);
    let parts = format!("2026-11-22T10:00:00.000000000Z stdout P {part}\n").repeat(PARTS);
    let log = |stream: usize| {
        let dir = bench.root.join(format!("pods/shop_api-{stream}_u{stream}/api"));
        fs::create_dir_all(&dir).unwrap();
        fs::OpenOptions::new().create(true).append(true).open(dir.join("0.log")).unwrap()
    };
    for stream in 0..STREAMS {
        // Files with the same beginning are told apart by their owner.
        log(stream).write_all(parts.as_bytes()).unwrap();
    }
    let mut collector = Running::start(&mut cgroup.wrap(&with_credentials(&bench)));
    collector.until(|| !bench.delivered().is_empty());
    for stream in 0..STREAMS {
        log(stream).write_all(b"2026-11-22T10:00:01.000000000Z stdout F end\n").unwrap();
    }
    let ended =
        |bench: &Bench| bench.delivered().iter().filter(|record| record.body.ends_with(b"end")).count();
    collector.until(|| {
        std::thread::park_timeout(Duration::from_millis(200));
        ended(&bench) == STREAMS
    });
    assert!(!cgroup.kills().contains("oom_kill 1"), "{}", cgroup.kills());
    assert_eq!(collector.terminate(), Some(0));
    let bytes: usize = bench.delivered().iter().map(|record| record.body.len()).sum();
    assert_eq!(bytes, STREAMS * (PARTS * part.len() + 3));
}

/// Lines that zstd can halve at best.
#[cfg(feature = "http")]
fn noise(stream: usize, lines: u32) -> String {
    let mut state = stream as u64 + 1;
    let mut body = String::new();
    let mut out = String::new();
    for number in 0..lines {
        body.clear();
        for _ in 0..60 {
            // Knuth's generator: its high bits look random enough to a compressor.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            body += &format!("{:08x}g{:07x}", state >> 32, (state >> 16) & 0xfff_ffff);
        }
        out += &line(number, &body);
    }
    out
}

/// Everything at once that takes memory: many streams with open records, a backlog, an S3 that
/// hangs, an HTTP service that works until many requests are in flight and then hangs. Under a hard
/// limit half as large again as the ceiling nobody is killed, the healthy sink has every byte, and
/// what the others lack is in the spool.
#[cfg(feature = "http")]
#[test]
fn everything_at_once_stays_below_the_ceiling_and_loses_nothing() {
    const STREAMS: usize = 100;
    const LINES: u32 = 512;
    const PARTS: usize = 12;
    let Some(cgroup) = Cgroup::new(48 << 20) else {
        eprintln!("skipped: no memory cgroup (version 1) can be made here");
        return;
    };
    let (_listener, silent) = silent();
    let receiver = Receiver::start(None, |number, _| match number {
        0..16 => Reply::Status(200, "", Vec::new()),
        _ => Reply::Hang,
    });
    let text = format!(
        "memory_max = \"32MiB\"\nbatch.max_bytes = \"256KiB\"\nsegment.max_bytes = \"1MiB\"\n\
         shutdown_timeout = \"1s\"\n{}\
         [sinks.http]\ntype = \"http\"\ninputs = [\"clean\"]\nuri = \"http://127.0.0.1:{}/\"\n\
         batch = {{ max_bytes = \"1536KiB\", max_events = 10000 }}\n\
         request = {{ timeout = \"90s\", concurrency = 16 }}\n",
        pods_to(&away(silent, "90s"), "tap = false"),
        receiver.port
    );
    let bench = Bench::of(&text.replace("pods_dir =", "max_line_bytes = \"256KiB\"\npods_dir ="));
    let address = serve_admin(&bench);
    let log = |stream: usize| {
        let dir = bench.root.join(format!("pods/shop_api-{stream}_u{stream}/api"));
        fs::create_dir_all(&dir).unwrap();
        fs::OpenOptions::new().create(true).append(true).open(dir.join("0.log")).unwrap()
    };
    let part = "x".repeat(16 * 1024);
    for stream in 0..STREAMS {
        // A backlog, and a record that stays open.
        let open = format!("2026-11-22T10:00:01.000000000Z stdout P {part}\n").repeat(PARTS);
        log(stream).write_all((noise(stream, LINES) + &open).as_bytes()).unwrap();
    }
    let mut collector = Running::start(&mut cgroup.wrap(&with_credentials(&bench)));
    let sent = || value(address, "collector_sink_sent_records_total{sink=\"out\"}");
    // The sink that hangs holds all it can get and would take more; the healthy one goes on.
    let waits = || value(address, "collector_sink_memory_waits_total{sink=\"http\"}");
    collector.until(|| {
        std::thread::park_timeout(Duration::from_millis(100));
        waits() >= 1.0 && sent() >= (STREAMS * LINES as usize) as f64
    });
    for stream in 0..STREAMS {
        log(stream).write_all(b"2026-11-22T10:00:02.000000000Z stdout F end\n").unwrap();
    }
    let ended = || bench.delivered().iter().filter(|record| record.body.ends_with(b"end")).count();
    collector.until(|| {
        std::thread::park_timeout(Duration::from_millis(200));
        ended() == STREAMS
    });
    assert_eq!(collector.terminate(), Some(0), "{}", cgroup.kills());
    assert!(cgroup.kills().contains("oom_kill 0"), "{}", cgroup.kills());
    let bytes: usize = bench.delivered().iter().map(|record| record.body.len()).sum();
    assert_eq!(bytes, STREAMS * (LINES as usize * 960 + PARTS * part.len() + 3));
    let output = program(&["spool", "--json", "--config"]).arg(bench.root.join("c.toml")).output().unwrap();
    let spool: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let waiting = |sink: &str| -> u64 {
        let segments = spool["segments"].as_array().unwrap().iter();
        let ours = segments.filter(|segment| segment["waiting"].as_array().unwrap().contains(&sink.into()));
        // The records of the one lane, named by who takes them.
        ours.map(|segment| segment["records"]["away,http,out"].as_u64().unwrap()).sum()
    };
    assert_eq!(waiting("away"), bench.delivered().len() as u64, "what never arrived is all there");
}
