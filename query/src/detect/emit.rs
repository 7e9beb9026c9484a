//! Where findings go besides the screen: webhooks, and a folder that keeps them.

use super::Args;
use super::deliver::{Delivered, Webhook};
use super::finding::Finding;
use super::ledger;
use anyhow::Context as _;
use std::path::PathBuf;

/// Everything `--webhook`, `--slack` and `--write-findings` name.
#[derive(Debug)]
pub struct Sinks {
    webhooks: Vec<Webhook>,
    dead_letters: PathBuf,
    folder: Option<PathBuf>,
}

impl Sinks {
    /// From the arguments.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(args: &Args) -> Result<Sinks, anyhow::Error> {
        let mut webhooks = Vec::new();
        for (arguments, slack, name) in [(&args.webhook, false, "--webhook"), (&args.slack, true, "--slack")]
        {
            for argument in arguments {
                // The address is a secret: it is not repeated here.
                webhooks.push(Webhook::new(argument, slack).map_err(anyhow::Error::msg).context(name)?);
            }
        }
        Ok(Sinks { webhooks, dead_letters: args.dead_letter.clone(), folder: args.write_findings.clone() })
    }

    /// Sends findings everywhere; the result is whether all of them arrived.
    ///
    /// # Errors
    /// The folder or the dead-letter file cannot be written.
    pub async fn send(&self, findings: &[Finding]) -> Result<bool, anyhow::Error> {
        if let Some(folder) = &self.folder {
            let written = ledger::write(folder, findings).context("--write-findings")?;
            eprintln!("{}: {} new findings, {} updated", folder.display(), written.new, written.updated);
        }
        let mut all = Delivered::default();
        for webhook in &self.webhooks {
            let delivered = webhook
                .deliver(findings, &self.dead_letters)
                .await
                .with_context(|| format!("dead letters cannot be kept in {}", self.dead_letters.display()))?;
            all.sent += delivered.sent;
            all.dead += delivered.dead;
        }
        if all.dead > 0 {
            eprintln!(
                "error: {} findings could not be delivered and are in {} with the reason; {} were",
                all.dead,
                self.dead_letters.display(),
                all.sent
            );
        }
        Ok(all.dead == 0)
    }
}
