"""Finds a Java that Spark and Kafka run on, or fetches one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from crypto_intel.stack.errors import JavaMissingError

MINIMUM_VERSION = 17
"""Spark 4 asks for it; Kafka 4's broker too."""

_HINT = (
    "install Java 17 or newer (Debian and Ubuntu: apt-get install openjdk-17-jre-headless) or set JAVA_HOME to one; "
    "a machine with internet access gets one by itself"
)


def version_of(java: Path) -> int | None:
    """Major version that `java -version` tells; None when it can not be run or read."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(match[1]) if match else None


def installed_java_home() -> Path | None:
    """Home of the first fit Java among JAVA_HOME and PATH; None when there is none."""
    for home in _candidates():
        version = version_of(home / "bin" / "java")
        if version is not None and version >= MINIMUM_VERSION:
            return home
    return None


def find_java_home(report: Callable[[str], None] = lambda _: None) -> Path:
    """Home of a Java >= 17: JAVA_HOME, then PATH, then a JDK that cjdk fetches and keeps in its cache.

    Raises:
        JavaMissingError: none is installed and none could be fetched.
    """
    home = installed_java_home()
    if home is not None:
        return home
    report("no Java 17 or newer found: fetching a JDK (about 190 MB, once)")
    return _fetch()


def _candidates() -> list[Path]:
    homes = []
    if named := os.environ.get("JAVA_HOME"):
        homes.append(Path(named))
    if found := shutil.which("java"):
        homes.append(Path(found).resolve().parent.parent)
    return homes


def _fetch() -> Path:
    import cjdk

    try:
        return Path(cjdk.java_home(vendor="temurin", version=str(MINIMUM_VERSION)))
    except Exception as error:  # cjdk passes on whatever its downloader raises
        raise JavaMissingError(
            f"no Java {MINIMUM_VERSION} or newer, and fetching one failed: {error}", _HINT
        ) from error
