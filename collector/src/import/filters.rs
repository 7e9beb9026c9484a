//! Filters become transforms, one behind each route they match.

use super::{Section, Translation, escaped, is_body};
use toml::{Table, Value};

/// Said where a filter that excludes records is left out.
const MORE: &str = "; records that it would have excluded get through now";

/// Languages whose stack traces both know by the same name.
const LANGUAGES: [&str; 4] = ["java", "go", "python", "ruby"];

impl Translation {
    pub(super) fn filter(&mut self, mut section: Section) {
        let routes = self.matching(&mut section, true);
        self.apply(&routes, section);
    }

    /// A filter, or a processor of the same name, behind routes.
    pub(super) fn apply(&mut self, routes: &[usize], mut section: Section) {
        let kind = section.take("name").unwrap_or_default().to_ascii_lowercase();
        let name = format!("filter {kind}");
        if routes.is_empty() && self.scope.is_some() {
            return;
        }
        if routes.is_empty() {
            self.left_out(&section, &name, "it takes the records of no translated input; left out");
            return;
        }
        match kind.as_str() {
            "kubernetes" => self.metadata(routes, &mut section),
            "parser" => self.parsers(routes, &mut section),
            "grep" => self.grep(routes, &mut section),
            "modify" | "record_modifier" => self.modify(routes, &mut section),
            "nest" => self.nest(routes, &mut section),
            "content_modifier" => self.content(routes, &mut section),
            "throttle" => self.throttle(routes, &mut section),
            "rewrite_tag" => self.rewrite(routes, &mut section),
            "multiline" => {
                section.take("multiline.key_content").filter(|key| !is_body(key)).into_iter().for_each(
                    |key| {
                        self.note(
                            &section.place.clone(),
                            &format!("multiline.key_content {key}"),
                            "lines are joined by the source, over the whole body",
                        );
                    },
                );
                for parser in section.take_all("multiline.parser") {
                    for name in parser.value.split(',').map(str::trim) {
                        for &route in routes {
                            let source = self.source_of(route);
                            self.joined(&parser.place, &source, name);
                        }
                    }
                }
            }
            "lua" | "wasm" => {
                let advice = format!(
                    "programs are written in VRL here: rewrite it as a remap transform. Left out: it changes nothing{MORE}"
                );
                return self.left_out(&section, &name, &advice);
            }
            _ => {
                let advice = format!(
                    "no counterpart, a remap transform may do the same. Left out: it changes nothing{MORE}"
                );
                return self.left_out(&section, &name, &advice);
            }
        }
        // A section may have been said to be left out on the way.
        if !self.left.contains(&section.place) {
            self.leftover(section);
        }
    }

    /// The filter `kubernetes`: what the source tells about pods, and Merge_Log.
    fn metadata(&mut self, routes: &[usize], section: &mut Section) {
        let place = section.place.clone();
        if let Some(parser) = section.take("merge_parser") {
            routes.iter().for_each(|&route| self.parser(&place, route, &parser));
        }
        let key = section.take("merge_log_key");
        if section.switch("merge_log") == Some(true) {
            for &route in routes {
                self.parser(&place, route, "json");
                self.routes[route].merged.clone_from(&key);
            }
            self.note(&place, "merge_log", "the body stays as it is and is not taken apart: severity and trace ids are taken out of it, and translated filters read its fields in place");
        }
        if let Some(key) = key {
            self.note(
                &place,
                &format!("merge_log_key {key}"),
                "fields stay where they are in the body; translated filters read them without it",
            );
        }
        let mut obeyed = Vec::new();
        for name in ["k8s-logging.exclude", "k8s-logging.parser"] {
            if let Some(on) = section.switch(name) {
                if on {
                    obeyed.push(name);
                } else {
                    self.note(
                        &place,
                        name,
                        "off is how it is here, unless peer_annotations of the source says otherwise",
                    );
                }
            }
        }
        if obeyed.len() == 1 {
            self.note(
                &place,
                obeyed[0],
                "peer_annotations obeys fluentbit.io/exclude and fluentbit.io/parser together",
            );
        }
        let mut settings = Vec::new();
        if !obeyed.is_empty() {
            settings.push(("peer_annotations", Value::from(vec!["fluent_bit"])));
        }
        if section.switch("namespace_labels") == Some(true) {
            settings.push(("namespace_labels", Value::from(true)));
        }
        if section.switch("use_tag_for_meta") == Some(true) {
            settings.push(("api_server", Value::from("none")));
        }
        for &route in routes {
            let source = self.source_of(route);
            if self.routes[route].containers.is_none() {
                self.note(
                    &place,
                    "filter kubernetes",
                    &format!("the source {source} does not read container logs and tells nothing about pods"),
                );
                continue;
            }
            if let Some(Value::Table(source)) = self.sources.get_mut(&source) {
                source.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
            }
        }
        for entry in std::mem::take(&mut section.entries) {
            let advice = metadata_advice(&entry.key);
            self.note(&entry.place, &format!("{} {}", entry.key, entry.value), advice);
        }
    }

