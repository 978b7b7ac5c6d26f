"""Stream = batch finds every planted difference, and excuses only what late trades explain."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from crypto_intel.contracts.tables import SILVER_LATE_ARRIVALS
from crypto_intel.core.compare import compare_bars
from crypto_intel.core.frames import conform, empty_frame
from crypto_intel_tests.crypto_intel.core.test_enrich import START, bar, bars

NO_LATE = empty_frame(SILVER_LATE_ARRIVALS)
MINUTE = timedelta(minutes=1)


def late(count: int, start: Any = START) -> pl.DataFrame:
    row = {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "window_start": start,
        "trade_count": count,
        "first_trade_id": 3,
        "last_trade_id": 3,
        "event_date": start.date(),
    }
    return conform(pl.DataFrame([row]), SILVER_LATE_ARRIVALS)


def test_equal_bars_pass() -> None:
    found = compare_bars(bars(), bars(), NO_LATE)
    assert found.passed and found.equal_count == 1


@pytest.mark.parametrize(
    "planted",
    [
        {"open": 100.0000001},
        {"high": 101.0},
        {"low": None},
        {"close": 99.9999999999},
        {"trade_count": 3},
        {"first_trade_id": 0},
        {"last_trade_id": None},
        {"volume_base": 1 + 3e-9},
        {"volume_quote": 100 + 3e-7},
        {"buy_volume_base": 0.0},
    ],
)
def test_a_planted_difference_is_found_and_shown_with_both_sides(planted: dict[str, Any]) -> None:
    found = compare_bars(bars(bar(**planted)), bars(), NO_LATE)
    (name, value), row = next(iter(planted.items())), found.differing.row(0, named=True)
    assert not found.passed
    assert row["verdict"] == "differs"
    assert (row[name], row[f"{name}_batch"]) == (value, bar()[name])


def test_volumes_may_differ_in_their_last_bits() -> None:
    assert compare_bars(bars(bar(volume_base=1 + 1e-12)), bars(), NO_LATE).passed


def test_a_bar_that_never_streamed_is_missing() -> None:
    found = compare_bars(bars(bar(START + MINUTE)), bars(bar(), bar(START + MINUTE)), NO_LATE)
    assert found.differing["verdict"].to_list() == ["missing in stream"]


def test_a_bar_that_the_stream_has_not_reached_is_pending() -> None:
    found = compare_bars(bars(), bars(bar(), bar(START + MINUTE)), NO_LATE)
    assert found.passed and found.pending_count == 1


def test_a_bar_that_only_streamed_is_missing_in_batch() -> None:
    streamed = bars(bar(), bar(START + MINUTE), bar(START + 2 * MINUTE))
    found = compare_bars(streamed, bars(bar(), bar(START + 2 * MINUTE)), NO_LATE)
    assert found.differing["verdict"].to_list() == ["missing in batch"]


def test_late_arrivals_explain_as_many_trades_as_were_late() -> None:
    batch = bars(bar(trade_count=3, last_trade_id=3))
    assert compare_bars(bars(), batch, late(1)).passed
    assert not compare_bars(bars(), batch, late(2)).passed
    assert not compare_bars(bars(), batch, late(1, START + MINUTE)).passed


def test_streamed_bars_of_other_hours_are_not_judged() -> None:
    assert compare_bars(bars(bar(), bar(START + timedelta(hours=1))), bars(), NO_LATE).passed
