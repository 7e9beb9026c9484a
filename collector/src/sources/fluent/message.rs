//! The four forms of a message, and what they hold.
//!
//! ```text
//! Message        [tag, time, {record}, {option}?]
//! Forward        [tag, [[time, {record}], …], {option}?]
//! PackedForward  [tag, bytes of [time, {record}] after each other, {option}?]
//! compressed     the same, gzip, with option compressed = "gzip"
//! heartbeat      nil
//! ```

use super::records::{Events, text};
use super::scan::{DEPTH, Fault, Header, Kind, VALUES, split};
use crate::sources::received::{Push, identity};
use rmpv::Value;
use std::io::Read as _;

/// Where messages come from.
#[derive(Debug)]
pub struct Origin {
    /// Name of the source.
    pub source: String,
    /// Names a connection, for messages that do not name themselves.
    pub connection: String,
    /// Number of the next event without a chunk.
    pub number: u64,
    /// Most bytes of a message once it is unpacked.
    pub most: usize,
}

/// What the client is to be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Nothing, and it will not ask: these events can't be sent again.
    None,
    /// That this chunk is stored.
    Ack(Value),
}

impl Origin {
    /// Adds the events of a message to `push`; `None` for a heartbeat. On failure, nothing of `push`
    /// is to be used.
    ///
    /// # Errors
    /// When the bytes are no message, or one that unfolds beyond the limits.
    pub fn read(&mut self, message: &[u8], push: &mut Push) -> Result<Option<Answer>, Fault> {
        let mut values = VALUES;
        if kind(message)? == Kind::Nil {
            return Ok(None);
        }
        let (count, mut rest) = array(message)?;
        if !(2..=4).contains(&count) {
            return Err(Fault::Malformed("a message has two to four parts"));
        }
        let parts: Vec<&[u8]> =
            (0..count).map(|_| split(&mut rest, &mut values)).collect::<Result<_, _>>()?;
        let tag = text(decode(parts[0])?);
        let (content, at_option) = match kind(parts[1])? {
            Kind::Array if count < 4 => (Content::Entries(parts[1]), 2),
            Kind::Bytes => (Content::Packed(payload(parts[1])?), 2),
            _ if count > 2 => (Content::One(parts[1], parts[2]), 3),
            _ => return Err(Fault::Malformed("no events")),
        };
        let options = match parts.get(at_option) {
            None => Options::default(),
            Some(option) => Options::read(decode(option)?)?,
        };
        let unpacked = match (&content, options.gzip) {
            (Content::Packed(bytes), true) => Some(unpack(bytes, self.most)?),
            _ => None,
        };
        let content = match &unpacked {
            Some(bytes) => Content::Packed(bytes),
            None => content,
        };
        let mark;
        let (message, hash, first) = match &options.chunk {
            Some(chunk) => {
                // A client that numbers its chunks starts over with each process, so the name alone
                // does not tell: one that repeats a chunk repeats its events.
                mark = identity(&content.parts());
                (text(chunk.clone()), mark.as_str(), 0)
            }
            None => (self.connection.clone(), "", self.number),
        };
        let identity = [self.source.as_bytes(), tag.as_bytes(), message.as_bytes(), hash.as_bytes()];
        let mut events = Events::new(push, &self.source, &tag, identity, first);
        content.each(&mut VALUES.to_owned(), &mut events)?;
        let next = events.offset();
        push.bytes += unpacked.as_ref().map_or(parts.iter().map(|part| part.len()).sum(), Vec::len);
        Ok(Some(match options.chunk {
            Some(chunk) => Answer::Ack(chunk),
            None => {
                self.number = next;
                Answer::None
            }
        }))
    }
}

