"""Builds the shipped Containerfile with buildah and runs the collector's image in containerd as the DaemonSet says: its security
context, memory limit, environment and mounts are read from the rendered manifest. Another container writes real logs
beside it; they must arrive in S3 (emulator) and, through the processor, in a table.

Not run here: the stage that compiles (the programs come prebuilt), the distroless base (a base with the same few
libraries is made from this machine's), arm64.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import manifests
from infrastructure import REGION, Emulator

ROOT = manifests.ROOT
PROGRAMS = {"collector": "logq-collector", "processor": "logq-processor", "query": "logq"}
TOOLS = "registry.local/logq-tools:1"
BASE = "registry.local/logq-base:1"
LINES = 2000
PATIENCE = 120


def missing():
    if os.geteuid() != 0:
        return "not root"
    absent = [tool for tool in ("buildah", "containerd", "runc", "ctr", "cc", "strip") if not shutil.which(tool)]
    if absent:
        return f"{', '.join(absent)} not installed"
    folder = os.environ.get("LOGQ_BIN_DIR")
    if not folder or not (Path(folder) / "logq-collector").exists():
        return "LOGQ_BIN_DIR does not say where the programs are"
    return None


def run(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise SystemExit(f"images: {' '.join(map(str, words))}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


class Images:
    """Images in a store of their own."""

    def __init__(self, work):
        self.work = work
        self.store = ["--root", work / "store", "--runroot", work / "run", "--storage-driver", "vfs"]

    def buildah(self, command, *words):
        return run("buildah", *self.store, command, *words)

    def from_files(self, name, files, entrypoint=None):
        container = self.buildah("from", "scratch").strip()
        for source, target in files:
            self.buildah("copy", container, source, target)
        if entrypoint:
            self.buildah("config", "--entrypoint", f'["{entrypoint}"]', container)
        self.buildah("commit", "--rm", container, name)

    def base(self, binaries):
        """The libraries the programs link, the loader and the certificates: what distroless/cc holds."""
        files = {"/etc/ssl/certs/ca-certificates.crt"}
        for binary in binaries:
            for word in run("ldd", binary).split():
                if word.startswith("/"):
                    files.add(word)
        self.from_files(BASE, [(os.path.realpath(file), file) for file in sorted(files) if os.path.exists(file)])

    def build(self, context, target):
        name = f"registry.local/{PROGRAMS[target]}:test"
        self.buildah(
            "bud", "--isolation", "chroot", "--pull=never", "--build-arg", "PROGRAMS=prebuilt", "--build-arg", f"BASE_IMAGE={BASE}",
            "--build-arg", "VERSION=0.1.0", "--build-arg", "REVISION=test", "--target", target,
            "-f", ROOT / "deploy/images/Containerfile", "-t", name, context,
        )
        return name

    def archive(self, name):
        file = self.work / f"{name.split('/')[-1].replace(':', '-')}.tar"
        self.buildah("push", name, f"docker-archive:{file}:{name}")
        return file


class Kubelet:
    """containerd with a state of its own, driven through CRI as a kubelet does it."""

    def __init__(self, work, archives):
        import grpc

        generated = Path(os.environ["DEPLOY_CACHE"]) / "generated"
        generated.mkdir(exist_ok=True)
        proto = Path(__file__).resolve().parent / "cri"
        run(sys.executable, "-m", "grpc_tools.protoc", f"-I{proto}", f"--python_out={generated}",
            f"--grpc_python_out={generated}", "cri.proto")
        sys.path.insert(0, str(generated))
        import cri_pb2
        import cri_pb2_grpc

        self.pb, self.work, self.sandboxes = cri_pb2, work, []
        (work / "pods").mkdir()
        config = work / "containerd.toml"
        config.write_text(f"""version = 2
