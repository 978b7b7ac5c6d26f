"""What is wrong with the platform itself, as alerts: queries that report nothing or lag, checks that failed.

What belongs here: which conditions are incidents, and their words. What does not: reading them, and telling of them
(operations/incidents.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from crypto_intel.contracts.events import Alert
from crypto_intel.contracts.rules import INCIDENT, PLATFORM, Severity
from crypto_intel.contracts.settings import Source
from crypto_intel.core.watch import Watch

EVERYTHING = "*"
"""Stands where market alerts have their symbol."""

SILENT_AFTER = timedelta(seconds=120)
"""A streaming query reports each batch, also an empty one, at least every 30 s; four in a row missing is silence."""

LAG_BOUND_S = 60.0
"""Age of the newest Kafka record that a query's last batch read, by Kafka's clock."""

LAG_BOUND_RECORDS = 100_000


@dataclass(frozen=True)
class Condition:
    """Something that is wrong now, or may be: `is_certain` once it was watched for long enough.

    `key` stays the same while it lasts.
    """

    key: str
    value: float
    threshold: float
    unit: str
    text: str
    severity: Severity = "critical"
    is_certain: bool = True


def stream_conditions(reports: Sequence[Mapping[str, Any]], watch: Watch) -> Iterator[Condition]:
    """Of rows of ops.stream_progress: query, updated_at, lag_records, lag_s.

    A query is silent for certain when it was watched for SILENT_AFTER and said nothing: the last report of a platform
    that was stopped is old because nobody was there.

    Args:
        watch: of the reports, by wall clock.
    """
    for report in reports:
        query, silent = report["query"], watch.looked_at - report["updated_at"]
        if silent >= SILENT_AFTER:
            seconds = silent.total_seconds()
            text = f"the streaming query {query} has reported nothing for {seconds:.0f} s"
            bound, is_certain = SILENT_AFTER.total_seconds(), watch.lasted() >= SILENT_AFTER
            yield Condition(f"silent:{query}", seconds, bound, "s", text, is_certain=is_certain)
        elif (report["lag_records"] or 0) >= LAG_BOUND_RECORDS:
            records = float(report["lag_records"])
            text = f"the streaming query {query} is {records:,.0f} records behind"
            yield Condition(f"lag:{query}", records, LAG_BOUND_RECORDS, "records", text)
        elif (report["lag_s"] or 0) >= LAG_BOUND_S and (report["lag_records"] or 0) > 0:
            text = f"the streaming query {query} is {report['lag_s']:.0f} s behind Kafka"
            yield Condition(f"lag:{query}", report["lag_s"], LAG_BOUND_S, "s", text)


def check_condition(asset: str, check: str, *, is_error: bool, description: str) -> Condition:
    """Of a check whose newest evaluation failed.

    Args:
        description: what the check says of itself, what to do included.
    """
    text = f"the check {check} of {asset} failed. {description}".strip()
    severity: Severity = "critical" if is_error else "warning"
    return Condition(f"check:{asset}:{check}", 1, 1, "checks", text[:500], severity)


def incident(condition: Condition, *, source: Source, began_at: datetime, platform: datetime) -> Alert:
    """The data incident of a condition that was first seen at `began_at` (wall clock)."""
    digest = hashlib.sha256(f"{INCIDENT}|{condition.key}|{began_at.isoformat()}".encode()).hexdigest()
    at_us = int(platform.timestamp() * 1_000_000)
    return Alert(
        alert_id=digest[:24],
        rule=INCIDENT,
        severity=condition.severity,
        venue=PLATFORM,
        symbol=EVERYTHING,
        window_start=at_us,
        window_end=at_us,
        raised_at=at_us,
        value=condition.value,
        threshold=condition.threshold,
        unit=condition.unit,
        message=condition.text,
        source=source,
        evidence={"rule": {"family": "platform", "key": condition.key}},
    )
