"""How tests are shared out over processes (`-n 2`): what stays together, and what comes first.

A process has servers of its own. Tests go file by file to whoever is free, for a file's fixtures are made once; tests
that wait for runs of the whole platform (background.py) all go to one process, which waits while the others test.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

from crypto_intel_tests.helpers.background import RUNS

WAITING = "crypto_intel_tests/integration/"
"""Where the tests stand that wait for a run: its conftest.py alone has the fixtures."""


class Sharing(LoadScopeScheduling):
    """Hands out files, and WAITING as if it were one."""

    def _split_scope(self, nodeid: str) -> str:
        return WAITING if nodeid.startswith(WAITING) else nodeid.partition("::")[0]


def awaited(item: pytest.Item) -> list[str]:
    """The runs that a test waits for, in the order in which they are begun."""
    wanted = set(getattr(item, "fixturenames", ()))
    return [name for name in RUNS if name in wanted]


def arrange(items: list[pytest.Item], *, are_shared: bool) -> None:
    """Put tests into the order in which they are handed out if they are shared, else in which they run."""
    items.sort(key=_handed_out if are_shared else _run)


def _run(item: pytest.Item) -> int:
    return max(map(RUNS.index, awaited(item)), default=-1)  # last, in the order in which the runs end


def _handed_out(item: pytest.Item) -> int:
    # The runs begin with the first test that waits for one. Next is what needs Spark: one process takes it while the
    # other waits, so that one JVM does.
    if runs := awaited(item):
        return RUNS.index(runs[-1])
    return len(RUNS) + ("spark" not in getattr(item, "fixturenames", ()))
