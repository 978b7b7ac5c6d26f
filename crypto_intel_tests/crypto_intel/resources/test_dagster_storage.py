"""Dagster on its own PostgreSQL: as Dagster would store it, over few connections and in few statements."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa
import yaml
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from crypto_intel.resources.dagster_storage import EventLog
from crypto_intel.stack import dagster_home
from crypto_intel.stack.postgres import ensure_database

pytestmark = pytest.mark.stack

YEARS = dg.StaticPartitionsDefinition([str(year) for year in range(1950, 2000)])
NOW = datetime.now(UTC)
ERROR = dg.AssetCheckSeverity.ERROR
STORED = ("ASSET_MATERIALIZATION_PLANNED", "ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION_PLANNED")


@dg.asset(partitions_def=YEARS, backfill_policy=dg.BackfillPolicy.single_run())
def observations() -> None:
    """A table by year."""


@dg.asset_check(asset=observations)
def holds() -> dg.AssetCheckResult:
    """A check planned with it."""
    return dg.AssetCheckResult(passed=True)


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The storages as the stack's dagster.yaml names them; events are stored 30 at a time."""
    home = tmp_path_factory.mktemp("home")
    dagster_home.write(home, 4266)
    monkeypatch.setenv(dagster_home.EVENT_BATCH_VARIABLE, "30")
    settings = yaml.safe_load((home / "dagster.yaml").read_text())
    return {name: settings[name] for name in ("run_storage", "event_log_storage", "schedule_storage")}


@contextmanager
def instance_on(
    dsn: str, storages: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[dg.DagsterInstance, Counter[str]]]:
    """An instance whose storages are in that database, and the count of statements and connections it made."""
    monkeypatch.setenv(dagster_home.URL_VARIABLE, dsn.replace("postgresql://", "postgresql+psycopg2://", 1))
    made: Counter[str] = Counter()

    def statement(*_: object) -> None:
        made["statements"] += 1

    def connection(*_: object) -> None:
        made["connections"] += 1

    with dg.instance_for_test(overrides=storages) as instance:
        sa.event.listen(sa.Engine, "before_cursor_execute", statement)
        sa.event.listen(sa.pool.Pool, "connect", connection)
        try:
            yield instance, made
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", statement)
            sa.event.remove(sa.pool.Pool, "connect", connection)


def run_all_years(instance: dg.DagsterInstance) -> list[tuple[str, str | None]]:
    """What is in the log after a run of all years."""
    jobs = [dg.define_asset_job("years", dg.AssetSelection.all())]
    job = dg.Definitions(assets=[observations], asset_checks=[holds], jobs=jobs).resolve_job_def("years")
    tags = {"dagster/asset_partition_range_start": "1950", "dagster/asset_partition_range_end": "1999"}
    run = job.execute_in_process(instance=instance, tags=tags)
    assert run.success
    status = instance.get_status_by_partition(observations.key, list(YEARS.get_partition_keys()), YEARS)
    assert status is not None
    assert set(status.values()) == {AssetPartitionStatus.MATERIALIZED}
    return stored(instance, run.run_id)


def stored(instance: dg.DagsterInstance, run_id: str) -> list[tuple[str, str | None]]:
    """What of STORED is in the log of a run."""
    events = [entry.get_dagster_event() for entry in instance.all_logs(run_id) if entry.is_dagster_event]
    return sorted((e.event_type_value, e.partition or "") for e in events if e.event_type_value in STORED)


def test_a_run_of_many_partitions_is_stored_as_dagster_does_with_far_less(
    postgres_dsn: str, own: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with instance_on(ensure_database(postgres_dsn, "storage_own"), own, monkeypatch) as (instance, few):
        ours = run_all_years(instance)
    stock = {"storage": {"postgres": {"postgres_url": {"env": dagster_home.URL_VARIABLE}}}}
    with instance_on(ensure_database(postgres_dsn, "storage_stock"), stock, monkeypatch) as (instance, many):
        assert run_all_years(instance) == ours
    assert len(ours) == 101
    assert many["statements"] - few["statements"] > 100  # of three for each of 50 planned partitions
    assert few["connections"] < 10
    assert many["connections"] > 100


def test_what_sensors_told_is_forgotten_but_for_the_newest(
    postgres_dsn: str, own: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = ensure_database(postgres_dsn, "storage_forget")
    with instance_on(dsn, own, monkeypatch) as (instance, _):
        kept = run_all_years(instance)
        for number in range(3):
            for name in ("trades", "news"):
                instance.report_runless_asset_event(dg.AssetObservation(name, tags={"version": str(number)}))
            evaluation = dg.AssetCheckEvaluation(
                asset_key=observations.key, check_name="holds", passed=False, metadata={}, severity=ERROR
            )
            instance.report_runless_asset_event(evaluation)
            instance.report_runless_asset_event(dg.AssetMaterialization("alert"))
        storage = instance.event_log_storage
        assert isinstance(storage, EventLog)
        assert storage.forget(NOW - timedelta(days=1)) == {"asset_check_executions": 0, "event_logs": 0}
        forgotten = {"asset_check_executions": 2, "event_logs": 6}  # 2 of 3 of two assets and a check
        assert storage.forget(NOW + timedelta(days=1)) == forgotten
        left = {name: instance.fetch_observations(dg.AssetKey(name), limit=9).records for name in ("trades", "news")}
        assert [record.asset_observation.tags for found in left.values() for record in found] == [{"version": "2"}] * 2  # type: ignore[union-attr]
        key = dg.AssetCheckKey(observations.key, "holds")
        latest = storage.get_latest_asset_check_execution_by_key([key])[key]
        assert latest.status.value == "FAILED"
        assert len(instance.fetch_materializations(dg.AssetKey("alert"), limit=9).records) == 3
        (run,) = instance.get_runs()
        assert stored(instance, run.run_id) == kept


def test_a_server_that_started_anew_costs_no_statement(
    postgres_dsn: str, own: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = ensure_database(postgres_dsn, "storage_cut")
    with instance_on(dsn, own, monkeypatch) as (instance, _):
        instance.add_run(dg.DagsterRun(job_name="before"))
        with psycopg.connect(postgres_dsn, autocommit=True) as admin:
            cut = admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'storage_cut'"
            ).fetchall()
        assert cut
        instance.add_run(dg.DagsterRun(job_name="after"))
        assert {run.job_name for run in instance.get_runs()} == {"before", "after"}


@dg.op(pool="scarce")
def asks() -> None:
    """A step that one may take at a time."""


def test_a_step_waits_for_its_pool_at_no_cost_and_goes_when_it_is_free(
    postgres_dsn: str, own: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = {**own, "concurrency": {"pools": {"granularity": "op", "default_limit": 1}}}
    job = dg.GraphDefinition("asking", node_defs=[asks]).to_job(executor_def=dg.in_process_executor)
    with instance_on(ensure_database(postgres_dsn, "storage_pools"), pools, monkeypatch) as (instance, made):
        storage = instance.event_log_storage
        assert job.execute_in_process(instance=instance).success
        assert storage.claim_concurrency_slot("scarce", "a run that was killed", "asks").is_claimed
        before, began, used = made["statements"], time.monotonic(), time.thread_time()
        freeing = threading.Timer(3.0, storage.free_concurrency_slots_for_run, ["a run that was killed"])
        freeing.start()
        assert job.execute_in_process(instance=instance).success
        freeing.join()
        assert time.monotonic() - began >= 3.0
        assert time.thread_time() - used < 1.5  # asking without a pause costs all of the wait
        assert made["statements"] - before < 400
