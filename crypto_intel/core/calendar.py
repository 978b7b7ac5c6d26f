"""The release calendar of macro series: which series are due, and what to load.

What belongs here: decisions. What does not: asking FRED (resources/fred.py), launching runs (automation/).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import msgspec
import polars as pl

from crypto_intel.contracts.macro import SERIES_IDS

EVERYTHING_EVERY = timedelta(days=7)
"""So often every series is loaded whatever the calendar says: releases also come unannounced."""

FIRST_YEARS = 3
"""Years that the first load takes: enough for a year-over-year value as known at the platform's day."""


class MacroCursor(msgspec.Struct):
    """What the macro sensor remembers: the platform's days of its last load, of all series, and of the calendar."""

    loaded_on: date | None = None
    everything_on: date | None = None
    calendar_on: date | None = None


class Load(msgspec.Struct, frozen=True):
    """Series and years to load: a contiguous stretch of contracts.macro.SERIES_IDS, and of years."""

    first_series: str
    last_series: str
    first_year: int
    last_year: int
    reason: str


def next_load(today: date, cursor: MacroCursor, releases: pl.DataFrame) -> Load | None:
    """What to load on a day of the platform; None when nothing is due.

    Args:
        today: the platform's day.
        cursor: of the loads before; is not changed.
        releases: rows of macro.release_dates; empty while nobody knows the calendar.
    """
    if cursor.loaded_on is None:
        return _load(SERIES_IDS, today.year - FIRST_YEARS + 1, today, "first load")
    if today <= cursor.loaded_on:
        return None
    everything_on = cursor.everything_on or cursor.loaded_on
    if releases.is_empty() or today - everything_on >= EVERYTHING_EVERY:
        return _load(SERIES_IDS, today.year - 1, today, "all series, once a week")
    due = series_due(releases, cursor.loaded_on, today)
    return _load(due, today.year - 1, today, f"released since {cursor.loaded_on}: {', '.join(due)}") if due else None


def advance(cursor: MacroCursor, today: date, load: Load | None) -> MacroCursor:
    """The cursor behind a decision."""
    is_all = load is not None and (load.first_series, load.last_series) == (SERIES_IDS[0], SERIES_IDS[-1])
    return MacroCursor(today, today if is_all else cursor.everything_on, cursor.calendar_on)


def series_due(releases: pl.DataFrame, since: date, today: date) -> list[str]:
    """Series whose release came out on one of the days [since, today], in the order of SERIES_IDS.

    The day of the last load counts again: what came out later on that day was not in it.
    """
    out = releases.filter(pl.col("release_date").is_between(since, today))
    ids = set(out["series_ids"].explode().drop_nulls().to_list())
    return [series for series in SERIES_IDS if series in ids]


def _load(series: Sequence[str], first_year: int, today: date, reason: str) -> Load:
    return Load(series[0], series[-1], first_year, today.year, reason)
