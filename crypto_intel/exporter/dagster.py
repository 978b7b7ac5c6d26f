"""Dagster from its own storage: runs, queue, daemons, sensors, checks, partitions; it has no such page of its own.

Its tables are read by SQL, not through its library, which would take 200 MB and seconds of a core to load. Every
statement walks an index or the newest rows of a table, so that a storage of a year costs what one of a day does; a test
holds the statements to the tables of the installed Dagster.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import Metric

from crypto_intel.exporter.database import Reader
from crypto_intel.exporter.source import gauge

STATES = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING", "SUCCESS", "FAILURE", "CANCELED")
TICK_WINDOW_S = 600
_NEWEST_TICKS = 2_000
"""Ticks of all sensors within TICK_WINDOW_S: nine of them, most every 15 s, make 300."""

_NEWEST_CHECKS = 20_000
_OVERLAP = 2_000
"""Rows of checks that are read again, since a planned one is written first and its result into the same row."""

_RUNS = "SELECT status, count(*) AS runs FROM runs GROUP BY status"
_QUEUE = """
SELECT extract(epoch FROM now() - min(create_timestamp AT TIME ZONE 'UTC'))::float8 AS age_s
FROM runs WHERE status = 'QUEUED'
"""
_DAEMONS = """
SELECT daemon_type, extract(epoch FROM now() - timestamp AT TIME ZONE 'UTC')::float8 AS age_s FROM daemon_heartbeats
"""
_TICKS = """
SELECT tick_body, status, extract(epoch FROM now() - timestamp AT TIME ZONE 'UTC')::float8 AS age_s
FROM job_ticks ORDER BY id DESC LIMIT %(limit)s
"""
_CHECKS_END = "SELECT coalesce(max(id), 0) AS id FROM asset_check_executions"
_CHECKS = """
SELECT id, asset_key, check_name, execution_status FROM asset_check_executions WHERE id > %(after)s ORDER BY id
"""
_PARTITIONS = """
SELECT asset_key, (
  SELECT max(partition) FROM event_logs e
  WHERE e.asset_key = k.asset_key AND e.dagster_event_type = 'ASSET_MATERIALIZATION'
) AS partition
FROM asset_keys k
"""
SPANS = {"%Y-%m-%d-%H": timedelta(hours=1), "%Y-%m-%d": timedelta(days=1)}
"""Keys of hours and days, as crypto_intel.core.hours writes them; importing it would bring all of Polars, 60 MB."""


class Dagster:
    """Figures of one instance.

    Args:
        reader: of its storage.
        now: platform clock, since a partition is as old as its source says.
    """

    def __init__(self, reader: Reader, now: Callable[[], datetime]) -> None:
        self._reader = reader
        self._now = now
        self._checks: dict[tuple[str, str], str] = {}
        self._checks_seen = -1

    def ask(self) -> Iterator[Metric]:
        """Every figure, from some indexed reads.

        Raises:
            psycopg.Error: the storage is away.
        """
        yield from self._runs()
        yield from self._daemons()
        yield from self._sensors()
        yield self._failed_checks()
        yield self._partition_ages()

    def _runs(self) -> Iterator[Metric]:
        found = {row["status"]: float(row["runs"]) for row in self._reader.rows(_RUNS)}
        by_state = {(state,): found.get(state, 0.0) for state in STATES}
        yield gauge("crypto_intel_dagster_runs", "Runs in the storage, by state.", ["status"], by_state)
        age_s = self._reader.rows(_QUEUE)[0]["age_s"] or 0.0
        yield gauge("crypto_intel_dagster_queue_age_seconds", "Age of the oldest queued run; 0: none.", [], {(): age_s})

    def _daemons(self) -> Iterator[Metric]:
        ages = {(row["daemon_type"],): row["age_s"] for row in self._reader.rows(_DAEMONS)}
        yield gauge(
            "crypto_intel_dagster_daemon_heartbeat_age_seconds", "Since each daemon's last sign.", ["daemon"], ages
        )

    def _sensors(self) -> Iterator[Metric]:
        counts: dict[tuple[str, ...], float] = {}
        ages: dict[tuple[str, ...], float] = {}
        for row in self._reader.rows(_TICKS, limit=_NEWEST_TICKS):
            sensor = json.loads(row["tick_body"])[
                "job_name"
            ]  # as storage has called it since there were schedules alone
            ages[(sensor,)] = min(row["age_s"], ages.get((sensor,), row["age_s"]))
            if row["age_s"] <= TICK_WINDOW_S:
                key = (sensor, row["status"])
                counts[key] = counts.get(key, 0) + 1
        yield gauge(
            "crypto_intel_dagster_sensor_ticks", "Ticks of the last ten minutes, by how they ended.",
            ["sensor", "status"], counts,
        )  # fmt: skip
        yield gauge("crypto_intel_dagster_sensor_tick_age_seconds", "Since each one's last tick.", ["sensor"], ages)

    def _failed_checks(self) -> Metric:
        if self._checks_seen < 0:
            self._checks_seen = max(self._reader.rows(_CHECKS_END)[0]["id"] - _NEWEST_CHECKS, 0) + _OVERLAP
        for row in self._reader.rows(_CHECKS, after=self._checks_seen - _OVERLAP):
            self._note_check(row)
        failed: dict[tuple[str, ...], float] = {}
        for (asset, _), status in self._checks.items():
            failed[(asset,)] = failed.get((asset,), 0.0) + (status in {"FAILED", "EXECUTION_FAILED"})
        return gauge(
            "crypto_intel_dagster_checks_failed", "Checks of the asset whose newest result is a failure.", ["asset"],
            failed,
        )  # fmt: skip

    def _note_check(self, row: dict[str, Any]) -> None:
        self._checks_seen = max(self._checks_seen, row["id"])
        if row["execution_status"] != "PLANNED":  # one under way leaves the result before it standing
            self._checks[_asset(row["asset_key"]), row["check_name"]] = row["execution_status"]

    def _partition_ages(self) -> Metric:
        now, ages = self._now(), {}
        for row in self._reader.rows(_PARTITIONS):
            end = partition_end(row["partition"] or "")
            if end is not None:
                ages[(_asset(row["asset_key"]),)] = (now - end).total_seconds()
        return gauge(
            "crypto_intel_dagster_partition_age_seconds",
            "Platform clock minus the end of the asset's newest hour or day that was made.", ["asset"], ages,
        )  # fmt: skip


def partition_end(key: str) -> datetime | None:
    """End of the hour or day that a partition key names; None for a key of another kind."""
    for form, span in SPANS.items():
        try:
            return datetime.strptime(key, form).replace(tzinfo=UTC) + span
        except ValueError:
            continue
    return None


def _asset(key: str) -> str:
    return "/".join(json.loads(key))
