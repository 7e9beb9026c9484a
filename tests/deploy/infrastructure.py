"""The Terraform modules in layers: format, validation with the provider's schemas, the modules' own tests, both
compositions applied to an emulator, a second plan that must be empty, and the applied policies written out for the linter and
the simulation.

Works on a copy, so that no lock file or state gets into the tree.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROVIDER = Path(__file__).resolve().parent / "aws_provider"
sys.path.insert(0, str(PROVIDER))
import schemas

REGION = "eu-west-1"
COMPOSITIONS = {
    "a-five-accounts": {
        "management": "111111111111", "logging": "222222222222",
        "dev": "333333333333", "staging": "444444444444", "prod": "555555555555",
    },
    "b-three-accounts": {"management": "611111111111", "dev": "633333333333", "prod": "655555555555"},
}
PREFIXES = {"a-five-accounts": "acme-logq", "b-three-accounts": "bravo-logq"}


class Emulator:
    """moto on a free port, ended with the test."""

    def __init__(self, venv, log):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "AWS_DEFAULT_REGION": REGION}
        self.process = subprocess.Popen(
            [venv / "bin/moto_server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log, env=environment
        )
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.url}/moto-api/data.json", timeout=5).read()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit("infrastructure: the emulator ended at its start")
                time.sleep(0.1)
        raise SystemExit("infrastructure: the emulator does not answer")

    def client(self, service, account):
        import boto3

        where = {"endpoint_url": self.url, "region_name": REGION}
        first = boto3.client("sts", aws_access_key_id="test", aws_secret_access_key="test", **where)
        keys = first.assume_role(RoleArn=f"arn:aws:iam::{account}:role/terraform", RoleSessionName="test")["Credentials"]
        return boto3.client(
            service, aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"], **where,
        )

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


class Terraform:
    """Terraform with the stand-in provider as its only plugin."""

    def __init__(self, cache, work, endpoint):
        self.plugins = cache / "plugins"
        generated = cache / "generated"
        generated.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROVIDER}", f"--python_out={generated}",
             f"--grpc_python_out={generated}", "plugin.proto"], check=True,
        )
        known = schemas.extract(ROOT / "deploy/infrastructure", cache)
        folder = self.plugins / "registry.terraform.io/hashicorp/aws" / schemas.PROVIDER_VERSION / "linux_amd64"
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / f"terraform-provider-aws_v{schemas.PROVIDER_VERSION}"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PROVIDER / "provider.py"}" "$@"\n')
        program.chmod(0o755)
        config = work / "terraform.rc"
        config.write_text("disable_checkpoint = true\n")
        # Plugins leave their sockets behind when Terraform ends them.
        self.sockets = tempfile.TemporaryDirectory(prefix="logq-tf-")
        self.environment = {
            **os.environ,
            "TMPDIR": self.sockets.name,
            "TF_CLI_CONFIG_FILE": str(config), "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0",
            "PLUGIN_GENERATED": str(generated), "PLUGIN_SCHEMAS": str(known), "PYTHONDONTWRITEBYTECODE": "1",
        }
        if endpoint:
            self.environment["MOTO_ENDPOINT"] = endpoint

    def run(self, folder, *arguments, accept=(0,)):
        done = subprocess.run(
            ["terraform", f"-chdir={folder}", *arguments], env=self.environment, capture_output=True, text=True
        )
        if done.returncode not in accept:
            sys.stderr.write(done.stdout[-6000:] + done.stderr[-6000:])
            raise SystemExit(f"infrastructure: terraform {arguments[0]} failed in {folder}")
        return done.stdout

    def init(self, folder):
        self.run(folder, "init", "-no-color", f"-plugin-dir={self.plugins}")


def prepare(emulator, name):
    """What exists before Terraform comes: the organization and the VPCs. Returns the variables."""
    accounts = COMPOSITIONS[name]
    organizations = emulator.client("organizations", accounts["management"])
    organization = organizations.create_organization(FeatureSet="ALL")["Organization"]
    workloads = {}
    for environment in (account for account in accounts if account not in ("management", "logging")):
        ec2 = emulator.client("ec2", accounts[environment])
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.16.0/20")["Subnet"]["SubnetId"]
        oidc = f"oidc.eks.{REGION}.amazonaws.com/id/{environment.upper()}0123456789"
        workloads[environment] = {
            "cluster": {
                "name": environment,
                "oidc_provider_arn": f"arn:aws:iam::{accounts[environment]}:oidc-provider/{oidc}",
                "cluster_arn": f"arn:aws:eks:{REGION}:{accounts[environment]}:cluster/{environment}",
            },
            "vpc": {"id": vpc, "cidr": "10.0.0.0/16", "subnet_ids": [subnet], "route_table_ids": ["rtb-0123456789abcdef0"]},
            "log_groups": [f"/aws/eks/{environment}/cluster"],
        }
    variables = {
        "region": REGION,
        "prefix": PREFIXES[name],
        "organization_id": organization["Id"],
        "accounts": accounts,
        "guarded_unit_ids": ["ou-abcd-12345678"],
        "alarm_email": "security@example.com",
        "monthly_budget_usd": 500,
        "workloads": workloads,
        "analysts": {
            "detect": {"tables": ["cloudtrail", "vpc_flow", "app_log", "rejected", "ingest", "findings"]},
            "network": {
                "tables": ["vpc_flow"], "days": ["2026-11-*"],
                "principal_arns": [f"arn:aws:iam::{accounts['prod']}:role/network-analyst"],
            },
        },
        "operator_principal_arns": [f"arn:aws:iam::{accounts['management']}:role/security-operator"],
    }
    if name.startswith("a"):
        logging = accounts["logging"]
        variables["processor_cluster"] = {
            "oidc_provider_arn": f"arn:aws:iam::{logging}:oidc-provider/oidc.eks.{REGION}.amazonaws.com/id/LOGGING0123",
            "cluster_arn": f"arn:aws:eks:{REGION}:{logging}:cluster/logging",
        }
    else:
        # Fargate has no Pod Identity.
        for workload in workloads.values():
            del workload["cluster"]["cluster_arn"]
        variables["fargate_service_account"] = {"namespace": "shop", "name": "api"}
    return variables


def policies(state):
    """Every policy document in a state: (address, attribute, document)."""
    found = []

    def walk(module):
        for resource in module.get("resources", []):
            if resource["mode"] != "managed":
                continue
            for key in ("policy", "assume_role_policy", "access_policy", "content"):
                text = resource["values"].get(key)
                if isinstance(text, str) and '"Statement"' in text:
                    found.append({
                        "address": resource["address"], "type": resource["type"], "attribute": key,
                        "name": resource["values"].get("name") or resource["values"].get("bucket") or "",
                        "role": resource["values"].get("role"), "arn": resource["values"].get("arn"),
                        "document": json.loads(text),
                    })
        for child in module.get("child_modules", []):
            walk(child)

    walk(state["values"]["root_module"])
    return found


def apply(terraform, emulator, work, name, out):
    folder = work / "deploy/infrastructure" / name
    variables = prepare(emulator, name)
    (folder / "terraform.tfvars.json").write_text(json.dumps(variables))
    terraform.init(folder)
    terraform.run(folder, "validate", "-no-color")
    terraform.run(folder, "apply", "-auto-approve", "-no-color", "-compact-warnings")
    again = terraform.run(folder, "plan", "-detailed-exitcode", "-no-color", accept=(0, 2))
    if "No changes." not in again:
        raise SystemExit(f"infrastructure: {name}: the second plan is not empty:\n{again[:4000]}")
    state = json.loads(terraform.run(folder, "show", "-json"))
    count = sum(1 for _ in resources(state["values"]["root_module"]))
    found = policies(state)
    outputs = {key: value["value"] for key, value in state["values"]["outputs"].items()}
    (out / f"{name}.json").write_text(json.dumps(
        {"policies": found, "outputs": outputs, "variables": variables}, indent=1
    ))
    print(f"infrastructure: {name}: {count} resources applied, second plan empty, {len(found)} policies")


def resources(module):
    yield from (r for r in module.get("resources", []) if r["mode"] == "managed")
    for child in module.get("child_modules", []):
        yield from resources(child)


def module_tests(terraform, work):
    tested = 0
    for tests in sorted((work / "deploy/infrastructure/modules").glob("*/*.tftest.hcl")):
        folder = tests.parent
        terraform.init(folder)
        output = terraform.run(folder, "test", "-no-color")
        tested += output.count("... pass") - 1
    if tested < 1:
        raise SystemExit("infrastructure: no module test ran")
    print(f"infrastructure: terraform test: {tested} runs pass")


def main():
    cache = Path(os.environ["DEPLOY_CACHE"])
    out, work = cache / "applied", cache / "work"
    shutil.rmtree(out, ignore_errors=True)
    absent = [tool for tool in ("terraform", "npm") if not shutil.which(tool)]
    if absent:
        print(f"infrastructure: SKIPPED: there is no {' and no '.join(absent)} on this machine", file=sys.stderr)
        return 0
    shutil.rmtree(work, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    (work / "schemas").mkdir(parents=True)
    shutil.copytree(ROOT / "deploy/infrastructure", work / "deploy/infrastructure")
    shutil.copytree(ROOT / "schemas/golden", work / "schemas/golden")
    with open(cache / "emulator.log", "w") as log:
        emulator = Emulator(Path(os.environ["LOGQ_VENV"]), log)
        try:
            terraform = Terraform(cache, work, emulator.url)
            terraform.run(ROOT / "deploy/infrastructure", "fmt", "-check", "-recursive", "-list=true")
            wanted = sys.argv[1:] or list(COMPOSITIONS)
            for name in wanted:
                apply(terraform, emulator, work, name, out)
            del terraform.environment["MOTO_ENDPOINT"]
            module_tests(terraform, work)
            if "end_to_end" in os.environ.get("DEPLOY_STEPS", "end_to_end"):
                import end_to_end

                end_to_end.run(emulator, out, wanted)
        finally:
            emulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
