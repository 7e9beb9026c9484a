//! FilterLogEvents: all streams of a group by time, in pages that may be empty, with tokens that expire.

use super::{CloudWatch, Group, Refusal, invalid, missing, text};
use serde_json::{Value, json};

/// What the reading side of the service can be made to do.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Events in a page; the service's own limit without.
    page: Option<usize>,
    /// Every other page is empty and has a token.
    empty_pages: bool,
    /// Tokens issued before this many are not known any more.
    expired: u64,
    issued: u64,
}

/// An event as FilterLogEvents sees it.
#[derive(Debug, Clone)]
pub(super) struct Logged {
    pub(super) timestamp: i64,
    pub(super) stream: String,
    pub(super) message: String,
}

impl CloudWatch {
    /// Makes events visible in a stream, in this order; group and stream are made. Unlike PutLogEvents,
    /// at any time, so that late events can be had.
    pub fn add(&self, group: &str, stream: &str, events: &[(i64, String)]) {
        let mut state = self.state();
        let group = state.groups.entry(group.to_owned()).or_default();
        group.streams.entry(stream.to_owned()).or_default();
        for (timestamp, message) in events {
            group.log.push(Logged {
                timestamp: *timestamp,
                stream: stream.to_owned(),
                message: message.clone(),
            });
        }
    }

    /// Pages of so many events, with an empty page before each.
    pub fn page_by(&self, events: usize, empty_pages: bool) {
        let mut state = self.state();
        state.reading.page = Some(events);
        state.reading.empty_pages = empty_pages;
    }

    /// Forgets every token that was issued.
    pub fn expire_tokens(&self) {
        let mut state = self.state();
        state.reading.expired = state.reading.issued;
    }
}

/// A token: its number, whether an empty page came last, and the last event given.
fn parse(token: &str) -> Option<(u64, bool, i64, usize)> {
    let mut parts = token.split('/');
    let number = parts.next()?.parse().ok()?;
    let empty = parts.next()? == "empty";
    Some((number, empty, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub(super) fn filter(
    groups: &std::collections::BTreeMap<String, Group>,
    reading: &mut Reading,
    input: &Value,
) -> Result<Value, Refusal> {
    let name = text(input, "logGroupName");
    let group = groups.get(name).ok_or_else(|| missing("log group"))?;
    let limit = input["limit"].as_u64().unwrap_or(10_000);
    if !(1..=10_000).contains(&limit) {
        return Err(invalid(format!("limit {limit}")));
    }
    let from = input["startTime"].as_i64().unwrap_or(0);
    let to = input["endTime"].as_i64().unwrap_or(i64::MAX);
    if from < 0 || to < from {
        return Err(invalid(format!("startTime {from} endTime {to}")));
    }
    let (after, was_empty) = match input["nextToken"].as_str() {
        None => ((i64::MIN, 0), false),
        Some(token) => {
            let known = parse(token).filter(|(number, ..)| *number >= reading.expired);
            // The message and error of the service for a token it does not know.
            let Some((_, empty, time, index)) = known else {
                return Err(("InvalidParameterException", "The specified nextToken is invalid.".to_owned()));
            };
            ((time, index), empty)
        }
    };
    // The position in the log stands for the time of ingestion, and orders events of one time.
    let mut events: Vec<(i64, usize, &Logged)> = (1..)
        .zip(&group.log)
        .map(|(index, event)| (event.timestamp, index, event))
        .filter(|(time, index, _)| (from..=to).contains(time) && (*time, *index) > after)
        .collect();
    events.sort_unstable_by_key(|(time, index, _)| (*time, *index));
    let size = reading.page.unwrap_or(10_000).min(usize::try_from(limit).unwrap_or(10_000));
    let empty = reading.empty_pages && !was_empty && !events.is_empty();
    let page = if empty { &[] } else { events.get(..size.min(events.len())).unwrap_or_default() };
    let (time, index) = page.last().map_or(after, |(time, index, _)| (*time, *index));
    let more = page.len() < events.len();
    let shown: Vec<Value> = page
        .iter()
        .map(|(time, index, event)| {
            json!({
                "eventId": format!("{index:056}"), "timestamp": time, "ingestionTime": time,
                "logStreamName": event.stream, "message": event.message,
            })
        })
        .collect();
    let mut output = json!({ "events": shown, "searchedLogStreams": [] });
    if more {
        let kind = if empty { "empty" } else { "full" };
        output["nextToken"] = format!("{}/{kind}/{time}/{index}", reading.issued).into();
        reading.issued += 1;
    }
    Ok(output)
}
