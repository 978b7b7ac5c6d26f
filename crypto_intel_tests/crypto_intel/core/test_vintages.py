"""A later answer of FRED adds vintages and rewrites none."""

import polars as pl
from polars.testing import assert_frame_equal

from crypto_intel.contracts.macro import MACRO_FRED_OBSERVATIONS
from crypto_intel.core.frames import empty_frame
from crypto_intel.core.vintages import merge_vintages
from crypto_intel_tests.crypto_intel.core.test_macro import FETCHED, FOREVER, observed

NOTHING = empty_frame(MACRO_FRED_OBSERVATIONS)
FIRST = ("2024-07-01", "5.33", "2024-08-01", FOREVER)


def later(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(fetched_at=pl.col("fetched_at") + pl.duration(days=30))


def test_the_first_answer_is_all_new() -> None:
    merged = merge_vintages(NOTHING, observed("FEDFUNDS", FIRST))
    assert (merged.added, merged.closed, merged.refused.height) == (1, 0, 0)
    assert_frame_equal(merged.rows, observed("FEDFUNDS", FIRST))


def test_the_same_answer_again_changes_nothing_not_even_when_it_was_fetched() -> None:
    known = observed("FEDFUNDS", FIRST)
    merged = merge_vintages(known, later(known))
    assert (merged.added, merged.closed) == (0, 0)
    assert_frame_equal(merged.rows, known)


def test_a_revision_adds_a_vintage_and_ends_the_one_before() -> None:
    known = observed("FEDFUNDS", FIRST)
    told = observed("FEDFUNDS", (*FIRST[:3], "2024-08-19"), ("2024-07-01", "5.34", "2024-08-20", FOREVER))
    merged = merge_vintages(known, later(told))
    assert (merged.added, merged.closed) == (1, 1)
    assert merged.rows.select("value", pl.col("realtime_end").cast(pl.String)).rows() == [
        (5.33, "2024-08-19"),
        (5.34, FOREVER),
    ]
    assert merged.rows["fetched_at"][0] == FETCHED  # what was known before is as it was


def test_a_vintage_that_is_told_otherwise_stays_and_the_other_word_is_refused() -> None:
    known = observed("FEDFUNDS", FIRST)
    merged = merge_vintages(known, observed("FEDFUNDS", ("2024-07-01", "9.99", "2024-08-01", FOREVER)))
    assert_frame_equal(merged.rows, known)
    assert merged.refused.select("value", "reason").rows() == [(9.99, "FRED tells a known vintage otherwise")]


def test_a_vintage_that_is_no_longer_told_stays() -> None:
    known = observed("FEDFUNDS", FIRST)
    assert_frame_equal(merge_vintages(known, NOTHING).rows, known)


def test_a_missing_value_stays_missing_without_being_taken_for_another() -> None:
    known = observed("DGS10", ("2024-07-04", ".", "2024-07-05", FOREVER))
    merged = merge_vintages(known, later(known))
    assert (merged.refused.height, merged.rows["value"].to_list()) == (0, [None])
