//! `tests/sql/*.slt`: SQL over the planted rows of the named queries, with its whole answer.
//!
//! `UPDATE_EXPECTED=1` rewrites the answers; review the difference as code.

use crate::named::planted;
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::util::display::array_value_to_string;
use logq_query::session::{Lake, Options, QueryError, Session};
use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Statements there must be at least.
const STATEMENTS_MIN: usize = 200;

struct Engine {
    session: Session,
    runtime: Arc<Runtime>,
}

impl DB for Engine {
    type Error = QueryError;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, QueryError> {
        let (session, runtime) = (self.session.clone(), Arc::clone(&self.runtime));
        runtime.block_on(async move {
            let frame = session.sql(sql).await?;
            let columns = frame.schema().fields().len();
            let mut rows = Vec::new();
            for batch in session.collect(frame).await? {
                rows.extend((0..batch.num_rows()).map(|row| texts(&batch, row)));
            }
            Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; columns], rows })
        })
    }
}

fn texts(batch: &RecordBatch, row: usize) -> Vec<String> {
    let text = |values: &ArrayRef| match values.is_null(row) {
        true => "NULL".to_owned(),
        false => match array_value_to_string(values, row).unwrap() {
            // An empty line would end the answer.
            text if text.is_empty() => "(empty)".to_owned(),
            text => text,
        },
    };
    batch.columns().iter().map(text).collect()
}

#[test]
fn every_statement_has_its_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "slt"))
        .collect();
    files.sort();
    let lake = planted();
    let runtime = Arc::new(tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());
    let mut statements = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        statements +=
            text.lines().filter(|line| line.starts_with("query ") || line.starts_with("statement ")).count();
        let open = || async {
            let lake = Lake::resolve(lake.path().to_str(), Path::new("/")).unwrap();
            Session::new(Options { lake, ..Options::default() })
                .map(|session| Engine { session, runtime: Arc::clone(&runtime) })
        };
        let mut runner = Runner::new(open);
        let ran = match std::env::var_os("UPDATE_EXPECTED") {
            None => runner.run_file(&file).map_err(|error| error.to_string()),
            Some(_) => futures::executor::block_on(runner.update_test_file(
                &file,
                "\t",
                sqllogictest::default_validator,
                sqllogictest::default_normalizer,
                sqllogictest::default_column_validator,
            ))
            .map_err(|error| error.to_string()),
        };
        assert_eq!(ran, Ok(()), "{}", file.display());
    }
    assert!(statements >= STATEMENTS_MIN, "{statements}");
}
