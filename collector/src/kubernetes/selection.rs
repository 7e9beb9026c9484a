//! Which containers are read: by name, by label, and by what their pods ask for in annotations.

use super::pod::Pod;
use super::selector::Selector;
use crate::config::component::{Problem, Row, problem};
use crate::config::options;
use crate::stream::{Hints, Owner};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which containers are read. Without any of it, all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelectionSettings {
    /// Globs of namespaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Globs of namespaces not to read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_namespaces: Vec<String>,
    /// Globs of pod names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<String>,
    /// Globs of pod names not to read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_pods: Vec<String>,
    /// Globs of container names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// Globs of container names not to read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_containers: Vec<String>,
    /// Label selector for pods.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub labels: String,
    /// Label selector for namespaces.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace_labels: String,
}

/// Whose annotations and labels are obeyed beside our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// `fluentbit.io/exclude`, `fluentbit.io/parser`.
    FluentBit,
    /// Label `vector.dev/exclude`, annotation `vector.dev/exclude-containers`.
    Vector,
}

/// The lines of the reference page.
#[rustfmt::skip]
pub fn rows() -> Vec<Row> {
    use options::none;
    vec![
        ("select.namespaces", none(), "Globs of namespaces to read, such as `[\"shop-*\"]`; none: all"),
        ("select.exclude_namespaces", none(), "Globs of namespaces not to read; exclusion wins"),
        ("select.pods", none(), "Globs of names of pods to read"),
        ("select.exclude_pods", none(), "Globs of names of pods not to read"),
        ("select.containers", none(), "Globs of names of containers to read"),
        ("select.exclude_containers", none(), "Globs of names of containers not to read"),
        ("select.labels", none(), "Label selector for pods, as in `kubectl get -l`: `app=api,tier in (web, db),!batch`. A pod the API server does not tell about is not read until it does, whatever `metadata_wait` says"),
        ("select.namespace_labels", none(), "Label selector for namespaces; the same holds"),
    ]
}

/// A checked selection.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    names: [Names; 3],
    labels: Selector,
    namespace_labels: Selector,
}

#[derive(Debug, Clone, Default)]
struct Names {
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
}

impl Names {
    fn take(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|globs| globs.is_match(name))
            && !self.exclude.as_ref().is_some_and(|globs| globs.is_match(name))
    }
}

impl Selection {
    /// Checks the settings; `key` is the path of the source.
    ///
    /// # Errors
    /// Names the key that can't work.
    pub fn new(settings: &SelectionSettings, key: &str) -> Result<Self, Problem> {
        let names = |name: &str, include: &[String], exclude: &[String]| {
            Ok(Names {
                include: globs(&format!("{key}.select.{name}"), include)?,
                exclude: globs(&format!("{key}.select.exclude_{name}"), exclude)?,
            })
        };
        let selector = |name: &str, text: &str| {
            Selector::parse(text).map_err(|message| problem(format!("{key}.select.{name}"), message))
        };
        Ok(Self {
            names: [
                names("namespaces", &settings.namespaces, &settings.exclude_namespaces)?,
                names("pods", &settings.pods, &settings.exclude_pods)?,
                names("containers", &settings.containers, &settings.exclude_containers)?,
            ],
            labels: selector("labels", &settings.labels)?,
            namespace_labels: selector("namespace_labels", &settings.namespace_labels)?,
        })
    }

    /// The names of a container let it through.
    pub fn takes_names(&self, owner: &Owner) -> bool {
        let [namespaces, pods, containers] = &self.names;
        namespaces.take(&owner.namespace) && pods.take(&owner.pod) && containers.take(&owner.container)
    }

    /// The labels of a pod let it through.
    pub fn takes_pod(&self, pod: &Pod) -> bool {
        self.labels.matches(&pod.labels)
    }

    /// The labels of a namespace let it through.
    pub fn takes_namespace(&self, labels: &BTreeMap<String, String>) -> bool {
        self.namespace_labels.matches(labels)
    }

    /// Something depends on labels of pods or namespaces.
    pub fn needs_labels(&self) -> bool {
        !self.labels.is_empty() || self.needs_namespaces()
    }

