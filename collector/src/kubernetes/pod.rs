//! What is kept of a pod: a few hundred bytes of the tens of thousands the API server sends.

use crate::stream::Meta;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Annotations that are kept: how a pod wants to be read, and who it is on disk.
const ANNOTATIONS: [&str; 4] = ["logq.dev/", "fluentbit.io/", "vector.dev/", "kubernetes.io/config."];

/// Most bytes of labels, and of kept annotations, of one pod. What is beyond it (in the order of
/// the keys) is left out: a bound for the cache, ten times what pods have.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Most containers of a pod that are kept; Kubernetes' own limits end far below.
const CONTAINERS_MAX: usize = 64;

/// A pod as the API server sends it, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sent {
    metadata: SentMeta,
    spec: SentSpec,
    status: SentStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SentMeta {
    name: String,
    namespace: String,
    uid: String,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Vec<SentOwner>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SentOwner {
    kind: String,
    name: String,
    controller: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SentSpec {
    node_name: String,
    service_account_name: String,
    containers: Vec<SentContainer>,
    init_containers: Vec<SentContainer>,
    ephemeral_containers: Vec<SentContainer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SentContainer {
    name: String,
    image: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SentStatus {
    #[serde(rename = "podIP")]
    pod_ip: String,
    start_time: Option<String>,
}

/// A namespace as the API server sends it, as far as it is read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What is kept of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// The UID in the name of its log directory: its own, or of a static pod the hash of its
    /// manifest.
    pub log_uid: String,
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Those annotations that mean something here.
    pub annotations: BTreeMap<String, String>,
    /// Name and image of its containers.
    pub images: Vec<(String, String)>,
    /// Workload that owns it as `Kind/name`.
    pub workload: String,
    /// Resource attributes.
    pub resource: BTreeMap<String, String>,
}

impl Namespace {
    /// Reads a namespace.
    ///
    /// # Errors
    /// When it is no JSON of the expected shape.
    pub fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        let Sent { metadata, .. } = serde_json::from_slice(text)?;
        let labels = bounded(metadata.labels, |_| true);
        Ok(Self { name: metadata.name, labels })
    }
}

impl Pod {
    /// Reads a pod.
    ///
    /// # Errors
    /// When it is no JSON of the expected shape.
    pub fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        let Sent { metadata, spec, status } = serde_json::from_slice(text)?;
        let labels = bounded(metadata.labels, |_| true);
        let ours = |key: &str| ANNOTATIONS.iter().any(|prefix| key.starts_with(prefix));
        let annotations = bounded(metadata.annotations, ours);
        let static_hash = ["kubernetes.io/config.mirror", "kubernetes.io/config.hash"]
            .iter()
            .find_map(|key| annotations.get(*key));
        let owner = metadata.owner_references.iter().find(|owner| owner.controller);
        let (workload, attributes) = workload(owner, &labels);
        let mut resource: BTreeMap<String, String> =
            attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        for (key, value) in [
            ("k8s.node.name", spec.node_name),
            ("k8s.pod.ip", status.pod_ip),
            ("k8s.pod.start_time", status.start_time.unwrap_or_default()),
            ("k8s.serviceaccount.name", spec.service_account_name),
        ] {
            if !value.is_empty() {
                resource.insert(key.to_owned(), value);
            }
        }
        let containers =
            spec.containers.into_iter().chain(spec.init_containers).chain(spec.ephemeral_containers);
        Ok(Self {
            log_uid: static_hash.cloned().unwrap_or(metadata.uid),
            name: metadata.name,
            namespace: metadata.namespace,
            images: containers
                .take(CONTAINERS_MAX)
                .map(|container| (container.name, container.image))
                .collect(),
            workload,
            resource,
            labels,
            annotations,
        })
    }

    /// What a stream of one of its containers carries; its hints are not decided here.
    pub fn meta(&self, container: &str) -> Meta {
        let image = self.images.iter().find(|(name, _)| name == container);
        Meta {
            labels: self.labels.clone(),
            image: image.map(|(_, image)| image.clone()).unwrap_or_default(),
            workload: self.workload.clone(),
            resource: self.resource.clone(),
            ..Meta::default()
        }
    }
}

fn bounded(
    texts: Option<BTreeMap<String, String>>,
    wanted: impl Fn(&str) -> bool,
) -> BTreeMap<String, String> {
    let mut left = TEXT_BYTES_MAX;
    let texts = texts.unwrap_or_default().into_iter().filter(|(key, _)| wanted(key));
    let fits = |(key, value): &(String, String)| {
        let len = key.len() + value.len();
        let fits = len <= left;
        left -= if fits { len } else { 0 };
        fits
    };
    texts.filter(fits).collect()
}

/// The workload behind a pod and its names as resource attributes. No further request is needed:
/// a Deployment's ReplicaSet is named after it and the hash in a label, a CronJob's Job after it
/// and the scheduled minute.
fn workload(
    owner: Option<&SentOwner>,
    labels: &BTreeMap<String, String>,
) -> (String, Vec<(&'static str, String)>) {
    let Some(SentOwner { kind, name, .. }) = owner else { return (String::new(), Vec::new()) };
    let without_hash = |label: &str| name.strip_suffix(labels.get(label)?)?.strip_suffix('-');
    let of = |kind: &str, name: &str| format!("{kind}/{name}");
    match kind.as_str() {
        "ReplicaSet" => {
            let mut attributes = vec![("k8s.replicaset.name", name.clone())];
            if let Some(deployment) = without_hash("pod-template-hash") {
                attributes.push(("k8s.deployment.name", deployment.to_owned()));
                return (of("Deployment", deployment), attributes);
            }
            let rollout = without_hash("rollouts-pod-template-hash");
            (rollout.map_or_else(|| of(kind, name), |rollout| of("Rollout", rollout)), attributes)
        }
        "Job" => {
            let mut attributes = vec![("k8s.job.name", name.clone())];
            // Minutes since 1970: eight digits from 1989 to 2160.
            let minute = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
            match name.rsplit_once('-').filter(|(_, suffix)| minute(suffix)) {
                Some((cron, _)) => {
                    attributes.push(("k8s.cronjob.name", cron.to_owned()));
                    (of("CronJob", cron), attributes)
                }
                None => (of(kind, name), attributes),
            }
        }
        "StatefulSet" => (of(kind, name), vec![("k8s.statefulset.name", name.clone())]),
        "DaemonSet" => (of(kind, name), vec![("k8s.daemonset.name", name.clone())]),
        // The kubelet's own pods belong to their node, which is no workload.
        "Node" => (String::new(), Vec::new()),
        _ => (of(kind, name), Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn owned(kind: &str, name: &str, hash: &str) -> String {
        let pod = json!({"metadata": {"name": "p", "labels": {"pod-template-hash": hash},
            "ownerReferences": [{"kind": kind, "name": name, "controller": true}]}});
        Pod::read(pod.to_string().as_bytes()).unwrap().workload
    }

    #[test]
    fn the_workload_is_what_a_person_deployed() {
        for (kind, name, hash, expected) in [
            ("ReplicaSet", "api-6d5f", "6d5f", "Deployment/api"),
            ("ReplicaSet", "bare", "6d5f", "ReplicaSet/bare"),
            ("Job", "backup-29403360", "", "CronJob/backup"),
            ("Job", "migrate-2", "", "Job/migrate-2"),
            ("StatefulSet", "db", "", "StatefulSet/db"),
            ("DaemonSet", "cni", "", "DaemonSet/cni"),
            ("Workflow", "etl", "", "Workflow/etl"),
            ("Node", "ip-10-0-0-1", "", ""),
        ] {
            assert_eq!(owned(kind, name, hash), expected);
        }
    }

    #[test]
    fn a_static_pod_is_known_by_the_hash_in_its_directory_name() {
        let pod = json!({"metadata": {"uid": "u1", "annotations":
            {"kubernetes.io/config.mirror": "0f0f", "kubectl.kubernetes.io/last-applied-configuration": "big"}}});
        let pod = Pod::read(pod.to_string().as_bytes()).unwrap();
        assert_eq!(pod.log_uid, "0f0f");
        assert_eq!(pod.annotations.len(), 1, "only what means something is kept");
    }

    #[test]
    fn what_is_kept_of_a_pod_has_a_bound() {
        let labels: BTreeMap<String, String> = (0..1000).map(|n| (format!("l{n}"), "v".repeat(60))).collect();
        let pod = Pod::read(json!({"metadata": {"labels": labels}}).to_string().as_bytes()).unwrap();
        let bytes: usize = pod.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!((TEXT_BYTES_MAX - 64..=TEXT_BYTES_MAX).contains(&bytes), "{bytes}");
    }

    #[test]
    fn nulls_where_go_writes_them_are_no_mistakes() {
        let text = br#"{"metadata":{"name":"p","labels":null,"annotations":null},"spec":{},"status":{"startTime":null}}"#;
        assert_eq!(Pod::read(text).unwrap().name, "p");
    }
}
