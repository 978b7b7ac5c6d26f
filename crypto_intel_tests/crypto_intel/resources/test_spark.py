"""The batch session starts from the archive of Spark's classes, and leaves no JVM behind: an hour's run must not hold
its heap while it publishes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crypto_intel.stack.jars import Jars


@pytest.mark.stack
def test_the_jvm_starts_from_the_archive_and_ends_with_its_session(java_home: Path, jars: Jars) -> None:
    # In a process of its own: this one has the tests' session.
    command = [sys.executable, "-m", "crypto_intel_tests.crypto_intel.resources.batch_session"]
    own = {"JAVA_HOME": str(java_home), "CRYPTO_INTEL_SPARK__JARS": str(jars.spark)}
    done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout)
    assert told == {"counts": [3, 2, 3], "memory": "700m", "jvms": [1, 0], "archived": True, "gateway": False}
