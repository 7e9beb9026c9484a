//! Looking at records as they leave a source or transform, on the machine they are collected on.
//!
//! ```text
//! graph ──offer──▶ viewer: select, limit ──bounded queue──▶ task ──Unix socket──▶ `logq-collector tap`
//! ```
//!
//! Promises: without a viewer it costs one relaxed load per batch and component. With one it never
//! waits: looking at a batch takes [`LOOK_MAX`] at most, and what the viewer does not get is counted
//! and told.
//!
//! Refuses: to be reached over the network. Log contents are served on a Unix socket in the data
//! directory that only the collector's own user can open, never on the admin address. A component
//! before `redact` shows what `redact` has not seen; `admin.tap = false` switches all of it off.

pub mod server;

use crate::batch::{Batch, Cut, Record};
use crate::extra::Extra;
use base64::Engine as _;
use globset::{Glob, GlobSet, GlobSetBuilder};
use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Longest time one batch is looked at for one viewer.
pub const LOOK_MAX: Duration = Duration::from_millis(1);

/// Records looked at between two looks at the clock.
const STRIDE: usize = 64;

/// Viewers at the same time: together they hold at most 4 × 64 × 2 × 8 KiB = 4 MiB.
const VIEWERS_MAX: usize = 4;

/// Records waiting for one viewer.
const QUEUE: usize = 64;

/// Longest body, and longest attributes, that are shown.
const SHOWN_BYTES: usize = 8 * 1024;

/// Largest compiled form of a viewer's expression.
const EXPRESSION_BYTES: usize = 1024 * 1024;

/// Default of [`Request::limit`]: more scrolls by unread.
pub const LIMIT: u32 = 100;

/// What a viewer wants to see.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Globs of component names; none: every source and transform.
    pub components: Vec<String>,
    /// Most records in a second.
    pub limit: u32,
    /// Only records whose body matches this expression.
    pub matching: Option<String>,
    /// Globs of namespaces; none: all.
    pub namespace: Vec<String>,
    /// Globs of pod names; none: all.
    pub pod: Vec<String>,
    /// Globs of container names; none: all.
    pub container: Vec<String>,
}

impl Default for Request {
    fn default() -> Self {
        let none = Vec::new;
        Self {
            components: none(),
            limit: LIMIT,
            matching: None,
            namespace: none(),
            pod: none(),
            container: none(),
        }
    }
}

/// What a viewer is told, one JSON object a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Its request was accepted: the components it sees.
    Watching(Vec<String>),
    /// Its request can't be served.
    Refused(String),
    /// A record.
    Record(Box<Shown>),
    /// Records that were not looked at or not shown since the last message of this kind: over the
    /// limit, or the viewer was too slow.
    Missed(u64),
}

