//! CloudWatch Logs: the operations a log shipper and a reader use, in AWS JSON 1.1, with the limits of the API
//! reference (`PutLogEvents`, `CreateLogGroup`, `CreateLogStream`, `PutRetentionPolicy`) enforced to
//! the letter. Limits are written here anew, not taken from the program under test.

mod filter;

use super::faults::{Fault, Faults, Service};
use super::{Answer, Server, answer};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

const MEGABYTE: usize = 1_048_576;
const HOUR_MS: i64 = 3_600_000;

/// An event as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The message.
    pub message: String,
}

#[derive(Debug, Default)]
struct Group {
    retention_days: Option<i64>,
    streams: BTreeMap<String, Vec<Accepted>>,
    /// Events made visible by [`CloudWatch::add`], in order of ingestion.
    log: Vec<filter::Logged>,
}

#[derive(Debug, Default)]
struct State {
    groups: BTreeMap<String, Group>,
    /// Operations and how often each was asked for.
    calls: BTreeMap<String, u64>,
    /// Requests that broke a rule, with the rule.
    violations: Vec<String>,
    reading: filter::Reading,
}

/// A CloudWatch Logs server.
#[derive(Debug, Default)]
pub struct CloudWatch {
    state: Mutex<State>,
}

/// An error of the service: name and message.
type Refusal = (&'static str, String);

fn invalid(message: impl Into<String>) -> Refusal {
    ("InvalidParameterException", message.into())
}

fn missing(what: &str) -> Refusal {
    ("ResourceNotFoundException", format!("The specified {what} does not exist."))
}

impl CloudWatch {
    /// Starts a server with the given faults.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(faults: Arc<Faults>) -> io::Result<(Arc<Self>, Server)> {
        let service = Arc::new(Self::default());
        let server = Server::start(service.clone(), faults)?;
        Ok((service, server))
    }

    /// All accepted events of all groups: `(group, stream)` and its events in the order of acceptance.
    pub fn events(&self) -> BTreeMap<(String, String), Vec<Accepted>> {
        let state = self.state();
        let streams = state.groups.iter().flat_map(|(group, content)| {
            content
                .streams
                .iter()
                .map(move |(stream, events)| ((group.clone(), stream.clone()), events.clone()))
        });
        streams.collect()
    }

    /// Retention of a group in days.
    pub fn retention(&self, group: &str) -> Option<i64> {
        self.state().groups.get(group).and_then(|group| group.retention_days)
    }

    /// How often an operation was asked for and reached the service.
    pub fn calls(&self, operation: &str) -> u64 {
        self.state().calls.get(operation).copied().unwrap_or(0)
    }

    /// Rules that were broken. A shipper that knows the limits breaks none.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn operate(&self, operation: &str, input: &Value) -> Result<Value, Refusal> {
        let mut state = self.state();
        *state.calls.entry(operation.to_owned()).or_default() += 1;
        let result = match operation {
            "CreateLogGroup" => create_group(&mut state, input),
            "CreateLogStream" => create_stream(&mut state, input),
            "PutRetentionPolicy" => put_retention(&mut state, input),
            "PutLogEvents" => put_events(&mut state, input),
            "DescribeLogGroups" => Ok(describe_groups(&state, input)),
            "DescribeLogStreams" => describe_streams(&state, input),
            "GetLogEvents" => get_events(&state, input),
            "FilterLogEvents" => {
                let State { groups, reading, .. } = &mut *state;
                filter::filter(groups, reading, input)
            }
            _ => Err(("UnknownOperationException", format!("{operation} is not part of this double"))),
        };
        if let Err((name, message)) = &result
            && !matches!(*name, "ResourceNotFoundException" | "ResourceAlreadyExistsException")
        {
            state.violations.push(format!("{operation}: {name}: {message}"));
        }
        result
    }
}

