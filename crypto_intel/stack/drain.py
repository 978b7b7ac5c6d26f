"""Decides when a played source has gone through every hop: a pure decision over facts, and the reader of the facts.

Drained means: the source has ended and every feed has said so in bronze; every streaming query has read to the end of
what it follows; every hour that has trades in bronze is in gold and final where it is served; no run of an hour is
queued or under way; and all of this has stood still for `SETTLE_S`. What follows from hours (a day, alerts judged
again) and what FRED brings is not waited for: the next start goes on with it.

No batch is on its way then: a query starts one only for what it has not read, and how far each has read is looked at
before the ends are. What it had read by then is all that there was later.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import polars as pl
from pydantic import BaseModel, Field

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.settings import Topics
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_TRADES, GOLD_BARS_1M, TABLES
from crypto_intel.stack.readers import DatabaseReader, KafkaReader, LakeReader, Offsets, source_account
from crypto_intel.stack.state import Folder

SETTLE_S = 5.0
"""Two more looks. Nothing has to happen in this time: what is still to do was seen at the first."""

HOUR_JOB = "market_hour"
"""Dagster's job of an hour. A test holds it to the code location's."""

QUERIES = ("ingest", "bar_news", "live", "publish")
"""Every streaming query: one that has not reported has not drained. A test holds them to the application's own."""

_PROGRESS = "SELECT query AS name, batch_id, end_offsets FROM ops.stream_progress"
_FINAL_HOURS = """
SELECT to_char(date_trunc('hour', window_start AT TIME ZONE 'UTC'), 'YYYY-MM-DD-HH24') AS hour
FROM public.market_enriched GROUP BY 1 HAVING bool_and(is_final)
"""
_RUNS = f"""
SELECT count(*) FROM runs WHERE pipeline_name = '{HOUR_JOB}' AND status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')
"""  # noqa: S608 - our own words


class QueryFacts(BaseModel):
    """How far a streaming query has read. `end_offsets` is as ops.stream_progress holds it."""

    name: str
    batch_id: int
    end_offsets: dict[str, Any] | None = None


class DrainFacts(BaseModel):
    """What is known at one moment. Hours are `YYYY-MM-DD-HH` in UTC."""

    source_ended: bool = False
    feeds: frozenset[str] = Field(default=frozenset(), description="Feeds that must end, by venue.")
    feeds_ended: frozenset[str] = frozenset()
    kafka_ends: Offsets = Field(default_factory=dict)
    queries: list[QueryFacts] = Field(default_factory=list)
    versions: dict[str, int] = Field(default_factory=dict, description="Newest version of each streamed table.")
    bronze_hours: frozenset[str] = frozenset()
    gold_hours: frozenset[str] = frozenset()
    final_hours: frozenset[str] = frozenset()
    runs: int | None = Field(default=None, description="Of hours, queued or under way; None before Dagster has told.")


def missing(facts: DrainFacts) -> list[str]:
    """What has not drained yet, one sentence each, in order of the flow; empty when all has."""
    if not facts.source_ended:
        return ["the source has not ended"]
    if late := sorted(facts.feeds - facts.feeds_ended):
        return [f"feeds that have not ended in bronze: {', '.join(late)}"]
    if behind := _behind(facts):
        return behind
    waits = []
    if not facts.bronze_hours:
        waits.append("no trade is in bronze")
    if hours := sorted(facts.bronze_hours - facts.gold_hours):
        waits.append(f"hours not in gold: {', '.join(hours)}")
    if hours := sorted(facts.bronze_hours - facts.final_hours):
        waits.append(f"hours not final in PostgreSQL: {', '.join(hours)}")
    if facts.runs != 0:
        waits.append("runs of hours are not known" if facts.runs is None else f"runs of hours: {facts.runs}")
    return waits


