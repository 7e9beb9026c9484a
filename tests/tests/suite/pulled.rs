//! Log groups pulled from CloudWatch Logs: a double that pages, throttles and loses tokens, and moto.

use crate::aws::Cloud;
use crate::stage::Stage;
use logq_tests::doubles::Server;
use logq_tests::doubles::cloudwatch::CloudWatch;
use logq_tests::doubles::faults::{Fault, Faults};
use logq_tests::harness::{Daemon, Program, free_port, wait_for};
use serde_json::json;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A CloudTrail record with this identity, in a message.
fn record(id: &str) -> String {
    json!({
        "eventVersion": "1.08", "eventID": id, "eventTime": "2026-11-22T10:00:00Z", "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject", "awsRegion": "eu-west-1", "recipientAccountId": "012345678901",
        "userIdentity": {"type": "Root"},
    })
    .to_string()
}

struct Scene {
    stage: Stage,
    service: Arc<CloudWatch>,
    faults: Arc<Faults>,
    server: Server,
}

impl Scene {
    fn new() -> Scene {
        let faults = Arc::new(Faults::none());
        let (service, server) = CloudWatch::start(faults.clone()).unwrap();
        Scene { stage: Stage::new(), service, faults, server }
    }

    fn config(&self, sections: &str) {
        let text = sections.replace("ENDPOINT", &self.server.endpoint());
        std::fs::write(self.stage.path("processor.toml"), text).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = self.stage.programs.command(Program::Processor);
        command.args(["run", "--cloudwatch-logs", "--commit-interval", "200ms", "--config"]);
        command.arg(self.stage.path("processor.toml")).arg("--lake").arg(self.stage.path("lake"));
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ] {
            command.env(name, value);
        }
        command
    }

    fn spawn(&self, command: Command) -> Daemon {
        Daemon::spawn("logq-processor", command, &self.stage.path("processor.log")).unwrap()
    }

    /// Runs until nothing new has come for a while.
    fn run(&self) {
        let mut command = self.command();
        command.args(["--until-idle", "3s"]);
        let mut processor = self.spawn(command);
        let status = processor.finish(PATIENCE).unwrap();
        assert!(status.is_some_and(|status| status.success()), "{}", processor.last_words());
    }
}

const ALL_KINDS: &str = "
[[cloudwatch_logs]]
name = 'trail'
groups = ['/trail/*']
kind = 'cloudtrail'
endpoint = 'ENDPOINT'
poll_interval = '200ms'
requests_per_second = 100
[[cloudwatch_logs]]
name = 'flows'
groups = ['/vpc']
kind = 'vpc_flow'
log_format = '${vpc-id} ${srcaddr} ${dstaddr} ${start} ${end} ${log-status}'
endpoint = 'ENDPOINT'
poll_interval = '200ms'
requests_per_second = 100
[[cloudwatch_logs]]
name = 'apps'
groups = ['/app', '/none']
kind = 'app'
region = 'eu-west-1'
endpoint = 'ENDPOINT'
poll_interval = '200ms'
requests_per_second = 100
";

#[test]
fn every_kind_of_group_becomes_rows_of_its_table() {
    let scene = Scene::new();
    let at = now() - 600_000;
    scene.service.add(
        "/trail/one",
        "111122223333_CloudTrail_eu-west-1",
        &[(at, record("a")), (at + 1, record("b"))],
    );
    scene.service.add(
        "/trail/two",
        "s",
        &[(at, record("c")), (at, "{\"eventVersion\":\"1.08\",".to_owned())],
    );
    scene.service.add("/other", "s", &[(at, record("never"))]);
    let flow = |n: i64| format!("vpc-1 10.0.0.{n} 10.0.1.1 {} {} OK", at / 1_000, at / 1_000 + 60);
    scene.service.add("/vpc", "eni-1-all", &[(at, flow(1)), (at, flow(2)), (at, flow(2))]);
    let line = |n: i64| (at + n, format!("{{\"level\":\"error\",\"message\":\"order {n} failed\"}}"));
    scene.service.add("/app", "web-1", &[line(0), line(1)]);
    scene.service.add("/app", "web-2", &[line(0), (at, "plain text\nin two lines".to_owned())]);
    scene.service.page_by(2, true);
    scene.config(ALL_KINDS);
    scene.run();
    assert_eq!(scene.service.violations(), Vec::<String>::new());
    let lake =
        logq_tests::harness::Lake::new(&scene.stage.programs, scene.stage.path("lake").to_str().unwrap());
    assert_eq!(lake.counts(&["cloudtrail", "vpc_flow", "app_log", "rejected"]).unwrap(), [3, 3, 4, 1]);
    let found = lake
        .rows("select service, body, event_time, resource from app_log where body like '%two lines%'")
        .unwrap();
    assert_eq!(found[0]["service"], "/app");
    assert_eq!(found[0]["body"], "plain text\nin two lines");
    assert!(found[0]["resource"].as_str().unwrap().contains("web-2"), "{found:?}");
    let severe = lake.number("select count(*) as n from app_log where severity_text = 'error'");
    assert_eq!(severe.unwrap(), 3);
    let flows =
        lake.number("select count(*) as n from vpc_flow where vpc_id = 'vpc-1' and src_ip = '10.0.0.2'");
    assert_eq!(flows.unwrap(), 2, "two equal lines are two records");
    // Read again from the start of the overlap, nothing is added.
    scene.run();
    assert_eq!(lake.counts(&["cloudtrail", "vpc_flow", "app_log", "rejected"]).unwrap(), [3, 3, 4, 1]);
}

