//! The object rejected records come from, where it is still there: it holds the header lines they need,
//! and the rest of those that were cut.

use crate::formats::inflate::Window;
use crate::formats::vpc_flow::header;
use crate::storage::{Inputs, Place};
use crate::stored::object_id;
use serde::de::IgnoredAny;

/// An original object, inflated.
#[derive(Debug, Default)]
pub struct Origin {
    text: Vec<u8>,
}

impl Origin {
    /// Reads the object, if it is there, has the content it had, and inflates to at most `bytes_max`.
    pub async fn read(inputs: &Inputs, location: &str, identity: &str, bytes_max: u64) -> Option<Origin> {
        let bytes = inputs.read_whole(&Place::from_location(location)).await.ok()?;
        if object_id(&bytes) != identity {
            return None;
        }
        let inflated = tokio::task::spawn_blocking(move || Origin::inflate(&bytes, bytes_max)).await;
        inflated.ok().flatten()
    }

    fn inflate(bytes: &[u8], bytes_max: u64) -> Option<Origin> {
        let mut window = Window::open(bytes, bytes_max);
        while window.more() {}
        let whole = window.damage().is_none();
        whole.then(|| Origin { text: window.data().to_vec() })
    }

    /// All of it.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    fn lines_before(&self, offset: u64) -> impl DoubleEndedIterator<Item = &[u8]> {
        let end = usize::try_from(offset).unwrap_or(usize::MAX).min(self.text.len());
        self.text.get(..end).unwrap_or_default().split(|byte| *byte == b'\n')
    }

    /// The lines a record at `offset` cannot be read without: the header line of a flow log, or header
    /// and streams of a landing object. Nothing for JSON documents.
    pub fn context(&self, offset: u64) -> Vec<u8> {
        let mut context = Vec::new();
        let first = self.text.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
        let Some(first) = first else { return context };
        if first.starts_with(b"{\"landing\"") {
            for line in self.lines_before(offset) {
                if line.starts_with(b"{\"landing\"") {
                    context.clear();
                }
                if line.starts_with(b"{\"landing\"") || line.starts_with(b"{\"stream\"") {
                    context.extend_from_slice(line);
                    context.push(b'\n');
                }
            }
        } else if !matches!(first.first(), Some(b'{' | b'['))
            && let Some(line) = self.lines_before(offset).rev().find(|line| header::layout(line).is_some())
        {
            context.extend_from_slice(line.trim_ascii_end());
            context.push(b'\n');
        }
        context
    }

    /// Whether records are lines of a landing object, which needs a trailer.
    pub fn is_landing(&self) -> bool {
        self.text.starts_with(b"{\"landing\"")
    }

    /// The whole record at `offset`: a JSON value, or a line.
    pub fn record(&self, offset: u64) -> Option<&[u8]> {
        let rest = self.text.get(usize::try_from(offset).ok()?..)?;
        if rest.first() == Some(&b'{') && !self.is_landing() {
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
            values.next()?.ok()?;
            return rest.get(..values.byte_offset());
        }
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        rest.get(..end)
    }
}