    fn parsers(&mut self, routes: &[usize], section: &mut Section) {
        if let Some(key) = section.take("key_name").filter(|key| !is_body(key)) {
            return self.left_out(
                section,
                &format!("filter parser, key_name {key}"),
                "parse works on the whole body; left out, use a remap transform",
            );
        }
        for parser in section.take_all("parser") {
            routes.iter().for_each(|&route| self.parser(&parser.place, route, &parser.value));
        }
        for entry in section.take_all("reserve_data").into_iter().chain(section.take_all("preserve_key")) {
            self.note(&entry.place, &format!("{} {}", entry.key, entry.value), "not taken over: the body and other fields always stay, what is found becomes attributes beside them");
        }
    }

    fn throttle(&mut self, routes: &[usize], section: &mut Section) {
        let place = section.place.clone();
        let rate = section.take("rate").unwrap_or_else(|| "1".to_owned());
        let Ok(threshold) = rate.parse::<i64>() else {
            return self.left_out(
                section,
                "filter throttle",
                &format!("its rate is not a whole number: left out{MORE}"),
            );
        };
        let interval = section.take("interval").unwrap_or_else(|| "1s".to_owned());
        let settings = Table::from_iter([
            ("threshold".to_owned(), Value::from(threshold)),
            ("window_secs".to_owned(), interval.into()),
        ]);
        routes.iter().for_each(|&route| self.transform(route, "throttle", settings.clone()));
        let several =
            if routes.len() > 1 { "; each of the inputs it matches has a limit of its own now" } else { "" };
        self.note(&place, "throttle", &format!("a burst of `rate` passes at once, then that many an interval; Fluent Bit takes the average of `window` intervals{several}"));
    }

    /// The processor `content_modifier`, as one rule of modify.
    fn content(&mut self, routes: &[usize], section: &mut Section) {
        let action = section.take("action").unwrap_or_default().to_ascii_lowercase();
        let rule = match action.as_str() {
            "insert" => "add",
            "upsert" => "set",
            "delete" => "remove",
            "rename" => "rename",
            _ => {
                return self.left_out(
                    section,
                    &format!("content_modifier, action {action}"),
                    "no counterpart: left out, records stay as they are; use a remap transform",
                );
            }
        };
        if let Some(context) =
            section.take("context").filter(|context| !["body", "attributes"].contains(&context.as_str()))
        {
            return self.left_out(
                section,
                &format!("content_modifier, context {context}"),
                "only fields of the body can be changed: left out",
            );
        }
        let (key, value) =
            (section.take("key").unwrap_or_default(), section.take("value").unwrap_or_default());
        let place = section.place.clone();
        section.entries.push(super::Entry { key: rule.to_owned(), value: format!("{key} {value}"), place });
        self.modify(routes, section);
    }

    /// The source a route begins with.
    pub(super) fn source_of(&self, route: usize) -> String {
        let mut name = self.routes[route].head.clone();
        while let Some(input) =
            self.transforms.get(&name).and_then(|table| table.get("inputs")?.get(0)?.as_str())
        {
            name = input.to_owned();
        }
        name
    }

    fn definition(&mut self, kind: &str, name: &str) -> Option<Section> {
        let named = |section: &&Section| {
            section.kind == kind
                && section.entries.iter().any(|entry| entry.key == "name" && entry.value == name)
        };
        let found = self.parsers.iter().rev().find(named).cloned()?;
        self.used.insert(found.place.clone());
        Some(found)
    }

    /// A parser by its name: of the configuration, or one that Fluent Bit brings along.
    pub(super) fn parser(&mut self, place: &str, route: usize, name: &str) {
        let label = format!("parser {name}");
        let own = self.definition("parser", name);
        let known = own.is_some();
        let (mut format, mut pattern) = (name.to_owned(), None);
        if let Some(mut parser) = own {
            format = parser.take("format").unwrap_or_default().to_ascii_lowercase();
            pattern = parser.take("regex");
            parser.take("name");
            for entry in parser.entries {
                let advice = match entry.key.as_str() {
                    key if key.starts_with("time_") => {
                        "the time of a record is when it was written (CRI) or read; times in bodies stay where they are"
                    }
                    "types" => "attributes found by an expression are texts",
                    key if key.starts_with("decode_field") => {
                        "nothing is decoded: the body stays as it is; use a remap transform"
                    }
                    _ => "no counterpart; left out",
                };
                self.note(&entry.place, &format!("{} {}", entry.key, entry.value), advice);
            }
        }
        let format = match format.as_str() {
            "json" | "logfmt" => format,
            "regex" if known => format,
            "nginx" if !known => format,
            "apache" | "apache2" if !known => "apache".to_owned(),
            _ => return self.note(place, &label, "this parser is unknown or of a format without counterpart: nothing is parsed; use a remap transform"),
        };
        let mut settings = Table::from_iter([("format".to_owned(), Value::from(format.clone()))]);
        if format == "regex" {
            // Ruby writes expressions between slashes, and `\h` for a hex digit.
            let pattern = pattern.unwrap_or_default();
            let pattern = pattern.trim_matches('/').replace("\\h", "[0-9a-fA-F]");
            if pattern.is_empty() || regex::bytes::Regex::new(&pattern).is_err() {
                return self.note(place, &label, "its expression needs what expressions here do not have (look-around, back-references): nothing is parsed; rewrite it");
            }
            settings.insert("pattern".to_owned(), escaped(&pattern).into());
        }
        self.transform(route, "parse", settings);
    }

