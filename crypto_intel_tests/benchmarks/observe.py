"""What a running application shows, watched from outside: PostgreSQL, Redis, alerts and its own progress.

Each watcher is a thread that looks every tenth of a second; what the lake got is read from its log afterwards, whose
files have the time of their commit.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl
import psycopg
import redis
from confluent_kafka import Consumer, TopicPartition

from crypto_intel.contracts.events import Alert, decode
from crypto_intel.contracts.symbols import market_key
from crypto_intel.contracts.tables import BRONZE_TRADES
from crypto_intel_tests.benchmarks.latency import AlertSeen, Floats, Seen
from crypto_intel_tests.benchmarks.market import VENUE
from crypto_intel_tests.benchmarks.paced import SYMBOLS

LOOK_S = 0.1


def now_us() -> int:
    """Wall time."""
    return time.time_ns() // 1000


class Watcher(threading.Thread):
    """Calls `look` every tenth of a second until it is stopped; an error ends the benchmark when it is asked for."""

    def __init__(self, look: Callable[[], None], every_s: float = LOOK_S) -> None:
        super().__init__(daemon=True)
        self._look = look
        self._every_s = every_s
        self._over = threading.Event()
        self._error: Exception | None = None

    def run(self) -> None:
        """Look."""
        try:
            while not self._over.wait(self._every_s):
                self._look()
        except Exception as error:
            self._error = error

    def stop(self) -> None:
        """End; raises what ended it before."""
        self._over.set()
        self.join(30)
        if self._error:
            raise self._error


class Stores:
    """The newest trade of each market in PostgreSQL and in Redis, and the progress of the queries.

    Attributes:
        postgres, redis: each change, as it was seen.
        batches: (wall seconds, query, batch id, milliseconds, records behind) of each batch that was seen.
    """

    def __init__(self, dsn: str, redis_url: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._redis = redis.Redis.from_url(redis_url, decode_responses=True)
        self._keys = {market_key(VENUE, symbol): f"market:{VENUE}:{symbol}" for symbol in SYMBOLS}
        self.postgres: list[Seen] = []
        self.redis: list[Seen] = []
        self.batches: list[tuple[float, str, int, int, int]] = []
        self._newest: dict[tuple[int, str], int] = {}
        self._told: dict[str, int] = {}

    def look(self) -> None:
        """Look at the markets."""
        for venue, symbol, at in self._connection.execute("SELECT venue, symbol, event_time FROM live_markets"):
            self._note(self.postgres, market_key(venue, symbol), at)
        pipeline = self._redis.pipeline(transaction=False)
        for key in self._keys.values():
            pipeline.hget(key, "event_time")
        for market, told in zip(self._keys, pipeline.execute(), strict=True):
            if told:
                self._note(self.redis, market, datetime.fromisoformat(told))

    def look_at_batches(self) -> None:
        """Look at the progress."""
        rows = self._connection.execute("SELECT query, batch_id, batch_ms, lag_records FROM ops.stream_progress")
        for query, batch_id, batch_ms, lag in rows:
            if self._told.get(query) != batch_id:
                self._told[query] = batch_id
                self.batches.append((time.time(), query, batch_id, batch_ms or 0, lag or 0))

    def _note(self, seen: list[Seen], market: str, at: datetime) -> None:
        event_us = round(at.timestamp() * 1_000_000)
        if self._newest.get((id(seen), market)) != event_us:
            self._newest[id(seen), market] = event_us
            seen.append(Seen(market, now_us(), event_us))


class Alerts:
    """Alerts of the price rule as a consumer gets them."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": f"bench-{topic}", "fetch.wait.max.ms": 5}
        )
        numbers = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
        self.seen: list[AlertSeen] = []

    def look(self) -> None:
        """Take what is there."""
        for message in self._consumer.consume(100, timeout=LOOK_S):
            at = now_us()
            event = decode(message.value() or b"{}")
            if isinstance(event, Alert) and event.rule == "price_move":
                self.seen.append(AlertSeen(event.symbol, at, event.value > 0))


def bronze_latencies(lake: str, from_us: int) -> Floats:
    """From the time of a trade to the commit that brought it into bronze, for trades from `from_us` on; seconds."""
    root = Path(BRONZE_TRADES.path(lake))
    parts = []
    for commit in sorted((root / "_delta_log").glob("*.json")):
        at_us = commit.stat().st_mtime_ns // 1000
        actions = map(json.loads, commit.read_text().splitlines())
        added = [action["add"] for action in actions if "add" in action]
        for path in [root / add["path"] for add in added if add["dataChange"]]:
            times = pl.read_parquet(path, columns=["event_time"], hive_partitioning=False)["event_time"].dt.epoch("us")
            parts.append((at_us - times.filter(times >= from_us)) / 1e6)
    return pl.concat(parts).to_numpy() if parts else pl.Series([], dtype=pl.Float64).to_numpy()
