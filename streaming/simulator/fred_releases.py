"""FRED's releases: which one a series belongs to, and the days on which it comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from streaming.errors import RejectedInput
from streaming.simulator.fred import FOREVER, MacroSource

FIRST_DAY = date(1776, 7, 4)
MAX_DATES = 10_000
_AHEAD = timedelta(days=365)


@dataclass(frozen=True)
class Release:
    """A release; numbers and names are FRED's."""

    release_id: int
    name: str
    link: str


_H15 = Release(18, "H.15 Selected Interest Rates", "http://www.federalreserve.gov/releases/h15/")
RELEASES = {
    "FEDFUNDS": _H15,
    "DGS10": _H15,
    "T10Y2Y": Release(304, "Interest Rate Spreads", "https://fred.stlouisfed.org/release?rid=304"),
    "VIXCLS": Release(200, "CBOE Market Statistics", "https://www.cboe.com/"),
    "DTWEXBGS": Release(17, "H.10 Foreign Exchange Rates", "http://www.federalreserve.gov/releases/h10/"),
    "CPIAUCSL": Release(10, "Consumer Price Index", "http://www.bls.gov/cpi/"),
}
"""By series."""


def series_release(source: MacroSource, series_id: str, today: date) -> dict[str, Any]:
    """The body of `fred/series/release?file_type=json`.

    Raises:
        RejectedInput: there is no such series.
    """
    release = RELEASES[source.info(series_id).series_id]
    span = {"realtime_start": str(today), "realtime_end": str(today)}
    told = {"id": release.release_id, **span, "name": release.name, "press_release": True, "link": release.link}
    return {**span, "releases": [told]}


@dataclass(frozen=True)
class DatesQuery:
    """Parameters of `release/dates`; real time is all time by default, as FRED's is here."""

    release_id: int
    realtime_start: date = FIRST_DAY
    realtime_end: date = FOREVER
    with_no_data: bool = False
    is_ascending: bool = True
    limit: int = MAX_DATES
    offset: int = 0


def release_dates(source: MacroSource, query: DatesQuery, today: date) -> dict[str, Any]:
    """The body of `fred/release/dates?file_type=json`: days with data, and those to come if asked for.

    Raises:
        RejectedInput: there is no such release.
    """
    members = [series_id for series_id, release in RELEASES.items() if release.release_id == query.release_id]
    if not members:
        raise RejectedInput("unknown_release", "Bad Request.  The release does not exist.")
    until = today + _AHEAD if query.with_no_data else today
    days = {vintage.realtime_start for series_id in members for vintage, _ in source.known(series_id, until)}
    wanted = sorted(
        (day for day in days if query.realtime_start <= day <= query.realtime_end), reverse=not query.is_ascending
    )
    page = wanted[query.offset : query.offset + min(query.limit, MAX_DATES)]
    return {
        "realtime_start": str(query.realtime_start),
        "realtime_end": str(query.realtime_end),
        "order_by": "release_date",
        "sort_order": "asc" if query.is_ascending else "desc",
        "count": len(wanted),
        "offset": query.offset,
        "limit": query.limit,
        "release_dates": [{"release_id": query.release_id, "date": str(day)} for day in page],
    }