root = "{work}/containerd"
state = "{work}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]
[grpc]
address = "{work}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{TOOLS}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "{work}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
""")
        self.log = open(work / "containerd.log", "w")
        self.process = subprocess.Popen(["containerd", "--config", config], stdout=self.log, stderr=self.log)
        socket = work / "containerd.sock"
        wait("containerd", socket.exists)
        for archive in archives:
            wait(f"containerd to take {archive.name}", lambda: subprocess.run(
                ["ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", "--snapshotter", "native", archive],
                capture_output=True).returncode == 0)
        self.runtime = cri_pb2_grpc.RuntimeServiceStub(grpc.insecure_channel(f"unix:{socket}"))

    def pod(self, namespace, name, uid):
        pb = self.pb
        folder = self.work / "pods" / f"{namespace}_{name}_{uid}"
        folder.mkdir()
        # The node's network: no network plugin is needed, and the emulator listens on the loopback address.
        security = pb.LinuxSandboxSecurityContext(namespace_options=pb.NamespaceOption(network=2, pid=1))
        config = pb.PodSandboxConfig(
            metadata=pb.PodSandboxMetadata(name=name, uid=uid, namespace=namespace), log_directory=str(folder),
            linux=pb.LinuxPodSandboxConfig(cgroup_parent="/logq-images", security_context=security),
        )
        sandbox = self.runtime.RunPodSandbox(pb.RunPodSandboxRequest(config=config), timeout=PATIENCE).pod_sandbox_id
        self.sandboxes.append(sandbox)
        return sandbox, config, folder

    def start(self, pod, config):
        sandbox, pod_config, folder = pod
        (folder / config.metadata.name).mkdir()
        config.log_path = f"{config.metadata.name}/0.log"
        request = self.pb.CreateContainerRequest(pod_sandbox_id=sandbox, config=config, sandbox_config=pod_config)
        container = self.runtime.CreateContainer(request, timeout=PATIENCE).container_id
        self.runtime.StartContainer(self.pb.ContainerRequest(container_id=container), timeout=PATIENCE)
        return container

    def status(self, container):
        return self.runtime.ContainerStatus(self.pb.ContainerRequest(container_id=container), timeout=PATIENCE).status

    def stop(self):
        for sandbox in self.sandboxes:
            self.runtime.StopPodSandbox(self.pb.SandboxRequest(pod_sandbox_id=sandbox), timeout=PATIENCE)
            self.runtime.RemovePodSandbox(self.pb.SandboxRequest(pod_sandbox_id=sandbox), timeout=PATIENCE)
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)
        self.log.close()


def wait(what, condition):
    for _ in range(PATIENCE * 5):
        if condition():
            return
        time.sleep(0.2)
    raise SystemExit(f"images: {what} did not come about within {PATIENCE} s")


def bytes_of(quantity):
    units = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
    return int(quantity[:-2]) * units[quantity[-2:]]


def container_config(pb, documents, image, paths, overrides):
    """The DaemonSet's container in the runtime's words, as the kubelet translates it."""
    pod = manifests.pod_of(next(d for d in documents if d["kind"] == "DaemonSet"))
    container = pod["containers"][0]
    maps = {d["metadata"]["name"]: d["data"] for d in documents if d["kind"] == "ConfigMap"}
    environment = {}
    for source in container["envFrom"]:
        environment.update(maps[source["configMapRef"]["name"]])
    for variable in container["env"]:
        environment[variable["name"]] = variable.get("value", "node-1")
    environment.update(overrides)
    mounts = []
    for mount in container["volumeMounts"]:
        volume = next(v for v in pod["volumes"] if v["name"] == mount["name"])
        if "configMap" in volume:
            host = paths["config"]
            for name, text in maps[volume["configMap"]["name"]].items():
                (host / name).write_text(text)
        else:
            host = paths[volume["hostPath"]["path"]]
        mounts.append(pb.Mount(container_path=mount["mountPath"], host_path=str(host), readonly=mount.get("readOnly", False)))
    own, profile = container["securityContext"], {**pod.get("securityContext", {}), **container["securityContext"]}
    security = pb.LinuxContainerSecurityContext(
        capabilities=pb.Capability(drop_capabilities=own["capabilities"]["drop"]), privileged=own["privileged"],
        namespace_options=pb.NamespaceOption(network=2, pid=1), run_as_user=pb.Int64Value(value=own["runAsUser"]),
        run_as_group=pb.Int64Value(value=own["runAsGroup"]), readonly_rootfs=own["readOnlyRootFilesystem"],
        no_new_privs=not own["allowPrivilegeEscalation"],
        seccomp=pb.SecurityProfile(profile_type={"RuntimeDefault": 0}[profile["seccompProfile"]["type"]]),
    )
    resources = pb.LinuxContainerResources(memory_limit_in_bytes=bytes_of(container["resources"]["limits"]["memory"]), cpu_shares=51)
    return pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name=container["name"]), image=pb.ImageSpec(image=image), args=container["args"],
        envs=[pb.KeyValue(key=k, value=v) for k, v in environment.items()], mounts=mounts,
        linux=pb.LinuxContainerConfig(resources=resources, security_context=security),
    )


def confined(container, problems):
    """What the kernel says of the running process."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            cgroup, words = (process / "cgroup").read_text(), (process / "cmdline").read_bytes()
            if container not in cgroup or b"logq-collector" not in words:
                continue
            status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
            mounts = (process / "mountinfo").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        expected = {"CapEff": "0000000000000000", "CapBnd": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"}
        for key, value in expected.items():
            if status[key].strip() != value:
                problems.append(f"the collector's {key} is {status[key].strip()}, not {value}")
        options = {line.split()[4]: line.split()[5] for line in mounts}
        for path in ("/", "/var/log/pods", "/etc/logq"):
            if not options.get(path, "").startswith("ro"):
                problems.append(f"{path} is mounted {options.get(path)}")
        memory = next((line.split(":", 2)[2] for line in cgroup.splitlines() if ":memory:" in line), "")
        limit = Path(f"/sys/fs/cgroup/memory{memory}/memory.limit_in_bytes")
        if limit.exists() and int(limit.read_text()) != 128 << 20:
            problems.append(f"the memory limit is {limit.read_text().strip()}")
        resident = int(status["VmRSS"].split()[0]) // 1024
        return resident
    problems.append("the collector's process was not found")
    return 0


def ships(images, work, archives, collector, problems):
    with open(work / "emulator.log", "w") as log:
        emulator = Emulator(Path(os.environ["LOGQ_VENV"]), log)
    kubelet = None
    try:
        s3 = emulator.client("s3", "222222222222")
        s3.create_bucket(Bucket="acme-logq-landing", CreateBucketConfiguration={"LocationConstraint": REGION})
        kubelet = Kubelet(work, archives)
        pb = kubelet.pb
        application = kubelet.pod("shop", "api-0", "0b1c2d3e-4f50-4162-8374-95a6b7c8d9e0")
        config = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name="api"), image=pb.ImageSpec(image=TOOLS), command=["/lines"],
            args=["count", "0", str(LINES), "200", "500"],
            linux=pb.LinuxContainerConfig(security_context=pb.LinuxContainerSecurityContext(
                namespace_options=pb.NamespaceOption(network=2, pid=1))),
        )
        kubelet.start(application, config)
        paths = {"config": work / "config", "/var/log/pods": work / "pods", "/var/lib/logq-collector": work / "data"}
        for path in paths.values():
            path.mkdir(exist_ok=True)
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": emulator.url,
                "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true", "AWS_ALLOW_HTTP": "true"}
        documents = manifests.render(manifests.KUBERNETES / "overlays/dev")
        agent = kubelet.pod("logq-collector", "logq-collector-x1", "1b1c2d3e-4f50-4162-8374-95a6b7c8d9e1")
        container = kubelet.start(agent, container_config(pb, documents, collector, paths, keys))
        prefix = "333333333333/landing/app/dev/"
        objects = lambda: s3.list_objects_v2(Bucket="acme-logq-landing", Prefix=prefix).get("Contents", [])

        def arrived():
            status = kubelet.status(container)
            if status.state != 1:
                words = (agent[2] / "collector/0.log").read_text()[-2000:]
                raise SystemExit(f"images: the collector ended: {status.exit_code} {status.reason} {status.message}\n{words}")
            if not objects():
                return False
            rows = rows_of(work, keys)
            return rows >= LINES

        wait("the container's lines in the table", arrived)
        resident = confined(container, problems)
        rows = rows_of(work, keys)
        if rows != LINES:
            problems.append(f"{rows} rows of {LINES} lines")
        return f"{rows} rows of {LINES} lines, {resident} MiB resident under a limit of 128"
    finally:
        if kubelet:
            kubelet.stop()
        emulator.stop()


