//! One line of a container runtime taken apart, and the record its parts add up to.

use crate::batch::{Batch, Cut, Encoding, Span};
use crate::stream::Stdio;

/// A record of which only some parts were seen.
#[derive(Debug, Default)]
pub struct Partial {
    pub open: bool,
    pub start: u64,
    pub split: bool,
    pub truncated: bool,
    pub time: Vec<u8>,
    pub body: Vec<u8>,
}

impl Partial {
    pub fn cut(&self) -> Cut {
        match (self.split, self.truncated) {
            (_, true) => Cut::Truncated,
            (true, false) => Cut::Split,
            (false, false) => Cut::No,
        }
    }
}

/// One line of the runtime, taken apart.
pub struct Part {
    pub stdio: Stdio,
    pub partial: bool,
    pub offset: u64,
    pub encoding: Encoding,
    pub time: Text,
    pub content: Text,
}

/// Bytes that are in the batch as they were read, or had to be unescaped.
pub enum Text {
    Data(Span),
    Own(Vec<u8>),
}

impl Text {
    pub fn bytes<'a>(&'a self, batch: &'a Batch) -> &'a [u8] {
        match self {
            Self::Data(span) => batch.bytes(*span),
            Self::Own(bytes) => bytes,
        }
    }

    pub fn span(&self, batch: &mut Batch) -> Span {
        match self {
            Self::Data(span) => *span,
            Self::Own(bytes) => batch.push(bytes),
        }
    }
}
