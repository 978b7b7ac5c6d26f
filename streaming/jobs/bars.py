"""bars: trades -> 1-minute and 5-minute bars, each written once when its window closes; late trades are listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.tables import SILVER_BARS_1M, SILVER_BARS_5M, SILVER_LATE_ARRIVALS
from streaming.jobs.query import Step, per_market, rows_of, start
from streaming.settings import StreamingSettings
from streaming.sinks import delta
from streaming.transforms.bars import TRADE_SCHEMA
from streaming.transforms.market import MarketState, Signals, advance

NAME = "bars"
TABLES = {"bar_1m": SILVER_BARS_1M, "bar_5m": SILVER_BARS_5M, "late": SILVER_LATE_ARRIVALS}


def run(session: SparkSession, settings: StreamingSettings) -> StreamingQuery:
    """Start the query."""
    emitted = per_market(session, settings, bars_step(settings.bars.delay_s * 1_000_000))
    return start(emitted, NAME, settings, every_s=settings.triggers.bars_s, sink=_sink(settings.lake_root))


def bars_step(delay_us: int) -> Step:
    """The stateful operator's step: a batch of a market's events into its state, finished rows out."""

    def step(_market: str, state: bytes | None, events: pl.DataFrame) -> tuple[bytes, list[tuple[str, dict[str, Any]]]]:
        market = msgspec.msgpack.decode(state, type=MarketState) if state else MarketState()
        trades = events.filter(pl.col("is_trade"))
        if market.partition < 0 and trades.height:
            market.partition = int(trades["kafka_partition"][0])
        # Heartbeats come in every partition; only those behind this market's own trades say anything about it.
        beats = events.filter(~pl.col("is_trade") & (pl.col("kafka_partition") == market.partition))
        signals = Signals(beats["event_time"].to_numpy(), bool(beats["ended"].any()))
        closed = advance(market, trades.select(list(TRADE_SCHEMA)), signals, delay_us=delay_us)
        rows = [("bar_1m", row) for row in closed.minutes] + [("bar_5m", row) for row in closed.fives]
        return msgspec.msgpack.encode(market), rows + [("late", row) for row in closed.late]

    return step


def _sink(lake: str) -> Callable[[DataFrame, int], None]:
    def write(batch: DataFrame, batch_id: int) -> None:
        application = delta.query_id(batch)
        batch.persist()
        try:
            present = {row["kind"] for row in batch.select("kind").distinct().collect()}
            for kind, table in TABLES.items():
                if kind in present:
                    columns = [c for c in table.columns if c.name not in table.partition_by]
                    rows = rows_of(batch, kind, columns).withColumn("event_date", F.to_date("window_start"))
                    delta.append(rows, table, lake, application=application, batch_id=batch_id)
        finally:
            batch.unpersist()

    return write
