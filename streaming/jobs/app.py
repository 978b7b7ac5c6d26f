"""The streaming application: a session, the tables, the queries, and their end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import structlog
from pyspark.sql import SparkSession
from pyspark.sql.streaming import StreamingQuery

from crypto_intel.contracts.tables import TABLES
from streaming.jobs import bar_news, bars, ingest, live, publish
from streaming.jobs.progress import ProgressReporter
from streaming.jobs.publisher import Publisher
from streaming.settings import StreamingSettings
from streaming.sinks import delta
from streaming.spark import build_session

Start = Callable[[SparkSession, StreamingSettings, Publisher], StreamingQuery]

QUERIES: dict[str, Start] = {
    bars.NAME: lambda session, settings, _: bars.run(session, settings),
    publish.NAME: publish.run,
    live.NAME: live.run,
    ingest.NAME: lambda session, settings, _: ingest.run(session, settings),
    bar_news.NAME: lambda session, settings, _: bar_news.run(session, settings),
}
"""The queries in the order of their start: what a reader waits for comes first."""

HEAD_START_S = {bars.NAME: 25, publish.NAME: 10}
"""How long the next query waits for this one's first batch. A cold JVM spends its start compiling: five first batches
at once on two cores keep each other from ending, one after the other the first rows are served in half the time.
Kafka keeps what the later ones have yet to read."""

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
    written = [table for table in TABLES.values() if table.writer == "spark"]
    lake = settings.lake_root
    with delta.single_writer(written, lake):
        for table in written:
            delta.ensure_table(table, lake)
        session = build_session(settings)
        publisher = Publisher.from_settings(settings, stopping)
        session.streams.addListener(ProgressReporter(settings, publisher.now_us))
        queries = _start(names, lambda name: QUERIES[name](session, settings, publisher), stopping)
        log.info("streaming", queries=names, lake=lake, source=settings.source)
        died = _watch(queries, stopping)
        stopping.set()
        _drain(queries)
        session.stop()
    return 1 if died else 0


def _start(names: list[str], start: Callable[[str], StreamingQuery], stopping: threading.Event) -> list[StreamingQuery]:
    queries = []
    for name in sorted(names, key=list(QUERIES).index):
        if stopping.is_set():
            break
        query = start(name)
        queries.append(query)
        deadline = time.monotonic() + HEAD_START_S.get(name, 0)
        while time.monotonic() < deadline and query.isActive and query.lastProgress is None:
            stopping.wait(0.2)
    return queries


def _watch(queries: list[StreamingQuery], stopping: threading.Event) -> bool:
    # True when a query died; its cause is in the log.
    while not stopping.wait(1):
        for query in queries:
            if not query.isActive:
                error = query.exception()
                log.error("query died", query=query.name, error=str(error)[:4000] if error else "stopped from outside")
                return True
    return False


def _drain(queries: list[StreamingQuery]) -> None:
    # A stopped query loses nothing: its batch is repeated. Letting batches end saves that work at the next start.
    deadline = time.monotonic() + DRAIN_S
    for query in queries:
        while query.isActive and query.status["isTriggerActive"] and time.monotonic() < deadline:
            time.sleep(0.1)
        query.stop()
