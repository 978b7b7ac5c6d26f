"""A market_hour run makes silver, gold and the served rows of its hour, and stops where a check says stop."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from crypto_intel.automation.jobs import HOUR_TABLES
from crypto_intel.automation.streams import hour_closed_sensor
from crypto_intel.checks.hours import HOUR_CHECKS
from crypto_intel.contracts.derived import GOLD_BARS_1D, GOLD_BARS_1H, SILVER_NEWS, SILVER_QUARANTINE
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_TRADES,
    GOLD_BARS_1M,
    GOLD_MARKET_ENRICHED,
    SILVER_BARS_1M,
    SILVER_TRADES,
)
from crypto_intel.core.frames import conform
from crypto_intel.core.hours import HOUR, event_hour
from crypto_intel.definitions import build_defs
from crypto_intel.graph.specs import key_of
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.spark import BatchSpark
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.defs import test_repaired_minutes as repaired_minutes
from crypto_intel_tests.crypto_intel.defs.conftest import Tick
from crypto_intel_tests.crypto_intel.defs.test_repaired_minutes import sink
from streaming.sinks.postgres import PostgresSink

__all__ = ["sink"]  # a fixture

pytestmark = pytest.mark.stack

KEY = event_hour(lakes.HOUR)
JUDGED = "SELECT alert_id, state, verdict FROM alerts ORDER BY alert_id"


def run(graph: dg.Definitions, key: str, *, job: str = "market_hour") -> dg.ExecuteInProcessResult:
    return graph.resolve_job_def(job).execute_in_process(partition_key=key, raise_on_error=False)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {
        f"{found.asset_key.to_user_string()}:{found.check_name}": found.passed
        for found in result.get_asset_check_evaluations()
    }


def materialized(result: dg.ExecuteInProcessResult) -> list[str]:
    return [event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key]


@pytest.fixture(scope="module")
def warm_spark(java_home: Path) -> Iterator[None]:
    """One session for the runs of this module; a run that finds a session uses it and leaves it running."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(java_home))
        with BatchSpark().session():
            yield


@pytest.fixture
def served_graph(lake_resources: dict[str, Any], own_postgres_dsn: str, warm_spark: None) -> dg.Definitions:
    return build_defs(resource_overrides={**lake_resources, "postgres": Postgres(dsn=own_postgres_dsn)})


def test_an_hour_is_made_from_bronze_to_the_served_rows(
    served_graph: dg.Definitions, lake: Lake, lake_path: Path, own_postgres_dsn: str
) -> None:
    lakes.fill_hour(lake_path)
    result = run(served_graph, KEY)
    assert result.success
    assert checks(result) == {
        **{f"{key_of(table).to_user_string()}:contract": True for table in HOUR_TABLES},
        **{f"{key_of(check.table).to_user_string()}:{check.name}": True for check in HOUR_CHECKS},
        "gold/bars_1m:stream_equals_batch": True,
        "publish/market_enriched:agrees_with_lake": True,
    }
    assert lake.scan(SILVER_TRADES).collect()["trade_id"].sort().to_list() == list(range(1000, 1600))
    bars = lake.scan(GOLD_BARS_1M).collect()
    assert bars.height == 60 and bars["trade_count"].sum() == 600
    rows = {table.name: lake.scan(table).collect().height for table in HOUR_TABLES if table.layer == "gold"}
    assert rows == {
        **dict.fromkeys(("bars_1m", "market_enriched", "returns_volatility", "cross_venue"), 60),
        **{"bars_5m": 12, "bars_1h": 1, "market_summary": 1, "indicators": 60 + 12 + 1},
    }
    hour = lake.scan(GOLD_BARS_1H).collect().row(0, named=True)
    assert (hour["trade_count"], hour["first_trade_id"], hour["last_trade_id"]) == (600, 1000, 1599)
    assert lake.scan(SILVER_NEWS).collect()["article_id"].to_list() == ["a1"]
    assert lake.scan(GOLD_MARKET_ENRICHED).filter(pl.col("news_count") == 1).collect().height == 11
    with Postgres(dsn=own_postgres_dsn).connect() as connection:
        finals = connection.execute("SELECT count(*) FROM public.market_enriched WHERE is_final").fetchone()
        trades = connection.execute("SELECT sum(trade_count) FROM public.bars_1m").fetchone()
        counts = [
            connection.execute(f"SELECT count(*) FROM public.{name}").fetchone()
            for name in ("bars_5m", "bars_1h", "indicators", "market_summary")
        ]
    assert counts == [(12,), (1,), (73,), (1,)]
    assert (finals, trades) == ((60,), (Decimal(600),))


