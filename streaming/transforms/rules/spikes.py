"""volume_spike and volatility_spike: a minute against the median of the minutes before it.

The median does not mind a spike among them. The minute may still be open: volume and range only grow, so what is over
the threshold stays over it.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Literal

import msgspec

from crypto_intel.contracts.rules import Family, Severity
from streaming.transforms.bars import MINUTE_US, Partial, volatility_pct
from streaming.transforms.rules.fired import Fired, severity_of
from streaming.transforms.rules.market import Market

Measure = Literal["volume", "volatility"]
_UNIT_OF = {"volume": "in quote", "volatility": "% range"}


class Spike(msgspec.Struct, frozen=True):
    """The rule: `factor` times the median of up to `baseline_minutes` minutes, of which there must be `least_minutes`.

    Minutes in which a live feed traded nothing count as nothing; a market's first minute, which is cut, does not count.
    """

    measure: Measure
    factor: float
    baseline_minutes: int
    least_minutes: int
    cooldown_s: int
    name: str
    severity: Severity | None = None

    @property
    def family(self) -> Family:
        """Which rule it is."""
        return "volume_spike" if self.measure == "volume" else "volatility_spike"

    def judge(self, market: Market, at: int) -> Iterator[Fired]:
        """Look at the minute that starts at `at`."""
        now = market.minutes.get(at)
        first = max(market.since, at - self.baseline_minutes * MINUTE_US)
        minutes = range(first, at, MINUTE_US)
        if now is None or len(minutes) < self.least_minutes:
            return
        usual = median(self._measured(market.minutes.get(start)) for start in minutes)
        found = self._measured(now)
        if usual > 0 and found >= self.factor * usual:
            yield self._fired(at, first, found, usual, len(minutes))

    def _measured(self, part: Partial | None) -> float:
        if part is None:
            return 0.0
        return part.quote if self.measure == "volume" else volatility_pct(part)

    def _fired(self, at: int, first: int, found: float, usual: float, minutes: int) -> Fired:
        times = found / usual
        return Fired(
            rule=self.name,
            about="",
            anchor=str(at),
            at=at,
            window_start=at,
            window_end=at + MINUTE_US,
            value=times,
            threshold=self.factor,
            unit="times",
            text=f"{self.measure} of the minute is {times:.1f} times the median of {minutes} minutes, "
            f"{found:.4g} {_UNIT_OF[self.measure]}",
            severity=severity_of(times, self.factor),
            values={"measured": found, "median": usual, "minutes": minutes, "baseline_start": first},
        )
