"""A platform that has run for a thousand hours: a lake of so many partitions, and what Dagster keeps of them.

What belongs here: rows and events, small and many. What does not: looking at them (sensors.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import psycopg
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from crypto_intel.automation.jobs import HOUR_ASSETS, HOUR_CHECKS
from crypto_intel.checks.streams import STREAM_CHECKS
from crypto_intel.contracts.alerts import ALERT_VERDICTS
from crypto_intel.contracts.columns import Column, Table
from crypto_intel.contracts.macro import MACRO_FRED_OBSERVATIONS
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, SILVER_LATE_ARRIVALS, TABLES
from crypto_intel.core.frames import to_arrow
from crypto_intel.core.hours import HOUR, event_hour
from crypto_intel.graph.specs import key_of
from crypto_intel.operations.alerting import ALERT_KEY
from crypto_intel_tests.crypto_intel import lakes

SINGLE_COMMITS = 99
"""The newest partitions, a commit each: the longest a log gets before delta-rs writes its next checkpoint."""

STREAM_EVALUATIONS = 1_440
"""Of each check that a sensor judges every minute: a day's."""

SMALL_FILES = 60
"""Of a streamed table: so many commits come before their files are made one."""

FEEDS = ("binance", "kraken", "rss")
DAY = timedelta(days=1)

_EMPTY: dict[str, Any] = {
    "string": "x",
    "bigint": 1,
    "int": 1,
    "double": 1.0,
    "boolean": True,
    "binary": b"x",
    "array<string>": [],
    "decimal(38,18)": Decimal(1),
}


def fill_lake(lake: Path, end: datetime, partitions: int, topic: str) -> None:
    """Tables by hour and by day with a row and a file an hour until `end`; heartbeats of the last hour in `topic`."""
    hours = [end - n * HOUR for n in range(partitions, 0, -1)]
    for table in TABLES.values():
        by_time = table.partition_by in {("event_hour",), ("event_date",)}
        if by_time and table not in {SILVER_LATE_ARRIVALS, BRONZE_FEED_STATUS}:
            _write(lake, table, [row(table, hour) for hour in hours])
    _beat(lake, end, topic)
    lakes.append(lake, MACRO_FRED_OBSERVATIONS, [row(MACRO_FRED_OBSERVATIONS, end)])


def _beat(lake: Path, end: datetime, topic: str) -> None:
    # Two days of heartbeats as the stream leaves them: a file a day, and small ones of what came since.
    (beat,) = lakes.heartbeats(end, end, topic=topic)[:1]
    times = pl.datetime_range(end - 2 * DAY, end, "2s", time_zone="UTC", time_unit="us", closed="left", eager=True)
    places = pl.DataFrame({"kafka_partition": range(lakes.PARTITIONS)})
    places = places.join(pl.DataFrame({"venue": FEEDS}), how="cross")
    beats = pl.DataFrame({"event_time": times}).with_row_index("kafka_offset").join(places, how="cross")
    own = {*beats.columns, "event_date", "kafka_time"}
    whole = beats.with_columns(
        *(pl.lit(value).alias(name) for name, value in beat.items() if name not in own),
        event_date=pl.col("event_time").dt.date(),
        kafka_time="event_time",
    ).select(BRONZE_FEED_STATUS.column_names)
    small = whole.filter(pl.col("event_time") >= end - SMALL_FILES * timedelta(seconds=5)).sort("event_time")
    lakes.append(lake, BRONZE_FEED_STATUS, whole.join(small, on="event_time", how="anti"))
    for _, part in small.group_by_dynamic("event_time", every="5s"):
        lakes.append(lake, BRONZE_FEED_STATUS, part)


def _write(lake: Path, table: Table, rows: list[dict[str, Any]]) -> None:
    # One handle: whoever opens the table for each commit reads its log each time.
    columns = list(table.partition_by)
    at = DeltaTable.create(table.path(str(lake)), table.arrow_schema(), partition_by=columns)
    for chunk in _file_each(rows[:-SINGLE_COMMITS], table):
        write_deltalake(at, _arrow(chunk, table), mode="append")
    at.create_checkpoint()
    for newest in rows[-SINGLE_COMMITS:]:
        write_deltalake(at, _arrow([newest], table), mode="append")


