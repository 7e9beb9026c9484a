//! The collector beside a real container runtime: real pods, real log files, rotation as the
//! kubelet does it.

use logq_tests::container_runtime::{Runtime, compress, missing, until};
use logq_tests::harness::collector::Collector;
use logq_tests::harness::landed::{Landed, landed};
use logq_tests::harness::{Daemon, Program, Programs};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Time for the collector to catch up and end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn collector(programs: &Programs, dir: &Path, until_idle: bool) -> Daemon {
    let config = dir.join("collector.toml").into_os_string();
    let mut arguments = vec!["run".into(), "--config".into(), config];
    if until_idle {
        arguments.extend(["--until-idle".into(), "7s".into()]);
    }
    Daemon::start(programs, Program::Collector, arguments, &dir.join("collector.log")).unwrap()
}

fn of<'a>(landed: &'a [Landed], container: &str, restart: u32) -> Vec<&'a Landed> {
    let ours =
        |record: &&Landed| record.stream.container == container && record.stream.restart == Some(restart);
    landed.iter().filter(ours).collect()
}

/// Numbers of the "line <number> …" records, with how often each occurs.
fn numbers(landed: &[Landed], container: &str, restart: u32) -> BTreeMap<u64, u32> {
    let mut numbers = BTreeMap::new();
    for record in of(landed, container, restart) {
        let text = std::str::from_utf8(&record.body).unwrap();
        assert_eq!(text.trim_end_matches('\r').len(), 200, "{text}");
        let number: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
        let stderr = number % 7 == 6 && container != "terminal";
        assert_eq!(record.stream.stdio, if stderr { "stderr" } else { "stdout" }, "line {number}");
        *numbers.entry(number).or_default() += 1;
    }
    numbers
}

fn once_each(range: std::ops::Range<u64>) -> BTreeMap<u64, u32> {
    range.map(|number| (number, 1)).collect()
}

/// G2: whatever containerd and the kubelet do to a log, every record arrives, once.
#[test]
fn g2_records_of_real_containers_arrive_once() {
    if let Some(reason) = missing() {
        println!("skipped: container runtime test: {reason}");
        return;
    }
    let programs = Programs::locate_these(&[Program::Collector]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut runtime = Runtime::start(&dir.join("runtime")).unwrap();
    let settings = Collector::to_directory(&dir.join("data"), &runtime.pods_dir(), &dir.join("out"));
    settings.write(&dir.join("collector.toml")).unwrap();
    let mut first = collector(&programs, dir, false);

    let pod = runtime.pod("shop", "api-6d5f", "5b0c8a4e-0001-4000-8000-000000000001").unwrap();
    let busy = runtime.run(&pod, "busy", 0, &["count", "0", "6000", "200", "700"], false).unwrap();
    let size = || busy.log.metadata().map_or(0, |metadata| metadata.len());
    until("the first lines", || size() > 100_000).unwrap();
    let oldest = runtime.rotate(&busy, "20261124-120001").unwrap();
    until("more lines", || size() > 100_000).unwrap();
    first.kill();
    // While nobody reads: another rotation, and the kubelet compresses the older file.
    let newest = runtime.rotate(&busy, "20261124-120002").unwrap();
    compress(&oldest).unwrap();
    let mut second = collector(&programs, dir, false);
    runtime.wait(&busy).unwrap();

    // A restart writes 1.log; payloads around the size at which the runtime splits a line.
    let sizes = [0usize, 1, 16_383, 16_384, 16_385, 32_768, 40_000];
    let words: Vec<String> =
        std::iter::once("sizes".to_owned()).chain(sizes.map(|n| n.to_string())).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let exact = runtime.run(&pod, "busy", 1, &words, false).unwrap();
    let terminal = runtime.run(&pod, "terminal", 0, &["count", "0", "50", "200", "0"], true).unwrap();
    // Its last line has no newline: the runtime writes `P` lines and never an `F`.
    let tail = runtime.run(&pod, "tail", 0, &["tail"], false).unwrap();
    for container in [&exact, &terminal, &tail] {
        runtime.wait(container).unwrap();
    }
    second.kill();
    runtime.remove(&pod).unwrap();
    let mut third = collector(&programs, dir, false);
    // The kubelet removes the logs of a removed pod; by then somebody holds the files open.
    until("the collector to have the files open", || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", third.id())).into_iter().flatten().flatten();
        open.filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|path| path == tail.log)
    })
    .unwrap();
    until("the collector to have read them", || {
        landed(&dir.join("out")).is_ok_and(|landed| of(&landed, "terminal", 0).len() == 50)
    })
    .unwrap();
    std::fs::remove_dir_all(&pod.logs).unwrap();
    until("the held-back end of the deleted file", || {
        landed(&dir.join("out")).is_ok_and(|landed| of(&landed, "tail", 0).len() == 2)
    })
    .unwrap_or_else(|error| panic!("{error}; {}", third.last_words()));
    assert!(third.stop(PATIENCE).unwrap().is_some_and(|status| status.success()), "{}", third.last_words());

    let landed = landed(&dir.join("out")).unwrap();
    assert_eq!(numbers(&landed, "busy", 0), once_each(0..6000), "{}", newest.display());
    assert_eq!(numbers(&landed, "terminal", 0), once_each(0..50));
    let found: Vec<(usize, Option<u8>)> = of(&landed, "busy", 1)
        .iter()
        .map(|record| (record.body.len(), record.body.first().copied()))
        .collect();
    let expected: Vec<(usize, Option<u8>)> =
        sizes.iter().zip(b'a'..).map(|(size, letter)| (*size, (*size > 0).then_some(letter))).collect();
    assert_eq!(found, expected);
    // Objects are in the order of their keys, which is not that of time.
    let mut tails = of(&landed, "tail", 0);
    tails.sort_by_key(|record| record.offset);
    let tails: Vec<usize> = tails.iter().map(|record| record.body.len()).collect();
    assert_eq!(tails, [5, 20_000]);
}
