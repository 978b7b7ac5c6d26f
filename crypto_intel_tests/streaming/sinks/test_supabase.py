"""The Supabase sink: the real client, a real database behind an API that speaks PostgREST's way."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from datetime import date, timedelta

import polars as pl
import pytest
from pydantic import SecretStr

from crypto_intel.contracts.settings import Settings
from crypto_intel.stack.postgres import ensure_database, migrate
from crypto_intel_tests.helpers.postgrest import ANON_KEY, SERVICE_KEY, PostgRest, postgrest
from crypto_intel_tests.streaming.sinks.conftest import Rows
from crypto_intel_tests.streaming.sinks.rows import KNOWN, START, alert, bar, final, frame, gap, keys, live, pair
from streaming.errors import FatalError, RetryableError
from streaming.sinks.postgres import PostgresSink, Upsert
from streaming.sinks.supabase import CHUNK_ROWS, ServingSink, SupabaseSink, make_sink


@pytest.fixture
def api(own_postgres_dsn: str) -> Iterator[PostgRest]:
    """The project's API."""
    with postgrest(own_postgres_dsn) as server:
        yield server


@pytest.fixture
def supabase(api: PostgRest) -> Iterator[SupabaseSink]:
    """A sink with the service role's key."""
    sink = SupabaseSink(api.url, SecretStr(SERVICE_KEY), query="publish")
    yield sink
    sink.close()


def _publish_everything(sink: ServingSink) -> None:
    article = {
        "article_id": "a", "source": "wire", "url": "https://example.test/a", "title": 'A "title"\n\\ \u2028 é',
        "summary": "", "content": "", "tags": ["x,y", "{}"], "symbols": ["BTC"], "event_time": None,
        "published_at": START, "first_seen_at": KNOWN, "language": None,
    }  # fmt: skip
    macro = {
        "series_id": "FEDFUNDS", "observation_date": date(2026, 10, 1), "value": 3.9,
        "realtime_start": date(2026, 11, 2), "realtime_end": date(9999, 12, 31), "fetched_at": KNOWN,
    }  # fmt: skip
    upserts = {
        "macro_observations": macro,
        "articles": article,
        "bar_news": pair("a", sentiment=0.1 + 0.2),
        "bars_1m": bar(0, open=5e-324, last_trade_id=2**62),
        "bars_5m": bar(0),
        "live_markets": live(101.25, 3),
    }
    sink.publish(
        0,
        [Upsert(table, frame(table, row)) for table, row in upserts.items()],
        alerts=[alert()],
        refresh_enriched=keys(0),
        known_at=KNOWN,
        feed_status=gap("gap", 5, 9).vstack(gap("repaired", 5, 7)),
    )
    sink.publish(1, [Upsert("market_enriched", frame("market_enriched", final(1)))])
    sink.publish(2, [Upsert("market_enriched", frame("market_enriched", final(1, is_final=False, close=1.0)))])
    sink.publish(3, [Upsert("live_markets", frame("live_markets", live(1.0, 1)))], alerts=[alert(message="again")])


@pytest.mark.stack
def test_a_bar_that_is_told_again_leaves_what_a_repair_made_of_it(supabase: SupabaseSink, rows: Rows) -> None:
    told = Upsert("bars_1m", frame("bars_1m", bar(0, trade_count=9), bar(1)), only_new=True)
    supabase.publish(0, [told])
    supabase.publish(1, [Upsert("bars_1m", frame("bars_1m", bar(0, completeness="repaired")))])
    supabase.publish(2, [told])
    found = rows("SELECT trade_count, completeness FROM bars_1m ORDER BY window_start")
    assert [tuple(row.values()) for row in found] == [(10, "repaired"), (10, "complete")]


@pytest.mark.stack
def test_the_api_stores_what_the_database_url_stores(supabase: SupabaseSink, rows: Rows, own_postgres_dsn: str) -> None:
    import psycopg
    from psycopg.rows import dict_row

    other_dsn = ensure_database(own_postgres_dsn, f"other_{uuid.uuid4().hex[:8]}")
    migrate(other_dsn)
    direct = PostgresSink(SecretStr(other_dsn), query="publish", epoch="1")
    _publish_everything(direct)
    direct.close()
    _publish_everything(supabase)
    with psycopg.connect(other_dsn, row_factory=dict_row) as other:
        for table in ("macro_observations", "articles", "bar_news", "bars_1m", "bars_5m", "live_markets", "alerts",
                      "gaps", "market_enriched"):  # fmt: skip
            statement = f"SELECT * FROM {table} ORDER BY {table}"
            expected = other.execute(statement).fetchall()  # type: ignore[arg-type]
            assert expected
            assert rows(statement) == expected


@pytest.mark.stack
def test_a_batch_that_is_repeated_changes_nothing(supabase: SupabaseSink, api: PostgRest, rows: Rows) -> None:
    _publish_everything(supabase)
    before = rows("SELECT * FROM market_enriched ORDER BY window_start")
    after_restart = SupabaseSink(api.url, SecretStr(SERVICE_KEY), query="publish")
    _publish_everything(after_restart)
    assert rows("SELECT * FROM market_enriched ORDER BY window_start") == before
    assert [row["message"] for row in rows("SELECT message FROM alerts")] == [alert().message]


