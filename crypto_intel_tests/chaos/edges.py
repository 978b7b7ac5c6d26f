"""R2: a batch ends at each of its edges, time and again: the process by kill -9, or the query by an exception.

A kill takes the whole application and costs a start, so it is done where a goal names the edge. An exception in the
driver leaves undone what a kill would, and a start on a session that is warm takes a second: so every edge is cut.
Either way all of it happens to one lake, one checkpoint and one database, one after the other, and is judged once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
import structlog
from pydantic import SecretStr
from pyspark.sql import SparkSession

from crypto_intel.contracts.settings import Kafka
from crypto_intel_tests.chaos.application import RESTARTS, Application, Sender
from crypto_intel_tests.chaos.crashes import finish, newest
from crypto_intel_tests.chaos.ground import ALL_QUERIES, Ground
from crypto_intel_tests.chaos.inputs import sprinkled
from crypto_intel_tests.chaos.judgement import Verdict, bronze_count
from crypto_intel_tests.chaos.load import Load
from crypto_intel_tests.chaos.scale import Scale, Tell
from crypto_intel_tests.chaos.served import alerts_of
from crypto_intel_tests.chaos.session import Queries, pieces
from crypto_intel_tests.chaos.table import Row
from crypto_intel_tests.chaos.whole import is_whole, verdict_of
from streaming.failpoints import VARIABLE
from streaming.settings import Spark, StreamingSettings, Triggers
from streaming.spark import build_session

EDGES = {
    "ingest": (
        "ingest:begun",
        "partial:.parquet",
        "ingest:files",
        "after:bronze.trades",
        "after:bronze.news",
        "after:bronze.rejected",
        "after:bronze.feed_status",
        "after:silver.bars_1m",
        "after:silver.bars_5m",
        "after:silver.price_means_5m",
        "ingest:tables",
        "partial:.states",
        "ingest:states",
    ),
    "bar_news": ("bar_news:begun", "after:silver.bar_news", "bar_news:states"),
    # One after the other on the same batch, one that has alerts; the last one on the next.
    "live": (
        "alerts:pending",
        "alerts:acknowledged",
        "live:transaction",
        "live:postgres",
        "live:alerts",
        "live:redis",
        "live:states",
        "live:begun",
    ),
    "publish": ("publish:planned", "publish:transaction", "publish:postgres", "publish:redis", "publish:sink"),
}
"""Where a batch can be cut, by query. Half-written files take a kill: those are not cut by exceptions."""

NAMED: dict[str, tuple[tuple[str, str], ...]] = {
    "before Delta's commits": (("ingest", "ingest:files"),),
    "between Delta and PostgreSQL": (("publish", "publish:planned"),),
    "inside PostgreSQL's transaction": (("publish", "publish:transaction"), ("live", "live:transaction")),
    "between PostgreSQL and the alerts topic": (("live", "alerts:pending"),),
    "between the broker's acknowledgement of alerts and its note": (("live", "alerts:acknowledged"),),
    "between the alerts topic and Redis": (("live", "live:alerts"),),
    "at the end of foreachBatch, before Spark's commit log": (
        ("ingest", "ingest:states"),
        ("live", "live:states"),
    ),
    "amid a snapshot of the states": (("ingest", "partial:.states"),),
}
"""What a goal names, and the query and place where that is."""

OFTEN = ("ingest:files", "ingest:states", "live:states", "partial:.states")
"""Reached in each batch: killed there at the first, second or third time behind a start."""

JUMP_MINUTES = 6
"""Feed time for each kill, with a jump of each market, so that each time there are alerts to be told."""

SENT_WITHIN_S = 10.0
"""The records for a kill flow for so long from the start on: behind a JVM's own, into the first batches."""

PATIENCE_S = 240.0

SLOW_WORKER = "failed to connect back"


@dataclass
class Kills:
    """What became of the kills at one place: seconds from the start to each, and the batches that they hit."""

    query: str
    took_s: list[float] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)


