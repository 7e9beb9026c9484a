use super::vpc_flow::Layout;
use super::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::path::Path;

fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        start: 1_795_341_600 - 4 * 3_600,
        end: 1_795_341_600,
        cloudtrail: 6_000,
        flows: 12_000,
        lines: 4_000,
        architecture: Architecture::A,
        attacks: 1.0,
    }
}

fn inflate(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).expect("valid gzip of UTF-8");
    text
}

/// Every file below `root` with its bytes.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    walkdir::WalkDir::new(root)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(root).expect("below root").display().to_string();
            (name, std::fs::read(entry.path()).expect("readable"))
        })
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let folder = tempfile::tempdir().expect("temporary directory");
    for (name, seed) in [("one", 1), ("two", 1), ("other", 2)] {
        corpus::write(&plan(seed), Layout::V5, &folder.path().join(name)).expect("writes");
    }
    let one = files(&folder.path().join("one"));
    assert!(one.len() > 100, "{} files", one.len());
    assert!(one == files(&folder.path().join("two")), "the same seed gave other bytes");
    assert_ne!(
        one.keys().collect::<Vec<_>>(),
        files(&folder.path().join("other")).keys().collect::<Vec<_>>()
    );
}

#[test]
fn cloudtrail_has_exactly_the_planned_records_and_each_is_unique() {
    let (objects, labels) = cloudtrail::Objects::new(&plan(3));
    let (mut seen, mut sizes, mut sources, mut versions) =
        (HashSet::new(), Vec::new(), HashSet::new(), HashMap::<String, u64>::new());
    for object in objects {
        let object = object.expect("an object");
        let parsed: serde_json::Value = serde_json::from_str(&inflate(&object.bytes)).expect("valid JSON");
        let records = parsed["Records"].as_array().expect("an envelope");
        assert_eq!(records.len() as u64, object.records);
        for record in records {
            assert!(seen.insert(record["eventID"].as_str().expect("eventID").to_owned()));
            sizes.push(record.to_string().len());
            sources.insert(record["eventSource"].to_string());
            *versions.entry(record["eventVersion"].to_string()).or_default() += 1;
            for key in ["requestParameters", "responseElements"] {
                assert!(record[key].is_object() || record[key].is_null(), "{key} of {record}");
            }
            assert!(object.key.contains(record["recipientAccountId"].as_str().expect("an account")));
            assert!(!record.to_string().contains('$'), "a placeholder was left: {record}");
        }
    }
    assert_eq!(seen.len(), 6_000);
    sizes.sort_unstable();
    let median = sizes[sizes.len() / 2];
    assert!((900..1_500).contains(&median), "median record is {median} bytes");
    assert!(sources.len() >= 18, "{} services", sources.len());
    assert!(versions.len() >= 5);
    assert_eq!(labels.len(), 9);
}

#[test]
fn flow_logs_hold_the_columns_of_their_header_and_count_their_gaps() {
    for layout in [Layout::V2, Layout::V5] {
        let columns = layout.header().split(' ').count();
        let (objects, _) = vpc_flow::Objects::new(&plan(4), layout);
        let mut tally = Tally::default();
        let (mut no_data, mut rejects) = (0, 0);
        for object in objects {
            let object = object.expect("an object");
            let text = inflate(&object.bytes);
            assert_eq!(text.lines().count() as u64, object.records + 1);
            for line in text.lines() {
                assert_eq!(line.split(' ').count(), columns, "{line}");
                no_data += u64::from(line.contains(" NODATA"));
                rejects += u64::from(line.contains(" REJECT "));
            }
            tally.add(&object);
        }
        assert_eq!(tally.skipped, no_data);
        assert!(tally.rows() >= 12_000 && tally.rows() < 12_100, "{} rows", tally.rows());
        assert!(rejects * 20 > tally.rows(), "{rejects} rejects");
    }
}

/// A finding about a planted entity must be a hit: nothing benign may involve it.
#[test]
fn planted_entities_take_no_part_in_benign_traffic() {
    for architecture in [Architecture::A, Architecture::B] {
        let with = Plan { architecture, ..plan(5) };
        let without = Plan { attacks: 0.0, ..with.clone() };
        let (_, network) = vpc_flow::Objects::new(&with, Layout::V5);
        let (_, account) = cloudtrail::Objects::new(&with);
        assert_eq!((network.len(), account.len()), (7, 9));
        let mut benign = String::new();
        for object in
            vpc_flow::Objects::new(&without, Layout::V5).0.chain(cloudtrail::Objects::new(&without).0)
        {
            for line in inflate(&object.expect("an object").bytes).lines() {
                if !line.contains(" NODATA") && !line.contains(" SKIPDATA") {
                    benign.push_str(line);
                    benign.push('\n');
                }
            }
        }
        for label in network.iter().chain(&account) {
            for text in [&label.entity, &label.target] {
                let specific = text.starts_with("arn:") || text.parse::<std::net::Ipv4Addr>().is_ok();
                let found = benign.contains(&format!(" {text} ")) || benign.contains(&format!("\"{text}\""));
                assert!(!specific || !found, "{text} of {} is in benign traffic", label.kind);
            }
        }
    }
}

#[test]
fn labels_count_what_was_planted() {
    let planned = plan(6);
    let (objects, labels) = vpc_flow::Objects::new(&planned, Layout::V2);
    let mut text = String::new();
    for object in objects {
        text.push_str(&inflate(&object.expect("an object").bytes));
    }
    let scan = labels.iter().find(|label| label.kind == "port_scan").expect("a port scan");
    let involved = text.lines().filter(|line| line.contains(&format!(" {} ", scan.entity))).count();
    assert_eq!(involved as u64, scan.count);
    let ports: HashSet<&str> = text
        .lines()
        .filter(|line| line.contains(&format!(" {} ", scan.entity)) && line.contains("REJECT"))
        .filter_map(|line| line.split(' ').nth(6))
        .collect();
    assert!(ports.len() > 400, "{} ports", ports.len());
    assert!(labels.iter().all(|label| label.first >= planned.start && label.last < planned.end));
}

#[test]
fn container_lines_are_exactly_as_many_as_planned_and_in_order() {
    let planned = plan(7);
    let lines: Vec<_> = cri::Lines::new(&planned).collect();
    assert_eq!(lines.len(), 4_000);
    assert!(lines.iter().any(|line| line.body.len() > cri::writer::PIECE_BYTES), "no long line");
    assert!(lines.iter().any(|line| std::str::from_utf8(&line.body).is_err()), "no bytes that are not UTF-8");
    assert!(lines.iter().any(|line| line.body.starts_with(b"\tat ")), "no stack trace");
    assert!(lines.iter().all(|line| !line.body.contains(&b'\n')));
}

#[test]
fn a_day_is_busier_at_noon_than_at_night() {
    let planned = Plan { start: 1_795_305_600, end: 1_795_305_600 + 86_400, ..plan(8) };
    let hour =
        |h: i64| planned.share_until(100_000, (h + 1) * 3_600) - planned.share_until(100_000, h * 3_600);
    assert!(hour(14) > 2 * hour(2), "{} at 14:00, {} at 02:00", hour(14), hour(2));
    assert_eq!(planned.share_until(100_000, 86_400), 100_000);
}
