"""Macro series in FRED's form, with vintages: what was known on which day.

The series of fred_series.py, from a seeded process or from a folder of recorded ones. A daily value is known on the
next business day, the dollar index on the Monday after its week, other weeks on a Thursday, a month's on its release
day in the next month; the price index is revised each February for five years, as seasonal factors are, and payrolls
and GDP are estimated first. What belongs here: values, vintages and the semantics of `fred/series*`. What does not:
HTTP (http.py).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from streaming.errors import RejectedInput
from streaming.simulator.events import Draw, Floats, random_stream
from streaming.simulator.fred_series import SERIES, Release, SeriesInfo

FOREVER = date(9999, 12, 31)
MISSING = "."
_HORIZON = date(2045, 1, 1)  # values are drawn up to here; a later one must not change the ones before
_REVISED_YEARS = 5


@dataclass(frozen=True)
class Vintage:
    """A value of a period and the day on which it became the current one; None is FRED's "."."""

    period: date
    value: str | None
    realtime_start: date


class MacroSource:
    """Series with their vintages.

    Args:
        seed: of the process.
        folder: recorded series as `<series>.csv` with `date,value`; used instead of the process where present.
    """

    def __init__(self, seed: int, folder: Path | None = None) -> None:
        self.seed = seed
        self._folder = folder
        self._vintages = lru_cache(maxsize=None)(self._make)

    def info(self, series_id: str) -> SeriesInfo:
        """Metadata of a series.

        Raises:
            RejectedInput: there is no such series.
        """
        if series_id not in SERIES:
            raise RejectedInput("unknown_series", "Bad Request.  The series does not exist.")
        return SERIES[series_id]

    def known(self, series_id: str, today: date) -> list[tuple[Vintage, date]]:
        """Vintages released up to `today` with the last day on which each was current, by period and release."""
        released = [v for v in self._vintages(self.info(series_id).series_id) if v.realtime_start <= today]
        following = [*released[1:], None]
        return [
            (v, n.realtime_start - timedelta(days=1) if n and n.period == v.period else FOREVER)
            for v, n in zip(released, following, strict=True)
        ]

    def _make(self, series_id: str) -> list[Vintage]:
        info = SERIES[series_id]
        recorded = self._folder / f"{series_id}.csv" if self._folder else None
        if recorded and recorded.exists():
            rows = _read(recorded)
            return [Vintage(period, value, released_on(info.release, period)) for period, value in rows]
        return _simulate(info, self.seed)


def released_on(release: Release, period: date) -> date:
    """The day on which a period's first value is published."""
    if release == "next business day":
        return _business_day(period + timedelta(days=1))
    if release == "monday after":
        return period + timedelta(days=7 - period.weekday())
    if release == "thursday after":
        return _business_day(period + timedelta(days=(3 - period.weekday()) % 7 or 7))
    if release == "quarterly":
        return _business_day((period.replace(day=1) + timedelta(days=98)).replace(day=26))
    next_month = (period.replace(day=1) + timedelta(days=32)).replace(day=1)
    if release == "first friday":
        return _business_day(next_month + timedelta(days=(4 - next_month.weekday()) % 7))
    return _business_day(next_month if release == "first business day" else next_month.replace(day=12))


def _business_day(day: date) -> date:
    while day.weekday() > 4 or is_holiday(day):
        day += timedelta(days=1)
    return day


def is_holiday(day: date) -> bool:
    """New Year, Independence Day, Thanksgiving and Christmas: enough to have missing values."""
    is_thanksgiving = day.month == 11 and day.weekday() == 3 and 22 <= day.day <= 28
    return (day.month, day.day) in {(1, 1), (7, 4), (12, 25)} or is_thanksgiving


def _read(file: Path) -> list[tuple[date, str | None]]:
    with file.open(newline="") as lines:
        return [(date.fromisoformat(row["date"]), row["value"] or None) for row in csv.DictReader(lines)]


def _simulate(info: SeriesInfo, seed: int) -> list[Vintage]:
    periods = _periods(info)
    rng = random_stream(seed, Draw.MACRO, list(SERIES).index(info.series_id))
    path = _path(rng, info, len(periods))
    if info.series_id == "CPIAUCSL":  # the process is yearly inflation; the series is the level that it makes
        path = np.asarray(78.0 * np.cumprod(1 + path / 1200), np.float64)
    vintages: list[Vintage] = []
    for period, value in zip(periods, path.tolist(), strict=True):
        vintages.extend(_vintages_of(info, period, value, rng))
    return vintages


def _periods(info: SeriesInfo) -> list[date]:
    days = [info.start + timedelta(days=offset) for offset in range((_HORIZON - info.start).days)]
    if info.frequency == "Daily":
        return [day for day in days if day.weekday() < 5]
    if info.frequency == "Weekly":
        return [day for day in days if day.weekday() == info.weekday]
    months = (1, 4, 7, 10) if info.frequency == "Quarterly" else range(1, 13)
    return [day for day in days if day.day == 1 and day.month in months]


