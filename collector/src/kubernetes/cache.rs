//! The pods of this node, shared between the watch that fills it and the source that asks.

use super::pod::{Namespace, Pod};
use crate::metrics::Metrics;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A deleted pod is kept for this long after its last file was seen: the time in which the end of
/// its log may still be found.
const KEEP_DELETED: Duration = Duration::from_secs(60);

/// Most namespaces whose labels are kept.
const NAMESPACES_MAX: usize = 4096;

/// How far the cache can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing was heard of the API server yet, or it can't be reached at the moment.
    #[default]
    Unknown,
    /// It holds all pods of the node, as of a moment ago.
    Synced,
    /// The API server refuses to tell: nobody should wait for it.
    Refused,
}

/// What was asked for, or what it is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    /// It is there.
    Yes(T),
    /// Not there, but it may come.
    NotYet,
    /// Not there, and nobody will tell.
    Never,
}

#[derive(Debug)]
struct Entry {
    pod: Arc<Pod>,
    /// When it was deleted, or a file of it was last seen since.
    gone: Option<Instant>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By the UID in the name of the log directory.
    pods: HashMap<String, Entry>,
    namespaces: HashMap<String, Arc<BTreeMap<String, String>>>,
    state: State,
    namespaces_state: State,
}

/// The pods of this node and, when needed, the namespaces of the cluster.
#[derive(Debug)]
pub struct Cache {
    inner: Mutex<Inner>,
    changes: AtomicU64,
    pods_max: usize,
    metrics: Arc<Metrics>,
}

impl Cache {
    /// An empty cache of at most `pods_max` pods.
    pub fn new(pods_max: usize, metrics: Arc<Metrics>) -> Self {
        Self { inner: Mutex::default(), changes: AtomicU64::new(0), pods_max, metrics }
    }

    /// Grows with every change that may matter to a reader.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The pod whose log directory carries this UID.
    pub fn pod(&self, uid: &str) -> Known<Arc<Pod>> {
        let inner = self.lock();
        match (inner.pods.get(uid), inner.state) {
            (Some(entry), _) => Known::Yes(entry.pod.clone()),
            (None, State::Refused) => Known::Never,
            (None, State::Unknown | State::Synced) => Known::NotYet,
        }
    }

    /// The labels of a namespace.
    pub fn namespace(&self, name: &str) -> Known<Arc<BTreeMap<String, String>>> {
        let inner = self.lock();
        match (inner.namespaces.get(name), inner.namespaces_state) {
            (Some(labels), _) => Known::Yes(labels.clone()),
            (None, State::Refused) => Known::Never,
            (None, State::Unknown | State::Synced) => Known::NotYet,
        }
    }

    /// It holds all pods there are.
    pub fn is_synced(&self) -> bool {
        self.lock().state == State::Synced
    }

    /// Pods whose files still exist stay although they were deleted; the others leave some time
    /// after their deletion.
    pub fn sweep(&self, with_files: &HashSet<&str>) {
        let mut inner = self.lock();
        inner.pods.retain(|uid, entry| {
            let Some(gone) = &mut entry.gone else { return true };
            if with_files.contains(uid.as_str()) {
                *gone = Instant::now();
            }
            gone.elapsed() < KEEP_DELETED
        });
        self.count(&inner);
    }

    pub(super) fn set_state(&self, state: State) {
        if std::mem::replace(&mut self.lock().state, state) == state {
            return;
        }
        self.metrics.kubernetes_synced.set(i64::from(state == State::Synced));
        self.changed();
    }

    pub(super) fn set_namespaces_state(&self, state: State) {
        if std::mem::replace(&mut self.lock().namespaces_state, state) != state {
            self.changed();
        }
    }

