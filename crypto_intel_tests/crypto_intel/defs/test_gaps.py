"""The ledger of gaps as a table: what is open, what came back, what never will, and that someone hears of it."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from crypto_intel.checks.factories import Outcome, Readers
from crypto_intel.checks.streams import STREAM_CHECKS
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_TRADES, SILVER_GAPS
from crypto_intel.graph.specs import key_of
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import publish_spans
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.lakes import HOUR as H22

pytestmark = pytest.mark.stack

MINUTE = timedelta(minutes=1)


def told(status: str, first_id: int, last_id: int, at: datetime) -> dict[str, Any]:
    """A row of bronze.feed_status about trade ids."""
    (row, *_) = lakes.heartbeats(at, at, topic="feed_status_topic")
    ids = {"symbol": "BTC-USDT", "first_id": first_id, "last_id": last_id, "detail": f"{status} of {first_id}"}
    return {**row, "status": status, **ids}


def materialize(graph: dg.Definitions) -> dict[str, Any]:
    """Materialize silver.gaps; its metadata."""
    result = dg.materialize(
        [asset for asset in graph.assets or [] if isinstance(asset, dg.AssetsDefinition)],
        selection=dg.AssetSelection.assets(key_of(SILVER_GAPS)),
        resources=graph.resources,
    )
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def judge(lake: Lake) -> Outcome:
    """The check that no gap stays open."""
    (check,) = [one for one in STREAM_CHECKS if one.name == "no_gap_stays_open"]
    assert check.severity is dg.AssetCheckSeverity.WARN
    return check.judge(Readers(lake, Postgres()))


def test_a_platform_without_gaps_has_an_empty_ledger(graph: dg.Definitions, lake: Lake) -> None:
    assert materialize(graph)["dagster/row_count"] == 0
    assert lake.scan(SILVER_GAPS).collect().is_empty()


def test_the_ledger_is_written_anew_and_counts_states(graph: dg.Definitions, lake: Lake, lake_path: Path) -> None:
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(9, H22), lakes.trade(20, H22 + MINUTE)])
    gaps = [told("gap", 10, 19, H22), told("gap", 30, 39, H22), told("gap", 50, 59, H22)]
    lakes.append(lake_path, BRONZE_FEED_STATUS, [*gaps, told("unrecoverable", 50, 59, H22 + MINUTE)])
    assert materialize(graph)["open"] == 2
    lakes.append(lake_path, BRONZE_FEED_STATUS, [told("repaired", 10, 19, H22 + MINUTE)])
    found = materialize(graph)
    assert [found[name] for name in ("open", "repaired", "unrecoverable")] == [1, 1, 1]
    assert (found["repaired_ids"], found["unrecoverable_ids"]) == (10, 10)
    ledger = lake.scan(SILVER_GAPS).sort("first_id").collect()
    assert ledger["state"].to_list() == ["repaired", "open", "unrecoverable"]
    assert ledger.row(0, named=True)["span_start"] == H22
    assert ledger.row(0, named=True)["span_end"] == H22 + MINUTE


def test_a_gap_that_stays_open_is_told_after_a_quarter_of_an_hour(
    graph: dg.Definitions, lake: Lake, lake_path: Path
) -> None:
    assert judge(lake).passed
    lakes.append(lake_path, BRONZE_FEED_STATUS, [told("gap", 10, 19, H22), told("gap", 30, 39, H22)])
    lakes.append(lake_path, BRONZE_FEED_STATUS, [told("unrecoverable", 30, 39, H22 + MINUTE)])
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22 + 15 * MINUTE, H22 + 15 * MINUTE))
    assert judge(lake).passed and judge(lake).metadata["open"] == 1
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22 + 16 * MINUTE, H22 + 16 * MINUTE))
    found = judge(lake)
    assert not found.passed and found.metadata["open_too_long"] == 1
    assert "gap of 10" in str(found.metadata["gaps"].value)
    lakes.append(lake_path, BRONZE_FEED_STATUS, [told("repaired", 10, 19, H22 + 16 * MINUTE)])
    assert judge(lake).passed


def test_a_gap_of_last_week_is_still_open_by_the_ledger(graph: dg.Definitions, lake: Lake, lake_path: Path) -> None:
    lakes.append(lake_path, BRONZE_FEED_STATUS, [told("gap", 10, 19, H22)])
    materialize(graph)
    week = H22 + timedelta(days=7)
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(week, week))
    assert judge(lake).metadata["open_too_long"] == 1


def test_served_gaps_get_the_times_around_them_and_keep_their_state(
    graph: dg.Definitions, lake: Lake, lake_path: Path, own_postgres_dsn: str
) -> None:
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(9, H22), lakes.trade(20, H22 + MINUTE)])
    lakes.append(lake_path, BRONZE_FEED_STATUS, [told("gap", 10, 19, H22), told("gap", 30, 39, H22)])
    materialize(graph)
    postgres = Postgres(dsn=own_postgres_dsn)
    with postgres.connect() as connection:
        connection.execute(
            "INSERT INTO public.gaps (venue, symbol, first_id, last_id, found_at, state) VALUES "
            "('binance', 'BTC-USDT', 10, 19, now(), 'repaired'), ('binance', 'BTC-USDT', 30, 40, now(), 'open')"
        )
    done = [publish_spans(postgres, lake.scan(SILVER_GAPS)).metadata for _ in range(2)]
    assert done == [{"dagster/row_count": 1, "rows_changed": 1}, {"dagster/row_count": 1, "rows_changed": 0}]
    with postgres.connect() as connection:
        rows = connection.execute("SELECT state, span_start, span_end FROM public.gaps ORDER BY first_id").fetchall()
    assert rows == [("repaired", H22, H22 + MINUTE), ("open", None, None)]
