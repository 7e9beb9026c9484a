//! CloudTrail: every version, category and packing, and values as other writers spell them.

use super::*;
use serde_json::{Value, json};

fn base() -> Value {
    serde_json::from_str(&event(1)).unwrap()
}

fn ct(record: &Value) -> Taken {
    let (report, taken) = read_bytes(json!({"Records": [record]}).to_string().as_bytes());
    assert_eq!(report.format, FormatKind::CloudTrail, "{:?}", taken.rejected);
    taken
}

#[test]
fn every_version_of_the_record_is_a_row() {
    for version in [
        "1.0", "1.00", "1.01", "1.02", "1.03", "1.04", "1.05", "1.06", "1.07", "1.08", "1.09", "1.10", "1.11",
    ] {
        let mut record = base();
        record["eventVersion"] = json!(version);
        // Members came with their versions; without them a record is one all the same.
        for (member, since) in
            [("requestID", 1), ("eventType", 2), ("recipientAccountId", 2), ("managementEvent", 6)]
        {
            let minor: u32 = version.split('.').nth(1).unwrap().parse().unwrap();
            if minor < since {
                record.as_object_mut().unwrap().remove(member);
            }
        }
        let taken = ct(&record);
        assert_eq!(
            (taken.one("event_version").as_str(), taken.one("event_name").as_str()),
            (version, "GetObject")
        );
        assert_eq!(taken.one("event_category"), "-", "not guessed");
    }
    let mut record = base();
    record["eventVersion"] = json!("1.11");
    record["eventContext"] = json!({"tagContext": {"principalTags": {"team": "x"}}});
    record["omitted"] = json!(true);
    assert_eq!(
        serde_json::from_str::<Value>(&ct(&record).one("unmapped")).unwrap(),
        json!({"eventContext": {"tagContext": {"principalTags": {"team": "x"}}}, "omitted": true})
    );
}

#[test]
fn network_activity_of_a_foreign_account_keeps_what_is_left_of_it() {
    let record = json!({"eventVersion": "1.09", "userIdentity": {"type": "AWSAccount", "principalId": "AKIA", "accountId": "777788889999"},
        "eventTime": "2024-06-04T23:10:46Z", "eventSource": "kms.amazonaws.com", "eventName": "DescribeKey", "awsRegion": "us-east-1",
        "sourceIPAddress": "10.0.0.5", "errorCode": "VpceAccessDenied", "errorMessage": "denied by the endpoint's policy",
        "requestParameters": null, "responseElements": null, "requestID": "r", "eventID": "network-1", "eventType": "AwsVpceEvent",
        "recipientAccountId": "123456789012", "sharedEventID": "s", "vpcEndpointId": "vpce-1", "vpcEndpointAccountId": "123456789012",
        "eventCategory": "NetworkActivity"});
    let taken = ct(&record);
    for (column, value) in [
        ("event_category", "NetworkActivity"),
        ("event_type", "AwsVpceEvent"),
        ("outcome", "failure"),
        ("vpc_endpoint_account_id", "123456789012"),
        ("account_id", "123456789012"),
        ("user_identity_account_id", "777788889999"),
        ("actor", "AKIA"),
        ("user_identity_arn", "-"),
    ] {
        assert_eq!(taken.one(column), value, "{column}");
    }
}

