"""The batch side of the streaming transforms: an hour's bars, computed market by market on Spark.

What belongs here: how rows get to Spark and back. What does not: the fold itself (streaming.transforms), which the
stream and this batch share.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa

from crypto_intel.contracts.settings import Settings
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_TRADES, GOLD_BARS_1M, SILVER_TRADES
from crypto_intel.core.completeness import with_unrecoverable
from crypto_intel.core.frames import conform
from crypto_intel.core.hours import HOUR, event_hour
from crypto_intel.core.trades import last_before
from crypto_intel.resources.lake import Lake
from crypto_intel.resources.spark import BatchSpark
from streaming.transforms.batch import batch_bars

FEED_MARGIN = timedelta(minutes=6)
"""Heartbeats this far around the hour tell whether the feed was alive at its edges."""

LOOKBACKS = (timedelta(hours=1), timedelta(days=1), timedelta(days=7))
"""How far to look for the last trade of a market before the hour: near first, since that reads the fewest files."""

_BAR_COLUMNS = [column for column in GOLD_BARS_1M.columns if column.name not in GOLD_BARS_1M.partition_by]
_BAR_DDL = ", ".join(f"{column.name} {column.type}" for column in _BAR_COLUMNS)


def bars_of_hour(trades: pl.DataFrame, lake: Lake, spark: BatchSpark, hour: datetime) -> pl.DataFrame:
    """Rows of gold.bars_1m of an hour, sorted by market and time.

    Args:
        trades: rows of silver.trades of the hour.
        hour: its start.
    """
    before = trades_before(lake, hour)
    feed = feed_around(lake, hour)
    with spark.session() as session:
        left = session.createDataFrame(trades.select(_TRADE_COLUMNS).to_arrow())
        right = session.createDataFrame(before.to_arrow(), schema=_BEFORE_DDL)
        bars = (
            left.groupBy("venue", "symbol")
            .cogroup(right.groupBy("venue", "symbol"))
            .applyInArrow(_market_bars(hour, feed), _BAR_DDL)
        )
        rows = pl.DataFrame(bars.toArrow())
    with_hour = with_unrecoverable(rows, before, losses_since(lake, hour)).with_columns(
        event_hour=pl.lit(event_hour(hour))
    )
    return conform(with_hour, GOLD_BARS_1M).sort(GOLD_BARS_1M.key)


_TRADE_COLUMNS = [name for name in SILVER_TRADES.column_names if name != "event_hour"]
_BEFORE_DDL = "venue string, symbol string, trade_id bigint, price decimal(38,18)"


def _market_bars(hour: datetime, feed: pl.DataFrame) -> Callable[[pa.Table, pa.Table], pa.Table]:
    # (trades, last trade before) of a market as Arrow -> its bars as Arrow; Spark calls it once a market.
    names = [column.name for column in _BAR_COLUMNS]
    schema = pa.schema([GOLD_BARS_1M.arrow_schema().field(name).with_nullable(True) for name in names])

    def market_bars(trades: pa.Table, before: pa.Table) -> pa.Table:
        last = pl.DataFrame(before)
        rows = batch_bars(pl.DataFrame(trades), feed, start=hour, end=hour + HOUR, before=last if last.height else None)
        return rows.select(names).to_arrow().cast(schema)

    return market_bars


def trades_before(lake: Lake, hour: datetime) -> pl.DataFrame:
    """The last trade of each market before the hour, if it traded within the longest of LOOKBACKS."""
    records = lake.scan(BRONZE_TRADES)
    found = last_before(records.filter(pl.lit(value=False)), hour)
    for lookback in LOOKBACKS:
        since = hour - lookback
        window = records.filter((pl.col("event_date") >= since.date()) & (pl.col("event_time") >= since))
        nearer = last_before(window, hour).join(found, on=["venue", "symbol"], how="anti")
        found = pl.concat([found, nearer])
    return found


def losses_since(lake: Lake, hour: datetime) -> pl.DataFrame:
    """What venues have said since the hour of ids that they no longer have: rows of bronze.feed_status."""
    told = lake.scan(BRONZE_FEED_STATUS).filter(pl.col("event_date") >= hour.date())
    return told.filter((pl.col("status") == "unrecoverable") & (pl.col("event_time") >= hour)).collect()


def feed_around(lake: Lake, hour: datetime) -> pl.DataFrame:
    """Signs of life of the trade feeds around the hour: rows of bronze.feed_status."""
    start, end = hour - FEED_MARGIN, hour + HOUR + FEED_MARGIN
    return (
        lake.scan(BRONZE_FEED_STATUS)
        .filter(
            pl.col("event_date").is_between(start.date(), end.date()),
            pl.col("event_time").is_between(start, end),
            pl.col("kafka_topic") == Settings().topics.trades,
        )
        .select("venue", "status", "event_time")
        .collect()
    )
