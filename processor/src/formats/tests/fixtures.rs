//! Counts over recorded sets, where they are present: `LOGQ_FIXTURES`, else `../shared/fixtures`
//! beside the checkout.

use super::*;
use base64::Engine as _;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn root() -> Option<PathBuf> {
    let root = std::env::var_os("LOGQ_FIXTURES")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures"));
    if root.is_dir() {
        return Some(root);
    }
    eprintln!("fixtures not present at {}: counts over recorded sets not checked", root.display());
    None
}

pub(super) fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Reads every file of a set that ends in `ending`; sums the counts and how often each reason was
/// given, and prints what was rejected.
fn set_with_reasons(root: &Path, name: &str, ending: &str) -> (Counts, BTreeMap<Reason, u64>) {
    let mut reasons = BTreeMap::new();
    let mut found = Vec::new();
    files(&root.join(name), &mut found);
    let mut seen = Seen::default();
    let mut total = Counts::default();
    for path in found.iter().filter(|path| path.to_string_lossy().ends_with(ending)) {
        let location = path.to_string_lossy();
        let bytes = fs::read(path).unwrap();
        let (report, taken) = read_with(&location, &bytes, &Limits::default(), &mut seen);
        total.records += report.counts.records;
        total.rows += report.counts.rows;
        total.rejected += report.counts.rejected;
        total.duplicates += report.counts.duplicates;
        total.skipped += report.counts.skipped;
        for rejected in &taken.rejected {
            *reasons.entry(rejected.reason).or_default() += 1;
        }
        for rejected in taken.rejected.iter().take(3) {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            eprintln!(
                "  {name}/{file}: {:?} {} (record {:?})",
                rejected.reason, rejected.message, rejected.record_number
            );
        }
    }
    eprintln!("{name} *{ending}: {total:?} {reasons:?}");
    (total, reasons)
}

#[test]
fn recorded_lines_wrapped_one_by_one_give_the_same_records() {
    let Some(root) = root() else { return };
    let (wrapped, _) = set_with_reasons(&root, "vpc_cribl", ".json");
    assert_eq!((wrapped.rows, wrapped.skipped), (99, 1), "the header line is no record");
}

/// How many events the index promises for a set.
fn promised(root: &Path, set: &str) -> u64 {
    let index = fs::read_to_string(root.join("INDEX.tsv")).unwrap();
    let row =
        index.lines().find(|line| line.split('\t').next() == Some(set)).unwrap_or_else(|| panic!("no {set}"));
    row.split('\t').nth(2).unwrap().parse().unwrap()
}

/// What a set must give: files by the end of their name, and how the events of the index come out.
struct Expected {
    set: &'static str,
    ending: &'static str,
    rows: u64,
    duplicates: u64,
    skipped: u64,
    rejected: &'static [(Reason, u64)],
    /// Records beyond the events of the index, explained beside the row.
    beyond: i64,
}

const fn expect(set: &'static str, ending: &'static str, rows: u64) -> Expected {
    Expected { set, ending, rows, duplicates: 0, skipped: 0, rejected: &[], beyond: 0 }
}

const UNSUPPORTED: &[(Reason, u64)] = &[(Reason::UnsupportedSource, 1)];

const RECORDED: &[Expected] = &[
    // One row stands for the object.
    Expected { rejected: UNSUPPORTED, beyond: 1 - 32, ..expect("alb_cloudgoat", ".log", 0) },
    Expected { rejected: UNSUPPORTED, beyond: 1 - 16, ..expect("alb_plaso", ".log", 0) },
    Expected { rejected: UNSUPPORTED, beyond: 1 - 301, ..expect("ct_otrf_honeybucket", ".csv", 0) },
    // 21 blocks that are malformed as printed, and five of the events: two fragments and a list without a
    // time, an S3 notification, a time that is `...`.
    Expected {
        rejected: &[(Reason::NotARecord, 23), (Reason::MissingTime, 2), (Reason::BadTime, 1)],
        beyond: 21,
        ..expect("ct_awsdocs", ".gz", 158)
    },
    expect("ct_cribl", ".json", 44),
    expect("ct_event_versions", ".json", 21),
    // Two text files that say where the others are from.
    Expected { rejected: &[(Reason::UnknownFormat, 2)], beyond: 2, ..expect("ct_flaws", "", 185) },
    expect("ct_opensearch", ".json", 1),
    // Events cut down to what a rule reads: without a time, or without anything of CloudTrail. Six stand
    // under two rules.
    Expected {
        duplicates: 6,
        rejected: &[(Reason::NotARecord, 5), (Reason::MissingTime, 9), (Reason::BadTime, 1)],
        ..expect("ct_panther", ".jsonl", 231)
    },
    expect("ct_plaso_lookup", ".jsonl", 6),
    expect("ct_stratus", ".json", 164),
    // Two lines of dots are no events; two formats have no start; one line has a comment behind it.
    Expected {
        skipped: 1,
        rejected: &[(Reason::MissingTime, 8), (Reason::FieldCount, 3)],
        beyond: 2,
        ..expect("vpc_awsdocs", ".blocks.txt", 16)
    },
    expect("vpc_cribl", "vpcflow_raw.log", 99),
    expect("flow_apt29_day1", ".vpcflow.log.gz", 1_544),
    expect("flow_netflowlabeler", ".vpcflow.log.gz", 13_117),
    expect("flow_slips_scans", ".vpcflow.log.gz", 342),
    expect("flow_stratosphere", ".vpcflow.log.gz", 38_633),
];

