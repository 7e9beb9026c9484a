//! What an object is, from its first kilobytes; the name only breaks ties.

mod foreign;

use super::cloudtrail::parse::LISTS;
use super::cloudtrail::split;
use super::inflate::Window;
use super::json::{Cursor, Fault, Kind};
use super::vpc_flow::{self, format, header};
use super::{Context, Object, time};
use logq_schemas::Reason;

/// How much is looked at: enough for the first lines of every text format and for the first keys of
/// every document.
const LOOK: usize = 64 << 10;
/// Lines of it that are tried as flow log lines.
const LINES: usize = 64;

/// Keys of the first document that are looked at.
const KEYS: usize = 64;

/// How far from the start a record may open for damage before it to be just that.
const NEAR: usize = 64;

/// What the object looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Nothing, or only blanks.
    Empty,
    /// What the collector writes.
    Landing,
    /// JSON documents.
    Json,
    /// A CloudTrail digest file.
    Digest,
    /// Flow log lines.
    Flow,
    /// A Parquet file; its columns say whether it is a flow log.
    Parquet,
    /// Nothing this processor reads; why, and what to do.
    Unknown(Reason, String),
}

/// Looks at the first bytes of a window that has been filled once.
pub fn shape(window: &Window<'_>, object: &Object<'_>, context: &Context<'_>) -> Shape {
    let data = window.data();
    if data.iter().all(u8::is_ascii_whitespace) {
        if window.is_ended() {
            return Shape::Empty;
        }
        return unknown("a quarter of a megabyte of blanks".to_owned());
    }
    let head = data.get(..data.len().min(LOOK)).unwrap_or(data).trim_ascii_start();
    match head.first() {
        Some(b'{') => document(head),
        Some(b'[') => Shape::Json,
        _ => text(head, window, object, context),
    }
}

fn unknown(message: String) -> Shape {
    Shape::Unknown(Reason::UnknownFormat, message)
}

/// The keys of the first document decide.
fn document(head: &[u8]) -> Shape {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => {
            head.get(..error.valid_up_to()).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or("")
        }
    };
    let mut keys = Vec::new();
    let (mut log, mut stream, mut digest, mut files) = (false, false, false, false);
    let _ = Cursor::new(valid, 0).object::<Fault>(|cursor, key| {
        let name = key.raw.get(1..key.raw.len() - 1).unwrap_or("");
        if keys.len() < KEYS {
            keys.push(name);
        }
        log |= name == "log";
        stream |= name == "stream";
        digest |= name == "digestStartTime" || name == "digestS3Object";
        files |= name == "logFiles" || name == "previousDigestS3Object" || name == "awsAccountId";
        if LISTS.contains(&name) && cursor.peek()? == b'[' {
            return Err(Fault::Cut); // a document of records: no need to walk through them
        }
        let value = cursor.value()?;
        log &= name != "log" || matches!(value.kind, Kind::Text { .. });
        Ok(())
    });
    if keys.first() == Some(&"landing") {
        Shape::Landing
    } else if digest && files {
        Shape::Digest
    } else if log && stream {
        container_log()
    } else if let Some(what) = foreign::document(&keys) {
        Shape::Unknown(Reason::UnsupportedSource, what.to_owned())
    } else {
        Shape::Json
    }
}

fn container_log() -> Shape {
    unknown("container log: ship it with logq-collector, which writes landing objects".to_owned())
}

