//! Sink `aws_cloudwatch_logs`: records as log events, grouped by templates into log groups and
//! streams.
//!
//! Promises: every batch is within the service's limits; order within a log stream is the order of
//! the spool; a batch the service accepted is not sent again by this process. After a crash the
//! segment being delivered is sent again from its start: at least once.
//!
//! Records the service would refuse for good (too old, too new, expired by retention) are kept in
//! `rejected` and counted, whether we notice or the answer says so. An empty message is sent as one
//! space, because the service refuses empty ones. Bytes that are not UTF-8 are replaced, because it
//! takes only text.

use super::aws::{self, Auth};
use super::{Context, Delivered, Delivery, DeliveryError, Event, SetupError, Sink, SinkConfig};
use crate::config::component::{Problem, Row, Settings, problem};
use crate::config::{Config, Request, options};
use crate::memory::Takes;
use crate::template::{Place, Template};
use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_cloudwatchlogs::types::{InputLogEvent, LogGroupClass};
use futures::StreamExt as _;
use limits::{EVENT_BYTES, FUTURE_MS, Item, PAST_MS, Pending};
use logq_schemas::landing::{Record, Stream};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub mod limits;
mod message;

pub use message::Encoding;

/// Bytes of events held back for fuller batches, over all log streams.
const HELD_BYTES: usize = 4 * 1024 * 1024;

/// The service's limit of one request.
const REQUEST_BYTES: usize = 1024 * 1024;

/// Retention periods the service accepts, in days (`PutRetentionPolicy`).
const RETENTION_DAYS: [i32; 23] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
    0,
];

/// What happens to a message above the service's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Oversize {
    /// It is sent in pieces.
    #[default]
    Split,
    /// Its beginning is sent, with a mark at the end.
    Truncate,
}

/// Settings of the sink.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudwatchSettings {
    /// Template of the log group's name.
    pub group_name: Template,
    /// Template of the log stream's name.
    #[serde(default = "stream_name")]
    pub stream_name: Template,
    /// Missing log groups are created.
    #[serde(default = "yes")]
    pub create_missing_group: bool,
    /// Missing log streams are created.
    #[serde(default = "yes")]
    pub create_missing_stream: bool,
    /// Retention of groups this sink creates.
    #[serde(default)]
    pub retention: Retention,
    /// KMS key of groups this sink creates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// Class of groups this sink creates: `STANDARD` or `INFREQUENT_ACCESS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_group_class: Option<String>,
    /// Tags of groups this sink creates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// How a record is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// What happens to a message above the service's limit.
    #[serde(default)]
    pub oversize: Oversize,
    /// Region of the log groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Another endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Credentials.
    #[serde(default)]
    pub auth: Auth,
    /// Limits of requests.
    #[serde(default)]
    pub request: Request,
}

/// Retention of groups this sink creates.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Days; none: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<i32>,
}

fn yes() -> bool {
    true
}

const STREAM_NAME: &str = "{{ namespace }}/{{ pod }}/{{ container }}";

fn stream_name() -> Template {
    // A constant of this module that a test parses.
    STREAM_NAME.parse().unwrap_or_else(|_| unreachable!())
}

impl Settings for CloudwatchSettings {
    const KIND: &'static str = "aws_cloudwatch_logs";
    const ABOUT: &'static str = "Log events in CloudWatch Logs. Records that are more than 14 days old or two hours ahead are refused by the service: they are kept in `<data_dir>/rejected` and counted. Credentials: the AWS SDK's default chain.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        use options::{none, plain, required, text};
        let mut rows = vec![
            ("group_name", required(), "Log group, a template: `{{ namespace }}`, `{{ labels.app \\| other }}`, `{{ cluster }}`, … Characters a group can't have become `_`"),
            ("stream_name", text(STREAM_NAME), "Log stream, a template; also `%Y`, `%m`, `%d`, `%H` of the record's time (UTC)"),
            ("create_missing_group", plain("`true`"), "Missing log groups are created"),
            ("create_missing_stream", plain("`true`"), "Missing log streams are created"),
            ("retention.days", none(), "Retention of groups without one, set when this sink creates a group or a stream in it; a number CloudWatch Logs accepts, such as 30 or 365"),
            ("kms_key", none(), "ARN of the KMS key of groups this sink creates"),
            ("log_group_class", none(), "`STANDARD` or `INFREQUENT_ACCESS`, for groups this sink creates"),
            ("tags", none(), "Table of tags of groups this sink creates"),
            ("encoding", text("text"), "`text`: the body. `json`: an object with body, severity, trace ids, attributes and `kubernetes`"),
            ("oversize", text("split"), "A message above 1,048,550 bytes: `split` in pieces, or `truncate` with a mark"),
        ];
        rows.extend(aws::auth_rows());
        rows.extend(options::request_rows());
        rows
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        if let Some(days) = self.retention.days.filter(|days| *days == 0 || !RETENTION_DAYS.contains(days)) {
            let known: Vec<String> =
                RETENTION_DAYS.iter().filter(|days| **days > 0).map(ToString::to_string).collect();
            let message = format!("{days} is not accepted by CloudWatch Logs; it takes {}", known.join(", "));
            return Err(problem(format!("{key}.retention.days"), message));
        }
        if !matches!(self.log_group_class.as_deref(), None | Some("STANDARD" | "INFREQUENT_ACCESS")) {
            return Err(problem(format!("{key}.log_group_class"), "must be STANDARD or INFREQUENT_ACCESS"));
        }
        aws::check_endpoint(key, self.endpoint.as_deref())?;
        self.auth.check(key)?;
        self.request.check(key)
    }
}

