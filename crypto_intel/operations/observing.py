"""Observations of what Dagster does not run: feeds, topics, streaming queries, streamed tables.

One function a kind; assets call them when a person asks for an observation, the observing sensor calls them every few
seconds and hands their events to Dagster without a run. Figures are numbers, so that the UI plots them over time.
"""

# No postponed annotations here: Dagster reads the types of an asset's resources.
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

import dagster as dg
import msgspec
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from psycopg.rows import dict_row

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.settings import Settings, Topics
from crypto_intel.contracts.tables import TABLES
from crypto_intel.graph.specs import OWNERS, feed_spec, key_of, observed_table_spec, source_key
from crypto_intel.resources.kafka import KafkaOffsets, TopicOffsets
from crypto_intel.resources.lake import Lake, TableFacts
from crypto_intel.resources.postgres import Postgres
from streaming.transforms.feeds import HEARTBEAT

TOPICS = {
    **{name: source_key(f"{name}_topic") for name in Topics.model_fields},
    "alerts": dg.AssetKey(["alerts", "alerts_topic"]),
}
"""Asset key of each topic, by its name in the settings. Alerts are what the platform says, not what it hears."""

_LAYERS = {"ingest": "bronze", "bar_news": "silver", "live": "publish", "publish": "publish"}
JOBS = {name: dg.AssetKey([layer, f"{name}_job"]) for name, layer in _LAYERS.items()}
"""Asset key of each streaming query: it stands in the layer that it writes, so that the layers form no cycle."""

BRONZE_TABLES = [table for table in TABLES.values() if table.layer == "bronze"]
STREAMED_SILVER_TABLES = [table for table in TABLES.values() if table.layer == "silver" and table.writer == "spark"]


@dataclass(frozen=True)
class Observed:
    """One look at an asset: figures, and what stands for its content (a version that changes when it does)."""

    key: dg.AssetKey
    version: str
    metadata: Mapping[str, Any]

    def result(self) -> dg.ObserveResult:
        """As an observable asset returns it."""
        return dg.ObserveResult(self.key, metadata=self.metadata, data_version=dg.DataVersion(self.version))

    def event(self) -> dg.AssetObservation:
        """As a sensor reports it, without a run."""
        return dg.AssetObservation(self.key, metadata=self.metadata, tags={DATA_VERSION_TAG: self.version})


def observe_topics(kafka: KafkaOffsets, only: Collection[str] = tuple(TOPICS)) -> list[Observed]:
    """Those of the topics that exist: end offsets, records, partitions.

    Raises:
        TransientError: the brokers do not answer.
    """
    names = {kind: name for kind, name in Settings().topics.model_dump().items() if kind in only}
    found = {offsets.topic: offsets for offsets in kafka.read(list(names.values()))}
    return [_topic(TOPICS[kind], found[name]) for kind, name in names.items() if name in found]


def _topic(key: dg.AssetKey, offsets: TopicOffsets) -> Observed:
    ends = offsets.end_offsets
    figures = {
        "topic": offsets.topic,
        "records": offsets.records,
        "end_offset_sum": sum(ends.values()),
        "partitions": len(ends),
        **{f"end_offset_p{partition}": end for partition, end in ends.items()},
    }
    return Observed(key, ",".join(str(end) for end in ends.values()), figures)


def observe_jobs(postgres: Postgres, only: Collection[str] = tuple(JOBS)) -> list[Observed]:
    """Those of the streaming queries that have reported: lag, rates, watermark, delay, state.

    Raises:
        NotConfigured, TransientError: PostgreSQL is not named, or does not answer.
    """
    with postgres.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("SELECT *, now() AS asked_at FROM ops.stream_progress").fetchall()
    return [_job(JOBS[row["query"]], row) for row in rows if row["query"] in only]


def _job(key: dg.AssetKey, row: Mapping[str, Any]) -> Observed:
    age_s = (row["asked_at"] - row["updated_at"]).total_seconds()
    numbers = ("batch_id", "input_rows", "rows_total", "rows_per_second", "batch_ms", "lag_records")
    states = ("event_time_delay_s", "lag_s", "state_rows", "state_bytes", "late_rows")
    figures: dict[str, Any] = {name: row[name] for name in (*numbers, *states) if row[name] is not None}
    figures |= {f"phase_{phase}_ms": spent_ms for phase, spent_ms in row["phases_ms"].items()}
    figures |= {"report_age_s": round(age_s, 1), "updated_at": _time(row["updated_at"])}
    if row["watermark"]:
        figures["watermark"] = _time(row["watermark"])
        figures["watermark_epoch_s"] = row["watermark"].timestamp()
    if row["end_offsets"]:
        figures["end_offsets"] = dg.MetadataValue.json(row["end_offsets"])
    return Observed(key, f"{row['run_id']}:{row['batch_id']}", figures)


_FEEDS = """
SELECT venue, max(event_time) FILTER (WHERE stream = %(beat)s) AS heard_at, max(max(event_time)) OVER () AS newest,
       jsonb_object_agg(stream, state) AS states, string_agg(detail, '; ') FILTER (WHERE detail <> '') AS details,
       count(*) FILTER (WHERE stream <> %(beat)s) AS streams,
       (SELECT count(*) FROM public.gaps g WHERE g.venue = f.venue AND g.state = 'open') AS gaps_open,
       (SELECT count(*) FROM public.gaps g WHERE g.venue = f.venue AND g.state = 'repaired') AS gaps_repaired
FROM public.feeds f GROUP BY venue
"""


