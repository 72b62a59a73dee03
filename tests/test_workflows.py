"""Workflows: targets and jobs exist, and hooks and workflows use the same versions."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
OTHER_TARGETS = {"docs-site", "web"}
"""Targets of the documentation site and the npm package."""


def read_jobs(path: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return jobs


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_targets_and_needed_jobs_exist(path: Path) -> None:
    for name, job in read_jobs(path).items():
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= set(read_jobs(path)), name
        assert "timeout-minutes" in job, name
        for step in job["steps"]:
            for target in re.findall(r"^(?:.*&& )?make ([a-z-]+)", step.get("run", ""), re.MULTILINE):
                assert target in OTHER_TARGETS or re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_actions_have_the_same_version_in_all_workflows() -> None:
    texts = [(ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8") for name in ("ci.yml", "release.yml")]
    actions = {use for text in texts for use in re.findall(r"uses: (\S+)", text)}
    assert len({use.split("@")[0] for use in actions}) == len(actions)


def test_secrets_and_variables_are_documented() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    comment = text[: text.index("name: release")]
    names = set(re.findall(r"(?:secrets|vars)\.(\w+)", text))
    assert names == {"HF_TOKEN", "NPM_TOKEN", "HUB_NAMESPACE", "HUB_FAST", "HUB_BUILD"}
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [name for name in names if name not in comment or name not in contributing] == []


def test_hooks_are_valid_and_use_the_same_ruff() -> None:
    config = ROOT / ".pre-commit-config.yaml"
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(config)]
    assert subprocess.run(command, check=False).returncode == 0
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^ruff==(.+)$", constraints, re.MULTILINE)
    assert f"rev: v{version}\n" in config.read_text(encoding="utf-8")
