//! What a line of the shell asks for.

use crate::named::parameter::Assignment;
use crate::output::Format;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// A line, understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Statements.
    Sql(String),
    /// `\d`, `\d TABLE`.
    Describe(Option<String>),
    /// `\queries`.
    Queries,
    /// `\run NAME a=b`.
    Run {
        /// Query.
        name: String,
        /// Parameters.
        given: Vec<Assignment>,
    },
    /// `\functions`.
    Functions,
    /// `\format NAME`.
    Format(Format),
    /// `\timing`.
    Timing,
    /// `\since TIME`; without a time all of it.
    Since(Option<String>),
    /// `\export FILE`.
    Export {
        /// Where to.
        file: PathBuf,
        /// As its name says.
        format: Format,
    },
    /// `\refresh`.
    Refresh,
    /// `\?`.
    Help,
    /// `\q`.
    Quit,
}

impl Command {
    /// Reads a line.
    ///
    /// # Errors
    /// A message that says what to write.
    pub fn parse(line: &str) -> Result<Self, String> {
        match line.trim_end_matches(';').trim().to_ascii_lowercase().as_str() {
            "exit" | "quit" => return Ok(Command::Quit),
            "help" | "?" => return Ok(Command::Help),
            _ => {}
        }
        let Some(rest) = line.strip_prefix('\\') else { return Ok(Command::Sql(line.to_owned())) };
        let mut words = rest.trim_end_matches(';').split_whitespace();
        let name = words.next().unwrap_or_default();
        let mut words = words.map(str::to_owned);
        match name {
            "d" | "dt" | "tables" => Ok(Command::Describe(words.next())),
            "queries" => Ok(Command::Queries),
            "run" => {
                let name = words.next().ok_or("write \\run NAME, and a=b for its parameters")?;
                let given = words.map(|word| Assignment::parse(&word)).collect::<Result<_, _>>()?;
                Ok(Command::Run { name, given })
            }
            "functions" | "df" => Ok(Command::Functions),
            "format" => {
                let word = words.next().unwrap_or_default();
                let known: Vec<String> = Format::value_variants()
                    .iter()
                    .filter(|format| !format.is_binary())
                    .filter_map(|format| format.to_possible_value().map(|value| value.get_name().to_owned()))
                    .collect();
                Format::from_str(&word, true)
                    .ok()
                    .filter(|format| !format.is_binary())
                    .map(Command::Format)
                    .ok_or_else(|| format!("write \\format and one of {}", known.join(", ")))
            }
            "timing" => Ok(Command::Timing),
            "since" => {
                Ok(Command::Since(Some(words.collect::<Vec<_>>().join(" ")).filter(|time| !time.is_empty())))
            }
            "export" => export(words.next().as_deref()),
            "refresh" => Ok(Command::Refresh),
            "?" | "h" | "help" => Ok(Command::Help),
            "q" | "quit" | "exit" => Ok(Command::Quit),
            other => Err(format!("no command \\{other}; \\? lists them")),
        }
    }
}

fn export(file: Option<&str>) -> Result<Command, String> {
    let usage =
        "write \\export FILE with an ending that says the format: .csv .tsv .json .jsonl .md .parquet .arrow";
    let file = PathBuf::from(file.ok_or(usage)?);
    let format = format_of(&file).ok_or(usage)?;
    Ok(Command::Export { file, format })
}

fn format_of(file: &Path) -> Option<Format> {
    Some(match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "csv" => Format::Csv,
        "tsv" => Format::Tsv,
        "json" => Format::Json,
        "jsonl" | "ndjson" => Format::Jsonl,
        "md" => Format::Markdown,
        "txt" => Format::Table,
        "parquet" => Format::Parquet,
        "arrow" | "feather" | "ipc" => Format::Arrow,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_statements_or_commands() {
        assert_eq!(Command::parse("select 1;"), Ok(Command::Sql("select 1;".to_owned())));
        assert_eq!(Command::parse("\\d vpc_flow"), Ok(Command::Describe(Some("vpc_flow".to_owned()))));
        assert_eq!(Command::parse("\\d;"), Ok(Command::Describe(None)));
        assert_eq!(Command::parse("EXIT;"), Ok(Command::Quit));
        assert_eq!(Command::parse("\\since"), Ok(Command::Since(None)));
        assert_eq!(Command::parse("\\format JSONL"), Ok(Command::Format(Format::Jsonl)));
        let Ok(Command::Run { name, given }) = Command::parse("\\run ip-activity ip=10.0.0.1") else {
            panic!()
        };
        assert_eq!((name.as_str(), given[0].value.as_str()), ("ip-activity", "10.0.0.1"));
        let exported = Command::parse("\\export out.parquet");
        assert_eq!(exported, Ok(Command::Export { file: "out.parquet".into(), format: Format::Parquet }));
        for (line, expected) in [
            ("\\x", "\\?"),
            ("\\export out.doc", ".parquet"),
            ("\\format parquet", "one of table"),
            ("\\run", "\\run NAME"),
            ("\\run a b", "NAME=VALUE"),
        ] {
            assert!(Command::parse(line).unwrap_err().contains(expected), "{line}");
        }
    }
}
