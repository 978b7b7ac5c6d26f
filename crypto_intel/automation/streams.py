"""What runs by itself, in one place. Each sensor is glue around a pure function, with a cursor, so that the same cause
is never acted on twice. Observations and alerts are reported without a run: a run costs seconds of a core.

What belongs here: sensors and their cursors. What does not: deciding (core/), reading (resources/, operations/).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import dagster as dg
import msgspec
import polars as pl

from crypto_intel.automation.jobs import hour_job, macro_job
from crypto_intel.checks.factories import Readers
from crypto_intel.checks.streams import STREAM_CHECKS
from crypto_intel.contracts.derived import GOLD_BARS_1H, SILVER_QUARANTINE
from crypto_intel.contracts.settings import Settings
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_TRADES, MACRO_FRED_OBSERVATIONS
from crypto_intel.core.errors import CryptoIntelError
from crypto_intel.core.hours import (
    Clock,
    advance_clocks,
    closed_days,
    closed_hours,
    event_hour,
    hours_spanned,
    read_clocks,
)
from crypto_intel.graph.specs import CLOSED_DAYS, HOURLY
from crypto_intel.operations.alerting import AlertCursor, materialization, new_alerts, pin
from crypto_intel.operations.observing import (
    BRONZE_TABLES,
    STREAMED_SILVER_TABLES,
    Observed,
    observe_feeds,
    observe_jobs,
    observe_tables,
    observe_topics,
    with_rate,
)
from crypto_intel.operations.watching import kept, watch
from crypto_intel.resources.fred import Fred
from crypto_intel.resources.kafka import KafkaOffsets
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.postgres import Postgres

T = TypeVar("T")

MAX_HOURS_A_TICK = 24
"""Hours requested at once; a long backlog is worked off a day at a time, so that the queue stays readable."""

MACRO_PATIENCE = timedelta(minutes=2)
"""How long (wall clock) a closed hour waits for the first macro load to begin, which the enrichment reads: without it
the hour would be final without macro values, and would have to be made twice."""

_UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]

BREAK = timedelta(minutes=3)
"""Three looks at the checks that were missed: the platform begins anew, and what it may owe for a while is no fault."""

CLOCK_OVERLAP = timedelta(minutes=2)
"""How far behind the known clocks heartbeats are read again: partitions of a topic are not equally far."""


class HourCursor(msgspec.Struct):
    """What hour_closed_sensor remembers: the feeds' clocks, the last hour requested, and since when it waits."""

    trades: dict[str, Clock] = {}
    news: dict[str, Clock] = {}
    through: datetime | None = None
    waiting_since: datetime | None = None


