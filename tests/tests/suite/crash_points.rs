//! G1, G2: the collector is killed at every kind of system call it uses to make records durable,
//! and the disk is really full.
//!
//! `strace` delivers SIGKILL at the n-th call of a kind, for every n until the program gets through.
//! What the next start makes of the remains must be every record, once.

use logq_tests::harness::collector::Collector;
use logq_tests::harness::landed::landed;
use logq_tests::harness::{Daemon, Program, Programs, Tmpfs, bytes_below, pause, wait_for};
use logq_tests::loggen::Random;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Time for one short run on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls that change what is on disk, and how many of each are tried: all, or so many picked by the
/// seed (a run has hundreds of writes, most of them to pipes and the log).
const CALLS: [(&str, usize); 7] = [
    ("rename,renameat,renameat2", usize::MAX),
    ("fsync", usize::MAX),
    ("fdatasync", usize::MAX),
    ("unlink,unlinkat", usize::MAX),
    ("ftruncate", usize::MAX),
    ("write", 10),
    ("openat", 6),
];

const LINES: usize = 500;

fn has(program: &str) -> bool {
    Command::new(program).arg("-V").output().is_ok()
}

fn write_logs(pods: &Path) {
    for container in ["one", "two"] {
        let dir = pods.join(format!("shop_api-1_00000000-0000-4000-8000-000000000001/{container}"));
        std::fs::create_dir_all(&dir).unwrap();
        let mut text = String::new();
        for number in 0..LINES {
            let tag = if number % 9 == 3 { 'P' } else { 'F' };
            writeln!(text, "2026-11-24T10:00:00.{number:09}Z stdout {tag} {container}-{number};").unwrap();
        }
        std::fs::write(dir.join("0.log"), text).unwrap();
    }
}

/// What must come out: a partial line is one record with the line behind it.
fn expected() -> BTreeMap<String, u32> {
    let mut bodies = BTreeMap::new();
    for container in ["one", "two"] {
        for number in (0..LINES).filter(|number| number % 9 != 4) {
            let next = if number % 9 == 3 { format!("{container}-{};", number + 1) } else { String::new() };
            bodies.insert(format!("{container}-{number};{next}"), 1);
        }
    }
    bodies
}

fn arrived(out: &Path) -> BTreeMap<String, u32> {
    let mut bodies = BTreeMap::new();
    for record in landed(out).unwrap() {
        *bodies.entry(String::from_utf8(record.body).unwrap()).or_default() += 1;
    }
    bodies
}

