"""Tests that wait for a run stay together: first where tests are shared out, last in one process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crypto_intel_tests.helpers.background import RUNS
from crypto_intel_tests.helpers.sharing import Sharing, arrange


def pure() -> None: ...


def on_spark(spark: object) -> None: ...


def of_the_first(played: object) -> None: ...


def of_the_first_and_a_later(killed: object, played: object) -> None: ...


@pytest.fixture
def items(request: pytest.FixtureRequest) -> list[pytest.Item]:
    """One of each, as they were found."""

    def item(function: Callable[..., None]) -> pytest.Item:
        return pytest.Function.from_parent(request.node.parent, name=function.__name__, callobj=function)

    return [item(function) for function in (of_the_first_and_a_later, pure, of_the_first, on_spark)]


def names(items: list[pytest.Item]) -> list[str]:
    return [item.name for item in items]


def test_in_one_process_tests_that_wait_for_a_run_come_last_in_the_order_of_the_runs(items: list[pytest.Item]) -> None:
    assert RUNS.index("played") < RUNS.index("killed")
    arrange(items, are_shared=False)
    assert names(items) == ["pure", "on_spark", "of_the_first", "of_the_first_and_a_later"]


def test_shared_out_they_come_first_and_spark_next(items: list[pytest.Item]) -> None:
    arrange(items, are_shared=True)
    assert names(items) == ["of_the_first", "of_the_first_and_a_later", "on_spark", "pure"]


def test_they_go_to_one_process_and_all_others_file_by_file(items: list[pytest.Item]) -> None:
    def share(nodeid: str) -> str:
        return Sharing._split_scope(object.__new__(Sharing), nodeid)

    own = items[0].nodeid
    assert share(own) == share(f"{own}[x::y]") == "crypto_intel_tests/helpers/test_sharing.py"
    waiting = {share(f"crypto_intel_tests/integration/test_{name}.py::test_a") for name in RUNS}
    assert len(waiting) == 1
