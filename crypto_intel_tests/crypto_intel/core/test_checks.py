"""A row that breaks its contract is found, with the column and the rule."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from crypto_intel.contracts.tables import GOLD_BARS_1M, GOLD_MARKET_ENRICHED, TABLES
from crypto_intel.core.checks import check_rows, schema_of
from crypto_intel.core.enrich import enrich
from crypto_intel.core.frames import empty_frame
from crypto_intel_tests.crypto_intel.core.test_enrich import KNOWN_AT, NO_MACRO, NO_NEWS, bar, bars


def broken_rules(frame: pl.DataFrame) -> set[tuple[str, str]]:
    return {
        (failure["column"], failure["rule"].partition("(")[0]) for failure in check_rows(frame, GOLD_BARS_1M).failures
    }


def test_good_rows_pass() -> None:
    assert check_rows(bars(), GOLD_BARS_1M).passed
    assert check_rows(enrich(bars(), NO_NEWS, NO_MACRO, known_at=KNOWN_AT), GOLD_MARKET_ENRICHED).passed


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_a_schema_that_an_empty_table_keeps(name: str) -> None:
    assert schema_of(TABLES[name]).name == name
    assert check_rows(empty_frame(TABLES[name]), TABLES[name]).passed


@pytest.mark.parametrize(
    ("planted", "rule"),
    [
        ({"volume_base": -1.0}, "greater_than_or_equal_to"),
        ({"coverage_pct": 100.1}, "less_than_or_equal_to"),
        ({"completeness": "fine"}, "isin"),
        ({"venue": "nowhere"}, "isin"),
        ({"open": float("nan")}, "finite"),
        ({"close": float("inf")}, "finite"),
    ],
)
def test_a_planted_value_is_found(planted: dict[str, Any], rule: str) -> None:
    assert broken_rules(bars(bar(**planted))) == {(next(iter(planted)), rule)}


def test_a_null_where_none_is_allowed_is_found() -> None:
    frame = bars().with_columns(window_end=pl.lit(None).cast(pl.Datetime("us", "UTC")))
    assert broken_rules(frame) == {("window_end", "not_nullable")}


def test_a_repeated_key_is_found() -> None:
    assert broken_rules(bars(bar(), bar())) == {("venue, symbol, window_start", "unique key")}


def test_a_wrong_type_is_found() -> None:
    assert ("trade_count", "dtype") in broken_rules(bars().with_columns(pl.col("trade_count").cast(pl.String)))


def test_a_missing_column_is_found() -> None:
    assert ("vwap", "columns of the contract") in broken_rules(bars().drop("vwap"))


def test_every_fault_is_found_and_cases_are_shown() -> None:
    findings = check_rows(bars(bar(volume_base=-1.0), bar(datetime(2024, 8, 8, tzinfo=UTC), venue="x")), GOLD_BARS_1M)
    assert {failure["column"] for failure in findings.failures} == {"volume_base", "venue"}
    assert {failure["cases"] for failure in findings.failures} == {"-1.0", "x"}