@dg.sensor(job=hour_job, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def hour_closed_sensor(context: dg.SensorEvaluationContext, lake: Lake, fred: Fred) -> dg.SensorResult:
    """Requests the run of each hour that is closed and drained, once, by the feeds' own clocks."""
    cursor, lake = _decode(context.cursor, HourCursor), lake.glance()
    _read_clocks(lake, cursor)
    now = datetime.now(UTC)
    first = HOURLY.start.astimezone(UTC)
    hours = [hour for hour in hours_spanned(lake.time_spans(BRONZE_TRADES), cursor.through) if hour >= first]
    closed = closed_hours(
        hours, trades=cursor.trades, news=cursor.news, partitions=Settings().kafka.partitions, now=now
    )[:MAX_HOURS_A_TICK]
    if closed and _waits_for_macro(context, lake, fred, cursor, now):
        return dg.SensorResult(skip_reason="closed, waiting for the first macro load", cursor=_encode(cursor))
    if not closed:
        reason = f"{len(hours)} hours with trades, none closed yet" if hours else "no trades since the last hour"
        return dg.SensorResult(skip_reason=reason, cursor=_encode(cursor))
    cursor.through = closed[-1]
    requests = [dg.RunRequest(run_key=event_hour(hour), partition_key=event_hour(hour)) for hour in closed]
    return dg.SensorResult(run_requests=requests, cursor=_encode(cursor))


def _read_clocks(lake: Lake, cursor: HourCursor) -> None:
    # Only heartbeats newer than the known clocks: the table grows by some rows a second, for ever.
    topics = Settings().topics
    known = [clock.event_time for clock in (*cursor.trades.values(), *cursor.news.values())]
    status = lake.scan(BRONZE_FEED_STATUS)
    if known:
        since = min(known) - CLOCK_OVERLAP
        status = status.filter((pl.col("event_date") >= since.date()) & (pl.col("event_time") >= since))
    cursor.trades = advance_clocks(cursor.trades, read_clocks(status, topics.trades))
    cursor.news = advance_clocks(cursor.news, read_clocks(status, topics.news))


def _waits_for_macro(
    context: dg.SensorEvaluationContext, lake: Lake, fred: Fred, cursor: HourCursor, now: datetime
) -> bool:
    # Once the load runs, the hour may stand in the queue: one heavy run at a time, so it comes right behind.
    if not fred.is_configured() or lake.open(MACRO_FRED_OBSERVATIONS) is not None:
        return False
    if context.instance.get_runs(dg.RunsFilter(job_name=macro_job.name, statuses=_UNDER_WAY), limit=1):
        return False
    cursor.waiting_since = cursor.waiting_since or now
    return now - cursor.waiting_since < MACRO_PATIENCE


class DayCursor(msgspec.Struct):
    """What day_closed_sensor remembers: the last day that it told."""

    through: date | None = None


@dg.sensor(minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def day_closed_sensor(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult:
    """Tells each UTC day that is over and whose hours are all made, once; what is made of it asks by its condition."""
    cursor, lake = _decode(context.cursor, DayCursor), lake.glance()
    now = lake.platform_time()
    if now is None:
        return dg.SensorResult(skip_reason="no heartbeat yet: the platform clock is unknown")
    after = datetime.combine(cursor.through, datetime.max.time(), UTC) if cursor.through else None
    traded = hours_spanned(lake.time_spans(BRONZE_TRADES), after)
    made = hours_spanned(lake.time_spans(GOLD_BARS_1H), after)
    days = closed_days(traded, made, now)
    if not days:
        return dg.SensorResult(skip_reason="no day is over with all of its hours made", cursor=_encode(cursor))
    # The daemon may have died between telling and storing the cursor.
    told = context.instance.get_materialized_partitions(CLOSED_DAYS)
    events = [
        dg.AssetMaterialization(CLOSED_DAYS, partition=day.isoformat()) for day in days if day.isoformat() not in told
    ]
    return dg.SensorResult(
        asset_events=events,
        skip_reason=f"{len(events)} days are closed",
        cursor=_encode(DayCursor(days[-1])),
    )


@dg.sensor(minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def observe_streams_sensor(
    context: dg.SensorEvaluationContext, kafka: KafkaOffsets, postgres: Postgres, lake: Lake
) -> dg.SensorResult:
    """Observes feeds, topics, streaming jobs, streamed tables; what is away is named, the others are observed."""
    tables = [*BRONZE_TABLES, *STREAMED_SILVER_TABLES, SILVER_QUARANTINE]
    looks: list[Callable[[], Sequence[Observed]]] = [
        lambda: observe_feeds(postgres),
        lambda: observe_topics(kafka),
        lambda: observe_jobs(postgres),
        lambda: observe_tables(lake.glance(), tables),
    ]
    seen: list[Observed] = []
    away: list[str] = []
    for look in looks:
        try:
            seen += look()
        except CryptoIntelError as error:
            away.append(str(error))
    rated, cursor = with_rate(seen, context.cursor, time.time())
    for problem in away:
        context.log.warning(problem)
    return dg.SensorResult(
        asset_events=[observed.event() for observed in rated],
        skip_reason="; ".join([f"observed {len(rated)} assets", *away]),
        cursor=cursor,
    )


@dg.sensor(minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def stream_checks_sensor(context: dg.SensorEvaluationContext, lake: Lake, postgres: Postgres) -> dg.SensorResult:
    """Judges the checks of streamed tables and of freshness, which no run would otherwise evaluate."""
    readers = Readers(lake.glance(), postgres)
    watched = watch(context.cursor, BREAK)
    evaluations = []
    for check in STREAM_CHECKS:
        try:
            evaluation = check.evaluation(readers, watched.lasted())
        except CryptoIntelError as error:
            context.log.warning(f"{check.key.to_user_string()} {check.name}: {error}")
        else:
            evaluations += [evaluation] if evaluation else []
    failed = [f"{e.asset_key.to_user_string()}: {e.check_name}" for e in evaluations if not e.passed]
    reason = f"{len(evaluations)} checks" + (f", failed: {', '.join(failed)}" if failed else ", all passed")
    return dg.SensorResult(asset_events=evaluations, skip_reason=reason, cursor=kept(watched))


@dg.sensor(minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def alerts_sensor(context: dg.SensorEvaluationContext, postgres: Postgres, lake: Lake) -> dg.SensorResult:
    """Turns each alert into one materialization of alerts/alert, once, and pins the versions of what it rests on."""
    if not postgres.is_configured():
        return dg.SensorResult(skip_reason="CRYPTO_INTEL_POSTGRES_DSN is not set: no alerts to read")
    cursor = _decode(context.cursor, AlertCursor)
    rows, cursor = new_alerts(postgres, cursor, context.instance)
    versions = pin(postgres, lake, rows) if rows else {}
    return dg.SensorResult(
        asset_events=[materialization(row, versions) for row in rows],
        skip_reason=f"{len(rows)} new alerts" if rows else "no new alerts",
        cursor=_encode(cursor),
    )


SENSORS = [hour_closed_sensor, day_closed_sensor, observe_streams_sensor, stream_checks_sensor, alerts_sensor]


def _decode(text: str | None, kind: type[T]) -> T:
    return msgspec.json.decode(text, type=kind) if text else kind()


def _encode(cursor: object) -> str:
    return msgspec.json.encode(cursor).decode()
