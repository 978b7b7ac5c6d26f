"""What the queries share: how one is started, and the figures that Spark can not know."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import NamedTuple, Protocol

from pyspark.sql import DataFrame
from pyspark.sql.streaming import StreamingQuery

from streaming.settings import StreamingSettings
from streaming.sinks.objects import names, remove
from streaming.steps.slice import NOTHING, Newest


class Query(Protocol):
    """A query that runs, whatever runs it."""

    name: str

    @property
    def is_active(self) -> bool:
        """Whether it goes on."""

    @property
    def is_working(self) -> bool:
        """Whether a batch is at hand."""

    @property
    def has_progress(self) -> bool:
        """Whether a batch is done."""

    @property
    def error(self) -> str:
        """What ended it."""

    def stop(self) -> None:
        """End it."""


class SparkQuery:
    """A query that Spark runs."""

    def __init__(self, query: StreamingQuery) -> None:
        self._query = query
        self.name = query.name

    @property
    def is_active(self) -> bool:
        """Whether it goes on."""
        return self._query.isActive

    @property
    def is_working(self) -> bool:
        """Whether a batch is at hand."""
        return bool(self._query.status["isTriggerActive"])

    @property
    def has_progress(self) -> bool:
        """Whether a batch is done."""
        return self._query.lastProgress is not None

    @property
    def error(self) -> str:
        """What ended it."""
        error = self._query.exception()
        return str(error) if error else "stopped from outside"

    def stop(self) -> None:
        """End it; its batch is repeated at the next start."""
        self._query.stop()


_LOGS = ("offsets", "commits")

KEPT_BATCHES = 100
"""Spark tells of a batch a moment after it, on a thread of its own: never so many batches later."""


class StateFigures(NamedTuple):
    """Of a query's last batch: records read outside Spark, markets remembered and bytes of
    them, trades of the batch that came late, and what the time went to."""

    records: int = 0
    rows: int = 0
    size: int = 0
    late: int = 0
    newest: Newest = NOTHING
    phases_ms: Mapping[str, int] = MappingProxyType({})


class Figures:
    """What queries know of their own states, told with Spark's figures of the batch (progress.py)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[tuple[str, int], StateFigures] = {}
        self._phases: dict[str, dict[str, int]] = {}

    @contextmanager
    def phase(self, query: str, name: str) -> Iterator[None]:
        """Time a phase of the batch at hand."""
        began = time.monotonic()
        yield
        with self._lock:
            phases = self._phases.setdefault(query, {})
            phases[name] = phases.get(name, 0) + round(1000 * (time.monotonic() - began))

    def tell(self, query: str, batch_id: int, told: StateFigures) -> None:
        """After a batch; the times of its phases are added."""
        with self._lock:
            self._told[query, batch_id] = told._replace(phases_ms=self._phases.pop(query, {}))
            self._told.pop((query, batch_id - KEPT_BATCHES), None)

    def of(self, query: str, batch_id: int) -> StateFigures:
        """Of a batch; nothing if its query tells nothing."""
        with self._lock:
            return self._told.get((query, batch_id), StateFigures())


def start(
    frame: DataFrame,
    name: str,
    settings: StreamingSettings,
    *,
    every_s: float,
    sink: Callable[[DataFrame, int], None],
) -> StreamingQuery:
    """Start a query whose batches go to `sink`; its checkpoint is <checkpoints>/<name>."""
    checkpoint = f"{settings.checkpoint_root}/{name}"
    _drop_unfinished(checkpoint)
    return (
        frame.writeStream.queryName(name)
        .outputMode("append")
        .option("checkpointLocation", checkpoint)
        .trigger(processingTime=f"{int(every_s * 1000)} milliseconds")
        .foreachBatch(sink)
        .start()
    )


def _drop_unfinished(checkpoint: str) -> None:
    """Delete what a kill left of a batch that Spark was writing to its logs; nobody else writes to this checkpoint.

    While there is no batch yet, Spark takes such a file for somebody else's checkpoint and refuses it for ever.
    """
    for folder in (f"{checkpoint}/{log}" for log in _LOGS):
        for name in names(folder):
            if name.startswith(".") and name.endswith((".tmp", ".tmp.crc")):
                remove(f"{folder}/{name}")
