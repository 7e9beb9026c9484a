"""Hosted CI: actions are pinned by commit, steps only call scripts of the repository, and permissions are the least."""

import re
import unittest
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github/workflows"


class Workflows(unittest.TestCase):
    def steps(self):
        files = sorted(FOLDER.glob("*.yml"))
        self.assertEqual([file.name for file in files], ["ci.yml", "release.yml"])
        for file in files:
            for name, job in yaml.safe_load(file.read_text())["jobs"].items():
                for step in job["steps"]:
                    yield f"{file.name}: {name}", step

    def test_actions_are_pinned_by_commit_with_their_version_beside(self):
        for file in FOLDER.glob("*.yml"):
            for line in re.findall(r"uses: (.*)", file.read_text()):
                self.assertRegex(line, r"^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", file.name)

    def test_steps_only_call_scripts_that_are_there(self):
        called = set()
        for where, step in self.steps():
            if "run" in step:
                script = step["run"].split()[0]
                self.assertIn("\n" not in step["run"].strip(), [True], where)
                self.assertRegex(script, r"^(\./dev|\.ci/\w+|deploy/\w+)$", where)
                self.assertTrue((ROOT / script).stat().st_mode & 0o111, f"{where}: {script}")
                called.add(script)
        self.assertEqual(called, {".ci/run", ".ci/image"})

    def test_nothing_from_outside_is_put_into_a_command(self):
        for where, step in self.steps():
            for expression in re.findall(r"\$\{\{(.*?)\}\}", step.get("run", "")):
                self.assertRegex(expression.strip(), r"^matrix\.\w+$", where)

    def test_no_workflow_can_write_unless_a_job_says_so(self):
        for file in FOLDER.glob("*.yml"):
            workflow = yaml.safe_load(file.read_text())
            self.assertEqual(workflow["permissions"], {"contents": "read"}, file.name)
            for name, job in workflow["jobs"].items():
                self.assertEqual(job.get("permissions", {}).get("contents", "read"), "read", name)
                self.assertIn("timeout-minutes", job, name)


if __name__ == "__main__":
    unittest.main()
