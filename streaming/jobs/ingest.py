"""ingest: every record of every topic -> bronze. One row per record; what can not be typed is in bronze.rejected."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from streaming.jobs.query import start
from streaming.settings import StreamingSettings
from streaming.sinks import delta
from streaming.spark import read_kafka
from streaming.transforms.decode import BRONZE, decode

NAME = "ingest"


def run(session: SparkSession, settings: StreamingSettings) -> StreamingQuery:
    """Start the query."""
    decoded = decode(read_kafka(session, settings, settings.topics.ingested))
    return start(decoded, NAME, settings, every_s=settings.triggers.ingest_s, sink=_sink(settings.lake_root))


def _sink(lake: str) -> Callable[[DataFrame, int], None]:
    def write(batch: DataFrame, batch_id: int) -> None:
        application = delta.query_id(batch)
        batch.persist()
        try:
            present = {row["target"] for row in batch.select("target").distinct().collect()}
            for table, select in BRONZE.items():
                if table.name in present:
                    delta.append(select(batch), table, lake, application=application, batch_id=batch_id)
        finally:
            batch.unpersist()

    return write
