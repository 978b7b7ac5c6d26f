"""The seeded market: ten symbols whose every trade is a pure function of seed, origin and time.

The model, in natural logarithms of price and steps of one second:

* diffusion, half of it common to all symbols (annual volatility 35 % for BTC and ETH, 50 % for others);
* each event (events.py) moves its asset: nothing for 8 s, then towards its full size with a time constant of 15 s,
  15 % of it given back after the first minute; trading grows up to eightfold and calms down within four minutes;
* a pull of 20 % an hour towards the price that the symbol began with, so that years do not carry it away;
* trades of a second are Poisson; within it they are spread evenly, at the path's price plus or minus half a spread.

Hours are drawn on demand and chained by (price, next id) at their starts; trades are drawn by symbol and minute. So
ids are contiguous from the origin, any past id can be asked for, and a restart continues the same market. What is
not modelled: order books, fees, correlation of news across assets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from streaming.simulator.events import HOUR_S, Draw, Floats, HourEvents, events_of_hour, random_stream
from streaming.simulator.venue import E8, VenueSymbol, VenueTrade

Ints = NDArray[np.int64]

MINUTE_S = 60
_REACTION_S = 8
_EFFECT_S = 240  # how long an event is felt; what is left of it afterwards is below 0.1 %
_YEAR_S = 365 * 24 * HOUR_S
_PULL_PER_HOUR = 0.2
_BUSIEST = 8.0  # times the usual rate


@dataclass(frozen=True)
class Instrument:
    """A simulated market: where its price began, its part of all trades, its annual volatility, its usual trade."""

    symbol: VenueSymbol
    price: float
    share: float
    volatility: float
    median_notional: float


def _instrument(  # noqa: PLR0917 - a row of the table below
    base: str, price: float, share: float, tick: float, step: float, volatility: float
) -> Instrument:
    symbol = VenueSymbol(base, "USDT", round(tick * E8), round(step * E8))
    return Instrument(symbol, price, share, volatility, median_notional=400.0)


INSTRUMENTS = (
    _instrument("BTC", 64_000, 0.26, 0.01, 0.00001, 0.35),
    _instrument("ETH", 3_200, 0.20, 0.01, 0.0001, 0.35),
    _instrument("SOL", 150, 0.14, 0.01, 0.001, 0.5),
    _instrument("XRP", 0.58, 0.09, 0.0001, 1, 0.5),
    _instrument("BNB", 580, 0.08, 0.01, 0.001, 0.5),
    _instrument("DOGE", 0.12, 0.07, 0.00001, 1, 0.5),
    _instrument("ADA", 0.39, 0.05, 0.0001, 0.1, 0.5),
    _instrument("LTC", 72, 0.04, 0.01, 0.001, 0.5),
    _instrument("DOT", 5.2, 0.04, 0.001, 0.01, 0.5),
    _instrument("AVAX", 27, 0.03, 0.01, 0.01, 0.5),
)
"""Shares add up to one. Ticks and steps are those of the venue."""


@dataclass(frozen=True)
class HourStart:
    """State at the start of an hour, one element a symbol."""

    log_price: Floats
    next_id: Ints


@dataclass(frozen=True)
class Hour:
    """An hour of all symbols: path of prices [symbol, 0..3600], trades a second and ids at the seconds' starts."""

    log_price: Floats
    counts: Ints
    first_id: Ints

    @property
    def end(self) -> HourStart:
        """What the next hour starts from."""
        return HourStart(self.log_price[:, -1], self.first_id[:, -1])


@dataclass(frozen=True)
class Minute:
    """Trades of one symbol and minute, in order of id; columns as in VenueTrade."""

    first_id: int
    time_ms: Ints
    price_e8: Ints
    quantity_e8: Ints
    buyer_is_maker: NDArray[np.bool_]

    def trades(self, start: int, stop: int) -> Iterator[VenueTrade]:
        """Trades from position `start` up to `stop`."""
        columns = (self.time_ms, self.price_e8, self.quantity_e8, self.buyer_is_maker)
        rows = zip(*(column[start:stop].tolist() for column in columns), strict=True)
        for trade_id, row in enumerate(rows, self.first_id + start):
            yield VenueTrade(trade_id, *row)


