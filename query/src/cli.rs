//! The command line: what `logq` understands, and the way from arguments to an exit code.
//!
//! Results go to standard output, all else to standard error. A reader that goes away ends the
//! program with success. Progress and colour appear on a terminal only.

pub mod input;
pub mod inspect;
pub mod named;
pub mod profile;
pub mod progress;
pub mod query;
pub mod reference;
pub mod shell;
pub mod stop;
pub mod terminal;

use crate::functions::inventory::{Inventory, Sources};
use crate::named::Library;
use crate::named::parameter::Assignment;
use crate::output::{Format, Layout};
use crate::report::{self, Report};
use crate::session::{Lake, Options, QueryError, Session, TimeRange};
use crate::{config, detect, exit_code};
use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use profile::Profile;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use terminal::Terminal;

const EXAMPLES: &str = "Examples:
  logq tables
  logq schema vpc_flow
  logq --since 24h \"select src_ip, count(*) from vpc_flow where action = 'REJECT' group by 1 order by 2 desc limit 10\"
  logq --since 7d \"select event_time, actor, action, src_ip from events where outcome = 'failure' order by event_time desc limit 50\"
  logq \"select event_name, request_parameters->>'bucketName' from cloudtrail where event_time > ago('6h')\"
  logq --format csv --output denied.csv \"select * from cloudtrail where error_code = 'AccessDenied'\"
  logq -f report.sql --format jsonl | jq .
  echo 'select count(*) from app_log' | logq
  logq --param ip=203.0.113.7 \"select * from events where src_ip = $ip\"
  logq queries
  logq run top-talkers --since 1h
  logq \"select event_name, count(*) from 'AWSLogs/**/*.json.gz' group by 1\"
  logq detect --since 24h
  logq report --since 7d --output report.html";

/// SQL and detections over security logs in a lake on S3 or in a directory. Read-only.
///
/// SQL is that of PostgreSQL as far as the engine (DataFusion) has it. Tables are those of the lake
/// (`logq tables`), plus the view `events` with the columns all event tables share. A condition on
/// the time column leaves whole days and files unread.
#[derive(Debug, Parser)]
#[command(name = "logq", version, about, long_about, max_term_width = 100, after_help = EXAMPLES)]
#[command(override_usage = "logq [OPTIONS] <SQL>\n       logq [OPTIONS] <COMMAND>")]
pub struct Cli {
    /// SQL: one or several statements separated by `;`. `-` reads them from standard input, which is
    /// also done when nothing is given and standard input is not a terminal.
    #[arg(value_name = "SQL")]
    pub sql: Option<String>,

    /// Read the SQL from a file.
    #[arg(short, long, value_name = "FILE", conflicts_with = "sql")]
    pub file: Option<PathBuf>,

    /// Give `$NAME` in the SQL a value, which is only ever a value. Texts need nothing more; others
    /// say their type: port:int=22, at:time=2026-11-22, names:list=a,b. Repeatable.
    #[arg(short = 'p', long, value_name = "NAME[:TYPE]=VALUE", value_parser = Assignment::parse)]
    pub param: Vec<Assignment>,

    /// Options for the result.
    #[command(flatten)]
    pub result: ResultArgs,

    /// Options for every command.
    #[command(flatten)]
    pub global: GlobalArgs,

