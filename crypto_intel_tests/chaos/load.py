"""A seeded load in the contract's form, and what must become of it: the oracle.

The expected bars and pairs are computed from the generator's own list with plain Polars; nothing of the code under
test is used but the contract's events. Trades come in the order of their arrival: out of order by less than the
windows' delay, some twice. What is late, of the future or spoilt is inputs.py's.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import polars as pl

from crypto_intel.contracts import events
from crypto_intel.contracts.events import HEARTBEAT_KEY, Article, Heartbeat, Trade
from crypto_intel.contracts.settings import Topics

MINUTE_US = 60_000_000
START_US = 1_760_000_100 * 1_000_000  # a multiple of five minutes
MARKETS = {"binance:BTC-USDT": 60_000.0, "binance:ETH-USDC": 3_000.0, "kraken:BTC-EUR": 55_000.0}
"""Each lands in a partition of its own."""
DELAY_US = 10_000_000
DISORDER_US = 4_000_000
PARTITIONS = 3
BEAT_US = 6_000_000
JUMP = 1.03
"""By so much a market's price jumps, up and down in turn, and stays there: each time an alert that must be told."""


class Jump(NamedTuple):
    """The market's first trade at its new price, and when that was."""

    market: str
    at_us: int


@dataclass(frozen=True)
class Record:
    """One record to send: `partition` is set for heartbeats, which go to every one; -1: by the key."""

    topic: str
    key: str
    value: bytes
    partition: int = -1


