//! Formats that the configuration declares, for flow logs without a header line: what CloudWatch Logs
//! and Firehose deliver. A line of such a log does not say what its columns are, so nobody guesses.
//!
//! A format holds for the objects below a location or for the messages of a log group. A header line,
//! and the column names of a Parquet file, win over it.

use super::header::{self, Layout};
use thiserror::Error;

/// Where a declared format holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Objects whose location begins with this.
    Location(String),
    /// Messages of this log group; a `*` at the end stands for any ending.
    LogGroup(String),
}

/// A declared format and where it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowFormat {
    scope: Scope,
    text: String,
    layout: Layout,
}

/// Why a format cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FormatError {
    /// A word is no name of a field.
    #[error(
        "`{0}` is no field name; write the flow log's format as AWS shows it: `${{version}} ${{account-id}} …`"
    )]
    Name(String),
    /// Hardly any of the names is known.
    #[error("fewer than two of its fields, or fewer than half of them, are fields of a flow log")]
    Unknown,
}

impl FlowFormat {
    /// Reads a format as AWS shows it (`${version} ${account-id} …`) or as a header line has it.
    ///
    /// # Errors
    /// [`FormatError`] when it names something else than fields.
    pub fn new(scope: Scope, format: &str) -> Result<Self, FormatError> {
        let mut names = Vec::new();
        // The console joins fields with blanks, some templates with commas or nothing at all.
        for word in format.split([' ', '\t', '\n', ',']).flat_map(|word| word.split_inclusive('}')) {
            let name = word.strip_prefix("${").and_then(|word| word.strip_suffix('}')).unwrap_or(word);
            if name.is_empty() {
                continue;
            }
            if !name.bytes().all(header::is_name_byte) {
                return Err(FormatError::Name(word.to_owned()));
            }
            names.push(name);
        }
        let fields = header::fields(names.into_iter()).ok_or(FormatError::Unknown)?;
        let layout = Layout { fields, from_header: false, configured: true };
        Ok(Self { scope, text: format.to_owned(), layout })
    }

    /// Where it holds.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The header line that says the same, with its line end.
    pub fn header(&self) -> String {
        let names: String =
            self.text.chars().filter(|character| *character != '$' && *character != '{').collect();
        let names: Vec<&str> =
            names.split([' ', '\t', '\n', ',', '}']).filter(|name| !name.is_empty()).collect();
        names.join(" ") + "\n"
    }

    /// As it was declared.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The format declared for an object: that of the longest location it lies below.
pub fn declared<'f>(formats: &'f [FlowFormat], location: &str) -> Option<&'f FlowFormat> {
    let covering = formats.iter().filter_map(|format| match &format.scope {
        Scope::Location(prefix) if location.starts_with(prefix.as_str()) => Some((prefix.len(), format)),
        _ => None,
    });
    covering.max_by_key(|(length, _)| *length).map(|(_, format)| format)
}

/// The layout of the format declared for an object.
pub fn of_location<'f>(formats: &'f [FlowFormat], location: &str) -> Option<&'f Layout> {
    declared(formats, location).map(|format| &format.layout)
}

/// The layout declared for a log group: an exact name wins over a longer and that over a shorter prefix.
pub fn of_log_group<'f>(formats: &'f [FlowFormat], group: &str) -> Option<&'f Layout> {
    let covering = formats.iter().filter_map(|format| {
        let Scope::LogGroup(name) = &format.scope else { return None };
        let rank = match name.strip_suffix('*') {
            Some(prefix) => group.starts_with(prefix).then_some(prefix.len()),
            None => (name == group).then_some(usize::MAX),
        };
        Some((rank?, &format.layout))
    });
    covering.max_by_key(|(rank, _)| *rank).map(|(_, layout)| layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(scope: Scope, text: &str) -> FlowFormat {
        FlowFormat::new(scope, text).expect(text)
    }

    #[test]
    fn formats_are_read_as_aws_shows_them() {
        let location = || Scope::Location("s3://b/flow/".to_owned());
        for text in [
            "${version} ${vpc-id} ${srcaddr}",
            "version vpc-id srcaddr",
            "${version},${vpc-id},${srcaddr}",
            "${version}${vpc-id}\n${srcaddr}",
        ] {
            assert_eq!(format(location(), text).layout.fields.len(), 3, "{text}");
        }
        for (text, part) in [
            ("${Version} ${srcaddr}", "`${Version}` is no field name"),
            ("${foo} ${bar} ${baz} ${start} ${end}", "fewer than half"),
            ("", "fewer than two"),
        ] {
            let error = FlowFormat::new(location(), text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn the_closest_scope_wins() {
        let formats = [
            format(Scope::Location("s3://b/".to_owned()), "start end"),
            format(Scope::Location("s3://b/x/".to_owned()), "start end srcaddr"),
            format(Scope::LogGroup("/vpc/*".to_owned()), "start end"),
            format(Scope::LogGroup("/vpc/flow".to_owned()), "start end srcaddr dstaddr"),
        ];
        let fields = |layout: Option<&Layout>| layout.map(|layout| layout.fields.len());
        assert_eq!(fields(of_location(&formats, "s3://b/x/y.gz")), Some(3));
        assert_eq!(fields(of_location(&formats, "s3://b/y.gz")), Some(2));
        assert_eq!(fields(of_location(&formats, "s3://c/y.gz")), None);
        assert_eq!(fields(of_log_group(&formats, "/vpc/flow")), Some(4));
        assert_eq!(fields(of_log_group(&formats, "/vpc/other")), Some(2));
        assert_eq!(fields(of_log_group(&formats, "/app")), None);
    }
}
