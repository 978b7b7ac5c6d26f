"""REST pages that fail, answer late or answer nothing, as often as asked for; one queue a venue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streaming.errors import RejectedInput
from streaming.simulator.faults import Injection
from streaming.simulator.json_response import json_response

PREFIXES: list[tuple[str, str]] = [
    ("/api/v3/coins", "coingecko"),
    ("/api/", "binance"),
    ("/0/", "kraken"),
    ("/v2/", "newsapi"),
    ("/fred/", "fred"),
    ("/rss", "rss"),
    ("/query", "alphavantage"),
]
"""Which venue a path belongs to; the first that fits. Pages of the simulator itself have none and never fail."""

_TOO_MANY = 429
_MAX_PENDING = 100_000


def venue_of(path: str) -> str | None:
    """The venue whose page it is."""
    return next((venue for prefix, venue in PREFIXES if path.startswith(prefix)), None)


class RestFaults:
    """Requests that wait for REST requests to spoil.

    Args:
        told: called with kind and venue for each request that was spoilt.
    """

    def __init__(self, told: Callable[[str, str], None]) -> None:
        self._told = told
        self._pending: deque[tuple[Injection, int]] = deque()  # with how many requests are left

    def request(self, injection: Injection) -> None:
        """Queue what was asked for.

        Raises:
            RejectedInput: there is no such venue, too much waits, or a symbol was named.
        """
        venues = list(dict.fromkeys(venue for _, venue in PREFIXES))
        if injection.venue not in (None, *venues):
            raise RejectedInput("unknown_venue", f"{injection.venue!r}; allowed: {', '.join(venues)}")
        if injection.symbol is not None:
            raise RejectedInput("no_symbol", "REST faults are for a venue, not for a symbol")
        if len(self._pending) >= _MAX_PENDING:
            raise RejectedInput("too_many", "too many REST faults wait")
        if injection.count:
            self._pending.append((injection, injection.count))

    def next_for(self, path: str) -> Injection | None:
        """The fault for this request, if one waits for its venue."""
        venue = venue_of(path)
        for place, (injection, left) in enumerate(self._pending if venue else ()):
            if injection.venue in (None, venue):
                if left > 1:
                    self._pending[place] = (injection, left - 1)
                else:
                    del self._pending[place]
                self._told(injection.kind, str(venue))
                return injection
        return None

    def middleware(self) -> Middleware:
        """What stands before every page."""

        @web.middleware
        async def spoil(request: web.Request, handler: Handler) -> web.StreamResponse:
            fault = self.next_for(request.path)
            if fault is None:
                return await handler(request)
            if fault.kind == "rest_slow":
                await asyncio.sleep(fault.seconds)
                return await handler(request)
            return _nothing(request) if fault.kind == "rest_empty" else _error(request, fault)

        return spoil


def _error(request: web.Request, fault: Injection) -> web.Response:
    wait = fault.retry_after_s if fault.retry_after_s is not None else (1 if fault.status == _TOO_MANY else None)
    headers = {} if wait is None else {"Retry-After": str(wait)}
    return json_response(_error_body(str(venue_of(request.path)), fault.status), fault.status, headers)


def _error_body(venue: str, status: int) -> object:
    """The venue's own words; Kraken's come with status 200 as well."""
    too_many = status == _TOO_MANY
    match venue:
        case "kraken":
            return {"error": ["EAPI:Rate limit exceeded" if too_many else "EService:Unavailable"]}
        case "newsapi":
            return {"status": "error", "code": "rateLimited" if too_many else "unexpectedError", "message": "injected"}
        case "fred":
            return {"error_code": status, "error_message": "Injected fault"}
        case "coingecko":
            return {"status": {"error_code": status, "error_message": "Injected fault"}}
        case "alphavantage":
            return {"Note": "Injected fault: call frequency"}
        case _:
            return {"code": -1003 if too_many else -1, "msg": "injected fault"}


def _nothing(request: web.Request) -> web.Response:
    bodies: Sequence[tuple[str, object]] = [
        ("/0/public/Trades", {"error": [], "result": {"last": request.query.get("since", "0")}}),
        ("/0/", {"error": [], "result": {}}),
        ("/v2/", {"status": "ok", "totalResults": 0, "articles": []}),
    ]
    body = next((body for prefix, body in bodies if request.path.startswith(prefix)), [])
    return json_response(body)
