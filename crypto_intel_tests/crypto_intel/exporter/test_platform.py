"""What the platform's database and disk tell, on a real database with known rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from crypto_intel.exporter.database import Reader
from crypto_intel.exporter.platform import Host, Served
from crypto_intel_tests.crypto_intel.exporter.figures import values
from crypto_intel_tests.streaming.sinks import rows as sample
from streaming.sinks.postgres import PostgresSink, Upsert


@pytest.fixture
def reader(own_postgres_dsn: str) -> Iterator[Reader]:
    """The platform's database."""
    found = Reader(SecretStr(own_postgres_dsn))
    yield found
    found.close()


@pytest.mark.stack
def test_a_table_is_as_old_as_its_newest_minute(own_postgres_dsn: str, reader: Reader) -> None:
    sink = PostgresSink(SecretStr(own_postgres_dsn), query="publish", epoch="e")
    sink.publish(0, [Upsert("bars_1m", sample.frame("bars_1m", sample.bar(0), sample.bar(1)))])
    now = sample.START + timedelta(minutes=5)
    found = values(Served(reader, lambda: now).ask())
    assert found["crypto_intel_table_age_seconds", "bars_1m"] == 180
    assert ("crypto_intel_table_age_seconds", "live_markets") not in found  # nothing was written: unknown, not 0
    assert found["crypto_intel_alerts_open", "warning"] == 0
    assert found["crypto_intel_alerts_waiting",] == 0


@pytest.mark.stack
def test_a_feed_that_is_over_is_not_silent(own_postgres_dsn: str, reader: Reader) -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    with psycopg.connect(own_postgres_dsn) as connection:
        for venue, state in (("binance", "alive"), ("kraken", "ended")):
            connection.execute(
                "INSERT INTO public.feeds VALUES (%s, 'heartbeat', %s, '', %s, 'sim')",
                (venue, state, now - timedelta(seconds=90)),
            )
    found = values(Served(reader, lambda: now).ask())
    assert found["crypto_intel_feed_heartbeat_age_seconds", "binance"] == 90
    assert found["crypto_intel_feed_heartbeat_age_seconds", "kraken"] == 0


@pytest.mark.stack
def test_notices_are_counted_by_channel_and_outcome(own_postgres_dsn: str, reader: Reader) -> None:
    PostgresSink(SecretStr(own_postgres_dsn), query="live", epoch="e").publish(0, alerts=[sample.alert("one")])
    with psycopg.connect(own_postgres_dsn) as connection:
        for channel, state in (("desk", "sent"), ("mail", "due")):
            connection.execute(
                "INSERT INTO ops.notices (alert_id, channel, event, route, state, due_at) "
                "VALUES ('one', %s, 'raised', 'everybody', %s, now())",
                (channel, state),
            )
    found = values(Served(reader, lambda: sample.START).ask())
    assert found["crypto_intel_alert_notices", "desk", "sent"] == 1
    assert found["crypto_intel_alert_notices", "mail", "due"] == 1


@pytest.mark.stack
def test_the_exporter_can_not_write(reader: Reader) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader.rows("DELETE FROM public.alerts")
    assert reader.rows("SELECT 1 AS one") == [{"one": 1}]


def test_parts_are_told_as_the_health_checks_found_them(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    told = {
        "api": {"answers": True, "failures": 0, "restarts": 0, "given_up": False},
        "spark": {"answers": None, "failures": 0, "restarts": 2, "given_up": True},
    }
    (tmp_path / "run" / "health.json").write_text(json.dumps({"parts": told}))
    found = values(Host(tmp_path).ask())
    assert (found["crypto_intel_part_up", "api"], found["crypto_intel_part_up", "spark"]) == (1, 0)
    assert found["crypto_intel_part_restarts_total", "spark"] == 2
    assert 0 < found["crypto_intel_disk_free_bytes",] < found["crypto_intel_disk_size_bytes",]


def test_without_a_supervisor_no_part_is_told(tmp_path: Path) -> None:
    assert not [key for key in values(Host(tmp_path).ask()) if key[0].startswith("crypto_intel_part")]
