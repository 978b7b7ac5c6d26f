"""Which missing ids a run fetches, and when: once a cause, the newest first, with growing waits, within bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from crypto_intel.core.gaps import OPEN_SCHEMA
from crypto_intel.core.refetching import (
    MAX_STRETCHES,
    MAX_WATCHED,
    Ask,
    Policy,
    Stretch,
    Watched,
    after_asking,
    cut_to,
    due,
    is_any_due,
    place,
    watch,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
POLICY = Policy(after=90 * SECOND, wait_max=600 * SECOND, limit_ids=1_000)
BTC = "BTC-USDT"
Row = tuple[str, str, int, int, int, int]


def missing(*rows: Row) -> pl.DataFrame:
    """Rows of open_ids: (venue, symbol, gap id, first id, last id, found so many seconds before NOW)."""
    return pl.DataFrame([(*row[:5], NOW - row[5] * SECOND) for row in rows], schema=OPEN_SCHEMA, orient="row")


def one_gap(first: int = 10, last: int = 19) -> pl.DataFrame:
    return missing(("binance", BTC, 10, first, last, 5))


def tick(rows: pl.DataFrame, watched: dict[str, Watched], at: datetime) -> tuple[list[Ask], dict[str, Watched]]:
    """A look and what it requests."""
    watched = watch(rows, watched, at, POLICY)
    asks = due(rows, watched, at, POLICY)
    return asks, after_asking(watched, asks, at, POLICY)


def test_a_gap_waits_for_its_producer_before_a_run_asks_for_it() -> None:
    asks, watched = tick(one_gap(), {}, NOW)
    assert asks == [] and not is_any_due(watched, NOW + 89 * SECOND)
    assert tick(one_gap(), watched, NOW + 89 * SECOND)[0] == []
    (ask,), watched = tick(one_gap(), watched, NOW + 90 * SECOND)
    assert (ask.venue, ask.stretches) == ("binance", [Stretch(BTC, 10, 19)])
    assert tick(one_gap(), watched, NOW + 91 * SECOND)[0] == []


def test_waits_grow_to_the_longest_and_each_run_has_a_key_of_its_own() -> None:
    asks, watched = tick(one_gap(), {}, NOW)
    at, keys, waits = NOW, set(), []
    for _ in range(6):
        (next_at,) = (gap.next_at for gap in watched.values())
        waits.append(int((next_at - at).total_seconds()))
        at = next_at
        asks, watched = tick(one_gap(), watched, at)
        keys |= {ask.run_key for ask in asks}
    assert waits == [90, 180, 360, 600, 600, 600]
    assert len(keys) == 6


def test_the_same_cause_has_the_same_key_though_the_cursor_was_not_kept() -> None:
    looks = [(watch(one_gap(), {}, NOW + late, POLICY), NOW + late + 90 * SECOND) for late in (0 * SECOND, 7 * SECOND)]
    assert len({due(one_gap(), watched, at, POLICY)[0].run_key for watched, at in looks}) == 1


def test_what_has_become_smaller_waits_anew_as_does_what_is_new_and_what_is_closed_is_forgotten() -> None:
    _, watched = tick(one_gap(), {}, NOW)
    _, watched = tick(one_gap(), watched, NOW + 90 * SECOND)
    assert [gap.tries for gap in watched.values()] == [1]
    smaller = watch(one_gap(15), watched, NOW + 100 * SECOND, POLICY)
    assert list(smaller.values()) == [Watched(5, NOW + 190 * SECOND)]
    assert watch(missing(), smaller, NOW, POLICY) == {}


def test_a_run_asks_a_venue_for_the_newest_first_and_for_no_more_than_it_may() -> None:
    rows = missing(
        ("binance", BTC, 10, 10, 709, 50), ("binance", "ETH-USDT", 5, 5, 704, 20), ("kraken", "BTC-USD", 1, 1, 2, 30)
    )
    watched = watch(rows, {}, NOW - 90 * SECOND, POLICY)
    binance, kraken = due(rows, watched, NOW, POLICY)
    assert binance.stretches == [Stretch("ETH-USDT", 5, 704), Stretch(BTC, 10, 309)]
    assert kraken.stretches == [Stretch("BTC-USD", 1, 2)]
    assert [ask.venue for ask in due(rows, watched, NOW, POLICY, busy=["binance"])] == ["kraken"]


def test_many_gaps_are_taken_some_at_a_time() -> None:
    rows = missing(*(("binance", BTC, n, n, n, 5 + n) for n in range(0, 3 * MAX_WATCHED, 3)))
    more = pl.concat([rows, missing(("binance", "ETH-USDT", 1, 1, 1, 90_000))])
    watched = watch(more, {}, NOW - 90 * SECOND, POLICY)
    assert len(watched) == MAX_WATCHED and "binance/ETH-USDT/1" not in watched
    (ask,) = due(more, watched, NOW, POLICY)
    assert len(ask.stretches) == MAX_STRETCHES
    assert len(after_asking(watched, [ask], NOW, POLICY)) == MAX_WATCHED


def test_only_what_is_missing_still_of_the_ids_asked_is_fetched() -> None:
    rows = missing(("binance", BTC, 10, 12, 14, 5), ("binance", BTC, 10, 18, 30, 5), ("binance", "A-B", 10, 10, 30, 5))
    assert cut_to(rows, [Stretch(BTC, 10, 20)]) == [Stretch(BTC, 12, 14), Stretch(BTC, 18, 20)]
    assert cut_to(rows, [Stretch(BTC, 31, 40)]) == []


def test_what_is_here_all_the_same_is_not_asked_for_and_the_rest_is_sought_from_the_trade_before() -> None:
    split = place(Stretch(BTC, 10, 20), [5, 9, 12, 13, 21], [50, 90, 120, 130, 210])
    assert split.here == [(12, 13)]
    assert split.absent == [((10, 11), 90), ((14, 20), 130)]
    assert place(Stretch(BTC, 1, 2), [], []).absent == [((1, 2), 0)]
