//! Settings of the source, and how they are checked.

use super::*;

/// What happens to a record longer than `max_line_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinePolicy {
    /// It is delivered in pieces marked `cut: split`.
    Split,
    /// Its beginning is delivered, marked `cut: truncated`.
    Truncate,
}

/// Settings of the source.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The directory the kubelet keeps pod logs in.
    pub pods_dir: PathBuf,
    /// Time between scans for new files.
    pub glob_minimum_cooldown: Span,
    /// Bytes read from a file before the next one gets its turn.
    pub max_read_bytes: ByteSize,
    /// Longest record.
    pub max_line_bytes: ByteSize,
    /// What happens to longer ones.
    pub max_line_policy: LinePolicy,
    /// What records that are not complete yet may take, over all files.
    pub max_held_bytes: ByteSize,
    /// Which lines belong together.
    pub multiline: MultilineSettings,
    /// Quiet time after which the end of a rotated or deleted file is final.
    pub rotate_wait: Span,
    /// Bytes read per second and file at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<ByteSize>,
    /// Files held open at most.
    pub max_open_files: usize,
    /// Where the API server is that knows about pods.
    pub api_server: String,
    /// Longest time the files of a new pod wait for its metadata.
    pub metadata_wait: Span,
    /// Pods whose metadata is kept at most.
    pub metadata_max_pods: usize,
    /// Labels of namespaces become resource attributes.
    pub namespace_labels: bool,
    /// Annotations of pods are obeyed.
    pub annotations: bool,
    /// Whose annotations are obeyed beside our own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peer_annotations: Vec<Peer>,
    /// Which containers are read.
    pub select: SelectionSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pods_dir: options::PODS_DIR.into(),
            glob_minimum_cooldown: Span::from(options::GLOB_COOLDOWN),
            max_read_bytes: ByteSize::new(options::READ_BYTES),
            max_line_bytes: ByteSize::new(options::LINE_BYTES),
            max_line_policy: LinePolicy::Split,
            max_held_bytes: ByteSize::new(options::HELD_BYTES),
            multiline: MultilineSettings::default(),
            rotate_wait: Span::from(options::ROTATE_WAIT),
            rate_limit: None,
            max_open_files: options::OPEN_FILES,
            api_server: "auto".to_owned(),
            metadata_wait: Span::from(options::METADATA_WAIT),
            metadata_max_pods: options::METADATA_PODS,
            namespace_labels: false,
            annotations: true,
            peer_annotations: Vec::new(),
            select: SelectionSettings::default(),
        }
    }
}

