"""Each judgement of an hour is seen to pass good rows and to find planted bad ones."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from crypto_intel.contracts.derived import GOLD_CROSS_VENUE
from crypto_intel.contracts.tables import SILVER_GAPS
from crypto_intel.core.cross_venue import cross_venue
from crypto_intel.core.frames import empty_frame
from crypto_intel.core.gaps import fold
from crypto_intel.core.judge_hour import backward_trades, disagreeing_markets, inconsistent_bars, unlisted_holes
from crypto_intel.core.judge_macro import against_metadata
from crypto_intel.core.trades import distinct_trades
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.core.test_cross_venue import NO_QUOTES, minute
from crypto_intel_tests.crypto_intel.core.test_enrich import bar, bars
from crypto_intel_tests.crypto_intel.core.test_gaps import statuses

HOUR = datetime(2024, 8, 8, 22, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NO_GAPS = empty_frame(SILVER_GAPS)


def trades(*ids: int, times: list[datetime] | None = None) -> pl.DataFrame:
    at = times or [HOUR + n * SECOND for n in range(len(ids))]
    return distinct_trades(pl.LazyFrame([lakes.trade(n, when) for n, when in zip(ids, at, strict=True)]), HOUR)


def before(trade_id: int) -> pl.DataFrame:
    return pl.DataFrame({"venue": ["binance"], "symbol": ["BTC-USDT"], "trade_id": [trade_id]})


def test_ids_that_follow_each_other_have_no_hole() -> None:
    assert unlisted_holes(trades(10, 11, 12), before(9), NO_GAPS).is_empty()


def test_a_hole_that_nobody_told_of_is_found_also_at_the_edge_of_the_hour() -> None:
    found = unlisted_holes(trades(10, 13), before(7), NO_GAPS)
    assert found.select("first_id", "last_id", "missing").rows() == [(8, 9, 2), (11, 12, 2)]


def test_a_hole_in_the_ledger_is_explained_as_far_as_the_ledger_goes() -> None:
    ledger = fold(statuses(("gap", 11, 12, 0)))
    assert unlisted_holes(trades(10, 13), before(9), ledger).is_empty()
    assert unlisted_holes(trades(10, 14), before(9), ledger)["missing"].to_list() == [1]


def test_a_gap_that_is_said_to_be_repaired_explains_nothing() -> None:
    ledger = fold(statuses(("gap", 11, 12, 0), ("repaired", 11, 12, 1)))
    assert unlisted_holes(trades(10, 13), before(9), ledger)["missing"].to_list() == [2]


def test_trades_without_numbers_have_no_holes() -> None:
    assert unlisted_holes(trades(-5, -100), before(9).clear(), NO_GAPS).is_empty()


def test_times_may_go_back_a_little_against_the_ids_and_no_more() -> None:
    good = trades(1, 2, times=[HOUR + SECOND, HOUR + 0.5 * SECOND])
    assert backward_trades(good).is_empty()
    bad = trades(1, 2, 3, times=[HOUR + 5 * SECOND, HOUR + 2 * SECOND, HOUR + 6 * SECOND])
    assert backward_trades(bad).select("trade_id", "back_s").rows() == [(2, 3.0)]


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        ({"low": 101.0}, "a price outside of low and high"),
        ({"high": 99.0}, "a price outside of low and high"),
        ({"vwap": 150.0}, "a price outside of low and high"),
        ({"completeness": "quiet"}, "quiet with trades"),
        ({"first_trade_id": 9}, "first id behind the last"),
        ({"buy_volume_base": 2.0}, "more bought than traded"),
    ],
)
def test_a_bar_that_contradicts_itself_is_found(planted: dict[str, Any], reason: str) -> None:
    assert inconsistent_bars(bars()).is_empty()
    assert inconsistent_bars(bars(bar(), bar(**planted)))["reason"].to_list() == [reason]


def test_one_venue_off_the_others_is_found_and_a_move_of_all_is_not() -> None:
    agreed = cross_venue(minute(binance_USDT=100.0, kraken_USD=100.5, coingecko_USD=99.8), NO_QUOTES, HOUR)
    assert disagreeing_markets(agreed).is_empty()
    moved = cross_venue(minute(binance_USDT=90.0, kraken_USD=90.5, coingecko_USD=89.8), NO_QUOTES, HOUR)
    assert disagreeing_markets(moved).is_empty()
    bad_tick = cross_venue(minute(binance_USDT=100.0, kraken_USD=112.0, coingecko_USD=99.8), NO_QUOTES, HOUR)
    assert disagreeing_markets(bad_tick)["venue"].to_list() == ["kraken"]
    assert disagreeing_markets(empty_frame(GOLD_CROSS_VENUE)).is_empty()


def test_of_two_venues_that_differ_both_are_shown() -> None:
    found = disagreeing_markets(cross_venue(minute(binance_USDT=100.0, kraken_USD=112.0), NO_QUOTES, HOUR))
    assert sorted(found["venue"].to_list()) == ["binance", "kraken"]


def months(*named: str) -> pl.DataFrame:
    rows = {"series_id": ["CPIAUCSL"] * len(named), "observation_date": list(named)}
    frame = pl.DataFrame(rows, schema={"series_id": pl.String, "observation_date": pl.String})
    return frame.with_columns(pl.col("observation_date").str.to_date())


def told(last: str, first: str = "1947-01-01") -> pl.DataFrame:
    rows = {
        "series_id": ["CPIAUCSL"],
        "frequency": ["Monthly"],
        "observation_start": [first],
        "observation_end": [last],
    }
    return pl.DataFrame(rows).with_columns(pl.col("observation_start", "observation_end").str.to_date())


def test_series_that_are_whole_agree_with_what_fred_says_of_them() -> None:
    assert against_metadata(months("2025-09-01", "2025-10-01", "2025-11-01"), told("2025-11-01")).is_empty()


@pytest.mark.parametrize(
    ("loaded", "metadata", "fault"),
    [
        (months("2025-09-01", "2025-11-01"), told("2025-11-01"), "periods absent"),
        (months("2025-09-01", "2025-10-01"), told("2025-11-01"), "last period missing"),
        (months("2025-09-01"), told("2025-09-01", first="2025-10-01"), "period before the series began"),
        (months(), told("2025-09-01"), "not loaded"),
    ],
)
def test_a_series_that_is_not_whole_is_found(loaded: pl.DataFrame, metadata: pl.DataFrame, fault: str) -> None:
    assert against_metadata(loaded, metadata)["fault"].to_list() == [fault]
