//! `demo`: what `./dev demo` runs.

use clap::Parser;
use logq_tests::demo::{Options, run};
use logq_tests::harness::{GUARD, kill_with_parent};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == GUARD) {
        let Some(program) = arguments.next() else { return ExitCode::FAILURE };
        let error = kill_with_parent(Command::new(&program).args(arguments));
        eprintln!("demo: cannot run {}: {error}", program.display());
        return ExitCode::FAILURE;
    }
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
