"""Figures of the last 24 hours of a seeded market, as tickers tell them.

Counts are exact. Open, high and low are those of the price path, volumes are estimated from the usual trade: tickers
are for people and for plausibility, and every figure made of trades would cost drawing a day of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streaming.simulator.events import HOUR_S, Floats
from streaming.simulator.market import QUANTITY_SPREAD, Ints, SeededMarket
from streaming.simulator.venue import E8, Day

HOURS = 24
_MEAN_OF_MEDIAN = float(np.exp(QUANTITY_SPREAD**2 / 2))  # of a log-normal amount


@dataclass(frozen=True)
class _Hour:
    first_id: Ints
    open: Floats
    high: Floats
    low: Floats


class DayFigures:
    """Figures of a day, from summaries of its hours that are made once.

    Args:
        market: whose.
    """

    def __init__(self, market: SeededMarket) -> None:
        self._market = market
        self._hours: dict[int, _Hour] = {}

    def at(self, symbol: int, time_us: int) -> Day:
        """The day that ends now, or what there is of it since the origin."""
        minute = self._market.minute_at(time_us)
        hour, second = minute // 60, int((time_us - self._market.origin_us) // 1_000_000) % HOUR_S
        begin = max(hour - HOURS, 0)
        whole = [self._hour(index) for index in range(begin, hour)]
        current = self._market.hour(hour)
        path = current.log_price[symbol, : second + 1]
        first_id = int(whole[0].first_id[symbol] if whole else current.first_id[symbol, 0])
        trades = int(current.first_id[symbol, second]) - first_id
        low = min([float(path.min()), *(float(h.low[symbol]) for h in whole)])
        high = max([float(path.max()), *(float(h.high[symbol]) for h in whole)])
        opened = float(whole[0].open[symbol] if whole else path[0])
        mean = float(np.exp((low + high) / 2))
        notional = self._market.instruments[symbol].median_notional * _MEAN_OF_MEDIAN
        return Day(
            open_e8=self._price(symbol, opened),
            high_e8=self._price(symbol, high),
            low_e8=self._price(symbol, low),
            average_e8=self._price(symbol, float(np.log(mean))),
            volume_e8=int(trades * notional / mean * E8),
            trades=trades,
            first_id=first_id,
        )

    def _hour(self, index: int) -> _Hour:
        if index not in self._hours:
            hour = self._market.hour(index)
            path = hour.log_price
            self._hours[index] = _Hour(hour.first_id[:, 0], path[:, 0].copy(), path.max(axis=1), path.min(axis=1))
            for old in [known for known in self._hours if known < index - 2 * HOURS]:
                del self._hours[old]
        return self._hours[index]

    def _price(self, symbol: int, log_price: float) -> int:
        tick = self._market.instruments[symbol].symbol.tick_e8
        return round(float(np.exp(log_price)) * E8 / tick) * tick
