//! `logq detect`: rules over the lake, findings out.
//!
//! Rules are files: Sigma YAML for events, SQL with a YAML header for what needs counting, and one
//! network intent. Shipped ones live in `detections/` and are part of the binary; `--rules` adds
//! more. All Sigma rules of a log source run in one scan.
//!
//! Promises:
//! * a finding names its rule, entity, numbers and reason, and carries the SQL that returns exactly
//!   its rows; the same rule, entity and day give the same id on every run;
//! * a rule that cannot be read or needs something not built is named, counted and never silently
//!   skipped, and the others still run;
//! * nothing an attacker wrote into a log can leave a SQL literal or drive a terminal.
//!
//! It refuses to change anything: rules can only read.

pub mod asff;
pub mod case_table;
pub mod check;
pub mod config;
pub mod correlate;
pub mod coverage;
pub mod deliver;
pub mod emit;
pub mod engine;
pub mod fields;
pub mod finding;
pub mod groups;
pub mod intent;
pub mod json_path;
pub mod ledger;
pub mod library;
pub mod lower;
pub mod ocsf;
pub mod predicate;
pub mod predicate_sql;
pub mod problem;
pub mod report;
pub mod rows;
pub mod rule;
pub mod sarif;
pub mod scan;
pub mod severity;
pub mod sigma;
pub mod sql_rule;
pub mod sql_text;
pub mod threats;
pub mod watch;

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;

use crate::exit_code;
use crate::session::Session;
use anyhow::Context as _;
use datafusion::prelude::SessionContext;
use emit::Sinks;
use intent::file::Intent;
use library::Library;
use report::Format;
use severity::Severity;
use sigma::detection::Placeholders;
use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `logq detect`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "Examples:
  logq detect --since 24h
  logq detect --since 7d --format jsonl --min-severity medium
  logq detect --only t1046 --param flow-port-scan.ports=30
  logq detect --rules my-rules/ --intent intent.toml --fail-on high
  logq detect --threat-list c2=feodo.csv --threat-list tor=relays.txt
  logq detect --watch 60s --slack @webhook.txt --format jsonl
  logq detect --explain flow-port-scan")]
pub struct Args {
    /// Add rules: a Sigma (.yml) or SQL (.sql) file, or a directory of them. Repeatable.
    #[arg(long, value_name = "DIR|FILE")]
    pub rules: Vec<PathBuf>,
    /// Leave the shipped rules out.
    #[arg(long, requires = "rules")]
    pub no_shipped: bool,
    /// Run only rules with this id, title or tag (`t1046`, `attack.discovery`). Repeatable.
    #[arg(long, value_name = "ID|TAG")]
    pub only: Vec<String>,
    /// Check flow records against a network intent file.
    #[arg(long, value_name = "FILE")]
    pub intent: Option<PathBuf>,
    /// Set a parameter of a SQL rule. Repeatable.
    #[arg(long, value_name = "RULE.NAME=VALUE")]
    pub param: Vec<String>,
    /// Give a Sigma `%placeholder%` its values, or a file with one in each line. Repeatable.
    #[arg(long, value_name = "NAME=VALUE[,VALUE…]|NAME=@FILE")]
    pub placeholder: Vec<String>,
    /// Add a threat list: CSV, plain, STIX 2.1 or the ip-ranges.json of AWS. Rules ask the categories
    /// c2, mining, sinkhole, drop, tor, scanner, doh and aws; without one it is `custom`. Repeatable.
    #[arg(long, value_name = "[CATEGORY=]FILE")]
    pub threat_list: Vec<String>,
    /// How findings are written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Show only findings of this severity or worse.
    #[arg(long, value_name = "SEVERITY")]
    pub min_severity: Option<Severity>,
    /// Exit with the code for findings when there is one of this severity or worse.
    #[arg(long, value_name = "SEVERITY")]
    pub fail_on: Option<Severity>,
    /// Post each finding as JSON to an address, or to the one a file holds. Repeatable.
    #[arg(long, value_name = "URL|@FILE")]
    pub webhook: Vec<String>,
    /// Post each finding as a message to a Slack webhook, or to the one a file holds. Repeatable.
    #[arg(long, value_name = "URL|@FILE")]
    pub slack: Vec<String>,
    /// Where findings go that a webhook did not take.
    #[arg(long, value_name = "FILE", default_value = "logq-dead-letters.jsonl")]
    pub dead_letter: PathBuf,
    /// Keep findings in a folder, one file for each day, each finding once.
    #[arg(long, value_name = "DIR")]
    pub write_findings: Option<PathBuf>,
    /// Run again whenever a table has grown, looking each time so often; only new findings are told.
    /// The time range is the last day unless `--since` says otherwise.
    #[arg(long, value_name = "INTERVAL", value_parser = humantime::parse_duration, conflicts_with_all = ["fail_on", "list", "explain", "check"])]
    pub watch: Option<std::time::Duration>,
    /// What `--watch` remembers over a restart.
    #[arg(long, value_name = "FILE", default_value = "logq-watch.json")]
    pub state: PathBuf,
    /// List the rules and exit.
    #[arg(long)]
    pub list: bool,
    /// Show one rule with its query and parameters, and exit.
    #[arg(long, value_name = "RULE")]
    pub explain: Option<String>,
    /// Check every rule and run the cases beside it, and exit.
    #[arg(long)]
    pub check: bool,
}

