//! Filters become transforms, one behind each route they match.

use super::{Section, Translation};
use toml::{Table, Value};

impl Translation {
    pub(super) fn filter(&mut self, mut section: Section) {
        let kind = section.take("name").unwrap_or_default().to_ascii_lowercase();
        let place = section.place.clone();
        let routes = self.matching(&mut section);
        match kind.as_str() {
            "kubernetes" => {
                if section.switch("merge_log") == Some(true) {
                    routes.iter().for_each(|&route| self.parser(&place, route, "json"));
                }
                for (key, advice) in [
                    (
                        "k8s-logging.exclude",
                        "pods can't exclude themselves with fluentbit.io/exclude; add a filter transform",
                    ),
                    ("k8s-logging.parser", "the annotation is logq.dev/parser here, not fluentbit.io/parser"),
                ] {
                    if section.switch(key) == Some(true) {
                        self.note(&place, key, advice);
                    }
                }
                // Metadata comes with the source kubernetes_logs.
                section.entries.retain(|entry| {
                    !entry.key.starts_with("kube_")
                        && !["labels", "buffer_size", "use_kubelet", "kubelet_port", "keep_log"]
                            .contains(&entry.key.as_str())
                });
            }
            "parser" => {
                if let Some(key) = section.take("key_name").filter(|key| !is_body(key)) {
                    self.note(
                        &place,
                        &format!("key_name {key}"),
                        "parse works on the whole body; not translated",
                    );
                    return;
                }
                for parser in section.take_all("parser") {
                    routes.iter().for_each(|&route| self.parser(&parser.place, route, &parser.value));
                }
                section.take("reserve_data");
                section.take("preserve_key");
            }
            "grep" => self.grep(&routes, &mut section),
            "modify" | "record_modifier" => self.attributes(&routes, &mut section),
            "throttle" => {
                let rate = section.take("rate").and_then(|rate| rate.parse::<i64>().ok()).unwrap_or(1);
                let interval = section.take("interval").unwrap_or_else(|| "1s".to_owned());
                let settings: Table = [
                    ("threshold".to_owned(), Value::from(rate)),
                    ("window_secs".to_owned(), interval.into()),
                ]
                .into_iter()
                .collect();
                routes.iter().for_each(|&route| self.transform(route, "throttle", settings.clone()));
                self.note(&place, "throttle", "a burst of `rate` passes at once, then that many an interval; Fluent Bit takes the average of `window` intervals");
                section.take("window");
            }
            "multiline" => {
                for parser in section.take_all("multiline.parser") {
                    for language in parser.value.split(',').map(str::trim) {
                        if !["java", "go", "python", "ruby"].contains(&language) {
                            self.note(&parser.place, language, "rules of one's own are `multiline` of the source, mode = \"custom\"; write them by hand");
                            continue;
                        }
                        for &route in &routes {
                            let source = self.source_of(route);
                            self.multiline(&source, language);
                        }
                    }
                }
                section.take("multiline.key_content");
            }
            "lua" | "wasm" => {
                self.note(
                    &place,
                    &format!("filter {kind}"),
                    "programs are written in VRL here: rewrite it as a remap transform",
                );
                return;
            }
            "rewrite_tag" => {
                self.note(&place, "filter rewrite_tag", "there are no tags: add a filter transform for each rule and name it in the inputs of its sink");
                return;
            }
            _ => {
                self.note(
                    &place,
                    &format!("filter {kind}"),
                    "no counterpart; a remap transform may do the same",
                );
                return;
            }
        }
        self.leftover(section);
    }

    /// The source a route begins with.
    fn source_of(&self, route: usize) -> String {
        let mut name = self.routes[route].head.clone();
        while let Some(input) =
            self.transforms.get(&name).and_then(|table| table.get("inputs")?.get(0)?.as_str())
        {
            name = input.to_owned();
        }
        name
    }

