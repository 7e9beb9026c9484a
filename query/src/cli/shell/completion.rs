//! What the word being typed may become: tables, columns, functions, named queries, commands.

use logq_schemas::tables;
use reedline::{Completer, Span, Suggestion};
use std::collections::BTreeSet;

/// Words of the language worth completing.
pub const KEYWORDS: &[&str] = &[
    "select",
    "from",
    "where",
    "group",
    "by",
    "order",
    "limit",
    "having",
    "join",
    "left",
    "inner",
    "cross",
    "on",
    "using",
    "and",
    "or",
    "not",
    "in",
    "is",
    "null",
    "like",
    "ilike",
    "between",
    "case",
    "when",
    "then",
    "else",
    "end",
    "as",
    "distinct",
    "union",
    "all",
    "with",
    "exists",
    "over",
    "partition",
    "desc",
    "asc",
    "interval",
    "timestamp",
    "date",
    "cast",
    "explain",
    "analyze",
    "filter",
    "values",
    "true",
    "false",
    "describe",
    "show",
    "tables",
];

/// Commands of the shell.
const COMMANDS: &[&str] =
    &["d", "queries", "run", "functions", "format", "timing", "since", "export", "refresh", "q", "?"];

/// Values of columns that have few: what follows `column = '`.
const FREQUENT: &[(&str, &[&str])] = &[
    ("action", &["ACCEPT", "REJECT", "ConsoleLogin", "AssumeRole", "GetObject"]),
    ("outcome", &["success", "failure"]),
    ("source", &["cloudtrail", "vpc_flow", "kubernetes"]),
    ("log_status", &["OK", "SKIPDATA"]),
    ("flow_direction", &["ingress", "egress"]),
    (
        "user_identity_type",
        &[
            "Root",
            "IAMUser",
            "AssumedRole",
            "AWSService",
            "AWSAccount",
            "FederatedUser",
            "WebIdentityUser",
            "SAMLUser",
        ],
    ),
    (
        "error_code",
        &["AccessDenied", "Client.UnauthorizedOperation", "ThrottlingException", "NoSuchEntityException"],
    ),
    (
        "event_name",
        &[
            "AssumeRole",
            "ConsoleLogin",
            "CreateAccessKey",
            "CreateUser",
            "GetObject",
            "GetSecretValue",
            "PutBucketPolicy",
            "RunInstances",
            "StopLogging",
        ],
    ),
    (
        "event_source",
        &[
            "ec2.amazonaws.com",
            "iam.amazonaws.com",
            "kms.amazonaws.com",
            "s3.amazonaws.com",
            "sts.amazonaws.com",
        ],
    ),
    ("severity_text", &["DEBUG", "INFO", "WARN", "ERROR", "FATAL"]),
    ("stream", &["stdout", "stderr"]),
];

/// Everything that can be completed.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    functions: Vec<String>,
    queries: Vec<String>,
}

impl Vocabulary {
    /// With these functions and named queries, and the tables of logq.
    pub fn new(mut functions: Vec<String>, queries: Vec<String>) -> Self {
        functions.sort();
        functions.dedup();
        Vocabulary { functions, queries }
    }

    /// Names of functions.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.iter().map(String::as_str)
    }

    /// What the last word of `before` may become, and how many bytes of it are there already.
    pub fn candidates(&self, before: &str) -> (Vec<String>, usize) {
        if let Some(command) = before.strip_prefix('\\') {
            return self.after_backslash(command);
        }
        if let Some(found) = values(before) {
            return found;
        }
        let start = before
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |at| at + last_width(before, at));
        let word = &before[start..];
        let previous = before[..start].split_whitespace().last().unwrap_or_default().to_ascii_lowercase();
        let found = if matches!(previous.as_str(), "from" | "join" | "describe") {
            matching(table_names(), word)
        } else if word.is_empty() {
            Vec::new()
        } else {
            let functions = self.functions().map(|name| format!("{name}("));
            let mut found = matching(columns(before).into_iter().map(str::to_owned), word);
            found.extend(matching(functions, word));
            found.extend(matching(KEYWORDS.iter().map(|word| (*word).to_owned()), word));
            found.extend(matching(table_names(), word));
            found
        };
        (found, word.len())
    }

    fn after_backslash(&self, command: &str) -> (Vec<String>, usize) {
        let Some((name, rest)) = command.split_once(' ') else {
            return (matching(COMMANDS.iter().map(|word| (*word).to_owned()), command), command.len());
        };
        let found = match name {
            "run" => matching(self.queries.iter().cloned(), rest),
            "d" => matching(table_names(), rest),
            _ => Vec::new(),
        };
        (found, rest.len())
    }
}

