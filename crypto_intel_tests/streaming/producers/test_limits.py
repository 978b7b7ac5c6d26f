"""A venue's limits are held over any window."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from streaming.producers.limits import RateLimit


class Clock:
    """Time that stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_what_is_within_the_limit_does_not_wait() -> None:
    limit = RateLimit(5, 1.0)
    assert [await limit.take() for _ in range(5)] == [0.0] * 5
    assert limit.wait_s > 0


async def test_what_comes_too_soon_waits_for_the_window_to_move_on() -> None:
    loop = asyncio.get_running_loop()
    limit = RateLimit(2, 0.2)
    started = loop.time()
    for _ in range(5):
        await limit.take()
    assert loop.time() - started >= 0.4 - 0.02


async def test_many_at_once_share_the_limit() -> None:
    loop = asyncio.get_running_loop()
    limit = RateLimit(3, 0.1)
    times: list[float] = []

    async def taker() -> None:
        await limit.take()
        times.append(loop.time())

    await asyncio.gather(*(taker() for _ in range(9)))
    assert all(later - earlier >= 0.08 for earlier, later in zip(times, times[3:], strict=False))


@given(st.lists(st.floats(0, 0.9), max_size=30))
def test_the_wait_is_exactly_until_the_oldest_leaves_the_window(steps: list[float]) -> None:
    clock = Clock()
    limit = RateLimit(3, 1.0, clock)
    taken: list[float] = []
    for step in steps:
        clock.now += step
        clock.now += limit.wait_s
        asyncio.run(limit.take())
        taken.append(clock.now)
    assert all(taken[i + 3] - taken[i] >= 1.0 - 1e-9 for i in range(len(taken) - 3))
