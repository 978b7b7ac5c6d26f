"""Each market at the end of an hour: mean, low, high, the day's volume, and its rank by 24-hour performance."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from crypto_intel.contracts.derived import GOLD_MARKET_SUMMARY
from crypto_intel.core.frames import conform
from crypto_intel.core.hours import HOUR, event_hour

HOURS_BACK = 24
_MARKET = ["venue", "symbol"]


def market_summary(minutes: pl.DataFrame, hours: pl.DataFrame, hour: datetime) -> pl.DataFrame:
    """Rows of gold.market_summary of an hour: one a market that has a bar of it.

    Args:
        minutes: rows of gold.bars_1m of the hour.
        hours: rows of gold.bars_1h of the hour and of HOURS_BACK before it.
        hour: its start.
    """
    now = hours.filter(pl.col("window_start") == hour)
    means = minutes.group_by(_MARKET).agg(price_mean=pl.col("close").mean())
    rows = (
        now.join(means, on=_MARKET, how="left")
        .join(_day(hours, hour), on=_MARKET, how="left")
        .join(_closes(hours, hour - HOUR, "close_1h"), on=_MARKET, how="left")
        .join(_closes(hours, hour - timedelta(hours=24), "close_24h"), on=_MARKET, how="left")
        .with_columns(
            price_low=pl.col("low"),
            price_high=pl.col("high"),
            change_1h_pct=100 * (pl.col("close") / pl.col("close_1h") - 1),
            change_24h_pct=100 * (pl.col("close") / pl.col("close_24h") - 1),
            event_hour=pl.lit(event_hour(hour)),
        )
        .with_columns(rank_24h=pl.col("change_24h_pct").rank("min", descending=True))
    )
    return conform(rows, GOLD_MARKET_SUMMARY).sort(GOLD_MARKET_SUMMARY.key)


def _day(hours: pl.DataFrame, hour: datetime) -> pl.DataFrame:
    # The 24 hours that end with this one.
    day = hours.filter(pl.col("window_start").is_between(hour - timedelta(hours=23), hour))
    return day.group_by(_MARKET).agg(
        volume_base_24h=pl.col("volume_base").sum(),
        volume_quote_24h=pl.col("volume_quote").sum(),
        trade_count_24h=pl.col("trade_count").sum(),
        hours_24h=pl.len(),
    )


def _closes(hours: pl.DataFrame, start: datetime, name: str) -> pl.DataFrame:
    return hours.filter(pl.col("window_start") == start).select(*_MARKET, pl.col("close").alias(name))