@pytest.mark.stack
def test_alerts_wait_until_kafka_has_them(supabase: SupabaseSink) -> None:
    supabase.publish(0, alerts=[alert("a"), alert("b")])
    assert [alert_id for alert_id, _ in supabase.pending_alerts()] == ["a", "b"]
    supabase.mark_published(["a"])
    assert supabase.pending_alerts() == [("b", alert("b"))]


@pytest.mark.stack
def test_many_rows_go_in_chunks(supabase: SupabaseSink, api: PostgRest, rows: Rows) -> None:
    many = frame("bars_1m", *(bar(minute) for minute in range(CHUNK_ROWS + 1)))
    assert supabase.publish(0, [Upsert("bars_1m", many)])
    assert not supabase.publish(0, [Upsert("bars_1m", many)])
    assert len(api.requests) == 2
    assert rows("SELECT count(*) AS n FROM bars_1m") == [{"n": CHUNK_ROWS + 1}]


@pytest.mark.stack
@pytest.mark.parametrize("status", [429, 500, 503, 520])
def test_an_api_that_is_busy_is_worth_a_retry(supabase: SupabaseSink, api: PostgRest, rows: Rows, status: int) -> None:
    api.failures = [status]
    with pytest.raises(RetryableError, match=str(status)):
        supabase.publish(0, [Upsert("bars_1m", frame("bars_1m", bar(0)))])
    assert supabase.publish(0, [Upsert("bars_1m", frame("bars_1m", bar(0)))])
    assert len(rows("SELECT * FROM bars_1m")) == 1


@pytest.mark.stack
@pytest.mark.parametrize(("key", "complaint"), [(ANON_KEY, "42501"), ("canary-Key9", "Invalid API key")])
def test_a_key_that_may_not_write_stops_the_sink(api: PostgRest, key: str, complaint: str, rows: Rows) -> None:
    sink = SupabaseSink(api.url, SecretStr(key), query="publish")
    for publish in (
        lambda: sink.publish(0, [Upsert("bars_1m", frame("bars_1m", bar(0)))]),
        lambda: sink.publish(0, refresh_enriched=keys(0), known_at=KNOWN),
        lambda: sink.publish(0, feed_status=gap("gap", 1, 2)),
    ):
        with pytest.raises(FatalError, match=f"(?s)SUPABASE_KEY.*{complaint}") as caught:
            publish()
        assert "canary" not in f"{caught.value!r}{sink!r}"
    assert rows("SELECT * FROM bars_1m") == rows("SELECT * FROM gaps") == []


def test_an_api_that_is_not_there_is_worth_a_retry() -> None:
    sink = SupabaseSink("http://127.0.0.1:9", SecretStr("canary-Key9"), query="publish")
    with pytest.raises(RetryableError, match="ConnectError") as caught:
        sink.publish(0, alerts=[alert()])
    assert "canary" not in repr(caught.value)
    assert sink.pending_alerts() == []


def test_a_number_that_json_does_not_know_stops_the_sink() -> None:
    sink = SupabaseSink("http://127.0.0.1:9", SecretStr(SERVICE_KEY), query="publish")
    with pytest.raises(FatalError, match="JSON"):
        sink.publish(0, [Upsert("bars_1m", frame("bars_1m", bar(0, close=math.nan)))])


@pytest.mark.parametrize("url", ["project.supabase.co", "https://user:canary@host", "ftp://host", ""])
def test_an_address_that_can_not_be_one_is_refused(url: str) -> None:
    with pytest.raises(FatalError, match="SUPABASE_URL") as caught:
        SupabaseSink(url, SecretStr("key"), query="publish")
    assert "canary" not in str(caught.value)


def _settings(**values: object) -> Settings:
    none = {"postgres_dsn": None, "supabase_url": None, "supabase_key": None}
    return Settings(**{**none, **values})  # type: ignore[arg-type]


def test_the_settings_choose_the_sink() -> None:
    api = {"supabase_url": "https://p.supabase.co", "supabase_key": "key"}
    both = _settings(postgres_dsn="postgresql://u:p@h:5432/d", **api)
    assert isinstance(make_sink(both, query="live", epoch="1"), PostgresSink)
    assert isinstance(make_sink(_settings(**api), query="live", epoch="1"), SupabaseSink)
    for missing in ({}, {"supabase_url": "https://p.supabase.co"}, {"supabase_key": "key"}):
        with pytest.raises(FatalError, match=r"CRYPTO_INTEL_POSTGRES_DSN.*SUPABASE_URL and SUPABASE_KEY"):
            make_sink(_settings(**missing), query="live", epoch="1")


def test_times_are_written_in_utc_with_microseconds() -> None:
    from streaming.sinks.postgres import json_rows

    naive = pl.DataFrame({"at": [START.replace(tzinfo=None) + timedelta(microseconds=1)]})
    assert json_rows(naive) == [{"at": "2026-11-20T12:00:00.000001+00:00"}]
