//! Sink `console`: records on standard output, for people who try something out and for pipes.

use super::{Context, Delivered, Delivery, DeliveryError, Event, SetupError, Sink, SinkConfig};
use crate::config::component::{Row, Settings};
use crate::config::options;
use crate::config::{Backoff, Config};
use crate::memory::Takes;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::io::Write as _;

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Time, pod and body on one line; control characters are shown, not sent to the terminal.
    #[default]
    Text,
    /// One JSON object a line: `stream` and `record` as the landing format describes them.
    Json,
}

/// Settings of a `console` sink.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleSettings {
    /// How a record is written.
    pub encoding: Encoding,
}

impl Settings for ConsoleSettings {
    const KIND: &'static str = "console";
    const ABOUT: &'static str = "Records on standard output.";

    fn options() -> Vec<Row> {
        let help = "`text`: time, pod and body on one line. `json`: one object a line";
        vec![("encoding", options::text("text"), help)]
    }
}

#[async_trait]
impl SinkConfig for ConsoleSettings {
    fn exclusive(&self) -> Option<(&'static str, String)> {
        Some(("type", "standard output".to_owned()))
    }

    /// A frame and what is printed of it.
    fn memory(&self, _config: &Config) -> Takes {
        Takes { frames: 3, bytes: 0, key: "type" }
    }

    async fn connect(&self, _name: &str) -> Result<Box<dyn Sink>, SetupError> {
        Ok(Box::new(Console { encoding: self.encoding }))
    }
}

#[derive(Debug)]
struct Console {
    encoding: Encoding,
}

#[async_trait]
impl Sink for Console {
    async fn deliver(&self, delivery: &Delivery, cx: &Context) -> Delivered {
        let mut delivered = Delivered::default();
        let mut frames = delivery.frames(cx).await;
        let _memory = cx.memory(frames.largest()).await;
        while let Some(frame) = frames.next(cx).await {
            let mut text = Vec::new();
            for event in frame.events() {
                self.write(&mut text, &event);
                delivered.records += 1;
            }
            delivered.bytes += text.len() as u64;
            let print = || {
                let text = text.clone();
                let print = move || std::io::stdout().lock().write_all(&text);
                async move { Ok::<(), DeliveryError>(tokio::task::spawn_blocking(print).await??) }
            };
            // A closed pipe is tried again like any other sink that is away.
            if cx.retry(Backoff::default(), None, print).await.is_err() {
                return delivered;
            }
        }
        delivered.objects = 1;
        delivered
    }
}

impl Console {
    fn write(&self, out: &mut Vec<u8>, event: &Event<'_>) {
        if self.encoding == Encoding::Json {
            let line = serde_json::json!({ "stream": **event.stream, "record": event.record });
            out.extend_from_slice(line.to_string().as_bytes());
        } else {
            let stream = &event.stream;
            let place = [&stream.namespace, &stream.pod, &stream.container, &stream.service, &stream.file];
            let place: Vec<&str> =
                place.into_iter().map(String::as_str).filter(|part| !part.is_empty()).take(3).collect();
            out.extend_from_slice(format!("{} {} ", event.record.t, place.join("/")).as_bytes());
            for c in String::from_utf8_lossy(&event.body()).chars() {
                if c.is_control() && c != '\t' {
                    out.extend(c.escape_default().map(|c| c as u8));
                } else {
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logq_schemas::landing::{Record, Stream};
    use std::sync::Arc;

    #[test]
    fn a_hostile_line_does_not_drive_the_terminal() {
        let stream = Arc::new(Stream { namespace: "shop".into(), pod: "api".into(), ..Stream::default() });
        let record =
            Record { t: "T".into(), b: Some("a\u{1b}[2Jb\u{9b}x\ny\té".into()), ..Record::default() };
        let mut out = Vec::new();
        Console { encoding: Encoding::Text }.write(&mut out, &Event { stream: &stream, record });
        assert_eq!(String::from_utf8(out).unwrap(), "T shop/api a\\u{1b}[2Jb\\u{9b}x\\ny\té\n");
    }
}
