"""Trade ids that will never come: what feeds said of them, by market.

A bar that misses only such ids is unrecoverable and not just partial: waiting for a repair is in vain. Statuses come
on a topic of their own, so a batch knows what the batches before it brought (jobs/ingest.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from streaming.transforms import intervals

MAX_LOST = 1_000
"""Bound a market: the ranges told first go first. They matter while a window with such ids is still to be written."""


class Lost(NamedTuple):
    """Ids first..last, and how the venue said that it no longer has them."""

    first: int
    last: int
    reason: str


LostIds = dict[str, list[Lost]]
"""By market, `venue:symbol`, in the order of being told."""


def with_statuses(lost: Mapping[str, Sequence[Lost]], statuses: Iterable[Mapping[str, Any]]) -> LostIds:
    """What is lost after further rows of bronze.feed_status; other statuses than `unrecoverable` are left out."""
    known = {market: list(told) for market, told in lost.items()}
    for row in statuses:
        if row["status"] == "unrecoverable" and row["symbol"] and row["first_id"] is not None:
            told = known.setdefault(f"{row['venue']}:{row['symbol']}", [])
            piece = Lost(row["first_id"], row["last_id"] or row["first_id"], row["detail"])
            if piece not in told:
                told.append(piece)
            del told[:-MAX_LOST]
    return known


def explained(absent: Sequence[intervals.Interval], lost: Sequence[Lost]) -> str:
    """How the venue said that it no longer has the absent ids; empty unless it said so of all of them."""
    covered = intervals.union([], [(piece.first, piece.last) for piece in lost])
    if intervals.difference(absent, covered):
        return ""
    return next(
        piece.reason or "no reason given"
        for piece in lost
        if any(piece.first <= last and piece.last >= first for first, last in absent)
    )
