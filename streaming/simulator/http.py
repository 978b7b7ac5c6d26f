"""The REST side: NewsAPI, FRED and the simulator's own pages, as aiohttp handlers; the venues' are in http_<venue>.py.

Each handler parses its parameters, asks a pure function and answers in the venue's own envelope, errors too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from streaming.errors import RejectedInput
from streaming.simulator import alphavantage, coingecko, fred, fred_releases, http_binance, http_kraken, news, rss
from streaming.simulator.chaos import Chaos
from streaming.simulator.desk import Desk
from streaming.simulator.faults import Injection
from streaming.simulator.gate import Gate
from streaming.simulator.hub import Hub
from streaming.simulator.json_response import json_response
from streaming.simulator.ledger import Ledger
from streaming.simulator.rest_faults import RestFaults
from streaming.simulator.venue import Backing

FRED_PER_MINUTE = 120


@dataclass(frozen=True)
class World:
    """Everything that a request may ask about."""

    desk: Desk
    wire: news.NewsWire
    macro: fred.MacroSource
    hub: Hub
    gate: Gate
    rest_faults: RestFaults
    chaos: Chaos

    @property
    def backing(self) -> Backing:
        """What is played."""
        return self.desk.backing

    @property
    def ledger(self) -> Ledger:
        """What was handed out."""
        return self.desk.ledger

    def now_us(self) -> int:
        """Platform time in microseconds."""
        return self.desk.now_us()

    def today(self) -> date:
        """Platform time's UTC day."""
        return datetime.fromtimestamp(self.now_us() / 1e6, UTC).date()


def application(world: World) -> web.Application:
    """The web application with all routes."""
    app = web.Application(middlewares=[world.rest_faults.middleware()])
    routes: list[tuple[str, Handler]] = [
        *http_binance.routes(world.desk),
        *http_kraken.routes(world.desk),
        ("/v2/everything", _everything(world)),
        *FredPages(world).routes,
        *rss.routes(world.desk, world.wire),
        *coingecko.routes(world.desk),
        *alphavantage.Pages(world.desk, world.macro.seed).routes,
        *_own(world),
    ]
    app.add_routes([web.get(path, handler) for path, handler in routes])
    app.add_routes([web.post("/sim/inject", _inject(world))])
    return app


# --- NewsAPI ---------------------------------------------------------------------------------------------------------


def _everything(world: World) -> Handler:
    async def everything(request: web.Request) -> web.Response:
        query = request.query
        if not (request.headers.get("X-Api-Key") or query.get("apiKey")):
            return json_response(news.error("apiKeyMissing", "Your API key is missing."), 401)
        if not query.get("q"):
            return json_response(news.error("parametersMissing", "Required parameters are missing."), 400)
        try:
            start = _instant(query["from"]) if "from" in query else 0
            until = min(_instant(query["to"]), world.now_us()) if "to" in query else world.now_us()
            size = min(max(int(query.get("pageSize", "20")), 1), news.MAX_PAGE_SIZE)
            number = max(int(query.get("page", "1")), 1)
        except ValueError:
            return json_response(news.error("parameterInvalid", "A parameter cannot be read."), 400)
        words = news.query_words(query["q"])
        found = [article for article in world.wire.published(start, until) if article.mentions(words)]
        body = news.page(found, size, number)
        world.ledger.published([article["url"] for article in body["articles"]])
        return json_response(body)

    return everything