def test_a_repeated_run_changes_no_row(served_graph: dg.Definitions, lake: Lake, lake_path: Path) -> None:
    lakes.fill_hour(lake_path)
    run(served_graph, KEY)
    first = lake.scan(GOLD_MARKET_ENRICHED).sort("window_start").collect()
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(lakes.HOUR + 3 * HOUR, lakes.HOUR + 3 * HOUR))
    again = run(served_graph, KEY)
    assert lake.scan(GOLD_MARKET_ENRICHED).sort("window_start").collect().equals(first)
    published = [e for e in again.get_asset_materialization_events() if e.asset_key.path[0] == "publish"]
    changed = {e.asset_key.path[1]: e.materialization.metadata["rows_changed"].value for e in published}
    assert changed.keys() >= {"market_enriched", "bars_1m", "bars_5m", "bars_1h", "indicators", "quotes", "gaps"}
    assert set(changed.values()) == {0}


def test_an_hour_made_again_after_a_repair_turns_its_bar_from_partial_to_repaired_and_serves_the_next_revision(
    served_graph: dg.Definitions, lake: Lake, lake_path: Path, own_postgres_dsn: str
) -> None:
    ids = [n for n in range(1000, 1600) if not 1212 <= n < 1217]  # five trades of 22:21 are missing
    at = {n: lakes.HOUR + timedelta(seconds=6 * (n - 1000)) for n in range(1000, 1600)}
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(n, at[n]) for n in ids])
    past = lakes.HOUR + timedelta(hours=1, minutes=7)
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(lakes.HOUR - timedelta(minutes=1), past))

    def minute() -> tuple[Any, ...]:
        with Postgres(dsn=own_postgres_dsn).connect() as connection:
            row = connection.execute(
                "SELECT completeness, trade_count, coverage_pct, revision FROM public.market_enriched "
                "WHERE window_start = %s",
                (lakes.HOUR + timedelta(minutes=21),),
            ).fetchone()
        assert row is not None
        return row

    first = run(served_graph, KEY)
    assert checks(first)["silver/trades:ids_contiguous"] is False  # nobody told of them yet
    assert minute() == ("partial", 5, 50.0, 1)
    repaired = [lakes.trade(n, at[n], origin="rest", kafka_offset=9000 + n) for n in range(1212, 1217)]
    lakes.append(lake_path, BRONZE_TRADES, repaired)
    second = run(served_graph, KEY)
    assert checks(second)["silver/trades:ids_contiguous"] is True
    assert minute() == ("repaired", 10, 100.0, 2)
    revisions = lake.scan(GOLD_MARKET_ENRICHED).collect()["revision"].to_list()
    assert sorted(revisions) == [*[1] * 59, 2]  # no other minute changed


def test_an_hour_that_a_repair_mended_while_it_ran_closes_green_and_its_alerts_are_judged_again(
    served_graph: dg.Definitions, lake_path: Path, own_postgres_dsn: str, tick: Tick, sink: PostgresSink
) -> None:
    postgres = Postgres(dsn=own_postgres_dsn)
    repaired_minutes.stream_with_a_gap(lake_path, sink)
    repaired_minutes.repair(lake_path)
    assert run(served_graph, KEY, job="repaired_minutes").success
    assert run(served_graph, KEY, job="alert_verdicts").success
    assert repaired_minutes.served(postgres, repaired_minutes.ENRICHED) == [("repaired", 10, 100.0, 1)]
    ended = lakes.HOUR + HOUR
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(ended, ended + timedelta(minutes=7)))
    (request,) = tick(hour_closed_sensor).run_requests or []
    result = run(served_graph, str(request.partition_key))
    found = {one.check_name: one for one in result.get_asset_check_evaluations()}["stream_equals_batch"]
    assert found.passed  # what streamed without the missing trades differs, and the repair says why
    explained = {name: value.value for name, value in found.metadata.items() if name != "diff"}
    assert (explained["bars_equal"], explained["bars_explained_by_late_arrivals"]) == (29, 1)
    assert all(checks(result).values())
    finals = "SELECT completeness, trade_count, is_final FROM market_enriched WHERE revision > 0 AND trade_count = 10"
    assert ("repaired", 10, True) in repaired_minutes.served(postgres, finals)
    before = repaired_minutes.served(postgres, JUDGED)
    verdicts = run(served_graph, KEY, job="alert_verdicts")
    assert verdicts.success and all(checks(verdicts).values())
    after = repaired_minutes.served(postgres, JUDGED)
    assert repaired_minutes.served(postgres, repaired_minutes.STATES) == [
        ("data_incident", "resolved", "confirmed"),
        ("data_incident", "resolved", None),
    ]
    assert after == before  # on the same trades the same judgement


