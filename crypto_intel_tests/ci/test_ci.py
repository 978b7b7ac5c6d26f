"""The workflow, `.ci/run` and pre-commit do the same: steps, order, commands. Versions and documents agree."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]


@pytest.fixture(scope="module")
def workflow(repo_root: Path) -> dict[str, Any]:
    """The workflow as data."""
    return dict(yaml.safe_load((repo_root / ".github" / "workflows" / "ci.yaml").read_text(encoding="utf-8")))


def targets(text: str) -> list[str]:
    """The targets of `make` that a text asks for, in order."""
    asked = re.findall(r"(?:^\s*|\$\()make ([^)\n]+)", text, re.MULTILINE)
    return [word for line in asked for word in line.split() if word.isalpha()]


def test_the_workflow_takes_the_steps_of_the_script_in_its_order(workflow: dict[str, Any], repo_root: Path) -> None:
    steps = targets("\n".join(step.get("run", "") for step in workflow["jobs"]["check"]["steps"]))
    assert steps == ["setup", "lint", "secrets", "audit", "test", "checks"]
    assert targets((repo_root / ".ci" / "run").read_text(encoding="utf-8")) == steps


def test_every_foreign_action_is_pinned_by_its_commit(workflow: dict[str, Any]) -> None:
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    assert all(re.search(r"@[0-9a-f]{40}$", action) for action in used), used


def test_pre_commit_runs_what_lint_runs(repo_root: Path) -> None:
    hooks = yaml.safe_load((repo_root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    makefile = (repo_root / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe
    linted = [bare(line) for line in recipe[1].splitlines()]
    assert [bare(hook["entry"]) for hook in hooks] == linted


def bare(command: str) -> str:
    """A command without the files that it is given and how its program is found."""
    words = command.replace("$(BIN)/", "").replace(".venv/bin/", "").split()
    kept = [word for word in words if not word.startswith(("$(", "docker/", ".github/workflows/ci"))]
    return " ".join(word for word in kept if word != "--force-exclude")


def test_the_version_is_the_same_wherever_it_stands(repo_root: Path) -> None:
    own = version("crypto-intel")
    images = re.findall(r"image: crypto-intel/\w+:(\S+)", (repo_root / "docker" / "compose.yaml").read_text())
    assert set(images) == {own}
    assert f"## {own}" in (repo_root / "CHANGELOG.md").read_text(encoding="utf-8")


def test_a_tag_on_this_commit_names_its_version(repo_root: Path) -> None:
    command = ["git", "-C", str(repo_root), "tag", "--points-at", "HEAD"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    tags = [tag for tag in listed.split() if re.fullmatch(r"v\d.*", tag)]
    assert tags in ([], [f"v{version('crypto-intel')}"])


def test_files_that_the_contributing_guide_names_are_there(repo_root: Path) -> None:
    text = (repo_root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:crypto_intel|streaming|crypto_intel_tests|docker)/[\w./-]+)`", text))
    assert len(named) > 20
    missing = {path for path in named if not (repo_root / path).exists()}
    assert not missing