/// G3: events that come late, a service that throttles and forgets its tokens, and kills at any moment.
#[test]
fn g3_pulled_events_are_in_the_lake_once_whatever_fails() {
    let scene = Scene::new();
    scene.config(ALL_KINDS);
    scene.service.page_by(13, true);
    scene.faults.set(25, &[Fault::Throttled, Fault::Internal, Fault::Reset, Fault::AnswerLost]);
    let mut written = 0_i64;
    let mut write = |count: i64, age: i64| {
        let at = now() - age;
        let events: Vec<_> =
            (written..written + count).map(|n| (at + n % 7, record(&format!("id-{n}")))).collect();
        let lines: Vec<_> = (written..written + count).map(|n| (at + n % 7, format!("line {n}"))).collect();
        scene.service.add("/trail/one", if count % 2 == 0 { "even" } else { "odd" }, &events);
        scene.service.add("/app", "web", &lines);
        written += count;
    };
    for round in 0..4 {
        write(150, if round == 0 { 2_000_000 } else { 500_000 });
        let mut processor = scene.spawn(scene.command());
        // Killed once it has done something new, wherever that is.
        let before = scene.service.calls("FilterLogEvents");
        let worked = wait_for("requests", PATIENCE, || {
            scene.service.calls("FilterLogEvents") > before + 10 + 15 * round
        });
        assert!(worked.is_ok(), "{}", processor.last_words());
        processor.kill();
        scene.service.expire_tokens();
        // Late by some minutes: a restart goes back for them.
        write(31, 300_000);
    }
    let refused =
        |scene: &Scene| scene.service.violations().iter().filter(|one| !one.contains("nextToken")).count();
    scene.faults.set(0, &[]);
    scene.run();
    write(20, 120_000);
    scene.run();
    assert_eq!(refused(&scene), 0, "{:?}", scene.service.violations());
    let lake =
        logq_tests::harness::Lake::new(&scene.stage.programs, scene.stage.path("lake").to_str().unwrap());
    let expected = u64::try_from(written).unwrap();
    let distinct = |table: &str, column: &str| {
        lake.number(&format!("select count(distinct {column}) as n from {table}")).unwrap()
    };
    assert_eq!(lake.counts(&["cloudtrail", "app_log"]).unwrap(), [expected, expected]);
    assert_eq!((distinct("cloudtrail", "event_uid"), distinct("app_log", "body")), (expected, expected));
}

#[test]
fn a_section_that_cannot_be_read_does_not_stop_the_others() {
    let scene = Scene::new();
    scene.service.add("/app", "web", &[(now() - 1_000, "here".to_owned())]);
    let nowhere = format!("http://127.0.0.1:{}", free_port().unwrap());
    scene.config(&ALL_KINDS.replacen("ENDPOINT", &nowhere, 1));
    scene.run();
    let lake =
        logq_tests::harness::Lake::new(&scene.stage.programs, scene.stage.path("lake").to_str().unwrap());
    assert_eq!(lake.count("app_log").unwrap(), 1);
}

/// Puts events through the real API.
const PUT: &str = r#"
import boto3, sys, time
endpoint, group, stream = sys.argv[1:4]
logs = boto3.client("logs", endpoint_url=endpoint)
logs.create_log_group(logGroupName=group)
logs.create_log_stream(logGroupName=group, logStreamName=stream)
now = int(time.time() * 1000) - 60000
logs.put_log_events(logGroupName=group, logStreamName=stream,
    logEvents=[{"timestamp": now + n, "message": f"line {n}"} for n in range(250)])
"#;

/// Against moto: the answers of another implementation of the API, with a role assumed first, and a lake
/// on S3.
#[test]
fn a_group_of_another_account_is_pulled_through_a_role_into_a_lake_on_s3() {
    let stage = Stage::new();
    let Some(cloud) = Cloud::start(&stage) else { return };
    cloud.script(PUT, &["/app/shop", "web"]);
    let config = stage.path("processor.toml");
    std::fs::write(
        &config,
        "[[cloudwatch_logs]]\nname = 'shop'\ngroups = ['/app/*']\nkind = 'app'\npoll_interval = '200ms'\n\
         role_arn = 'arn:aws:iam::123456789012:role/log-reader'\nexternal_id = 'logq'\n",
    )
    .unwrap();
    let mut command = stage.programs.command(Program::Processor);
    command.args(["run", "--cloudwatch-logs", "--commit-interval", "200ms", "--until-idle", "4s"]);
    command
        .args(["--lake", "s3://lake/lake", "--config"])
        .arg(&config)
        .envs(cloud.environment.iter().cloned());
    let mut processor = Daemon::spawn("logq-processor", command, &stage.path("processor.log")).unwrap();
    let status = processor.finish(PATIENCE).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{}", processor.last_words());
    let lake = cloud.lake(&stage);
    assert_eq!(lake.count("app_log").unwrap(), 250, "{}", processor.last_words());
    let account = lake.rows("select distinct resource from app_log").unwrap();
    assert!(account[0]["resource"].as_str().unwrap().contains("123456789012"), "{account:?}");
}