/// A record as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shown {
    /// Source or transform it left.
    pub component: String,
    /// Time as the runtime wrote it.
    pub time: String,
    /// Kubernetes namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Pod name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// Container name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// `stdout` or `stderr`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stdio: String,
    /// Source file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Severity as the record wrote it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub severity: String,
    /// What transforms found out.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// The body, when it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in base64, when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// Not all of the record is shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl Shown {
    fn of(component: &str, batch: &Batch, record: &Record) -> Self {
        let body = batch.bytes(record.body);
        let mut cut = record.cut != Cut::No || body.len() > SHOWN_BYTES;
        let body = &body[..body.len().min(SHOWN_BYTES)];
        // A limit in the middle of a character does not make the text binary.
        let text = match std::str::from_utf8(body) {
            Ok(text) => Some(text),
            Err(error) if error.error_len().is_none() && cut => {
                std::str::from_utf8(&body[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        let members = batch.bytes(record.extra);
        cut |= members.len() > SHOWN_BYTES;
        let extra = if members.len() > SHOWN_BYTES { Extra::default() } else { Extra::decode(members) };
        let mut shown = Self {
            component: component.to_owned(),
            time: String::from_utf8_lossy(batch.bytes(record.time)).into_owned(),
            severity: extra.severity_text,
            attributes: extra.attributes,
            body: text.map(str::to_owned),
            body_base64: text.is_none().then(|| base64::engine::general_purpose::STANDARD.encode(body)),
            cut,
            ..Self::default()
        };
        if let Some(stream) = batch.streams.get(record.stream as usize) {
            shown.namespace.clone_from(&stream.about.namespace);
            shown.pod.clone_from(&stream.about.pod);
            shown.container.clone_from(&stream.about.container);
            shown.stdio.clone_from(&stream.about.stdio);
            shown.file.clone_from(&stream.about.file);
        }
        shown
    }

    /// The body as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match (&self.body, &self.body_base64) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(text)) => base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }
}

/// Globs of which one must match; none: everything does.
#[derive(Debug)]
struct Globs(Option<GlobSet>);

impl Globs {
    fn new(what: &str, patterns: &[String]) -> Result<Self, String> {
        if patterns.is_empty() {
            return Ok(Self(None));
        }
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(Glob::new(pattern).map_err(|error| format!("{what}: {error}"))?);
        }
        set.build().map(|set| Self(Some(set))).map_err(|error| format!("{what}: {error}"))
    }

    fn takes(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|set| set.is_match(name))
    }
}

/// Somebody who looks.
#[derive(Debug)]
pub struct Viewer {
    components: Vec<String>,
    namespace: Globs,
    pod: Globs,
    container: Globs,
    expression: Option<Regex>,
    limit: u64,
    /// Start of the present second and records shown in it.
    window: Mutex<(Instant, u64)>,
    missed: AtomicU64,
    queue: Sender<Box<Shown>>,
}

impl Viewer {
    fn new(request: &Request, known: &[String], queue: Sender<Box<Shown>>) -> Result<Self, String> {
        let wanted = Globs::new("component", &request.components)?;
        let components: Vec<String> = known.iter().filter(|name| wanted.takes(name)).cloned().collect();
        if components.is_empty() {
            return Err(format!("no such source or transform; there is {}", known.join(", ")));
        }
        let compile = |text: &String| RegexBuilder::new(text).size_limit(EXPRESSION_BYTES).build();
        let expression = request.matching.as_ref().map(compile).transpose();
        Ok(Self {
            components,
            namespace: Globs::new("namespace", &request.namespace)?,
            pod: Globs::new("pod", &request.pod)?,
            container: Globs::new("container", &request.container)?,
            expression: expression.map_err(|error| format!("match: {error}"))?,
            limit: u64::from(request.limit.max(1)),
            window: Mutex::new((Instant::now(), 0)),
            missed: AtomicU64::new(0),
            queue,
        })
    }

    /// Records missed since the last call.
    fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }

    fn wants(&self, batch: &Batch, record: &Record) -> bool {
        let about = batch.streams.get(record.stream as usize).map(|stream| &stream.about);
        let ours = about.is_none_or(|about| {
            self.namespace.takes(&about.namespace)
                && self.pod.takes(&about.pod)
                && self.container.takes(&about.container)
        });
        ours && self
            .expression
            .as_ref()
            .is_none_or(|expression| expression.is_match(batch.bytes(record.body)))
    }

    fn look(&self, component: &str, batch: &Batch, records: &[Record]) {
        let started = Instant::now();
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if started.duration_since(window.0) >= Duration::from_secs(1) {
            *window = (started, 0);
        }
        for (number, record) in records.iter().enumerate() {
            let late = number % STRIDE == STRIDE - 1 && started.elapsed() > LOOK_MAX;
            if late || window.1 >= self.limit {
                let left = (records.len() - number) as u64;
                self.missed.fetch_add(left, Ordering::Relaxed);
                return;
            }
            if !self.wants(batch, record) {
                continue;
            }
            match self.queue.try_send(Box::new(Shown::of(component, batch, record))) {
                Ok(()) => window.1 += 1,
                Err(TrySendError::Full(_)) => drop(self.missed.fetch_add(1, Ordering::Relaxed)),
                Err(TrySendError::Closed(_)) => return,
            }
        }
    }
}

/// All viewers of one graph.
#[derive(Debug, Default)]
pub struct Taps {
    /// Names of the sources and transforms.
    known: Vec<String>,
    /// How many look; read once per batch and component.
    watched: AtomicUsize,
    viewers: RwLock<Vec<Arc<Viewer>>>,
}

impl Taps {
    /// No viewers yet; `known` are the sources and transforms there are.
    pub fn new(known: Vec<String>) -> Self {
        Self { known, ..Self::default() }
    }

    /// Shows what left a component to whoever looks. Never waits for a viewer.
    pub fn offer(&self, component: &str, batch: &Batch, records: &[Record]) {
        if self.watched.load(Ordering::Relaxed) == 0 {
            return;
        }
        let viewers = self.viewers.read().unwrap_or_else(PoisonError::into_inner);
        for viewer in viewers.iter().filter(|viewer| viewer.components.iter().any(|name| name == component)) {
            viewer.look(component, batch, records);
        }
    }

    /// Adds a viewer, who stays until what is returned is dropped.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub fn watch(self: &Arc<Self>, request: &Request) -> Result<Watching, String> {
        let (sender, records) = channel(QUEUE);
        let viewer = Arc::new(Viewer::new(request, &self.known, sender)?);
        let mut viewers = self.viewers.write().unwrap_or_else(PoisonError::into_inner);
        if viewers.len() >= VIEWERS_MAX {
            return Err(format!("{VIEWERS_MAX} viewers are there already; end one of them"));
        }
        viewers.push(viewer.clone());
        self.watched.store(viewers.len(), Ordering::Relaxed);
        Ok(Watching { taps: self.clone(), viewer, records })
    }
}

/// A place among the viewers.
#[derive(Debug)]
pub struct Watching {
    taps: Arc<Taps>,
    viewer: Arc<Viewer>,
    records: Receiver<Box<Shown>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut viewers = self.taps.viewers.write().unwrap_or_else(PoisonError::into_inner);
        viewers.retain(|viewer| !Arc::ptr_eq(viewer, &self.viewer));
        self.taps.watched.store(viewers.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