def _arrow(rows: list[dict[str, Any]], table: Table) -> pa.Table:
    return to_arrow(pl.DataFrame(rows, infer_schema_length=None), table)


def _file_each(rows: list[dict[str, Any]], table: Table) -> Iterator[list[dict[str, Any]]]:
    # A commit writes a file a partition: of tables by day one commit takes an hour of each day.
    if table.partition_by == ("event_hour",):
        yield from [rows] if rows else []
        return
    for hour in range(24):
        if same := [one for one in rows if one["_hour"] == hour]:
            yield same


def row(table: Table, hour: datetime) -> dict[str, Any]:
    """A row of a table, of an hour: of each type one value that the contract takes."""
    values = {column.name: _value(column, hour) for column in table.columns}
    years = {"series_id": "GDP", "observation_year": str(hour.year)} if table is MACRO_FRED_OBSERVATIONS else {}
    return {**values, **years, "event_hour": event_hour(hour), "_hour": hour.hour}


def _value(column: Column, hour: datetime) -> object:
    if column.type == "timestamp":
        return hour
    if column.type == "date":
        return date(hour.year, hour.month, hour.day)
    return column.allowed[0] if column.allowed else _EMPTY[column.type]


def fill_dagster(instance: dg.DagsterInstance, dsn: str, partitions: int) -> dict[str, int]:
    """Events as so many hours left them, each reported by Dagster once, then repeated in its tables; rows by table."""
    hour_checks = list(HOUR_CHECKS)
    for key in (*HOUR_ASSETS, ALERT_KEY, key_of(ALERT_VERDICTS)):
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition="2026-01-01-00"))
    for check in hour_checks:
        _evaluate(instance, check)
    _repeat(dsn, partitions)
    for stream_check in STREAM_CHECKS:
        _evaluate(instance, dg.AssetCheckKey(stream_check.key, stream_check.name))
    _repeat(dsn, STREAM_EVALUATIONS, [check.name for check in STREAM_CHECKS])
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ANALYZE")
        tables = ("event_logs", "asset_check_executions")
        counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone() for name in tables}
    return {name: int(row[0]) for name, row in counts.items() if row}


def _evaluate(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> None:
    evaluation = dg.AssetCheckEvaluation(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=True,
        metadata={"rows_checked": dg.MetadataValue.int(1)},
        severity=dg.AssetCheckSeverity.ERROR,
    )
    instance.report_runless_asset_event(evaluation)


_COPY_EVENTS = """
INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
SELECT run_id, event, dagster_event_type, timestamp - n * interval '1 minute', step_key, asset_key,
  to_char(timestamp - n * interval '1 hour', 'YYYY-MM-DD-HH24')
FROM event_logs, generate_series(1, %(times)s - 1) n
WHERE %(only)s::text[] IS NULL
"""
_COPY_EVALUATIONS = """
INSERT INTO asset_check_executions (asset_key, check_name, run_id, execution_status, evaluation_event,
  evaluation_event_timestamp, evaluation_event_storage_id)
SELECT asset_key, check_name, gen_random_uuid(), execution_status, evaluation_event, evaluation_event_timestamp, id
FROM asset_check_executions, generate_series(1, %(times)s - 1)
WHERE %(only)s::text[] IS NULL OR check_name = ANY(%(only)s)
"""


def _repeat(dsn: str, times: int, only: list[str] | None = None) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in (_COPY_EVENTS, _COPY_EVALUATIONS):
            connection.execute(statement, {"times": times, "only": only})


def hour_now() -> datetime:
    """Start of the running hour."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def spread(values: list[float]) -> tuple[float, float]:
    """Middle and greatest of some values."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[-1]