def test_both_sides_of_a_day_boundary_are_whole(served_graph: dg.Definitions, lake: Lake, lake_path: Path) -> None:
    second = lakes.HOUR + 2 * HOUR  # 2024-08-09 00:00
    first = second - HOUR
    rows = [lakes.trade(n, second + timedelta(seconds=n - 50)) for n in range(100)]
    lakes.append(lake_path, BRONZE_TRADES, rows)
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(first, second + timedelta(minutes=2), ended=True))
    for hour in (first, second):
        assert run(served_graph, event_hour(hour)).success
    bars = lake.scan(GOLD_BARS_1M).sort("window_start").collect()
    traded = bars.filter(pl.col("trade_count") > 0)
    assert traded.select("event_hour", "trade_count", "first_trade_id", "last_trade_id").rows() == [
        ("2024-08-08-23", 50, 0, 49),
        ("2024-08-09-00", 50, 50, 99),
    ]
    for day in ("2024-08-08", "2024-08-09"):
        assert run(served_graph, day, job="market_day").success
    days = lake.scan(GOLD_BARS_1D).sort("window_start").collect()
    assert days.select("event_day", "trade_count", "first_trade_id", "last_trade_id").rows() == [
        ("2024-08-08", 50, 0, 49),
        ("2024-08-09", 50, 50, 99),
    ]
    # The second hour knows the trade before it: no id is missing between the two, and the return spans them.
    after = traded.row(1, named=True)
    assert (after["coverage_pct"], after["completeness"]) == (100.0, "complete")
    assert after["return_pct"] == 0.0


def test_a_stream_that_differs_from_the_batch_fails_its_check_and_publishes_all_the_same(
    served_graph: dg.Definitions, lake: Lake, lake_path: Path
) -> None:
    lakes.fill_hour(lake_path)
    run(served_graph, KEY)
    streamed = lake.scan(GOLD_BARS_1M).collect().with_columns(event_date=pl.col("window_start").dt.date())
    planted = streamed.with_columns(close=pl.when(pl.int_range(pl.len()) == 7).then(1.0).otherwise("close"))
    lakes.append(lake_path, SILVER_BARS_1M, conform(planted, SILVER_BARS_1M))
    result = run(served_graph, KEY)
    assert result.success
    assert checks(result)["gold/bars_1m:stream_equals_batch"] is False
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "stream_equals_batch"]
    assert found.metadata["bars_equal"].value == 59
    assert "differs" in str(found.metadata["diff"].value)


def test_a_row_that_breaks_its_contract_blocks_everything_downstream(
    graph: dg.Definitions, lake: Lake, lake_path: Path
) -> None:
    lakes.fill_hour(lake_path, trades=10)
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(1, lakes.HOUR, price="-5")])
    result = run(graph, KEY)
    assert not result.success
    assert checks(result) == {
        "silver/trades:ids_contiguous": False,  # ids 2 to 999 are missing, and nobody told of them
        "silver/trades:time_order": True,
        "silver/trades:contract": False,
        **dict.fromkeys(("silver/gaps:contract", "silver/news:contract", "silver/quotes:contract"), True),
    }
    (refused,) = lake.scan(SILVER_QUARANTINE).collect().iter_rows(named=True)
    assert (refused["table_name"], refused["reason"]) == ("silver.trades", "price below 0")
    assert (refused["partition_key"], refused["refused_by"]) == (KEY, "contract")
    assert not {"gold/bars_1m", "gold/market_enriched", "publish/bars_1m"} & set(materialized(result))
    assert lake.open(GOLD_BARS_1M) is None
    (found,) = [one for one in result.get_asset_check_evaluations() if one.blocking and not one.passed]
    assert "price" in str(found.metadata["failures"].value) and found.blocking


def test_materializations_tell_rows_range_and_a_preview(graph: dg.Definitions, lake_path: Path) -> None:
    lakes.fill_hour(lake_path, trades=10)
    result = dg.materialize(
        [asset for asset in graph.assets or [] if isinstance(asset, dg.AssetsDefinition)],
        selection=dg.AssetSelection.assets(key_of(SILVER_TRADES)),
        partition_key=KEY,
        resources=graph.resources,
    )
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["dagster/row_count"].value == 10
    assert metadata["delta_version"].value == 1
    assert metadata["oldest"].value == "2024-08-08 22:00:00+00:00"
    assert "trade_id" in str(metadata["preview"].value)
