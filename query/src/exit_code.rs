//! What the exit status of `logq` says: an interface, so a number never changes its meaning.
//!
//! A reader that goes away (`logq … | head`) is success: the rows it asked for were delivered.

use std::fmt::Write;

/// Done; the answer is complete.
pub const OK: u8 = 0;
/// The command line, the SQL or a rule file is wrong; nothing was answered.
pub const USAGE: u8 = 1;
/// `logq detect --fail-on`: findings at or above the given severity.
pub const FINDINGS: u8 = 2;
/// The answer would be incomplete: an object of the lake is missing, archived or damaged. It is
/// named on standard error.
pub const INCOMPLETE: u8 = 3;
/// The lake cannot be found, reached or read.
pub const LAKE: u8 = 4;
/// The memory limit, the spill space or the disk was not enough.
pub const RESOURCES: u8 = 5;
/// Writing the result failed for another reason than the reader going away.
pub const OUTPUT: u8 = 6;
/// Ended by Ctrl-C: 128 + SIGINT.
pub const INTERRUPTED: u8 = 130;

/// Every code with its meaning, in numeric order.
pub const ALL: [(u8, &str); 8] = [
    (OK, "Done; the answer is complete. Also when the reader of a pipe goes away."),
    (USAGE, "The command line, the SQL or a rule file is wrong; nothing was answered."),
    (FINDINGS, "`logq detect --fail-on`: findings at or above the given severity."),
    (
        INCOMPLETE,
        "The answer would be incomplete: an object of the lake is missing, archived or damaged; standard error names it.",
    ),
    (LAKE, "The lake cannot be found, reached or read."),
    (RESOURCES, "The memory limit or the disk space for spilling was not enough."),
    (OUTPUT, "The result could not be written."),
    (INTERRUPTED, "Ended by Ctrl-C."),
];

/// The table of exit codes as Markdown, for the reference page.
pub fn reference() -> String {
    let mut page = String::from("| code | meaning |\n|---|---|\n");
    for (code, meaning) in ALL {
        let _ = writeln!(page, "| {code} | {meaning} |");
    }
    page
}

/// The table of exit codes as plain text, for `--help`.
pub fn help() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning) in ALL {
        let _ = writeln!(text, "  {code:>3}  {}", meaning.replace('`', ""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_listed_in_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(reference().lines().count(), ALL.len() + 2);
    }
}
