"""bar_news: streamed bars joined with news within five minutes -> silver.bar_news, pair by pair, never updated."""

from __future__ import annotations

import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.tables import SILVER_BAR_NEWS
from streaming.jobs.lake_source import read_rows
from streaming.jobs.query import start
from streaming.settings import StreamingSettings
from streaming.sinks.delta import Lake, query_id
from streaming.transforms.bar_news import join, once
from streaming.transforms.frames import schema_of

NAME = "bar_news"


def run(session: SparkSession, settings: StreamingSettings) -> StreamingQuery:
    """Start the query."""
    lake = Lake(settings.lake_root)
    bars, news = (read_rows(session, lake.root, rows, settings.topics.news) for rows in ("bars", "news"))
    pairs = join(bars, once(news, delay_minutes=settings.news.delay_minutes))

    def write(batch: DataFrame, batch_id: int) -> None:
        # Reads every partition: a look at some only would leave the others' state uncommitted.
        rows: pl.DataFrame = pl.from_arrow(batch.toArrow())  # type: ignore[assignment]
        typed = rows.cast(schema_of(SILVER_BAR_NEWS))  # type: ignore[arg-type]
        lake.append(typed, SILVER_BAR_NEWS, application=query_id(batch), batch_id=batch_id)
        lake.compact()

    return start(pairs, NAME, settings, every_s=settings.triggers.bar_news_s, sink=write)