    /// What to do instead of a query.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Commands besides a query.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the tables of the lake with rows, files, bytes and days, from their logs alone.
    Tables(ResultArgs),
    /// Describe the columns of a table: type, field of the source, meaning.
    Schema {
        /// Name of a table.
        table: String,
        /// Options for the result.
        #[command(flatten)]
        result: ResultArgs,
    },
    /// List the functions logq adds to SQL.
    Functions(ResultArgs),
    /// List the named queries, or show one with its parameters and SQL.
    Queries {
        /// Name of a query.
        name: Option<String>,
        /// Options for the result.
        #[command(flatten)]
        result: ResultArgs,
    },
    /// Run a named query: logq run ip-activity --param ip=203.0.113.7 --since 7d.
    Run {
        /// Name of a query.
        name: String,
        /// Give a parameter its value. Repeatable.
        #[arg(short = 'p', long, value_name = "NAME=VALUE", value_parser = Assignment::parse)]
        param: Vec<Assignment>,
        /// Options for the result.
        #[command(flatten)]
        result: ResultArgs,
    },
    /// Write a report: one HTML file that opens offline, with findings, traffic, principals, freshness
    /// and gaps.
    Report {
        /// File to write; `-` for standard output.
        #[arg(short, long, value_name = "FILE", default_value = "logq-report.html")]
        output: PathBuf,
    },
    /// Run detection rules and the network intent over the lake.
    Detect(Box<detect::Args>),
}

/// How a result is written.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Result")]
pub struct ResultArgs {
    /// How to write it. The same on a terminal and in a pipe.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// Write it to a file, which appears only when it is complete.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Rows a table shows at most; 0 for all. Other formats have no limit.
    #[arg(long, value_name = "N", default_value_t = config::TABLE_ROWS_MAX)]
    pub limit: usize,

    /// Stop a query that has read more than this, with an error: 10GiB. What it costs is reading.
    #[arg(long, value_name = "SIZE", value_parser = input::byte_size)]
    pub max_bytes: Option<usize>,

    /// Write CSV and TSV cells as they are. Without it, a text that a spreadsheet would run as a formula gets
    /// a `'` in front.
    #[arg(long)]
    pub csv_raw: bool,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Lake and limits")]
pub struct GlobalArgs {
    /// Where the tables are: a directory, file:// or s3://bucket/prefix. S3 takes credentials, region
    /// and endpoint from the usual AWS variables and profiles. Without it, .demo/lake below the
    /// current directory is used when it exists.
    #[arg(long, global = true, env = config::LAKE_VARIABLE, hide_env_values = true, value_name = "LAKE")]
    pub lake: Option<String>,

    /// Configuration file with lake, lists, zones and databases; $XDG_CONFIG_HOME/logq/config.toml
    /// (~/.config/logq/config.toml) by default.
    #[arg(long, global = true, env = config::CONFIG_VARIABLE, hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Profile of the configuration file to use.
    #[arg(long, global = true, env = config::PROFILE_VARIABLE, hide_env_values = true, value_name = "NAME")]
    pub profile: Option<String>,

    /// A list of addresses, networks and ranges for in_list(). Repeatable.
    #[arg(long, global = true, value_name = "NAME=FILE", value_parser = input::named_file)]
    pub ip_list: Vec<(String, PathBuf)>,

    /// Network intent file whose zones and sets zone() and ip_in() know.
    #[arg(long, global = true, value_name = "FILE")]
    pub zones: Option<PathBuf>,

    /// MaxMind database (City, Country, ASN) for geo(), asn() and as_name(). Repeatable.
    #[arg(long, global = true, value_name = "FILE")]
    pub geoip: Vec<PathBuf>,

    /// Only rows from this time on: 24h, 7d, 30m, 2026-11-22, 2026-11-22T10:00:00Z (UTC). Applies to
    /// the time of every table: event_time, else ingest_time or last_seen.
    #[arg(long, global = true, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,

    /// Only rows before this time; now when --since is given alone.
    #[arg(long, global = true, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,

    /// Memory a query may use before it spills to disk: 512MiB, 4GiB.
    #[arg(long, global = true, value_name = "SIZE", default_value = "1GiB", value_parser = input::memory_limit)]
    pub memory_limit: usize,

    /// Where queries spill to; the system's directory for temporary files by default.
    #[arg(long, global = true, value_name = "DIR")]
    pub temp_dir: Option<PathBuf>,

    /// Threads; the number of cores by default.
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// No progress on standard error.
    #[arg(long, global = true)]
    pub no_progress: bool,

    /// When to colour. NO_COLOR is respected.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,

