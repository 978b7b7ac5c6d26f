"""CoinGecko's pages over the simulated markets: `/coins/markets` and `/coins/{id}/market_chart`.

Prices are the markets' own. What an aggregator adds (supply, records) is invented, with the nulls of real answers, and
as there a worthless token has a bogus capitalisation and is ranked first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from streaming.simulator.conditional import answer
from streaming.simulator.desk import Desk
from streaming.simulator.json_response import json_response
from streaming.simulator.venue import E8, Day, VenueSymbol, VenueTrade

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
_MAX_PAGE = 250
_MAX_POINTS = 2_200  # 90 days of hours, as many as the venue gives


@dataclass(frozen=True)
class Coin:
    """What is told of a coin beside its price; supplies in coins."""

    coin_id: str
    base: str
    name: str
    supply: float
    total: float | None
    most: float | None


COINS = (
    Coin("bitcoin", "BTC", "Bitcoin", 19_700_000.0, 21_000_000.0, 21_000_000.0),
    Coin("ethereum", "ETH", "Ethereum", 120_200_000.0, 120_200_000.0, None),
    Coin("binancecoin", "BNB", "BNB", 145_900_000.0, 145_900_000.0, 200_000_000.0),
    Coin("solana", "SOL", "Solana", 466_000_000.0, 583_000_000.0, None),
    Coin("ripple", "XRP", "XRP", 56_000_000_000.0, 99_987_000_000.0, 100_000_000_000.0),
    Coin("dogecoin", "DOGE", "Dogecoin", 145_500_000_000.0, 145_500_000_000.0, None),
    Coin("cardano", "ADA", "Cardano", 35_600_000_000.0, 45_000_000_000.0, 45_000_000_000.0),
    Coin("avalanche-2", "AVAX", "Avalanche", 395_000_000.0, 445_000_000.0, 720_000_000.0),
    Coin("polkadot", "DOT", "Polkadot", 1_440_000_000.0, None, None),
    Coin("litecoin", "LTC", "Litecoin", 74_900_000.0, 84_000_000.0, 84_000_000.0),
)
"""In order of capitalisation."""

_BOGUS = Coin("simulated-worthless-token", "WRTH", "Simulated Worthless Token", 2.448524105135891e15, 1e16, None)
_BOGUS_PRICE = 0.00136138
_WINDOWS = ("1h", "24h", "7d", "14d", "30d", "200d", "1y")


@dataclass(frozen=True)
class _Now:
    price: float
    high: float
    low: float
    opened: float
    volume: float
    time_us: int


def routes(desk: Desk) -> list[tuple[str, Handler]]:
    """Paths and handlers."""

    async def markets(request: web.Request) -> web.Response:
        refused = _refusal(request)
        if refused is not None:
            return refused
        try:
            size = min(max(int(request.query.get("per_page", "100")), 1), _MAX_PAGE)
            number = max(int(request.query.get("page", "1")), 1)
        except ValueError:
            return json_response({"error": "invalid page"}, 422)
        rows = list(_rows(desk, request.query))
        return answer(request, msgspec.json.encode(rows[(number - 1) * size : number * size]), "application/json")

    async def chart(request: web.Request) -> web.Response:
        symbol = _symbol(desk, request.match_info["coin"])
        if symbol is None:
            return json_response({"error": "coin not found"}, 404)
        refused = _refusal(request)
        if refused is not None:
            return refused
        days = request.query.get("days", "")
        if not (days == "max" or days.isdecimal()):
            return json_response({"error": "Invalid days parameter"}, 422)
        return json_response(_chart(desk, symbol, days, request.query.get("interval") == "daily"))

    return [("/api/v3/coins/markets", markets), ("/api/v3/coins/{coin}/market_chart", chart)]


def _refusal(request: web.Request) -> web.Response | None:
    currency = request.query.get("vs_currency")
    if currency is None:
        return json_response({"error": "Missing parameter vs_currency"}, 422)
    if currency != "usd":
        return json_response({"error": "invalid vs_currency"}, 422)
    return None


def _symbol(desk: Desk, coin_id: str) -> VenueSymbol | None:
    base = next((coin.base for coin in COINS if coin.coin_id == coin_id), "")
    return next((symbol for symbol in desk.backing.symbols if symbol.base == base), None)


def _rows(desk: Desk, query: Any) -> Iterator[dict[str, Any]]:
    wanted = set(query["ids"].replace(" ", "").split(",")) if "ids" in query else None
    windows = [name for name in query.get("price_change_percentage", "").split(",") if name in _WINDOWS]
    traded = [(coin, now) for coin in COINS if (now := _now(desk, coin)) is not None]
    at_us = max((now.time_us for _, now in traded), default=desk.now_us())
    bogus = _Now(_BOGUS_PRICE, 0.00135701, 0.00135701, 0.00135701, 5.4, at_us)
    for rank, (coin, now) in enumerate([(_BOGUS, bogus), *traded], 1):
        if wanted is None or coin.coin_id in wanted:
            yield _row(coin, now, rank, windows)


def _now(desk: Desk, coin: Coin) -> _Now | None:
    symbol = _symbol(desk, coin.coin_id)
    trades = desk.backing.trades_from(symbol, None, 1) if symbol else []
    if symbol is None or not trades:
        return None
    trade, day = trades[-1], desk.backing.day(symbol, trades[-1].time_us)
    return _told(trade, day)


def _told(trade: VenueTrade, day: Day | None) -> _Now:
    price = trade.price_e8 / E8
    if day is None:  # of a recording nothing but its trades is known
        return _Now(price, price, price, price, 0.0, trade.time_us)
    high, low = max(day.high_e8 / E8, price), min(day.low_e8 / E8, price)
    return _Now(price, high, low, day.open_e8 / E8, round(day.volume_e8 / E8 * price), trade.time_us)


def _row(coin: Coin, now: _Now, rank: int, windows: list[str]) -> dict[str, Any]:
    cap = 3_333_370_870_735 if coin is _BOGUS else round(coin.supply * now.price)
    change = now.price - now.opened
    percent = 100 * change / now.opened
    row = {
        "id": coin.coin_id,
        "symbol": coin.base.lower(),
        "name": coin.name,
        "image": f"https://simulated.example/coins/{coin.coin_id}.png",
        "current_price": _number(now.price),
        "market_cap": cap,
        "market_cap_rank": rank,
        "fully_diluted_valuation": round(coin.most * now.price) if coin.most else None,
        "total_volume": now.volume,
        "high_24h": _number(now.high),
        "low_24h": _number(now.low),
        "price_change_24h": change,
        "price_change_percentage_24h": round(percent, 5),
        "market_cap_change_24h": round(coin.supply * change, 4),
        "market_cap_change_percentage_24h": round(percent, 5),
        "circulating_supply": coin.supply,
        "total_supply": coin.total,
        "max_supply": coin.most,
        "ath": _number(now.high * 2),
        "ath_change_percentage": -50.0,
        "ath_date": "2021-11-10T14:24:11.849Z",
        "atl": _number(now.low / 100),
        "atl_change_percentage": 9_900.0,
        "atl_date": "2013-07-06T00:00:00.000Z",
        "roi": {"times": 41.5, "currency": "btc", "percentage": 4_150.2} if coin.base == "ETH" else None,
        "last_updated": _instant(now.time_us),
    }
    return row | {f"price_change_percentage_{name}_in_currency": _changed(name, percent) for name in windows}


def _changed(window: str, percent: float) -> float | None:
    """Nothing is known before the market began."""
    return percent if window in {"1h", "24h"} else None


def _number(value: float) -> int | float:
    """As the venue prints: whole dollars from ten thousand on, else a float."""
    return round(value) if value >= 10_000 else float(f"{value:.8g}")


def _instant(time_us: int) -> str:
    moment = datetime.fromtimestamp(time_us // 1_000 / 1e3, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_us // 1_000 % 1_000:03d}Z"


def _chart(desk: Desk, symbol: VenueSymbol, days: str, is_daily: bool) -> dict[str, Any]:
    supply = next(coin.supply for coin in COINS if coin.base == symbol.base)
    prices = [(time_us // 1_000, price) for time_us, price in _points(desk, symbol, days, is_daily)]
    return {
        "prices": prices,
        "market_caps": [(at, price * supply) for at, price in prices],
        "total_volumes": [(at, price * 25_000.5) for at, price in prices],
    }


def _points(desk: Desk, symbol: VenueSymbol, days: str, is_daily: bool) -> Iterator[tuple[int, float]]:
    """A point at the first trade of each step since the market began, and one of now."""
    backing, now = desk.backing, desk.now_us()
    latest = backing.trades_from(symbol, None, 1)
    first = backing.trades_since(symbol, 0, 1)
    if not latest or not first:
        return
    span = 0 if days == "max" else int(days) * DAY_US
    step = DAY_US if is_daily or not span or span > 90 * DAY_US else 5 * MINUTE_US if span == DAY_US else HOUR_US
    start = max(first[0].time_us, now - span if span else 0, now - _MAX_POINTS * step)
    for at in range(start // step * step + step, now, step):
        if found := backing.trades_since(symbol, at, 1):
            yield found[0].time_us, found[0].price_e8 / E8
    yield latest[0].time_us, latest[0].price_e8 / E8
