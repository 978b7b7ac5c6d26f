"""What the feeds do, for Prometheus: `GET /metrics` of a producer.

What belongs here: names and units. The figures are read when the page is asked for, from what the feeds count anyway,
so that a message costs nothing more. The label `venue` is the feed's name, which the command line lists.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from crypto_intel.contracts.settings import Settings
from streaming.metrics import MetricsPage, new_registry
from streaming.producers.gaps import OpenGaps
from streaming.producers.voice import Voice

_EVENTS = {"ws": "trade", "rest": "trade by REST", "quotes": "quote", "items": "polled item", "repeated": "repeated",
           "ignored": "ignored"}  # fmt: skip
_COUNTED = {
    "disconnects": ("disconnects", "Connections lost, and tries that failed."),
    "rejected": ("rejected_events", "Inputs that went to the dead letters."),
    "failed_polls": ("failed_polls", "Questions that brought nothing."),
    "missing": ("missing_trades", "Trades whose ids were jumped over; most are fetched by REST."),
    "repaired": ("repaired_trades", "Missing trades that REST gave."),
    "unrecoverable": ("unrecoverable_trades", "Missing trades that the venue no longer has."),
}


_Labels = TypeVar("_Labels", bound=tuple[str, ...])


class Buffer(Protocol):
    """What is asked of the Kafka client."""

    failures: int

    @property
    def queued(self) -> int:
        """Events that wait for the broker's acknowledgement."""


@dataclass(frozen=True)
class Watched:
    """A feed. `every_s`: how often it speaks at least, of a source that is asked now and then."""

    voice: Voice
    gaps: OpenGaps = field(default_factory=OpenGaps)
    every_s: Callable[[], float] = lambda: 0.0


class FeedCollector(Collector):
    """Reads feeds and their Kafka client when Prometheus asks, from another thread than theirs.

    Args:
        sink: of all of them.
    """

    def __init__(self, sink: Buffer) -> None:
        self._sink = sink
        self._feeds: Sequence[Watched] = ()

    def watch(self, feeds: Sequence[Watched]) -> None:
        """Tell of these from now on; a feed that follows another one counts from 0 again."""
        self._feeds = feeds

    def collect(self) -> Iterable[Metric]:
        """Every figure of every feed."""
        yield from self._signs_of_life()
        yield from self._counts()
        yield from self._gaps()
        yield _gauge("crypto_intel_producer_queued_records", "Events that wait for Kafka.", {(): self._sink.queued})
        failures = CounterMetricFamily("crypto_intel_producer_delivery_failures", "Events that Kafka did not take.")
        failures.add_metric([], self._sink.failures)
        yield failures

    def _signs_of_life(self) -> Iterator[Metric]:
        now = time.monotonic()
        silence = {(feed.voice.venue,): _silence_s(feed, now) for feed in self._feeds}
        connected = {(feed.voice.venue,): float(feed.voice.is_connected or feed.voice.is_over) for feed in self._feeds}
        yield _gauge(
            "crypto_intel_feed_silence_seconds",
            "Since the source last gave anything, beyond the pause between two polls; 0 after a recording's end.",
            silence,
        )
        yield _gauge(
            "crypto_intel_feed_connected", "1 while the stream is there, or the last poll succeeded.", connected
        )

    def _counts(self) -> Iterator[Metric]:
        messages = CounterMetricFamily("crypto_intel_feed_messages", "Frames and answers received.", labels=["venue"])
        events = CounterMetricFamily("crypto_intel_feed_events", "What they held, by kind.", labels=["venue", "kind"])
        counted = {
            key: CounterMetricFamily(f"crypto_intel_feed_{name}", doc, labels=["venue"])
            for key, (name, doc) in _COUNTED.items()
        }
        for feed in self._feeds:
            venue, counts = feed.voice.venue, dict(feed.voice.counts)
            messages.add_metric([venue], feed.voice.messages)
            for key, kind in _EVENTS.items():
                events.add_metric([venue, kind], counts.get(key, 0))
            for key, family in counted.items():
                family.add_metric([venue], counts.get(key, 0))
        yield messages
        yield events
        yield from counted.values()

    def _gaps(self) -> Iterator[Metric]:
        gaps = {(feed.voice.venue,): list(feed.gaps.gaps.values()) for feed in self._feeds}
        runs = {venue: float(sum(map(len, found))) for venue, found in gaps.items()}
        ids = {venue: float(sum(gap.size for symbol in found for gap in symbol)) for venue, found in gaps.items()}
        yield _gauge("crypto_intel_feed_gaps_open", "Runs of missing trade ids that are still to be fetched.", runs)
        yield _gauge("crypto_intel_feed_gaps_open_trades", "Trades in them.", ids)


def _silence_s(feed: Watched, now: float) -> float:
    return 0.0 if feed.voice.is_over else max(now - feed.voice.heard_at - feed.every_s(), 0.0)


def _gauge(name: str, doc: str, values: Mapping[_Labels, float]) -> Metric:
    family = GaugeMetricFamily(name, doc, labels=["venue"] if any(values) else [])
    for labels, value in values.items():
        family.add_metric(list(labels), value)
    return family


@contextmanager
def feed_metrics(settings: Settings, sink: Buffer) -> Iterator[FeedCollector]:
    """Show what the collector is told to watch on the port that the settings name, if they name one."""
    registry = new_registry()
    collector = FeedCollector(sink)
    registry.register(collector)
    page = MetricsPage(registry)
    page.serve(settings.metrics_host, settings.metrics_port)
    try:
        yield collector
    finally:
        page.close()
