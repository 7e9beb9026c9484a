//! What Kubernetes knows about the containers of this node.
//!
//! ```text
//! task per source ──list, watch──▶ cache (small, bounded) ◀──who is this?── source thread
//! ```
//!
//! Promises: one list and one watch of this node's pods for each collector, whatever happens on the
//! node, served from the API server's watch cache; after a failure the next try comes later and at
//! random, so that a fleet that starts at once does not list at once. A pod takes a few hundred
//! bytes, however large its description. An API server that is slow, away or refuses stops no log:
//! then records carry what the path tells, after `metadata_wait` at the latest. Only where the
//! configuration selects by labels, a pod nobody tells about is not read before it is known: what
//! was excluded never leaves the node, whatever state the API server is in.
//!
//! Refuses: to ask about a single pod, to ask the kubelet, and to keep anything but names, labels,
//! images, owners and the annotations that say how a pod wants to be read.

#[cfg_attr(not(feature = "kubernetes"), allow(dead_code, reason = "only the watch fills it"))]
pub mod cache;
pub mod pod;
pub mod selection;
pub mod selector;
#[cfg(feature = "kubernetes")]
mod split;
#[cfg(feature = "kubernetes")]
pub mod watch;

use crate::config::component::{Problem, problem};
use crate::sources::Wiring;
use crate::stream::{Meta, Owner};
use cache::{Cache, Known};
use selection::{Peer, Selection};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A file that was not written to for this long belongs to no pod that is about to become known.
const FRESH: Duration = Duration::from_secs(60);

/// Where the API server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiServer {
    /// Nowhere: the path of a file is all there is.
    None,
    /// The one of the cluster the collector runs in, with the pod's service account.
    InCluster,
    /// The one a kubeconfig names.
    Kubeconfig(PathBuf),
}

impl ApiServer {
    /// Reads the value of `api_server`. `auto` is `in_cluster` inside a pod, or where there is no
    /// going on without (`needed`), else `none`.
    ///
    /// # Errors
    /// When the program can't do what is asked for.
    pub fn read(value: &str, needed: bool, key: &str) -> Result<Self, Problem> {
        let built = cfg!(feature = "kubernetes");
        match value {
            "none" if needed => Err(problem(key, "labels are known only with an API server")),
            "none" => Ok(Self::None),
            "auto" if !needed && (!built || !in_cluster()) => Ok(Self::None),
            "auto" if built => Ok(Self::InCluster),
            "" => Err(problem(key, "must be auto, in_cluster, none or the path of a kubeconfig")),
            _ if !built => Err(problem(key, "this program was built without the feature `kubernetes`")),
            "in_cluster" => Ok(Self::InCluster),
            path => Ok(Self::Kubeconfig(path.into())),
        }
    }
}

/// The program runs in a pod.
fn in_cluster() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// What is to become of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is read, with this beside its records.
    Read(Arc<Meta>),
    /// It is read although nothing is known about its pod, who should have been.
    Unknown,
    /// It is decided about soon.
    Wait,
    /// It is not read before something is known about its pod, however long that takes.
    Withhold,
    /// It is not read.
    Exclude,
}

/// How the metadata of pods is used.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Which containers are read.
    pub selection: Selection,
    /// Annotations of pods are obeyed.
    pub annotations: bool,
    /// Whose annotations are obeyed, too.
    pub peers: Vec<Peer>,
    /// Labels of namespaces become resource attributes.
    pub namespace_labels: bool,
    /// Longest time a file of a new pod is not read.
    pub wait: Duration,
}

impl Rules {
    /// Namespaces have to be watched.
    pub fn need_namespaces(&self) -> bool {
        self.namespace_labels || self.selection.needs_namespaces()
    }
}

/// Decides about files, with what is known about their pods.
#[derive(Debug)]
pub struct Pods {
    rules: Rules,
    cache: Option<Arc<Cache>>,
    seen: u64,
}

impl Pods {
    /// Starts to watch the pods of this node, unless the path of a file is all there is.
    pub fn start(rules: Rules, server: ApiServer, pods_max: usize, wiring: &Wiring) -> Self {
        let cache =
            (server != ApiServer::None).then(|| Arc::new(Cache::new(pods_max, wiring.metrics.clone())));
        if server == ApiServer::InCluster && !in_cluster() {
            tracing::error!(source = %wiring.name, "not in a cluster, so no API server tells which pods \
                `select` means, and none is read; set api_server to the path of a kubeconfig");
        }
        #[cfg(feature = "kubernetes")]
        if let Some(cache) = &cache {
            watch::start(cache, &server, &rules, wiring);
        }
        Self { rules, cache, seen: 0 }
    }

    /// Something that may matter changed since the last call.
    pub fn changed(&mut self) -> bool {
        let changes = self.cache.as_ref().map_or(0, |cache| cache.changes());
        std::mem::replace(&mut self.seen, changes) != changes
    }

