//! Flow logs in every form they are delivered in: Parquet, formats without a header, joined records,
//! CloudWatch Logs and Firehose, keys of every style.

use super::*;
use crate::formats::vpc_flow::format::Scope;
use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{Field, Schema};
use base64::Engine as _;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::json;
use std::sync::Arc;

/// A Parquet file of these columns, compressed as AWS does it, in row groups of two rows.
pub(super) fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::GZIP(Default::default()))
        .set_max_row_group_row_count(Some(2))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn int(values: &[Option<i32>]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

fn long(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

/// Five records as AWS delivers them: typed columns, underscores, nulls and dashes.
pub(super) fn typed() -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("version", int(&[Some(5); 5])),
        (
            "account_id",
            text(&[
                Some("012345678901"),
                Some("012345678901"),
                Some("unknown"),
                Some("012345678901"),
                Some("-"),
            ]),
        ),
        ("interface_id", text(&[Some("eni-0a1"); 5])),
        ("srcaddr", text(&[Some("10.0.0.1"), Some("2001:DB8::1"), None, Some("-"), Some("10.0.0.4")])),
        ("dstaddr", text(&[Some("10.0.0.9"), Some("2001:db8::2"), None, None, Some("10.0.0.9")])),
        ("srcport", int(&[Some(1), Some(2), None, None, Some(5)])),
        ("dstport", int(&[Some(443), Some(443), None, None, Some(22)])),
        ("protocol", int(&[Some(6), Some(17), None, None, Some(6)])),
        ("bytes", long(&[Some(5_000_000_000), Some(7), None, None, Some(9)])),
        (
            "start",
            long(&[
                Some(1_700_000_000),
                Some(1_700_000_001),
                Some(1_700_000_002),
                Some(1_700_000_003),
                Some(1_700_000_004),
            ]),
        ),
        ("end", long(&[Some(1_700_000_060); 5])),
        ("action", text(&[Some("ACCEPT"), Some("REJECT"), None, Some("-"), Some("ACCEPT")])),
        ("log_status", text(&[Some("OK"), Some("OK"), Some("NODATA"), Some("SKIPDATA"), Some("OK")])),
        ("tcp_flags", int(&[Some(19), None, None, None, Some(2)])),
        ("reject_reason", text(&[None, Some("BPA"), None, None, None])),
        ("new_thing", text(&[Some("x"), None, None, None, Some("y")])),
    ]
}

const KEY: &str = "s3://b/AWSLogs/aws-account-id=098765432109/aws-service=vpcflowlogs/aws-region=eu-west-1/year=2026/month=11/day=22/hour=09/098765432109_vpcflowlogs_eu-west-1_fl-0123_20261122T0905Z_abcd.log.parquet";

