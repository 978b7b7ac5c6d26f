"""Alerts told to people, and the platform's own incidents on the same path: once, tried again, ended."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from pydantic import SecretStr

from crypto_intel.automation.telling import failed_checks, incidents_sensor, notices_sensor
from crypto_intel.checks.factories import Readers
from crypto_intel.checks.streams import STREAM_CHECKS
from crypto_intel.core.watch import Watch
from crypto_intel.definitions import build_defs
from crypto_intel.operations import watching
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres
from crypto_intel_tests.crypto_intel.defs.conftest import Tick
from crypto_intel_tests.crypto_intel.resources.test_channels import HttpServer, http
from crypto_intel_tests.streaming.sinks import rows as sample
from streaming.sinks.postgres import PostgresSink

__all__ = ["http"]  # a fixture

pytestmark = pytest.mark.stack


@pytest.fixture
def database(own_postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that commits each statement."""
    with psycopg.connect(own_postgres_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def raise_alert(own_postgres_dsn: str) -> Iterator[Any]:
    """Raise an alert as the stream does."""
    sink = PostgresSink(SecretStr(own_postgres_dsn), query="live", epoch="test")
    batches = iter(range(1_000))
    yield lambda name: sink.publish(next(batches), alerts=[sample.alert(name)])
    sink.close()


def notices(database: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """What stands in the ledger."""
    query = "SELECT alert_id, event, state, attempts FROM ops.notices ORDER BY created_at, event DESC"
    return database.execute(query).fetchall()


def test_an_alert_is_told_once_retried_while_the_channel_fails_and_told_to_be_over(
    tick: Tick, database: psycopg.Connection[Any], raise_alert: Any, http: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = Postgres(dsn=database.info.dsn + f" password={database.info.password}")

    def told(cursor: str | None = None) -> dg.SensorResult:
        database.execute("UPDATE ops.notices SET due_at = now() WHERE state = 'due'")  # no test waits for a pause
        return tick(notices_sensor, cursor, postgres=postgres)

    monkeypatch.delenv("CRYPTO_INTEL_CHANNELS__DESK", raising=False)
    assert "no channel is set" in str(told().skip_reason)
    monkeypatch.setenv("CRYPTO_INTEL_CHANNELS__DESK", f"json://{http.address}/hook")
    raise_alert("a")
    http.status = 500
    first = told()
    assert notices(database) == [("a", "raised", "due", 1)]
    (check,) = [one for one in STREAM_CHECKS if one.name == "channels_deliver"]
    shown = check.judge(Readers(Lake(), postgres))
    assert not shown.passed and "500" in str(shown.metadata["channels"].value)

    http.status = 200
    raise_alert("b")  # the same rule and symbol: people know
    second = told(first.cursor)
    assert notices(database) == [("a", "raised", "sent", 2), ("b", "raised", "repeated", 0)]
    assert check.judge(Readers(Lake(), postgres)).passed
    third = told(second.cursor)
    assert third.asset_events == []
    assert [got["title"].split("]")[0] for _, got in http.got] == ["[warning"] * 2

    database.execute("UPDATE alerts SET resolved_at = now(), state = 'resolved' WHERE alert_id IN ('a', 'b')")
    told(third.cursor)
    assert [(found[1], found[2]) for found in notices(database) if found[0] == "a"] == [("raised", "sent"),
                                                                                         ("ended", "sent")]  # fmt: skip
    assert http.got[-1][1]["title"].startswith("[over]")


def report(database: psycopg.Connection[Any], query: str, *, silent_s: int = 0, lag: int = 0) -> None:
    """What a streaming query reported so long ago."""
    database.execute(
        "INSERT INTO ops.stream_progress (query, batch_id, input_rows, rows_total, lag_records, updated_at) "
        "VALUES (%s, 1, 1, 1, %s, %s) ON CONFLICT (query) DO UPDATE SET updated_at = excluded.updated_at",
        (query, lag, datetime.now(UTC) - timedelta(seconds=silent_s)),
    )


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Cursor of a sensor of this process that has looked every few seconds, for so long."""
    now = datetime.now(UTC)
    monkeypatch.setattr(watching, "began_at", lambda: now - timedelta(hours=1))
    return lambda seconds: watching.kept(Watch(now - timedelta(seconds=seconds), now))


def test_a_query_that_is_silent_or_behind_is_an_incident_until_it_is_not(
    tick: Tick, database: psycopg.Connection[Any], own_postgres_dsn: str, watched: Any
) -> None:
    postgres, cursor = Postgres(dsn=own_postgres_dsn), watched(600)
    report(database, "ingest")
    report(database, "live", silent_s=300)
    report(database, "publish", lag=200_000)
    assert "2 raised" in str(tick(incidents_sensor, cursor, postgres=postgres).skip_reason)
    assert "0 raised, 0 resolved" in str(tick(incidents_sensor, cursor, postgres=postgres).skip_reason)
    told = database.execute(
        "SELECT rule, severity, venue, symbol, message, state FROM alerts ORDER BY message"
    ).fetchall()
    assert [row[:4] for row in told] == [("data_incident", "critical", "platform", "*")] * 2
    assert "live has reported nothing for 300 s" in told[0][4]
    assert "publish is 200,000 records behind" in told[1][4]
    waiting = database.execute("SELECT count(*) FROM ops.alert_outbox WHERE published_at IS NULL").fetchone()
    assert waiting == (2,)  # the topic gets them as the stream's own

    report(database, "live")
    assert "1 resolved" in str(tick(incidents_sensor, cursor, postgres=postgres).skip_reason)
    report(database, "live", silent_s=300)  # another silence is another incident
    assert "1 raised" in str(tick(incidents_sensor, cursor, postgres=postgres).skip_reason)
    states = database.execute("SELECT state FROM alerts WHERE message LIKE '%live%' ORDER BY state").fetchall()
    assert states == [("open",), ("resolved",)]


def test_a_platform_that_was_stopped_is_not_silent(
    tick: Tick, database: psycopg.Connection[Any], own_postgres_dsn: str, watched: Any
) -> None:
    postgres = Postgres(dsn=own_postgres_dsn)
    report(database, "live", silent_s=3600)

    def look(cursor: str | None) -> str:
        return str(tick(incidents_sensor, cursor, postgres=postgres).skip_reason)

    assert "1 conditions: 0 raised" in look(None)  # a new data folder, or a lost cursor
    away = watching.kept(Watch(datetime.now(UTC) - timedelta(hours=2), datetime.now(UTC) - timedelta(hours=1)))
    assert "1 conditions: 0 raised" in look(away)  # the last look was before the pause
    assert "1 conditions: 0 raised" in look(watched(90))
    assert "1 conditions: 1 raised" in look(watched(121))  # it has not come back: found its bound later, no more
    assert "1 conditions: 0 raised, 0 resolved" in look(None)  # a new watcher knows too little to end it
    report(database, "live")
    assert "0 conditions: 0 raised, 1 resolved" in look(None)


def test_a_look_that_finds_no_database_is_no_look(tick: Tick, watched: Any) -> None:
    away = tick(incidents_sensor, watched(600), postgres=Postgres(dsn="postgresql://nobody@127.0.0.1:9/none"))
    assert "does not answer" in str(away.skip_reason)
    assert away.cursor is None  # Dagster keeps the one before


def test_a_silent_feed_that_is_heard_again_is_resolved(
    tick: Tick, database: psycopg.Connection[Any], own_postgres_dsn: str, raise_alert: Any
) -> None:
    raise_alert("silence")
    database.execute('UPDATE alerts SET rule = \'data_incident\', evidence = \'{"rule":{"family":"feed_silent"}}\'')
    heard = database.execute("SELECT window_end + interval '9 s' FROM alerts").fetchone()
    assert heard is not None
    assert "0 resolved" in str(tick(incidents_sensor, postgres=Postgres(dsn=own_postgres_dsn)).skip_reason)
    database.execute("INSERT INTO feeds VALUES ('binance', 'heartbeat', 'alive', '', %s, 'sim')", heard)
    assert "1 resolved" in str(tick(incidents_sensor, postgres=Postgres(dsn=own_postgres_dsn)).skip_reason)
    assert database.execute("SELECT state, resolved_at FROM alerts").fetchone() == ("resolved", heard[0])


def test_a_check_whose_newest_evaluation_failed_is_a_condition(
    lake_resources: dict[str, Any], instance: dg.DagsterInstance, lake_path: Path
) -> None:
    graph = build_defs(resource_overrides=lake_resources)
    context = dg.build_sensor_context(instance=instance, definitions=graph)
    key = dg.AssetKey(["bronze", "feed_status"])

    def evaluate(*, passed: bool) -> None:
        severity = dg.AssetCheckSeverity.ERROR
        event = dg.AssetCheckEvaluation(
            asset_key=key, check_name="feeds_alive", passed=passed, metadata={}, severity=severity
        )
        instance.report_runless_asset_event(event)

    assert list(failed_checks(context)) == []
    evaluate(passed=False)
    (condition,) = failed_checks(context)
    assert (condition.key, condition.severity) == ("check:bronze/feed_status:feeds_alive", "critical")
    assert condition.text.startswith("the check feeds_alive of bronze/feed_status failed. ")
    evaluate(passed=True)
    assert list(failed_checks(context)) == []
