//! The live input: objects dropped into a watched directory, lines printed into container logs.

use super::Scene;
use super::freshness::Freshness;
use crate::harness::pause;
use crate::loggen::corpus::deliver;
use crate::loggen::cri::{Lines, PodsWriter};
use crate::loggen::vpc_flow::Layout;
use crate::loggen::{Label, Object, Plan, Tally, cloudtrail, vpc_flow};
use anyhow::Result;
use chrono::Utc;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the writers share with the stage.
#[derive(Debug)]
pub struct Written {
    /// CloudTrail objects.
    pub cloudtrail: Tally,
    /// Flow-log objects.
    pub vpc_flow: Tally,
    /// Container logs.
    pub app_log: Tally,
    /// Rotations of container logs.
    pub rotations: u32,
    /// When each line was written and seen.
    pub freshness: Freshness,
}

/// Shared by the writers and the stage.
pub type Shared = Arc<Mutex<Written>>;

/// Changes or reads what is shared.
pub fn with<T>(shared: &Shared, change: impl FnOnce(&mut Written) -> T) -> T {
    change(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The threads that write.
pub type Writers = Vec<JoinHandle<Result<()>>>;

/// Starts the writers; gives what they share and the labels of the planted attacks.
pub fn start(scene: &Scene<'_>, plan: &Plan) -> Result<(Shared, Writers, Vec<Label>)> {
    let (trail, mut labels) = cloudtrail::Objects::new(plan);
    let (flows, network) = vpc_flow::Objects::new(plan, Layout::V5);
    labels.extend(network);
    labels.sort_by_key(|label| label.first);
    let seconds = scene.options.seconds.max(1);
    // Lines carry the time they are written: their plan covers the demo itself.
    let start = Utc::now().timestamp();
    let lines = Lines::new(&Plan { start, end: start + seconds as i64, ..plan.clone() });
    let pods = PodsWriter::create(&scene.workspace.pods, lines.containers())?;
    let shared = Arc::new(Mutex::new(Written {
        cloudtrail: Tally::default(),
        vpc_flow: Tally::default(),
        app_log: Tally::default(),
        rotations: 0,
        freshness: Freshness::new(lines.containers().len()),
    }));
    let (pace, covered) = (Duration::from_secs(seconds), plan.seconds());
    let incoming = scene.workspace.incoming.clone();
    // Two files per interval and account on average; the pace adapts to the time that is left.
    let dropper = {
        let (shared, incoming) = (shared.clone(), incoming);
        std::thread::spawn(move || drop_objects(trail, flows, &incoming, (pace, covered), &shared))
    };
    let printer = {
        let shared = shared.clone();
        std::thread::spawn(move || print_lines(lines, pods, &shared))
    };
    Ok((shared, vec![dropper, printer], labels))
}

/// Puts objects into the watched directory, evenly over `pace`; they cover `seconds`.
fn drop_objects(
    trail: cloudtrail::Objects,
    flows: vpc_flow::Objects,
    incoming: &Path,
    (pace, seconds): (Duration, i64),
    shared: &Shared,
) -> Result<()> {
    let started = Instant::now();
    let put = |object: std::io::Result<Object>, share: f64, flow: bool| -> Result<()> {
        let object = object?;
        let due = pace.mul_f64(share.min(1.0));
        if let Some(rest) = due.checked_sub(started.elapsed()) {
            pause(rest);
        }
        deliver(incoming, &object.key, &object.bytes)?;
        with(
            shared,
            |written| if flow { written.vpc_flow.add(&object) } else { written.cloudtrail.add(&object) },
        );
        Ok(())
    };
    let intervals = (seconds / vpc_flow::DELIVERY) as f64;
    let mut flows = flows.enumerate().peekable();
    // Ten objects in an interval: five accounts, two Regions.
    for (number, object) in trail.enumerate() {
        let share = number as f64 / 10.0 / intervals;
        put(object, share, false)?;
        while flows.peek().is_some_and(|(interval, _)| *interval as f64 / intervals <= share) {
            if let Some((_, object)) = flows.next() {
                put(object, share, true)?;
            }
        }
    }
    for (interval, object) in flows {
        put(object, interval as f64 / intervals, true)?;
    }
    Ok(())
}

/// Prints container lines when they are due, stamped with the clock, and rotates on the way.
fn print_lines(lines: Lines, mut pods: PodsWriter, shared: &Shared) -> Result<()> {
    const TICK: Duration = Duration::from_millis(20);
    let clock = || Utc::now().timestamp_nanos_opt().unwrap_or_default();
    let containers = lines.containers().len();
    let mut lines = lines.peekable();
    let (mut number, mut last) = (0u64, 0i64);
    let rotate_every = 7_000;
    while lines.peek().is_some() {
        let mut batch = Vec::new();
        let now = clock();
        while let Some(mut line) = lines.next_if(|line| line.nanosecond <= now) {
            // Within a tick the clock may stand still; stamps of a container must not repeat.
            last = last.max(now).max(last + 1_000);
            line.nanosecond = last;
            pods.write(&line)?;
            batch.push((line.container, line.nanosecond));
            number += 1;
            if number.is_multiple_of(rotate_every) {
                let container = (number / rotate_every) as usize % containers;
                pods.rotate(container, now / 1_000_000_000)?;
                with(shared, |written| written.rotations += 1);
            }
        }
        pods.flush()?;
        with(shared, |written| {
            written.app_log.records += batch.len() as u64;
            written.app_log.stored_bytes = pods.bytes();
            written.app_log.inflated_bytes = pods.bytes();
            written.app_log.objects = containers as u64;
            for (container, nanosecond) in batch {
                written.freshness.wrote(container, nanosecond);
            }
        });
        pause(TICK);
    }
    Ok(())
}
