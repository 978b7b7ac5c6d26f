"""macro.fred_series and macro.release_dates: what FRED says of its series, and when their releases come out."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from crypto_intel.contracts.macro import MACRO_FRED_SERIES, MACRO_RELEASE_DATES, SERIES_IDS
from crypto_intel.core.errors import TransientError
from crypto_intel.core.frames import conform
from crypto_intel.graph.reports import describe_rows
from crypto_intel.graph.specs import FRED_POOL, input_of, source_key, table_args
from crypto_intel.resources.fred import Fred, FredClient
from crypto_intel.resources.lake import Lake

LOOK_BACK = timedelta(days=400)
"""Release dates are kept this far back: long enough to see a release that stopped coming."""

_KINDS = {"rest", "polars", "deltalake"}


@dg.asset(**table_args(MACRO_FRED_SERIES, _KINDS, pool=FRED_POOL), deps=[source_key("fred")], code_version="1")
def fred_series(fred: Fred) -> dg.MaterializeResult[pl.DataFrame]:
    """Two requests a series: what it is, and what publishes it."""
    try:
        with fred.client() as client:
            rows = [_series(client, series_id, datetime.now(UTC)) for series_id in SERIES_IDS]
    except TransientError as error:
        raise dg.RetryRequested(max_retries=2, seconds_to_wait=60) from error
    frame = conform(pl.DataFrame(rows), MACRO_FRED_SERIES)
    return dg.MaterializeResult(value=frame, metadata=describe_rows(frame, MACRO_FRED_SERIES))


def _series(client: FredClient, series_id: str, fetched_at: datetime) -> dict[str, object]:
    told, release = client.series(series_id), client.release(series_id)
    return {
        "series_id": series_id,
        "title": told.title,
        "frequency": told.frequency.partition(",")[0],
        "units": told.units,
        "seasonal_adjustment": told.seasonal_adjustment,
        "observation_start": told.observation_start,
        "observation_end": told.observation_end,
        "last_updated": told.updated_at.astimezone(UTC),
        "release_id": release.id,
        "release_name": release.name,
        "fetched_at": fetched_at,
    }


@dg.asset(
    **table_args(MACRO_RELEASE_DATES, _KINDS, pool=FRED_POOL),
    ins={"series": input_of(MACRO_FRED_SERIES)},
    code_version="1",
)
def release_dates(series: pl.LazyFrame, fred: Fred, lake: Lake) -> dg.MaterializeResult[pl.DataFrame]:
    """One request a release: its days of the past year, and those announced."""
    today = (lake.platform_time() or datetime.now(UTC)).date()
    releases = series.group_by("release_id", "release_name").agg(series_ids=pl.col("series_id").sort()).collect()
    try:
        with fred.client() as client:
            rows = [
                {"release_id": release_id, "release_name": name, "release_date": day, "series_ids": ids}
                for release_id, name, ids in releases.sort("release_id").iter_rows()
                for day in _days(client, release_id, today - LOOK_BACK)
            ]
    except TransientError as error:
        raise dg.RetryRequested(max_retries=2, seconds_to_wait=60) from error
    frame = conform(pl.DataFrame(rows), MACRO_RELEASE_DATES)
    ahead = frame.filter(pl.col("release_date") > today).sort("release_date")
    facts: dict[str, Any] = {"announced": ahead.height, "next": str(ahead["release_date"].min() or "none")}
    return dg.MaterializeResult(value=frame, metadata={**describe_rows(frame, MACRO_RELEASE_DATES), **facts})


def _days(client: FredClient, release_id: int, since: date) -> list[date]:
    return sorted(set(client.release_dates(release_id, since, scheduled=True)))
