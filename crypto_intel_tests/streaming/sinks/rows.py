"""Rows that sink tests write: whole contract rows, of which a test changes what it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from crypto_intel.contracts.events import Alert
from crypto_intel.contracts.serving import SERVED

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MARKET = {"venue": "binance", "symbol": "BTC-USDT"}
KNOWN = datetime(2026, 11, 20, 12, 1, 11, 123456, tzinfo=UTC)

_POLARS = {
    "string": pl.String(),
    "bigint": pl.Int64(),
    "double": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
    "array<string>": pl.List(pl.String()),
}


def frame(table: str, *rows: dict[str, object]) -> pl.DataFrame:
    """Rows as a frame with the contract's types, of the columns that the first row names."""
    types = {column.name: _POLARS[column.type] for column in SERVED[table].columns if column.name in rows[0]}
    return pl.DataFrame(list(rows), schema=types, orient="row")


def bar(minute: int = 0, **changes: object) -> dict[str, object]:
    """A complete 1-minute bar, `minute` minutes after START."""
    start = START + timedelta(minutes=minute)
    return {
        **MARKET, "window_start": start, "window_end": start + timedelta(minutes=1),
        "open": 100.0, "high": 101.5, "low": 99.25, "close": 101.0, "vwap": 100.2,
        "volume_base": 2.0, "volume_quote": 200.4, "buy_volume_base": 1.5, "trade_count": 10, "return_pct": None,
        "volatility_pct": 0.1, "first_trade_id": 1, "last_trade_id": 10, "coverage_pct": 100.0,
        "completeness": "complete", "completeness_reason": "", **changes,
    }  # fmt: skip


def pair(article_id: str, minute: int = 0, after_s: float = -30.0, **changes: object) -> dict[str, object]:
    """A bar of `minute` and an article published `after_s` seconds after its end."""
    start = START + timedelta(minutes=minute)
    end = start + timedelta(minutes=1)
    published = end + timedelta(seconds=after_s)
    return {
        **MARKET, "window_start": start, "window_end": end, "close": 101.0, "article_id": article_id,
        "title": "A title", "source": "wire", "published_at": published, "first_seen_at": published,
        "published_after_s": after_s, "sentiment": None, **changes,
    }  # fmt: skip


def final(minute: int = 0, **changes: object) -> dict[str, object]:
    """A final enriched row without news and macro values."""
    macro = ("fed_funds_pct", "treasury_10y_pct", "yield_curve_10y2y_pct", "vix_index", "dollar_index", "cpi_yoy_pct")
    return {
        **bar(minute), "news_count": 0, "news_before_count": 0, "news_after_count": 0, "sentiment_mean": None,
        "article_ids": [], **dict.fromkeys(macro), "is_final": True, "revision": 0, "known_at": KNOWN, **changes,
    }  # fmt: skip


def live(price: float, second: int, **changes: object) -> dict[str, object]:
    """The live state of the market `second` seconds after START."""
    return {
        **MARKET, "price": price, "event_time": START + timedelta(seconds=second), "window_start": START,
        "open": 100.0, "high": 101.0, "low": 99.0, "close": price, "volume_base": 1.0, "volume_quote": 100.0,
        "trade_count": 3, "change_1h_pct": 0.5, "change_24h_pct": None, "price_5m_mean": 100.5, "updated_at": KNOWN,
        "source": "sim", **changes,
    }  # fmt: skip


def keys(*minutes: int) -> pl.DataFrame:
    """Keys of the market's windows."""
    return frame(
        "market_enriched", *({**MARKET, "window_start": START + timedelta(minutes=minute)} for minute in minutes)
    )


def alert(alert_id: str = "price_move:binance:BTC-USDT:1", **changes: object) -> Alert:
    """An alert of a price move."""
    start = int(START.timestamp()) * 1_000_000
    values: dict[str, object] = {
        "alert_id": alert_id, "rule": "price_move", "severity": "warning", **MARKET, "window_start": start,
        "window_end": start + 60_000_000, "raised_at": start + 61_000_001, "value": 0.7, "threshold": 0.6,
        "unit": "pct", "message": "BTC-USDT moved 0.70 %", "coverage_pct": 100.0, "completeness": "complete",
        "source": "sim", **changes,
    }  # fmt: skip
    return Alert(**values)  # type: ignore[arg-type]


def gap(status: str, first_id: int, last_id: int, second: int = 0, symbol: str = "BTC-USDT") -> pl.DataFrame:
    """A feed status row about trade ids, `second` seconds after START."""
    return pl.DataFrame(
        {
            "venue": ["binance"], "status": [status], "stream": ["trade"], "symbol": [symbol], "first_id": [first_id],
            "last_id": [last_id], "detail": [f"{last_id - first_id + 1} trades"],
            "event_time": [START], "received_at": [START + timedelta(seconds=second)],
        }
    )  # fmt: skip
