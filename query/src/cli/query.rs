//! Running SQL: plan, stream, write, tell.

use super::progress::{Progress, Scanned};
use super::terminal::Terminal;
use super::{ResultArgs, layout};
use crate::exit_code;
use crate::named::binding::{self, Values};
use crate::output::{Layout, Output, OutputError, Written};
use crate::session::{QueryError, Session, failure};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs every statement of `sql` in order with `values` for its `$name`s, up to the first that fails.
///
/// # Errors
/// [`QueryError`] or [`OutputError`].
pub async fn run(
    session: &Session,
    sql: &str,
    values: &Values,
    result: &ResultArgs,
    terminal: &Terminal,
) -> Result<u8, anyhow::Error> {
    let layout = layout(result, terminal);
    let mut statements = session.statements(sql)?;
    if statements.is_empty() {
        return Err(QueryError::Sql { message: "no SQL statement given".to_owned() }.into());
    }
    bind(&mut statements, values)?;
    if layout.format.is_binary() {
        let shown = result.output.is_none() && terminal.shows_results();
        anyhow::ensure!(!shown, "a terminal cannot show this format: write it to a file with --output FILE");
        anyhow::ensure!(statements.len() == 1, "a file of this format holds one result: give one statement");
    }
    let mut to = Destination::open(result.output.as_deref())?;
    let total = statements.len();
    for (index, statement) in statements.into_iter().enumerate() {
        if index > 0 {
            writeln!(to.writer()).map_err(OutputError::Io)?;
        }
        let place = format!("statement {} of {total}", index + 1);
        let ran = one(session, statement, &layout, result.max_bytes, terminal, to.writer()).await;
        terminal.notices(session.notices());
        match ran {
            Ok(()) => {}
            Err(error) if total > 1 => return Err(error.context(place)),
            Err(error) => return Err(error),
        }
    }
    to.finish()?;
    Ok(exit_code::OK)
}

/// Before anything is run: a parameter nobody uses is a typing error.
fn bind(statements: &mut [Statement], values: &Values) -> Result<(), QueryError> {
    let mut unused: BTreeSet<String> = values.keys().cloned().collect();
    for statement in statements {
        let used = binding::bind(statement, values)
            .map_err(|error| QueryError::Sql { message: error.to_string() })?;
        unused.retain(|name| !used.contains(name));
    }
    match unused.first() {
        Some(name) => Err(QueryError::Sql { message: format!("there is no ${name} in the SQL") }),
        None => Ok(()),
    }
}

async fn one(
    session: &Session,
    statement: Statement,
    layout: &Layout,
    max_bytes: Option<usize>,
    terminal: &Terminal,
    to: &mut dyn Write,
) -> Result<(), anyhow::Error> {
    let started = Instant::now();
    let frame = session.plan(statement).await?;
    let is_plan = matches!(frame.logical_plan(), LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
    let layout = &Layout { multiline: is_plan, ..*layout };
    let context = Arc::new(frame.task_ctx());
    let schema: SchemaRef = Arc::clone(frame.schema().inner());
    let plan = frame.create_physical_plan().await.map_err(failure::classify)?;
    // A stream on the same terminal as the progress line would be drawn over.
    let streams = terminal.shows_results() && layout.format.streams();
    let progress = Progress::start(terminal.progress() && !streams, &plan);
    let mut stream = execute_stream(Arc::clone(&plan), context).map_err(failure::classify)?;
    let mut output = Output::new(layout, &schema, to)?;
    let mut guard = Guard::new(max_bytes, &plan);
    while let Some(batch) = guard.next(&mut stream).await? {
        match batch {
            Ok(batch) => {
                if !output.batch(&batch, to)? {
                    break;
                }
            }
            Err(error) => {
                drop(progress);
                return Err(session.running_failure(error, &plan).await.into());
            }
        }
    }
    drop(stream);
    drop(progress);
    let written = output.finish(to)?;
    if written.cut {
        terminal.note(&format!(
            "only the first {} rows are shown; --limit 0 shows all, --format csv or jsonl streams them",
            written.rows
        ));
    }
    if terminal.summary() {
        terminal.aside(&summary(written, started, &Scanned::of(&plan)));
    }
    Ok(())
}

/// How often a running query is looked at: often enough that little is read past the limit.
const GUARD_INTERVAL: Duration = Duration::from_millis(50);

/// `--max-bytes`, looked at between batches and while none comes, as in an aggregation.
struct Guard<'a> {
    limit: Option<u64>,
    plan: &'a Arc<dyn ExecutionPlan>,
    ticks: tokio::time::Interval,
}

