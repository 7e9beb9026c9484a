//! Every option with its default and the reason for it: the one place for limits, and the source of
//! the reference page.

use super::{ByteSize, Span, WhenFull};
use std::fmt::Write as _;
use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Default of `admin.address`: the port of Vector's exporter, on every address because Kubernetes
/// probes the pod's.
pub const ADMIN_ADDRESS: &str = "0.0.0.0:9598";

/// Default of `shutdown_timeout`: inside the 30 s Kubernetes gives a pod and far inside the two
/// minutes of a Spot notice.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// Default of `batch.max_bytes`: large enough for zstd to find its repetitions, small enough that a
/// handful of batches in flight stays below 4 MiB of memory.
pub const BATCH_BYTES: usize = 512 * KIB;
/// Smallest and largest accepted `batch.max_bytes`: spans within a batch are 32-bit.
pub const BATCH_BYTES_RANGE: (usize, usize) = (4 * KIB, 64 * MIB);

/// Default of `batch.timeout_secs`: the most a quiet node waits before its lines are on disk.
pub const BATCH_TIMEOUT: Duration = Duration::from_secs(1);

/// Default of `segment.max_bytes`: one PutObject below the size where multipart pays, and the most
/// memory an upload takes.
pub const SEGMENT_BYTES: usize = 8 * MIB;
/// Smallest and largest accepted `segment.max_bytes`.
pub const SEGMENT_BYTES_RANGE: (usize, usize) = (4 * KIB, 256 * MIB);

/// Default of `segment.max_age`: line to row within a minute needs the collector's share well below
/// it; one object per node and 10 s keeps requests cheap (260,000 puts a month, about 1.30 USD).
pub const SEGMENT_AGE: Duration = Duration::from_secs(10);

/// Default of `segment.compression_level`: level 1 packs logs 8 to 12 times at several hundred MB/s;
/// higher levels cost the node more CPU than they save in transfer.
pub const COMPRESSION_LEVEL: i32 = 1;

/// Default of `spool.max_bytes`: about an hour of 2 MB/s of logs at a compression of 8, and a
/// twentieth of a 20 GiB node disk.
pub const SPOOL_BYTES: usize = 1024 * MIB;

/// Default of `spool.when_full`: nothing is dropped unless asked for; the log files are the buffer
/// until the kubelet removes them.
pub const WHEN_FULL: WhenFull = WhenFull::Block;

/// Default of `spool.fsync_interval`: a power failure costs the last second, which is read again
/// from the log files anyway; a sync per batch would cost more than all other work.
pub const FSYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Default of `pods_dir`: where the kubelet keeps container logs.
pub const PODS_DIR: &str = "/var/log/pods";

/// Default of `glob_minimum_cooldown`: a scan of a node with 250 pods takes about a millisecond.
pub const GLOB_COOLDOWN: Duration = Duration::from_secs(1);

/// Default of `max_read_bytes`: one system call's worth; the time one file can keep the others
/// waiting is about a millisecond.
pub const READ_BYTES: usize = 256 * KIB;

/// Default of `max_line_bytes`: four times what a runtime buffers for one application write is
/// rare, and CloudWatch and most stores stop at 1 MiB too.
pub const LINE_BYTES: usize = MIB;
/// Smallest and largest accepted `max_read_bytes` and `max_line_bytes`.
pub const LINE_BYTES_RANGE: (usize, usize) = (4 * KIB, 16 * MIB);

/// Default of `rotate_wait`: the runtime reopens its log within milliseconds of the rename; a rotated
/// file that was quiet for this long has no writer any more.
pub const ROTATE_WAIT: Duration = Duration::from_secs(5);

/// Default of `max_open_files`: more than the containers of a full node (110 pods by default, 250 at
/// most) with their rotated files.
pub const OPEN_FILES: usize = 1024;

/// Default of `auth.session_name`.
pub const SESSION_NAME: &str = "logq-collector";

/// Default of `request.timeout`: 8 MiB at 140 kB/s.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest accepted `request.timeout`: below the 120 s after which the health check calls a stage stuck.
pub const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(100);

/// One line of the reference page: key, default, meaning.
type Row = (&'static str, String, &'static str);

fn span(duration: Duration) -> String {
    format!("`\"{}\"`", Span::from(duration))
}

fn size(bytes: usize) -> String {
    format!("`\"{}\"`", ByteSize::new(bytes))
}

fn text(value: &str) -> String {
    format!("`\"{value}\"`")
}

fn none() -> String {
    "none".to_owned()
}

fn plain(text: &str) -> String {
    text.to_owned()
}

fn required() -> String {
    "required".to_owned()
}

