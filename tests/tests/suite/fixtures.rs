//! Recorded logs that are kept beside the checkout: the row counts their index promises.

use crate::stage::Stage;
use logq_tests::harness::collector::Collector;
use logq_tests::harness::{Program, shared_fixtures};
use std::path::PathBuf;

fn recordings(set: &str) -> Option<PathBuf> {
    let Some(root) = shared_fixtures() else {
        println!("skipped: no shared recordings (set LOGQ_FIXTURES to their folder)");
        return None;
    };
    Some(root.join(set))
}

#[test]
fn a_recorded_cloudtrail_bucket_gives_its_events() {
    let Some(folder) = recordings("ct_flaws") else { return };
    let stage = Stage::new();
    let report = stage.once(&[&folder]);
    assert!(report.reconciles(), "{report:?}");
    // 185 records, one of them delivered twice with the same eventID and bytes; the folder's two
    // text files are no logs.
    assert_eq!(stage.count("cloudtrail") + report.duplicates, 185, "{report:?}");
    assert_eq!(stage.repeated("cloudtrail"), 0);
    assert_eq!(report.all_rejected(), 2, "{report:?}");
}

#[test]
fn recorded_attacks_give_their_events() {
    let Some(folder) = recordings("ct_stratus") else { return };
    let stage = Stage::new();
    let report = stage.once(&[&folder]);
    assert!(report.reconciles(), "{report:?}");
    assert_eq!(stage.count("cloudtrail") + report.duplicates, 164, "{report:?}");
    assert_eq!(stage.repeated("cloudtrail"), 0);
}

#[test]
fn a_recorded_flow_log_gives_its_records() {
    let Some(folder) = recordings("vpc_cribl") else { return };
    let stage = Stage::new();
    let report = stage.once(&[&folder.join("vpcflow_raw.log")]);
    assert_eq!((report.status, report.all_rejected()), (0, 0), "{report:?}");
    assert_eq!(stage.count("vpc_flow") + report.skipped, 99, "{report:?}");
}

#[test]
fn recorded_container_logs_give_their_lines() {
    let Some(folder) = recordings("k8s_cri_wrapped") else { return };
    let stage = Stage::new();
    let (config, out) = (stage.path("collector.toml"), stage.path("out"));
    Collector::to_directory(&stage.path("data"), &folder.join("var/log/pods"), &out).write(&config).unwrap();
    let output = stage
        .programs
        .command(Program::Collector)
        .args(["run", "--until-idle", "1s", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = stage.once(&[&out]);
    assert_eq!((report.status, report.all_rejected(), report.duplicates), (0, 0, 0), "{report:?}");
    let expected: usize = std::fs::read_dir(folder.join("expected"))
        .unwrap()
        .filter_map(Result::ok)
        .map(|entry| std::fs::read_to_string(entry.path()).unwrap().lines().count())
        .sum();
    assert_eq!(stage.count("app_log"), expected as u64);
}
