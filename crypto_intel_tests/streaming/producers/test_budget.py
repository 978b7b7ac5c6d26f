"""Budgets of requests: windows, waits, restarts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from streaming.producers.budget import Budget, BudgetSpent, Limit


async def take(budget: Budget, times: int) -> int:
    """How many of so many requests may go out at once."""
    for taken in range(times):
        try:
            await budget.take()
        except BudgetSpent:
            return taken
    return times


async def test_no_more_than_the_limit_goes_out() -> None:
    budget = Budget("x", [Limit(3, 60)])
    assert await take(budget, 9) == 3
    with pytest.raises(BudgetSpent, match="spent: 3 in 60 s"):
        await budget.take()


async def test_the_tightest_limit_counts() -> None:
    assert await take(Budget("x", [Limit(100, 86_400), Limit(2, 60)]), 9) == 2
    assert await take(Budget("x", [Limit(2, 86_400), Limit(5, 60)]), 9) == 2
    assert await take(Budget("x", [Limit(5, 60), Limit(100_000, 86_400)]), 9) == 5


async def test_without_limits_everything_goes_out() -> None:
    assert await take(Budget("x", []), 1_000) == 1_000


async def test_a_turn_that_comes_soon_is_waited_for() -> None:
    budget = Budget("x", [Limit(2, 1)])
    started = time.monotonic()
    await asyncio.gather(*(budget.take() for _ in range(4)))
    assert 0.9 <= time.monotonic() - started < 3


async def test_requests_of_a_day_are_remembered_over_a_restart_and_by_source(tmp_path: Path) -> None:
    first = Budget("x", [Limit(3, 86_400)], tmp_path)
    assert await take(first, 2) == 2
    first.close()
    again, other = Budget("x", [Limit(3, 86_400)], tmp_path), Budget("y", [Limit(3, 86_400)], tmp_path)
    assert await take(again, 9) == 1
    assert await take(other, 9) == 3
    again.close()
    other.close()


def test_requests_of_a_minute_are_not_kept_in_a_file(tmp_path: Path) -> None:
    asyncio.run(take(Budget("x", [Limit(3, 60)], tmp_path), 1))
    assert list(tmp_path.iterdir()) == []
