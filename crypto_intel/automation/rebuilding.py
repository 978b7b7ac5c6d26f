"""What is made again because trades came late: repairs of gaps, above all.

What belongs here: the sensors and what they read. What does not: which hours (core/hours.py), and the repair itself,
which the producers do through Kafka by trade id, or runs where they leave a gap open (refetching.py).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import dagster as dg
import msgspec
import polars as pl

from crypto_intel.automation.jobs import hour_job, repair_job
from crypto_intel.contracts.tables import GOLD_BARS_1M, SILVER_LATE_ARRIVALS
from crypto_intel.core.hours import HOUR_FORMAT, LateCursor, event_hour, hour_start, hours_spanned, hours_to_rebuild
from crypto_intel.operations.repairs import is_repaired
from crypto_intel.resources.lake import Lake

REACH = timedelta(days=2)
"""Platform time back in which late trades are looked for; a repair of something older is a person's backfill."""


@dg.sensor(job=hour_job, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def late_trades_sensor(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult:
    """Requests the hours that were made before trades of theirs came; the rows that change get their next revision."""
    return _requests(context, lake, "late", of_made=True)


@dg.sensor(job=repair_job, minimum_interval_seconds=5, default_status=dg.DefaultSensorStatus.RUNNING)
def repaired_minutes_sensor(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult:
    """Requests the repaired minutes of hours that are not made yet: what is served need not wait for the hour's end."""
    return _requests(context, lake, "minutes", of_made=False)


SENSORS = [late_trades_sensor, repaired_minutes_sensor]


def _requests(context: dg.SensorEvaluationContext, lake: Lake, why: str, *, of_made: bool) -> dg.SensorResult:
    lake = lake.glance()
    clock = lake.platform_time()
    if clock is None:
        return dg.SensorResult(skip_reason="no heartbeat yet: the platform clock is unknown")
    late = _late_trades(lake, clock)
    made = {event_hour(hour) for hour in hours_spanned(lake.time_spans(GOLD_BARS_1M))}
    wanted: Collection[str] = made if of_made else late.keys() - made
    cursor = msgspec.json.decode(context.cursor, type=LateCursor) if context.cursor else LateCursor()
    rebuild, cursor = hours_to_rebuild(late, wanted, cursor, lambda hour: is_repaired(lake, hour_start(hour)))
    requests = [
        dg.RunRequest(
            run_key=f"{hour}/{why}/{count}", partition_key=hour, tags={"crypto_intel/why": f"{count} late trades"}
        )
        for hour, count in rebuild.items()
    ]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else f"{len(late)} hours with late trades, none to make again",
        cursor=msgspec.json.encode(cursor).decode(),
    )


def _late_trades(lake: Lake, clock: datetime) -> dict[str, int]:
    # Late trades by the hour of their windows, ascending.
    since = (clock - REACH).replace(minute=0, second=0, microsecond=0)
    late = (
        lake.scan(SILVER_LATE_ARRIVALS)
        .filter(pl.col("event_date") >= since.date(), pl.col("window_start") >= since)
        .group_by(hour=pl.col("window_start").dt.strftime(HOUR_FORMAT))
        .agg(pl.col("trade_count").sum())
        .collect()
    )
    return dict(late.sort("hour").iter_rows())
