"""The sliding mean of a market's price: the last five minutes, told anew with each minute that closes.

What belongs here: the arithmetic of the window over closed minutes. What does not: which minutes close (market.py).
Times are integers, microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from streaming.transforms.bars import FIVE_MINUTES_US, Before, Partial, spanned

MINUTES = 5

_WORST_FIRST = ("partial", "unrecoverable", "repaired", "complete", "quiet")


class Minute(msgspec.Struct, array_like=True):
    """What the window needs of a closed minute."""

    count: int
    price_sum: float
    volume: float
    quote: float
    close: float
    missing: int
    spanned: int
    completeness: str
    reason: str

    @classmethod
    def of(cls, row: Mapping[str, Any], partial: Partial | None, before: Before | None, missing: int) -> Minute:
        """Of a minute's finished bar and the trades behind it."""
        sums = (partial.count, partial.price_sum, partial.volume, partial.quote) if partial else (0, 0.0, 0.0, 0.0)
        ids = spanned(partial, before) if partial else 0
        return cls(*sums, row["close"], missing, ids, row["completeness"], row["completeness_reason"])


def with_minute(recent: Sequence[Minute], minute: Minute) -> list[Minute]:
    """The minutes of the window that ends with `minute`."""
    return [*recent, minute][-MINUTES:]


def mean_row(recent: Sequence[Minute], end_us: int) -> dict[str, Any]:
    """A row of silver.price_means_5m without market and partition: the window of `recent` minutes up to `end_us`.

    Every trade counts alike in the mean. Without trades the price stood at the last close.
    """
    count = sum(minute.count for minute in recent)
    volume = sum(minute.volume for minute in recent)
    ids = sum(minute.spanned for minute in recent)
    completeness, reason = _completeness(recent)
    return {
        "window_start": end_us - FIVE_MINUTES_US,
        "window_end": end_us,
        "price_mean": sum(minute.price_sum for minute in recent) / count if count else recent[-1].close,
        "vwap": sum(minute.quote for minute in recent) / volume if volume > 0 else None,
        "trade_count": count,
        "coverage_pct": 100 * (1 - sum(minute.missing for minute in recent) / ids) if ids else 100.0,
        "completeness": completeness,
        "completeness_reason": reason,
    }


def _completeness(recent: Sequence[Minute]) -> tuple[str, str]:
    if len(recent) < MINUTES:
        return "partial", f"this market is known for {len(recent)} of {MINUTES} minutes"
    worst = next(word for word in _WORST_FIRST if any(minute.completeness == word for minute in recent))
    return worst, next((minute.reason for minute in recent if minute.completeness == worst), "")
