//! radosgw, the S3 gateway of Ceph: a third, independent S3 server for those who have it installed.

use logq_tests::doubles::s3::CREDENTIALS;
use logq_tests::harness::{Daemon, free_port, repository, wait_for};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Starts it with a bucket `lake`; none, with one line of why, when it is not asked for or not there.
pub fn start(dir: &Path) -> Option<(Daemon, String)> {
    let asked_for = std::env::var_os("LOGQ_RADOSGW").is_some();
    if !asked_for || Command::new("radosgw").arg("--version").output().is_err() {
        println!("skipped: radosgw: set LOGQ_RADOSGW=1 with radosgw, ceph-mon and ceph-osd installed");
        return None;
    }
    let port = free_port().unwrap();
    let mut command = Command::new(repository().join("tests/radosgw"));
    command.arg(dir.join("ceph")).arg(port.to_string()).args([CREDENTIALS.0, CREDENTIALS.1, "lake"]);
    let mut server = Daemon::spawn("radosgw", command, &dir.join("radosgw.log")).unwrap();
    let ready = dir.join("ceph/ready");
    wait_for("radosgw", Duration::from_secs(180), || {
        !server.is_running() || (ready.exists() && TcpStream::connect(("127.0.0.1", port)).is_ok())
    })
    .unwrap_or_else(|error| panic!("{error}: {}", server.last_words()));
    assert!(server.is_running(), "radosgw did not start:\n{}", server.last_words());
    Some((server, format!("http://127.0.0.1:{port}")))
}
