"""What the machine and the API itself say of a load: CPU used and waited for, by whom, and how long answers took.

A load from the same machine measures that machine too. So beside what readers saw stands how long each process was
ready to run and got no core (the scheduler's run delay, Linux alone), what others used meanwhile, and the API's own
clock, from a request's arrival in the app to the last byte of its answer.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

_SECONDS = "crypto_intel_api_request_seconds"


@dataclass(frozen=True)
class Used:
    """Seconds of CPU that a process tree used, and seconds that its threads were ready and had to wait for a core."""

    cpu_s: float = 0.0
    waited_s: float = 0.0

    def __sub__(self, before: Used) -> Used:
        return Used(self.cpu_s - before.cpu_s, self.waited_s - before.waited_s)

    def __add__(self, other: Used) -> Used:
        return Used(self.cpu_s + other.cpu_s, self.waited_s + other.waited_s)


def used_by(process: psutil.Process) -> Used:
    """So far, by the process and the children that it has now; nothing of one that is gone."""
    total = Used()
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = each.cpu_times()
                total += Used(times.user + times.system, _run_delay_s(each.pid))
    return total


def _run_delay_s(pid: int) -> float:
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that ended meanwhile
            total += int(path.read_text().split()[1])
    return total / 1e9


def machine_busy_s() -> float:
    """CPU seconds that anything at all used on this machine since it started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + getattr(times, "irq", 0) + getattr(times, "softirq", 0))


def watch(process: psutil.Popen, every_s: float = 0.2) -> Used:
    """Wait until it has ended; what it had used when it was last looked at."""
    used = Used()
    while process.poll() is None:
        used = max(used, used_by(process), key=lambda found: found.cpu_s)
        time.sleep(every_s)
    return used


@dataclass(frozen=True)
class Clock:
    """How long answers took by the API's own clock: requests by upper bound in seconds, cumulative; inf has all."""

    buckets: Mapping[float, float] = field(default_factory=dict)

    def __sub__(self, before: Clock) -> Clock:
        return Clock({bound: count - before.buckets.get(bound, 0) for bound, count in self.buckets.items()})

    def __add__(self, other: Clock) -> Clock:
        bounds = {*self.buckets, *other.buckets}
        return Clock({b: self.buckets.get(b, 0) + other.buckets.get(b, 0) for b in sorted(bounds)})

    @property
    def requests(self) -> float:
        """All of them."""
        return max(self.buckets.values(), default=0)

    def within_pct(self, seconds: float) -> float:
        """Percent of the requests that took at most so long; `seconds` is one of the bounds."""
        return 100 * self.buckets[seconds] / self.requests

    def quantile_ms(self, share: float) -> float:
        """By linear interpolation within a bucket, as Prometheus does."""
        wanted, below, lower = share * self.requests, 0.0, 0.0
        for bound, count in sorted(self.buckets.items()):
            if count >= wanted:
                return 1000 * (lower if bound == float("inf") else
                               lower + (bound - lower) * (wanted - below) / max(1e-9, count - below))  # fmt: skip
            below, lower = count, bound
        return 0.0


def clocks(metrics_url: str) -> dict[str, Clock]:
    """By route, as the API's metrics page has them now."""
    found: dict[str, dict[float, float]] = {}
    for family in text_string_to_metric_families(httpx.get(metrics_url).raise_for_status().text):
        for sample in family.samples:
            if sample.name == f"{_SECONDS}_bucket":
                found.setdefault(sample.labels["route"], {})[float(sample.labels["le"])] = sample.value
    return {route: Clock(buckets) for route, buckets in found.items()}