#[test]
fn parquet_rows_mean_what_lines_mean() {
    let (report, taken) = read_at(KEY, &parquet(typed()));
    assert_eq!(report.format, FormatKind::VpcFlow);
    assert_eq!((report.counts.rows, report.counts.skipped), (4, 1), "{:?}", taken.rejected);
    for (column, values) in [
        ("account_id", ["012345678901", "012345678901", "012345678901", "098765432109"]),
        ("region", ["eu-west-1"; 4]),
        ("src_ip", ["10.0.0.1", "2001:db8::1", "-", "10.0.0.4"]),
        ("src_port", ["1", "2", "-", "5"]),
        ("bytes", ["5000000000", "7", "-", "9"]),
        ("event_time", ["1700000000000000", "1700000001000000", "1700000003000000", "1700000004000000"]),
        ("outcome", ["success", "failure", "-", "success"]),
        ("log_status", ["OK", "OK", "SKIPDATA", "OK"]),
        ("tcp_flags", ["19", "-", "-", "2"]),
        ("reject_reason", ["-", "BPA", "-", "-"]),
        ("unmapped", [r#"{"new_thing":"x"}"#, "-", "-", r#"{"new_thing":"y"}"#]),
        (
            "event_uid",
            ["0123456789abcdef:1", "0123456789abcdef:2", "0123456789abcdef:4", "0123456789abcdef:5"],
        ),
    ] {
        assert_eq!(taken.column(column), values, "{column}");
    }
    assert!(report.counts.inflated_bytes > 300, "{}", report.counts.inflated_bytes);
}

#[test]
fn parquet_columns_of_other_writers_are_read_too() {
    let times = TimestampMillisecondArray::from(vec![1_700_000_000_123, 1_700_000_001_000]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("srcaddr", Arc::new(arrow::array::BinaryArray::from(vec![b"10.0.0.1".as_slice(), b"10.0.0.2"]))),
        ("dstport", Arc::new(arrow::array::UInt16Array::from(vec![443, 65_535]))),
        ("start", Arc::new(times)),
        ("account-id", long(&[Some(12_345_678_901), None])),
    ];
    let (report, taken) = read_bytes(&parquet(columns));
    assert_eq!((report.counts.rows, report.counts.rejected), (2, 0), "{:?}", taken.rejected);
    assert_eq!(taken.column("src_ip"), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(taken.column("dst_port"), ["443", "65535"]);
    assert_eq!(taken.column("event_time"), ["1700000000123000", "1700000001000000"]);
    assert_eq!(taken.column("account_id"), ["12345678901", "-"]);
}

#[test]
fn bad_parquet_rows_stand_alone_and_can_be_read_again() {
    let columns = vec![
        ("srcaddr", text(&[Some("10.0.0.1"), Some("10.0.0.2"), Some("10.0.0.3")])),
        ("srcport", text(&[Some("1"), Some("x"), Some("3")])),
        ("start", long(&[Some(1_700_000_000), Some(1_700_000_000), None])),
    ];
    let (report, taken) = read_bytes(&parquet(columns));
    assert_eq!((report.counts.rows, taken.reasons()), (1, vec![Reason::BadField, Reason::MissingTime]));
    let rejected = &taken.rejected[0];
    assert_eq!(
        (rejected.record_number, rejected.record_offset),
        (Some(2), "10.0.0.1 1 1700000000\n".len() as u64)
    );
    assert_eq!(rejected.raw, b"srcaddr srcport start\n10.0.0.2 x 1700000000");
    let mended = String::from_utf8(rejected.raw.clone()).unwrap().replace(" x ", " 2 ");
    assert_eq!(read_bytes(mended.as_bytes()).1.one("src_port"), "2");
}

#[test]
fn parquet_that_is_no_flow_log_or_is_damaged_says_so() {
    let other = parquet(vec![("user", text(&[Some("a")])), ("amount", long(&[Some(1)]))]);
    let (report, taken) = read_bytes(&other);
    assert_eq!((report.format, taken.reasons()), (FormatKind::Unknown, vec![Reason::UnknownFormat]));
    assert!(taken.rejected[0].message.contains("user, amount"), "{}", taken.rejected[0].message);

    let lists = arrow::array::ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)])]);
    let nested =
        parquet(vec![("srcaddr", text(&[None])), ("start", long(&[Some(1)])), ("tags", Arc::new(lists))]);
    assert!(read_bytes(&nested).1.rejected[0].message.contains("tags is nested"));

    let whole = parquet(typed());
    let (report, taken) = read_bytes(&whole[..whole.len() - 9]);
    assert_eq!((report.counts.rows, taken.reasons()), (0, vec![Reason::CorruptParquet]));
    let (_, taken) = read_bytes(&gzip(&whole));
    assert!(taken.rejected[0].message.contains("compressed Parquet"), "{}", taken.rejected[0].message);
    // The second row group's pages: the rows before them are kept.
    let mut damaged = whole.clone();
    let middle = whole.len() / 3;
    damaged[middle..middle + 200].fill(0xff);
    let (report, taken) = read_bytes(&damaged);
    assert!(report.counts.rows <= 2, "{report:?}");
    assert!(taken.reasons().contains(&Reason::CorruptParquet), "{:?}", taken.reasons());
}