fn text(head: &[u8], window: &Window<'_>, object: &Object<'_>, context: &Context<'_>) -> Shape {
    if head.starts_with(b"PAR1") {
        if window.is_compressed() {
            return unknown("a compressed Parquet file: store it as it was delivered".to_owned());
        }
        return Shape::Parquet;
    }
    if holds_records(head) {
        return Shape::Json;
    }
    if let Some(kind) = binary(head) {
        return refuse(kind, window, object);
    }
    let lines = || head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    if lines().take(LINES).any(|line| header::layout(line).is_some() || is_default_flow(line)) {
        return Shape::Flow;
    }
    let Some(first) = lines().next() else { return Shape::Empty };
    if let Some((_, used)) = time::prefix(first) {
        let rest = first.get(used..).unwrap_or(&[]).trim_ascii_start();
        if rest.starts_with(b"stdout ") || rest.starts_with(b"stderr ") {
            return container_log();
        }
        if rest.starts_with(b"{") {
            return Shape::Json; // a CloudWatch Logs export
        }
    }
    let location = object.location;
    if format::of_location(context.flow_formats, location).is_some() {
        return Shape::Flow;
    }
    if let Some(what) = foreign::line(first) {
        return Shape::Unknown(Reason::UnsupportedSource, what.to_owned());
    }
    if location.contains("/CloudTrail/") || location.contains("_CloudTrail_") {
        return Shape::Json;
    }
    if looks_like_flow(first) {
        let advice = if first.split(|byte| header::is_blank(*byte)).nth(1) == Some(b"TransitGateway") {
            "transit gateway flow log without a header line: put the header line of its format first, or declare it as a flow_format in the configuration"
        } else {
            "flow log in a custom format without a header line: put the header line of its format first, or declare it as a flow_format in the configuration"
        };
        return unknown(advice.to_owned());
    }
    refuse("text that is no log of a known source", window, object)
}

/// Whether records follow damage at the very beginning: a record opens within the first bytes of the
/// first line, or one of the first lines is one.
fn holds_records(head: &[u8]) -> bool {
    let first_line = memchr::memchr(b'\n', head).unwrap_or(head.len());
    let near = split::next_opener(head, 0, first_line.min(NEAR));
    let line =
        head.split(|byte| *byte == b'\n').take(LINES).find(|line| split::next_opener(line, 0, 1).is_some());
    near.and_then(|at| head.get(at..)).or(line).is_some_and(split::looks_like_cloudtrail)
}

/// A name that promises compression which the bytes do not keep is the better explanation.
fn refuse(what: &str, window: &Window<'_>, object: &Object<'_>) -> Shape {
    let name = object.location.rsplit('/').next().unwrap_or(object.location);
    let promises = [".gz", ".gzip", ".zst", ".zstd"].iter().any(|ending| name.ends_with(ending));
    if promises && !window.is_compressed() {
        let message = format!("the name says compressed, the bytes are {what}; upload the original again");
        return Shape::Unknown(Reason::NotCompressed, message);
    }
    unknown(format!(
        "{what}; expected CloudTrail JSON, VPC flow log lines with a header, or a landing object of logq-collector"
    ))
}

/// What other formats begin with, and bytes that no text holds.
fn binary(head: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 7] = [
        (b"PK\x03\x04", "a zip archive"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ", "xz"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"%PDF", "a PDF document"),
    ];
    if let Some((_, what)) = known.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(what);
    }
    head.contains(&0).then_some("binary data")
}

/// A line of the default format, with or without the time an export puts before it.
fn is_default_flow(line: &[u8]) -> bool {
    let tokens: Vec<&[u8]> =
        line.split(|byte| header::is_blank(*byte)).filter(|token| !token.is_empty()).take(16).collect();
    if tokens.first() == Some(&b"2".as_slice()) && vpc_flow::seam(line).is_some() {
        return true; // records without line ends between them
    }
    let tokens = match tokens.len() {
        15 => tokens.get(1..).unwrap_or(&[]),
        _ => &tokens,
    };
    tokens.len() == 14
        && tokens.first() == Some(&b"2".as_slice())
        && matches!(tokens.last(), Some(&b"OK" | &b"NODATA" | &b"SKIPDATA"))
}

fn looks_like_flow(line: &[u8]) -> bool {
    let mut tokens = line.split(|byte| header::is_blank(*byte)).filter(|token| !token.is_empty());
    let version = tokens.next().is_some_and(|token| token.len() <= 2 && token.iter().all(u8::is_ascii_digit));
    version && tokens.any(|token| matches!(token, b"OK" | b"NODATA" | b"SKIPDATA"))
}
