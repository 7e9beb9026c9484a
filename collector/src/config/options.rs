//! Every option with its default and the reason for it: the one place for limits, and the source of
//! the reference page.

use super::component::{Kind, Row};
use super::{ByteSize, Span, WhenFull};
use crate::{sinks, sources, transforms};
use std::fmt::Write as _;
use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Default of `admin.address`: the port of Vector's exporter, on every address because Kubernetes
/// probes the pod's.
pub const ADMIN_ADDRESS: &str = "0.0.0.0:9598";

/// Default of `admin.tap`: it is served to the collector's own user on the node alone, who can read
/// the log files and the spool anyway.
pub const TAP: bool = true;

/// Default of `memory_max`: this share of the cgroup's limit. The rest is for what is not ours to count:
/// the allocator's gaps, sockets, and page cache the kernel did not get round to reclaim.
pub const MEMORY_SHARE: (usize, usize) = (3, 4);

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

/// Smallest and largest accepted `segment.compression_level`; below 0 is faster and packs less.
pub const COMPRESSION_RANGE: (i32, i32) = (-7, 19);

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

/// Default of `max_held_bytes`: a thousand containers with 16 KiB of a record each, or sixteen with
/// the longest one; a thousand with the longest one would be a gigabyte.
pub const HELD_BYTES: usize = 16 * MIB;
/// Default of `current_boot_only`: what a machine logged last before it went down is often what one
/// looks for. Vector's default is the other way round.
#[cfg(feature = "journald")]
pub const JOURNALD_CURRENT_BOOT_ONLY: bool = false;

/// Range of `rate_limit`: less than the smallest read per second would never catch up with anything,
/// more than the largest one is no limit.
pub const RATE_RANGE: (usize, usize) = (4 * KIB, 1024 * MIB);

/// Default of `rotate_wait`: the runtime reopens its log within milliseconds of the rename; a rotated
/// file that was quiet for this long has no writer any more.
pub const ROTATE_WAIT: Duration = Duration::from_secs(5);

/// Default of `max_open_files`: more than the containers of a full node (110 pods by default, 250 at
/// most) with their rotated files.
pub const OPEN_FILES: usize = 1024;

/// Default of the `opentelemetry` source's `grpc.address`: OTLP's port, on this machine only because
/// there is neither TLS nor authentication.
pub const OTLP_GRPC_ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 4317);
/// Default of the `opentelemetry` source's `http.address`.
pub const OTLP_HTTP_ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 4318);

/// Default of the `fluent` source's `address`: Fluentd's port, on this machine only because there is
/// no TLS.
#[cfg(feature = "forward")]
pub const FLUENT_ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 24224);

/// Default of `max_request_bytes`: exporters send 512 records at a time, a few hundred kB; Fluent
/// Bit and Fluentd chunks of 2 to 8 MiB; this is four times gRPC's usual limit.
pub const REQUEST_BYTES: usize = 16 * MIB;
/// Smallest and largest accepted `max_request_bytes`: at most what may be under way in all.
pub const REQUEST_BYTES_RANGE: (usize, usize) = (4 * KIB, 64 * MIB);

/// Most requests under way on one gRPC connection.
pub const OTLP_STREAMS: usize = 16;
/// Default of `metadata_wait`: a watch tells of a pod before its first container starts; only when
/// the API server is slow or away does it matter, and then a line should still be on its way soon.
pub const METADATA_WAIT: Duration = Duration::from_secs(5);

/// Default of `metadata_max_pods`: twice the most pods of a node with as many deleted ones, at about
/// a kilobyte each.
pub const METADATA_PODS: usize = 1024;

/// Default of `auth.session_name`.
pub const SESSION_NAME: &str = "logq-collector";

/// Default of `request.timeout`: 8 MiB at 140 kB/s.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest accepted `request.timeout`: below the 120 s after which the health check calls a stage stuck.
pub const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(100);

/// Default of `request.concurrency`.
pub const REQUEST_CONCURRENCY: usize = 4;
/// Largest accepted `request.concurrency`.
pub const REQUEST_CONCURRENCY_MAX: usize = 64;

/// A duration in the reference page.
pub fn span(duration: Duration) -> String {
    format!("`\"{}\"`", Span::from(duration))
}

/// A default in the reference page.
pub fn size(bytes: usize) -> String {
    format!("`\"{}\"`", ByteSize::new(bytes))
}

/// A default in the reference page.
pub fn text(value: &str) -> String {
    format!("`\"{value}\"`")
}

/// A default in the reference page.
pub fn none() -> String {
    "none".to_owned()
}

/// A default in the reference page.
pub fn plain(text: &str) -> String {
    text.to_owned()
}

/// A default in the reference page.
pub fn required() -> String {
    "required".to_owned()
}

