//! Inputs become sources.

use super::{Route, Section, Translation, tags};
use toml::{Table, Value};

fn table(pairs: &[(&str, Value)]) -> Table {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn list(text: Option<String>) -> Vec<String> {
    let items = text.iter().flat_map(|text| text.split(',')).map(|item| item.trim().to_owned());
    items.filter(|item| !item.is_empty()).collect()
}

impl Translation {
    pub(super) fn input(&mut self, mut section: Section) {
        let before = self.routes.len();
        let processors = std::mem::take(&mut section.processors);
        let kind = section.take("name").unwrap_or_default().to_ascii_lowercase();
        let name = format!("{kind}_{}", self.routes.len() + 1);
        let tag = section.take("tag");
        match kind.as_str() {
            "tail" => self.tail(&name, &tag.unwrap_or_else(|| "tail.0".to_owned()), section),
            "systemd" => {
                let settings = self.journal(&mut section);
                self.source(&name, tag.unwrap_or_else(|| "systemd.0".to_owned()), settings, section);
            }
            "forward" => {
                let settings = self.listener("24224", &mut section);
                let settings = table(&[("type", "fluent".into()), ("address", settings.into())]);
                // Without a tag of its own records keep those they came with.
                self.source(&name, tag.unwrap_or_else(|| "*".to_owned()), settings, section);
            }
            "opentelemetry" => {
                let address = self.listener("4318", &mut section);
                let http = table(&[("address", address.into())]);
                let settings = table(&[("type", "opentelemetry".into()), ("http", http.into())]);
                let place = section.place.clone();
                self.note(
                    &place,
                    "input opentelemetry",
                    "gRPC has a port of its own, 4317 by default (grpc.address); only logs are taken",
                );
                self.source(&name, tag.unwrap_or_else(|| "*".to_owned()), settings, section);
            }
            "stdin" => {
                let settings = table(&[("type", "stdin".into())]);
                self.source(&name, tag.unwrap_or_else(|| "stdin.0".to_owned()), settings, section);
            }
            _ => self.left_out(
                &section,
                &format!("input {kind}"),
                "no counterpart: this program collects logs; keep Fluent Bit or another agent for this input",
            ),
        }
        let routes: Vec<usize> = (before..self.routes.len()).collect();
        for processor in processors {
            self.processor(&routes, processor);
        }
    }

    /// A filter that belongs to an input or output.
    pub(super) fn processor(&mut self, routes: &[usize], section: Section) {
        if section.kind == "processor logs" {
            self.apply(routes, section);
        } else {
            let kind = section.kind.clone();
            self.left_out(&section, &kind, "this program collects logs; left out");
        }
    }

    fn source(&mut self, name: &str, tag: String, settings: Table, mut section: Section) {
        self.sources.insert(name.to_owned(), settings.into());
        self.routes.push(Route {
            tag,
            within: Vec::new(),
            without: Vec::new(),
            head: name.to_owned(),
            containers: None,
            merged: None,
            emitted: false,
        });
        if let Some(parser) = section.take("parser") {
            let place = section.place.clone();
            self.parser(&place, self.routes.len() - 1, &parser);
        }
        self.leftover(section);
    }

    fn listener(&mut self, port: &str, section: &mut Section) -> String {
        let port = section.take("port").unwrap_or_else(|| port.to_owned());
        let listen = section.take("listen").unwrap_or_else(|| "0.0.0.0".to_owned());
        format!("{listen}:{port}")
    }

    fn journal(&mut self, section: &mut Section) -> Table {
        let mut settings = table(&[("type", "journald".into())]);
        let (mut units, mut matches): (Vec<Value>, Table) = Default::default();
        let filters = section.take_all("systemd_filter");
        if section.take("systemd_filter_type").is_some_and(|kind| kind.eq_ignore_ascii_case("and"))
            && filters.len() > 1
        {
            let place = section.place.clone();
            self.note(&place, "systemd_filter_type and", "entries with one of the values are taken here, so more records get through; add a filter transform");
        }
        for entry in filters {
            match entry.value.split_once('=') {
                Some(("_SYSTEMD_UNIT", unit)) => units.push(unit.into()),
                Some((field, value)) => {
                    let values = matches.entry(field).or_insert_with(|| Vec::<Value>::new().into());
                    values.as_array_mut().into_iter().for_each(|values| values.push(value.into()));
                }
                None => self.note(
                    &entry.place,
                    &format!("systemd_filter {}", entry.value),
                    "is not FIELD=value; left out, so more records get through",
                ),
            }
        }
        if !units.is_empty() {
            settings.insert("include_units".to_owned(), units.into());
        }
        if !matches.is_empty() {
            settings.insert("include_matches".to_owned(), matches.into());
        }
        if let Some(path) = section.take("path") {
            settings.insert("journal_directory".to_owned(), path.into());
        }
        if section.switch("read_from_tail") == Some(true) {
            settings.insert("since_now".to_owned(), true.into());
        }
        for (key, advice) in [
            ("strip_underscores", "attributes keep the names of the journal's fields, MESSAGE is the body"),
            ("lowercase", "attributes keep the names of the journal's fields, MESSAGE is the body"),
            ("max_fields", "not taken over: fields that become attributes are include_fields"),
            ("max_entries", "not taken over: entries are read in batches, as fast as the spool takes them"),
        ] {
            for entry in section.take_all(key) {
                self.note(&entry.place, &format!("{} {}", entry.key, entry.value), advice);
            }
        }
        settings
    }

    fn tail(&mut self, name: &str, tag: &str, mut section: Section) {
        let place = section.place.clone();
        let paths = list(section.take("path"));
        if paths.is_empty() {
            return self.left_out(&section, "input tail", "it has no path; left out");
        }
        let exclude = list(section.take("exclude_path"));
        let kubernetes = paths
            .iter()
            .all(|path| path.starts_with("/var/log/containers/") || path.starts_with("/var/log/pods/"));
        let from_head = section.switch("read_from_head") == Some(true);
        let first = self.routes.len();
        let mut heads = Vec::new();
        if kubernetes {
            // One source reads all containers: two would read every file twice.
            self.sources
                .entry("pods".to_owned())
                .or_insert_with(|| table(&[("type", "kubernetes_logs".into())]).into());
            heads.push(("pods".to_owned(), "/var/log/containers/*.log".to_owned()));
            if !from_head {
                self.note(&place, "read_from_head", "not on: Fluent Bit skips what is in files at its first start; kubernetes_logs always begins at the beginning, so what is still on the node is delivered once");
            }
        } else {
            // Tags are made from paths: where they differ, each path is a source of its own.
            let sets: Vec<Vec<String>> = if tag.contains('*') {
                paths.iter().map(|path| vec![path.clone()]).collect()
            } else {
                vec![paths.clone()]
            };
            for (number, paths) in sets.into_iter().enumerate() {
                let name = if number == 0 { name.to_owned() } else { format!("{name}_{}", number + 1) };
                heads.push((name.clone(), paths.first().cloned().unwrap_or_default()));
                let settings = self.files(paths, &exclude, from_head);
                self.sources.insert(name, settings.into());
            }
        }
        heads.into_iter().for_each(|(head, path)| self.tagged(tag, head, &path, kubernetes));
        for route in first..self.routes.len() {
            let head = self.routes[route].head.clone();
            self.options(route, &head, &mut section.clone(), kubernetes);
            if kubernetes {
                if self.routes[route].containers.is_none() {
                    // The tag says nothing about the container: patterns take all or nothing.
                    self.routes[route].tag = tag.to_owned();
                }
                self.containers(&place, route, ("path", &paths), false);
                self.containers(&place, route, ("exclude_path", &exclude), true);
            }
        }
        let done = [
            "parser",
            "multiline.parser",
            "docker_mode_parser",
            "refresh_interval",
            "rotate_wait",
            "ignore_older",
        ];
        section.entries.retain(|entry| !done.contains(&entry.key.as_str()));
        self.tail_rest(section, kubernetes);
    }

    /// A route whose tag is made from a path.
    fn tagged(&mut self, tag: &str, head: String, path: &str, kubernetes: bool) {
        let path = path.trim_start_matches('/').replace('/', ".");
        let containers = kubernetes.then(|| {
            let (prefix, _) = tag.split_once('*').unwrap_or((tag, ""));
            format!("{prefix}var.log.containers.")
        });
        self.routes.push(Route {
            tag: tag.replacen('*', &path, 1),
            within: Vec::new(),
            without: Vec::new(),
            head,
            containers: containers.filter(|_| tag.ends_with('*')),
            merged: None,
            emitted: false,
        });
    }

    fn files(&mut self, paths: Vec<String>, exclude: &[String], from_head: bool) -> Table {
        let mut settings = table(&[("type", "file".into()), ("include", paths.into())]);
        if !exclude.is_empty() {
            settings.insert("exclude".to_owned(), exclude.to_vec().into());
        }
        if !from_head {
            settings.insert("read_from".to_owned(), "end".into());
        }
        settings
    }

    /// Options that a source of files or containers has as well, and parsers.
    fn options(&mut self, route: usize, head: &str, section: &mut Section, kubernetes: bool) {
        for (key, ours) in [
            ("refresh_interval", "glob_minimum_cooldown"),
            ("rotate_wait", "rotate_wait"),
            ("ignore_older", "ignore_older_secs"),
        ] {
            for entry in section.take_all(key) {
                if kubernetes && key == "ignore_older" {
                    self.note(
                        &entry.place,
                        &format!("ignore_older {}", entry.value),
                        "kubernetes_logs reads all files of the node's containers",
                    );
                    continue;
                }
                let unit = if entry.value.ends_with(|last: char| last.is_ascii_digit()) { "s" } else { "" };
                if let Some(Value::Table(source)) = self.sources.get_mut(head) {
                    source.insert(ours.to_owned(), format!("{}{unit}", entry.value).into());
                }
            }
        }
        for key in ["parser", "multiline.parser", "docker_mode_parser"] {
            for entry in section.take_all(key) {
                for name in list(Some(entry.value.clone())) {
                    match name.as_str() {
                        "docker" | "cri" if kubernetes => self.note(
                            &entry.place,
                            &format!("{key} {name}"),
                            "not needed: kubernetes_logs reads both formats and joins parts of lines",
                        ),
                        _ if key == "multiline.parser" => self.joined(&entry.place, head, &name),
                        _ => self.parser(&entry.place, route, &name),
                    }
                }
            }
        }
    }

    /// What of tail is left, with why.
    fn tail_rest(&mut self, section: Section, kubernetes: bool) {
        for entry in section.entries {
            let advice = match entry.key.as_str() {
                "skip_long_lines" => {
                    "not taken over: longer lines are delivered in pieces or cut, never skipped; see max_line_policy"
                }
                "buffer_max_size" => {
                    "not taken over: the longest line is max_line_bytes, 1 MiB by default; see max_line_policy"
                }
                "path_key" => "the file's name is in every record's stream anyway, as `file`",
                "offset_key" => "positions are in landing objects anyway",
                "skip_empty_lines" => "not taken over: empty lines are records; add a filter transform",
                "docker_mode" | "docker_mode_flush" if kubernetes => {
                    "not needed: parts of lines are joined by kubernetes_logs"
                }
                "docker_mode" | "docker_mode_flush" => {
                    "the source file does not join parts of Docker's lines; use kubernetes_logs for container logs"
                }
                "key" => "the line is always the body",
                "multiline" | "multiline_flush" | "parser_firstline" => {
                    "the old way of joining lines is not translated: lines are not joined; write multiline of the source, mode = \"custom\""
                }
                key if key.starts_with("parser_") => {
                    "the old way of joining lines is not translated: lines are not joined; write multiline of the source, mode = \"custom\""
                }
                "inotify_watcher" => "directories are watched, and scanned as well",
                "exit_on_eof" => "it keeps watching",
                "tag_regex" => "there are no tags: pod, namespace and container come from the file's path",
                other => super::advice(other),
            };
            self.note(&entry.place, &format!("{} {}", entry.key, entry.value), advice);
        }
    }

    /// Globs of container files `<pod>_<namespace>_<container>-<id>.log` as a filter.
    fn containers(&mut self, place: &str, route: usize, (key, globs): (&str, &[String]), drop: bool) {
        if globs.is_empty() {
            return;
        }
        match tags::files(globs) {
            Some(containers) => self.only(route, &containers, drop),
            None => self.note(place, &format!("{key} {}", globs.join(",")), "these globs of container files can't be said as a filter: all containers get through; set select of kubernetes_logs or add a filter by hand"),
        }
    }
}