/// Adds the functions findings' SQL uses (`json_match`, `json_first`) to a session.
pub fn register(context: &SessionContext) {
    context.register_udf(json_path::json_match());
    context.register_udf(json_path::json_first());
}

/// Runs the command; the result is the exit code.
///
/// # Errors
/// Wrong arguments, an intent file that is refused, or output that cannot be written. Rules that
/// cannot run and data that cannot be read are reported and decide the exit code.
pub async fn run(session: &Session, args: &Args, stdout: &mut dyn Write) -> Result<u8, anyhow::Error> {
    register(session.context());
    let library = library(args)?;
    let intent = intent(args)?;
    let format = args.format;
    if args.list {
        warn_about(&library.problems);
        report::list(stdout, &library, format)?;
        return Ok(exit_code::OK);
    }
    if let Some(wanted) = &args.explain {
        let found = report::explain(stdout, &library, wanted)?;
        anyhow::ensure!(found, "no rule has the id, title or tag {wanted}; `logq detect --list` shows them");
        return Ok(exit_code::OK);
    }
    if args.check {
        return check(&library, stdout).await;
    }
    let sinks = Sinks::new(args)?;
    let outcome = find(session, library, intent, args).await;
    let shown = chosen(&outcome, args);
    write(stdout, &shown, format)?;
    let delivered = sinks.send(&shown).await?;
    eprintln!("{}", report::summary(&outcome, shown.len()));
    Ok(match exit(&outcome, args.fail_on) {
        exit_code::OK if !delivered => exit_code::OUTPUT,
        code => code,
    })
}

/// `--watch`: runs whenever a table has grown, until the process is stopped.
///
/// # Errors
/// As [`run`]; also a state file that cannot be read or written. A lake that cannot be reached for a
/// while is told and tried again.
pub async fn watch(
    session: &dyn Fn() -> Result<Session, anyhow::Error>,
    args: &Args,
    interval: std::time::Duration,
    stdout: &mut dyn Write,
) -> Result<u8, anyhow::Error> {
    let sinks = Sinks::new(args)?;
    let mut state = watch::State::load(&args.state)?;
    loop {
        let session = session()?;
        match watch::versions(session.lake()).await {
            Err(error) => eprintln!("error: {}; looking again later", sql_text::shown(&error.to_string())),
            Ok(versions) if state.is_behind(&versions) => {
                register(session.context());
                let outcome = find(&session, library(args)?, intent(args)?, args).await;
                let news = state.news(&chosen(&outcome, args));
                write(stdout, &news, args.format)?;
                stdout.flush()?;
                sinks.send(&news).await?;
                state.take(&news, versions, &outcome, chrono::Utc::now());
                state.save(&args.state)?;
                eprintln!(
                    "{}; {} of them new",
                    report::summary(&outcome, outcome.findings.len()),
                    news.len()
                );
            }
            Ok(_) => {}
        }
        // Paced: a lake tells nobody that it has grown.
        tokio::time::sleep(interval).await;
    }
}

type Loaded<'a> = Option<(Arc<Intent>, &'a str)>;

fn intent(args: &Args) -> Result<Loaded<'_>, anyhow::Error> {
    let Some(path) = &args.intent else { return Ok(None) };
    let intent = Intent::load(path, chrono::Utc::now().date_naive())?;
    Ok(Some((Arc::new(intent), path.to_str().unwrap_or_default())))
}

/// Runs the rules and says what went wrong.
async fn find(session: &Session, mut library: Library, intent: Loaded<'_>, args: &Args) -> engine::Outcome {
    let problems = std::mem::take(&mut library.problems);
    let spinner = if args.watch.is_none() { progress(&library) } else { None };
    let mut outcome = engine::run(session, &library, intent).await;
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    outcome.problems.splice(0..0, problems);
    tell(&outcome);
    outcome
}

/// The findings `--min-severity` lets through.
fn chosen(outcome: &engine::Outcome, args: &Args) -> Vec<finding::Finding> {
    let least = args.min_severity.unwrap_or(Severity::Informational);
    outcome.findings.iter().filter(|finding| finding.severity >= least).cloned().collect()
}

