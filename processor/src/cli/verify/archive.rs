//! `logq-processor verify archive`.

use crate::cli::Format;
use crate::cli::days::count;
use crate::config::Config;
use crate::exit_code;
use crate::lake::archive::{Archive, Storing};
use crate::lake::verify::{Report, verify};
use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct ArchiveArgs {
    /// Where the archive is: a directory or s3://bucket/prefix.
    #[arg(long, value_name = "DIR|URL")]
    archive: Option<String>,
    /// Configuration file (TOML) that says where the archive is.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only what lies below this part of the archive, such as `cloudtrail/event_date=2026-11-22`.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Verifies the archive; gives the exit code.
pub(super) async fn run(arguments: ArchiveArgs) -> Result<u8> {
    let config = Config::load(arguments.config.as_deref())?;
    let Some(location) = arguments.archive.or(config.maintenance.archive) else {
        bail!(
            "where the archive is was not said: give --archive, or --config with `archive` under [maintenance]"
        );
    };
    let archive = Archive::open_existing(&location, Storing::default()).await?;
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}")
    {
        bar.set_style(style);
    }
    let report = verify(&archive, &arguments.prefix, |read, total| {
        bar.set_length(total);
        bar.inc(read);
    })
    .await?;
    bar.finish_and_clear();
    match arguments.format {
        Format::Json => println!("{}", serde_json::to_string(&report).context("cannot print the report")?),
        Format::Text => text(&report),
    }
    Ok(if report.findings.is_empty() { exit_code::OK } else { exit_code::INCOMPLETE })
}

fn text(report: &Report) {
    for finding in &report.findings {
        println!("{:<10} {}: {}", format!("{:?}", finding.what).to_lowercase(), finding.key, finding.detail);
    }
    println!(
        "{} of {} as sealed, {} read; {}",
        count(report.ok, "file"),
        count(report.manifests, "manifest"),
        HumanBytes(report.bytes),
        count(report.findings.len() as u64, "finding")
    );
}
