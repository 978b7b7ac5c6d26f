"""Bars joined with news by Spark, on a real lake: which pairs there are, by either clock, and what comes too late."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.settings import NewsClock
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_NEWS, SILVER_BAR_NEWS, SILVER_BARS_1M
from streaming.jobs import bar_news
from streaming.settings import StreamingSettings, Triggers
from streaming.sinks.delta import Lake, ensure_table
from streaming.transforms.frames import schema_of

pytestmark = pytest.mark.stack

END = datetime(2025, 1, 1, 12, 0, tzinfo=UTC)
"""End of the one bar of each market."""


def after(seconds: float) -> datetime:
    """A time after the bars' end."""
    return END + timedelta(seconds=seconds)


def article(name: str, published_s: float, seen_s: float, *assets: str, story: str | None = None) -> dict[str, Any]:
    """A row of bronze.news."""
    return {"article_id": name, "cluster_id": story, "title": name, "symbols": list(assets or ["BTC"]),
            "published_at": after(published_s), "first_seen_at": after(seen_s)}  # fmt: skip


def beat(at_s: float) -> dict[str, Any]:
    """A heartbeat of the news feed."""
    return {"venue": "newsapi", "status": "heartbeat", "kafka_topic": "news_topic", "event_time": after(at_s),
            "received_at": after(at_s)}  # fmt: skip


class News:
    """A lake with one bar of BTC and one of ETH, to which news is written as `ingest` would."""

    def __init__(self, root: Path) -> None:
        self.lake = Lake(str(root))
        self._batch = 0
        for table in (BRONZE_NEWS, BRONZE_FEED_STATUS, SILVER_BARS_1M, SILVER_BAR_NEWS):
            ensure_table(table, self.lake.root)
        self.bar("BTC", 0)
        self.bar("ETH", 0)

    def bar(self, base: str, end_s: float) -> None:
        """A bar."""
        times = {"window_start": after(end_s - 60), "window_end": after(end_s)}
        self._append(SILVER_BARS_1M, [{"venue": "binance", "symbol": f"{base}-USDT", "close": 7.0, **times}])

    def tell(self, *articles: dict[str, Any], beats: tuple[dict[str, Any], ...] = ()) -> None:
        """One batch of `ingest`: news before the heartbeats that vouch for it."""
        self._append(BRONZE_NEWS, list(articles))
        self._append(BRONZE_FEED_STATUS, list(beats))

    def _append(self, table: Table, rows: list[dict[str, Any]]) -> None:
        self._batch += 1
        filled = [{**_EMPTY, **row, "kafka_offset": self._batch * 100 + n} for n, row in enumerate(rows)]
        schema = schema_of(table)
        day = table.partition_by[0]
        rest = {name: dtype for name, dtype in schema.items() if name != day}
        frame = pl.DataFrame([{name: row.get(name) for name in rest} for row in filled], schema=rest)
        dated = frame.with_columns(pl.col(table.time_column or "received_at").dt.date().alias(day))
        self.lake.append(dated.select(table.column_names), table, application="test", batch_id=self._batch)

    def pairs(self) -> list[tuple[str, str]]:
        """(symbol, article) of every pair, repeated ones too."""
        rows = self.lake.read(SILVER_BAR_NEWS).select("symbol", "article_id").sort("symbol", "article_id").collect()
        return rows.rows()


_EMPTY: dict[str, Any] = {"kafka_partition": 0, "kafka_time": END, "stream": "", "source": "s", "detail": "",
                          "completeness": "complete", "trade_count": 1, "coverage_pct": 100.0}  # fmt: skip


@contextmanager
def joining(spark: SparkSession, root: Path, clock: NewsClock) -> Iterator[StreamingQuery]:
    """The query, running."""
    settings = StreamingSettings(
        data_dir=root, lake=str(root), news_clock=clock, triggers=Triggers(bar_news_s=0.2), checkpoints=str(root / "c")
    )
    query = bar_news.run(spark, settings)
    try:
        yield query
    finally:
        query.stop()


def until(query: StreamingQuery, holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + 60
    while not holds():
        assert query.isActive, query.exception()
        assert time.monotonic() < deadline, query.lastProgress
        time.sleep(0.1)


def watermark(query: StreamingQuery) -> datetime:
    """The newest."""
    told = [batch["eventTime"]["watermark"] for batch in query.recentProgress if "watermark" in batch["eventTime"]]
    return datetime.fromisoformat(max(told, default="1970-01-01T00:00:00Z").replace("Z", "+00:00"))


def late(query: StreamingQuery) -> int:
    """Rows that came behind the watermark, of all batches."""
    return sum(int(state["numRowsDroppedByWatermark"]) for batch in query.recentProgress
               for state in batch["stateOperators"])  # fmt: skip


@pytest.mark.parametrize(
    ("clock", "first"),
    [
        ("published", [("BTC-USDT", "at the end"), ("BTC-USDT", "at the start"), ("BTC-USDT", "of both"),
                       ("BTC-USDT", "seen late"), ("BTC-USDT", "told first"), ("ETH-USDT", "of both")]),
        ("first_seen", [("BTC-USDT", "at the start"), ("BTC-USDT", "of both"), ("BTC-USDT", "told first"),
                        ("ETH-USDT", "of both")]),
    ],
)  # fmt: skip
def test_news_pairs_with_the_bars_of_its_assets_by_the_clock_that_is_set(
    spark: SparkSession, tmp_path: Path, clock: NewsClock, first: list[tuple[str, str]]
) -> None:
    news = News(tmp_path)
    news.tell(
        article("of both", -30, 10, "BTC", "ETH"),
        article("at the start", -300, -300),
        article("at the end", 300, 301),
        article("too early", -300.001, -300.001),
        article("too late", 300.001, 320),
        article("of neither", 0, 5, "SOL"),
        article("seen late", 60, 900),
        article("told first", 20, 25, story="story"),
        beats=(beat(30),),
    )
    with joining(spark, tmp_path, clock) as query:
        until(query, lambda: len(news.pairs()) >= len(first))
        # One more about the same story, and one that the same article tells again: each counts once.
        news.tell(article("told again", 40, 45, story="story"), article("of both", -30, 10, "BTC", "ETH"))
        # News is idle: heartbeats alone bring its time on, so that what comes behind it is late, and counted.
        news.bar("DOT", 3_600)
        news.tell(beats=(beat(3_700),))
        until(query, lambda: watermark(query) >= after(1_800))
        news.tell(article("an hour late", 0, 0), article("late as well", 5, 5))
        until(query, lambda: late(query) >= 2)
        assert (late(query), news.pairs()) == (2, first)
    rows = news.lake.read(SILVER_BAR_NEWS).collect()
    assert set(rows["clock"]) == {clock}
    both = rows.row(by_predicate=(pl.col("article_id") == "of both") & (pl.col("symbol") == "ETH-USDT"), named=True)
    assert (both["published_at"], both["first_seen_at"], both["published_after_s"]) == (after(-30), after(10), -30.0)