#[test]
fn g4_a_record_delivered_as_text_and_as_parquet_is_one() {
    let columns = vec![
        ("interface_id", text(&[Some("eni-1")])),
        ("srcaddr", text(&[Some("10.0.0.1")])),
        ("start", long(&[Some(1_700_000_000)])),
        ("end", long(&[Some(1_700_000_060)])),
        ("bytes", long(&[None])),
    ];
    let stored = parquet(columns);
    let line = "interface-id srcaddr start end bytes\neni-1 10.0.0.1 1700000000 1700000060 -\n";
    let mut seen = Seen::default();
    let limits = Limits::default();
    let context = Context { ingest_time: NOW, limits: &limits, flow_formats: &[] };
    let object = |id, bytes| Object { location: "a", object_id: id, bytes };
    assert_eq!(check(&object("aa", &stored), &context, &mut seen).0.counts.rows, 1);
    assert_eq!(check(&object("bb", line.as_bytes()), &context, &mut seen).0.counts.duplicates, 1);
}

fn with_formats(location: &str, bytes: &[u8], formats: &[(Scope, &str)]) -> (Report, Taken) {
    let formats: Vec<FlowFormat> =
        formats.iter().map(|(scope, text)| FlowFormat::new(scope.clone(), text).expect(text)).collect();
    let limits = Limits::default();
    let object = Object { location, object_id: "0123456789abcdef0123456789abcdef", bytes };
    let context = Context { ingest_time: NOW, limits: &limits, flow_formats: &formats };
    check(&object, &context, &mut Seen::default())
}

const CUSTOM: &str =
    "${version} ${vpc-id} ${interface-id} ${srcaddr} ${dstaddr} ${start} ${action} ${log-status}";
const CUSTOM_LINE: &str = "3 vpc-1 eni-1 10.0.0.1 10.0.0.2 1700000000 ACCEPT OK";

#[test]
fn a_format_without_a_header_is_read_where_it_is_declared_and_nowhere_else() {
    let scope = Scope::Location("s3://b/flow/".to_owned());
    let lines = format!("{CUSTOM_LINE}\n2026-11-22T09:00:00.000Z {CUSTOM_LINE}\nshort line\n");
    let (report, taken) =
        with_formats("s3://b/flow/x.gz", &gzip(lines.as_bytes()), &[(scope.clone(), CUSTOM)]);
    assert_eq!(report.format, FormatKind::VpcFlow);
    assert_eq!((report.counts.rows, taken.reasons()), (2, vec![Reason::FieldCount]));
    assert!(
        taken.rejected[0].message.contains("format in the configuration names 8"),
        "{:?}",
        taken.rejected
    );
    assert_eq!(taken.column("vpc_id"), ["vpc-1", "vpc-1"]);
    assert_eq!(taken.column("dst_ip"), ["10.0.0.2", "10.0.0.2"]);

    let (report, taken) = with_formats("s3://b/other/x.gz", lines.as_bytes(), &[(scope.clone(), CUSTOM)]);
    assert_eq!((report.counts.rows, taken.reasons()), (0, vec![Reason::UnknownFormat]));
    assert!(taken.rejected[0].message.contains("flow_format"), "{:?}", taken.rejected);

    // A header line knows better than the configuration.
    let (report, taken) = with_formats("s3://b/flow/x", flow_file(2).as_bytes(), &[(scope, CUSTOM)]);
    assert_eq!((report.counts.rows, taken.rejected.len()), (2, 0), "{:?}", taken.rejected);
}

#[test]
fn messages_of_a_log_group_have_the_format_declared_for_it() {
    // In the order of members that CloudWatch Logs writes.
    let document = |group: &str, line: &str| {
        format!(
            r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"{group}","logStream":"eni-1-all","subscriptionFilters":["f"],"logEvents":[{{"id":"1","timestamp":1,"message":"{line}"}}]}}"#
        )
    };
    let group = Scope::LogGroup("/vpc/custom*".to_owned());
    // Back to back, without separators, each with its own group; a control message in between.
    let control = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1,"message":"CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."}]}"#;
    let text = [
        document("/vpc/default", &flow_line(1)),
        document("/vpc/custom-a", CUSTOM_LINE),
        control.to_owned(),
        document("/vpc/default", &flow_line(2)),
        document("/vpc/custom-b", &flow_line(3)),
    ]
    .concat();
    for stored in [text.clone().into_bytes(), gzip(text.as_bytes()), gzip(&gzip(text.as_bytes()))] {
        let (report, taken) =
            with_formats("s3://b/firehose/2026/11/22/09/x", &stored, &[(group.clone(), CUSTOM)]);
        assert_eq!((report.counts.rows, report.counts.skipped), (3, 1), "{:?}", taken.rejected);
        assert_eq!(taken.column("interface_id"), ["eni-0a1", "eni-1", "eni-0a2"]);
        assert_eq!(taken.reasons(), [Reason::FieldCount]);
    }
    // One message an object, as pipelines flatten them.
    let flat = json!({"logGroup": "/vpc/custom-a", "message": CUSTOM_LINE}).to_string();
    assert_eq!(with_formats("s3://b/x", flat.as_bytes(), &[(group, CUSTOM)]).1.one("vpc_id"), "vpc-1");
}

