"""Kraken's REST pages: parameters in, the venue's envelope out; its errors come with HTTP 200."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler

from streaming.simulator import kraken
from streaming.simulator.desk import Desk
from streaming.simulator.json_response import json_response
from streaming.simulator.venue import VenueSymbol

MAX_TRADES = 1_000


def routes(desk: Desk) -> list[tuple[str, Handler]]:
    """Paths and handlers."""
    pages = _Pages(desk, desk.symbols("kraken"))
    return [
        ("/0/public/Time", pages.time),
        ("/0/public/SystemStatus", pages.system_status),
        ("/0/public/AssetPairs", pages.asset_pairs),
        ("/0/public/Trades", pages.trades),
    ]


@dataclass(frozen=True)
class _Pages:
    desk: Desk
    symbols: list[VenueSymbol]

    async def time(self, request: web.Request) -> web.Response:
        second = self.desk.now_us() // 1_000_000
        text = datetime.fromtimestamp(second, UTC).strftime("%a, %d %b %y %H:%M:%S +0000")
        return json_response(kraken.answer({"unixtime": second, "rfc1123": text}))

    async def system_status(self, request: web.Request) -> web.Response:
        moment = datetime.fromtimestamp(self.desk.now_us() // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json_response(kraken.answer({"status": "online", "timestamp": moment}))

    async def asset_pairs(self, request: web.Request) -> web.Response:
        listed = self.symbols
        if "pair" in request.query:
            known = kraken.by_any_name(self.symbols)
            names = request.query["pair"].split(",")
            if not set(names) <= set(known):
                return json_response(kraken.refusal("EQuery:Unknown asset pair"))
            listed = [known[name] for name in names]
        return json_response(kraken.answer(kraken.asset_pairs(listed)))

    async def trades(self, request: web.Request) -> web.Response:
        symbol = kraken.by_any_name(self.symbols).get(request.query.get("pair", ""))
        if symbol is None:
            return json_response(kraken.refusal("EQuery:Unknown asset pair"))
        try:
            limit = min(max(int(request.query.get("count", MAX_TRADES)), 1), MAX_TRADES)
            after_ns = _nanoseconds(request.query["since"]) if "since" in request.query else None
        except ValueError:
            return json_response(kraken.refusal("EGeneral:Invalid arguments"))
        if after_ns is None:
            found = self.desk.from_id(symbol, None, limit)
        else:
            found = self.desk.since(symbol, after_ns // 1_000, limit)
        return json_response(kraken.rest_trades(symbol, found, after_ns or 0))


def _nanoseconds(text: str) -> int:
    """`since` is in seconds (with or without a fraction) or in nanoseconds; the venue takes both."""
    whole, _, fraction = text.partition(".")
    value = int(whole)
    if value < 10**12:
        return value * 10**9 + int(fraction.ljust(9, "0")[:9] or "0")
    return value
