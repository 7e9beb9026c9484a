//! A temporary folder with the programs, a lake and a generated corpus.

use logq_tests::harness::{Lake, Programs, Report, once};
use logq_tests::loggen::corpus::{self, Manifest};
use logq_tests::loggen::vpc_flow::Layout;
use logq_tests::loggen::{Architecture, Plan};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// 2026-11-22T10:00:00Z: tests do not depend on the clock.
pub const END: i64 = 1_795_341_600;

pub struct Stage {
    pub programs: Programs,
    pub folder: TempDir,
    pub lake: Lake,
}

impl Stage {
    pub fn new() -> Self {
        let programs = Programs::locate().unwrap_or_else(|missing| panic!("{missing}"));
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::new(&programs, folder.path().join("lake").display().to_string());
        Self { programs, folder, lake }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes paths into the stage's lake.
    pub fn once<P: AsRef<Path>>(&self, inputs: &[P]) -> Report {
        let inputs = inputs.iter().map(|path| path.as_ref().as_os_str().to_owned());
        once(&self.programs, self.lake.location(), inputs, &[]).unwrap()
    }

    pub fn count(&self, table: &str) -> u64 {
        self.lake.count(table).unwrap()
    }

    /// Rows of `table` whose `event_uid` occurs before.
    pub fn repeated(&self, table: &str) -> u64 {
        self.lake.number(&format!("select count(*) - count(distinct event_uid) as n from {table}")).unwrap()
    }

    /// Writes a corpus into `corpus/`.
    pub fn corpus(&self, plan: &Plan, layout: Layout) -> (PathBuf, Manifest) {
        let root = self.path("corpus");
        let manifest = corpus::write(plan, layout, &root).unwrap();
        (root, manifest)
    }
}

/// A small plan of four hours.
pub fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        start: END - 4 * 3_600,
        end: END,
        cloudtrail: 1_500,
        flows: 5_000,
        lines: 0,
        architecture: Architecture::A,
        attacks: 1.0,
    }
}
