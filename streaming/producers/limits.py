"""A venue's limits on a connection, held by ourselves: at most so many connects, messages or requests in some seconds.

Whoever comes too soon waits, however long that takes. Budgets of polled sources, which outlast restarts and are left
to the next poll when spent, are budget.py's.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable


class RateLimit:
    """At most `limit` takings within any `per_s` seconds, by a sliding window.

    Args:
        limit: takings in a window.
        per_s: length of the window in seconds.
        now: a monotonic clock in seconds.
    """

    def __init__(self, limit: int, per_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._now = now
        self._taken: deque[float] = deque(maxlen=limit)

    @property
    def wait_s(self) -> float:
        """Seconds until something may be taken; 0 if it may be now."""
        if len(self._taken) < (self._taken.maxlen or 0):
            return 0.0
        return max(self._taken[0] + self._per_s - self._now(), 0.0)

    async def take(self) -> float:
        """Take once, when it is allowed; seconds waited."""
        waited = 0.0
        while (wait := self.wait_s) > 0:  # again, since another may have been faster
            await asyncio.sleep(wait)
            waited += wait
        self._taken.append(self._now())
        return waited
