//! Counts over recorded sets, where they are present: `LOGQ_FIXTURES`, else `../shared/fixtures`
//! beside the checkout.

use super::*;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> Option<PathBuf> {
    let root = std::env::var_os("LOGQ_FIXTURES")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures"));
    if root.is_dir() {
        return Some(root);
    }
    eprintln!("fixtures not present at {}: counts over recorded sets not checked", root.display());
    None
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
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

/// Reads every file of a set below `part` that ends in `ending`; sums the counts and prints what
/// was rejected.
fn set(root: &Path, name: &str, ending: &str) -> Counts {
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
        for rejected in taken.rejected.iter().take(3) {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            eprintln!(
                "  {name}/{file}: {:?} {} (record {:?})",
                rejected.reason, rejected.message, rejected.record_number
            );
        }
    }
    eprintln!("{name} *{ending}: {total:?}");
    total
}

#[test]
fn recorded_cloudtrail_sets_give_every_record() {
    let Some(root) = root() else { return };
    let flaws = set(&root, "ct_flaws", "");
    assert_eq!((flaws.rows + flaws.duplicates, flaws.rejected), (185, 2), "README and SOURCE are refused");
    let stratus = set(&root, "ct_stratus", ".json");
    assert_eq!((stratus.rows, stratus.rejected, stratus.duplicates), (164, 0, 0));
    assert_eq!(set(&root, "ct_plaso_lookup", ".jsonl").rows, 6);
    assert_eq!(set(&root, "ct_opensearch", ".json").rows, 1);
    assert_eq!(set(&root, "ct_cribl", ".json").rows, 44);
    for (name, ending) in [("ct_event_versions", ".json"), ("ct_panther", ".jsonl"), ("ct_awsdocs", ".gz")] {
        let counts = set(&root, name, ending);
        assert!(counts.rows > 0 && counts.records >= counts.rows);
    }
    assert_eq!(set(&root, "ct_otrf_honeybucket", ".csv").rejected, 1);
}

#[test]
fn recorded_flow_sets_give_every_record() {
    let Some(root) = root() else { return };
    let cribl = set(&root, "vpc_cribl", "vpcflow_raw.log");
    assert_eq!((cribl.rows, cribl.rejected), (99, 0));
    let wrapped = set(&root, "vpc_cribl", ".json");
    assert_eq!((wrapped.rows, wrapped.skipped), (99, 1), "the header line is no record");
    set(&root, "vpc_awsdocs", ".blocks.txt");
    for (name, rows) in [
        ("flow_apt29_day1", 1_544),
        ("flow_netflowlabeler", 13_117),
        ("flow_slips_scans", 342),
        ("flow_stratosphere", 38_633),
    ] {
        let counts = set(&root, name, ".vpcflow.log.gz");
        assert_eq!((counts.rows, counts.rejected), (rows, 0), "{name}");
    }
}

#[test]
fn container_logs_are_not_mistaken_for_records() {
    let Some(root) = root() else { return };
    for (name, ending) in [
        ("k8s_cri_wrapped", ".log"),
        ("filebeat_modules", ".log"),
        ("nginx_zanbil", ".gz"),
        ("apache_elastic", ".gz"),
    ] {
        assert_eq!(set(&root, name, ending).rows, 0, "{name}");
    }
}

#[test]
fn recorded_access_logs_are_understood() {
    let Some(root) = root() else { return };
    for (file, lines, at_least) in
        [("nginx_zanbil/short-access.log.gz", 2_000, 2_000), ("apache_elastic/apache_logs.gz", 10_000, 9_999)]
    {
        let stored = fs::read(root.join(file)).unwrap();
        let mut window = Window::open(&stored, u64::MAX);
        while window.more() {}
        let text = String::from_utf8_lossy(window.data()).into_owned();
        let understood: Vec<_> = text.lines().map(logq_schemas::body::understand).collect();
        assert_eq!(understood.len(), lines, "{file}");
        let full = understood.iter().filter(|line| line.status.is_some() && line.src_ip.is_some()).count();
        assert!(full >= at_least, "{file}: {full} of {lines}");
    }
}
