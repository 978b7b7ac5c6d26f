"""The product as one row of the peers' harness: its own jobs over a backlog, to bars and pairs in Delta and PostgreSQL.

`python -m crypto_intel_tests.benchmarks.peer`, with PEERS_* in the environment as that harness sets them. The jobs are
those of `python -m streaming.jobs`, with another reader (wire.py) and without pauses between batches; bronze is written
too. What the harness wants to look at, under its own names, is selected from the lake and the served table at the end.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import polars as pl
import psycopg
from confluent_kafka import Consumer, TopicPartition
from deltalake import DeltaTable, write_deltalake
from pydantic import SecretStr
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.settings import Kafka, Topics
from crypto_intel.contracts.tables import SILVER_BAR_NEWS, SILVER_BARS_1M, TABLES
from crypto_intel.stack import java
from crypto_intel.stack.jars import default_folder, resolve_jars
from crypto_intel.stack.postgres import migrate
from crypto_intel_tests.benchmarks.wire import read_record
from streaming.jobs import bar_news, ingest, publish
from streaming.jobs.follower import Follower
from streaming.jobs.progress import end_offsets
from streaming.jobs.publisher import Publisher
from streaming.jobs.query import Figures, SparkQuery
from streaming.settings import Bars, News, Spark, StreamingSettings, Triggers
from streaming.sinks import delta
from streaming.spark import build_session

STREAMED = [table for table in TABLES.values() if table.writer == "spark"]
BATCH = int(os.environ.get("PEERS_BATCH", "400000"))
_BAR = {"open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume_base", "vwap": "vwap"}


def say(event: str, **facts: object) -> None:
    """Tell the harness where we are."""
    sys.stdout.write(f"@{event} {json.dumps(facts)}\n")
    sys.stdout.flush()


class OnlyTheseTopics(Topics):
    """The two topics that the harness fills."""

    @property
    def ingested(self) -> list[str]:
        """Trades and news."""
        return [self.trades, self.news]


def settings_of(prefix: str, state: Path) -> StreamingSettings:
    """The product's settings for this backlog."""
    home = java.find_java_home()
    os.environ["JAVA_HOME"] = str(home)
    spark = Spark(
        jars=resolve_jars(default_folder(), home).spark,
        jit=os.environ.get("PEERS_JIT", "fast_start"),  # type: ignore[arg-type]
        conf=json.loads(os.environ.get("PEERS_CONF", "{}")),
    )
    return StreamingSettings(
        source="sim",
        data_dir=state,
        kafka=Kafka(bootstrap=os.environ["PEERS_BOOTSTRAP"]),
        topics=OnlyTheseTopics(
            trades=f"{prefix}trades_topic",
            news=f"{prefix}news_topic",
            quotes=f"{prefix}none",
            feed_status=f"{prefix}none",
            dead_letters=f"{prefix}none",
        ),
        postgres_dsn=SecretStr(os.environ["PEERS_PG"]),
        spark=spark,
        triggers=Triggers(ingest_s=0.05, bar_news_s=0.5, publish_s=0.5),
        bars=Bars(delay_s=60),
        news=News(delay_minutes=1),
        max_records_per_batch=BATCH,
    )


def ends(settings: StreamingSettings) -> dict[str, int]:
    """The last offset by `topic/partition`, as it stands now."""
    consumer = Consumer({**settings.kafka.client_config(), "group.id": f"peer-{time.time_ns()}"})
    try:
        return {
            f"{topic}/{number}": consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1] - 1
            for topic in settings.topics.ingested
            for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions
        }
    finally:
        consumer.close()


