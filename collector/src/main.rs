//! The binary `logq-collector`.

use std::process::ExitCode;

fn main() -> ExitCode {
    logq_collector::cli::main()
}