    /// Joins the lines of a source by a multiline parser: of the configuration, or a language.
    pub(super) fn joined(&mut self, place: &str, source: &str, name: &str) {
        let mode = self.sources.get(source).and_then(|source| source.get("multiline")?.get("mode")).cloned();
        if let Some(own) = self.definition("multiline_parser", name) {
            if mode.is_some() {
                return self.note(
                    place,
                    &format!("multiline.parser {name}"),
                    "a source has either languages or one set of rules; this one is left out",
                );
            }
            return self.custom(source, own);
        }
        if !LANGUAGES.contains(&name) {
            return self.note(place, &format!("multiline.parser {name}"), "this parser is not known: lines are not joined by it; write multiline of the source by hand, mode = \"custom\"");
        }
        let mut modes = match mode {
            None => Vec::new(),
            Some(Value::Array(modes)) => modes,
            Some(_) => {
                return self.note(
                    place,
                    &format!("multiline.parser {name}"),
                    "a source has either languages or one set of rules; this one is left out",
                );
            }
        };
        if !modes.contains(&name.into()) {
            modes.push(name.into());
        }
        self.multiline(source, Table::from_iter([("mode".to_owned(), modes.into())]));
    }

    fn multiline(&mut self, source: &str, settings: Table) {
        if let Some(Value::Table(source)) = self.sources.get_mut(source) {
            source.insert("multiline".to_owned(), settings.into());
        }
    }

    /// Rules of one's own: a first line, and what lines behind it look like.
    fn custom(&mut self, source: &str, mut parser: Section) {
        let name = parser.take("name").unwrap_or_default();
        let label = format!("multiline_parser {name}");
        let rules: Vec<Option<[String; 3]>> =
            parser.take_all("rule").iter().map(|entry| quoted(&entry.value)).collect();
        let kind = parser.take("type").unwrap_or_else(|| "regex".to_owned());
        let fits = match rules.as_slice() {
            [Some([start, first, next]), Some([state, more, then])]
                if kind == "regex" && start == "start_state" && state == next && then == next =>
            {
                let readable = |text: &str| {
                    let text = text.trim_matches('/').replace("\\h", "[0-9a-fA-F]");
                    regex::bytes::Regex::new(&text).is_ok().then(|| escaped(&text))
                };
                readable(first).zip(readable(more))
            }
            _ => None,
        };
        let Some((first, more)) = fits else {
            return self.left_out(&parser, &label, "only a start_state and one state that continues itself, with expressions that are understood here, can be said: lines are not joined; write multiline of the source by hand");
        };
        let mut settings = Table::from_iter([
            ("mode".to_owned(), Value::from("custom")),
            ("start_pattern".to_owned(), first.into()),
            ("condition_pattern".to_owned(), more.into()),
            ("condition".to_owned(), "continue_through".into()),
        ]);
        if let Some(timeout) = parser.take("flush_timeout") {
            let unit = if timeout.ends_with(|last: char| last.is_ascii_digit()) { "ms" } else { "" };
            settings.insert("timeout".to_owned(), format!("{timeout}{unit}").into());
        }
        self.multiline(source, settings);
        self.leftover(parser);
    }
}

/// Three quoted words.
fn quoted(text: &str) -> Option<[String; 3]> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let inner = rest.strip_prefix('"')?;
        // A quote behind a backslash belongs to the word.
        let end = inner.char_indices().find(|(at, one)| *one == '"' && !inner[..*at].ends_with('\\'))?.0;
        words.push(inner[..end].replace("\\\"", "\""));
        rest = inner[end + 1..].trim_start();
    }
    words.try_into().ok()
}

/// Why an option of the filter `kubernetes` is not taken over.
fn metadata_advice(key: &str) -> &'static str {
    match key {
        "labels" => "labels of pods are always taken; see metadata of the source kubernetes_logs",
        "annotations" | "namespace_annotations" | "owner_references" => {
            "not taken: annotations are not part of records, and the owner is `workload`"
        }
        "keep_log" => "not taken over: the body always stays",
        "kube_tag_prefix" | "regex_parser" => {
            "there are no tags: pod, namespace and container come from the file's path"
        }
        "kube_url" | "kube_ca_file" | "kube_ca_path" | "kube_token_file" | "kube_token_command" => {
            "the service account of the pod is used; a kubeconfig can be given as api_server of kubernetes_logs"
        }
        "use_kubelet" | "kubelet_host" | "kubelet_port" => {
            "the API server is watched for the pods of this node alone; kubelet is not asked"
        }
        "buffer_size"
        | "kube_token_ttl"
        | "kube_meta_cache_ttl"
        | "kube_meta_namespace_cache_ttl"
        | "dns_retries"
        | "dns_wait_time" => {
            "not needed: pods are watched, and limits are metadata_wait and metadata_max_pods of kubernetes_logs"
        }
        other => super::advice(other),
    }
}