def killed(ground: Ground, scale: Scale, tell: Tell) -> list[Row]:
    """Kill -9 at each named edge, `scale.edges` times, by turns, each time with new records and alerts; then judge."""
    application = ground.application("edges", ALL_QUERIES, CRYPTO_INTEL_MAX_RECORDS_PER_BATCH="500")
    turns = [kind for _ in range(scale.edges) for places in NAMED.values() for kind in places]
    series = Series(application, _load_of(application, len(turns)), Sender(ground.bootstrap))
    series.kill_by_turns(turns, 60 * scale.edge_minutes, tell)
    application.start()
    found, caught_up = finish(application, series.sender, series.load, 900)
    series.judge(found)
    note, records = series.note(caught_up), len(series.sender.acked)
    return [replace(_row(what, series, places), records=records, note=note) for what, places in NAMED.items()]


@dataclass
class Series:
    """One application, killed again and again while its load flows."""

    application: Application
    load: Load
    sender: Sender
    kills: dict[str, Kills] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)

    def kill_by_turns(self, turns: list[tuple[str, str]], within_s: float, tell: Tell) -> None:
        """Send a part of the load for each turn (query, place), and kill there; after the time only send."""
        draw, until = random.Random(1), time.monotonic() + within_s
        for number, (turn, piece) in enumerate(zip(turns, pieces(self.load, len(turns)), strict=True)):
            if time.monotonic() > until:
                self.sender.send(piece)
                continue
            query, place = turn
            times = draw.randint(1, 3) if place in OFTEN else 1
            flow = self.sender.in_background(piece, len(piece) / SENT_WITHIN_S)
            kills = self.kills.setdefault(place, Kills(query))
            _kill_at(self.application, f"{place}@{times}", kills, self.verdict)
            flow.join()
            tell(f"{number + 1} of {len(turns)}, {place}, {len(self.sender.acked):,} records sent")

    def judge(self, found: Verdict) -> None:
        """What was found in the end, and that no batch was hit twice at one place."""
        self.verdict.join(found)
        for place, kills in self.kills.items():
            self.verdict.add(f"{place}: {kills.batches}", wrong=len(kills.batches) - len(set(kills.batches)))

    def note(self, caught_up: float) -> str:
        """What else is to be said."""
        told = Counter(alert.alert_id for alert in alerts_of(self.application))
        return (
            f"{sum(len(kills.took_s) for kills in self.kills.values())} kills on one lake; "
            f"all served {caught_up:.0f} s after the last start, {self.application.restarts} ends by itself; "
            f"{len(told)} alerts, {told.total() - len(told)} of them sent once more"
        )


def worker_killed(ground: Ground, scale: Scale, tell: Tell) -> list[Row]:
    """A Python worker killed while it writes a file, the same batch `scale.edges` times in a row; then judge."""
    application = ground.application("worker", ("ingest",), CRYPTO_INTEL_MAX_RECORDS_PER_BATCH="500")
    load = sprinkled(Load(application.topics, 15, 200, articles=30))
    sender, verdict, kills = Sender(ground.bootstrap), Verdict(), Kills("ingest")
    sender.send(load.records)
    for number in range(scale.edges):
        _kill_at(application, "partial:.parquet", kills, verdict)
        tell(f"{number + 1} of {scale.edges}")
    verdict.add(f"batches {kills.batches} instead of one", wrong=len(set(kills.batches)) - 1)
    application.start()
    verdict.join(finish(application, sender, load)[0])
    what = "a Python worker killed while it writes a file (`partial:.parquet`), the same batch each time"
    return [Row("R2", what, len(kills.took_s), verdict, len(sender.acked), kills.took_s)]