fn write(stdout: &mut dyn Write, findings: &[finding::Finding], format: Format) -> std::io::Result<()> {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    report::findings(stdout, findings, format, colour)
}

/// Incomplete data outweighs findings: an answer with holes must not pass for a verdict.
fn exit(outcome: &engine::Outcome, fail_on: Option<Severity>) -> u8 {
    if let Some(failure) = outcome.failures.first() {
        return failure.exit_code();
    }
    if fail_on.is_some_and(|least| outcome.findings.iter().any(|finding| finding.severity >= least)) {
        return exit_code::FINDINGS;
    }
    if outcome.problems.iter().any(|problem| !problem.unsupported) {
        return exit_code::USAGE;
    }
    exit_code::OK
}

fn library(args: &Args) -> Result<Library, anyhow::Error> {
    let mut known = Placeholders::new();
    for text in &args.placeholder {
        let (name, values) = text
            .split_once('=')
            .with_context(|| format!("--placeholder {text}: write NAME=VALUE[,VALUE…]"))?;
        let values: Vec<String> = match values.strip_prefix('@') {
            None => values.split(',').map(str::to_owned).collect(),
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("--placeholder {text}: {path} cannot be read"))?
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned)
                .collect(),
        };
        known.entry(name.to_owned()).or_default().extend(values);
    }
    let mut library = if args.no_shipped { Library::default() } else { Library::shipped(&known) };
    for path in &args.rules {
        library.load(path, &known).with_context(|| format!("--rules {}", path.display()))?;
    }
    library.filter(chrono::Utc::now().date_naive(), &known);
    let mut threats = threats::Threats::default();
    for argument in &args.threat_list {
        threats.load(argument, chrono::Utc::now()).map_err(anyhow::Error::msg).context("--threat-list")?;
    }
    library.threats = Arc::new(threats);
    for assignment in &args.param {
        library.set(assignment).map_err(anyhow::Error::msg)?;
    }
    library.only(&args.only).map_err(anyhow::Error::msg)?;
    Ok(library)
}

async fn check(library: &Library, stdout: &mut dyn Write) -> Result<u8, anyhow::Error> {
    let report = check::run(library).await;
    for problem in &library.problems {
        writeln!(stdout, "{}", sql_text::shown(&problem.to_string()))?;
    }
    for failure in &report.failures {
        writeln!(stdout, "{}", failure.lines().map(sql_text::shown).collect::<Vec<_>>().join("\n"))?;
    }
    writeln!(
        stdout,
        "{} rules read, {} with cases, {} cases run, {} failed, {} rules cannot run",
        library.metas().count(),
        report.rules,
        report.cases,
        report.failures.len(),
        library.problems.len(),
    )?;
    let good = report.failures.is_empty() && library.problems.iter().all(|problem| problem.unsupported);
    Ok(if good { exit_code::OK } else { exit_code::USAGE })
}

fn progress(library: &Library) -> Option<indicatif::ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let spinner = indicatif::ProgressBar::new_spinner();
    spinner.set_message(format!("{} rules", library.metas().count()));
    spinner.enable_steady_tick(std::time::Duration::from_millis(120));
    Some(spinner)
}

fn tell(outcome: &engine::Outcome) {
    warn_about(&outcome.problems);
    for (table, rules) in &outcome.no_data {
        eprintln!("no data: table {table} is empty or not there yet; {rules} rules had nothing to look at");
    }
    for note in &outcome.notes {
        eprintln!("note: {}", sql_text::shown(note));
    }
    for failure in &outcome.failures {
        eprintln!("error: {}", sql_text::shown(&failure.to_string()));
    }
}

/// Problems of single rules are named one by one. What one reason keeps from running in numbers,
/// such as a whole rule set for other products, is told once with its count.
fn warn_about(problems: &[problem::Problem]) {
    const SAME_REASON_MAX: usize = 5;
    let mut reasons: std::collections::BTreeMap<&str, Vec<&problem::Problem>> = Default::default();
    for problem in problems {
        reasons.entry(&problem.message).or_default().push(problem);
    }
    for problem in problems {
        let same = reasons.get(problem.message.as_str()).map_or(0, Vec::len);
        if !problem.unsupported || same <= SAME_REASON_MAX {
            eprintln!("rule skipped: {}", sql_text::shown(&problem.to_string()));
        }
    }
    for (reason, same) in reasons {
        let same: Vec<_> = same.into_iter().filter(|problem| problem.unsupported).collect();
        if same.len() > SAME_REASON_MAX {
            eprintln!(
                "{} rules skipped (`--check` names them): unsupported: {}",
                same.len(),
                sql_text::shown(reason)
            );
        }
    }
}
