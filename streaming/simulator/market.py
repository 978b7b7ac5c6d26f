"""The seeded market: venues that trade the assets of paths.py. Every trade is a pure function of seed, origin and time.

* a venue's price is the asset's, times its basis: a few hundredths of a percent that swing slowly;
* trades of a second are Poisson; within it they are spread evenly, at the venue's price plus or minus half a spread.

Hours are drawn on demand and chained by the next id at their starts; trades are drawn by symbol and minute. So ids
are contiguous from the origin, any past id can be asked for, and a restart continues the same market. What is not
modelled: order books, fees, correlation of news across assets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from streaming.simulator.events import HOUR_S, Draw, Floats, random_stream
from streaming.simulator.paths import ASSETS, PricePaths
from streaming.simulator.venue import E8, VenueSymbol, VenueTrade

Ints = NDArray[np.int64]

MINUTE_S = 60
MINUTE_US = 60_000_000
QUANTITY_SPREAD = 1.3  # standard deviation of the logarithm of an amount
_SUBS_A_VENUE = 100  # random streams of a venue's symbols


@dataclass(frozen=True)
class Instrument:
    """A market of a venue: its part of the venue's trades, its usual trade in quote units, its basis (logarithm)."""

    symbol: VenueSymbol
    share: float
    basis: float = 0.0
    swing: float = 0.0
    median_notional: float = 400.0

    @property
    def asset(self) -> int:
        """Which of ASSETS it trades."""
        return next(i for i, asset in enumerate(ASSETS) if asset.base == self.symbol.base)


def _binance(base: str, share: float, tick: float, step: float) -> Instrument:
    return Instrument(VenueSymbol(base, "USDT", round(tick * E8), round(step * E8)), share)


def _kraken(base: str, share: float, tick: float, basis: float) -> Instrument:
    symbol = VenueSymbol(base, "USD", round(tick * E8), 1, "kraken")
    return Instrument(symbol, share, basis, swing=3e-4)


INSTRUMENTS = (
    _binance("BTC", 0.26, 0.01, 0.00001),
    _binance("ETH", 0.20, 0.01, 0.0001),
    _binance("SOL", 0.14, 0.01, 0.001),
    _binance("XRP", 0.09, 0.0001, 1),
    _binance("BNB", 0.08, 0.01, 0.001),
    _binance("DOGE", 0.07, 0.00001, 1),
    _binance("ADA", 0.05, 0.0001, 0.1),
    _binance("LTC", 0.04, 0.01, 0.001),
    _binance("DOT", 0.04, 0.001, 0.01),
    _binance("AVAX", 0.03, 0.01, 0.01),
)
"""Binance's markets. Shares add up to one. Ticks and steps are those of the venue."""

KRAKEN_INSTRUMENTS = (
    _kraken("BTC", 0.34, 0.1, -2e-4),
    _kraken("ETH", 0.22, 0.01, -2e-4),
    _kraken("SOL", 0.14, 0.01, -1e-4),
    _kraken("XRP", 0.12, 0.00001, -3e-4),
    _kraken("ADA", 0.06, 0.000001, 1e-4),
    _kraken("DOT", 0.04, 0.0001, 2e-4),
    _kraken("LTC", 0.04, 0.01, -1e-4),
    _kraken("DOGE", 0.04, 0.0000001, 1e-4),
)
"""Kraken's markets, in dollars; the venue takes quantities of any size down to 1e-8."""

KRAKEN_NUMBER = 1
"""Tells Kraken's random streams from those of Binance, which is 0."""


@dataclass(frozen=True)
class Hour:
    """An hour of a venue: log prices [symbol, 0..3600], trades a second, and ids at the seconds' starts."""

    log_price: Floats
    counts: Ints
    first_id: Ints


@dataclass(frozen=True)
class Minute:
    """Trades of one symbol and minute, in order of id; columns as in VenueTrade. Times grow strictly."""

    first_id: int
    time_us: Ints
    price_e8: Ints
    quantity_e8: Ints
    buyer_is_maker: NDArray[np.bool_]

    def trades(self, start: int, stop: int) -> Iterator[VenueTrade]:
        """Trades from position `start` up to `stop`."""
        columns = (self.time_us, self.price_e8, self.quantity_e8, self.buyer_is_maker)
        rows = zip(*(column[start:stop].tolist() for column in columns), strict=True)
        for trade_id, row in enumerate(rows, self.first_id + start):
            yield VenueTrade(trade_id, *row)

    def until(self, time_us: int) -> int:
        """How many of the trades had happened at a time."""
        return int(self.time_us.searchsorted(time_us, side="right"))


