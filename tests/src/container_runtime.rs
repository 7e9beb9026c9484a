//! A real container runtime, driven the way the kubelet drives it: containerd through its CRI
//! socket, with real pods, real containers and the log files containerd writes for them.
//!
//! What the kubelet itself does to logs is done here in the same steps: rotation is a rename
//! followed by `ReopenContainerLog`, older rotated files are compressed, and the log directory of a
//! removed pod is deleted (kubelet's `container_log_manager.go`).
//!
//! Needs root, `containerd`, `runc` and a C compiler; [`Runtime::start`] says what is missing.

mod cri;
mod image;

use crate::harness::{Daemon, StartError, TimedOut, wait_for};
use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};

/// Time for one step of the runtime on a busy machine.
const STEP: Duration = Duration::from_secs(60);

/// containerd with a state of its own.
pub struct Runtime {
    dir: PathBuf,
    tokio: tokio::runtime::Runtime,
    channel: Channel,
    pods: Vec<String>,
    daemon: Daemon,
}

/// A running pod.
#[derive(Debug, Clone)]
pub struct Pod {
    sandbox: String,
    config: cri::PodSandboxConfig,
    /// Its log directory, `<namespace>_<name>_<uid>`.
    pub logs: PathBuf,
}

/// A started container.
#[derive(Debug, Clone)]
pub struct Container {
    id: String,
    /// The log file it writes.
    pub log: PathBuf,
}

/// What keeps the runtime from being started on this machine, on one line; `None` when nothing does.
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let absent = |program: &&str| Command::new(program).arg("--version").output().is_err();
    let absent: Vec<&str> = ["containerd", "runc", "ctr", "cc"].into_iter().filter(|p| absent(p)).collect();
    (!absent.is_empty()).then(|| format!("{} not installed", absent.join(", ")))
}

