"""Old rows go, counted from the newest event; what is younger stays, and what is not kept in parts goes row by row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest

from crypto_intel.contracts.serving import QUOTES
from crypto_intel.definitions import build_defs
from crypto_intel.resources.postgres import Postgres
from crypto_intel.resources.retention import apply_retention, ensure_partitions
from crypto_intel_tests.streaming.sinks.rows import START, frame, live
from streaming.sinks.upsert import upsert_frame

pytestmark = pytest.mark.stack
NOW = START


@pytest.fixture
def database(own_postgres_dsn: str) -> psycopg.Connection[Any]:
    """A database whose newest trade is of `NOW`, long before the clock on the wall."""
    connection = psycopg.connect(own_postgres_dsn, autocommit=True)
    upsert_frame(connection, "live_markets", frame("live_markets", live(1.0, 0)))
    return connection


def _quote(connection: psycopg.Connection[Any], moment: datetime) -> None:
    connection.execute(
        "INSERT INTO quotes (venue, symbol, event_time, received_at, price) VALUES ('binance', 'BTC-USDT', %s, %s, 1)",
        (moment, moment),
    )


def _quotes(connection: psycopg.Connection[Any]) -> list[datetime]:
    return [moment for (moment,) in connection.execute("SELECT event_time FROM quotes ORDER BY 1")]


def _parts(connection: psycopg.Connection[Any]) -> list[str]:
    found = connection.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'quotes'::regclass ORDER BY 1"
    )
    return [name for (name,) in found]


def test_whole_days_are_dropped_and_the_rest_stays(database: psycopg.Connection[Any]) -> None:
    day = NOW.date()
    for back in (0, 1, 5, 6, 7):
        ensure_partitions(database, QUOTES, day - timedelta(days=back), day - timedelta(days=back))
        _quote(database, NOW - timedelta(days=back))
    database.execute("UPDATE ops.retention SET keep_days = 5 WHERE table_name = 'public.quotes'")
    dropped = {found.table: found for found in apply_retention(database)}
    assert (dropped["public.quotes"].parts, dropped["public.quotes"].rows) == (2, 0)
    assert dropped["public.quotes"].cutoff == NOW - timedelta(days=5)
    assert _quotes(database) == [NOW - timedelta(days=back) for back in (5, 1, 0)]
    assert len(_parts(database)) == 4  # three days and the other one
    assert [found.parts + found.rows for found in apply_retention(database)] == [0] * len(dropped)


def test_rows_without_a_part_of_their_own_are_taken_in_and_go_too(database: psycopg.Connection[Any]) -> None:
    for back in (0, 100):
        _quote(database, NOW - timedelta(days=back))
    assert ensure_partitions(database, QUOTES, NOW.date(), NOW.date()) == 0  # its rows came before it
    tomorrow = NOW.date() + timedelta(days=1)
    assert [ensure_partitions(database, QUOTES, NOW.date(), tomorrow) for _ in range(2)] == [1, 0]
    assert sum(found.rows for found in apply_retention(database)) == 1
    assert _quotes(database) == [NOW]


def test_an_event_dated_into_the_future_takes_nothing_with_it(database: psycopg.Connection[Any]) -> None:
    _quote(database, datetime.now(UTC))
    future = datetime.now(UTC) + timedelta(days=4_000)
    database.execute("UPDATE live_markets SET event_time = %s", (future,))
    apply_retention(database)
    assert len(_quotes(database)) == 1


def test_revisions_and_articles_go_by_their_own_clocks(database: psycopg.Connection[Any]) -> None:
    for name, back in (("old", 181), ("young", 179)):
        database.execute(
            "INSERT INTO articles (article_id, source, url, title, summary, content, tags, symbols, published_at, "
            "first_seen_at) VALUES (%s, '', '', '', '', '', '{}', '{}', %s, %s)",
            (name, NOW - timedelta(days=back), NOW - timedelta(days=back)),
        )
    for revision, back in ((1, 31), (2, 29)):
        database.execute(
            "INSERT INTO ops.market_enriched_revisions VALUES ('binance', 'BTC-USDT', %s, %s, %s, '{}')",
            (NOW, revision, NOW - timedelta(days=back)),
        )
    apply_retention(database)
    assert database.execute("SELECT article_id FROM articles").fetchall() == [("young",)]
    assert database.execute("SELECT revision FROM ops.market_enriched_revisions").fetchall() == [(2,)]


def test_nothing_has_an_age_before_the_first_trade(own_postgres_dsn: str) -> None:
    with psycopg.connect(own_postgres_dsn) as connection:
        _quote(connection, NOW - timedelta(days=9_000))
        assert apply_retention(connection) == []
        assert len(_quotes(connection)) == 1


def test_the_asset_tells_what_it_dropped(database: psycopg.Connection[Any], own_postgres_dsn: str) -> None:
    _quote(database, NOW - timedelta(days=91))
    graph = build_defs(resource_overrides={"postgres": Postgres(dsn=own_postgres_dsn)})
    whole, key = graph.resolve_implicit_global_asset_job_def(), dg.AssetKey(["publish", "retention"])
    job = whole.get_subset(asset_selection={key})  # as its condition asks for it
    result = job.execute_in_process(instance=dg.DagsterInstance.ephemeral())
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["rows_dropped"].value == 1
    assert _quotes(database) == []
