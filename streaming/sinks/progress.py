"""ops.stream_progress: the newest figures of each streaming query, for status pages and Dagster.

Guarantee: none needed; the newest report wins and the next one repairs what was missed. A report that is repeated
for the same batch does not count its records twice.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb
from pydantic import SecretStr

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


class ProgressSink:
    """Writes reports on a connection of its own; without a DSN it does nothing."""

    def __init__(self, dsn: SecretStr | None) -> None:
        self._database = PostgresConnection(dsn, application="crypto-intel progress") if dsn else None

    def write(self, row: ProgressRow) -> None:
        """Store a report.

        Raises:
            RetryableError: PostgreSQL is away.
        """
        self._execute(_UPSERT, row)

    def write_if_new(self, row: ProgressRow) -> None:
        """Store a report unless the newest is of the same batch.

        Raises:
            RetryableError: PostgreSQL is away.
        """
        self._execute(_UPSERT_IF_NEW, row)

    def _execute(self, statement: str, row: ProgressRow) -> None:
        if self._database is not None:
            with self._database.transaction() as connection:
                told = {**asdict(row), "end_offsets": Jsonb(row.end_offsets), "phases_ms": Jsonb(row.phases_ms)}
                connection.execute(statement, told)
