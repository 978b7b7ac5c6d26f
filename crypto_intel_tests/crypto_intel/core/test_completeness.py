"""A bar that lacks only trades that the venue no longer has says so; one that lacks more stays partial."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from crypto_intel.core.completeness import with_unrecoverable

START = datetime(2026, 1, 1, tzinfo=UTC)
MARKET = {"venue": "binance", "symbol": "BTC-USDT"}
BEFORE = pl.DataFrame({**MARKET, "trade_id": [10]})


def bars() -> pl.DataFrame:
    """Ids 11 to 14, nothing, then 17 to 20 of 15 to 20: two are missing from the third minute."""
    rows = [(11, 14, 4, "complete", ""), (None, None, 0, "quiet", ""), (17, 20, 4, "partial", "2 trade ids missing")]
    names = ["first_trade_id", "last_trade_id", "trade_count", "completeness", "completeness_reason"]
    times = [START + timedelta(minutes=minute) for minute in range(3)]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    return frame.with_columns(**{name: pl.lit(value) for name, value in MARKET.items()}, window_start=pl.Series(times))


def told(*ranges: tuple[int, int], status: str = "unrecoverable") -> pl.DataFrame:
    """Statuses about ranges of ids."""
    rows = [(*MARKET.values(), status, *ids, START, "the venue has no older trades") for ids in ranges]
    names = ["venue", "symbol", "status", "first_id", "last_id", "received_at", "detail"]
    return pl.DataFrame(rows, schema=names, orient="row")


@pytest.mark.parametrize("ranges", [[(15, 16)], [(15, 15), (16, 16)], [(1, 16)], [(14, 99), (15, 16)]])
def test_a_bar_whose_missing_ids_are_all_gone_is_unrecoverable(ranges: list[tuple[int, int]]) -> None:
    lost = [(max(first, 15), min(last, 16)) for first, last in ranges]
    found = with_unrecoverable(bars(), BEFORE, told(*lost))
    assert found["completeness"].to_list() == ["complete", "quiet", "unrecoverable"]
    assert found["completeness_reason"][2] == "2 trade ids that the venue no longer has: the venue has no older trades"


@pytest.mark.parametrize("statuses", [told((15, 15)), told((15, 16), status="gap"), told((21, 22)), told()])
def test_a_bar_that_may_still_be_filled_stays_partial(statuses: pl.DataFrame) -> None:
    assert with_unrecoverable(bars(), BEFORE, statuses).equals(bars())


def test_ids_between_the_last_trade_before_and_the_first_bar_count_too() -> None:
    first = bars().tail(1)
    found = with_unrecoverable(first, BEFORE, told((11, 16)))
    assert found["completeness"].to_list() == ["unrecoverable"]
    assert with_unrecoverable(first, BEFORE, told((15, 16)))["completeness"].to_list() == ["partial"]
    assert with_unrecoverable(first, BEFORE.clear(), told((15, 16)))["completeness"].to_list() == ["partial"]