class SeededMarket:
    """Every trade of a venue since the origin.

    Args:
        paths: the assets' prices; venues on the same paths move together.
        trades_per_second: mean over all symbols and a calm hour.
        instruments: what the venue lists.
        venue: its number; another number is other trades.
    """

    def __init__(
        self,
        paths: PricePaths,
        seed: int,
        trades_per_second: float,
        *,
        instruments: tuple[Instrument, ...] = INSTRUMENTS,
        venue: int = 0,
    ) -> None:
        self.instruments = instruments
        self._paths = paths
        self._seed = seed
        self._venue = venue
        self._assets = [instrument.asset for instrument in instruments]
        self._rates = np.array([i.share for i in instruments]) * trades_per_second
        self._starts = [np.ones(len(instruments), np.int64)]  # next id at the start of each hour
        self._lock = RLock()
        self.hour = lru_cache(maxsize=3)(self._draw_hour)
        self.minute = lru_cache(maxsize=64)(self._draw_minute)

    @property
    def origin_us(self) -> int:
        """When the market began; before it there is nothing. Ids count from 1 there."""
        return self._paths.origin_hour * HOUR_S * 1_000_000

    def _start(self, index: int) -> Ints:
        with self._lock:  # minutes are drawn ahead in a thread
            while len(self._starts) <= index:
                self._starts.append(self.hour(len(self._starts) - 1).first_id[:, -1])
        return self._starts[index]

    def _draw_hour(self, index: int) -> Hour:
        # `index` counts hours from the origin.
        start = self._start(index)
        path = self._paths.hour(index)
        rng = random_stream(self._seed, Draw.COUNTS, self._paths.origin_hour + index, self._venue)
        counts = rng.poisson(self._rates[:, None] * path.activity[self._assets])
        ids = np.concatenate([np.zeros((len(start), 1), np.int64), np.cumsum(counts, axis=1)], axis=1)
        return Hour(path.log_price[self._assets] + self._basis(index), counts, ids + start[:, None])

    def _basis(self, index: int) -> Floats:
        """How far the venue's price is from the asset's: around its mean, one swing in about two hours."""
        second = (self._paths.origin_hour + index) * HOUR_S + np.arange(HOUR_S + 1)
        rows = [i.basis + i.swing * np.sin(second / 1_100.0 + n) for n, i in enumerate(self.instruments)]
        return np.asarray(rows)

    def _draw_minute(self, symbol: int, index: int) -> Minute:
        # `index` counts minutes from the origin.
        hour_index, minute = divmod(index, 60)
        hour = self.hour(hour_index)
        seconds = slice(minute * MINUTE_S, (minute + 1) * MINUTE_S)
        rng = random_stream(
            self._seed, Draw.TRADES, self._paths.origin_hour * 60 + index, self._venue * _SUBS_A_VENUE + symbol
        )
        second = np.repeat(np.arange(MINUTE_S), hour.counts[symbol, seconds])
        second = np.sort(second + rng.uniform(0, 0.999_999, second.size))
        path = hour.log_price[symbol, seconds.start : seconds.stop + 1]
        instrument = self.instruments[symbol]
        price, buyer_is_maker = _prices(rng, instrument, np.interp(second, np.arange(MINUTE_S + 1), path))
        return Minute(
            first_id=int(hour.first_id[symbol, seconds.start]),
            time_us=self.origin_us + index * MINUTE_US + _strictly_growing(np.floor(second * 1e6).astype(np.int64)),
            price_e8=price,
            quantity_e8=_quantities(rng, instrument, price),
            buyer_is_maker=buyer_is_maker,
        )

    def minute_at(self, time_us: int) -> int:
        """Index of the minute that holds a time."""
        return (time_us - self.origin_us) // MINUTE_US

    def minute_of_id(self, symbol: int, trade_id: int, last_minute: int) -> int | None:
        """Index of the minute that holds an id, or None when none up to `last_minute` does."""
        low, high = 0, last_minute // 60
        self._start(high)
        while low < high:  # the last hour that starts at or before the id
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._starts[middle][symbol] <= trade_id else (low, middle - 1)
        ids = self.hour(low).first_id[symbol, ::MINUTE_S]
        minute = int(np.searchsorted(ids, trade_id, side="right")) - 1
        found = low * 60 + max(minute, 0)
        return found if minute < 60 and found <= last_minute else None


def _strictly_growing(times: Ints) -> Ints:
    """Times moved on by a microsecond where they are equal: readers that page by time miss nothing."""
    steps = np.arange(times.size)
    return np.asarray(np.maximum.accumulate(times - steps) + steps)


def _prices(rng: np.random.Generator, instrument: Instrument, log_price: Floats) -> tuple[Ints, NDArray[np.bool_]]:
    """Price in 1e-8, on the tick, and whether the buyer was the maker, for each trade."""
    momentum = np.gradient(log_price) if log_price.size > 1 else np.zeros(log_price.size)
    buyer_is_maker = rng.uniform(size=log_price.size) > 0.5 + np.clip(momentum * 2_000, -0.3, 0.3)
    side = np.where(buyer_is_maker, -1.0, 1.0)
    half_spread = np.abs(rng.normal(0, 2e-5, log_price.size))
    ticks = np.rint(np.exp(log_price + side * half_spread) * E8 / instrument.symbol.tick_e8)
    return np.maximum(ticks, 1).astype(np.int64) * instrument.symbol.tick_e8, buyer_is_maker


def _quantities(rng: np.random.Generator, instrument: Instrument, price_e8: Ints) -> Ints:
    notional = instrument.median_notional * np.exp(rng.normal(0, QUANTITY_SPREAD, price_e8.size))
    steps = np.rint(notional * E8 / price_e8 * E8 / instrument.symbol.step_e8)
    return np.maximum(steps, 1).astype(np.int64) * instrument.symbol.step_e8