impl Runtime {
    /// Starts containerd below `dir` and gives it the image the tests use.
    ///
    /// # Errors
    /// When it does not come up; the message holds the end of its log.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let config = dir.join("containerd.toml");
        fs::create_dir_all(dir.join("pods"))?;
        fs::write(&config, configuration(dir))?;
        let daemon = start_daemon(&config, &dir.join("containerd.log"))?;
        let socket = dir.join("containerd.sock");
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let archive = image::build(&dir.join("image"))?;
        let import = || {
            let mut ctr = Command::new("ctr");
            ctr.arg("--address")
                .arg(&socket)
                .args(["--namespace", "k8s.io", "images", "import"])
                .arg(&archive);
            ctr.output().is_ok_and(|output| output.status.success())
        };
        wait_for("containerd to take the image", STEP, import).with_context(|| daemon.last_words())?;
        let endpoint = Endpoint::try_from(format!("unix://{}", socket.display()))?;
        let channel = tokio.block_on(endpoint.connect()).with_context(|| daemon.last_words())?;
        Ok(Self { dir: dir.to_owned(), tokio, channel, pods: Vec::new(), daemon })
    }

    /// Directory that holds the log directories of all pods, as `/var/log/pods` does.
    pub fn pods_dir(&self) -> PathBuf {
        self.dir.join("pods")
    }

    /// What containerd last wrote to its log.
    pub fn last_words(&self) -> String {
        self.daemon.last_words()
    }

    fn call<Q, A>(&self, method: &'static str, request: Q) -> anyhow::Result<A>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let answer = self.tokio.block_on(cri::call(self.channel.clone(), method, request));
        answer.with_context(|| format!("{method}; containerd says: {}", self.daemon.last_words()))
    }

    /// Starts a pod in the host's network.
    ///
    /// # Errors
    /// When the runtime refuses.
    pub fn pod(&mut self, namespace: &str, name: &str, uid: &str) -> anyhow::Result<Pod> {
        let logs = self.pods_dir().join(format!("{namespace}_{name}_{uid}"));
        fs::create_dir_all(&logs)?;
        let config = cri::sandbox(namespace, name, uid, &logs);
        let request = cri::RunPodSandboxRequest { config: Some(config.clone()) };
        let answer: cri::RunPodSandboxResponse = self.call("RunPodSandbox", request)?;
        self.pods.push(answer.pod_sandbox_id.clone());
        Ok(Pod { sandbox: answer.pod_sandbox_id, config, logs })
    }

    /// Starts a container that runs `lines` with the given words (see `tests/containers/lines.c`).
    ///
    /// # Errors
    /// When the runtime refuses.
    pub fn run(
        &self,
        pod: &Pod,
        name: &str,
        restart: u32,
        words: &[&str],
        tty: bool,
    ) -> anyhow::Result<Container> {
        fs::create_dir_all(pod.logs.join(name))?;
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: pod.sandbox.clone(),
            config: Some(cri::container(name, restart, words, tty)),
            sandbox_config: Some(pod.config.clone()),
        };
        let answer: cri::CreateContainerResponse = self.call("CreateContainer", request)?;
        let id = answer.container_id;
        let _: cri::Empty = self.call("StartContainer", cri::ContainerId { container_id: id.clone() })?;
        Ok(Container { id, log: pod.logs.join(name).join(format!("{restart}.log")) })
    }

    /// Waits until a container has ended by itself.
    ///
    /// # Errors
    /// When it does not, or its exit code is not 0.
    pub fn wait(&self, container: &Container) -> anyhow::Result<()> {
        let mut code = None;
        let ended = wait_for("a container to end", STEP, || {
            let request = cri::ContainerId { container_id: container.id.clone() };
            let answer = self.call::<_, cri::ContainerStatusResponse>("ContainerStatus", request);
            let status = answer.ok().and_then(|answer| answer.status);
            code = status.filter(|status| status.state == cri::EXITED).map(|status| status.exit_code);
            code.is_some()
        });
        ended?;
        anyhow::ensure!(code == Some(0), "the container ended with code {code:?}");
        Ok(())
    }

    /// Rotates a container's log as the kubelet does: rename, then tell the runtime to reopen.
    /// Gives the name of the rotated file.
    ///
    /// # Errors
    /// When a step fails.
    pub fn rotate(&self, container: &Container, stamp: &str) -> anyhow::Result<PathBuf> {
        let rotated = PathBuf::from(format!("{}.{stamp}", container.log.display()));
        fs::rename(&container.log, &rotated)?;
        let request = cri::ContainerId { container_id: container.id.clone() };
        let _: cri::Empty = self.call("ReopenContainerLog", request)?;
        Ok(rotated)
    }

    /// Stops and removes a pod with its containers, as the kubelet does before it deletes the logs.
    ///
    /// # Errors
    /// When the runtime refuses.
    pub fn remove(&mut self, pod: &Pod) -> anyhow::Result<()> {
        self.remove_sandbox(&pod.sandbox)?;
        self.pods.retain(|sandbox| *sandbox != pod.sandbox);
        Ok(())
    }

    fn remove_sandbox(&self, sandbox: &str) -> anyhow::Result<()> {
        let request = || cri::SandboxId { pod_sandbox_id: sandbox.to_owned() };
        let _: cri::Empty = self.call("StopPodSandbox", request())?;
        let _: cri::Empty = self.call("RemovePodSandbox", request())?;
        Ok(())
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        for sandbox in std::mem::take(&mut self.pods) {
            if let Err(error) = self.remove_sandbox(&sandbox) {
                eprintln!("a pod was left behind: {error:#}");
            }
        }
        if self.daemon.stop(STEP).is_err() {
            eprintln!("containerd had to be killed");
        }
    }
}

/// Compresses a rotated log as the kubelet does: to a temporary name, renamed, original removed.
///
/// # Errors
/// When a file can't be read or written.
pub fn compress(rotated: &Path) -> io::Result<()> {
    let temporary = PathBuf::from(format!("{}.tmp", rotated.display()));
    let mut packed = GzEncoder::new(File::create(&temporary)?, Compression::fast());
    io::copy(&mut File::open(rotated)?, &mut packed)?;
    packed.finish()?.sync_all()?;
    fs::rename(&temporary, format!("{}.gz", rotated.display()))?;
    fs::remove_file(rotated)
}

fn start_daemon(config: &Path, log: &Path) -> Result<Daemon, StartError> {
    let mut command = Command::new("containerd");
    command.arg("--config").arg(config);
    Daemon::spawn("containerd", command, log)
}

/// containerd 1.6 and later (configuration version 2). Nothing is shared with a containerd the
/// machine may run already.
fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r#"version = 2
root = "{dir}/root"
state = "{dir}/state"
disabled_plugins = [
    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt",
]
[grpc]
address = "{dir}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{image}"
restrict_oom_score_adj = true
max_container_log_line_size = 16384
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "{dir}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#,
        image = image::NAME
    )
}

/// Waiting for something the runtime does, in the words of [`wait_for`].
///
/// # Errors
/// When it does not happen.
pub fn until(what: &str, condition: impl FnMut() -> bool) -> Result<(), TimedOut> {
    wait_for(what, STEP, condition)
}