#[test]
fn firehose_deliveries_of_default_lines_need_no_declaration() {
    let message = |number| json!({"message": flow_line(number)}).to_string();
    let members =
        [gzip(message(1).as_bytes()), gzip(message(2).as_bytes()), gzip(message(3).as_bytes())].concat();
    let joined = format!("{}{}{}", flow_line(1), flow_line(2), flow_line(3));
    let nodata = "2 unknown eni-1 - - - - - - - 1431280876 1431280934 - NODATA";
    for stored in [
        [message(1), message(2), message(3)].concat().into_bytes(),
        [message(1), message(2), message(3)].join("\n").into_bytes(),
        members.clone(),
        gzip(&members),
        joined.clone().into_bytes(),
        format!("{joined}\n").into_bytes(),
        format!("{}\n{}{}", flow_line(1), flow_line(2), flow_line(3)).into_bytes(),
        format!("{nodata}{joined}{nodata}").into_bytes(),
    ] {
        let (report, taken) = read_at("s3://b/firehose/2026/11/22/09/stream-1", &stored);
        assert_eq!((report.format, report.counts.rows), (FormatKind::VpcFlow, 3), "{:?}", taken.rejected);
        assert_eq!(taken.column("interface_id"), ["eni-0a1", "eni-0a2", "eni-0a3"]);
        let mut uids = taken.column("event_uid");
        uids.dedup();
        assert_eq!(uids.len(), 3, "{uids:?}");
        assert!(report.counts.rejected == 0, "{:?}", taken.rejected);
    }
    // With a header a line is a record: nothing is taken apart.
    let text = format!("{FLOW_HEADER}\n{joined}\n");
    assert_eq!(read_bytes(text.as_bytes()).1.reasons(), [Reason::FieldCount]);
}

/// Firehose writes what it could not transform below `processing-failed/`, one JSON object after another.
#[test]
fn records_that_firehose_failed_to_transform_are_not_lost() {
    let document = format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"eni-1-all","subscriptionFilters":["f"],"policyLevel":"ACCOUNT_LEVEL_POLICY","logEvents":[{{"id":"1","timestamp":1,"message":"{}","extractedFields":{{"a":"b"}}}},{{"id":"2","timestamp":1,"message":"{}"}}]}}"#,
        flow_line(1),
        flow_line(2)
    );
    let failed = |bytes: &[u8]| {
        let data = base64::engine::general_purpose::STANDARD.encode(bytes);
        format!(
            r#"{{"attemptsMade":4,"arrivalTimestamp":1,"errorCode":"Lambda.FunctionError","rawData":"{data}"}}"#
        )
    };
    let compressed = gzip(document.as_bytes());
    let cut = failed(&compressed[..compressed.len() / 2]);
    let text =
        [failed(&compressed), failed(event(1).as_bytes()), cut, failed(flow_line(3).as_bytes())].concat();
    let (report, taken) = read_bytes(text.as_bytes());
    assert_eq!((report.counts.rows, taken.reasons()), (4, vec![Reason::NotARecord]), "{:?}", taken.rejected);
    assert_eq!(taken.batches.iter().map(|(table, _)| *table).collect::<Vec<_>>(), ["cloudtrail", "vpc_flow"]);
}

const TRANSIT: &str = "version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end log-status type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags region flow-direction pkt-src-aws-service pkt-dst-aws-service";
const TRANSIT_LINE: &str = "6 TransitGateway 012345678901 tgw-1 tgw-attach-1 111122223333 444455556666 vpc-a vpc-b subnet-a subnet-b eni-a eni-b use1-az1 use1-az2 tgw-attach-2 10.20.0.5 10.40.0.6 50000 443 6 10 840 1700000000 1700000060 OK IPv4 0 3 0 0 18 us-east-1 egress - S3";

