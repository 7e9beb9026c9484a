//! One test per trap of each source.

use super::*;
use serde_json::json;

fn ct(record: &serde_json::Value) -> Taken {
    let (report, taken) = read_bytes(json!({"Records": [record]}).to_string().as_bytes());
    assert_eq!(report.format, FormatKind::CloudTrail);
    taken
}

fn base() -> serde_json::Value {
    serde_json::from_str(&event(1)).unwrap()
}

fn with(key: &str, value: serde_json::Value) -> serde_json::Value {
    let mut record = base();
    record[key] = value;
    record
}

#[test]
fn a_record_fills_its_columns() {
    let taken = ct(&base());
    for (column, value) in [
        ("event_uid", "id-1"),
        ("source", "cloudtrail"),
        ("account_id", "012345678901"),
        ("region", "eu-central-1"),
        ("src_ip", "203.0.113.1"),
        ("actor", "arn:aws:iam::012345678901:user/a1"),
        ("action", "GetObject"),
        ("outcome", "success"),
        ("event_source", "s3.amazonaws.com"),
        ("read_only", "true"),
        ("management_event", "false"),
        ("user_agent", "aws-cli \"x\""),
        ("request_parameters", r#"{"bucketName":"b","key":"k{}[]\\\"1"}"#),
        ("response_elements", "-"),
        ("object_id", "0123456789abcdef0123456789abcdef"),
        ("parser_version", "2"),
        ("unmapped", "-"),
    ] {
        let expected = if column == "request_parameters" {
            base()["requestParameters"].to_string()
        } else {
            value.to_owned()
        };
        assert_eq!(taken.one(column), expected, "{column}");
    }
    assert_eq!(taken.one("event_time"), "1714557601000000");
    assert_eq!(taken.one("ingest_time"), NOW.to_string());
}

#[test]
fn every_packing_gives_the_same_records() {
    let records: Vec<String> = (0..3).map(event).collect();
    let pretty = |text: &str| {
        serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(text).unwrap()).unwrap()
    };
    let envelope = |record: &String| {
        format!(
            r#"{{"version":"0","id":"x","detail-type":"AWS API Call via CloudTrail","source":"aws.s3","account":"1","detail":{record}}}"#
        )
    };
    let message = |record: &String| json!({"id": "1", "timestamp": 1, "message": record}).to_string();
    let lookup = |record: &String| {
        json!({"EventId": "x", "EventName": "GetObject", "ReadOnly": "true", "CloudTrailEvent": record})
            .to_string()
    };
    let join =
        |make: &dyn Fn(&String) -> String, by: &str| records.iter().map(make).collect::<Vec<_>>().join(by);
    let plain = |record: &String| record.clone();
    let forms = [
        ("log file", log_file(3)),
        (
            "log file, more members",
            format!("{{\"a\":{{\"b\":[1]}}, \"Records\" : [{}] , \"z\" : null }}", join(&plain, " , ")),
        ),
        ("pretty log file", pretty(&log_file(3))),
        ("array", format!(" [{}]\n", join(&plain, ","))),
        ("pretty array", pretty(&format!("[{}]", join(&plain, ",")))),
        ("lines", join(&plain, "\n")),
        ("lines with crlf", join(&plain, "\r\n")),
        ("concatenated", join(&plain, "")),
        ("pretty documents", join(&|record| pretty(record), "\n")),
        ("two log files", format!("{}{}", log_file(2), format_args!("{{\"Records\":[{}]}}", event(2)))),
        ("EventBridge lines", join(&envelope, "\n")),
        (
            "subscription",
            format!(
                r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"logEvents":[{}]}}"#,
                join(&message, ",")
            ),
        ),
        ("LookupEvents rows", join(&lookup, "\n")),
        ("LookupEvents answer", format!(r#"{{"Events":[{}],"NextToken":"t"}}"#, join(&lookup, ","))),
        ("_raw", format!("[{}]", join(&|record| json!({"_raw": record, "host": "h"}).to_string(), ","))),
        (
            "index document",
            join(&|record| format!(r#"{{"_source":{{"aws":1,"cloudtrail":{record}}}}}"#), "\n"),
        ),
        (
            "array of log files",
            format!("[{},{}]", log_file(2), format_args!("{{\"Records\":[{}]}}", event(2))),
        ),
        ("export", join(&|record| format!("2024-05-01T10:00:00.123Z {record}"), "\n")),
        ("byte order mark", format!("\u{feff}{}", log_file(3))),
    ];
    for (name, text) in forms {
        let (report, taken) = read_bytes(text.as_bytes());
        assert_eq!(report.format, FormatKind::CloudTrail, "{name}: {:?}", taken.rejected);
        assert_eq!(taken.column("event_uid"), ["id-0", "id-1", "id-2"], "{name}: {:?}", taken.rejected);
        assert!(taken.rejected.is_empty(), "{name}: {:?}", taken.rejected);
        // However it was packed or indented, nested parts are stored the same.
        let stored = taken.column("user_identity");
        let compact: serde_json::Value = serde_json::from_str(&stored[0]).unwrap();
        assert_eq!(stored[0].len(), compact.to_string().len(), "{name}");
    }
}

#[test]
fn firehose_concatenates_gzip_members_and_compresses_again() {
    let one = gzip(event(0).as_bytes());
    let two = gzip(event(1).as_bytes());
    for stored in [[one.clone(), two.clone()].concat(), gzip(&[one, two].concat())] {
        let (_, taken) = read_bytes(&stored);
        assert_eq!(taken.column("event_uid"), ["id-0", "id-1"]);
    }
}

#[test]
fn cloudwatch_control_messages_are_skipped_and_flow_messages_become_rows() {
    let control = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1,"message":"CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."}]}"#;
    let lines =
        [flow_line(1), flow_line(2), "2 1 eni-1 - - - - - - - 1431280876 1431280934 - NODATA".to_owned()];
    let events: Vec<String> =
        lines.iter().map(|line| json!({"id": "1", "timestamp": 1, "message": line}).to_string()).collect();
    let data = format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"eni-1-all","logEvents":[{}]}}"#,
        events.join(",")
    );
    let (report, taken) = read_bytes(format!("{control}{data}").as_bytes());
    assert_eq!(report.format, FormatKind::VpcFlow);
    assert_eq!((report.counts.rows, report.counts.skipped), (2, 2));
    assert_eq!(taken.column("bytes"), ["5000", "5000"]);
}