#[rustfmt::skip]
fn sections() -> Vec<(&'static str, &'static str, Vec<Row>)> {
    let backoff = super::Backoff::default();
    vec![
        ("top level", "Keys before the first section.", vec![
            ("data_dir", required(), "Directory for spool, positions and lock. One collector at a time. Must survive restarts of the pod (hostPath)"),
            ("cluster", text(""), "Name of the cluster, written into every landing object and its key"),
            ("node", plain("`\"${NODE_NAME}\"`, else `\"${HOSTNAME}\"`"), "Name of the node, written into every landing object and its key"),
            ("shutdown_timeout", span(SHUTDOWN_TIMEOUT), "Time for delivery after SIGTERM; below Kubernetes' 30 s and a Spot notice. What is left stays in the spool"),
        ]),
        ("[admin]", "Metrics and probes.", vec![
            ("address", text(ADMIN_ADDRESS), "Address of `/metrics`, `/healthz`, `/readyz`; `\"\"` switches it off"),
        ]),
        ("[batch]", "Records move from sources to the spool in batches.", vec![
            ("max_bytes", size(BATCH_BYTES), "A batch is handed over at this size (raw bytes)"),
            ("timeout_secs", span(BATCH_TIMEOUT), "… and at this age: the most a line waits before it is on disk"),
        ]),
        ("[segment]", "A segment becomes one landing object.", vec![
            ("max_bytes", size(SEGMENT_BYTES), "A segment is sealed at this size (compressed); also the memory an upload takes"),
            ("max_age", span(SEGMENT_AGE), "… and at this age: the larger part of the delay from line to object"),
            ("compression_level", format!("`{COMPRESSION_LEVEL}`"), "zstd level, 1 to 19"),
        ]),
        ("[spool]", "The buffer on disk.", vec![
            ("max_bytes", size(SPOOL_BYTES), "Size of the spool on disk, at least four segments"),
            ("when_full", text("block"), "`block`: stop reading, the log files are the buffer. `drop_newest`: drop and count"),
            ("fsync_interval", span(FSYNC_INTERVAL), "Longest time before data of the open segment is synced; sealed segments always are"),
        ]),
        ("[sources.<name>] type = \"kubernetes_logs\"", "Container logs of this node, in the runtime's CRI format.", vec![
            ("pods_dir", text(PODS_DIR), "Directory `<namespace>_<pod>_<uid>/<container>/<n>.log` live in"),
            ("glob_minimum_cooldown", span(GLOB_COOLDOWN), "Time between scans for new files; a directory watch usually makes it shorter"),
            ("max_read_bytes", size(READ_BYTES), "Bytes read from a file before the next one gets its turn"),
            ("max_line_bytes", size(LINE_BYTES), "Longest record; longer ones are delivered in pieces marked `cut: split`"),
            ("rotate_wait", span(ROTATE_WAIT), "Quiet time after which the end of a rotated or deleted file is final"),
            ("max_open_files", format!("`{OPEN_FILES}`"), "Files held open; beyond it the longest idle ones are closed and reopened when they change"),
        ]),
        ("[sinks.<name>] type = \"file\"", "Landing objects in a directory.", vec![
            ("inputs", required(), "Names of sources; every sink takes all sources in this version"),
            ("path", required(), "Root directory; created if missing"),
        ]),
        ("[sinks.<name>] type = \"aws_s3\"", "Landing objects in an S3 bucket. Credentials: the AWS SDK's default chain. An ACL can't be set; use bucket-owner-enforced ownership.", vec![
            ("inputs", required(), "Names of sources; every sink takes all sources in this version"),
            ("bucket", required(), "Name of the bucket"),
            ("key_prefix", text(""), "Put before every key as it is; end it with `/` for a folder"),
            ("region", plain("the SDK's"), "Region of the bucket"),
            ("endpoint", none(), "URL of another endpoint or S3 service; plain HTTP only when it begins with `http://`"),
            ("server_side_encryption", plain("the bucket's"), "`AES256`, `aws:kms` or `aws:kms:dsse`"),
            ("ssekms_key_id", none(), "KMS key, with `aws:kms` or `aws:kms:dsse`"),
            ("storage_class", plain("the bucket's"), "For example `STANDARD_IA`"),
            ("auth.assume_role", none(), "ARN of a role to assume"),
            ("auth.external_id", none(), "External id the role demands"),
            ("auth.session_name", text(SESSION_NAME), "Session name seen in CloudTrail"),
            ("auth.region", plain("`region`"), "Region of the STS endpoint"),
            ("request.timeout", span(REQUEST_TIMEOUT), "Longest time for one upload"),
            ("request.backoff.initial", span(backoff.initial.duration()), "Bound of the pause after the first failure; doubles, with full jitter"),
            ("request.backoff.max", span(backoff.max.duration()), "Largest bound of a pause; attempts never end"),
        ]),
    ]
}

/// The reference page of the configuration, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "# Configuration of logq-collector\n\n\
         Generated from `collector/src/config/options.rs`. The file is TOML; \
         `logq-collector validate --config F` checks it and prints what is in effect.\n\n\
         `${NAME}` and `${NAME:-default}` inside string values are replaced from the environment, \
         `$$` is a dollar sign. Durations are seconds or texts such as `\"30s\"`, sizes bytes or texts such \
         as `\"64MiB\"`. Unknown keys are errors.\n\n\
         ```toml\n\
         data_dir = \"/var/lib/logq-collector\"\n\
         cluster = \"prod\"\n\n\
         [sources.pods]\n\
         type = \"kubernetes_logs\"\n\n\
         [sinks.landing]\n\
         type = \"aws_s3\"\n\
         inputs = [\"pods\"]\n\
         bucket = \"acme-security-logs\"\n\
         ```\n",
    );
    for (title, intro, rows) in sections() {
        let _ = write!(page, "\n## {title}\n\n{intro}\n\n| key | default | meaning |\n|---|---|---|\n");
        for (key, default, help) in rows {
            let _ = writeln!(page, "| `{key}` | {default} | {help} |");
        }
    }
    page
}
