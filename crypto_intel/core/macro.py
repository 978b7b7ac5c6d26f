"""Macro series with vintages: from FRED's answers to values as they were known on a day.

Grain in: one row per series, observation date and vintage (macro.fred_observations). A value released on day D is
used from D+1 00:00 UTC on: release times within a day are not in the data, and nothing may leak into the past.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

import polars as pl

from crypto_intel.contracts.tables import MACRO_FRED_OBSERVATIONS, MACRO_SERIES
from crypto_intel.core.frames import conform, empty_frame

MISSING = "."
"""What FRED writes for a period without a value, e.g. a holiday."""

YOY_COLUMN = "cpi_yoy_pct"
"""The one macro column that is not a series' value but its change against a year before."""


def parse_observations(series_id: str, observations: Iterable[Mapping[str, str]], fetched_at: datetime) -> pl.DataFrame:
    """FRED's `observations` of one series as rows of macro.fred_observations; "." becomes null.

    Raises:
        KeyError, ValueError: an observation lacks a field or holds no date or number.
    """
    rows = [
        {
            "series_id": series_id,
            "observation_date": date.fromisoformat(item["date"]),
            "value": None if item["value"] == MISSING else float(item["value"]),
            "realtime_start": date.fromisoformat(item["realtime_start"]),
            "realtime_end": date.fromisoformat(item["realtime_end"]),
            "fetched_at": fetched_at,
            "observation_year": item["date"][:4],
        }
        for item in observations
    ]
    frame = pl.DataFrame(rows) if rows else empty_frame(MACRO_FRED_OBSERVATIONS)
    return conform(frame, MACRO_FRED_OBSERVATIONS).sort(MACRO_FRED_OBSERVATIONS.key)


def join_clipped(rows: pl.DataFrame) -> pl.DataFrame:
    """Vintages that were asked for in pieces, whole again.

    A request for a stretch of vintages cuts those that reach past it, so that one vintage comes as two rows with
    the same value, the second starting the day after the first ends. Such rows become one.
    """
    ordered = rows.unique(MACRO_FRED_OBSERVATIONS.key).sort(MACRO_FRED_OBSERVATIONS.key)
    continues = (
        pl.col("value").eq_missing(pl.col("value_before"))
        & (pl.col("realtime_start") == pl.col("realtime_end_before") + pl.duration(days=1))
    ).fill_null(False)
    return (
        ordered.with_columns(
            pl.col("value", "realtime_end").shift(1).over("series_id", "observation_date").name.suffix("_before")
        )
        .with_columns(vintage=(~continues).cum_sum())
        .group_by("vintage", maintain_order=True)
        .agg(pl.exclude("realtime_end", "value_before", "realtime_end_before").first(), pl.col("realtime_end").last())
        .select(rows.columns)
    )


def known_on(observations: pl.DataFrame, day: date) -> pl.DataFrame:
    """The vintages that a reader of that UTC day could use: at most one row per series and observation date.

    Args:
        observations: rows of macro.fred_observations.
        day: UTC day of the moment that asks.
    """
    day_before = day - timedelta(days=1)
    return observations.filter(
        (pl.col("realtime_start") <= day_before)
        & (pl.col("realtime_end") >= day_before)
        & pl.col("value").is_not_null()
    )


def macro_values(observations: pl.DataFrame, day: date) -> dict[str, float | None]:
    """market_enriched's macro columns as known on a UTC day; None where nothing was known.

    Args:
        observations: rows of macro.fred_observations, reaching two years back from `day`.
        day: UTC day of the moment that asks.
    """
    known = known_on(observations, day).sort("observation_date", "realtime_start")
    by_series = {str(key[0]): rows for key, rows in known.group_by("series_id", maintain_order=True)}
    return {
        column: _year_over_year(rows) if column == YOY_COLUMN else rows["value"].last()  # type: ignore[misc]
        for column, series in MACRO_SERIES.items()
        for rows in [by_series.get(series, known.clear())]
    }


def _year_over_year(rows: pl.DataFrame) -> float | None:
    # Change of the newest known value against the same period of the year before, in percent.
    values = dict(rows.select("observation_date", "value").iter_rows())
    if not values:
        return None
    newest = max(values)
    is_leap_day = (newest.month, newest.day) == (2, 29)
    before = values.get(newest.replace(year=newest.year - 1, day=28 if is_leap_day else newest.day))
    return 100 * (values[newest] / before - 1) if before else None
