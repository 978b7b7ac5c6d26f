"""What each query is doing, told after every batch: to ops.stream_progress, for people and for Dagster, and to
Prometheus.

Best effort: a report that can not be stored waits for the next one, in bounds; a query never waits for it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from pyspark.sql.streaming.listener import (
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
    StreamingQueryProgress,
)

from streaming.jobs.follower import Progress
from streaming.jobs.metrics import Metrics
from streaming.jobs.query import Figures, StateFigures
from streaming.jobs.standing import last_batch, read_to
from streaming.settings import StreamingSettings
from streaming.sinks.progress import ProgressRelay, ProgressRow, ProgressSink

_WHOLE = "triggerExecution"  # Spark's name for all of a batch

FLUSH_S = 5.0

log = structlog.get_logger()


# ruff: noqa: N802 - the listener's method names are Spark's
class ProgressReporter(StreamingQueryListener):
    """Stores each query's newest progress.

    Args:
        now_us: platform clock in microseconds.
        figures: what queries know of their own states.
        metrics: told the same.
    """

    def __init__(
        self, settings: StreamingSettings, now_us: Callable[[], int], figures: Figures, metrics: Metrics
    ) -> None:
        self._relay = ProgressRelay(ProgressSink(settings.postgres_dsn))
        self._checkpoints = settings.checkpoint_root
        self._now_us = now_us
        self._figures = figures
        self._metrics = metrics

    def onQueryStarted(self, event: QueryStartedEvent) -> None:
        """Tell where the query stands, unless that was told when it got there."""
        name = event.name or ""
        try:
            self._relay.tell(standing_row(f"{self._checkpoints}/{name}", name, str(event.runId)))
        except Exception as error:  # a status page must never hurt a stream
            log.warning("standing not told", query=name, error=repr(error)[:300])

    def onQueryProgress(self, event: QueryProgressEvent) -> None:
        """Store the batch's figures."""
        self._store(event.progress)

    def onQueryIdle(self, event: Any) -> None:
        """Nothing changed."""

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:
        """The application itself logs why."""

    def tell(self, progress: Progress) -> None:
        """Store the figures of a follower's batch."""
        self._write(followed_row(progress))

    def _store(self, progress: StreamingQueryProgress) -> None:
        self._write(progress_row(progress, self._now_us(), self._figures.of(progress.name or "", progress.batchId)))

    def _write(self, row: ProgressRow) -> None:
        self._metrics.tell(row)
        self._relay.tell(row)

    def flush(self) -> None:
        """Wait for what is being stored, a moment at most: the next start tells the same."""
        self._relay.flush(FLUSH_S)


def progress_row(progress: StreamingQueryProgress, now_us: int, own: StateFigures) -> ProgressRow:
    """A query's progress as a row of ops.stream_progress; `own` states count with Spark's."""
    states = progress.stateOperators
    rows = own.records + progress.numInputRows
    batch_ms = progress.durationMs.get(_WHOLE)
    return ProgressRow(
        query=progress.name or "",
        batch_id=progress.batchId,
        input_rows=rows,
        rows_per_second=1000 * rows / batch_ms if batch_ms else None,
        batch_ms=batch_ms,
        end_offsets=end_offsets(progress),
        lag_records=_lag(progress),
        watermark=_time(progress.eventTime.get("watermark")),
        event_time_delay_s=_delay_s(progress, now_us, own),
        state_rows=own.rows + sum(state.numRowsTotal for state in states),
        state_bytes=own.size + sum(state.memoryUsedBytes for state in states),
        late_rows=own.late + sum(state.numRowsDroppedByWatermark for state in states),
        run_id=str(progress.runId),
        phases_ms={phase: spent for phase, spent in progress.durationMs.items() if phase != _WHOLE}
        | dict(own.phases_ms),
        lag_s=time.time() - own.newest.kafka_ms / 1000 if own.newest.kafka_ms else None,
    )


def _delay_s(progress: StreamingQueryProgress, now_us: int, own: StateFigures) -> float | None:
    # Of the newest event time: what the query itself read, or what Spark saw pass a watermark.
    told = _time(progress.eventTime.get("max"))
    newest_us = own.newest.event_us or (told.timestamp() * 1e6 if told else 0)
    return (now_us - newest_us) / 1e6 if newest_us else None


def followed_row(progress: Progress) -> ProgressRow:
    """A follower's progress as a row of ops.stream_progress; versions are those that it will read next."""
    return ProgressRow(
        query=progress.query,
        batch_id=progress.batch_id,
        input_rows=progress.rows,
        rows_per_second=1000 * progress.rows / progress.batch_ms if progress.batch_ms else None,
        batch_ms=progress.batch_ms,
        end_offsets=_told(progress.ends),
        run_id=str(uuid.UUID(progress.epoch)),
    )


def standing_row(checkpoint: str, query: str, run_id: str) -> ProgressRow:
    """Where a query that starts stands, as a row of ops.stream_progress."""
    batch_id = last_batch(checkpoint)
    return ProgressRow(
        query=query,
        batch_id=batch_id,
        end_offsets=_told(read_to(checkpoint, batch_id)),
        run_id=run_id,
        is_standing=True,
    )


def end_offsets(progress: StreamingQueryProgress) -> dict[str, Any]:
    """Kafka: {topic: {partition: offset}}; tables: {layer/table: {"version": n, "index": -1}}, n is read next."""
    return _told({name: at for source in progress.sources for name, at in _offset(source.endOffset).items()})


def _told(read: dict[str, Any]) -> dict[str, Any]:
    return {name: {"version": at + 1, "index": -1} if "/" in name else at for name, at in read.items()}


def _lag(progress: StreamingQueryProgress) -> int | None:
    # Records of Kafka that stood behind the batch's end when it was planned; None for queries that read tables.
    lags = []
    for source in progress.sources:
        end = _offset(source.endOffset)
        for topic, partitions in _offset(source.latestOffset).items():
            if isinstance(partitions, dict):
                lags += [offset - end.get(topic, {}).get(number, 0) for number, offset in partitions.items()]
    return sum(lags) if lags else None


def _offset(text: str | None) -> dict[str, Any]:
    # A source that does not tell an offset has "None" or "null" here.
    if not text or not text.startswith("{"):
        return {}
    offset = json.loads(text)
    return offset if isinstance(offset, dict) else {}


def _time(text: str | None) -> datetime | None:
    if not text or text.startswith("1970-01-01T00:00:00"):
        return None
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
