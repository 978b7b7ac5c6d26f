"""A feed between frames and sink, without sockets: what passes, what is refused, what is held."""

from __future__ import annotations

import time
from random import Random

import pytest

from crypto_intel_tests.streaming.producers.fuzz import VENUES, binance_frame, broken_frames
from crypto_intel_tests.streaming.producers.harness import MemorySink
from crypto_intel_tests.streaming.producers.scripted import ScriptedVenue
from streaming.clock import PlatformClock
from streaming.producers import feed as feed_module
from streaming.producers.binance import Binance
from streaming.producers.feed import TradeFeed
from streaming.producers.kraken import Kraken
from streaming.producers.settings import ProducerSettings
from streaming.producers.venue import Mark

AUGUST_9_2024_US = 1_723_161_600_000_000
BTC = "BTC-USDT"


class FixedClock(PlatformClock):
    """A recording's clock that stands still."""

    def now_us(self) -> int:
        return AUGUST_9_2024_US + 3_600_000_000


def feed_of(
    sink: MemorySink, venue: str = "binance", last: dict[str, Mark] | None = None, **repair: float
) -> TradeFeed:
    protocol = (
        Binance("ws://x", {"BTCUSDT": BTC}) if venue == "binance" else Kraken("ws://x/v2", {"BTC/USD": "BTC-USD"})
    )
    settings = ProducerSettings.model_validate({"repair": {"history_minutes": 0, **repair}})
    rest = ScriptedVenue([])
    return TradeFeed(settings, sink, FixedClock(), protocol, rest, heartbeat_s=2, last=last or {})


async def ready(sink: MemorySink, venue: str = "binance", **repair: float) -> TradeFeed:
    feed = feed_of(sink, venue, **repair)
    await feed.on_connected()
    return feed


@pytest.fixture(autouse=True)
def no_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "_SNAPSHOT_S", 0.0)


def trade_frame(trade_id: int) -> bytes:
    return binance_frame(trade_id, AUGUST_9_2024_US)


@pytest.mark.parametrize("venue", list(VENUES))
async def test_among_100_000_good_frames_10_000_broken_ones_are_refused_each_with_its_reason(venue: str) -> None:
    sink = MemorySink()
    feed = await ready(sink, venue)
    good = [VENUES[venue].frame(trade_id, AUGUST_9_2024_US) for trade_id in range(100_000)]
    broken = list(broken_frames(venue, 10_000, AUGUST_9_2024_US))
    places = set(Random(7).sample(range(110_000), len(broken)))
    goods, bads = iter(good), iter(broken)
    for place in range(110_000):
        feed.on_message(next(bads).payload if place in places else next(goods))
    assert [trade.trade_id for trade in sink.trades()] == list(range(100_000))
    rejected = sink.rejected()
    assert [reject.reason for reject in rejected] == [one.reason for one in broken]
    assert all(reject.raw == one.payload[:262_144] for reject, one in zip(rejected, broken, strict=True))
    assert len(sink.events) == 110_001  # and `connected`


async def test_an_absurd_id_is_refused_and_blinds_nothing() -> None:
    sink = MemorySink()
    feed = await ready(sink, max_jump_ids=1_000)
    for trade_id in (10, 11, 5_000_000, 12, 13):
        feed.on_message(trade_frame(trade_id))
    assert sink.ids(BTC) == [10, 11, 12, 13]
    (reject,) = sink.rejected()
    assert (reject.reason, reject.raw) == ("absurd_id", trade_frame(5_000_000))
    assert sink.statuses("gap") == []


async def test_no_heartbeat_speaks_for_a_symbol_whose_last_trade_is_in_doubt() -> None:
    sink = MemorySink()
    feed = await ready(sink, max_jump_ids=1_000)
    for trade_id in (10, 5_000_000):
        feed.on_message(trade_frame(trade_id))
    feed.beat()
    assert sink.heartbeats() == []
    feed.on_message(trade_frame(11))
    feed.beat()
    assert [beat.symbols for beat in sink.heartbeats()] == [(BTC,)]


async def test_a_market_that_counts_anew_streams_on_and_is_told() -> None:
    sink = MemorySink()
    feed = await ready(sink, max_jump_ids=1_000)
    for trade_id in (5_000_000, 1, 2, 3, 4):
        feed.on_message(trade_frame(trade_id))
    assert sink.ids(BTC) == [5_000_000, 1, 2, 3, 4]
    assert "count anew from 1" in sink.statuses("poll")[0].detail


async def test_what_the_connection_before_gave_counts_once() -> None:
    sink = MemorySink()
    feed = await ready(sink)
    for trade_id in (10, 11, 12):
        feed.on_message(trade_frame(trade_id))
    feed.on_overlap([trade_frame(trade_id) for trade_id in (11, 12, 13, 14)])
    feed.on_message(trade_frame(15))
    assert sink.ids(BTC) == [10, 11, 12, 13, 14, 15]
    assert feed.counts["repeated"] == 2
    assert sink.statuses("connected")[-1].detail == "handed over to a new connection"


async def test_an_announced_shutdown_asks_for_another_connection() -> None:
    asked: list[str] = []
    feed = await ready(MemorySink())
    feed.on_closing = asked.append
    feed.on_message(b'{"e":"serverShutdown","E":1723161600000}')
    assert asked == ["server shutdown announced"]


async def test_frames_that_arrive_before_the_feed_is_ready_wait_and_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "MAX_BACKLOG", 5)
    sink = MemorySink()
    feed = feed_of(sink)
    for trade_id in range(8):
        feed.on_message(trade_frame(trade_id))
    await feed.on_connected()
    assert sink.ids(BTC) == [6, 7]  # REST has the others


async def test_the_feed_is_fast_enough_for_50_000_frames_a_second() -> None:
    """Half of a second's processor time is left for socket and Kafka; measured with room, since machines differ."""
    frames = [trade_frame(trade_id) for trade_id in range(20_000)]
    feed = await ready(MemorySink())
    started = time.process_time()
    for frame in frames:
        feed.on_message(frame)
    assert (time.process_time() - started) / len(frames) < 40e-6