    /// Takes in a pod, new or changed. At the limit a deleted one makes room, else it is not kept.
    pub(super) fn put(&self, pod: Pod) {
        let mut inner = self.lock();
        if let Some(entry) = inner.pods.get_mut(&pod.log_uid) {
            entry.gone = None;
            if *entry.pod != pod {
                entry.pod = Arc::new(pod);
                self.changed();
            }
            return;
        }
        if inner.pods.len() >= self.pods_max {
            let oldest = inner.pods.iter().filter_map(|(uid, entry)| Some((entry.gone?, uid))).min();
            let Some(oldest) = oldest.map(|(_, uid)| uid.clone()) else {
                self.metrics.kubernetes_dropped_pods.inc();
                return;
            };
            inner.pods.remove(&oldest);
        }
        inner.pods.insert(pod.log_uid.clone(), Entry { pod: Arc::new(pod), gone: None });
        self.count(&inner);
        self.changed();
    }

    /// The pod was deleted; it stays while its files do.
    pub(super) fn delete(&self, uid: &str) {
        if let Some(entry) = self.lock().pods.get_mut(uid) {
            entry.gone.get_or_insert_with(Instant::now);
        }
    }

    /// A complete list names exactly these: what is not among them was deleted unseen.
    pub(super) fn listed(&self, uids: &HashSet<String>) {
        for (uid, entry) in &mut self.lock().pods {
            if !uids.contains(uid) {
                entry.gone.get_or_insert_with(Instant::now);
            }
        }
    }

    pub(super) fn put_namespace(&self, namespace: Namespace) {
        let mut inner = self.lock();
        let full = inner.namespaces.len() >= NAMESPACES_MAX;
        let known = inner.namespaces.get(&namespace.name);
        if known.is_some_and(|labels| **labels == namespace.labels) || (full && known.is_none()) {
            return;
        }
        inner.namespaces.insert(namespace.name, Arc::new(namespace.labels));
        self.changed();
    }

    pub(super) fn keep_namespaces(&self, keep: impl Fn(&str) -> bool) {
        self.lock().namespaces.retain(|name, _| keep(name));
    }

    fn count(&self, inner: &Inner) {
        self.metrics.kubernetes_pods.set(i64::try_from(inner.pods.len()).unwrap_or(i64::MAX));
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str) -> Pod {
        Pod { log_uid: uid.to_owned(), ..Pod::default() }
    }

    #[test]
    fn never_more_pods_than_the_limit_and_deleted_ones_go_first() {
        let cache = Cache::new(2, Arc::new(Metrics::default()));
        ["a", "b", "c"].into_iter().for_each(|uid| cache.put(pod(uid)));
        assert_eq!((cache.pod("c"), cache.metrics.kubernetes_dropped_pods.get()), (Known::NotYet, 1));
        cache.delete("a");
        assert_eq!(cache.pod("a"), Known::Yes(Arc::new(pod("a"))), "its files may still be read");
        cache.put(pod("c"));
        assert_eq!((cache.pod("a"), cache.pod("c")), (Known::NotYet, Known::Yes(Arc::new(pod("c")))));
        assert_eq!(cache.metrics.kubernetes_pods.get(), 2);
    }

    #[test]
    fn a_deleted_pod_stays_while_it_has_files() {
        let cache = Cache::new(2, Arc::new(Metrics::default()));
        cache.put(pod("a"));
        cache.put(pod("b"));
        cache.listed(&HashSet::new());
        let long_ago = Instant::now().checked_sub(KEEP_DELETED);
        cache.lock().pods.values_mut().for_each(|entry| entry.gone = long_ago);
        cache.sweep(&HashSet::from(["a"]));
        assert_eq!((cache.pod("a"), cache.pod("b")), (Known::Yes(Arc::new(pod("a"))), Known::NotYet));
    }

    #[test]
    fn only_what_is_kept_of_a_pod_counts_as_a_change() {
        let cache = Cache::new(2, Arc::new(Metrics::default()));
        cache.put(pod("a"));
        let before = cache.changes();
        cache.put(pod("a"));
        assert_eq!(cache.changes(), before);
        cache.put(Pod { name: "other".into(), ..pod("a") });
        assert_ne!(cache.changes(), before);
    }
}
