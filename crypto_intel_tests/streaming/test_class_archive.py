"""The archive of Spark's classes: used where it fits, done without where not, never half."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from crypto_intel.stack.jars import Jars
from streaming import class_archive


@pytest.fixture
def connectors(tmp_path: Path) -> Path:
    """A folder with one jar."""
    folder = tmp_path / "spark"
    folder.mkdir()
    (folder / "a.jar").write_bytes(b"a")
    return folder


def test_without_an_archive_the_jvm_starts_as_always(connectors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/no/java")
    assert class_archive.jvm_options(connectors) == []


def test_an_archive_is_for_its_java_and_its_jars(connectors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/no/java")
    archive = class_archive.archive_of(connectors, Path("/no/java"))
    archive.touch()
    assert class_archive.jvm_options(connectors) == [f"-XX:SharedArchiveFile={archive}"]
    assert class_archive.archive_of(connectors, Path("/other/java")) != archive
    (connectors / "b.jar").write_bytes(b"b")
    assert class_archive.jvm_options(connectors) == []


def test_a_java_that_fails_leaves_nothing_half(connectors: Path, tmp_path: Path) -> None:
    with pytest.raises((OSError, subprocess.SubprocessError)):
        class_archive.make(connectors, tmp_path / "java")
    assert [path.name for path in tmp_path.iterdir()] == ["spark"]


@pytest.mark.stack
def test_the_java_that_runs_spark_takes_the_archive(jars: Jars, java_home: Path) -> None:
    archive = class_archive.archive_of(jars.spark, java_home)
    command = [str(java_home / "bin" / "java"), "-XX:+UseG1GC", "-Xshare:on", f"-XX:SharedArchiveFile={archive}"]
    command += ["-cp", class_archive.class_path(jars.spark, java_home), "-version"]
    # With -Xshare:on Java refuses to start where the archive does not fit.
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
