"""What became of the runs of the whole platform (../runs.py). Every test that looks at one stands in this folder.

They go on beside the other tests (`background` in the conftest above); these fixtures only wait for their ends.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crypto_intel_tests.chaos.judgement import Verdict
from crypto_intel_tests.chaos.platform import Report
from crypto_intel_tests.helpers.background import Background


@pytest.fixture(scope="session")
def played(background: Background) -> tuple[Path, dict[str, object]]:
    """The data folder of a replay whose Spark application was killed on the way, and what `up` told."""
    run = background.result("played")
    return Path(run["folder"]), run["told"]


@pytest.fixture(scope="session")
def capture(background: Background) -> Path:
    """The recording that was played: the real one where there is one."""
    return Path(background.result("played")["capture"])


@pytest.fixture(scope="session")
def canaries(background: Background) -> dict[str, str]:
    """Secrets in the environment of every process of the replay, by variable; nothing that it wrote may repeat one."""
    return dict(background.result("played")["canaries"])


@pytest.fixture(scope="session")
def faulted(background: Background) -> Report:
    """What became of one round of every kind of fault at both venues."""
    return Report(**background.result("faulted"))


@pytest.fixture(scope="session")
def killed(background: Background) -> Verdict:
    """What became of an application whose driver and worker were killed."""
    return Verdict(**background.result("killed"))


@pytest.fixture(scope="session")
def backlog(background: Background) -> list[dict[str, Any]]:
    """The rows of a benchmark of 50,000 trades."""
    return list(background.result("backlog")["rows"])
