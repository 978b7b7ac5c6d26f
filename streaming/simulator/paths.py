"""The assets' prices: one path each, which all venues share.

The model, in natural logarithms of price and steps of one second:

* diffusion, half of it common to all assets (annual volatility 35 % for BTC and ETH, 50 % for others);
* each event (events.py) moves its asset: nothing for 8 s, then towards its full size with a time constant of 15 s,
  15 % of it given back after the first minute; trading grows up to eightfold and calms down within four minutes;
* a pull of 20 % an hour towards the price that the asset began with, so that years do not carry it away.

Hours are drawn on demand and chained by the price at their starts. What is not here: who trades at these prices
(market.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from threading import RLock

import numpy as np

from streaming.simulator.events import HOUR_S, Draw, Floats, HourEvents, events_of_hour, random_stream

_REACTION_S = 8
_EFFECT_S = 240  # how long an event is felt; what is left of it afterwards is below 0.1 %
_YEAR_S = 365 * 24 * HOUR_S
_PULL_PER_HOUR = 0.2
_BUSIEST = 8.0  # times the usual rate


@dataclass(frozen=True)
class Asset:
    """What moves: where its price began (in dollars) and its annual volatility."""

    base: str
    price: float
    volatility: float


ASSETS = (
    Asset("BTC", 64_000, 0.35),
    Asset("ETH", 3_200, 0.35),
    Asset("SOL", 150, 0.5),
    Asset("XRP", 0.58, 0.5),
    Asset("BNB", 580, 0.5),
    Asset("DOGE", 0.12, 0.5),
    Asset("ADA", 0.39, 0.5),
    Asset("LTC", 72, 0.5),
    Asset("DOT", 5.2, 0.5),
    Asset("AVAX", 27, 0.5),
)


@dataclass(frozen=True)
class PathHour:
    """An hour of all assets: path of log prices [asset, 0..3600], and how busy they are [asset, 0..3599]."""

    log_price: Floats
    activity: Floats


class PricePaths:
    """The assets' prices since the origin; hours are counted from it.

    Args:
        seed: another seed is another world.
        origin_us: microseconds since 1970, on a full hour.
    """

    def __init__(self, seed: int, origin_us: int) -> None:
        self._seed = seed
        self.origin_hour = origin_us // (HOUR_S * 1_000_000)
        self._base = np.log([asset.price for asset in ASSETS])
        self._starts = [self._base]
        self._lock = RLock()
        self.hour = lru_cache(maxsize=3)(self._draw_hour)

    def _start(self, index: int) -> Floats:
        with self._lock:  # minutes are drawn ahead in a thread
            while len(self._starts) <= index:
                self._starts.append(self.hour(len(self._starts) - 1).log_price[:, -1])
        return self._starts[index]

    def _draw_hour(self, index: int) -> PathHour:
        start = self._start(index)
        effects = self._effects(index)
        steps = self._diffusion(index) + effects.returns
        steps += (_PULL_PER_HOUR / HOUR_S) * (self._base - start)[:, None]
        path = np.concatenate([np.zeros((len(ASSETS), 1)), np.cumsum(steps, axis=1)], axis=1)
        return PathHour(path + start[:, None], effects.activity)

    def _diffusion(self, index: int) -> Floats:
        rng = random_stream(self._seed, Draw.RETURNS, self.origin_hour + index)
        common = rng.standard_normal(HOUR_S)
        own = rng.standard_normal((len(ASSETS), HOUR_S))
        scale = np.array([asset.volatility for asset in ASSETS]) / np.sqrt(_YEAR_S)
        return np.asarray(scale[:, None] * np.sqrt(0.5) * (common + own))

    def _effects(self, index: int) -> _Effects:
        """What this hour's events and the last ones of the hour before do to prices and activity."""
        effects = _Effects.none()
        for hours_back in (1, 0):
            if index >= hours_back:
                hour = self.origin_hour + index - hours_back
                effects.add(events_of_hour(self._seed, hour, len(ASSETS)), -hours_back * HOUR_S)
        np.clip(effects.activity, None, _BUSIEST, out=effects.activity)
        return effects


@dataclass(frozen=True)
class _Effects:
    returns: Floats
    activity: Floats

    @staticmethod
    def none() -> _Effects:
        shape = (len(ASSETS), HOUR_S)
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
