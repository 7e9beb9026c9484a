//! Cut, damaged, oversized and hostile objects.

use super::*;
use proptest::prelude::*;

/// Complete records within the first `length` bytes of a log file.
fn complete(count: u32, length: usize) -> u64 {
    let mut end = "{\"Records\":[".len();
    let mut records = 0;
    for number in 0..count {
        end += event(number).len();
        if end > length {
            break;
        }
        records += 1;
        end += 1;
    }
    records
}

#[test]
fn a_log_file_cut_at_any_byte_keeps_every_complete_record() {
    let text = log_file(4);
    let start = text.find("Version").unwrap();
    for length in start..text.len() {
        let (report, taken) = read_at("s3://b/AWSLogs/1/CloudTrail/x.json", &text.as_bytes()[..length]);
        assert_eq!(report.counts.rows, complete(4, length), "cut at {length}");
        assert_eq!(taken.reasons(), [Reason::TruncatedJson], "cut at {length}");
    }
}

#[test]
fn a_compressed_object_cut_in_half_reports_one_row() {
    let text = log_file(3_000);
    for stored in [gzip(text.as_bytes()), zst(text.as_bytes())] {
        let (report, taken) = read_bytes(&stored[..stored.len() / 2]);
        assert_eq!(report.format, FormatKind::CloudTrail);
        assert!(report.counts.rows > 500, "{}", report.counts.rows);
        assert_eq!(taken.reasons(), [Reason::TruncatedCompression]);
        assert_eq!(report.counts.rows, complete(3_000, report.counts.inflated_bytes as usize));
        assert!(taken.rejected[0].record_offset <= report.counts.inflated_bytes);
    }
    let flows = flow_file(5_000);
    let stored = gzip(flows.as_bytes());
    let (report, taken) = read_bytes(&stored[..stored.len() / 2]);
    assert!(report.counts.rows > 500);
    assert_eq!(taken.reasons(), [Reason::TruncatedCompression]);
    let landing = zst(landing_file(5_000).as_bytes());
    let (_, taken) = read_bytes(&landing[..landing.len() - 3]);
    assert!(matches!(taken.reasons().last(), Some(Reason::TruncatedCompression)));
}

#[test]
fn a_bad_record_between_good_ones_stands_alone() {
    let good: Vec<String> = (0..5).map(event).collect();
    let bads = [
        ("comma", event(9).replace("\"awsRegion\":", "\"awsRegion\",")),
        ("lost quote", event(9).replacen("\"GetObject\"", "\"GetObject", 1)),
        ("lost brace", event(9).replacen("}", "", 1)),
        ("extra brace", event(9) + "}"),
        ("control character", event(9).replace("GetObject", "Get\u{1}Object")),
        ("garbage", "garbage".to_owned()),
    ];
    for (name, bad) in &bads {
        for (form, text) in [
            (
                "list",
                format!(
                    "{{\"Records\":[{},{},{bad},{},{},{}]}}",
                    good[0], good[1], good[2], good[3], good[4]
                ),
            ),
            ("lines", format!("{}\n{}\n{bad}\n{}\n{}\n{}\n", good[0], good[1], good[2], good[3], good[4])),
        ] {
            let (report, taken) = read_bytes(text.as_bytes());
            let uids = taken.column("event_uid");
            for number in 0..5 {
                let uid = format!("id-{number}");
                assert!(uids.contains(&uid), "{name} in {form}: {uid} lost; {:?}", taken.rejected);
            }
            assert!(report.counts.rejected >= 1, "{name} in {form}");
            assert!(
                taken.rejected.iter().all(|rejected| rejected.reason == Reason::InvalidJson),
                "{name}: {:?}",
                taken.reasons()
            );
        }
    }
}

#[test]
fn envelopes_with_unbalanced_brackets_still_give_their_records() {
    for closing in ["}", "}}}", "}\n  }\n"] {
        let wrapped = |number: u32| format!("{{ \"aws\": {{ \"cloudtrail\": {} {closing}", event(number));
        let rest: Vec<String> = (2..20).map(wrapped).collect();
        let text = format!("[{},{},{}]", event(0), event(1), rest.join(",\n"));
        let (report, taken) = read_bytes(text.as_bytes());
        let uids: std::collections::BTreeSet<String> = taken.column("event_uid").into_iter().collect();
        assert_eq!((uids.len(), report.counts.rows), (20, 20), "{closing:?}: {:?}", taken.reasons());
        assert!(report.counts.rejected <= 2, "{closing:?}: {:?}", taken.rejected);
    }
}

#[test]
fn bytes_that_are_not_utf8_spoil_only_their_record() {
    let mut bytes = log_file(3).into_bytes();
    let at = bytes.windows(4).position(|window| window == b"id-1").unwrap();
    bytes[at] = 0xff;
    let (_, taken) = read_bytes(&bytes);
    assert_eq!(
        (taken.column("event_uid"), taken.reasons()),
        (vec!["id-0".to_owned(), "id-2".to_owned()], vec![Reason::NotUtf8])
    );
    let mut flows = flow_file(3).into_bytes();
    let at = flows.windows(7).position(|window| window == b"eni-0a1").unwrap();
    flows[at] = 0xff;
    let (report, taken) = read_bytes(&flows);
    assert_eq!((report.counts.rows, taken.reasons()), (2, vec![Reason::NotUtf8]));
}

