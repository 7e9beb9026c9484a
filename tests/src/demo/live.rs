//! The live demo: input arrives while both programs run.

use super::freshness::{LOOK, look_row};
use super::pipeline::Pipeline;
use super::screen::{Tone, grouped, size};
use super::writers::{self, Shared, Writers, Written, with};
use super::{Scene, findings, questions};
use crate::harness::{bytes_below, pause};
use crate::loggen::{Architecture, Plan, Random};
use anyhow::{Context, Result};
use chrono::Utc;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Hours of CloudTrail and flow logs that arrive during the demo.
const HOURS: i64 = 6;
/// How long the last rows may take after the last byte was written.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the lake is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(400);
const TABLES: [&str; 3] = ["cloudtrail", "vpc_flow", "app_log"];

/// Runs it; false when counts do not reconcile.
pub fn run(scene: &mut Scene<'_>) -> Result<bool> {
    let now = Utc::now().timestamp();
    let options = scene.options;
    let plan = Plan {
        seed: options.seed,
        start: now - HOURS * 3_600,
        end: now,
        cloudtrail: options.cloudtrail,
        flows: options.flows,
        lines: options.lines,
        architecture: Architecture::A,
        attacks: 1.0,
    };
    introduce(scene, &plan);
    let started = Instant::now();
    let (shared, writers, labels) = writers::start(scene, &plan)?;
    let pipeline = Pipeline::start(scene.programs, scene.workspace)?;
    let outcome = follow(scene, pipeline, &shared, writers, started)?;
    let written = Arc::into_inner(shared).context("a writer still runs")?;
    let written = written.into_inner().unwrap_or_else(PoisonError::into_inner);
    let rows = scene.lake.counts(&TABLES)?;
    let found: Vec<(&str, u64)> = TABLES.into_iter().zip(rows).collect();
    questions::ask(scene, &found)?;
    let detected = findings::detect(scene)?;
    findings::show(scene, &detected);
    findings::compare(scene, &detected, &labels);
    Ok(summary(scene, &written, &found, &outcome)? && detected.complete)
}

fn introduce(scene: &mut Scene<'_>, plan: &Plan) {
    scene.screen.heading("logq demo: real programs, live input, planted attacks");
    scene.screen.line(&format!(
        "Over {} s arrive {} CloudTrail events and {} flow records of the last {HOURS} hours,",
        scene.options.seconds,
        grouped(plan.cloudtrail),
        grouped(plan.flows)
    ));
    scene.screen.line(&format!(
        "and {} lines written to container logs as you watch.{}",
        grouped(plan.lines),
        if scene.options.chaos { " Both programs are killed on the way." } else { "" }
    ));
}

/// How the run went.
struct Outcome {
    /// Until everything was written.
    arrived: Duration,
    /// Until everything could be queried.
    queryable: Duration,
    kills: u32,
}

/// Looks at the lake until everything written is there.
fn follow(
    scene: &mut Scene<'_>,
    mut pipeline: Pipeline<'_>,
    shared: &Shared,
    writers: Writers,
    started: Instant,
) -> Result<Outcome> {
    let names: Vec<(String, String)> =
        crate::loggen::cri::containers(scene.options.seed).into_iter().map(|c| (c.pod, c.name)).collect();
    let mut kills = moments(scene);
    let mut arrived = None;
    loop {
        while kills.last().is_some_and(|(at, _)| started.elapsed() >= *at) {
            if let Some((_, collector)) = kills.pop() {
                pipeline.kill(collector)?;
            }
        }
        pipeline.check()?;
        let finished = writers.iter().all(JoinHandle::is_finished);
        if finished && arrived.is_none() {
            arrived = Some(started.elapsed());
        }
        let seen = look(scene, shared, &names)?;
        let written = with(shared, |w| [w.cloudtrail.rows(), w.vpc_flow.rows(), w.app_log.rows()]);
        scene.screen.progress(&format!(
            "{:>3.0} s  queryable: {} of {} events, {} of {} flows, {} of {} lines",
            started.elapsed().as_secs_f64(),
            grouped(seen[0]),
            grouped(written[0]),
            grouped(seen[1]),
            grouped(written[1]),
            grouped(seen[2]),
            grouped(written[2])
        ));
        let complete = finished && seen.iter().zip(written).all(|(seen, written)| *seen >= written);
        let late = arrived.is_some_and(|arrived| started.elapsed() > arrived + PATIENCE);
        if complete && kills.is_empty() || late {
            break;
        }
        pause(LOOK_EVERY);
    }
    for writer in writers {
        writer.join().map_err(|_| anyhow::anyhow!("a writer of the live input failed"))??;
    }
    let queryable = started.elapsed();
    let kills = pipeline.kills;
    pipeline.stop()?;
    Ok(Outcome { arrived: arrived.unwrap_or(queryable), queryable, kills })
}

/// When to kill what: random, from the seed, latest first.
fn moments(scene: &Scene<'_>) -> Vec<(Duration, bool)> {
    if !scene.options.chaos {
        return Vec::new();
    }
    let mut random = Random::new(scene.options.seed, "chaos");
    let until = scene.options.seconds * 1_000;
    let mut moments: Vec<(Duration, bool)> =
        (0..6).map(|n| (Duration::from_millis(random.between(500, until)), n % 2 == 0)).collect();
    moments.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    moments
}

