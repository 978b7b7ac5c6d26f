"""From a batch of streamed tables to what is served: the right rows, each key once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import psycopg
import pytest
from pydantic import SecretStr

from crypto_intel.contracts.serving import SERVED
from crypto_intel.contracts.tables import SILVER_BARS_1M
from crypto_intel_tests.streaming.sinks.rows import bar, frame
from streaming.jobs.live import live_markets, raised
from streaming.jobs.publish import enriched_keys, served_rows, sink_of
from streaming.jobs.publisher import Publisher
from streaming.settings import StreamingSettings
from streaming.transforms.rules import Fired

AT = datetime(2025, 1, 1, tzinfo=UTC)


def article(article_id: str, seen: datetime) -> dict[str, Any]:
    """A row of bronze.news."""
    return {
        "article_id": article_id,
        "source": "s",
        "url": "u",
        "title": "t",
        "summary": "",
        "content": "",
        "tags": [],
        "symbols": ["BTC"],
        "event_time": None,
        "published_at": AT,
        "first_seen_at": seen,
        "language": None,
        "cluster_id": None,
        "sentiment": None,
    }


def test_of_an_article_that_came_twice_the_first_sighting_is_served() -> None:
    rows = pl.DataFrame([article("a", AT + timedelta(minutes=5)), article("a", AT), article("b", AT)])
    served = served_rows(rows, "articles").sort("article_id")
    assert served["article_id"].to_list() == ["a", "b"]
    assert served["first_seen_at"].to_list() == [AT, AT]
    assert served.columns == SERVED["articles"].column_names


@pytest.mark.stack
def test_a_checkpoint_that_starts_anew_leaves_bars_as_a_repair_made_them(own_postgres_dsn: str) -> None:
    settings = StreamingSettings(postgres_dsn=SecretStr(own_postgres_dsn), redis_url=None)
    publish = sink_of(Publisher.from_settings(settings, threading.Event()), "sim")
    streamed = {SILVER_BARS_1M: frame("bars_1m", bar(0, trade_count=9))}
    publish(streamed, "checkpoint-1", 1)
    with psycopg.connect(own_postgres_dsn, autocommit=True) as connection:
        connection.execute("UPDATE bars_1m SET trade_count = 10, completeness = 'repaired'")
        publish(streamed, "checkpoint-2", 1)
        found = connection.execute("SELECT b.trade_count, b.completeness, e.trade_count FROM bars_1m b "
                                   "JOIN market_enriched e USING (venue, symbol, window_start)").fetchall()  # fmt: skip
    assert found == [(10, "repaired", 10)]


def test_windows_of_new_bars_and_of_new_pairs_are_refreshed_each_once() -> None:
    key = {"venue": "binance", "symbol": "BTC-USDT"}
    bars = pl.DataFrame([{**key, "window_start": AT}])
    pairs = pl.DataFrame([{**key, "window_start": AT}, {**key, "window_start": AT + timedelta(minutes=1)}])
    keys = enriched_keys({"bars_1m": bars, "bar_news": pairs})
    assert keys is not None
    assert keys.height == 2
    assert enriched_keys({"articles": bars}) is None


def test_emitted_rows_become_live_markets_and_alerts_that_name_their_source() -> None:
    us = int(AT.timestamp() * 1e6)
    live: dict[str, Any] = {
        **{"price": 1.5, "event_time": us, "window_start": us, "open": 1.0, "high": 2.0, "low": 1.0, "close": 1.5},
        **{"volume_base": 3.0, "volume_quote": 4.5, "trade_count": 2, "change_1h_pct": None, "change_24h_pct": None},
        "price_5m_mean": 1.5,
    }
    fired = Fired(
        rule="price_move",
        about="down",
        anchor=str(us),
        at=us,
        window_start=us,
        window_end=us + 120_000_000,
        value=-1.3,
        threshold=0.6,
        unit="pct",
        text="fell 1.30 % within 2 min, to 62081.9",
        severity="critical",
        coverage_pct=100.0,
        completeness="complete",
        article_ids=["a"],
        bar={"close": 62081.9},
        values={"price": 62081.9},
        by={"family": "price_move"},
    )
    (row,) = live_markets([("binance:BTC-USDT", live)], us, "sim").to_dicts()
    found = (row["venue"], row["symbol"], row["price"], row["event_time"], row["source"])
    assert found == ("binance", "BTC-USDT", 1.5, AT, "sim")
    assert set(row) == set(SERVED["live_markets"].column_names)
    alert = raised("binance:BTC-USDT", fired, us, "sim")
    assert (alert.severity, alert.unit, alert.source) == ("critical", "pct", "sim")
    assert alert.message == "Simulated: BTC-USDT fell 1.30 % within 2 min, to 62081.9"
    assert (alert.coverage_pct, alert.completeness, alert.article_ids) == (100.0, "complete", ("a",))
    assert alert.evidence == {"bar": {"close": 62081.9}, "values": {"price": 62081.9}, "rule": {"family": "price_move"}}
