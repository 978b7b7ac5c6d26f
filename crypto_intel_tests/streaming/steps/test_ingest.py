"""The step of a slice: what comes late is counted, what is dated ahead moves nothing, what is lost is known later."""

from __future__ import annotations

from pathlib import Path

import msgspec
import polars as pl

from crypto_intel.contracts.events import FeedStatus, Heartbeat, Trade, encode
from crypto_intel.contracts.settings import Topics
from crypto_intel.contracts.tables import TABLES
from streaming.sinks.delta import ensure_table
from streaming.steps.ingest import Ingest, Output, lost_ids
from streaming.transforms.decode import Records

START = 1_735_689_600_000_000
SECOND = 1_000_000
TOPICS = Topics()


def trade(trade_id: int, at_s: float, received_s: float | None = None) -> bytes:
    """A trade `at_s` seconds after START."""
    at = START + int(at_s * SECOND)
    received = at if received_s is None else START + int(received_s * SECOND)
    return encode(
        Trade(venue="binance", symbol="BTC-USDT", trade_id=trade_id, price="100.5", quantity="1", taker_side="buy",
              event_time=at, received_at=received)
    )  # fmt: skip


def beat(at_s: float) -> bytes:
    """A heartbeat."""
    at = START + int(at_s * SECOND)
    return encode(Heartbeat(venue="binance", symbols=("BTC-USDT",), event_time=at, received_at=at))


def records(*values: bytes, topic: str = TOPICS.trades, start: int = 0) -> Records:
    """Records of partition 0."""
    offsets = pl.Series("kafka_offset", range(start, start + len(values)), dtype=pl.Int64)
    times = pl.Series("kafka_time", [START // 1000] * len(values), dtype=pl.Int64)
    return Records(topic, 0, list(values), offsets, times)


class Steps:
    """Slices of a partition one after the other."""

    def __init__(self, lake: Path) -> None:
        for name in ("bronze.trades", "bronze.rejected", "bronze.feed_status"):
            ensure_table(TABLES[name], str(lake))
        self._step = Ingest(str(lake), TOPICS.trades, TOPICS.feed_status, 10 * SECOND)
        self._state: bytes | None = None
        self._read = 0

    def take(self, *values: bytes) -> Output:
        """The next slice."""
        self._state, output = self._step(records(*values, start=self._read), self._state)
        self._read += len(values)
        return msgspec.msgpack.decode(output, type=Output)


def rows(output: Output, table: str) -> int:
    """How many rows of a table a slice wrote."""
    return sum(file.rows for file in output.files.get(table, []))


def test_late_trades_are_in_bronze_and_counted_and_on_time_ones_are_in_their_window(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    # 1 % come up to 9 s late, within the delay: they are in the right window.
    on_time = [trade(n, 0.1 * n) for n in range(900) if n % 100] + [beat(90)]
    within = [trade(n, 0.1 * n, 95) for n in range(0, 900, 100) if n >= 600]
    first = steps.take(*on_time[:600], *[trade(n, 0.1 * n) for n in range(0, 600, 100)])
    second = steps.take(*on_time[600:-1], *within, *map(beat, range(92, 136)))
    (bar, later) = [row for output in (first, second) for closed in output.closed.values() for row in closed.minutes]
    assert (bar["trade_count"], bar["coverage_pct"]) == (600, 100.0)
    assert (later["trade_count"], later["completeness"]) == (300, "complete")
    # 0.5 % come 20 min late: counted one by one, whatever comes twice.
    injected = [trade(10_000 + n, 3 * n, 1_200) for n in range(20)]
    third = steps.take(beat(1_290), *injected, *injected[:7])
    counted = [row["trade_count"] for closed in third.closed.values() for row in closed.late]
    assert (sum(counted), rows(third, "bronze.trades")) == (20, 27)
    assert all(row["trade_count"] == 0 for closed in third.closed.values() for row in closed.minutes)


def test_what_is_dated_ahead_goes_to_the_dead_letters_and_moves_no_clock(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    day_s = 86_400
    ahead = [trade(100 + n, day_s + n, n) for n in range(10)]
    just_so = trade(3, 65, received_s=5)  # 60 s ahead are borne
    output = steps.take(trade(1, 5), *ahead, just_so, trade(2, 30), trade(4, 59))
    assert (rows(output, "bronze.rejected"), rows(output, "bronze.trades")) == (10, 4)
    assert output.closed == {}
    (bar,) = steps.take(beat(85)).closed["binance:BTC-USDT"].minutes
    assert bar["trade_count"] == 3


def test_losses_that_feeds_told_of_are_known_in_the_batches_behind(tmp_path: Path) -> None:
    ensure_table(TABLES["bronze.feed_status"], str(tmp_path))
    told = FeedStatus(venue="binance", status="unrecoverable", symbol="BTC-USDT", first_id=2, last_id=4,
                      event_time=START, received_at=START, detail="too old")  # fmt: skip
    step = Ingest(str(tmp_path), TOPICS.trades, TOPICS.feed_status, 10 * SECOND)
    state, output = step(records(encode(told), topic=TOPICS.feed_status), None)
    assert rows(msgspec.msgpack.decode(output, type=Output), "bronze.feed_status") == 1
    assert state is not None
    known = lost_ids({f"{TOPICS.feed_status}/0": state, f"{TOPICS.trades}/0": b"markets"}, TOPICS.feed_status)
    assert known == {"binance:BTC-USDT": [(2, 4, "too old")]}
    state, _ = step(records(beat(1), topic=TOPICS.feed_status), state)
    assert lost_ids({f"{TOPICS.feed_status}/0": state or b""}, TOPICS.feed_status) == known
