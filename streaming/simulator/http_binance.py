"""Binance's REST pages: parameters in, the venue's bodies and errors out. What they look like is in binance.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from streaming.simulator import binance
from streaming.simulator.desk import Desk
from streaming.simulator.json_response import json_response
from streaming.simulator.klines import INTERVALS_US, klines
from streaming.simulator.venue import VenueSymbol, VenueTrade

MAX_TRADES = 1_000
_BAD_PARAMETER = {"code": -1100, "msg": "Illegal characters found in a parameter."}
_BAD_SYMBOL = {"code": -1121, "msg": "Invalid symbol."}
_BAD_INTERVAL = {"code": -1120, "msg": "Invalid interval."}


def routes(desk: Desk) -> list[tuple[str, Handler]]:
    """Paths and handlers."""
    pages = _Pages(desk, {symbol.name: symbol for symbol in desk.symbols("binance")})
    return [
        ("/api/v3/exchangeInfo", pages.exchange_info),
        ("/api/v3/historicalTrades", pages.trades),
        ("/api/v3/trades", pages.trades),
        ("/api/v3/aggTrades", pages.agg_trades),
        ("/api/v3/klines", pages.klines),
        ("/api/v3/ticker/24hr", pages.ticker),
        ("/api/v3/ping", pages.ping),
        ("/api/v3/time", pages.time),
    ]


class _Span(NamedTuple):
    symbol: VenueSymbol
    limit: int
    from_id: int | None
    start_us: int | None
    end_us: int | None


@dataclass(frozen=True)
class _Pages:
    desk: Desk
    by_name: dict[str, VenueSymbol]

    async def ping(self, request: web.Request) -> web.Response:
        return json_response({})

    async def time(self, request: web.Request) -> web.Response:
        return json_response({"serverTime": self.desk.now_us() // _unit(request)})

    async def exchange_info(self, request: web.Request) -> web.Response:
        listed = self.by_name
        names = request.query.get("symbols") or (f'["{request.query["symbol"]}"]' if "symbol" in request.query else "")
        if names:
            try:
                wanted = msgspec.json.decode(names, type=list[str])
            except msgspec.DecodeError:
                return json_response({"code": -1100, "msg": "Illegal characters found in parameter 'symbols'."}, 400)
            if not set(wanted) <= set(self.by_name):
                return json_response(_BAD_SYMBOL, 400)
            listed = {name: self.by_name[name] for name in wanted}
        return json_response(binance.exchange_info(listed.values(), self.desk.now_us() // 1000))

    async def trades(self, request: web.Request) -> web.Response:
        span = self._span(request)
        if isinstance(span, web.Response):
            return span
        found = self.desk.from_id(span.symbol, span.from_id, span.limit)
        return json_response(binance.rest_trades(found, unit=_unit(request)))

    async def agg_trades(self, request: web.Request) -> web.Response:
        span = self._span(request)
        if isinstance(span, web.Response):
            return span
        if span.start_us is not None and span.from_id is None:
            found = self._until(self.desk.since(span.symbol, span.start_us - 1, span.limit), span.end_us)
        else:
            found = self.desk.from_id(span.symbol, span.from_id, span.limit)
        return json_response(binance.rest_agg_trades(found, unit=_unit(request)))

    @staticmethod
    def _until(trades: list[VenueTrade], end_us: int | None) -> list[VenueTrade]:
        return [trade for trade in trades if end_us is None or trade.time_us <= end_us]

    async def klines(self, request: web.Request) -> web.Response:
        span = self._span(request)
        if isinstance(span, web.Response):
            return span
        interval = INTERVALS_US.get(request.query.get("interval", ""))
        if interval is None:
            return json_response(_BAD_INTERVAL, 400)
        now = self.desk.now_us()
        end = min(span.end_us if span.end_us is not None else now, now)
        start = span.start_us if span.start_us is not None else end - span.limit * interval
        bars = klines(self.desk.backing, span.symbol, interval, (start, end), span.limit)
        return json_response(binance.rest_klines(bars, interval, unit=_unit(request)))

    async def ticker(self, request: web.Request) -> web.Response:
        names = [request.query["symbol"]] if "symbol" in request.query else list(self.by_name)
        if not set(names) <= set(self.by_name):
            return json_response(_BAD_SYMBOL, 400)
        bodies = []
        for name in names:
            latest = self.desk.latest(self.by_name[name])
            if latest:
                bodies.append(binance.ticker(self.by_name[name], *latest, self.desk.now_us(), unit=_unit(request)))
        return json_response(bodies[0] if "symbol" in request.query and bodies else bodies)

    def _span(self, request: web.Request) -> _Span | web.Response:
        query, unit = request.query, _unit(request)
        symbol = self.by_name.get(query.get("symbol", ""))
        if symbol is None:
            return json_response(_BAD_SYMBOL, 400)
        try:
            return _Span(
                symbol=symbol,
                limit=min(max(int(query.get("limit", "500")), 1), MAX_TRADES),
                from_id=int(query["fromId"]) if "fromId" in query else None,
                start_us=_instant(query["startTime"]) if "startTime" in query else None,
                end_us=_instant(query["endTime"], last=unit) if "endTime" in query else None,
            )
        except ValueError:
            return json_response(_BAD_PARAMETER, 400)


_MICROSECONDS_FROM = 100_000_000_000_000  # as milliseconds this is the year 5138


def _instant(text: str, *, last: int = 1) -> int:
    """A time in milliseconds or microseconds, told apart by size as the venue does; the last one of its unit."""
    value = int(text)
    return value if value >= _MICROSECONDS_FROM else value * 1_000 + (last - 1)


def _unit(request: web.Request) -> int:
    """Microseconds in a unit of the answer's times: asked for by header, as at the venue, or in the address."""
    wanted = request.headers.get("X-MBX-TIME-UNIT") or request.query.get("timeUnit", "")
    return 1 if wanted.upper() == "MICROSECOND" else 1_000