#[test]
fn transit_gateway_logs_are_read_with_a_header_or_a_declared_format() {
    let scope = Scope::Location("s3://b/tgw/".to_owned());
    let declared: String = TRANSIT.split(' ').map(|name| format!("${{{name}}} ")).collect();
    for (text, formats) in [
        (format!("{TRANSIT}\n{TRANSIT_LINE}\n"), vec![]),
        (format!("{TRANSIT_LINE}\n"), vec![(scope, declared.as_str())]),
    ] {
        let (report, taken) = with_formats("s3://b/tgw/x.log.gz", &gzip(text.as_bytes()), &formats);
        assert_eq!((report.counts.rows, report.counts.rejected), (1, 0), "{:?}", taken.rejected);
        for (column, value) in [
            ("actor", "tgw-attach-1"),
            ("resource_type", "TransitGateway"),
            ("tgw_src_vpc_account_id", "111122223333"),
            ("tgw_pair_attachment_id", "tgw-attach-2"),
            ("dst_ip", "10.40.0.6"),
            ("bytes", "840"),
            ("packets_lost_blackhole", "3"),
            ("region", "us-east-1"),
            ("pkt_dst_aws_service", "S3"),
            ("action", "-"),
            ("outcome", "-"),
        ] {
            assert_eq!(taken.one(column), value, "{column}");
        }
    }
    let (_, taken) = read_at("s3://b/tgw/x.log.gz", TRANSIT_LINE.as_bytes());
    assert_eq!(taken.reasons(), [Reason::UnknownFormat]);
    assert!(
        taken.rejected[0].message.contains("transit gateway")
            && taken.rejected[0].message.contains("flow_format")
    );
}

