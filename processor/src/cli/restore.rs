//! `logq-processor restore`.

use super::{Common, Format};
use crate::causes::describe;
use crate::exit_code;
use crate::lifecycle::prices::Prices;
use crate::restore::Tier;
use crate::restore::estimate::{self, Estimate};
use crate::restore::manifest::{Archive, ArchivedFile, Sealed};
use crate::restore::progress::{Note, Notes};
use crate::restore::survey::{self, Requested, State, Surveyed};
use crate::s3_client;
use crate::storage::Lake;
use anyhow::{Result, bail};
use aws_sdk_s3::Client;
use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, ValueEnum};
use std::collections::{BTreeMap, BTreeSet};

mod show;

/// Requests between two notes: a run that is killed forgets the time of at most so many.
const REQUESTS_PER_NOTE: usize = 500;

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// What to do.
    #[arg(value_enum, default_value_t = Action::Request)]
    action: Action,
    #[command(flatten)]
    common: Common,
    /// The archive: a directory, file://… or s3://bucket/prefix. Default: `archive` beside the lake.
    #[arg(long, env = "LOGQ_ARCHIVE", value_name = "DIR|URL")]
    archive: Option<String>,
    /// The table.
    #[arg(long, value_name = "NAME")]
    table: String,
    /// First day, UTC.
    #[arg(long, value_name = "YYYY-MM-DD")]
    since: NaiveDate,
    /// Last day, UTC.
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: NaiveDate,
    /// How fast, and how dear.
    #[arg(long, value_enum, default_value_t = Tier::Bulk)]
    tier: Tier,
    /// Days S3 keeps the restored copies.
    #[arg(long, value_name = "NUMBER", default_value_t = 7, value_parser = clap::value_parser!(i32).range(1..))]
    days: i32,
    /// Refuse when the estimate is above this many dollars.
    #[arg(long, value_name = "DOLLARS")]
    cost_max: Option<f64>,
    /// Show what would be asked for and what it would cost; ask for nothing.
    #[arg(long)]
    dry_run: bool,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Ask S3 to restore what is offline and not on its way.
    Request,
    /// Show where each day stands; ask for nothing.
    Status,
}

pub(super) async fn run(arguments: RestoreArgs) -> Result<u8> {
    match arguments.action {
        Action::Request => request(arguments).await,
        Action::Status => status(arguments).await,
    }
}

/// The archived files of the days and where they stand.
struct Look {
    lake: Lake,
    client: Option<Client>,
    sealed: Sealed,
    files: Vec<Surveyed>,
    notes: Notes,
}

impl Look {
    async fn new(arguments: &RestoreArgs) -> Result<Look> {
        if arguments.since > arguments.until {
            bail!("--since {} lies after --until {}", arguments.since, arguments.until);
        }
        let location = arguments.archive.clone().unwrap_or_else(|| beside(&arguments.common.lake));
        let archive = Archive::open(&location)?;
        let lake = Lake::open(&arguments.common.lake).await?;
        let mut sealed = archive.sealed(&arguments.table, arguments.since, arguments.until).await?;
        let client = match archive.location().starts_with("s3") {
            true => Some(s3_client::open().await),
            false => None,
        };
        let files = survey::look(client.as_ref(), std::mem::take(&mut sealed.files)).await;
        let days: BTreeSet<NaiveDate> = files.iter().map(|one| one.file.date).collect();
        let notes = Notes::read(&lake, &arguments.table, days).await?;
        Ok(Look { lake, client, sealed, files, notes })
    }

    /// Files nobody can read whatever is restored, and manifests that hide some.
    fn broken(&self) -> usize {
        let lost = |one: &&Surveyed| matches!(one.state, State::Missing | State::Unknown { .. });
        self.files.iter().filter(lost).count() + self.sealed.unreadable.len()
    }

    fn name_broken(&self) {
        for reason in &self.sealed.unreadable {
            eprintln!("logq-processor: {reason}");
        }
        for one in &self.files {
            match &one.state {
                State::Missing => {
                    eprintln!("logq-processor: {} is in a manifest but not there", one.file.location)
                }
                State::Unknown { reason } => eprintln!("logq-processor: {}: {reason}", one.file.location),
                _ => {}
            }
        }
    }
}

/// `archive` beside the lake's last part.
fn beside(lake: &str) -> String {
    let lake = lake.trim_end_matches('/');
    match lake.rfind('/') {
        Some(at) if !lake[..at].ends_with('/') => format!("{}/archive", &lake[..at]),
        _ => format!("{lake}/archive"),
    }
}

