//! What a file's lines are put together by.

use super::*;

/// How lines become records.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest record in bytes.
    pub max: usize,
    /// What is beyond it is dropped and counted, instead of delivered in pieces.
    pub truncate: bool,
    /// Which whole lines belong together.
    pub rules: Option<Arc<Rules>>,
    /// Time after which a record of several lines is complete.
    pub timeout: Duration,
    /// Most bytes of such a record.
    pub group_bytes: usize,
    /// Most lines of such a record.
    pub group_lines: usize,
    /// Lines are the application's own: no time, no stream, no parts.
    pub plain: bool,
    /// What records that are not complete yet may take, over all files of the source.
    pub held: Arc<Budget>,
    /// Records of standard output, of standard error, are skipped and counted.
    pub skip: [bool; 2],
}

impl From<usize> for Options {
    /// Pieces of at most `max` bytes, every line on its own.
    fn from(max: usize) -> Self {
        let timeout = Duration::from_secs(1);
        Self {
            max,
            truncate: false,
            rules: None,
            timeout,
            group_bytes: max,
            group_lines: 1_000,
            plain: false,
            held: Budget::new(usize::MAX),
            skip: [false; 2],
        }
    }
}
