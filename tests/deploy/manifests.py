"""Renders every overlay with kubectl and checks what comes out: schemas of three Kubernetes versions, scheduling and
security rules of our own, that references between objects lead somewhere, and that metrics in alerts and panels exist.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
VERSIONS = ["1.33", "1.34", "1.35"]
OVERLAYS = ["dev", "staging", "prod", "logging", "fargate"]
# Custom resources have no schema offline; what is said of them here is what we check ourselves.
CUSTOM = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "ScaledObject", "TriggerAuthentication"}
WORKLOADS = {"DaemonSet", "StatefulSet", "Deployment", "CronJob"}
# Metrics of kube-state-metrics and the names the rules may use beside ours.
FOREIGN = {
    "kube_daemonset_status_number_unavailable",
    "kube_job_status_failed",
    "kube_cronjob_status_last_successful_time",
}
# Kustomize reads no file above its own folder, so each configuration lies beside its manifests as well.
COPIES = {
    "collector-eks.toml": "collector/collector.toml",
    "processor.toml": "processor/processor.toml",
    "sidecar.toml": "overlays/fargate/sidecar.toml",
}


def check_copies(problems):
    for source, copy in COPIES.items():
        text = (ROOT / "deploy/config" / source).read_text()
        if "--update" in sys.argv:
            (KUBERNETES / copy).write_text(text)
        elif (KUBERNETES / copy).read_text() != text:
            problems.append(f"kubernetes/{copy} is not config/{source}: type deploy/check --update")


def render(directory):
    text = subprocess.run(
        ["kubectl", "kustomize", str(directory)], check=True, capture_output=True, text=True
    ).stdout
    return [document for document in yaml.safe_load_all(text) if document]


def name_of(document):
    return f"{document['kind']}/{document['metadata']['name']}"


def check_schemas(documents, where, problems):
    import kubernetes_validate

    for version in VERSIONS:
        for document in documents:
            if document["kind"] in CUSTOM:
                continue
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except Exception as error:  # every failure is one line of the report
                message = str(getattr(error, "message", error)).splitlines()[0]
                problems.append(f"{where}: {name_of(document)}: Kubernetes {version}: {message}")


def pod_of(document):
    spec = document["spec"]
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec["template"]["spec"]


def check_pod(document, where, problems):
    """What the schema can't say: least privilege, limits, probes."""
    pod = pod_of(document)
    name = f"{where}: {name_of(document)}"

    def need(condition, what):
        if not condition:
            problems.append(f"{name}: {what}")

    context = pod.get("securityContext", {})
    need(context.get("seccompProfile", {}).get("type") == "RuntimeDefault", "seccomp profile")
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        need(not pod.get(key), f"{key} is on")
    host_paths = {v["name"]: v["hostPath"]["path"] for v in pod.get("volumes", []) if "hostPath" in v}
    if document["kind"] != "DaemonSet":
        need(not host_paths, f"mounts of the node: {host_paths}")
        need(context.get("runAsNonRoot") is True, "may run as root")
        need(pod.get("automountServiceAccountToken") is False, "token of the API server is mounted")
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        need(own.get("allowPrivilegeEscalation") is False, f"{container['name']}: privilege escalation")
        need(own.get("readOnlyRootFilesystem") is True, f"{container['name']}: writable root")
        need(own.get("capabilities", {}).get("drop") == ["ALL"], f"{container['name']}: capabilities")
        need(not own.get("capabilities", {}).get("add"), f"{container['name']}: added capabilities")
        need(not own.get("privileged"), f"{container['name']}: privileged")
        need("memory" in container.get("resources", {}).get("limits", {}), f"{container['name']}: memory limit")
        need("requests" in container.get("resources", {}), f"{container['name']}: requests")
        need(not re.search(r":latest$|^[^:]+$", container["image"]), f"{container['name']}: image tag")
        if document["kind"] != "CronJob":
            need("livenessProbe" in container, f"{container['name']}: liveness probe")
        for mount in container.get("volumeMounts", []):
            need(mount["name"] in volumes, f"{container['name']}: no volume {mount['name']}")
            path = host_paths.get(mount["name"])
            if path and path != "/var/lib/logq-collector":
                need(mount.get("readOnly") is True, f"{container['name']}: {path} is writable")


def check_references(documents, where, problems):
    """ConfigMaps, service accounts and priority classes that pods name are in the same output."""
    have = {(d["kind"], d["metadata"]["name"]) for d in documents}
    for document in documents:
        if document["kind"] not in WORKLOADS:
            continue
        pod = pod_of(document)
        wanted = [("ServiceAccount", pod.get("serviceAccountName"))]
        if pod.get("priorityClassName"):
            wanted.append(("PriorityClass", pod["priorityClassName"]))
        for container in pod["containers"] + pod.get("initContainers", []):
            wanted += [("ConfigMap", s["configMapRef"]["name"]) for s in container.get("envFrom", [])]
        for volume in pod.get("volumes", []):
            if "configMap" in volume:
                wanted.append(("ConfigMap", volume["configMap"]["name"]))
            for source in volume.get("projected", {}).get("sources", []):
                wanted.append(("ConfigMap", source["configMap"]["name"]))
        for reference in wanted:
            if reference not in have:
                problems.append(f"{where}: {name_of(document)} names {reference}, which is not there")
    for document in documents:
        if "unset" in json.dumps(document.get("data", {})) or '"unset"' in json.dumps(document):
            problems.append(f"{where}: {name_of(document)} still holds `unset`")


