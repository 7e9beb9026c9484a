//! `docs/reference/logq.md`, generated from the program itself.

use super::command;
use crate::named::library;
use crate::{exit_code, functions};
use std::fmt::Write;

/// The reference page.
pub fn page() -> String {
    let mut page =
        String::from("# logq\n\n<!-- Generated from the crate `query` by `./dev docs`; do not edit. -->\n");
    // A fixed width: the page must not depend on the terminal it is generated in.
    let mut root = command().term_width(100);
    root.build();
    section(&mut page, &mut root, "logq");
    let names: Vec<String> = root
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .filter(|name| name != "help")
        .collect();
    for name in names {
        if let Some(command) = root.find_subcommand_mut(&name) {
            section(&mut page, command, &format!("logq {name}"));
        }
    }
    let _ = write!(page, "\n## Exit codes\n\n{}", exit_code::reference());
    let _ = write!(page, "\n## Functions\n\nThose of the engine, and:\n\n{}", functions::reference());
    let _ = write!(page, "\n## Named queries\n\n{}", library::reference());
    page.push_str(FORMATS);
    page
}

fn section(page: &mut String, command: &mut clap::Command, title: &str) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(page, "\n## `{title}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
}

const FORMATS: &str = "
## Formats

* `table`: aligned columns. On a terminal it fits the width, cells of more than 400 characters are
  cut with a mark, and where the columns do not fit every row is written one value per line. Times
  are UTC. Control characters, escape sequences and characters that hide or reorder text are shown
  as escapes.
* `vertical`: one value per line, nothing cut.
* `csv`: RFC 4180 with a header line; times in RFC 3339, bytes in base64, lists and structs as JSON.
  Null is an empty cell, an empty text is `\"\"`. A text cell a spreadsheet would run as a formula
  (`=`, `+`, `-`, `@`, tab, carriage return or line feed first) gets a `'` in front; `--csv-raw`
  switches that off.
* `tsv`: as `csv`, with tab, line feed, carriage return and backslash written as `\\t`, `\\n`, `\\r`, `\\\\`
  and null as `\\N`: a row is a line whatever is in it.
* `markdown`: a table for documents and tickets; everything that would be markup is escaped.
* `json`: the objects of `jsonl` as one array. `parquet`, `arrow`: files for programs, with types; one
  statement, not to a terminal.
* `jsonl`: one object per row with every column, null included. Integers are numbers with all 64
  bits, times RFC 3339 text, bytes base64 text; columns that hold JSON text stay text.
";
