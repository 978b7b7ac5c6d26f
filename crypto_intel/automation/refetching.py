"""The sensor of gaps that their producers leave open: a run asks the venue for exactly the missing ids.

Glue around core.refetching. What follows a repair, whoever made it, is rebuilding.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg
import msgspec

from crypto_intel.automation.jobs import refetch_jobs
from crypto_intel.contracts.parts import TRADE_VENUES
from crypto_intel.core.refetching import Ask, RefetchCursor, Watched, after_asking, due, is_any_due, watch
from crypto_intel.graph.specs import refetched_key
from crypto_intel.operations.refetching import REACH, is_anything_told, missing_ids, policy
from crypto_intel.resources.lake import Lake

LOOK_EVERY = timedelta(minutes=5)
"""All statuses of the last days are folded so often though nothing new was told: what came late is found, too."""

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.sensor(jobs=list(refetch_jobs.values()), minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def open_gaps_sensor(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult:
    """Requests the ids of gaps that are open for longer than their producer tries, with growing waits."""
    cursor = msgspec.json.decode(context.cursor, type=RefetchCursor) if context.cursor else RefetchCursor()
    lake, now = lake.glance(), datetime.now(UTC)
    clock = lake.platform_time()
    if clock is None:
        return dg.SensorResult(skip_reason="no heartbeat yet: the platform clock is unknown")
    if not _is_look_due(lake, cursor, now):
        cursor.known_until = clock
        return _result(cursor, [])
    rules, missing = policy(), missing_ids(lake, clock - REACH)
    watched = watch(missing, cursor.watched, now, rules)
    asks = due(missing, watched, now, rules, _under_way(context, watched, now))
    return _result(RefetchCursor(after_asking(watched, asks, now, rules), clock, now), asks)


def _is_look_due(lake: Lake, cursor: RefetchCursor, now: datetime) -> bool:
    # The cheap question first: statuses are few among heartbeats, and most ticks have none that is new.
    if cursor.known_until is None or cursor.looked_at is None or now - cursor.looked_at >= LOOK_EVERY:
        return True
    return is_any_due(cursor.watched, now) or is_anything_told(lake, cursor.known_until)


def _under_way(context: dg.SensorEvaluationContext, watched: Mapping[str, Watched], now: datetime) -> list[str]:
    if not is_any_due(watched, now):
        return []
    return [
        venue
        for venue in TRADE_VENUES
        if context.instance.get_runs(dg.RunsFilter(job_name=refetch_jobs[venue].name, statuses=_UNFINISHED), limit=1)
    ]


def _result(cursor: RefetchCursor, asks: Iterable[Ask]) -> dg.SensorResult:
    requests = [_request(ask) for ask in asks]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else f"{len(cursor.watched)} gaps are open, none is due",
        cursor=msgspec.json.encode(cursor).decode(),
    )


def _request(ask: Ask) -> dg.RunRequest:
    stretches = [stretch._asdict() for stretch in ask.stretches]
    ids, markets = sum(stretch.size for stretch in ask.stretches), sorted({one.symbol for one in ask.stretches})
    return dg.RunRequest(
        run_key=ask.run_key,
        job_name=refetch_jobs[ask.venue].name,
        run_config={"ops": {refetched_key(ask.venue).to_python_identifier(): {"config": {"stretches": stretches}}}},
        tags={"crypto_intel/why": f"{ids} ids are missing of {', '.join(markets)}"[:250]},
    )


REFETCHING_SENSORS = [open_gaps_sensor]
