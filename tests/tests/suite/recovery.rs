//! SIGKILL at random moments: nothing is lost, nothing is there twice.
//!
//! Each test prints its seed; `LOGQ_SEED` repeats a run.

use crate::stage::{Stage, plan};
use logq_schemas::landing;
use logq_tests::harness::collector::Collector;
use logq_tests::harness::{Daemon, Program, Report, pause};
use logq_tests::loggen::cri::apps::App;
use logq_tests::loggen::cri::{Container, Line, PodsWriter, Stdio};
use logq_tests::loggen::vpc_flow::Layout;
use logq_tests::loggen::{Plan, Random};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn seed(name: &str) -> u64 {
    let given = std::env::var("LOGQ_SEED").ok().and_then(|seed| seed.parse().ok());
    let fresh = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    };
    let seed = given.unwrap_or_else(fresh);
    println!("{name}: seed {seed} (repeat with LOGQ_SEED={seed})");
    seed
}

fn container(number: usize) -> Container {
    Container {
        namespace: "load".to_owned(),
        pod: format!("writer-{number}"),
        uid: format!("00000000-0000-4000-8000-{number:012}"),
        name: "app".to_owned(),
        restart: 0,
        app: App::Plain,
    }
}

/// Every record body of every landing object below `root`, with how often it occurs.
fn landed(root: &Path) -> BTreeMap<String, u64> {
    let mut bodies = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).into_iter().filter_map(Result::ok) {
        if !entry.path().to_string_lossy().ends_with(landing::SUFFIX) {
            continue;
        }
        let file = std::fs::File::open(entry.path()).unwrap();
        let mut text = String::new();
        zstd::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap();
        let (mut records, mut end) = (0, None);
        for line in text.lines() {
            if let Ok(record) = serde_json::from_str::<landing::Record<'_>>(line) {
                records += 1;
                *bodies.entry(record.b.unwrap().into_owned()).or_default() += 1;
            } else if let Ok(trailer) = serde_json::from_str::<landing::Trailer>(line) {
                end = Some(trailer.end);
            }
        }
        assert_eq!(end, Some(records), "{} is incomplete", entry.path().display());
    }
    bodies
}

/// Writes lines to three containers as fast as `pace` allows, rotating often, until told to stop.
/// Gives the number of lines per container.
fn write_until(stop: &AtomicBool, pods: &Path, seed: u64) -> Vec<u64> {
    let containers: Vec<Container> = (0..3).map(container).collect();
    let mut writer = PodsWriter::create(pods, &containers).unwrap();
    let mut random = Random::new(seed, "writer");
    let mut sequence = [0u64; 3];
    let padding = "x".repeat(180);
    while !stop.load(Ordering::Relaxed) {
        let now = chrono::Utc::now();
        for (container, next) in sequence.iter_mut().enumerate() {
            for _ in 0..random.between(1, 120) {
                let number = *next;
                *next += 1;
                // One in fifty is above the runtime's line limit and comes in pieces.
                let body = match random.below(50) {
                    0 => format!("id={container}-{number} {}", "y".repeat(20_000)),
                    _ => format!("id={container}-{number} {padding}"),
                };
                let nanosecond = now.timestamp_nanos_opt().unwrap();
                let stdio = if random.chance(0.2) { Stdio::Err } else { Stdio::Out };
                writer.write(&Line { container, nanosecond, stdio, body: body.into_bytes() }).unwrap();
            }
            if random.below(60) == 0 {
                writer.rotate(container, now.timestamp()).unwrap();
            }
        }
        writer.flush().unwrap();
        pause(Duration::from_millis(10));
    }
    writer.flush().unwrap();
    writer.records()
}

fn start_collector(stage: &Stage, config: &Path) -> Daemon {
    let arguments = ["run".into(), "--config".into(), config.as_os_str().to_owned()];
    Daemon::start(&stage.programs, Program::Collector, arguments, &stage.path("collector.log")).unwrap()
}

/// G1: SIGKILL of the collector while three containers write fast and rotate.
#[test]
fn g1_no_line_is_lost_or_doubled_when_the_collector_is_killed() {
    let seed = seed("g1");
    let stage = Stage::new();
    let (pods, out, config) = (stage.path("pods"), stage.path("out"), stage.path("collector.toml"));
    Collector::to_directory(&stage.path("data"), &pods, &out).write(&config).unwrap();
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(&stop, &pods, seed));
        let mut random = Random::new(seed, "kills");
        for _ in 0..5 {
            let mut collector = start_collector(&stage, &config);
            pause(Duration::from_millis(random.between(150, 1_600)));
            assert!(collector.is_running(), "it ended by itself:\n{}", collector.last_words());
            collector.kill();
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    let arguments =
        ["run".into(), "--until-idle".into(), "3s".into(), "--config".into(), config.into_os_string()];
    let mut last =
        Daemon::start(&stage.programs, Program::Collector, arguments, &stage.path("collector.log")).unwrap();
    let status = last.finish(Duration::from_secs(120)).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{}", last.last_words());
    let landed = landed(&out);
    let mut lost = Vec::new();
    for (container, count) in written.iter().enumerate() {
        for number in 0..*count {
            let head = format!("id={container}-{number} ");
            let found = landed.range(head.clone()..).next().is_some_and(|(body, _)| body.starts_with(&head));
            if !found {
                lost.push(head);
            }
        }
    }
    let doubled = landed.values().filter(|count| **count > 1).count();
    let total: u64 = written.iter().sum();
    println!("g1: {total} lines written, {} lost, {doubled} doubled", lost.len());
    assert!(lost.is_empty(), "{} of {total} lost, e.g. {:?}", lost.len(), &lost[..lost.len().min(5)]);
    assert_eq!(doubled, 0, "lines that are in landing objects twice");
    assert_eq!(landed.values().sum::<u64>(), total);
}

