"""Sensors act once on each cause, and say why when they do not act."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from crypto_intel.automation.rebuilding import late_trades_sensor
from crypto_intel.automation.streams import alerts_sensor, day_closed_sensor, hour_closed_sensor, observe_streams_sensor
from crypto_intel.contracts.derived import GOLD_BARS_1H
from crypto_intel.contracts.settings import Topics
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_TRADES,
    GOLD_BARS_1M,
    MACRO_FRED_OBSERVATIONS,
    SILVER_BARS_1M,
    SILVER_LATE_ARRIVALS,
)
from crypto_intel.core.frames import conform, empty_frame
from crypto_intel.core.hours import HOUR, event_hour
from crypto_intel.operations.alerting import ALERT_KEY
from crypto_intel.resources import kafka as kafka_resource
from crypto_intel.resources.kafka import KafkaOffsets
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.core.test_enrich import bar, bars
from crypto_intel_tests.crypto_intel.defs.conftest import Tick
from crypto_intel_tests.crypto_intel.lakes import HOUR as H22

pytestmark = pytest.mark.stack

MINUTE = timedelta(minutes=1)


def requested(result: dg.SensorResult) -> list[str]:
    return [str(request.partition_key) for request in result.run_requests or []]


def reason(result: dg.SensorResult) -> str:
    return (result.skip_reason.skip_message or "") if result.skip_reason else ""


def trade_between(lake: Path, start: datetime, end: datetime) -> None:
    count = int((end - start) / MINUTE)
    lakes.append(lake, BRONZE_TRADES, [lakes.trade(n, start + n * MINUTE) for n in range(count)])


def test_an_empty_lake_asks_for_nothing(tick: Tick) -> None:
    assert requested(tick(hour_closed_sensor)) == []


def test_an_hour_is_requested_once_when_it_is_drained(tick: Tick, lake_path: Path) -> None:
    trade_between(lake_path, H22, H22 + 90 * MINUTE)
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22, H22 + HOUR))
    early = tick(hour_closed_sensor)
    assert requested(early) == [] and "none closed yet" in reason(early)
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22 + HOUR + MINUTE, H22 + HOUR + 2 * MINUTE))
    closed = tick(hour_closed_sensor, early.cursor)
    assert requested(closed) == ["2024-08-08-22"]
    assert [request.run_key for request in closed.run_requests or []] == ["2024-08-08-22"]
    assert requested(tick(hour_closed_sensor, closed.cursor)) == []


def test_the_end_of_a_recording_asks_for_its_last_hour_too(tick: Tick, lake_path: Path) -> None:
    start = H22 + HOUR + 54 * MINUTE
    trade_between(lake_path, start, start + 11 * MINUTE)
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(start, start + 11 * MINUTE, ended=True))
    assert requested(tick(hour_closed_sensor)) == ["2024-08-08-23", "2024-08-09-00"]


def test_a_backlog_is_requested_a_day_at_a_time(tick: Tick, lake_path: Path) -> None:
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(n, H22 + n * HOUR) for n in range(30)])
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22 + 30 * HOUR, H22 + 30 * HOUR, ended=True))
    first = tick(hour_closed_sensor)
    second = tick(hour_closed_sensor, first.cursor)
    assert (len(requested(first)), len(requested(second))) == (24, 6)
    assert not set(requested(first)) & set(requested(second))


def test_a_closed_hour_waits_for_the_first_macro_load_where_fred_is_configured(
    tick: Tick, lake_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade_between(lake_path, H22, H22 + 3 * MINUTE)
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22, H22 + 3 * MINUTE, ended=True))
    monkeypatch.setenv("CRYPTO_INTEL_FRED__API_KEY", "not-a-real-key")
    waiting = tick(hour_closed_sensor)
    assert requested(waiting) == [] and "macro" in reason(waiting)
    instance.add_run(dg.DagsterRun(job_name="macro_years"))  # it waits in the queue, where hours go first
    assert requested(tick(hour_closed_sensor, waiting.cursor)) == []
    run = dg.DagsterRun(job_name="macro_years", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    assert requested(tick(hour_closed_sensor, waiting.cursor)) == ["2024-08-08-22"]  # waits in the queue for its end
    instance.delete_run(run.run_id)
    lakes.append(lake_path, MACRO_FRED_OBSERVATIONS, empty_frame(MACRO_FRED_OBSERVATIONS))
    assert requested(tick(hour_closed_sensor, waiting.cursor)) == ["2024-08-08-22"]


def observations(result: dg.SensorResult) -> dict[str, dict[str, Any]]:
    return {
        event.asset_key.to_user_string(): {name: value.value for name, value in event.metadata.items()}
        for event in result.asset_events
        if isinstance(event, dg.AssetObservation)
    }


def test_what_is_away_is_named_and_the_rest_is_observed(
    tick: Tick, lake_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_resource, "TIMEOUT_S", 0.5)
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(1, H22), lakes.trade(2, H22)])
    result = tick(observe_streams_sensor, kafka=KafkaOffsets(bootstrap="127.0.0.1:1"))
    assert "Kafka does not answer" in reason(result) and "CRYPTO_INTEL_POSTGRES_DSN" in reason(result)
    found = observations(result)["bronze/trades"]
    assert (found["delta_version"], found["rows"]) == (0, 2)
    assert found["newest_epoch_s"] == H22.timestamp()


def test_streams_are_observed_with_figures_that_can_be_plotted(  # noqa: PLR0917
    tick: Tick,
    lake_path: Path,
    kafka_bootstrap: str,
    own_topics: Topics,
    own_postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from confluent_kafka import Producer

    for name, topic in own_topics.model_dump().items():
        monkeypatch.setenv(f"CRYPTO_INTEL_TOPICS__{name.upper()}", topic)
    lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(1, H22)])
    postgres = Postgres(dsn=own_postgres_dsn)
    with postgres.connect() as connection:
        connection.execute(
            "INSERT INTO ops.stream_progress (query, batch_id, input_rows, rows_total, rows_per_second, lag_records,"
            " watermark, state_rows) VALUES ('ingest', 7, 10, 100, 5.5, 3, now(), 2), ('other', 1, 1, 1, 1, 1, null, 1)"
        )
        connection.cursor().executemany(
            "INSERT INTO public.feeds (source, venue, stream, state, detail, event_time) "
            "VALUES ('live', %s, %s, %s, %s, %s)",
            [
                ("binance", "heartbeat", "alive", "", "2026-11-20T12:00:05Z"),
                ("binance", "trade", "connected", "", "2026-11-20T11:00:00Z"),
                ("rss", "heartbeat", "alive", "", "2026-11-20T12:00:00Z"),
                ("rss", "news", "failing", "HTTP 503", "2026-11-20T11:59:00Z"),
            ],
        )
    parts = {"kafka": KafkaOffsets(bootstrap=kafka_bootstrap), "postgres": postgres}
    first = tick(observe_streams_sensor, **parts)
    producer = Producer({"bootstrap.servers": kafka_bootstrap})
    for _ in range(5):
        producer.produce(own_topics.trades, b"x")
    assert producer.flush(20) == 0
    seen = observations(tick(observe_streams_sensor, first.cursor, **parts))
    assert seen["sources/trades_topic"]["records"] == 5
    assert seen["sources/trades_topic"]["partitions"] == 3
    assert seen["sources/trades_topic"]["records_per_s"] > 0
    assert seen["bronze/ingest_job"]["lag_records"] == 3 and seen["bronze/ingest_job"]["rows_per_second"] == 5.5
    assert {"alerts/alerts_topic", "bronze/trades"} <= set(seen)
    assert "silver/other_job" not in seen
    binance, rss = seen["sources/binance"], seen["sources/rss"]
    assert (binance["streams"], binance["gaps_open"], binance["behind_others_s"]) == (1, 0, 0)
    assert (rss["states"]["news"], rss["details"], rss["behind_others_s"]) == ("failing", "HTTP 503", 5)


def told(result: dg.SensorResult) -> list[str | None]:
    return [event.partition for event in result.asset_events if isinstance(event, dg.AssetMaterialization)]


def test_a_day_is_told_once_it_is_over_and_its_hours_are_made(
    tick: Tick, lake_path: Path, instance: dg.DagsterInstance
) -> None:
    assert "platform clock" in reason(tick(day_closed_sensor))
    midnight = H22 + 2 * HOUR
    trade_between(lake_path, H22, midnight + HOUR)
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(midnight, midnight + HOUR))
    make_hour(lake_path, H22)
    assert told(tick(day_closed_sensor)) == []  # 23:00 is not made yet
    make_hour(lake_path, H22 + HOUR)
    first = tick(day_closed_sensor)
    assert (told(first), first.run_requests) == (["2024-08-08"], [])
    make_hour(lake_path, midnight)
    assert told(tick(day_closed_sensor, first.cursor)) == []  # the next day is not over
    for event in first.asset_events:
        instance.report_runless_asset_event(event)
    assert told(tick(day_closed_sensor)) == []  # the daemon died before storing the cursor


def make_hour(lake: Path, hour: datetime) -> None:
    row = bar(hour, window_end=hour + HOUR, event_hour=event_hour(hour))
    lakes.append(lake, GOLD_BARS_1H, conform(pl.DataFrame([row]), GOLD_BARS_1H))


def late(hour: datetime, count: int) -> pl.DataFrame:
    row = {"venue": "binance", "symbol": "BTC-USDT", "window_start": hour, "trade_count": count}
    return pl.DataFrame([{**row, "first_trade_id": 1, "last_trade_id": count, "event_date": hour.date()}])


def test_an_hour_is_made_again_when_trades_of_it_came_late(tick: Tick, lake_path: Path) -> None:
    assert "platform clock" in reason(tick(late_trades_sensor))
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22 + 2 * HOUR, H22 + 2 * HOUR))
    lakes.append(lake_path, GOLD_BARS_1M, bars(bar(H22)))
    first = tick(late_trades_sensor)
    assert requested(first) == []
    lakes.append(lake_path, SILVER_LATE_ARRIVALS, late(H22, 500))
    lakes.append(lake_path, SILVER_LATE_ARRIVALS, late(H22 + HOUR, 7))  # not made yet: its first run has them
    second = tick(late_trades_sensor, first.cursor)
    third = tick(late_trades_sensor, second.cursor)
    assert (requested(second), requested(third)) == ([], [event_hour(H22)])
    assert "500 late trades" in (third.run_requests or [])[0].tags["crypto_intel/why"]
    assert requested(tick(late_trades_sensor, third.cursor)) == []


def raise_alert(postgres: Postgres, alert_id: str, raised_at: datetime) -> None:
    with postgres.connect() as connection:
        connection.execute(
            "INSERT INTO public.alerts (alert_id, rule, severity, venue, symbol, window_start, window_end, raised_at,"
            " value, threshold, unit, message, source) VALUES (%s, 'price_move', 'warning', 'binance', 'BTC-USDT',"
            " %s, %s, %s, 1.5, 0.6, 'pct', 'BTC-USDT rose 1.5 %% in 5 minutes', 'sim')",
            (alert_id, raised_at - 5 * MINUTE, raised_at, raised_at),
        )


def test_each_alert_is_reported_once_with_the_versions_of_what_it_rests_on(
    tick: Tick, own_postgres_dsn: str, lake_path: Path
) -> None:
    postgres = Postgres(dsn=own_postgres_dsn)
    for number in range(3):
        lakes.append(lake_path, BRONZE_TRADES, [lakes.trade(number, H22)])
    for number in range(3):
        raise_alert(postgres, f"alert-{number}", H22 + number * MINUTE)
    first = tick(alerts_sensor, postgres=postgres)
    assert [event.tags["crypto_intel/alert_id"] for event in first.asset_events] == ["alert-0", "alert-1", "alert-2"]
    assert first.asset_events[0].metadata["value"].value == 1.5
    assert first.asset_events[0].metadata["table_versions"].value == {"bronze.trades": 2}
    with postgres.connect() as connection:
        pinned = connection.execute("SELECT DISTINCT evidence FROM public.alerts").fetchall()
    assert pinned == [('{"tables": {"bronze.trades": 2}}',)]
    assert tick(alerts_sensor, first.cursor, postgres=postgres).asset_events == []
    raise_alert(postgres, "stored-late", H22 - timedelta(hours=3))  # behind a database that was away
    late = tick(alerts_sensor, first.cursor, postgres=postgres)
    assert [event.tags["crypto_intel/alert_id"] for event in late.asset_events] == ["stored-late"]
    assert [event.partition for event in late.asset_events] == ["2024-08-08-18"]  # its window ends with the hour
    assert tick(alerts_sensor, late.cursor, postgres=postgres).asset_events == []


def test_an_alert_is_not_reported_again_when_the_daemon_died_before_storing_the_cursor(
    tick: Tick, own_postgres_dsn: str, instance: dg.DagsterInstance
) -> None:
    postgres = Postgres(dsn=own_postgres_dsn)
    raise_alert(postgres, "alert-0", H22)
    for event in tick(alerts_sensor, postgres=postgres).asset_events:
        instance.report_runless_asset_event(event)
    assert len(instance.fetch_materializations(ALERT_KEY, limit=10).records) == 1
    assert tick(alerts_sensor, None, postgres=postgres).asset_events == []


def test_without_a_database_alerts_are_skipped_with_the_settings_name(tick: Tick) -> None:
    assert "CRYPTO_INTEL_POSTGRES_DSN" in reason(tick(alerts_sensor))


def test_the_platform_clock_is_the_newest_heartbeat(lake: Lake, lake_path: Path) -> None:
    lakes.append(lake_path, BRONZE_FEED_STATUS, lakes.heartbeats(H22, H22 + MINUTE))
    assert lake.platform_time() == H22 + MINUTE
    assert lake.scan(SILVER_BARS_1M).select(pl.len()).collect().item() == 0
    assert datetime.now(UTC) > H22
