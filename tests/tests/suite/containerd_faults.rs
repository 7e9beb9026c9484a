//! Real containers, a spool on a disk that runs full, and services that fail in every way: what a
//! bad night on a node looks like.

use logq_tests::container_runtime::{Container, Pod, Runtime, compress, missing, until};
use logq_tests::doubles::Server;
use logq_tests::doubles::cloudwatch::CloudWatch;
use logq_tests::doubles::faults::{Fault, Faults};
use logq_tests::doubles::s3::{CREDENTIALS, S3Server, Store};
use logq_tests::harness::landed::{self, Landed};
use logq_tests::harness::{Daemon, Program, Programs, Tmpfs, free_port, wait_for};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(180);

/// Lines of each container that outgrows the spool: 100 bytes each once compressed, over a disk with
/// one MiB beside the spool's reserve.
const NOISE: u64 = 12_000;
/// Lines of the containers started while faults are drawn.
const MORE: u64 = 150;
/// Around the size at which the runtime splits a line.
const SIZES: [usize; 5] = [0, 1, 16_383, 16_384, 16_385];

struct Night {
    dir: PathBuf,
    programs: Programs,
    store: Store,
    cloudwatch: Arc<CloudWatch>,
    faults: [Arc<Faults>; 2],
    admin: u16,
    _servers: [Server; 2],
}

impl Night {
    fn new(seed: u64, dir: &Path) -> Self {
        let outage = [Fault::Hang, Fault::Unavailable, Fault::Reset];
        let faults = [0, 1].map(|n| Arc::new(Faults::new(seed + n, 100, &outage)));
        let (store, s3) = S3Server::start(faults[0].clone()).unwrap();
        let (cloudwatch, logs) = CloudWatch::start(faults[1].clone()).unwrap();
        let admin = free_port().unwrap();
        let text = format!(
            r#"
data_dir = "{dir}/data"
cluster = "test"
node = "n1"
shutdown_timeout = "60s"
admin.address = "127.0.0.1:{admin}"
batch = {{ timeout_secs = "100ms", max_bytes = "64KiB" }}
segment = {{ max_age = "200ms", max_bytes = "128KiB" }}
spool.max_bytes = "64MiB"
[sources.pods]
type = "kubernetes_logs"
pods_dir = "{pods}"
api_server = "none"
rotate_wait = "2s"
[sinks.bucket]
type = "aws_s3"
inputs = ["pods"]
bucket = "landing"
region = "us-east-1"
endpoint = "{s3}"
request = {{ timeout = "1s", backoff = {{ initial = "20ms", max = "200ms" }} }}
[sinks.cloudwatch]
type = "aws_cloudwatch_logs"
inputs = ["pods"]
group_name = "/k8s/{{{{ namespace }}}}"
stream_name = "{{{{ pod }}}}/{{{{ container }}}}"
region = "us-east-1"
endpoint = "{logs}"
request = {{ timeout = "1s", backoff = {{ initial = "20ms", max = "200ms" }} }}
"#,
            dir = dir.display(),
            pods = dir.join("runtime/pods").display(),
            s3 = s3.endpoint(),
            logs = logs.endpoint(),
        );
        std::fs::write(dir.join("c.toml"), text).unwrap();
        let programs = Programs::locate_these(&[Program::Collector]).unwrap();
        Self { dir: dir.to_owned(), programs, store, cloudwatch, faults, admin, _servers: [s3, logs] }
    }

    fn start(&self) -> Daemon {
        let mut command = self.programs.command(Program::Collector);
        command.arg("run").arg("--config").arg(self.dir.join("c.toml"));
        command.envs([("AWS_ACCESS_KEY_ID", CREDENTIALS.0), ("AWS_SECRET_ACCESS_KEY", CREDENTIALS.1)]);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        Daemon::spawn("logq-collector", command, &self.dir.join("collector.log")).unwrap()
    }