def _path(rng: np.random.Generator, info: SeriesInfo, steps: int) -> Floats:
    """A mean-reverting walk whose long-run standard deviation is the spread."""
    shocks = rng.standard_normal(steps) * (info.spread * (2 * info.pull) ** 0.5)
    level, path = info.mean, np.empty(steps)
    for index, shock in enumerate(shocks.tolist()):
        level += info.pull * (info.mean - level) + shock
        path[index] = level
    return path if info.series_id == "T10Y2Y" else np.asarray(np.maximum(path, 0.05))


def _vintages_of(info: SeriesInfo, period: date, value: float, rng: np.random.Generator) -> list[Vintage]:
    first = released_on(info.release, period)
    if info.frequency == "Daily" and is_holiday(period):
        return [Vintage(period, None, first)]
    vintages = [Vintage(period, f"{value:.{info.decimals}f}", first)]
    if info.estimated:
        for months, noise in enumerate(rng.normal(0, 2e-3, 2).tolist(), 1):
            revised = f"{value * (1 + noise):.{info.decimals}f}"
            vintages.append(Vintage(period, revised, _business_day(first + timedelta(days=30 * months))))
    if info.series_id == "CPIAUCSL":
        for years, noise in enumerate(rng.normal(0, 4e-4, _REVISED_YEARS).tolist(), 1):
            revised = f"{value * (1 + noise):.{info.decimals}f}"
            vintages.append(Vintage(period, revised, _business_day(date(first.year + years, 2, 12))))
    return vintages


@dataclass(frozen=True)
class Query:
    """Parameters of `series/observations`; real-time days default to today, as FRED's do."""

    realtime_start: date
    realtime_end: date
    observation_start: date = date(1776, 7, 4)
    observation_end: date = FOREVER
    output_type: int = 1
    sort_order: Literal["asc", "desc"] = "asc"
    limit: int = 100_000
    offset: int = 0


def observations(source: MacroSource, series_id: str, query: Query, today: date) -> dict[str, Any]:
    """The body of `fred/series/observations?file_type=json`; real-time spans are cut to those asked for.

    Raises:
        RejectedInput: there is no such series.
    """
    rows = [
        {
            "realtime_start": str(max(vintage.realtime_start, query.realtime_start)),
            "realtime_end": str(min(last, query.realtime_end)),
            "date": str(vintage.period),
            "value": vintage.value or MISSING,
        }
        for vintage, last in _selected(source.known(series_id, today), query)
    ]
    rows = rows if query.sort_order == "asc" else rows[::-1]
    return {
        "realtime_start": str(query.realtime_start),
        "realtime_end": str(query.realtime_end),
        "observation_start": str(query.observation_start),
        "observation_end": str(query.observation_end),
        "units": "lin",
        "output_type": query.output_type,
        "file_type": "json",
        "order_by": "observation_date",
        "sort_order": query.sort_order,
        "count": len(rows),
        "offset": query.offset,
        "limit": query.limit,
        "observations": rows[query.offset : query.offset + query.limit],
    }


def _selected(known: Sequence[tuple[Vintage, date]], query: Query) -> list[tuple[Vintage, date]]:
    selected = [
        (vintage, last)
        for vintage, last in known
        if query.observation_start <= vintage.period <= query.observation_end
        and vintage.realtime_start <= query.realtime_end
        and last >= query.realtime_start
    ]
    if query.output_type == 4:  # initial release only
        first: dict[date, tuple[Vintage, date]] = {}
        for vintage, last in selected:
            first.setdefault(vintage.period, (vintage, last))
        return list(first.values())
    return selected


def series(source: MacroSource, series_id: str, today: date) -> dict[str, Any]:
    """The body of `fred/series?file_type=json`; FRED spells the key "seriess".

    Raises:
        RejectedInput: there is no such series.
    """
    info = source.info(series_id)
    known = source.known(series_id, today)
    return {
        "realtime_start": str(today),
        "realtime_end": str(today),
        "seriess": [
            {
                "id": info.series_id,
                "realtime_start": str(today),
                "realtime_end": str(today),
                "title": info.title,
                "observation_start": str(known[0][0].period) if known else "",
                "observation_end": str(known[-1][0].period) if known else "",
                "frequency": info.frequency,
                "frequency_short": info.frequency[0],
                "units": info.units,
                "units_short": info.units,
                "seasonal_adjustment": "Not Seasonally Adjusted",
                "seasonal_adjustment_short": "NSA",
                "last_updated": f"{known[-1][0].realtime_start} 08:00:00-06" if known else "",
                "popularity": 1,
                "notes": "Served by the market simulator; not FRED.",
            }
        ],
    }
