"""A run of many partitions in Dagster's own PostgreSQL: as Dagster would note it, in a few statements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.partition_status_cache import AssetPartitionStatus
from sqlalchemy import event

from crypto_intel.stack.dagster_home import EVENT_BATCH_VARIABLE
from crypto_intel.stack.postgres import ensure_database

pytestmark = pytest.mark.stack

YEARS = dg.StaticPartitionsDefinition([str(year) for year in range(1900, 2000)])
OWN = ("crypto_intel.resources.event_log", "EventLog")
STOCK = ("dagster_postgres.event_log", "PostgresEventLogStorage")


@dg.asset(partitions_def=YEARS, backfill_policy=dg.BackfillPolicy.single_run())
def observations() -> None:
    """A table by year."""


@dg.asset_check(asset=observations)
def holds() -> dg.AssetCheckResult:
    """A check planned with it."""
    return dg.AssetCheckResult(passed=True)


@pytest.fixture(autouse=True)
def batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are stored 30 at a time."""
    monkeypatch.setenv(EVENT_BATCH_VARIABLE, "30")


@contextmanager
def instance_on(dsn: str, storage: tuple[str, str]) -> Iterator[dg.DagsterInstance]:
    """An instance whose storages are in that database."""
    config = {"postgres_url": dsn.replace("postgresql://", "postgresql+psycopg2://", 1)}
    overrides: dict[str, Any] = {
        "run_storage": {
            "module": "dagster_postgres.run_storage",
            "class": "PostgresRunStorage",
            "config": config,
        },
        "event_log_storage": {"module": storage[0], "class": storage[1], "config": config},
        "schedule_storage": {
            "module": "dagster_postgres.schedule_storage",
            "class": "PostgresScheduleStorage",
            "config": config,
        },
    }
    with dg.instance_for_test(overrides=overrides) as instance:
        yield instance


def noted(dsn: str, storage: tuple[str, str]) -> tuple[list[Any], int]:
    """What is in the log after a run of all years, and how many statements wrote or read it."""
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        with instance_on(dsn, storage) as instance:
            job = dg.Definitions(
                assets=[observations],
                asset_checks=[holds],
                jobs=[dg.define_asset_job("years", dg.AssetSelection.all())],
            ).resolve_job_def("years")
            tags = {"dagster/asset_partition_range_start": "1900", "dagster/asset_partition_range_end": "1999"}
            run = job.execute_in_process(instance=instance, tags=tags)
            assert run.success
            records = instance.get_records_for_run(run.run_id).records
            status = instance.get_status_by_partition(observations.key, list(YEARS.get_partition_keys()), YEARS)
            assert status is not None
            assert set(status.values()) == {AssetPartitionStatus.MATERIALIZED}
            assert instance.get_latest_materialization_event(observations.key) is not None
            events = [record.event_log_entry.get_dagster_event() for record in records]
    finally:
        event.remove(sa.Engine, "before_cursor_execute", count)
    kinds = ("ASSET_MATERIALIZATION_PLANNED", "ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION_PLANNED")
    return [(e.event_type_value, e.partition) for e in events if e.event_type_value in kinds], statements


def test_planned_partitions_are_noted_as_dagster_does_in_a_few_statements(postgres_dsn: str) -> None:
    own, few = noted(ensure_database(postgres_dsn, "event_log_own"), OWN)
    stock, many = noted(ensure_database(postgres_dsn, "event_log_stock"), STOCK)
    assert sorted(own, key=str) == sorted(stock, key=str)
    assert len(own) == 201
    assert many - few > 200  # of three and more for each of 100 planned partitions
