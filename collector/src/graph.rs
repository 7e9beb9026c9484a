//! The graph of a configuration: which transforms a source's records go through, and which lanes
//! they end in.
//!
//! A lane is a set of inputs that at least one sink takes. Sinks with the same inputs share a lane,
//! so that their records are rendered, compressed and stored once.

use crate::batch::{Batch, Record};
use crate::config::Config;
use crate::metrics::{ComponentKind, Metrics};
use crate::tap::Taps;
use crate::transforms::{Counts, Transform};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// A lane: records that went the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// Its inputs in order, joined with `,`: the same in every run of the same configuration.
    pub id: String,
    /// Names of the sinks that take it.
    pub sinks: Vec<String>,
}

/// All lanes of a configuration, in the order of their ids.
pub fn lanes(config: &Config) -> Vec<Lane> {
    let mut lanes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, sink) in &config.sinks {
        lanes.entry(lane_id(&sink.inputs)).or_default().push(name.clone());
    }
    lanes.into_iter().map(|(id, sinks)| Lane { id, sinks }).collect()
}

fn lane_id(inputs: &[String]) -> String {
    let sorted: BTreeSet<&str> = inputs.iter().map(String::as_str).collect();
    sorted.into_iter().collect::<Vec<_>>().join(",")
}

/// Transforms in an order in which each comes after its inputs.
///
/// # Errors
/// The name of a transform that leads back to itself.
pub fn order(config: &Config) -> Result<Vec<String>, String> {
    let mut done: BTreeSet<&str> = config.sources.keys().map(String::as_str).collect();
    let mut left: BTreeMap<&str, &[String]> =
        config.transforms.iter().map(|(name, t)| (name.as_str(), t.inputs.as_slice())).collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let ready = left.iter().find(|(_, inputs)| inputs.iter().all(|input| done.contains(input.as_str())));
        let Some((&name, _)) = ready else {
            return Err(left.keys().next().map(|name| (*name).to_owned()).unwrap_or_default());
        };
        left.remove(name);
        done.insert(name);
        order.push(name.to_owned());
    }
    Ok(order)
}

#[derive(Debug)]
struct Node {
    name: String,
    inputs: Vec<usize>,
    work: Mutex<Box<dyn Transform>>,
}

/// The transforms of a configuration, shared by all its sources.
#[derive(Debug)]
pub struct Graph {
    /// Sources first, then transforms in order.
    names: Vec<String>,
    sources: usize,
    nodes: Vec<Node>,
    lanes: Vec<Vec<usize>>,
    metrics: Arc<Metrics>,
    taps: Arc<Taps>,
}

impl Graph {
    /// Builds the transforms of a checked configuration.
    ///
    /// # Errors
    /// Name of the transform and what is wrong with it.
    pub fn build(config: &Config, metrics: Arc<Metrics>) -> Result<Arc<Self>, (String, String)> {
        let mut names: Vec<String> = config.sources.keys().cloned().collect();
        let sources = names.len();
        names.extend(order(config).map_err(|name| (name, "leads back to itself".to_owned()))?);
        let number = |input: &String| names.iter().position(|name| name == input);
        let mut nodes = Vec::new();
        for name in &names[sources..] {
            let Some(transform) = config.transforms.get(name) else { continue };
            let work = transform.settings.build(name).map_err(|message| (name.clone(), message))?;
            let inputs = transform.inputs.iter().filter_map(number).collect();
            nodes.push(Node { name: name.clone(), inputs, work: Mutex::new(work) });
        }
        let lanes = lanes(config);
        let inputs = |lane: &Lane| lane.id.split(',').filter_map(|id| number(&id.to_owned())).collect();
        let lanes = lanes.iter().map(inputs).collect();
        let taps = Arc::new(Taps::new(names.clone()));
        Ok(Arc::new(Self { names, sources, nodes, lanes, metrics, taps }))
    }

    /// Where records can be looked at.
    pub fn taps(&self) -> &Arc<Taps> {
        &self.taps
    }

