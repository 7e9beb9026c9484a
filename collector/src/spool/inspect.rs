//! Looking into a spool from outside, also while its collector is down for good: what it holds, for
//! whom, and a way to get the records out without any of the configured sinks.

use super::{Portion, SpoolError, count, io_error, load_cursors, load_dropped, segment_files, utc_date};
use crate::position::Checkpoint;
use crate::segment::{Digest, Segment};
use crate::sinks::landing;
use logq_schemas::landing::object_key;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What a spool holds.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The last segment each sink has.
    pub sinks: BTreeMap<String, u64>,
    /// Files with a position in the checkpoint; segments may hold later ones.
    pub files: usize,
    /// Its segments, oldest first.
    pub segments: Vec<SegmentReport>,
}

/// What one segment holds.
#[derive(Debug, Serialize)]
pub struct SegmentReport {
    /// Its number.
    pub id: u64,
    /// It was still being written.
    pub open: bool,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Whole frames.
    pub frames: usize,
    /// Damaged parts between whole frames.
    pub damaged: u32,
    /// Bytes behind the last whole frame.
    pub torn: u64,
    /// Records by the sinks they are for.
    pub records: BTreeMap<String, u64>,
    /// Sinks that do not have them yet.
    pub waiting: Vec<String>,
}

/// Looks at the spool in `data_dir`. Changes nothing, and needs no lock: next to a running
/// collector it may miss what is being written or removed at the moment.
///
/// # Errors
/// When files can't be read. Never because of damaged content.
pub fn inspect(data_dir: &Path) -> Result<Report, SpoolError> {
    let sinks = load_cursors(&data_dir.join("sinks.json"))?;
    let dropped = load_dropped(&data_dir.join("dropped.json"))?;
    let (_, positions) = Checkpoint::load(&data_dir.join("positions.json"))?;
    let mut segments = Vec::new();
    for (id, path) in segment_files(&data_dir.join("spool"))? {
        let segment = Segment::read(&path).map_err(|source| io_error("reading", &path, source))?;
        let portions = portions(&segment);
        let names: BTreeSet<&String> = portions.iter().flat_map(|portion| &portion.sinks).collect();
        let waits = |name: &&String| {
            let never = dropped.get(*name).is_some_and(|ids| ids.contains(&id));
            !never && sinks.get(*name).is_none_or(|cursor| *cursor < id)
        };
        let waiting = names.into_iter().filter(waits);
        segments.push(SegmentReport {
            id,
            open: path.extension().is_some_and(|ending| ending == "open"),
            bytes: segment.len,
            frames: segment.frames.len(),
            damaged: segment.damaged,
            torn: segment.torn(),
            waiting: waiting.cloned().collect(),
            records: portions.iter().map(|portion| (portion.sinks.join(","), portion.records)).collect(),
        });
    }
    Ok(Report { data_dir: data_dir.to_owned(), sinks, files: positions.iter().count(), segments })
}

fn portions(segment: &Segment) -> Vec<Portion> {
    let mut portions = Vec::new();
    let sections = segment.frames.iter().flat_map(|frame| &frame.footer.sections);
    sections.for_each(|section| count(&mut portions, section));
    portions
}

/// Objects and records written by [`export`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Landing objects.
    pub objects: u64,
    /// Records in them.
    pub records: u64,
}

/// Writes everything whole in the spool as landing objects below `to`, under the keys the sinks
/// would use. The spool stays as it is, so a later delivery repeats nothing: same keys, same bytes.
///
/// # Errors
/// When files can't be read or written.
pub fn export(data_dir: &Path, cluster: &str, node: &str, to: &Path) -> Result<Exported, SpoolError> {
    let mut exported = Exported::default();
    for (id, path) in segment_files(&data_dir.join("spool"))? {
        let file = File::open(&path).map_err(|source| io_error("opening", &path, source))?;
        let segment = Segment::scan(&file).map_err(|source| io_error("reading", &path, source))?;
        let mut digest = Digest::default();
        segment.frames.iter().for_each(|frame| digest.update(&frame.footer));
        let times = segment.frames.iter().map(|frame| frame.footer.time.as_str());
        let date = utc_date(times.into_iter().find(|time| !time.is_empty()).unwrap_or_default());
        let lanes: BTreeSet<String> = portions(&segment).into_iter().map(|portion| portion.lane).collect();
        for lane in lanes {
            let (records, ranges) = segment.select(|section| section.lane == lane);
            let target = to.join(object_key(cluster, node, &date, &digest.hex(&lane)));
            let header = landing::header(cluster, node, id);
            let written = header.and_then(|header| write(&file, &ranges, &header, records, &target));
            written.map_err(|source| io_error("writing", &target, source))?;
            exported.objects += 1;
            exported.records += records;
        }
    }
    Ok(exported)
}

fn write(file: &File, ranges: &[Range<u64>], header: &[u8], records: u64, target: &Path) -> io::Result<()> {
    fs::create_dir_all(target.parent().unwrap_or(Path::new(".")))?;
    let mut out = File::create(target)?;
    out.write_all(header)?;
    let mut file = file;
    for range in ranges {
        file.seek(io::SeekFrom::Start(range.start))?;
        io::copy(&mut file.take(range.end - range.start), &mut out)?;
    }
    out.write_all(&landing::trailer(records)?)?;
    out.sync_all()
}
