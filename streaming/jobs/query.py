"""What the queries share: how one is started, and the figures that Spark can not know."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol

from pyspark.sql import DataFrame
from pyspark.sql.streaming import StreamingQuery

from streaming.settings import StreamingSettings


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


class StateFigures(NamedTuple):
    """Of a query's last batch: records read outside Spark, markets remembered and bytes of
    them, and trades of the batch that came late."""

    records: int = 0
    rows: int = 0
    size: int = 0
    late: int = 0


class Figures:
    """What queries know of their own states, told with Spark's figures of the batch (progress.py)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_query: dict[str, StateFigures] = {}

    def tell(self, query: str, *, records: int, rows: int, size: int, late: int = 0) -> None:
        """After a batch."""
        with self._lock:
            self._by_query[query] = StateFigures(records, rows, size, late)

    def of(self, query: str) -> StateFigures:
        """The newest."""
        with self._lock:
            return self._by_query.get(query, StateFigures())


def start(
    frame: DataFrame,
    name: str,
    settings: StreamingSettings,
    *,
    every_s: float,
    sink: Callable[[DataFrame, int], None],
) -> StreamingQuery:
    """Start a query whose batches go to `sink`; its checkpoint is <checkpoints>/<name>."""
    return (
        frame.writeStream.queryName(name)
        .outputMode("append")
        .option("checkpointLocation", f"{settings.checkpoint_root}/{name}")
        .trigger(processingTime=f"{int(every_s * 1000)} milliseconds")
        .foreachBatch(sink)
        .start()
    )
