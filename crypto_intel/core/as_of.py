"""What a reader of each day could know of macro series, for many days at once; and features of it.

The same rule as macro.known_on, which asks for one day: a value released on a day counts from the day after.
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from crypto_intel.contracts.macro import (
    FEATURE_SOURCES,
    FRED_SERIES,
    MACRO_FEATURES,
    MACRO_FRED_AS_OF,
)
from crypto_intel.core.frames import conform

YEARS_BACK = 3
"""Years of observations before the first day that are needed: the newest known period and the same a year before."""

_WEEKLY = [series.series_id for series in FRED_SERIES if series.frequency == "Weekly"]


def fred_as_of(observations: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
    """Rows of macro.fred_as_of of the days [first, last], sorted by series and day.

    Args:
        observations: rows of macro.fred_observations, reaching YEARS_BACK years behind `first`.
    """
    told = observations.filter(pl.col("value").is_not_null()).sort("series_id", "realtime_start", "observation_date")
    days = pl.DataFrame({"as_of_date": pl.date_range(first, last, "1d", eager=True)})
    asked = days.join(told.select("series_id").unique(), how="cross").with_columns(
        known_until=pl.col("as_of_date") - timedelta(days=1)
    )
    newest = _newest(told, asked)
    rows = _with_year_before(told, newest)
    finished = rows.with_columns(
        age_days=(pl.col("as_of_date") - pl.col("observation_date")).dt.total_days(),
        yoy_pct=pl.when(pl.col("value_year_before") != 0).then(
            100 * (pl.col("value") / pl.col("value_year_before") - 1)
        ),
        as_of_year=pl.col("as_of_date").dt.strftime("%Y"),
    )
    return conform(finished, MACRO_FRED_AS_OF).sort(MACRO_FRED_AS_OF.key)


def macro_features(as_of: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
    """Rows of macro.macro_features: one for each of the days [first, last].

    Args:
        as_of: rows of macro.fred_as_of of these days.
    """
    days = pl.DataFrame({"as_of_date": pl.date_range(first, last, "1d", eager=True)})
    rows = days.join(as_of.group_by("as_of_date").agg(known_series=pl.len()), on="as_of_date", how="left")
    for name, (series, column, _) in FEATURE_SOURCES.items():
        own = as_of.filter(pl.col("series_id") == series).select("as_of_date", pl.col(column).alias(name))
        rows = rows.join(own, on="as_of_date", how="left")
    finished = rows.with_columns(
        known_series=pl.col("known_series").fill_null(0),
        real_10y_pct=pl.col("treasury_10y_pct") - pl.col("breakeven_10y_pct"),
        as_of_year=pl.col("as_of_date").dt.strftime("%Y"),
    )
    return conform(finished, MACRO_FEATURES).sort("as_of_date")


def _newest(told: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    # A release changes the newest known value when its period is as late as any before it.
    leads = told.filter(pl.col("observation_date") == pl.col("observation_date").cum_max().over("series_id"))
    last_of_day = leads.unique(["series_id", "realtime_start"], keep="last", maintain_order=True)
    found = asked.sort("known_until").join_asof(
        last_of_day.select(
            "series_id", "observation_date", "value", "realtime_start", "realtime_end", told_on="realtime_start"
        ).sort("told_on"),
        left_on="known_until",
        right_on="told_on",
        by="series_id",
        strategy="backward",
        check_sortedness=False,
    )
    holds = pl.col("realtime_end") >= pl.col("known_until")
    columns = ["as_of_date", "known_until", "series_id", "observation_date", "value", "realtime_start"]
    gone = found.filter(pl.col("observation_date").is_not_null() & ~holds)
    return pl.concat([found.filter(holds).select(columns), _where_withdrawn(told, gone).select(columns)])


def _where_withdrawn(told: pl.DataFrame, gone: pl.DataFrame) -> pl.DataFrame:
    # The newest value was taken back without another in its place: the newest that still held. Rare, and looked for
    # day by day.
    return (
        gone.select("as_of_date", "known_until", "series_id")
        .join(told, on="series_id")
        .filter(pl.col("known_until").is_between(pl.col("realtime_start"), pl.col("realtime_end")))
        .sort("observation_date", "realtime_start")
        .group_by("as_of_date", "known_until", "series_id")
        .last()
    )


def _with_year_before(told: pl.DataFrame, newest: pl.DataFrame) -> pl.DataFrame:
    # Of a weekly series 52 weeks before, which is the same day of the week.
    before = (
        pl.when(pl.col("series_id").is_in(_WEEKLY))
        .then(pl.col("observation_date") - timedelta(weeks=52))
        .otherwise(pl.col("observation_date").dt.offset_by("-1y"))
    )
    found = (
        newest.with_columns(period_before=before)
        .sort("known_until")
        .join_asof(
            told.select(
                "series_id",
                period_before="observation_date",
                value_year_before="value",
                told_on="realtime_start",
                told_until="realtime_end",
            ).sort("told_on"),
            left_on="known_until",
            right_on="told_on",
            by=["series_id", "period_before"],
            strategy="backward",
            check_sortedness=False,
        )
    )
    holds = pl.col("told_until") >= pl.col("known_until")
    return found.with_columns(value_year_before=pl.when(holds).then("value_year_before"))
