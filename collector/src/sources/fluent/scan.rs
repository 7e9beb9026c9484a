//! Where a MessagePack value ends, found without decoding it.
//!
//! A few bytes of MessagePack can announce gigabytes, nest without end or unfold to a hundred times
//! their size. So nothing is decoded before it was scanned: the scan needs no memory but a number
//! for each level, goes on where it stopped when more bytes arrive, and refuses at the first header
//! that can't keep within the limits.

use rmp::Marker;

/// Deepest nesting: a record of Kubernetes metadata has four levels.
pub const DEPTH: usize = 32;

/// Most values of one message. A value takes about 64 bytes once decoded and the smallest record has
/// five, so a message unfolds to some 64 MiB at worst; a chunk of 8 MiB of logs has half as many.
pub const VALUES: usize = 1 << 20;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not what the protocol says.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// Larger than the limits.
    #[error("larger than max_request_bytes or with more values than are taken")]
    TooLarge,
    /// Of the protocol, but not for logs.
    #[error("unsupported: {0}")]
    Unsupported(&'static str),
    /// A client that does not know the key, or a user that is unknown.
    #[error("unauthorized: {0}")]
    Unauthorized(&'static str),
}

impl Fault {
    /// For the metric.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLarge => "too_large",
            Self::Unsupported(_) => "unsupported",
            Self::Unauthorized(_) => "unauthorized",
        }
    }
}

/// What a header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Nil,
    /// Values in a row.
    Array,
    /// Pairs.
    Map,
    /// Text or bytes.
    Bytes,
    /// Anything else.
    Scalar,
}

/// The first bytes of a value.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// Length of the header.
    pub len: usize,
    /// Bytes that follow and belong to the value alone.
    pub payload: usize,
    /// Values that follow and are part of it.
    pub children: u64,
}

impl Header {
    /// Reads a header; `None` when it is not complete.
    ///
    /// # Errors
    /// For the one byte that MessagePack never uses.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, Fault> {
        let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
        let number = |width: usize| {
            let digits = rest.get(..width)?;
            Some(digits.iter().fold(0u64, |number, digit| number << 8 | u64::from(*digit)))
        };
        // Width of the length behind the marker, or none when the marker says it.
        let (kind, width, known) = match Marker::from_u8(*first) {
            Marker::Null => (Kind::Nil, 0, 0),
            Marker::Reserved => return Err(Fault::Malformed("a byte that is never used")),
            Marker::FixArray(n) => (Kind::Array, 0, u64::from(n)),
            Marker::Array16 => (Kind::Array, 2, 0),
            Marker::Array32 => (Kind::Array, 4, 0),
            Marker::FixMap(n) => (Kind::Map, 0, u64::from(n)),
            Marker::Map16 => (Kind::Map, 2, 0),
            Marker::Map32 => (Kind::Map, 4, 0),
            Marker::FixStr(n) => (Kind::Bytes, 0, u64::from(n)),
            Marker::Str8 | Marker::Bin8 => (Kind::Bytes, 1, 0),
            Marker::Str16 | Marker::Bin16 => (Kind::Bytes, 2, 0),
            Marker::Str32 | Marker::Bin32 => (Kind::Bytes, 4, 0),
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::True | Marker::False => (Kind::Scalar, 0, 0),
            Marker::U8 | Marker::I8 => (Kind::Scalar, 0, 1),
            Marker::U16 | Marker::I16 => (Kind::Scalar, 0, 2),
            Marker::U32 | Marker::I32 | Marker::F32 => (Kind::Scalar, 0, 4),
            Marker::U64 | Marker::I64 | Marker::F64 => (Kind::Scalar, 0, 8),
            Marker::FixExt1 => (Kind::Scalar, 0, 2),
            Marker::FixExt2 => (Kind::Scalar, 0, 3),
            Marker::FixExt4 => (Kind::Scalar, 0, 5),
            Marker::FixExt8 => (Kind::Scalar, 0, 9),
            Marker::FixExt16 => (Kind::Scalar, 0, 17),
            Marker::Ext8 => (Kind::Scalar, 1, 1),
            Marker::Ext16 => (Kind::Scalar, 2, 1),
            Marker::Ext32 => (Kind::Scalar, 4, 1),
        };
        let Some(told) = number(width) else { return Ok(None) };
        let count = told + known;
        let (payload, children) = match kind {
            Kind::Array => (0, count),
            Kind::Map => (0, count * 2),
            Kind::Nil | Kind::Bytes | Kind::Scalar => (count, 0),
        };
        let payload = usize::try_from(payload).map_err(|_| Fault::TooLarge)?;
        Ok(Some(Self { kind, len: 1 + width, payload, children }))
    }
}

/// A scan of one value.
#[derive(Debug)]
pub struct Scan {
    /// Most bytes of the value.
    most: usize,
    /// Values it may still have.
    values: usize,
    /// How far the value is known to reach.
    at: usize,
    /// Values missing on each level.
    open: Vec<u64>,
    done: bool,
}

impl Scan {
    /// A scan of a value of at most `most` bytes, within `values` values.
    pub fn new(most: usize, values: usize) -> Self {
        Self { most, values, at: 0, open: Vec::new(), done: false }
    }

    /// Goes on with `bytes`, which begin with the value and may have grown since. Its length, or
    /// `None` when it is not all there.
    ///
    /// # Errors
    /// When it can't be a value within the limits.
    pub fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        while !self.done {
            let Some(header) = Header::read(bytes.get(self.at..).unwrap_or_default())? else {
                return Ok(None);
            };
            self.values = self.values.checked_sub(1).ok_or(Fault::TooLarge)?;
            self.at = self.at.saturating_add(header.len).saturating_add(header.payload);
            // Every value that is still missing takes a byte.
            let left = self.most.checked_sub(self.at).ok_or(Fault::TooLarge)?;
            if header.children > left as u64 {
                return Err(Fault::TooLarge);
            }
            if header.children > 0 {
                if self.open.len() == DEPTH {
                    return Err(Fault::Malformed("nested too deeply"));
                }
                self.open.push(header.children);
            } else {
                self.close();
            }
        }
        Ok((self.at <= bytes.len()).then_some(self.at))
    }

    /// A value is complete, and with it perhaps what it is part of.
    fn close(&mut self) {
        while let Some(missing) = self.open.last_mut() {
            *missing -= 1;
            if *missing > 0 {
                return;
            }
            self.open.pop();
        }
        self.done = true;
    }
}

/// Takes the first value off `bytes`, and its values off `values`.
///
/// # Errors
/// When there is no whole value within the limits.
pub fn split<'a>(bytes: &mut &'a [u8], values: &mut usize) -> Result<&'a [u8], Fault> {
    let mut scan = Scan::new(bytes.len(), *values);
    let end = match scan.end(bytes) {
        Ok(Some(end)) => end,
        // Here the bytes are all there are.
        Err(Fault::TooLarge) if scan.values > 0 => return Err(Fault::Malformed("cut")),
        Ok(None) => return Err(Fault::Malformed("cut")),
        Err(fault) => return Err(fault),
    };
    *values = scan.values;
    let (value, rest) = bytes.split_at(end);
    *bytes = rest;
    Ok(value)
}