impl config::component::Settings for Settings {
    const KIND: &'static str = "kubernetes_logs";
    const ABOUT: &'static str = "Container logs of this node, in the CRI format of containerd and CRI-O or in Docker's json-file format.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        use options::{none, plain, size, span, text};
        let mut rows = vec![
            ("pods_dir", text(options::PODS_DIR), "Directory `<namespace>_<pod>_<uid>/<container>/<n>.log` live in"),
            ("glob_minimum_cooldown", span(options::GLOB_COOLDOWN), "Time between scans for new files; a directory watch usually makes it shorter"),
            ("max_read_bytes", size(options::READ_BYTES), "Bytes read from a file before the next one gets its turn"),
            ("max_line_bytes", size(options::LINE_BYTES), "Longest record"),
            ("max_line_policy", text("split"), "Longer records: `split` delivers them in pieces marked `cut: split`, `truncate` their beginning marked `cut: truncated`; both are counted"),
            ("max_held_bytes", size(options::HELD_BYTES), "Memory for records that are not complete yet (parts, lines of a trace), over all files; at least `max_line_bytes`. Beyond it those that grow are treated like longer records, and traces end early"),
            ("rotate_wait", span(options::ROTATE_WAIT), "Quiet time after which the end of a rotated or deleted file is final"),
            ("rate_limit", none(), "Bytes read per second and file at most; a file that writes more is read later, nothing of it is dropped"),
            ("max_open_files", plain(&format!("`{}`", options::OPEN_FILES)), "Files held open; beyond it the longest idle ones are closed and reopened when they change"),
            ("api_server", text("auto"), "Who tells about pods: `in_cluster` (the service account of the collector's pod), the path of a kubeconfig, `none` (only what the path of a file tells), or `auto`: `in_cluster` inside a cluster and where `select` names labels, else `none`"),
            ("metadata_wait", span(options::METADATA_WAIT), "Longest time the files of a new pod are not read because its metadata may still come; where `select` names labels they wait until it does"),
            ("metadata_max_pods", plain(&format!("`{}`", options::METADATA_PODS)), "Pods whose metadata is kept at most"),
            ("namespace_labels", plain("`false`"), "Labels of the namespace become resource attributes `k8s.namespace.label.<key>`; needs the permission to watch namespaces"),
            ("annotations", plain("`true`"), "Annotations of pods are obeyed: `logq.dev/exclude`, `logq.dev/exclude-stdout`, `logq.dev/exclude-stderr`, `logq.dev/exclude-containers`, `logq.dev/parser`, `logq.dev/multiline`; `logq.dev/<name>.<container>` is about one container"),
            ("peer_annotations", options::none(), "Whose annotations and labels are obeyed as well: `fluent_bit` (`fluentbit.io/exclude`, `fluentbit.io/parser`, both also for one container and one standard stream), `vector` (label `vector.dev/exclude`, annotation `vector.dev/exclude-containers`)"),
        ];
        rows.extend(selection::rows());
        rows.extend(multiline::rows());
        rows
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        within(&format!("{key}.max_read_bytes"), self.max_read_bytes, options::LINE_BYTES_RANGE)?;
        within(&format!("{key}.max_line_bytes"), self.max_line_bytes, options::LINE_BYTES_RANGE)?;
        if self.max_held_bytes.bytes() < self.max_line_bytes.bytes() {
            let message = "must be at least max_line_bytes; raise it or lower max_line_bytes";
            return Err(problem(format!("{key}.max_held_bytes"), message));
        }
        if let Some(rate) = self.rate_limit {
            within(&format!("{key}.rate_limit"), rate, options::RATE_RANGE)?;
        }
        if self.max_open_files == 0 {
            return Err(problem(format!("{key}.max_open_files"), "must be at least 1"));
        }
        if self.metadata_max_pods == 0 {
            return Err(problem(format!("{key}.metadata_max_pods"), "must be at least 1"));
        }
        let by_labels = Selection::new(&self.select, key)?.needs_labels();
        // Outside of a cluster `auto` leaves attributes out, but never a selection.
        let needed = by_labels || (self.namespace_labels && self.api_server == "none");
        ApiServer::read(&self.api_server, needed, &format!("{key}.api_server"))?;
        self.multiline.check(key)
    }
}

impl SourceConfig for Settings {
    fn exclusive(&self) -> Vec<(&'static str, String)> {
        vec![("pods_dir", self.pods_dir.display().to_string())]
    }

    fn memory(&self) -> Reads {
        Reads {
            record: self.max_line_bytes.bytes(),
            record_key: "max_line_bytes",
            held: self.max_held_bytes.bytes(),
            files: self.max_open_files,
            bytes: self.metadata_max_pods * POD_BYTES,
            ..Reads::default()
        }
    }

    fn run(&self, wiring: Wiring) {
        run(self.clone(), wiring);
    }
}

/// Runs the source until it is stopped.
fn run(settings: Settings, wiring: Wiring) {
    // Both were checked when the configuration was read.
    let rules = settings.rules();
    let needed = rules.selection.needs_labels();
    let server = ApiServer::read(&settings.api_server, needed, "").unwrap_or(ApiServer::None);
    let pods = Pods::start(rules, server, settings.metadata_max_pods, &wiring);
    Reader::new(settings, wiring).with_pods(pods).run();
}

impl Settings {
    fn rules(&self) -> Rules {
        Rules {
            selection: Selection::new(&self.select, "").unwrap_or_default(),
            annotations: self.annotations,
            peers: self.peer_annotations.clone(),
            namespace_labels: self.namespace_labels,
            wait: self.metadata_wait.duration(),
        }
    }
}

/// Lifts the soft limit of open files to the hard one: one descriptor per followed file.
pub(super) fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "limit of open files not raised");
    }
}
