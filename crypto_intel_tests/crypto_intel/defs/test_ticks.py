"""What a tick reads does not grow with the hours that are behind it: each log once, and no question an hour."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.remote_representation.external_data import SensorExecutionErrorSnap
from dagster._grpc.impl import get_external_sensor_execution
from dagster_deltalake import DeltaTableResource

from crypto_intel.contracts.derived import GOLD_BARS_1H
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_TRADES, GOLD_BARS_1M
from crypto_intel.core.hours import HOUR, event_hour
from crypto_intel.definitions import build_defs
from crypto_intel.graph.specs import key_of
from crypto_intel.resources import kafka
from crypto_intel.stack.postgres import ensure_database
from crypto_intel_tests.benchmarks import history
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.lakes import HOUR as H22
from crypto_intel_tests.crypto_intel.resources.test_dagster_storage import instance_on, own

__all__ = ["own"]  # a fixture

pytestmark = pytest.mark.stack

FEW, MANY = 2, 40


def lay(lake: Path, hours: int) -> None:
    """Tables by hour and by day with a row an hour, and heartbeats of their end."""
    end = H22 + hours * HOUR
    for table in (BRONZE_TRADES, GOLD_BARS_1M, GOLD_BARS_1H):
        lakes.append(lake, table, [history.row(table, end - n * HOUR) for n in range(hours, 0, -1)])
    lakes.append(lake, BRONZE_FEED_STATUS, lakes.heartbeats(end - timedelta(seconds=20), end))


def remember(instance: dg.DagsterInstance, hours: int) -> None:
    """What so many hours left in Dagster's log."""
    for n in range(hours):
        made = dg.AssetMaterialization(key_of(GOLD_BARS_1H), partition=event_hour(H22 + n * HOUR))
        instance.report_runless_asset_event(made)


def test_no_sensor_reads_more_when_there_are_more_hours(
    tmp_path: Path, postgres_dsn: str, own_postgres_dsn: str, own: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTO_INTEL_POSTGRES_DSN", own_postgres_dsn)
    monkeypatch.setenv("CRYPTO_INTEL_KAFKA__BOOTSTRAP", "127.0.0.1:9")  # nobody: it is named, the rest is observed
    monkeypatch.setattr(kafka, "TIMEOUT_S", 0.2)
    repository = build_defs().get_repository_def()
    names = sorted(sensor.name for sensor in repository.sensor_defs)
    logs: Counter[str] = Counter()
    load = DeltaTableResource.load
    monkeypatch.setattr(DeltaTableResource, "load", lambda self: logs.update([self.url]) or load(self))

    def reads(hours: int) -> dict[str, tuple[int, int]]:
        monkeypatch.setenv("CRYPTO_INTEL_DATA_DIR", str(tmp_path / str(hours)))
        lay(tmp_path / str(hours) / "lake", hours)
        dsn = ensure_database(postgres_dsn, f"ticks_{hours}")
        with instance_on(dsn, own, monkeypatch) as (instance, made):
            remember(instance, hours)
            evaluate = ticker(repository, instance)
            found = {}
            for name in names:
                cursor = evaluate(name, None).cursor  # the first look finds all; those behind it what is new
                logs.clear()
                made.clear()
                evaluate(name, cursor)
                assert max(logs.values(), default=0) <= 1, f"{name} reads a table's log again"
                found[name] = (sum(logs.values()), made["statements"])
        return found

    assert reads(MANY) == reads(FEW)


def ticker(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance
) -> Callable[[str, str | None], SensorExecutionData]:
    """Ticks as a code server evaluates them."""
    origin = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=9, location_name="crypto_intel")

    def evaluate(name: str, cursor: str | None) -> SensorExecutionData:
        done = get_external_sensor_execution(
            repository, origin, instance.get_ref(), name, None, None, cursor, None, None
        )
        assert not isinstance(done, SensorExecutionErrorSnap), done
        return done

    return evaluate
