//! Batches for the tests of transforms.

use crate::batch::{Batch, Cut, Encoding, Record, Span};
use crate::position::Fingerprint;
use crate::stream::{Hints, Meta, Owner, Stdio, Stream};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;

/// Settings from the text of their table.
pub fn settings<S: DeserializeOwned>(toml: &str) -> S {
    toml::from_str(toml).unwrap()
}

/// A batch with one record a line, of one container `shop/api/app`.
pub fn lines(lines: &[&str]) -> Batch {
    let mut batch = Batch::default();
    lines.iter().for_each(|line| push(&mut batch, line.as_bytes()));
    batch
}

/// As [`lines`], of a pod that asks for a parser.
pub fn hinted(texts: &[&str], parser: &str) -> Batch {
    let mut batch = lines(texts);
    let hints = Hints { parser: Some(parser.to_owned()), ..Hints::default() };
    batch.streams = vec![Arc::new(stream(hints))];
    batch
}

fn stream(hints: Hints) -> Stream {
    let owner = Owner::parse("shop_api_u1", "app", "0.log").unwrap();
    let meta = Meta { hints, ..Meta::default() };
    Stream::of_file(Fingerprint(1), &owner, Stdio::Stdout, Path::new("0.log"), &meta)
}

/// Adds a record.
pub fn push(batch: &mut Batch, body: &[u8]) {
    if batch.streams.is_empty() {
        batch.streams.push(Arc::new(stream(Hints::default())));
    }
    let (time, body) = (batch.push(b"2026-11-24T10:00:00Z"), batch.push(body));
    batch.records.push(Record {
        stream: 0,
        encoding: Encoding::Unchecked,
        cut: Cut::No,
        offset: batch.records.len() as u64,
        time,
        body,
        extra: Span::default(),
    });
}

/// The bodies of records.
pub fn bodies(batch: &Batch, records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(batch.bytes(record.body)).into_owned()).collect()
}