def _behind(facts: DrainFacts) -> list[str]:
    if silent := sorted(set(QUERIES) - {query.name for query in facts.queries}):
        return [f"queries without a report: {', '.join(silent)}"]
    return [f"query {query.name} is behind: {gap}" for query in facts.queries if (gap := _gap(query, facts))]


def _gap(query: QueryFacts, facts: DrainFacts) -> str:
    """How far the query is from the end of what it follows; empty when it is there."""
    if not query.end_offsets:
        return "it has read nothing"
    behind = 0
    for source, reached in query.end_offsets.items():
        if "/" in source:  # a table: `silver/bars_1m`; its reader stands at the version that it will read next
            newest = facts.versions.get(source.replace("/", "."), -1)
            if reached["version"] <= newest:
                return f"version {reached['version']} of {newest} in {source}"
            continue
        ends = facts.kafka_ends.get(source, {})
        behind += sum(max(0, end - int(reached.get(str(partition), 0))) for partition, end in ends.items())
    return f"{behind} records" if behind else ""


class Drain:
    """Drained only when nothing is missing and nothing has moved for a while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, settle_s: float = SETTLE_S) -> None:
        self._clock = clock
        self._settle_s = settle_s
        self._seen: DrainFacts | None = None
        self._since = 0.0

    def waits_for(self, facts: DrainFacts) -> list[str]:
        """What is still awaited; empty: drained."""
        if facts != self._seen:
            self._seen, self._since = facts, self._clock()
        if waits := missing(facts):
            return waits
        if self._clock() - self._since < self._settle_s:
            return [f"everything is through; making sure for {self._settle_s:g} s"]
        return []


class DrainReader:
    """Reads the facts of a stack. What can not be read counts as not there yet.

    Args:
        stores: Kafka, the lake, the platform's database, and Dagster's.
    """

    def __init__(
        self,
        folder: Folder,
        feeds: frozenset[str],
        topics: Topics,
        stores: tuple[KafkaReader, LakeReader, DatabaseReader, DatabaseReader],
    ) -> None:
        self._folder = folder
        self._feeds = feeds
        self._topics = topics
        self._kafka, self._lake, self._database, self._dagster = stores

    def read(self) -> DrainFacts:
        """The facts now; later hops are only read once the source has ended."""
        ledger = source_account(self._folder.ledger_file)
        facts = DrainFacts(source_ended=bool(ledger and ledger.ended), feeds=self._feeds)
        if not facts.source_ended:
            return facts
        runs = self._dagster.value(_RUNS)
        queries = [QueryFacts.model_validate(row) for row in self._database.rows(_PROGRESS) or []]
        streamed = [table for table in TABLES.values() if table.writer == "spark"]
        versions = {table.full_name: self._lake.version(table) for table in streamed}
        return facts.model_copy(
            update={
                "feeds_ended": self._ended(),
                "kafka_ends": self._kafka.end_offsets(self._topics.ingested) or {},
                "queries": queries,
                "versions": {name: version for name, version in versions.items() if version is not None},
                "bronze_hours": self._hours(BRONZE_TRADES, pl.col("event_time").dt.strftime("%Y-%m-%d-%H")),
                "gold_hours": self._hours(GOLD_BARS_1M, pl.col("event_hour")),
                "final_hours": frozenset(row["hour"] for row in self._database.rows(_FINAL_HOURS) or []),
                "runs": runs,
            }
        )

    def _ended(self) -> frozenset[str]:
        table = self._lake.table(BRONZE_FEED_STATUS)
        if table is None:
            return frozenset()
        rows = pl.scan_delta(table).filter(pl.col("status") == "ended").select("venue").unique().collect()
        return frozenset(rows["venue"].to_list())

    def _hours(self, table: Table, hour: pl.Expr) -> frozenset[str]:
        found = self._lake.table(table)
        if found is None:
            return frozenset()
        return frozenset(pl.scan_delta(found).select(hour.alias("hour")).unique().collect()["hour"].to_list())
