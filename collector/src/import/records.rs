//! Filters that look into records (`grep`, `modify`, `record_modifier`, `nest`), as VRL.
//!
//! Fluent Bit has one map of fields. Here a record has a body, which stays as it was written, and
//! attributes beside it. A field is therefore looked for in the body, when that is a JSON object, and then
//! in the attributes; new fields become attributes, and what is removed or renamed is so in both.

use super::{Section, Translation, escaped, is_body};
use toml::Table;

/// Programs begin with it.
const PRELUDE: &str = "body = object(parse_json(string(.message) ?? \"\") ?? null) ?? {}\n\
                       attributes = object(.attributes) ?? {}\n\
                       fields = merge(attributes, body)\n";
const BEFORE: &str = "before = body\n";
const AFTER: &str = "\n.attributes = attributes\nif body != before { .message = encode_json(body) }";

/// Fields Fluent Bit's kubernetes filter adds, and where programs read them.
const METADATA: [(&str, &str); 6] = [
    ("namespace_name", "namespace"),
    ("pod_name", "pod"),
    ("pod_id", "pod_uid"),
    ("container_name", "container"),
    ("container_image", "image"),
    ("labels", "labels"),
];

/// An expression that reads a field: its value, and that it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    value: String,
    exists: String,
}

impl Field {
    /// Reads `level`, `$level`, `$kubernetes['labels']['app']`; `merged` is the key below which Merge_Log
    /// puts the fields of a body.
    pub(super) fn read(text: &str, merged: Option<&str>) -> Option<Self> {
        let mut path = segments(text)?;
        if path.len() > 1 && merged == path.first().map(String::as_str) {
            path.remove(0);
        }
        let whole = |place: String| Self { exists: format!("exists({place})"), value: place };
        let quoted =
            |path: &[String]| path.iter().map(|name| format!(".{}", text_of(name))).collect::<String>();
        match path.as_slice() {
            [body] if is_body(body) => Some(whole(".message".to_owned())),
            [stream] if stream == "stream" => Some(whole(".stdio".to_owned())),
            [kubernetes, name, rest @ ..] if kubernetes == "kubernetes" => {
                let (_, ours) = METADATA.iter().find(|(theirs, _)| theirs == name)?;
                Some(whole(format!(".kubernetes.{ours}{}", quoted(rest))))
            }
            [kubernetes] if kubernetes == "kubernetes" => None,
            path => {
                let name = quoted(path);
                Some(whole(format!("fields{name}")))
            }
        }
    }

    /// The field is a text that matches; as in Fluent Bit numbers never do.
    pub(super) fn matches(&self, pattern: &str) -> Option<String> {
        let literal = literal(pattern)?;
        Some(format!("(is_string({0}) && match(string({0}) ?? \"\", {literal}))", self.value))
    }
}

/// A text inside a program.
fn text_of(text: &str) -> String {
    format!("{text:?}").replace("{{", "\\{{")
}

/// An expression inside a program; none when it is not understood here. Ruby writes `\h` for a hex digit.
fn literal(pattern: &str) -> Option<String> {
    let pattern = pattern.trim().replace("\\h", "[0-9a-fA-F]");
    regex::Regex::new(&pattern).ok()?;
    Some(format!("r'{}'", escaped(&pattern.replace('\'', "\\'"))))
}

/// `$a['b']['c']` as its names.
fn segments(text: &str) -> Option<Vec<String>> {
    let Some(accessor) = text.strip_prefix('$') else { return Some(vec![text.to_owned()]) };
    let (first, mut rest) = accessor.split_at(accessor.find('[').unwrap_or(accessor.len()));
    let mut names = vec![first.to_owned()];
    while !rest.is_empty() {
        let (name, behind) = rest.strip_prefix('[')?.split_once(']')?;
        names.push(name.trim_matches(['\'', '"']).to_owned());
        rest = behind;
    }
    Some(names)
}