impl<'a> Guard<'a> {
    fn new(limit: Option<usize>, plan: &'a Arc<dyn ExecutionPlan>) -> Self {
        let ticks = tokio::time::interval(GUARD_INTERVAL);
        Guard { limit: limit.map(|limit| limit as u64), plan, ticks }
    }

    async fn next(
        &mut self,
        stream: &mut SendableRecordBatchStream,
    ) -> Result<Option<Result<RecordBatch, DataFusionError>>, QueryError> {
        let Some(limit) = self.limit else { return Ok(stream.next().await) };
        loop {
            let next = tokio::select! {
                next = stream.next() => Some(next),
                _ = self.ticks.tick() => None,
            };
            let Scanned { files, bytes, .. } = Scanned::of(self.plan);
            if bytes as u64 > limit {
                return Err(QueryError::TooManyBytes { limit, read: bytes as u64, files });
            }
            if let Some(next) = next {
                return Ok(next);
            }
        }
    }
}

fn summary(written: Written, started: Instant, scanned: &Scanned) -> String {
    let rows = match written.rows {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    };
    format!("{rows} in {:.2} s{scanned}", started.elapsed().as_secs_f64())
}

/// Writes a result that is already in memory.
///
/// # Errors
/// [`OutputError`]
pub fn write_batch(
    batch: &RecordBatch,
    result: &ResultArgs,
    terminal: &Terminal,
) -> Result<u8, anyhow::Error> {
    let mut to = Destination::open(result.output.as_deref())?;
    let layout = layout(result, terminal);
    let mut output = Output::new(&layout, &batch.schema(), to.writer())?;
    output.batch(batch, to.writer())?;
    output.finish(to.writer())?;
    to.finish()?;
    Ok(exit_code::OK)
}

/// Writes a whole text, to a file that appears when it is complete.
///
/// # Errors
/// [`OutputError`]
pub fn write_text(text: &str, path: &Path) -> Result<(), anyhow::Error> {
    let mut to = Destination::open(Some(path))?;
    to.writer().write_all(text.as_bytes()).map_err(OutputError::Io)?;
    to.finish()?;
    Ok(())
}

/// A result file that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct OutputFileError {
    path: PathBuf,
    source: std::io::Error,
}

/// Standard output, or a file that takes its name when it is complete.
enum Destination {
    Stdout(BufWriter<std::io::Stdout>),
    /// An existing pipe or device, written as it is.
    Direct(BufWriter<File>),
    File(Partial),
}

struct Partial {
    to: BufWriter<File>,
    path: PathBuf,
    partial: PathBuf,
    done: bool,
}

impl Destination {
    fn open(path: Option<&Path>) -> Result<Self, OutputFileError> {
        let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
            return Ok(Destination::Stdout(BufWriter::new(std::io::stdout())));
        };
        let failed = |source| OutputFileError { path: path.to_owned(), source };
        let special = std::fs::metadata(path).is_ok_and(|found| !found.is_file());
        if special {
            let file = File::options().write(true).open(path).map_err(failed)?;
            return Ok(Destination::Direct(BufWriter::new(file)));
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = path.with_file_name(name);
        let file = File::create(&partial).map_err(failed)?;
        Ok(Destination::File(Partial {
            to: BufWriter::new(file),
            path: path.to_owned(),
            partial,
            done: false,
        }))
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Destination::Stdout(to) => to,
            Destination::Direct(to) => to,
            Destination::File(partial) => &mut partial.to,
        }
    }

    fn finish(mut self) -> Result<(), OutputError> {
        self.writer().flush()?;
        if let Destination::File(partial) = &mut self {
            std::fs::rename(&partial.partial, &partial.path)?;
            partial.done = true;
        }
        Ok(())
    }
}

impl Drop for Partial {
    /// A result that broke off must not be taken for a whole one.
    fn drop(&mut self) {
        if !self.done {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}