    /// What is to become of a file that was first seen `age` ago.
    pub fn judge(&self, owner: &Owner, modified: SystemTime, age: Duration) -> Verdict {
        if !self.rules.selection.takes_names(owner) {
            return Verdict::Exclude;
        }
        let by_labels = self.rules.selection.needs_labels();
        let without = if by_labels { Verdict::Withhold } else { Verdict::Unknown };
        let Some(cache) = &self.cache else {
            return if by_labels { without } else { Verdict::Read(Arc::default()) };
        };
        let pod = match cache.pod(&owner.pod_uid) {
            Known::Yes(pod) => pod,
            Known::Never => return without,
            Known::NotYet => {
                let old = SystemTime::now().duration_since(modified).is_ok_and(|quiet| quiet > FRESH);
                let long_gone = old && cache.is_synced();
                return if age >= self.rules.wait || long_gone { without } else { Verdict::Wait };
            }
        };
        let mut meta = pod.meta(&owner.container);
        let asked = selection::asked(&pod, &owner.container, self.rules.annotations, &self.rules.peers);
        if asked.exclude == [true; 2] || !self.rules.selection.takes_pod(&pod) {
            return Verdict::Exclude;
        }
        (meta.hints, meta.parsers, meta.exclude) = (asked.hints, asked.parsers, asked.exclude);
        if self.rules.need_namespaces() {
            match cache.namespace(&owner.namespace) {
                Known::Yes(labels) if !self.rules.selection.takes_namespace(&labels) => {
                    return Verdict::Exclude;
                }
                Known::Yes(labels) if self.rules.namespace_labels => {
                    let name = |key: &String| format!("k8s.namespace.label.{key}");
                    meta.resource.extend(labels.iter().map(|(key, value)| (name(key), value.clone())));
                }
                Known::NotYet if age < self.rules.wait => return Verdict::Wait,
                Known::NotYet | Known::Never if self.rules.selection.needs_namespaces() => {
                    return Verdict::Withhold;
                }
                Known::Yes(_) | Known::NotYet | Known::Never => {}
            }
        }
        Verdict::Read(Arc::new(meta))
    }

    /// Forgets deleted pods without files.
    pub fn sweep(&self, with_files: &HashSet<&str>) {
        if let Some(cache) = &self.cache {
            cache.sweep(with_files);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use cache::State;
    use pod::{Namespace, Pod};
    use selection::SelectionSettings;

    fn pods(toml: &str) -> (Pods, Arc<Cache>) {
        let settings: SelectionSettings = toml::from_str(toml).unwrap();
        let rules = Rules {
            selection: Selection::new(&settings, "").unwrap(),
            annotations: true,
            peers: Vec::new(),
            namespace_labels: false,
            wait: Duration::from_secs(5),
        };
        let cache = Arc::new(Cache::new(4, Arc::new(Metrics::default())));
        (Pods { rules, cache: Some(cache.clone()), seen: 0 }, cache)
    }

    fn judge(pods: &Pods, age: u64) -> Verdict {
        let owner = Owner::parse("shop_api_u1", "app", "0.log").unwrap();
        pods.judge(&owner, SystemTime::now(), Duration::from_secs(age))
    }

    #[test]
    fn without_metadata_a_log_is_read_in_the_end_unless_a_label_decides() {
        for (selection, in_the_end) in [
            ("", Verdict::Unknown),
            ("labels = \"!secret\"", Verdict::Withhold),
            ("namespace_labels = \"team=red\"", Verdict::Withhold),
        ] {
            for state in [State::Unknown, State::Synced, State::Refused] {
                let (pods, cache) = pods(selection);
                cache.set_state(state);
                let soon = if state == State::Refused { in_the_end.clone() } else { Verdict::Wait };
                assert_eq!(
                    (judge(&pods, 4), judge(&pods, 5)),
                    (soon, in_the_end.clone()),
                    "{selection} {state:?}"
                );
            }
        }
    }

    #[test]
    fn a_namespace_nobody_tells_about_is_selected_by_no_label() {
        let (pods, cache) = pods("namespace_labels = \"!secret\"");
        cache.put(Pod { log_uid: "u1".into(), ..Pod::default() });
        assert_eq!((judge(&pods, 4), judge(&pods, 5)), (Verdict::Wait, Verdict::Withhold));
        cache.set_namespaces_state(State::Refused);
        assert_eq!(judge(&pods, 0), Verdict::Withhold);
        cache.put_namespace(Namespace { name: "shop".into(), ..Namespace::default() });
        assert!(matches!(judge(&pods, 0), Verdict::Read(_)));
    }

    #[test]
    fn an_api_server_that_is_needed_is_never_taken_for_none() {
        let read = |value: &str, needed| ApiServer::read(value, needed, "k").map_err(|problem| problem.key);
        assert_eq!(read("none", false), Ok(ApiServer::None));
        assert_eq!(read("none", true), Err("k".to_owned()));
        let needed =
            if cfg!(feature = "kubernetes") { Ok(ApiServer::InCluster) } else { Err("k".to_owned()) };
        assert_eq!(read("auto", true), needed);
    }
}