/// Where the events of a message are.
enum Content<'a> {
    One(&'a [u8], &'a [u8]),
    Entries(&'a [u8]),
    Packed(&'a [u8]),
}

impl Content<'_> {
    fn parts(&self) -> Vec<&[u8]> {
        match self {
            Self::One(time, record) => vec![time, record],
            Self::Entries(bytes) | Self::Packed(bytes) => vec![bytes],
        }
    }

    fn each(&self, values: &mut usize, events: &mut Events<'_>) -> Result<(), Fault> {
        match self {
            Self::One(time, record) => events.add(&decode(time)?, decode(record)?),
            Self::Entries(entries) => {
                let (count, mut rest) = array(entries)?;
                (0..count).try_for_each(|_| entry(&mut rest, values, events))
            }
            Self::Packed(bytes) => {
                let mut rest = *bytes;
                while !rest.is_empty() {
                    entry(&mut rest, values, events)?;
                }
                Ok(())
            }
        }
    }
}

fn entry(rest: &mut &[u8], values: &mut usize, events: &mut Events<'_>) -> Result<(), Fault> {
    let (count, mut parts) = array(split(rest, values)?)?;
    if count != 2 {
        return Err(Fault::Malformed("an event is a time and a record"));
    }
    // Counted with the entry already.
    let time = decode(split(&mut parts, &mut VALUES.to_owned())?)?;
    events.add(&time, decode(parts)?)
}

/// What a message says beside its events. Sizes and what is unknown are of no use here.
#[derive(Debug, Default)]
struct Options {
    chunk: Option<Value>,
    gzip: bool,
}

impl Options {
    fn read(option: Value) -> Result<Self, Fault> {
        let pairs = match option {
            Value::Nil => return Ok(Self::default()),
            Value::Map(pairs) => pairs,
            _ => return Err(Fault::Malformed("the option must be a map")),
        };
        let mut options = Self::default();
        for (key, value) in pairs {
            match (key.as_str(), value) {
                (Some("chunk"), value @ (Value::String(_) | Value::Binary(_))) => options.chunk = Some(value),
                (Some("compressed"), value) => match value.as_str() {
                    Some("gzip") => options.gzip = true,
                    Some("text") | None => {}
                    Some(_) => return Err(Fault::Unsupported("only gzip is unpacked")),
                },
                // Fluent Bit sends metrics and traces in the same way.
                (Some("fluent_signal"), value) if value.as_u64().is_some_and(|signal| signal != 0) => {
                    return Err(Fault::Unsupported("metrics and traces are not taken"));
                }
                _ => {}
            }
        }
        Ok(options)
    }
}

fn unpack(packed: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
    let mut plain = Vec::new();
    let mut limited = flate2::read::MultiGzDecoder::new(packed).take(most as u64 + 1);
    limited.read_to_end(&mut plain).map_err(|_| Fault::Malformed("not gzip"))?;
    if plain.len() > most {
        return Err(Fault::TooLarge);
    }
    Ok(plain)
}

fn header(value: &[u8]) -> Result<Header, Fault> {
    Header::read(value)?.ok_or(Fault::Malformed("cut"))
}

fn kind(value: &[u8]) -> Result<Kind, Fault> {
    Ok(header(value)?.kind)
}

/// Number of values of an array, and their bytes.
fn array(value: &[u8]) -> Result<(u64, &[u8]), Fault> {
    let header = header(value)?;
    match (header.kind, value.get(header.len..)) {
        (Kind::Array, Some(rest)) => Ok((header.children, rest)),
        _ => Err(Fault::Malformed("an array is expected")),
    }
}

fn payload(value: &[u8]) -> Result<&[u8], Fault> {
    value.get(header(value)?.len..).ok_or(Fault::Malformed("cut"))
}

/// Decodes a value that was scanned.
pub fn decode(mut value: &[u8]) -> Result<Value, Fault> {
    // The decoder counts two levels for each of ours, and one for what is at the bottom.
    rmpv::decode::read_value_with_max_depth(&mut value, DEPTH * 2 + 3)
        .map_err(|_| Fault::Malformed("not MessagePack"))
}
