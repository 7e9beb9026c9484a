//! The command line.

mod escape;
mod import;
mod spool;
mod tap;
mod test;
mod top;

use crate::config::Config;
use crate::topology;
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Everything was done.
pub const EXIT_OK: u8 = 0;
/// Something failed while running; the log says what.
pub const EXIT_FAILED: u8 = 1;
/// The command line is wrong.
pub const EXIT_USAGE: u8 = 2;
/// The configuration is wrong: nothing was started.
pub const EXIT_CONFIG: u8 = 3;
/// The data directory is in use by another collector.
pub const EXIT_LOCKED: u8 = 4;
/// Tests of the configuration failed.
pub const EXIT_TESTS: u8 = 5;

const AFTER_HELP: &str = "\
Exit codes:
  0  done: stopped by a signal, idle, or configuration valid
  1  failed while running
  2  wrong command line
  3  wrong configuration
  4  data_dir is in use by another collector
  5  tests of the configuration failed

Environment:
  ${NAME} and ${NAME:-default} are replaced in configuration values.
  NODE_NAME, HOSTNAME  default of `node`
  LOGQ_LOG             log filter, e.g. debug or logq_collector=trace (default info)
  LOGQ_LOG_FORMAT      text (default) or json
  NO_COLOR             no colours";

/// Ships the logs of a node: tail, parse, redact, spool on disk, deliver to S3, CloudWatch Logs and directories.
///
/// Every complete line reaches every sink at least once, through crashes, log rotation, full disks
/// and sink outages. SIGTERM and SIGINT drain: intake stops, what was read is delivered within
/// shutdown_timeout, and the rest stays in the spool for the next start.
#[derive(Debug, Parser)]
#[command(name = "logq-collector", version, after_help = AFTER_HELP, after_long_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Collect until told to stop. SIGHUP reads the configuration again.
    Run {
        /// Configuration file (TOML).
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
        /// Read what is there, deliver it, and exit once nothing new came for this long.
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        until_idle: Option<Duration>,
    },
    /// Check a configuration file and print the effective configuration as TOML.
    Validate {
        /// Configuration file (TOML).
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
    },
    /// Run the tests of a configuration ([[tests]]): records put in, and what must come out.
    ///
    /// The transforms run as they would on a node; nothing is read, sent or written. Each test names
    /// inputs (insert_at, value or log_fields, namespace, pod, container, labels, ...), outputs
    /// (extract_from a transform or sink; count; conditions on fields: equals, contains, matches,
    /// absent, or a VRL source) and no_outputs_from. What was expected and what came is printed.
    Test {
        /// Configuration file (TOML). It must be valid, or no test runs.
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
        /// Further tests, in files that hold nothing but [[tests]].
        #[arg(long, value_name = "FILE")]
        tests: Vec<PathBuf>,
    },
    /// Translate the configuration of another collector into TOML.
    #[command(subcommand)]
    Import(Foreign),
    /// Look into the spool: segments, records waiting for each sink, damage. Changes nothing.
    Spool {
        /// Configuration file (TOML).
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Also write everything in the spool as landing objects below this directory.
        #[arg(long, value_name = "DIR")]
        export: Option<PathBuf>,
    },
    /// Show records of a running collector as they leave a source or transform.
    ///
    /// For the user the collector runs as, on its node: `kubectl exec POD -- logq-collector tap
    /// --config F`. A source before `redact` shows what is not redacted yet. Records go to standard
    /// output, notices to standard error; looking never slows the collector, what it does not show
    /// is counted.
    Tap(tap::TapArgs),
    /// Show what each component of a running collector does: rates, errors, backlog, memory.
    Top(top::TopArgs),
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Foreign {
    /// A Fluent Bit configuration, classic or YAML, with all it includes.
    ///
    /// What has no counterpart is named with its line and advice, on stderr and as comments in the
    /// result. The result is checked as `validate` would; the exit code is 3 when it is not valid.
    FluentBit {
        /// Main configuration file; .yaml and .yml are read as YAML.
        file: PathBuf,
        /// Further files with [PARSER] sections.
        #[arg(long, value_name = "FILE")]
        parsers: Vec<PathBuf>,
        /// Write the configuration here instead of to standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Runs the program; everything `main` does.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe while printing help is not worth a message.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { EXIT_OK });
        }
    };
    ExitCode::from(match cli.command {
        Command::Validate { config } => load(&config).map_or_else(|code| code, |config| print(&config)),
        Command::Import(Foreign::FluentBit { file, parsers, output }) => {
            import::fluent_bit(&file, &parsers, output.as_deref())
        }
        Command::Test { config, tests } => {
            load(&config).map_or_else(|code| code, |loaded| test::run(&config, loaded, &tests))
        }
        Command::Spool { config, json, export } => {
            load(&config).map_or_else(|code| code, |config| spool::show(&config, json, export.as_deref()))
        }
        Command::Tap(args) => {
            found(args.config()).map_or_else(|code| code, |config| tap::show(args, config.as_ref()))
        }
        Command::Top(args) => {
            found(args.config()).map_or_else(|code| code, |config| top::show(&args, config.as_ref()))
        }
        Command::Run { config, until_idle } => {
            init_log();
            load(&config).map_or_else(|code| code, |loaded| run(&config, loaded, until_idle))
        }
    })
}

fn load(path: &Path) -> Result<Config, u8> {
    Config::load(path, &|name| std::env::var(name).ok()).map_err(|error| {
        report(&anyhow::Error::new(error));
        EXIT_CONFIG
    })
}

/// A configuration that only says where a running collector is.
fn found(path: Option<&Path>) -> Result<Option<Config>, u8> {
    path.map(load).transpose()
}

fn print(config: &Config) -> u8 {
    say(&config.to_toml()).code()
}

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// It was taken.
    Written,
    /// Nobody reads any more, which is not a failure.
    Closed,
    /// It could not be written; standard error says why.
    Failed,
}

impl Said {
    fn code(self) -> u8 {
        if self == Self::Failed { EXIT_FAILED } else { EXIT_OK }
    }
}

/// Writes a result to standard output.
fn say(text: &str) -> Said {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Said::Written,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Said::Closed,
        Err(error) => {
            report(&anyhow::Error::new(error).context("writing to standard output"));
            Said::Failed
        }
    }
}

fn run(path: &Path, config: Config, until_idle: Option<Duration>) -> u8 {
    let reload = || Config::load(path, &|name| std::env::var(name).ok());
    // Two workers serve sinks and the admin page; reading and compressing have their own threads.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime
        .context("starting the runtime")
        .and_then(|runtime| Ok(runtime.block_on(topology::run(config, until_idle, reload))?));
    match result {
        Ok(()) => EXIT_OK,
        Err(error) => {
            let locked =
                error.downcast_ref::<topology::RunError>().is_some_and(topology::RunError::is_locked);
            report(&error);
            if locked { EXIT_LOCKED } else { EXIT_FAILED }
        }
    }
}

fn report(error: &anyhow::Error) {
    let message = format!("logq-collector: {error:#}\n");
    // Nothing to fall back on when stderr is closed.
    drop(std::io::stderr().write_all(message.as_bytes()));
}

fn init_log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("LOGQ_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::env::var("LOGQ_LOG_FORMAT").is_ok_and(|format| format == "json") {
        log.json().init();
    } else {
        log.with_ansi(colour).init();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent_and_names_its_exit_codes() {
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        for code in [EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_CONFIG, EXIT_LOCKED, EXIT_TESTS] {
            assert!(help.contains(&format!("\n  {code}  ")), "{help}");
        }
    }
}
