"""What is missing among contiguous ids."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.producers import gaps as gaps_module
from streaming.producers.gaps import Gap, IdTracker, OpenGaps, newest, oldest, runs, without
from streaming.producers.venue import Mark


def test_the_first_id_of_a_symbol_is_no_gap() -> None:
    assert IdTracker().observe("BTC-USDT", 1_000) is None


def test_a_jump_is_a_gap_of_exactly_the_ids_between() -> None:
    ids = IdTracker({"BTC-USDT": Mark(10)})
    assert ids.observe("BTC-USDT", 14) == Gap(11, 13)
    assert ids.observe("BTC-USDT", 15) is None


def test_repeated_and_earlier_ids_change_nothing() -> None:
    ids = IdTracker({"BTC-USDT": Mark(10)})
    assert ids.observe("BTC-USDT", 10) is None
    assert ids.observe("BTC-USDT", 3) is None
    assert ids.last == {"BTC-USDT": Mark(10)}


def test_symbols_are_counted_apart() -> None:
    ids = IdTracker({"BTC-USDT": Mark(10)})
    assert ids.observe("ETH-USDT", 99) is None
    assert ids.observe("BTC-USDT", 11) is None


def test_what_is_missing_up_to_an_id_includes_it() -> None:
    ids = IdTracker({"BTC-USDT": Mark(10)})
    assert ids.missing_up_to("BTC-USDT", 12) == Gap(11, 12)
    assert ids.missing_up_to("BTC-USDT", 10) is None
    assert ids.missing_up_to("ETH-USDT", 10) is None


def test_a_bounded_repair_takes_the_newest_ids() -> None:
    assert newest(Gap(1, 100), 10) == Gap(91, 100)
    assert newest(Gap(1, 5), 10) == Gap(1, 5)
    assert newest(Gap(1, 5), 0) is None


def test_a_bounded_repair_that_starts_at_the_gap_takes_the_oldest_ids() -> None:
    assert oldest(Gap(1, 100, 7), 10) == Gap(1, 10, 7)
    assert oldest(Gap(1, 5), 10) == Gap(1, 5)


def test_a_gap_knows_when_the_trade_before_it_was() -> None:
    ids = IdTracker({"BTC-USDT": Mark(10, 5_000)})
    gap = ids.observe("BTC-USDT", 14, 6_000)
    assert gap is not None
    assert gap.before == Mark(10, 5_000)


@given(st.sets(st.integers(1, 60)))
def test_what_is_filled_and_what_is_missing_still_make_the_gap(filled: set[int]) -> None:
    parts = [(run.first, Mark(run.last, run.last)) for run in runs(sorted(filled))]
    missing = list(without(Gap(1, 60), parts))
    assert {i for gap in missing for i in range(gap.first, gap.last + 1)} == set(range(1, 61)) - filled
    assert all(gap.since == gap.first - 1 for gap in missing)


def test_remembered_gaps_are_bounded_and_taken_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps_module, "MAX_OPEN", 2)
    gaps = OpenGaps()
    gaps.add("X", [Gap(1, 1), Gap(3, 4), Gap(7, 9)])
    assert gaps.ids == 5
    assert gaps.take("X") == [Gap(7, 9), Gap(3, 4)]
    assert gaps.take("X") == []


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
