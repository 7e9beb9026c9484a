//! Verifies the archive: every file of every manifest is read and hashed again, and everything that
//! lies there without being listed is named.

use super::archive::{Archive, ArchiveError, Listed, manifest_number};
use super::upload::hash_object;
use crate::causes::describe;
use deltalake::{ObjectStore, ObjectStoreError, Path};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Files hashed at the same time.
const AT_ONCE: usize = 8;

/// A file that is not as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Key below the archive's root.
    pub key: String,
    /// What is wrong.
    pub what: What,
    /// Details for a person.
    pub detail: String,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A manifest lists it and it is not there.
    Missing,
    /// Its bytes are others.
    Changed,
    /// It is there and no manifest lists it: what an interrupted seal left, or what somebody put there.
    Extra,
    /// It is there and cannot be read, because it is in an offline storage class or access is denied.
    Unreadable,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Manifests read.
    pub manifests: u64,
    /// Files that are as their manifests say.
    pub ok: u64,
    /// Bytes hashed.
    pub bytes: u64,
    /// Everything else, by key.
    pub findings: Vec<Finding>,
}

/// A file to check.
struct Expected {
    key: String,
    bytes: u64,
    sha256: String,
}

/// Verifies everything below `prefix` of the archive (empty: all). `progress` is told the bytes there
/// are to read first (as its second argument) and then what was read of them.
///
/// # Errors
/// When the archive cannot be listed.
pub async fn verify(
    archive: &Archive,
    prefix: &str,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, ArchiveError> {
    let mut report = Report::default();
    let folder = Path::from(prefix);
    let failed = |source| ArchiveError::Object { key: prefix.to_owned(), source: Box::new(source) };
    let listed: Vec<_> =
        archive.store().list((!prefix.is_empty()).then_some(&folder)).try_collect().await.map_err(failed)?;
    let mut there: BTreeMap<String, u64> =
        listed.into_iter().map(|object| (object.location.to_string(), object.size)).collect();
    let manifests: Vec<String> = there.keys().filter(|key| manifest_number(key).is_some()).cloned().collect();
    gaps(&manifests, &mut report.findings);
    let mut expected: BTreeMap<String, Expected> = BTreeMap::new();
    for key in manifests {
        there.remove(&key);
        report.manifests += 1;
        match archive.read_manifest::<Listed>(&key).await {
            Ok(listed) => expected.extend(listed.files.into_iter().map(|file| {
                (file.key.clone(), Expected { key: file.key, bytes: file.bytes, sha256: file.sha256 })
            })),
            Err(error) => {
                let what = match &error {
                    ArchiveError::Manifest { .. } => What::Changed,
                    _ => What::Unreadable,
                };
                report.findings.push(Finding { key, what, detail: describe(&error) });
            }
        }
    }
    let total: u64 = expected.values().map(|file| file.bytes).sum();
    progress(0, total);
    for key in expected.keys() {
        there.remove(key);
    }
    let extra = there.into_keys().map(|key| Finding {
        key,
        what: What::Extra,
        detail: "no manifest lists it".to_owned(),
    });
    report.findings.extend(extra);
    let mut checks = futures::stream::iter(expected.into_values())
        .map(|file| check(archive, file))
        .buffer_unordered(AT_ONCE);
    while let Some((bytes, finding)) = checks.next().await {
        progress(bytes, total);
        report.bytes += bytes;
        match finding {
            Some(finding) => report.findings.push(finding),
            None => report.ok += 1,
        }
    }
    report.findings.sort_by(|one, other| one.key.cmp(&other.key).then(one.what.cmp(&other.what)));
    Ok(report)
}

/// Numbers begin at 1 and leave none out: a manifest that is gone is noticed while a later one is there.
fn gaps(manifests: &[String], findings: &mut Vec<Finding>) {
    let mut folders: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for key in manifests {
        let (Some((folder, _)), Some(number)) = (key.rsplit_once('/'), manifest_number(key)) else {
            continue;
        };
        folders.entry(folder).or_default().insert(number);
    }
    for (folder, numbers) in folders {
        let last = numbers.last().copied().unwrap_or(0);
        for number in (1..last).filter(|number| !numbers.contains(number)) {
            findings.push(Finding {
                key: format!("{folder}/manifest-{number}.json"),
                what: What::Missing,
                detail: "a later manifest is there".to_owned(),
            });
        }
    }
}

async fn check(archive: &Archive, file: Expected) -> (u64, Option<Finding>) {
    let finding = |what, detail| Some(Finding { key: file.key.clone(), what, detail });
    match hash_object(archive.store(), &Path::from(file.key.as_str())).await {
        Ok(found) if found.sha256 == file.sha256 && found.bytes == file.bytes => (found.bytes, None),
        Ok(found) => {
            let detail = format!(
                "{} bytes with SHA-256 {} instead of {} bytes with {}",
                found.bytes, found.sha256, file.bytes, file.sha256
            );
            (found.bytes, finding(What::Changed, detail))
        }
        Err(ObjectStoreError::NotFound { .. }) => (0, finding(What::Missing, "it is not there".to_owned())),
        Err(error) => (0, finding(What::Unreadable, describe(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_number_is_noticed() {
        let keys: Vec<String> =
            ["a/manifest-1.json", "a/manifest-3.json", "b/manifest-1.json"].map(str::to_owned).into();
        let mut findings = Vec::new();
        gaps(&keys, &mut findings);
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].key.as_str(), findings[0].what), ("a/manifest-2.json", What::Missing));
    }
}
