"""bar_news: streamed bars joined with news within five minutes -> silver.bar_news, pair by pair, never updated."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.tables import SILVER_BAR_NEWS, SILVER_BARS_1M
from streaming.jobs.query import start
from streaming.settings import StreamingSettings
from streaming.sinks import delta
from streaming.spark import read_kafka
from streaming.transforms.bar_news import join, news_by_asset
from streaming.transforms.decode import decode

NAME = "bar_news"


def run(session: SparkSession, settings: StreamingSettings) -> StreamingQuery:
    """Start the query."""
    lake = settings.lake_root
    bars = session.readStream.format("delta").load(SILVER_BARS_1M.path(lake))
    decoded = decode(read_kafka(session, settings, [settings.topics.news]))
    pairs = join(bars, news_by_asset(decoded, delay_minutes=settings.news.delay_minutes))

    def write(batch: DataFrame, batch_id: int) -> None:
        application = delta.query_id(batch)
        batch.persist()
        try:
            # Counts every partition: a check that looks at some only leaves the others' state uncommitted.
            if batch.count():
                delta.append(batch, SILVER_BAR_NEWS, lake, application=application, batch_id=batch_id)
        finally:
            batch.unpersist()

    return start(pairs, NAME, settings, every_s=settings.triggers.bar_news_s, sink=write)
