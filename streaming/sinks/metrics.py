"""What the sinks did, for Prometheus: rows by table, how long a commit takes, how often a store refused.

What belongs here: names and units. A sink is `delta`, `postgres` (or a Supabase project), `kafka` (the alerts topic)
or `redis`; tables are those of the contracts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram

SINKS = ("delta", "postgres", "kafka", "redis")
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class SinkMetrics:
    """Figures of all sinks of a process. Used by many threads.

    Args:
        registry: that the process' page shows; None where nobody looks.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._rows = Counter(
            "crypto_intel_sink_rows", "Rows written; a batch that is repeated counts again.", ["sink", "table"],
            registry=registry,
        )  # fmt: skip
        self._errors = Counter(
            "crypto_intel_sink_errors", "Writes that failed; most are tried again.", ["sink"], registry=registry
        )
        self._seconds = Histogram(
            "crypto_intel_sink_commit_seconds", "Time of a write until it was safe.", ["sink"], buckets=_BUCKETS,
            registry=registry,
        )  # fmt: skip
        self._alerts_sent = Counter(
            "crypto_intel_alerts_sent", "Alerts that the channel took.", ["channel"], registry=registry
        )
        self._alerts_failed = Counter(
            "crypto_intel_alerts_failed", "Tries to hand alerts to the channel that failed.", ["channel"],
            registry=registry,
        )  # fmt: skip
        for sink in SINKS:  # so that a rate is 0 and not absent before the first of them
            self._errors.labels(sink)
            self._seconds.labels(sink)
        self._alerts_sent.labels("kafka")
        self._alerts_failed.labels("kafka")

    @contextmanager
    def commit(self, sink: str) -> Iterator[None]:
        """Time a write; one that raises counts as an error."""
        began = time.monotonic()
        try:
            yield
        except Exception:
            self._errors.labels(sink).inc()
            raise
        self.took(sink, time.monotonic() - began)

    def took(self, sink: str, seconds: float) -> None:
        """Count a write and its time."""
        self._seconds.labels(sink).observe(seconds)

    def wrote(self, sink: str, table: str, rows: int) -> None:
        """Count rows that are safe."""
        self._rows.labels(sink, table).inc(rows)

    def failed(self, sink: str) -> None:
        """Count a write that was given up, where nothing is raised for it."""
        self._errors.labels(sink).inc()

    def alerts_sent(self, count: int) -> None:
        """Count alerts that Kafka acknowledged."""
        self._alerts_sent.labels("kafka").inc(count)

    def alerts_failed(self) -> None:
        """Count a try that Kafka did not take whole."""
        self._alerts_failed.labels("kafka").inc()
