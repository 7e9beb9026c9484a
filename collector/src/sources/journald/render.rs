//! From an entry to a record: body, time, severity, attributes, stream.

use super::JournaldSettings;
use super::fields::{Fields, Meaning, Role, SEVERITIES};
use super::journal::Journal;
use super::payload::Payloads;
use crate::batch::{Batch, Cut, Encoding, Record, Span};
use crate::metrics::Metrics;
use crate::position::Fingerprint;
use crate::stream::Stream;
use chrono::DateTime;
use logq_schemas::landing;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use twox_hash::xxhash3_128;

/// What one file's cache of meanings may take; beyond it the cache starts anew.
const MEANINGS_BYTES_MAX: usize = 1024 * 1024;
/// Streams of one file that are remembered: more than a node has units.
const STREAMS_MAX: usize = 4096;

/// What is known about the data objects of a file, by their offset.
#[derive(Debug, Default)]
pub struct Known {
    meanings: HashMap<u64, Rc<Meaning>>,
    bytes: usize,
    /// By the offsets of what names them.
    streams: HashMap<(u64, u64), Origin>,
}

/// A stream and its number in the batch under construction.
#[derive(Debug)]
struct Origin {
    stream: Arc<Stream>,
    sequence: u64,
    index: u32,
}

/// Which entries are taken, and what becomes of them.
#[derive(Debug)]
pub struct Renderer {
    source: String,
    fields: Fields,
    priority_max: u8,
    boot_id: Option<[u8; 16]>,
    body_bytes_max: usize,
    payloads: Payloads,
    attributes: Vec<(u32, Arc<str>)>,
    /// The text of the second that was last written.
    second: (u64, String),
    text: String,
}

/// What an entry's fields add up to.
#[derive(Default)]
struct Summary {
    body: Option<Span>,
    cut: Cut,
    priority: Option<u8>,
    included: bool,
    excluded: bool,
    service: (u8, u64, Option<Arc<str>>),
    host: (u64, Option<Arc<str>>),
    damaged: u64,
}

impl Renderer {
    /// As the settings say.
    pub fn new(source: &str, settings: &JournaldSettings) -> Self {
        Self {
            source: source.to_owned(),
            fields: Fields::new(settings),
            // Checked when the configuration was read.
            priority_max: settings.priority_max().unwrap_or(7),
            boot_id: settings.current_boot_only.then(boot_id).flatten(),
            body_bytes_max: settings.max_line_bytes.bytes(),
            payloads: Payloads::default(),
            attributes: Vec::new(),
            second: (u64::MAX, String::new()),
            text: String::new(),
        }
    }

    /// Adds the entry that `journal` found to the batch, unless it is not wanted.
    pub fn render(
        &mut self,
        journal: &mut Journal,
        known: &mut Known,
        (batch, sequence): (&mut Batch, u64),
        id: Fingerprint,
        metrics: &Metrics,
    ) {
        batch.raw_bytes += journal.entry.bytes;
        if self.boot_id.is_some_and(|boot| boot != journal.entry.boot_id) {
            return;
        }
        let start = batch.joined.len();
        let summary = self.summarise(journal, known, batch);
        metrics.source_damaged_entries.inc_by(summary.damaged);
        let refused = summary.excluded
            || (self.fields.selective && !summary.included)
            || summary.priority.is_some_and(|priority| priority > self.priority_max);
        if refused {
            batch.joined.truncate(start);
            return;
        }
        if summary.cut == Cut::Truncated {
            metrics.source_truncated_records.inc();
        }
        let time = self.time(journal.entry.realtime, batch);
        let extra = self.extra(summary.priority, batch);
        let stream = self.stream(known, &summary, id, (batch, sequence));
        batch.records.push(Record {
            stream,
            encoding: Encoding::Unchecked,
            cut: summary.cut,
            offset: journal.entry.seqnum,
            time,
            body: summary.body.unwrap_or_default(),
            extra,
        });
    }

    fn summarise(&mut self, journal: &mut Journal, known: &mut Known, batch: &mut Batch) -> Summary {
        let mut summary = Summary::default();
        self.attributes.clear();
        let items = std::mem::take(&mut journal.entry.items);
        for &offset in &items {
            let mut fresh = false;
            let meaning = match known.meanings.get(&offset) {
                Some(meaning) if meaning.role != Role::Message => meaning.clone(),
                _ => {
                    let fields = &self.fields;
                    let wanted = |start: &[u8]| fields.wants(start);
                    match self.payloads.read(&mut journal.pages, offset, journal.header.compact, wanted) {
                        Ok(payload) => {
                            let useful = payload.whole || self.fields.wants(payload.bytes);
                            let meaning =
                                if useful { self.fields.meaning(payload.bytes) } else { Meaning::default() };
                            if meaning.role == Role::Message && summary.body.is_none() {
                                let body = payload.bytes.get(b"MESSAGE=".len()..).unwrap_or_default();
                                let (kept, cut) = shorten(body, self.body_bytes_max);
                                batch.raw_bytes += body.len() as u64;
                                summary.body = Some(batch.push(kept));
                                summary.cut = cut;
                            }
                            // What one entry has alone is not met again, or just once more while live.
                            fresh = payload.entries > 1;
                            Rc::new(meaning)
                        }
                        Err(error) => {
                            tracing::debug!(%error, "journal field skipped");
                            summary.damaged += 1;
                            continue;
                        }
                    }
                }
            };
            summary.add(&meaning, offset);
            if let Some((number, value)) = &meaning.attribute {
                self.attributes.push((*number, value.clone()));
            }
            if fresh && meaning.role != Role::Message {
                known.keep(offset, meaning);
            }
        }
        self.payloads.shrink();
        journal.entry.items = items;
        summary
    }

