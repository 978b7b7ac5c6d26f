"""The doctor says what would stop a start, and how to mend it, before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crypto_intel.stack.doctor import (
    GIB,
    RUNBOOKS,
    Finding,
    Machine,
    judge,
    judge_checkpoints,
    judge_folder,
    refuse_errors,
)
from crypto_intel.stack.errors import StackError
from crypto_intel.stack.settings import StackSettings
from crypto_intel.stack.state import Folder, open_state

GOOD = Machine(
    memory_available=16 * GIB,
    disk_free=100 * GIB,
    taken_ports={},
    java_home=Path("/java"),
    jars_whole=True,
    postgres_problem=None,
)


def levels(**change: object) -> dict[str, str]:
    """Levels by topic on a good machine with one thing changed."""
    machine = Machine(**{**GOOD.__dict__, **change})
    return {finding.topic: finding.level for finding in judge(machine, StackSettings())}


def test_a_good_machine_has_nothing_to_mend() -> None:
    assert set(levels().values()) == {"ok"}


@pytest.mark.parametrize(
    ("change", "topic", "level"),
    [
        ({"memory_available": GIB}, "memory", "error"),
        ({"memory_available": 4 * GIB}, "memory", "warning"),
        ({"disk_free": GIB // 2}, "disk", "error"),
        ({"java_home": None}, "java", "warning"),
        ({"jars_whole": False}, "jars", "warning"),
        ({"postgres_problem": "refused"}, "postgres", "error"),
        ({"taken_ports": {"dagster": 3000}}, "ports", "warning"),
    ],
)
def test_each_fault_is_found(change: dict[str, object], topic: str, level: str) -> None:
    assert levels(**change)[topic] == level


def test_a_taken_port_names_the_setting_that_moves_it() -> None:
    machine = Machine(**{**GOOD.__dict__, "taken_ports": {"dagster": 3000}})
    finding = next(f for f in judge(machine, StackSettings()) if f.topic == "ports")
    assert "3000" in finding.text
    assert "CRYPTO_INTEL_PORTS__DAGSTER" in finding.mend


def test_a_folder_of_another_source_is_an_error(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write(open_state(folder, source="replay", seed=7))
    assert judge_folder(folder, "sim", StackSettings()).level == "error"


def test_an_error_stops_a_start_with_its_remedy() -> None:
    with pytest.raises(StackError, match="free some"):
        refuse_errors([Finding("disk", "error", "0.1 GiB free", "free some")], print)


def test_a_lost_checkpoint_is_told_with_its_runbook(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert judge_checkpoints(folder) == []  # nothing has run here
    (tmp_path / "lake").mkdir()
    for query in ("ingest", "live", "publish"):
        (tmp_path / "checkpoints" / query).mkdir(parents=True)
    (found,) = judge_checkpoints(folder)
    assert (found.level, "bar_news" in found.text, "ingest" in found.text) == ("warning", True, False)
    (tmp_path / "checkpoints" / "bar_news").mkdir()
    assert [one.level for one in judge_checkpoints(folder)] == ["ok"]


def test_runbooks_that_the_doctor_names_are_written(repo_root: Path) -> None:
    source = (repo_root / "crypto_intel" / "stack" / "doctor.py").read_text(encoding="utf-8")
    named = re.findall(r"see \{RUNBOOKS\}, ([A-Z][\w ]+)", source)
    headings = re.findall(r"^### (.+)$", (repo_root / RUNBOOKS).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(named) >= 3
    assert set(named) <= set(headings)