#[async_trait]
impl SinkConfig for CloudwatchSettings {
    /// A frame as text and as events, which may be twice as long; events held back; and every
    /// request as events, as the client's copy and as the body.
    fn memory(&self, _config: &Config) -> Takes {
        let requests = 3 * self.request.concurrency * REQUEST_BYTES;
        Takes { frames: 3, bytes: HELD_BYTES + requests, key: "request.concurrency" }
    }

    async fn connect(&self, _name: &str) -> Result<Box<dyn Sink>, SetupError> {
        let timeout = self.request.timeout.duration();
        let sdk = self.auth.load(self.region.as_deref(), self.endpoint.as_deref(), timeout).await;
        Ok(Box::new(CloudwatchSink { client: Client::new(&sdk), settings: self.clone() }))
    }
}

#[derive(Debug)]
struct CloudwatchSink {
    client: Client,
    settings: CloudwatchSettings,
}

/// Log group and log stream.
type Target = (String, String);

/// The targets of the streams of a segment, so that templates are not filled in per record.
#[derive(Debug, Default)]
struct Targets {
    numbers: HashMap<Target, usize>,
    by_stream: HashMap<(String, String), usize>,
    all: Vec<Target>,
}

#[async_trait]
impl Sink for CloudwatchSink {
    fn concurrency(&self) -> usize {
        self.settings.request.concurrency
    }

    /// One segment at a time, so that records of a log stream stay in order.
    fn segments(&self) -> usize {
        1
    }

    async fn deliver(&self, delivery: &Delivery, cx: &Context) -> Delivered {
        let mut delivered = Delivered::default();
        let mut targets = Targets::default();
        let mut pending: BTreeMap<usize, Pending> = BTreeMap::new();
        let mut frames = delivery.frames(cx).await;
        let _memory = cx.memory(frames.largest()).await;
        while let Some(text) = frames.next(cx).await {
            let mut ready: BTreeMap<usize, Vec<Vec<Item>>> = BTreeMap::new();
            for event in text.events() {
                let target = self.target(&mut targets, delivery, &event);
                let Some(items) = self.items(&event, cx) else {
                    delivered.rejected += 1;
                    continue;
                };
                for item in items {
                    if let Some(full) = pending.entry(target).or_default().push(item) {
                        ready.entry(target).or_default().push(full);
                    }
                }
            }
            drop(text);
            let mut held: usize = pending.values().map(Pending::bytes).sum();
            while held > HELD_BYTES {
                let Some((target, largest)) = pending.iter_mut().max_by_key(|(_, p)| p.bytes()) else {
                    break;
                };
                held -= largest.bytes();
                ready.entry(*target).or_default().push(largest.take());
            }
            delivered.add(self.send(&targets, ready, cx).await);
        }
        let rest = pending.into_iter().map(|(target, mut pending)| (target, vec![pending.take()]));
        delivered.add(self.send(&targets, rest.collect(), cx).await);
        delivered
    }
}

impl CloudwatchSink {
    fn target(&self, targets: &mut Targets, delivery: &Delivery, event: &Event<'_>) -> usize {
        let settings = &self.settings;
        let timed = settings.group_name.has_time() || settings.stream_name.has_time();
        let key = (event.stream.id.clone(), event.stream.stdio.clone());
        if !timed && let Some(number) = targets.by_stream.get(&key) {
            return *number;
        }
        let place = Place { cluster: &delivery.cluster, node: &delivery.node };
        let time = event.time_ns();
        let group = limits::group_name(&settings.group_name.render(place, event.stream, time));
        let stream = limits::stream_name(&settings.stream_name.render(place, event.stream, time));
        let next = targets.all.len();
        let number = *targets.numbers.entry((group.clone(), stream.clone())).or_insert(next);
        if number == next {
            targets.all.push((group, stream));
        }
        if !timed {
            targets.by_stream.insert(key, number);
        }
        number
    }