def _instant(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * 1_000_000


# --- FRED ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FredPages:
    """FRED's pages, under its limit of requests a minute."""

    world: World
    _recent: deque[float] = field(default_factory=deque)

    @property
    def routes(self) -> list[tuple[str, Handler]]:
        """Paths and handlers."""
        return [
            ("/fred/series/observations", self._guarded(self._observations)),
            ("/fred/series/release", self._guarded(self._series_release)),
            ("/fred/series", self._guarded(self._series)),
            ("/fred/release/dates", self._guarded(self._release_dates)),
        ]

    def _guarded(self, answer: Callable[[web.Request], web.Response]) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            try:
                return self._refusal(request) or answer(request)
            except RejectedInput as error:
                return _fred_error(400, error.detail)
            except ValueError as error:
                return _fred_error(400, f"Bad Request.  {error}")

        return handler

    def _refusal(self, request: web.Request) -> web.Response | None:
        now = time.monotonic()
        while self._recent and self._recent[0] < now - 60:
            self._recent.popleft()
        self._recent.append(now)
        if len(self._recent) > FRED_PER_MINUTE:
            return _fred_error(429, "Too Many Requests.  Exceeded Rate Limit", {"Retry-After": "5"})
        if not request.query.get("api_key"):
            return _fred_error(400, "Bad Request.  Variable api_key is not set.")
        if request.query.get("file_type") != "json":
            return _fred_error(400, "Bad Request.  The simulator serves file_type=json only.")
        return None

    def _observations(self, request: web.Request) -> web.Response:
        today = self.world.today()
        query = _fred_query(request, today)
        return json_response(fred.observations(self.world.macro, request.query.get("series_id", ""), query, today))

    def _series(self, request: web.Request) -> web.Response:
        return json_response(fred.series(self.world.macro, request.query.get("series_id", ""), self.world.today()))

    def _series_release(self, request: web.Request) -> web.Response:
        series_id, today = request.query.get("series_id", ""), self.world.today()
        return json_response(fred_releases.series_release(self.world.macro, series_id, today))

    def _release_dates(self, request: web.Request) -> web.Response:
        query = _dates_query(request)
        return json_response(fred_releases.release_dates(self.world.macro, query, self.world.today()))


def _fred_error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return json_response({"error_code": status, "error_message": message}, status, headers)


def _day(request: web.Request, name: str, default: date) -> date:
    return date.fromisoformat(request.query[name]) if name in request.query else default


def _dates_query(request: web.Request) -> fred_releases.DatesQuery:
    return fred_releases.DatesQuery(
        release_id=int(request.query.get("release_id", "0")),
        realtime_start=_day(request, "realtime_start", fred_releases.FIRST_DAY),
        realtime_end=_day(request, "realtime_end", fred.FOREVER),
        with_no_data=request.query.get("include_release_dates_with_no_data") == "true",
        is_ascending=request.query.get("sort_order") != "desc",
        limit=int(request.query.get("limit", str(fred_releases.MAX_DATES))),
        offset=int(request.query.get("offset", "0")),
    )


def _fred_query(request: web.Request, today: date) -> fred.Query:
    return fred.Query(
        realtime_start=_day(request, "realtime_start", today),
        realtime_end=_day(request, "realtime_end", today),
        observation_start=_day(request, "observation_start", fred.Query.observation_start),
        observation_end=_day(request, "observation_end", fred.FOREVER),
        output_type=int(request.query.get("output_type", "1")),
        sort_order="desc" if request.query.get("sort_order") == "desc" else "asc",
        limit=int(request.query.get("limit", "100000")),
        offset=int(request.query.get("offset", "0")),
    )


# --- The simulator's own ---------------------------------------------------------------------------------------------


def _own(world: World) -> list[tuple[str, Handler]]:
    async def clock(request: web.Request) -> web.Response:
        return json_response(world.backing.anchors)

    async def stats(request: web.Request) -> web.Response:
        account = world.ledger.account
        return json_response(
            {
                "source": account.source,
                "ended": account.ended,
                "clients": world.hub.clients,
                "frames_sent": world.hub.frames_sent,
                "articles": account.articles,
                "injected": account.injected,
                "now_us": world.now_us(),
                "symbols": [symbol.name for symbol in world.backing.symbols],
                "markets": [symbol.market for symbol in world.backing.symbols],
            }
        )

    async def ledger(request: web.Request) -> web.Response:
        return json_response(world.ledger.account)

    async def health(request: web.Request) -> web.Response:
        return json_response({"status": "ok", "source": world.ledger.account.source})

    return [("/sim/clock", clock), ("/sim/stats", stats), ("/sim/ledger", ledger), ("/health", health)]


def _inject(world: World) -> Handler:
    async def inject(request: web.Request) -> web.Response:
        try:
            injection = msgspec.json.decode(await request.read(), type=Injection)
        except msgspec.DecodeError as error:
            return json_response({"error": str(error)}, 400)
        try:
            world.chaos.inject(injection)
        except RejectedInput as error:
            return json_response({"error": error.detail}, 400)
        return json_response(injection)

    return inject
