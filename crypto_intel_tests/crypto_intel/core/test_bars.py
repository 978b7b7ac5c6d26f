"""Longer bars are what the fold of their trades would say."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from crypto_intel.contracts.derived import GOLD_BARS_1D, GOLD_BARS_1H, GOLD_BARS_5M
from crypto_intel.contracts.tables import GOLD_BARS_1M
from crypto_intel.core.bars import longer_bars
from crypto_intel.core.frames import conform
from crypto_intel_tests.crypto_intel.core.test_enrich import bar, bars
from streaming.transforms.batch import batch_bars

HOUR = datetime(2024, 8, 8, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EXACT = ["open", "high", "low", "close", "trade_count", "first_trade_id", "last_trade_id", "window_end"]
SUMS = ["volume_base", "volume_quote", "buy_volume_base", "vwap", "return_pct", "volatility_pct", "coverage_pct"]


def trades(seed: int) -> pl.DataFrame:
    """An hour of a market with quiet minutes, and ids that are missing."""
    rnd = random.Random(seed)
    at, trade_id, rows = HOUR, 1000, []
    while at < HOUR + timedelta(hours=1):
        at += timedelta(seconds=rnd.expovariate(1 / (200 if rnd.random() < 0.1 else 4)))
        trade_id += 1 if rnd.random() < 0.97 else 5
        price = Decimal(str(round(100 + rnd.gauss(0, 1), 2)))
        rows.append(("binance", "BTC-USDT", trade_id, price, Decimal(str(round(rnd.expovariate(3), 5))), at))
    frame = pl.DataFrame(rows, ["venue", "symbol", "trade_id", "price", "quantity", "event_time"], orient="row")
    side = pl.when(pl.col("trade_id") % 3 == 0).then(pl.lit("buy")).otherwise(pl.lit("sell"))
    within = pl.col("event_time") < HOUR + timedelta(hours=1)
    return frame.filter(within).with_columns(taker_side=side, origin=pl.lit("ws"))


def feed() -> pl.DataFrame:
    times = [HOUR - MINUTE + timedelta(seconds=5 * n) for n in range(760)]
    return pl.DataFrame({"venue": "binance", "status": "heartbeat", "event_time": times})


@pytest.mark.parametrize("seed", range(5))
def test_five_minutes_from_minutes_are_five_minutes_from_trades(seed: int) -> None:
    before = pl.DataFrame({"venue": ["binance"], "symbol": ["BTC-USDT"], "trade_id": [990], "price": [Decimal(99)]})
    end = HOUR + timedelta(hours=1)
    minutes, fives = (
        batch_bars(trades(seed), feed(), start=HOUR, end=end, window_s=s, before=before) for s in (60, 300)
    )
    earlier = bars(bar(HOUR - MINUTE, close=99.0, trade_count=1)).select(minutes.columns)
    parts = pl.concat([earlier, minutes.cast(dict(earlier.schema))])  # type: ignore[arg-type]
    made = longer_bars(parts, GOLD_BARS_5M, every=5 * MINUTE, part=MINUTE, start=HOUR, end=end)
    assert made.height == fives.height == 12
    assert_frame_equal(made.select(EXACT), fives.select(EXACT))
    assert_frame_equal(made.select(SUMS), fives.select(SUMS), rel_tol=1e-9, abs_tol=1e-12)
    assert made["completeness"].to_list() == fives["completeness"].to_list()


def hour_of(*rows: dict[str, object]) -> dict[str, object]:
    end = HOUR + timedelta(hours=1)
    frame = longer_bars(bars(*rows), GOLD_BARS_1H, every=end - HOUR, part=MINUTE, start=HOUR, end=end)
    return frame.row(0, named=True)


def test_an_hour_without_all_of_its_minutes_is_partial_and_says_so() -> None:
    found = hour_of(bar(HOUR + 58 * MINUTE), bar(HOUR + 59 * MINUTE))
    assert (found["completeness"], found["completeness_reason"]) == ("partial", "58 of 60 parts absent")
    assert found["event_hour"] == "2024-08-08-22"


@pytest.mark.parametrize(
    ("states", "whole"),
    [
        (["complete", "quiet"], "complete"),
        (["quiet"], "quiet"),
        (["complete", "repaired"], "repaired"),
        (["repaired", "unrecoverable"], "unrecoverable"),
        (["unrecoverable", "partial"], "partial"),
    ],
)
def test_an_hour_is_as_complete_as_the_worst_of_its_minutes(states: list[str], whole: str) -> None:
    minutes = [bar(HOUR + n * MINUTE, completeness=states[n % len(states)]) for n in range(60)]
    assert hour_of(*minutes)["completeness"] == whole


def test_an_hour_of_quiet_minutes_repeats_the_close_before() -> None:
    quiet = {"trade_count": 0, "volume_base": 0.0, "volume_quote": 0.0, "first_trade_id": None, "last_trade_id": None}
    quiet |= {"completeness": "quiet", "open": 7.0, "high": 7.0, "low": 7.0, "close": 7.0}
    minutes = [bar(HOUR + n * MINUTE, **quiet) for n in range(60)]
    found = hour_of(bar(HOUR - MINUTE, close=7.0), *minutes)
    assert [found[name] for name in ("open", "high", "low", "close", "vwap", "return_pct", "volatility_pct")] == [
        *[7.0] * 4,
        None,
        0.0,
        0.0,
    ]
    assert (found["coverage_pct"], found["completeness"], found["first_trade_id"]) == (100.0, "quiet", None)


def test_a_day_ends_where_the_next_begins() -> None:
    hours = [HOUR + timedelta(hours=n) for n in range(4)]  # 22:00 .. 01:00 on the next day
    rows = [bar(hour, close=float(n + 1), window_end=hour + timedelta(hours=1)) for n, hour in enumerate(hours)]
    parts = conform(bars(*rows), GOLD_BARS_1M)
    day = timedelta(days=1)
    start = HOUR.replace(hour=0)
    first, second = (
        longer_bars(parts, GOLD_BARS_1D, every=day, part=timedelta(hours=1), start=at, end=at + day)
        for at in (start, start + day)
    )
    assert first.select("event_day", "close", "trade_count").rows() == [("2024-08-08", 2.0, 2 * rows[0]["trade_count"])]
    assert second.select("event_day", "close").rows() == [("2024-08-09", 4.0)]
    assert second["return_pct"].item() == pytest.approx(100.0)
