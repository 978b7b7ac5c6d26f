"""A batch session in a process that has no other: what its JVM is, and that it is gone. Prints it as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psutil
from pyspark import SparkContext

from crypto_intel.resources.spark import BatchSpark


def main() -> dict[str, Any]:
    """Use a session, and another one within it."""
    with BatchSpark().session() as session:
        counts = [session.range(3).count()]
        with BatchSpark().session() as inner:
            counts.append(inner.range(2).count())
        counts.append(session.range(3).count())  # the inner use found a session and left it running
        during = jvms()
        mapped = [Path(f"/proc/{jvm}/maps").read_text(encoding="utf-8") for jvm in during]
        memory = session.conf.get("spark.driver.memory")
    return {
        "counts": counts,
        "memory": memory,
        "jvms": [len(during), len(jvms())],
        "archived": "spark-classes-" in "".join(mapped),
        "gateway": SparkContext._gateway is not None,
    }


def jvms() -> list[int]:
    """Of this process."""
    return [child.pid for child in psutil.Process().children() if "java" in child.name()]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main()))