def rows_of(work, keys):
    """Takes what has landed into a local lake and counts the application's rows."""
    programs = Path(os.environ["LOGQ_BIN_DIR"])
    environment = {"PATH": os.environ["PATH"], **keys}
    run(programs / "logq-processor", "once", "--lake", work / "lake", "s3://acme-logq-landing/333333333333/", env=environment)
    counted = run(programs / "logq", "--lake", work / "lake", "--format", "csv", "--quiet",
                  "select count(distinct event_uid) from app_log where namespace = 'shop' and container = 'api'", env=environment)
    return int(counted.splitlines()[1])


def main():
    reason = missing()
    if reason:
        print(f"images: SKIPPED: {reason}", file=sys.stderr)
        return 0
    problems = []
    with tempfile.TemporaryDirectory(prefix="logq-images-") as folder:
        work = Path(folder)
        context = work / "context"
        (context / "dist").mkdir(parents=True)
        for program in PROGRAMS.values():
            run("strip", "-o", context / "dist" / program, Path(os.environ["LOGQ_BIN_DIR"]) / program)
        for tool in ("pause", "lines"):
            run("cc", "-O2", "-static", "-o", work / tool, ROOT / f"tests/containers/{tool}.c")
        images = Images(work)
        images.base(sorted((context / "dist").iterdir()))
        images.from_files(TOOLS, [(work / "pause", "/pause"), (work / "lines", "/lines")], entrypoint="/pause")
        names = {target: images.build(context, target) for target in PROGRAMS}
        for target, name in names.items():
            user = images.buildah("inspect", "--type", "image", "--format", "{{.OCIv1.Config.User}}", name).strip()
            wanted = "0:0" if target == "collector" else "65532:65532"
            if user != wanted:
                problems.append(f"{name} runs as {user}, not {wanted}")
        archives = [images.archive(TOOLS), images.archive(names["collector"])]
        result = ships(images, work, archives, names["collector"], problems)
    for problem in problems:
        print(f"images: {problem}", file=sys.stderr)
    print(f"images: 3 built; the collector in containerd: {result}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
