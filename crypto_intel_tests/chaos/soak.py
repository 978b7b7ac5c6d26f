"""R18: all queries under a steady flow for a long time: lag, memory and files do not grow without end."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np
import psutil

from crypto_intel_tests.chaos.application import Application, Sender
from crypto_intel_tests.chaos.crashes import finish, started
from crypto_intel_tests.chaos.ground import ALL_QUERIES, Ground
from crypto_intel_tests.chaos.judgement import bronze_count
from crypto_intel_tests.chaos.load import Load
from crypto_intel_tests.chaos.scale import Scale, Tell
from crypto_intel_tests.chaos.table import Row

EVERY_S = 5.0
RSS_MB_A_MINUTE = 2.0
"""More growth than that, once warm, would be a leak."""


@dataclass
class Samples:
    """What was seen over time: minutes since the start, records behind, megabytes resident."""

    minutes: list[float] = field(default_factory=list)
    behind: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)

    def slope(self, values: list[float]) -> float:
        """Growth a minute over the second half, by least squares."""
        half = len(values) // 2
        return float(np.polyfit(self.minutes[half:], values[half:], 1)[0]) if len(values) - half > 2 else 0.0


def soak(ground: Ground, scale: Scale, tell: Tell) -> Row:
    """All queries for `scale.soak_minutes` at `scale.per_s`; lag, memory and files are told, the output is judged."""
    application = ground.application("soak", ALL_QUERIES, CRYPTO_INTEL_MAX_RECORDS_PER_BATCH="20000")
    # As many minutes of feed time as of the clock: windows close at the pace at which they would.
    minutes = max(5, round(scale.soak_minutes))
    load = Load(application.topics, minutes=minutes, trades_per_minute=round(55 * scale.per_s), articles=10 * minutes)
    sender = Sender(ground.bootstrap)
    flow = sender.in_background(load.records, len(load.records) / (60 * scale.soak_minutes))
    started(application)
    seen = _watched(application, sender, flow, tell)
    verdict, caught_up = finish(application, sender, load, 300)
    files = sum(1 for _ in application.lake.rglob("*.parquet"))
    rss, behind = seen.slope(seen.rss_mb), seen.slope(seen.behind)
    if rss > RSS_MB_A_MINUTE and scale.soak_minutes >= 30:
        verdict.add(f"memory grew by {rss:.1f} MB a minute", wrong=1)
    note = (
        f"in the second half lag grew by {behind:.0f} records a minute, at most {max(seen.behind[1:], default=0):.0f}, "
        f"memory by {rss:.1f} MB a minute to {seen.rss_mb[-1]:,.0f} MB; {files:,} files in the lake; "
        f"all served {caught_up:.0f} s after the last record"
    )
    fault = f"{scale.soak_minutes:g} minutes of {scale.per_s:,.0f} records/s, all queries"
    return Row("R18", fault, 1, verdict, len(sender.acked), note=note)


def _watched(application: Application, sender: Sender, flow: threading.Thread, tell: Tell) -> Samples:
    seen, began = Samples(), time.monotonic()
    while flow.is_alive():
        flow.join(EVERY_S)
        seen.minutes.append((time.monotonic() - began) / 60)
        seen.behind.append(len(sender.acked) - bronze_count(application.lake))
        seen.rss_mb.append(_rss_mb(application))
        tell(f"{seen.minutes[-1]:.1f} min, {seen.behind[-1]:,.0f} behind, {seen.rss_mb[-1]:,.0f} MB")
    return seen


def _rss_mb(application: Application) -> float:
    assert application.process
    top = psutil.Process(application.process.pid)
    total = 0
    for process in (top, *top.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6