def observe_feeds(postgres: Postgres, only: Collection[str] | None = None) -> list[Observed]:
    """Those of the feeds that were heard: signs of life, states of their streams, gaps.

    Raises:
        NotConfigured, TransientError: PostgreSQL is not named, or does not answer.
    """
    with postgres.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_FEEDS, {"beat": HEARTBEAT}).fetchall()
    return [_feed(source_key(row["venue"]), row) for row in rows if only is None or row["venue"] in only]


def _feed(key: dg.AssetKey, row: Mapping[str, Any]) -> Observed:
    figures: dict[str, Any] = {name: row[name] for name in ("streams", "gaps_open", "gaps_repaired")}
    figures["states"] = dg.MetadataValue.json(row["states"])
    if row["details"]:
        figures["details"] = row["details"]
    heard_at = row["heard_at"]
    if heard_at:  # by what the feed heard last of all says: the platform clock of a replay is not ours
        figures |= {"heard_at": _time(heard_at), "behind_others_s": (row["newest"] - heard_at).total_seconds()}
    return Observed(key, f"{heard_at}:{row['states']}", figures)


def observe_tables(lake: Lake, tables: Sequence[Table]) -> list[Observed]:
    """Every table that is there: Delta version, rows, files, bytes, newest event time."""
    facts = [(table, lake.facts(table)) for table in tables]
    return [_table(table, fact) for table, fact in facts if fact is not None]


def observed_feed(name: str, doc: str, kind: str) -> dg.AssetsDefinition:
    """A feed as an observable asset, where lineage begins."""
    spec = feed_spec(name, doc, kind)

    def observe(postgres: Postgres) -> Iterator[dg.ObserveResult]:
        yield from (observed.result() for observed in observe_feeds(postgres, [name]))

    decorate = dg.multi_observable_source_asset(name=f"observe_{name}_feed", specs=[spec])
    return cast(dg.AssetsDefinition, decorate(observe))


def streamed_table(table: Table, writer: dg.AssetKey) -> dg.AssetsDefinition:
    """A streamed table as an observable asset downstream of the query that writes it.

    One definition a table: several in one would share an operation, and operations of jobs and tables that feed each
    other would form a cycle.
    """
    return observed_table(table, [writer], kinds={"spark", "deltalake"}, mode="streaming")


def observed_table(
    table: Table, deps: Sequence[dg.AssetKey], *, kinds: set[str], mode: Literal["streaming", "batch"]
) -> dg.AssetsDefinition:
    """A table that no asset of ours returns, as an observable asset."""
    spec = observed_table_spec(table, deps, kinds, mode)

    def observe(lake: Lake) -> Iterator[dg.ObserveResult]:
        yield from (observed.result() for observed in observe_tables(lake, [table]))

    decorate = dg.multi_observable_source_asset(name=f"observe_{table.layer}_{table.name}", specs=[spec])
    return cast(dg.AssetsDefinition, decorate(observe))


def streaming_job(name: str, doc: str, deps: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """A streaming query as an observable asset of the layer that it writes."""
    spec = dg.AssetSpec(
        JOBS[name],
        deps=list(deps),
        description=doc,
        group_name=_LAYERS[name],
        kinds={"spark", "python"},
        owners=OWNERS,
        tags={"layer": _LAYERS[name], "mode": "streaming"},
    )

    def observe(postgres: Postgres) -> Iterator[dg.ObserveResult]:
        yield from (observed.result() for observed in observe_jobs(postgres, [name]))

    decorate = dg.multi_observable_source_asset(name=f"observe_{name}_job", specs=[spec])
    return cast(dg.AssetsDefinition, decorate(observe))


def _table(table: Table, facts: TableFacts) -> Observed:
    figures: dict[str, Any] = {
        "delta_version": facts.version,
        "dagster/row_count": facts.rows,
        "rows": facts.rows,
        "files": facts.files,
        "size_bytes": facts.size_bytes,
    }
    if facts.newest:
        figures["newest"] = _time(facts.newest)
        figures["newest_epoch_s"] = facts.newest.timestamp()
    return Observed(key_of(table), str(facts.version), figures)


def with_rate(seen: Sequence[Observed], before: str | None, now: float) -> tuple[list[Observed], str]:
    """Observations of topics with their growth since the last look, and what the next look compares with.

    Args:
        seen: observations; those with `end_offset_sum` get `records_per_s`.
        before: what the last call returned; None at first.
        now: wall clock in seconds.
    """
    last: dict[str, tuple[float, int]] = msgspec.json.decode(before) if before else {}
    rated = []
    for look in seen:
        name, end = look.key.to_user_string(), look.metadata.get("end_offset_sum")
        observed = look
        if end is not None and name in last and now > last[name][0]:
            rate = (end - last[name][1]) / (now - last[name][0])
            observed = Observed(look.key, look.version, {**look.metadata, "records_per_s": round(rate, 2)})
        if end is not None:
            last[name] = (now, end)
        rated.append(observed)
    return rated, msgspec.json.encode(last).decode()


def _time(moment: datetime) -> dg.TimestampMetadataValue:
    return dg.MetadataValue.timestamp(moment)
