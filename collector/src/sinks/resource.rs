//! Where records come from, under OpenTelemetry's names (semantic conventions for Kubernetes,
//! containers, logs and services).

use crate::template::Place;
use logq_schemas::landing::Stream;
use serde_json::{Map, Value};

/// Labels that name an application, the more exact first (the order OpenTelemetry recommends for
/// `service.name` on Kubernetes).
const SERVICE_LABELS: [&str; 2] = ["app.kubernetes.io/instance", "app.kubernetes.io/name"];

/// Kinds of workloads with an attribute of their own.
const WORKLOADS: [&str; 6] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "CronJob", "Job"];

/// The attributes of a stream; unknown ones are left out.
pub fn attributes(place: Place<'_>, stream: &Stream) -> Map<String, Value> {
    let mut map: Map<String, Value> =
        stream.resource.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            map.insert(name.to_owned(), value.into());
        }
    };
    let (path, file) = match stream.file.rsplit_once('/') {
        Some((_, file)) => (stream.file.as_str(), file),
        None => ("", stream.file.as_str()),
    };
    let (kind, workload) = stream.workload.split_once('/').unwrap_or_default();
    for (name, value) in [
        ("k8s.cluster.name", place.cluster),
        ("k8s.node.name", place.node),
        ("k8s.namespace.name", &stream.namespace),
        ("k8s.pod.name", &stream.pod),
        ("k8s.pod.uid", &stream.pod_uid),
        ("k8s.container.name", &stream.container),
        ("container.image.name", &stream.image),
        ("host.name", &stream.host),
        ("log.file.path", path),
        ("log.file.name", file),
        ("log.iostream", &stream.stdio),
    ] {
        put(name, value);
    }
    if WORKLOADS.contains(&kind) {
        put(&format!("k8s.{}.name", kind.to_ascii_lowercase()), workload);
    }
    for (label, value) in &stream.labels {
        put(&format!("k8s.pod.label.{label}"), value);
    }
    let label = || SERVICE_LABELS.iter().find_map(|label| stream.labels.get(*label));
    let named = Some(&stream.service).filter(|name| !name.is_empty()).or_else(label);
    if let Some(name) = named {
        put("service.name", name);
    } else if !map.contains_key("service.name") {
        let name = if workload.is_empty() { stream.container.as_str() } else { workload };
        if !name.is_empty() {
            map.insert("service.name".to_owned(), name.into());
        }
    }
    if let Some(restart) = stream.restart {
        map.insert("k8s.container.restart_count".to_owned(), restart.into());
    }
    map
}

/// The identity of a record, the same however often it is sent: `event_uid` of the lake.
pub fn event_uid(stream: &Stream, offset: u64) -> String {
    format!("{}:{offset}", stream.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_opentelemetrys_and_the_service_is_the_best_known_name() {
        let place = Place { cluster: "prod", node: "n1" };
        let mut stream = Stream {
            namespace: "shop".into(),
            container: "api".into(),
            file: "/var/log/x.log".into(),
            restart: Some(2),
            ..Stream::default()
        };
        let map = attributes(place, &stream);
        assert_eq!(map["k8s.cluster.name"], "prod");
        assert_eq!(
            (&map["log.file.path"], &map["log.file.name"]),
            (&"/var/log/x.log".into(), &"x.log".into())
        );
        assert_eq!((&map["service.name"], &map["k8s.container.restart_count"]), (&"api".into(), &2.into()));
        assert!(!map.contains_key("k8s.pod.name"), "what is not known is not there");
        stream.workload = "Deployment/web".into();
        let map = attributes(place, &stream);
        assert_eq!((&map["service.name"], &map["k8s.deployment.name"]), (&"web".into(), &"web".into()));
        stream.resource.insert("service.name".into(), "told".into());
        assert_eq!(attributes(place, &stream)["service.name"], "told");
        stream.labels.insert("app.kubernetes.io/name".into(), "shop-api".into());
        let map = attributes(place, &stream);
        assert_eq!(map["service.name"], "shop-api");
        assert_eq!(map["k8s.pod.label.app.kubernetes.io/name"], "shop-api");
    }
}