impl Service for CloudWatch {
    async fn answer(&self, request: http::Request<Incoming>) -> Answer {
        let header = |name: &str| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let target = header("x-amz-target");
        let signed = header("authorization");
        let is_signed =
            signed.starts_with("AWS4-HMAC-SHA256 Credential=") && signed.contains("/logs/aws4_request");
        let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
        let result = match (body, target.strip_prefix("Logs_20140328.")) {
            _ if !is_signed => Err(("MissingAuthenticationTokenException", "not signed for logs".to_owned())),
            (Ok(body), Some(operation)) => match serde_json::from_slice(&body) {
                Ok(input) => self.operate(operation, &input),
                Err(error) => Err(("SerializationException", error.to_string())),
            },
            (Err(_), _) => Err(("RequestTimeout", "the body ended early".to_owned())),
            (_, None) => Err(("UnknownOperationException", target)),
        };
        match result {
            Ok(output) => answer(200, &[("content-type", "application/x-amz-json-1.1")], output.to_string()),
            Err((name, message)) => failure(400, name, &message),
        }
    }

    fn failure(fault: Fault) -> Answer {
        match fault {
            Fault::Throttled => failure(400, "ThrottlingException", "Rate exceeded"),
            Fault::Unavailable => {
                failure(503, "ServiceUnavailableException", "The service cannot complete the request.")
            }
            _ => failure(500, "InternalFailure", "internal"),
        }
    }
}

fn failure(status: u16, name: &'static str, message: &str) -> Answer {
    let body = json!({ "__type": name, "message": message }).to_string();
    answer(status, &[("content-type", "application/x-amz-json-1.1"), ("x-amzn-errortype", name)], body)
}

fn text<'a>(input: &'a Value, name: &str) -> &'a str {
    input[name].as_str().unwrap_or_default()
}

fn check_group_name(name: &str) -> Result<(), Refusal> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-/.#".contains(c);
    if name.is_empty() || name.len() > 512 || !name.chars().all(allowed) {
        return Err(invalid(format!(
            "logGroupName {name:?} failed to satisfy constraint [\\.\\-_/#A-Za-z0-9]+"
        )));
    }
    Ok(())
}

fn create_group(state: &mut State, input: &Value) -> Result<Value, Refusal> {
    let name = text(input, "logGroupName");
    check_group_name(name)?;
    if !matches!(input["logGroupClass"].as_str(), None | Some("STANDARD" | "INFREQUENT_ACCESS" | "DELIVERY"))
    {
        return Err(invalid("logGroupClass"));
    }
    if state.groups.contains_key(name) {
        return Err(("ResourceAlreadyExistsException", "The specified log group already exists".to_owned()));
    }
    state.groups.insert(name.to_owned(), Group::default());
    Ok(json!({}))
}

fn create_stream(state: &mut State, input: &Value) -> Result<Value, Refusal> {
    let name = text(input, "logStreamName");
    if name.is_empty() || name.chars().count() > 512 || name.contains([':', '*']) {
        return Err(invalid(format!("logStreamName {name:?} failed to satisfy constraint [^:*]*")));
    }
    let group = state.groups.get_mut(text(input, "logGroupName")).ok_or_else(|| missing("log group"))?;
    if group.streams.contains_key(name) {
        return Err(("ResourceAlreadyExistsException", "The specified log stream already exists".to_owned()));
    }
    group.streams.insert(name.to_owned(), Vec::new());
    Ok(json!({}))
}

