//! Findings kept in a folder: one file for each day, each finding once.
//!
//! `logq` only reads the lake, so what detections say is kept elsewhere, in a folder the caller
//! names: `DIR/findings-YYYY-MM-DD.jsonl`, by the day of the first event. A run merges its findings
//! into the files: the same id replaces what was there, others stay. A file is written beside the old
//! one and renamed over it, so a reader sees the old or the new one and a crash loses neither.

use super::finding::Finding;
use super::report::safe_json;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// What a run changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Findings that were not there.
    pub new: usize,
    /// Findings that said something else.
    pub updated: usize,
}

/// Merges findings into the files of a folder, which is made when it is missing.
///
/// # Errors
/// A file that cannot be read or written, or that holds something else than findings.
pub fn write(folder: &Path, findings: &[Finding]) -> io::Result<Written> {
    fs::create_dir_all(folder)?;
    let mut days: BTreeMap<String, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        days.entry(finding.first_seen.format("%Y-%m-%d").to_string()).or_default().push(finding);
    }
    let mut written = Written::default();
    for (day, findings) in days {
        let path = folder.join(format!("findings-{day}.jsonl"));
        let mut kept = read(&path)?;
        for finding in findings {
            let line = safe_json(&serde_json::to_string(finding)?);
            match kept.insert(finding.finding_id.clone(), line.clone()) {
                None => written.new += 1,
                Some(before) if before != line => written.updated += 1,
                Some(_) => {}
            }
        }
        replace(&path, kept.values())?;
    }
    Ok(written)
}

/// Lines of a file by the id of their finding; nothing of a file that is not there.
fn read(path: &Path) -> io::Result<BTreeMap<String, String>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(named(path, &error.to_string())),
    };
    let mut lines = BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let id = serde_json::from_str::<Value>(line)
            .ok()
            .and_then(|finding| finding.get("finding_id").and_then(Value::as_str).map(str::to_owned));
        let Some(id) = id else {
            return Err(named(path, &format!("line {} is no finding; move the file away", number + 1)));
        };
        lines.insert(id, line.to_owned());
    }
    Ok(lines)
}

/// Writes lines beside a file and renames them over it.
pub fn replace<'a>(path: &Path, lines: impl Iterator<Item = &'a String>) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside).map_err(|error| named(&beside, &error.to_string()))?;
    for line in lines {
        writeln!(file, "{line}")?;
    }
    file.sync_all()?;
    fs::rename(&beside, path).map_err(|error| named(path, &error.to_string()))
}

fn named(path: &Path, reason: &str) -> io::Error {
    io::Error::other(format!("{}: {reason}", path.display()))
}
