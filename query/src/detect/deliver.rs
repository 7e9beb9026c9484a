//! Findings to webhooks: as they are, or as Slack messages.
//!
//! Promises: each finding is posted at least once or ends in the dead-letter file, with the reason
//! and never silently. A busy or broken receiver is tried again with growing pauses; one that
//! refuses for good is not. The finding's id travels as `Idempotency-Key`, so that a receiver can
//! drop what it has seen. Addresses of webhooks are secrets and appear in no message.

use super::finding::Finding;
use super::report::safe_json;
use super::sql_text::shown;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// Attempts for one finding; with the pauses below a receiver may be away for 15 seconds.
const ATTEMPTS: u32 = 5;

/// First pause; each later one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest pause a receiver may ask for with `Retry-After`.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Time for one attempt.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where findings are posted.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The address.
    url: reqwest::Url,
    /// Whether it takes Slack messages.
    slack: bool,
    pause: Duration,
}

/// What became of a delivery.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Findings posted.
    pub sent: usize,
    /// Findings in the dead-letter file.
    pub dead: usize,
}

/// Why a finding was not taken.
enum Refusal {
    /// Worth another attempt, after this pause when the receiver names one.
    Later(String, Option<Duration>),
    Never(String),
}

impl Webhook {
    /// From an argument: an address, or `@FILE` that holds it, so that it need not be on the command
    /// line for everybody on the machine to see.
    ///
    /// # Errors
    /// A file that cannot be read, or a text that is no http address.
    pub fn new(argument: &str, slack: bool) -> Result<Webhook, String> {
        let text = match argument.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?,
            None => argument.to_owned(),
        };
        match reqwest::Url::parse(text.trim()) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Webhook { url, slack, pause: PAUSE }),
            _ => Err("not an http or https address".to_owned()),
        }
    }

    /// Posts findings one by one. What cannot be delivered is appended to `dead_letters`.
    ///
    /// # Errors
    /// The dead-letter file cannot be written: then findings would be lost.
    pub async fn deliver(
        &self,
        findings: &[Finding],
        dead_letters: &Path,
    ) -> Result<Delivered, std::io::Error> {
        let mut delivered = Delivered::default();
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(std::io::Error::other)?;
        for finding in findings {
            match self.post(&client, finding).await {
                Ok(()) => delivered.sent += 1,
                Err(reason) => {
                    bury(dead_letters, finding, &reason)?;
                    delivered.dead += 1;
                }
            }
        }
        Ok(delivered)
    }

    async fn post(&self, client: &reqwest::Client, finding: &Finding) -> Result<(), String> {
        let body = if self.slack { slack(finding) } else { json!(finding) }.to_string();
        let mut pause = self.pause;
        for attempt in 1..=ATTEMPTS {
            let (reason, asked) = match self.attempt(client, finding, &body).await {
                Ok(()) => return Ok(()),
                Err(Refusal::Never(reason)) => return Err(reason),
                Err(Refusal::Later(reason, asked)) => (reason, asked),
            };
            if attempt == ATTEMPTS {
                return Err(format!("{reason}, {ATTEMPTS} times"));
            }
            tokio::time::sleep(asked.unwrap_or(pause).min(PAUSE_MAX)).await;
            pause *= 2;
        }
        Ok(())
    }

    async fn attempt(&self, client: &reqwest::Client, finding: &Finding, body: &str) -> Result<(), Refusal> {
        let request = client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("idempotency-key", &finding.finding_id)
            .body(body.to_owned());
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(Refusal::Later(format!("not reached: {}", error.without_url()), None)),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let reason = format!("answered {status}");
        if status.as_u16() == 429 || status.is_server_error() {
            let seconds =
                response.headers().get("retry-after").and_then(|text| text.to_str().ok()?.parse().ok());
            return Err(Refusal::Later(reason, seconds.map(Duration::from_secs)));
        }
        Err(Refusal::Never(reason))
    }
}

/// A message Slack shows; what an attacker wrote is not taken for markup.
fn slack(finding: &Finding) -> Value {
    let plain = |text: &str| shown(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let place = [finding.account_id.as_deref(), finding.region.as_deref()];
    let text = format!(
        "*{}* {}\n{}\n{} to {} UTC {}\n`{}` {}",
        finding.severity.as_str().to_uppercase(),
        plain(&finding.rule_title),
        plain(&finding.summary),
        finding.first_seen.format("%Y-%m-%d %H:%M:%S"),
        finding.last_seen.format("%Y-%m-%d %H:%M:%S"),
        plain(&place.into_iter().flatten().collect::<Vec<_>>().join(" ")),
        plain(&finding.rule_id),
        finding.finding_id,
    );
    json!({"text": text})
}

/// Appends a finding that could not be delivered.
fn bury(path: &Path, finding: &Finding, reason: &str) -> Result<(), std::io::Error> {
    let line = safe_json(&json!({"reason": reason, "finding": finding}).to_string());
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{line}")?;
    file.sync_data()
}

#[cfg(test)]
mod tests;