def check_rest(problems):
    """What no overlay takes: the other autoscaler, and the examples, whose paths must lead to overlays."""
    alone = [yaml.safe_load((KUBERNETES / "components/hpa/autoscaler.yaml").read_text())]
    check_schemas(alone, "components/hpa", problems)
    paths = []
    for file in sorted(KUBERNETES.glob("gitops/*/*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            spec = document["spec"].get("template", document)["spec"]
            path = spec.get("path") or spec.get("source", {}).get("path")
            if path:
                paths.append(path)
                for folder in ("dev", "staging", "prod") if "{{" in path else ("",):
                    overlay = ROOT / path.replace("{{ .cluster }}", folder)
                    if not (overlay / "kustomization.yaml").exists():
                        problems.append(f"{file.name}: there is no {overlay.relative_to(ROOT)}")
    if len(paths) != 3:
        problems.append(f"gitops: {len(paths)} paths were found: the search is broken")


def check_policy(documents, problems):
    """The job that drops days and the policy that counts with it say the same age."""
    policy = next(d["data"]["lifecycle.toml"] for d in documents if d["metadata"]["name"].startswith("logq-policy"))
    job = next(d for d in documents if name_of(d) == "CronJob/logq-expire")
    wanted = f"--hot-days={tomllib.loads(policy)['lake']['hot_days']}"
    if wanted not in pod_of(job)["containers"][0]["args"]:
        problems.append(f"logging: lifecycle.toml wants {wanted} of logq-expire")


def known_metrics():
    pages = ["collector-metrics.md", "logq-processor.md"]
    text = "".join((ROOT / "docs/reference" / page).read_text() for page in pages)
    names = set(re.findall(r"^\| `(\w+)`", text, re.M))
    # Families appear in /metrics with their first label and are not in the generated page.
    source = (ROOT / "processor/src/metrics.rs").read_text()
    for family in ("rows", "rejected"):
        assert f'register("{family}"' in source, f"metrics.rs no longer registers {family}"
        names.add(f"processor_{family}_total")
    assert len(names) > 40, "the reference pages were not understood"
    return names


def check_expressions(problems):
    metrics = known_metrics() | FOREIGN
    expressions = []
    for path in KUBERNETES.glob("components/*/alerts.yaml"):
        for group in yaml.safe_load(path.read_text())["spec"]["groups"]:
            for rule in group["rules"]:
                expressions.append((f"{path.parent.name}: {rule['alert']}", rule["expr"]))
                page, _, anchor = rule["annotations"]["runbook"].partition("#")
                headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.M)
                anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
                if anchor not in anchors:
                    problems.append(f"{path.parent.name}: {rule['alert']}: no runbook {page}#{anchor}")
    for path in (ROOT / "deploy/dashboards").glob("*.json"):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                expressions.append((f"{path.name}: {panel['title']}", target["expr"]))
    assert len(expressions) > 25, "the alerts and panels were not found"
    for where, expression in expressions:
        bare = re.sub(r'"[^"]*"', "", expression)
        used = set(re.findall(r"\b(?:collector|processor|process|component|kube)_\w+", bare))
        if not used:
            problems.append(f"{where}: no metric in `{expression}`")
        for metric in sorted(used - metrics):
            problems.append(f"{where}: {metric} does not exist")


def check_commands(documents, where, problems):
    """Argument lists of jobs against the programs' own command lines, where the programs are built."""
    folder = os.environ.get("LOGQ_BIN_DIR")
    if not folder:
        print("manifests: LOGQ_BIN_DIR is not set: argument lists were not given to the programs", file=sys.stderr)
        return
    for document in documents:
        if document["kind"] not in WORKLOADS:
            continue
        for container in pod_of(document)["containers"] + pod_of(document).get("initContainers", []):
            program = container["image"].rsplit("/", 1)[-1].split(":")[0]
            binary = Path(folder) / program
            if not binary.exists():
                continue
            words, options = [], []
            for argument in container["args"]:
                (options if argument.startswith("--") else words).append(argument)
            words = [w for w in words if not w.startswith(("/", "$("))]
            shown = subprocess.run([binary, *words, "--help"], capture_output=True, text=True)
            if shown.returncode != 0:
                problems.append(f"{where}: {name_of(document)}: {program} knows no command `{' '.join(words)}`")
                continue
            for option in options:
                flag = option.split("=")[0]
                if not re.search(rf"(?m)^\s+(?:-\w, )?{flag}\b", shown.stdout):
                    problems.append(f"{where}: {name_of(document)}: `{program} {' '.join(words)}` has no {flag}")


def main():
    if not shutil.which("kubectl"):
        print("manifests: SKIPPED: there is no kubectl on this machine", file=sys.stderr)
        return 0
    problems, count = [], 0
    check_copies(problems)
    for overlay in OVERLAYS:
        documents = render(KUBERNETES / "overlays" / overlay)
        count += len(documents)
        check_schemas(documents, overlay, problems)
        check_references(documents, overlay, problems)
        for document in documents:
            if document["kind"] in WORKLOADS:
                check_pod(document, overlay, problems)
        if overlay == "logging":
            check_policy(documents, problems)
        if overlay in ("prod", "logging", "fargate"):
            check_commands(documents, overlay, problems)
    check_rest(problems)
    check_expressions(problems)
    for problem in problems:
        print(f"manifests: {problem}", file=sys.stderr)
    print(f"manifests: {count} objects in {len(OVERLAYS)} overlays, Kubernetes {', '.join(VERSIONS)}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
