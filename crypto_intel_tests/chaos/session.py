"""The queries in this process, on a session that is warm already: batches are cut by an exception where a kill would.

What a kill leaves undone an exception leaves undone as well, for a batch's edges lie in the driver; a start takes a
second instead of ten, so that tests can cut at every edge. What only a kill shows (half-written files, a JVM that is
gone) is crashes.py's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
from pyspark.sql import SparkSession

from crypto_intel.contracts.settings import Topics
from crypto_intel.contracts.tables import TABLES
from crypto_intel_tests.chaos.application import Sender
from crypto_intel_tests.chaos.load import Load, Record
from streaming import failpoints
from streaming.jobs.app import QUERIES, Context
from streaming.jobs.metrics import Metrics
from streaming.jobs.progress import ProgressReporter
from streaming.jobs.publisher import Publisher
from streaming.jobs.query import Figures, Query
from streaming.settings import StreamingSettings
from streaming.sinks.delta import ensure_table
from streaming.sinks.metrics import SinkMetrics


class CutError(Exception):
    """The process would be gone here."""


@dataclass
class Queries:
    """Starts queries one at a time; what `Application` is to judges, for a session in this process.

    Attributes:
        queries: those that are judged.
        cuts: edges that were reached and cut.
        restarts: of queries that ended by themselves, told by whoever starts them again.
    """

    session: SparkSession
    settings: StreamingSettings
    patch: pytest.MonkeyPatch
    queries: tuple[str, ...] = ("ingest", "bar_news")
    cuts: list[str] = field(default_factory=list)
    restarts: int = 0

    def __post_init__(self) -> None:
        """Make the tables."""
        for table in TABLES.values():
            if table.writer == "spark":
                ensure_table(table, self.settings.lake_root)

    @property
    def lake(self) -> Path:
        """The lake."""
        return Path(self.settings.lake_root)

    @property
    def bootstrap(self) -> str:
        """Of the broker."""
        return self.settings.kafka.bootstrap

    @property
    def topics(self) -> Topics:
        """Its topics."""
        return self.settings.topics

    @property
    def dsn(self) -> str:
        """Of PostgreSQL."""
        return self.settings.postgres_dsn.get_secret_value() if self.settings.postgres_dsn else ""

    @property
    def redis_url(self) -> str:
        """Of Redis."""
        return self.settings.redis_url.get_secret_value() if self.settings.redis_url else ""

    def checkpoint(self, query: str) -> Path:
        """Of a query."""
        return Path(self.settings.checkpoint_root) / query

    def start(self, name: str) -> Query:
        """Start a query."""
        figures = Figures()
        sinks = SinkMetrics()
        publisher = Publisher.from_settings(self.settings, threading.Event(), sinks)
        metrics = Metrics(publisher.now_us)
        reporter = ProgressReporter(self.settings, publisher.now_us, figures, metrics)
        return QUERIES[name](Context(self.session, self.settings, publisher, figures, reporter, metrics, sinks))

    def run(self, name: str, holds: Callable[[], bool], timeout_s: float = 240) -> None:
        """Run a query until the condition holds."""
        query = self.start(name)
        try:
            wait(lambda: holds() or not query.is_active, timeout_s)
            assert query.is_active, query.error[-2000:]
        finally:
            query.stop()

    def fail(self, name: str, timeout_s: float = 240) -> str:
        """Run a query that must die: what it says."""
        query = self.start(name)
        try:
            wait(lambda: not query.is_active, timeout_s)
            return query.error
        finally:
            query.stop()

    def cut(self, name: str, place: str) -> None:
        """Run a query until it gets to an edge, and cut it there."""

        def reach(at: str) -> None:
            if at == place:
                self.cuts.append(place)
                raise CutError(place)

        with self.patch.context() as patched:
            patched.setattr(failpoints, "reach", reach)
            said = self.fail(name)
        assert self.cuts[-1:] == [place], f"{place} was not reached: {said[-2000:]}"


def wait(holds: Callable[[], bool], timeout_s: float = 240) -> None:
    """Return when the condition holds.

    Raises:
        AssertionError: it does not in time.
    """
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, f"not within {timeout_s} s"
        time.sleep(0.1)


def pieces(load: Load, count: int) -> list[list[Record]]:
    """The load's records in so many parts of equal size, in order."""
    size = -(-len(load.records) // count)
    return [load.records[start : start + size] for start in range(0, len(load.records), size)]


class HasBroker(Protocol):
    """Knows a broker."""

    @property
    def bootstrap(self) -> str:
        """Of the broker."""


def sent(to: HasBroker, load: Load) -> Sender:
    """A sender that has sent all."""
    sender = Sender(to.bootstrap)
    sender.send(load.records)
    return sender
