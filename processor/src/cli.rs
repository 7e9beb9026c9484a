//! The command line.

mod backfill;
mod compact;
mod days;
mod expire;
mod lifecycle;
mod once;
mod reconcile;
#[cfg(test)]
mod reference;
mod replay_rejected;
mod restore;
mod run;
mod seal;
mod summary;
mod unpack;
mod vacuum;
mod validate;
mod verify;

use crate::config::{Config, shard};
use anyhow::{Context, Result};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// CloudTrail, VPC Flow Logs and collected container logs in; Delta tables out, every record once.
///
/// What cannot be parsed is kept in the table `rejected` with its reason; what was read is listed in
/// the table `ingest`. Reading the same input again adds nothing.
#[derive(Debug, Parser)]
#[command(name = "logq-processor", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How the log on stderr is written.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const EXAMPLES: &str = "Examples:
  logq-processor once --lake ./lake ./AWSLogs downloaded.json.gz
  logq-processor once --lake s3://logs-lake/lake s3://org-trail/AWSLogs/o-abc/111122223333/CloudTrail/
  logq-processor run --lake ./lake --watch ./landing --commit-interval 2s
  logq-processor verify cloudtrail --public-keys keys.json --lake ./lake s3://org-trail/AWSLogs/
  logq-processor run --lake ./lake --config processor.toml --cloudwatch-logs
  logq-processor run --lake s3://logs-lake/lake --sqs-queue-url https://sqs.eu-west-1.amazonaws.com/1/landing
  logq-processor seal --lake s3://logs-lake/lake --archive s3://logs-archive/archive
  logq-processor verify archive --archive s3://logs-archive/archive
  logq-processor backfill --lake s3://logs-lake/lake --since 2026-11-01 s3://org-trail/AWSLogs/
  logq-processor reconcile --lake s3://logs-lake/lake --since 2026-11-22 s3://org-trail/AWSLogs/
  logq-processor lifecycle plan --policy lifecycle.toml
  logq-processor restore --lake s3://logs-lake/lake --table cloudtrail --since 2025-03-01 --until 2025-03-07

Exit codes:
  0  everything asked for was done
  1  the configuration is wrong, or the lake or every input is out of reach
  2  the command line is wrong
  3  done, but something is not as it should be: each object or finding is named

S3 is reached with the AWS default credential chain; AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL and
AWS_ALLOW_HTTP are honoured. RUST_LOG sets what is logged (default: info for `run`, warn else).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Take in files, directories or S3 prefixes, print a summary, and end.
    Once(OnceArgs),
    /// Keep taking in objects: from watched directories, or from S3 notifications in an SQS queue.
    Run(RunArgs),
    /// Merge the small files of days into large ones.
    Compact(compact::CompactArgs),
    /// Make days that are over final: sorted, without repeats, copied into the archive.
    Seal(seal::SealArgs),
    /// Check what was stored.
    Verify(verify::VerifyArgs),
    /// Get one original CloudTrail object out of the archive's packs.
    Unpack(unpack::UnpackArgs),
    /// Take old days, which the archive keeps, out of the tables.
    Expire(expire::ExpireArgs),
    /// Delete files no table version within the retention needs.
    Vacuum(vacuum::VacuumArgs),
    /// Take in everything under S3 prefixes or directories, by listing; goes on where it was stopped.
    Backfill(backfill::BackfillArgs),
    /// Find objects under a prefix that never came into the lake: their notification was lost.
    Reconcile(reconcile::ReconcileArgs),
    /// Storage classes by age: plan, apply or check the buckets' lifecycle rules.
    Lifecycle(lifecycle::LifecycleArgs),
    /// Ask S3 for archived days back, and follow them.
    Restore(restore::RestoreArgs),
    /// Parse rejected records again.
    ReplayRejected(replay_rejected::ReplayArgs),
    /// Check a configuration file and print the effective values.
    Validate(validate::ValidateArgs),
}

#[derive(Debug, Args)]
struct Common {
    /// The lake: a directory, file://… or s3://bucket/prefix. Made when it does not exist.
    #[arg(long, env = "LOGQ_LAKE", value_name = "DIR|URL")]
    lake: String,
    /// Configuration file (TOML): limits and intervals.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Name of this processor among those of the same lake.
    #[arg(long, value_name = "NAME")]
    shard: Option<String>,
}

impl Common {
    fn config(&self) -> Result<Config> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(name) = &self.shard {
            config.shard = shard(name.clone())?;
        }
        Ok(config)
    }
}

