"""The cache of jars: whole or not at all, held to pinned hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from crypto_intel.stack import jars
from crypto_intel.stack.errors import JarsMissingError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that ought to hold two jars, and holds them."""
    content = {"spark/a.jar": b"a", "kafka/b.jar": b"b"}
    manifest = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in content.items())
    monkeypatch.setattr(jars, "_manifest", lambda: manifest)
    home = tmp_path / hashlib.sha256(manifest.encode()).hexdigest()[:12]
    for name, data in content.items():
        (home / name).parent.mkdir(parents=True)
        (home / name).write_bytes(data)
    return tmp_path


def test_a_whole_cache_is_used_as_it_is(cache: Path) -> None:
    found = jars.resolve_jars(cache, Path("/no/java/is/needed"))
    assert [path.name for path in found.spark.iterdir()] == ["a.jar"]
    assert found.kafka_classpath.endswith("kafka/*")


def test_a_changed_jar_is_not_used(cache: Path) -> None:
    next(cache.glob("*/kafka/b.jar")).write_bytes(b"changed")
    assert jars.find_jars(cache) is None


def test_a_missing_jar_is_noticed(cache: Path) -> None:
    next(cache.glob("*/spark/a.jar")).unlink()
    assert jars.find_jars(cache) is None


def test_a_failed_download_says_what_it_needs_and_leaves_nothing_half(cache: Path, tmp_path: Path) -> None:
    next(cache.glob("*/spark/a.jar")).unlink()
    failing = tmp_path / "home" / "bin" / "java"
    failing.parent.mkdir(parents=True)
    failing.write_text("#!/bin/sh\necho 'UNRESOLVED DEPENDENCIES'\nexit 1\n")
    failing.chmod(0o755)
    with pytest.raises(JarsMissingError, match=r"(?s)UNRESOLVED.*repo1\.maven\.org"):
        jars.resolve_jars(cache, tmp_path / "home")
    assert not list(cache.glob(".new-*"))
