"""Sets of ids as intervals behave as sets of ids."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streaming.transforms import intervals

ids = st.sets(st.integers(min_value=0, max_value=60))


def _intervals(values: set[int]) -> list[intervals.Interval]:
    return intervals.from_ids(np.array(sorted(values), dtype=np.int64))


def _values(covered: list[intervals.Interval]) -> set[int]:
    return {value for first, last in covered for value in range(first, last + 1)}


@given(ids)
def test_intervals_cover_exactly_the_ids_they_are_made_from(values: set[int]) -> None:
    covered = _intervals(values)
    assert _values(covered) == values
    assert all(right[0] - left[1] > 1 for left, right in pairwise(covered))


@given(ids, ids)
def test_union_and_difference_are_those_of_sets(left: set[int], right: set[int]) -> None:
    assert _values(intervals.union(_intervals(left), _intervals(right))) == left | right
    assert _values(intervals.difference(_intervals(left), _intervals(right))) == left - right


@given(ids, st.lists(st.integers(min_value=-5, max_value=70)))
def test_contains_tells_members(values: set[int], asked: list[int]) -> None:
    told = intervals.contains(_intervals(values), np.array(asked, dtype=np.int64))
    assert told.tolist() == [value in values for value in asked]


@given(ids, st.integers(0, 60), st.integers(0, 60))
def test_missing_counts_what_is_not_covered(values: set[int], first: int, last: int) -> None:
    assert intervals.missing(_intervals(values), first, last) == len(set(range(first, last + 1)) - values)


@given(ids)
def test_holes_are_the_ids_between(values: set[int]) -> None:
    spanned = set(range(min(values), max(values) + 1)) if values else set()
    assert _values(intervals.holes(_intervals(values))) == spanned - values


def test_the_number_of_intervals_is_bounded() -> None:
    many = np.arange(0, 2 * intervals.MAX_INTERVALS + 100, 2)
    bounded = intervals.union([], intervals.from_ids(many))
    assert len(bounded) == intervals.MAX_INTERVALS
    assert intervals.contains(bounded, many).all()
