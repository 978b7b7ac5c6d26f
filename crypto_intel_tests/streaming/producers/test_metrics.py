"""What a producer tells Prometheus of its feeds."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry

from crypto_intel_tests.streaming.producers.harness import MemorySink
from streaming.clock import PlatformClock
from streaming.errors import RejectedInput
from streaming.producers.gaps import Gap, OpenGaps
from streaming.producers.metrics import FeedCollector, Watched
from streaming.producers.voice import Voice


class Buffer:
    """Stands where the Kafka client is."""

    queued = 7
    failures = 2


def told(feed: Watched, name: str, **labels: str) -> float | None:
    """A figure of the feed."""
    registry = CollectorRegistry()
    collector = FeedCollector(Buffer())
    collector.watch([feed])
    registry.register(collector)
    return registry.get_sample_value(name, labels)


def feed(gaps: OpenGaps | None = None) -> Watched:
    """A feed that has said nothing yet."""
    return Watched(Voice("kraken", MemorySink(), PlatformClock()), gaps or OpenGaps())


def test_a_feed_is_silent_for_as_long_as_nothing_came() -> None:
    watched = feed()
    watched.voice.heard_at = time.monotonic() - 90
    silent_s = told(watched, "crypto_intel_feed_silence_seconds", venue="kraken")
    assert silent_s is not None and 90 <= silent_s < 100
    watched.voice.heard()
    assert told(watched, "crypto_intel_feed_silence_seconds", venue="kraken") < 1  # type: ignore[operator]
    assert told(watched, "crypto_intel_feed_messages_total", venue="kraken") == 1


def test_a_recording_that_ended_is_not_silent() -> None:
    watched = feed()
    watched.voice.heard_at -= 90
    watched.voice.say("ended")
    assert told(watched, "crypto_intel_feed_silence_seconds", venue="kraken") == 0
    assert told(watched, "crypto_intel_feed_connected", venue="kraken") == 1


def test_a_polled_source_is_silent_only_beyond_its_pause() -> None:
    watched = Watched(feed().voice, every_s=lambda: 300)
    watched.voice.heard_at -= 200
    assert told(watched, "crypto_intel_feed_silence_seconds", venue="kraken") == 0


def test_connects_gaps_and_rejects_are_counted() -> None:
    gaps = OpenGaps()
    gaps.add("BTC-USD", [Gap(1, 10), Gap(20, 20)])
    watched = feed(gaps)
    watched.voice.connected("")
    assert told(watched, "crypto_intel_feed_connected", venue="kraken") == 1
    watched.voice.disconnected("reset by peer")
    watched.voice.gap("BTC-USD", Gap(1, 10))
    watched.voice.reject(b"{", "trade", RejectedInput("not_json"), 0)
    figures = {
        "crypto_intel_feed_connected": 0,
        "crypto_intel_feed_disconnects_total": 1,
        "crypto_intel_feed_missing_trades_total": 10,
        "crypto_intel_feed_rejected_events_total": 1,
        "crypto_intel_feed_gaps_open": 2,
        "crypto_intel_feed_gaps_open_trades": 11,
    }
    assert {name: told(watched, name, venue="kraken") for name in figures} == figures
    assert told(watched, "crypto_intel_producer_queued_records") == 7
    assert told(watched, "crypto_intel_producer_delivery_failures_total") == 2