#[test]
fn odd_types_of_cloudtrail_are_taken_as_they_come() {
    assert_eq!(ct(&with("readOnly", json!("true"))).one("read_only"), "true");
    assert_eq!(ct(&with("readOnly", json!("foo"))).one("unmapped"), r#"{"readOnly":"foo"}"#);
    assert_eq!(ct(&with("userAgent", json!(["a", 1]))).one("user_agent"), r#"["a",1]"#);
    assert_eq!(ct(&with("recipientAccountId", json!(123456789012u64))).one("account_id"), "123456789012");
    assert_eq!(
        ct(&with("sessionCredentialFromConsole", json!("true"))).one("session_credential_from_console"),
        "true"
    );
    assert_eq!(ct(&with("requestParameters", json!("HIDDEN"))).one("request_parameters"), "\"HIDDEN\"");
    assert_eq!(ct(&with("userIdentity", json!(null))).one("user_identity"), "-");
    assert_eq!(ct(&with("eventID", json!(""))).one("event_uid").len(), 36);
    for (written, address) in [
        ("AWS Internal", "-"),
        ("253.252.51.07", "-"),
        ("2001:DB8::1", "2001:db8::1"),
        ("ec2.amazonaws.com", "-"),
    ] {
        let taken = ct(&with("sourceIPAddress", json!(written)));
        assert_eq!(
            (taken.one("source_ip_address"), taken.one("src_ip")),
            (written.to_owned(), address.to_owned())
        );
    }
}

#[test]
fn unknown_members_and_other_spellings_go_to_unmapped() {
    let mut record = base();
    record["eventContext"] = json!({"a": 1});
    record["EventName"] = json!("other");
    record["tlsDetails"] =
        json!({"tlsVersion": "TLSv1.3", "cipherSuite": "X", "clientProvidedHostHeader": "h"});
    let taken = ct(&record);
    assert_eq!(
        (taken.one("tls_version"), taken.one("event_name")),
        ("TLSv1.3".to_owned(), "GetObject".to_owned())
    );
    let unmapped: serde_json::Value = serde_json::from_str(&taken.one("unmapped")).unwrap();
    assert_eq!(
        unmapped,
        json!({"EventName": "other", "eventContext": {"a": 1}, "tlsDetails": {"clientProvidedHostHeader": "h"}})
    );
}

#[test]
fn the_last_of_repeated_keys_counts() {
    let text = event(1).replacen("{", r#"{"eventName":"First","x":1,"x":2,"#, 1);
    let (_, taken) = read_bytes(text.as_bytes());
    assert_eq!(
        (taken.one("event_name"), taken.one("unmapped")),
        ("GetObject".to_owned(), r#"{"x":2}"#.to_owned())
    );
}

/// G11: session tokens never reach a table.
#[test]
fn session_tokens_are_dropped() {
    let mut record = with(
        "responseElements",
        json!({"credentials": {"accessKeyId": "ASIA", "sessionToken": "SECRET1", "expiration": "x"}}),
    );
    record["requestParameters"] = json!({"a": [{"SessionToken": {"v": "SECRET2"}}]});
    record["sessionToken"] = json!("SECRET3");
    let taken = ct(&record);
    assert_eq!(taken.one("request_parameters"), r#"{"a":[{"SessionToken":null}]}"#);
    for (_, batch) in &taken.batches {
        for column in batch.columns() {
            assert!(!cell(column, 0).contains("SECRET"), "{column:?}");
        }
    }
    assert!(taken.one("response_elements").contains("\"accessKeyId\":\"ASIA\""));
}

#[test]
fn a_failed_console_login_is_a_failure() {
    let mut record = with("eventSource", json!("signin.amazonaws.com"));
    record["eventName"] = json!("ConsoleLogin");
    record["responseElements"] = json!({"ConsoleLogin": "Failure"});
    assert_eq!(ct(&record).one("outcome"), "failure");
    record["responseElements"] = json!({"ConsoleLogin": "Success"});
    assert_eq!(ct(&record).one("outcome"), "success");
    assert_eq!(ct(&with("errorMessage", json!("Failed authentication"))).one("outcome"), "failure");
    assert_eq!(ct(&with("errorCode", json!("AccessDenied"))).one("outcome"), "failure");
}

#[test]
fn identities_of_roles_and_services_have_an_actor() {
    let role = json!({"type": "AssumedRole", "principalId": "AROA:s", "accountId": "1", "sessionContext": {
        "attributes": {"mfaAuthenticated": "true", "creationDate": "20131102T010628Z"}, "sourceIdentity": "bob",
        "sessionIssuer": {"type": "Role", "arn": "arn:role", "userName": "admin"}}});
    let taken = ct(&with("userIdentity", role));
    for (column, value) in [
        ("actor", "arn:role"),
        ("user_name", "admin"),
        ("mfa_authenticated", "true"),
        ("session_issuer_type", "Role"),
        ("session_source_identity", "bob"),
        ("principal_id", "AROA:s"),
    ] {
        assert_eq!(taken.one(column), value, "{column}");
    }
    let service =
        ct(&with("userIdentity", json!({"type": "AWSService", "invokedBy": "cloudtrail.amazonaws.com"})));
    assert_eq!(service.one("actor"), "cloudtrail.amazonaws.com");
}

#[test]
fn times_fall_back_and_bad_ones_are_rejected() {
    let mut record = base();
    record.as_object_mut().unwrap().remove("eventTime");
    assert_eq!(ct(&record).reasons(), [Reason::MissingTime]);
    record["@timestamp"] = json!("2020-09-14T00:44:23.000Z");
    assert_eq!(ct(&record).one("event_time"), "1600044263000000");
    for bad in ["redacted", "...", "2262-01-01T00:00:00Z", "1969-12-31T23:59:59Z"] {
        assert_eq!(ct(&with("eventTime", json!(bad))).reasons(), [Reason::BadTime], "{bad}");
    }
    assert_eq!(
        ct(&with("eventTime", json!("2024-05-01T12:00:01.5+02:00"))).one("event_time"),
        "1714557601500000"
    );
}

#[test]
fn insight_and_aggregated_events_have_their_place() {
    let insight = json!({"eventVersion": "1.07", "eventTime": "2024-05-01T10:00:00Z", "awsRegion": "us-east-1", "eventID": "i",
        "eventType": "AwsCloudTrailInsight", "recipientAccountId": "1", "sharedEventID": "s", "eventCategory": "Insight",
        "insightDetails": {"state": "Start", "eventSource": "ssm.amazonaws.com", "eventName": "Update", "insightType": "ApiCallRateInsight"}});
    let taken = ct(&insight);
    assert_eq!(
        (taken.one("event_source"), taken.one("action")),
        ("ssm.amazonaws.com".to_owned(), "Update".to_owned())
    );
    let aggregated = json!({"eventVersion": "1.0", "accountId": "123456789012", "eventId": "agg", "eventCategory": "Aggregated",
        "eventType": "AwsAggregatedEvent", "awsRegion": "us-east-1", "eventSource": "s3.amazonaws.com",
        "timeWindow": {"windowStart": "2025-11-20T10:00:00Z", "windowEnd": "2025-11-20T10:05:00Z", "windowSize": "PT5M"}, "summary": {}});
    let taken = ct(&aggregated);
    assert_eq!(
        (taken.one("event_uid"), taken.one("account_id")),
        ("agg".to_owned(), "123456789012".to_owned())
    );
    assert_eq!(taken.one("event_time"), "1763632800000000");
}

#[test]
fn account_comes_from_the_key_when_the_record_has_none() {
    let mut record = base();
    record.as_object_mut().unwrap().remove("recipientAccountId");
    record["userIdentity"] = json!({"type": "AWSAccount", "accountId": "ANONYMOUS_PRINCIPAL"});
    let key = "s3://b/AWSLogs/o-abcd/098765432109/CloudTrail/us-east-1/2024/05/01/098765432109_CloudTrail_us-east-1_x.json.gz";
    let (_, taken) = read_at(key, record.to_string().as_bytes());
    assert_eq!(taken.one("account_id"), "098765432109");
}

#[test]
fn repeated_events_are_dropped_once_and_conflicts_kept() {
    let changed = event(1).replace("GetObject", "PutObject");
    let mut seen = Seen::default();
    let limits = Limits::default();
    let text = format!("{}\n{}\n{changed}\n{changed}\n", event(1), event(1));
    let (report, taken) = read_with("a", text.as_bytes(), &limits, &mut seen);
    assert_eq!((report.counts.rows, report.counts.duplicates), (2, 2));
    let uids = taken.column("event_uid");
    assert_eq!((uids[0].as_str(), uids[1].len()), ("id-1", "id-1".len() + 17));
    assert!(uids[1].starts_with("id-1#"));
    // The same event from a second object, indented.
    let pretty = serde_json::to_string_pretty(&base()).unwrap();
    let again =
        read_with("b", serde_json::to_string(&base()).unwrap().as_bytes(), &limits, &mut Seen::default()).0;
    assert_eq!(again.counts.rows, 1);
    let mut seen = Seen::default();
    read_with("a", serde_json::to_string(&base()).unwrap().as_bytes(), &limits, &mut seen);
    assert_eq!(read_with("b", pretty.as_bytes(), &limits, &mut seen).0.counts.duplicates, 1);
}

#[test]
fn what_is_not_cloudtrail_is_one_row_with_advice() {
    let s3 = json!({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventTime": "2024-05-01T10:00:00Z",
        "eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}]}).to_string();
    let docker =
        "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"2016-03-02T22:58:51.338462311Z\"}\n".repeat(3);
    let cri = "2017-09-12T22:32:21.212861448Z stdout F hello\n".repeat(3);
    for (bytes, advice) in [
        (s3.as_bytes(), "event notification"),
        (docker.as_bytes(), "logq-collector"),
        (cri.as_bytes(), "logq-collector"),
        (b"# README\n\nSome text about {\"things\"}.\n".as_slice(), "expected CloudTrail"),
        (b"SELECT 1;\n", "expected CloudTrail"),
        (
            b"A guide.\n\n    {\n      \"eventVersion\": \"1.08\",\n      \"eventSource\": \"x\"\n    }\n",
            "expected CloudTrail",
        ),
        (b"{\"a\":1}\n{\"b\":[2]}\n", "without one"),
        (b"[1,2,3]", "without one"),
        (b"{\"a\":", "without one"),
        (b"\x00\x01\x02\x03", "binary"),
        (b"3 vpc-1 subnet-1 i-1 eni-1 1 IPv4 1.2.3.4 OK", "header"),
        (b"6 TransitGateway 1 tgw-1 OK", "transit gateway"),
    ] {
        let (report, taken) = read_bytes(bytes);
        assert_eq!(report.format, FormatKind::Unknown, "{advice}");
        assert_eq!(
            (report.counts.records, taken.reasons()),
            (1, vec![Reason::UnknownFormat]),
            "{:?}",
            taken.rejected
        );
        assert!(taken.rejected[0].message.contains(advice), "{}", taken.rejected[0].message);
        assert_eq!(taken.rejected[0].record_number, None);
    }
    let (_, taken) = read_at("s3://b/x.json.gz", b"hello there");
    assert_eq!(taken.reasons(), [Reason::NotCompressed]);
    assert_eq!(read_at("s3://b/x.json.gz", event(1).as_bytes()).0.counts.rows, 1);
}

#[test]
fn empty_objects_and_digests_are_no_errors() {
    for bytes in [b"".as_slice(), b" \n\t\n", &gzip(b""), &zst(b"\n")] {
        let (report, taken) = read_bytes(bytes);
        assert_eq!((report.format, report.counts.records, taken.rejected.len()), (FormatKind::Empty, 0, 0));
    }
    let (report, _) = read_bytes(b"{\n  \"Records\": [\n  ]\n}\n");
    assert_eq!((report.format, report.counts.records), (FormatKind::CloudTrail, 0));
    let digest = json!({"awsAccountId": "1", "digestStartTime": "2024-05-01T10:00:00Z", "digestEndTime": "x", "digestS3Bucket": "b",
        "digestS3Object": "k", "previousDigestS3Object": null, "logFiles": [{"s3Object": "o"}]}).to_string();
    let (report, _) = read_bytes(&gzip(digest.as_bytes()));
    assert_eq!(
        (report.format, report.counts.records, report.counts.skipped),
        (FormatKind::CloudTrailDigest, 1, 1)
    );
}

#[test]
fn flow_columns_follow_the_header() {
    let text = "version vpc-id pkt_srcaddr srcaddr dstaddr tcp-flags new-thing start end action log-status packets-lost-blackhole tgw-attachment-id\n\
                5 vpc-1  2001:DB8::1 2001:db8:0:0::2 10.0.0.9 19 hello 1616729292 1616729349000 REJECT OK 7 tgw-attach-1\n";
    let (report, taken) = read_at("s3://b/AWSLogs/1/vpcflowlogs/ap-southeast-2/2021/x.log", text.as_bytes());
    assert_eq!(report.format, FormatKind::VpcFlow);
    for (column, value) in [
        ("record_version", "5"),
        ("vpc_id", "vpc-1"),
        ("pkt_srcaddr", "2001:db8::1"),
        ("src_ip", "2001:db8::2"),
        ("dst_ip", "10.0.0.9"),
        ("tcp_flags", "19"),
        ("unmapped", r#"{"new-thing":"hello"}"#),
        ("event_time", "1616729292000000"),
        ("end_time", "1616729349000000"),
        ("outcome", "failure"),
        ("action", "REJECT"),
        ("region", "ap-southeast-2"),
        ("packets_lost_blackhole", "7"),
        ("actor", "tgw-attach-1"),
        ("account_id", "-"),
        ("source", "vpc_flow"),
        ("event_uid", "0123456789abcdef:2"),
    ] {
        assert_eq!(taken.one(column), value, "{column}");
    }
}

#[test]
fn flow_lines_without_data_are_counted_and_gaps_kept() {
    let text = format!(
        "{FLOW_HEADER}\n2 unknown eni-1 - - - - - - - 1431280876 1431280934 - NODATA\n2 012345678901 eni-1 - - - - - - - 1431280876 1431280934 - SKIPDATA\n\n"
    );
    let (report, taken) = read_bytes(text.as_bytes());
    assert_eq!((report.counts.rows, report.counts.skipped), (1, 1));
    assert_eq!(
        (taken.one("log_status"), taken.one("bytes"), taken.one("src_ip")),
        ("SKIPDATA".into(), "-".into(), "-".into())
    );
    assert_eq!((taken.one("outcome"), taken.one("account_id")), ("-".into(), "012345678901".into()));
}

#[test]
fn bad_flow_lines_stand_alone() {
    let good = flow_line(7);
    let text = format!(
        "{good}\n{}\n{}\n...\n{} #Traffic from here\n{}\n{good}",
        good.replace(" 443 ", " 44x3 "),
        good.replace(" 1700000000 ", " 99999999999999999 "),
        good,
        good.replacen("2 ", "3 ", 1),
    );
    let (report, taken) = read_bytes(text.as_bytes());
    assert_eq!((report.counts.rows, report.counts.rejected), (2, 5));
    assert_eq!(
        taken.reasons(),
        [Reason::BadField, Reason::BadTime, Reason::FieldCount, Reason::FieldCount, Reason::FieldCount]
    );
    assert!(taken.rejected[0].message.contains("dstport") && taken.rejected[0].message.contains("44x3"));
    assert_eq!(
        (taken.rejected[0].record_number, taken.rejected[0].record_offset),
        (Some(2), good.len() as u64 + 1)
    );
}

#[test]
fn a_header_in_the_middle_switches_the_layout() {
    let text = format!(
        "{}\n{FLOW_HEADER}\n{}\ninstance-id interface-id srcaddr dstaddr start\ni-1 eni-9 10.0.0.1 10.0.0.253.1 1700000000\n",
        flow_line(1),
        flow_line(2)
    );
    let (report, taken) = read_bytes(text.as_bytes());
    assert_eq!((report.counts.rows, report.counts.rejected), (3, 0), "{:?}", taken.rejected);
    assert_eq!(taken.column("interface_id"), ["eni-0a1", "eni-0a2", "eni-9"]);
    // An address that is none is not lost.
    assert_eq!(taken.column("unmapped")[2], r#"{"dstaddr":"10.0.0.253.1"}"#);
}

#[test]
fn flows_without_start_take_another_time() {
    let text = "instance-id interface-id srcaddr dstaddr\n- eni-1 10.0.1.5 10.0.0.220\n";
    let key = "s3://b/AWSLogs/1/vpcflowlogs/us-east-1/2021/09/02/1_vpcflowlogs_us-east-1_fl-1_20210902T2145Z_c2ed.log.gz";
    assert_eq!(read_at(key, text.as_bytes()).1.one("event_time"), "1630619100000000");
    assert_eq!(read_bytes(text.as_bytes()).1.reasons(), [Reason::MissingTime]);
}