    /// Only the result and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Rows, time, files and bytes of every query, also without a terminal; logs of the engine with
    /// the variable LOGQ_LOG.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The command with its long help, for the program and its reference page.
pub fn command() -> clap::Command {
    Cli::command().after_long_help(format!("{EXAMPLES}\n\n{}", exit_code::help()))
}

/// Runs the program; the result is its exit code.
pub fn main() -> u8 {
    let parsed = command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; anything else is a wrong command line. Its code is not
            // clap's 2, which means findings here.
            let _ = error.print();
            return if error.use_stderr() { exit_code::USAGE } else { exit_code::OK };
        }
    };
    let terminal = Terminal::new(&cli.global);
    log_to_stderr();
    match start(&cli, &terminal) {
        Ok(code) => code,
        Err(error) => tell(&error, &terminal),
    }
}

fn start(cli: &Cli, terminal: &Terminal) -> Result<u8, anyhow::Error> {
    // Scans decode on as many threads as there are cores; starting them costs some 50 µs each, so
    // even `select 1` need not know better.
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = cli.global.threads {
        builder.worker_threads(threads.get());
    }
    let runtime = builder.enable_all().build().context("cannot start threads")?;
    // The shell looks at Ctrl-C itself, statement by statement.
    let in_shell =
        cli.command.is_none() && cli.sql.is_none() && cli.file.is_none() && terminal.is_interactive();
    let code = match in_shell {
        true => Some(runtime.block_on(dispatch(cli, terminal))),
        false => runtime.block_on(stop::unless_interrupted(dispatch(cli, terminal))),
    };
    // Scans of a query that was ended early may still run; nobody waits for them.
    runtime.shutdown_background();
    code.unwrap_or(Ok(exit_code::INTERRUPTED))
}

async fn dispatch(cli: &Cli, terminal: &Terminal) -> Result<u8, anyhow::Error> {
    match &cli.command {
        Some(Command::Functions(result)) => inspect::functions(result, terminal),
        Some(Command::Schema { table, result }) => {
            inspect::schema(&session(&cli.global)?, table, result, terminal).await
        }
        Some(Command::Tables(result)) => inspect::tables(&session(&cli.global)?, result, terminal).await,
        Some(Command::Queries { name, result }) => {
            named::list(&queries(&cli.global)?, name.as_deref(), result, terminal)
        }
        Some(Command::Run { name, param, result }) => {
            let profile = profile(&cli.global)?;
            let library = Library::load(profile.queries.as_deref())?;
            let query = library.find(name)?;
            let values = query.values(param, chrono::Utc::now()).map_err(anyhow::Error::msg)?;
            query::run(&session_of(&cli.global, &profile)?, &query.sql, &values, result, terminal).await
        }
        Some(Command::Report { output }) => {
            let profile = profile(&cli.global)?;
            let session = session_of(&cli.global, &profile)?;
            let with_zones = cli.global.zones.is_some() || profile.zones.is_some();
            let report = Report::collect(&session, with_zones).await?;
            query::write_text(&report::page::html(&report), output)?;
            terminal.notices(session.notices());
            Ok(exit_code::OK)
        }
        Some(Command::Detect(args)) => {
            let mut stdout = std::io::BufWriter::new(std::io::stdout());
            if let Some(interval) = args.watch {
                return detect::watch(&|| watching(&cli.global), args, interval, &mut stdout).await;
            }
            let session = session(&cli.global)?;
            let code = detect::run(&session, args, &mut stdout).await?;
            stdout.flush()?;
            terminal.notices(session.notices());
            Ok(code)
        }
        None => match input::sql(cli)? {
            Some(sql) => {
                let values = named::values(&cli.param)?;
                query::run(&session(&cli.global)?, &sql, &values, &cli.result, terminal).await
            }
            None if terminal.is_interactive() => shell::run(&cli.global, &cli.result).await,
            None => {
                command().print_help()?;
                Ok(exit_code::USAGE)
            }
        },
    }
}

