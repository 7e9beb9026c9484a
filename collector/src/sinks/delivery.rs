//! What a sink is handed: one sealed segment, as one landing object or as single records.

use super::{Context, landing};
use crate::config::Backoff;
use crate::segment::Segment;
use crate::spool::{Sealed, Taker};
use base64::Engine as _;
use bytes::Bytes;
use logq_schemas::landing::{Record, Stream, object_key};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// What one sealed segment holds for one sink.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The segment.
    pub sealed: Arc<Sealed>,
    /// Which of its sections are for this sink.
    pub taker: Taker,
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the node.
    pub node: String,
}

/// One landing object: its key and where its bytes are. Nothing of it is in memory.
#[derive(Debug, Clone)]
pub struct Object {
    /// Key below the sink's root.
    pub key: String,
    /// Size in bytes.
    pub len: u64,
    /// Record lines in it.
    pub records: u64,
    file: Arc<File>,
    /// Pieces in order, with the offset in the object at which each begins.
    pieces: Arc<Vec<(u64, Piece)>>,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    File(Range<u64>),
}

impl Delivery {
    /// Records the segment holds for this sink.
    pub fn records(&self) -> u64 {
        let ours = self.sealed.portions.iter().filter(|p| self.taker.takes_from(&p.sinks, self.sealed.id));
        ours.map(|portion| portion.records).sum()
    }

    /// The segment as one landing object; tries until the file can be read.
    pub async fn object(&self, cx: &Context) -> Object {
        let read = || {
            let delivery = self.clone();
            async move { Ok(tokio::task::spawn_blocking(move || delivery.open_object()).await??) }
        };
        loop {
            // Refusals only come from the other end, so this ends at the first success.
            if let Ok(object) = cx.retry(Backoff::default(), None, read).await {
                return object;
            }
        }
    }

    /// The segment as one landing object. Blocking.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn open_object(&self) -> io::Result<Object> {
        let file = File::open(&self.sealed.path)?;
        let segment = Segment::scan(&file)?;
        let (records, ranges) = segment.select(|section| self.taker.takes(section, self.sealed.id));
        if segment.damaged > 0 || segment.torn() > 0 {
            tracing::error!(path = %self.sealed.path.display(), frames = segment.damaged,
                "segment was damaged on disk, delivering what is left");
        }
        let header = landing::header(&self.cluster, &self.node, self.sealed.id)?;
        let trailer = landing::trailer(records)?;
        let mut pieces = vec![Piece::Bytes(header.into())];
        pieces.extend(ranges.into_iter().map(Piece::File));
        pieces.push(Piece::Bytes(trailer.into()));
        let mut len = 0;
        let place = |piece: Piece| {
            let start = len;
            len += match &piece {
                Piece::Bytes(bytes) => bytes.len() as u64,
                Piece::File(range) => range.end - range.start,
            };
            (start, piece)
        };
        let pieces = Arc::new(pieces.into_iter().map(place).collect::<Vec<_>>());
        let digest = self.sealed.digest.hex(&self.taker.lane);
        let key = object_key(&self.cluster, &self.node, &self.sealed.date, &digest);
        Ok(Object { key, len, records, file: Arc::new(file), pieces })
    }

    /// The records one frame at a time, so that no more than a frame is in memory; tries until the
    /// file can be read.
    pub async fn frames(&self, cx: &Context) -> Frames {
        let open = || {
            let delivery = self.clone();
            async move { Ok(tokio::task::spawn_blocking(move || delivery.open_frames()).await??) }
        };
        loop {
            if let Ok(frames) = cx.retry(Backoff::default(), None, open).await {
                return frames;
            }
        }
    }

    /// The records one frame at a time. Blocking.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn open_frames(&self) -> io::Result<Frames> {
        let file = File::open(&self.sealed.path)?;
        let segment = Segment::scan(&file)?;
        let (_, ranges) = segment.select(|section| self.taker.takes(section, self.sealed.id));
        let mut largest = 0;
        for range in &ranges {
            largest = largest.max(text_len(&file, range)?);
        }
        Ok(Frames { file: Arc::new(file), ranges: ranges.into(), streams: HashMap::new(), largest })
    }
}

impl Object {
    /// Bytes `offset..offset + out.len()` of the object, fewer at its end. Blocking.
    ///
    /// # Errors
    /// When the segment file can't be read.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        let mut at = self.pieces.partition_point(|(start, _)| *start <= offset).saturating_sub(1);
        while let Some((start, piece)) = self.pieces.get(at).filter(|_| done < out.len()) {
            let skip = offset + done as u64 - start;
            let room = out.len() - done;
            let len = match piece {
                Piece::Bytes(bytes) => {
                    let bytes = bytes.get(usize::try_from(skip).unwrap_or(usize::MAX)..).unwrap_or_default();
                    let len = bytes.len().min(room);
                    out[done..done + len].copy_from_slice(&bytes[..len]);
                    len
                }
                Piece::File(range) => {
                    let left = (range.end - range.start).saturating_sub(skip);
                    let len = usize::try_from(left).unwrap_or(usize::MAX).min(room);
                    self.file.read_exact_at(&mut out[done..done + len], range.start + skip)?;
                    len
                }
            };
            done += len;
            at += 1;
        }
        Ok(done)
    }

    /// Reads the object from its start.
    ///
    /// # Errors
    /// None today; a reader may have to open something.
    pub fn reader(&self) -> io::Result<impl Read + Send + use<>> {
        Ok(ObjectReader { object: self.clone(), at: 0 })
    }
}