    /// A parser by its name: of the configuration, or one that Fluent Bit brings along.
    pub(super) fn parser(&mut self, place: &str, route: usize, name: &str) {
        let own = self
            .parsers
            .iter()
            .rev()
            .find(|parser| parser.entries.iter().any(|entry| entry.key == "name" && entry.value == name));
        let own = own.cloned().map(|mut parser| {
            let format = parser.take("format").unwrap_or_default();
            (format.to_ascii_lowercase(), parser.take("regex").unwrap_or_default())
        });
        let (format, pattern) = match own {
            Some((format, pattern)) if ["json", "regex", "logfmt"].contains(&format.as_str()) => {
                (format, pattern)
            }
            None if ["json", "nginx", "logfmt"].contains(&name) => (name.to_owned(), String::new()),
            None if ["apache", "apache2"].contains(&name) => ("apache".to_owned(), String::new()),
            _ => {
                self.note(
                    place,
                    &format!("parser {name}"),
                    "this parser is unknown or of a format without counterpart; use a remap transform",
                );
                return;
            }
        };
        let mut settings = Table::new();
        settings.insert("format".to_owned(), format.into());
        if !pattern.is_empty() {
            // Ruby writes expressions between slashes, and `\h` for a hex digit.
            let pattern = pattern.trim_matches('/').replace("\\h", "[0-9a-fA-F]");
            if regex::bytes::Regex::new(&pattern).is_err() {
                self.note(place, &format!("parser {name}"), "its expression needs what expressions here do not have (look-around, back-references); rewrite it");
                return;
            }
            settings.insert("pattern".to_owned(), escaped(&pattern).into());
        }
        self.transform(route, "parse", settings);
    }

    fn grep(&mut self, routes: &[usize], section: &mut Section) {
        if section.take("logical_op").is_some_and(|op| !op.eq_ignore_ascii_case("legacy")) {
            let place = section.place.clone();
            self.note(
                &place,
                "grep",
                "Logical_Op and/or is not translated: the whole filter is left out; write a filter transform",
            );
            section.entries.clear();
            return;
        }
        // All Regex must match and no Exclude may: one filter behind the other says just that.
        for (key, mode) in [("regex", "keep"), ("exclude", "drop")] {
            for rule in section.take_all(key) {
                let (field, pattern) = rule.value.split_once([' ', '\t']).unwrap_or((&rule.value, ""));
                let pattern = pattern.trim();
                if !is_body(field) || regex::bytes::Regex::new(pattern).is_err() {
                    self.note(&rule.place, &format!("grep {key} {}", rule.value), "only rules on the body (log, message) are translated; write a filter or remap transform");
                    continue;
                }
                let condition: Table = [("matches".to_owned(), Value::Array(vec![escaped(pattern).into()]))]
                    .into_iter()
                    .collect();
                let settings: Table =
                    [("mode".to_owned(), mode.into()), ("condition".to_owned(), condition.into())]
                        .into_iter()
                        .collect();
                routes.iter().for_each(|&route| self.transform(route, "filter", settings.clone()));
            }
        }
    }

    /// Constant fields become attributes, in VRL.
    fn attributes(&mut self, routes: &[usize], section: &mut Section) {
        if section.entries.iter().any(|entry| entry.key == "condition") {
            let place = section.place.clone();
            self.note(
                &place,
                "modify",
                "conditions are not translated: the whole filter is left out; write a remap transform",
            );
            section.entries.clear();
            return;
        }
        let mut program = Vec::new();
        for key in ["record", "add", "set"] {
            for entry in section.take_all(key) {
                let Some((name, value)) = entry.value.split_once([' ', '\t']) else { continue };
                let path = format!(".attributes.{name:?}");
                let value = format!("{:?}", value.trim());
                program.push(if key == "add" {
                    format!("if !exists({path}) {{ {path} = {value} }}")
                } else {
                    format!("{path} = {value}")
                });
            }
        }
        if !program.is_empty() {
            let settings: Table = [("source".to_owned(), program.join("\n").into())].into_iter().collect();
            routes.iter().for_each(|&route| self.transform(route, "remap", settings.clone()));
        }
    }
}

fn is_body(field: &str) -> bool {
    matches!(field.trim_start_matches('$'), "log" | "message" | "MESSAGE")
}

/// A text that our configuration reads as it is.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}
