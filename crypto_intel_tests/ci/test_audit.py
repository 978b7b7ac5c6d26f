"""The audit of dependencies: what it finds, and that it never passes for having looked when it could not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crypto_intel_tests.ci import audit
from crypto_intel_tests.ci.audit import CLEAN, FAULTS, NOT_LOOKED, Pin, is_affected, pins

EVENTS = [{"introduced": "1.2"}, {"fixed": "1.4.1"}, {"introduced": "2.0"}]
RANGE = {"ranges": [{"type": "ECOSYSTEM", "events": EVENTS}]}
LAST = {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"last_affected": "1.0"}]}]}
COMMITS = {"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}], "versions": ["1.0"]}


@pytest.mark.parametrize(
    ("version", "affected", "is_hit"),
    [
        ("1.1", RANGE, False),
        ("1.2", RANGE, True),
        ("1.4", RANGE, True),
        ("1.4.1", RANGE, False),
        ("1.10", RANGE, False),
        ("2.0.1", RANGE, True),
        ("1.0", LAST, True),
        ("1.0.1", LAST, False),
        ("1.0", COMMITS, True),
        ("1.1", COMMITS, False),
    ],
)
def test_a_version_is_judged_by_list_and_ranges(version: str, affected: dict[str, Any], is_hit: bool) -> None:
    assert is_affected(version, affected) is is_hit


def test_every_pin_of_the_lock_is_asked_for(repo_root: Path) -> None:
    lock = (repo_root / "requirements.lock").read_text(encoding="utf-8")
    found = pins(lock)
    named = {line.split("==")[0] for line in lock.splitlines() if "==" in line and line[0].isalnum()}
    assert len({pin.name for pin in found}) == len(named) > 200
    assert pins('Jinja2[i18n]==2.11 ; python_version < "4" \\\n    --hash=sha256:00') == [Pin("jinja2", "2.11")]


TODAY = f"{datetime.now(UTC):%Y-%m-%d}"


def _clone(folder: Path, day: str = TODAY, **told: str) -> Path:
    """A clone of the advisory database with one advisory, about what the lock has in every version."""
    (folder / "vulns" / "polars").mkdir(parents=True)
    text = f"id: PYSEC-1\nmodified: '{day}T00:00:00Z'\naffected:\n- ranges:\n  - type: ECOSYSTEM\n"
    text += "    events: [{introduced: '0'}]\n" + "".join(f"{name}: '{value}'\n" for name, value in told.items())
    (folder / "vulns" / "polars" / "PYSEC-1.yaml").write_text(text)
    return folder


def test_a_fault_of_a_clone_is_told_by_package_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--advisories", str(_clone(tmp_path))]) == FAULTS
    told = capsys.readouterr().out
    assert "PYSEC-1, not mended yet" in told
    assert "1 known faults" in told and f"the newest of {TODAY}" in told


def test_a_withdrawn_advisory_is_no_fault(tmp_path: Path) -> None:
    assert audit.main(["--advisories", str(_clone(tmp_path, withdrawn="2026-02-01"))]) == CLEAN


def test_an_old_clone_that_names_no_fault_is_no_clean_bill(tmp_path: Path) -> None:
    clone = _clone(tmp_path, day="2024-10-10", withdrawn="2024-10-10")
    assert audit.main(["--advisories", str(clone)]) == NOT_LOOKED


def test_a_folder_without_advisories_is_no_clean_bill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--advisories", str(tmp_path)]) == NOT_LOOKED
    assert capsys.readouterr().out.startswith("NOT AUDITED: ")


def test_a_service_out_of_reach_is_told_and_is_no_clean_bill(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "SERVICE", "nobody.invalid")
    assert audit.main([]) == NOT_LOOKED
    assert audit.main(["--may-be-out-of-reach"]) == CLEAN  # for who says so, and the text stays
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.startswith("NOT AUDITED: nobody.invalid is not in reach from here")
