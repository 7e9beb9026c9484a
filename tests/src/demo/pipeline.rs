//! The collector and the processor of the demo, and how to kill and start them again.

use super::workspace::Workspace;
use crate::harness::collector::Collector;
use crate::harness::{Daemon, Program, Programs, free_port};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::time::Duration;

/// Programs drain within this.
const DRAIN: Duration = Duration::from_secs(25);

/// The two programs, and how to start them again.
pub struct Pipeline<'a> {
    programs: &'a Programs,
    workspace: &'a Workspace,
    collector: Daemon,
    processor: Daemon,
    /// How often a program was killed.
    pub kills: u32,
}

impl<'a> Pipeline<'a> {
    /// Starts both.
    pub fn start(programs: &'a Programs, workspace: &'a Workspace) -> Result<Self> {
        let work = workspace;
        let collector = Collector {
            admin: Some(free_port()?),
            ..Collector::to_directory(&work.state.join("collector"), &work.pods, &work.collected)
        };
        collector
            .write(&work.state.join("collector.toml"))
            .context("cannot write the collector's configuration")?;
        let (collector, processor) = (Self::collector(programs, work)?, Self::processor(programs, work)?);
        Ok(Self { programs, workspace, collector, processor, kills: 0 })
    }

    fn collector(programs: &Programs, work: &Workspace) -> Result<Daemon> {
        let config = work.state.join("collector.toml");
        let arguments = ["run".into(), "--config".into(), config.into_os_string()];
        Ok(Daemon::start(programs, Program::Collector, arguments, &work.logs.join("collector.log"))?)
    }

    fn processor(programs: &Programs, work: &Workspace) -> Result<Daemon> {
        let path = |path: &Path| path.as_os_str().to_owned();
        let arguments = [
            "run".into(),
            "--lake".into(),
            path(&work.lake),
            "--watch".into(),
            path(&work.incoming),
            "--watch".into(),
            path(&work.collected),
            "--commit-interval".into(),
            "1s".into(),
        ];
        Ok(Daemon::start(programs, Program::Processor, arguments, &work.logs.join("processor.log"))?)
    }

    /// Fails when one of them has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        for daemon in [&mut self.collector, &mut self.processor] {
            if !daemon.is_running() {
                bail!("a program ended unexpectedly; its last words:\n{}", daemon.last_words());
            }
        }
        Ok(())
    }

    /// SIGKILL, and a new start at once.
    pub fn kill(&mut self, collector: bool) -> Result<()> {
        self.kills += 1;
        if collector {
            self.collector.kill();
            self.collector = Self::collector(self.programs, self.workspace)?;
        } else {
            self.processor.kill();
            self.processor = Self::processor(self.programs, self.workspace)?;
        }
        Ok(())
    }

    /// SIGTERM; both drain.
    pub fn stop(mut self) -> Result<()> {
        for (name, daemon) in [("collector", &mut self.collector), ("processor", &mut self.processor)] {
            let status = daemon.stop(DRAIN)?;
            if !status.is_some_and(|status| status.success()) {
                bail!(
                    "the {name} did not drain cleanly ({status:?}); its last words:\n{}",
                    daemon.last_words()
                );
            }
        }
        Ok(())
    }
}
