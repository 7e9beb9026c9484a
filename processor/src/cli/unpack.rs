//! `logq-processor unpack`.

use crate::config::Config;
use crate::exit_code;
use crate::lake::archive::{Archive, Storing};
use crate::lake::raw::unpack;
use anyhow::{Context, Result, bail};
use chrono::NaiveDate;
use clap::Args;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct UnpackArgs {
    /// Where the archive is: a directory or s3://bucket/prefix.
    #[arg(long, value_name = "DIR|URL")]
    archive: Option<String>,
    /// Configuration file (TOML) that says where the archive is.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Day of the object's first event, YYYY-MM-DD: spares reading the manifests of the others.
    #[arg(long, value_name = "DAY")]
    date: Option<NaiveDate>,
    /// Where to write the object; stdout by default.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Location the object once had, or its object_id.
    #[arg(value_name = "LOCATION|OBJECT_ID")]
    object: String,
}

/// Writes one original, byte for byte as it was.
pub(super) async fn run(arguments: UnpackArgs) -> Result<u8> {
    let config = Config::load(arguments.config.as_deref())?;
    let Some(location) = arguments.archive.or(config.maintenance.archive) else {
        bail!(
            "where the archive is was not said: give --archive, or --config with `archive` under [maintenance]"
        );
    };
    let archive = Archive::open_existing(&location, Storing::default()).await?;
    let day = arguments.date.map(|date| date.to_string());
    let (member, bytes) = unpack(&archive, &arguments.object, day.as_deref()).await?;
    match &arguments.output {
        Some(path) => {
            std::fs::write(path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => {
            let mut stdout = std::io::stdout().lock();
            if stdout.is_terminal() && std::str::from_utf8(&bytes).is_err() {
                bail!("the object is not text: give --output, or redirect stdout");
            }
            match stdout.write_all(&bytes).and_then(|()| stdout.flush()) {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    return Err(error).context("cannot write to stdout");
                }
                _ => {}
            }
        }
    }
    eprintln!("{}: {} bytes, SHA-256 {}", member.location, member.length, member.sha256);
    Ok(exit_code::OK)
}
