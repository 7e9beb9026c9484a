//! Which tables and days a maintenance command works on, and how it reports.

use super::{Format, summary::grouped};
use crate::causes::describe;
use crate::config::Config;
use crate::lake::days::{MAINTAINED, by_day};
use crate::lake::table::LakeTable;
use crate::storage::Lake;
use anyhow::{Context, Result, bail};
use chrono::NaiveDate;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use logq_schemas::Table;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct LakeArgs {
    /// The lake: a directory, file://… or s3://bucket/prefix.
    #[arg(long, env = "LOGQ_LAKE", value_name = "DIR|URL")]
    pub lake: String,
    /// Configuration file (TOML): sizes, the archive and its storage, under [maintenance].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only this table. May be given several times.
    #[arg(long = "table", value_name = "NAME", value_parser = table_name)]
    pub tables: Vec<String>,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub(super) struct DayArgs {
    /// Only this day, YYYY-MM-DD (UTC).
    #[arg(long, value_name = "DAY", conflicts_with = "before")]
    pub date: Option<NaiveDate>,
    /// Only days before this one, YYYY-MM-DD (UTC).
    #[arg(long, value_name = "DAY")]
    pub before: Option<NaiveDate>,
}

impl DayArgs {
    pub(super) fn takes(&self, day: &str) -> bool {
        let date = self.date.map(|date| date.to_string());
        let before = self.before.map(|date| date.to_string());
        date.is_none_or(|date| date == day) && before.is_none_or(|before| day < before.as_str())
    }
}

fn table_name(name: &str) -> Result<String, String> {
    let names: Vec<&str> = MAINTAINED.iter().map(|table| table.name).collect();
    match names.contains(&name) {
        true => Ok(name.to_owned()),
        false => Err(format!("use one of {}", names.join(", "))),
    }
}

/// A lake that is there, and what is to be done in it.
pub(super) struct Site {
    pub lake: Lake,
    pub config: Config,
    tables: Vec<&'static Table>,
}

impl Site {
    pub(super) async fn open(arguments: &LakeArgs) -> Result<Site> {
        let config = Config::load(arguments.config.as_deref())?;
        let local = crate::storage::parse_location(&arguments.lake)?.to_file_path();
        if local.is_ok_and(|path| !path.is_dir()) {
            bail!("there is no lake at {}: check the path", arguments.lake);
        }
        let lake = Lake::open(&arguments.lake).await?;
        let named = |table: &&&Table| {
            arguments.tables.is_empty() || arguments.tables.iter().any(|name| name == table.name)
        };
        Ok(Site { lake, config, tables: MAINTAINED.iter().filter(named).copied().collect() })
    }

    /// The tables asked for that the lake has.
    pub(super) async fn tables(&self) -> Result<Vec<LakeTable>> {
        let mut found = Vec::new();
        for schema in &self.tables {
            found.extend(LakeTable::open_existing(&self.lake, schema).await?);
        }
        if found.is_empty() {
            bail!("the lake {} has none of these tables: check the location", self.lake.url());
        }
        Ok(found)
    }
}

/// The days of a table that are asked for.
pub(super) fn days(table: &LakeTable, takes: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let days = by_day(table).with_context(|| format!("table `{}`", table.schema().name))?;
    Ok(days.into_keys().filter(|day| takes(day)).collect())
}

/// What was done, and what failed: a failure of one day stops no other.
#[derive(Debug, Serialize)]
pub(super) struct Outcome<T> {
    pub done: Vec<T>,
    pub failed: Vec<String>,
}

impl<T> Outcome<T> {
    pub(super) fn new() -> Outcome<T> {
        Outcome { done: Vec::new(), failed: Vec::new() }
    }

    pub(super) fn note<E: std::error::Error>(&mut self, what: &str, result: Result<T, E>) {
        match result {
            Ok(one) => self.done.push(one),
            Err(error) => {
                let text = format!("{what}: {}", describe(&error));
                eprintln!("logq-processor: {text}");
                self.failed.push(text);
            }
        }
    }
}

impl<T: Serialize> Outcome<T> {
    /// Prints the report: as JSON, or one line for each `line` that says something.
    pub(super) fn print(
        &self,
        format: Format,
        line: impl Fn(&T) -> Option<String>,
        nothing: &str,
    ) -> Result<()> {
        match format {
            Format::Json => println!("{}", serde_json::to_string(self).context("cannot print the report")?),
            Format::Text => {
                let lines: Vec<String> = self.done.iter().filter_map(line).collect();
                lines.iter().for_each(|line| println!("{line}"));
                if lines.is_empty() && self.failed.is_empty() {
                    println!("{nothing}");
                }
            }
        }
        Ok(())
    }
}

/// `3 files`, `1 file`.
pub(super) fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A bar over days; hidden off a terminal.
pub(super) fn progress(days: usize) -> ProgressBar {
    let bar = ProgressBar::new(days as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} days, {msg}, eta {eta}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_chosen_by_date_or_bound() {
        let day = |text: &str| text.parse::<NaiveDate>().ok();
        let date = DayArgs { date: day("2026-11-22"), before: None };
        assert!(date.takes("2026-11-22") && !date.takes("2026-11-21"));
        let before = DayArgs { date: None, before: day("2026-11-22") };
        assert!(before.takes("2026-11-21") && !before.takes("2026-11-22"));
        assert!(DayArgs { date: None, before: None }.takes("2026-11-22"));
    }
}
