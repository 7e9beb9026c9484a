//! `logq-processor validate`.

use crate::causes::describe;
use crate::config::Config;
use crate::discover::cloudwatch::groups::matching;
use crate::discover::cloudwatch::requests::Requests;
use crate::discover::queue;
use crate::exit_code;
use crate::integrity::keys::PublicKeys;
use crate::storage::Lake;
use anyhow::Result;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Also ask for what the configuration names: log groups, and the lake and queue given here.
    #[arg(long)]
    connect: bool,
    /// The lake to look for with --connect. Made when it does not exist.
    #[arg(long, env = "LOGQ_LAKE", value_name = "DIR|URL", requires = "connect")]
    lake: Option<String>,
    /// The queue to look for with --connect; nothing is received from it.
    #[arg(long, value_name = "URL", requires = "connect")]
    sqs_queue_url: Option<String>,
    /// Address of the SQS service, instead of the Region's.
    #[arg(long, value_name = "URL", requires = "sqs_queue_url")]
    sqs_endpoint: Option<String>,
}

/// Checks the file, prints the effective values, and looks for what is out there when asked to.
pub(super) async fn run(arguments: ValidateArgs) -> Result<u8> {
    let config = Config::load(Some(&arguments.config))?;
    if let Some(path) = &config.cloudtrail_public_keys {
        PublicKeys::load(path)?;
    }
    // A reader that has seen enough is no error.
    let _ = std::io::stdout().write_all(config.to_toml().as_bytes());
    if !arguments.connect {
        return Ok(exit_code::OK);
    }
    let mut reached = true;
    let mut say = |what: String, result: Result<String>| match result {
        Ok(found) => eprintln!("ok      {what}: {found}"),
        Err(error) => {
            reached = false;
            eprintln!("failed  {what}: {error:#}");
        }
    };
    if let Some(location) = &arguments.lake {
        let lake = Lake::open(location).await;
        say(
            format!("lake {location}"),
            lake.map(|_| "reached, honours conditional puts".to_owned()).map_err(Into::into),
        );
    }
    if let Some(url) = arguments.sqs_queue_url {
        let what = format!("queue {url}");
        let waiting = queue::waiting(&url, arguments.sqs_endpoint).await;
        let waiting = waiting.map_err(|error| anyhow::anyhow!("the queue does not answer: {error}"));
        say(what, waiting.map(|messages| format!("{messages} messages wait")));
    }
    for section in &config.cloudwatch_logs {
        let requests = Requests::open(section).await;
        let found = matching(&requests, &section.groups).await;
        let result = match found {
            Ok((groups, without)) if without.is_empty() => Ok(format!("{} log groups", groups.len())),
            Ok((_, without)) => Err(anyhow::anyhow!("no log group is called {}", without.join(", "))),
            Err(error) => Err(anyhow::anyhow!(describe(&error))),
        };
        say(format!("section {}", section.name), result);
    }
    Ok(if reached { exit_code::OK } else { exit_code::FAILED })
}
