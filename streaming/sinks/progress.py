"""ops.stream_progress: the newest figures of each streaming query, for status pages and Dagster.

Guarantee: none needed; the newest report wins and the next one repairs what was missed. A report that is repeated
for the same batch does not count its records twice.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import structlog
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from streaming.errors import RetryableError
from streaming.sinks.connection import PostgresConnection

_UPSERT = """
INSERT INTO ops.stream_progress AS p (query, batch_id, input_rows, rows_total, rows_per_second, batch_ms, end_offsets,
  lag_records, watermark, event_time_delay_s, state_rows, state_bytes, late_rows, run_id, phases_ms, lag_s, updated_at)
VALUES (%(query)s, %(batch_id)s, %(input_rows)s, %(input_rows)s, %(rows_per_second)s, %(batch_ms)s, %(end_offsets)s,
  %(lag_records)s, %(watermark)s, %(event_time_delay_s)s, %(state_rows)s, %(state_bytes)s, %(late_rows)s, %(run_id)s,
  %(phases_ms)s, %(lag_s)s, clock_timestamp())
ON CONFLICT (query) DO UPDATE SET
  rows_total = p.rows_total + CASE WHEN EXCLUDED.batch_id = p.batch_id THEN 0 ELSE EXCLUDED.input_rows END,
  late_rows = CASE WHEN EXCLUDED.run_id = p.run_id AND EXCLUDED.batch_id > p.batch_id THEN coalesce(p.late_rows, 0)
    ELSE 0 END + coalesce(EXCLUDED.late_rows, 0),
  batch_id = EXCLUDED.batch_id, input_rows = EXCLUDED.input_rows, rows_per_second = EXCLUDED.rows_per_second,
  batch_ms = EXCLUDED.batch_ms, end_offsets = EXCLUDED.end_offsets, lag_records = EXCLUDED.lag_records,
  watermark = EXCLUDED.watermark, event_time_delay_s = EXCLUDED.event_time_delay_s, state_rows = EXCLUDED.state_rows,
  state_bytes = EXCLUDED.state_bytes, run_id = EXCLUDED.run_id, phases_ms = EXCLUDED.phases_ms,
  lag_s = EXCLUDED.lag_s, updated_at = EXCLUDED.updated_at
"""

_UPSERT_IF_NEW = f"{_UPSERT.rstrip()}\nWHERE p.batch_id <> EXCLUDED.batch_id"


MOST_WAITING = 1_000
"""Reports kept while PostgreSQL is away, some ten minutes of all queries; then the oldest are forgotten."""

log = structlog.get_logger()


@dataclass(frozen=True)
class ProgressRow:
    """One report; columns as ops.stream_progress documents them."""

    query: str
    batch_id: int
    run_id: str
    end_offsets: dict[str, Any]
    input_rows: int = 0
    rows_per_second: float | None = None
    batch_ms: int | None = None
    lag_records: int | None = None
    lag_s: float | None = None
    watermark: datetime | None = None
    event_time_delay_s: float | None = None
    state_rows: int = 0
    state_bytes: int = 0
    late_rows: int = 0
    phases_ms: dict[str, int] = field(default_factory=dict)
    is_standing: bool = False
    """Tells where a query starts: not stored where its batch was told already. No column."""


class ProgressSink:
    """Writes reports on a connection of its own; without a DSN it does nothing."""

    def __init__(self, dsn: SecretStr | None) -> None:
        self._database = PostgresConnection(dsn, application="crypto-intel progress") if dsn else None

    def write(self, *rows: ProgressRow) -> None:
        """Store reports in their order, in one transaction.

        Raises:
            RetryableError: PostgreSQL is away.
        """
        if self._database is not None:
            with self._database.transaction() as connection:
                for row in rows:
                    told = {**asdict(row), "end_offsets": Jsonb(row.end_offsets), "phases_ms": Jsonb(row.phases_ms)}
                    connection.execute(_UPSERT_IF_NEW if row.is_standing else _UPSERT, told)


class ProgressRelay:
    """Takes reports at once and stores them from a thread of its own, so that no query waits for PostgreSQL.

    What came while it was slow is stored together; while it is away the last `MOST_WAITING` wait for the next report.
    """

    def __init__(self, sink: ProgressSink) -> None:
        self._sink = sink
        self._waiting: deque[ProgressRow] = deque(maxlen=MOST_WAITING)
        self._changed = threading.Condition()
        self._is_storing = False

    def tell(self, row: ProgressRow) -> None:
        """Take a report."""
        with self._changed:
            self._waiting.append(row)
            if not self._is_storing:
                self._is_storing = True
                threading.Thread(target=self._store, name="progress", daemon=True).start()

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing is being stored, at most so long; whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._is_storing, timeout_s)

    def _store(self) -> None:
        # Ends when nothing waits, or when PostgreSQL is away: the next report tries again.
        while rows := self._take():
            try:
                self._sink.write(*rows)
            except RetryableError as error:
                log.warning("progress waits for PostgreSQL", reason=str(error))
                self._put_back(rows)
                return
            except Exception as error:  # a status page must never hurt a stream
                log.warning("progress not stored", error=repr(error)[:300])

    def _take(self) -> list[ProgressRow]:
        with self._changed:
            rows = list(self._waiting)
            self._waiting.clear()
            if not rows:
                self._end()
            return rows

    def _put_back(self, rows: Sequence[ProgressRow]) -> None:
        with self._changed:
            self._waiting = deque([*rows, *self._waiting], maxlen=MOST_WAITING)
            self._end()

    def _end(self) -> None:
        self._is_storing = False
        self._changed.notify_all()
