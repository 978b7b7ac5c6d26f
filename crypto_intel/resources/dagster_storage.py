"""Dagster's storages in PostgreSQL, with connections that are kept and planned partitions that are stored together.

Dagster's own open a connection for each statement, milliseconds of two processes each, and note what is planned one by
one: a run of 1,598 partitions begins a minute late. dagster.yaml names these classes; the tables are Dagster's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import dagster as dg
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from dagster_postgres.utils import create_pg_engine, pg_url_from_config
from sqlalchemy import Engine

MOST_AT_ONCE = 20
"""Connections of a storage in a process, for threads of the daemon; all but one are closed after use."""

RECYCLE_S = 300
"""A kept connection is no older than that."""


class _Kept:
    """Keeps a connection: a mixin before one of Dagster's storages. Each is tried before use, as servers start anew."""

    postgres_url: str
    _engine: Engine

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._engine = create_pg_engine(
            self.postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            max_overflow=MOST_AT_ONCE - 1,
            pool_recycle=RECYCLE_S,
            pool_pre_ping=True,
        )

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """The storage of a dagster.yaml; its config is that of Dagster's own."""
        return cls(pg_url_from_config(config_value), inst_data=inst_data)

    def dispose(self) -> None:
        """Let the connection go: a code server makes an instance for each look of a sensor."""
        self._engine.dispose()
        super().dispose()  # type: ignore[misc]  # of the storage behind this mixin


class RunStorage(_Kept, PostgresRunStorage):
    """Runs, and the daemons' heartbeats."""


class ScheduleStorage(_Kept, PostgresScheduleStorage):
    """Ticks of sensors and schedules."""


class EventLog(_Kept, PostgresEventLogStorage):
    """Events of runs and assets. Batches are as long as DAGSTER_EVENT_BATCH_SIZE says; 0: none."""

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store events of any kinds; those of planned materializations with one statement."""
        planned = [event for event in events if _is_planned(event)]
        if planned:
            self._store_planned(planned)
        if others := [event for event in events if not _is_planned(event)]:
            super().store_event_batch(others)

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
