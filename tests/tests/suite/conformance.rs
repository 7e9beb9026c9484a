//! The doubles and the emulator say the same: one list of assertions, run against both. Where the
//! emulator is known to be more forgiving than AWS, the case says so and only the double is held to
//! it.

use crate::radosgw;
use aws_credential_types::Credentials;
use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use logq_tests::doubles::cloudwatch::CloudWatch;
use logq_tests::doubles::faults::Faults;
use logq_tests::doubles::s3::{CREDENTIALS, S3Server};
use logq_tests::harness::{Daemon, free_port, python, wait_for};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Double,
    Emulator,
    Radosgw,
}

/// Starts the emulator; none, with a message, when the Python environment is missing.
fn emulator(dir: &std::path::Path) -> Option<(Daemon, String)> {
    let Some(python) = python() else {
        println!(
            "skipped: conformance of the emulator: no Python environment with moto; ./dev test makes it"
        );
        return None;
    };
    let port = free_port().unwrap();
    let mut command = Command::new(python.with_file_name("moto_server"));
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    let server = Daemon::spawn("moto_server", command, &dir.join("moto.log")).unwrap();
    wait_for("moto", Duration::from_secs(60), || TcpStream::connect(("127.0.0.1", port)).is_ok())
        .unwrap_or_else(|error| panic!("{error}: {}", server.last_words()));
    Some((server, format!("http://127.0.0.1:{port}")))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn sdk(endpoint: &str) -> aws_config::SdkConfig {
    let credentials = Credentials::new(CREDENTIALS.0, CREDENTIALS.1, None, None, "test");
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("us-east-1"))
        .credentials_provider(credentials)
        .endpoint_url(endpoint)
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .load()
        .await
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn event(timestamp: i64, message: impl Into<String>) -> InputLogEvent {
    InputLogEvent::builder().timestamp(timestamp).message(message).build().unwrap()
}

async fn put(
    client: &aws_sdk_cloudwatchlogs::Client,
    stream: &str,
    events: Vec<InputLogEvent>,
) -> Result<[Option<i32>; 3], String> {
    let put = client.put_log_events().log_group_name("/g/a").log_stream_name(stream);
    match put.set_log_events(Some(events)).send().await {
        Ok(answer) => Ok(answer.rejected_log_events_info().map_or([None; 3], |info| {
            [
                info.too_old_log_event_end_index(),
                info.expired_log_event_end_index(),
                info.too_new_log_event_start_index(),
            ]
        })),
        Err(error) => Err(error.code().unwrap_or("?").to_owned()),
    }
}

async fn logs(who: Who, endpoint: &str) {
    let client = aws_sdk_cloudwatchlogs::Client::new(&sdk(endpoint).await);
    let now = now_ms();
    let code = |error: &dyn ProvideErrorMetadata| error.code().map(str::to_owned);
    assert_eq!(
        put(&client, "s", vec![event(now, "x")]).await,
        Err("ResourceNotFoundException".into()),
        "{who:?}"
    );
    client.create_log_group().log_group_name("/g/a").send().await.unwrap();
    let again = client.create_log_group().log_group_name("/g/a").send().await.unwrap_err();
    assert_eq!(code(&again).as_deref(), Some("ResourceAlreadyExistsException"), "{who:?}");
    assert_eq!(
        put(&client, "s", vec![event(now, "x")]).await,
        Err("ResourceNotFoundException".into()),
        "{who:?}"
    );
    let stream = || client.create_log_stream().log_group_name("/g/a").log_stream_name("s").send();
    stream().await.unwrap();
    let again = stream().await.unwrap_err();
    assert_eq!(code(&again).as_deref(), Some("ResourceAlreadyExistsException"), "{who:?}");
    let retention =
        |days| client.put_retention_policy().log_group_name("/g/a").retention_in_days(days).send();
    retention(30).await.unwrap();

    assert_eq!(
        put(&client, "s", vec![event(now, "one"), event(now + 1, "two")]).await,
        Ok([None; 3]),
        "{who:?}"
    );
    let fetched = client.get_log_events().log_group_name("/g/a").log_stream_name("s").start_from_head(true);
    let fetched = fetched.send().await.unwrap();
    let messages: Vec<&str> = fetched.events().iter().filter_map(|event| event.message()).collect();
    assert_eq!(messages, ["one", "two"], "{who:?}");
    // Fifteen days ago and three hours ahead: taken, refused, refused.
    let day = 86_400_000;
    let old = put(&client, "s", vec![event(now - 15 * day, "old")]).await.unwrap();
    // AWS documents the end index as exclusive; moto gives the index of the last such event.
    let end = if who == Who::Double { 1 } else { 0 };
    assert_eq!((old[0], old[2]), (Some(end), None), "{who:?}");
    let new = put(&client, "s", vec![event(now, "now"), event(now + day / 8, "new")]).await.unwrap();
    assert_eq!((new[0], new[2]), (None, Some(1)), "{who:?}");

    let turned = put(&client, "s", vec![event(now, "b"), event(now - 1, "a")]).await;
    assert_eq!(turned, Err("InvalidParameterException".to_owned()), "{who:?}: not in order");

    // moto takes these although AWS does not.
    if who == Who::Double {
        let odd = client.create_log_group().log_group_name("with space").send().await.unwrap_err();
        assert_eq!(code(&odd).as_deref(), Some("InvalidParameterException"), "{who:?}");
        let invalid = || Err("InvalidParameterException".to_owned());
        let put = |events| put(&client, "s", events);
        assert_eq!(put(vec![event(now - day - 1, "a"), event(now, "b")]).await, invalid(), "more than a day");
        assert_eq!(put(vec![event(now, "")]).await, invalid(), "empty");
        assert_eq!(put((0..10_001).map(|_| event(now, "x")).collect()).await, invalid(), "too many");
        assert!(put((0..10_000).map(|_| event(now, "x")).collect()).await.is_ok());
        let half = "x".repeat(524_288 - 26);
        assert!(put(vec![event(now, &half), event(now, &half)]).await.is_ok(), "exactly 1 MiB");
        assert_eq!(
            put(vec![event(now, &half), event(now, format!("{half}x"))]).await,
            invalid(),
            "one byte more"
        );
        assert_eq!(put(vec![event(now, "x".repeat(1_048_551))]).await, invalid(), "an event too large");
        let error = retention(31).await.unwrap_err();
        assert_eq!(code(&error).as_deref(), Some("InvalidParameterException"));
    }
}

#[test]
fn the_cloudwatch_double_and_the_emulator_agree() {
    let (_double, server) = CloudWatch::start(Arc::new(Faults::none())).unwrap();
    runtime().block_on(logs(Who::Double, &server.endpoint()));
    let dir = tempfile::tempdir().unwrap();
    if let Some((_server, endpoint)) = emulator(dir.path()) {
        runtime().block_on(logs(Who::Emulator, &endpoint));
    }
}

async fn objects(who: Who, endpoint: &str) {
    let config = aws_sdk_s3::config::Builder::from(&sdk(endpoint).await).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    client.create_bucket().bucket("conformance").send().await.unwrap();
    let put = |key: &str, body: &'static [u8]| {
        client.put_object().bucket("conformance").key(key).body(ByteStream::from_static(body))
    };
    put("a/1", b"one").send().await.unwrap();
    put("a/1", b"two").send().await.unwrap();
    let body = client
        .get_object()
        .bucket("conformance")
        .key("a/1")
        .send()
        .await
        .unwrap()
        .body
        .collect()
        .await
        .unwrap();
    assert_eq!(&body.into_bytes()[..], b"two", "{who:?}");
    let absent = client.get_object().bucket("conformance").key("none").send().await.unwrap_err();
    assert_eq!(absent.code(), Some("NoSuchKey"), "{who:?}");
    let head = client.head_object().bucket("conformance").key("none").send().await.unwrap_err();
    assert_eq!(head.raw_response().map(|raw| raw.status().as_u16()), Some(404), "{who:?}");

    // Of eight that create one key at once, one wins.
    let race = (0..8).map(|_| put("a/race", b"x").if_none_match("*").send());
    let won = futures::future::join_all(race).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1, "{who:?}");
    let lost = put("a/race", b"y").if_none_match("*").send().await.unwrap_err();
    assert_eq!(lost.code(), Some("PreconditionFailed"), "{who:?}");

    for key in ["a/2", "a/3", "b/1"] {
        put(key, b"x").send().await.unwrap();
    }
    let page = client.list_objects_v2().bucket("conformance").prefix("a/").max_keys(2).send().await.unwrap();
    let keys: Vec<&str> = page.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!((keys, page.is_truncated()), (vec!["a/1", "a/2"], Some(true)), "{who:?}");
    let next = client.list_objects_v2().bucket("conformance").prefix("a/");
    let next = next.set_continuation_token(page.next_continuation_token).send().await.unwrap();
    let keys: Vec<&str> = next.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(keys, ["a/3", "a/race"], "{who:?}");
    client.delete_object().bucket("conformance").key("b/1").send().await.unwrap();

    for (size, error) in [(5 << 20, None), (1000, Some("EntityTooSmall"))] {
        let created = client.create_multipart_upload().bucket("conformance").key("big").send().await.unwrap();
        let upload = created.upload_id.unwrap();
        let mut parts = Vec::new();
        for number in [1, 2] {
            let part =
                client.upload_part().bucket("conformance").key("big").upload_id(&upload).part_number(number);
            let sent = part.body(vec![b'0' + number as u8; size].into()).send().await.unwrap();
            parts.push(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build());
        }
        let complete = || {
            let whole = CompletedMultipartUpload::builder().set_parts(Some(parts.clone())).build();
            client
                .complete_multipart_upload()
                .bucket("conformance")
                .key("big")
                .upload_id(&upload)
                .multipart_upload(whole)
        };
        let result = complete().send().await;
        assert_eq!(
            result.err().and_then(|error| error.code().map(str::to_owned)).as_deref(),
            error,
            "{who:?}"
        );
        if error.is_none() {
            let head = client.head_object().bucket("conformance").key("big").send().await.unwrap();
            assert_eq!(head.content_length, Some(10 << 20), "{who:?}");
            // S3 forgets an upload some time after it is complete, the double at once, moto never.
            if who == Who::Double {
                let again = complete().send().await.unwrap_err();
                assert_eq!(again.code(), Some("NoSuchUpload"));
            }
        }
    }
    // moto takes a wrong checksum; S3 does not.
    if who == Who::Double {
        let wrong = put("a/sum", b"x").checksum_crc32("AAAAAA==").send().await.unwrap_err();
        assert_eq!(wrong.code(), Some("BadDigest"));
    }
}

