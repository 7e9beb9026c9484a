//! `logq-collector tap`: records of a running collector, live.

use super::escape::{neutralise, neutralise_json};
use super::{EXIT_FAILED, EXIT_OK, Format, report, say};
use crate::config::Config;
use crate::tap::{LIMIT, Message, Request, Shown, server};
use anyhow::Context as _;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// What to look at.
#[derive(Debug, Args)]
pub struct TapArgs {
    /// Sources and transforms, as names or globs; all of them by default.
    #[arg(value_name = "COMPONENT")]
    components: Vec<String>,
    /// Configuration file of the running collector: says where its data_dir is.
    #[arg(long, short, value_name = "FILE", required_unless_present = "socket")]
    config: Option<PathBuf>,
    /// Its socket, where the configuration is not at hand: `<data_dir>/tap/socket`.
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// How records are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Most records in a second; what is beyond is counted.
    #[arg(long, value_name = "N[/s]", value_parser = per_second, default_value_t = LIMIT)]
    limit: u32,
    /// End after this long.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Only records whose body matches.
    #[arg(long = "match", value_name = "REGEX")]
    matching: Option<String>,
    /// Only namespaces that match; may be repeated.
    #[arg(long, value_name = "GLOB")]
    namespace: Vec<String>,
    /// Only pods that match; may be repeated.
    #[arg(long, value_name = "GLOB")]
    pod: Vec<String>,
    /// Only containers that match; may be repeated.
    #[arg(long, value_name = "GLOB")]
    container: Vec<String>,
}

fn per_second(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "a number of records a second is needed, such as 100 or 100/s".to_owned())
}

impl TapArgs {
    /// The configuration to find the collector with.
    pub fn config(&self) -> Option<&std::path::Path> {
        self.config.as_deref()
    }
}

/// Shows records until the duration is over, a signal comes, or nobody reads them any more.
pub fn show(args: TapArgs, config: Option<&Config>) -> u8 {
    if config.is_some_and(|config| !config.admin.tap) {
        report(&anyhow::anyhow!("admin.tap is false in this configuration; set it to true and reload"));
        return EXIT_FAILED;
    }
    let socket = args.socket.clone().or_else(|| config.map(|config| server::socket(&config.data_dir)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.context("starting the runtime").and_then(|runtime| {
        let socket = socket.context("no socket given")?;
        runtime.block_on(follow(&args, &socket))
    });
    match ended {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            EXIT_FAILED
        }
    }
}

async fn follow(args: &TapArgs, socket: &std::path::Path) -> anyhow::Result<u8> {
    let mut stream = UnixStream::connect(socket).await.with_context(|| {
        format!("{}: no collector answers here; is it running, and are you its user?", socket.display())
    })?;
    let request = Request {
        components: args.components.clone(),
        limit: args.limit,
        matching: args.matching.clone(),
        namespace: args.namespace.clone(),
        pod: args.pod.clone(),
        container: args.container.clone(),
    };
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    stream.write_all(&line).await.context("asking the collector")?;
    let mut lines = BufReader::new(stream).lines();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let over = async {
        match args.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    loop {
        let line = tokio::select! {
            // An end that was asked for comes before whatever is still waiting.
            biased;
            () = &mut over => return Ok(EXIT_OK),
            _ = tokio::signal::ctrl_c() => return Ok(EXIT_OK),
            _ = terminate.recv() => return Ok(EXIT_OK),
            line = lines.next_line() => line.context("reading from the collector")?,
        };
        let Some(line) = line else {
            anyhow::bail!("the collector ended, or took over a new configuration; start again");
        };
        match serde_json::from_str(&line).context("the collector is of another version")? {
            Message::Watching(components) => {
                notice(&format!(
                    "showing {}; at most {} records a second",
                    components.join(", "),
                    args.limit
                ));
            }
            Message::Refused(message) => anyhow::bail!("{}", neutralise(message.as_bytes())),
            Message::Missed(records) => notice(&format!("{records} records not shown")),
            Message::Record(shown) => match say(&print(&shown, args.format)) {
                super::Said::Written => {}
                super::Said::Closed => return Ok(EXIT_OK),
                super::Said::Failed => return Ok(EXIT_FAILED),
            },
        }
    }
}

/// Notices go where results do not.
fn notice(text: &str) {
    use std::io::Write as _;
    // Nothing to fall back on when stderr is closed.
    drop(writeln!(std::io::stderr(), "# {}", neutralise(text.as_bytes())));
}

fn print(shown: &Shown, format: Format) -> String {
    if format == Format::Json {
        // Texts and maps of texts: nothing of it can fail to serialise.
        return neutralise_json(&serde_json::to_string(shown).unwrap_or_default()) + "\n";
    }
    let clean = |text: &str| neutralise(text.as_bytes());
    let mut line = format!("{} [{}]", clean(&shown.time), clean(&shown.component));
    if shown.pod.is_empty() {
        line = line + " " + &clean(&shown.file);
    } else {
        line = line + " " + &clean(&format!("{}/{}/{}", shown.namespace, shown.pod, shown.container));
    }
    for text in [&shown.stdio, &shown.severity].into_iter().filter(|text| !text.is_empty()) {
        line = line + " " + &clean(text);
    }
    line = line + " | " + &neutralise(&shown.bytes());
    if shown.cut {
        line += " […]";
    }
    if !shown.attributes.is_empty() {
        let attributes = serde_json::to_string(&shown.attributes).unwrap_or_default();
        line = line + "\n    " + &neutralise_json(&attributes);
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_harmless_line_in_either_format() {
        let shown = Shown {
            component: "pods".into(),
            time: "2026-11-22T10:00:00Z".into(),
            namespace: "shop".into(),
            pod: "api-1".into(),
            container: "api".into(),
            stdio: "stderr".into(),
            body: Some("\u{1b}[31mred\u{9b}0m".into()),
            ..Shown::default()
        };
        let text = print(&shown, Format::Text);
        assert_eq!(text, "2026-11-22T10:00:00Z [pods] shop/api-1/api stderr | \\x1b[31mred\\u{9b}0m\n");
        let json = print(&shown, Format::Json);
        assert!(json.is_ascii() && json.lines().count() == 1, "{json}");
        assert_eq!(serde_json::from_str::<Shown>(&json).unwrap(), shown);
    }

    #[test]
    fn a_limit_is_a_number_a_second() {
        assert_eq!((per_second("5"), per_second("7/s")), (Ok(5), Ok(7)));
        assert!(per_second("0").is_err() && per_second("5/m").is_err());
    }
}
