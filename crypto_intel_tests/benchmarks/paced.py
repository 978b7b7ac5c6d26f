"""A paced load: trades into Kafka at a given rate, dated now, with prices that jump at known times.

`python -m crypto_intel_tests.benchmarks.paced BOOTSTRAP TOPIC RATE SECONDS`. Straight into Kafka, since venue, producer
and the platform on two cores would measure each other; what the producer adds is measured by producer.py. A jump is
told on standard output as it is sent; it is more than the price rule allows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import msgspec

from crypto_intel.contracts.events import HEARTBEAT_KEY, Heartbeat, Trade, encode
from crypto_intel.contracts.symbols import market_key
from crypto_intel_tests.benchmarks.fill import PARTITIONS, Record, Sender, decimal
from crypto_intel_tests.benchmarks.market import SCALE, VENUE

BASES = ("BTC", "ETH", "SOL", "XRP", "BNB", "DOGE", "ADA", "LTC", "DOT", "AVAX")
SYMBOLS = tuple(f"{base}-USDT" for base in BASES)
JUMP_EVERY_S = 8.0
"""Markets take turns: each jumps every 80 s, up and down in turn."""
JUMP = 1.02
TICK_S = 0.01
_BEAT_S = 1.0


class Jump(msgspec.Struct, frozen=True):
    """A market's price jumped; `at_us` is the event time of the first trade behind it."""

    symbol: str
    at_us: int
    is_up: bool


class Load:
    """The trades of a rate; markets take turns, so ids of each are contiguous."""

    def __init__(self, topic: str, rate: int) -> None:
        self._topic = topic
        self._rate = rate
        self._sent = 0
        self._high = [False] * len(SYMBOLS)

    def due(self, elapsed_s: float, now_us: int) -> Iterator[Record]:
        """The records that are due by now."""
        until = int(elapsed_s * self._rate)
        for number in range(self._sent, until):
            yield self._trade(number, now_us)
        self._sent = until

    def jump(self, number: int, now_us: int) -> Jump:
        """Let the next market's price jump, for the trades that are due from now on."""
        market = number % len(SYMBOLS)
        self._high[market] = not self._high[market]
        return Jump(SYMBOLS[market], now_us, self._high[market])

    def _trade(self, number: int, now_us: int) -> Record:
        market = number % len(SYMBOLS)
        price = 100 * SCALE * (1 + market) + number * 7919 % 100  # a flutter of a ten-thousandth
        trade = Trade(
            venue=VENUE,
            symbol=SYMBOLS[market],
            trade_id=1 + number // len(SYMBOLS),
            price=decimal(int(price * JUMP) if self._high[market] else price),
            quantity=decimal(1 + number % 1000),
            taker_side="buy" if number % 3 else "sell",
            event_time=now_us,
            received_at=now_us,
        )
        return Record(self._topic, market % PARTITIONS, market_key(VENUE, SYMBOLS[market]), encode(trade), now_us)


def beats(topic: str, now_us: int) -> list[Record]:
    """The feed is alive."""
    value = encode(Heartbeat(venue=VENUE, symbols=SYMBOLS, event_time=now_us, received_at=now_us))
    return [Record(topic, partition, HEARTBEAT_KEY, value, now_us) for partition in range(PARTITIONS)]


def main(bootstrap: str, topic: str, rate: int, seconds: float) -> None:
    """Send until the time is over."""
    load, sender = Load(topic, rate), Sender(bootstrap, **{"linger.ms": 5})
    began, jumps, beaten = time.monotonic(), 0, 0
    while (elapsed := time.monotonic() - began) < seconds:
        now_us = time.time_ns() // 1000
        if elapsed > (jumps + 1) * JUMP_EVERY_S:
            sys.stdout.write(msgspec.json.encode(load.jump(jumps, now_us)).decode() + "\n")
            sys.stdout.flush()
            jumps += 1
        for record in load.due(elapsed, now_us):
            sender.send(record)
        if elapsed > beaten * _BEAT_S:
            beaten += 1
            for record in beats(topic, now_us):
                sender.send(record)
        sender.poll()
        time.sleep(TICK_S)
    sender.finish()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