@dataclass
class Load:
    """Records of `minutes` minutes in order of sending, and the list that the oracle counts from.

    Args:
        seed: same seed, same load.
        trades_per_minute: of all markets together.
        articles: spread over the minutes behind the first `quiet_minutes`.
        jump_minutes: from one jump of each market to its next, the first after half of it; 0: one amid the load.
        twice_pct: how many of a hundred trades are sent again, up to ten minutes later.
    """

    topics: Topics
    minutes: int
    trades_per_minute: int
    articles: int = 0
    seed: int = 1
    twice_pct: float = 2.0
    first_minute: int = 0
    quiet_minutes: int = 0
    jump_minutes: int = 0
    trades: list[Trade] = field(default_factory=list)
    news: list[Article] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    jumps: list[Jump] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draw everything."""
        self._random = random.Random(self.seed)
        timed = [*self._trades(), *self._articles(), *self._beats()]
        self.records = [record for _, _, record in sorted(timed, key=lambda item: item[:2])]
        self.records += self.beats(self.end_us + DELAY_US)

    @property
    def begin_us(self) -> int:
        """When it begins."""
        return START_US + self.first_minute * MINUTE_US

    @property
    def end_us(self) -> int:
        """When it ends; the last heartbeats close every window before it."""
        return self.begin_us + self.minutes * MINUTE_US

    def _trades(self) -> Iterator[tuple[int, int, Record]]:
        prices, jumps = dict(MARKETS), dict.fromkeys(MARKETS, 0)
        every_us = (self.jump_minutes or self.minutes) * MINUTE_US
        step_us = MINUTE_US // self.trades_per_minute
        # However many trades there are, within five minutes a price wanders by far less than an alert takes.
        calm = min(1e-5, 5e-4 / math.sqrt(5 * self.trades_per_minute / len(MARKETS)))
        for number in range(self.minutes * self.trades_per_minute):
            time_us = self.begin_us + number * MINUTE_US // self.trades_per_minute
            market = list(MARKETS)[number % len(MARKETS)]
            prices[market] *= 1 + self._random.gauss(0, calm)
            is_due = time_us > self.begin_us + every_us * (2 * jumps[market] + 1) // 2
            if is_due:
                prices[market] *= 1 / JUMP if jumps[market] % 2 else JUMP
                jumps[market] += 1
            trade = self.trade(market, self._next_id(number), prices[market], time_us + self._random.randrange(step_us))
            if is_due:
                self.jumps.append(Jump(market, trade.event_time))
            self.trades.append(trade)
            record = Record(self.topics.trades, market, events.encode(trade))
            arrives = trade.event_time + self._random.randrange(DISORDER_US)
            yield arrives, number, record
            if self._random.random() * 100 < self.twice_pct:
                yield arrives + self._random.randrange(10 * MINUTE_US), number, record

    def _next_id(self, number: int) -> int:
        per_minute = -(-self.trades_per_minute // len(MARKETS)) + 1
        return 1_000_000 + self.first_minute * per_minute + number // len(MARKETS)

    def trade(self, market: str, trade_id: int, price: float, time_us: int, received_us: int = 0) -> Trade:
        """A trade of our own form."""
        venue, _, symbol = market.partition(":")
        return Trade(
            venue=venue,
            symbol=symbol,
            trade_id=trade_id,
            price=f"{price:.2f}",
            quantity=f"{self._random.uniform(0.0001, 2):.8f}",
            taker_side="buy" if self._random.random() < 0.5 else "sell",
            event_time=time_us,
            received_at=received_us or time_us + 50_000,
        )

    def _articles(self) -> Iterator[tuple[int, int, Record]]:
        for number in range(self.articles):
            published = self.begin_us + self._random.randrange(self.quiet_minutes * 60, self.minutes * 60) * 1_000_000
            article = Article(
                article_id=f"article-{self.seed}-{self.first_minute}-{number}",
                source="chaos",
                url=f"https://example.com/{number}",
                title=f"Story {number}",
                published_at=published,
                first_seen_at=published + 30_000_000,
                symbols=self._random.choice([("BTC",), ("ETH",), ("BTC", "ETH"), ()]),
            )
            self.news.append(article)
            yield article.first_seen_at, number, Record(self.topics.news, article.article_id, events.encode(article))

    def _beats(self) -> Iterator[tuple[int, int, Record]]:
        for time_us in range(self.begin_us, self.end_us, BEAT_US):
            for record in self.beats(time_us):
                # A heartbeat vouches for what was received before it: it must not overtake what is still on its way.
                yield time_us + DISORDER_US, -1, record

    def beats(self, time_us: int) -> list[Record]:
        """Heartbeats of every feed, for every partition."""
        told = [
            (topic, Heartbeat(venue=venue, symbols=symbols, event_time=time_us, received_at=time_us))
            for topic, venue, symbols in (
                (self.topics.trades, "binance", ("BTC-USDT", "ETH-USDC")),
                (self.topics.trades, "kraken", ("BTC-EUR",)),
                (self.topics.news, "newsapi", ()),
            )
        ]
        return [
            Record(topic, HEARTBEAT_KEY, events.encode(beat), partition)
            for topic, beat in told
            for partition in range(PARTITIONS)
        ]

    # --- the oracle ------------------------------------------------------------------------------------------------

    def frame(self) -> pl.DataFrame:
        """Each trade once."""
        return self._frame

    def bars(self, window_us: int = MINUTE_US) -> pl.DataFrame:
        """Expected bars of windows with trades."""
        if window_us not in self._bars:
            self._bars[window_us] = expected_bars(self._frame, window_us)
        return self._bars[window_us]

    def pairs(self) -> set[tuple[str, str, int, str]]:
        """Expected (venue, symbol, window_start, article_id): an article within 5 minutes of a bar's end."""
        return self._pairs

    @cached_property
    def _frame(self) -> pl.DataFrame:
        return trade_frame(self.trades)

    @cached_property
    def _bars(self) -> dict[int, pl.DataFrame]:
        return {}

    @cached_property
    def _pairs(self) -> set[tuple[str, str, int, str]]:
        told = [(article.article_id, article.published_at, base) for article in self.news for base in article.symbols]
        news = pl.DataFrame(told, schema={"article": pl.String, "at": pl.Int64, "base": pl.String}, orient="row")
        bars = self.bars().with_columns(base=pl.col("symbol").str.split("-").list.first())
        apart = (pl.col("at") - pl.col("window_start") - MINUTE_US).abs()
        near = bars.join(news, on="base").filter(apart <= 5 * MINUTE_US)
        return set(near.select("venue", "symbol", "window_start", "article").iter_rows())


def trade_frame(trades: Sequence[Trade]) -> pl.DataFrame:
    """Trades as the oracle counts them."""
    return pl.DataFrame(
        {
            "venue": [t.venue for t in trades],
            "symbol": [t.symbol for t in trades],
            "trade_id": [t.trade_id for t in trades],
            "price": [float(t.price) for t in trades],
            "quantity": [float(t.quantity) for t in trades],
            "is_buy": [t.taker_side == "buy" for t in trades],
            "event_time": [t.event_time for t in trades],
        }
    )


def expected_bars(trades: pl.DataFrame, window_us: int) -> pl.DataFrame:
    """Bars of windows with trades, sorted by market and time."""
    start = pl.col("event_time") // window_us * window_us
    return (
        trades.sort("trade_id")
        .group_by("venue", "symbol", window_start=start)
        .agg(
            open=pl.first("price"),
            high=pl.max("price"),
            low=pl.min("price"),
            close=pl.last("price"),
            volume_base=pl.sum("quantity"),
            volume_quote=(pl.col("price") * pl.col("quantity")).sum(),
            buy_volume_base=pl.col("quantity").filter("is_buy").sum(),
            trade_count=pl.len().cast(pl.Int64),
            first_trade_id=pl.min("trade_id"),
            last_trade_id=pl.max("trade_id"),
        )
        .sort("venue", "symbol", "window_start")
    )
