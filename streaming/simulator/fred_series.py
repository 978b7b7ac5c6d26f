"""The macro series that the simulator serves: what each is, when it comes out, and how its process moves.

What belongs here: data. What does not: values and vintages (fred.py), releases (fred_releases.py). Titles and
frequencies are the contract's; means and spreads are of an ordinary year, and prove nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from crypto_intel.contracts.macro import FRED_SERIES, Frequency

FIRST_DAY = date(1980, 1, 1)
_START = FIRST_DAY

Release = Literal[
    "next business day", "monday after", "thursday after", "first business day", "first friday", "twelfth", "quarterly"
]


@dataclass(frozen=True)
class SeriesInfo:
    """A series: what it is, where its process stays (mean, spread) and how fast (share a step).

    `weekday` is the day that a week's value is of (0 is Monday). A series that is `estimated` comes out three times:
    the first value is an estimate that two later ones replace, a month apart each.
    """

    series_id: str
    title: str
    frequency: Frequency
    units: str
    start: date
    release: Release
    mean: float
    spread: float
    pull: float
    decimals: int = 2
    weekday: int = 4
    estimated: bool = False


_STATED = {series.series_id: series for series in FRED_SERIES}


def _series(series_id: str, units: str, start: date, release: Release, *process: Any, **more: Any) -> SeriesInfo:
    stated = _STATED[series_id]
    return SeriesInfo(series_id, stated.title, stated.frequency, units, start, release, *process, **more)


SERIES = {
    info.series_id: info
    for info in (
        _series("FEDFUNDS", "Percent", _START, "first business day", 3.5, 1.5, 0.02),
        _series("DGS10", "Percent", _START, "next business day", 4.0, 0.8, 0.002),
        _series("T10Y2Y", "Percent", _START, "next business day", 0.8, 0.6, 0.002),
        _series("VIXCLS", "Index", date(1990, 1, 2), "next business day", 18, 3.0, 0.03),
        _series("DTWEXBGS", "Index Jan 2006=100", date(2006, 1, 2), "monday after", 115, 5.0, 0.002, 4),
        _series("CPIAUCSL", "Index 1982-1984=100", _START, "twelfth", 2.5, 1.0, 0.05, 3),
        _series("DGS2", "Percent", _START, "next business day", 3.8, 0.9, 0.002),
        _series("DGS30", "Percent", _START, "next business day", 4.4, 0.6, 0.002),
        _series("T5YIE", "Percent", date(2003, 1, 2), "next business day", 2.2, 0.3, 0.004),
        _series("T10YIE", "Percent", date(2003, 1, 2), "next business day", 2.2, 0.2, 0.004),
        _series("DCOILWTICO", "Dollars per Barrel", date(1986, 1, 2), "next business day", 70, 15, 0.004),
        _series("DCOILBRENTEU", "Dollars per Barrel", date(1987, 5, 20), "next business day", 74, 15, 0.004),
        _series("RRPONTSYD", "Billions of US Dollars", date(2003, 2, 7), "next business day", 200, 80, 0.01, 3),
        _series("ICSA", "Number", date(1980, 1, 5), "thursday after", 230000, 25000, 0.05, 0, 5),
        _series("STLFSI4", "Index", date(1993, 12, 31), "thursday after", 0.5, 0.3, 0.05, 4),
        _series("ANFCI", "Index", date(1980, 1, 4), "thursday after", 0.6, 0.2, 0.05, 5),
        _series("WALCL", "Millions of U.S. Dollars", date(2002, 12, 18), "thursday after", 7000000, 500000, 0.01, 0, 2),
        _series("WM2NS", "Billions of Dollars", date(1980, 11, 3), "thursday after", 21000, 600, 0.01, 1, 0),
        _series("CPILFESL", "Index 1982-1984=100", _START, "twelfth", 310, 6, 0.05, 3),
        _series("PCEPILFE", "Index 2017=100", _START, "twelfth", 124, 2, 0.05, 3),
        _series("UNRATE", "Percent", _START, "first friday", 4.5, 0.8, 0.05, 1),
        _series("U6RATE", "Percent", date(1994, 1, 1), "first friday", 8.2, 1.2, 0.05, 1),
        _series("CIVPART", "Percent", _START, "first friday", 62.5, 0.4, 0.05, 1),
        _series("PAYEMS", "Thousands of Persons", _START, "first friday", 155000, 2500, 0.02, 0, estimated=True),
        _series("AHETPI", "Dollars per Hour", _START, "first friday", 30, 1.2, 0.02, 2),
        _series("JTSJOL", "Level in Thousands", date(2000, 12, 1), "first business day", 8000, 900, 0.05, 0),
        _series("INDPRO", "Index 2017=100", _START, "twelfth", 102, 2, 0.05, 4),
        _series("CFNAI", "Index", _START, "twelfth", 0.3, 0.2, 0.1),
        _series("HOUST", "Thousands of Units", _START, "twelfth", 1400, 120, 0.1, 0),
        _series("RSXFS", "Millions of Dollars", date(1992, 1, 1), "twelfth", 610000, 15000, 0.05, 0),
        _series("M2SL", "Billions of Dollars", _START, "twelfth", 21000, 600, 0.02, 1),
        _series("USREC", "+1 or 0", _START, "first business day", 0.2, 0.1, 0.1, 0),
        _series("GDP", "Billions of Dollars", _START, "quarterly", 29000, 900, 0.05, 3, estimated=True),
        _series("GDPC1", "Billions of Chained 2017 Dollars", _START, "quarterly", 23500, 500, 0.05, 3, estimated=True),
    )
}
"""By id. New series go behind the others: a series' process is drawn by its place."""
