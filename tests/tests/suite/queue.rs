//! Messages of every kind on an SQS queue, with and without a dead-letter queue, against moto.

use crate::aws::{Cloud, LEFT, finish};
use crate::stage::Stage;
use logq_tests::harness::wait_for;
use serde_json::json;
use std::time::Duration;

/// Stops the bucket's own notifications, so that only the test's messages are in the queue.
const QUIET: &str = r#"
import boto3, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
s3.put_bucket_notification_configuration(Bucket="landing", NotificationConfiguration={})
sqs = boto3.client("sqs", endpoint_url=sys.argv[1])
sqs.purge_queue(QueueUrl=sys.argv[2])
"#;

/// Puts objects under the keys of a JSON list, each with one CloudTrail record of its own.
const OBJECTS: &str = r#"
import boto3, json, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
for number, key in enumerate(json.loads(sys.argv[2])):
    record = {"eventVersion": "1.08", "eventID": f"id-{key}", "eventTime": "2026-11-22T10:00:00Z",
              "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "awsRegion": "eu-west-1",
              "recipientAccountId": "012345678901", "sourceIPAddress": "198.51.100.7", "userIdentity": {"type": "Root"}}
    s3.put_object(Bucket="landing", Key=key, Body=json.dumps({"Records": [record]}))
"#;

/// Sends the messages of a JSON list.
const SEND: &str = r#"
import boto3, json, sys
sqs = boto3.client("sqs", endpoint_url=sys.argv[1])
for body in json.loads(sys.argv[3]):
    sqs.send_message(QueueUrl=sys.argv[2], MessageBody=body)
"#;

/// Gives the queue a dead-letter queue after one receive; prints the dead-letter queue's URL.
const DEAD_LETTERS: &str = r#"
import boto3, json, sys
sqs = boto3.client("sqs", endpoint_url=sys.argv[1])
dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
sqs.set_queue_attributes(QueueUrl=sys.argv[2], Attributes={"RedrivePolicy": policy})
print(dead)
"#;

fn s3_event(encoded_key: &str) -> String {
    let object = json!({"key": encoded_key, "size": 10, "eTag": "0", "versionId": "v1", "sequencer": "00"});
    let s3 = json!({"bucket": {"name": "landing"}, "object": object});
    json!({"Records": [{"eventVersion": "2.1", "eventName": "ObjectCreated:Put", "s3": s3}]}).to_string()
}

fn wrapped(message: &str) -> String {
    json!({"Type": "Notification", "MessageId": "m", "Message": message}).to_string()
}

/// One message in each dialect, and the key it names.
fn dialects() -> Vec<(&'static str, String)> {
    let bridge = |key: &str| {
        let detail =
            json!({"bucket": {"name": "landing"}, "object": {"key": key, "size": 1, "version-id": "v"}});
        json!({"version": "0", "detail-type": "Object Created", "source": "aws.s3", "detail": detail})
            .to_string()
    };
    let trail = |key: &str| json!({"s3Bucket": "landing", "s3ObjectKey": [key]}).to_string();
    vec![
        ("a b/s3+é.json", s3_event("a+b/s3%2B%C3%A9.json")),
        ("sns.json", wrapped(&s3_event("sns.json"))),
        ("bridge+%20.json", bridge("bridge+%20.json")),
        ("trail.json", trail("trail.json")),
        ("trail-sns.json", wrapped(&trail("trail-sns.json"))),
    ]
}

fn set_up(stage: &Stage) -> Option<(Cloud, Vec<String>)> {
    let cloud = Cloud::start(stage)?;
    cloud.script(QUIET, &[&cloud.queue]);
    let dialects = dialects();
    let keys: Vec<&str> = dialects.iter().map(|(key, _)| *key).collect();
    cloud.script(OBJECTS, &[&json!(keys).to_string()]);
    Some((cloud, dialects.into_iter().map(|(_, body)| body).collect()))
}

fn send(cloud: &Cloud, bodies: &[String]) {
    cloud.script(SEND, &[&cloud.queue, &json!(bodies).to_string()]);
}

#[test]
fn g3_messages_of_every_dialect_bring_their_object_in_and_poison_ends_in_rejected() {
    let stage = Stage::new();
    let Some((cloud, mut bodies)) = set_up(&stage) else { return };
    bodies.push(json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "landing"}).to_string());
    // Not JSON; JSON of another kind; a version of the future; an object that is not there.
    bodies.push("hello".to_owned());
    bodies.push(json!({"hello": 1}).to_string());
    bodies.push(s3_event("x").replace("\"2.1\"", "\"3.0\""));
    bodies.push(s3_event("gone.json"));
    send(&cloud, &bodies);
    let lake = cloud.lake(&stage);
    finish(&mut cloud.processor(&stage));
    assert_eq!(lake.count("cloudtrail").unwrap(), 5);
    // The missing object's message comes again until it counts as gone.
    let drained = wait_for("the queue to be empty", Duration::from_secs(240), || {
        if cloud.script(LEFT, &[&cloud.queue, "all"]) == "0" {
            return true;
        }
        finish(&mut cloud.processor(&stage));
        false
    });
    assert!(drained.is_ok(), "messages are left");
    assert_eq!(lake.count("cloudtrail").unwrap(), 5);
    assert_eq!(lake.count("rejected").unwrap(), 4);
    let said =
        lake.number("select count(*) as n from rejected where cast(raw as varchar) like '%gone.json%'");
    assert_eq!(said.unwrap(), 1);
    let locations = "select count(*) as n from rejected where location like '%state/refused-messages/%'";
    assert_eq!(lake.number(locations).unwrap(), 4);
}

#[test]
fn poison_is_left_to_the_dead_letter_queue_when_there_is_one() {
    let stage = Stage::new();
    let Some((cloud, mut bodies)) = set_up(&stage) else { return };
    let dead = cloud.script(DEAD_LETTERS, &[&cloud.queue]);
    bodies.push("hello".to_owned());
    bodies.push(s3_event("gone.json"));
    send(&cloud, &bodies);
    let lake = cloud.lake(&stage);
    let moved = wait_for("the dead letters", Duration::from_secs(240), || {
        finish(&mut cloud.processor(&stage));
        cloud.script(LEFT, &[&dead, "all"]) == "2"
    });
    assert!(moved.is_ok(), "{} dead letters", cloud.script(LEFT, &[&dead, "all"]));
    assert_eq!(lake.count("cloudtrail").unwrap(), 5);
    assert_eq!(lake.count("rejected").unwrap(), 0);
    assert_eq!(cloud.script(LEFT, &[&cloud.queue, "all"]), "0");
}