/// One look at the lake: rows by table; notes which lines have become visible.
fn look(scene: &Scene<'_>, shared: &Shared, names: &[(String, String)]) -> Result<[u64; 3]> {
    let rows = scene.lake.rows(LOOK)?;
    let now = Utc::now().timestamp_nanos_opt().unwrap_or_default();
    let mut lines = 0;
    with(shared, |written| {
        for row in &rows {
            let Some((pod, container, count, newest)) = look_row(row) else { continue };
            lines += count;
            if let Some(index) = names.iter().position(|(p, c)| p == pod && c == container) {
                written.freshness.saw(index, newest, now);
            }
        }
    });
    let others = scene.lake.counts(&TABLES[..2])?;
    Ok([others[0], others[1], lines])
}

/// Prints what went in and what came out; false when they differ.
fn summary(
    scene: &mut Scene<'_>,
    written: &Written,
    found: &[(&str, u64)],
    outcome: &Outcome,
) -> Result<bool> {
    let lake = scene.lake;
    let rejected = lake.count("rejected")?;
    let ledger = lake.rows(
        "select sum(records) as records, sum(rows) as rows, sum(rejected) as rejected, sum(duplicates) as duplicates, sum(skipped) as skipped, sum(inflated_bytes) as inflated, count(*) as objects from ingest",
    )?;
    let sum = |name: &str| {
        ledger.first().and_then(|row| row.get(name)).and_then(|v| v.as_u64()).unwrap_or_default()
    };
    let repeated = lake.number(
        "select sum(n - d) as n from (select count(*) as n, count(distinct event_uid) as d from cloudtrail union all select count(*), count(distinct event_uid) from vpc_flow union all select count(*), count(distinct event_uid) from app_log)",
    )?;
    let tallies = [&written.cloudtrail, &written.vpc_flow, &written.app_log];
    let screen = &mut *scene.screen;
    screen.heading("What arrived");
    screen.line(&format!("  {:<12}{:>12}{:>12}{:>12}", "table", "written", "queryable", "bytes in"));
    let mut ok = repeated == 0 && rejected == 0;
    for (tally, (table, rows)) in tallies.iter().zip(found) {
        let same = tally.rows() == *rows;
        ok &= same;
        let verdict =
            if same { screen.paint(Tone::Good, "same") } else { screen.paint(Tone::Bad, "DIFFERENT") };
        screen.line(&format!(
            "  {table:<12}{:>12}{:>12}{:>12}  {verdict}",
            grouped(tally.rows()),
            grouped(*rows),
            size(tally.stored_bytes)
        ));
    }
    let records: u64 = tallies.iter().map(|tally| tally.records).sum();
    // The ledger counts what reached the processor: equal to what was written, minus what the
    // collector may send twice after a kill and the processor then drops.
    let balanced = sum("records") == sum("rows") + sum("rejected") + sum("duplicates") + sum("skipped");
    ok &= balanced && records + sum("duplicates") == sum("records");
    screen.line(&format!(
        "  written {} = rows {} + NODATA {} + rejected {}{}",
        grouped(records),
        grouped(sum("rows")),
        grouped(sum("skipped")),
        grouped(sum("rejected")),
        if sum("duplicates") > 0 {
            format!("  (sent twice, kept once: {})", grouped(sum("duplicates")))
        } else {
            String::new()
        }
    ));
    screen.line(&format!(
        "  {} repeated event ids, {} log rotations, {} kills with SIGKILL",
        grouped(repeated),
        written.rotations,
        outcome.kills
    ));
    let stored: u64 = TABLES.iter().map(|table| bytes_below(&scene.workspace.lake.join(table))).sum();
    let incoming: u64 = tallies.iter().map(|tally| tally.stored_bytes).sum();
    let inflated: u64 = tallies.iter().map(|tally| tally.inflated_bytes).sum();
    let screen = &mut *scene.screen;
    screen.line(&format!(
        "  {} came in ({} inflated), {} stored: {:.0} % of what came in, {:.0} % inflated",
        size(incoming),
        size(inflated),
        size(stored),
        stored as f64 * 100.0 / incoming.max(1) as f64,
        stored as f64 * 100.0 / inflated.max(1) as f64
    ));
    let quantile = |share| written.freshness.quantile(share).map_or("-".to_owned(), |s| format!("{s:.1} s"));
    screen.line(&format!(
        "  line written to row queryable: half within {}, 99 % within {}, all within {}",
        quantile(0.5),
        quantile(0.99),
        quantile(1.0)
    ));
    screen.line(&format!(
        "  input took {:.1} s, everything queryable after {:.1} s",
        outcome.arrived.as_secs_f64(),
        outcome.queryable.as_secs_f64()
    ));
    let verdict = if ok {
        screen.paint(Tone::Good, "  Everything written is there, once.")
    } else {
        screen.paint(Tone::Bad, "  Counts do not reconcile: see above, and the programs' logs in .demo/logs.")
    };
    screen.line(&verdict);
    Ok(ok)
}