#[test]
fn elements_that_are_no_records_are_rejected_one_by_one() {
    let text = format!("[{}, 5, {{\"a\":1}}, \"x\", [1], {}]", event(0), event(1));
    let (report, taken) = read_bytes(text.as_bytes());
    assert_eq!((report.counts.rows, report.counts.records), (2, 6));
    assert_eq!(taken.reasons(), [Reason::NotARecord; 4]);
    assert_eq!(taken.rejected[0].record_number, Some(2));
}

#[test]
fn a_record_over_the_limit_is_passed_by() {
    let limits = Limits { record_bytes_max: 4_096, rejected_bytes_max: 100, ..Limits::default() };
    let huge = event(9).replace("GetObject", &"x".repeat(3 << 20));
    let text = format!("{{\"Records\":[{},{huge},{}]}}", event(0), event(1));
    let (report, taken) = read_with("a", text.as_bytes(), &limits, &mut Seen::default());
    assert_eq!((report.counts.rows, taken.reasons()), (2, vec![Reason::RecordTooLarge]));
    assert_eq!(taken.rejected[0].raw.len(), 100);
    let text = format!("{}{}\n{}\n", flow_file(1), "9".repeat(3 << 20), flow_line(2));
    let (report, taken) = read_with("a", text.as_bytes(), &limits, &mut Seen::default());
    assert_eq!((report.counts.rows, taken.reasons()), (2, vec![Reason::RecordTooLarge]));
}

#[test]
fn a_bomb_stops_and_keeps_the_rows_before_it() {
    let limits = Limits { object_bytes_max: 1 << 20, ..Limits::default() };
    let text = format!("{}{}", flow_file(10), " \n".repeat(8 << 20));
    let (report, taken) = read_with("a", &gzip(text.as_bytes()), &limits, &mut Seen::default());
    assert_eq!((report.counts.rows, taken.reasons()), (10, vec![Reason::TooLarge]));
}

#[test]
fn records_larger_than_a_chunk_and_across_chunks_are_whole() {
    let big = |number: u32| event(number).replace("GetObject", &"é".repeat(150_000));
    let text = format!("{{\"Records\":[{}]}}", (0..8).map(big).collect::<Vec<_>>().join(","));
    let (report, taken) = read_bytes(&gzip(text.as_bytes()));
    assert_eq!(
        (report.counts.rows, taken.rejected.len()),
        (8, 0),
        "{:?}",
        taken.rejected.first().map(|r| &r.message)
    );
    assert!(taken.column("event_name").iter().all(|name| name.chars().count() == 150_000));
    let (report, _) = read_bytes(log_file(2_000).as_bytes());
    assert_eq!(report.counts.rows, 2_000);
}

#[test]
fn batches_hold_at_most_the_rows_asked_for() {
    let limits = Limits { batch_rows: 7, ..Limits::default() };
    let (report, taken) = read_with("a", log_file(50).as_bytes(), &limits, &mut Seen::default());
    assert_eq!((report.counts.rows, taken.batches.len()), (50, 8));
}

fn samples() -> Vec<Vec<u8>> {
    let texts =
        [log_file(6), (0..6).map(|number| event(number) + "\n").collect(), flow_file(8), landing_file(8)];
    let mut samples: Vec<Vec<u8>> = Vec::new();
    for text in texts {
        samples.push(text.clone().into_bytes());
        samples.push(gzip(text.as_bytes()));
        samples.push(zst(text.as_bytes()));
    }
    samples
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), magic in 0usize..6) {
        let start: &[u8] = [b"".as_slice(), &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd], b"{\"Records\":[", b"{\"landing\":1}\n", b"[{"][magic];
        read_bytes(&[start, &bytes].concat());
    }

    #[test]
    fn random_json_like_text_never_panics(text in "([\\[\\]{},:\" \\n]|\"Records\":|\"eventVersion\":\"1\"|\"message\":\"|\\{\"s\":0|2 1 eni|OK){0,60}") {
        read_bytes(text.as_bytes());
        read_at("s3://b/AWSLogs/1/CloudTrail/x", text.as_bytes());
    }

    #[test]
    fn mutated_objects_keep_the_equation(sample in 0usize..12, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = samples()[sample].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read_bytes(&bytes);
    }

    #[test]
    fn one_changed_byte_in_text_loses_at_most_one_neighbour(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        // Lines: damage cannot reach past the line, nor the next one when the line end is hit.
        let mut bytes: Vec<u8> = (0..6).map(|number| event(number) + "\n").collect::<String>().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = value;
        let (report, _) = read_bytes(&bytes);
        prop_assert!(report.counts.rows >= 4, "{report:?} at {at} = {value}");
    }

    #[test]
    fn cut_objects_keep_the_equation(sample in 0usize..12, at in any::<prop::sample::Index>()) {
        let bytes = samples()[sample].clone();
        let (_, whole) = read_bytes(&bytes);
        let (_, cut) = read_bytes(&bytes[..at.index(bytes.len())]);
        if whole.rows() > 0 && cut.rows() > 0 {
            let (all, some) = (whole.column("event_uid"), cut.column("event_uid"));
            prop_assert!(all.starts_with(&some) || some.len() <= all.len());
        }
    }
}
