"""How often a source may be asked, by its plan: so many requests in any minute, any day.

What belongs here: counting requests and waiting for a turn. What does not: what a venue says when asked too often
(http.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pyrate_limiter import InMemoryBucket, Rate, RateItem, SQLiteBucket

from streaming.errors import RetryableError

MINUTE_S = 60
DAY_S = 86_400
_WAIT_S = 5.0  # a turn that is further away is left to the next poll
_KEPT_FROM_S = 3_600  # spans from here on outlast a restart, so what was asked in them is kept in a file


class BudgetSpent(RetryableError):  # noqa: N818 - says what is the case
    """No further request may go out yet."""


@dataclass(frozen=True)
class Limit:
    """At most so many requests in any span of so many seconds."""

    requests: int
    span_s: int

    def __str__(self) -> str:
        return f"{self.requests} in {self.span_s} s"


class Budget:
    """Requests to one source, in sliding windows.

    Args:
        name: of the source; letters and digits.
        limits: all of them hold; none at all is no budget.
        folder: where requests are remembered if a limit spans an hour or more: a restart must not spend a day's
            requests again. None forgets them.
    """

    def __init__(self, name: str, limits: Sequence[Limit], folder: Path | None = None) -> None:
        self._name = name
        self._limits = _tightening(limits)
        self._bucket = self._open(folder) if self._limits else None

    def _open(self, folder: Path | None) -> InMemoryBucket | SQLiteBucket:
        rates = [Rate(limit.requests, limit.span_s * 1000) for limit in self._limits]
        if folder is None or self._limits[-1].span_s < _KEPT_FROM_S:
            return InMemoryBucket(rates)
        folder.mkdir(parents=True, exist_ok=True)
        return SQLiteBucket.init_from_file(rates, table=self._name, db_path=str(folder / "budgets.sqlite"))

    async def take(self) -> None:
        """Count a request that goes out now, if need be after a short wait.

        Raises:
            BudgetSpent: the next turn is more than a few seconds away.
        """
        bucket = self._bucket
        if bucket is None:
            return
        bucket.leak(_now(bucket))
        while not bucket.put(item := RateItem(self._name, _now(bucket))):
            wait_s = cast(int, bucket.waiting(item)) / 1000  # awaitable in other kinds of buckets only
            if not 0 <= wait_s <= _WAIT_S:
                raise BudgetSpent(f"the budget of requests is spent: {' and '.join(map(str, self._limits))}")
            await asyncio.sleep(wait_s + 0.01)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._bucket is not None:
            self._bucket.close()


def _now(bucket: InMemoryBucket | SQLiteBucket) -> int:
    now: int = bucket.now()  # type: ignore[no-untyped-call]
    return now


def _tightening(limits: Sequence[Limit]) -> list[Limit]:
    """By span, without those that others make meaningless: 5 a minute of 3 a day, or 9,000 a day of 5 a minute."""
    kept: list[Limit] = []
    for limit in sorted(limits, key=lambda limit: limit.span_s):
        while kept and kept[-1].requests >= limit.requests:
            kept.pop()
        if not kept or limit.requests * kept[-1].span_s < kept[-1].requests * limit.span_s:
            kept.append(limit)
    return kept
