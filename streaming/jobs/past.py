"""The past out of the lake, for rules that are judged on it again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from crypto_intel.contracts.columns import Table
from crypto_intel.contracts.settings import NewsClock
from crypto_intel.contracts.tables import BRONZE_FEED_STATUS, BRONZE_NEWS, BRONZE_TRADES
from streaming.sinks.delta import Lake
from streaming.transforms.from_bronze import beat_events, news_items, trade_events
from streaming.transforms.rules.past import ORIGIN, Heard

NEWS_REACH = timedelta(days=2)
"""Articles published this long before a stretch of time may come within it."""

_PLACE = ("kafka_partition", "kafka_offset")
_ARRIVED = pl.col("kafka_time").dt.epoch("us").alias("arrived_us")


class Past(NamedTuple):
    """Records of a stretch of event time: decode.TRADE_EVENTS and BEATS with ORIGIN, and the articles."""

    trades: pl.DataFrame
    beats: pl.DataFrame
    news: list[Heard]


def read_past(lake: Lake, since: datetime, until: datetime, clock: NewsClock) -> Past:
    """Everything with an event time in [since, until), whenever it came.

    Args:
        clock: which of an article's times counts as its own.
    """
    trades = trade_events(_between(lake, BRONZE_TRADES, since, until).with_columns(_ARRIVED), ORIGIN).collect()
    markets = trades["market"].unique().sort().to_list()
    statuses = _between(lake, BRONZE_FEED_STATUS, since, until).with_columns(_ARRIVED)
    beats = beat_events(statuses, markets, ORIGIN).collect()
    return Past(trades, beats, _news(lake, since, until, clock))


def _between(lake: Lake, table: Table, since: datetime, until: datetime) -> pl.LazyFrame:
    time = pl.col(table.time_column or "event_time")
    return lake.read(table).filter(
        pl.col("event_date").is_between(since.date(), until.date()) & (time >= since) & (time < until)
    )


def _news(lake: Lake, since: datetime, until: datetime, clock: NewsClock) -> list[Heard]:
    rows = _between(lake, BRONZE_NEWS, since - NEWS_REACH, until)
    told = rows.sort(*_PLACE).with_columns(_ARRIVED).collect()
    items = zip(told["arrived_us"], news_items(told, clock), strict=True)
    return [Heard(arrived, item) for arrived, item in items if item.assets]
