"""Spark's classes, parsed and verified once: an archive that every later start of the JVM maps into memory.

An application loads 16,000 classes at its start, and most of what a cold JVM does is reading and verifying them. Java
keeps the result of that in a file (class-data sharing). Measured on 2 cores, a backlog of 1 M trades: the JVM's
CPU-seconds fall from 21 to 12, those of the whole application by a quarter.

The archive belongs to one Java, one Spark and one set of connectors, in one place on the disk; its name says which.
One that does not fit is not used, and one that is lacking costs nothing but time. `python -m streaming.class_archive
JARS_FOLDER` makes it, beside that folder; whoever fetches the jars does so.

`spark_classes.txt.gz` lists the classes: what `-XX:DumpLoadedClassList=FILE`, among the JVM's options, writes while the
application works on a backlog. A class that the list lacks is loaded as always.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

from pyspark.find_spark_home import _find_spark_home

LISTED = "spark_classes.txt.gz"
TIMEOUT_S = 600
"""Making it takes 20 s on an idle machine."""


def connectors(jars: Path) -> list[Path]:
    """The jars that go before Spark's own on the class path, in an order that stays."""
    return sorted(jars.glob("*.jar"))


def archive_of(jars: Path) -> Path:
    """Where the archive for this Java, this Spark and these connectors is, or would be."""
    parts = [str(_java().resolve()), *_files(_java().resolve().parent.parent, "release")]
    parts += [*_files(Path(_find_spark_home()) / "jars", "*.jar"), *_files(jars, "*.jar"), _listed_digest()]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return jars.parent / f"spark-classes-{key}.jsa"


def jvm_options(jars: Path) -> list[str]:
    """What makes the JVM use the archive; nothing where there is none."""
    archive = archive_of(jars)
    return [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []


def make(jars: Path) -> Path:
    """Make the archive, if it is not there; where it is.

    Raises:
        OSError: the folder can not be written, or Java can not be run.
        subprocess.SubprocessError: Java refused, or took too long.
    """
    archive = archive_of(jars)
    if archive.exists():
        return archive
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix=".new-") as scratch:
        listed, made = Path(scratch) / "classes.txt", Path(scratch) / "made.jsa"
        listed.write_bytes(gzip.decompress(_listed()))
        command = [str(_java()), "-Xshare:dump", f"-XX:SharedClassListFile={listed}", f"-XX:SharedArchiveFile={made}"]
        # The collector of spark.py, else the archived objects do not fit; and no compiling of what runs once.
        command += ["-XX:+UseG1GC", "-XX:TieredStopAtLevel=1", "-Xlog:disable", "-cp", _class_path(jars)]
        subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=True)  # noqa: S603 - our own argv
        made.rename(archive)
    return archive


def _class_path(jars: Path) -> str:
    # As Spark's launcher makes it: the archive is used only where it is the same to the letter.
    spark_submit = Path(_find_spark_home()) / "bin" / "spark-submit"
    own = ":".join(map(str, connectors(jars)))
    done = subprocess.run(  # noqa: S603 - our own argv
        [str(spark_submit), "--conf", f"spark.driver.extraClassPath={own}", "--version"],
        env={**os.environ, "SPARK_PRINT_LAUNCH_COMMAND": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.search(r"^Spark Command: .* -cp (\S+) ", done.stderr, re.MULTILINE)
    if not found:
        raise OSError(f"{spark_submit} did not tell its command")
    return found[1]


def _java() -> Path:
    # As pyspark finds it.
    home = os.environ.get("JAVA_HOME")
    return Path(home) / "bin" / "java" if home else Path(shutil.which("java") or "java")


def _files(folder: Path, pattern: str) -> list[str]:
    return [f"{path} {(at := path.stat()).st_size} {at.st_mtime_ns}" for path in sorted(folder.glob(pattern))]


def _listed() -> bytes:
    return (resources.files("streaming") / LISTED).read_bytes()


def _listed_digest() -> str:
    return hashlib.sha256(_listed()).hexdigest()


def main() -> int:
    """Make it; 1 with the reason where that is not possible."""
    parser = argparse.ArgumentParser(prog="python -m streaming.class_archive", description=__doc__)
    parser.add_argument("jars", type=Path, help="folder of the connectors")
    try:
        made = make(parser.parse_args().jars.resolve())
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"no archive of classes: {error}\n")
        return 1
    sys.stdout.write(f"{made}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