class SeededMarket:
    """Every trade since the origin.

    Args:
        seed: another seed is another market.
        origin_us: microseconds since 1970, on a full hour; before it there is nothing. Ids count from 1 there.
        trades_per_second: mean over all symbols and a calm hour.
    """

    def __init__(self, *, seed: int, origin_us: int, trades_per_second: float) -> None:
        self._seed = seed
        self._origin_hour = origin_us // (HOUR_S * 1_000_000)
        self._rates = np.array([i.share for i in INSTRUMENTS]) * trades_per_second
        self._base = np.log([i.price for i in INSTRUMENTS])
        self._starts = [HourStart(self._base, np.ones(len(INSTRUMENTS), np.int64))]
        self.hour = lru_cache(maxsize=3)(self._draw_hour)
        self.minute = lru_cache(maxsize=64)(self._draw_minute)

    @property
    def origin_ms(self) -> int:
        """When the market began."""
        return self._origin_hour * HOUR_S * 1000

    def _start(self, index: int) -> HourStart:
        while len(self._starts) <= index:
            self._starts.append(self.hour(len(self._starts) - 1).end)
        return self._starts[index]

    def _draw_hour(self, index: int) -> Hour:
        # `index` counts hours from the origin.
        start = self._start(index)
        events = self._effects(index)
        steps = self._diffusion(index) + events.returns
        steps += (_PULL_PER_HOUR / HOUR_S) * (self._base - start.log_price)[:, None]
        log_price = np.concatenate([np.zeros((len(INSTRUMENTS), 1)), np.cumsum(steps, axis=1)], axis=1)
        rng = random_stream(self._seed, Draw.COUNTS, self._origin_hour + index)
        counts = rng.poisson(self._rates[:, None] * events.activity)
        ids = np.concatenate([np.zeros((len(INSTRUMENTS), 1), np.int64), np.cumsum(counts, axis=1)], axis=1)
        return Hour(log_price + start.log_price[:, None], counts, ids + start.next_id[:, None])

    def _diffusion(self, index: int) -> Floats:
        rng = random_stream(self._seed, Draw.RETURNS, self._origin_hour + index)
        common = rng.standard_normal(HOUR_S)
        own = rng.standard_normal((len(INSTRUMENTS), HOUR_S))
        scale = np.array([i.volatility for i in INSTRUMENTS]) / np.sqrt(_YEAR_S)
        return np.asarray(scale[:, None] * np.sqrt(0.5) * (common + own))

    def _effects(self, index: int) -> _Effects:
        """What this hour's events and the last ones of the hour before do to prices and activity."""
        effects = _Effects.none()
        for hours_back in (1, 0):
            if index >= hours_back:
                hour = self._origin_hour + index - hours_back
                effects.add(events_of_hour(self._seed, hour, len(INSTRUMENTS)), -hours_back * HOUR_S)
        np.clip(effects.activity, None, _BUSIEST, out=effects.activity)
        return effects

    def _draw_minute(self, symbol: int, index: int) -> Minute:
        # `index` counts minutes from the origin.
        hour_index, minute = divmod(index, 60)
        hour = self.hour(hour_index)
        seconds = slice(minute * MINUTE_S, (minute + 1) * MINUTE_S)
        rng = random_stream(self._seed, Draw.TRADES, self._origin_hour * 60 + index, symbol)
        counts = hour.counts[symbol, seconds]
        second = np.repeat(np.arange(MINUTE_S), counts)
        second = np.sort(second + rng.uniform(0, 0.999_999, second.size))
        path = hour.log_price[symbol, seconds.start : seconds.stop + 1]
        price, buyer_is_maker = _prices(rng, INSTRUMENTS[symbol], np.interp(second, np.arange(MINUTE_S + 1), path))
        return Minute(
            first_id=int(hour.first_id[symbol, seconds.start]),
            time_ms=(self.origin_ms + index * MINUTE_S * 1000 + np.floor(second * 1000)).astype(np.int64),
            price_e8=price,
            quantity_e8=_quantities(rng, INSTRUMENTS[symbol], price),
            buyer_is_maker=buyer_is_maker,
        )

    def minute_at(self, time_ms: int) -> int:
        """Index of the minute that holds a time."""
        return (time_ms - self.origin_ms) // (MINUTE_S * 1000)

    def minute_of_id(self, symbol: int, trade_id: int, last_minute: int) -> int | None:
        """Index of the minute that holds an id, or None when none up to `last_minute` does."""
        low, high = 0, last_minute // 60
        self._start(high)
        while low < high:  # the last hour that starts at or before the id
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._starts[middle].next_id[symbol] <= trade_id else (low, middle - 1)
        ids = self.hour(low).first_id[symbol, ::MINUTE_S]
        minute = int(np.searchsorted(ids, trade_id, side="right")) - 1
        found = low * 60 + max(minute, 0)
        return found if minute < 60 and found <= last_minute else None


