"""A market at the end of an hour, and its rank among the others."""

from datetime import UTC, datetime, timedelta

import pytest

from crypto_intel.contracts.derived import GOLD_MARKET_SUMMARY
from crypto_intel.core.checks import check_rows
from crypto_intel.core.summary import market_summary
from crypto_intel_tests.crypto_intel.core.test_enrich import bar, bars

HOUR = datetime(2024, 8, 8, 22, tzinfo=UTC)
MINUTE, AN_HOUR = timedelta(minutes=1), timedelta(hours=1)


def test_a_market_is_summed_up_over_the_hour_and_over_the_day() -> None:
    minutes = bars(*(bar(HOUR + n * MINUTE, close=close) for n, close in enumerate((10.0, 20.0, 30.0))))
    hours = bars(*(bar(HOUR - n * AN_HOUR, volume_base=2.0, trade_count=5, close=30.0 - n) for n in range(25)))
    (row,) = market_summary(minutes, hours, HOUR).iter_rows(named=True)
    assert (row["price_mean"], row["close"], row["hours_24h"]) == (20.0, 30.0, 24)
    assert (row["volume_base_24h"], row["trade_count_24h"]) == (48.0, 120)  # the 25th hour back is not of the day
    assert row["change_1h_pct"] == pytest.approx(100 * (30 / 29 - 1))
    assert row["change_24h_pct"] == pytest.approx(400.0)


def test_the_best_of_the_day_has_rank_one_and_who_has_no_day_has_none() -> None:
    day = timedelta(hours=24)
    rows = []
    for symbol, before, now in (("A-USDT", 10.0, 11.0), ("B-USDT", 10.0, 15.0), ("C-USDT", None, 9.0)):
        rows += [bar(HOUR - day, symbol=symbol, close=before)] if before else []
        rows.append(bar(HOUR, symbol=symbol, close=now))
    found = market_summary(bars(), bars(*rows), HOUR)
    assert found.select("symbol", "rank_24h").rows() == [("A-USDT", 2), ("B-USDT", 1), ("C-USDT", None)]
    assert check_rows(found, GOLD_MARKET_SUMMARY).failures == []