def _load_of(application: Application, turns: int) -> Load:
    minutes = -(-JUMP_MINUTES * turns // 5) * 5  # the last window of five is judged as well
    load = Load(application.topics, minutes, 150, articles=2 * turns, jump_minutes=JUMP_MINUTES)
    return sprinkled(load, 2 * turns)


def _kill_at(application: Application, place: str, kills: Kills, verdict: Verdict) -> None:
    # Where the application ends by itself before it gets there, it is started again, as its supervisor does.
    began = time.monotonic()
    for _ in range(RESTARTS):
        application.start(**{VARIABLE: place})
        try:
            died = application.wait_for_end(PATIENCE_S)
        except subprocess.TimeoutExpired:
            break
        # A worker takes its query with it, and that the application.
        if died == -signal.SIGKILL or (died and place == "partial:.parquet"):
            kills.took_s.append(time.monotonic() - began)
            kills.batches.append(_batch(application, kills.query))
            return
        application.restarts += 1
    application.kill()
    verdict.add(f"{place} was not reached: {application.tail()}", wrong=1)


def _batch(application: Application, query: str) -> int:
    # The newest that the query has begun.
    checkpoint = application.folder / "checkpoints" / query
    if query == "publish":
        return int(json.loads((checkpoint / "planned").read_bytes())["batch_id"])
    return int(newest(checkpoint / "offsets").name)


def _row(what: str, series: Series, places: tuple[tuple[str, str], ...]) -> Row:
    where = ", ".join(f"`{place}`" for _, place in places)
    took_s = [seconds for _, place in places if place in series.kills for seconds in series.kills[place].took_s]
    return Row("R2", f"kill -9 {what} ({where})", len(took_s), series.verdict, recovery_s=took_s)


def cut(ground: Ground, scale: Scale, tell: Tell) -> list[Row]:
    """Each edge cut by an exception, `scale.edges` times, each round with new records; then judge."""
    with _warm(ground) as queries:
        load = Load(queries.topics, 15 * scale.edges, 200, articles=30 * scale.edges, jump_minutes=15)
        sprinkled(load, 20 * scale.edges)
        sender, rounds = Sender(queries.bootstrap), pieces(load, scale.edges)
        for number, piece in enumerate(rounds):
            sender.send(piece)
            cut_all(queries, sender)
            tell(f"{number + 1} of {len(rounds)} rounds, {len(queries.cuts)} cuts")
        run_to_end(queries, sender, load)
        verdict, times = verdict_of(queries, sender, load), Counter(queries.cuts)
    rows = []
    for query, places in EDGES.items():
        own = [times[place] for place in places if place in times]
        what = f"each of {len(own)} edges of `{query}` cut by an exception, {min(own)} times each; one verdict on all"
        note = f"{queries.restarts} ends by themselves" if queries.restarts else ""
        rows.append(Row("R2", what, sum(own), verdict, len(sender.acked), note=note))
    return rows


def cut_all(queries: Queries, sender: Sender) -> None:
    """Cut each edge once; `ingest` catches up in between, so that the others have something to cut."""
    for query, places in EDGES.items():
        for place in places:
            if not place.startswith("partial"):  # a half-written file takes a kill
                _cut(queries, query, place)
        if query == "ingest":
            queries.run("ingest", lambda: bronze_count(queries.lake) == len(sender.acked))


def _cut(queries: Queries, query: str, place: str) -> None:
    # Spark gives a Python worker ten seconds to answer; a query that ends of that is started again, as by a supervisor.
    for _ in range(RESTARTS):
        try:
            return queries.cut(query, place)
        except AssertionError as error:
            if SLOW_WORKER not in str(error):
                raise
            queries.restarts += 1
    raise AssertionError(f"{query} ended {RESTARTS} times before {place}: {SLOW_WORKER}")


def run_to_end(queries: Queries, sender: Sender, load: Load) -> None:
    """Run each query until it has done all that there is to do."""
    for query in EDGES:
        own = replace(queries, queries=ALL_QUERIES if query == "publish" else (query,))
        queries.run(query, partial(is_whole, own, sender, load))


@contextlib.contextmanager
def _warm(ground: Ground) -> Iterator[Queries]:
    # All queries on a session in this process, and on topics, a lake and a database of their own.
    application = ground.application("cuts", ALL_QUERIES)
    os.environ |= {"JAVA_HOME": str(ground.java_home), "PYSPARK_PYTHON": sys.executable}
    settings = StreamingSettings(
        data_dir=application.folder,
        kafka=Kafka(bootstrap=application.bootstrap),
        topics=application.topics,
        spark=Spark(jars=ground.jars.spark, driver_memory="1g"),
        triggers=Triggers(ingest_s=0.2, bar_news_s=0.2, live_s=0.2, publish_s=0.2),
        postgres_dsn=SecretStr(application.dsn),
        redis_url=SecretStr(application.redis_url),
        max_records_per_batch=700,
    )
    session = build_session(settings)
    _hush(session)
    try:
        with pytest.MonkeyPatch.context() as patch:
            yield Queries(session, settings, patch, ALL_QUERIES)
    finally:
        session.stop()


def _hush(session: SparkSession) -> None:
    # Exceptions by the hundred are meant here; each is held to its text where it is caught.
    session.sparkContext.setLogLevel("OFF")
    logging.getLogger("py4j").setLevel(logging.CRITICAL + 1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