@dataclass(frozen=True)
class _Effects:
    returns: Floats
    activity: Floats

    @staticmethod
    def none() -> _Effects:
        shape = (len(INSTRUMENTS), HOUR_S)
        return _Effects(np.zeros(shape), np.ones(shape))

    def add(self, events: HourEvents, offset_s: int) -> None:
        pushes, crowds = _response()
        for second, asset, move in zip(events.second, events.asset, events.log_move, strict=True):
            start = int(second) + offset_s
            span = slice(max(start, 0), min(start + _EFFECT_S, HOUR_S))
            if move and span.start < span.stop:
                within = slice(span.start - start, span.stop - start)
                self.returns[asset, span] += move * pushes[within]
                self.activity[asset, span] += abs(move) * 400 * crowds[within]


@lru_cache(maxsize=1)
def _response() -> tuple[Floats, Floats]:
    """Return and extra activity by second after an event, for a move of one."""
    second = np.arange(_EFFECT_S + 1, dtype=np.float64)
    level = 1 - np.exp(-np.maximum(second - _REACTION_S, 0) / 15)
    level -= 0.15 * (1 - np.exp(-np.maximum(second - 60, 0) / 60))
    crowd = np.where(second[:-1] < _REACTION_S, 0.0, np.exp(-(second[:-1] - _REACTION_S) / 60))
    return np.diff(level), crowd


def _prices(rng: np.random.Generator, instrument: Instrument, log_price: Floats) -> tuple[Ints, NDArray[np.bool_]]:
    """Price in 1e-8, on the tick, and whether the buyer was the maker, for each trade."""
    momentum = np.gradient(log_price) if log_price.size > 1 else np.zeros(log_price.size)
    buyer_is_maker = rng.uniform(size=log_price.size) > 0.5 + np.clip(momentum * 2_000, -0.3, 0.3)
    side = np.where(buyer_is_maker, -1.0, 1.0)
    half_spread = np.abs(rng.normal(0, 2e-5, log_price.size))
    ticks = np.rint(np.exp(log_price + side * half_spread) * E8 / instrument.symbol.tick_e8)
    return np.maximum(ticks, 1).astype(np.int64) * instrument.symbol.tick_e8, buyer_is_maker


def _quantities(rng: np.random.Generator, instrument: Instrument, price_e8: Ints) -> Ints:
    notional = instrument.median_notional * np.exp(rng.normal(0, 1.3, price_e8.size))
    steps = np.rint(notional * E8 / price_e8 * E8 / instrument.symbol.step_e8)
    return np.maximum(steps, 1).astype(np.int64) * instrument.symbol.step_e8
