"""FRED's REST API: observations of a series with their vintages, within its request budget.

The key travels in the query, as FRED wants it, so no URL of this client is ever logged or put into an error.
What belongs here: HTTP, retries, the budget, paging. What does not: the forms of the answers (core/fred.py) and their
meaning (core/macro.py).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta

import dagster as dg
import httpx
import msgspec
import stamina

from crypto_intel.core import fred as wire
from crypto_intel.core.errors import NotConfigured, PermanentError, TransientError
from crypto_intel.settings import Fred as FredSettings
from crypto_intel.settings import PlatformSettings

PAGE_ROWS = 100_000
"""FRED's greatest page; further rows need another request."""

PAGE_DATES = 10_000
"""The same of release dates."""

LAST_DAY = date(9999, 12, 31)
"""FRED's "still the current vintage"."""

ATTEMPTS = 8
LONGEST_PAUSE_S = 20.0
"""FRED counts by the minute, over all clients of a key: whoever is told 429 waits long enough to be let in again."""

_TOO_MANY_VINTAGES = "vintage dates"
_TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504}


@dataclass
class Budget:
    """At most `per_minute` requests in any 60 seconds; a request over it waits for its turn."""

    per_minute: int
    taken: deque[float] = field(default_factory=deque)

    def take(self) -> None:
        """Wait until a request may go out, and count it."""
        now = time.monotonic()
        while self.taken and now - self.taken[0] >= 60:
            self.taken.popleft()
        if len(self.taken) >= self.per_minute:
            time.sleep(60 - (now - self.taken[0]))
            self.taken.popleft()
        self.taken.append(time.monotonic())


class TooManyVintages(PermanentError):  # noqa: N818 - it names FRED's answer
    """FRED gives at most 2,000 vintages an answer; ask for fewer at a time."""


class Fred(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens a client for a run's requests; settings name the address and the key."""

    def is_configured(self) -> bool:
        """A key is set, without which FRED answers nothing."""
        return PlatformSettings().fred.api_key is not None

    @contextmanager
    def client(self) -> Iterator[FredClient]:
        """A client whose connections are closed at the end.

        Raises:
            NotConfigured: no key is set.
        """
        settings = PlatformSettings().fred
        if settings.api_key is None:
            raise NotConfigured("CRYPTO_INTEL_FRED__API_KEY", "to fetch macro series from FRED")
        # httpx logs every URL at INFO, and with it the key; httpcore at DEBUG the URL that a redirect names.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("httpcore").setLevel(logging.INFO)
        with httpx.Client(base_url=settings.url.rstrip("/"), timeout=settings.timeout_s) as http:
            yield FredClient(http, settings)


class FredClient:
    """Asks FRED; transient failures are repeated with growing, jittered pauses."""

    def __init__(self, http: httpx.Client, settings: FredSettings) -> None:
        self._http = http
        self._key = settings.api_key.get_secret_value() if settings.api_key else ""
        self._budget = Budget(settings.requests_per_minute)
        self.requests = 0

    def observations(self, series_id: str, start: date, end: date) -> list[dict[str, str]]:
        """All vintages of a series' observations whose date lies in [start, end], as FRED sends them.

        Vintages begin at `start`: a value cannot be released before its period begins. Where FRED refuses because
        there are too many of them, the stretch is asked for in halves, which may cut a vintage in two
        (core.macro.join_clipped makes it whole).

        Raises:
            TransientError: FRED does not answer, after ATTEMPTS tries.
            PermanentError: FRED refuses: a wrong key, an unknown series.
        """
        return list(self._vintages(series_id, start, end, start, LAST_DAY))

    def _vintages(self, series_id: str, start: date, end: date, first: date, last: date) -> Iterator[dict[str, str]]:
        query = {
            "series_id": series_id,
            "observation_start": start.isoformat(),
            "observation_end": end.isoformat(),
            "realtime_start": first.isoformat(),
            "realtime_end": last.isoformat(),
        }
        try:
            yield from self._pages(query)
        except TooManyVintages:
            middle = first + (min(last, date.today() + timedelta(days=1)) - first) / 2
            if middle <= first:
                raise
            yield from self._vintages(series_id, start, end, first, middle)
            yield from self._vintages(series_id, start, end, middle + timedelta(days=1), last)

    def _pages(self, query: dict[str, str]) -> Iterator[dict[str, str]]:
        offset = 0
        while True:
            body = self._get("/fred/series/observations", {**query, "limit": str(PAGE_ROWS), "offset": str(offset)})
            page = wire.parse_observations_page(body)
            yield from (msgspec.to_builtins(observation) for observation in page.observations)
            offset += len(page.observations)
            if not page.observations or offset >= page.count:
                return

    def series(self, series_id: str) -> wire.SeriesInfo:
        """What FRED says of a series: title, units, frequency, first and last day; raises as `observations` does."""
        return wire.parse_series(self._get("/fred/series", {"series_id": series_id}))

    def release(self, series_id: str) -> wire.Release:
        """What publishes a series; raises as `observations` does."""
        return wire.parse_release(self._get("/fred/series/release", {"series_id": series_id}))

    def release_dates(self, release_id: int, since: date, *, scheduled: bool = False) -> list[date]:
        """Days from `since` on, oldest first, on which a release came out; with `scheduled` those to come too.

        Raises as `observations` does.
        """
        query = {
            "release_id": str(release_id),
            "realtime_start": since.isoformat(),
            "realtime_end": LAST_DAY.isoformat(),
            "sort_order": "asc",
            "include_release_dates_with_no_data": "true" if scheduled else "false",
            "limit": str(PAGE_DATES),
        }
        days: list[date] = []
        while True:
            page = wire.parse_release_dates(self._get("/fred/release/dates", {**query, "offset": str(len(days))}))
            days += page.days
            if not page.release_dates or len(days) >= page.count:
                return days

    def _get(self, path: str, query: dict[str, str]) -> bytes:
        for attempt in stamina.retry_context(
            on=TransientError, attempts=ATTEMPTS, timeout=120, wait_initial=0.5, wait_max=LONGEST_PAUSE_S
        ):
            with attempt:
                return self._get_once(path, query)
        raise AssertionError("stamina returns or raises")

    def _get_once(self, path: str, query: dict[str, str]) -> bytes:
        self._budget.take()
        self.requests += 1
        place = f"FRED {path.removeprefix('/fred/')} {query.get('series_id') or query.get('release_id', '')}"
        secret = {"api_key": self._key, "file_type": "json"}
        try:
            response = self._http.get(path, params={**query, **secret})
        except httpx.TransportError as error:
            raise TransientError(f"{place}: {type(error).__name__}") from None
        if response.status_code in _TRANSIENT_STATUS:
            raise TransientError(f"{place}: HTTP {response.status_code}")
        if response.status_code != httpx.codes.OK:
            raise _refusal(place, response.status_code, self._blot(wire.error_message(response.content)))
        return response.content

    def _blot(self, text: str) -> str:
        """FRED's words without the key, should it show it."""
        return text.replace(self._key, "***") if self._key else text


def _refusal(place: str, status: int, message: str) -> PermanentError:
    kind = TooManyVintages if _TOO_MANY_VINTAGES in message else PermanentError
    return kind(f"{place}: HTTP {status}: {message}")