    fn is_full(&self) -> bool {
        Daemon::metrics(self.admin).is_some_and(|page| page.contains("collector_spool_full 1"))
    }

    /// All records in S3; every object is whole and was never written again with other content.
    fn in_s3(&self) -> Vec<Landed> {
        let mut records = Vec::new();
        for ((_, key), stored) in self.store.objects() {
            landed::object(&stored.bytes, &mut records).unwrap_or_else(|error| panic!("{key}: {error:#}"));
            assert_eq!(stored.changes, 0, "{key} was written again with other content");
        }
        records
    }

    fn in_cloudwatch(&self, container: &str) -> Vec<String> {
        let events = self.cloudwatch.events();
        let ours = events.into_iter().filter(|((_, stream), _)| stream == &format!("night-1/{container}"));
        ours.flat_map(|(_, events)| events).map(|event| event.message).collect()
    }
}

fn number(line: &str) -> Option<u64> {
    line.strip_prefix("line ")?.split(' ').next()?.parse().ok()
}

/// How often each numbered line of a container is in S3.
fn numbers(records: &[Landed], container: &str) -> BTreeMap<(u32, u64), u32> {
    let mut numbers = BTreeMap::new();
    for record in records.iter().filter(|record| record.stream.container == container) {
        let text = std::str::from_utf8(&record.body).unwrap();
        let restart = record.stream.restart.unwrap();
        *numbers.entry((restart, number(text).unwrap_or_else(|| panic!("{text}")))).or_default() += 1;
    }
    numbers
}

fn noise(runtime: &Runtime, pod: &Pod, name: &str, restart: u32, lines: u64, pause_us: u32) -> Container {
    let (lines, pause) = (lines.to_string(), pause_us.to_string());
    runtime.run(pod, name, restart, &["noise", "0", &lines, "200", &pause], false).unwrap()
}

