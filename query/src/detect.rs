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

pub mod case_table;
pub mod check;
pub mod config;
pub mod correlate;
pub mod engine;
pub mod fields;
pub mod finding;
pub mod groups;
pub mod intent;
pub mod json_path;
pub mod library;
pub mod lower;
pub mod predicate;
pub mod predicate_sql;
pub mod problem;
pub mod report;
pub mod rows;
pub mod rule;
pub mod scan;
pub mod severity;
pub mod sigma;
pub mod sql_rule;
pub mod sql_text;

#[cfg(test)]
mod tests;

use crate::exit_code;
use crate::session::Session;
use anyhow::Context as _;
use datafusion::prelude::SessionContext;
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
    /// Give a Sigma `%placeholder%` its values. Repeatable.
    #[arg(long, value_name = "NAME=VALUE[,VALUE…]")]
    pub placeholder: Vec<String>,
    /// How findings are written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Show only findings of this severity or worse.
    #[arg(long, value_name = "SEVERITY")]
    pub min_severity: Option<Severity>,
    /// Exit with the code for findings when there is one of this severity or worse.
    #[arg(long, value_name = "SEVERITY")]
    pub fail_on: Option<Severity>,
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
    let mut library = library(args)?;
    let intent = match &args.intent {
        Some(path) => Some(Arc::new(Intent::load(path, chrono::Utc::now().date_naive())?)),
        None => None,
    };
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
    let problems = std::mem::take(&mut library.problems);
    let spinner = progress(&library);
    let origin = args.intent.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let intent = intent.map(|intent| (intent, origin.as_str()));
    let mut outcome = engine::run(session, &library, intent).await;
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    outcome.problems.splice(0..0, problems);
    tell(&outcome);
    let least = args.min_severity.unwrap_or(Severity::Informational);
    let shown: Vec<_> =
        outcome.findings.iter().filter(|finding| finding.severity >= least).cloned().collect();
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    report::findings(stdout, &shown, format, colour)?;
    eprintln!("{}", report::summary(&outcome, shown.len()));
    Ok(exit(&outcome, args.fail_on))
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
        known.entry(name.to_owned()).or_default().extend(values.split(',').map(str::to_owned));
    }
    let mut library = if args.no_shipped { Library::default() } else { Library::shipped(&known) };
    for path in &args.rules {
        library.load(path, &known).with_context(|| format!("--rules {}", path.display()))?;
    }
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

fn warn_about(problems: &[problem::Problem]) {
    for problem in problems {
        eprintln!("rule skipped: {}", sql_text::shown(&problem.to_string()));
    }
}
