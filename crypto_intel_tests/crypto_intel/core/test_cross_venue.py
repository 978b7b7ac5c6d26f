"""One asset in dollars on every venue, minute by minute."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from crypto_intel.contracts.derived import GOLD_CROSS_VENUE, SILVER_QUOTES
from crypto_intel.core.checks import check_rows
from crypto_intel.core.cross_venue import cross_venue
from crypto_intel.core.frames import conform, empty_frame
from crypto_intel_tests.crypto_intel.core.test_enrich import bar, bars

HOUR = datetime(2024, 8, 8, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NO_QUOTES = empty_frame(SILVER_QUOTES)


def quote(symbol: str, price: float, at: datetime = HOUR) -> dict[str, Any]:
    empty = dict.fromkeys(SILVER_QUOTES.column_names)
    row = {"venue": "coingecko", "symbol": symbol, "event_time": at, "received_at": at, "price": price}
    return {**empty, **row, "event_hour": "2024-08-08-22"}


def quotes(*rows: dict[str, Any]) -> pl.DataFrame:
    return conform(pl.DataFrame(rows), SILVER_QUOTES)


def minute(**prices: float) -> pl.DataFrame:
    """A minute's bars: venue_QUOTE=price of BTC."""
    rows = [
        bar(HOUR, venue=name.split("_")[0], symbol=f"BTC-{name.split('_')[1]}", close=p) for name, p in prices.items()
    ]
    return bars(*rows)


def at_the_hour(found: pl.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    assert check_rows(found, GOLD_CROSS_VENUE).failures == []
    return found.filter(pl.col("window_start") == HOUR).select(columns).rows()


def test_a_stablecoin_counts_as_what_it_is_quoted_at() -> None:
    told = quotes(quote("USDT-USD", 0.99), quote("BTC-USD", 99.0))
    found = cross_venue(minute(binance_USDT=100.0, kraken_USD=99.0), told, HOUR)
    found = found.filter(pl.col("base") == "BTC")
    assert at_the_hour(found, "venue", "price_usd", "usd_rate_source", "deviation_pct", "markets") == [
        ("binance", 99.0, "quote", 0.0, 3),
        ("coingecko", 99.0, "usd", 0.0, 3),
        ("kraken", 99.0, "usd", 0.0, 3),
    ]


def test_without_a_quote_a_dollar_coin_is_a_dollar_and_says_so() -> None:
    found = cross_venue(minute(binance_USDT=100.0, kraken_USD=102.0), NO_QUOTES, HOUR)
    assert at_the_hour(found, "venue", "usd_rate_source", "reference_usd") == [
        ("binance", "parity", 101.0),
        ("kraken", "usd", 101.0),
    ]


def test_a_market_in_a_currency_without_a_rate_is_left_out() -> None:
    found = cross_venue(minute(binance_USDT=100.0, kraken_EUR=90.0), NO_QUOTES, HOUR)
    assert at_the_hour(found, "venue") == [("binance",)]


def test_one_bad_tick_stands_out_from_the_middle_of_three() -> None:
    told = quotes(quote("BTC-USD", 100.0))
    found = cross_venue(minute(binance_USDT=100.0, kraken_USD=150.0), told, HOUR)
    deviation = dict(at_the_hour(found, "venue", "deviation_pct"))
    assert deviation["kraken"] == pytest.approx(50.0) and deviation["binance"] == 0.0


def test_a_quote_counts_for_ten_minutes() -> None:
    told = quotes(quote("BTC-USD", 100.0, HOUR - 5 * MINUTE))
    found = cross_venue(minute(binance_USDT=100.0), told, HOUR).filter(pl.col("venue") == "coingecko")
    assert found["window_start"].to_list() == [HOUR + n * MINUTE for n in range(5)]
    assert found["price_age_s"].to_list() == [360.0 + 60 * n for n in range(5)]
