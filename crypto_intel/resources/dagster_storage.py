"""Dagster's storages in PostgreSQL, with connections that are kept and planned partitions that are stored together.

Dagster's own open a connection for each statement, milliseconds of two processes each, look for their tables whenever
an instance is made, which a code server does for each tick of a sensor, and note what is planned one by one: a run of
1,598 partitions begins a minute late. And who waits for a pool's slot waits here: Dagster's one-process executor asks
without a pause until it has it, at a core's cost. dagster.yaml names these classes; the tables are Dagster's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Self

import dagster as dg
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._record import replace
from dagster._serdes import ConfigurableClassData
from dagster._utils.concurrency import ConcurrencyClaimStatus
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from dagster_postgres.utils import create_pg_engine, pg_url_from_config
from sqlalchemy import Engine, text

KEPT = 2
MOST_AT_ONCE = 20
"""Connections of a process, for threads of the daemon and ticks of a code server; all but KEPT are closed after use."""

CLAIM_WAIT_S, CLAIM_POLL_S = 2.0, 0.25
"""How long a step waits for its pool before the run looks for another step that may go, and how often it asks."""

RECYCLE_S = 300
"""A kept connection is no older than that."""


@cache
def engine_of(url: str) -> Engine:
    """The connections of this process, which all storages of its instances share; each is tried before use, as servers
    start anew."""
    return create_pg_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=KEPT,
        max_overflow=MOST_AT_ONCE - KEPT,
        pool_recycle=RECYCLE_S,
        pool_pre_ping=True,
    )


_SEEN: set[tuple[type, str]] = set()
"""Storages whose tables this process has found or made."""


class _Kept:
    """Shares the process's connections: a mixin before one of Dagster's storages."""

    _engine: Engine

    def __init__(self, url: str, inst_data: ConfigurableClassData | None = None) -> None:
        is_new = (type(self), url) not in _SEEN
        super().__init__(url, should_autocreate_tables=is_new, inst_data=inst_data)  # type: ignore[call-arg]
        _SEEN.add((type(self), url))
        self._engine = engine_of(url)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """The storage of a dagster.yaml; its config is that of Dagster's own."""
        return cls(pg_url_from_config(config_value), inst_data)


class RunStorage(_Kept, PostgresRunStorage):
    """Runs, and the daemons' heartbeats."""


class ScheduleStorage(_Kept, PostgresScheduleStorage):
    """Ticks of sensors and schedules."""


_FORGET_EXECUTIONS = text(
    "DELETE FROM asset_check_executions WHERE run_id = '' AND evaluation_event_timestamp < :before "
    "AND id NOT IN (SELECT max(id) FROM asset_check_executions GROUP BY asset_key, check_name)"
)
_FORGET_EVENTS = text("""
WITH kept AS (
  SELECT max(id) AS id FROM event_logs WHERE dagster_event_type = 'ASSET_OBSERVATION' GROUP BY asset_key
  UNION SELECT evaluation_event_storage_id FROM asset_check_executions WHERE evaluation_event_storage_id IS NOT NULL
)
DELETE FROM event_logs WHERE run_id = '' AND timestamp < :before
  AND dagster_event_type IN ('ASSET_OBSERVATION', 'ASSET_CHECK_EVALUATION') AND id NOT IN (SELECT id FROM kept)
""")


class EventLog(_Kept, PostgresEventLogStorage):
    """Events of runs and assets. Batches are as long as DAGSTER_EVENT_BATCH_SIZE says; 0: none."""

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store events of any kinds; those of planned materializations with one statement."""
        planned = [event for event in events if _is_planned(event)]
        if planned:
            self._store_planned(planned)
        if others := [event for event in events if not _is_planned(event)]:
            super().store_event_batch(others)

    def claim_concurrency_slot(
        self, concurrency_key: str, run_id: str, step_key: str, priority: int | None = None
    ) -> ConcurrencyClaimStatus:
        """Take a slot of a pool, or wait for one for CLAIM_WAIT_S; who got none may ask again at once."""
        until = time.monotonic() + CLAIM_WAIT_S
        while True:
            status = super().claim_concurrency_slot(concurrency_key, run_id, step_key, priority)
            if status.is_claimed or time.monotonic() >= until:
                return replace(status, sleep_interval=0.0)
            time.sleep(CLAIM_POLL_S)

    def forget(self, before: datetime) -> dict[str, int]:
        """Delete what sensors have told without a run: observations, and evaluations of checks.

        The newest of each asset and check stays, as does all that a run told, and every alert.

        Args:
            before: in UTC; what is older goes.

        Returns:
            Rows by table.
        """
        at = {"before": before.astimezone(UTC).replace(tzinfo=None)}
        with self.index_connection() as connection:
            executions = connection.execute(_FORGET_EXECUTIONS, at).rowcount
            events = connection.execute(_FORGET_EVENTS, at).rowcount
        return {"asset_check_executions": executions, "event_logs": events}

    def _store_planned(self, events: Sequence[dg.EventLogEntry]) -> None:
        insert = self.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id)
        with self._connect() as connection:
            ids = [int(row[0]) for row in connection.execute(insert).fetchall()]
        # An asset's own row holds its newest event only.
        newest = {event.get_dagster_event().asset_key: (event, id_) for event, id_ in zip(events, ids, strict=True)}
        with self.index_transaction() as connection:
            for event, id_ in newest.values():
                self._store_asset_event(connection, event, id_)


def _is_planned(event: dg.EventLogEntry) -> bool:
    return event.dagster_event_type is dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
