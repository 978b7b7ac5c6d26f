"""From a batch of streamed tables to what is served: the right rows, each key once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from crypto_intel.contracts.serving import SERVED
from streaming.jobs.live import live_markets, raised
from streaming.jobs.publish import enriched_keys, feed_rows, served_rows

AT = datetime(2025, 1, 1, tzinfo=UTC)


def article(article_id: str, seen: datetime) -> dict[str, Any]:
    """A row of bronze.news within the union of tables."""
    return {
        "_served": "articles",
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
    }


def test_of_an_article_that_came_twice_the_first_sighting_is_served() -> None:
    rows = pl.DataFrame([article("a", AT + timedelta(minutes=5)), article("a", AT), article("b", AT)])
    served = served_rows(rows, "articles").sort("article_id")
    assert served["article_id"].to_list() == ["a", "b"]
    assert served["first_seen_at"].to_list() == [AT, AT]
    assert served.columns == SERVED["articles"].column_names


def test_windows_of_new_bars_and_of_new_pairs_are_refreshed_each_once() -> None:
    key = {"venue": "binance", "symbol": "BTC-USDT"}
    bars = pl.DataFrame([{**key, "window_start": AT}])
    pairs = pl.DataFrame([{**key, "window_start": AT}, {**key, "window_start": AT + timedelta(minutes=1)}])
    keys = enriched_keys({"bars_1m": bars, "bar_news": pairs})
    assert keys is not None
    assert keys.height == 2
    assert enriched_keys({"articles": bars}) is None


def test_a_batch_without_gaps_has_no_feed_rows() -> None:
    assert feed_rows(pl.DataFrame([article("a", AT)])) is None


def test_emitted_rows_become_live_markets_and_alerts_that_name_their_source() -> None:
    us = int(AT.timestamp() * 1e6)
    live = (
        f'{{"price":1.5,"event_time":{us},"window_start":{us},"open":1,"high":2,"low":1,"close":1.5,"volume_base":3,'
        f'"volume_quote":4.5,"trade_count":2,"change_1h_pct":null,"change_24h_pct":null,"price_5m_mean":1.5}}'
    )
    move = (
        f'{{"rule":"price_move","direction":"down","window_start":{us},"window_end":{us + 120_000_000},"value":-1.3,'
        f'"threshold":0.6,"trade_id":9,"price":62081.9}}'
    )
    emitted = pl.DataFrame(
        [("live", "binance:BTC-USDT", live), ("alert", "binance:BTC-USDT", move)],
        schema=["kind", "market", "row"],
        orient="row",
    )
    (row,) = live_markets(emitted, us, "sim").to_dicts()
    assert (row["venue"], row["symbol"], row["price"], row["event_time"], row["source"]) == (
        "binance",
        "BTC-USDT",
        1.5,
        AT,
        "sim",
    )
    assert set(row) == set(SERVED["live_markets"].column_names)
    (alert,) = raised(emitted, us, "sim")
    assert (alert.severity, alert.unit, alert.source) == ("critical", "pct", "sim")
    assert alert.message == "Simulated: BTC-USDT fell 1.30 % within 2 min, to 62081.9"
