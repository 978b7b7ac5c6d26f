"""The streaming application: a session, the tables, the queries, and their end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog
from pyspark.sql import SparkSession

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.tables import SILVER_BAR_NEWS, TABLES
from streaming.jobs import bar_news, ingest, live, publish
from streaming.jobs.metrics import Metrics
from streaming.jobs.progress import ProgressReporter
from streaming.jobs.publisher import Publisher
from streaming.jobs.query import Figures, Query, SparkQuery
from streaming.metrics import new_registry
from streaming.settings import StreamingSettings
from streaming.sinks import delta
from streaming.sinks.metrics import SinkMetrics
from streaming.spark import build_session


@dataclass(frozen=True)
class Context:
    """What a query may need to start."""

    session: SparkSession
    settings: StreamingSettings
    publisher: Publisher
    figures: Figures
    reporter: ProgressReporter
    metrics: Metrics
    sinks: SinkMetrics


QUERIES: dict[str, Callable[[Context], Query]] = {
    ingest.NAME: lambda at: SparkQuery(ingest.run(at.session, at.settings, at.figures, metrics=at.sinks)),
    publish.NAME: lambda at: publish.run(at.settings, at.publisher, at.reporter.tell),
    live.NAME: lambda at: SparkQuery(live.run(at.session, at.settings, at.publisher, at.figures, at.metrics)),
    bar_news.NAME: lambda at: SparkQuery(bar_news.run(at.session, at.settings, at.sinks)),
}
"""The queries in the order of their start: what a reader waits for comes first."""

HEAD_START_S = {ingest.NAME: 15}
"""How long the next query waits for this one's first batch. A cold JVM spends its start compiling: first batches at
once on two cores keep each other from ending. Kafka keeps what the later ones have yet to read."""

DRAIN_S = 25
"""How long a stop waits for the batches at hand; the supervisor gives 30 s before it kills."""

log = structlog.get_logger()


def run(settings: StreamingSettings, names: list[str]) -> int:
    """Run the named queries until stopped (0) or until one dies (1).

    Raises:
        FatalError: another process writes these tables, or a setting can not work.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    streamed = [table for table in TABLES.values() if table.writer == "spark"]
    lake = settings.lake_root
    with delta.single_writer(written_by(names), lake):
        for table in streamed:
            delta.ensure_table(table, lake)
        session = build_session(settings)
        registry = new_registry()
        sinks, figures = SinkMetrics(registry), Figures()
        publisher = Publisher.from_settings(settings, stopping, sinks)
        metrics = Metrics(publisher.now_us, registry)
        metrics.serve(settings.metrics_host, settings.metrics_port)
        reporter = ProgressReporter(settings, publisher.now_us, figures, metrics)
        session.streams.addListener(reporter)
        context = Context(session, settings, publisher, figures, reporter, metrics, sinks)
        queries = start_queries(names, lambda name: QUERIES[name](context), stopping)
        log.info("streaming", queries=names, lake=lake, source=settings.source)
        died = _watch(queries, stopping, metrics)
        stopping.set()
        _drain(queries)
        reporter.flush()
        metrics.close()
        session.stop()
    return 1 if died else 0


def written_by(names: Collection[str]) -> list[Table]:
    """The tables that the named queries write; one process may hold each."""
    streamed = [table for table in TABLES.values() if table.writer == "spark"]
    writers = {table: bar_news.NAME if table is SILVER_BAR_NEWS else ingest.NAME for table in streamed}
    return [table for table, writer in writers.items() if writer in names]


def start_queries(names: list[str], start: Callable[[str], Query], stopping: threading.Event) -> list[Query]:
    """Start the named queries in the order of QUERIES, until a stop is asked for or one of them has died."""
    queries: list[Query] = []
    for name in sorted(names, key=list(QUERIES).index):
        if stopping.is_set() or not _all_active(queries):
            break
        query = start(name)
        queries.append(query)
        deadline = time.monotonic() + HEAD_START_S.get(name, 0)
        while time.monotonic() < deadline and _all_active(queries) and not query.has_progress:
            stopping.wait(0.2)
    return queries


def _all_active(queries: list[Query]) -> bool:
    return all(query.is_active for query in queries)


def _watch(queries: list[Query], stopping: threading.Event, metrics: Metrics) -> bool:
    # True when a query died; its cause is in the log.
    while not stopping.wait(1):
        for query in queries:
            metrics.set_up(query.name, is_up=query.is_active)
            if not query.is_active:
                log.error("query died", query=query.name, error=query.error[:4000])
                return True
    return False


def _drain(queries: list[Query]) -> None:
    # A stopped query loses nothing: its batch is repeated. Letting batches end saves that work at the next start.
    deadline = time.monotonic() + DRAIN_S
    for query in queries:
        while query.is_active and query.is_working and time.monotonic() < deadline:
            time.sleep(0.1)
        query.stop()