#[test]
fn every_recorded_set_reconciles_with_its_index() {
    let Some(root) = root() else { return };
    let mut wrong = Vec::new();
    for expected in RECORDED {
        let (counts, reasons) = set_with_reasons(&root, expected.set, expected.ending);
        let found = (counts.rows, counts.duplicates, counts.skipped, reasons);
        let wanted = (
            expected.rows,
            expected.duplicates,
            expected.skipped,
            expected.rejected.iter().copied().collect::<BTreeMap<_, _>>(),
        );
        if found != wanted {
            wrong
                .push(format!("{} *{}: found {found:?}, expected {wanted:?}", expected.set, expected.ending));
        }
        let events = promised(&root, expected.set);
        if counts.records as i64 != events as i64 + expected.beyond {
            wrong.push(format!("{}: {} records, {events} events", expected.set, counts.records));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A landing object of these lines, as the collector makes it.
fn landed(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut text = landing_file(0).replace("{\"end\":0}\n", "");
    for (number, line) in lines.iter().enumerate() {
        let (b, b64) = match std::str::from_utf8(line) {
            Ok(text) => (Some(text.into()), None),
            Err(_) => (None, Some(base64::engine::general_purpose::STANDARD.encode(line).into())),
        };
        let record = logq_schemas::landing::Record {
            o: number as u64 * 61,
            t: "2026-11-22T10:00:00.123456789Z".into(),
            b,
            b64,
            ..Default::default()
        };
        text.push_str(&serde_json::to_string(&record).unwrap());
        text.push('\n');
    }
    text.push_str(&format!("{{\"end\":{}}}\n", lines.len()));
    zst(text.as_bytes())
}

fn inflated(path: &Path) -> Vec<u8> {
    let stored = fs::read(path).unwrap();
    let mut window = Window::open(&stored, u64::MAX);
    while window.more() {}
    window.data().to_vec()
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

/// The log lines of a set of container logs or audit events, as a collector would hand them on.
fn collected(root: &Path, set: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    files(&root.join(set), &mut found);
    let mut all = Vec::new();
    for path in found {
        let name = path.to_string_lossy();
        match set {
            "nginx_zanbil" | "apache_elastic" if name.ends_with(".gz") => all.extend(lines(&inflated(&path))),
            "k8s_cri_wrapped" if name.ends_with(".jsonl") => {
                for line in lines(&inflated(&path)) {
                    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
                    all.push(match line["log_hex"].as_str() {
                        Some(hex) => {
                            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
                            (0..hex.len()).step_by(2).map(byte).collect()
                        }
                        None => line["log"].as_str().unwrap().as_bytes().to_vec(),
                    });
                }
            }
            "k8saudit_falco" if name.ends_with(".json") => {
                let bytes = inflated(&path);
                let documents = serde_json::Deserializer::from_slice(&bytes).into_iter::<serde_json::Value>();
                for document in documents {
                    let document = document.unwrap();
                    match document["items"].as_array() {
                        Some(items) => all.extend(items.iter().map(|item| item.to_string().into_bytes())),
                        None => all.push(document.to_string().into_bytes()),
                    }
                }
            }
            "k8saudit_panther" if name.ends_with(".jsonl") => {
                for line in lines(&inflated(&path)) {
                    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
                    all.push(line["log"].to_string().into_bytes());
                }
            }
            _ => {}
        }
    }
    all
}

#[test]
fn every_recorded_container_log_is_rows_with_its_bodies_unchanged() {
    let Some(root) = root() else { return };
    for set in ["nginx_zanbil", "apache_elastic", "k8s_cri_wrapped", "k8saudit_falco", "k8saudit_panther"] {
        let lines = collected(&root, set);
        let (report, taken) = read_bytes(&landed(&lines));
        let counts = report.counts;
        assert_eq!(
            (report.format, counts.rows, counts.records),
            (FormatKind::Landing, promised(&root, set), counts.rows),
            "{set}"
        );
        let bodies = taken.column("body");
        for (line, body) in lines.iter().zip(&bodies) {
            assert_eq!(*body, String::from_utf8_lossy(line), "{set}");
        }
        let known = |column: &str| taken.column(column).iter().filter(|value| *value != "-").count();
        eprintln!(
            "{set}: {} rows, {} with attributes, {} with a severity, {} with src_ip, {} with an action",
            counts.rows,
            known("attributes"),
            known("severity_number"),
            known("src_ip"),
            known("action")
        );
    }
}

#[test]
fn container_logs_are_not_mistaken_for_records() {
    let Some(root) = root() else { return };
    for (name, ending) in [
        ("k8s_cri_wrapped", ".log"),
        ("k8s_fluentbit", ""),
        ("filebeat_modules", ".log"),
        ("nginx_zanbil", ".gz"),
        ("apache_elastic", ".gz"),
        ("k8saudit_falco", ".json"),
        ("stacktraces", ""),
    ] {
        let (counts, _) = set_with_reasons(&root, name, ending);
        assert_eq!((counts.rows, counts.duplicates, counts.skipped), (0, 0, 0), "{name}");
        assert!(counts.rejected > 0, "{name}");
    }
}

#[test]
fn recorded_access_logs_are_understood() {
    let Some(root) = root() else { return };
    for (file, lines, at_least) in
        [("nginx_zanbil/short-access.log.gz", 2_000, 2_000), ("apache_elastic/apache_logs.gz", 10_000, 9_999)]
    {
        let text = String::from_utf8_lossy(&inflated(&root.join(file))).into_owned();
        let understood: Vec<_> = text.lines().map(logq_schemas::body::understand).collect();
        assert_eq!(understood.len(), lines, "{file}");
        let full = understood.iter().filter(|line| line.status.is_some() && line.src_ip.is_some()).count();
        assert!(full >= at_least, "{file}: {full} of {lines}");
    }
}
