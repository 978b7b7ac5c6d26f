"""R10: Redis is emptied, goes away, and hangs, while records flow: nobody waits, and it fills again by itself."""

from __future__ import annotations

import time

import numpy as np
import psycopg
import redis

from crypto_intel_tests.chaos.application import Application
from crypto_intel_tests.chaos.crashes import finish, started
from crypto_intel_tests.chaos.ground import Ground, Stores
from crypto_intel_tests.chaos.judgement import Verdict
from crypto_intel_tests.chaos.load import MARKETS
from crypto_intel_tests.chaos.outages import SERVING, flowing
from crypto_intel_tests.chaos.scale import Scale
from crypto_intel_tests.chaos.table import Row
from streaming.sinks.redis import PAUSE_S

MOST_MS = 200.0
"""A batch may take so much longer without Redis."""

REFILLED_S = 30.0

QUERIES = ("live", "publish")

TURNS = 3
"""Of each state of Redis, since the machine's own business changes within a run."""

Times = dict[str, dict[str, list[int]]]
"""Milliseconds of batches by the state of Redis and query."""


def redis_away(ground: Ground, scale: Scale) -> list[Row]:
    """Redis emptied; then batches are timed with it, without it, and while it hangs."""
    with ground.own_stores() as (own, stores):
        application, sender, load = flowing(own, scale, SERVING)
        last = len(load.records) - int(3 * PAUSE_S * scale.per_s)
        flow = sender.in_background(load.records[:last], scale.per_s)
        started(application)
        application.wait_for(lambda: _shown(own.redis_url) == len(MARKETS))
        _empty(own.redis_url)
        refilled = application.wait_for(lambda: _shown(own.redis_url) == len(MARKETS))
        times: Times = {}
        returned = [_turn(application, own, stores, scale.frozen_s / 6, times) for _ in range(TURNS)]
        flow.join()
        sender.send(load.records[last:], scale.per_s)  # some of it behind the pause: a batch is what finds it again
        verdict, _ = finish(application, sender, load, 300)
    judge_batches(times, verdict)
    slowest = max(*returned, refilled)
    verdict.add(f"Redis filled after {slowest:.0f} s", wrong=int(slowest > REFILLED_S))
    sent, told = len(sender.acked), "; ".join(f"{how}: {_told(found)}" for how, found in times.items())
    of = f"milliseconds of batches of {' and '.join(QUERIES)}, median, p99: {told}"
    return [
        Row("R10", "Redis emptied", 1, verdict, sent, [refilled]),
        Row("R10", "Redis down and back, then hanging", TURNS, verdict, sent, returned, of),
    ]


def _turn(application: Application, own: Ground, stores: Stores, each_s: float, times: Times) -> float:
    # Batches with Redis, without, and while it hangs; seconds until it was full again once it was back.
    _add(times, "with Redis", _batches(application, each_s))
    stores.stop("cache")
    _add(times, "without", _batches(application, each_s))
    stores.start("cache")
    returned = application.wait_for(lambda: _shown(own.redis_url) == len(MARKETS))
    with stores.frozen("cache"):
        _add(times, "hanging", _batches(application, each_s))
    application.wait_for(lambda: _shown(own.redis_url) == len(MARKETS))
    return returned


def _add(times: Times, how: str, found: dict[str, list[int]]) -> None:
    for query, took in found.items():
        times.setdefault(how, {}).setdefault(query, []).extend(took)


def judge_batches(times: Times, verdict: Verdict) -> None:
    """Hold the median batch of each query without Redis to the one with it."""
    usual = times["with Redis"]
    for how, found in times.items():
        for query, took in found.items():
            more = float(np.median(took) - np.median(usual[query])) if took and usual[query] else float("inf")
            verdict.add(f"{how}, a batch of {query} took {more:.0f} ms more", wrong=int(more > MOST_MS))


def _batches(application: Application, seconds: float) -> dict[str, list[int]]:
    # Milliseconds of each batch of the queries that was told within the time, but for the one that was under way.
    seen: dict[tuple[str, int], int] = {}
    until = time.monotonic() + seconds
    with psycopg.connect(application.dsn, autocommit=True) as connection:
        while time.monotonic() < until:
            for query, batch, took in connection.execute("SELECT query, batch_id, batch_ms FROM ops.stream_progress"):
                seen[query, batch] = took
            time.sleep(0.2)
    first = {query: min(number for name, number in seen if name == query) for query, _ in seen}
    return {q: [took for (name, number), took in seen.items() if name == q and number > first[q]] for q in QUERIES}


def _told(found: dict[str, list[int]]) -> str:
    parts = (np.percentile(took or [np.nan], (50, 99)) for took in found.values())
    return " and ".join(f"{median:.0f}, {most:.0f}" for median, most in parts)


def _empty(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()


def _shown(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return sum(bool(client.exists(f"market:{market}")) for market in MARKETS)