struct Bench {
    programs: Programs,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(programs: &Programs) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_logs(&dir.path().join("pods"));
        let path = |name: &str| dir.path().join(name);
        let mut settings = Collector::to_directory(&path("data"), &path("pods"), &path("out"));
        settings.segment_max_age = "50ms".to_owned();
        settings.write(&path("collector.toml")).unwrap();
        // Several frames and several segments, so that every step happens more than once.
        let small = "\n[sources.pods]\nmax_read_bytes = 4096\n";
        let text = settings.text().replace("\n[sources.pods]\n", small);
        let text = text.replace(
            "[batch]\ntimeout_secs = \"500ms\"",
            "[batch]\ntimeout_secs = \"20ms\"\nmax_bytes = 4096",
        );
        let text = text.replace("[segment]\n", "[segment]\nmax_bytes = 4096\n");
        std::fs::write(path("collector.toml"), text).unwrap();
        Self { programs: programs.clone(), dir }
    }

    /// Runs the collector until it has nothing to do, killed at the n-th of the calls if given.
    /// True when it was killed.
    fn run(&self, kill: Option<(&str, usize)>) -> bool {
        let program = self.programs.path(Program::Collector);
        let mut command = match kill {
            Some((calls, when)) => {
                let mut strace = Command::new("strace");
                strace.args(["-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("trace={calls}"));
                strace.arg("-e").arg(format!("inject={calls}:signal=KILL:when={when}")).arg(program);
                strace
            }
            None => Command::new(program),
        };
        command
            .args(["run", "--until-idle", "300ms", "--config"])
            .arg(self.dir.path().join("collector.toml"));
        let log = self.dir.path().join("collector.log");
        let mut daemon = Daemon::spawn("logq-collector", command, &log).unwrap();
        let status = daemon.finish(PATIENCE).unwrap().unwrap();
        // strace ends the way its child did.
        let killed = status.signal() == Some(9);
        assert!(killed || status.success(), "{status}: {}", daemon.last_words());
        killed
    }

    fn check(&self, what: &str) {
        let out = self.dir.path().join("out");
        let (arrived, expected) = (arrived(&out), expected());
        let wrong: Vec<_> = expected
            .iter()
            .filter(|(body, count)| arrived.get(*body) != Some(count))
            .map(|(body, _)| (body, arrived.get(body)))
            .take(5)
            .collect();
        assert!(wrong.is_empty() && arrived.len() == expected.len(), "{what}: {wrong:?}");
    }
}

#[test]
fn g1_a_kill_at_any_system_call_of_the_spool_loses_and_doubles_nothing() {
    if !has("strace") {
        println!("skipped: crash points: strace is not installed");
        return;
    }
    let seed: u64 = std::env::var("LOGQ_SEED").map_or(24, |seed| seed.parse().unwrap());
    println!("crash points: seed {seed} (LOGQ_SEED)");
    let programs = Programs::locate_these(&[Program::Collector]).unwrap();
    let mut random = Random::new(seed, "crash points");
    let mut points = 0;
    for (calls, most) in CALLS {
        let mut when = 0;
        for _ in 0..most {
            when += if most == usize::MAX { 1 } else { usize::try_from(random.between(1, 12)).unwrap() };
            let bench = Bench::new(&programs);
            let killed = bench.run(Some((calls, when)));
            // A second kill at the same place hits the recovery.
            if killed {
                bench.run(Some((calls, when)));
            }
            bench.run(None);
            bench.check(&format!("killed at {calls} number {when}"));
            points += usize::from(killed);
            if !killed {
                break;
            }
        }
    }
    println!("crash points: killed at {points} places");
    assert!(points > 20, "only {points} places: the calls have other names now");
}

/// G1: the disk of the spool fills up while the sink is down (its disk is full as well).
#[test]
fn g1_a_full_disk_delays_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (Some(_data), Some(out)) = (Tmpfs::mount(&path("data"), "3m"), Tmpfs::mount(&path("out"), "256k"))
    else {
        println!("skipped: full disk: a tmpfs can't be mounted (not root?)");
        return;
    };
    let programs = Programs::locate_these(&[Program::Collector]).unwrap();
    let port = logq_tests::harness::free_port().unwrap();
    let mut settings = Collector::to_directory(&path("data"), &path("pods"), &path("out"));
    settings.admin = Some(port);
    settings.segment_max_age = "200ms".to_owned();
    settings.write(&path("collector.toml")).unwrap();
    let logs = path("pods").join("shop_api-1_00000000-0000-4000-8000-000000000001/app");
    std::fs::create_dir_all(&logs).unwrap();
    // Hard to compress, so that the small disks fill.
    let mut random = Random::new(7, "full disk");
    let mut text = String::new();
    for number in 0..60_000 {
        let noise = (random.below(u64::MAX), random.below(u64::MAX), random.below(u64::MAX));
        let (a, b, c) = noise;
        writeln!(text, "2026-11-24T10:00:00.{number:09}Z stdout F line={number} {a:016x}{b:016x}{c:016x}")
            .unwrap();
    }
    std::fs::write(logs.join("0.log"), text).unwrap();
    let arguments = || ["run".into(), "--config".into(), path("collector.toml").into_os_string()];
    let start = || Daemon::start(&programs, Program::Collector, arguments(), &path("collector.log")).unwrap();
    let mut collector = start();
    let full = || Daemon::metrics(port).is_some_and(|page| page.contains("collector_spool_full 1"));
    wait_for("the spool's disk to be full", PATIENCE, full).unwrap_or_else(|error| {
        panic!("{error}: {} bytes; {}", bytes_below(&path("data")), collector.last_words())
    });
    // Killed and started on the full disk, it still finds its way.
    collector.kill();
    let mut collector = start();
    wait_for("the restarted collector to find it full", PATIENCE, full).unwrap();
    pause(Duration::from_millis(200));
    assert!(out.resize("64m"));
    let done = || landed(&path("out")).is_ok_and(|landed| landed.len() == 60_000);
    wait_for("all records", PATIENCE, done)
        .unwrap_or_else(|error| panic!("{error}: {}", collector.last_words()));
    assert!(collector.stop(PATIENCE).unwrap().is_some_and(|status| status.success()));
    let mut numbers: Vec<u64> = landed(&path("out"))
        .unwrap()
        .iter()
        .map(|record| {
            let text = std::str::from_utf8(&record.body).unwrap();
            text.trim_start_matches("line=").split(' ').next().unwrap().parse().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..60_000).collect::<Vec<u64>>());
}
