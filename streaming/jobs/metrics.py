"""What the queries do, for Prometheus: `GET /metrics` of the streaming application.

What belongs here: names and units of queries and alerts. Where the figures come from: progress.py; the page:
streaming/metrics.py. A counter starts at 0 with the process, as Prometheus expects.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streaming.metrics import MetricsPage, new_registry
from streaming.sinks.progress import ProgressRow

_BATCH_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60)
_QUERY = ["query"]


class Metrics:
    """The figures of every query, in a registry of their own.

    Args:
        now_us: platform clock in microseconds: delays of a replay are measured by its own time.
        registry: shared with the sinks' figures.
    """

    def __init__(self, now_us: Callable[[], int], registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or new_registry()
        self._page = MetricsPage(self.registry)
        self._now_us = now_us
        self._records = self._counter("records", "Records and rows read.")
        self._batches = self._counter("batches", "Batches done.")
        self._late = self._counter("late_records", "Records that came after their window was written.")
        self._phases = Counter(
            "crypto_intel_stream_phase_seconds", "Time spent by phase.", ["query", "phase"], registry=self.registry
        )
        self._batch = Histogram(
            "crypto_intel_stream_batch_seconds",
            "Duration of a batch.",
            _QUERY,
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )
        self._rate = self._gauge("input_records_per_second", "Records a second over the newest batch.")
        self._batch_id = self._gauge("batch_id", "Number of the newest batch within its checkpoint.")
        self._done_at = self._gauge("last_batch_timestamp_seconds", "Wall clock of the newest report.")
        self._lag_records = self._gauge("lag_records", "Records in Kafka behind the newest batch when it was planned.")
        self._lag_s = self._gauge("lag_seconds", "Age of the newest record of the newest batch, by Kafka's time.")
        self._delay_s = self._gauge("event_time_delay_seconds", "Platform clock minus the newest event time read.")
        self._watermark_s = self._gauge("watermark_delay_seconds", "Platform clock minus the watermark.")
        self._state_rows = self._gauge("state_rows", "Rows that the query remembers.")
        self._state_bytes = self._gauge("state_bytes", "Bytes of what the query remembers.")
        self._is_up = self._gauge("up", "1 while the query runs.")
        self._alerts = Counter(
            "crypto_intel_alerts_raised", "Alerts raised.", ["rule", "severity"], registry=self.registry
        )

    def _gauge(self, name: str, doc: str) -> Gauge:
        return Gauge(f"crypto_intel_stream_{name}", doc, _QUERY, registry=self.registry)

    def _counter(self, name: str, doc: str) -> Counter:
        return Counter(f"crypto_intel_stream_{name}", doc, _QUERY, registry=self.registry)

    def tell(self, row: ProgressRow) -> None:
        """Take a query's report of a batch."""
        query = row.query
        self._records.labels(query).inc(row.input_rows)
        self._batches.labels(query).inc()
        self._late.labels(query).inc(row.late_rows)
        for phase, spent_ms in row.phases_ms.items():
            self._phases.labels(query, phase).inc(spent_ms / 1000)
        if row.batch_ms is not None:
            self._batch.labels(query).observe(row.batch_ms / 1000)
        self._batch_id.labels(query).set(row.batch_id)
        self._done_at.labels(query).set(time.time())
        watermark_s = self._now_us() / 1e6 - row.watermark.timestamp() if row.watermark else None
        told: list[tuple[Gauge, Any]] = [
            (self._rate, row.rows_per_second),
            (self._lag_records, row.lag_records),
            (self._lag_s, row.lag_s),
            (self._delay_s, row.event_time_delay_s),
            (self._watermark_s, watermark_s),
            (self._state_rows, row.state_rows),
            (self._state_bytes, row.state_bytes),
        ]
        for gauge, value in told:
            if value is not None:
                gauge.labels(query).set(value)

    def set_up(self, query: str, *, is_up: bool) -> None:
        """Say whether a query runs."""
        self._is_up.labels(query).set(is_up)

    def count_alert(self, rule: str, severity: str) -> None:
        """Count an alert that was handed to the sinks; one that a repeated batch raises again counts again."""
        self._alerts.labels(rule, severity).inc()

    def serve(self, host: str, port: int | None) -> None:
        """Answer on http://host:port/metrics until `close`; a port that is taken is logged and stops no stream."""
        self._page.serve(host, port)

    def close(self) -> None:
        """Take the page down."""
        self._page.close()
