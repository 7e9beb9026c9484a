//! Inputs become sources.

use super::{Route, Section, Translation};
use toml::{Table, Value};

fn table(pairs: &[(&str, Value)]) -> Table {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

impl Translation {
    pub(super) fn input(&mut self, mut section: Section) {
        let kind = section.take("name").unwrap_or_default().to_ascii_lowercase();
        let place = section.place.clone();
        let tag = section.take("tag").unwrap_or_else(|| format!("{kind}.0"));
        let name = format!("{kind}_{}", self.routes.len() + 1);
        section.take("alias");
        let settings = match kind.as_str() {
            "tail" => return self.tail(&name, &tag, section),
            "systemd" => {
                let units: Vec<Value> = section
                    .take_all("systemd_filter")
                    .into_iter()
                    .filter_map(|entry| {
                        let unit = entry.value.strip_prefix("_SYSTEMD_UNIT=").map(Value::from);
                        if unit.is_none() {
                            self.note(
                                &entry.place,
                                "systemd_filter",
                                "only _SYSTEMD_UNIT=... is taken over; add a filter transform",
                            );
                        }
                        unit
                    })
                    .collect();
                let mut settings = table(&[("type", "journald".into())]);
                if !units.is_empty() {
                    settings.insert("include_units".to_owned(), units.into());
                }
                settings
            }
            "forward" | "opentelemetry" => {
                let port = section
                    .take("port")
                    .unwrap_or_else(|| if kind == "forward" { "24224" } else { "4318" }.to_owned());
                let listen = section.take("listen").unwrap_or_else(|| "0.0.0.0".to_owned());
                let address = format!("{listen}:{port}");
                if kind == "forward" {
                    table(&[("type", "fluent".into()), ("address", address.into())])
                } else {
                    let http = table(&[("address", address.into())]);
                    table(&[("type", "opentelemetry".into()), ("http", http.into())])
                }
            }
            _ => {
                self.note(&place, &format!("input {kind}"), "no counterpart: this program collects logs; keep Fluent Bit or another agent for this input");
                return;
            }
        };
        self.sources.insert(name.clone(), settings.into());
        self.routes.push(Route { tag: tag.replace('*', ""), head: name, kubernetes: false });
        self.leftover(section);
    }

    fn tail(&mut self, name: &str, tag: &str, mut section: Section) {
        let place = section.place.clone();
        let list = |text: Option<String>| -> Vec<String> {
            text.iter()
                .flat_map(|text| text.split(','))
                .map(|path| path.trim().to_owned())
                .filter(|path| !path.is_empty())
                .collect()
        };
        let paths = list(section.take("path"));
        let exclude = list(section.take("exclude_path"));
        let parsers: Vec<String> = ["parser", "multiline.parser", "docker_mode_parser"]
            .iter()
            .flat_map(|key| list(section.take(key)))
            .collect();
        let kubernetes = !paths.is_empty()
            && paths
                .iter()
                .all(|path| path.starts_with("/var/log/containers/") || path.starts_with("/var/log/pods/"));
        let expanded =
            paths.first().map(|path| path.trim_start_matches('/').replace('/', ".")).unwrap_or_default();
        let tag = tag.replacen('*', &expanded, 1);
        section
            .take("read_from_head")
            .filter(|on| kubernetes || on.eq_ignore_ascii_case("on") || on == "true");
        for key in [
            "docker_mode",
            "docker_mode_flush",
            "refresh_interval",
            "rotate_wait",
            "skip_long_lines",
            "path_key",
        ] {
            section.take_all(key);
        }
        let mut head = name.to_owned();
        if kubernetes {
            // One source reads all containers: two would read every file twice.
            head = "pods".to_owned();
            self.sources
                .entry(head.clone())
                .or_insert_with(|| table(&[("type", "kubernetes_logs".into())]).into());
        } else {
            let paths: Vec<Value> = paths.iter().map(|path| path.as_str().into()).collect();
            let mut settings = table(&[("type", "file".into()), ("include", paths.into())]);
            if !exclude.is_empty() {
                settings.insert("exclude".to_owned(), exclude.clone().into());
            }
            self.sources.insert(head.clone(), settings.into());
        }
        self.routes.push(Route { tag, head: head.clone(), kubernetes });
        let route = self.routes.len() - 1;
        if kubernetes {
            self.containers(&place, route, &paths, "keep");
            self.containers(&place, route, &exclude, "drop");
        }
        for parser in parsers {
            match parser.as_str() {
                "docker" | "cri" if kubernetes => {}
                "java" | "go" | "python" | "ruby" => self.multiline(&head, &parser),
                _ => self.parser(&place, route, &parser),
            }
        }
        self.leftover(section);
    }

    /// Joins lines of a language in a source.
    pub(super) fn multiline(&mut self, source: &str, language: &str) {
        let Some(Value::Table(settings)) = self.sources.get_mut(source) else { return };
        let multiline = settings.entry("multiline").or_insert_with(|| Table::new().into());
        let Some(multiline) = multiline.as_table_mut() else { return };
        let modes = multiline.entry("mode").or_insert_with(|| Vec::<Value>::new().into());
        if let Some(modes) = modes.as_array_mut().filter(|modes| !modes.contains(&language.into())) {
            modes.push(language.into());
        }
    }

    /// Globs of container files `<pod>_<namespace>_<container>-<id>.log` as a filter.
    fn containers(&mut self, place: &str, route: usize, globs: &[String], mode: &str) {
        let mut pods: Vec<Value> = Vec::new();
        for glob in globs {
            let file = glob.rsplit('/').next().unwrap_or_default();
            let stem = file.strip_suffix(".log").unwrap_or(file);
            let parts: Vec<&str> = stem.split('_').collect();
            match parts.as_slice() {
                ["*"] if mode == "keep" => return,
                [pod] if pod.ends_with('*') => pods.push((*pod).into()),
                [pod, namespace, container] if globs.len() == 1 || mode == "drop" => {
                    let container = container.strip_suffix("-*").unwrap_or(container);
                    let condition: Table =
                        [("pods", *pod), ("namespaces", *namespace), ("containers", container)]
                            .iter()
                            .filter(|(_, glob)| *glob != "*")
                            .map(|(key, glob)| ((*key).to_owned(), Value::Array(vec![(*glob).into()])))
                            .collect();
                    if !condition.is_empty() {
                        self.transform(
                            route,
                            "filter",
                            table(&[("mode", mode.into()), ("condition", condition.into())]),
                        );
                    }
                }
                _ => self.note(
                    place,
                    glob,
                    "this glob of container files can't be said as a filter; add one by hand",
                ),
            }
        }
        if !pods.is_empty() {
            let condition = table(&[("pods", pods.into())]);
            self.transform(route, "filter", table(&[("mode", mode.into()), ("condition", condition.into())]));
        }
    }
}
