"""A seeded market for benchmarks: trades and articles, and the order in which they reach Kafka.

Drawn as columns of integers, so that millions take seconds and sums are exact. What becomes of it: truth.py. How it
gets into Kafka: fill.py. Times are microseconds since 1970-01-01 UTC; prices and quantities are whole ten-thousandths.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from crypto_intel.contracts.events import Article

VENUE = "binance"
START_US = 1_735_689_600 * 1_000_000
"""2025-01-01T00:00:00Z."""
MINUTE_US = 60_000_000
DISORDER_US = 30_000_000
"""How long after its time a record may arrive; repeated ones 10 s more."""
SCALE = 10_000
"""What prices and quantities are multiplied by to be whole."""

_NAMED = {
    "BTC": (0.22, 64_000), "ETH": (0.18, 3_200), "SOL": (0.12, 150), "XRP": (0.10, 0.62), "BNB": (0.10, 580),
    "DOGE": (0.08, 0.16), "ADA": (0.07, 0.45), "LTC": (0.05, 84), "DOT": (0.05, 6.3), "AVAX": (0.03, 27),
}  # fmt: skip
"""Share of the trades and first price of ten assets. Beyond ten, assets get numbers and shares of a long tail."""
_WORDS = [
    "market",
    "bitcoin",
    "exchange",
    "trader",
    "fund",
    "rally",
    "fell",
    "volume",
    "token",
    "price",
    "futures",
    "miner",
    "wallet",
    "regulator",
]

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """What is drawn; the same shape and seed give the same market.

    Args:
        trades: records, those that are sent twice among them.
        symbols: markets of one venue.
        minutes: of event time, full ones.
    """

    trades: int = 1_000_000
    symbols: int = 10
    minutes: int = 30
    articles: int = 1_000
    seed: int = 7

    @property
    def end_us(self) -> int:
        """Where event time ends."""
        return START_US + self.minutes * MINUTE_US


@dataclass(frozen=True)
class Market:
    """The market of a shape."""

    shape: Shape

    @cached_property
    def bases(self) -> list[str]:
        """The assets, busiest first."""
        named = list(_NAMED)[: self.shape.symbols]
        return named + [f"C{number:04d}" for number in range(len(named), self.shape.symbols)]

    @cached_property
    def symbols(self) -> list[str]:
        """The markets of `bases`."""
        return [f"{base}-USDT" for base in self.bases]

    @cached_property
    def trades(self) -> pl.DataFrame:
        """Each trade once, in order of its time: market (place in `symbols`), trade_id, price, quantity, event_time,
        is_sell."""
        rng = np.random.default_rng(self.shape.seed)
        count = self.shape.trades - self.shape.trades // 1000
        market = rng.choice(self.shape.symbols, size=count, p=self._shares())
        steps, dollars = rng.normal(0, 1e-4, count), np.minimum(50_000, 20 / (rng.random(count) + 1e-4))
        ids, prices = np.zeros(count, np.int64), np.zeros(count, np.int64)
        for number in range(self.shape.symbols):
            own = np.flatnonzero(market == number)
            ids[own] = rng.integers(10**9, 4 * 10**9) + np.arange(own.size)
            path = self._first_price(number) * SCALE * np.exp(np.cumsum(steps[own]))
            prices[own] = np.maximum(1, np.rint(path))
        return pl.DataFrame(
            {
                "market": market,
                "trade_id": ids,
                "price": prices,
                "quantity": np.maximum(1, np.rint(dollars * SCALE * SCALE / prices)).astype(np.int64),
                "event_time": self._times_us(count),
                "is_sell": rng.random(count) < 0.5,
            }
        )

    @cached_property
    def arrivals(self) -> pl.DataFrame:
        """Places in `trades` in the order of their arrival, and its time: 5 % are up to 30 s late, 0.1 % of all
        come twice."""
        rng = np.random.default_rng(self.shape.seed + 1)
        times = self.trades["event_time"].to_numpy()
        late = rng.random(times.size) < 0.05
        arrived = times + np.where(late, rng.random(times.size) * DISORDER_US, rng.random(times.size) * 40_000)
        twice = rng.choice(times.size, size=self.shape.trades - times.size, replace=False)
        again = arrived[twice] + rng.random(twice.size) * 10_000_000
        places = np.concatenate([np.arange(times.size), twice])
        order = pl.DataFrame({"place": places, "arrived_at": np.concatenate([arrived, again]).astype(np.int64)})
        return order.sort("arrived_at", maintain_order=True)

    @cached_property
    def articles(self) -> list[Article]:
        """In order of arrival, up to 30 s after publishing; one in twenty is published on a full minute."""
        rnd = random.Random(self.shape.seed + 2)
        drawn = [self._article(rnd, number) for number in range(self.shape.articles)]
        return sorted(drawn, key=lambda article: article.first_seen_at)

    def _article(self, rnd: random.Random, number: int) -> Article:
        published = START_US + rnd.randrange(self.shape.minutes * 60 + 1) * 1_000_000
        published -= published % MINUTE_US if rnd.random() < 0.05 else 0
        return Article(
            article_id=f"a-{number:06d}",
            source="benchmark",
            url=f"https://news.invalid/{number}",
            title=" ".join(rnd.choices(_WORDS, k=8)),
            content=" ".join(rnd.choices(_WORDS, k=75))[:500],
            published_at=published,
            first_seen_at=published + rnd.randrange(DISORDER_US),
            symbols=(rnd.choice(self.bases),),
            sentiment=round(rnd.uniform(-1, 1), 4),
        )

    def _times_us(self, count: int) -> Integers:
        # Milliseconds, as venues tell them.
        span_ms = self.shape.minutes * MINUTE_US // 1000
        return START_US + np.arange(count, dtype=np.int64) * span_ms // count * 1000

    def _shares(self) -> npt.NDArray[np.float64]:
        if self.shape.symbols <= len(_NAMED):
            shares = np.array([share for share, _ in _NAMED.values()][: self.shape.symbols])
        else:
            shares = 1 / (np.arange(self.shape.symbols) + 3.0)
        return np.asarray(shares / shares.sum())

    def _first_price(self, number: int) -> float:
        named = list(_NAMED.values())
        return named[number][1] if number < len(named) else 1.0 + number
