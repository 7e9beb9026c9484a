//! How far a backfill is: a bar on a terminal, a log line now and then elsewhere.

use crate::cli::summary::grouped;
use crate::discover::choice::Choice;
use crate::discover::walk::Walk;
use crate::pipeline::Summary;
use aws_sdk_s3::Client;
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Between two log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

const COUNTING: &str = "{spinner} {msg}";
const COUNTED: &str = "{bar:30} {percent}% {msg}";

pub(super) struct Meter {
    bar: ProgressBar,
    terminal: bool,
    started: Instant,
    logged: Instant,
    /// This run's, for the rate.
    objects: u64,
    bytes: u64,
    /// Of runs before it.
    before: (u64, u64),
    /// Objects and bytes in all, once they are counted.
    total: Option<(u64, u64)>,
    count: Option<JoinHandle<Option<(u64, u64)>>>,
}

impl Meter {
    /// Starts to count what there is, beside the work: for the time that is left. Only for a person, as
    /// it lists everything a second time.
    pub(super) fn start(client: &Client, prefixes: &[String], choice: &Choice) -> Meter {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let count = terminal.then(|| {
            let (client, prefixes, choice) = (client.clone(), prefixes.to_vec(), choice.clone());
            tokio::spawn(async move { count(&client, &prefixes, &choice).await })
        });
        let now = Instant::now();
        Meter {
            bar,
            terminal,
            started: now,
            logged: now,
            objects: 0,
            bytes: 0,
            before: (0, 0),
            total: None,
            count,
        }
    }

    /// Notes what an earlier run did.
    pub(super) fn passed(&mut self, objects: u64, bytes: u64) {
        self.before.0 += objects;
        self.before.1 += bytes;
    }

    pub(super) fn add(&mut self, objects: u64, bytes: u64, summary: &Summary) {
        self.objects += objects;
        self.bytes += bytes;
        if self.count.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(count) = self.count.take()
        {
            // It is finished: this does not wait.
            use futures::FutureExt;
            self.total = count.now_or_never().and_then(Result::ok).flatten();
        }
        let text = self.text(summary);
        if self.terminal {
            self.draw(text);
        } else if self.logged.elapsed() >= LOG_INTERVAL {
            self.logged = Instant::now();
            eprintln!("logq-processor: {text}");
        }
    }

    fn draw(&self, text: String) {
        let style = if self.total.is_some() { COUNTED } else { COUNTING };
        if let Ok(style) = ProgressStyle::with_template(style) {
            self.bar.set_style(style);
        }
        if let Some((_, bytes)) = self.total {
            self.bar.set_length(bytes);
            self.bar.set_position(self.bytes + self.before.1);
        }
        self.bar.set_message(text);
        self.bar.tick();
    }

    fn text(&self, summary: &Summary) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = self.bytes as f64 / seconds;
        let mut text = format!(
            "{} objects, {}, {}/s, {} records",
            grouped(self.objects + self.before.0),
            HumanBytes(self.bytes + self.before.1),
            HumanBytes(rate as u64),
            grouped(summary.records)
        );
        if let Some((_, total)) = self.total.filter(|_| rate > 0.0) {
            let left = total.saturating_sub(self.bytes + self.before.1) as f64 / rate;
            text += &format!(", eta {}", HumanDuration(Duration::from_secs_f64(left.min(1e9))));
        }
        text
    }

    pub(super) fn finish(&mut self) {
        if let Some(count) = self.count.take() {
            count.abort();
        }
        self.bar.finish_and_clear();
    }
}

async fn count(client: &Client, prefixes: &[String], choice: &Choice) -> Option<(u64, u64)> {
    let (mut objects, mut bytes) = (0, 0);
    for prefix in prefixes {
        let mut walk = Walk::new(client, prefix, choice.clone(), None, None);
        while let Some(page) = walk.next().await.ok()? {
            objects += page.len() as u64;
            bytes += page.iter().map(|one| one.candidate.stored_bytes).sum::<u64>();
        }
    }
    Some((objects, bytes))
}
