//! `logq-collector top`: what each component of a running collector does, from its metrics page.

mod sample;
mod view;

use super::{EXIT_FAILED, EXIT_OK, Format, Said, report, say};
use crate::config::Config;
use anyhow::Context as _;
use clap::Args;
use sample::Sample;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;
use view::View;

/// Longest answer of a collector: thousands of series fit.
const ANSWER_BYTES: u64 = 4 * 1024 * 1024;

/// Longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Alternate screen without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// The screen as it was.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Which collector, how often.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Configuration file of the running collector: says what its admin address is.
    #[arg(long, short, value_name = "FILE", required_unless_present = "address")]
    config: Option<PathBuf>,
    /// Its admin address.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "config")]
    address: Option<SocketAddr>,
    /// Time between two looks; rates are over this time.
    #[arg(long, value_name = "DURATION", value_parser = interval, default_value = "2s")]
    interval: Duration,
    /// Print one table and end.
    #[arg(long)]
    once: bool,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    // Below that the table can't be read, and rates are noise.
    if interval < Duration::from_millis(100) { Err("at least 100ms".to_owned()) } else { Ok(interval) }
}

impl TopArgs {
    /// The configuration to find the collector with.
    pub fn config(&self) -> Option<&std::path::Path> {
        self.config.as_deref()
    }
}

/// Shows tables until a signal comes or nobody reads them any more; one with `--once`.
pub fn show(args: &TopArgs, config: Option<&Config>) -> u8 {
    let address = args.address.or_else(|| config.and_then(|config| config.admin.address));
    let Some(address) = address.map(reachable) else {
        report(&anyhow::anyhow!("admin.address is \"\" in this configuration: there is nothing to ask"));
        return EXIT_FAILED;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.context("starting the runtime").and_then(|runtime| {
        runtime
            .block_on(async { if args.once { once(args, address).await } else { live(args, address).await } })
    });
    match ended {
        Ok(Said::Written | Said::Closed) => EXIT_OK,
        Ok(Said::Failed) => EXIT_FAILED,
        Err(error) => {
            report(&error);
            EXIT_FAILED
        }
    }
}

/// A collector that listens everywhere is asked on this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

async fn once(args: &TopArgs, address: SocketAddr) -> anyhow::Result<Said> {
    let before = ask(address).await?;
    tokio::time::sleep(args.interval).await;
    let view = View::of(&before, &ask(address).await?);
    Ok(say(&print(&view, args.format)?))
}

fn print(view: &View, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Json => serde_json::to_string(view)? + "\n",
        Format::Text => view.table(),
    })
}

/// Leaves the terminal as it was, however the table ends.
struct Screen;

impl Screen {
    fn enter() -> Option<Self> {
        std::io::stdout().is_terminal().then(|| {
            let _ = say(ENTER);
            Self
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = say(LEAVE);
    }
}

async fn live(args: &TopArgs, address: SocketAddr) -> anyhow::Result<Said> {
    let mut before = ask(address).await?;
    let screen = if args.format == Format::Text { Screen::enter() } else { None };
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            () = tokio::time::sleep(args.interval) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Said::Written),
            _ = terminate.recv() => return Ok(Said::Written),
        }
        let text = match ask(address).await {
            Ok(now) => {
                let text = print(&View::of(&before, &now), args.format)?;
                before = now;
                text
            }
            // It may be restarting: the table comes back with it.
            Err(error) if screen.is_some() => format!("{error:#}\n"),
            Err(error) => return Err(error),
        };
        let said = if screen.is_some() { say(&frame(&text)) } else { say(&text) };
        if !matches!(said, Said::Written) {
            return Ok(said);
        }
    }
}

/// A text drawn over the one before, line by line so that nothing flickers.
fn frame(text: &str) -> String {
    let rows = terminal_size::terminal_size().map_or(usize::MAX, |(_, rows)| usize::from(rows.0));
    let lines: Vec<String> = text.lines().take(rows).map(|line| format!("{line}\x1b[K")).collect();
    // Without a newline behind the last line, which would scroll a full screen.
    format!("\x1b[H{}\x1b[J", lines.join("\r\n"))
}

async fn ask(address: SocketAddr) -> anyhow::Result<Sample> {
    tokio::task::spawn_blocking(move || fetch(address))
        .await?
        .with_context(|| format!("{address}: no answer from a collector"))
}

fn fetch(address: SocketAddr) -> anyhow::Result<Sample> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{}", head.lines().next().unwrap_or_default());
    Ok(Sample::parse(body))
}