struct ObjectReader {
    object: Object,
    at: u64,
}

impl Read for ObjectReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.object.read_at(self.at, out)?;
        self.at += len as u64;
        Ok(len)
    }
}

/// One record with the stream it belongs to.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// Where it comes from.
    pub stream: &'a Arc<Stream>,
    /// Time, body and what transforms found out.
    pub record: Record<'a>,
}

impl Event<'_> {
    /// The body as bytes, whatever its encoding.
    pub fn body(&self) -> Cow<'_, [u8]> {
        match (&self.record.b, &self.record.b64) {
            (Some(text), _) => Cow::Borrowed(text.as_bytes()),
            // The renderer of this program wrote it.
            (None, Some(text)) => Cow::Owned(
                base64::engine::general_purpose::STANDARD.decode(text.as_ref()).unwrap_or_default(),
            ),
            (None, None) => Cow::Borrowed(&[]),
        }
    }

    /// The time in nanoseconds since 1970; 0 when it can't be read.
    pub fn time_ns(&self) -> i64 {
        let time = chrono::DateTime::parse_from_rfc3339(&self.record.t);
        time.ok().and_then(|time| time.timestamp_nanos_opt()).unwrap_or(0)
    }
}

/// The frames of a segment that are for one sink, decoded one at a time.
#[derive(Debug)]
pub struct Frames {
    file: Arc<File>,
    ranges: VecDeque<Range<u64>>,
    streams: HashMap<u32, Arc<Stream>>,
    largest: usize,
}

impl Frames {
    /// Size of the largest frame, decoded.
    pub fn largest(&self) -> usize {
        self.largest
    }

    /// Decodes the next frame; `None` after the last. Tries until the file can be read.
    pub async fn next(&mut self, cx: &Context) -> Option<FrameText> {
        while let Some(range) = self.ranges.front().cloned() {
            let read = || {
                let (file, range) = (self.file.clone(), range.clone());
                async move { Ok(tokio::task::spawn_blocking(move || decode(&file, &range)).await??) }
            };
            let decoded = cx.retry(Backoff::default(), None, read).await.ok().flatten();
            self.ranges.pop_front();
            match decoded {
                Some(text) => return Some(self.take(text)),
                // Its checksum was right: only a fault of this program gets here.
                None => tracing::error!(sink = cx.name, "frame can't be decoded, its records are lost"),
            }
        }
        None
    }

    /// Decodes the next frame; `None` after the last, or when it can't be decoded. Blocking.
    ///
    /// # Errors
    /// When the segment file can't be read.
    pub fn next_frame(&mut self) -> io::Result<Option<FrameText>> {
        let Some(range) = self.ranges.pop_front() else { return Ok(None) };
        let text = decode(&self.file, &range)?;
        Ok(text.map(|text| self.take(text)))
    }

    fn take(&mut self, text: String) -> FrameText {
        // Every stream is described before its first record, at the start of a frame.
        for line in text.lines().take_while(|line| line.starts_with("{\"stream\"")) {
            if let Ok(stream) = serde_json::from_str::<Stream>(line) {
                self.streams.insert(stream.stream, Arc::new(stream));
            }
        }
        FrameText { text, streams: self.streams.clone() }
    }
}

/// Size of a frame when it is decoded, which its first bytes tell.
fn text_len(file: &File, range: &Range<u64>) -> io::Result<usize> {
    // The longest header of a frame (RFC 8878, 3.1.1) with its magic number.
    let mut head = [0; 18];
    let len = head.len().min(usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
    file.read_exact_at(&mut head[..len], range.start)?;
    let told = zstd::zstd_safe::get_frame_content_size(&head[..len]).ok().flatten();
    Ok(told.and_then(|len| usize::try_from(len).ok()).unwrap_or(0))
}

fn decode(file: &File, range: &Range<u64>) -> io::Result<Option<String>> {
    let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut packed = vec![0; len];
    file.read_exact_at(&mut packed, range.start)?;
    Ok(zstd::decode_all(&packed[..]).ok().and_then(|text| String::from_utf8(text).ok()))
}

/// The landing lines of one frame.
#[derive(Debug, Clone)]
pub struct FrameText {
    text: String,
    streams: HashMap<u32, Arc<Stream>>,
}

impl FrameText {
    /// A frame of these lines, with the streams they describe.
    #[cfg(test)]
    pub fn of(text: String) -> Self {
        let streams = text.lines().filter_map(|line| serde_json::from_str::<Stream>(line).ok());
        let streams = streams.map(|stream| (stream.stream, Arc::new(stream))).collect();
        Self { text, streams }
    }

    /// The records of the frame, in order.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        // Lines were written by this program and carry a checksum; one that does not parse would
        // be a record counted as lost.
        self.text.lines().filter(|line| line.starts_with("{\"s\"")).filter_map(|line| {
            let record: Record<'_> = serde_json::from_str(line).ok()?;
            let stream = self.streams.get(&record.s)?;
            Some(Event { stream, record })
        })
    }
}
