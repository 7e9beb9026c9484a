//! Standard error, and what is known of the terminal.

use super::{Color, GlobalArgs};
use crate::output::Screen;
use crate::output::neutral::neutral;
use crate::tables::notices::Notices;
use std::io::{IsTerminal, Write};

/// Width assumed when a terminal does not tell its own.
const WIDTH_UNKNOWN: usize = 80;

/// What may be shown where.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    stdout: Option<usize>,
    stderr: bool,
    color_stdout: bool,
    color_stderr: bool,
    progress: bool,
    quiet: bool,
    verbose: bool,
}

impl Terminal {
    /// Looks at both streams.
    pub fn new(args: &GlobalArgs) -> Self {
        let stdout = std::io::stdout()
            .is_terminal()
            .then(|| comfy_table::Table::new().width().map_or(WIDTH_UNKNOWN, usize::from).max(1));
        let stderr = std::io::stderr().is_terminal();
        // https://no-color.org: any value but the empty one.
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let color = |terminal: bool| match args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && wanted,
        };
        Terminal {
            color_stdout: color(stdout.is_some()),
            color_stderr: color(stderr),
            progress: stderr && !args.no_progress && !args.quiet,
            quiet: args.quiet,
            verbose: args.verbose,
            stdout,
            stderr,
        }
    }

    /// The screen results are shown on.
    pub fn screen(&self) -> Screen {
        Screen { width: self.stdout, color: self.color_stdout }
    }

    /// Whether results are shown on a terminal.
    pub fn shows_results(&self) -> bool {
        self.stdout.is_some()
    }

    /// Whether results may be coloured.
    pub fn colored(&self) -> bool {
        self.color_stdout
    }

    /// Whether somebody sits before both streams.
    pub fn is_interactive(&self) -> bool {
        self.stdout.is_some() && self.stderr
    }

    /// Whether progress may be drawn.
    pub fn progress(&self) -> bool {
        self.progress
    }

    /// Whether a line about each query is wanted.
    pub fn summary(&self) -> bool {
        self.verbose || (self.stderr && !self.quiet)
    }

    /// Prints a message for the analyst.
    pub fn note(&self, message: &str) {
        if !self.quiet {
            self.line("note", "33", message);
        }
    }

    /// Prints a line about a query.
    pub fn aside(&self, message: &str) {
        let _ = match self.color_stderr {
            true => writeln!(std::io::stderr(), "\x1b[2m{message}\x1b[0m"),
            false => writeln!(std::io::stderr(), "{message}"),
        };
    }

    /// Prints what a session has to say since the last time.
    pub fn notices(&self, notices: &Notices) {
        for message in notices.take() {
            self.note(&message);
        }
    }

    /// Prints an error with its causes.
    pub fn error(&self, error: &anyhow::Error) {
        let mut text = String::new();
        for cause in error.chain() {
            let message = cause.to_string();
            if !text.contains(&message) {
                text = if text.is_empty() { message } else { format!("{text}: {message}") };
            }
        }
        self.line("error", "31", &text);
    }

    /// Errors quote SQL, paths and values, so their lines are made harmless one by one. A standard
    /// error that is gone is no reason to fail.
    fn line(&self, kind: &str, color: &str, message: &str) {
        let safe: Vec<String> = message.lines().map(|line| neutral(line).into_owned()).collect();
        let safe = safe.join("\n");
        let _ = match self.color_stderr {
            true => writeln!(std::io::stderr(), "\x1b[1;{color}m{kind}\x1b[0m: {safe}"),
            false => writeln!(std::io::stderr(), "{kind}: {safe}"),
        };
    }
}
