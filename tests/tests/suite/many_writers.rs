//! Sixteen processors write one lake on S3 at once, each under a shard name of its own: on the in-repo
//! S3 server that fails meanwhile, on the emulator, and on radosgw where there is one.

use crate::aws::{Cloud, assert_once};
use crate::radosgw;
use crate::stage::{END, Stage, plan};
use logq_tests::doubles::faults::{Fault, Faults};
use logq_tests::doubles::s3::{CREDENTIALS, S3Server};
use logq_tests::harness::{Daemon, Lake, Program};
use logq_tests::loggen::Plan;
use logq_tests::loggen::corpus::Manifest;
use logq_tests::loggen::vpc_flow::Layout;
use std::sync::Arc;
use std::time::Duration;

const WRITERS: usize = 16;

/// Starts of one writer: a process that ends with an error is started again, as an orchestrator does.
const STARTS: usize = 8;

const PATIENCE: Duration = Duration::from_secs(300);

const LAKE: &str = "s3://lake/lake";

/// What goes wrong: everything but an answer that never comes, which only costs time here.
const FAULTS: [Fault; 7] = [
    Fault::Internal,
    Fault::Unavailable,
    Fault::Throttled,
    Fault::Reset,
    Fault::ResetAfterBody,
    Fault::AnswerLost,
    Fault::ShortAnswer,
];

fn environment(endpoint: &str) -> Vec<(String, String)> {
    let environment = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", CREDENTIALS.0),
        ("AWS_SECRET_ACCESS_KEY", CREDENTIALS.1),
        ("AWS_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Deals the objects of a corpus out: most to one writer each, one in seven to all of them.
fn deal(stage: &Stage) -> Manifest {
    let small = Plan { start: END - 3_600, cloudtrail: 300, flows: 900, ..plan(61) };
    let (root, manifest) = stage.corpus(&small, Layout::V5);
    let files = walkdir::WalkDir::new(root.join("AWSLogs")).sort_by_file_name();
    let files = files.into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    for (number, entry) in files.enumerate() {
        let owner = if number % 7 == 0 { "all".to_owned() } else { (number % WRITERS).to_string() };
        let target = stage.path("in").join(owner).join(entry.path().strip_prefix(&root).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::rename(entry.path(), target).unwrap();
    }
    for owner in (0..WRITERS).map(|number| number.to_string()).chain(["all".to_owned()]) {
        std::fs::create_dir_all(stage.path("in").join(owner)).unwrap();
    }
    manifest
}

fn start(stage: &Stage, environment: &[(String, String)], writer: usize) -> Daemon {
    let config = stage.path("processor.toml");
    let mut command = stage.programs.command(Program::Processor);
    command.args(["once", "--lake", LAKE, "--shard", &format!("writer-{writer}"), "--config"]).arg(config);
    command.args([writer.to_string().as_str(), "all"].map(|owner| stage.path("in").join(owner)));
    command.envs(environment.iter().cloned());
    Daemon::spawn("logq-processor", command, &stage.path(&format!("writer-{writer}.log"))).unwrap()
}

/// Runs all writers at once until each has got through.
fn write(stage: &Stage, environment: &[(String, String)]) -> Manifest {
    let manifest = deal(stage);
    // Several batches each, so that commits meet.
    std::fs::write(stage.path("processor.toml"), "batch_objects_max = 4\n").unwrap();
    let mut running: Vec<(usize, Daemon)> =
        (0..WRITERS).map(|writer| (writer, start(stage, environment, writer))).collect();
    for round in 1..=STARTS {
        let mut again = Vec::new();
        for (writer, daemon) in &mut running {
            let status = daemon.finish(PATIENCE).unwrap();
            if !status.is_some_and(|status| status.success()) {
                assert!(round < STARTS, "writer {writer} never gets through: {}", daemon.last_words());
                again.push(*writer);
            }
        }
        running = again.into_iter().map(|writer| (writer, start(stage, environment, writer))).collect();
    }
    manifest
}

fn check(stage: &Stage, environment: &[(String, String)], manifest: &Manifest) {
    let lake = Lake::new(&stage.programs, LAKE).with_environment(environment);
    assert_once(&lake, manifest);
    let batches = lake.number("select count(distinct batch) as n from ingest").unwrap();
    assert!(batches > WRITERS as u64, "only {batches} batches: the writers hardly met");
}

/// G3: the in-repo server, which fails in every way meanwhile.
#[test]
fn g3_sixteen_writers_on_a_failing_s3_store_every_record_once() {
    let seed: u64 = std::env::var("LOGQ_SEED").map_or(16, |seed| seed.parse().unwrap());
    println!("many writers: seed {seed} (LOGQ_SEED)");
    let faults = Arc::new(Faults::new(seed, 3, &FAULTS));
    let (_store, server) = S3Server::start(faults.clone()).unwrap();
    let (stage, environment) = (Stage::new(), environment(&server.endpoint()));
    let manifest = write(&stage, &environment);
    println!("many writers: faults {:?}", faults.seen());
    assert!(faults.seen().contains_key(&Fault::AnswerLost), "no answer was lost: {:?}", faults.seen());
    faults.set(0, &[]);
    check(&stage, &environment, &manifest);
}

/// G3: the emulator.
#[test]
fn g3_sixteen_writers_on_the_emulator_store_every_record_once() {
    let stage = Stage::new();
    let Some(cloud) = Cloud::start(&stage) else { return };
    let manifest = write(&stage, &cloud.environment);
    check(&stage, &cloud.environment, &manifest);
}

/// G3: radosgw, an S3 server with nothing in common with the other two.
#[test]
fn g3_sixteen_writers_on_radosgw_store_every_record_once() {
    let stage = Stage::new();
    let Some((_server, endpoint)) = radosgw::start(stage.folder.path()) else { return };
    let environment = environment(&endpoint);
    let manifest = write(&stage, &environment);
    check(&stage, &environment, &manifest);
}