def main() -> None:
    """Run over the backlog and leave."""
    prefix = os.environ.get("PEERS_PREFIX", "peers_")
    settings = settings_of(prefix, Path(os.environ["PEERS_STATE"]))
    migrate(os.environ["PEERS_PG"])
    with psycopg.connect(os.environ["PEERS_PG"]) as connection:
        connection.execute("TRUNCATE bars_1m, bars_5m, bar_news, articles, market_enriched")
    for table in STREAMED:
        delta.ensure_table(table, settings.lake_root)
    session = build_session(settings)
    publisher = Publisher.from_settings(settings, threading.Event())
    say("ready", output="Delta")
    last = ends(settings)
    ingesting = ingest.run(session, settings, Figures(), read_record)
    joining = bar_news.run(session, settings)
    publishing = publish.run(settings, publisher, lambda _: None)
    queries = [SparkQuery(ingesting), SparkQuery(joining), publishing]
    while not _is_done(settings, (_reached(ingesting), _reached(joining), _published(publishing)), last):
        for query in queries:
            if not query.is_active:
                raise SystemExit(query.error)
        time.sleep(0.05)
    _show(settings, Path(os.environ["PEERS_OUT"]))
    say("done", batch=BATCH, batches=[_figures(query) for query in (ingesting, joining)])
    sys.stdout.flush()
    os._exit(0)  # everything is durable: the harness asks for no orderly end


def _is_done(settings: StreamingSettings, reached: tuple[dict[str, int], ...], last: dict[str, int]) -> bool:
    """Whether each query has read to the end of what it follows: first Kafka, then the tables behind it."""
    if any(reached[0].get(name, -1) <= end for name, end in last.items()):
        return False
    versions = {f"{t.layer}/{t.name}": DeltaTable(t.path(settings.lake_root)).version() for t in STREAMED}
    return all(reached) and all(
        end > versions.get(name, last.get(name, -1)) for query in reached for name, end in query.items()
    )


def _published(query: Follower) -> dict[str, int]:
    return {name: end + 1 for name, end in query.progress.ends.items()} if query.progress else {}


def _reached(query: StreamingQuery) -> dict[str, int]:
    # Kafka: the next offset by `topic/partition`; Delta: the next version by `layer/table`.
    progress = query.lastProgress
    if progress is None:
        return {}
    found = {}
    for name, at in end_offsets(progress).items():
        if "/" in name:
            found[name] = int(at["version"])
        else:
            found |= {f"{name}/{number}": int(offset) for number, offset in at.items()}
    return found


def _figures(query: StreamingQuery) -> list[tuple[str, int, int]]:
    """When each batch began, its rows and its milliseconds."""
    return [
        (progress.timestamp[14:23], progress.numInputRows, dict(progress.durationMs))
        for progress in query.recentProgress
    ]


def _show(settings: StreamingSettings, out: Path) -> None:
    """The bars and pairs under the harness' names."""
    lake = settings.lake_root
    name = pl.col("symbol").str.replace("-", "")
    bars = (
        pl.read_delta(SILVER_BARS_1M.path(lake))
        .filter(pl.col("trade_count") > 0)
        .select(
            name,
            "window_start",
            "window_end",
            *[pl.col(own).alias(theirs) for theirs, own in _BAR.items()],
            "trade_count",
        )
    )
    pairs = (
        pl.read_delta(SILVER_BAR_NEWS.path(lake))
        .with_columns(name)
        .join(bars.select("symbol", "window_start", "vwap", "trade_count"), on=["symbol", "window_start"])
        .select(
            *("symbol", "window_start", "window_end", "close", "vwap", "trade_count", "article_id"),
            *("published_at", "title", "sentiment"),
        )
    )
    write_deltalake(str(out / "bars"), bars.to_arrow())
    write_deltalake(str(out / "pairs"), pairs.to_arrow())
    with psycopg.connect(os.environ["PEERS_PG"]) as connection:
        connection.execute(
            "INSERT INTO bars SELECT replace(symbol, '-', ''), window_start AT TIME ZONE 'UTC', "
            "window_end AT TIME ZONE 'UTC', open, high, low, close, volume_base, vwap, trade_count "
            "FROM bars_1m WHERE trade_count > 0"
        )


if __name__ == "__main__":
    main()
