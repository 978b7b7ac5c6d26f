"""A market into Kafka: the platform's own events, trades by market and heartbeats to every partition.

The records' Kafka time is their arrival in event time, as in a backlog that really grew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from crypto_intel.contracts.events import HEARTBEAT_KEY, Heartbeat, Trade, encode
from crypto_intel.contracts.settings import Topics
from crypto_intel.contracts.symbols import market_key
from crypto_intel_tests.benchmarks.market import MINUTE_US, SCALE, START_US, VENUE, Market

PARTITIONS = 3
NEWS_BEAT_US = 10_000_000
NEWS_VENUE = "newsapi"
_CHUNK = 50_000
_HOUR_US = 60 * MINUTE_US


class Record(NamedTuple):
    """One record; `arrived_at` in microseconds."""

    topic: str
    partition: int
    key: str
    value: bytes
    arrived_at: int


def trade_records(market: Market, topics: Topics) -> Iterator[Record]:
    """The trades in order of arrival, then the end of the feed in every partition."""
    symbols = market.symbols
    keys = [market_key(VENUE, symbol) for symbol in symbols]
    for arrivals in market.arrivals.iter_slices(_CHUNK):
        rows = market.trades[arrivals["place"]].with_columns(arrivals["arrived_at"])
        for number, trade_id, price, quantity, at, is_sell, arrived_at in rows.iter_rows():
            trade = Trade(
                venue=VENUE,
                symbol=symbols[number],
                trade_id=trade_id,
                price=decimal(price),
                quantity=decimal(quantity),
                taker_side="sell" if is_sell else "buy",
                event_time=at,
                received_at=arrived_at,
            )
            yield Record(topics.trades, number % PARTITIONS, keys[number], encode(trade), arrived_at)
    end_us = market.shape.end_us + _HOUR_US
    end = Heartbeat(venue=VENUE, symbols=tuple(symbols), event_time=end_us, received_at=end_us, ended=True)
    yield from _to_all(topics.trades, end)


def news_records(market: Market, topics: Topics) -> Iterator[Record]:
    """Articles and the feed's heartbeats in order of arrival; the last one shuts every window."""
    until = market.shape.end_us
    times = [*range(START_US, until + MINUTE_US + 1, NEWS_BEAT_US), until + _HOUR_US]
    beats = [Heartbeat(venue=NEWS_VENUE, symbols=(), event_time=at, received_at=at) for at in times]
    articles = [
        Record(topics.news, number % PARTITIONS, article.article_id, encode(article), article.first_seen_at)
        for number, article in enumerate(market.articles)
    ]
    # A heartbeat vouches for what was received before it: it comes behind.
    told = chain(articles, chain.from_iterable(_to_all(topics.news, beat) for beat in beats))
    return iter(sorted(told, key=lambda record: (record.arrived_at, record.key == HEARTBEAT_KEY)))


def decimal(scaled: int) -> str:
    """A price or quantity as a venue writes it."""
    return f"{scaled // SCALE}.{scaled % SCALE:04d}0000"


def _to_all(topic: str, beat: Heartbeat) -> list[Record]:
    value = encode(beat)
    return [Record(topic, partition, HEARTBEAT_KEY, value, beat.event_time) for partition in range(PARTITIONS)]


def fill(bootstrap: str, market: Market, topics: Topics, told: Callable[[int], Any] = lambda _: None) -> dict[str, int]:
    """Send it all and wait for the acknowledgements; records by topic.

    Args:
        told: called with a number of records now and then.
    """
    sender = Sender(bootstrap)
    counts: dict[str, int] = {}
    for records in (trade_records(market, topics), news_records(market, topics)):
        for record in records:
            sender.send(record)
            counts[record.topic] = counts.get(record.topic, 0) + 1
            if counts[record.topic] % _CHUNK == 0:
                told(_CHUNK)
    sender.finish()
    return counts


class Sender:
    """Sends records; whatever the broker refuses ends the benchmark."""

    def __init__(self, bootstrap: str, **conf: str | int) -> None:
        bounds = {"queue.buffering.max.messages": 500_000, "linger.ms": 20, "batch.size": 262_144}
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "compression.type": "lz4", "enable.idempotence": True, **bounds, **conf}
        )
        self._sent = 0
        self._refused: list[str] = []

    def send(self, record: Record) -> None:
        """Send a record."""
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    record.partition,
                    on_delivery=self._note,
                    timestamp=record.arrived_at // 1000,
                )
                break
            except BufferError:
                self._producer.poll(0.1)
        self._sent += 1
        if self._sent % 1000 == 0:
            self._producer.poll(0)

    def poll(self) -> None:
        """Take in what the broker answered."""
        self._producer.poll(0)

    def finish(self, timeout_s: float = 120) -> None:
        """Wait until all is acknowledged."""
        left = self._producer.flush(timeout_s)
        if left or self._refused:
            raise SystemExit(f"{left} records not acknowledged; refused: {self._refused[:3]}")

    def _note(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refused.append(f"{message.topic()}: {error.str()}")
