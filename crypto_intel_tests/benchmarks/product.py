"""The product over a backlog: its own jobs, to the end of what Kafka and the lake hold now.

`python -m crypto_intel_tests.benchmarks.product` reads the platform's settings from the environment, as
`python -m streaming.jobs` does, runs the same queries, and leaves when all of their output is durable. Only two
settings differ from the platform's own: queries look for work more often, and windows wait as long as the load's
latest records take (`SETTINGS`).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any, NamedTuple

from confluent_kafka import Consumer, TopicPartition
from deltalake import DeltaTable
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import TABLES
from crypto_intel_tests.benchmarks.measure import say
from streaming.jobs import bar_news, ingest, publish
from streaming.jobs.follower import Follower
from streaming.jobs.progress import end_offsets
from streaming.jobs.publisher import Publisher
from streaming.jobs.query import Figures, Query, SparkQuery
from streaming.settings import StreamingSettings
from streaming.sinks import delta
from streaming.spark import build_session
from streaming.transforms.decode import Reader, read_event

SETTINGS = {
    "CRYPTO_INTEL_TRIGGERS__INGEST_S": "0.5",
    "CRYPTO_INTEL_TRIGGERS__BAR_NEWS_S": "2",
    "CRYPTO_INTEL_TRIGGERS__PUBLISH_S": "1",
    "CRYPTO_INTEL_BARS__DELAY_S": "60",
    "CRYPTO_INTEL_NEWS__DELAY_MINUTES": "1",
}
"""What a backlog's run adds to the platform's settings.

A backlog closes minutes faster than the clock does, so queries look more often, but the join not at every few bars: a
batch of it costs most of a CPU-second however little it has.
"""

_LOOK_S = 0.2
_STREAMED = [table for table in TABLES.values() if table.writer == "spark"]


class Running(NamedTuple):
    """The queries of a run; the Spark ones also as Spark's own."""

    spark: dict[str, StreamingQuery]
    publish: Follower

    @property
    def all(self) -> list[Query]:
        """Every one."""
        return [*map(SparkQuery, self.spark.values()), self.publish]


def run(settings: StreamingSettings, read: Reader = read_event) -> dict[str, Any]:
    """Run the queries to the end of the backlog; says `@ready`. What each batch cost, by query.

    Raises:
        SystemExit: a query died.
    """
    for table in _STREAMED:
        delta.ensure_table(table, settings.lake_root)
    session = build_session(settings)
    publisher, figures = Publisher.from_settings(settings, threading.Event()), Figures()
    say("ready", output="Delta")
    last = newest_offsets(settings)
    queries = {ingest.NAME: ingest.run(session, settings, figures, read)}
    queries[bar_news.NAME] = bar_news.run(session, settings)
    running = Running(queries, publish.run(settings, publisher, lambda _: None))
    while not _is_done(settings, running, last):
        for query in running.all:
            if not query.is_active:
                raise SystemExit(f"{query.name}: {query.error}")
        time.sleep(_LOOK_S)
    batches = {name: _batches(query, figures) for name, query in running.spark.items()}
    return {"batches": batches}


def newest_offsets(settings: StreamingSettings) -> dict[str, int]:
    """The last offset by `topic/partition`, as it stands now; -1 where there is none."""
    consumer = Consumer({**settings.kafka.client_config(), "group.id": f"bench-{time.time_ns()}"})
    try:
        known = consumer.list_topics(timeout=10).topics
        return {
            f"{topic}/{number}": consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1] - 1
            for topic in settings.topics.ingested
            for number in known[topic].partitions
        }
    finally:
        consumer.close()


def _is_done(settings: StreamingSettings, running: Running, last: dict[str, int]) -> bool:
    """Whether each query has read to the end of what it follows: first Kafka, then the tables behind it."""
    reached = {name: _reached(query) for name, query in running.spark.items()}
    if not all(reached.values()) or not running.publish.progress:
        return False
    if any(reached[ingest.NAME].get(name, -1) <= end for name, end in last.items()):
        return False
    versions = {_name(table): DeltaTable(table.path(settings.lake_root)).version() for table in _STREAMED}
    published = running.publish.progress.ends
    return all(end > versions[name] for name, end in reached[bar_news.NAME].items()) and all(
        end >= versions[name] for name, end in published.items()
    )


def _name(table: Table) -> str:
    return f"{table.layer}/{table.name}"


def _reached(query: StreamingQuery) -> dict[str, int]:
    # Kafka: the next offset by `topic/partition`; the lake: the next version by `layer/table`.
    progress = query.lastProgress
    found: dict[str, int] = {}
    for name, at in (end_offsets(progress) if progress else {}).items():
        if "/" in name:
            found[name] = int(at["version"])
        else:
            found |= {f"{name}/{number}": int(offset) for number, offset in at.items()}
    return found


def _batches(query: StreamingQuery, figures: Figures) -> list[dict[str, Any]]:
    # Of each batch when it began, its records, and its milliseconds by phase, Spark's and our own.
    found = []
    for progress in query.recentProgress:
        own = figures.of(query.name, progress.batchId)
        found.append(
            {"began": progress.timestamp, "records": own.records, **progress.durationMs, **dict(own.phases_ms)}
        )
    return found


def main() -> None:
    """Run over the backlog and leave."""
    try:
        say("done", **run(StreamingSettings()))
        code = 0
    except SystemExit as error:
        sys.stderr.write(f"{error}\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # what is done is durable: nobody asks for an orderly end of the queries' threads


if __name__ == "__main__":
    main()
