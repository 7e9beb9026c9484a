//! Raw packs: the original CloudTrail objects of a sealed day, stored back to back in a few large
//! files, so that the long tier holds the evidence itself and not only what was read from it.
//!
//! S3 moves no object under 128 KB to a colder class by default, and CloudTrail's objects are smaller.
//! A pack's manifest says where each original lay, which bytes of the pack it is and its SHA-256:
//! one original is one range request away. What can no longer be read is named in the manifest.

mod candidates;

use super::archive::{Archive, ArchiveError, ArchivedFile, Manifest, RAW_CLOUDTRAIL, day_folder, time_text};
use super::days::DaysError;
use super::read::ReadError;
use super::seal::created_by;
use super::table::TableError;
use crate::storage::{Inputs, Lake, Place};
use crate::stored::hex;
use crate::stored::object_id;
use bytes::Bytes;
use candidates::Original;
use deltalake::{ObjectStoreError, Path};
use futures::StreamExt;
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use thiserror::Error;

/// Originals read at the same time.
const READS: usize = 16;

/// Why a day could not be packed.
#[derive(Debug, Error)]
pub enum RawError {
    /// The table `ingest` cannot be opened.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Its files cannot be told.
    #[error(transparent)]
    Days(#[from] DaysError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Writing a pack failed.
    #[error("cannot write pack {key}")]
    Pack {
        /// Key below the archive's root.
        key: String,
        /// The store's answer.
        source: Box<ObjectStoreError>,
    },
    /// An original is not in any pack.
    #[error("no pack holds `{what}`: check the location, or whether its day is sealed")]
    Unknown {
        /// Location or object id.
        what: String,
    },
    /// What the pack holds is not the original.
    #[error(
        "{key} does not hold `{location}` as it was: its SHA-256 is not {sha256}; restore the pack from a copy"
    )]
    Changed {
        /// The pack.
        key: String,
        /// The original.
        location: String,
        /// What it should be.
        sha256: String,
    },
}

/// One original in a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Where it was read.
    pub location: String,
    /// Joins `ingest.object_id`.
    pub object_id: String,
    /// Its first byte in the pack.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
    /// SHA-256 in hex.
    pub sha256: String,
    /// Verdict of the digest chain when it was taken in.
    pub digest_verdict: Option<String>,
}

/// An original that is not in a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// Where it was read once.
    pub location: String,
    /// Joins `ingest.object_id`.
    pub object_id: String,
    /// `missing`, `changed` or `unreadable: …`.
    pub reason: String,
}

impl Absent {
    /// Whether it is only out of reach for now, so that the next run tries again.
    fn may_return(&self) -> bool {
        self.reason.starts_with("unreadable")
    }
}

/// The manifest of one pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawManifest {
    /// Version of this format.
    pub format: u32,
    /// `raw`.
    pub kind: String,
    /// `cloudtrail`.
    pub source: String,
    /// The day of the originals' first event.
    pub event_date: String,
    /// Program and version.
    pub created_by: String,
    /// When, RFC 3339.
    pub sealed_at: String,
    /// How many manifests the table had for the day: with more, there may be more originals.
    pub table_manifests: usize,
    /// Whether nothing is left to do: the last pack of a run in which no original was out of reach.
    pub complete: bool,
    /// The pack; none when nothing could be read.
    pub files: Vec<ArchivedFile>,
    /// What is in it, in order.
    pub members: Vec<Member>,
    /// Originals that could not be packed.
    pub absent: Vec<Absent>,
}

/// Limits of packing.
#[derive(Debug, Clone, Copy)]
pub struct PackSizes {
    /// Bytes a pack should have.
    pub pack_bytes: u64,
    /// Larger originals are left where they are: colder classes take them as they are.
    pub member_bytes_max: u64,
}

/// What became of a day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Packed {
    /// The day.
    pub day: String,
    /// Packs written.
    pub packs: u64,
    /// Originals in them.
    pub members: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Originals that could not be packed, each named.
    pub absent: Vec<Absent>,
    /// Originals too large to need packing.
    pub large: u64,
}

/// Packs the originals of a day that no pack holds yet. Does nothing for a day whose CloudTrail table
/// is not sealed, and nothing when all was done before.
///
/// # Errors
/// When `ingest` or the archive fails; packs that were finished stay.
pub async fn pack_day(
    lake: &Lake,
    archive: &Archive,
    inputs: &Inputs,
    day: &str,
    sizes: PackSizes,
) -> Result<Packed, RawError> {
    let mut report = Packed { day: day.to_owned(), ..Packed::default() };
    let sealed: Vec<(u32, Manifest)> = archive.manifests(&day_folder("cloudtrail", day)).await?;
    let folder = day_folder(RAW_CLOUDTRAIL, day);
    let earlier: Vec<(u32, RawManifest)> = archive.manifests(&folder).await?;
    let done = |last: &RawManifest| last.complete && last.table_manifests >= sealed.len();
    if sealed.is_empty() || earlier.last().is_some_and(|(_, last)| done(last)) {
        return Ok(report);
    }
    let mut number = earlier.last().map_or(0, |(number, _)| *number);
    let packed: HashSet<String> = earlier
        .into_iter()
        .flat_map(|(_, manifest)| manifest.members.into_iter().map(|member| member.object_id))
        .collect();
    let mut originals = candidates::of_day(lake, day).await?;
    originals.retain(|original| !packed.contains(&original.object_id));
    let before = originals.len();
    originals.retain(|original| original.stored_bytes <= sizes.member_bytes_max);
    report.large = (before - originals.len()) as u64;

    let mut groups = grouped(originals, sizes.pack_bytes).into_iter().peekable();
    if groups.peek().is_none() {
        groups = vec![Vec::new()].into_iter().peekable();
    }
    let mut unreadable = false;
    while let Some(group) = groups.next() {
        let mut manifest = write_pack(archive, inputs, &folder, group).await?;
        manifest.event_date = day.to_owned();
        manifest.table_manifests = sealed.len();
        unreadable |= manifest.absent.iter().any(Absent::may_return);
        manifest.complete = groups.peek().is_none() && !unreadable;
        number += 1;
        while !archive.create_manifest(&folder, number, &manifest).await? {
            // An answer that was lost, or another run at the same day.
            let found: RawManifest =
                archive.read_manifest(&format!("{folder}/manifest-{number}.json")).await?;
            if found.members == manifest.members && found.files == manifest.files {
                break;
            }
            number += 1;
        }
        report.packs += manifest.files.len() as u64;
        report.members += manifest.members.len() as u64;
        report.bytes += manifest.files.iter().map(|file| file.bytes).sum::<u64>();
        report.absent.extend(manifest.absent);
    }
    Ok(report)
}

