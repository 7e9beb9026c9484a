//! Fills the cache: one list, then one watch, for ever.
//!
//! A watch goes on where the last one ended; only when the API server no longer knows that place
//! (410) or a connection failed is everything listed again. Each failure makes a new client, which
//! reads token and certificates again: a rotated token costs one refused request.

use super::cache::{Cache, State};
use super::pod::{Namespace, Pod};
use super::split::{Found, Splitter};
use super::{ApiServer, Rules};
use crate::config::Backoff;
use crate::metrics::Metrics;
use crate::sinks::{describe, pause};
use crate::sources::Wiring;
use http::StatusCode;
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Longest silence while a list is sent, and longest time to connect.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the API server keeps a watch open; each asks for up to a quarter more, so that a fleet
/// does not come back at once.
const WATCH: Duration = Duration::from_secs(240);
/// A watch that hears nothing for this long beyond its own end is dead.
const WATCH_GRACE: Duration = Duration::from_secs(15);
/// A watch that ends sooner than this is followed by a pause.
const WATCH_MIN: Duration = Duration::from_secs(1);
/// After a connection that lasted this long the next failure is the first of its kind.
const WATCH_LONG: Duration = Duration::from_secs(30);
/// Pods asked for at once. The watch cache answers with all; a server without it in pages.
const PAGE: &str = "100";

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("credentials for the API server can't be read: {0}")]
    Credentials(String),
    #[error("the API server answers {0}; the service account needs list and watch on {1}")]
    Refused(StatusCode, &'static str),
    #[error("the API server answers {0}")]
    Status(StatusCode),
    #[error("the place to go on from is no longer known")]
    Gone,
    #[error("no answer from the API server: {0}")]
    Connection(String),
    #[error("the API server is silent")]
    Silent,
    #[error("the answer ended early")]
    Cut,
    #[error("the answer can't be read: {0}")]
    Answer(#[from] serde_json::Error),
}

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    Pods,
    Namespaces,
}

impl Resource {
    fn name(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Namespaces => "namespaces",
        }
    }
}

/// Watches until the source is stopped.
pub(super) fn start(cache: &Arc<Cache>, server: &ApiServer, rules: &Rules, wiring: &Wiring) {
    let resources =
        if rules.need_namespaces() { &[Resource::Pods, Resource::Namespaces][..] } else { &[Resource::Pods] };
    for &resource in resources {
        let watch = Watch {
            resource,
            node: wiring.node.clone(),
            source: wiring.name.clone(),
            server: server.clone(),
            by_labels: rules.selection.needs_labels(),
            cache: cache.clone(),
            metrics: wiring.metrics.clone(),
        };
        let stop = wiring.stop.clone();
        wiring.runtime.spawn(stop.run_until_cancelled_owned(watch.run()));
    }
}

struct Watch {
    resource: Resource,
    node: String,
    source: String,
    server: ApiServer,
    /// Labels select: without this watch new logs are not read.
    by_labels: bool,
    cache: Arc<Cache>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Deserialize)]
struct Event<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    r#continue: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: ListMeta,
    code: u16,
}

impl Watch {
    async fn run(self) {
        // The place to go on from; none before the first list.
        let mut version = None;
        let mut attempt = 0u32;
        loop {
            // Also before the first list: a DaemonSet starts on all nodes at once.
            tokio::time::sleep(pause(backoff(), attempt)).await;
            let started = Instant::now();
            let Err(failure) = self.session(&mut version).await;
            if started.elapsed() >= WATCH_LONG {
                attempt = 0;
            }
            self.failed(&failure, attempt);
            if matches!(failure, Failure::Gone) {
                version = None;
            }
            attempt = attempt.saturating_add(1);
        }
    }

