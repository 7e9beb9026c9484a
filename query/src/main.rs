//! Entry point of `logq`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(logq_query::cli::main())
}