    /// The events a record becomes; `None` when the service would refuse it.
    fn items(&self, event: &Event<'_>, cx: &Context) -> Option<Vec<Item>> {
        let time_ms = event.time_ns() / 1_000_000;
        let now = now_ms();
        // A minute less than the service's limits: clocks differ, and the way takes time.
        let reason = match time_ms {
            time if time < now - PAST_MS + 60_000 => Some("too_old"),
            time if time > now + FUTURE_MS - 60_000 => Some("too_new"),
            _ => None,
        };
        if let Some(reason) = reason {
            cx.reject(reason, event);
            return None;
        }
        let message = message::encode(self.settings.encoding, event);
        let message = if message.is_empty() { " ".to_owned() } else { message };
        let item = |message: &str, first| Item {
            time_ms,
            message: message.to_owned(),
            stream: event.stream.clone(),
            offset: event.record.o,
            first,
        };
        if message.len() <= EVENT_BYTES {
            return Some(vec![Item { message, ..item("", true) }]);
        }
        if self.settings.oversize == Oversize::Truncate {
            const MARK: &str = "…[truncated]";
            let kept = limits::floor(&message, EVENT_BYTES - MARK.len());
            return Some(vec![item(&format!("{}{MARK}", &message[..kept]), true)]);
        }
        let pieces = limits::pieces(&message).into_iter().enumerate();
        Some(pieces.map(|(number, piece)| item(piece, number == 0)).collect())
    }

    /// Sends batches, those of one log stream one after the other.
    async fn send(
        &self,
        targets: &Targets,
        ready: BTreeMap<usize, Vec<Vec<Item>>>,
        cx: &Context,
    ) -> Delivered {
        let chains = ready.into_iter().map(|(number, batches)| {
            let target = targets.all.get(number).cloned().unwrap_or_default();
            self.send_in_turn(target, batches, cx)
        });
        // Collected first: what borrows from an iterator can't cross an await in a boxed future.
        let sent = futures::stream::iter(chains.collect::<Vec<_>>());
        let mut all = Delivered::default();
        let mut sent = sent.buffer_unordered(self.settings.request.concurrency);
        while let Some(delivered) = sent.next().await {
            all.add(delivered);
        }
        all
    }

    async fn send_in_turn(&self, target: Target, batches: Vec<Vec<Item>>, cx: &Context) -> Delivered {
        let mut delivered = Delivered::default();
        for batch in batches.into_iter().flat_map(limits::in_order) {
            delivered.add(self.put(&target, batch, cx).await);
        }
        delivered
    }

    async fn put(&self, target: &Target, items: Vec<Item>, cx: &Context) -> Delivered {
        let event = |item: &Item| {
            InputLogEvent::builder().timestamp(item.time_ms).message(&item.message).build().ok()
        };
        let events: Vec<InputLogEvent> = items.iter().filter_map(event).collect();
        let Request { backoff, timeout, .. } = self.settings.request;
        let sent = cx.retry(backoff, Some(timeout.duration()), || self.attempt(target, &events)).await;
        let bytes = items.iter().map(Item::size).sum::<usize>() as u64;
        let mut delivered = Delivered { bytes, objects: 1, ..Delivered::default() };
        let verdict = match sent {
            Ok(verdict) => verdict,
            Err(error) => {
                tracing::error!(sink = cx.name, group = target.0, stream = target.1,
                    error = %super::describe(&error), events = items.len(), "batch refused, kept in rejected");
                Verdict { all: true, ..Verdict::default() }
            }
        };
        for (number, item) in items.iter().enumerate().filter(|(_, item)| item.first) {
            match verdict.reason(number) {
                None => delivered.records += 1,
                Some(reason) => {
                    delivered.rejected += 1;
                    reject(cx, reason, item);
                }
            }
        }
        delivered
    }

    async fn attempt(
        &self,
        (group, stream): &Target,
        events: &[InputLogEvent],
    ) -> Result<Verdict, DeliveryError> {
        for created in [false, true] {
            let put = self.client.put_log_events().log_group_name(group).log_stream_name(stream);
            let error = match put.set_log_events(Some(events.to_vec())).send().await {
                Ok(answer) => return Ok(Verdict::new(answer.rejected_log_events_info(), events.len())),
                Err(error) => error,
            };
            match error.code() {
                Some("ResourceNotFoundException") if !created => self.create(group, stream).await?,
                // Accepted by an earlier attempt whose answer was lost.
                Some("DataAlreadyAcceptedException") => return Ok(Verdict::default()),
                Some("InvalidParameterException") => return Err(DeliveryError::Refused(Box::new(error))),
                _ => return Err(classify(error)),
            }
        }
        Err(DeliveryError::Service("the log stream is gone again".into()))
    }

