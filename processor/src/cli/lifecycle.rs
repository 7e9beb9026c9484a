//! `logq-processor lifecycle`.

use super::Format;
use crate::causes::describe;
use crate::exit_code;
use crate::lifecycle::bucket::{Observed, put_lock};
use crate::lifecycle::danger::{self, Finding, Severity};
use crate::lifecycle::live::LiveFiles;
use crate::lifecycle::plan::BucketPlan;
use crate::lifecycle::policy::{Policy, Volume};
use crate::lifecycle::{cost, declare};
use crate::s3_client;
use anyhow::{Result, bail};
use aws_sdk_s3::Client;
use clap::{Args, Subcommand};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

mod show;

#[derive(Debug, Args)]
pub(super) struct LifecycleArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what would change in each bucket, and what the policy costs a year.
    Plan(PlanArgs),
    /// Put the rules the policy asks for; rules of others are kept.
    Apply(ApplyArgs),
    /// For CI: compare and look for rules that endanger the lake or the archive; change nothing.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct PolicyArgs {
    /// Policy file (TOML).
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
}

#[derive(Debug, Args)]
struct PlanArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// GB that arrive a day, as stored, instead of the policy's.
    #[arg(long, value_name = "GB")]
    gb_per_day: Option<f64>,
    /// Objects that arrive a day, instead of the policy's.
    #[arg(long, value_name = "NUMBER")]
    objects_per_day: Option<f64>,
    /// How the plan is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Args)]
struct ApplyArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Apply only if the plan still has this fingerprint, as `plan` printed it.
    #[arg(long, value_name = "FINGERPRINT")]
    plan: Option<String>,
    /// Also set the archive's Object Lock retention. COMPLIANCE cannot be taken back.
    #[arg(long)]
    object_lock: bool,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// How the findings are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) async fn run(arguments: LifecycleArgs) -> Result<u8> {
    match arguments.action {
        Action::Plan(arguments) => plan(arguments).await,
        Action::Apply(arguments) => apply(arguments).await,
        Action::Check(arguments) => check(arguments).await,
    }
}

/// The policy held against the buckets.
struct Comparison {
    policy: Policy,
    client: Client,
    plans: Vec<BucketPlan>,
    /// Dangers, not deviations.
    findings: Vec<Finding>,
}

impl Comparison {
    async fn new(arguments: &PolicyArgs) -> Result<Comparison> {
        let policy = Policy::load(&arguments.policy)?;
        let client = s3_client::open().await;
        let mut plans = Vec::new();
        for (bucket, rules) in declare::rules(&policy) {
            plans.push(BucketPlan::new(Observed::read(&client, &bucket).await?, rules));
        }
        let mut findings = danger::in_policy(&policy);
        for plan in &plans {
            findings.extend(danger::in_protection(&policy, &plan.observed));
            let found = danger::in_bucket(&policy, &plan.observed, &plan.after, None);
            let is_lake = |one: &Finding| matches!(one.code, "lake-archived" | "lake-expires");
            // The logs of the tables are read only when there is something to say about their files.
            let named = match policy.lake.as_ref().filter(|_| found.iter().any(is_lake)) {
                Some(lake) => match LiveFiles::read(lake).await {
                    Ok(live) => Some(danger::in_bucket(&policy, &plan.observed, &plan.after, Some(&live))),
                    Err(error) => {
                        eprintln!("logq-processor: files of the tables are not named: {}", describe(&error));
                        None
                    }
                },
                None => None,
            };
            findings.extend(named.unwrap_or(found));
        }
        findings.sort_by(|one, other| {
            (one.severity, &one.bucket, one.code).cmp(&(other.severity, &other.bucket, other.code))
        });
        Ok(Comparison { policy, client, plans, findings })
    }

    /// Changes with what the buckets have and with what they are to have.
    fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        for plan in &self.plans {
            digest.update(plan.observed.bucket.as_bytes());
            digest.update(plan.observed.fingerprint().as_bytes());
            for rule in &plan.after {
                digest.update(rule.text().as_bytes());
            }
        }
        digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    fn errors(&self) -> usize {
        self.findings.iter().filter(|one| one.severity == Severity::Error).count()
    }
}