    /// Where the records of a source enter. A name that is no source leads nowhere.
    pub fn entrance(self: &Arc<Self>, source: &str) -> Entrance {
        let at = self.names[..self.sources].iter().position(|name| name == source);
        Entrance { graph: self.clone(), at: at.unwrap_or(usize::MAX) }
    }
}

/// Where the records of one source enter the graph.
#[derive(Debug, Clone)]
pub struct Entrance {
    graph: Arc<Graph>,
    at: usize,
}

impl Entrance {
    /// Sends the records of a batch through all transforms behind the source, into `batch.lanes`.
    pub fn pass(&self, batch: &mut Batch) {
        self.graph.walk(self.at, batch, |_, _, _| {});
    }
}

impl Graph {
    /// Sends records into a component (what a source gives, or what a transform takes) and shows
    /// `seen` what each transform made of them.
    ///
    /// # Errors
    /// When there is no source or transform of that name.
    pub fn observe(
        &self,
        at: &str,
        batch: &mut Batch,
        mut seen: impl FnMut(&str, &Batch, &[Record]),
    ) -> Result<(), String> {
        let at = self.names.iter().position(|name| name == at);
        let at = at.ok_or_else(|| "is no source or transform".to_owned())?;
        self.walk(at, batch, |name, batch, records| seen(name, batch, records));
        Ok(())
    }

    fn walk(&self, at: usize, batch: &mut Batch, mut seen: impl FnMut(&str, &Batch, &[Record])) {
        let graph = self;
        batch.lanes.resize_with(graph.lanes.len(), Vec::new);
        let mut outputs: Vec<Option<Vec<Record>>> = Vec::new();
        outputs.resize_with(graph.names.len(), || None);
        if at < graph.sources {
            let (name, records) = (&graph.names[at], std::mem::take(&mut batch.records));
            let count = records.len() as u64;
            graph.metrics.component_received(ComponentKind::Source, name, count, batch.raw_bytes);
            graph.metrics.component_sent(ComponentKind::Source, name, count, 0);
            graph.taps.offer(name, batch, &records);
            outputs[at] = Some(records);
        }
        for (number, node) in graph.nodes.iter().enumerate() {
            let entered = (at == graph.sources + number).then(|| std::mem::take(&mut batch.records));
            let gathered = entered.or_else(|| gather(graph, &mut outputs, &node.inputs, number));
            let Some(mut records) = gathered else { continue };
            let mut counts = Counts::default();
            let before = records.len() as u64;
            node.work.lock().unwrap_or_else(PoisonError::into_inner).apply(batch, &mut records, &mut counts);
            graph.metrics.transformed(&node.name, before, &counts);
            graph.metrics.component_received(ComponentKind::Transform, &node.name, before, 0);
            graph.metrics.component_sent(ComponentKind::Transform, &node.name, records.len() as u64, 0);
            graph.taps.offer(&node.name, batch, &records);
            seen(&node.name, batch, &records);
            outputs[graph.sources + number] = Some(records);
        }
        for (number, inputs) in graph.lanes.iter().enumerate() {
            if let Some(records) = gather(graph, &mut outputs, inputs, graph.nodes.len() + number) {
                batch.lanes[number] = records;
            }
        }
    }
}

/// The records of several outputs, moved where nobody after `consumer` needs them.
fn gather(
    graph: &Graph,
    outputs: &mut [Option<Vec<Record>>],
    inputs: &[usize],
    consumer: usize,
) -> Option<Vec<Record>> {
    let mut gathered: Option<Vec<Record>> = None;
    for &input in inputs {
        let later = graph.nodes.iter().map(|node| &node.inputs).chain(&graph.lanes).skip(consumer + 1);
        let needed = later.into_iter().any(|inputs| inputs.contains(&input));
        let records = if needed { outputs[input].clone() } else { outputs[input].take() };
        match (&mut gathered, records) {
            (Some(gathered), Some(mut records)) => gathered.append(&mut records),
            (None, Some(records)) => gathered = Some(records),
            (_, None) => {}
        }
    }
    gathered
}