#[derive(Debug, Args)]
struct OnceArgs {
    #[command(flatten)]
    common: Common,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Leave these files or directories out. May be given several times.
    #[arg(long, value_name = "PATH")]
    exclude: Vec<PathBuf>,
    /// Files, directories or s3:// prefixes.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true).args(["watch", "sqs_queue_url", "cloudwatch_logs"]))]
struct RunArgs {
    #[command(flatten)]
    common: Common,
    /// A directory objects are put into. May be given several times.
    #[arg(long, value_name = "DIR")]
    watch: Vec<PathBuf>,
    /// SQS queue that receives the S3 notifications.
    #[arg(long, value_name = "URL")]
    sqs_queue_url: Option<String>,
    /// Address of the SQS service, instead of the Region's.
    #[arg(long, value_name = "URL", requires = "sqs_queue_url")]
    sqs_endpoint: Option<String>,
    /// Pull the log groups of the [[cloudwatch_logs]] sections in the configuration file.
    #[arg(long, requires = "config")]
    cloudwatch_logs: bool,
    /// How long objects are gathered before they are committed.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    commit_interval: Option<Duration>,
    /// Serve /metrics, /healthz and /readyz here.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// End when nothing new has come for this long.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    until_idle: Option<Duration>,
}

/// Runs the command; gives the exit code.
///
/// # Errors
/// When the command line or configuration is wrong, or the lake cannot be used.
pub fn run(cli: Cli) -> Result<u8> {
    let (default_level, work): (&str, Work) = match cli.command {
        Command::Once(arguments) => ("warn", Work::Once(arguments)),
        Command::Run(arguments) => ("info", Work::Run(arguments)),
        Command::Compact(arguments) => ("warn", Work::Compact(arguments)),
        Command::Seal(arguments) => ("warn", Work::Seal(arguments)),
        Command::Unpack(arguments) => ("warn", Work::Unpack(arguments)),
        Command::Expire(arguments) => ("warn", Work::Expire(arguments)),
        Command::Vacuum(arguments) => ("warn", Work::Vacuum(arguments)),
        Command::Backfill(arguments) => ("warn", Work::Backfill(arguments)),
        Command::Reconcile(arguments) => ("warn", Work::Reconcile(arguments)),
        Command::Lifecycle(arguments) => ("warn", Work::Lifecycle(arguments)),
        Command::Restore(arguments) => ("warn", Work::Restore(Box::new(arguments))),
        Command::ReplayRejected(arguments) => ("warn", Work::ReplayRejected(arguments)),
        Command::Verify(arguments) => ("warn", Work::Verify(arguments)),
        Command::Validate(arguments) => ("warn", Work::Validate(arguments)),
    };
    // The table format's crates log what they also return, a table that is yet to be made among it.
    let quiet = format!("{default_level},buoyant_kernel=off,deltalake_core=error");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(quiet));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(std::io::stderr);
    match cli.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        match work {
            Work::Once(arguments) => once::run(arguments).await,
            Work::Run(arguments) => run::run(arguments).await,
            Work::Compact(arguments) => compact::run(arguments).await,
            Work::Seal(arguments) => seal::run(arguments).await,
            Work::Verify(arguments) => verify::run(arguments).await,
            Work::Unpack(arguments) => unpack::run(arguments).await,
            Work::Expire(arguments) => expire::run(arguments).await,
            Work::Vacuum(arguments) => vacuum::run(arguments).await,
            Work::Backfill(arguments) => backfill::run(arguments).await,
            Work::Reconcile(arguments) => reconcile::run(arguments).await,
            Work::Lifecycle(arguments) => lifecycle::run(arguments).await,
            Work::Restore(arguments) => restore::run(*arguments).await,
            Work::ReplayRejected(arguments) => replay_rejected::run(arguments).await,
            Work::Validate(arguments) => validate::run(arguments).await,
        }
    })
}

enum Work {
    Once(OnceArgs),
    Run(RunArgs),
    Compact(compact::CompactArgs),
    Seal(seal::SealArgs),
    Verify(verify::VerifyArgs),
    Unpack(unpack::UnpackArgs),
    Expire(expire::ExpireArgs),
    Vacuum(vacuum::VacuumArgs),
    Backfill(backfill::BackfillArgs),
    Reconcile(reconcile::ReconcileArgs),
    Lifecycle(lifecycle::LifecycleArgs),
    Restore(Box<restore::RestoreArgs>),
    ReplayRejected(replay_rejected::ReplayArgs),
    Validate(validate::ValidateArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_lists_every_exit_code() {
        for (code, meaning) in exit_code::ALL {
            assert!(EXAMPLES.contains(&format!("  {code}  {meaning}")), "{code}");
        }
    }
}
