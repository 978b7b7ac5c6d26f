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
    """A release, numbered and named after FRED's."""

    release_id: int
    name: str
    link: str


_H15 = Release(18, "H.15 Selected Interest Rates", "http://www.federalreserve.gov/releases/h15/")
_SPREADS = Release(304, "Interest Rate Spreads", "https://fred.stlouisfed.org/release?rid=304")
_CPI = Release(10, "Consumer Price Index", "http://www.bls.gov/cpi/")
_EMPLOYMENT = Release(50, "Employment Situation", "http://www.bls.gov/ces/")
_MONEY = Release(21, "H.6 Money Stock Measures", "http://www.federalreserve.gov/releases/h6/")
_SPOT = Release(212, "Spot Prices", "http://www.eia.gov/dnav/pet/pet_pri_spt_s1_d.htm")
_GDP = Release(53, "Gross Domestic Product", "http://www.bea.gov/national/index.htm")
RELEASES = {
    **dict.fromkeys(("FEDFUNDS", "DGS2", "DGS10", "DGS30"), _H15),
    **dict.fromkeys(("T10Y2Y", "T5YIE", "T10YIE"), _SPREADS),
    **dict.fromkeys(("CPIAUCSL", "CPILFESL"), _CPI),
    **dict.fromkeys(("UNRATE", "U6RATE", "CIVPART", "PAYEMS", "AHETPI"), _EMPLOYMENT),
    **dict.fromkeys(("M2SL", "WM2NS"), _MONEY),
    **dict.fromkeys(("DCOILWTICO", "DCOILBRENTEU"), _SPOT),
    **dict.fromkeys(("GDP", "GDPC1"), _GDP),
    "VIXCLS": Release(200, "CBOE Market Statistics", "https://www.cboe.com/"),
    "DTWEXBGS": Release(17, "H.10 Foreign Exchange Rates", "http://www.federalreserve.gov/releases/h10/"),
    "RRPONTSYD": Release(379, "Temporary Open Market Operations", "https://www.newyorkfed.org/markets"),
    "ICSA": Release(180, "Unemployment Insurance Weekly Claims Report", "http://www.dol.gov/ui/data.pdf"),
    "STLFSI4": Release(245, "St. Louis Fed Financial Stress Index", "https://www.stlouisfed.org/"),
    "ANFCI": Release(221, "Chicago Fed National Financial Conditions Index", "https://www.chicagofed.org/"),
    "WALCL": Release(20, "H.4.1 Factors Affecting Reserve Balances", "http://www.federalreserve.gov/releases/h41/"),
    "PCEPILFE": Release(54, "Personal Income and Outlays", "http://www.bea.gov/"),
    "JTSJOL": Release(192, "Job Openings and Labor Turnover Survey", "http://www.bls.gov/jlt/"),
    "INDPRO": Release(13, "G.17 Industrial Production and Capacity Utilization", "http://www.federalreserve.gov/"),
    "CFNAI": Release(219, "Chicago Fed National Activity Index", "https://www.chicagofed.org/"),
    "HOUST": Release(27, "New Residential Construction", "http://www.census.gov/construction/nrc/"),
    "RSXFS": Release(9, "Advance Monthly Sales for Retail and Food Services", "http://www.census.gov/retail/"),
    "USREC": Release(242, "NBER based Recession Indicators", "http://www.nber.org/cycles.html"),
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
