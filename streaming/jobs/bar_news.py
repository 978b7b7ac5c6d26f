"""bar_news: streamed bars joined with news within five minutes -> silver.bar_news, pair by pair, never updated."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.tables import SILVER_BAR_NEWS, SILVER_BARS_1M
from streaming.jobs.query import start
from streaming.settings import StreamingSettings
from streaming.sinks.delta import Lake, query_id
from streaming.spark import read_kafka
from streaming.transforms.bar_news import NEWS_SCHEMA, join, news_by_asset, once
from streaming.transforms.decode import Reader, Records, decode, read_event
from streaming.transforms.frames import schema_of

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "bar_news"
_COLUMNS = ("topic", "partition", "value", "offset", "timestamp")


def run(session: SparkSession, settings: StreamingSettings, read: Reader = read_event) -> StreamingQuery:
    """Start the query."""
    lake = Lake(settings.lake_root)
    bars = session.readStream.format("delta").load(SILVER_BARS_1M.path(lake.root))
    records = read_kafka(session, settings, [settings.topics.news]).select(*_COLUMNS)
    news = records.mapInArrow(partial(_news, read), NEWS_SCHEMA)
    pairs = join(bars, once(news, delay_minutes=settings.news.delay_minutes))

    def write(batch: DataFrame, batch_id: int) -> None:
        # Reads every partition: a look at some only would leave the others' state uncommitted.
        rows: pl.DataFrame = pl.from_arrow(batch.toArrow())  # type: ignore[assignment]
        typed = rows.cast(schema_of(SILVER_BAR_NEWS))  # type: ignore[arg-type]
        lake.append(typed, SILVER_BAR_NEWS, application=query_id(batch), batch_id=batch_id)
        lake.compact()

    return start(pairs, NAME, settings, every_s=settings.triggers.bar_news_s, sink=write)


def _news(read: Reader, chunks: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:

    for chunk in chunks:
        records: pl.DataFrame = pl.from_arrow(chunk)  # type: ignore[assignment]
        for (topic, number), rows in records.partition_by("topic", "partition", as_dict=True).items():
            decoded = decode(Records.of(str(topic), int(number), rows), read)
            news = news_by_asset(decoded, f"{topic}-{number}")
            if news.height:
                yield from _plain(news.to_arrow()).to_batches()


def _plain(table: pa.Table) -> pa.Table:
    # Spark takes no large strings.
    import pyarrow as pa  # noqa: PLC0415 - in the worker

    fields = [f.with_type(pa.string()) if pa.types.is_large_string(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))
