"""Spark's classes, parsed and verified once: an archive that every later start of the JVM maps into memory.

An application loads 16,000 classes at its start, and most of what a cold JVM does is reading and verifying them. Java
keeps the result of that in a file (class-data sharing). Measured on 2 cores, a backlog of 1 M trades: the JVM's
CPU-seconds fall from 21 to 12, those of the whole application by a quarter.

The archive belongs to one Java, one Spark and one set of connectors, in one place on the disk; its name says which.
One that does not fit is not used, and one that is lacking costs nothing but time. Whoever fetches the jars makes it,
beside their folder (crypto_intel.stack.jars).

`spark_classes.txt.gz` lists the classes: what `-XX:DumpLoadedClassList=FILE`, among the JVM's options, writes while the
application works on a backlog. A class that the list lacks is loaded as always.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from importlib import resources, util
from pathlib import Path

LISTED = "spark_classes.txt.gz"
TIMEOUT_S = 600
"""Making it takes 20 s on an idle machine."""
KEPT = 8
"""Archives that are kept, 190 MB each: checkouts share a folder of jars, and each has a Spark of its own."""

_PREFIX = "spark-classes-"


def connectors(jars: Path) -> list[Path]:
    """The jars that go before Spark's own on the class path, in an order that stays."""
    return sorted(jars.glob("*.jar"))


def archive_of(jars: Path, java_home: Path) -> Path:
    """Where the archive for this Java, this Spark and these connectors is, or would be."""
    home = java_home.resolve()
    parts = [str(home), *_files(home, "lib/server/libjvm.so"), hashlib.sha256(_listed()).hexdigest()]
    parts += [*_files(_spark_home() / "jars", "*.jar"), *_files(jars, "*.jar")]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return jars.parent / f"{_PREFIX}{key}.jsa"


def jvm_options(jars: Path) -> list[str]:
    """What makes Spark's JVM use the archive; nothing where there is none."""
    found = os.environ.get("JAVA_HOME")
    java = shutil.which("java")
    if not found and java:
        found = str(Path(java).resolve().parent.parent)
    archive = archive_of(jars, Path(found)) if found else None
    return [f"-XX:SharedArchiveFile={archive}"] if archive and archive.exists() else []


def make(jars: Path, java_home: Path) -> Path:
    """Make the archive, and forget those of long ago; where it is.

    Raises:
        OSError: the folder can not be written, or Java can not be run.
        subprocess.SubprocessError: Java refused, or took too long.
    """
    archive = archive_of(jars, java_home)
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix=".new-") as scratch:
        listed, made = Path(scratch) / "classes.txt", Path(scratch) / "made.jsa"
        listed.write_bytes(gzip.decompress(_listed()))
        java = str(java_home / "bin" / "java")
        command = [java, "-Xshare:dump", f"-XX:SharedClassListFile={listed}", f"-XX:SharedArchiveFile={made}"]
        # The collector of spark.py, else the archived objects do not fit; and no compiling of what runs once.
        command += ["-XX:+UseG1GC", "-XX:TieredStopAtLevel=1", "-Xlog:disable", "-cp", class_path(jars, java_home)]
        subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=True)  # noqa: S603 - our own argv
        made.rename(archive)
    newest_last = sorted(jars.parent.glob(f"{_PREFIX}*.jsa"), key=lambda path: path.stat().st_mtime_ns)
    for old in newest_last[:-KEPT]:
        old.unlink()
    return archive


def class_path(jars: Path, java_home: Path) -> str:
    """The class path as Spark's launcher makes it: the archive is used only where it is the same to the letter.

    Raises:
        OSError: the launcher can not be run, or does not tell.
        subprocess.SubprocessError: it fails.
    """
    spark_submit = _spark_home() / "bin" / "spark-submit"
    own = ":".join(map(str, connectors(jars)))
    done = subprocess.run(  # noqa: S603 - our own argv
        [str(spark_submit), "--conf", f"spark.driver.extraClassPath={own}", "--version"],
        env={**os.environ, "JAVA_HOME": str(java_home), "SPARK_PRINT_LAUNCH_COMMAND": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.search(r"^Spark Command: .* -cp (\S+) ", done.stderr, re.MULTILINE)
    if not found:
        raise OSError(f"{spark_submit} did not tell its command")
    return found[1]


def _spark_home() -> Path:
    # As pyspark finds it, without the second that its import takes.
    spec = util.find_spec("pyspark")
    own = Path(spec.origin).parent if spec and spec.origin else Path()
    return Path(os.environ.get("SPARK_HOME") or own)


def _files(folder: Path, pattern: str) -> list[str]:
    return [f"{path} {(at := path.stat()).st_size} {at.st_mtime_ns}" for path in sorted(folder.glob(pattern))]


def _listed() -> bytes:
    return (resources.files("streaming") / LISTED).read_bytes()
