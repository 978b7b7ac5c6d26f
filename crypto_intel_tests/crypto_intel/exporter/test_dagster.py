"""Figures of a real Dagster instance, whose storage is a real PostgreSQL; written through Dagster's own library."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import TickData, TickStatus
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import SerializableErrorInfo
from pydantic import SecretStr

from crypto_intel.core.hours import DAY_FORMAT, HOUR_FORMAT
from crypto_intel.exporter.dagster import SPANS, Dagster, partition_end
from crypto_intel.exporter.database import Reader
from crypto_intel_tests.crypto_intel.exporter.figures import values

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("dagster-code", 4266), "__repository__"), "market_hour"
)
GOLD = dg.AssetKey(["gold", "bars_1m"])


@pytest.fixture(scope="module")
def storage(postgres_dsn: str) -> str:
    """A database that only Dagster uses."""
    from crypto_intel.stack.postgres import ensure_database

    return ensure_database(postgres_dsn, "exporter_dagster")


@pytest.fixture(scope="module")
def instance(storage: str) -> Iterator[dg.DagsterInstance]:
    """An instance on it."""
    url = storage.replace("postgresql://", "postgresql+psycopg2://", 1)
    with dg.instance_for_test(overrides={"storage": {"postgres": {"postgres_url": url}}}) as found:
        yield found


@pytest.fixture
def dagster(storage: str, instance: dg.DagsterInstance) -> Iterator[Dagster]:
    """The exporter's view of it."""
    reader = Reader(SecretStr(storage))
    yield Dagster(reader, lambda: NOW)
    reader.close()


def check(passed: bool) -> dg.AssetCheckEvaluation:
    """A result of a check."""
    return dg.AssetCheckEvaluation(asset_key=GOLD, check_name="consistent", passed=passed)


@pytest.mark.stack
def test_runs_are_counted_by_state_and_the_queue_has_an_age(dagster: Dagster, instance: dg.DagsterInstance) -> None:
    for status in (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.FAILURE):
        instance.add_run(dg.DagsterRun(job_name="market_hour", status=status, remote_job_origin=ORIGIN))
    found = values(dagster.ask())
    assert found["crypto_intel_dagster_runs", "QUEUED"] == 1
    assert found["crypto_intel_dagster_runs", "FAILURE"] == 2
    assert found["crypto_intel_dagster_runs", "SUCCESS"] == 0
    assert 0 <= found["crypto_intel_dagster_queue_age_seconds",] < 60


@pytest.mark.stack
def test_a_daemon_is_as_silent_as_its_last_heartbeat_is_old(dagster: Dagster, instance: dg.DagsterInstance) -> None:
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 300, "SENSOR", "one", []))
    age_s = values(dagster.ask())["crypto_intel_dagster_daemon_heartbeat_age_seconds", "SENSOR"]
    assert age_s == pytest.approx(300, abs=10)


@pytest.mark.stack
def test_ticks_are_counted_by_sensor_and_outcome(dagster: Dagster, instance: dg.DagsterInstance) -> None:
    for age_s, status in ((30, TickStatus.SKIPPED), (45, TickStatus.SKIPPED), (60, TickStatus.FAILURE)):
        _tick(instance, "hour_closed_sensor", age_s, status)
    _tick(instance, "macro_sensor", 3600, TickStatus.SKIPPED)
    found = values(dagster.ask())
    assert found["crypto_intel_dagster_sensor_ticks", "hour_closed_sensor", "SKIPPED"] == 2
    assert found["crypto_intel_dagster_sensor_ticks", "hour_closed_sensor", "FAILURE"] == 1
    assert ("crypto_intel_dagster_sensor_ticks", "macro_sensor", "SKIPPED") not in found  # longer ago than the window
    assert found["crypto_intel_dagster_sensor_tick_age_seconds", "macro_sensor"] == pytest.approx(3600, abs=10)
    assert found["crypto_intel_dagster_sensor_tick_age_seconds", "hour_closed_sensor"] == pytest.approx(30, abs=10)


def _tick(instance: dg.DagsterInstance, sensor: str, age_s: float, status: TickStatus) -> None:
    started = time.time() - age_s
    error = SerializableErrorInfo("no", [], None) if status is TickStatus.FAILURE else None
    tick = TickData(sensor, sensor, InstigatorType.SENSOR, status, started, selector_id=sensor, error=error)
    instance.create_tick(tick)


@pytest.mark.stack
def test_a_check_counts_as_failed_until_its_next_result(dagster: Dagster, instance: dg.DagsterInstance) -> None:
    name = ("crypto_intel_dagster_checks_failed", "gold/bars_1m")
    instance.report_runless_asset_event(check(passed=False))
    assert values(dagster.ask())[name] == 1
    instance.report_runless_asset_event(check(passed=True))
    assert values(dagster.ask())[name] == 0
    instance.report_runless_asset_event(check(passed=False))
    assert values(dagster.ask())[name] == 1


@pytest.mark.stack
def test_a_partition_is_as_old_as_the_end_of_what_was_made_last(dagster: Dagster, instance: dg.DagsterInstance) -> None:
    for key in ("2026-11-20-14", "2026-11-20-13"):
        instance.report_runless_asset_event(dg.AssetMaterialization(GOLD, partition=key))
    instance.report_runless_asset_event(dg.AssetMaterialization(["gold", "bars_1d"], partition="2026-11-19"))
    instance.report_runless_asset_event(dg.AssetMaterialization(["macro", "fred_observations"], partition="2026|GDP"))
    ages = {key[1]: value for key, value in values(dagster.ask()).items() if key[0].endswith("partition_age_seconds")}
    assert ages == {"gold/bars_1m": 1800, "gold/bars_1d": 15.5 * 3600}


@pytest.mark.parametrize(
    ("key", "end"),
    [
        ("2026-11-20-14", datetime(2026, 11, 20, 15, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC) + timedelta(days=1)),
        ("2026", None),
        ("GDP|2026", None),
        ("", None),
    ],
)
def test_hours_and_days_have_an_end(key: str, end: datetime | None) -> None:
    assert partition_end(key) == end


def test_keys_are_read_as_the_graph_writes_them() -> None:
    assert list(SPANS) == [HOUR_FORMAT, DAY_FORMAT]
