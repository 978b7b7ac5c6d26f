"""Sensors of macro series: they follow the release calendar, and tell which years new observations reach.

Glue around core.calendar, with cursors, like streams.py.
"""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import msgspec

from crypto_intel.automation.jobs import calendar_job, macro_job
from crypto_intel.contracts.macro import MACRO_FRED_OBSERVATIONS, MACRO_RELEASE_DATES
from crypto_intel.core.calendar import Load, MacroCursor, advance, next_load
from crypto_intel.graph.specs import REACHED_YEARS, YEARLY, key_of
from crypto_intel.resources.fred import Fred
from crypto_intel.resources.lake import Lake

CALENDAR_EVERY = timedelta(days=7)
"""By the platform clock; releases are announced months ahead."""

MAX_EVENTS_A_TICK = 5_000
"""Materializations looked at in a tick: a run of all series since 1980 reports 1,598 of them."""

NOT_CONFIGURED = "CRYPTO_INTEL_FRED__API_KEY is not set: no macro values"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dg.sensor(job=macro_job, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def macro_sensor(context: dg.SensorEvaluationContext, lake: Lake, fred: Fred) -> dg.SensorResult:
    """Requests the series whose release came out since the last load, of the running year and the one before."""
    if not fred.is_configured():
        return dg.SensorResult(skip_reason=NOT_CONFIGURED)
    lake = lake.glance()
    now = lake.platform_time()
    if now is None:
        return dg.SensorResult(skip_reason="no heartbeat yet: the platform clock is unknown")
    cursor = _decode(context.cursor)
    today = now.date()
    load = next_load(today, cursor, lake.scan(MACRO_RELEASE_DATES).collect())
    after = _encode(advance(cursor, today, load) if load or cursor.loaded_on != today else cursor)
    if load is None:
        return dg.SensorResult(skip_reason=f"nothing was released since {cursor.loaded_on}", cursor=after)
    context.log.info(load.reason)
    request = dg.RunRequest(run_key=today.isoformat(), tags={**_range(load), "crypto_intel/why": load.reason[:250]})
    return dg.SensorResult(run_requests=[request], cursor=after)


@dg.sensor(job=calendar_job, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def macro_calendar_sensor(context: dg.SensorEvaluationContext, lake: Lake, fred: Fred) -> dg.SensorResult:
    """Requests the series' metadata and release days, behind the first observations and then once a week."""
    if not fred.is_configured():
        return dg.SensorResult(skip_reason=NOT_CONFIGURED)
    lake = lake.glance()
    now = lake.platform_time()
    if now is None or lake.open(MACRO_FRED_OBSERVATIONS) is None:
        return dg.SensorResult(skip_reason="no observations yet")
    cursor = _decode(context.cursor)
    if cursor.calendar_on and now.date() - cursor.calendar_on < CALENDAR_EVERY:
        return dg.SensorResult(skip_reason=f"asked on {cursor.calendar_on}")
    day = now.date()
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=day.isoformat())], cursor=_encode(MacroCursor(calendar_on=day))
    )


@dg.sensor(minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def reached_years_sensor(context: dg.SensorEvaluationContext, lake: Lake) -> dg.SensorResult:
    """Tells the years that new observations reach, whoever loaded them; what was known then asks by its condition.

    Dagster has no mapping from one of two dimensions to a time some partitions later, so the graph can not say it.
    """
    after = int(context.cursor) if context.cursor else 0
    records = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key_of(MACRO_FRED_OBSERVATIONS), after_storage_id=after),
        limit=MAX_EVENTS_A_TICK,
        ascending=True,
    ).records
    if not records:
        return dg.SensorResult(skip_reason="no new observations")
    newest = str(records[-1].storage_id)
    years = _years_reached([str(record.partition_key).rpartition("|")[2] for record in records], lake)
    if not years:
        return dg.SensorResult(skip_reason="observations of years behind the platform's", cursor=newest)
    return dg.SensorResult(
        asset_events=[dg.AssetMaterialization(REACHED_YEARS, partition=year) for year in years],
        skip_reason=f"observations reach {years[0]} to {years[-1]}",
        cursor=newest,
    )


def _years_reached(loaded: list[str], lake: Lake) -> list[str]:
    # An observation is known from its own year on, and is the newest one, or the year before's, for two years more.
    now = lake.platform_time()
    last = now.year if now else int(max(loaded))
    wanted = {str(year) for own in map(int, loaded) for year in range(own, min(own + 2, last) + 1)}
    return [key for key in YEARLY.get_partition_keys() if key in wanted]


def _range(load: Load) -> dict[str, str]:
    return {
        RANGE_START: f"{load.first_series}|{load.first_year}",
        RANGE_END: f"{load.last_series}|{load.last_year}",
    }


def _decode(text: str | None) -> MacroCursor:
    return msgspec.json.decode(text, type=MacroCursor) if text else MacroCursor()


def _encode(cursor: MacroCursor) -> str:
    return msgspec.json.encode(cursor).decode()


MACRO_SENSORS = [macro_sensor, macro_calendar_sensor, reached_years_sensor]