    /// Creates what is missing. That it exists already is as good.
    async fn create(&self, group: &str, stream: &str) -> Result<(), DeliveryError> {
        let settings = &self.settings;
        if settings.create_missing_group {
            let tags = (!settings.tags.is_empty()).then(|| settings.tags.clone().into_iter().collect());
            let create = self
                .client
                .create_log_group()
                .log_group_name(group)
                .set_kms_key_id(settings.kms_key.clone())
                .set_log_group_class(settings.log_group_class.as_deref().map(LogGroupClass::from))
                .set_tags(tags);
            match create.send().await {
                Ok(_) => tracing::info!(group, "log group created"),
                Err(error) if error.code() == Some("ResourceAlreadyExistsException") => {}
                Err(error) => return Err(classify(error)),
            }
            self.retain(group).await?;
        }
        if settings.create_missing_stream {
            match self.client.create_log_stream().log_group_name(group).log_stream_name(stream).send().await {
                Err(error) if error.code() != Some("ResourceAlreadyExistsException") => {
                    return Err(classify(error));
                }
                _ => {}
            }
        }
        if !settings.create_missing_group && !settings.create_missing_stream {
            let message = format!("log group {group} or stream {stream} is missing and may not be created");
            return Err(DeliveryError::Service(message.into()));
        }
        Ok(())
    }
}

impl CloudwatchSink {
    /// Sets the retention of a group that has none: one just created, also when a crash or a lost
    /// answer came between creating it and this.
    async fn retain(&self, group: &str) -> Result<(), DeliveryError> {
        let Some(days) = self.settings.retention.days else { return Ok(()) };
        let known = self.client.describe_log_groups().log_group_name_prefix(group).send().await;
        let known = known.map_err(classify)?;
        let ours = known.log_groups().iter().find(|found| found.log_group_name() == Some(group));
        if ours.is_some_and(|found| found.retention_in_days().is_some()) {
            return Ok(());
        }
        let put = self.client.put_retention_policy().log_group_name(group).retention_in_days(days);
        put.send().await.map(drop).map_err(classify)
    }
}

/// What the service says about a batch it took.
#[derive(Debug, Clone, Copy, Default)]
struct Verdict {
    all: bool,
    too_old: usize,
    expired: usize,
    too_new: Option<usize>,
}

impl Verdict {
    fn new(info: Option<&aws_sdk_cloudwatchlogs::types::RejectedLogEventsInfo>, events: usize) -> Self {
        let index = |number: Option<i32>| number.and_then(|number| usize::try_from(number).ok());
        let end = |number| index(number).unwrap_or(0).min(events);
        let Some(info) = info else { return Self::default() };
        Self {
            all: false,
            too_old: end(info.too_old_log_event_end_index()),
            expired: end(info.expired_log_event_end_index()),
            too_new: index(info.too_new_log_event_start_index()),
        }
    }

    /// Why the event at `number` was not taken.
    fn reason(&self, number: usize) -> Option<&'static str> {
        if self.all {
            Some("refused")
        } else if number < self.too_old {
            Some("too_old")
        } else if number < self.expired {
            Some("expired")
        } else if self.too_new.is_some_and(|start| number >= start) {
            Some("too_new")
        } else {
            None
        }
    }
}

fn reject(cx: &Context, reason: &'static str, item: &Item) {
    let stream: Arc<Stream> = item.stream.clone();
    let time = chrono::DateTime::from_timestamp_millis(item.time_ms).unwrap_or_default();
    let record = Record {
        s: stream.stream,
        o: item.offset,
        t: time.to_rfc3339().into(),
        b: Some(item.message.as_str().into()),
        ..Record::default()
    };
    cx.reject(reason, &Event { stream: &stream, record });
}

fn classify<E, R>(error: SdkError<E, R>) -> DeliveryError
where
    E: std::error::Error + aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let throttled = matches!(
        error.code(),
        Some(
            "ThrottlingException"
                | "ServiceUnavailableException"
                | "LimitExceededException"
                | "OperationAbortedException"
        )
    );
    if throttled {
        DeliveryError::Throttled(Box::new(error))
    } else {
        DeliveryError::Service(Box::new(error))
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_stream_name_is_a_template() {
        assert_eq!(STREAM_NAME.parse::<Template>(), Ok(stream_name()));
    }

    #[test]
    fn rejected_ranges_are_read_as_the_service_documents_them() {
        let info = aws_sdk_cloudwatchlogs::types::RejectedLogEventsInfo::builder()
            .too_old_log_event_end_index(2)
            .expired_log_event_end_index(3)
            .too_new_log_event_start_index(5)
            .build();
        let verdict = Verdict::new(Some(&info), 6);
        let reasons: Vec<_> = (0..6).map(|number| verdict.reason(number)).collect();
        assert_eq!(reasons, [Some("too_old"), Some("too_old"), Some("expired"), None, None, Some("too_new")]);
    }
}
