//! `logq queries`, and the values of `--param`.

use super::ResultArgs;
use super::query::write_batch;
use super::terminal::Terminal;
use crate::exit_code;
use crate::named::binding::Values;
use crate::named::parameter::{Assignment, Kind, literals};
use crate::named::{Library, NamedQuery};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use std::io::Write;
use std::sync::Arc;

/// Lists the named queries, or shows the one called `name`.
///
/// # Errors
/// An unknown name, or a result that cannot be written.
pub fn list(
    library: &Library,
    name: Option<&str>,
    result: &ResultArgs,
    terminal: &Terminal,
) -> Result<u8, anyhow::Error> {
    for problem in library.problems() {
        terminal.note(problem);
    }
    if let Some(name) = name {
        show(library.find(name)?, &mut std::io::stdout().lock())?;
        return Ok(exit_code::OK);
    }
    let text = |value: fn(&NamedQuery) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(library.iter().map(value)))
    };
    let batch = RecordBatch::try_from_iter([
        ("query", text(|query| query.name.clone())),
        ("answers", text(|query| query.title.clone())),
        ("parameters", text(NamedQuery::usage)),
    ])?;
    write_batch(&batch, result, terminal)
}

fn show(query: &NamedQuery, to: &mut dyn Write) -> std::io::Result<()> {
    writeln!(to, "{}: {}\n\n{}\n", query.name, query.title, query.description)?;
    for parameter in &query.parameters {
        let default = match &parameter.default {
            Some(default) => format!(", '{default}' when not given"),
            None => String::new(),
        };
        writeln!(to, "  --param {}=<{}>  {}{default}", parameter.name, parameter.kind.name(), parameter.doc)?;
    }
    writeln!(to, "\n{}", query.sql)
}

/// The values of parameters nothing declares: texts, unless their type is given.
///
/// # Errors
/// A message naming the parameter whose value is not of its type, or that is given twice.
pub fn values(given: &[Assignment]) -> Result<Values, anyhow::Error> {
    let mut values = Values::new();
    for Assignment { name, kind, value } in given {
        let literals = literals(name, kind.unwrap_or(Kind::Text), value, chrono::Utc::now())
            .map_err(anyhow::Error::msg)?;
        anyhow::ensure!(values.insert(name.clone(), literals).is_none(), "parameter {name} is given twice");
    }
    Ok(values)
}
