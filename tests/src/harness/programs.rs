//! Where the binaries are.

use std::path::PathBuf;
use std::process::Command;

/// A program of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `logq-collector`
    Collector,
    /// `logq-processor`
    Processor,
    /// `logq`
    Logq,
}

impl Program {
    /// Name of the binary.
    pub fn name(self) -> &'static str {
        match self {
            Program::Collector => "logq-collector",
            Program::Processor => "logq-processor",
            Program::Logq => "logq",
        }
    }
}

/// A binary was not built.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is not in {}: build it with `cargo build --bins` (./dev does), or set LOGQ_BIN_DIR to the folder that holds the programs",
    program.name(),
    folder.display()
)]
pub struct MissingProgram {
    program: Program,
    folder: PathBuf,
}

/// The folder with the binaries.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
    guard: Option<PathBuf>,
}

/// First argument that makes a tool of this crate become the rest of its command line, bound to
/// the life of its parent (see [`super::kill_with_parent`]).
pub const GUARD: &str = "__guard";

impl Programs {
    /// `LOGQ_BIN_DIR`, else the target folder of the running executable.
    ///
    /// # Errors
    /// When one of the programs is not there.
    pub fn locate() -> Result<Self, MissingProgram> {
        Self::locate_these(&[Program::Collector, Program::Processor, Program::Logq])
    }

    /// As [`Programs::locate`], for callers that need some of the programs only.
    ///
    /// # Errors
    /// When one of `needed` is not there.
    pub fn locate_these(needed: &[Program]) -> Result<Self, MissingProgram> {
        let folder = match std::env::var_os("LOGQ_BIN_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => {
                let executable = std::env::current_exe().unwrap_or_default();
                let folder = executable.parent().map(PathBuf::from).unwrap_or_default();
                // Test executables lie in `deps` below the folder of the binaries.
                if folder.ends_with("deps") {
                    folder.parent().map(PathBuf::from).unwrap_or(folder)
                } else {
                    folder
                }
            }
        };
        let programs = Self { folder, guard: None };
        for &program in needed {
            if !programs.path(program).is_file() {
                return Err(MissingProgram { program, folder: programs.folder });
            }
        }
        Ok(programs)
    }

    /// Starts every program through `tool`, so that it dies with the thread that started it, however
    /// that ends. `tool` must understand [`GUARD`].
    #[must_use]
    pub fn guarded_by(mut self, tool: PathBuf) -> Self {
        self.guard = Some(tool);
        self
    }

    /// Path of `program`.
    pub fn path(&self, program: Program) -> PathBuf {
        self.folder.join(program.name())
    }

    /// A command for `program`, without the caller's own settings of it.
    pub fn command(&self, program: Program) -> Command {
        let mut command = match &self.guard {
            Some(tool) => {
                let mut command = Command::new(tool);
                command.arg(GUARD).arg(self.path(program));
                command
            }
            None => Command::new(self.path(program)),
        };
        command.env_remove("LOGQ_LAKE").env_remove("RUST_LOG").env_remove("LOGQ_LOG");
        command
    }
}
