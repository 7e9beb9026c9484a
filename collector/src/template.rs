//! Names made from what is known about a record: `{{ namespace }}/{{ labels.app | none }}/%Y-%m-%d`.
//!
//! * `{{ field }}`: `cluster`, `node`, `namespace`, `pod`, `pod_uid`, `container`, `stdio`, `source`,
//!   `host`, `service`, `workload`, `image`, `file`, `labels.<name>`, `resource.<name>`. A field that is
//!   empty gives the text behind `|`, or nothing.
//! * `%Y`, `%m`, `%d`, `%H`: the record's time in UTC. `%%` is a percent sign.
//!
//! A template is checked when the configuration is read.

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use logq_schemas::landing::Stream;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::Write as _;
use std::str::FromStr;

/// A checked template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Time(char),
    Field { name: Field, otherwise: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Plain(&'static str),
    Label(String),
    Resource(String),
}

const FIELDS: [&str; 13] = [
    "cluster",
    "node",
    "namespace",
    "pod",
    "pod_uid",
    "container",
    "stdio",
    "source",
    "host",
    "service",
    "workload",
    "image",
    "file",
];

/// What is the same for all records of a collector.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// Name of the node.
    pub node: &'a str,
}

impl Template {
    /// The name for a record of `stream` at `time_ns` (nanoseconds since 1970).
    pub fn render(&self, place: Place<'_>, stream: &Stream, time_ns: i64) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Time(unit) => {
                    let time: DateTime<Utc> = DateTime::from_timestamp_nanos(time_ns);
                    // Writing into a string does not fail.
                    let _ = match unit {
                        'Y' => write!(out, "{:04}", time.year()),
                        'm' => write!(out, "{:02}", time.month()),
                        'd' => write!(out, "{:02}", time.day()),
                        _ => write!(out, "{:02}", time.hour()),
                    };
                }
                Part::Field { name, otherwise } => {
                    let value = match name {
                        Field::Plain("cluster") => place.cluster,
                        Field::Plain("node") => place.node,
                        Field::Plain(name) => plain(stream, name),
                        Field::Label(name) => stream.labels.get(name).map_or("", String::as_str),
                        Field::Resource(name) => stream.resource.get(name).map_or("", String::as_str),
                    };
                    out.push_str(if value.is_empty() { otherwise } else { value });
                }
            }
        }
        out
    }

    /// Names depend on the record's time.
    pub fn has_time(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Time(_)))
    }
}

fn plain<'a>(stream: &'a Stream, name: &str) -> &'a str {
    match name {
        "namespace" => &stream.namespace,
        "pod" => &stream.pod,
        "pod_uid" => &stream.pod_uid,
        "container" => &stream.container,
        "stdio" => &stream.stdio,
        "source" => &stream.source,
        "host" => &stream.host,
        "service" => &stream.service,
        "workload" => &stream.workload,
        "image" => &stream.image,
        _ => &stream.file,
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '%']) {
            let (before, found) = rest.split_at(at);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            if let Some(after) = found.strip_prefix("{{") {
                let (inside, after) = after.split_once("}}").ok_or("`{{` without `}}`")?;
                parts.push(field(inside)?);
                rest = after;
            } else if let Some(after) = found.strip_prefix('%') {
                match after.chars().next() {
                    Some('%') => parts.push(Part::Text("%".to_owned())),
                    Some(unit @ ('Y' | 'm' | 'd' | 'H')) => parts.push(Part::Time(unit)),
                    _ => return Err("after `%` comes Y, m, d, H or another %".to_owned()),
                }
                rest = &after[1..];
            } else {
                parts.push(Part::Text("{".to_owned()));
                rest = &found[1..];
            }
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.is_empty() {
            return Err("must not be empty".to_owned());
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

fn field(inside: &str) -> Result<Part, String> {
    let (name, otherwise) = inside.split_once('|').unwrap_or((inside, ""));
    let (name, otherwise) = (name.trim(), otherwise.trim().to_owned());
    let quoted = |name: &str| name.trim_matches('"').to_owned();
    let name = if let Some(label) = name.strip_prefix("labels.") {
        Field::Label(quoted(label))
    } else if let Some(attribute) = name.strip_prefix("resource.") {
        Field::Resource(quoted(attribute))
    } else {
        let known = FIELDS.iter().find(|known| **known == name);
        let unknown = || {
            let known = FIELDS.join(", ");
            format!("`{name}` is no field; there is {known}, labels.<name>, resource.<name>")
        };
        Field::Plain(known.ok_or_else(unknown)?)
    };
    Ok(Part::Field { name, otherwise })
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_times_and_defaults_are_filled_in() {
        let mut stream = Stream { namespace: "shop".into(), pod: "api-1".into(), ..Stream::default() };
        stream.labels.insert("app/x".into(), "web".into());
        let render = |text: &str| {
            let template: Template = text.parse().unwrap();
            template.render(Place { cluster: "prod", node: "n1" }, &stream, 1_795_000_000_000_000_000)
        };
        assert_eq!(render("/{{cluster}}/{{ namespace }}/{{ pod }}"), "/prod/shop/api-1");
        assert_eq!(render(r#"{{ labels."app/x" }}{{ labels.none | other }}-{{service}}"#), "webother-");
        assert_eq!(render("%Y/%m/%d-%H 100%% {x}"), "2026/11/18-11 100% {x}");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in
            [("{{ pods }}", "`pods` is no field"), ("{{ pod", "without"), ("%q", "after `%`"), ("", "empty")]
        {
            let error = text.parse::<Template>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
