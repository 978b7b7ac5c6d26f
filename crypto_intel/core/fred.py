"""FRED's wire forms: what its bodies hold, as typed records. Pure.

What belongs here: reading bodies. What does not: asking for them (resources/fred.py) and what was known when
(macro.py). FRED spells the key of series metadata "seriess", writes a missing value as ".", and sends a number's text.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TypeVar

import msgspec

from crypto_intel.core.errors import PermanentError

MISSING = "."
T = TypeVar("T")


class Observation(msgspec.Struct, frozen=True):
    """A period's value as it was known from `realtime_start` to `realtime_end`, both included."""

    date: dt.date
    value: str
    realtime_start: dt.date
    realtime_end: dt.date

    @property
    def number(self) -> float | None:
        """The value; None where FRED has none."""
        return None if self.value == MISSING else float(self.value)


class ObservationsPage(msgspec.Struct, frozen=True):
    """A page of `fred/series/observations`; `count` is of all pages."""

    count: int
    observations: list[Observation]


class SeriesInfo(msgspec.Struct, frozen=True):
    """What FRED says of a series; `last_updated` has its zone."""

    id: str
    title: str
    frequency: str
    frequency_short: str
    units: str
    seasonal_adjustment: str
    seasonal_adjustment_short: str
    observation_start: dt.date
    observation_end: dt.date
    last_updated: str
    units_short: str = ""
    popularity: int = 0
    notes: str = ""

    @property
    def updated_at(self) -> dt.datetime:
        """`last_updated` as a moment: FRED writes the zone's hours alone, which ISO 8601 allows."""
        return dt.datetime.fromisoformat(self.last_updated)


class Release(msgspec.Struct, frozen=True):
    """What publishes a series."""

    id: int
    name: str
    press_release: bool = False
    link: str | None = None


class _Series(msgspec.Struct, frozen=True):
    seriess: list[SeriesInfo]


class _Releases(msgspec.Struct, frozen=True):
    releases: list[Release]


class _ReleaseDate(msgspec.Struct, frozen=True):
    date: dt.date


class ReleaseDatesPage(msgspec.Struct, frozen=True):
    """A page of `fred/release/dates`; `count` is of all pages."""

    count: int
    release_dates: list[_ReleaseDate]

    @property
    def days(self) -> list[dt.date]:
        """The days, in FRED's order."""
        return [told.date for told in self.release_dates]


class _Error(msgspec.Struct, frozen=True):
    error_message: str = ""


def parse_observations_page(body: bytes) -> ObservationsPage:
    """A body of `fred/series/observations?file_type=json`, with vintages or without.

    Raises:
        PermanentError: it is none, or holds a value that is neither missing nor a finite number.
    """
    page = _decode(body, ObservationsPage, "observations")
    for observation in page.observations:
        if not _is_value(observation.value):
            raise PermanentError(f"FRED's value of {observation.date} is no number: {observation.value[:40]!r}")
    return page


def parse_series(body: bytes) -> SeriesInfo:
    """A body of `fred/series?file_type=json`; raises PermanentError when it is none."""
    return _only(_decode(body, _Series, "series").seriess, "series")


def parse_release(body: bytes) -> Release:
    """A body of `fred/series/release?file_type=json`; raises PermanentError when it is none."""
    return _only(_decode(body, _Releases, "release").releases, "release")


def parse_release_dates(body: bytes) -> ReleaseDatesPage:
    """A body of `fred/release/dates?file_type=json`; raises PermanentError when it is none."""
    return _decode(body, ReleaseDatesPage, "release dates")


def error_message(body: bytes) -> str:
    """FRED's words in a refusal, or the beginning of what stands there instead."""
    try:
        return msgspec.json.decode(body, type=_Error).error_message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body[:200].decode(errors="replace")


def _decode(body: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PermanentError(f"FRED's answer is no {what}: {str(error)[:200]}") from error


def _only(found: list[T], what: str) -> T:
    if len(found) != 1:
        raise PermanentError(f"FRED told {len(found)} {what}, not one")
    return found[0]


def _is_value(text: str) -> bool:
    try:
        return text == MISSING or math.isfinite(float(text))
    except ValueError:
        return False
