"""The ledger of gaps is a function of what was said, and every id of a gap is counted once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crypto_intel.contracts.tables import SILVER_GAPS
from crypto_intel.core.frames import empty_frame, to_arrow
from crypto_intel.core.gaps import fold, open_ids, open_since, unrecoverable_ids, with_spans

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TIME = pl.Datetime("us", "UTC")
_SCHEMA: dict[str, Any] = {
    "venue": pl.String,
    "symbol": pl.String,
    "status": pl.String,
    "first_id": pl.Int64,
    "last_id": pl.Int64,
    "received_at": TIME,
    "detail": pl.String,
}
Told = tuple[str, int, int, int]


def statuses(*told: Told, symbol: str | None = "BTC-USDT") -> pl.DataFrame:
    """Rows of bronze.feed_status: (status, first id, last id, seconds after START)."""
    rows = [
        ("binance", symbol, status, first, last, START + at * SECOND, f"{status} {first}-{last}")
        for status, first, last, at in told
    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def only(ledger: pl.DataFrame) -> dict[str, Any]:
    """The only row."""
    return ledger.row(0, named=True) if ledger.height == 1 else {}


def test_a_gap_is_open_until_its_last_id_is_back() -> None:
    told: list[Told] = [("gap", 10, 19, 0), ("repaired", 10, 14, 5), ("repaired", 13, 19, 7), ("repaired", 10, 19, 9)]
    rows = [only(fold(statuses(*told[:count]))) for count in (1, 2, 3, 4)]
    assert [(row["state"], row["repaired_count"]) for row in rows] == [
        ("open", 0),
        ("open", 5),
        ("repaired", 10),
        ("repaired", 10),
    ]
    assert [row["repaired_at"] for row in rows] == [None, None, START + 7 * SECOND, START + 7 * SECOND]
    assert (rows[0]["found_at"], rows[0]["reason"]) == (START, "gap 10-19")


def test_a_part_that_never_comes_keeps_its_reason_and_the_rest_stays_open() -> None:
    told: list[Told] = [("gap", 10, 19, 0), ("repaired", 10, 14, 5), ("unrecoverable", 14, 16, 5)]
    row = only(fold(statuses(*told)))
    assert (row["state"], row["repaired_count"], row["unrecoverable_count"]) == ("open", 5, 2)
    row = only(fold(statuses(*told, ("repaired", 17, 19, 8))))
    assert (row["state"], row["repaired_count"], row["unrecoverable_count"]) == ("unrecoverable", 8, 2)
    assert row["unrecoverable_reason"] == "unrecoverable 14-16"
    assert row["repaired_at"] is None


def test_ids_given_up_that_come_back_after_all_are_repaired() -> None:
    row = only(fold(statuses(("gap", 1, 4, 0), ("unrecoverable", 1, 4, 1), ("repaired", 1, 4, 9))))
    assert (row["state"], row["unrecoverable_count"], row["unrecoverable_reason"]) == ("repaired", 0, "")
    assert row["repaired_at"] == START + 9 * SECOND


def test_gaps_that_begin_alike_are_one_and_markets_are_kept_apart() -> None:
    own = statuses(("gap", 10, 14, 3), ("gap", 10, 19, 1), ("repaired", 10, 14, 4))
    other = statuses(("gap", 10, 14, 0), symbol="ETH-USDT")
    ledger = fold(pl.concat([own, other]))
    assert ledger.select("symbol", "last_id", "found_at", "repaired_count").rows() == [
        ("BTC-USDT", 19, START + SECOND, 5),
        ("ETH-USDT", 14, START, 0),
    ]


def test_what_names_no_ids_is_no_gap() -> None:
    nameless = statuses(("gap", 1, 2, 0)).with_columns(first_id=pl.lit(None, pl.Int64))
    told = pl.concat([nameless, statuses(("gap", 5, 4, 0)), statuses(("poll", 1, 2, 0))])
    assert fold(told).is_empty()
    assert fold(statuses(("gap", 1, 2, 0), symbol=None)).is_empty()


def test_no_statuses_make_an_empty_ledger_that_keeps_the_contract() -> None:
    ledger = with_spans(fold(statuses()), empty_frame(SILVER_GAPS), trades().lazy())
    assert_frame_equal(ledger, empty_frame(SILVER_GAPS))


_ids = st.tuples(st.integers(1, 60), st.integers(0, 15)).map(lambda pair: (pair[0], sum(pair)))
_told = st.tuples(st.sampled_from(["gap", "repaired", "unrecoverable"]), _ids, st.integers(0, 20)).map(
    lambda parts: (parts[0], *parts[1], parts[2])
)


@given(st.lists(_told, max_size=25))
def test_counts_are_those_of_plain_sets_of_ids(told: list[Told]) -> None:
    ledger = fold(statuses(*told))
    to_arrow(ledger, SILVER_GAPS)
    back = {i for status, first, last, _ in told if status == "repaired" for i in range(first, last + 1)}
    gone = {i for status, first, last, _ in told if status == "unrecoverable" for i in range(first, last + 1)} - back
    assert set(ledger["first_id"]) == {first for status, first, _, _ in told if status == "gap"}
    for row in ledger.iter_rows(named=True):
        ids = set(range(row["first_id"], row["last_id"] + 1))
        assert row["repaired_count"] == len(ids & back)
        assert row["unrecoverable_count"] == len(ids & gone)
        left = ids - back - gone
        assert row["state"] == ("open" if left else "unrecoverable" if ids & gone else "repaired")
        assert (row["repaired_at"] is not None) == (row["state"] == "repaired")
        assert bool(row["unrecoverable_reason"]) == bool(ids & gone)


@given(st.lists(_told, max_size=15), st.randoms())
def test_order_and_repetition_do_not_matter(told: list[Told], random: Any) -> None:
    again = [*told, *told[: len(told) // 2]]
    random.shuffle(again)
    assert_frame_equal(fold(statuses(*again)), fold(statuses(*told)))


@given(st.lists(_told, max_size=15))
def test_unrecoverable_ids_are_disjoint_and_complete(told: list[Told]) -> None:
    found = [
        i for _, _, first, last, _ in unrecoverable_ids(statuses(*told)).iter_rows() for i in range(first, last + 1)
    ]
    assert len(found) == len(set(found))
    assert set(found) == {i for s, first, last, _ in told if s == "unrecoverable" for i in range(first, last + 1)}


def trades(*told: tuple[int, datetime]) -> pl.DataFrame:
    """Rows of bronze.trades, as far as the ledger reads them."""
    rows = [("binance", "BTC-USDT", trade_id, at, at.date()) for trade_id, at in told]
    schema: dict[str, Any] = {
        "venue": pl.String,
        "symbol": pl.String,
        "trade_id": pl.Int64,
        "event_time": TIME,
        "event_date": pl.Date,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_a_gaps_span_is_from_the_trade_before_to_the_trade_after() -> None:
    midnight = datetime(2026, 11, 20, tzinfo=UTC)
    here = trades((9, midnight - SECOND), (9, midnight), (20, midnight + SECOND), (31, START))
    ledger = fold(statuses(("gap", 10, 19, 0), ("gap", 30, 30, 1)))
    found = with_spans(ledger, empty_frame(SILVER_GAPS), here.lazy())
    spans = found.select("span_start", "span_end").rows()
    assert spans == [(midnight - SECOND, midnight + SECOND), (None, START)]
    later = with_spans(ledger, found, trades((29, START)).lazy())
    assert later.select("span_start", "span_end").rows() == [spans[0], (START, START)]


def test_a_gap_is_open_for_too_long_by_the_platform_clock() -> None:
    ledger = fold(statuses(("gap", 1, 1, 0), ("gap", 3, 3, 0), ("gap", 5, 5, 60), ("repaired", 3, 3, 1)))
    assert open_since(ledger, START + 30 * SECOND, 30 * SECOND)["first_id"].to_list() == []
    assert open_since(ledger, START + 31 * SECOND, 30 * SECOND)["first_id"].to_list() == [1]


def test_open_ids_are_those_announced_and_neither_repaired_nor_gone() -> None:
    told: list[Told] = [("gap", 10, 19, 0), ("repaired", 12, 13, 5), ("unrecoverable", 16, 16, 6), ("gap", 18, 25, 7)]
    found = open_ids(statuses(*told)).select("gap_id", "first_id", "last_id").rows()
    assert found == [(10, 10, 11), (10, 14, 15), (10, 17, 19), (18, 20, 25)]
    assert open_ids(statuses(*told, ("repaired", 1, 99, 9))).is_empty()
    assert open_ids(statuses()).is_empty()


def test_a_gap_that_is_announced_again_after_its_repair_is_not_open() -> None:
    told: list[Told] = [("gap", 10, 19, 0), ("repaired", 10, 19, 5), ("gap", 10, 22, 9)]
    assert open_ids(statuses(*told)).select("first_id", "last_id").rows() == [(20, 22)]


@given(st.lists(_told, max_size=15))
def test_the_open_ids_of_a_ledger_are_what_its_gaps_lack(told: list[Told]) -> None:
    ledger = fold(statuses(*told)).with_columns(size=pl.col("last_id") - pl.col("first_id") + 1)
    is_open = open_ids(statuses(*told)).height > 0
    assert is_open == ("open" in ledger["state"])