    /// Something depends on labels of namespaces.
    pub fn needs_namespaces(&self) -> bool {
        !self.namespace_labels.is_empty()
    }
}

fn globs(key: &str, patterns: &[String]) -> Result<Option<GlobSet>, Problem> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).build();
        set.add(glob.map_err(|error| problem(key, error.to_string()))?);
    }
    set.build().map(Some).map_err(|error| problem(key, error.to_string()))
}

/// What a pod asks for one of its containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Standard output, standard error, is not to be read.
    pub exclude: [bool; 2],
    /// How its records are to be read.
    pub hints: Hints,
    /// Parsers for standard output and standard error alone.
    pub parsers: [Option<String>; 2],
}

/// Reads what a pod asks for one of its containers. Our own annotations win over a peer's, those
/// for one container over those for the pod.
pub fn asked(pod: &Pod, container: &str, own: bool, peers: &[Peer]) -> Asked {
    let mut asked = Asked::default();
    let annotation = |key: &str| pod.annotations.get(key).map(|value| value.trim());
    let is_true = |value: Option<&str>| value.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let listed = |value: Option<&str>| {
        value.is_some_and(|names| names.split(',').any(|name| name.trim() == container))
    };
    let mut all = false;
    let text = |key: String| annotation(&key).filter(|value| !value.is_empty()).map(str::to_owned);
    if peers.contains(&Peer::Vector) {
        all |= is_true(pod.labels.get("vector.dev/exclude").map(String::as_str));
        all |= listed(annotation("vector.dev/exclude-containers"));
    }
    if peers.contains(&Peer::FluentBit) {
        let one = |name: &str| text(format!("{name}-{container}")).or_else(|| text(name.to_owned()));
        all |= is_true(one("fluentbit.io/exclude").as_deref());
        asked.exclude = ["fluentbit.io/exclude_stdout", "fluentbit.io/exclude_stderr"]
            .map(|name| is_true(one(name).as_deref()));
        asked.hints.parser = one("fluentbit.io/parser");
        asked.parsers = [one("fluentbit.io/parser_stdout"), one("fluentbit.io/parser_stderr")];
    }
    if own {
        let one = |name: &str| text(format!("{name}.{container}")).or_else(|| text(name.to_owned()));
        // `exclude: "false"` for a container takes it out of the pod's exclusion, and out of a peer's.
        if let Some(exclude) = one("logq.dev/exclude") {
            all = is_true(Some(&exclude));
            asked.exclude = [false; 2];
        }
        all |= listed(annotation("logq.dev/exclude-containers"));
        for (index, name) in ["logq.dev/exclude-stdout", "logq.dev/exclude-stderr"].into_iter().enumerate() {
            if let Some(exclude) = one(name) {
                asked.exclude[index] = is_true(Some(&exclude));
            }
        }
        if let Some(parser) = one("logq.dev/parser") {
            asked.hints.parser = Some(parser);
            asked.parsers = [None, None];
        }
        asked.hints.multiline = one("logq.dev/multiline");
    }
    if all {
        asked.exclude = [true; 2];
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(namespace: &str, pod: &str, container: &str) -> Owner {
        Owner::parse(&format!("{namespace}_{pod}_u"), container, "0.log").unwrap()
    }

    #[test]
    fn names_are_selected_by_globs_and_exclusion_wins() {
        let settings: SelectionSettings = toml::from_str(
            "namespaces = [\"shop-*\", \"ops\"]\nexclude_pods = [\"*-canary\"]\nexclude_containers = [\"istio-proxy\"]",
        )
        .unwrap();
        let selection = Selection::new(&settings, "sources.p").unwrap();
        for (owner, expected) in [
            (owner("shop-a", "api", "c"), true),
            (owner("ops", "api", "c"), true),
            (owner("shop", "api", "c"), false),
            (owner("ops", "api-canary", "c"), false),
            (owner("ops", "api", "istio-proxy"), false),
        ] {
            assert_eq!(selection.takes_names(&owner), expected, "{owner:?}");
        }
    }

    #[test]
    fn mistakes_are_named_by_their_key() {
        for (toml, key) in [
            ("namespaces = [\"[\"]", "sources.p.select.namespaces"),
            ("exclude_pods = [\"[\"]", "sources.p.select.exclude_pods"),
            ("labels = \"a in\"", "sources.p.select.labels"),
        ] {
            let settings: SelectionSettings = toml::from_str(toml).unwrap();
            assert_eq!(Selection::new(&settings, "sources.p").unwrap_err().key, key);
        }
    }

    fn pod(annotations: &[(&str, &str)]) -> Pod {
        let texts = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        Pod { annotations: texts(annotations), labels: texts(annotations), ..Pod::default() }
    }

    #[test]
    fn each_annotation_excludes_what_it_says_when_its_owner_is_obeyed() {
        for (pair, own, peers, api, sidecar) in [
            (("logq.dev/exclude", "true"), true, &[][..], true, true),
            (("logq.dev/exclude", "true"), false, &[], false, false),
            (("logq.dev/exclude", "no"), true, &[], false, false),
            (("logq.dev/exclude.api", "true"), true, &[], true, false),
            (("logq.dev/exclude-containers", "x, api"), true, &[], true, false),
            (("fluentbit.io/exclude", "true"), true, &[Peer::FluentBit], true, true),
            (("fluentbit.io/exclude", "true"), true, &[Peer::Vector], false, false),
            (("fluentbit.io/exclude-api", "true"), true, &[Peer::FluentBit], true, false),
            (("vector.dev/exclude", "true"), true, &[Peer::Vector], true, true),
            (("vector.dev/exclude", "true"), true, &[], false, false),
            (("vector.dev/exclude-containers", "api"), true, &[Peer::Vector], true, false),
        ] {
            let pod = pod(&[pair]);
            let found = ["api", "sidecar"].map(|name| asked(&pod, name, own, peers).exclude);
            assert_eq!(found, [[api; 2], [sidecar; 2]], "{pair:?} {own} {peers:?}");
        }
    }

    #[test]
    fn one_standard_stream_can_be_excluded_for_a_pod_or_a_container() {
        for (pairs, peers, api, sidecar) in [
            (&[("logq.dev/exclude-stdout", "true")][..], &[][..], [true, false], [true, false]),
            (&[("logq.dev/exclude-stderr.api", "true")], &[], [false, true], [false, false]),
            (
                &[("logq.dev/exclude-stderr", "true"), ("logq.dev/exclude-stderr.api", "false")],
                &[],
                [false, false],
                [false, true],
            ),
            (
                &[("logq.dev/exclude", "true"), ("logq.dev/exclude-stdout", "false")],
                &[],
                [true; 2],
                [true; 2],
            ),
            (&[("fluentbit.io/exclude_stderr", "true")], &[], [false; 2], [false; 2]),
            (&[("fluentbit.io/exclude_stderr", "true")], &[Peer::FluentBit], [false, true], [false, true]),
            (&[("fluentbit.io/exclude_stdout-api", "true")], &[Peer::FluentBit], [true, false], [false; 2]),
            (
                &[("fluentbit.io/exclude_stderr", "true"), ("logq.dev/exclude", "false")],
                &[Peer::FluentBit],
                [false; 2],
                [false; 2],
            ),
        ] {
            let pod = pod(pairs);
            let found = ["api", "sidecar"].map(|name| asked(&pod, name, true, peers).exclude);
            assert_eq!(found, [api, sidecar], "{pairs:?} {peers:?}");
        }
    }

    #[test]
    fn parsers_come_from_the_nearest_annotation() {
        let pod = pod(&[
            ("logq.dev/parser.api", "json"),
            ("logq.dev/multiline", "java"),
            ("fluentbit.io/parser", "nginx"),
            ("fluentbit.io/parser_stderr-web", "glog"),
        ]);
        let of = |container: &str, peers: &[Peer]| {
            let Asked { hints, parsers, .. } = asked(&pod, container, true, peers);
            (hints.parser, parsers[1].clone(), hints.multiline)
        };
        let java = Some("java".to_owned());
        assert_eq!(of("api", &[Peer::FluentBit]), (Some("json".into()), None, java.clone()));
        assert_eq!(of("web", &[Peer::FluentBit]), (Some("nginx".into()), Some("glog".into()), java.clone()));
        assert_eq!(of("web", &[]), (None, None, java));
    }
}
