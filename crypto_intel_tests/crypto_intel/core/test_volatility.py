"""Returns span a minute, volatility the window that it names."""

import math
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from crypto_intel.contracts.derived import GOLD_RETURNS_VOLATILITY
from crypto_intel.core.checks import check_rows
from crypto_intel.core.volatility import returns_volatility
from crypto_intel_tests.crypto_intel.core.test_enrich import bar, bars

HOUR = datetime(2024, 8, 8, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def of(closes: dict[int, float]) -> pl.DataFrame:
    """Bars by minutes after HOUR."""
    found = returns_volatility(bars(*(bar(HOUR + n * MINUTE, close=c) for n, c in closes.items())), HOUR)
    assert check_rows(found, GOLD_RETURNS_VOLATILITY).failures == []
    return found


def test_a_return_is_from_the_minute_before_across_the_edge_of_the_hour() -> None:
    found = of({-1: 100.0, 0: 110.0, 1: 99.0})
    assert found["return_pct"].to_list() == pytest.approx([10.0, -10.0])
    assert found["log_return_pct"].to_list() == pytest.approx([100 * math.log(1.1), 100 * math.log(0.9)])


def test_behind_a_minute_without_a_bar_there_is_no_return() -> None:
    assert of({0: 100.0, 2: 120.0})["return_pct"].to_list() == [None, None]


def test_the_volatility_of_an_hour_is_the_root_of_the_squares_of_its_sixty_returns() -> None:
    closes = {n: 100.0 if n % 2 else 101.0 for n in range(-61, 60)}
    last = of(closes).row(-1, named=True)
    squares = [(100 * math.log(101 / 100)) ** 2] * 60
    assert last["realized_volatility_1h_pct"] == pytest.approx(math.sqrt(sum(squares)))
    assert last["annualized_volatility_pct"] == pytest.approx(math.sqrt(sum(squares) * 8760))
    assert (last["return_count_1h"], last["return_count_24h"]) == (60, 120)


def test_a_window_of_which_little_is_known_says_nothing() -> None:
    found = of({n: 100.0 + n for n in range(31)})
    assert found["realized_volatility_1h_pct"].null_count() == 30  # thirty returns are known with the last bar
    assert found["realized_volatility_24h_pct"].null_count() == found.height
