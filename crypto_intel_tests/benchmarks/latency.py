"""From what was seen to how late it was: pure functions over times in microseconds; latencies are in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crypto_intel_tests.benchmarks.paced import Jump

Floats = npt.NDArray[np.float64]

_GRID_US = 10_000


class Seen(NamedTuple):
    """At `at_us` of wall time, a store's newest trade of a market was that of `event_us`."""

    market: str
    at_us: int
    event_us: int


class AlertSeen(NamedTuple):
    """At `at_us` of wall time, an alert about a market was in hand."""

    symbol: str
    at_us: int
    is_up: bool


def latencies_of(seen: Sequence[Seen], from_us: int) -> Floats:
    """How long trades took until a store showed them or a newer one, for trades from `from_us` on.

    Trades come evenly, so each step from one newest trade to the next stands for those between them, one each 10 ms.
    What the looking itself adds (its interval) is in it.
    """
    by_market: dict[str, list[Seen]] = {}
    for one in seen:
        by_market.setdefault(one.market, []).append(one)
    parts = []
    for steps in by_market.values():
        for before, after in pairwise(steps):
            if after.event_us > before.event_us >= from_us:
                parts.append(after.at_us - np.arange(after.event_us, before.event_us, -_GRID_US))
    return np.concatenate(parts) / 1e6 if parts else np.zeros(0)


def alert_latencies(alerts: Sequence[AlertSeen], jumps: Sequence[Jump]) -> Floats:
    """From the first trade behind a jump to its first alert in hand; jumps without an alert are not in it."""
    found = []
    for jump in jumps:
        later = [jump_.at_us for jump_ in jumps if jump_.symbol == jump.symbol and jump_.at_us > jump.at_us]
        until = min(later, default=2**63 - 1)
        heard = [
            alert.at_us
            for alert in alerts
            if alert.symbol == jump.symbol and alert.is_up == jump.is_up and jump.at_us <= alert.at_us < until
        ]
        found += [(min(heard) - jump.at_us) / 1e6] if heard else []
    return np.array(found)


def quantiles(values: Floats) -> dict[str, float]:
    """p50 and p99; empty of nothing."""
    if not values.size:
        return {}
    return {"p50": float(np.quantile(values, 0.5)), "p99": float(np.quantile(values, 0.99))}


def growth(at_s: Sequence[float], values: Sequence[float]) -> float:
    """How much greater the median of the last third of the time is than that of the first, as a factor."""
    if len(values) < 6:
        return 1.0
    first, last = min(at_s), max(at_s)
    third = (last - first) / 3
    early = [value for at, value in zip(at_s, values, strict=True) if at <= first + third]
    late = [value for at, value in zip(at_s, values, strict=True) if at >= last - third]
    return float(np.median(late) / max(float(np.median(early)), 1e-9))
