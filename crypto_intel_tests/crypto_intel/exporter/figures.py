"""Figures of a source as a dictionary, for tests."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric


def values(metrics: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    """(name, label values in order of label names) -> value."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for metric in metrics
        for sample in metric.samples
    }
