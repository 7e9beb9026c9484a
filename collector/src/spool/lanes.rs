//! Which records of a segment are for which sink.

use super::Sealed;
use crate::config::Buffer;
use crate::graph::Lane;
use crate::segment::Section;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The records of one lane in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// Identity of the lane.
    pub lane: String,
    /// Names of the sinks that take it.
    pub sinks: Vec<String>,
    /// Records.
    pub records: u64,
}

/// Adds the records of a section to the portions of its segment.
pub fn count(portions: &mut Vec<Portion>, section: &Section) {
    let same = |portion: &&mut Portion| (&portion.lane, &portion.sinks) == (&section.lane, &section.sinks);
    let records = u64::from(section.records);
    match portions.iter_mut().find(same) {
        Some(portion) => portion.records += records,
        None => portions.push(Portion { lane: section.lane.clone(), sinks: section.sinks.clone(), records }),
    }
}

/// A sink as the spool knows it.
#[derive(Debug, Clone, Default)]
pub struct SinkSpec {
    /// Its name.
    pub name: String,
    /// Identity of the lane it takes.
    pub lane: String,
    /// How far it may fall behind.
    pub buffer: Buffer,
}

/// Tells which sections of a segment are for one sink.
#[derive(Debug, Clone)]
pub struct Taker {
    /// Name of the sink.
    pub sink: String,
    /// Identity of its lane.
    pub lane: String,
    /// The sink was not configured when segments up to this number were written. It takes what
    /// they hold for sinks that are no longer configured, so that a renamed sink loses nothing.
    adopts: u64,
    configured: Arc<BTreeSet<String>>,
}

impl Taker {
    /// Whether a section of segment `id` is for this sink.
    pub fn takes(&self, section: &Section, id: u64) -> bool {
        self.takes_from(&section.sinks, id)
    }

    /// Whether records that were stored for `sinks` in segment `id` are for this sink.
    pub fn takes_from(&self, sinks: &[String], id: u64) -> bool {
        sinks.contains(&self.sink)
            || (id <= self.adopts && !sinks.iter().any(|sink| self.configured.contains(sink)))
    }
}

/// Records a segment holds for a sink.
pub fn portion_of(sealed: &Sealed, taker: &Taker) -> u64 {
    let ours = sealed.portions.iter().filter(|portion| taker.takes_from(&portion.sinks, sealed.id));
    ours.map(|portion| portion.records).sum()
}

/// The sinks of all lanes by name, in the order of their names: the order of the configuration.
pub fn specs(lanes: &[Lane], buffers: &BTreeMap<String, Buffer>) -> Vec<SinkSpec> {
    let spec = |lane: &Lane, name: &String| {
        let buffer = buffers.get(name).copied().unwrap_or_default();
        (name.clone(), SinkSpec { name: name.clone(), lane: lane.id.clone(), buffer })
    };
    let all = lanes.iter().flat_map(|lane| lane.sinks.iter().map(move |name| spec(lane, name)));
    all.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// What each sink takes; `known` are the sinks of the last run, `last` is its last segment.
pub fn takers(sinks: &[SinkSpec], known: &BTreeMap<String, u64>, last: u64) -> Vec<Taker> {
    let configured: Arc<BTreeSet<String>> = Arc::new(sinks.iter().map(|sink| sink.name.clone()).collect());
    let taker = |sink: &SinkSpec| Taker {
        sink: sink.name.clone(),
        lane: sink.lane.clone(),
        adopts: if known.contains_key(&sink.name) { 0 } else { last },
        configured: configured.clone(),
    };
    sinks.iter().map(taker).collect()
}
