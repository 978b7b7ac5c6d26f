"""Macro series as they were known on a day."""

from __future__ import annotations

from datetime import date

from crypto_intel.contracts.serving import MACRO_OBSERVATIONS
from crypto_intel.serving.queries.query import Order, Query, Select, column, pick

MACRO_COLUMNS = pick(
    MACRO_OBSERVATIONS.columns, "series_id", "observation_date", "value", "realtime_start", "realtime_end"
)
SERIES_COLUMNS = (
    *pick(MACRO_OBSERVATIONS.columns, "series_id"),
    column("observations", "bigint", "Observations with all their vintages."),
    column("first_date", "date", "Oldest observation."),
    column("last_date", "date", "Newest observation."),
)


def series() -> Query:
    """Which series there are."""
    statement = """
      SELECT series_id, count(*), min(observation_date), max(observation_date)
      FROM public.macro_observations GROUP BY 1 ORDER BY 1 LIMIT 1000"""
    return Query("macro_series", statement, {}, SERIES_COLUMNS)


def observations(
    series_id: str,
    *,
    as_of: date | None = None,
    start: date | None = None,
    end: date | None = None,
    order: Order = "asc",
    limit: int = 1_000,
    cursor: str | None = None,
) -> Query:
    """One row an observation: the value that could be used on the day `as_of`; without it the newest value.

    A value released on a day counts from the day after, as in market_enriched.
    """
    select = Select("macro", MACRO_COLUMNS, "public.macro_observations").filter("series_id = %(id)s", id=series_id)
    if as_of is None:
        select = select.filter("realtime_end = date '9999-12-31'")
    else:
        # The vintage of the day before; reckoned in SQL, since Python has no day before its first.
        select = select.filter("realtime_start < %(as_of)s AND realtime_end >= %(as_of)s::date - 1", as_of=as_of)
    select = select.filter_given("observation_date >= %(start)s", start=start)
    select = select.filter_given("observation_date < %(end)s", end=end)
    return select.keyset(("observation_date",), order=order, limit=limit, cursor=cursor)
