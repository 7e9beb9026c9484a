//! A folder of one's own logs through the whole pipeline.

use super::screen::{Tone, grouped, size};
use super::{Scene, findings, questions};
use crate::harness::collector::Collector;
use crate::harness::{Daemon, Program, Report, bytes_below, once};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The collector reads what is there within this.
const COLLECT_LIMIT: Duration = Duration::from_secs(600);
const TABLES: [&str; 3] = ["cloudtrail", "vpc_flow", "app_log"];

/// What a folder holds.
#[derive(Debug, Default)]
struct Contents {
    /// Directories that hold `<namespace>_<pod>_<uid>` directories.
    pods: BTreeSet<PathBuf>,
    /// The pod directories themselves: the processor leaves them to the collector.
    pod_directories: BTreeSet<PathBuf>,
    /// Links to container logs: their target is read instead.
    links: BTreeSet<PathBuf>,
    /// Files for the processor.
    others: u64,
    /// What could not be looked at.
    unreadable: Vec<String>,
}

/// The `<namespace>_<pod>_<uid>` directory of a container log `…/<ns>_<pod>_<uid>/<container>/<n>.log…`.
fn pod_directory(path: &Path) -> Option<&Path> {
    let name = path.file_name()?.to_str()?;
    let (number, rest) = name.split_once(".log")?;
    let is_log = !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && (rest.is_empty() || rest.starts_with('.'));
    let pod = path.parent()?.parent()?;
    let parts: Vec<&str> = pod.file_name()?.to_str()?.split('_').collect();
    let is_pod = parts.len() == 3 && parts.iter().all(|part| !part.is_empty());
    (is_log && is_pod).then_some(pod)
}

fn contents(folder: &Path) -> Contents {
    let mut contents = Contents::default();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                contents.unreadable.push(error.to_string());
                continue;
            }
        };
        // /var/log/containers holds links to the pods' logs.
        let target = entry.path_is_symlink().then(|| std::fs::canonicalize(entry.path()).ok()).flatten();
        let path = target.as_deref().unwrap_or(entry.path());
        match pod_directory(path).and_then(|pod| Some((pod, pod.parent()?))) {
            Some((pod, root)) => {
                contents.pods.insert(root.to_owned());
                contents.pod_directories.insert(pod.to_owned());
                if target.is_some() {
                    contents.links.insert(entry.path().to_owned());
                }
            }
            None if entry.file_type().is_file() => contents.others += 1,
            None => {}
        }
    }
    contents
}

/// Runs it; false when counts do not reconcile.
pub fn run(scene: &mut Scene<'_>, folder: &Path) -> Result<bool> {
    let folder = std::path::absolute(folder)?;
    scene.screen.heading(&format!("logq demo: {}", folder.display()));
    let started = Instant::now();
    let contents = contents(&folder);
    for problem in &contents.unreadable {
        let text = scene.screen.paint(Tone::Bad, &format!("  cannot be read: {problem}"));
        scene.screen.line(&text);
    }
    if contents.others == 0 && contents.pods.is_empty() {
        bail!("{} holds no readable file: name a folder with logs", folder.display());
    }
    collect(scene, &contents)?;
    let collecting = started.elapsed();
    let report = process(scene, &folder, &contents)?;
    let rows = scene.lake.counts(&TABLES)?;
    let found: Vec<(&str, u64)> = TABLES.into_iter().zip(rows).collect();
    questions::ask(scene, &found)?;
    let mut complete = true;
    if found.iter().any(|(_, rows)| *rows > 0) {
        let detected = findings::detect(scene)?;
        findings::show(scene, &detected);
        complete = detected.complete;
    }
    rejections(scene)?;
    Ok(summary(scene, &contents, &report, &found, collecting)? && complete)
}

/// Container logs: each pods directory through a collector of its own.
fn collect(scene: &mut Scene<'_>, contents: &Contents) -> Result<()> {
    let work = scene.workspace;
    for (number, pods) in contents.pods.iter().enumerate() {
        scene.screen.progress(&format!("collecting container logs of {}", pods.display()));
        let config = work.state.join(format!("collector-{number}.toml"));
        let data = work.state.join(format!("collector-{number}"));
        Collector::to_directory(&data, pods, &work.collected.join(number.to_string()))
            .write(&config)
            .context("cannot write the collector's configuration")?;
        let arguments: [OsString; 5] =
            ["run".into(), "--config".into(), config.into_os_string(), "--until-idle".into(), "2s".into()];
        let log = work.logs.join("collector.log");
        let mut collector = Daemon::start(scene.programs, Program::Collector, arguments, &log)?;
        let status = collector.finish(COLLECT_LIMIT)?;
        if !status.is_some_and(|status| status.success()) {
            bail!("the collector failed ({status:?}); its last words:\n{}", collector.last_words());
        }
    }
    Ok(())
}

