"""What a rule sees of a market. Times are integers, microseconds since 1970-01-01 UTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from streaming.transforms import intervals
from streaming.transforms.bars import MINUTE_US, Partial
from streaming.transforms.rules.fired import Figures

SLICE_US = 10_000_000
"""Rules look at the market in steps of ten seconds of its own time, so that batches do not change what they see."""


class NewsItem(msgspec.Struct, frozen=True, array_like=True):
    """An article as rules know it. `at` is the time that counts as its own: published, or first seen."""

    article_id: str
    cluster_id: str
    assets: tuple[str, ...]
    at: int


class Coverage(NamedTuple):
    """How whole a stretch of a market is; `pct` is None where the venue gives no ids."""

    pct: float | None
    missing: int
    completeness: str


@dataclass(frozen=True)
class Market:
    """A market's recent history.

    Attributes:
        slices: trades folded by SLICE_US, minutes: by minute; the newest of each is still open.
        seen: intervals of the ids that are here.
        since: start of the first minute that is here from its beginning.
        silences: (from, to) in which the feed gave no sign of life.
        news: about its base asset, ascending by time.
        clock: the newest event time, heartbeats included.
    """

    slices: Mapping[int, Partial]
    minutes: Mapping[int, Partial]
    seen: Sequence[intervals.Interval]
    since: int
    silences: Sequence[tuple[int, int]]
    news: Sequence[NewsItem]
    clock: int

    def past(self, at: int, window_s: int) -> dict[int, Partial]:
        """Slices of the window that ends with the slice `at`, ascending."""
        end = at - at % SLICE_US + SLICE_US
        first = max(min(self.slices, default=at), end - window_s * 1_000_000)
        starts = range(first - first % SLICE_US, at + 1, SLICE_US)
        return {start: self.slices[start] for start in starts if start in self.slices}

    def coverage(self, start: int, end: int) -> Coverage:
        """Of the trades between two times, to the slice."""
        parts = [part for at, part in self.slices.items() if start - SLICE_US < at < end]
        if not parts:
            return Coverage(None, 0, "partial")
        if any(part.unnumbered for part in parts):
            is_silent = any(since < end and until > start for since, until in self.silences)
            return Coverage(None, int(is_silent), "partial")
        first, last = min(part.first_id for part in parts), max(part.last_id for part in parts)
        missing = intervals.missing(self.seen, first, last)
        whole = "repaired" if any(part.rest for part in parts) else "complete"
        return Coverage(100 * (1 - missing / (last - first + 1)), missing, "partial" if missing else whole)

    def bar(self, at: int) -> Figures:
        """The minute of a time, so far."""
        start = at - at % MINUTE_US
        part = self.minutes.get(start)
        if part is None:
            return {}
        return {
            "window_start": start,
            "open": part.open,
            "high": part.high,
            "low": part.low,
            "close": part.close,
            "volume_base": part.volume,
            "volume_quote": part.quote,
            "trade_count": part.count,
            "first_trade_id": None if part.unnumbered else part.first_id,
            "last_trade_id": None if part.unnumbered else part.last_id,
        }
