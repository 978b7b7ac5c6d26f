"""Checks of streams and of freshness, each seen to pass and to fail; judged by a sensor without a run."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import redis

from crypto_intel.automation.streams import stream_checks_sensor
from crypto_intel.checks.factories import Outcome, Readers
from crypto_intel.checks.streams import STREAM_CHECKS
from crypto_intel.contracts.serving import BARS_1M, MARKET_ENRICHED
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_TRADES,
    GOLD_MARKET_ENRICHED,
    MACRO_FRED_OBSERVATIONS,
    SILVER_BARS_1M,
    SILVER_TRADES,
)
from crypto_intel.core.enrich import enrich
from crypto_intel.core.frames import conform
from crypto_intel.core.freshness import Freshness
from crypto_intel.core.macro import parse_observations
from crypto_intel.core.trades import distinct_trades
from crypto_intel.core.watch import Watch
from crypto_intel.operations import watching
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.publishing import upsert
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.core.test_enrich import NO_MACRO, NO_NEWS, bar, bars
from crypto_intel_tests.crypto_intel.lakes import HOUR as H22

pytestmark = pytest.mark.stack

MINUTE = timedelta(minutes=1)


def judge(lake: Lake, asset: str, name: str, postgres: Postgres | None = None) -> Outcome:
    (check,) = [one for one in STREAM_CHECKS if (one.key.to_user_string(), one.name) == (asset, name)]
    return check.judge(Readers(lake, postgres or Postgres()))


def clock_at(lake_path: Path, moment: datetime) -> None:
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(moment, moment))


def streamed_bars(*rows: dict[str, Any]) -> Any:
    return conform(bars(*rows).with_columns(event_date=H22.date()), SILVER_BARS_1M)  # type: ignore[arg-type]


def test_recent_rows_that_keep_their_contract_pass(lake: Lake, lake_path: Path) -> None:
    assert judge(lake, "bronze/trades", "contract_of_recent_rows").metadata["rows_checked"] == 0
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(1, H22), lakes.trade(2, H22)])
    found = judge(lake, "bronze/trades", "contract_of_recent_rows")
    assert found.passed and found.metadata["rows_checked"] == 2


@pytest.mark.parametrize(
    "planted", [{"price": Decimal("-1")}, {"taker_side": "both"}, {"venue": "nowhere"}, {"kafka_offset": -1}]
)
def test_a_recent_row_that_breaks_its_contract_is_found(lake: Lake, lake_path: Path, planted: dict[str, Any]) -> None:
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(1, H22), {**lakes.trade(2, H22), **planted}])
    found = judge(lake, "bronze/trades", "contract_of_recent_rows")
    assert not found.passed
    assert next(iter(planted)) in str(found.metadata["failures"].value)


def test_a_bar_written_twice_is_found(lake: Lake, lake_path: Path) -> None:
    lakes.append(lake_path, SILVER_BARS_1M, streamed_bars())
    assert judge(lake, "silver/bars_1m", "contract_of_recent_rows").passed
    lakes.append(lake_path, SILVER_BARS_1M, streamed_bars())
    assert not judge(lake, "silver/bars_1m", "contract_of_recent_rows").passed


def test_trades_are_fresh_by_the_platform_clock_and_not_by_the_wall(lake: Lake, lake_path: Path) -> None:
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(1, H22)])
    clock_at(lake_path, H22 + 0.75 * MINUTE)
    assert judge(lake, "bronze/trades", "freshness").passed
    clock_at(lake_path, H22 + 0.8 * MINUTE)
    assert not judge(lake, "bronze/trades", "freshness").passed
    clock_at(lake_path, H22 + 3 * MINUTE)
    found = judge(lake, "bronze/trades", "freshness")
    assert not found.passed and found.metadata["age_s"] == 180


def test_streamed_bars_that_fall_behind_are_stale(lake: Lake, lake_path: Path) -> None:
    lakes.append(lake_path, SILVER_BARS_1M, streamed_bars())
    clock_at(lake_path, H22 + 2 * MINUTE)
    assert judge(lake, "silver/bars_1m", "freshness").passed
    clock_at(lake_path, H22 + 6 * MINUTE)
    assert not judge(lake, "silver/bars_1m", "freshness").passed


@pytest.mark.parametrize(
    ("asset", "table"), [("silver/trades", SILVER_TRADES), ("gold/market_enriched", GOLD_MARKET_ENRICHED)]
)
def test_batch_tables_owe_nothing_in_the_first_hours_and_an_hour_later_on(
    lake: Lake, lake_path: Path, asset: str, table: Any
) -> None:
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(1, H22)])
    clock_at(lake_path, H22 + timedelta(hours=1))
    assert judge(lake, asset, "freshness").passed
    clock_at(lake_path, H22 + timedelta(hours=3))
    assert not judge(lake, asset, "freshness").passed
    rows = {
        SILVER_TRADES: distinct_trades(lake.scan(BRONZE_TRADES), H22),
        GOLD_MARKET_ENRICHED: enrich(bars(), NO_NEWS, NO_MACRO, known_at=H22),
    }
    lakes.append(lake_path, table, rows[table])
    assert not judge(lake, asset, "freshness").passed
    newer = {
        SILVER_TRADES: distinct_trades(_records(lakes.trade(2, H22 + timedelta(hours=2))), H22 + timedelta(hours=2)),
        GOLD_MARKET_ENRICHED: enrich(bars(bar(H22 + timedelta(hours=2))), NO_NEWS, NO_MACRO, known_at=H22),
    }
    lakes.append(lake_path, table, newer[table])
    assert judge(lake, asset, "freshness").passed


def _records(row: dict[str, Any]) -> Any:
    return pl.LazyFrame([row])


def test_macro_is_fresh_by_what_was_known_at_the_platform_clock(lake: Lake, lake_path: Path) -> None:
    clock_at(lake_path, H22)
    assert judge(lake, "macro/fred_observations", "freshness").passed  # nothing loaded: nothing owed

    def observed(day: str, released: str) -> Any:
        fields = {"date": day, "value": "4", "realtime_start": released, "realtime_end": "9999-12-31"}
        return parse_observations("DGS10", [fields], H22)

    lakes.append(lake_path, MACRO_FRED_OBSERVATIONS, observed("2024-07-01", "2024-07-02"))
    lakes.append(lake_path, MACRO_FRED_OBSERVATIONS, observed("2024-08-07", "2024-08-09"))
    assert not judge(lake, "macro/fred_observations", "freshness").passed
    lakes.append(lake_path, MACRO_FRED_OBSERVATIONS, observed("2024-08-06", "2024-08-07"))
    assert judge(lake, "macro/fred_observations", "freshness").passed


def test_served_rows_are_fresh_or_stale(lake: Lake, lake_path: Path, own_postgres_dsn: str) -> None:
    postgres = Postgres(dsn=own_postgres_dsn)
    clock_at(lake_path, H22 + 2 * MINUTE)
    assert not judge(lake, "publish/market_enriched", "freshness", postgres).passed
    with postgres.connect() as connection:
        upsert(connection, MARKET_ENRICHED, enrich(bars(), NO_NEWS, NO_MACRO, known_at=H22))
    assert judge(lake, "publish/market_enriched", "freshness", postgres).passed


def test_a_cached_bar_is_the_served_one_or_the_check_shows_both(
    lake: Lake, own_postgres_dsn: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = Postgres(dsn=own_postgres_dsn)
    assert judge(lake, "publish/bars_1m", "cache_agrees", postgres).metadata["markets"] == 0  # none is set
    monkeypatch.setenv("CRYPTO_INTEL_REDIS_URL", redis_url)
    with redis.Redis.from_url(redis_url) as client, postgres.connect() as connection:
        client.flushall()
        upsert(connection, BARS_1M, bars())
        connection.commit()
        fields = {"window_start": H22.isoformat(), "close": "100.0"}
        client.hset("bar:1m:binance:BTC-USDT", mapping=fields)
        assert judge(lake, "publish/bars_1m", "cache_agrees", postgres).passed
        client.hset("bar:1m:binance:BTC-USDT", "close", "99.0")
        found = judge(lake, "publish/bars_1m", "cache_agrees", postgres)
        assert not found.passed and "| 99.0 | 100.0 |" in str(found.metadata["rows"].value)
        client.hset("bar:1m:binance:BTC-USDT", "close", "100.0")
        upsert(connection, BARS_1M, bars(bar(H22 + 5 * MINUTE)))
        connection.commit()
        assert not judge(lake, "publish/bars_1m", "cache_agrees", postgres).passed  # five minutes behind
        client.flushall()


def test_a_feed_without_a_heartbeat_is_dead_and_a_feed_that_ended_is_not(lake: Lake, lake_path: Path) -> None:
    now = datetime.now(UTC)
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22, H22, taken_at=now))
    assert judge(lake, "bronze/feed_status", "feeds_alive").passed
    silent = lakes.heartbeats(H22, H22, venue="kraken", taken_at=now - MINUTE)
    lakes.append(lake_path, BRONZE_FEED_STATUS, silent)
    found = judge(lake, "bronze/feed_status", "feeds_alive")
    assert not found.passed and found.metadata["silent_s"] >= 60
    ended = lakes.heartbeats(H22, H22, venue="kraken", taken_at=now - MINUTE, ended=True)
    lakes.append(lake_path, BRONZE_FEED_STATUS, ended)
    assert judge(lake, "bronze/feed_status", "feeds_alive").passed


def test_a_feed_that_has_been_silent_for_long_is_still_dead(lake: Lake, lake_path: Path, own_postgres_dsn: str) -> None:
    postgres, now = Postgres(dsn=own_postgres_dsn), datetime.now(UTC)
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22, H22, taken_at=now))
    with postgres.connect() as connection:
        connection.cursor().executemany(
            "INSERT INTO public.feeds VALUES (%s, 'heartbeat', %s, '', %s, 'sim')",
            [
                ("kraken", "alive", H22 - timedelta(hours=3)),
                ("rss", "ended", H22 - timedelta(hours=3)),
                ("newsapi", "alive", H22 - timedelta(days=2)),  # switched off
            ],
        )
    found = judge(lake, "bronze/feed_status", "feeds_alive", postgres)
    assert not found.passed
    assert set(found.metadata["by_feed"].value) == {"binance/0", "binance/1", "binance/2", "kraken"}
    assert found.metadata["silent_s"] == 3 * 3600


def test_freshness_has_no_opinion_before_there_is_a_clock() -> None:
    assert Freshness(None, None, MINUTE).is_fresh
    assert not Freshness(None, H22, MINUTE).is_fresh
    assert Freshness(H22 + MINUTE, H22, MINUTE).is_fresh  # a venue's clock that runs ahead of ours


def test_a_platform_that_begins_anew_owes_nothing_for_as_long_as_the_bound(lake: Lake, lake_path: Path) -> None:
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(1, H22)])
    clock_at(lake_path, H22 + 60 * MINUTE)  # the first heartbeats after an hour's pause
    (check,) = [one for one in STREAM_CHECKS if (one.key.path, one.name) == (["bronze", "trades"], "freshness")]
    readers = Readers(lake, Postgres())
    assert check.evaluation(readers, timedelta(seconds=44)) is None
    late = check.evaluation(readers, timedelta(seconds=45))
    assert late is not None and not late.passed
    clock_at(lake_path, H22 + 0.5 * MINUTE)
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(2, H22 + 60 * MINUTE)])
    whole = check.evaluation(readers, timedelta(0))
    assert whole is not None and whole.passed


def test_every_check_that_time_alone_can_fail_is_patient_with_a_platform_that_begins_anew() -> None:
    by_time = {"freshness", "feeds_alive", "no_gap_stays_open", "cache_agrees"}
    assert {check.name for check in STREAM_CHECKS if check.patience} == by_time


def test_the_sensor_reports_every_check_it_can_judge_and_names_the_failed(
    lake: Lake, lake_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(1, H22)])
    clock_at(lake_path, H22 + 3 * MINUTE)
    resources = {"lake": lake, "postgres": Postgres()}
    now = datetime.now(UTC)
    monkeypatch.setattr(watching, "began_at", lambda: now - timedelta(hours=1))
    cursor = watching.kept(Watch(now - MINUTE, now))
    result = stream_checks_sensor(dg.build_sensor_context(instance=instance, resources=resources, cursor=cursor))
    assert isinstance(result, dg.SensorResult)
    found = {
        (event.asset_key.to_user_string(), event.check_name): event.passed
        for event in result.asset_events
        if isinstance(event, dg.AssetCheckEvaluation)
    }
    assert found["bronze/trades", "contract_of_recent_rows"] is True
    assert found["bronze/trades", "freshness"] is False
    assert ("publish/market_enriched", "freshness") not in found  # no database: not judged, and logged
    assert result.skip_reason and "bronze/trades: freshness" in str(result.skip_reason.skip_message)
    for event in result.asset_events:
        instance.report_runless_asset_event(event)
    key = dg.AssetCheckKey(dg.AssetKey(["bronze", "trades"]), "freshness")
    assert instance.event_log_storage.get_asset_check_execution_history(key, limit=5)


def test_every_layer_that_is_filled_has_a_freshness_check() -> None:
    fresh = {check.key.path[0] for check in STREAM_CHECKS if check.name == "freshness"}
    assert fresh == {"bronze", "silver", "gold", "macro", "publish"}


def test_a_person_can_run_a_stream_check(graph: dg.Definitions, lake_path: Path) -> None:
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(1, H22)])
    clock_at(lake_path, H22)
    key = dg.AssetCheckKey(dg.AssetKey(["bronze", "trades"]), "freshness")
    job = graph.resolve_implicit_global_asset_job_def().get_subset(asset_check_selection={key})
    result = job.execute_in_process()
    assert [check.passed for check in result.get_asset_check_evaluations()] == [True]