/// Everything, and what was collected, into the lake.
fn process(scene: &mut Scene<'_>, folder: &Path, contents: &Contents) -> Result<Report> {
    scene.screen.progress("taking in");
    let mut arguments: Vec<OsString> = Vec::new();
    for excluded in contents.pod_directories.iter().chain(&contents.links) {
        arguments.push("--exclude".into());
        arguments.push(excluded.into());
    }
    if contents.others > 0 {
        arguments.push(folder.into());
    }
    if !contents.pods.is_empty() {
        arguments.push(scene.workspace.collected.as_os_str().to_owned());
    }
    Ok(once(scene.programs, &scene.workspace.lake.display().to_string(), arguments, &[])?)
}

/// What was not understood, and why: an example of each reason.
fn rejections(scene: &mut Scene<'_>) -> Result<()> {
    let rows = scene.lake.rows(
        "select reason, n, location, record_number, message from (select reason, location, record_number, message, count(*) over (partition by reason) as n, row_number() over (partition by reason order by location, record_offset) as k from rejected) as r where k = 1 order by n desc, reason",
    )?;
    if rows.is_empty() {
        return Ok(());
    }
    let screen = &mut *scene.screen;
    screen.heading("What was not understood, and why (kept in the table rejected)");
    for row in rows {
        let text =
            |name: &str| row.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let count = row.get("n").and_then(serde_json::Value::as_u64).unwrap_or_default();
        let head = screen.paint(Tone::Warn, &format!("  {:>8}  {}", grouped(count), text("reason")));
        screen.line(&head);
        let record = row.get("record_number").and_then(serde_json::Value::as_u64);
        let place = record.map(|record| format!(", record {record}")).unwrap_or_default();
        screen.block(&format!("          e.g. {}{place}", text("location")));
        screen.block(&format!("          {}", text("message")));
    }
    Ok(())
}

fn summary(
    scene: &mut Scene<'_>,
    contents: &Contents,
    report: &Report,
    found: &[(&str, u64)],
    collecting: Duration,
) -> Result<bool> {
    let rejected = scene.lake.count("rejected")?;
    let stored: u64 = TABLES.iter().map(|table| bytes_below(&scene.workspace.lake.join(table))).sum();
    let screen = &mut *scene.screen;
    screen.heading("What arrived");
    let mut ok = report.reconciles() && rejected == report.all_rejected();
    for (table, rows) in found {
        let taken = report.rows.get(*table).copied().unwrap_or_default();
        ok &= taken == *rows;
        let verdict = if taken == *rows { "" } else { "  DIFFERENT from what the processor reported" };
        screen.line(&format!("  {table:<12}{:>12} rows{verdict}", grouped(*rows)));
    }
    screen.line(&format!(
        "  {} records = {} rows + {} rejected + {} seen before + {} without data, in {} objects",
        grouped(report.records),
        grouped(report.all_rows()),
        grouped(report.all_rejected()),
        grouped(report.duplicates),
        grouped(report.skipped),
        grouped(report.objects + report.objects_known)
    ));
    screen.line(&format!(
        "  {} read ({} inflated), {} stored; collecting {:.1} s, taking in {:.1} s",
        size(report.stored_bytes),
        size(report.inflated_bytes),
        size(stored),
        collecting.as_secs_f64(),
        report.seconds
    ));
    if report.status != 0 || !contents.unreadable.is_empty() {
        let text = screen.paint(Tone::Bad, "  Some files could not be read:");
        screen.line(&text);
        screen.block(&report.stderr);
        ok = false;
    }
    let verdict = if ok {
        screen.paint(Tone::Good, "  Every record is in its table, or in rejected with a reason.")
    } else {
        screen.paint(Tone::Bad, "  Incomplete: see above.")
    };
    screen.line(&verdict);
    Ok(ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_logs_are_recognised_by_their_path() {
        let pod = Path::new("/x/pods/shop_api-0_2a1b");
        for name in ["0.log", "12.log", "0.log.20261122-100000", "0.log.20261122-100000.gz"] {
            assert_eq!(pod_directory(&pod.join("api").join(name)), Some(pod), "{name}");
        }
        for path in [
            "/x/AWSLogs/a_b_c/x.json",
            "/x/shop_api/api/0.log",
            "/x/a_b_c/api/app.log",
            "/x/a__c/api/0.log",
            "0.log",
        ] {
            assert_eq!(pod_directory(Path::new(path)), None, "{path}");
        }
    }
}
