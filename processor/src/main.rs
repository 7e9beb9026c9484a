//! Entry point of `logq-processor`.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = logq_processor::cli::Cli::parse();
    match logq_processor::cli::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("logq-processor: {error:#}");
            ExitCode::from(logq_processor::exit_code::FAILED)
        }
    }
}
