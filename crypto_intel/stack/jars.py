"""The JVM jars of Spark's connectors and of the Kafka broker: what, from where, and whether they are whole.

`ivy.xml` names them, `jars.sha256` pins their bytes, and pyspark's own Ivy fetches them into a per-user cache, so that
neither Maven nor a Kafka download is needed. A jar whose hash differs is fetched again, never used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources, util
from pathlib import Path

from filelock import FileLock

from crypto_intel.stack.errors import JarsMissingError
from streaming import class_archive

RESOLVE_TIMEOUT_S = 900
"""A first resolve takes about a minute; a slow line gets fifteen."""


@dataclass(frozen=True)
class Jars:
    """Folders of whole, checked jars."""

    spark: Path
    kafka: Path

    @property
    def kafka_classpath(self) -> str:
        """What the broker's JVM wants as its class path."""
        return f"{self.kafka}/*"


def default_folder() -> Path:
    """`${XDG_CACHE_HOME:-~/.cache}/crypto-intel/jars`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crypto-intel" / "jars"


def find_jars(folder: Path) -> Jars | None:
    """The jars under `folder` if every pinned one is there with its hash, else None."""
    home = _home(folder)
    return None if _faults(home) else Jars(home / "spark", home / "kafka")


def resolve_jars(folder: Path, java_home: Path, report: Callable[[str], None] = lambda _: None) -> Jars:
    """The jars under `folder`, fetched first where they are missing or broken.

    Raises:
        JarsMissingError: the repository could not be reached, or gave other bytes than the pinned ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        found = find_jars(folder)
        if not found:
            report(f"fetching {len(_pinned())} JVM jars into {folder} (63 MB, once)")
            _retrieve(folder, java_home)
            found = Jars(_home(folder) / "spark", _home(folder) / "kafka")
        _archive_classes(found, java_home, report)
    return found


def _archive_classes(jars: Jars, java_home: Path, report: Callable[[str], None]) -> None:
    # Every later start of Spark takes a quarter less CPU; without it things work as well.
    if class_archive.archive_of(jars.spark, java_home).exists():
        return
    report("preparing Spark's classes for quick starts (190 MB; half a minute, once)")
    try:
        class_archive.make(jars.spark, java_home)
    except (OSError, subprocess.SubprocessError) as error:
        report(f"Spark will start some seconds later: its classes could not be prepared: {error}")


def _retrieve(folder: Path, java_home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as scratch:
        fresh = Path(scratch) / "jars"
        _run_ivy(fresh, folder / "ivy-cache", java_home)
        faults = _faults(fresh)
        if faults:
            raise JarsMissingError(
                f"{len(faults)} jars are not the pinned ones, the first: {faults[0]}",
                f"remove {folder} and try again; if it stays, the repository serves other bytes than were pinned",
            )
        shutil.rmtree(_home(folder), ignore_errors=True)
        fresh.rename(_home(folder))


def _run_ivy(target: Path, cache: Path, java_home: Path) -> None:
    ivy_xml = resources.files("crypto_intel.stack") / "ivy.xml"
    command = [str(java_home / "bin" / "java"), "-jar", str(_ivy_jar()), "-ivy", str(ivy_xml), "-cache", str(cache)]
    command += ["-confs", "spark", "kafka", "-retrieve", f"{target}/[conf]/[artifact]-[revision].[ext]"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RESOLVE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise JarsMissingError(f"fetching the jars took more than {RESOLVE_TIMEOUT_S} s", _OFFLINE) from error
    if done.returncode != 0:
        wrong = [line.strip() for line in done.stdout.splitlines() if "::::" not in line and line.strip()]
        raise JarsMissingError("fetching the jars failed: " + " | ".join(wrong[-4:]), _OFFLINE)


_OFFLINE = "the first start needs access to repo1.maven.org; `crypto-intel jars` tries again"


def _ivy_jar() -> Path:
    spec = util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise JarsMissingError("pyspark is not installed", "run `make setup`")
    jars = sorted((Path(spec.origin).parent / "jars").glob("ivy-*.jar"))
    if not jars:
        raise JarsMissingError("pyspark ships no ivy-*.jar", "install the pyspark of requirements.lock: `make setup`")
    return jars[-1]


def _home(folder: Path) -> Path:
    # Named by its content, so that two versions of the platform share one cache without harm.
    return folder / hashlib.sha256(_manifest().encode()).hexdigest()[:12]


def _manifest() -> str:
    return (resources.files("crypto_intel.stack") / "jars.sha256").read_text(encoding="utf-8")


def _pinned() -> dict[str, str]:
    lines = (line.split("  ", 1) for line in _manifest().splitlines() if line)
    return {name: digest for digest, name in lines}


def _faults(home: Path) -> list[str]:
    return [name for name, digest in _pinned().items() if _digest(home / name) != digest]


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
