"""A gap in an hour that still runs: folded again, served as the next revision, proven closed, alerts judged again."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from pydantic import SecretStr

from crypto_intel.automation.rebuilding import late_trades_sensor, repaired_minutes_sensor
from crypto_intel.contracts.alerts import ALERT_VERDICTS
from crypto_intel.contracts.derived import GOLD_REPAIRED_BARS_1M
from crypto_intel.contracts.rules import load_alert_config
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_NEWS,
    BRONZE_TRADES,
    SILVER_BARS_1M,
    SILVER_LATE_ARRIVALS,
)
from crypto_intel.core.frames import conform
from crypto_intel.core.hours import event_hour
from crypto_intel.definitions import build_defs
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.defs.conftest import Tick
from crypto_intel_tests.crypto_intel.defs.test_gaps import told
from crypto_intel_tests.crypto_intel.lakes import HOUR
from streaming.jobs.live import raised
from streaming.jobs.past import read_past
from streaming.sinks.delta import Lake as StreamedLake
from streaming.sinks.postgres import PostgresSink, Upsert
from streaming.transforms.batch import batch_bars
from streaming.transforms.rules.book import Book
from streaming.transforms.rules.past import replay

pytestmark = pytest.mark.stack

MINUTE = timedelta(minutes=1)
KEY = event_hour(HOUR)
MISSING = range(1212, 1217)
"""Five trades of 22:21; the price has risen before the next one."""


def all_trades() -> dict[int, dict[str, Any]]:
    """Half an hour of a trade every six seconds, by id."""
    return {
        n: lakes.trade(n, HOUR + timedelta(seconds=6 * (n - 1000)), price="102" if n >= 1212 else "100")
        for n in range(1000, 1300)
    }


@pytest.fixture
def sink(own_postgres_dsn: str) -> Iterator[PostgresSink]:
    """Where the stream serves."""
    sink = PostgresSink(SecretStr(own_postgres_dsn), query="publish", epoch="checkpoint-1")
    yield sink
    sink.close()


def stream_with_a_gap(lake_path: Path, sink: PostgresSink) -> None:
    """What the stream left while the ids were missing: bronze, bars, served rows, and the alerts of that time."""
    rows = [row for n, row in all_trades().items() if n not in MISSING]
    lakes.append(lake_path, BRONZE_TRADES, rows)
    lakes.append(lake_path, BRONZE_NEWS, [lakes.article("a1", HOUR, ["XRP"])])
    end = HOUR + 30 * MINUTE
    beats = lakes.heartbeats(HOUR - MINUTE, end)
    lakes.append(lake_path, BRONZE_FEED_STATUS, [*beats, told("gap", 1212, 1216, HOUR + 21 * MINUTE)])
    bars = batch_bars(pl.DataFrame(rows), pl.DataFrame(beats), start=HOUR, end=end)
    streamed = conform(bars.with_columns(event_date=pl.col("window_start").dt.date()), SILVER_BARS_1M)
    lakes.append(lake_path, SILVER_BARS_1M, streamed)
    past = read_past(StreamedLake(str(lake_path)), HOUR, end, "published")
    fired = replay(Book.of_rules(load_alert_config().rules), past.trades, past.beats, past.news)
    sink.publish(
        1,
        [Upsert("bars_1m", streamed.drop("event_date"))],
        alerts=[raised(one.market, one.fired, one.known_us, "sim") for one in fired],
        refresh_enriched=streamed.select("venue", "symbol", "window_start"),
        known_at=end,
    )


def repair(lake_path: Path) -> None:
    """What the producers bring through Kafka, and what the stream does with it: too late for its window."""
    whole = all_trades()
    brought = [{**whole[n], "origin": "rest", "kafka_offset": 9000 + n} for n in MISSING]
    lakes.append(lake_path, BRONZE_TRADES, brought)
    lakes.append(lake_path, BRONZE_FEED_STATUS, [told("repaired", 1212, 1216, HOUR + 22 * MINUTE)])
    start = HOUR + 21 * MINUTE
    late = {"venue": "binance", "symbol": "BTC-USDT", "window_start": start, "trade_count": 5}
    row = {**late, "first_trade_id": 1212, "last_trade_id": 1216, "event_date": start.date()}
    lakes.append(lake_path, SILVER_LATE_ARRIVALS, pl.DataFrame([row]))


def served(postgres: Postgres, query: str) -> list[tuple[Any, ...]]:
    """Rows of a query."""
    with postgres.connect() as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


ENRICHED = (
    "SELECT completeness, trade_count, coverage_pct, revision FROM market_enriched "
    "WHERE trade_count <> 10 OR revision > 0"
)
STATES = (
    "SELECT rule, state, verdict FROM alerts "
    "WHERE evidence LIKE '%price_move%' OR evidence LIKE '%ids_missing%' ORDER BY verdict"
)


def test_a_repair_in_a_running_hour_is_served_and_proven_and_its_alerts_are_judged_again(
    lake_resources: dict[str, Any], lake_path: Path, own_postgres_dsn: str, tick: Tick, sink: PostgresSink
) -> None:
    lake: Lake = lake_resources["lake"]
    postgres = Postgres(dsn=own_postgres_dsn)
    graph = build_defs(resource_overrides={**lake_resources, "postgres": postgres})
    stream_with_a_gap(lake_path, sink)
    assert served(postgres, ENRICHED) == [("partial", 5, 50.0, 0)]
    assert served(postgres, STATES) == [("data_incident", "open", None)] * 2

    first = tick(repaired_minutes_sensor)
    assert first.run_requests == []
    repair(lake_path)
    second = tick(repaired_minutes_sensor, first.cursor)
    (request,) = second.run_requests or []
    assert tick(repaired_minutes_sensor, second.cursor).run_requests == []
    assert tick(late_trades_sensor).run_requests == []  # of hours that are made

    result = graph.resolve_job_def("repaired_minutes").execute_in_process(partition_key=request.partition_key)
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == {
        "contract": True,
        "gaps_are_closed": True,
    }
    bars = lake.scan(GOLD_REPAIRED_BARS_1M).collect()
    assert bars.select("window_start", "completeness", "trade_count").rows() == [(HOUR + 21 * MINUTE, "repaired", 10)]
    assert served(postgres, ENRICHED) == [("repaired", 10, 100.0, 1)]
    graph.resolve_job_def("alert_verdicts").execute_in_process(partition_key=request.partition_key)  # by its condition
    assert served(postgres, STATES) == [("data_incident", "resolved", "confirmed"), ("data_incident", "resolved", None)]
    assert sorted(lake.scan(ALERT_VERDICTS).collect()["verdict"].drop_nulls()) == ["confirmed"]


def test_a_gap_that_is_only_said_to_be_repaired_fails_the_proof(
    graph: dg.Definitions, lake: Lake, lake_path: Path
) -> None:
    lakes.append(lake_path, BRONZE_TRADES, [row for n, row in all_trades().items() if n not in MISSING or n == 1214])
    times = [told("gap", 1212, 1216, HOUR + 21 * MINUTE), told("repaired", 1212, 1216, HOUR + 22 * MINUTE)]
    lakes.append(lake_path, BRONZE_FEED_STATUS, times)
    job = graph.resolve_job_def("repaired_minutes")
    result = job.execute_in_process(partition_key=KEY, raise_on_error=False)  # no database: nothing is published
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "gaps_are_closed"]
    assert not found.passed
    assert "| 1212 | 1216 | 1 | 5 |" in str(found.metadata["proof"].value)
