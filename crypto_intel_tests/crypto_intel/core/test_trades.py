"""silver.trades holds each trade of the hour once."""

from datetime import timedelta
from decimal import Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from crypto_intel.contracts.tables import SILVER_TRADES
from crypto_intel.core.hours import HOUR
from crypto_intel.core.trades import distinct_trades, last_before
from crypto_intel_tests.crypto_intel import lakes
from crypto_intel_tests.crypto_intel.lakes import trade

START = lakes.HOUR


def test_a_repeated_record_is_one_row() -> None:
    once = trade(7, START)
    rows = distinct_trades(pl.LazyFrame([once, {**once, "kafka_offset": 99}]), START)
    assert rows["trade_id"].to_list() == [7]
    assert rows.columns == SILVER_TRADES.column_names


def test_the_streamed_record_is_kept_before_one_from_rest() -> None:
    streamed = trade(7, START, kafka_offset=50, kafka_time=START + timedelta(seconds=9))
    fetched = trade(7, START, origin="rest", kafka_offset=10, received_at=START + timedelta(seconds=30))
    assert distinct_trades(pl.LazyFrame([fetched, streamed]), START)["origin"].to_list() == ["ws"]


def test_of_equal_records_the_one_kafka_took_first_is_kept() -> None:
    first = trade(7, START, kafka_time=START, received_at=START)
    second = trade(7, START, kafka_time=START + timedelta(seconds=1), received_at=START + timedelta(seconds=1))
    assert distinct_trades(pl.LazyFrame([second, first]), START)["received_at"].to_list() == [START]


def test_only_trades_of_the_hour_are_taken_its_end_excluded() -> None:
    edges = [trade(1, START - timedelta(microseconds=1)), trade(2, START), trade(3, START + HOUR)]
    assert distinct_trades(pl.LazyFrame(edges), START)["trade_id"].to_list() == [2]


def test_prices_keep_every_digit() -> None:
    exact = Decimal("61556.123456789012345678")
    assert distinct_trades(pl.LazyFrame([trade(1, START, price=str(exact))]), START)["price"].to_list() == [exact]


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["ws", "rest"])), min_size=1, max_size=60))
def test_any_order_and_repetition_gives_the_same_sorted_rows(records: list[tuple[int, str]]) -> None:
    rows = [
        trade(number, START + timedelta(seconds=number), origin=origin, kafka_offset=place)
        for place, (number, origin) in enumerate(records)
    ]
    forward = distinct_trades(pl.LazyFrame(rows), START)
    assert forward.equals(distinct_trades(pl.LazyFrame(rows[::-1]), START))
    assert forward["trade_id"].to_list() == sorted({number for number, _ in records})


def test_the_last_trade_before_a_moment_is_the_one_with_the_greatest_id() -> None:
    rows = [trade(5, START, "10"), trade(6, START, "11"), trade(7, START + HOUR, "12")]
    other = trade(3, START, "1", symbol="ETH-USDT")
    found = last_before(pl.LazyFrame([*rows, other]), START + HOUR)
    assert found.rows() == [("binance", "BTC-USDT", 6, Decimal(11)), ("binance", "ETH-USDT", 3, Decimal(1))]
