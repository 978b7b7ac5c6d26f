"""The page for Prometheus: every figure under its name, by query, and readable by Prometheus' own parser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pyspark.sql.streaming.listener import StreamingQueryProgress

from crypto_intel.stack.ports import free_port
from crypto_intel_tests.streaming.sinks.test_progress import REPORT
from streaming.jobs.metrics import Metrics
from streaming.jobs.progress import progress_row
from streaming.jobs.query import Figures, StateFigures
from streaming.steps.slice import Newest

NOW = datetime(2026, 11, 20, 0, 0, 40, tzinfo=UTC)
REPORTED = replace(REPORT, phases_ms={"slices": 1200, "commits": 300}, lag_s=0.75)


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    """On a clock that stands 40 s behind the report's watermark."""
    metrics = Metrics(lambda: int(NOW.timestamp() * 1e6))
    yield metrics
    metrics.close()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """A figure of `ingest`."""
    return metrics.registry.get_sample_value(name, {"query": "ingest", **labels})


def test_a_report_is_told_figure_by_figure(metrics: Metrics) -> None:
    metrics.tell(REPORTED)
    gauges = {
        "input_records_per_second": 5.5,
        "batch_id": 4,
        "lag_records": 3,
        "lag_seconds": 0.75,
        "event_time_delay_seconds": 1.25,
        "watermark_delay_seconds": 40,
        "state_rows": 2,
        "state_bytes": 1000,
    }
    assert {name: value(metrics, f"crypto_intel_stream_{name}") for name in gauges} == gauges
    assert value(metrics, "crypto_intel_stream_batch_seconds_sum") == 1.8


def test_what_grows_is_counted_over_the_batches(metrics: Metrics) -> None:
    metrics.tell(REPORTED)
    metrics.tell(replace(REPORTED, batch_id=5, lag_records=None))
    found = [value(metrics, f"crypto_intel_stream_{name}_total") for name in ("records", "batches", "late_records")]
    assert found == [20, 2, 2]
    assert value(metrics, "crypto_intel_stream_phase_seconds_total", phase="slices") == pytest.approx(2.4)
    assert value(metrics, "crypto_intel_stream_lag_records") == 3  # the last that is known


def test_prometheus_can_read_the_page(metrics: Metrics) -> None:
    port = free_port()
    metrics.serve("127.0.0.1", port)
    metrics.tell(REPORTED)
    metrics.set_up("ingest", is_up=True)
    metrics.count_alert("price_move", "warning")
    page = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert all(
        name.startswith(("crypto_intel_", "process_")) and family.documentation for name, family in families.items()
    )
    assert families["crypto_intel_stream_up"].samples[0].value == 1
    assert {"rule": "price_move", "severity": "warning"} in [
        s.labels for s in families["crypto_intel_alerts_raised"].samples
    ]


def test_a_port_that_is_taken_stops_no_stream(metrics: Metrics) -> None:
    port = free_port()
    metrics.serve("127.0.0.1", port)
    other = Metrics(lambda: 0)
    other.serve("127.0.0.1", port)
    other.close()
    assert httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).status_code == 200


def test_a_querys_own_figures_stand_beside_those_of_spark() -> None:
    figures = Figures()
    with figures.phase("ingest", "slices"):
        pass
    newest = Newest.of([Newest(5_000_000, 0), Newest(4_000_000, 3_000)])
    figures.tell("ingest", 3, StateFigures(records=7, rows=2, size=100, late=1, newest=newest))
    figures.tell("ingest", 4, StateFigures(records=999))  # Spark tells of a batch when the next one may be done
    row = progress_row(StreamingQueryProgress.fromJson(_PROGRESS), 9_000_000, figures.of("ingest", 3))
    assert (row.input_rows, row.state_rows, row.state_bytes, row.late_rows) == (7, 2, 100, 1)
    assert (row.batch_ms, row.rows_per_second, row.event_time_delay_s, row.lag_records) == (700, 10.0, 4.0, 5)
    assert row.phases_ms.keys() == {"addBatch", "walCommit", "slices"}
    assert row.lag_s is not None and row.lag_s > 0


_PROGRESS = {
    "id": "6f2c0a52-6d8e-4c43-9d5a-3f6e8a3b9a10", "runId": "6f2c0a52-6d8e-4c43-9d5a-3f6e8a3b9a11", "name": "ingest",
    "timestamp": "2026-11-20T00:00:00.000Z", "batchId": 3, "batchDuration": 700, "numInputRows": 0,
    "inputRowsPerSecond": 0.0, "processedRowsPerSecond": 0.0,
    "durationMs": {"triggerExecution": 700, "addBatch": 600, "walCommit": 50}, "eventTime": {}, "stateOperators": [],
    "observedMetrics": {}, "sink": {"description": "ForeachBatchSink", "numOutputRows": -1, "metrics": {}},
    "sources": [{
        "description": "KafkaV2", "startOffset": None, "endOffset": '{"trades_topic":{"0":10,"1":4}}',
        "latestOffset": '{"trades_topic":{"0":12,"1":7}}', "numInputRows": 0, "inputRowsPerSecond": 0.0,
        "processedRowsPerSecond": 0.0, "metrics": {},
    }],
}  # fmt: skip