fn put_retention(state: &mut State, input: &Value) -> Result<Value, Refusal> {
    const DAYS: [i64; 22] = [
        1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288,
        3653,
    ];
    let days = input["retentionInDays"].as_i64().unwrap_or(0);
    if !DAYS.contains(&days) {
        return Err(invalid(format!("retentionInDays {days}")));
    }
    let group = state.groups.get_mut(text(input, "logGroupName")).ok_or_else(|| missing("log group"))?;
    group.retention_days = Some(days);
    Ok(json!({}))
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

fn put_events(state: &mut State, input: &Value) -> Result<Value, Refusal> {
    let events = input["logEvents"].as_array().map(Vec::as_slice).unwrap_or_default();
    if events.is_empty() || events.len() > 10_000 {
        return Err(invalid(format!("logEvents has {} members: 1 to 10000 are allowed", events.len())));
    }
    let mut accepted = Vec::with_capacity(events.len());
    let mut size = 0;
    for event in events {
        let (Some(timestamp), Some(message)) = (event["timestamp"].as_i64(), event["message"].as_str())
        else {
            return Err(invalid("an event without timestamp or message"));
        };
        if message.is_empty() || timestamp < 0 {
            return Err(invalid("an empty message, or a time before 1970"));
        }
        if message.len() + 26 > MEGABYTE {
            return Err(invalid(format!("Log event too large: {} bytes", message.len())));
        }
        size += message.len() + 26;
        accepted.push(Accepted { timestamp, message: message.to_owned() });
    }
    if size > MEGABYTE {
        return Err(invalid(format!("Upload too large: {size} bytes exceeds limit of {MEGABYTE}")));
    }
    if !accepted.is_sorted_by_key(|event| event.timestamp) {
        return Err(invalid("Log events in a single PutLogEvents request must be in chronological order."));
    }
    let span = accepted[accepted.len() - 1].timestamp - accepted[0].timestamp;
    if span > 24 * HOUR_MS {
        return Err(invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    let group = state.groups.get_mut(text(input, "logGroupName")).ok_or_else(|| missing("log group"))?;
    let retention = group.retention_days;
    let stream = group.streams.get_mut(text(input, "logStreamName")).ok_or_else(|| missing("log stream"))?;
    let now = now_ms();
    let before = |limit: i64| accepted.partition_point(|event| event.timestamp < limit);
    let too_old = before(now - 14 * 24 * HOUR_MS);
    let expired = retention.map_or(0, |days| before(now - days * 24 * HOUR_MS));
    let too_new = before(now + 2 * HOUR_MS);
    let mut rejected = json!({});
    if too_old > 0 {
        rejected["tooOldLogEventEndIndex"] = too_old.into();
    }
    if expired > too_old {
        rejected["expiredLogEventEndIndex"] = expired.into();
    }
    if too_new < accepted.len() {
        rejected["tooNewLogEventStartIndex"] = too_new.into();
    }
    let from = too_old.max(expired).min(too_new);
    stream.extend_from_slice(&accepted[from..too_new]);
    let mut output = json!({ "nextSequenceToken": "0" });
    if rejected != json!({}) {
        output["rejectedLogEventsInfo"] = rejected;
    }
    Ok(output)
}

fn describe_groups(state: &State, input: &Value) -> Value {
    let prefix = text(input, "logGroupNamePrefix");
    let groups = state.groups.iter().filter(|(name, _)| name.starts_with(prefix));
    let groups = groups.map(|(name, group)| match group.retention_days {
        Some(days) => json!({ "logGroupName": name, "retentionInDays": days }),
        None => json!({ "logGroupName": name }),
    });
    json!({ "logGroups": groups.collect::<Vec<_>>() })
}

fn describe_streams(state: &State, input: &Value) -> Result<Value, Refusal> {
    let group = state.groups.get(text(input, "logGroupName")).ok_or_else(|| missing("log group"))?;
    let prefix = text(input, "logStreamNamePrefix");
    let names = group.streams.keys().filter(|name| name.starts_with(prefix));
    Ok(json!({ "logStreams": names.map(|name| json!({ "logStreamName": name })).collect::<Vec<_>>() }))
}

fn get_events(state: &State, input: &Value) -> Result<Value, Refusal> {
    let group = state.groups.get(text(input, "logGroupName")).ok_or_else(|| missing("log group"))?;
    let stream = group.streams.get(text(input, "logStreamName")).ok_or_else(|| missing("log stream"))?;
    let mut events = stream.clone();
    events.sort_by_key(|event| event.timestamp);
    let limit = usize::try_from(input["limit"].as_u64().unwrap_or(10_000)).unwrap_or(10_000);
    let from = match text(input, "nextToken").strip_prefix("f/") {
        Some(token) => token.parse().map_err(|_| invalid("The specified nextToken is invalid."))?,
        None => 0usize,
    };
    let to = (from + limit).min(events.len());
    let page = events.get(from..to).unwrap_or_default().iter();
    let page: Vec<Value> =
        page.map(|event| json!({ "timestamp": event.timestamp, "message": event.message })).collect();
    Ok(json!({ "events": page, "nextForwardToken": format!("f/{to}"), "nextBackwardToken": "b/0" }))
}
