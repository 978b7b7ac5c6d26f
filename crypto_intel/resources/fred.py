"""FRED's REST API: observations of a series with their vintages, within its request budget.

The key travels in the query, as FRED wants it, so no URL of this client is ever logged or put into an error.
What belongs here: HTTP, retries, the budget, paging. What does not: the meaning of the answers (core/macro.py).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import dagster as dg
import httpx
import stamina

from crypto_intel.core.errors import NotConfigured, PermanentError, TransientError
from crypto_intel.settings import Fred as FredSettings
from crypto_intel.settings import PlatformSettings

PAGE_ROWS = 100_000
"""FRED's greatest page; further rows need another request."""

LAST_DAY = date(9999, 12, 31)
"""FRED's "still the current vintage"."""

ATTEMPTS = 5
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
        # httpx logs every URL at INFO, and with it the key.
        logging.getLogger("httpx").setLevel(logging.WARNING)
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
            answer = self._get({**query, "limit": str(PAGE_ROWS), "offset": str(offset)})
            rows = answer["observations"]
            yield from rows
            offset += len(rows)
            if not rows or offset >= int(answer.get("count", offset)):
                return

    def _get(self, query: dict[str, str]) -> dict[str, Any]:
        for attempt in stamina.retry_context(on=TransientError, attempts=ATTEMPTS, timeout=120):
            with attempt:
                return self._get_once(query)
        raise AssertionError("stamina returns or raises")

    def _get_once(self, query: dict[str, str]) -> dict[str, Any]:
        self._budget.take()
        self.requests += 1
        place = f"FRED series {query['series_id']}"
        secret = {"api_key": self._key, "file_type": "json"}
        try:
            response = self._http.get("/fred/series/observations", params={**query, **secret})
        except httpx.TransportError as error:
            raise TransientError(f"{place}: {type(error).__name__}") from None
        if response.status_code in _TRANSIENT_STATUS:
            raise TransientError(f"{place}: HTTP {response.status_code}")
        if response.status_code != httpx.codes.OK:
            raise _refusal(place, response)
        answer: dict[str, Any] = response.json()
        return answer


def _refusal(place: str, response: httpx.Response) -> PermanentError:
    try:
        message = str(response.json().get("error_message", ""))
    except ValueError:
        message = response.text[:200]
    kind = TooManyVintages if _TOO_MANY_VINTAGES in message else PermanentError
    return kind(f"{place}: HTTP {response.status_code}: {message}")