    /// RFC 3339 with microseconds, as journald measures them.
    fn time(&mut self, realtime: u64, batch: &mut Batch) -> Span {
        let (second, micros) = (realtime / 1_000_000, realtime % 1_000_000);
        if self.second.0 != second {
            let time = DateTime::from_timestamp(i64::try_from(second).unwrap_or_default(), 0);
            let text = time.unwrap_or_default().format("%Y-%m-%dT%H:%M:%S").to_string();
            self.second = (second, text);
        }
        self.text.clear();
        // Writing to a string does not fail.
        let _ = write!(self.text, "{}.{micros:06}Z", self.second.1);
        batch.push(self.text.as_bytes())
    }

    /// Severity and attributes, as [`crate::extra::Extra::encode`] writes them.
    fn extra(&mut self, priority: Option<u8>, batch: &mut Batch) -> Span {
        let start = batch.joined.len();
        let out = &mut batch.joined;
        if let Some((number, name)) = priority.and_then(|priority| SEVERITIES.get(usize::from(priority))) {
            self.text.clear();
            let _ = write!(self.text, ",\"n\":{number},\"sv\":\"{name}\"");
            out.extend_from_slice(self.text.as_bytes());
        }
        // Stable: values of one field stay in the order the journal has them in.
        self.attributes.sort_by_key(|(number, _)| *number);
        let mut lead: &[u8] = b",\"a\":{";
        for group in self.attributes.chunk_by(|a, b| a.0 == b.0) {
            let (Some((number, _)), several) = (group.first(), group.len() > 1) else { continue };
            out.extend_from_slice(lead);
            lead = b",";
            out.extend_from_slice(self.fields.key(*number).as_bytes());
            out.extend_from_slice(if several { b":[" } else { b":" });
            for (n, (_, value)) in group.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(value.as_bytes());
            }
            if several {
                out.push(b']');
            }
        }
        if lead == b"," {
            out.push(b'}');
        }
        Span::joined(start, out.len())
    }

    fn stream(
        &self,
        known: &mut Known,
        summary: &Summary,
        id: Fingerprint,
        (batch, sequence): (&mut Batch, u64),
    ) -> u32 {
        if known.streams.len() >= STREAMS_MAX {
            known.streams.clear();
        }
        let origin = known.streams.entry((summary.service.1, summary.host.0)).or_insert_with(|| {
            let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
            let (service, host) = (text(&summary.service.2), text(&summary.host.1));
            let about = landing::Stream {
                id: stream_id(id, &service, &host).to_string(),
                source: self.source.clone(),
                host,
                service,
                ..landing::Stream::default()
            };
            Origin { stream: Arc::new(Stream::new(about)), sequence: 0, index: 0 }
        });
        if origin.sequence != sequence {
            origin.sequence = sequence;
            origin.index = u32::try_from(batch.streams.len()).unwrap_or(u32::MAX);
            batch.streams.push(origin.stream.clone());
        }
        origin.index
    }
}

impl Summary {
    fn add(&mut self, meaning: &Meaning, offset: u64) {
        self.included |= meaning.included;
        self.excluded |= meaning.excluded;
        match meaning.role {
            Role::Priority(priority) => self.priority = Some(priority),
            Role::Service(rank) if rank > self.service.0 => {
                self.service = (rank, offset, meaning.text.clone());
            }
            Role::Host => self.host = (offset, meaning.text.clone()),
            Role::None | Role::Message | Role::Service(_) => {}
        }
    }
}

impl Known {
    fn keep(&mut self, offset: u64, meaning: Rc<Meaning>) {
        if self.bytes >= MEANINGS_BYTES_MAX {
            self.meanings.clear();
            self.bytes = 0;
        }
        self.bytes += meaning.bytes();
        self.meanings.insert(offset, meaning);
    }
}

/// Identity of the entries of one file and origin.
fn stream_id(file: Fingerprint, service: &str, host: &str) -> Fingerprint {
    let mut hasher = xxhash3_128::Hasher::new();
    hasher.write(&file.0.to_le_bytes());
    for part in [service.as_bytes(), host.as_bytes()] {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    Fingerprint(hasher.finish_128())
}

/// A body of at most `max` bytes; a character of UTF-8 is not cut in two.
fn shorten(body: &[u8], max: usize) -> (&[u8], Cut) {
    if body.len() <= max {
        return (body, Cut::No);
    }
    let continues = |at: &usize| body[*at] & 0b1100_0000 == 0b1000_0000;
    let end = (max.saturating_sub(3)..=max).rev().find(|at| !continues(at)).unwrap_or(max);
    (&body[..end], Cut::Truncated)
}

/// The boot the collector runs in; a container sees its host's.
fn boot_id() -> Option<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let text = text.inspect_err(|error| tracing::error!(%error, "boot not known, taking entries of all"));
    let digits: String = text.ok()?.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}