fn words(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (first, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (first, rest.trim())
}

/// A quoted word, or one up to the next blank.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

impl Translation {
    fn merged(&self, routes: &[usize]) -> Option<String> {
        routes.iter().find_map(|&route| self.routes[route].merged.clone())
    }

    fn program(&mut self, routes: &[usize], program: &str) {
        let settings = Table::from_iter([("source".to_owned(), program.to_owned().into())]);
        routes.iter().for_each(|&route| self.transform(route, "remap", settings.clone()));
    }

    /// Behind these routes go on only records for which an expression holds.
    pub(super) fn keep(&mut self, routes: &[usize], expression: &str) {
        let prelude = if expression.contains("fields") { PRELUDE } else { "" };
        self.program(routes, &format!("{prelude}if !({expression}) {{ abort }}"));
    }

    pub(super) fn grep(&mut self, routes: &[usize], section: &mut Section) {
        let logical = section.take("logical_op").map(|op| op.to_ascii_lowercase());
        let logical = logical.filter(|op| op != "legacy");
        let merged = self.merged(routes);
        let mut rules = Vec::new();
        let (wanted, left): (Vec<_>, Vec<_>) = std::mem::take(&mut section.entries)
            .into_iter()
            .partition(|entry| entry.key == "regex" || entry.key == "exclude");
        section.entries = left;
        for entry in wanted {
            let (field, pattern) = words(&entry.value);
            let test = Field::read(field, merged.as_deref()).and_then(|field| field.matches(pattern));
            match test {
                Some(test) => rules.push((entry, test)),
                None => self.note(
                    &entry.place,
                    &format!("{} {}", entry.key, entry.value),
                    "the field or the expression has no counterpart: this rule is left out, and records that it would have excluded get through now; write a filter or remap transform",
                ),
            }
        }
        if rules.is_empty() {
            return;
        }
        if let Some(op) = logical {
            let exclude = rules.iter().all(|(entry, _)| entry.key == "exclude");
            if !exclude && rules.iter().any(|(entry, _)| entry.key == "exclude") {
                let place = section.place.clone();
                self.note(&place, "logical_op", "Regex and Exclude can't be mixed with it; all records get through now: write a filter or remap transform");
                return;
            }
            let tests: Vec<String> = rules.into_iter().map(|(_, test)| test).collect();
            let joined = tests.join(if op == "and" { " && " } else { " || " });
            let expression = if exclude { format!("!({joined})") } else { joined };
            return self.keep(routes, &expression);
        }
        // Rules are read in order and the first Regex decides: those behind it are never reached.
        let decided = rules.iter().position(|(entry, _)| entry.key == "regex");
        for (entry, _) in rules.drain(decided.map_or(rules.len(), |at| at + 1)..) {
            self.note(&entry.place, &format!("{} {}", entry.key, entry.value), "never reached in Fluent Bit: the Regex before it decides alone (Logical_Op legacy); left out, so the same records get through");
        }
        for (entry, test) in rules {
            let (field, pattern) = words(&entry.value);
            let drop = entry.key == "exclude";
            if is_body(field) {
                let pattern = pattern.replace("\\h", "[0-9a-fA-F]");
                let condition = Table::from_iter([("matches".to_owned(), vec![escaped(&pattern)].into())]);
                routes.iter().for_each(|&route| self.filtered(route, condition.clone(), drop));
            } else {
                let expression = if drop { format!("!{test}") } else { test };
                self.keep(routes, &expression);
            }
        }
    }

    /// `modify`, `record_modifier` and the processor `content_modifier`.
    pub(super) fn modify(&mut self, routes: &[usize], section: &mut Section) {
        let merged = self.merged(routes);
        let mut conditions = Vec::new();
        for entry in section.take_all("condition") {
            match condition(&entry.value, merged.as_deref()) {
                Some(test) => conditions.push(test),
                None => {
                    self.left_out(section, &format!("modify, condition {}", entry.value), "the condition has no counterpart: the whole filter is left out, no record is changed; write a remap transform");
                    return;
                }
            }
        }
        let mut rules = Vec::new();
        let mut left = Vec::new();
        for entry in std::mem::take(&mut section.entries) {
            match rule(&entry.key, &entry.value) {
                Rule::Program(text) => rules.push(text),
                Rule::Unknown => left.push(entry),
                Rule::NotHere(why) => self.note(&entry.place, &format!("{} {}", entry.key, entry.value), why),
            }
        }
        let allowed: Vec<_> = left
            .extract_if(.., |entry| ["allowlist_key", "whitelist_key"].contains(&entry.key.as_str()))
            .collect();
        section.entries = left;
        if !allowed.is_empty() {
            let names: Vec<String> = allowed.iter().map(|entry| text_of(&entry.value)).collect();
            rules.push(
                both("FIELDS = filter(FIELDS) -> |key, _value| { includes([NAMES], key) }")
                    .replace("NAMES", &names.join(", ")),
            );
        }
        if rules.is_empty() {
            return;
        }
        let mut program = rules.join("\n");
        if !conditions.is_empty() {
            program = format!("if {} {{\n{program}\n}}", conditions.join(" && "));
        }
        self.program(routes, &format!("{PRELUDE}{BEFORE}{program}{AFTER}"));
    }

    pub(super) fn nest(&mut self, routes: &[usize], section: &mut Section) {
        let operation = section.take("operation").unwrap_or_default().to_ascii_lowercase();
        let wildcards = section.take_all("wildcard");
        let under = section.take(if operation == "lift" { "nested_under" } else { "nest_under" });
        let (add, remove) = (section.take("add_prefix"), section.take("remove_prefix"));
        let Some(under) = under.filter(|_| ["nest", "lift"].contains(&operation.as_str())) else {
            self.left_out(section, "filter nest", "needs an operation and the key to nest below; left out");
            return;
        };
        if under.starts_with("kubernetes") {
            self.left_out(section, "filter nest", "what is known about pods is not part of the fields here: it has its own columns and is `.kubernetes` in programs; left out");
            return;
        }
        let under = text_of(&under);
        let mut key = "key".to_owned();
        if let Some(prefix) = &remove {
            key =
                format!("replace({key}, r'^{}', \"\")", escaped(&regex::escape(prefix).replace('\'', "\\'")));
        }
        if let Some(prefix) = &add {
            key = format!("{} + {key}", text_of(prefix));
        }
        let program = if operation == "lift" {
            both(
                "if is_object(FIELDS.UNDER) {\ninner = object(del(FIELDS.UNDER)) ?? {}\nFIELDS = merge(FIELDS, map_keys(inner) -> |key| { KEY })\n}",
            )
        } else {
            let tests: Vec<String> = wildcards
                .iter()
                .map(|entry| match entry.value.strip_suffix('*') {
                    Some(start) => format!("starts_with(key, {})", text_of(start)),
                    None => format!("key == {}", text_of(&entry.value)),
                })
                .collect();
            let test = if tests.is_empty() { "false".to_owned() } else { tests.join(" || ") };
            both("inner = filter(FIELDS) -> |key, _value| { TEST }\nFIELDS = filter(FIELDS) -> |key, _value| { !(TEST) }\nif !is_empty(inner) { FIELDS.UNDER = map_keys(inner) -> |key| { KEY } }").replace("TEST", &test)
        };
        let program = program.replace("UNDER", &under).replace("KEY", &key);
        self.program(routes, &format!("{PRELUDE}{BEFORE}{program}{AFTER}"));
    }
}

/// A rule of modify.
enum Rule {
    Program(String),
    Unknown,
    NotHere(&'static str),
}

/// A statement about `FIELDS`, for the fields of the body and for attributes.
fn both(statement: &str) -> String {
    ["body", "attributes"].map(|fields| statement.replace("FIELDS", fields)).join(
        "
",
    )
}

fn rule(key: &str, value: &str) -> Rule {
    let (first, second) = words(value);
    let (from, to) = (text_of(first), text_of(unquoted(second)));
    let known = [
        "set",
        "add",
        "record",
        "remove",
        "remove_key",
        "remove_wildcard",
        "remove_regex",
        "rename",
        "hard_rename",
        "copy",
        "hard_copy",
    ];
    if !known.contains(&key) {
        return Rule::Unknown;
    }
    if first == "kubernetes" || first == "stream" {
        return Rule::NotHere("where a record comes from can't be changed here; left out");
    }
    if is_body(first) && !["set", "add", "record"].contains(&key) {
        return Rule::NotHere(
            "the body is the record itself here and keeps its place; left out, the body goes on as it is",
        );
    }
    let text = match key {
        "set" | "record" if is_body(first) => format!(".message = {to}\nbody = {{}}\nbefore = body"),
        "add" if is_body(first) => return Rule::NotHere("a record always has a body here; left out"),
        "set" | "record" => {
            format!("if exists(body.{from}) {{ body.{from} = {to} }} else {{ attributes.{from} = {to} }}")
        }
        "add" => {
            format!("if !exists(body.{from}) && !exists(attributes.{from}) {{ attributes.{from} = {to} }}")
        }
        "remove" | "remove_key" => both(&format!("del(FIELDS.{from})")),
        "remove_wildcard" => both("FIELDS = filter(FIELDS) -> |key, _value| { !starts_with(key, START) }")
            .replace("START", &text_of(first.trim_end_matches('*'))),
        "remove_regex" => match literal(first) {
            Some(pattern) => both("FIELDS = filter(FIELDS) -> |key, _value| { !match(key, PATTERN) }")
                .replace("PATTERN", &pattern),
            None => {
                return Rule::NotHere(
                    "the expression needs what expressions here do not have; the fields stay",
                );
            }
        },
        _ => {
            let value = if key.ends_with("rename") {
                format!("del(FIELDS.{from})")
            } else {
                format!("FIELDS.{from}")
            };
            let free =
                if key.starts_with("hard") { String::new() } else { format!(" && !exists(FIELDS.{to})") };
            both(&format!("if exists(FIELDS.{from}){free} {{ FIELDS.{to} = {value} }}"))
        }
    };
    Rule::Program(text)
}

/// A condition of modify as an expression.
fn condition(text: &str, merged: Option<&str>) -> Option<String> {
    let (kind, rest) = words(text);
    let (first, second) = words(rest);
    let field = || Field::read(first, merged);
    let keys = |test: &str| format!("(length(filter(fields) -> |key, value| {{ {test} }}) > 0)");
    Some(match kind.to_ascii_lowercase().as_str() {
        "key_exists" => field()?.exists,
        "key_does_not_exist" => format!("!{}", field()?.exists),
        "a_key_matches" => keys(&format!("match(key, {})", literal(first)?)).replace("value|", "_value|"),
        "no_key_matches" => {
            format!("!{}", keys(&format!("match(key, {})", literal(first)?)).replace("value|", "_value|"))
        }
        "key_value_equals" => format!("({} == {})", field()?.value, text_of(second)),
        "key_value_does_not_equal" => {
            let field = field()?;
            format!("({} && {} != {})", field.exists, field.value, text_of(second))
        }
        "key_value_matches" => field()?.matches(second)?,
        "key_value_does_not_match" => {
            let field = field()?;
            format!("({} && !{})", field.exists, field.matches(second)?)
        }
        "matching_keys_have_matching_values" => format!(
            "!{}",
            keys(&format!(
                "match(key, {}) && !match(string(value) ?? \"\", {})",
                literal(first)?,
                literal(second)?
            ))
        ),
        "matching_keys_do_not_have_matching_values" => format!(
            "!{}",
            keys(&format!(
                "match(key, {}) && match(string(value) ?? \"\", {})",
                literal(first)?,
                literal(second)?
            ))
        ),
        _ => return None,
    })
}
