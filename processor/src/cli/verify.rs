//! `logq-processor verify`.

mod archive;
mod cloudtrail;

pub(super) use cloudtrail::moment;

use anyhow::Result;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Read every file of the archive and compare it with its manifest.
    Archive(archive::ArchiveArgs),
    /// Check CloudTrail log files against the digest chains that lie beside them.
    Cloudtrail(cloudtrail::CloudtrailArgs),
}

/// Runs the subcommand; gives the exit code.
pub(super) async fn run(arguments: VerifyArgs) -> Result<u8> {
    match arguments.what {
        What::Archive(arguments) => archive::run(arguments).await,
        What::Cloudtrail(arguments) => cloudtrail::run(arguments).await,
    }
}
