//! A stream: where records come from.
//!
//! For container logs a stream is one file of one container and one standard stream. Its metadata
//! is written once per landing object and not per record. The owner comes from the path
//! `<pods>/<namespace>_<pod>_<uid>/<container>/<restart>.log`; labels, image and workload from the
//! API server, when it is asked.

use crate::position::Fingerprint;
use logq_schemas::landing;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use twox_hash::xxhash3_128;

/// Standard stream a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stdio {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Not known: the line is not in the runtime's format.
    Unknown,
}

impl Stdio {
    /// Text in the landing format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Unknown => "",
        }
    }

    /// Index into per-stream arrays.
    pub fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
            Self::Unknown => 2,
        }
    }
}

/// The container a log file belongs to, read from its path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// Pod UID; for static pods the hash the kubelet uses instead.
    pub pod_uid: String,
    /// Container name.
    pub container: String,
    /// Restart count: the number in `<n>.log`.
    pub restart: u32,
}

impl Owner {
    /// Reads the owner from the names of the pod directory, the container directory and the file.
    /// `None` when they do not follow the kubelet's layout.
    pub fn parse(pod_dir: &str, container: &str, file: &str) -> Option<Self> {
        // Namespace and UID hold no underscore, pod names neither; split from both ends anyway.
        let (namespace, rest) = pod_dir.split_once('_')?;
        let (pod, pod_uid) = rest.rsplit_once('_')?;
        let (restart, rest) = file.split_once(".log")?;
        if namespace.is_empty() || pod.is_empty() || !(rest.is_empty() || rest.starts_with(['.', '-'])) {
            return None;
        }
        Some(Self {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            pod_uid: pod_uid.to_owned(),
            container: container.to_owned(),
            restart: restart.parse().ok()?,
        })
    }
}

static NEXT_KEY: AtomicU64 = AtomicU64::new(0);

/// What is known about a container beside its path: from the API server, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// Pod labels.
    pub labels: BTreeMap<String, String>,
    /// Container image.
    pub image: String,
    /// Workload that owns the pod as `Kind/name`.
    pub workload: String,
    /// Further resource attributes under their OpenTelemetry names.
    pub resource: BTreeMap<String, String>,
    /// How the pod wants its logs read.
    pub hints: Hints,
    /// Formats for standard output and standard error alone; they win over the one for both.
    pub parsers: [Option<String>; 2],
    /// Records of standard output, of standard error, are skipped.
    pub exclude: [bool; 2],
    /// Whose files they are, when they are no container's.
    pub origin: Option<Arc<Origin>>,
}

/// Whose files they are, when their path does not tell: a part of the identity of what is in them,
/// or two machines whose files have the same name and begin alike would seem to repeat each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Name of the cluster, as configured.
    pub cluster: String,
    /// Name of the node, as configured.
    pub node: String,
    /// What the configuration says about them; number, `id` and `file` are given by the file.
    pub about: landing::Stream,
}

impl Origin {
    /// The stream of a file with this fingerprint.
    fn stream(&self, id: Fingerprint, path: &Path) -> landing::Stream {
        let about = &self.about;
        let mut hasher = xxhash3_128::Hasher::new();
        for part in
            [&self.cluster, &self.node, &about.namespace, &about.pod, &about.pod_uid, &about.container]
        {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part.as_bytes());
        }
        hasher.write(&id.0.to_le_bytes());
        let id = Fingerprint(hasher.finish_128()).to_string();
        landing::Stream { id, file: path.to_string_lossy().into_owned(), ..about.clone() }
    }
}

/// How a pod wants its logs read, from its annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// Format for the `parse` transform.
    pub parser: Option<String>,
    /// Rule for joining lines of one record, by name.
    pub multiline: Option<String>,
}

/// One stream, shared by all its records.
#[derive(Debug)]
pub struct Stream {
    /// Number of this stream within the process; never reused. A stream whose description changes
    /// (new labels) is a new stream with a new key and the same `id`.
    pub key: u64,
    /// Everything known about where the records come from, as the landing format writes it; its
    /// number is given per object.
    pub about: landing::Stream,
    /// How its records want to be read.
    pub hints: Hints,
}

impl Stream {
    /// A stream with the given description; `about.id` must be the identity of its content.
    pub fn new(about: landing::Stream) -> Self {
        Self { key: NEXT_KEY.fetch_add(1, Ordering::Relaxed), about, hints: Hints::default() }
    }

    /// A stream of a container's log file.
    pub fn of_file(id: Fingerprint, owner: &Owner, stdio: Stdio, path: &Path, meta: &Meta) -> Self {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if owner.pod.is_empty() {
            return Self::new(meta.origin.clone().unwrap_or_default().stream(id, path));
        }
        let about = landing::Stream {
            id: id.to_string(),
            namespace: owner.namespace.clone(),
            pod: owner.pod.clone(),
            pod_uid: owner.pod_uid.clone(),
            container: owner.container.clone(),
            restart: Some(owner.restart),
            stdio: stdio.as_str().to_owned(),
            file,
            image: meta.image.clone(),
            labels: meta.labels.clone(),
            workload: meta.workload.clone(),
            resource: meta.resource.clone(),
            ..landing::Stream::default()
        };
        let mut hints = meta.hints.clone();
        if let Some(Some(parser)) = meta.parsers.get(stdio.index()) {
            hints.parser = Some(parser.clone());
        }
        Self { hints, ..Self::new(about) }
    }

    /// The stream line of the landing format, under the number it has in the object.
    pub fn landing(&self, number: u32) -> landing::Stream {
        landing::Stream { stream: number, ..self.about.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_comes_from_the_path() {
        let owner = Owner::parse("shop_api-6d5f_2a1b-3c", "api", "3.log.20261122-101500.gz").unwrap();
        assert_eq!((owner.namespace.as_str(), owner.pod.as_str()), ("shop", "api-6d5f"));
        assert_eq!((owner.pod_uid.as_str(), owner.container.as_str(), owner.restart), ("2a1b-3c", "api", 3));
    }

    #[test]
    fn equal_files_of_two_machines_are_two_streams() {
        let owner =
            Owner { pod_uid: "/var/log/app".to_owned(), ..Owner::parse("a_b_c", "app", "0.log").unwrap() };
        let owner = Owner { namespace: String::new(), pod: String::new(), ..owner };
        let of = |cluster: &str, node: &str, pod_uid: &str| {
            let about = landing::Stream { pod_uid: pod_uid.to_owned(), ..landing::Stream::default() };
            let origin = Origin { cluster: cluster.to_owned(), node: node.to_owned(), about };
            let meta = Meta { origin: Some(Arc::new(origin)), ..Meta::default() };
            let path = Path::new("/var/log/app/app.log");
            Stream::of_file(Fingerprint(7), &owner, Stdio::Unknown, path, &meta).about
        };
        let one = of("prod", "n1", "u1");
        assert_eq!(one, of("prod", "n1", "u1"));
        assert_eq!((one.file.as_str(), one.pod_uid.as_str()), ("/var/log/app/app.log", "u1"));
        for other in
            [of("dev", "n1", "u1"), of("prod", "n2", "u1"), of("prod", "n1", "u2"), of("pro", "dn1", "u1")]
        {
            assert_ne!(one.id, other.id);
        }
    }

    #[test]
    fn other_names_are_not_container_logs() {
        for (dir, file) in [("shop", "0.log"), ("shop_api", "0.log"), ("a_b_c", "x.log"), ("a_b_c", "0.logs")]
        {
            assert_eq!(Owner::parse(dir, "c", file), None, "{dir}/{file}");
        }
    }
}
