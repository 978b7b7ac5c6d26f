"""price_move: the price moved by X % within a window.

Up: the highest price of a slice against the least opening price of the slices of the window, itself included; down the
other way round. An opening price stands before everything else of its slice, so the move never runs backwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import msgspec

from crypto_intel.contracts.rules import Family, Severity
from streaming.transforms.rules.fired import Fired, severity_of
from streaming.transforms.rules.market import SLICE_US, Market


class PriceMove(msgspec.Struct, frozen=True):
    """The rule: `threshold_pct` within `window_s` of feed time."""

    threshold_pct: float
    window_s: int
    cooldown_s: int
    name: str = "price_move"
    severity: Severity | None = None
    family: ClassVar[Family] = "price_move"

    def judge(self, market: Market, at: int) -> Iterator[Fired]:
        """Look at the slice that starts at `at`."""
        past = market.past(at, self.window_s)
        now = past.get(at)
        if now is None:
            return
        lowest = min(past, key=lambda start: past[start].open)
        highest = max(past, key=lambda start: past[start].open)
        for about, start, price in (("up", lowest, now.high), ("down", highest, now.low)):
            move_pct = 100 * (price / past[start].open - 1)
            if (move_pct if about == "up" else -move_pct) >= self.threshold_pct:
                yield self._fired(at, about, start, past[start].open, price)

    def _fired(self, at: int, about: str, start: int, before: float, price: float) -> Fired:
        move_pct = 100 * (price / before - 1)
        minutes = max(1, round((at + SLICE_US - start) / 60_000_000))
        verb = "rose" if about == "up" else "fell"
        return Fired(
            rule=self.name,
            about=about,
            anchor=str(at),
            at=at,
            window_start=start,
            window_end=at + SLICE_US,
            value=move_pct,
            threshold=self.threshold_pct,
            unit="pct",
            text=f"{verb} {abs(move_pct):.2f} % within {minutes} min, to {price:g}",
            severity=severity_of(move_pct, self.threshold_pct),
            values={"price_before": before, "price": price},
        )