fn last_width(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(1, char::len_utf8)
}

fn table_names() -> impl Iterator<Item = String> {
    tables::ALL.iter().map(|table| table.name.to_owned()).chain(["events".to_owned()])
}

/// Columns of the tables the text names, or of all.
fn columns(text: &str) -> BTreeSet<&'static str> {
    let lower = text.to_ascii_lowercase();
    let named = |table: &&&logq_schemas::Table| lower.contains(table.name);
    let any = tables::ALL.iter().any(|table| named(&table));
    tables::ALL
        .iter()
        .filter(|table| !any || named(table))
        .flat_map(|table| table.columns())
        .map(|column| column.name)
        .collect()
}

/// Inside a text that a column is compared with: the column's usual values.
fn values(before: &str) -> Option<(Vec<String>, usize)> {
    if before.matches('\'').count().is_multiple_of(2) {
        return None;
    }
    let (head, typed) = before.rsplit_once('\'')?;
    let head = head.trim_end().trim_end_matches(['=', '<', '>', '(', '!']).trim_end();
    let head = head.strip_suffix(" in").unwrap_or(head);
    let column = head.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    let (_, known) = FREQUENT.iter().find(|(name, _)| *name == column)?;
    Some((matching(known.iter().map(|value| format!("{value}'")), typed), typed.len()))
}

fn matching(words: impl Iterator<Item = String>, typed: &str) -> Vec<String> {
    let typed = typed.to_ascii_lowercase();
    words.filter(|word| word.to_ascii_lowercase().starts_with(&typed)).collect()
}

/// Completion for the editor.
pub struct Completion {
    vocabulary: Vocabulary,
}

impl Completion {
    /// Completes from `vocabulary`.
    pub fn new(vocabulary: Vocabulary) -> Self {
        Completion { vocabulary }
    }
}

impl Completer for Completion {
    fn complete(&mut self, line: &str, position: usize) -> Vec<Suggestion> {
        let Some(before) = line.get(..position) else { return Vec::new() };
        let (found, typed) = self.vocabulary.candidates(before);
        let span = Span::new(position - typed, position);
        found
            .into_iter()
            .map(|value| Suggestion { append_whitespace: false, value, span, ..Suggestion::default() })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(before: &str) -> Vec<String> {
        let vocabulary = Vocabulary::new(
            vec!["cidr_contains".to_owned(), "count".to_owned()],
            vec!["top-talkers".to_owned()],
        );
        vocabulary.candidates(before).0
    }

    #[test]
    fn words_complete_to_what_can_stand_there() {
        assert_eq!(candidates("select interf"), ["interface_id"]);
        assert_eq!(candidates("select * from vp"), ["vpc_flow"]);
        assert_eq!(candidates("select * from vpc_flow where ci"), ["cidr_contains("]);
        assert_eq!(
            candidates("select * from vpc_flow where event_n"),
            Vec::<String>::new(),
            "no column of this table"
        );
        assert_eq!(candidates("\\run top"), ["top-talkers"]);
        assert_eq!(candidates("\\d app"), ["app_log"]);
        assert_eq!(candidates("\\exp"), ["export"]);
        assert_eq!(candidates("select 1 from cloudtrail where outcome = 'f"), ["failure'"]);
        assert_eq!(candidates("select 1 from vpc_flow where action in ('R"), ["REJECT'"]);
        assert_eq!(candidates("select 'é' , src_p"), ["src_port"]);
        assert!(candidates("select * from ").contains(&"events".to_owned()));
        assert!(candidates("").is_empty());
    }

    #[test]
    fn every_column_with_frequent_values_exists() {
        for (name, _) in FREQUENT {
            assert!(tables::ALL.iter().any(|table| table.column(name).is_some()), "{name}");
        }
    }
}