async fn status(arguments: RestoreArgs) -> Result<u8> {
    let look = Look::new(&arguments).await?;
    look.name_broken();
    let now = Utc::now();
    let rows = show::rows(&look.files, &look.notes, now);
    match arguments.format {
        Format::Json => println!("{}", show::status_json(&rows, &look.sealed, look.broken())),
        Format::Text => print!("{}", show::status_text(&rows, &look.sealed, &arguments.table, now)),
    }
    let readable = |one: &Surveyed| matches!(one.state, State::Readable | State::Ready { .. });
    let all = look.files.iter().all(readable) && look.sealed.unreadable.is_empty();
    Ok(if all { exit_code::OK } else { exit_code::INCOMPLETE })
}

async fn request(arguments: RestoreArgs) -> Result<u8> {
    let mut look = Look::new(&arguments).await?;
    look.name_broken();
    let estimates = estimate::of(&look.files, arguments.tier, arguments.days, &Prices::default());
    if let Some(class) = estimates.iter().find(|one| one.hours.is_none()).map(|one| one.class) {
        bail!("S3 has no {} restore from {class}: use --tier standard or bulk", arguments.tier.as_str());
    }
    let dollars: f64 = estimates.iter().map(|one| one.retrieval + one.copies).sum();
    if let Some(most) = arguments.cost_max.filter(|most| dollars > *most) {
        bail!(
            "the restore is estimated at ${dollars:.2}, more than --cost-max {most}: ask for fewer days or another tier"
        );
    }
    let mut done = Done::default();
    if !arguments.dry_run {
        done = ask(&mut look, &arguments).await?;
    }
    let broken = look.broken() + done.refused.len();
    for (location, reason) in &done.refused {
        eprintln!("logq-processor: {location}: {reason}");
    }
    let shown = Shown { arguments: &arguments, look: &look, estimates: &estimates, done: &done, dollars };
    match arguments.format {
        Format::Json => println!("{}", show::request_json(&shown)),
        Format::Text => print!("{}", show::request_text(&shown)),
    }
    Ok(if broken > 0 { exit_code::INCOMPLETE } else { exit_code::OK })
}

/// What there is to show about a request.
struct Shown<'a> {
    arguments: &'a RestoreArgs,
    look: &'a Look,
    estimates: &'a [Estimate],
    done: &'a Done,
    dollars: f64,
}

#[derive(Default)]
struct Done {
    taken: u64,
    already: u64,
    refused: Vec<(String, String)>,
}

/// Asks for every archived file, and notes it day by day.
async fn ask(look: &mut Look, arguments: &RestoreArgs) -> Result<Done> {
    let mut done = Done::default();
    let Some(client) = &look.client else { return Ok(done) };
    let wanted: Vec<&ArchivedFile> = look
        .files
        .iter()
        .filter(|one| matches!(one.state, State::Archived { .. }))
        .map(|one| &one.file)
        .collect();
    for group in wanted.chunks(REQUESTS_PER_NOTE) {
        let answers = survey::request(client, group, arguments.tier, arguments.days).await;
        let mut noted: BTreeMap<NaiveDate, Vec<String>> = BTreeMap::new();
        for (file, answer) in group.iter().zip(answers) {
            match answer {
                Requested::Taken => {
                    done.taken += 1;
                    noted.entry(file.date).or_default().push(file.location.clone());
                }
                Requested::Already => done.already += 1,
                Requested::Refused(reason) => done.refused.push((file.location.clone(), reason)),
            }
        }
        let at: DateTime<Utc> = Utc::now();
        let note = Note { at, tier: arguments.tier, days: arguments.days };
        for (day, locations) in noted {
            let added = look.notes.add(&look.lake, &arguments.table, day, locations, note).await;
            // The requests are made: without the note only the time of arrival is unknown.
            if let Err(error) = added {
                eprintln!("logq-processor: the time of the request is not noted: {}", describe(&error));
            }
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_lies_beside_the_lake() {
        assert_eq!(beside("s3://logs/lake"), "s3://logs/archive");
        assert_eq!(beside("s3://logs/deep/lake/"), "s3://logs/deep/archive");
        assert_eq!(beside("/data/lake"), "/data/archive");
        assert_eq!(beside("s3://logs"), "s3://logs/archive");
    }
}
