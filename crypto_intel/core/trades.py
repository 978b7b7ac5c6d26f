"""Trades of an hour: from every record of Kafka to one row per trade id."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from crypto_intel.contracts.tables import SILVER_TRADES
from crypto_intel.core.frames import conform
from crypto_intel.core.hours import HOUR, event_hour


def distinct_trades(records: pl.LazyFrame, hour: datetime) -> pl.DataFrame:
    """One row per venue, symbol and trade_id of the hour, sorted by them: columns of silver.trades.

    Args:
        records: rows of bronze.trades; those outside the hour are left out.
        hour: start of the UTC hour.
    """
    within = (pl.col("event_date") == hour.date()) & pl.col("event_time").is_between(hour, hour + HOUR, closed="left")
    frame = one_per_id(records.filter(within)).with_columns(event_hour=pl.lit(event_hour(hour))).collect()
    return conform(frame, SILVER_TRADES)


def one_per_id(records: pl.LazyFrame) -> pl.LazyFrame:
    """One row of bronze.trades per venue, symbol and trade_id, sorted by them.

    Of several records of a trade, the streamed one (origin ws) is kept before one from REST, then the one that
    Kafka took first: what the platform knew first and from the venue's own stream.
    """
    key = ["venue", "symbol", "trade_id"]
    first = [*key, pl.col("origin") != "ws", "kafka_time", "kafka_partition", "kafka_offset"]
    return records.sort(first).unique(key, keep="first", maintain_order=True)


def last_before(records: pl.LazyFrame, moment: datetime) -> pl.DataFrame:
    """The last trade of each market before a moment: venue, symbol, trade_id, price.

    Args:
        records: rows of bronze.trades; those from `moment` on are left out.
        moment: exclusive bound of event_time.
    """
    return (
        records.filter((pl.col("event_date") <= moment.date()) & (pl.col("event_time") < moment))
        .group_by("venue", "symbol")
        .agg(pl.col("price").sort_by("trade_id").last(), pl.col("trade_id").max())
        .select("venue", "symbol", "trade_id", "price")
        .sort("venue", "symbol")
        .collect()
    )