#[test]
fn values_are_taken_as_other_writers_spell_them() {
    let with = |key: &str, value: Value| {
        let mut record = base();
        record[key] = value;
        ct(&record)
    };
    for (written, micros) in [
        (json!("2024-05-01T10:00:01.123456789Z"), "1714557601123456"),
        (json!("2024-05-01T10:00:01"), "1714557601000000"),
        (json!("2024-05-01 10:00:01.000"), "1714557601000000"),
        (json!("20240501T100001Z"), "1714557601000000"),
        (json!(1_714_557_601), "1714557601000000"),
        (json!(1_714_557_601_000_i64), "1714557601000000"),
    ] {
        assert_eq!(with("eventTime", written.clone()).one("event_time"), micros, "{written}");
    }
    for (resources, kept) in [
        (
            json!([{"ARN": "arn:a", "accountId": "1", "type": "AWS::S3::Bucket"}]),
            r#"[{"ARN":"arn:a","accountId":"1","type":"AWS::S3::Bucket"}]"#,
        ),
        (json!([{"arn": "arn:a"}]), r#"[{"arn":"arn:a"}]"#),
        (json!([{"ARNPrefix": "arn:a"}, "x"]), r#"[{"ARNPrefix":"arn:a"},"x"]"#),
    ] {
        assert_eq!(with("resources", resources).one("resources"), kept);
    }
    assert_eq!(with("recipientAccountId", json!("012345678901")).one("recipient_account_id"), "012345678901");
    assert_eq!(with("requestParameters", json!("{\"a\":1")).one("request_parameters"), r#""{\"a\":1""#);
    assert_eq!(with("userIdentity", json!(null)).one("actor"), "-");
    assert_eq!(
        with(
            "userIdentity",
            json!({"accountId": "123456789012", "invokedBy": "secretsmanager.amazonaws.com"})
        )
        .one("actor"),
        "secretsmanager.amazonaws.com"
    );
    assert_eq!(with("errorCode", json!("AccessDenied")).one("error_message"), "-");
    assert_eq!(
        with("userAgent", json!("[Boto3/1.26 Python/3.9]")).one("user_agent"),
        "[Boto3/1.26 Python/3.9]"
    );
    assert_eq!(with("managementEvent", json!("true")).one("management_event"), "true");
    assert_eq!(
        with("additionalEventData", json!({"n": 9_007_199_254_740_993_i64})).one("additional_event_data"),
        r#"{"n":9007199254740993}"#
    );
}

#[test]
fn a_correction_stands_beside_the_event_it_corrects() {
    let addendum = json!({"reason": "UPDATED_DATA", "updatedFields": "eventID, responseElements", "originalEventID": "id-1"});
    let mut own = base();
    own["eventID"] = json!("id-1-corrected");
    own["addendum"] = addendum.clone();
    let mut same = base();
    same["responseElements"] = json!({"x": 1});
    same["addendum"] = addendum.clone();
    let text = json!({"Records": [base(), own, same, base()]}).to_string();
    let (report, taken) = read_bytes(text.as_bytes());
    assert_eq!((report.counts.rows, report.counts.duplicates), (3, 1));
    assert_eq!(taken.column("event_uid")[..2], ["id-1", "id-1-corrected"]);
    assert!(taken.column("event_uid")[2].starts_with("id-1#"));
    assert_eq!(serde_json::from_str::<Value>(&taken.column("addendum")[2]).unwrap(), addendum);
}

/// Rows of `get-query-results` hold one object for each column.
#[test]
fn results_of_lake_queries_are_records() {
    let rows = json!({"QueryStatus": "FINISHED", "QueryStatistics": {"ResultsCount": 3}, "QueryResultRows": [
        [{"eventID": "q-1"}, {"eventVersion": "1.08"}, {"eventTime": "2024-05-01 10:00:00.000"}, {"eventSource": "s3.amazonaws.com"},
         {"eventName": "GetObject"}, {"userIdentity": "{type=IAMUser, arn=arn:aws:iam::1:user/a}"}, {"readOnly": "true"}],
        [{"eventID": "q-2"}, {"eventTime": "2024-05-01 10:00:01.000"}, {"eventSource": "s3.amazonaws.com"}, {"eventName": "PutObject"}, {}],
        [{"count": "7"}]], "NextToken": "t"});
    for text in
        [rows.to_string(), serde_json::to_string_pretty(&rows).unwrap(), rows["QueryResultRows"].to_string()]
    {
        let (report, taken) = read_bytes(text.as_bytes());
        assert_eq!(report.format, FormatKind::CloudTrail, "{:?}", taken.rejected);
        assert_eq!(taken.column("event_uid"), ["q-1", "q-2"]);
        assert_eq!(taken.column("event_time"), ["1714557600000000", "1714557601000000"]);
        assert_eq!(taken.column("read_only"), ["true", "-"]);
        assert!(taken.column("user_identity")[0].contains("type=IAMUser"));
        assert_eq!(taken.reasons(), [Reason::NotARecord]);
    }
}

/// G11: also where nested parts are text.
#[test]
fn session_tokens_in_results_of_lake_queries_are_dropped() {
    let nested = json!({"credentials": {"accessKeyId": "ASIA", "sessionToken": "SECRET1/+="}}).to_string();
    let rows = json!([[{"eventID": "q"}, {"eventTime": "2024-05-01 10:00:00"}, {"eventSource": "sts.amazonaws.com"},
        {"eventName": "AssumeRole"}, {"responseElements": nested}, {"requestParameters": "{sessionToken=SECRET2, a=b}"}]]);
    let (_, taken) = read_bytes(rows.to_string().as_bytes());
    for column in ["response_elements", "request_parameters"] {
        assert!(!taken.one(column).contains("SECRET"), "{}", taken.one(column));
    }
    assert!(
        taken.one("response_elements").contains("ASIA") && taken.one("request_parameters").contains("a=b")
    );
}

#[test]
fn tables_exported_as_csv_are_refused_with_advice() {
    let lake = "\"eventversion\",\"useridentity\",\"eventtime\",\"eventsource\"\n\"1.08\",\"{type=IAMUser}\",\"2024-05-01\",\"s3\"\n";
    for stored in [
        lake.as_bytes().to_vec(),
        gzip(lake.as_bytes()),
        b"Event Name,Event Source,Event Time\na,b,c\n".to_vec(),
    ] {
        let (report, taken) = read_at("s3://b/lake/result_1.csv.gz", &stored);
        let reasons = taken.reasons();
        assert_eq!((report.format, report.counts.rows), (FormatKind::Unknown, 0));
        assert_eq!(reasons, [Reason::UnsupportedSource], "{:?}", taken.rejected);
        assert!(taken.rejected[0].message.contains("CSV"), "{}", taken.rejected[0].message);
    }
}

#[test]
fn a_megabyte_event_is_a_row_like_any_other() {
    let mut record = base();
    let policy = format!("{{\"Statement\":\"{}\"}}", "x\u{e9}".repeat(350_000));
    record["requestParameters"] = json!({"policyDocument": policy, "empty": {}, "list": []});
    let text =
        json!({"Records": [base(), record, serde_json::from_str::<Value>(&event(2)).unwrap()]}).to_string();
    let text = text.replacen("\"id-1\"", "\"id-0\"", 1);
    assert!(text.len() > 1 << 20);
    for stored in [text.clone().into_bytes(), gzip(text.as_bytes())] {
        let (report, taken) = read_bytes(&stored);
        assert_eq!((report.counts.rows, report.counts.rejected), (3, 0), "{:?}", taken.reasons());
        let kept: Value = serde_json::from_str(&taken.column("request_parameters")[1]).unwrap();
        assert_eq!(kept["policyDocument"], json!(policy));
    }
}

/// A record may have 64 KiB here and the line has 18 MB: what is held at once is bounded by the first,
/// because a window that grew past a record's limit would reject what it holds.
#[test]
fn a_huge_file_of_one_line_goes_through_a_small_window() {
    let count = 30_000;
    let stored = gzip(log_file(count).as_bytes());
    let limits = Limits { record_bytes_max: 64 << 10, batch_rows: 1_000, ..Limits::default() };
    let (report, taken) = read_with("a", &stored, &limits, &mut Seen::default());
    assert_eq!((report.counts.rows, report.counts.rejected), (u64::from(count), 0));
    assert!(taken.batches.iter().all(|(_, batch)| batch.num_rows() <= 1_000));
    assert!(report.counts.inflated_bytes > 16 << 20, "{}", report.counts.inflated_bytes);
}

#[test]
fn logs_of_sources_without_a_table_are_refused_by_name() {
    let alb = r#"https 2018-07-02T22:23:00.186641Z app/lb/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://x:443/ HTTP/1.1" "curl" - - arn "Root=1" "-" "-" 0"#;
    let waf = r#"{"timestamp":1,"formatVersion":1,"webaclId":"arn","action":"BLOCK","httpRequest":{"clientIp":"1.2.3.4"}}"#;
    let guard = r#"{"schemaVersion":"2.0","accountId":"1","region":"r","id":"i","type":"Recon","service":{"count":1},"severity":5}"#;
    let resolver =
        r#"{"version":"1.100000","account_id":"1","query_name":"x.","query_type":"A","rcode":"NOERROR"}"#;
    let audit =
        r#"{"kind":"Event","level":"Metadata","auditID":"a","stage":"ResponseComplete","verb":"get"}"#;
    for (text, part) in [
        (alb, "Elastic Load Balancing"),
        (waf, "WAF"),
        (guard, "GuardDuty"),
        (resolver, "Route 53"),
        (audit, "logq-collector"),
        ("#Version: 1.0\n#Fields: date time x-edge-location\n2019-12-04\t21:02:31\tLAX1", "CloudFront"),
    ] {
        for stored in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
            let (report, taken) = read_bytes(&stored);
            assert_eq!((report.format, report.counts.records), (FormatKind::Unknown, 1), "{part}");
            assert_eq!(taken.reasons(), [Reason::UnsupportedSource], "{part}: {:?}", taken.rejected);
            assert!(taken.rejected[0].message.contains(part), "{}", taken.rejected[0].message);
        }
    }
}