    fn failed(&self, failure: &Failure, attempt: u32) {
        self.metrics.kubernetes_errors.inc();
        let (source, resource, error) = (&self.source, self.resource.name(), describe(failure));
        // Once for each time of trouble.
        if attempt == 0 && self.by_labels && !matches!(failure, Failure::Gone) {
            tracing::error!(%source, resource, %error, "metadata of pods is not up to date; \
                `select` names labels, so pods that are not known yet are not read");
        } else if attempt == 0 && !matches!(failure, Failure::Gone) {
            tracing::warn!(%source, resource, %error, "metadata of pods is not up to date; logs go on");
        } else {
            tracing::debug!(%source, resource, %error, attempt, "metadata of pods is not up to date");
        }
        let refused = matches!(failure, Failure::Refused(StatusCode::FORBIDDEN, _));
        self.set_state(if refused { State::Refused } else { State::Unknown });
    }

    /// Lists, unless there is a place to go on from, and watches with one client until something
    /// fails.
    async fn session(&self, version: &mut Option<String>) -> Result<std::convert::Infallible, Failure> {
        let client = connect(&self.server).await?;
        loop {
            let from = match version {
                Some(version) => version,
                None => version.insert(self.list(&client).await?),
            };
            let started = Instant::now();
            self.watch(&client, from).await?;
            if started.elapsed() < WATCH_MIN {
                tokio::time::sleep(pause(backoff(), 1)).await;
            }
        }
    }

    /// Takes in everything there is; the version of the list.
    async fn list(&self, client: &Client) -> Result<String, Failure> {
        let (mut seen, mut next) = (HashSet::new(), String::new());
        loop {
            // Any version will do for the first page: answered from memory, not from etcd.
            let from = if next.is_empty() { ("resourceVersion", "0") } else { ("continue", next.as_str()) };
            let mut body = self.request(client, &[("limit", PAGE), from]).await?;
            let (mut splitter, mut meta) = (Splitter::members(), ListMeta::default());
            let mut error = None;
            while let Some(bytes) = frame(&mut body, ANSWER_TIMEOUT).await? {
                splitter.push(&bytes, |found| {
                    let taken = match found {
                        Found { depth: 1, text } => serde_json::from_slice(&text).map(|found| meta = found),
                        Found { text, .. } => self.take(&text).map(|name| seen.extend(name)),
                    };
                    error = error.take().or(taken.err());
                });
            }
            match error {
                Some(error) => return Err(error.into()),
                None if !splitter.is_complete() => return Err(Failure::Cut),
                None => {}
            }
            next = meta.r#continue;
            if next.is_empty() {
                self.listed(&seen);
                self.set_state(State::Synced);
                return Ok(meta.resource_version);
            }
        }
    }

