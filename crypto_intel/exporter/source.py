"""A source of figures that may be away: asked at most every few seconds, and never the reason that a page fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import structlog
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

log = structlog.get_logger(__name__)

Ask = Callable[[], Iterable[Metric]]
Labels = TypeVar("Labels", bound=tuple[str, ...])


class Source(Collector):
    """Asks `ask` when the page is read, and keeps the answer for `keep_s`.

    A source that is away is told by `crypto_intel_exporter_source_up` 0, and its figures are absent rather than old.

    Args:
        name: value of the label `source`.
        errors: what being away looks like; anything else is a fault of ours and fails the page loudly.
    """

    def __init__(self, name: str, ask: Ask, *, errors: tuple[type[Exception], ...], keep_s: float = 10) -> None:
        self._name = name
        self._ask = ask
        self._errors = errors
        self._keep_s = keep_s
        self._asked_at = float("-inf")
        self._answer: list[Metric] = []
        self._is_up = False
        self._took_s = 0.0
        self._lock = threading.Lock()

    def collect(self) -> Iterable[Metric]:
        """The newest answer; two readers at once share one question."""
        with self._lock:
            if time.monotonic() - self._asked_at >= self._keep_s:
                self._refresh()
            answer = self._answer
        yield from answer

    def state(self) -> tuple[str, bool, float]:
        """Name, whether it answered, and how long that took in seconds."""
        return self._name, self._is_up, self._took_s

    def _refresh(self) -> None:
        began = time.monotonic()
        try:
            self._answer, is_up = list(self._ask()), True
        except self._errors as error:
            self._answer, is_up = [], False
            if (
                self._is_up or self._asked_at < 0
            ):  # once each time it goes away; the class alone, for texts hold addresses
                log.warning("source is away", source=self._name, error=type(error).__name__)
        self._is_up, self._took_s, self._asked_at = is_up, time.monotonic() - began, time.monotonic()


class States(Collector):
    """Whether each source answered; registered behind them all, so that it tells of this very page."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        """Two figures a source."""
        states = [source.state() for source in self._sources]
        yield gauge(
            "crypto_intel_exporter_source_up", "1 while the source answers.", ["source"],
            {(name,): float(is_up) for name, is_up, _ in states},
        )  # fmt: skip
        yield gauge(
            "crypto_intel_exporter_source_seconds", "Time that its newest answer took.", ["source"],
            {(name,): took_s for name, _, took_s in states},
        )  # fmt: skip


def gauge(name: str, doc: str, labels: Sequence[str], values: Mapping[Labels, float]) -> Metric:
    """A gauge with a value for each tuple of label values."""
    family = GaugeMetricFamily(name, doc, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def counter(name: str, doc: str, labels: Sequence[str], values: Mapping[Labels, float]) -> Metric:
    """A counter with a value for each tuple of label values; `name` without `_total`."""
    family = CounterMetricFamily(name, doc, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
