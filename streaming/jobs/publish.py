"""publish: what the lake has -> PostgreSQL (or Supabase) and Redis: bars, pairs, articles, gaps, and from them the
provisional rows of market_enriched.

It reads the streamed tables as streams, so it can only show what the record has. While PostgreSQL is away it waits
with its batch; the lake's queries go on, and it catches up by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.serving import SERVED
from crypto_intel.contracts.tables import (
    BRONZE_FEED_STATUS,
    BRONZE_NEWS,
    SILVER_BAR_NEWS,
    SILVER_BARS_1M,
    SILVER_BARS_5M,
)
from streaming.jobs.publisher import Publisher
from streaming.jobs.query import start
from streaming.settings import StreamingSettings
from streaming.sinks.delta import query_id

NAME = "publish"
SERVED_FROM: dict[str, Table] = {
    "bars_1m": SILVER_BARS_1M,
    "bars_5m": SILVER_BARS_5M,
    "bar_news": SILVER_BAR_NEWS,
    "articles": BRONZE_NEWS,
}
"""Served tables and the streamed table that each shows."""

_KEYS = ["venue", "symbol", "window_start"]


def run(session: SparkSession, settings: StreamingSettings, publisher: Publisher) -> StreamingQuery:
    """Start the query."""
    lake = settings.lake_root
    streams = [_stream(session, table, lake, name) for name, table in SERVED_FROM.items()]
    gaps = _stream(session, BRONZE_FEED_STATUS, lake, "feed_status").where(F.col("status").isin("gap", "repaired"))
    union = reduce(lambda left, right: left.unionByName(right, allowMissingColumns=True), [*streams, gaps])
    return start(union, NAME, settings, every_s=settings.triggers.publish_s, sink=_sink(publisher))


def _stream(session: SparkSession, table: Table, lake: str, served: str) -> DataFrame:
    return session.readStream.format("delta").load(table.path(lake)).withColumn("_served", F.lit(served))


def _sink(publisher: Publisher) -> Callable[[DataFrame, int], None]:
    def write(batch: DataFrame, batch_id: int) -> None:
        rows = pl.from_arrow(batch.toArrow())
        if not isinstance(rows, pl.DataFrame) or rows.is_empty():
            return
        upserts = {name: frame for name in SERVED_FROM if (frame := served_rows(rows, name)).height}
        publisher.publish(
            NAME,
            query_id(batch),
            batch_id,
            upserts,
            refresh_enriched=enriched_keys(upserts),
            feed_status=feed_rows(rows),
        )

    return write


def served_rows(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """The rows of one served table among the union's, each key once: of an article the first sighting."""
    table = SERVED[name]
    own = rows.filter(pl.col("_served") == name)
    if name == "articles":
        own = own.sort("first_seen_at")
    return own.unique(list(table.key), keep="first", maintain_order=True).select(table.column_names)


def feed_rows(rows: pl.DataFrame) -> pl.DataFrame | None:
    """Gaps and repairs among the union's rows."""
    found = rows.filter(pl.col("_served") == "feed_status")
    return found.select(BRONZE_FEED_STATUS.column_names) if found.height else None


def enriched_keys(upserts: dict[str, pl.DataFrame]) -> pl.DataFrame | None:
    """Windows whose enriched row may have changed: those of new bars and of new pairs."""
    keys = [upserts[name].select(_KEYS) for name in ("bars_1m", "bar_news") if name in upserts]
    return pl.concat(keys).unique() if keys else None
