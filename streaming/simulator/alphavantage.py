"""Alpha Vantage's `/query`: daily and intraday series and exchange rates, and its errors, which come with status 200.

Series are drawn from seed, symbol and time, so that a candle that is closed never changes; they are not those of the
simulated markets.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zlib import crc32

import numpy as np
from aiohttp import web
from aiohttp.typedefs import Handler

from streaming.simulator.desk import Desk
from streaming.simulator.events import Draw, random_stream
from streaming.simulator.json_response import json_response

PER_MINUTE = 75
COMPACT = 100
FULL = 2_000
_LEVELS = {"EUR": 1.09, "GBP": 1.27, "JPY": 0.0065, "BTC": 64_000.0, "ETH": 3_200.0, "SOL": 150.0}
_STOCK_LEVEL = 150.0
_NAMES = {"BTC": "Bitcoin", "ETH": "Ethereum", "SOL": "Solana", "EUR": "Euro", "USD": "United States Dollar"}
_INTERVALS = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "60min": 60}

Body = dict[str, object]


@dataclass(frozen=True)
class Market:
    """One market whose candles are drawn.

    Args:
        seed: of the simulator.
        symbol: names the market.
        level: its usual price.
    """

    seed: int
    symbol: str
    level: float

    def close(self, step: timedelta, number: int) -> float:
        """Close of the candle of this number, counted from 1970 in steps."""
        rng = random_stream(self.seed, Draw.MACRO, number, crc32(f"{self.symbol}{step}".encode()))
        days = number * step / timedelta(days=1)
        swing = 0.06 * np.sin(days / 40) + 0.02 * np.sin(days / 7)
        return float(self.level * np.exp(swing + rng.normal(0, 0.002)))

    def candle(self, step: timedelta, number: int, decimals: int) -> dict[str, str]:
        """Open, high, low and close of a candle; it opens where the one before closed."""
        opened, closed = self.close(step, number - 1), self.close(step, number)
        high, low = max(opened, closed) * 1.001, min(opened, closed) * 0.999
        figures = {"1. open": opened, "2. high": high, "3. low": low, "4. close": closed}
        return {name: f"{figure:.{decimals}f}" for name, figure in figures.items()}


def _rows(
    market: Market, step: timedelta, now: datetime, size: int, *, decimals: int, volume: Callable[[int], str] | None
) -> dict[str, dict[str, str]]:
    last = int(now.timestamp() / step.total_seconds())
    rows: dict[str, dict[str, str]] = {}
    number = last
    while len(rows) < size and number > 0:
        start = datetime.fromtimestamp(number * step.total_seconds(), UTC)
        if volume or start.weekday() < 5:  # currencies rest at weekends; in this they are told from the rest
            stamp = f"{start:%Y-%m-%d}" if step >= timedelta(days=1) else f"{start:%Y-%m-%d %H:%M:%S}"
            row = market.candle(step, number, decimals)
            rows[stamp] = row | ({"5. volume": volume(number)} if volume else {})
        number -= 1
    return rows


def _level(base: str) -> float:
    return _LEVELS.get(base, _STOCK_LEVEL)


def _daily_fx(seed: int, query: Mapping[str, str], now: datetime) -> Body:
    base, quote = query["from_symbol"], query["to_symbol"]
    market = Market(seed, f"{base}{quote}", _level(base))
    size = "Full size" if query.get("outputsize") == "full" else "Compact"
    return {
        "Meta Data": {
            "1. Information": "Forex Daily Prices (open, high, low, close)",
            "2. From Symbol": base,
            "3. To Symbol": quote,
            "4. Output Size": size,
            "5. Last Refreshed": f"{now:%Y-%m-%d %H:%M:00}",
            "6. Time Zone": "UTC",
        },
        "Time Series FX (Daily)": _rows(market, timedelta(days=1), now, _size(query), decimals=5, volume=None),
    }


def _daily_crypto(seed: int, query: Mapping[str, str], now: datetime) -> Body:
    base, quote = query["symbol"], query["market"]
    market = Market(seed, f"{base}{quote}", _level(base))
    return {
        "Meta Data": {
            "1. Information": "Daily Prices and Volumes for Digital Currency",
            "2. Digital Currency Code": base,
            "3. Digital Currency Name": _NAMES.get(base, base),
            "4. Market Code": quote,
            "5. Market Name": _NAMES.get(quote, quote),
            "6. Last Refreshed": f"{now:%Y-%m-%d %H:%M:00}",
            "7. Time Zone": "UTC",
        },
        "Time Series (Digital Currency Daily)": _rows(
            market, timedelta(days=1), now, _size(query), decimals=8, volume=lambda number: f"{900 + number % 97}.25"
        ),
    }


def _stock(seed: int, query: Mapping[str, str], now: datetime) -> Body:
    market = Market(seed, query["symbol"], _STOCK_LEVEL)
    is_daily = query["function"] == "TIME_SERIES_DAILY"
    interval = "" if is_daily else query["interval"]
    step = timedelta(days=1) if is_daily else timedelta(minutes=_INTERVALS[interval])
    title = "Daily Prices (open, high, low, close) and Volumes"
    intraday = f"Intraday ({interval}) open, high, low, close prices and volume"
    told = ["Symbol", "Last Refreshed", *([] if is_daily else ["Interval"]), "Output Size", "Time Zone"]
    values = {
        "Symbol": query["symbol"],
        "Last Refreshed": f"{now:%Y-%m-%d}" if is_daily else f"{now:%Y-%m-%d %H:%M:00}",
        "Interval": interval,
        "Output Size": "Compact",
        "Time Zone": "UTC",
    }
    meta = {"1. Information": title if is_daily else intraday}
    meta |= {f"{number}. {name}": values[name] for number, name in enumerate(told, 2)}
    rows = _rows(market, step, now, _size(query), decimals=4, volume=lambda number: str(10_000 + number % 9_973))
    return {"Meta Data": meta, f"Time Series ({'Daily' if is_daily else interval})": rows}


def _rate(seed: int, query: Mapping[str, str], now: datetime) -> Body:
    base, quote = query["from_currency"], query["to_currency"]
    price = Market(seed, f"{base}{quote}", _level(base)).close(timedelta(minutes=1), int(now.timestamp() // 60))
    return {
        "Realtime Currency Exchange Rate": {
            "1. From_Currency Code": base,
            "2. From_Currency Name": _NAMES.get(base, base),
            "3. To_Currency Code": quote,
            "4. To_Currency Name": _NAMES.get(quote, quote),
            "5. Exchange Rate": f"{price:.8f}",
            "6. Last Refreshed": f"{now:%Y-%m-%d %H:%M:%S}",
            "7. Time Zone": "UTC",
            "8. Bid Price": f"{price:.8f}",
            "9. Ask Price": f"{price:.8f}",
        }
    }


_FUNCTIONS: dict[str, Callable[[int, Mapping[str, str], datetime], Body]] = {
    "FX_DAILY": _daily_fx,
    "DIGITAL_CURRENCY_DAILY": _daily_crypto,
    "TIME_SERIES_DAILY": _stock,
    "TIME_SERIES_INTRADAY": _stock,
    "CURRENCY_EXCHANGE_RATE": _rate,
}


def _size(query: Mapping[str, str]) -> int:
    return FULL if query.get("outputsize") == "full" else COMPACT


def answer(seed: int, query: Mapping[str, str], now: datetime) -> Body:
    """The body of a query, good or bad."""
    function = _FUNCTIONS.get(query.get("function", ""))
    if function is None:
        return {"Error Message": f"This API function ({query.get('function', '')}) does not exist."}
    try:
        return function(seed, query, now)
    except KeyError:
        name = query["function"]
        return {"Error Message": f"Invalid API call. Please retry or visit the documentation for {name}."}


@dataclass(frozen=True)
class Pages:
    """The page, under its limit of requests a minute.

    Args:
        desk: tells the time.
        seed: of the series.
    """

    desk: Desk
    seed: int
    _recent: deque[float] = field(default_factory=deque)

    @property
    def routes(self) -> list[tuple[str, Handler]]:
        """Paths and handlers."""
        return [("/query", self._query)]

    async def _query(self, request: web.Request) -> web.Response:
        key = request.query.get("apikey")
        if not key:
            return json_response({"Error Message": "the parameter apikey is invalid or missing."})
        if self._is_too_often():
            # The venue shows the key, so the simulator does: whoever logs this must have blotted it out.
            words = f"We have detected your API key as {key} and our rate limit is {PER_MINUTE} requests per minute."
            return json_response({"Information": words})
        now = datetime.fromtimestamp(self.desk.now_us() / 1e6, UTC)
        return json_response(answer(self.seed, request.query, now))

    def _is_too_often(self) -> bool:
        now = time.monotonic()
        while self._recent and self._recent[0] < now - 60:
            self._recent.popleft()
        self._recent.append(now)
        return len(self._recent) > PER_MINUTE
