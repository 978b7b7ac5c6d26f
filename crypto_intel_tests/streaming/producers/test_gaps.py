"""What is missing among contiguous ids."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from streaming.producers.gaps import Gap, IdTracker, newest, runs


def test_the_first_id_of_a_symbol_is_no_gap() -> None:
    assert IdTracker().observe("BTC-USDT", 1_000) is None


def test_a_jump_is_a_gap_of_exactly_the_ids_between() -> None:
    ids = IdTracker({"BTC-USDT": 10})
    assert ids.observe("BTC-USDT", 14) == Gap(11, 13)
    assert ids.observe("BTC-USDT", 15) is None


def test_repeated_and_earlier_ids_change_nothing() -> None:
    ids = IdTracker({"BTC-USDT": 10})
    assert ids.observe("BTC-USDT", 10) is None
    assert ids.observe("BTC-USDT", 3) is None
    assert ids.last == {"BTC-USDT": 10}


def test_symbols_are_counted_apart() -> None:
    ids = IdTracker({"BTC-USDT": 10})
    assert ids.observe("ETH-USDT", 99) is None
    assert ids.observe("BTC-USDT", 11) is None


def test_what_is_missing_up_to_an_id_includes_it() -> None:
    ids = IdTracker({"BTC-USDT": 10})
    assert ids.missing_up_to("BTC-USDT", 12) == Gap(11, 12)
    assert ids.missing_up_to("BTC-USDT", 10) is None
    assert ids.missing_up_to("ETH-USDT", 10) is None


def test_a_bounded_repair_takes_the_newest_ids() -> None:
    assert newest(Gap(1, 100), 10) == Gap(91, 100)
    assert newest(Gap(1, 5), 10) == Gap(1, 5)
    assert newest(Gap(1, 5), 0) is None


@given(st.sets(st.integers(0, 60)))
def test_runs_cover_exactly_the_ids_given(ids: set[int]) -> None:
    found = runs(sorted(ids))
    assert {i for run in found for i in range(run.first, run.last + 1)} == ids
    assert all(right.first > left.last + 1 for left, right in itertools.pairwise(found))


@given(st.lists(st.integers(0, 200)))
def test_observed_ids_and_gaps_together_leave_nothing_out(arrived: list[int]) -> None:
    ids, known = IdTracker(), set(arrived)
    for trade_id in arrived:
        if gap := ids.observe("X", trade_id):
            known |= set(range(gap.first, gap.last + 1))
    if arrived:
        assert set(range(arrived[0], max(arrived) + 1)) <= known
