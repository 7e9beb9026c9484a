//! `./dev demo`: the whole pipeline on a live input with planted attacks, or on a folder of one's
//! own logs.
//!
//! Live: container logs are written line by line into a pods directory (and rotated), CloudTrail
//! objects and flow logs are dropped into a directory as S3 would deliver them. The real collector
//! and the real processor run beside it as processes. When every row can be queried, three
//! analyst's queries and the detections run, and a summary compares what was planted with what was
//! found and what was written with what arrived.
//!
//! With a folder: pods directories go through the collector, everything else to the processor.
//!
//! Promises: only a folder it made itself is ever deleted; no process outlives it; it fails when
//! the counts do not reconcile. `--chaos` kills both programs with SIGKILL on the way, and the
//! counts must still be the same.

mod findings;
mod freshness;
mod input;
mod live;
mod pipeline;
mod questions;
mod screen;
mod workspace;
mod writers;

use crate::harness::{Lake, Program, Programs, repository};
use anyhow::{Context, Result, bail};
use clap::Parser;
use screen::Screen;
use std::path::PathBuf;
use std::time::Instant;
use workspace::Workspace;

/// Shows the pipeline at work: real logs in, flagged traffic out.
#[derive(Debug, Clone, Parser)]
#[command(name = "demo", version)]
pub struct Options {
    /// Take in this folder of your own logs (CloudTrail, flow logs, pods) instead of generated ones.
    #[arg(long, value_name = "DIR")]
    pub input: Option<PathBuf>,
    /// Where the lake goes; must be new, empty or made by the demo. Default: .demo/lake
    #[arg(long, value_name = "DIR")]
    pub lake: Option<PathBuf>,
    /// Kill collector and processor with SIGKILL at random moments, and start them again.
    #[arg(long, conflicts_with = "input")]
    pub chaos: bool,
    /// Seed of the generated logs and of the chaos.
    #[arg(long, default_value_t = 20_261_122)]
    pub seed: u64,
    /// CloudTrail events to generate.
    #[arg(long, default_value_t = 20_000)]
    pub cloudtrail: u64,
    /// Flow records to generate.
    #[arg(long, default_value_t = 100_000)]
    pub flows: u64,
    /// Container log lines to generate.
    #[arg(long, default_value_t = 30_000)]
    pub lines: u64,
    /// Seconds over which the live input arrives.
    #[arg(long, default_value_t = 12)]
    pub seconds: u64,
    /// Network intent for the detections. Default: the shipped example for the demo's own network, none
    /// with `--input`.
    #[arg(long, value_name = "FILE")]
    pub intent: Option<PathBuf>,
}

/// Runs the demo; false when counts do not reconcile.
///
/// # Errors
/// When something needed is missing, unreadable or fails.
pub fn run(options: &Options) -> Result<bool> {
    let started = Instant::now();
    let tool = std::env::current_exe().context("cannot find the demo's own program")?;
    let programs = Programs::locate()?.guarded_by(tool);
    if let Some(folder) = &options.input {
        std::fs::read_dir(folder)
            .with_context(|| format!("cannot read {}: name a folder that holds logs", folder.display()))?;
    }
    let workspace = Workspace::create(&repository().join(".demo"), options.lake.as_deref())?;
    let lake = Lake::new(&programs, workspace.lake.display().to_string());
    let mut screen = Screen::new();
    let mut scene =
        Scene { options, programs: &programs, workspace: &workspace, lake: &lake, screen: &mut screen };
    let ok = match &options.input {
        Some(folder) => input::run(&mut scene, folder)?,
        None => live::run(&mut scene)?,
    };
    scene.closing(started);
    Ok(ok)
}

/// What every part of the demo works with.
struct Scene<'a> {
    options: &'a Options,
    programs: &'a Programs,
    workspace: &'a Workspace,
    lake: &'a Lake,
    screen: &'a mut Screen,
}

impl Scene<'_> {
    /// The declared network: the demo's own, or what the user names for logs of their own.
    fn intent(&self) -> Result<Option<PathBuf>> {
        let shipped = || repository().join("query/detections/intent.example.toml");
        let own_network = self.options.input.is_none();
        let Some(intent) = self.options.intent.clone().or_else(|| own_network.then(shipped)) else {
            return Ok(None);
        };
        if !intent.is_file() {
            bail!("no network intent at {}: name one with --intent", intent.display());
        }
        Ok(Some(intent))
    }

    fn closing(&mut self, started: Instant) {
        let logq = self.programs.path(Program::Logq);
        let shown = |path: &std::path::Path| match std::env::current_dir() {
            Ok(here) => path.strip_prefix(&here).unwrap_or(path).display().to_string(),
            Err(_) => path.display().to_string(),
        };
        let lake = shown(&self.workspace.lake);
        self.screen.heading("Yours to query");
        let logq = shown(&logq);
        self.screen.command(&format!("{logq} --lake {lake} tables"));
        self.screen.command(&format!(
            "{logq} --lake {lake} \"select event_time, actor, action, outcome from events order by event_time desc limit 20\""
        ));
        self.screen.command(&format!("{logq} --lake {lake} detect --min-severity high"));
        self.screen.line(&format!("Done in {:.0} s.", started.elapsed().as_secs_f64()));
    }
}
