"""Macro values are those that a reader of that day could know."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from crypto_intel.contracts.tables import MACRO_FRED_OBSERVATIONS, MACRO_SERIES
from crypto_intel.core.frames import empty_frame
from crypto_intel.core.macro import join_clipped, known_on, macro_values, parse_observations

FETCHED = datetime(2026, 1, 1, tzinfo=UTC)
FOREVER = "9999-12-31"


def observed(series: str, *rows: tuple[str, str, str, str]) -> pl.DataFrame:
    """Rows of (date, value, realtime_start, realtime_end)."""
    names = ("date", "value", "realtime_start", "realtime_end")
    return parse_observations(series, [dict(zip(names, row, strict=True)) for row in rows], FETCHED)


def test_a_dot_is_a_missing_value_and_not_zero() -> None:
    rows = observed("DGS10", ("2024-07-04", ".", "2024-07-05", FOREVER), ("2024-07-05", "4.28", "2024-07-08", FOREVER))
    assert rows["value"].to_list() == [None, 4.28]
    assert rows["observation_year"].to_list() == ["2024", "2024"]


def test_a_series_without_observations_is_an_empty_table() -> None:
    assert observed("DGS10").schema == empty_frame(MACRO_FRED_OBSERVATIONS).schema


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="could not convert"):
        observed("DGS10", ("2024-07-04", "n/a", "2024-07-05", FOREVER))


def test_a_value_counts_from_the_day_after_its_release() -> None:
    rows = observed(
        "DGS10", ("2024-08-06", "3.90", "2024-08-06", FOREVER), ("2024-08-07", "3.96", "2024-08-08", FOREVER)
    )
    assert macro_values(rows, date(2024, 8, 8))["treasury_10y_pct"] == 3.90
    assert macro_values(rows, date(2024, 8, 9))["treasury_10y_pct"] == 3.96


def test_a_revision_is_not_seen_before_its_day() -> None:
    rows = observed(
        "FEDFUNDS",
        ("2024-07-01", "5.33", "2024-08-01", "2024-08-19"),
        ("2024-07-01", "5.34", "2024-08-20", FOREVER),
    )
    assert macro_values(rows, date(2024, 8, 20))["fed_funds_pct"] == 5.33
    assert macro_values(rows, date(2024, 8, 21))["fed_funds_pct"] == 5.34


@pytest.mark.parametrize("day", [date(2024, 8, 1), date(2024, 8, 20), date(2024, 8, 21), date(2025, 1, 1)])
def test_at_most_one_vintage_of_a_period_is_known_on_a_day(day: date) -> None:
    rows = observed(
        "FEDFUNDS",
        ("2024-07-01", "5.33", "2024-08-01", "2024-08-19"),
        ("2024-07-01", "5.34", "2024-08-20", FOREVER),
    )
    assert known_on(rows, day).height <= 1


def test_a_holiday_without_a_value_leaves_the_value_before() -> None:
    rows = observed("DGS10", ("2024-07-03", "4.36", "2024-07-04", FOREVER), ("2024-07-04", ".", "2024-07-05", FOREVER))
    assert macro_values(rows, date(2024, 7, 8))["treasury_10y_pct"] == 4.36


def test_inflation_is_the_change_against_the_same_month_of_the_year_before() -> None:
    rows = observed(
        "CPIAUCSL", ("2023-06-01", "300", "2023-07-12", FOREVER), ("2024-06-01", "309", "2024-07-11", FOREVER)
    )
    assert macro_values(rows, date(2024, 8, 9))["cpi_yoy_pct"] == pytest.approx(3.0)


def test_inflation_is_unknown_when_the_month_of_the_year_before_was_never_published() -> None:
    rows = observed(
        "CPIAUCSL", ("2025-10-01", ".", "2025-11-13", FOREVER), ("2026-10-01", "330", "2026-11-12", FOREVER)
    )
    assert macro_values(rows, date(2026, 11, 20))["cpi_yoy_pct"] is None


def test_inflation_uses_the_vintage_of_the_year_before_that_was_known_then() -> None:
    rows = observed(
        "CPIAUCSL",
        ("2023-06-01", "300", "2023-07-12", "2024-08-31"),
        ("2023-06-01", "200", "2024-09-01", FOREVER),
        ("2024-06-01", "309", "2024-07-11", FOREVER),
    )
    assert macro_values(rows, date(2024, 8, 9))["cpi_yoy_pct"] == pytest.approx(3.0)


def test_without_any_observation_every_value_is_unknown() -> None:
    assert macro_values(empty_frame(MACRO_FRED_OBSERVATIONS), date(2024, 8, 9)) == dict.fromkeys(MACRO_SERIES)


def test_a_vintage_cut_by_two_requests_is_one_again() -> None:
    pieces = observed(
        "DGS10",
        ("2024-01-02", "3.95", "2024-01-03", "2024-06-30"),
        ("2024-01-02", "3.95", "2024-07-01", FOREVER),
        ("2024-01-03", "3.91", "2024-01-04", FOREVER),
    )
    whole = join_clipped(pieces)
    assert whole.select("realtime_start", "realtime_end").rows() == [
        (date(2024, 1, 3), date(9999, 12, 31)),
        (date(2024, 1, 4), date(9999, 12, 31)),
    ]


def test_a_true_revision_is_not_joined() -> None:
    rows = observed(
        "DGS10", ("2024-01-02", "3.95", "2024-01-03", "2024-06-30"), ("2024-01-02", "3.96", "2024-07-01", FOREVER)
    )
    assert join_clipped(rows).equals(rows)
