"""Small real lakes: bronze and streamed tables written through delta-rs as the Spark application would write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import write_deltalake

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_NEWS, BRONZE_TRADES
from crypto_intel.core.frames import to_arrow

PARTITIONS = 3
HOUR = datetime(2024, 8, 8, 22, tzinfo=UTC)


def append(lake: Path, table: Table, rows: Sequence[dict[str, Any]] | pl.DataFrame) -> None:
    """Append rows to a table of the lake, creating it."""
    frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, infer_schema_length=None)
    write_deltalake(table.path(str(lake)), to_arrow(frame, table), mode="append", partition_by=list(table.partition_by))


def trade(trade_id: int, at: datetime, price: str = "100", **other: Any) -> dict[str, Any]:
    """A row of bronze.trades; `other` overrides columns."""
    row = {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "trade_id": trade_id,
        "price": Decimal(price),
        "quantity": Decimal("0.5"),
        "taker_side": "buy" if trade_id % 2 else "sell",
        "event_time": at,
        "received_at": at,
        "origin": "ws",
        **_lineage("trades_topic", 0, trade_id, at),
        **other,
    }
    return {**row, "event_date": row["event_time"].date()}


def heartbeats(
    start: datetime,
    end: datetime,
    *,
    every_s: int = 5,
    venue: str = "binance",
    topic: str = "trades_topic",
    ended: bool = False,
    taken_at: datetime | None = None,
) -> list[dict[str, Any]]:
    """Rows of bronze.feed_status: a heartbeat to each partition every few seconds; at the end perhaps `ended`."""
    count = int((end - start).total_seconds()) // every_s + 1
    times = [start + timedelta(seconds=every_s * n) for n in range(count)]
    rows = [
        _status(venue, "heartbeat", at, topic, partition, int(at.timestamp()), taken_at)
        for at in times
        for partition in range(PARTITIONS)
    ]
    if ended:
        rows += [_status(venue, "ended", end, topic, p, int(end.timestamp()) + 1, taken_at) for p in range(PARTITIONS)]
    return rows


def article(article_id: str, published_at: datetime, symbols: Iterable[str] = ("BTC",), **other: Any) -> dict[str, Any]:
    """A row of bronze.news."""
    row = {
        "article_id": article_id,
        "source": "Wire",
        "url": f"https://news.example/{article_id}",
        "title": f"About {article_id}",
        "summary": "",
        "content": "",
        "tags": [],
        "symbols": list(symbols),
        "event_time": None,
        "published_at": published_at,
        "first_seen_at": published_at + timedelta(seconds=30),
        "language": "en",
        "cluster_id": None,
        "sentiment": None,
        **_lineage("news_topic", 0, 0, published_at),
        **other,
    }
    return {**row, "event_date": published_at.date()}


def _status(  # noqa: PLR0917
    venue: str, status: str, at: datetime, topic: str, partition: int, offset: int, taken_at: datetime | None
) -> dict[str, Any]:
    return {
        "venue": venue,
        "status": status,
        "stream": "trade",
        "symbol": None,
        "first_id": None,
        "last_id": None,
        "detail": "",
        "event_time": at,
        "received_at": at,
        **_lineage(topic, partition, offset, taken_at or at),
        "event_date": at.date(),
    }


def _lineage(topic: str, partition: int, offset: int, at: datetime) -> dict[str, Any]:
    return {"kafka_topic": topic, "kafka_partition": partition, "kafka_offset": offset, "kafka_time": at}


def fill_hour(lake: Path, hour: datetime = HOUR, *, trades: int = 600, ended: bool = False) -> None:
    """An hour with a trade every six seconds, a repeated record, an article, and heartbeats until past its end."""
    ids = range(1000, 1000 + trades)
    rows = [trade(n, hour + timedelta(seconds=6 * (n - 1000)), price=str(100 + n % 7)) for n in ids]
    append(lake, BRONZE_TRADES, [*rows, {**rows[5], "kafka_offset": 5_000_000, "origin": "rest"}])
    append(lake, BRONZE_NEWS, [article("a1", hour + timedelta(minutes=30))])
    past = hour + timedelta(hours=1, minutes=7)
    append(lake, BRONZE_FEED_STATUS, heartbeats(hour - timedelta(minutes=1), past, ended=ended))