/// Neighbours that fill a pack each.
fn grouped(originals: Vec<Original>, pack_bytes: u64) -> Vec<Vec<Original>> {
    let mut groups: Vec<Vec<Original>> = Vec::new();
    let mut room = 0;
    for original in originals {
        if groups.is_empty() || room == 0 {
            groups.push(Vec::new());
            room = pack_bytes;
        }
        room = room.saturating_sub(original.stored_bytes);
        if let Some(group) = groups.last_mut() {
            group.push(original);
        }
    }
    groups
}

async fn read(inputs: &Inputs, original: Original) -> Result<(Original, Bytes), Absent> {
    let absent = |original: Original, reason: String| Absent {
        location: original.location,
        object_id: original.object_id,
        reason,
    };
    match inputs.read_whole(&Place::from_location(&original.location)).await {
        Ok(bytes) if object_id(&bytes) == original.object_id => Ok((original, bytes)),
        Ok(_) => Err(absent(original, "changed".to_owned())),
        Err(error) if error.is_not_found() => Err(absent(original, "missing".to_owned())),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            Err(absent(original, format!("unreadable: {error}: {cause}")))
        }
    }
}

async fn write_pack(
    archive: &Archive,
    inputs: &Inputs,
    folder: &str,
    group: Vec<Original>,
) -> Result<RawManifest, RawError> {
    let mut hasher = Sha256::new();
    group.iter().for_each(|original| hasher.update(original.object_id.as_bytes()));
    let name: String = hex(&hasher.finalize()).chars().take(16).collect();
    let key = format!("{folder}/pack-{name}.pack");
    let failed = |source| RawError::Pack { key: key.clone(), source: Box::new(source) };
    let mut upload = archive.upload(&key);
    let mut reads = futures::stream::iter(group).map(|original| read(inputs, original)).buffered(READS);
    let (mut members, mut absent) = (Vec::new(), Vec::new());
    while let Some(found) = reads.next().await {
        match found {
            Ok((original, bytes)) => {
                members.push(Member {
                    location: original.location,
                    object_id: original.object_id,
                    offset: upload.bytes(),
                    length: bytes.len() as u64,
                    sha256: hex(&Sha256::digest(&bytes)),
                    digest_verdict: original.digest_verdict,
                });
                upload.write(bytes).await.map_err(failed)?;
            }
            Err(one) => absent.push(one),
        }
    }
    let mut files = Vec::new();
    if !members.is_empty() {
        let stored = upload.finish().await.map_err(failed)?;
        archive.protect(&key).await?;
        files.push(ArchivedFile {
            key: key.clone(),
            bytes: stored.bytes,
            sha256: stored.sha256,
            rows: None,
            min_event_time: None,
            max_event_time: None,
        });
    }
    Ok(RawManifest {
        format: 1,
        kind: "raw".to_owned(),
        source: "cloudtrail".to_owned(),
        event_date: String::new(),
        created_by: created_by(),
        sealed_at: time_text(chrono::Utc::now().timestamp_micros()).unwrap_or_default(),
        table_manifests: 0,
        complete: false,
        files,
        members,
        absent,
    })
}

/// One original, byte for byte, by its location or object id; of `day`, or of any day.
///
/// # Errors
/// When no pack holds it, or what the pack holds is something else.
pub async fn unpack(archive: &Archive, what: &str, day: Option<&str>) -> Result<(Member, Bytes), RawError> {
    let folder = day.map_or_else(|| RAW_CLOUDTRAIL.to_owned(), |day| day_folder(RAW_CLOUDTRAIL, day));
    for (_, manifest) in archive.manifests::<RawManifest>(&folder).await? {
        let Some(file) = manifest.files.first() else { continue };
        let wanted = |member: &&Member| member.location == what || member.object_id == what;
        let Some(member) = manifest.members.iter().find(wanted) else { continue };
        let range = member.offset..member.offset + member.length;
        let failed = |source| {
            RawError::Archive(ArchiveError::Object { key: file.key.clone(), source: Box::new(source) })
        };
        let bytes = archive.store().get_range(&Path::from(file.key.as_str()), range).await.map_err(failed)?;
        if hex(&Sha256::digest(&bytes)) != member.sha256 {
            return Err(RawError::Changed {
                key: file.key.clone(),
                location: member.location.clone(),
                sha256: member.sha256.clone(),
            });
        }
        return Ok((member.clone(), bytes));
    }
    Err(RawError::Unknown { what: what.to_owned() })
}
