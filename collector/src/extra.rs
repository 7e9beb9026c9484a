//! What transforms find out about a record beside its body: severity, trace context, attributes.
//!
//! Most records have none, so a record only holds a span. The bytes it points to are the JSON
//! members of the landing format, each with a leading comma, ready to be copied behind the body:
//!
//! ```text
//! ,"n":17,"sv":"ERROR","tr":"0af7651916cd43dd8448eb211c80319c","sp":"b7ad6b7169203331","a":{"user":"eve"}
//! ```

use crate::batch::{Batch, Record};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Severity, trace context and attributes of one record, in OpenTelemetry's terms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Extra {
    /// `SeverityNumber`, 1 to 24; 0 when unknown.
    #[serde(rename = "n")]
    pub severity_number: u8,
    /// Severity as the record wrote it.
    #[serde(rename = "sv")]
    pub severity_text: String,
    /// 32 lower-case hex digits, or empty.
    #[serde(rename = "tr")]
    pub trace_id: String,
    /// 16 lower-case hex digits, or empty.
    #[serde(rename = "sp")]
    pub span_id: String,
    /// Attributes, in the order they were found.
    #[serde(rename = "a")]
    pub attributes: Map<String, Value>,
}

impl Extra {
    /// Appends the members for the landing format; nothing when nothing is known.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut member = |name: &str, value: &Value| {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value.to_string().as_bytes());
        };
        if self.severity_number > 0 {
            member("n", &self.severity_number.into());
        }
        for (name, text) in [("sv", &self.severity_text), ("tr", &self.trace_id), ("sp", &self.span_id)] {
            if !text.is_empty() {
                member(name, &text.as_str().into());
            }
        }
        if !self.attributes.is_empty() {
            member("a", &Value::Object(self.attributes.clone()));
        }
    }

    /// Reads what [`Extra::encode`] wrote.
    pub fn decode(members: &[u8]) -> Self {
        if members.is_empty() {
            return Self::default();
        }
        let mut text = members.to_vec();
        text[0] = b'{';
        text.push(b'}');
        // Only this module writes these bytes, so they are well formed.
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Takes over what is known already: it wins over what was found later.
    pub fn refine(&mut self, known: Self) {
        if known.severity_number > 0 {
            self.severity_number = known.severity_number;
        }
        for (mine, known) in [
            (&mut self.severity_text, known.severity_text),
            (&mut self.trace_id, known.trace_id),
            (&mut self.span_id, known.span_id),
        ] {
            if !known.is_empty() {
                *mine = known;
            }
        }
        self.attributes.extend(known.attributes);
    }

    /// What is known about a record.
    pub fn of(batch: &Batch, record: &Record) -> Self {
        Self::decode(batch.bytes(record.extra))
    }

    /// Stores this as what is known about a record.
    pub fn store(&self, batch: &mut Batch, record: &mut Record) {
        let start = batch.joined.len();
        self.encode(&mut batch.joined);
        record.extra = crate::batch::Span::joined(start, batch.joined.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let mut extra = Extra { severity_number: 17, severity_text: "ER\"R".into(), ..Extra::default() };
        extra.attributes.insert("user \\ \n".into(), serde_json::json!({"a": [1, "x"]}));
        for extra in [extra, Extra::default()] {
            let mut out = Vec::new();
            extra.encode(&mut out);
            assert_eq!(Extra::decode(&out), extra);
        }
    }
}