/// G1, G2: outage of both services until the spool's disk is full, a kill and rotations meanwhile,
/// then every kind of fault: every line of every container arrives, in S3 once.
#[test]
fn g1_g2_real_containers_lose_nothing_to_failing_services_and_a_full_disk() {
    if let Some(reason) = missing() {
        println!("skipped: containers and failing services: {reason}");
        return;
    }
    let seed: u64 = std::env::var("LOGQ_SEED").map_or(11, |seed| seed.parse().unwrap());
    println!("containers and failing services: seed {seed} (LOGQ_SEED)");
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(&dir.path().join("data"), "2m") else {
        println!("skipped: containers and failing services: a tmpfs can't be mounted");
        return;
    };
    let mut runtime = Runtime::start(&dir.path().join("runtime")).unwrap();
    let night = Night::new(seed, dir.path());
    let pod = runtime.pod("shop", "night-1", "5b0c8a4e-0002-4000-8000-000000000001").unwrap();

    let mut collector = night.start();
    let api = noise(&runtime, &pod, "api", 0, NOISE, 100);
    let web = noise(&runtime, &pod, "web", 0, NOISE, 100);
    wait_for("the spool's disk to be full", PATIENCE, || night.is_full())
        .unwrap_or_else(|error| panic!("{error}: {}", collector.last_words()));
    let rotated = runtime.rotate(&api, "20261124-120001").unwrap();
    collector.kill();
    runtime.wait(&api).unwrap();
    runtime.wait(&web).unwrap();
    compress(&rotated).unwrap();
    let mut collector = night.start();
    wait_for("the restarted collector to find it full", PATIENCE, || night.is_full())
        .unwrap_or_else(|error| panic!("{error}: {}", collector.last_words()));

    // From now on four of ten requests fail, until every kind of fault has happened to both services.
    night.faults.iter().for_each(|faults| faults.set(40, &Fault::ALL));
    let mut restarts = 0;
    wait_for("every fault to happen", PATIENCE, || {
        let more = noise(&runtime, &pod, "more", restarts, MORE, 0);
        runtime.wait(&more).unwrap();
        restarts += 1;
        let all = |faults: &Arc<Faults>| Fault::ALL.iter().all(|fault| faults.seen().contains_key(fault));
        night.faults.iter().all(all)
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}", night.faults.each_ref().map(|faults| faults.seen())));
    println!("faults injected: {:?}", night.faults.each_ref().map(|faults| faults.seen()));
    let words: Vec<String> =
        std::iter::once("sizes".to_owned()).chain(SIZES.map(|n| n.to_string())).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let sizes = runtime.run(&pod, "sizes", 0, &words, false).unwrap();
    let tail = runtime.run(&pod, "tail", 0, &["tail"], false).unwrap();
    runtime.wait(&sizes).unwrap();
    runtime.wait(&tail).unwrap();
    let of = |container: &str| {
        let records = night.in_s3();
        records.iter().filter(|record| record.stream.container == container).count()
    };
    // Its first line shows that the file is open; its last one has no newline and no `F`.
    wait_for("the tail to be followed", PATIENCE, || of("tail") >= 1)
        .unwrap_or_else(|error| panic!("{error}: {}", collector.last_words()));
    runtime.remove(&pod).unwrap();
    std::fs::remove_dir_all(pod.logs.join("tail")).unwrap();
    until("the held-back end of the deleted file", || of("tail") == 2)
        .unwrap_or_else(|error| panic!("{error}: {}", collector.last_words()));

    night.faults.iter().for_each(|faults| faults.set(0, &[]));
    assert!(disk.resize("64m"));
    let expected = 2 * NOISE + u64::from(restarts) * MORE + SIZES.len() as u64 + 2;
    let all_there = || {
        let distinct: BTreeSet<String> =
            ["api", "web"].iter().flat_map(|name| night.in_cloudwatch(name)).collect();
        night.in_s3().len() as u64 >= expected && distinct.len() as u64 >= NOISE
    };
    wait_for("everything to arrive", PATIENCE, all_there)
        .unwrap_or_else(|error| panic!("{error}: {}", collector.last_words()));
    assert!(
        collector.stop(PATIENCE).unwrap().is_some_and(|status| status.success()),
        "{}",
        collector.last_words()
    );
    check(&night, restarts);
}

fn check(night: &Night, restarts: u32) {
    let records = night.in_s3();
    let once = |restarts: u32, lines: u64| -> BTreeMap<(u32, u64), u32> {
        (0..restarts).flat_map(|restart| (0..lines).map(move |line| ((restart, line), 1))).collect()
    };
    assert!(numbers(&records, "api") == once(1, NOISE), "api: not every line once in S3");
    assert!(numbers(&records, "web") == once(1, NOISE), "web: not every line once in S3");
    assert!(numbers(&records, "more") == once(restarts, MORE), "more: not every line once in S3");
    let lengths = |container: &str| {
        let ours = records.iter().filter(|record| record.stream.container == container);
        let mut ours: Vec<(u64, usize)> = ours.map(|record| (record.offset, record.body.len())).collect();
        ours.sort_unstable();
        ours.into_iter().map(|(_, length)| length).collect::<Vec<_>>()
    };
    assert_eq!(lengths("sizes"), SIZES);
    assert_eq!(lengths("tail"), [5, 20_000]);
    let identities: BTreeSet<(&str, u64)> =
        records.iter().map(|record| (record.stream.id.as_str(), record.offset)).collect();
    assert_eq!(identities.len(), records.len(), "identities of records");
    for (container, lines) in [("api", NOISE), ("web", NOISE), ("more", MORE)] {
        let arrived: BTreeSet<u64> =
            night.in_cloudwatch(container).iter().filter_map(|message| number(message)).collect();
        assert!(arrived == (0..lines).collect(), "{container}: not every line in CloudWatch Logs");
    }
    assert_eq!(night.cloudwatch.violations(), Vec::<String>::new(), "limits of CloudWatch Logs");
}
