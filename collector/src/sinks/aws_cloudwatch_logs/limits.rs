//! The limits of `PutLogEvents` and how records are cut and grouped to stay within them.
//!
//! Source: Amazon CloudWatch Logs API reference, `PutLogEvents`, and the service's quotas page (the
//! event size was raised to 1 MB in 2025; older texts say 256 KB).

use logq_schemas::landing::Stream;
use std::sync::Arc;

/// Most bytes of a batch: UTF-8 of all messages plus [`EVENT_OVERHEAD`] each.
pub const BATCH_BYTES: usize = 1_048_576;
/// Bytes the service adds for every event.
pub const EVENT_OVERHEAD: usize = 26;
/// Most events of a batch.
pub const BATCH_EVENTS: usize = 10_000;
/// Most bytes of one message, so that it fits a batch of its own.
pub const EVENT_BYTES: usize = BATCH_BYTES - EVENT_OVERHEAD;
/// A batch spans at most 24 hours.
pub const SPAN_MS: i64 = 24 * 3600 * 1000;
/// Events may be at most 14 days old …
pub const PAST_MS: i64 = 14 * 24 * 3600 * 1000;
/// … and at most two hours ahead.
pub const FUTURE_MS: i64 = 2 * 3600 * 1000;
/// Longest name of a log group or stream.
pub const NAME_CHARS: usize = 512;

/// One event to be sent: a record or a piece of one.
#[derive(Debug, Clone)]
pub struct Item {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// Not empty, at most [`EVENT_BYTES`].
    pub message: String,
    /// Where the record comes from.
    pub stream: Arc<Stream>,
    /// Offset of the record.
    pub offset: u64,
    /// The first piece stands for the record where records are counted.
    pub first: bool,
}

impl Item {
    /// What it takes of a batch.
    pub fn size(&self) -> usize {
        self.message.len() + EVENT_OVERHEAD
    }
}

/// Events for one log stream that wait for a batch to be full.
#[derive(Debug, Default)]
pub struct Pending {
    items: Vec<Item>,
    bytes: usize,
}

impl Pending {
    /// Bytes waiting.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an event; gives the batch that had to be closed for it.
    pub fn push(&mut self, item: Item) -> Option<Vec<Item>> {
        let full = self.bytes + item.size() > BATCH_BYTES || self.items.len() == BATCH_EVENTS;
        let closed = full.then(|| self.take());
        self.bytes += item.size();
        self.items.push(item);
        closed
    }

    /// Everything that waits.
    pub fn take(&mut self) -> Vec<Item> {
        self.bytes = 0;
        std::mem::take(&mut self.items)
    }
}

/// Puts a batch in the order of time (stable, so equal times keep theirs) and divides it where it
/// spans more than 24 hours.
pub fn in_order(mut items: Vec<Item>) -> Vec<Vec<Item>> {
    items.sort_by_key(|item| item.time_ms);
    let mut batches: Vec<Vec<Item>> = Vec::new();
    for item in items {
        match batches.last_mut() {
            Some(batch) if batch.first().is_some_and(|first| item.time_ms - first.time_ms <= SPAN_MS) => {
                batch.push(item);
            }
            _ => batches.push(vec![item]),
        }
    }
    batches
}

/// The pieces of a message that are each short enough, cut between characters.
pub fn pieces(message: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = message;
    while rest.len() > EVENT_BYTES {
        let (piece, after) = rest.split_at(floor(rest, EVENT_BYTES));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// The largest place at or before `at` where text can be cut.
pub fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A name with characters log groups don't take replaced by `_`.
pub fn group_name(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '.' | '#');
    clean(name, allowed)
}

/// A name with characters log streams don't take replaced by `_`.
pub fn stream_name(name: &str) -> String {
    clean(name, |c| !matches!(c, ':' | '*') && !c.is_control())
}

fn clean(name: &str, allowed: impl Fn(char) -> bool) -> String {
    let clean: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).take(NAME_CHARS).collect();
    if clean.is_empty() { "_".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(time_ms: i64, message: &str, offset: u64) -> Item {
        Item { time_ms, message: message.to_owned(), stream: Arc::default(), offset, first: true }
    }

    #[test]
    fn names_are_made_acceptable() {
        assert_eq!(group_name("/a b:ü/x"), "/a_b__/x");
        assert_eq!(stream_name("a:b*c é"), "a_b_c é");
        assert_eq!((group_name(""), stream_name(&"x".repeat(600)).len()), ("_".to_owned(), NAME_CHARS));
    }

    #[test]
    fn a_long_message_is_cut_between_characters_and_nothing_of_it_is_lost() {
        let message = format!("x{}", "é".repeat(EVENT_BYTES));
        let pieces = pieces(&message);
        assert!(pieces.len() == 3 && pieces.iter().all(|piece| piece.len() <= EVENT_BYTES));
        assert_eq!(pieces.concat(), message);
    }

    proptest! {
        #[test]
        fn every_batch_is_within_every_limit_and_nothing_is_lost(
            events in prop::collection::vec((0i64..4 * SPAN_MS, 1usize..300_000), 1..60),
            many in 0usize..2,
        ) {
            let mut pending = Pending::default();
            let mut batches = Vec::new();
            let tiny = (0..many * 25_000).map(|n| (n as i64, 1));
            let all: Vec<(i64, usize)> = events.into_iter().chain(tiny).collect();
            for (offset, (time, size)) in all.iter().enumerate() {
                let closed = pending.push(item(*time, &"x".repeat(*size), offset as u64));
                batches.extend(closed.map(in_order).unwrap_or_default());
            }
            batches.extend(in_order(pending.take()));
            let mut seen: Vec<u64> = Vec::new();
            for batch in &batches {
                let times: Vec<i64> = batch.iter().map(|item| item.time_ms).collect();
                prop_assert!(times.is_sorted());
                prop_assert!(times[times.len() - 1] - times[0] <= SPAN_MS);
                prop_assert!(batch.len() <= BATCH_EVENTS);
                prop_assert!(batch.iter().map(Item::size).sum::<usize>() <= BATCH_BYTES);
                seen.extend(batch.iter().map(|item| item.offset));
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..all.len() as u64).collect::<Vec<_>>());
        }
    }
}
