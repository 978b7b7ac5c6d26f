"""bar_news: streamed bars joined with news within five minutes -> silver.bar_news, pair by pair, never updated.

A new checkpoint joins everything again; pairs that the lake had before it are left out.
"""

from __future__ import annotations

import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.tables import SILVER_BAR_NEWS as PAIRS
from streaming.jobs.lake_source import read_rows
from streaming.jobs.query import start
from streaming.jobs.slices import planned_versions
from streaming.settings import StreamingSettings
from streaming.sinks.delta import Lake, query_id
from streaming.sinks.metrics import SinkMetrics
from streaming.sinks.states import StateFiles, States
from streaming.transforms.bar_news import join, once
from streaming.transforms.frames import schema_of

NAME = "bar_news"


def run(session: SparkSession, settings: StreamingSettings, metrics: SinkMetrics | None = None) -> StreamingQuery:
    """Start the query."""
    lake = Lake(settings.lake_root, metrics)
    bars, news = (read_rows(session, lake.root, rows, settings.topics.news) for rows in ("bars", "news"))
    known = once(news, delay_minutes=settings.news.delay_minutes, clock=settings.news_clock)
    pairs = join(bars, known, clock=settings.news_clock)
    sink = Sink(lake, f"{settings.checkpoint_root}/{NAME}", frozen(settings))
    return start(pairs, NAME, settings, every_s=settings.triggers.bar_news_s, sink=sink.write)


def frozen(settings: StreamingSettings) -> dict[str, str]:
    """Settings that Spark's own states of the join depend on.

    Spark itself goes on with the old number of shuffle partitions in silence, and with a new delay over old states.
    """
    return {
        "spark.shuffle_partitions": str(settings.spark.shuffle_partitions),
        "news.delay_minutes": str(settings.news.delay_minutes),
        "news_clock": settings.news_clock,
    }


class Sink:
    """Takes the query's batches; `frozen` are the settings that may not change within a checkpoint."""

    def __init__(self, lake: Lake, checkpoint: str, frozen: dict[str, str]) -> None:
        self._lake = lake
        self._checkpoint = checkpoint
        self._states = StateFiles(f"{checkpoint}/states", frozen)

    def write(self, batch: DataFrame, batch_id: int) -> None:
        """Bring a batch's pairs into the lake.

        Raises:
            FatalError: what the batch before left is not there, or this one was begun before with other versions.
        """
        before = self._states.before(batch_id) or States(resume=str(self._lake.version(PAIRS)).encode())
        ends = planned_versions(self._checkpoint, batch_id)
        earlier = self._states.begin(batch_id, ends, lambda: before.resume)
        # Reads every partition: a look at some only would leave the others' state uncommitted.
        rows: pl.DataFrame = pl.from_arrow(batch.toArrow())  # type: ignore[assignment]
        new = unwritten(rows.cast(schema_of(PAIRS)), self._lake, int(earlier))  # type: ignore[arg-type]
        self._lake.append(new, PAIRS, application=query_id(batch), batch_id=batch_id)
        self._states.write(batch_id, States(ends=ends, resume=earlier))
        self._lake.compact()


def unwritten(rows: pl.DataFrame, lake: Lake, version: int) -> pl.DataFrame:
    """Pairs that the table did not have at a version."""
    if rows.is_empty() or version == 0:
        return rows
    key = list(PAIRS.key)
    days = rows["event_date"].unique().to_list()
    known = lake.read(PAIRS, version).filter(pl.col("event_date").is_in(days)).select(key).collect()
    return rows.join(known, on=key, how="anti", maintain_order="left")
