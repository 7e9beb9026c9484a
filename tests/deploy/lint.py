"""The applied policies under an IAM linter (parliament), and the modules under a policy scanner (checkov).

A finding that is right in general and not here is waived below, with its reason; a waiver that no finding needs is an error too.
Waivers of the scanner stand in the resource they are about, as `#checkov:skip=ID:reason`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# (issue, a part of the policy's address) → reason
WAIVED = {
    ("RESOURCE_MISMATCH", "collector_role"): (
        "logs:DescribeLogGroups takes log groups as resources since 2022; the linter's table still says `*`, which would be wider"
    ),
    ("RESOURCE_POLICY_PRIVILEGE_ESCALATION", "module.operator."): (
        "a lifecycle rule can remove objects, and writing rules is what the role is for: the archive is locked, older versions of the "
        "lake stay a week, and every change of rules raises the tampering alarm"
    ),
}


def lint_policies(problems):
    import parliament

    used, count = set(), 0
    for file in sorted((Path(os.environ["DEPLOY_CACHE"]) / "applied").glob("*.json")):
        for policy in json.loads(file.read_text())["policies"]:
            # Documents with principals are outside of what the linter understands; the simulation covers them.
            if policy["type"] not in ("aws_iam_role_policy", "aws_organizations_policy"):
                continue
            count += 1
            analyzed = parliament.analyze_policy_string(json.dumps(policy["document"]), ignore_private_auditors=True)
            for finding in analyzed.findings:
                waived = [key for key in WAIVED if key[0] == finding.issue and key[1] in policy["address"]]
                used.update(waived)
                if not waived:
                    problems.append(f"{file.stem}: {policy['address']}: {finding.issue}: {finding.detail}")
    if not count:
        print("lint: SKIPPED for policies: nothing was applied: see the step infrastructure", file=sys.stderr)
        return 0
    problems += [f"waiver {key} is not needed any more" for key in WAIVED.keys() - used]
    if count < 15:
        problems.append(f"only {count} policies were found: the search is broken")
    return count


def waivers(folder):
    """(file, line) → check of every `#checkov:skip=ID:reason`, with a reason long enough to be one."""
    found = {}
    for path in sorted(folder.rglob("*.tf")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.search(r"#checkov:skip=(\w+):(.{20,})$", line)
            if match:
                found["/" + str(path.relative_to(folder)), number] = match.group(1)
    return found


def scan(problems):
    """checkov over the modules. It looks at a copy without the waivers, so that one nobody needs is seen as well."""
    infrastructure = ROOT / "deploy/infrastructure"
    waived, used = waivers(infrastructure), set()
    with tempfile.TemporaryDirectory(prefix="logq-lint-") as folder:
        copy = Path(folder) / "infrastructure"
        shutil.copytree(infrastructure, copy)
        for path in copy.rglob("*.tf"):
            path.write_text(path.read_text().replace("#checkov:skip", "# waived"))
        result = subprocess.run(
            [Path(sys.executable).parent / "checkov", "--skip-download", "--quiet", "--compact", "--output", "json",
             "--framework", "terraform", "--directory", copy, "--download-external-modules", "false"],
            capture_output=True, text=True,
        )
    try:
        report = json.loads(result.stdout)
    except json.JSONDecodeError:
        problems.append(f"checkov: {result.stdout[-500:]}{result.stderr[-500:]}")
        return 0, 0
    report = report[0] if isinstance(report, list) else report
    for failed in report["results"]["failed_checks"]:
        first, last = failed["file_line_range"]
        mine = {
            place for place, check in waived.items()
            if check == failed["check_id"] and place[0] == failed["file_path"] and first <= place[1] <= last
        }
        used |= mine
        if not mine:
            problems.append(f"checkov: {failed['check_id']} {failed['check_name']}: {failed['resource']} in {failed['file_path']}")
    problems += [f"{file}:{line}: nothing needs the waiver of {waived[file, line]}" for file, line in sorted(waived.keys() - used)]
    summary = report["summary"]
    if summary["parsing_errors"] or summary["passed"] < 100:
        problems.append(f"checkov: {summary}")
    return summary["passed"], len(used)


def main():
    problems = []
    policies = lint_policies(problems)
    passed, skipped = scan(problems)
    for problem in problems:
        print(f"lint: {problem}", file=sys.stderr)
    print(f"lint: {policies} policies, {passed} checks pass, {skipped} waived with a reason: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