/// What a lake needs besides: parts of objects, folders, times, several deletions in one request.
async fn parts_and_folders(who: Who, endpoint: &str) {
    let config = aws_sdk_s3::config::Builder::from(&sdk(endpoint).await).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    client.create_bucket().bucket("folders").send().await.unwrap();
    for key in ["t/_log/1", "t/d=1/a", "t/d=1/b", "t/d=2/a", "t/e"] {
        let body = ByteStream::from_static(b"0123456789");
        client.put_object().bucket("folders").key(key).body(body).send().await.unwrap();
    }
    for (range, expected) in [("bytes=2-4", "234"), ("bytes=8-99", "89"), ("bytes=-3", "789")] {
        let part = client.get_object().bucket("folders").key("t/e").range(range).send().await.unwrap();
        assert!(part.content_range().is_some() && part.last_modified().is_some(), "{who:?}");
        let body = part.body.collect().await.unwrap().into_bytes();
        assert_eq!(&body[..], expected.as_bytes(), "{who:?}: {range}");
    }
    let beyond = client.get_object().bucket("folders").key("t/e").range("bytes=10-11").send().await;
    assert_eq!(beyond.unwrap_err().code(), Some("InvalidRange"), "{who:?}");

    let folders =
        client.list_objects_v2().bucket("folders").prefix("t/").delimiter("/").send().await.unwrap();
    let names: Vec<&str> = folders.common_prefixes().iter().filter_map(|folder| folder.prefix()).collect();
    assert_eq!(names, ["t/_log/", "t/d=1/", "t/d=2/"], "{who:?}");
    let objects: Vec<&str> = folders.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(objects, ["t/e"], "{who:?}");
    assert!(folders.contents()[0].last_modified().is_some(), "{who:?}");
    let after = client.list_objects_v2().bucket("folders").start_after("t/d=1/a").send().await.unwrap();
    let keys: Vec<&str> = after.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(keys, ["t/d=1/b", "t/d=2/a", "t/e"], "{who:?}");

    let objects = ["t/e", "t/d=2/a", "none"];
    let objects = objects.map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(objects.to_vec())).build().unwrap();
    let deleted = client.delete_objects().bucket("folders").delete(delete).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (3, 0), "{who:?}");
    let left = client.list_objects_v2().bucket("folders").send().await.unwrap();
    assert_eq!(left.contents().len(), 3, "{who:?}");
}

#[test]
fn the_s3_double_the_emulator_and_radosgw_agree() {
    let (_store, server) = S3Server::start(Arc::new(Faults::none())).unwrap();
    runtime().block_on(objects(Who::Double, &server.endpoint()));
    runtime().block_on(parts_and_folders(Who::Double, &server.endpoint()));
    let dir = tempfile::tempdir().unwrap();
    if let Some((_server, endpoint)) = emulator(dir.path()) {
        runtime().block_on(objects(Who::Emulator, &endpoint));
        runtime().block_on(parts_and_folders(Who::Emulator, &endpoint));
    }
    if let Some((_server, endpoint)) = radosgw::start(dir.path()) {
        runtime().block_on(parts_and_folders(Who::Radosgw, &endpoint));
    }
}
