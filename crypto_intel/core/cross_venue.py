"""One asset on every venue, minute by minute, in US dollars, and how far each market is from the middle of them."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from crypto_intel.contracts.derived import GOLD_CROSS_VENUE
from crypto_intel.core.frames import conform
from crypto_intel.core.hours import HOUR, event_hour

QUOTE_AGE = timedelta(minutes=10)
"""An aggregator's price counts for this long: it is polled every minute or two and served from caches of minutes."""

DOLLAR_COINS = ("USDT", "USDC", "FDUSD", "DAI", "TUSD")
"""Coins that count as a dollar where nobody quotes them."""

_MINUTE = ["window_start", "window_end"]


def cross_venue(bars: pl.DataFrame, quotes: pl.DataFrame, hour: datetime) -> pl.DataFrame:
    """Rows of gold.cross_venue of an hour.

    A market whose quote currency has no rate to the dollar is left out: nothing can be said of it.

    Args:
        bars: rows of gold.bars_1m of the hour.
        quotes: rows of silver.quotes of the hour and of QUOTE_AGE before it.
        hour: its start.
    """
    minutes = pl.select(
        window_start=pl.datetime_range(hour, hour + HOUR, "1m", closed="left", time_unit="us", time_zone="UTC")
    ).with_columns(window_end=pl.col("window_start") + pl.duration(minutes=1))
    prices = pl.concat([_of_bars(bars), _of_quotes(quotes, minutes)])
    quote = pl.col("symbol").str.split("-").list.get(1)
    rated = (
        prices.with_columns(base=pl.col("symbol").str.split("-").list.first(), quote=quote)
        .join(_rates(prices), on=["quote", *_MINUTE], how="left")
        .with_columns(_source(), usd_rate=_rate())
        .filter(pl.col("usd_rate").is_not_null())
        .with_columns(price_usd=pl.col("price") * pl.col("usd_rate"))
    )
    group = ["base", *_MINUTE]
    rows = rated.with_columns(
        reference_usd=pl.col("price_usd").median().over(group), markets=pl.len().over(group)
    ).with_columns(
        deviation_pct=100 * (pl.col("price_usd") / pl.col("reference_usd") - 1), event_hour=pl.lit(event_hour(hour))
    )
    return conform(rows, GOLD_CROSS_VENUE).sort(GOLD_CROSS_VENUE.key)


def _of_bars(bars: pl.DataFrame) -> pl.DataFrame:
    traded = bars.filter(pl.col("close").is_not_null() & (pl.col("close") > 0))
    return traded.select("venue", "symbol", *_MINUTE, price="close", price_age_s=pl.lit(0.0))


def _of_quotes(quotes: pl.DataFrame, minutes: pl.DataFrame) -> pl.DataFrame:
    # Of a venue whose trades we have, bars are the better word.
    told = quotes.filter(pl.col("venue").is_in(["coingecko", "alphavantage"])).sort("event_time")
    markets = told.select("venue", "symbol").unique()
    newest = (
        minutes.join(markets, how="cross")
        .sort("window_end")
        .join_asof(
            told.select("venue", "symbol", "event_time", "price"),
            left_on="window_end",
            right_on="event_time",
            by=["venue", "symbol"],
            strategy="backward",
            tolerance=QUOTE_AGE,
            check_sortedness=False,
        )
        .drop_nulls("price")
    )
    age = (pl.col("window_end") - pl.col("event_time")).dt.total_microseconds() / 1_000_000
    return newest.select("venue", "symbol", *_MINUTE, "price", price_age_s=age)


def _rates(prices: pl.DataFrame) -> pl.DataFrame:
    # What a unit of each currency costs in dollars, minute by minute: the middle of all who say so.
    in_dollars = prices.filter(pl.col("symbol").str.ends_with("-USD"))
    return in_dollars.group_by(pl.col("symbol").str.split("-").list.first().alias("quote"), *_MINUTE).agg(
        quoted_rate=pl.col("price").median()
    )


def _rate() -> pl.Expr:
    return (
        pl.when(pl.col("quote") == "USD")
        .then(1.0)
        .when(pl.col("quoted_rate").is_not_null())
        .then("quoted_rate")
        .when(pl.col("quote").is_in(DOLLAR_COINS))
        .then(1.0)
    )


def _source() -> pl.Expr:
    return (
        pl.when(pl.col("quote") == "USD")
        .then(pl.lit("usd"))
        .when(pl.col("quoted_rate").is_not_null())
        .then(pl.lit("quote"))
        .otherwise(pl.lit("parity"))
        .alias("usd_rate_source")
    )