async fn plan(arguments: PlanArgs) -> Result<u8> {
    for (name, given) in
        [("gb-per-day", arguments.gb_per_day), ("objects-per-day", arguments.objects_per_day)]
    {
        if given.is_some_and(|number| !number.is_finite() || number < 0.0) {
            bail!("--{name} must be a number from 0 on");
        }
    }
    let comparison = Comparison::new(&arguments.policy).await?;
    let base = comparison.policy.volume;
    let volume = Volume {
        gb_per_day: arguments.gb_per_day.unwrap_or(base.gb_per_day),
        objects_per_day: arguments.objects_per_day.unwrap_or(base.objects_per_day),
        ..base
    };
    let costs = cost::of(&comparison.policy, volume);
    let fingerprint = comparison.fingerprint();
    match arguments.format {
        Format::Json => {
            let (first_year, per_year) = cost::total(&costs);
            let buckets: Vec<_> = comparison
                .plans
                .iter()
                .map(|plan| json!({"bucket": plan.observed.bucket, "steps": plan.steps}))
                .collect();
            let prices = &comparison.policy.prices;
            println!(
                "{}",
                json!({
                    "plan": fingerprint,
                    "buckets": buckets,
                    "findings": comparison.findings,
                    "costs": costs,
                    "dollars": {"first_year": first_year, "per_year": per_year},
                    "prices": {"region": prices.region, "as_of": prices.as_of},
                })
            );
        }
        Format::Text => {
            print!("{}", show::steps(&comparison.plans));
            print!("{}", show::findings(&comparison.findings));
            print!("{}", show::costs(&costs, volume, &comparison.policy.prices));
            println!(
                "\nplan {fingerprint}: `lifecycle apply --plan {fingerprint}` applies this and nothing else"
            );
        }
    }
    Ok(exit_code::OK)
}

async fn apply(arguments: ApplyArgs) -> Result<u8> {
    let comparison = Comparison::new(&arguments.policy).await?;
    let fingerprint = comparison.fingerprint();
    if arguments.plan.is_some_and(|plan| plan != fingerprint) {
        bail!(
            "the buckets' rules or the policy changed since that plan; the plan is {fingerprint} now: look at it again"
        );
    }
    // A lock that is yet to be set is what this command is for.
    let sets_lock = |one: &Finding| {
        arguments.object_lock && one.code.starts_with("lock-") && one.code != "lock-covers-lake"
    };
    let blocking: Vec<Finding> = comparison
        .findings
        .iter()
        .filter(|one| {
            one.severity == Severity::Error && !one.code.starts_with("lock-missing") && !sets_lock(one)
        })
        .cloned()
        .collect();
    if !blocking.is_empty() {
        print!("{}", show::findings(&blocking));
        eprintln!("logq-processor: nothing was applied: resolve the findings first");
        return Ok(exit_code::INCOMPLETE);
    }
    print!("{}", show::findings(&comparison.findings));
    let pending: Vec<&BucketPlan> = comparison.plans.iter().filter(|plan| !plan.is_done()).collect();
    let lock = comparison.policy.archive.as_ref().and_then(|archive| Some((archive, archive.lock?)));
    let lock = lock.filter(|_| comparison.findings.iter().any(sets_lock));
    if pending.is_empty() && lock.is_none() {
        println!("nothing to do: every bucket is as the policy says");
        return Ok(exit_code::OK);
    }
    print!("{}", show::steps(&comparison.plans));
    if let Some((archive, lock)) = lock {
        println!(
            "bucket {}\n  ~ new objects are locked for {} years ({})",
            archive.root.bucket,
            lock.years,
            lock.mode.as_str()
        );
    }
    if !arguments.yes && !confirmed()? {
        println!("nothing was applied");
        return Ok(exit_code::OK);
    }
    for plan in pending {
        plan.apply(&comparison.client).await?;
        println!("applied to {}", plan.observed.bucket);
    }
    if let Some((archive, lock)) = lock {
        put_lock(&comparison.client, &archive.root.bucket, lock).await?;
        println!("locked {}", archive.root.bucket);
    }
    Ok(exit_code::OK)
}

/// Asks on the terminal; without one, `--yes` is wanted.
fn confirmed() -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("there is no terminal to ask on: give --yes");
    }
    eprint!("apply? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn check(arguments: CheckArgs) -> Result<u8> {
    let comparison = Comparison::new(&arguments.policy).await?;
    let deviations: Vec<Finding> = comparison.plans.iter().flat_map(BucketPlan::deviations).collect();
    let failed = comparison.errors() + deviations.len();
    let findings: Vec<Finding> = comparison.findings.iter().cloned().chain(deviations).collect();
    match arguments.format {
        Format::Json => println!("{}", json!({"findings": findings, "errors": failed})),
        Format::Text => {
            print!("{}", show::findings(&findings));
            let buckets: BTreeSet<&str> =
                comparison.plans.iter().map(|plan| plan.observed.bucket.as_str()).collect();
            let buckets = buckets.into_iter().collect::<Vec<_>>().join(", ");
            if failed == 0 {
                println!("{buckets}: as the policy says");
            } else {
                println!("{buckets}: {failed} finding{} to resolve", if failed == 1 { "" } else { "s" });
            }
        }
    }
    Ok(if failed > 0 { exit_code::INCOMPLETE } else { exit_code::OK })
}