#[rustfmt::skip]
fn sections() -> Vec<(&'static str, &'static str, Vec<Row>)> {
    vec![
        ("top level", "Keys before the first section.", vec![
            ("data_dir", required(), "Directory for spool, positions and lock. One collector at a time. Must survive restarts of the pod (hostPath)"),
            ("cluster", text(""), "Name of the cluster, written into every landing object and its key"),
            ("node", plain("`\"${NODE_NAME}\"`, else `\"${HOSTNAME}\"`"), "Name of the node, written into every landing object and its key"),
            ("memory_max", plain("three quarters of the cgroup's limit, if there is one"), "Most memory the collector aims to take. Deliveries wait, unfinished records are delivered in pieces and clients are asked to come again before it takes more. A configured value below what the configuration takes at least is refused"),
            ("shutdown_timeout", span(SHUTDOWN_TIMEOUT), "Time for delivery after SIGTERM; below Kubernetes' 30 s and a Spot notice. What is left stays in the spool"),
        ]),
        ("[admin]", "Metrics and probes.", vec![
            ("address", text(ADMIN_ADDRESS), "Address of `/metrics`, `/healthz`, `/readyz`; `\"\"` switches it off"),
            ("tap", plain(&format!("`{TAP}`")), "`logq-collector tap` can show records, over a socket in `data_dir` that only the collector's user can open; a source before `redact` shows what is not redacted yet"),
        ]),
        ("[batch]", "Records move from sources to the spool in batches.", vec![
            ("max_bytes", size(BATCH_BYTES), "A batch is handed over at this size (raw bytes)"),
            ("timeout_secs", span(BATCH_TIMEOUT), "… and at this age: the most a line waits before it is on disk"),
        ]),
        ("[segment]", "A segment becomes one landing object.", vec![
            ("max_bytes", size(SEGMENT_BYTES), "A segment is sealed at this size (compressed); also the memory an upload takes"),
            ("max_age", span(SEGMENT_AGE), "… and at this age: the larger part of the delay from line to object"),
            ("compression_level", format!("`{COMPRESSION_LEVEL}`"), "zstd level, -7 to 19; below 0 is faster and packs less"),
        ]),
        ("[spool]", "The buffer on disk.", vec![
            ("max_bytes", size(SPOOL_BYTES), "Size of the spool on disk, at least four segments"),
            ("when_full", text("block"), "`block`: stop reading, the log files are the buffer. `drop_newest`: drop and count"),
            ("fsync_interval", span(FSYNC_INTERVAL), "Longest time before data of the open segment is synced; sealed segments always are"),
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
        write_section(&mut page, title, intro, rows);
    }
    write_kinds(&mut page, "sources", sources::KINDS, &[]);
    let inputs = ("inputs", required(), "Names of the sources and transforms it takes");
    write_kinds(&mut page, "transforms", transforms::KINDS, std::slice::from_ref(&inputs));
    let buffer = [
        inputs,
        ("buffer.max_bytes", plain("the spool"), "Most bytes of sealed segments that wait for this sink"),
        (
            "buffer.when_full",
            text("block"),
            "`block`: reading stops for everybody. `drop_oldest`: the oldest waiting records of this sink are dropped and counted",
        ),
    ];
    write_kinds(&mut page, "sinks", sinks::KINDS, &buffer);
    write_section(
        &mut page,
        "[[tests]]",
        "What `logq-collector test` puts in and expects. `${NAME}` is replaced here as well, except in the lines put in (`value`, `log_fields`), which are data.",
        crate::cases::rows(),
    );
    page
}

fn write_kinds<T: ?Sized>(page: &mut String, section: &str, kinds: &[Kind<T>], common: &[Row]) {
    for kind in kinds {
        let title = format!("[{section}.<name>] type = \"{}\"", kind.name);
        write_section(page, &title, kind.about, common.iter().cloned().chain((kind.options)()).collect());
    }
}

fn write_section(page: &mut String, title: &str, intro: &str, rows: Vec<Row>) {
    let _ = write!(page, "\n## {title}\n\n{intro}\n\n| key | default | meaning |\n|---|---|---|\n");
    for (key, default, help) in rows {
        let _ = writeln!(page, "| `{key}` | {default} | {help} |");
    }
}

/// The lines every sink with requests has.
pub fn request_rows() -> Vec<Row> {
    let request = super::Request::default();
    vec![
        ("request.timeout", span(request.timeout.duration()), "Longest time for one request"),
        (
            "request.concurrency",
            format!("`{}`", request.concurrency),
            "Most deliveries in flight; fewer while the service is slow or throttles",
        ),
        (
            "request.backoff.initial",
            span(request.backoff.initial.duration()),
            "Bound of the pause after the first failure; doubles, with full jitter",
        ),
        (
            "request.backoff.max",
            span(request.backoff.max.duration()),
            "Largest bound of a pause; attempts never end",
        ),
    ]
}