#[test]
fn every_version_and_field_is_read_in_text_and_in_parquet() {
    const ALL: [(&str, &str, &str); 42] = [
        ("version", "10", "record_version"),
        ("account-id", "012345678901", "account_id"),
        ("interface-id", "eni-1", "interface_id"),
        ("srcaddr", "10.0.0.1", "src_ip"),
        ("dstaddr", "2a02:cf40::", "dst_ip"),
        ("srcport", "1", "src_port"),
        ("dstport", "65535", "dst_port"),
        ("protocol", "58", "protocol"),
        ("packets", "3", "packets"),
        ("bytes", "9223372036854775807", "bytes"),
        ("start", "1700000000", "event_time"),
        ("end", "1700000060", "end_time"),
        ("action", "REJECT", "action"),
        ("log-status", "OK", "log_status"),
        ("vpc-id", "vpc-1", "vpc_id"),
        ("subnet-id", "subnet-1", "subnet_id"),
        ("instance-id", "i-1", "instance_id"),
        ("tcp-flags", "3", "tcp_flags"),
        ("type", "EFA", "type"),
        ("pkt-srcaddr", "10.0.0.7", "pkt_srcaddr"),
        ("pkt-dstaddr", "10.0.0.8", "pkt_dstaddr"),
        ("region", "us-gov-west-1", "region"),
        ("az-id", "usw2-az1", "az_id"),
        ("sublocation-type", "wavelength", "sublocation_type"),
        ("sublocation-id", "s-1", "sublocation_id"),
        ("pkt-src-aws-service", "AMAZON", "pkt_src_aws_service"),
        ("pkt-dst-aws-service", "CLOUDFRONT", "pkt_dst_aws_service"),
        ("flow-direction", "egress", "flow_direction"),
        ("traffic-path", "8", "traffic_path"),
        ("ecs-cluster-arn", "arn:aws:ecs:us-east-1:1:cluster/c", "ecs_cluster_arn"),
        ("ecs-cluster-name", "c", "ecs_cluster_name"),
        ("ecs-container-instance-arn", "arn:ci", "ecs_container_instance_arn"),
        ("ecs-container-instance-id", "ci", "ecs_container_instance_id"),
        ("ecs-container-id", "d1", "ecs_container_id"),
        ("ecs-second-container-id", "d2", "ecs_second_container_id"),
        ("ecs-service-name", "svc", "ecs_service_name"),
        ("ecs-task-definition-arn", "arn:td", "ecs_task_definition_arn"),
        ("ecs-task-arn", "arn:t", "ecs_task_arn"),
        ("ecs-task-id", "t", "ecs_task_id"),
        ("reject-reason", "BPA", "reject_reason"),
        ("resource-id", "nat-1", "resource_id"),
        ("encryption-status", "3", "encryption_status"),
    ];
    let header: Vec<&str> = ALL.iter().map(|(name, ..)| *name).collect();
    let line: Vec<&str> = ALL.iter().map(|(_, value, _)| *value).collect();
    let dashes: Vec<&str> = ALL
        .iter()
        .map(|(name, value, _)| match *name {
            "version" | "start" | "end" => value,
            "log-status" => "SKIPDATA",
            _ => "-",
        })
        .collect();
    let stored = format!("{}\n{}\n{}\n", header.join(" "), line.join(" "), dashes.join(" "));
    let names: Vec<String> = header.iter().map(|name| name.replace('-', "_")).collect();
    let columns = names.iter().zip(line.iter().zip(&dashes)).map(|(name, (first, second))| {
        let array: ArrayRef = match first.parse::<i64>() {
            Ok(_) if name != "account_id" => {
                Arc::new(Int64Array::from(vec![first.parse::<i64>().ok(), second.parse::<i64>().ok()]))
            }
            _ => text(&[Some(*first), Some(*second)]),
        };
        (name.as_str(), array)
    });
    let parquet = parquet(columns.collect());
    for stored in [stored.as_bytes(), &gzip(stored.as_bytes()), &parquet] {
        let (report, taken) = read_bytes(stored);
        assert_eq!((report.counts.rows, report.counts.rejected), (2, 0), "{:?}", taken.rejected);
        for (_, value, column) in ALL {
            let value = if column.ends_with("_time") { format!("{value}000000") } else { value.to_owned() };
            assert_eq!(taken.column(column)[0], value, "{column}");
        }
        assert_eq!(taken.column("unmapped"), ["-", "-"]);
        assert_eq!(taken.column("log_status")[1], "SKIPDATA");
        assert_eq!((taken.column("bytes")[1].as_str(), taken.column("ecs_task_id")[1].as_str()), ("-", "-"));
    }
}

#[test]
fn names_that_no_version_has_are_kept_by_name() {
    let text = "version srcaddr start some_future-field\n11 10.0.0.1 1700000000 hello\n";
    assert_eq!(read_bytes(text.as_bytes()).1.one("unmapped"), r#"{"some_future-field":"hello"}"#);
}

#[test]
fn every_style_of_key_and_aggregation_gives_the_same_rows() {
    // Windows of one and of ten minutes, and a cut one: the record says so, not the key.
    let windows = [60, 600, 14];
    for key in [
        "s3://b/AWSLogs/012345678901/vpcflowlogs/eu-west-1/2026/11/22/012345678901_vpcflowlogs_eu-west-1_fl-1_20261122T0905Z_ab.log.gz",
        "s3://b/p/AWSLogs/012345678901/vpcflowlogs/eu-west-1/2026/11/22/09/012345678901_vpcflowlogs_eu-west-1_fl-1_20261122T0905Z_ab.log.gz",
        "s3://b/AWSLogs/aws-account-id=012345678901/aws-service=vpcflowlogs/aws-region=eu-west-1/year=2026/month=11/day=22/hour=09/x.log.gz",
    ] {
        let lines: String = windows
            .iter()
            .map(|seconds| format!("10.0.0.1 10.0.0.2 {} {}\n", 1_700_000_000, 1_700_000_000 + seconds))
            .collect();
        let (_, taken) = read_at(key, &gzip(format!("srcaddr dstaddr start end\n{lines}").as_bytes()));
        assert_eq!(taken.column("region"), ["eu-west-1"; 3], "{key}");
        assert_eq!(taken.column("account_id"), ["012345678901"; 3], "{key}");
        assert_eq!(taken.column("end_time"), ["1700000060000000", "1700000600000000", "1700000014000000"]);
    }
}