    /// Follows changes from `version` on until the watch ends in good order.
    async fn watch(&self, client: &Client, version: &mut String) -> Result<(), Failure> {
        // A quarter of the time is as random as the pause before a retry.
        let backoff = Backoff { initial: (WATCH / 4).into(), max: (WATCH / 4).into() };
        let length = WATCH + pause(backoff, 0);
        let query = [
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version.as_str()),
            ("timeoutSeconds", &length.as_secs().to_string()),
        ];
        let mut body = self.request(client, &query).await?;
        self.set_state(State::Synced);
        let mut splitter = Splitter::events();
        while let Some(bytes) = frame(&mut body, length + WATCH_GRACE).await? {
            let mut result = Ok(());
            splitter.push(&bytes, |found| {
                if result.is_ok() {
                    result = self.event(&found.text, version);
                }
            });
            result?;
        }
        if splitter.is_complete() { Ok(()) } else { Err(Failure::Cut) }
    }

    fn event(&self, text: &[u8], version: &mut String) -> Result<(), Failure> {
        if text.is_empty() {
            // Larger than any object can be. The pod is left as it was.
            return Ok(());
        }
        let event: Event<'_> = serde_json::from_slice(text)?;
        let object: Object = serde_json::from_str(event.object.get())?;
        match event.r#type {
            "ADDED" | "MODIFIED" => drop(self.take(event.object.get().as_bytes())?),
            "DELETED" if self.resource == Resource::Pods => {
                // What it was in the end counts, also when it was never seen before.
                if let Some(uid) = self.take(event.object.get().as_bytes())? {
                    self.cache.delete(&uid);
                }
            }
            "ERROR" if object.code == StatusCode::GONE.as_u16() => return Err(Failure::Gone),
            "ERROR" => {
                let status = StatusCode::from_u16(object.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                return Err(Failure::Status(status));
            }
            _ => {}
        }
        if !object.metadata.resource_version.is_empty() {
            *version = object.metadata.resource_version;
        }
        Ok(())
    }

    /// Takes in an object; what it is called in the cache.
    fn take(&self, text: &[u8]) -> Result<Option<String>, serde_json::Error> {
        if text.is_empty() {
            return Ok(None);
        }
        let name = match self.resource {
            Resource::Pods => {
                let pod = Pod::read(text)?;
                let uid = pod.log_uid.clone();
                self.cache.put(pod);
                uid
            }
            Resource::Namespaces => {
                let namespace = Namespace::read(text)?;
                let name = namespace.name.clone();
                self.cache.put_namespace(namespace);
                name
            }
        };
        Ok(Some(name))
    }

    fn listed(&self, seen: &HashSet<String>) {
        match self.resource {
            Resource::Pods if seen.is_empty() => {
                tracing::warn!(source = %self.source, node = %self.node,
                    "the API server knows no pod of this node; is `node` its name in Kubernetes?");
                self.cache.listed(seen);
            }
            Resource::Pods => self.cache.listed(seen),
            Resource::Namespaces => self.cache.keep_namespaces(|name| seen.contains(name)),
        }
    }

    fn set_state(&self, state: State) {
        match self.resource {
            Resource::Pods => self.cache.set_state(state),
            Resource::Namespaces => self.cache.set_namespaces_state(state),
        }
    }

    fn uri(&self, query: &[(&str, &str)]) -> String {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(query);
        if self.resource == Resource::Pods {
            text.append_pair("fieldSelector", &format!("spec.nodeName={}", self.node));
        }
        format!("/api/v1/{}?{}", self.resource.name(), text.finish())
    }

    async fn request(&self, client: &Client, query: &[(&str, &str)]) -> Result<Body, Failure> {
        let request = http::Request::get(self.uri(query))
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::USER_AGENT, concat!("logq-collector/", env!("CARGO_PKG_VERSION")))
            .body(Body::empty())
            .map_err(|error| Failure::Connection(error.to_string()))?;
        self.metrics.kubernetes_requests.inc();
        let answer = timeout(ANSWER_TIMEOUT, client.send(request)).await.map_err(|_| Failure::Silent)?;
        let answer = answer.map_err(|error| Failure::Connection(describe(&error)))?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            StatusCode::GONE => Err(Failure::Gone),
            status @ (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) => {
                Err(Failure::Refused(status, self.resource.name()))
            }
            status => Err(Failure::Status(status)),
        }
    }
}

/// Pauses between tries: at once everybody would be too many for an API server that comes back.
fn backoff() -> Backoff {
    Backoff { initial: Duration::from_secs(1).into(), max: Duration::from_secs(60).into() }
}

/// The next bytes of an answer; none at its end.
async fn frame(body: &mut Body, silence: Duration) -> Result<Option<bytes::Bytes>, Failure> {
    loop {
        let frame = timeout(silence, body.frame()).await.map_err(|_| Failure::Silent)?;
        match frame.transpose().map_err(|error| Failure::Connection(describe(&error)))? {
            None => return Ok(None),
            Some(frame) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

async fn connect(server: &ApiServer) -> Result<Client, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| Failure::Credentials(describe(error));
    let mut config = match server {
        ApiServer::Kubeconfig(path) => kubeconfig(path).await?,
        ApiServer::InCluster | ApiServer::None => Config::incluster().map_err(|error| failed(&error))?,
    };
    config.connect_timeout = Some(ANSWER_TIMEOUT);
    // Retries are ours: with jitter, and counted.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| failed(&error))
}

async fn kubeconfig(path: &Path) -> Result<Config, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| Failure::Credentials(describe(error));
    let file = Kubeconfig::read_from(path).map_err(|error| failed(&error))?;
    let options = KubeConfigOptions::default();
    Config::from_custom_kubeconfig(file, &options).await.map_err(|error| failed(&error))
}