fn session(args: &GlobalArgs) -> Result<Session, anyhow::Error> {
    session_of(args, &profile(args)?)
}

fn profile(args: &GlobalArgs) -> Result<Profile, anyhow::Error> {
    Ok(Profile::load(args.config.as_deref(), args.profile.as_deref())?)
}

fn queries(args: &GlobalArgs) -> Result<Library, anyhow::Error> {
    Ok(Library::load(profile(args)?.queries.as_deref())?)
}

fn session_of(args: &GlobalArgs, profile: &Profile) -> Result<Session, anyhow::Error> {
    let directory = std::env::current_dir().context("cannot tell the current directory")?;
    let time_range = TimeRange::parse(args.since.as_deref(), args.until.as_deref(), chrono::Utc::now())
        .map_err(QueryError::Time)?;
    let mut lists = profile.lists.clone();
    lists.extend(args.ip_list.iter().cloned());
    let inventory = Inventory::load(&Sources {
        lists,
        zones: args.zones.clone().or_else(|| profile.zones.clone()),
        geography: if args.geoip.is_empty() { profile.geoip.clone() } else { args.geoip.clone() },
    })?;
    let lake = args.lake.as_deref().or(profile.lake.as_deref());
    let session = Session::new(Options {
        lake: Lake::resolve(lake, &directory)?,
        inventory: Arc::new(inventory),
        time_range,
        memory_limit_bytes: args.memory_limit,
        temp_directory: args.temp_dir.clone(),
        threads: args.threads,
    })?;
    Ok(session)
}

/// A session that sees the lake as it is now, over the last day unless told otherwise.
fn watching(args: &GlobalArgs) -> Result<Session, anyhow::Error> {
    let since = args.since.clone().or_else(|| Some("1d".to_owned()));
    session(&GlobalArgs { since, ..args.clone() })
}

/// How results with these options are written on this terminal.
fn layout(result: &ResultArgs, terminal: &Terminal) -> Layout {
    Layout {
        format: result.format,
        screen: if result.output.is_some() { Default::default() } else { terminal.screen() },
        table_rows_max: (result.limit > 0).then_some(result.limit),
        csv_raw: result.csv_raw,
        multiline: false,
    }
}

/// Prints an error with its causes and finds its exit code.
fn tell(error: &anyhow::Error, terminal: &Terminal) -> u8 {
    for cause in error.chain() {
        let broken_pipe = cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe);
        if broken_pipe {
            return exit_code::OK;
        }
    }
    terminal.error(error);
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<QueryError>() {
            return error.exit_code();
        }
        if cause.is::<crate::output::OutputError>() || cause.is::<query::OutputFileError>() {
            return exit_code::OUTPUT;
        }
    }
    exit_code::USAGE
}

fn log_to_stderr() {
    let Ok(filter) = std::env::var("LOGQ_LOG") else { return };
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_first_word_that_is_no_command_is_sql() {
        let cli = Cli::try_parse_from(["logq", "select 1", "--since", "1h"]).unwrap();
        assert_eq!(cli.sql.as_deref(), Some("select 1"));
        assert_eq!(cli.global.since.as_deref(), Some("1h"));
        assert!(cli.command.is_none());
        let cli = Cli::try_parse_from(["logq", "-"]).unwrap();
        assert_eq!(cli.sql.as_deref(), Some("-"));
        let cli = Cli::try_parse_from(["logq", "tables", "--lake", "x"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Tables(_))));
        let cli = Cli::try_parse_from(["logq", "--lake", "x", "detect", "--since", "1h"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Detect(_))));
        assert_eq!(cli.global.lake.as_deref(), Some("x"));
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(Cli::try_parse_from(["logq", "select 1", "-f", "x.sql"]).is_err());
        assert!(Cli::try_parse_from(["logq", "-q", "-v", "select 1"]).is_err());
        assert!(Cli::try_parse_from(["logq", "--memory-limit", "lots", "select 1"]).is_err());
    }
}
