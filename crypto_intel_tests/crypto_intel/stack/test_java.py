"""Finding Java: what its version line may look like, and which one is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from crypto_intel.stack import java


def fake_java(home: Path, version_line: str) -> Path:
    """A home whose `java -version` says so, on standard error as the real one does."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{version_line}' >&2\n")
    program.chmod(0o755)
    return home


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_202"', 8),
        ("something else", None),
    ],
)
def test_a_version_line_is_read(tmp_path: Path, line: str, version: int | None) -> None:
    assert java.version_of(fake_java(tmp_path, line) / "bin" / "java") == version


def test_what_can_not_be_run_has_no_version(tmp_path: Path) -> None:
    assert java.version_of(tmp_path / "no" / "java") is None


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = fake_java(tmp_path / "old", 'java version "11.0.2"')
    new = fake_java(tmp_path / "new", 'openjdk version "21.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(old))
    monkeypatch.setenv("PATH", str(new / "bin"))
    assert java.installed_java_home() == new
    monkeypatch.setenv("PATH", str(old / "bin"))
    assert java.installed_java_home() is None