fn assert_once(stage: &Stage, expected: &[(&str, u64)]) {
    for (table, rows) in expected {
        assert_eq!(stage.count(table), *rows, "{table}");
        assert_eq!(stage.repeated(table), 0, "{table} has repeated event_uids");
    }
    let unbalanced = stage
        .lake
        .number("select count(*) as n from ingest where records <> rows + rejected + duplicates + skipped");
    assert_eq!(unbalanced.unwrap(), 0);
    let ledger = stage.lake.number("select sum(rows) as n from ingest").unwrap();
    assert_eq!(ledger, expected.iter().map(|(_, rows)| rows).sum::<u64>(), "the ledger counts other rows");
}

/// G3: SIGKILL of `once` at random moments; the last run completes.
#[test]
fn g3_a_killed_run_over_a_directory_is_completed_by_the_next() {
    let seed = seed("g3 once");
    let stage = Stage::new();
    let (root, manifest) = stage.corpus(&plan(31), Layout::V2);
    let mut random = Random::new(seed, "kills");
    for _ in 0..6 {
        let arguments = [
            "once".into(),
            "--lake".into(),
            stage.lake.location().into(),
            root.join("AWSLogs").into_os_string(),
        ];
        let log = stage.path("processor.log");
        let mut processor = Daemon::start(&stage.programs, Program::Processor, arguments, &log).unwrap();
        let deadline = Instant::now() + Duration::from_millis(random.between(40, 1_500));
        while processor.is_running() && Instant::now() < deadline {
            pause(Duration::from_millis(5));
        }
        processor.kill();
    }
    let report: Report = stage.once(&[root.join("AWSLogs")]);
    assert_eq!(report.status, 0, "{}", report.stderr);
    assert_once(
        &stage,
        &[("cloudtrail", manifest.cloudtrail.rows()), ("vpc_flow", manifest.vpc_flow.rows())],
    );
}

/// G3: SIGKILL of `run` while objects keep coming.
#[test]
fn g3_a_killed_processor_takes_every_object_in_once() {
    let seed = seed("g3 run");
    let stage = Stage::new();
    let (root, manifest) = stage.corpus(&Plan { cloudtrail: 2_500, ..plan(32) }, Layout::V5);
    let watched = stage.path("watched");
    std::fs::create_dir(&watched).unwrap();
    let arguments = |until_idle: bool| {
        let mut arguments: Vec<std::ffi::OsString> =
            vec!["run".into(), "--lake".into(), stage.lake.location().into()];
        arguments.extend(["--watch".into(), watched.clone().into_os_string()]);
        arguments.extend(["--commit-interval".into(), "200ms".into()]);
        if until_idle {
            arguments.extend(["--until-idle".into(), "3s".into()]);
        }
        arguments
    };
    let mut objects: Vec<_> = walkdir::WalkDir::new(root.join("AWSLogs"))
        .sort_by_file_name()
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.into_path())
        .collect();
    let mut random = Random::new(seed, "kills");
    let share = objects.len() / 5 + 1;
    let log = stage.path("processor.log");
    for _ in 0..5 {
        let mut processor =
            Daemon::start(&stage.programs, Program::Processor, arguments(false), &log).unwrap();
        for path in objects.drain(..share.min(objects.len())) {
            let name = path.strip_prefix(&root).unwrap();
            std::fs::create_dir_all(watched.join(name).parent().unwrap()).unwrap();
            std::fs::rename(&path, watched.join(name)).unwrap();
        }
        let deadline = Instant::now() + Duration::from_millis(random.between(100, 2_500));
        while Instant::now() < deadline {
            assert!(processor.is_running(), "it ended by itself:\n{}", processor.last_words());
            pause(Duration::from_millis(20));
        }
        processor.kill();
    }
    let mut last = Daemon::start(&stage.programs, Program::Processor, arguments(true), &log).unwrap();
    let status = last.finish(Duration::from_secs(180)).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{}", last.last_words());
    assert_once(
        &stage,
        &[("cloudtrail", manifest.cloudtrail.rows()), ("vpc_flow", manifest.vpc_flow.rows())],
    );
}

/// G3: two processors on the same lake at the same time, same input.
#[test]
fn g3_two_processors_on_the_same_input_take_it_in_once() {
    let stage = Stage::new();
    let (root, manifest) = stage.corpus(&Plan { cloudtrail: 800, flows: 2_000, ..plan(33) }, Layout::V5);
    let start = |shard: &str| {
        let arguments = [
            "once".into(),
            "--lake".into(),
            stage.lake.location().into(),
            "--shard".into(),
            shard.into(),
            root.join("AWSLogs").into_os_string(),
        ];
        Daemon::start(&stage.programs, Program::Processor, arguments, &stage.path(shard)).unwrap()
    };
    let (mut one, mut two) = (start("one"), start("two"));
    for processor in [&mut one, &mut two] {
        let status = processor.finish(Duration::from_secs(180)).unwrap();
        assert!(status.is_some_and(|status| status.success()), "{}", processor.last_words());
    }
    assert_once(
        &stage,
        &[("cloudtrail", manifest.cloudtrail.rows()), ("vpc_flow", manifest.vpc_flow.rows())],
    );
}
