"""Sets of trade ids as a few intervals.

Venues number a market's trades one by one, so "which ids have been seen" is a handful of intervals however many
trades there were: the de-duplication state of a market does not grow with its trades.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Interval = tuple[int, int]
"""First and last id, both inclusive."""

MAX_INTERVALS = 10_000
"""Bound of the state of a market: beyond it the two oldest intervals become one, so that an id which is missing
between them would count as seen if it still came. A market with that many open holes is broken in other ways first."""


def from_ids(ids: npt.NDArray[np.int64]) -> list[Interval]:
    """Intervals that cover exactly `ids` (any order, repeats allowed)."""
    if ids.size == 0:
        return []
    ordered = np.unique(ids)
    breaks = np.flatnonzero(np.diff(ordered) != 1)
    firsts = ordered[np.concatenate(([0], breaks + 1))]
    lasts = ordered[np.concatenate((breaks, [ordered.size - 1]))]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def union(left: Sequence[Interval], right: Iterable[Interval]) -> list[Interval]:
    """Intervals that cover what either side covers, ascending, bounded by MAX_INTERVALS."""
    merged: list[Interval] = []
    for first, last in sorted([*left, *right]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    while len(merged) > MAX_INTERVALS:
        merged[:2] = [(merged[0][0], merged[1][1])]
    return merged


def contains(intervals: Sequence[Interval], ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """For each of `ids`, whether an interval covers it. `intervals` ascending."""
    if not intervals or ids.size == 0:
        return np.zeros(ids.size, dtype=np.bool_)
    firsts = np.fromiter((first for first, _ in intervals), dtype=np.int64)
    lasts = np.fromiter((last for _, last in intervals), dtype=np.int64)
    at = np.searchsorted(firsts, ids, side="right") - 1
    return (at >= 0) & (ids <= lasts[np.maximum(at, 0)])


def missing(intervals: Sequence[Interval], first: int, last: int) -> int:
    """How many ids of first..last (inclusive) no interval covers."""
    return max(0, last - first + 1) - sum(
        min(last, end) - max(first, start) + 1 for start, end in intervals if start <= last and end >= first
    )


def holes(intervals: Sequence[Interval]) -> list[Interval]:
    """The ids between the intervals."""
    return [(left[1] + 1, right[0] - 1) for left, right in pairwise(intervals)]


def difference(left: Sequence[Interval], right: Sequence[Interval]) -> list[Interval]:
    """What `left` covers and `right` does not. Both ascending and disjoint."""
    rest: list[Interval] = []
    for first, last in left:
        start = first
        for cut_first, cut_last in right:
            if cut_last < start or cut_first > last:
                continue
            if cut_first > start:
                rest.append((start, cut_first - 1))
            start = cut_last + 1
        if start <= last:
            rest.append((start, last))
    return rest
